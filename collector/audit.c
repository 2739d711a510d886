#include "collector/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/text.h"
#include "rules/shared.h"

#define PENDING_MAX 4096 /* batches that wait */
#define CALL_MAX    32   /* of them in one call */
#define TRIES_MAX   100  /* against other gateways */
#define NUMBER_LEN  24
#define ENTRY_ARGS  7

/* KEYS head, stream. ARGV: n and h as the head is believed to be, entries kept, then for
 * each entry n prev h time partner way items. Gives {1}, or {0, n, h}: it is another. */
static const char script[] =
    "local n, h = unpack(redis.call('HMGET', KEYS[1], 'n', 'h')) n = n or '0' h = h or '0' "
    "if n ~= ARGV[1] or h ~= ARGV[2] then return {0, n, h} end "
    "for i = 4, #ARGV, 7 do "
    "redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'n', ARGV[i], 'prev', ARGV[i + 1], 'h', ARGV[i + 2], "
    "'time', ARGV[i + 3], 'partner', ARGV[i + 4], 'way', ARGV[i + 5], 'items', ARGV[i + 6]) "
    "n = ARGV[i] h = ARGV[i + 2] end "
    "local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1) "
    "redis.call('HSET', KEYS[1], 'n', n, 'h', h, 'first', first[1] and first[1][2][2] or n) "
    "return {1}";

struct record {
	struct record *next;
	char *partner, *way;
	struct buf items;
	struct audit_done done;
	char n[NUMBER_LEN], prev[AUDIT_HASH_LEN], h[AUDIT_HASH_LEN], time[CLOCK_TEXT_LEN];
};

struct audit {
	struct redis_link *redis;
	struct record *first, **last;
	size_t waiting, in_call, tries;
	uint64_t n;
	char h[AUDIT_HASH_LEN];
	struct log_once say;
};

void audit_hash(const struct audit_entry *e, char out[static AUDIT_HASH_LEN])
{
	const struct bytes *parts[] = {&e->prev, &e->time, &e->partner, &e->way, &e->items};
	struct buf text = {0};
	uint8_t digest[32];
	buf_printf(&text, "%" PRIu64, e->n);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		buf_u8(&text, '\n');
		buf_add(&text, parts[i]->p, parts[i]->n);
	}
	hash_sha256(digest, text.p, text.n);
	text_hex(out, digest, sizeof(digest));
	buf_free(&text);
}

void audit_item(struct buf *items, const char *id, const char *version, const char *verdict, const void *bytes,
		size_t n)
{
	uint8_t digest[32];
	char hex[65], clean[SHARED_VERSION_MAX * 4];
	hash_sha256(digest, bytes, n);
	text_hex(hex, digest, sizeof(digest));
	buf_printf(items, "%s %s %s %s\n", id,
		   *version ? text_clean(clean, sizeof(clean), version, strlen(version)) : "-", verdict, hex);
}

struct audit *audit_new(struct redis_link *r)
{
	struct audit *a = xcalloc(1, sizeof(*a));
	a->redis = r;
	a->last = &a->first;
	strcpy(a->h, "0");
	return a;
}

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void answer(struct record *r, bool ok)
{
	r->done.call(r->done.arg, ok);
	free(r->partner);
	free(r->way);
	buf_free(&r->items);
	free(r);
}

/* Takes the first n records off, then answers them: a callback may record more. */
static void answer_first(struct audit *a, size_t n, bool ok)
{
	struct record *r = a->first, **end = &r;
	for (size_t i = 0; i < n && *end; i++, a->waiting--)
		end = &(*end)->next;
	a->first = *end;
	*end = NULL;
	if (!a->first)
		a->last = &a->first;
	while (r) {
		struct record *next = r->next;
		answer(r, ok);
		r = next;
	}
}

void audit_free(struct audit *a)
{
	if (a)
		answer_first(a, SIZE_MAX, false);
	free(a);
}

/* ---- a call ---- */

static void send_call(struct audit *a);

static void answer_call(struct audit *a, bool ok)
{
	size_t n = a->in_call;
	a->in_call = a->tries = 0;
	answer_first(a, n, ok);
}

/* The head as Redis has it. */
static bool take_head(struct audit *a, const struct reply *r)
{
	struct bytes h;
	int64_t n;
	if (!reply_number(reply_at(r, 1), &n) || n < 0 || !reply_text(reply_at(r, 2), &h) || h.n >= AUDIT_HASH_LEN)
		return false;
	a->n = (uint64_t)n;
	memcpy(a->h, h.p, h.n);
	a->h[h.n] = '\0';
	return true;
}

static void on_reply(void *arg, const struct reply *r)
{
	struct audit *a = arg;
	int64_t done = 0;
	unsigned long skipped;
	bool read = reply_number(reply_at(r, 0), &done);
	if (read && done == 1) {
		const struct record *last = a->first;
		for (size_t i = 1; i < a->in_call; i++)
			last = last->next;
		a->n += a->in_call;
		memcpy(a->h, last->h, sizeof(a->h));
		answer_call(a, true);
	} else if (!read || !take_head(a, r) || ++a->tries > TRIES_MAX) {
		if (log_again(&a->say, &skipped))
			log_warnx("the audit stream could not be written: nothing goes to partners until it can");
		answer_call(a, false);
	} else {
		a->in_call = 0;
	}
	if (a->first && !a->in_call)
		send_call(a);
}

static void chain(struct record *r, uint64_t n, const char *prev)
{
	struct audit_entry e = {
	    .n = n, .prev = bytes_of(prev), .partner = bytes_of(r->partner), .way = bytes_of(r->way)};
	clock_format(clock_wall_us(), r->time);
	e.time = bytes_of(r->time);
	e.items = (struct bytes){r->items.p, r->items.n};
	snprintf(r->n, sizeof(r->n), "%" PRIu64, n);
	snprintf(r->prev, sizeof(r->prev), "%s", prev);
	audit_hash(&e, r->h);
}

static void send_call(struct audit *a)
{
	const char *argv[8 + CALL_MAX * ENTRY_ARGS] = {"EVAL", script, "2", AUDIT_HEAD, AUDIT_STREAM}, *prev = a->h;
	size_t len[8 + CALL_MAX * ENTRY_ARGS], argc = 5;
	char n[NUMBER_LEN], keep[NUMBER_LEN];
	snprintf(n, sizeof(n), "%" PRIu64, a->n);
	snprintf(keep, sizeof(keep), "%d", AUDIT_KEEP);
	argv[argc++] = n;
	argv[argc++] = a->h;
	argv[argc++] = keep;
	for (struct record *r = a->first; r && a->in_call < CALL_MAX; r = r->next) {
		chain(r, a->n + ++a->in_call, prev);
		const char *const words[] = {r->n, r->prev, r->h, r->time, r->partner, r->way, (char *)r->items.p};
		memcpy(argv + argc, words, sizeof(words));
		argc += ENTRY_ARGS;
		prev = r->h;
	}
	for (size_t i = 0; i < argc; i++)
		len[i] = strlen(argv[i]); /* items end in a NUL that is not counted */
	if (!redis_link_send(a->redis, argc, argv, len, (struct redis_done){on_reply, a}))
		answer_call(a, false);
}

void audit_record(struct audit *a, const char *partner, const char *way, const struct buf *items,
		  struct audit_done done)
{
	struct record *r;
	if (a->waiting >= PENDING_MAX || !redis_link_ready(a->redis)) {
		done.call(done.arg, false);
		return;
	}
	r = xcalloc(1, sizeof(*r));
	r->partner = xstrdup(partner);
	r->way = xstrdup(way);
	buf_add(&r->items, items->p, items->n);
	buf_u8(&r->items, 0);
	r->items.n--;
	r->done = done;
	*a->last = r;
	a->last = &r->next;
	a->waiting++;
	if (!a->in_call)
		send_call(a);
}
