/* The collector's load, one thing at a time; bench_collector.sh puts it together.
 *
 *   raw SOCKET N                    pipelined MULTI … EXEC of the writes of N new groups, no script, no collector
 *   unique COLLECTOR N DIR [CERT KEY CA]   N alerts of N groups: spool, uplink, collector, acknowledged
 *   storm COLLECTOR N GROUPS JSON   N alerts of GROUPS groups in rotation, JSON bytes of event in each, without a
 *                                   spool, as fast as the collector takes them; comes again when it hangs up
 *   stall SOCKET SECONDS            how long a PING waits, one each millisecond: median, p99, worst
 *   latency COLLECTOR PER_S SECONDS DIR CERT KEY CA   from the worker's hand-over of an alert to its acknowledgement,
 *                                   which comes after Redis' answer: the sensor's own output thread, spool, uplink.
 *                                   Median, p99, worst, in microseconds
 *   reconnect COLLECTOR N CERT KEY CA CA_KEY COLLECTOR_CA   N sensors, each with a certificate of its own, come at
 * once: seconds until the last one has its WELCOME
 *   idle (the same words)         they come a few at a time, each address of 127.1.0.0/16 with some; seconds. Then they
 * say nothing until standard input ends: how many were closed or told something meanwhile
 *
 * Prints numbers only: alerts per second, or microseconds. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "collector/store_redis.h"
#include "common/addr.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/frame.h"
#include "common/log.h"
#include "common/text.h"
#include "common/tls.h"
#include "rules/alert.h"
#include "sensor/output.h"
#include "sensor/spool.h"
#include "sensor/uplink.h"

#define WINDOW 512  /* transactions in flight, raw */
#define CALL   125  /* groups of a script call */
#define HINTS  20   /* published for a call */
#define BATCH  4000 /* records appended before the spool is committed */

static void die(const char *what, const struct err *e)
{
	fprintf(stderr, "bench_collector: %s: %s\n", what, e ? e->text : strerror(errno));
	exit(4);
}

/* An alert as a sensor raises it; group i of its kind. */
struct made {
	char indicator[24], value[40], endpoint[24], json[4096];
	struct addr peer;
	struct record r;
};

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void make(struct made *m, uint64_t i, size_t json_n)
{
	struct record *r = &m->r;
	unsigned asset = (unsigned)(i / 1000 % 60000);
	*r = (struct record){.severity = SEVERITY_HIGH, .n = 1, .first_us = clock_wall_us()};
	r->last_us = r->first_us;
	snprintf(m->indicator, sizeof(m->indicator), "D-%" PRIu64, i % 100000);
	snprintf(m->value, sizeof(m->value), "host-%" PRIu64 ".bad.example", i % 100000);
	snprintf(m->endpoint, sizeof(m->endpoint), "10.%u.%u.%u", 1 + (unsigned)(i / 100000 % 200), asset / 250,
		 asset % 250);
	addr_parse("203.0.113.9", 11, &m->peer);
	int n = snprintf(m->json, sizeof(m->json),
			 "{\"timestamp\":\"2026-11-21T03:10:00.123456Z\",\"event_type\":\"alert\",\"src_ip\":\"%s\","
			 "\"dest_ip\":\"203.0.113.9\",\"indicator\":{\"id\":\"%s\",\"value\":\"%s\"},\"fill\":\"",
			 m->endpoint, m->indicator, m->value);
	size_t len = (size_t)n;
	while (len + 2 < json_n && len + 3 < sizeof(m->json))
		m->json[len++] = 'x';
	memcpy(m->json + len, "\"}", 3);
	r->field[FIELD_SET] = bytes_of("apt-demo");
	r->field[FIELD_SET_VERSION] = bytes_of("421");
	r->field[FIELD_INDICATOR] = bytes_of(m->indicator);
	r->field[FIELD_TYPE] = bytes_of("domain");
	r->field[FIELD_VALUE] = bytes_of(m->value);
	r->field[FIELD_WHERE] = bytes_of("tls.sni");
	r->field[FIELD_SRC] = r->field[FIELD_ENDPOINT] = bytes_of(m->endpoint);
	r->field[FIELD_DEST] = bytes_of("203.0.113.9");
	r->field[FIELD_APP] = bytes_of("tls");
	r->field[FIELD_TLP] = bytes_of("amber");
	r->field[FIELD_FOLD] = bytes_of("indicator+asset");
	if (json_n)
		r->field[FIELD_JSON] = bytes_of(m->json);
	r->field[FIELD_PEER] = r->peer[0] = (struct bytes){m->peer.b, 16};
	r->peers = 1;
	record_key(r, r->key);
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static double since(int64_t start_us)
{
	return (double)(clock_mono_us() - start_us) / 1e6;
}

/* ---- raw ---- */

static struct redis *open_redis(const char *address)
{
	struct redis_target t = {0};
	struct err e;
	struct redis *r = redis_target_parse(address, &t, &e) ? redis_open(&t, &e) : NULL;
	if (!r)
		die("redis", &e);
	return r;
}

static void pump(struct redis *r, int timeout_ms)
{
	struct err e;
	struct pollfd p = {.fd = redis_fd(r), .events = (short)(POLLIN | (redis_wants_write(r) ? POLLOUT : 0))};
	poll(&p, 1, timeout_ms);
	if (!redis_work(r, &e))
		die("redis", &e);
}

static uint64_t refused;

static void count_refused(void *arg, const struct reply *r)
{
	struct bytes text;
	(void)arg;
	refused += reply_error(r, &text);
}

static void send_words(struct redis *r, size_t n, const char **words)
{
	size_t len[64];
	for (size_t i = 0; i < n; i++)
		len[i] = strlen(words[i]);
	redis_send(r, n, words, len, (struct redis_done){count_refused, NULL});
}

#define SEND(...) send_words(r, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

/* The writes that the script makes for a new group, field by field; sums, marks
 * and hints are shared by the groups of a call there, so here too. */
static void raw_one(struct redis *r, const struct made *m, uint64_t i)
{
	static const char *const sums[] = {"raw:{p0}:minute", "raw:{p0}:hour", "raw:{p0}:day"};
	char hex[33], key[64], ms[24], when[CLOCK_TEXT_LEN], top[64], mark[24];
	text_hex(hex, m->r.key, 16);
	snprintf(key, sizeof(key), "raw:{p0}:alert:%s", hex);
	snprintf(ms, sizeof(ms), "%" PRId64, m->r.last_us / 1000);
	snprintf(top, sizeof(top), "apt-demo:%s", m->indicator);
	snprintf(mark, sizeof(mark), "%" PRIu64, i);
	clock_format(m->r.first_us, when);
	SEND("MULTI");
	SEND("XADD", "raw:{p0}:alerts", "MAXLEN", "~", "100000", "*", "op", "new", "id", hex, "severity", "high", "n",
	     "1", "sensor", "bench", "first_seen", when, "last_seen", when, "set", "apt-demo", "indicator",
	     m->indicator, "type", "domain", "value", m->value, "endpoint", m->endpoint, "tlp", "amber", "where",
	     "tls.sni", "json", m->json);
	SEND("HSET", key, "state", "new", "severity", "high", "n", "1", "first_seen", when, "last_seen", when,
	     "episode", "1", "sensor:bench", "1", "set", "apt-demo", "indicator", m->indicator, "type", "domain",
	     "value", m->value, "src", m->endpoint, "dest", "203.0.113.9", "event", "1763700000000-0", "app", "tls",
	     "tlp", "amber");
	SEND("ZADD", "raw:{p0}:open", ms, hex);
	SEND("ZADD", "raw:{p0}:severity:high", ms, hex);
	SEND("ZINCRBY", "raw:{p0}:top:indicator", "1", top);
	SEND("ZINCRBY", "raw:{p0}:top:asset", "1", m->endpoint);
	if (i % CALL < HINTS)
		SEND("PUBLISH", "raw:live", hex);
	if (i % CALL == 0) {
		for (int k = 0; k < 3; k++)
			SEND("HINCRBY", sums[k], "total", "125");
		for (int k = 0; k < 3; k++)
			SEND("HINCRBY", sums[k], "sensor:bench", "125");
		for (int k = 0; k < 3; k++)
			SEND("HINCRBY", sums[k], "severity:high", "125");
		for (int k = 0; k < 3; k++)
			SEND("HINCRBY", sums[k], "set:apt-demo", "125");
		SEND("HSET", "raw:{p0}:hwm", "bench:1", mark);
	}
	SEND("EXEC");
}

static int raw(const char *address, uint64_t n)
{
	struct redis *r = open_redis(address);
	struct made m;
	int64_t start = clock_mono_us();
	for (uint64_t i = 0; i < n; i++) {
		make(&m, i, 700);
		raw_one(r, &m, i);
		while (redis_pending(r) > (size_t)WINDOW * 9 || redis_unsent(r) > (1u << 20))
			pump(r, 100);
	}
	while (redis_pending(r))
		pump(r, 100);
	printf("%.0f\n", (double)n / since(start));
	redis_free(r);
	return refused ? 4 : 0;
}

/* ---- unique: the sensor's own spool and uplink ---- */

static void run_uplink(struct uplink *u)
{
	struct pollfd p = {0};
	int64_t until = uplink_wants(u, &p.fd, &p.events), now = clock_mono_us();
	int64_t ms = until > now ? (until - now) / 1000 + 1 : 0;
	poll(&p, p.fd >= 0, ms > 10 ? 10 : (int)ms);
	uplink_run(u, clock_mono_us());
}

static int unique(char **argv, int argc)
{
	uint64_t n = strtoull(argv[1], NULL, 10);
	struct err e;
	struct conf_list to = {.v = &argv[0], .n = 1};
	struct spool_conf sc = {.dir = argv[2],
				.bytes_max = 8ll << 30,
				.horizon_us = 1000000,
				.horizon_bytes = 64 << 20,
				.fsync = SPOOL_FSYNC_BATCH};
	struct tls_conf tc = {.own_role = ROLE_SENSOR, .peer_role = ROLE_COLLECTOR};
	struct tls *tls = NULL;
	if (argc == 6) {
		tc.cert = argv[3];
		tc.key = argv[4];
		tc.ca = argv[5];
		if (!(tls = tls_new(&tc, &e)))
			die("tls", &e);
	}
	struct spool *spool = spool_open(&sc, &e);
	struct uplink_conf uc = {.collectors = &to, .tls = tls, .sensor_id = "bench"};
	struct uplink *u = spool ? uplink_new(&uc, spool, &e) : NULL;
	if (!u)
		die("uplink", &e);
	struct spool_stats s = {0};
	struct uplink_stats us = {0};
	while (!us.connected) {
		run_uplink(u);
		uplink_stats(u, &us);
	}
	struct made m;
	struct buf b = {0};
	int64_t start = clock_mono_us();
	for (uint64_t i = 0; s.acked < n;) {
		for (int k = 0; k < BATCH && i < n && i - s.acked < 200000; k++, i++) {
			make(&m, i, 700);
			b.n = 0;
			record_write(&b, &m.r);
			if (!spool_append(spool, b.p, b.n))
				die("the spool is full", NULL);
		}
		spool_commit(spool, clock_mono_us());
		run_uplink(u);
		spool_stats(spool, &s);
	}
	printf("%.0f\n", (double)n / since(start));
	uplink_free(u);
	spool_close(spool);
	tls_free(tls);
	buf_free(&b);
	return 0;
}

/* ---- storm ---- */

static int connect_to(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die(path, NULL);
	return fd;
}

static bool say(int fd, const struct buf *b)
{
	for (size_t at = 0; at < b->n;) {
		ssize_t n = send(fd, b->p + at, b->n - at, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/* Reads what is there; *last: the newest number of an ACK or WELCOME. False: the
 * collector hung up, or wants something else than what comes next. */
static bool listen_to(int fd, struct buf *in, int flags, uint64_t *last)
{
	uint8_t chunk[4096];
	struct frame f;
	size_t used;
	ssize_t n = recv(fd, chunk, sizeof(chunk), flags);
	if (n <= 0)
		return n < 0 && (flags & MSG_DONTWAIT) && errno == EAGAIN;
	buf_add(in, chunk, (size_t)n);
	while (frame_read(in->p, in->n, &f, &used, NULL) == FRAME_READY) {
		struct cursor c = cursor_over(f.payload.p, f.payload.n);
		if (f.type != FRAME_ACK && f.type != FRAME_WELCOME)
			return false;
		*last = cursor_u64(&c);
		buf_shift(in, used);
	}
	return true;
}

struct storm {
	const char *path;
	uint64_t n, groups, epoch, acked, sessions;
	struct buf records;
	size_t *at; /* of each group's record, with its length, in records */
};

static void storm_records(struct storm *s, size_t json_n)
{
	struct made m;
	s->at = calloc(s->groups + 1, sizeof(*s->at));
	for (uint64_t i = 0; i < s->groups; i++) {
		struct buf one = {0};
		make(&m, i, json_n);
		record_write(&one, &m.r);
		buf_u32(&s->records, (uint32_t)one.n);
		buf_add(&s->records, one.p, one.n);
		buf_free(&one);
		s->at[i + 1] = s->records.n;
	}
}

static void put_hello(const struct storm *s, struct buf *b)
{
	size_t frame = frame_begin(b, FRAME_HELLO);
	buf_u64(b, s->epoch);
	buf_u8(b, ROLE_SENSOR);
	buf_u8(b, 5);
	buf_add(b, "storm", 5);
	buf_u8(b, 1);
	buf_add(b, "1", 1);
	frame_end(b, frame);
}

/* Records from number `sent` + 1 on: one frame. Returns how many. */
static uint64_t put_data(const struct storm *s, uint64_t sent, struct buf *b)
{
	uint64_t g = sent % s->groups, k = 0;
	while (g + k < s->groups && sent + k < s->n && s->at[g + k + 1] - s->at[g] < 500000)
		k++;
	size_t frame = frame_begin(b, FRAME_DATA);
	buf_u64(b, sent + 1);
	buf_u32(b, (uint32_t)k);
	buf_add(b, s->records.p + s->at[g], s->at[g + k] - s->at[g]);
	frame_end(b, frame);
	return k;
}

/* One session, from what the collector has to the end or until it breaks. */
static void storm_session(struct storm *s)
{
	struct buf b = {0}, in = {0};
	int fd = connect_to(s->path);
	put_hello(s, &b);
	bool good = say(fd, &b) && listen_to(fd, &in, 0, &s->acked);
	for (uint64_t sent = s->acked; good && sent < s->n;) {
		b.n = 0;
		sent += put_data(s, sent, &b);
		good = say(fd, &b) && listen_to(fd, &in, MSG_DONTWAIT, &s->acked);
	}
	while (good && s->acked < s->n)
		good = listen_to(fd, &in, 0, &s->acked);
	close(fd);
	buf_free(&b);
	buf_free(&in);
	s->sessions++;
	if (!good)
		usleep(50000);
}

static int storm(const char *path, uint64_t n, uint64_t groups, size_t json_n)
{
	struct storm s = {.path = path, .n = n, .groups = groups, .epoch = (uint64_t)clock_wall_us()};
	storm_records(&s, json_n);
	int64_t start = clock_mono_us();
	while (s.acked < n)
		storm_session(&s);
	printf("%.0f\n", (double)n / since(start));
	if (s.sessions > 1)
		fprintf(stderr, "%" PRIu64 " sessions\n", s.sessions);
	buf_free(&s.records);
	free(s.at);
	return 0;
}

/* ---- latency ---- */

static int latency(char **argv)
{
	uint64_t per_s = strtoull(argv[1], NULL, 10), n = (uint64_t)(strtod(argv[2], NULL) * (double)per_s), acked = 0;
	int64_t *born = calloc(n + 1, sizeof(*born)), start;
	struct err e;
	struct output_conf c = {.spool_dir = argv[3],
				.spool_bytes = 8ll << 30,
				.horizon_ms = 1000,
				.horizon_bytes = 64 << 20,
				.fsync = SPOOL_FSYNC_BATCH,
				.collectors = {.v = &argv[0], .n = 1},
				.tls_cert = argv[4],
				.tls_key = argv[5],
				.tls_ca = argv[6],
				.sensor_id = "bench"};
	struct output *o = output_start(&c, 1, &e);
	struct output_stats s = {0};
	struct made m;
	struct buf b = {0};
	if (!o)
		die("output", &e);
	while (!s.connected) {
		usleep(1000);
		output_stats(o, &s);
	}
	start = clock_mono_us();
	for (uint64_t i = 0; acked < n;) {
		int64_t now = clock_mono_us();
		for (; i < n && (int64_t)(i * 1000000 / per_s) <= now - start; i++) {
			make(&m, i, 700);
			b.n = 0;
			record_write(&b, &m.r);
			born[i] = clock_mono_us();
			if (!output_record(o, 0, b.p, b.n))
				die("the queue is full", NULL);
		}
		output_stats(o, &s);
		for (now = clock_mono_us(); acked < s.spool_acked && acked < n; acked++)
			born[acked] = now - born[acked];
		usleep(200);
	}
	qsort(born, n, sizeof(*born), by_size);
	printf("%" PRId64 " %" PRId64 " %" PRId64 "\n", born[n / 2], born[n * 99 / 100], born[n - 1]);
	output_stop(o, 0);
	buf_free(&b);
	free(born);
	return 0;
}

/* ---- reconnect ---- */

struct returning {
	struct tls *tls;
	struct tls_conn *conn;
	int fd;
	bool hello, over;
	char name[24];
	struct buf in;
};

static X509 *load_cert(const char *path)
{
	FILE *f = fopen(path, "r");
	X509 *x = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	if (!x)
		die(path, NULL);
	fclose(f);
	return x;
}

static EVP_PKEY *load_key(const char *path)
{
	FILE *f = fopen(path, "r");
	EVP_PKEY *k = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
	if (!k)
		die(path, NULL);
	fclose(f);
	return k;
}

/* A copy of the sensor's certificate for another name, signed by the CA. */
static void write_cert(const char *path, const char *name, X509 *like, X509 *ca, EVP_PKEY *ca_key, long serial)
{
	char uri[64];
	X509 *x = X509_dup(like);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	int at = X509_get_ext_by_NID(x, NID_subject_alt_name, -1);
	X509_EXTENSION_free(X509_delete_ext(x, at));
	snprintf(uri, sizeof(uri), "URI:picket://bench/sensor/%s", name);
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, ca, x, NULL, NULL, 0);
	X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, uri);
	X509_add_ext(x, san, -1);
	X509_EXTENSION_free(san);
	X509_sign(x, ca_key, EVP_sha256());
	FILE *f = fopen(path, "w");
	if (!f || !PEM_write_X509(f, x) || fclose(f) != 0)
		die(path, NULL);
	X509_free(x);
}

static void make_returning(struct returning *r, size_t n, char **argv)
{
	X509 *like = load_cert(argv[2]), *ca = load_cert(argv[4]);
	EVP_PKEY *ca_key = load_key(argv[5]);
	char path[] = "/tmp/picket-bench-XXXXXX";
	struct err e;
	int fd = mkstemp(path);
	if (fd < 0)
		die(path, NULL);
	close(fd);
	for (size_t i = 0; i < n; i++) {
		snprintf(r[i].name, sizeof(r[i].name), "s-%zu", i);
		write_cert(path, r[i].name, like, ca, ca_key, (long)(100000 + i));
		struct tls_conf c = {
		    .cert = path, .key = argv[3], .ca = argv[6], .own_role = ROLE_SENSOR, .peer_role = ROLE_COLLECTOR};
		if (!(r[i].tls = tls_new(&c, &e)))
			die("tls", &e);
	}
	unlink(path);
	X509_free(like);
	X509_free(ca);
	EVP_PKEY_free(ca_key);
}

/* from: our own address, host order. */
static void dial(struct returning *r, int epoll, const char *address, in_addr_t from)
{
	struct sockaddr_in self = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(from)};
	const char *colon = strrchr(address, ':');
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
	struct err e;
	int one = 1;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	r->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(r->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (r->fd < 0 || bind(r->fd, (const struct sockaddr *)&self, sizeof(self)) != 0 ||
	    (connect(r->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS))
		die("connect", NULL);
	if (!(r->conn = tls_open(r->tls, r->fd, &e)))
		die("tls", &e);
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = r};
	epoll_ctl(epoll, EPOLL_CTL_ADD, r->fd, &ev);
}

static void greet(struct returning *r)
{
	struct buf b = {0};
	struct err e;
	size_t put, frame = frame_begin(&b, FRAME_HELLO), n = strlen(r->name);
	buf_u64(&b, 1);
	buf_u8(&b, ROLE_SENSOR);
	buf_u8(&b, (uint8_t)n);
	buf_add(&b, r->name, n);
	buf_u8(&b, 1);
	buf_add(&b, "1", 1);
	frame_end(&b, frame);
	if (tls_write(r->conn, b.p, b.n, &put, &e) != TLS_DONE || put != b.n)
		die("hello", &e);
	buf_free(&b);
	r->hello = true;
}

/* True: its WELCOME is here. */
static bool go_on(struct returning *r)
{
	struct err e;
	uint8_t chunk[4096];
	size_t got, used;
	struct frame f;
	enum tls_result t = r->hello ? TLS_DONE : tls_handshake(r->conn, &e);
	if (t == TLS_FAILED || t == TLS_CLOSED)
		die("handshake", &e);
	if (t != TLS_DONE)
		return false;
	if (!r->hello)
		greet(r);
	while ((t = tls_read(r->conn, chunk, sizeof(chunk), &got, &e)) == TLS_DONE)
		buf_add(&r->in, chunk, got);
	if (t == TLS_FAILED || t == TLS_CLOSED)
		die("session", t == TLS_FAILED ? &e : NULL);
	r->over = frame_read(r->in.p, r->in.n, &f, &used, NULL) == FRAME_READY && f.type == FRAME_WELCOME;
	return r->over;
}

/* How many got their WELCOME in this round. */
static size_t welcomed(int epoll)
{
	struct epoll_event ev[256];
	size_t n = 0;
	int k = epoll_wait(epoll, ev, 256, 1000);
	for (int i = 0; i < k; i++) {
		struct returning *one = ev[i].data.ptr;
		n += !one->over && go_on(one);
	}
	return n;
}

static void hang_up(struct returning *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		tls_close(r[i].conn);
		if (r[i].conn)
			close(r[i].fd);
		tls_free(r[i].tls);
		buf_free(&r[i].in);
	}
	free(r);
}

static int reconnect(char **argv)
{
	size_t n = strtoull(argv[1], NULL, 10), left = n;
	struct returning *r = calloc(n, sizeof(*r));
	int epoll = epoll_create1(0);
	make_returning(r, n, argv);
	int64_t start = clock_mono_us();
	for (size_t i = 0; i < n; i++)
		dial(&r[i], epoll, argv[0], INADDR_LOOPBACK);
	while (left && since(start) < 60)
		left -= welcomed(epoll);
	printf("%.2f\n", since(start));
	hang_up(r, n);
	close(epoll);
	return left ? 4 : 0;
}

static int idle(char **argv)
{
	enum { AT_ONCE = 64, PER_ADDRESS = 30, SECONDS = 300 };
	size_t n = strtoull(argv[1], NULL, 10), dialled = 0, here = 0, disturbed = 0;
	struct returning *r = calloc(n, sizeof(*r));
	int epoll = epoll_create1(0);
	make_returning(r, n, argv);
	int64_t start = clock_mono_us();
	while (here < n && since(start) < SECONDS) {
		for (; dialled < n && dialled - here < AT_ONCE; dialled++)
			dial(&r[dialled], epoll, argv[0], 0x7f010000 + (in_addr_t)(1 + dialled / PER_ADDRESS));
		here += welcomed(epoll);
	}
	printf("%.2f\n", since(start));
	fflush(stdout);
	while (getchar() != EOF)
		;
	for (size_t i = 0; i < n; i++)
		disturbed += poll(&(struct pollfd){.fd = r[i].fd, .events = POLLIN}, 1, 0) != 0;
	printf("%zu\n", disturbed);
	hang_up(r, n);
	close(epoll);
	return here < n ? 4 : 0;
}

/* ---- stall ---- */

static int stall(const char *address, double seconds)
{
	struct redis *r = open_redis(address);
	size_t max = (size_t)(seconds * 1000) + 1, n = 0;
	int64_t *us = calloc(max, sizeof(*us)), start = clock_mono_us();
	while (since(start) < seconds && n < max) {
		const char *argv[] = {"PING"};
		size_t len[] = {4};
		struct err e;
		int64_t at = clock_mono_us();
		struct reply *reply = redis_call(r, 1, argv, len, 10000, &e);
		if (!reply)
			die("ping", &e);
		reply_free(reply);
		us[n++] = clock_mono_us() - at;
		usleep(1000);
	}
	qsort(us, n, sizeof(*us), by_size);
	printf("%" PRId64 " %" PRId64 " %" PRId64 "\n", us[n / 2], us[n * 99 / 100], us[n - 1]);
	free(us);
	redis_free(r);
	return 0;
}

int main(int argc, char **argv)
{
	log_open("bench_collector", LOG_LEVEL_WARN);
	if (argc == 4 && strcmp(argv[1], "raw") == 0)
		return raw(argv[2], strtoull(argv[3], NULL, 10));
	if ((argc == 5 || argc == 8) && strcmp(argv[1], "unique") == 0)
		return unique(argv + 2, argc - 2);
	if (argc == 6 && strcmp(argv[1], "storm") == 0)
		return storm(argv[2], strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10),
			     strtoull(argv[5], NULL, 10));
	if (argc == 4 && strcmp(argv[1], "stall") == 0)
		return stall(argv[2], strtod(argv[3], NULL));
	if (argc == 9 && strcmp(argv[1], "latency") == 0)
		return latency(argv + 2);
	if (argc == 9 && strcmp(argv[1], "reconnect") == 0)
		return reconnect(argv + 2);
	if (argc == 9 && strcmp(argv[1], "idle") == 0)
		return idle(argv + 2);
	fputs("usage: bench_collector raw|unique|storm|latency|reconnect|stall … (see its first lines)\n", stderr);
	return 2;
}
