/* The uplink and the output thread against a small collector that lives here: it
 * keeps a mark per epoch as Redis would, takes records in order only, and can be
 * slow, forgetful, rude or gone. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/frame.h"
#include "common/log.h"
#include "rules/alert.h"
#include "sensor/output.h"
#include "sensor/queue.h"
#include "sensor/spool.h"
#include "sensor/uplink.h"

#define SECOND  1000000LL
#define IDS_MAX 20000

static char dir[64];

/* ---- the collector ---- */

struct fake {
	int listener, fd;
	struct buf in;
	uint64_t epoch, mark, sessions, rewinds, fillers, lost, applied, alerts, statuses, byes;
	uint8_t times[IDS_MAX];
	size_t take;          /* bytes per step; 0 = all */
	size_t cut_after;     /* bytes until it hangs up; 0 = never */
	bool acks, silent;    /* silent: never says WELCOME */
	uint64_t welcome_add; /* lies about its mark */
	bool skip_one;        /* loses a DATA frame: a gap */
	char path[100];
	struct tls *tls; /* NULL: plaintext */
	struct tls_conn *conn;
	bool shaken;
};

static void fake_open(struct fake *f, const char *name)
{
	*f = (struct fake){.fd = -1, .acks = true};
	snprintf(f->path, sizeof(f->path), "%s/%s", dir, name);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", f->path);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(f->listener, 8), 0);
}

static void fake_hang_up(struct fake *f)
{
	tls_close(f->conn);
	f->conn = NULL;
	f->shaken = false;
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	f->in.n = 0;
}

static void fake_close(struct fake *f)
{
	fake_hang_up(f);
	close(f->listener);
	unlink(f->path);
	buf_free(&f->in);
}

static void fake_say(struct fake *f, enum frame_type type, uint64_t number)
{
	struct buf b = {0};
	size_t at = frame_begin(&b, type);
	buf_u64(&b, number);
	frame_end(&b, at);
	size_t put = 0;
	if (f->conn)
		assert_int_equal(tls_write(f->conn, b.p, b.n, &put, NULL), TLS_DONE);
	else
		put = (size_t)send(f->fd, b.p, b.n, MSG_NOSIGNAL);
	assert_int_equal(put, b.n);
	buf_free(&b);
}

static void fake_apply(struct fake *f, struct bytes p)
{
	struct record r;
	uint32_t id;
	f->mark++;
	if (!p.n) {
		f->fillers++;
		return;
	}
	assert_true(record_read(p.p, p.n, &r));
	if (r.kind == RECORD_LOSS) {
		f->lost += r.n;
		return;
	}
	memcpy(&id, r.key, sizeof(id));
	assert_true(id < IDS_MAX);
	f->times[id]++;
	f->applied++;
	f->alerts += r.n;
}

static void fake_data(struct fake *f, struct cursor c)
{
	uint64_t first = cursor_u64(&c);
	uint32_t n = cursor_u32(&c);
	if (f->skip_one || first != f->mark + 1) {
		f->skip_one = false;
		f->rewinds++;
		fake_say(f, FRAME_REWIND, f->mark + 1);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		fake_apply(f, cursor_bytes(&c, cursor_u32(&c)));
	assert_true(cursor_ok(&c) && cursor_left(&c) == 0);
	if (f->acks)
		fake_say(f, FRAME_ACK, f->mark);
}

static void fake_frame(struct fake *f, const struct frame *frame)
{
	struct cursor c = cursor_over(frame->payload.p, frame->payload.n);
	if (frame->type == FRAME_HELLO) {
		uint64_t epoch = cursor_u64(&c);
		assert_int_equal(cursor_u8(&c), ROLE_SENSOR);
		struct bytes id = cursor_bytes(&c, cursor_u8(&c)), version = cursor_bytes(&c, cursor_u8(&c));
		assert_true(cursor_ok(&c) && id.n == 6 && memcmp(id.p, "tok-03", 6) == 0 && version.n > 0);
		if (epoch != f->epoch)
			f->mark = 0;
		f->epoch = epoch;
		f->sessions++;
		if (!f->silent)
			fake_say(f, FRAME_WELCOME, f->mark + f->welcome_add);
	} else if (frame->type == FRAME_DATA) {
		fake_data(f, c);
	} else if (frame->type == FRAME_STATUS) {
		f->statuses++;
	} else {
		assert_int_equal(frame->type, FRAME_BYE);
		f->byes++;
	}
}

static bool fake_cut(struct fake *f, size_t got)
{
	if (!f->cut_after || got < f->cut_after) {
		f->cut_after -= f->cut_after ? got : 0;
		return false;
	}
	f->cut_after = 0;
	fake_hang_up(f);
	return true;
}

/* As recv(); the handshake is over first. */
static ssize_t fake_receive(struct fake *f, void *into, size_t cap)
{
	size_t got = 0;
	if (!f->tls)
		return recv(f->fd, into, cap, 0);
	if (!f->conn)
		f->conn = tls_open(f->tls, f->fd, NULL);
	enum tls_result r = TLS_DONE;
	if (!f->shaken)
		r = tls_handshake(f->conn, NULL);
	f->shaken = r == TLS_DONE;
	if (r == TLS_DONE)
		r = tls_read(f->conn, into, cap, &got, NULL);
	errno = r == TLS_FAILED ? EPROTO : EAGAIN;
	return r == TLS_DONE ? (ssize_t)got : r == TLS_CLOSED ? 0 : -1;
}

static void fake_step(struct fake *f)
{
	static uint8_t chunk[1 << 16];
	if (f->fd < 0)
		f->fd = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK);
	if (f->fd < 0)
		return;
	ssize_t got = fake_receive(f, chunk, f->take ? f->take : sizeof(chunk));
	if (got == 0 || (got < 0 && errno != EAGAIN)) {
		fake_hang_up(f);
		return;
	}
	if (got < 0 || fake_cut(f, (size_t)got))
		return;
	buf_add(&f->in, chunk, (size_t)got);
	struct frame frame;
	size_t used;
	while (f->fd >= 0 && frame_read(f->in.p, f->in.n, &frame, &used, NULL) == FRAME_READY) {
		fake_frame(f, &frame);
		buf_shift(&f->in, used);
	}
}

/* ---- the sensor's side ---- */

struct world {
	struct spool_conf conf;
	struct spool *spool;
	struct uplink *uplink;
	struct conf_list collectors;
	char *text[3];
	int64_t now;
	uint32_t id;
};

static void world_open(struct world *w, struct fake *a, struct fake *b)
{
	*w = (struct world){.now = 100 * SECOND};
	static char spool_dir[80], first[120], second[120];
	snprintf(spool_dir, sizeof(spool_dir), "%s/spool", dir);
	snprintf(first, sizeof(first), "unix:%s", a ? a->path : "/nonexistent");
	snprintf(second, sizeof(second), "unix:%s", b ? b->path : "/nonexistent");
	w->text[0] = first;
	w->text[1] = second;
	w->collectors = (struct conf_list){.v = w->text, .n = b ? 2 : 1};
	w->conf = (struct spool_conf){
	    .dir = spool_dir, .bytes_max = 64 << 20, .horizon_us = 600 * SECOND, .horizon_bytes = 64 << 20};
	struct err e = {""};
	struct uplink_conf c = {.collectors = &w->collectors, .sensor_id = "tok-03"};
	w->spool = spool_open(&w->conf, &e);
	w->uplink = w->spool ? uplink_new(&c, w->spool, &e) : NULL;
	if (!w->uplink)
		fail_msg("%s", e.text);
}

static void world_close(struct world *w)
{
	uplink_free(w->uplink);
	spool_close(w->spool);
}

static size_t make_record(uint8_t *out, uint32_t id, uint32_t group)
{
	struct buf b = {0};
	char json[600];
	memset(json, 'x', sizeof(json));
	int n = snprintf(json, sizeof(json), "{\"id\":%u,\"pad\":\"", id);
	json[n] = 'x';
	memcpy(json + sizeof(json) - 2, "\"}", 2);
	struct record r = {.kind = RECORD_ALERT, .n = 1, .first_us = 1, .last_us = 1};
	memcpy(r.key, &group, sizeof(group));
	r.field[FIELD_JSON] = (struct bytes){(const uint8_t *)json, sizeof(json)};
	record_write(&b, &r);
	size_t len = b.n;
	memcpy(out, b.p, len);
	buf_free(&b);
	return len;
}

static void raise_alerts(struct world *w, uint32_t n)
{
	uint8_t record[2048];
	for (; n; n--, w->id++)
		assert_true(spool_append(w->spool, record, make_record(record, w->id, w->id)));
	assert_true(spool_commit(w->spool, w->now));
}

static void steps(struct world *w, int n, struct fake *a, struct fake *b)
{
	for (; n; n--, w->now += SECOND / 100) {
		uplink_run(w->uplink, w->now);
		if (a)
			fake_step(a);
		if (b)
			fake_step(b);
	}
}

static void check_each_once(const struct fake *f, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (f->times[i] != 1)
			fail_msg("record %u was applied %u times", i, f->times[i]);
}

static bool connected(const struct world *w)
{
	struct uplink_stats s;
	uplink_stats(w->uplink, &s);
	return s.connected;
}

static void test_sends_all_and_hears_acks(void **state)
{
	(void)state;
	struct fake f;
	struct world w;
	struct spool_stats s;
	fake_open(&f, "c");
	world_open(&w, &f, NULL);
	raise_alerts(&w, 3000);
	steps(&w, 300, &f, NULL);
	assert_true(connected(&w));
	check_each_once(&f, 3000);
	spool_stats(w.spool, &s);
	assert_int_equal(s.acked, 3000);
	raise_alerts(&w, 1);
	steps(&w, 2, &f, NULL);
	check_each_once(&f, 3001);
	assert_int_equal(f.statuses, 0); /* nothing was said yet */
	uplink_status(w.uplink, "{\"a\":1}", 7);
	steps(&w, 2, &f, NULL);
	assert_int_equal(f.statuses, 1); /* told at once */
	steps(&w, 1100, &f, NULL);       /* eleven seconds: heartbeats */
	assert_in_range(f.statuses, 3, 4);
	uplink_bye(w.uplink);
	fake_step(&f);
	assert_int_equal(f.byes, 1);
	world_close(&w);
	fake_close(&f);
}

static void test_cut_anywhere(void **state)
{
	(void)state;
	struct fake f;
	struct world w;
	fake_open(&f, "c");
	world_open(&w, &f, NULL);
	for (size_t cut = 1; cut < 200; cut++) { /* each while a session is on */
		for (int i = 0; i < 3500 && !connected(&w); i++)
			steps(&w, 1, &f, NULL);
		raise_alerts(&w, 20);
		f.take = 1 + cut * 7 % 1000;
		f.cut_after = cut * 37;
		steps(&w, 40, &f, NULL);
		f.take = f.cut_after = 0;
	}
	f.take = 0;
	f.cut_after = 0;
	steps(&w, 8000, &f, NULL);
	assert_true(f.sessions > 50);
	check_each_once(&f, w.id);
	world_close(&w);
	fake_close(&f);
}

static void test_slow_collector(void **state)
{
	(void)state;
	struct fake f;
	struct world w;
	fake_open(&f, "c");
	f.take = 3000;
	world_open(&w, &f, NULL);
	raise_alerts(&w, 5000);
	steps(&w, 3000, &f, NULL);
	check_each_once(&f, 5000);
	assert_int_equal(f.sessions, 1);
	world_close(&w);
	fake_close(&f);
}

static void test_redis_went_back(void **state)
{
	(void)state;
	struct fake f;
	struct world w;
	fake_open(&f, "c");
	world_open(&w, &f, NULL);
	raise_alerts(&w, 1000);
	steps(&w, 100, &f, NULL);
	check_each_once(&f, 1000);
	f.mark = 300;
	memset(f.times + 300, 0, 700);
	fake_hang_up(&f);
	steps(&w, 200, &f, NULL);
	check_each_once(&f, 1000);
	world_close(&w);
	fake_close(&f);
}

static void test_mark_beyond_the_tail(void **state)
{
	(void)state;
	struct fake f;
	struct world w;
	fake_open(&f, "c");
	world_open(&w, &f, NULL);
	f.epoch = spool_epoch(w.spool);
	f.mark = 500; /* a tail that was lost */
	raise_alerts(&w, 700);
	steps(&w, 200, &f, NULL);
	assert_int_not_equal(f.epoch, 0);
	assert_int_equal(f.sessions, 2);
	check_each_once(&f, 700);
	world_close(&w);
	fake_close(&f);
}

static void test_rewind(void **state)
{
	(void)state;
	struct fake f;
	struct world w;
	fake_open(&f, "c");
	world_open(&w, &f, NULL);
	raise_alerts(&w, 10);
	steps(&w, 50, &f, NULL);
	f.skip_one = true;
	raise_alerts(&w, 1000);
	steps(&w, 400, &f, NULL);
	assert_true(f.rewinds > 0);
	check_each_once(&f, 1010);
	world_close(&w);
	fake_close(&f);
}

static void test_lies_end_the_session(void **state)
{
	(void)state;
	struct fake f;
	struct world w;
	fake_open(&f, "c");
	world_open(&w, &f, NULL);
	raise_alerts(&w, 10);
	steps(&w, 50, &f, NULL);
	fake_say(&f, FRAME_ACK, 5000);
	steps(&w, 1, NULL, NULL);
	assert_false(connected(&w));
	steps(&w, 200, &f, NULL);
	fake_say(&f, FRAME_WELCOME, 0);
	steps(&w, 1, NULL, NULL);
	assert_false(connected(&w));
	steps(&w, 400, &f, NULL);
	fake_say(&f, FRAME_REWIND, 400);
	steps(&w, 1, NULL, NULL);
	assert_false(connected(&w));
	steps(&w, 800, &f, NULL);
	assert_int_equal(send(f.fd, "GET / HTTP/1.0\r\n", 16, MSG_NOSIGNAL), 16);
	steps(&w, 1, NULL, NULL);
	assert_false(connected(&w));
	steps(&w, 1600, &f, NULL);
	check_each_once(&f, 10);
	world_close(&w);
	fake_close(&f);
}

static void test_next_collector(void **state)
{
	(void)state;
	struct fake a, b;
	struct world w;
	fake_open(&a, "a");
	fake_open(&b, "b");
	world_open(&w, &a, &b);
	raise_alerts(&w, 10);
	a.silent = true; /* it accepts and says nothing: ten seconds */
	steps(&w, 1200, &a, &b);
	assert_true(connected(&w));
	assert_int_equal(b.applied, 10);
	b.acks = false; /* its Redis is away: a minute */
	a.silent = false;
	a.epoch = b.epoch;
	a.mark = 10;
	raise_alerts(&w, 10);
	steps(&w, 7000, &a, &b);
	assert_int_equal(a.applied, 10);
	world_close(&w);
	fake_close(&a);
	fake_close(&b);
}

static void test_pauses_grow(void **state)
{
	(void)state;
	struct fake f;
	struct world w;
	fake_open(&f, "c");
	close(f.listener); /* nobody listens */
	f.listener = -1;
	world_open(&w, &f, NULL);
	int64_t last = 0, most = 0;
	int tries = 0, fd;
	short events;
	for (int i = 0; i < 30000; i++, w.now += SECOND / 100) {
		uplink_run(w.uplink, w.now);
		int64_t next = uplink_wants(w.uplink, &fd, &events);
		if (next != last) {
			tries++;
			most = next - w.now > most ? next - w.now : most;
		}
		last = next;
	}
	assert_in_range(tries, 12, 40);
	assert_in_range(most, 10 * SECOND, 30 * SECOND);
	world_close(&w);
	fake_close(&f);
}

static void test_addresses(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says; /* NULL: fine */
	} cases[] = {
	    {"unix:/run/x", NULL},
	    {"127.0.0.1:8460", NULL},
	    {"[::1]:8460", NULL},
	    {"collector.example:8460", NULL}, /* judged when it is resolved */
	    {"192.0.2.1:8460", "plaintext goes to unix:/path and loopback only"},
	    {"[2001:db8::1]:8460", "plaintext goes to"},
	    {"::1:8460", "write an IPv6 address as [address]:port"},
	    {"localhost", "is not host:port"},
	    {"localhost:", "is not host:port"},
	    {"localhost:0", "is not host:port"},
	    {"localhost:70000", "is not host:port"},
	    {":8460", "is not host:port"},
	    {"[]:8460", "is not host:port"},
	    {"unix:", "the path must have"},
	    {"", "is not host:port"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[64], *v[1] = {text};
		snprintf(text, sizeof(text), "%s", cases[i].text);
		struct conf_list l = {.v = v, .n = 1};
		struct uplink_conf c = {.collectors = &l, .sensor_id = "tok-03"};
		struct err e = {""};
		struct uplink *u = uplink_new(&c, NULL, &e);
		if (!u != (cases[i].says != NULL) || (cases[i].says && !strstr(e.text, cases[i].says)))
			fail_msg("%s: %s", cases[i].text, e.text);
		uplink_free(u);
	}
}

/* Certificates from the script that the demo uses; revoked while connected. */
static void test_over_tls(void **state)
{
	(void)state;
	char command[400], ca[5][128];
	struct fake f;
	struct world w;
	struct err e = {""};
	if (access("deploy/make-test-ca.sh", X_OK) != 0)
		skip();
	snprintf(command, sizeof(command),
		 "deploy/make-test-ca.sh %s/ca && deploy/make-test-ca.sh %s/ca example 30 sensor tok-03", dir, dir);
	assert_int_equal(system(command), 0);
	static const char *const files[] = {"collector-1", "sensor-ca.crt", "tok-03", "collector-ca.crt",
					    "sensor-ca.crl"};
	for (int i = 0; i < 5; i++)
		snprintf(ca[i], sizeof(ca[i]), "%s/ca/%s", dir, files[i]);
	char cert[2][160], key[2][160];
	for (int i = 0; i < 2; i++) {
		snprintf(cert[i], sizeof(cert[i]), "%s.crt", ca[i * 2]);
		snprintf(key[i], sizeof(key[i]), "%s.key", ca[i * 2]);
	}
	struct tls_conf server = {.server = true,
				  .cert = cert[0],
				  .key = key[0],
				  .ca = ca[1],
				  .crl = ca[4],
				  .own_role = ROLE_COLLECTOR,
				  .peer_role = ROLE_SENSOR};
	struct tls_conf client = {
	    .cert = cert[1], .key = key[1], .ca = ca[3], .own_role = ROLE_SENSOR, .peer_role = ROLE_COLLECTOR};
	fake_open(&f, "c");
	f.tls = tls_new(&server, &e);
	struct tls *ours = tls_new(&client, &e);
	if (!f.tls || !ours)
		fail_msg("%s", e.text);
	world_open(&w, &f, NULL);
	uplink_free(w.uplink);
	struct uplink_conf c = {.collectors = &w.collectors, .sensor_id = "tok-03", .tls = ours};
	w.uplink = uplink_new(&c, w.spool, &e);
	raise_alerts(&w, 5000);
	int64_t began = clock_mono_us();
	for (int i = 0; i < 100000 && f.applied < 5000; i++)
		steps(&w, 1, &f, NULL);
	printf("5,000 alerts over TLS in %lld ms\n", (long long)(clock_mono_us() - began) / 1000);
	check_each_once(&f, 5000);
	for (int cut = 1; cut < 20; cut++) {
		for (int i = 0; i < 3500 && !connected(&w); i++)
			steps(&w, 1, &f, NULL);
		raise_alerts(&w, 50);
		f.take = 777;
		f.cut_after = (size_t)cut * 1500;
		steps(&w, 60, &f, NULL);
		f.take = f.cut_after = 0;
	}
	steps(&w, 8000, &f, NULL);
	check_each_once(&f, w.id);
	snprintf(command, sizeof(command), "deploy/make-test-ca.sh --revoke %s/ca sensor tok-03", dir);
	assert_int_equal(system(command), 0);
	assert_true(tls_reload(f.tls, &e));
	assert_false(tls_recheck(f.conn, f.tls, &e));
	fake_hang_up(&f);
	steps(&w, 3000, &f, NULL);
	assert_false(connected(&w));
	world_close(&w);
	tls_free(ours);
	tls_free(f.tls);
	fake_close(&f);
}

/* ---- the thread ---- */

static struct output_conf output_conf_for(struct fake *f, char *json, char **collectors)
{
	static char spool_dir[80], first[120];
	snprintf(spool_dir, sizeof(spool_dir), "%s/spool", dir);
	snprintf(json, 100, "%s/eve.json", dir);
	snprintf(first, sizeof(first), "unix:%s", f ? f->path : "/nonexistent");
	collectors[0] = first;
	return (struct output_conf){.json_path = json,
				    .spool_dir = spool_dir,
				    .spool_bytes = 64 << 20,
				    .horizon_ms = 600000,
				    .horizon_bytes = 64 << 20,
				    .collectors = {.v = collectors, .n = 1},
				    .sensor_id = "tok-03"};
}

static size_t file_lines(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t n = 0;
	if (!f)
		return 0;
	for (int c; (c = getc(f)) != EOF;)
		n += c == '\n';
	fclose(f);
	return n;
}

static void wait_for(struct fake *f, const uint64_t *what, uint64_t value)
{
	for (int i = 0; i < 10000 && *what < value; i++) {
		fake_step(f);
		usleep(1000);
	}
	assert_int_equal(*what, value);
}

static void test_output_end_to_end(void **state)
{
	(void)state;
	struct fake f;
	char json[100], *collectors[1];
	struct err e = {""};
	struct output_stats s;
	fake_open(&f, "c");
	struct output_conf c = output_conf_for(&f, json, collectors);
	struct output *o = output_start(&c, 2, &e);
	if (!o)
		fail_msg("%s", e.text);
	output_status(o, "{\"up\":1}", 8);
	uint8_t record[2048];
	for (uint32_t i = 0; i < 4000; i++) /* 2,000 groups, each hit twice */
		while (!output_record(o, i & 1, record, make_record(record, i, i / 2)))
			usleep(100);
	wait_for(&f, &f.alerts, 4000);
	output_stats(o, &s);
	assert_int_equal(s.queued, 4000);
	assert_int_equal(s.written_json, 4000);
	assert_int_equal(s.spool_lost, 0);
	assert_true(s.connected);
	assert_int_equal(file_lines(json), 4000);

	char moved[120];
	snprintf(moved, sizeof(moved), "%s.1", json);
	assert_int_equal(rename(json, moved), 0);
	output_reload(o);
	usleep(50000);
	assert_true(output_record(o, 0, record, make_record(record, 1, 1)));
	wait_for(&f, &f.alerts, 4001);
	assert_int_equal(file_lines(json), 1);
	assert_int_equal(unlink(json), 0); /* noticed without being told */
	usleep(1100000);
	assert_true(output_record(o, 0, record, make_record(record, 1, 7)));
	wait_for(&f, &f.alerts, 4002);
	assert_int_equal(file_lines(json), 1);
	output_stop(o, 0);
	wait_for(&f, &f.byes, 1);
	unlink(moved);
	fake_close(&f);
}

static void test_output_without_collector_keeps_all(void **state)
{
	(void)state;
	struct fake f;
	char json[100], *collectors[1];
	fake_open(&f, "c");
	struct output_conf c = output_conf_for(&f, json, collectors);
	char gone[] = "unix:/nonexistent/collector";
	collectors[0] = gone;
	struct output *o = output_start(&c, 1, NULL);
	uint8_t record[2048];
	for (uint32_t i = 0; i < 3000; i++)
		while (!output_record(o, 0, record, make_record(record, i, i)))
			usleep(100);
	int64_t before = clock_mono_us();
	output_stop(o, 100);
	assert_true(clock_mono_us() - before < 5 * SECOND);
	assert_int_equal(file_lines(json), 3000);
	char back[120];
	snprintf(back, sizeof(back), "unix:%s", f.path);
	collectors[0] = back;
	o = output_start(&c, 1, NULL); /* the next start finds them */
	wait_for(&f, &f.applied, 3000);
	check_each_once(&f, 3000);
	output_stop(o, 1000);
	fake_close(&f);
}

static void test_output_full_disk(void **state)
{
	(void)state;
	struct output_conf c = {.json_path = "/dev/full", .sensor_id = "tok-03"};
	struct output_stats s = {0};
	uint8_t record[2048];
	struct output *o = output_start(&c, 1, NULL);
	assert_non_null(o);
	for (uint32_t i = 0; i < 100; i++)
		assert_true(output_record(o, 0, record, make_record(record, i, i)));
	for (int i = 0; i < 5000 && s.lost_json < 100; i++) {
		usleep(1000);
		output_stats(o, &s);
	}
	assert_int_equal(s.lost_json, 100);
	output_stop(o, 0);
	c.json_path = "/nonexistent/eve.json";
	struct err e;
	assert_null(output_start(&c, 1, &e));
	assert_non_null(strstr(e.text, "/nonexistent/eve.json"));
}

/* What the queue did not take is a loss record, and is told with the rest. */
static void test_output_tells_what_it_could_not_queue(void **state)
{
	(void)state;
	char path[300];
	uint8_t record[2048];
	uint8_t *large = calloc(1, SPOOL_RECORD_MAX + 1);
	struct err e;
	snprintf(path, sizeof(path), "%s/spool", dir);
	struct output_conf c = {
	    .sensor_id = "tok-03", .spool_dir = path, .spool_bytes = 1 << 20, .horizon_bytes = 1 << 20};
	struct output *o = output_start(&c, 1, &e);
	assert_non_null(o);
	assert_true(output_record(o, 0, record, make_record(record, 1, 1)));
	for (int i = 0; i < 3; i++)
		if (!output_record(o, 0, large, SPOOL_RECORD_MAX + 1))
			output_lost(o, 0);
	output_stop(o, 0);
	free(large);

	struct spool_conf sc = {.dir = path, .bytes_max = 1 << 20, .horizon_bytes = 1 << 20};
	struct spool *s = spool_open(&sc, &e);
	struct buf out = {0};
	assert_non_null(s);
	uint64_t lost = 0, alerts = 0;
	uint32_t n = spool_read(s, 1, 1 << 20, &out);
	struct cursor cur = cursor_over(out.p, out.n);
	for (uint32_t i = 0; i < n; i++) {
		struct record r;
		struct bytes b = cursor_bytes(&cur, cursor_u32(&cur));
		assert_true(record_read(b.p, b.n, &r));
		*(r.kind == RECORD_LOSS ? &lost : &alerts) += r.n;
	}
	assert_int_equal(alerts, 1);
	assert_int_equal(lost, 3);
	buf_free(&out);
	spool_close(s);
}

/* A record of one hit of the indicator. */
static size_t hit_record(uint8_t *out, const char *indicator)
{
	static char json[1000];
	struct buf b = {0};
	memset(json, 'x', sizeof(json));
	struct record r = {.kind = RECORD_ALERT, .n = 1, .first_us = 1, .last_us = 1};
	r.field[FIELD_SET] = (struct bytes){(const uint8_t *)"s", 1};
	r.field[FIELD_INDICATOR] = (struct bytes){(const uint8_t *)indicator, strlen(indicator)};
	r.field[FIELD_JSON] = (struct bytes){(const uint8_t *)json, sizeof(json)};
	record_write(&b, &r);
	size_t n = b.n;
	memcpy(out, b.p, n);
	buf_free(&b);
	return n;
}

static void *drain(void *arg)
{
	char chunk[65536];
	size_t *lines = arg;
	int fd = (int)*lines;
	*lines = 0;
	for (ssize_t n; (n = read(fd, chunk, sizeof(chunk))) > 0;)
		for (ssize_t i = 0; i < n; i++)
			*lines += chunk[i] == '\n';
	return NULL;
}

/* Nobody reads the file of alerts, and one indicator floods: the queue takes no more of it,
 * but of every other one, and no line that was taken is lost. */
static void test_a_flood_leaves_room_for_others(void **state)
{
	(void)state;
	char fifo[300], name[32];
	uint8_t record[2048];
	struct err e;
	pthread_t thread;
	size_t taken = 0, refused = 0, others = 0;
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	int reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct output_conf c = {.sensor_id = "tok-03", .json_path = fifo};
	struct output *o = output_start(&c, 1, &e);
	assert_non_null(o);
	while (refused < 3000) { /* the thread is stuck in its write by then */
		bool ok = output_record(o, 0, record, hit_record(record, "flood"));
		taken += ok;
		refused = ok ? 0 : refused + 1;
		if (!ok && refused % 100 == 0)
			usleep(1000);
	}
	assert_true(taken > 1000);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "needle-%d", i);
		others += output_record(o, 0, record, hit_record(record, name));
	}
	assert_true(others >= 285); /* of 256 shares one is the flood's */
	fcntl(reader, F_SETFL, 0);
	size_t lines = (size_t)reader;
	assert_int_equal(pthread_create(&thread, NULL, drain, &lines), 0);
	output_stop(o, 0);
	pthread_join(thread, NULL);
	close(reader);
	assert_int_equal(lines, taken + others);
	unlink(fifo);
}

static int remove_all(const char *path)
{
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) != 0) {
			char below[400];
			snprintf(below, sizeof(below), "%s/%s", path, e->d_name);
			remove_all(below);
		}
	}
	if (d)
		closedir(d);
	return rmdir(path);
}

static int setup(void **state)
{
	(void)state;
	const char *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof(dir), "%s/picket-uplink-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	log_open("test_uplink", LOG_LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return remove_all(dir);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    CASE(test_sends_all_and_hears_acks),
	    CASE(test_cut_anywhere),
	    CASE(test_slow_collector),
	    CASE(test_redis_went_back),
	    CASE(test_mark_beyond_the_tail),
	    CASE(test_rewind),
	    CASE(test_lies_end_the_session),
	    CASE(test_next_collector),
	    CASE(test_pauses_grow),
	    CASE(test_over_tls),
	    CASE(test_addresses),
	    CASE(test_output_end_to_end),
	    CASE(test_output_without_collector_keeps_all),
	    CASE(test_output_full_disk),
	    CASE(test_output_tells_what_it_could_not_queue),
	    CASE(test_a_flood_leaves_room_for_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
