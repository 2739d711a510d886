/* The life of the connection: down, then checking (is this Redis fit to hold
 * alerts?), then ready. A Redis that refuses a write (out of memory, disk
 * trouble, read-only) puts the store on hold for a moment; a reply that does not
 * come ends the connection. Both fail the calls under way, the sessions behind
 * them are dropped, and the sensors send again from the mark that Redis has. So
 * nothing is kept here to be repeated.
 *
 * Partitions: a group belongs to the partition that its key's low bits choose, a
 * sensor has a mark in each, and the acknowledgement is the lowest of them. With
 * one Redis there is one. The callers do not know. */
#include "collector/store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/store_script.h"
#include "common/frame.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/text.h"

#define BACKOFF_MIN_US  100000
#define BACKOFF_MAX_US  5000000
#define HOLD_US         1000000
#define SWEEP_EVERY_US  10000000
#define SWEEP_BATCH     250
#define POSTURE_KEEP_S  2592000 /* a sensor that is silent for 30 days is forgotten */
#define POSTURE_SENSORS 10000
#define ARGS_MAX        (3 + 1 + FLUSH_HEAD_ARGS + FOLD_DELTAS_MAX * FLUSH_DELTA_ARGS)
#define DELTA_SCRATCH   512 /* bytes of formatted numbers, times and addresses in one delta */

const char *const durability_names[DURABILITY_COUNT + 1] = {"memory", "replica", "disk", NULL};

struct store {
	struct store_conf conf;
	struct redis *redis;
	enum store_state state;
	int64_t next_us, backoff_us; /* when to connect, or when a hold ends */
	bool broken;                 /* a reply said that this connection is of no use */
	bool unfit;
	char trouble[512], summary[128];
	char sha[SCRIPT_COUNT][41];
	struct store_stats stats;
	int64_t sweep_us;
	uint64_t sweep_offset;
	struct log_once say_down, say_refused, say_conflict;
	/* one flush being written */
	const char **argv;
	size_t *len, argc;
	struct buf scratch;
};

/* One call under way. */
struct call {
	struct store *store;
	struct store_done done;
	uint64_t hi;
	enum store_result result; /* of a flush, while WAIT is asked for its replicas */
	uint64_t mark;
};

static void check(struct store *s);

struct store *store_new(const struct store_conf *c)
{
	struct store *s = xcalloc(1, sizeof(*s));
	s->conf = *c;
	s->backoff_us = BACKOFF_MIN_US;
	s->argv = xcalloc(ARGS_MAX, sizeof(*s->argv));
	s->len = xcalloc(ARGS_MAX, sizeof(*s->len));
	snprintf(s->trouble, sizeof(s->trouble), "not yet connected");
	for (size_t i = 0; i < SCRIPT_COUNT; i++) {
		uint8_t sha[20];
		hash_sha1(sha, script_text[i], strlen(script_text[i]));
		text_hex(s->sha[i], sha, sizeof(sha));
	}
	return s;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	redis_free(s->redis);
	buf_free(&s->scratch);
	free(s->argv);
	free(s->len);
	free(s);
}

void store_configure(struct store *s, const struct store_conf *c)
{
	struct redis_target where = s->conf.redis;
	s->conf = *c;
	s->conf.redis = where;
}

/* ---- the connection ---- */

int store_fd(const struct store *s)
{
	return s->redis ? redis_fd(s->redis) : -1;
}

bool store_wants_write(const struct store *s)
{
	return s->redis && (redis_wants_write(s->redis) || redis_unsent(s->redis));
}

enum store_state store_state(const struct store *s)
{
	return s->state;
}

size_t store_waiting(const struct store *s)
{
	return s->redis ? redis_pending(s->redis) : 0;
}

const char *store_trouble(const struct store *s, bool *unfit)
{
	*unfit = s->unfit;
	return s->state == STORE_READY ? "" : s->trouble;
}

const char *store_summary(const struct store *s)
{
	return s->summary;
}

const struct store_stats *store_stats(const struct store *s)
{
	return &s->stats;
}

static void say_trouble(struct store *s, struct log_once *site)
{
	unsigned long skipped;
	if (log_again(site, &skipped))
		log_warnx("%s; sensors keep their alerts until it is back", s->trouble);
}

static void down(struct store *s, const char *why)
{
	if (why != s->trouble)
		snprintf(s->trouble, sizeof(s->trouble), "%s", why);
	struct redis *dead = s->redis;
	s->redis = NULL;
	s->state = STORE_DOWN;
	s->broken = false;
	/* Jitter: many collectors see the same Redis die. */
	s->next_us = clock_mono_us() + s->backoff_us / 2 + clock_mono_us() % (s->backoff_us / 2);
	s->backoff_us = s->backoff_us * 2 > BACKOFF_MAX_US ? BACKOFF_MAX_US : s->backoff_us * 2;
	say_trouble(s, &s->say_down);
	redis_free(dead);
}

static void connect_again(struct store *s)
{
	struct err e;
	s->redis = redis_open(&s->conf.redis, &e);
	if (!s->redis) {
		down(s, e.text);
		return;
	}
	s->stats.reconnects++;
	s->state = STORE_CHECKING;
	check(s);
}

static void sweep(struct store *s);

void store_work(struct store *s)
{
	int64_t now = clock_mono_us();
	struct err e;
	if (s->state == STORE_DOWN && now >= s->next_us)
		connect_again(s);
	if (!s->redis)
		return;
	if (s->state == STORE_HOLDING && now >= s->next_us)
		s->state = STORE_READY;
	if (s->state == STORE_READY && now - s->sweep_us > SWEEP_EVERY_US)
		sweep(s);
	if (!redis_work(s->redis, &e)) {
		down(s, s->unfit ? s->trouble : e.text);
	} else if (s->broken) {
		down(s, s->trouble);
	} else if (redis_waited_us(s->redis) > s->conf.timeout_ms * 1000) {
		err_set(&e, "Redis has not answered for %" PRId64 " ms", s->conf.timeout_ms);
		down(s, e.text);
	}
}

/* ---- is this Redis fit? ---- */

static bool info_value(struct bytes info, const char *name, char *into, size_t cap)
{
	size_t n = strlen(name);
	const char *p = (const char *)info.p, *end = p + info.n;
	while (p && p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		size_t line = (size_t)((eol ? eol : end) - p);
		if (line > n && memcmp(p, name, n) == 0 && p[n] == ':') {
			while (line > n + 1 && (p[line - 1] == '\r'))
				line--;
			text_clean(into, cap, p + n + 1, line - n - 1);
			return true;
		}
		p = eol ? eol + 1 : end;
	}
	*into = 0;
	return false;
}

static void unfit(struct store *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void unfit(struct store *s, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(s->trouble, sizeof(s->trouble), fmt, ap);
	va_end(ap);
	s->unfit = s->broken = true;
}

static void not_now(struct store *s, const char *what, struct bytes text)
{
	char clean[200];
	text_clean(clean, sizeof(clean), text.p, text.n);
	snprintf(s->trouble, sizeof(s->trouble), "Redis refuses %s: %s", what, clean);
	s->broken = true;
}

static void info_done(void *arg, const struct reply *r)
{
	struct store *s = arg;
	struct bytes text;
	char version[32], policy[32], role[16], aof[4];
	if (!r || s->broken)
		return;
	if (reply_error(r, &text)) {
		not_now(s, "INFO (its user needs +info)", text);
		return;
	}
	if (!reply_text(r, &text) || !info_value(text, "redis_version", version, sizeof(version))) {
		unfit(s, "what answers at the Redis address is not Redis: its INFO has no redis_version");
		return;
	}
	info_value(text, "maxmemory_policy", policy, sizeof(policy));
	info_value(text, "role", role, sizeof(role));
	bool append = info_value(text, "aof_enabled", aof, sizeof(aof)) && strcmp(aof, "1") == 0;
	if (*policy && strcmp(policy, "noeviction") != 0) {
		unfit(s,
		      "Redis has maxmemory-policy %s and would throw alerts away when its memory is full: "
		      "set \"maxmemory-policy noeviction\" in redis.conf (now: redis-cli CONFIG SET maxmemory-policy "
		      "noeviction)",
		      policy);
		return;
	}
	if (*role && strcmp(role, "master") != 0) {
		not_now(s, "writes", (struct bytes){(const uint8_t *)"it is a replica", 15});
		return;
	}
	if (s->conf.durability == DURABILITY_DISK && !append) {
		unfit(s, "durability: disk needs Redis' append-only file: set \"appendonly yes\" and \"appendfsync "
			 "always\"");
		return;
	}
	snprintf(s->summary, sizeof(s->summary), "Redis %s, %s, append-only file %s", version,
		 *policy ? policy : "unknown policy", append ? "on" : "off");
}

static void schema_done(void *arg, const struct reply *r)
{
	struct store *s = arg;
	struct bytes text;
	if (!r || s->broken)
		return;
	if (reply_error(r, &text)) {
		not_now(s, "picket:schema", text);
	} else if (reply_text(r, &text) &&
		   (text.n != strlen(STORE_SCHEMA) || memcmp(text.p, STORE_SCHEMA, text.n) != 0)) {
		char clean[40];
		unfit(s,
		      "Redis holds schema \"%s\" (picket:schema); this collector writes " STORE_SCHEMA
		      ": use another database, or the collector that wrote it",
		      text_clean(clean, sizeof(clean), text.p, text.n < 32 ? text.n : 32));
	}
}

static void ready_done(void *arg, const struct reply *r)
{
	struct store *s = arg;
	struct bytes text;
	if (!r || s->broken)
		return;
	if (reply_error(r, &text)) {
		not_now(s, "SCRIPT LOAD (its user needs +script|load)", text);
		return;
	}
	bool first = s->state == STORE_CHECKING;
	s->state = STORE_READY;
	s->backoff_us = BACKOFF_MIN_US;
	s->unfit = false;
	s->trouble[0] = 0;
	if (first)
		log_info("%s: ready", s->summary);
}

static bool send_words(struct store *s, size_t argc, const char **argv, void (*call)(void *, const struct reply *))
{
	size_t len[16];
	assert(argc <= 16);
	for (size_t i = 0; i < argc; i++)
		len[i] = strlen(argv[i]);
	return redis_send(s->redis, argc, argv, len, (struct redis_done){call, s});
}

static void load_scripts(struct store *s)
{
	for (size_t i = 0; i < SCRIPT_COUNT; i++)
		send_words(s, 3, (const char *[]){"SCRIPT", "LOAD", script_text[i]},
			   i + 1 == SCRIPT_COUNT ? ready_done : NULL);
}

static void check(struct store *s)
{
	s->broken = false;
	send_words(s, 1, (const char *[]){"INFO"}, info_done);
	send_words(s, 4, (const char *[]){"SET", "picket:schema", STORE_SCHEMA, "NX"}, NULL);
	send_words(s, 2, (const char *[]){"GET", "picket:schema"}, schema_done);
	load_scripts(s);
}

/* ---- replies that say no ---- */

struct refusal {
	const char *prefix, *hint;
	bool reconnect;
};

static const struct refusal refusals[] = {
    {"OOM", "its maxmemory is reached: raise it, or shorten retention", false},
    {"MISCONF", "it cannot write to its disk: look at its log", false},
    {"READONLY", "it has become a replica", true},
    {"LOADING", "it is still reading its data", false},
    {"NOSCRIPT", "its scripts were flushed; they are loaded again", false},
    {"NOPERM", "its ACL does not allow what the collector does (deploy/ has the ACL)", false},
    {"NOAUTH", "it wants a password: redis.password_file", true},
    {"WRONGTYPE", "a picket: key is not of the type it must have (collector/redis-schema.md)", false},
    {"ERR", "", false},
};

static void refused(struct store *s, struct bytes text)
{
	char clean[240];
	const char *hint = "";
	bool reconnect = false;
	text_clean(clean, sizeof(clean), text.p, text.n);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
		if (strncmp(clean, refusals[i].prefix, strlen(refusals[i].prefix)) == 0) {
			hint = refusals[i].hint;
			reconnect = refusals[i].reconnect;
			break;
		}
	snprintf(s->trouble, sizeof(s->trouble), "Redis refuses to take alerts: %s%s%s", clean, *hint ? "; " : "",
		 hint);
	say_trouble(s, &s->say_refused);
	if (strncmp(clean, "NOSCRIPT", 8) == 0 && s->redis)
		load_scripts(s);
	s->state = STORE_HOLDING;
	s->next_us = clock_mono_us() + HOLD_US;
	s->broken = s->broken || reconnect;
}

/* ---- calls ---- */

static struct call *call_new(struct store *s, struct store_done done, uint64_t hi)
{
	struct call *c = xcalloc(1, sizeof(*c));
	*c = (struct call){.store = s, .done = done, .hi = hi};
	return c;
}

static void call_end(struct call *c, enum store_result result, uint64_t mark)
{
	c->store->stats.failed += result == STORE_FAILED;
	c->store->stats.behind += result == STORE_BEHIND;
	c->done.call(c->done.arg, result, mark);
	free(c);
}

static void mark_done(void *arg, const struct reply *r)
{
	struct call *c = arg;
	struct bytes text;
	int64_t mark = 0;
	if (reply_error(r, &text))
		refused(c->store, text);
	bool known = reply_number(r, &mark) && mark >= 0;
	call_end(c, known || reply_nil(r) ? STORE_OK : STORE_FAILED, (uint64_t)mark);
}

void store_mark(struct store *s, const char *sensor, uint64_t epoch, struct store_done done)
{
	char field[FRAME_ID_MAX + 24];
	int n = snprintf(field, sizeof(field), "%s:%" PRIu64, sensor, epoch);
	const char *argv[] = {"HGET", STORE_PREFIX "hwm", field};
	size_t len[] = {4, strlen(argv[1]), (size_t)n};
	struct call *c = call_new(s, done, 0);
	if (s->state != STORE_READY || !redis_send(s->redis, 3, argv, len, (struct redis_done){mark_done, c}))
		call_end(c, STORE_FAILED, 0);
}

enum store_result store_flush_result(const struct reply *r, uint64_t hi, struct store_stats *stats, uint64_t *mark,
				     char conflict[static 128])
{
	int64_t ok, at, transitions = 0, conflicts = 0;
	struct bytes key;
	conflict[0] = 0;
	if (!reply_number(reply_at(r, 0), &ok) || !reply_number(reply_at(r, 1), &at) || at < 0)
		return STORE_FAILED;
	*mark = (uint64_t)at;
	if (ok != 1)
		return STORE_BEHIND;
	if (*mark != hi || !reply_number(reply_at(r, 2), &transitions) || !reply_number(reply_at(r, 3), &conflicts) ||
	    transitions < 0 || conflicts < 0)
		return STORE_FAILED;
	stats->transitions += (uint64_t)transitions;
	stats->conflicts += (uint64_t)conflicts;
	if (conflicts && reply_text(reply_at(r, 4), &key))
		text_clean(conflict, 128, key.p, key.n);
	return STORE_OK;
}

/* The replicas answered how many of them have it. */
static void wait_done(void *arg, const struct reply *r)
{
	struct call *c = arg;
	struct store *s = c->store;
	int64_t have = 0;
	if (c->result == STORE_OK && (!reply_number(r, &have) || have < s->conf.replicas)) {
		snprintf(s->trouble, sizeof(s->trouble),
			 "only %" PRId64 " of %" PRId64 " Redis replicas have the alerts", have, s->conf.replicas);
		say_trouble(s, &s->say_refused);
		c->result = STORE_FAILED;
	}
	call_end(c, c->result, c->mark);
}

static void flush_done(void *arg, const struct reply *r)
{
	struct call *c = arg;
	struct store *s = c->store;
	struct bytes text;
	char conflict[128];
	unsigned long skipped;
	if (reply_error(r, &text))
		refused(s, text);
	c->result = store_flush_result(r, c->hi, &s->stats, &c->mark, conflict);
	if (*conflict && log_again(&s->say_conflict, &skipped))
		log_warnx("Redis key %s has a wrong type: its alerts went into the stream as a loss; remove the key",
			  conflict);
	if (s->conf.durability != DURABILITY_REPLICA)
		call_end(c, c->result, c->mark);
}

/* ---- the arguments of a flush ---- */

static void arg(struct store *s, const void *p, size_t n)
{
	assert(s->argc < ARGS_MAX);
	s->argv[s->argc] = n ? p : "";
	s->len[s->argc++] = n;
}

static void arg_text(struct store *s, const char *text)
{
	arg(s, text, strlen(text));
}

/* The scratch buffer was reserved for the whole flush: it does not move. */
static void arg_printf(struct store *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void arg_printf(struct store *s, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *at = (char *)s->scratch.p + s->scratch.n;
	int n = vsnprintf(at, s->scratch.cap - s->scratch.n, fmt, ap);
	va_end(ap);
	assert(n >= 0 && (size_t)n < s->scratch.cap - s->scratch.n);
	s->scratch.n += (size_t)n + 1;
	arg(s, at, (size_t)n);
}

static void arg_time(struct store *s, int64_t us)
{
	char text[CLOCK_TEXT_LEN];
	clock_format(us, text);
	arg_printf(s, "%s", text);
}

/* Fields come from sensors: a dashboard must get text it can decode. A field that
 * is not UTF-8 is rare, and is repaired in place of being refused. */
static void arg_field(struct store *s, struct bytes b)
{
	bool plain = true;
	for (size_t i = 0; i < b.n && plain; i++)
		plain = b.p[i] < 0x80;
	if (plain) {
		arg(s, b.p, b.n);
		return;
	}
	char *at = (char *)s->scratch.p + s->scratch.n;
	size_t n = text_utf8(at, 3 * b.n, b.p, b.n);
	s->scratch.n += n;
	arg(s, at, n);
}

static void arg_peers(struct store *s, const struct fold *f, const struct delta *d)
{
	char *at = (char *)s->scratch.p + s->scratch.n;
	size_t n = 0;
	for (uint16_t i = d->first_peer; i; i = f->peer[i - 1].next) {
		char text[ADDR_TEXT_LEN];
		struct addr a;
		memcpy(a.b, f->peer[i - 1].addr, sizeof(a.b));
		addr_format(&a, text);
		size_t len = strlen(text);
		memcpy(at + n, text, len);
		n += len;
		at[n++] = ' ';
	}
	s->scratch.n += n;
	arg(s, at, n);
}

/* Events must be one line of JSON: what is obviously none is left out. */
static void arg_json(struct store *s, struct bytes b)
{
	bool good = b.n >= 2 && b.p[0] == '{' && b.p[b.n - 1] == '}';
	for (size_t i = 0; i < b.n && good; i++)
		good = b.p[i] >= 0x20;
	arg_field(s, good ? b : (struct bytes){0});
}

static void delta_args(struct store *s, const struct fold *f, const struct delta *d)
{
	/* As from DELTA_SET to DELTA_REASON. */
	static const enum record_field fields[] = {FIELD_SET,      FIELD_SET_VERSION, FIELD_INDICATOR, FIELD_TYPE,
						   FIELD_VALUE,    FIELD_WHERE,       FIELD_SRC,       FIELD_DEST,
						   FIELD_ENDPOINT, FIELD_APP,         FIELD_TLP,       FIELD_PRODUCER,
						   FIELD_EXERCISE, FIELD_TENANT,      FIELD_FOLD,      FIELD_REASON};
	char id[33];
	text_hex(id, d->key, sizeof(d->key));
	arg_printf(s, "%s", id);
	arg_printf(s, "%d", d->kind);
	arg_printf(s, "%" PRIu64, d->n);
	arg_printf(s, "%d", d->severity);
	arg_time(s, d->first_us);
	arg_time(s, d->last_us);
	arg_printf(s, "%" PRId64, d->last_us / 1000);
	arg_time(s, d->opened_us > f->reopen_after_us ? d->opened_us - f->reopen_after_us : 0);
	if (d->skew_us)
		arg_printf(s, "%" PRId64, d->skew_us / 1000);
	else
		arg(s, "", 0);
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		arg_field(s, fold_bytes(f, d->field[fields[i]]));
	arg_json(s, fold_bytes(f, d->field[FIELD_JSON]));
	arg_json(s, fold_bytes(f, d->last_json));
	arg_peers(s, f, d);
}

static void flush_args(struct store *s, const struct store_flush *f)
{
	int64_t now = clock_wall_us();
	s->argc = s->scratch.n = 0;
	buf_reserve(&s->scratch,
		    DELTA_SCRATCH * (FOLD_DELTAS_MAX + 2) + FOLD_PEERS_MAX * ADDR_TEXT_LEN + 3 * FOLD_BYTES_MAX);
	arg_text(s, "EVALSHA");
	arg_text(s, s->sha[SCRIPT_FLUSH]);
	arg_text(s, "1");
	arg_text(s, STORE_PREFIX "hwm");
	arg_text(s, STORE_PREFIX);
	arg_text(s, f->sensor);
	arg_printf(s, "%" PRIu64, f->epoch);
	arg_printf(s, "%" PRIu64, f->prev);
	arg_printf(s, "%" PRIu64, f->hi);
	arg_time(s, now);
	arg_printf(s, "%" PRId64, s->conf.stream_max);
	arg_printf(s, "%" PRId64, s->conf.closed_retention_ms / 1000);
	arg_printf(s, "%" PRId64, now / 60000000);
	arg_printf(s, "%" PRId64, now / 3600000000);
	arg_printf(s, "%" PRId64, now / 86400000000);
	arg_printf(s, "%" PRId64, s->conf.top_max);
	for (size_t i = 0; i < f->fold->n; i++)
		delta_args(s, f->fold, &f->fold->delta[i]);
}

void store_flush(struct store *s, const struct store_flush *f, struct store_done done)
{
	struct call *c = call_new(s, done, f->hi);
	if (s->state != STORE_READY || redis_pending(s->redis) + 2 > REDIS_PENDING_MAX) {
		call_end(c, STORE_FAILED, 0);
		return;
	}
	flush_args(s, f);
	redis_send(s->redis, s->argc, s->argv, s->len, (struct redis_done){flush_done, c});
	s->stats.flushes++;
	s->stats.deltas += f->fold->n;
	for (size_t i = 0; i < f->fold->n; i++)
		s->stats.alerts += f->fold->delta[i].kind == RECORD_ALERT ? f->fold->delta[i].n : 0;
	if (s->conf.durability != DURABILITY_REPLICA)
		return;
	char replicas[24], wait_ms[24];
	snprintf(replicas, sizeof(replicas), "%" PRId64, s->conf.replicas);
	snprintf(wait_ms, sizeof(wait_ms), "%" PRId64, s->conf.timeout_ms / 2);
	const char *argv[] = {"WAIT", replicas, wait_ms};
	size_t len[] = {4, strlen(replicas), strlen(wait_ms)};
	redis_send(s->redis, 3, argv, len, (struct redis_done){wait_done, c});
}

/* ---- status and sweep ---- */

static void quiet_done(void *arg, const struct reply *r)
{
	struct store *s = arg;
	struct bytes text;
	if (reply_error(r, &text) && s->state == STORE_READY)
		refused(s, text);
}

void store_posture(struct store *s, const char *sensor, const struct store_field *f, size_t n)
{
	const char *argv[5 + 2 * STORE_FIELDS_MAX];
	size_t len[5 + 2 * STORE_FIELDS_MAX], argc = 0;
	char key[128], keep[24], now_ms[24], cut[24];
	if (s->state != STORE_READY || !n)
		return;
	snprintf(key, sizeof(key), "picket:sensor:%s", sensor);
	snprintf(keep, sizeof(keep), "%d", POSTURE_KEEP_S);
	snprintf(now_ms, sizeof(now_ms), "%" PRId64, clock_wall_us() / 1000);
	snprintf(cut, sizeof(cut), "%d", -POSTURE_SENSORS - 1);
	const char *head[] = {"EVALSHA", s->sha[SCRIPT_POSTURE], "1", key, keep};
	for (; argc < 5; argc++) {
		argv[argc] = head[argc];
		len[argc] = strlen(head[argc]);
	}
	for (size_t i = 0; i < n && i < STORE_FIELDS_MAX; i++) {
		argv[argc] = (const char *)f[i].name.p;
		len[argc++] = f[i].name.n;
		argv[argc] = f[i].value.n ? (const char *)f[i].value.p : "";
		len[argc++] = f[i].value.n;
	}
	redis_send(s->redis, argc, argv, len, (struct redis_done){quiet_done, s});
	send_words(s, 4, (const char *[]){"ZADD", "picket:sensors", now_ms, sensor}, quiet_done);
	send_words(s, 4, (const char *[]){"ZREMRANGEBYRANK", "picket:sensors", "0", cut}, quiet_done);
}

static void sweep_done(void *arg, const struct reply *r)
{
	struct store *s = arg;
	struct bytes text;
	int64_t gone = 0, kept = 0;
	if (reply_error(r, &text))
		refused(s, text);
	if (!reply_number(reply_at(r, 0), &gone) || !reply_number(reply_at(r, 1), &kept) || gone < 0 || kept < 0)
		return;
	s->stats.swept += (uint64_t)gone;
	bool more = gone + kept >= SWEEP_BATCH;
	s->sweep_offset = more ? s->sweep_offset + (uint64_t)kept : 0;
	if (more)
		s->sweep_us -= SWEEP_EVERY_US; /* the next batch at once */
}

static void sweep(struct store *s)
{
	int64_t now = clock_wall_us(), old = now - s->conf.open_retention_ms * 1000;
	char score[24], updated[CLOCK_TEXT_LEN], offset[24], batch[24], cut_ms[24];
	s->sweep_us = clock_mono_us();
	snprintf(score, sizeof(score), "%" PRId64, old / 1000);
	snprintf(offset, sizeof(offset), "%" PRIu64, s->sweep_offset);
	snprintf(batch, sizeof(batch), "%d", SWEEP_BATCH);
	snprintf(cut_ms, sizeof(cut_ms), "%" PRId64, now / 1000 - (int64_t)POSTURE_KEEP_S * 1000);
	clock_format(old, updated);
	send_words(s, 9,
		   (const char *[]){"EVALSHA", s->sha[SCRIPT_SWEEP], "1", STORE_PREFIX "open", STORE_PREFIX, score,
				    updated, offset, batch},
		   sweep_done);
	send_words(s, 4, (const char *[]){"ZREMRANGEBYSCORE", "picket:sensors", "-inf", cut_ms}, quiet_done);
}
