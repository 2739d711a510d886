#include "collector/partner_link.h"

#include <assert.h>
#include <event2/event.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collector/partner_wire.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/text.h"

#define HELLO_US      5000000 /* from connect to HELLO */
#define FRAME_US      30000000
#define SILENCE_US    60000000
#define SIGN_US       15000000 /* of life */
#define RETRY_US      500000   /* when Redis was away */
#define BULK_UNSENT   (256u << 10)
#define KERNEL_UNSENT (64 << 10) /* bytes that the kernel holds and has not sent */
#define IN_MAX        (FRAME_HEADER + FRAME_PAYLOAD_MAX + 65536)
#define READ_CHUNK    65536

enum link_state { LINK_HANDSHAKE = 0, LINK_HELLO, LINK_ASKED, LINK_UP, LINK_CLOSING };

/* OBJECTS that wait for their turn. */
struct batch {
	struct buf records;
	size_t n;
	int64_t place, came_us;
};

struct out_call {
	struct link *l;
	enum lane lane;
};

struct lane_out {
	struct out_call call; /* what the feed calls back with */
	int64_t looked;
	struct unacked {
		int64_t place;
		size_t n, bytes;
	} unacked[WIRE_WINDOW];
	size_t unacked_n, bytes;
	bool busy, more;
	int64_t not_before_us, tokens_us; /* of link.rate */
};

struct lane_in {
	struct batch queue[WIRE_WINDOW];
	size_t n, bytes;
	bool busy;
	int64_t not_before_us, place,
	    came_us; /* place: the last object that stands in Redis, and when it came; 0 = none */
};

struct link {
	const struct link_house *h;
	const struct policy *expect, *policy;
	enum link_state state;
	int fd;
	struct tls_conn *tls;
	struct event *readable, *writable, *soon;
	bool theirs_known, welcomed, tls_wants_write;
	unsigned window;           /* OBJECTS that they take without TAKEN */
	struct buf in, out, bulk;  /* out: everything but objects of the bulk lane; it goes first */
	size_t bulk_at, bulk_left; /* bytes of bulk that went; bytes of the frame in it that has begun */
	uint64_t epoch, their_epoch;
	int64_t opened_us, heard_us, said_us, frame_us, now_us;
	char version[64];
	struct feed *feed;
	struct lane_out to[LANE_COUNT];
	struct lane_in from[LANE_COUNT];
	struct link_stats stats;
	size_t calls; /* answers that are on their way to us */
	bool dead;    /* freed when the last of them is here */
};

static void pump(struct link *l);

/* ---- the end ---- */

static void free_now(struct link *l)
{
	for (int i = 0; i < LANE_COUNT; i++)
		for (size_t k = 0; k < l->from[i].n; k++)
			buf_free(&l->from[i].queue[k].records);
	free(l);
}

static void drop_events(struct link *l)
{
	struct event *events[] = {l->readable, l->writable, l->soon};
	for (size_t i = 0; i < 3; i++)
		if (events[i])
			event_free(events[i]);
}

void link_free(struct link *l)
{
	if (!l || l->dead)
		return;
	feed_free(l->feed);
	tls_close(l->tls);
	drop_events(l);
	close(l->fd);
	buf_free(&l->in);
	buf_free(&l->out);
	buf_free(&l->bulk);
	l->dead = true;
	if (!l->calls)
		free_now(l);
}

/* An answer has come; false when the link is gone. */
static bool answered(struct link *l)
{
	l->calls--;
	if (!l->dead)
		return true;
	if (!l->calls)
		free_now(l);
	return false;
}

static void end(struct link *l, const char *why)
{
	char uri[3 * IDENTITY_PART_MAX];
	snprintf(uri, sizeof(uri), "%s", l->policy ? l->policy->id : l->expect ? l->expect->id : "an unknown partner");
	log_info("link with %s closed: %s", uri, why);
	l->h->closed(l->h->arg, l);
	link_free(l);
}

static void want_soon(struct link *l)
{
	struct timeval now = {0};
	event_add(l->soon, &now);
}

void link_bye(struct link *l, const char *why)
{
	if (l->state == LINK_CLOSING)
		return;
	log_info("link with %s: %s", l->policy ? l->policy->id : "an unknown partner", why);
	if (l->state != LINK_HANDSHAKE)
		wire_text_put(&l->out, FRAME_BYE, why);
	l->bulk.n = l->bulk_at + l->bulk_left; /* only what has begun still goes */
	l->state = LINK_CLOSING;
	l->opened_us = l->now_us; /* a second for it to go out */
	want_soon(l);
}

/* ---- out ---- */

static void on_batch(void *arg, bool ok, struct feed_batch *b);

/* A batch has fewer than half a window's pieces, because any two that follow each
 * other have more than WIRE_PIECE bytes. Where the window is smaller it goes in one. */
static bool may_send(const struct link *l, enum lane lane)
{
	const struct lane_out *o = &l->to[lane];
	return l->state == LINK_UP && o->more && !o->busy && o->unacked_n <= l->window / 2 &&
	       o->bytes <= WIRE_WAITING / 2 && l->now_us >= o->not_before_us &&
	       (lane == LANE_FLASH || l->bulk.n - l->bulk_at < BULK_UNSENT) &&
	       !l->h->paused(l->h->arg, l->policy, true);
}

static void send_next(struct link *l, enum lane lane)
{
	struct lane_out *o = &l->to[lane];
	if (!may_send(l, lane))
		return;
	o->call = (struct out_call){l, lane};
	o->busy = true;
	o->more = false;
	feed_next(l->feed, lane, o->looked, (struct feed_done){on_batch, &o->call});
}

static void count_batch(struct link_stats *s, const struct feed_batch *b)
{
	s->sent += b->n;
	s->judged += b->judged;
	s->cut += b->cut;
	for (int i = 0; i < GATE_WHY_COUNT; i++)
		s->denied[i] += b->denied[i];
}

/* link.rate: so many objects a second in each lane; the next batch waits for this one's share. */
static void charge(const struct link *l, struct lane_out *o, size_t n)
{
	int64_t cost = (int64_t)(n * 1000000 / (uint64_t)l->policy->link.rate);
	o->tokens_us = (o->tokens_us > l->now_us ? o->tokens_us : l->now_us) + cost;
	o->not_before_us = o->tokens_us - 100000; /* a tenth of a second's worth at once */
}

/* Bytes of the next piece, from at on, at most most unless it is one object; *n objects more are in it. */
static size_t piece_of(const struct buf *records, size_t at, size_t most, size_t *n)
{
	size_t bytes = 0;
	for (*n = 0; at + bytes < records->n; ++*n) {
		struct cursor c = cursor_over(records->p + at + bytes, 4);
		size_t more = 4 + (size_t)cursor_u32(&c);
		if (bytes && bytes + more > most)
			break;
		bytes += more;
	}
	return bytes;
}

static void send_pieces(struct link *l, enum lane lane, const struct feed_batch *b)
{
	struct lane_out *o = &l->to[lane];
	size_t most = l->window < WIRE_WINDOW ? FRAME_PAYLOAD_MAX - WIRE_OBJECTS_AT : WIRE_PIECE;
	for (size_t at = 0, first = 0, n, bytes; at < b->records.n; at += bytes, first += n) {
		bytes = piece_of(&b->records, at, most, &n);
		assert(o->unacked_n < WIRE_WINDOW);
		struct unacked *u = &o->unacked[o->unacked_n++];
		*u = (struct unacked){b->place[first + n - 1], n, bytes};
		o->bytes += bytes;
		wire_objects_put(lane == LANE_FLASH ? &l->out : &l->bulk,
				 &(struct wire_objects){
				     .lane = lane, .place = u->place, .n = n, .records = {b->records.p + at, bytes}});
	}
	charge(l, o, b->n);
}

/* The feed drops batches of a freed link without a call. */
static void on_batch(void *arg, bool ok, struct feed_batch *b)
{
	const struct out_call c = *(const struct out_call *)arg;
	struct link *l = c.l;
	struct lane_out *o = &l->to[c.lane];
	o->busy = false;
	if (!ok) {
		o->more = true;
		o->not_before_us = l->now_us + RETRY_US;
		return;
	}
	count_batch(&l->stats, b);
	o->looked = b->looked_to;
	o->more |= b->more;
	if (b->n && l->state == LINK_UP)
		send_pieces(l, c.lane, b);
	want_soon(l);
}

static bool take_taken(struct link *l, struct bytes payload, struct err *e)
{
	struct wire_taken t;
	size_t i = 0;
	if (!wire_taken_read(payload, &t, e))
		return false;
	struct lane_out *o = &l->to[t.lane];
	for (; i < o->unacked_n && o->unacked[i].place <= t.place; i++) {
		l->stats.taken_by_them += o->unacked[i].n;
		o->bytes -= o->unacked[i].bytes;
	}
	if (!i)
		return err_set(e, "a TAKEN for what was not sent");
	o->unacked_n -= i;
	memmove(o->unacked, o->unacked + i, o->unacked_n * sizeof(*o->unacked));
	return true;
}

/* ---- in ---- */

struct in_call {
	struct link *l;
	enum lane lane;
	int64_t place;
};

static void key_of(const struct link *l, char out[static 128])
{
	snprintf(out, 128, "picket:{x}:link:%s", l->policy->id);
}

/* The place stands in Redis: the batch is done with. */
static void on_place(void *arg, const struct reply *r)
{
	struct in_call c = *(struct in_call *)arg;
	struct link *l = c.l;
	struct bytes why;
	free(arg);
	if (!answered(l))
		return;
	struct lane_in *in = &l->from[c.lane];
	in->busy = false;
	if (!r || reply_error(r, &why)) {
		in->not_before_us = l->now_us + RETRY_US;
		return;
	}
	in->bytes -= in->queue[0].records.n;
	buf_free(&in->queue[0].records);
	in->n--;
	memmove(in->queue, in->queue + 1, in->n * sizeof(*in->queue));
	memset(&in->queue[in->n], 0, sizeof(*in->queue));
	wire_taken_put(&l->out, &(struct wire_taken){c.lane, c.place});
	want_soon(l);
}

static void store_place(struct link *l, enum lane lane, int64_t place)
{
	static const char *const fields[LANE_COUNT] = {"in:bulk", "in:flash"};
	struct in_call *c = xcalloc(1, sizeof(*c));
	char key[128], number[24], epoch[24];
	key_of(l, key);
	snprintf(number, sizeof(number), "%" PRId64, place);
	snprintf(epoch, sizeof(epoch), "%016" PRIx64, l->their_epoch);
	*c = (struct in_call){l, lane, place};
	l->calls++;
	const char *words[] = {"HSET", key, "in:epoch", epoch, fields[lane], number};
	if (redis_link_words(l->h->redis, 6, words, (struct redis_done){on_place, c}))
		return;
	free(c);
	l->calls--;
	l->from[lane].busy = false;
	l->from[lane].not_before_us = l->now_us + RETRY_US;
}

/* The partner learns what of its own was refused, and why. */
static void tell_refused(struct link *l, const struct take_result *r)
{
	struct json *o = json_map(), *codes = json_map();
	struct buf text = {0};
	for (size_t i = 0; i < r->codes_n; i++)
		json_put_int(codes, r->codes[i].code, (int64_t)r->codes[i].n);
	json_put(o, "refused", codes);
	json_put_text(o, "first", r->first);
	json_write(o, &text);
	buf_u8(&text, 0);
	wire_text_put(&l->out, FRAME_NOTICE, (char *)text.p);
	buf_free(&text);
	json_drop(o);
}

static void on_take(void *arg, bool ok, const struct take_result *r)
{
	struct in_call c = *(struct in_call *)arg;
	struct link *l = c.l;
	free(arg);
	if (!answered(l))
		return;
	if (!ok) {
		l->from[c.lane].busy = false;
		l->from[c.lane].not_before_us = l->now_us + RETRY_US;
		return;
	}
	l->from[c.lane].place = c.place;
	l->from[c.lane].came_us = l->from[c.lane].queue[0].came_us;
	take_result_add(&l->stats.got, r);
	if (r->codes_n && l->state == LINK_UP)
		tell_refused(l, r);
	store_place(l, c.lane, c.place);
}

static void take_next(struct link *l, enum lane lane)
{
	struct lane_in *in = &l->from[lane];
	struct err e;
	if (in->busy || !in->n || l->state != LINK_UP || l->now_us < in->not_before_us ||
	    l->h->paused(l->h->arg, l->policy, false))
		return;
	const struct batch *b = &in->queue[0];
	int64_t wait = inbound_wait_us(l->h->inbound, l->policy, lane, b->n, l->now_us);
	if (wait) {
		l->stats.limited++;
		in->not_before_us = l->now_us + wait;
		return;
	}
	struct in_call *c = xcalloc(1, sizeof(*c));
	*c = (struct in_call){l, lane, b->place};
	in->busy = true;
	l->calls++; /* the answer may come before it returns */
	if (take_batch(l->h->taker, l->policy, (struct bytes){b->records.p, b->records.n}, b->n,
		       (struct take_done){on_take, c}, &e))
		return;
	free(c);
	l->calls--;
	link_bye(l, e.text);
}

static bool take_objects(struct link *l, struct bytes payload, struct err *e)
{
	struct wire_objects o;
	if (!wire_objects_read(payload, &o, e))
		return false;
	struct lane_in *in = &l->from[o.lane];
	if (in->n == WIRE_WINDOW || in->bytes + o.records.n > WIRE_WAITING)
		return err_set(e, "more than %d batches or %u bytes without an answer", WIRE_WINDOW, WIRE_WAITING);
	struct batch *b = &in->queue[in->n++];
	*b = (struct batch){.n = o.n, .place = o.place, .came_us = l->now_us};
	buf_add(&b->records, o.records.p, o.records.n);
	in->bytes += b->records.n;
	return true;
}

/* ---- who it is ---- */

static uint64_t epoch_of(const struct policy *p)
{
	char *text = NULL;
	size_t n;
	uint8_t digest[32];
	FILE *f = open_memstream(&text, &n);
	if (!f)
		return 0;
	conf_dump(policy_keys, policy_keys_n, p, f);
	fprintf(f, "%s", p->all->own);
	fclose(f);
	hash_sha256(digest, text, n);
	free(text);
	struct cursor c = cursor_over(digest, sizeof(digest));
	return cursor_u64(&c);
}

static bool take_hello(struct link *l, struct bytes payload, struct err *e);

static void on_places(void *arg, const struct reply *r)
{
	struct link *l = arg;
	struct wire_welcome w = {0};
	struct bytes epoch;
	char want[24];
	if (!answered(l) || l->state == LINK_CLOSING)
		return;
	if (!r || reply_count(r) != 3) {
		link_bye(l, "Redis is away here; try again");
		return;
	}
	snprintf(want, sizeof(want), "%016" PRIx64, l->their_epoch);
	if (reply_text(reply_at(r, 0), &epoch) && epoch.n == strlen(want) && memcmp(epoch.p, want, epoch.n) == 0)
		for (size_t i = 0; i < LANE_COUNT; i++)
			if (!reply_number(reply_at(r, 1 + i), &w.place[i]) || w.place[i] < 0)
				w.place[i] = 0;
	wire_window_put(&l->out);
	wire_welcome_put(&l->out, &w);
	l->theirs_known = true;
	if (l->welcomed)
		l->state = LINK_UP;
	want_soon(l);
}

static bool take_hello(struct link *l, struct bytes payload, struct err *e)
{
	struct wire_hello h;
	char key[128];
	if (!wire_hello_read(payload, &h, e))
		return false;
	if (strcmp(h.name, tls_peer(l->tls)->name) != 0)
		return err_set(e, "the name in HELLO is not the certificate's");
	l->their_epoch = h.epoch;
	memcpy(l->version, h.version, sizeof(l->version));
	l->state = LINK_ASKED;
	key_of(l, key);
	const char *words[] = {"HMGET", key, "in:epoch", "in:bulk", "in:flash"};
	l->calls++;
	if (redis_link_words(l->h->redis, 5, words, (struct redis_done){on_places, l}))
		return true;
	l->calls--;
	return err_set(e, "Redis is away here; try again");
}

static bool take_welcome(struct link *l, struct bytes payload, struct err *e)
{
	struct wire_welcome w;
	if (!wire_welcome_read(payload, &w, e))
		return false;
	if (l->welcomed)
		return err_set(e, "a second WELCOME");
	l->welcomed = true;
	for (int i = 0; i < LANE_COUNT; i++)
		l->to[i] = (struct lane_out){.looked = w.place[i], .more = true};
	l->feed = feed_new(l->h->objects, l->h->audit, l->h->policies, l->policy, "link");
	if (l->theirs_known)
		l->state = LINK_UP;
	log_info("link with %s (%s): they have all up to place %" PRId64 " (flash %" PRId64 ")", l->policy->id,
		 l->version, w.place[LANE_BULK], w.place[LANE_FLASH]);
	return true;
}

static bool known(struct link *l, struct err *e)
{
	const struct identity *who = tls_peer(l->tls);
	char uri[3 * IDENTITY_PART_MAX + 16];
	snprintf(uri, sizeof(uri), "picket://%s/%s/%s", who->org, role_names[who->role], who->name);
	l->policy = l->h->admit(l->h->arg, l, uri, e);
	if (l->policy && l->expect && l->policy != l->expect) {
		l->policy = NULL;
		return err_set(e, "%s answers where %s was called", uri, l->expect->id);
	}
	if (!l->policy)
		return false;
	l->epoch = epoch_of(l->policy);
	l->state = LINK_HELLO;
	wire_hello_put(&l->out, l->epoch, l->h->name);
	return true;
}

/* ---- frames ---- */

/* What is for the program and not for people. */
static bool take_word(struct link *l, struct bytes payload)
{
	struct err e;
	struct json *o = json_read(payload.p, payload.n, WIRE_NOTICE_MAX, &e);
	const struct json *r = json_at(o, "receipt");
	int64_t window = json_int(json_at(o, "window"), 0);
	bool is = r != NULL || window > 0;
	if (window > 0)
		l->window = window < WIRE_WINDOW ? (unsigned)window : WIRE_WINDOW;
	if (r)
		l->h->receipt(
		    l->h->arg, l->policy,
		    &(struct link_receipt){json_int(json_at(r, "place"), 0), json_int(json_at(r, "matching"), -1),
					   json_int(json_at(r, "sensors"), -1), json_int(json_at(r, "ms"), -1)});
	json_drop(o);
	return is;
}

static bool take_notice(struct link *l, struct bytes payload)
{
	char clean[1024];
	if (take_word(l, payload))
		return true;
	if (payload.n > 2)
		log_info("%s says: %s", l->policy->id, text_clean(clean, sizeof(clean), payload.p, payload.n));
	return true;
}

static bool take_frame(struct link *l, const struct frame *f, struct err *e)
{
	char clean[300];
	bool begun = l->state != LINK_HELLO;
	if (f->type == FRAME_BYE)
		return err_set(e, "they say: %s",
			       text_clean(clean, sizeof(clean), f->payload.p + 1, f->payload.n ? f->payload.n - 1 : 0));
	if (!begun && f->type == FRAME_HELLO)
		return take_hello(l, f->payload, e);
	if (begun && f->type == FRAME_WELCOME)
		return take_welcome(l, f->payload, e);
	if (l->theirs_known && f->type == FRAME_OBJECTS)
		return take_objects(l, f->payload, e);
	if (l->welcomed && f->type == FRAME_TAKEN)
		return take_taken(l, f->payload, e);
	if (begun && f->type == FRAME_NOTICE)
		return take_notice(l, f->payload);
	return err_set(e, "frame type %d does not belong here", (int)f->type);
}

static bool take_frames(struct link *l, struct err *e)
{
	size_t at = 0;
	bool good = true;
	while (good && l->state != LINK_CLOSING) {
		struct frame f;
		size_t used;
		enum frame_result r = frame_read(l->in.p + at, l->in.n - at, &f, &used, e);
		if (r == FRAME_BAD)
			good = false;
		if (r != FRAME_READY)
			break;
		good = take_frame(l, &f, e);
		at += used;
	}
	buf_shift(&l->in, at);
	if (at || !l->in.n)
		l->frame_us = l->now_us;
	return good;
}

static bool read_all(struct link *l, struct err *e)
{
	while (l->in.n < IN_MAX) {
		size_t got = 0;
		buf_reserve(&l->in, READ_CHUNK);
		enum tls_result r = tls_read(l->tls, l->in.p + l->in.n, READ_CHUNK, &got, e);
		if (r == TLS_CLOSED)
			return err_set(e, "they closed it");
		if (r == TLS_FAILED)
			return false;
		if (r != TLS_DONE)
			return true;
		l->in.n += got;
		l->heard_us = l->now_us;
		if (!take_frames(l, e))
			return false;
	}
	return true;
}

static bool unsent(const struct link *l)
{
	return l->out.n || l->bulk.n > l->bulk_at;
}

/* What goes next: the frame that has begun, else everything urgent, else a frame of bulk. */
static struct bytes next_out(struct link *l)
{
	if (!l->bulk_left && l->out.n)
		return (struct bytes){l->out.p, l->out.n};
	if (!l->bulk_left) {
		struct cursor length = cursor_over(l->bulk.p + l->bulk_at + 4, 4);
		l->bulk_left = FRAME_HEADER + (size_t)cursor_u32(&length);
	}
	return (struct bytes){l->bulk.p + l->bulk_at, l->bulk_left};
}

static void went_out(struct link *l, size_t n)
{
	l->said_us = l->now_us;
	if (!l->bulk_left) {
		buf_shift(&l->out, n);
		return;
	}
	l->bulk_left -= n;
	l->bulk_at += n;
	if (l->bulk_at > BULK_UNSENT || l->bulk_at == l->bulk.n) {
		buf_shift(&l->bulk, l->bulk_at);
		l->bulk_at = 0;
	}
}

static bool write_all(struct link *l, struct err *e)
{
	l->tls_wants_write = false;
	while (unsent(l)) {
		size_t put = 0;
		struct bytes next = next_out(l);
		enum tls_result r = tls_write(l->tls, next.p, next.n, &put, e);
		if (r == TLS_CLOSED)
			return err_set(e, "they closed it");
		if (r == TLS_FAILED)
			return false;
		if (r != TLS_DONE) {
			l->tls_wants_write = r == TLS_WANT_WRITE;
			return true;
		}
		went_out(l, put);
	}
	return true;
}

static bool shake(struct link *l, struct err *e)
{
	enum tls_result r = tls_handshake(l->tls, e);
	if (r == TLS_DONE)
		return known(l, e);
	l->tls_wants_write = r == TLS_WANT_WRITE;
	if (r == TLS_CLOSED)
		return err_set(e, "they closed it during the handshake");
	return r != TLS_FAILED;
}

static bool in_time(const struct link *l, struct err *e)
{
	if (l->state < LINK_UP && l->now_us - l->opened_us > HELLO_US)
		return err_set(e, "no HELLO within %d s", HELLO_US / 1000000);
	if (l->in.n && l->now_us - l->frame_us > FRAME_US)
		return err_set(e, "a frame that takes longer than %d s", FRAME_US / 1000000);
	if (l->now_us - l->heard_us > SILENCE_US)
		return err_set(e, "nothing was heard for %d s", SILENCE_US / 1000000);
	return true;
}

static bool work(struct link *l, struct err *e)
{
	if (!in_time(l, e))
		return false;
	if (l->state == LINK_HANDSHAKE && !shake(l, e))
		return false;
	if (l->state == LINK_HANDSHAKE)
		return true;
	if (l->state != LINK_CLOSING && !read_all(l, e))
		return false;
	for (int lane = LANE_COUNT - 1; lane >= 0; lane--) { /* flash first */
		take_next(l, (enum lane)lane);
		send_next(l, (enum lane)lane);
	}
	if (l->state == LINK_UP && l->now_us - l->said_us > SIGN_US && !unsent(l))
		wire_text_put(&l->out, FRAME_NOTICE, "{}");
	if (!write_all(l, e))
		return false;
	if (l->state == LINK_CLOSING && (!unsent(l) || l->now_us - l->opened_us > 1000000))
		return err_set(e, "closed by us");
	return true;
}

static void pump(struct link *l)
{
	struct err e = {{0}};
	l->now_us = clock_mono_us();
	if (!work(l, &e)) {
		if (l->state == LINK_HANDSHAKE || l->state == LINK_CLOSING) {
			end(l, e.text);
			return;
		}
		link_bye(l, e.text);
		write_all(l, &e);
		end(l, "the sentence before says why");
		return;
	}
	if (l->tls_wants_write || (unsent(l) && l->state != LINK_HANDSHAKE))
		event_add(l->writable, NULL);
	else
		event_del(l->writable);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	pump(arg);
}

struct link *link_open(const struct link_house *h, struct tls *tls, int fd, const struct policy *expect, struct err *e)
{
	struct link *l = xcalloc(1, sizeof(*l));
	*l = (struct link){.h = h, .expect = expect, .fd = fd, .window = WIRE_WINDOW_LEAST};
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){KERNEL_UNSENT}, sizeof(int));
	l->now_us = l->opened_us = l->heard_us = l->said_us = l->frame_us = clock_mono_us();
	l->tls = tls_open(tls, fd, e);
	l->readable = event_new(h->base, fd, EV_READ | EV_PERSIST, on_event, l);
	l->writable = event_new(h->base, fd, EV_WRITE | EV_PERSIST, on_event, l);
	l->soon = event_new(h->base, -1, 0, on_event, l);
	if (!l->tls || !l->readable || !l->writable || !l->soon) {
		if (l->tls)
			err_set(e, "no memory for a connection");
		link_free(l);
		return NULL;
	}
	event_add(l->readable, NULL);
	event_add(l->writable, NULL);
	return l;
}

const struct policy *link_policy(const struct link *l)
{
	return l->policy;
}

bool link_up(const struct link *l)
{
	return l->state == LINK_UP;
}

const struct link_stats *link_stats(const struct link *l)
{
	return &l->stats;
}

const char *link_version(const struct link *l)
{
	return l->version;
}

bool link_taken(const struct link *l, enum lane lane, int64_t *place, int64_t *came_us)
{
	*place = l->from[lane].place;
	*came_us = l->from[lane].came_us;
	return *place;
}

void link_receipt(struct link *l, const struct link_receipt *r)
{
	struct json *o = json_map(), *in = json_map();
	struct buf text = {0};
	json_put_int(in, "place", r->place);
	json_put_int(in, "matching", r->matching);
	json_put_int(in, "sensors", r->sensors);
	json_put_int(in, "ms", r->ms);
	json_put(o, "receipt", in);
	json_write(o, &text);
	buf_u8(&text, 0);
	if (l->state == LINK_UP)
		wire_text_put(&l->out, FRAME_NOTICE, (char *)text.p);
	want_soon(l);
	buf_free(&text);
	json_drop(o);
}

void link_work(struct link *l, bool new_rows, int64_t now_us)
{
	(void)now_us;
	for (int i = 0; new_rows && i < LANE_COUNT; i++)
		l->to[i].more |= l->welcomed;
	pump(l);
}
