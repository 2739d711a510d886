/* What a partner's gateway says on a link: any bytes as each kind of payload. What was
 * believed must write back the same; a batch of objects goes on to be judged, as far as one can
 * without a store.
 * For: collector/partner_wire.c */
#include <event2/event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/partner_take.h"
#include "collector/partner_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct policies policies;
static struct taker taker;

static void open_once(void)
{
	static const char yaml[] =
	    "partner: {id: jp}\nrelease: {exercises: [ke]}\ninbound: {mode: auto, quota: 1000000}\n";
	char path[] = "/tmp/picket-fuzz-XXXXXX";
	static struct store_conf nowhere = {
	    .use = STORE_OBJECTS, .timeout_ms = 1000, .redis = {.local = true, .host = "/nonexistent/redis.sock"}};
	struct diags d = {0};
	struct err e;
	if (taker.objects)
		return;
	int fd = mkstemp(path);
	if (fd < 0 || write(fd, yaml, sizeof(yaml) - 1) != (ssize_t)sizeof(yaml) - 1 ||
	    !policies_load(&policies, "us", path, &d))
		abort();
	close(fd);
	unlink(path);
	struct intake *poison = intake_new(NULL);
	if (!intake_add_own(poison, "100.200.0.0/16", &e) || !intake_seal(poison, &e))
		abort();
	/* its loop never runs, so that it is always away */
	struct redis_link *link = redis_link_new(event_base_new(), &nowhere, NULL, NULL);
	taker.objects = objects_new(link, 1000, 16);
	taker.inbound = inbound_new(&policies, poison);
}

static void same(const struct buf *frame, const uint8_t *data, size_t n)
{
	if (frame->n != FRAME_HEADER + n || (n && memcmp(frame->p + FRAME_HEADER, data, n) != 0))
		abort();
}

static void on_taken(void *arg, bool ok, const struct take_result *r)
{
	(void)r;
	*(int *)arg += 1;
	if (ok && r->stored)
		abort(); /* there is nowhere to store it */
}

static void take(const struct wire_objects *o)
{
	struct err e;
	int answers = 0;
	bool taken = take_batch(&taker, &policies.list[0], o->records, o->n, (struct take_done){on_taken, &answers},
				&e);
	if (answers != taken)
		abort();
}

/* What is said to people goes as one frame, however long it is. */
static void say(struct buf *out, const uint8_t *data, size_t n)
{
	static const enum frame_type kinds[] = {FRAME_NOTICE, FRAME_BYE};
	char *text = calloc(1, n + 1);
	struct frame f;
	struct err e;
	size_t used;
	if (n)
		memcpy(text, data, n);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		out->n = 0;
		wire_text_put(out, kinds[i], text);
		if (frame_read(out->p, out->n, &f, &used, &e) != FRAME_READY || used != out->n || f.type != kinds[i])
			abort();
	}
	wire_window_put(out);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct bytes payload = {data, n};
	struct wire_hello h;
	struct wire_welcome w;
	struct wire_objects o;
	struct wire_taken t;
	struct buf out = {0};
	struct err e;
	open_once();
	if (n > FRAME_PAYLOAD_MAX)
		return 0;
	if (wire_hello_read(payload, &h, &e) && strlen(h.name) < sizeof(h.name))
		wire_hello_put(&out, h.epoch, h.name);
	out.n = 0;
	if (wire_welcome_read(payload, &w, &e)) {
		wire_welcome_put(&out, &w);
		same(&out, data, n);
	}
	out.n = 0;
	if (wire_taken_read(payload, &t, &e)) {
		wire_taken_put(&out, &t);
		same(&out, data, n);
	}
	out.n = 0;
	if (wire_objects_read(payload, &o, &e)) {
		wire_objects_put(&out, &o);
		same(&out, data, n);
		take(&o);
	}
	out.n = 0;
	say(&out, data, n);
	buf_free(&out);
	return 0;
}
