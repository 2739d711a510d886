/* The arguments of one script call, as SCRIPT_FLUSH takes them. Numbers and times
 * are written into a scratch buffer that is reserved for the whole call, so that
 * pointers into it hold; fields point into the fold. */
#include "collector/store_flush.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/text.h"

#define DELTA_SCRATCH 512 /* bytes of formatted numbers and times in one delta */
#define STALE_US      86400000000

static void arg(struct flush_args *s, const void *p, size_t n)
{
	assert(s->argc < FLUSH_ARGS_MAX);
	s->argv[s->argc] = n ? p : "";
	s->len[s->argc++] = n;
}

static void arg_text(struct flush_args *s, const char *text)
{
	arg(s, text, strlen(text));
}

/* The scratch buffer was reserved for the whole flush: it does not move. */
static void arg_printf(struct flush_args *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void arg_printf(struct flush_args *s, const char *fmt, ...)
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

static void arg_time(struct flush_args *s, int64_t us)
{
	char text[CLOCK_TEXT_LEN];
	clock_format(us, text);
	arg_printf(s, "%s", text);
}

/* Fields come from sensors: a dashboard must get text it can decode. A field that
 * is not UTF-8 is rare, and is repaired in place of being refused. */
static void arg_field(struct flush_args *s, struct bytes b)
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

static void arg_peers(struct flush_args *s, const struct fold *f, const struct delta *d)
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
static void arg_json(struct flush_args *s, struct bytes b)
{
	bool good = b.n >= 2 && b.p[0] == '{' && b.p[b.n - 1] == '}';
	for (size_t i = 0; i < b.n && good; i++)
		good = b.p[i] >= 0x20;
	arg_field(s, good ? b : (struct bytes){0});
}

static bool equal(struct bytes a, struct bytes b)
{
	return a.n == b.n && (!a.n || memcmp(a.p, b.p, a.n) == 0);
}

static bool only_peer_is(const struct fold *f, const struct delta *d, struct bytes text)
{
	char peer[ADDR_TEXT_LEN];
	struct addr a;
	const struct fold_peer *p = d->first_peer ? &f->peer[d->first_peer - 1] : NULL;
	if (!p || p->next)
		return false;
	memcpy(a.b, p->addr, sizeof(a.b));
	addr_format(&a, peer);
	return equal((struct bytes){(const uint8_t *)peer, strlen(peer)}, text);
}

static bool is_plain(const struct flush_args *s, const struct fold *f, const struct delta *d)
{
	static const struct bytes usual = {(const uint8_t *)"indicator+asset", 15};
	struct bytes field[FIELD_COUNT];
	for (size_t i = 0; i < FIELD_COUNT; i++)
		field[i] = fold_bytes(f, d->field[i]);
	return d->kind == RECORD_ALERT && !d->again && !d->skew_us && d->last_us >= s->stale_us && field[FIELD_SRC].n &&
	       field[FIELD_APP].n && field[FIELD_TLP].n && !field[FIELD_EXERCISE].n && !field[FIELD_TENANT].n &&
	       (!field[FIELD_FOLD].n || equal(field[FIELD_FOLD], usual)) &&
	       equal(field[FIELD_SRC], field[FIELD_ENDPOINT]) && only_peer_is(f, d, field[FIELD_DEST]);
}

static void arg_fields(struct flush_args *s, const struct fold *f, const struct delta *d,
		       const enum record_field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++)
		arg_field(s, fold_bytes(f, d->field[fields[i]]));
}

void flush_args_delta(struct flush_args *s, const struct fold *f, const struct delta *d)
{
	/* As from DELTA_SET to DELTA_TLP, and from DELTA_EXERCISE to DELTA_REASON. */
	static const enum record_field usual[] = {FIELD_SET, FIELD_INDICATOR, FIELD_TYPE, FIELD_VALUE, FIELD_WHERE,
						  FIELD_SRC, FIELD_DEST,      FIELD_APP,  FIELD_TLP};
	static const enum record_field rare[] = {FIELD_EXERCISE, FIELD_TENANT, FIELD_FOLD, FIELD_REASON};
	bool plain = is_plain(s, f, d);
	char id[33];
	text_hex(id, d->key, sizeof(d->key));
	arg_printf(s, "%d", plain ? SHAPE_PLAIN : d->kind == RECORD_ALERT ? SHAPE_FULL : SHAPE_LOSS);
	arg_printf(s, "%s", id);
	arg_printf(s, "%" PRIu64, d->n);
	arg_printf(s, "%d", d->severity);
	arg_time(s, d->first_us);
	arg_time(s, d->last_us);
	arg_printf(s, "%" PRId64, d->last_us / 1000);
	arg_time(s, d->opened_us > f->reopen_after_us ? d->opened_us - f->reopen_after_us : 0);
	arg_fields(s, f, d, usual, sizeof(usual) / sizeof(*usual));
	arg_json(s, fold_bytes(f, d->field[FIELD_JSON]));
	if (plain)
		return;
	arg_field(s, fold_bytes(f, d->field[FIELD_ENDPOINT]));
	if (d->skew_us)
		arg_printf(s, "%" PRId64, d->skew_us / 1000);
	else
		arg(s, "", 0);
	arg_fields(s, f, d, rare, sizeof(rare) / sizeof(*rare));
	arg_peers(s, f, d);
}

void flush_args_begin(struct flush_args *s, const struct flush_head *h)
{
	int64_t now = clock_wall_us();
	char text[MARKS_TEXT_LEN];
	s->argc = s->scratch.n = 0;
	s->stale_us = now - STALE_US;
	buf_reserve(&s->scratch, 2 * MARKS_TEXT_LEN + DELTA_SCRATCH * (FLUSH_CALL_DELTAS + 2) +
				     FOLD_PEERS_MAX * ADDR_TEXT_LEN + 3 * FOLD_BYTES_MAX);
	arg_text(s, "EVALSHA");
	arg_text(s, h->sha);
	arg_text(s, "1");
	arg_printf(s, "%shwm", h->marks_prefix);
	arg_text(s, h->prefix);
	arg_text(s, h->sensor);
	arg_printf(s, "%" PRIu64, h->epoch);
	marks_write(h->prev, h->first_lane, h->lanes, text);
	arg_printf(s, "%s", text);
	marks_write(h->next, h->first_lane, h->lanes, text);
	arg_printf(s, "%s", text);
	arg_printf(s, "%" PRIu64, flush_low(h));
	arg_time(s, now);
	arg_printf(s, "%" PRId64, h->conf->stream_max);
	arg_printf(s, "%" PRId64, h->conf->closed_retention_ms / 1000);
	arg_printf(s, "%" PRId64, now / 60000000);
	arg_printf(s, "%" PRId64, now / 3600000000);
	arg_printf(s, "%" PRId64, now / 86400000000);
	arg_printf(s, "%" PRId64, h->conf->top_max);
	arg_time(s, s->stale_us);
}

uint64_t flush_low(const struct flush_head *h)
{
	uint64_t low = h->next->lane[h->first_lane];
	for (unsigned i = 1; i < h->lanes; i++)
		low = h->next->lane[h->first_lane + i] < low ? h->next->lane[h->first_lane + i] : low;
	return low;
}

void flush_args_free(struct flush_args *s)
{
	buf_free(&s->scratch);
}
