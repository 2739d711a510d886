/* For tests of parsers: a flow without the engine around it. What the parser
 * reports is kept as text, one line per observable ("dns.query www.example"),
 * so a case is its bytes and the lines that must come out:
 *
 *     static const struct message talk[] = {
 *         {TO_SERVER, BYTES("HELO a.example\r\n")}, {TO_CLIENT, BYTES("250 ok\r\n")}};
 *     feed_every_split(&parser_smtp, talk, 2, "smtp.helo a.example\n");
 *     feed_every_prefix(&parser_smtp, talk, 2);
 *
 * Include it in one .c per program: it defines observe(), inspect_expect(),
 * inspect_dns_message() and inspect_note() in the engine's stead, and needs neither cmocka nor rules, so
 * fuzz targets use it too. A failed check prints and aborts. */
#ifndef TESTS_OBSERVED_H
#define TESTS_OBSERVED_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "sensor/inspect.h"

#define OBSERVED_BUDGET (8u << 20) /* bytes of parser state */
#define BYTES(literal)  (literal), sizeof(literal) - 1

/* One piece of a conversation. */
struct message {
	enum side side;
	const void *p;
	size_t n;
};

struct observed {
	struct inspect in;
	struct mem mem;
	struct ledger ledger;
	struct buf text;      /* a line per observable, NUL behind the last */
	struct buf app;       /* what describe() said at the last one: "key=value\n" */
	struct buf expected;  /* inspect_expect(): "address port note\n" */
	size_t count;         /* observables */
	bool given_up[2];     /* INSPECT_SIDE_DONE */
	enum side side;       /* the one that was fed last */
	enum verdict verdict; /* the last; nothing is fed any more once it is not INSPECT_MORE */
	size_t used;          /* of the last stream call */
};

/* The parser has state and an empty flow 192.0.2.1:40000 → 198.51.100.1:443.
 * Tests may change o->in afterwards (ports, want, note). */
uint32_t inspect_object_set(struct inspect *in, uint32_t object)
{
	(void)in, (void)object;
	return 0;
}

static inline void observed_begin(struct observed *o, const struct parser *p)
{
	*o = (struct observed){0};
	mem_init(&o->mem, OBSERVED_BUDGET);
	o->in = (struct inspect){
	    .ts_us = 1700000000000000,
	    .src = addr_v4("\xc0\x00\x02\x01"),
	    .dest = addr_v4("\xc6\x33\x64\x01"),
	    .src_port = 40000,
	    .dest_port = 443,
	    .proto = p->over & OVER_TCP ? 6 : 17,
	    .flow_id = 1,
	    .want = ~(indicator_mask)0,
	    .mem = &o->mem,
	    .ledger = &o->ledger,
	    .parser = p,
	    .owner = o,
	};
	if (p->state_size)
		o->in.state = mem_alloc(&o->mem, p->state_size);
	buf_add(&o->text, "", 1);
	buf_add(&o->app, "", 1);
	buf_add(&o->expected, "", 1);
}

/* Gives everything back; a parser that leaks state is stopped here. */
static inline void observed_end(struct observed *o)
{
	const struct parser *p = o->in.parser;
	if (o->in.state && p->drop)
		p->drop(&o->in);
	mem_free(&o->mem, o->in.state, p->state_size);
	if (o->mem.used) {
		fprintf(stderr, "parser %s kept %zu bytes\n", p->name, o->mem.used);
		abort();
	}
	mem_close(&o->mem);
	buf_free(&o->text);
	buf_free(&o->app);
	buf_free(&o->expected);
}

static inline const char *observed_text(const struct observed *o)
{
	return (const char *)o->text.p;
}

static inline const char *observed_app(const struct observed *o)
{
	return (const char *)o->app.p;
}

/* Whether the line "where value" is among them. */
static inline bool observed_has(const struct observed *o, const char *line)
{
	size_t n = strlen(line);
	for (const char *p = observed_text(o); *p; p = strchr(p, '\n') + 1)
		if (strncmp(p, line, n) == 0 && p[n] == '\n')
			return true;
	return false;
}

static inline void observed_append(struct buf *b, const void *p, size_t n)
{
	b->n--;
	buf_add(b, p, n);
	buf_add(b, "", 1);
}

static inline void observed_escaped(struct buf *b, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char hex[8];
		bool plain = p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\';
		int len = snprintf(hex, sizeof(hex), plain ? "%c" : "\\x%02x", p[i]);
		observed_append(b, hex, (size_t)len);
	}
}

static inline void observed_addr(struct buf *b, const uint8_t sixteen[16])
{
	char text[ADDR_TEXT_LEN];
	struct addr a;
	memcpy(a.b, sixteen, sizeof(a.b));
	bool v4 = addr_is_v4(&a);
	inet_ntop(v4 ? AF_INET : AF_INET6, a.b + (v4 ? 12 : 0), text, sizeof(text));
	observed_append(b, text, strlen(text));
}

static inline void observed_describe(struct observed *o)
{
	struct alert_app app = {0};
	o->app.n = 0;
	buf_add(&o->app, "", 1);
	if (!o->in.parser || !o->in.parser->describe || !o->in.state)
		return;
	o->in.parser->describe(&o->in, &app);
	for (size_t i = 0; i < app.n; i++) {
		char number[32] = "";
		observed_append(&o->app, app.field[i].key, strlen(app.field[i].key));
		observed_append(&o->app, "=", 1);
		if (app.field[i].number)
			snprintf(number, sizeof(number), "%zu", app.field[i].value.n);
		else
			observed_escaped(&o->app, app.field[i].value.p, app.field[i].value.n);
		observed_append(&o->app, number, strlen(number));
		observed_append(&o->app, "\n", 1);
	}
}

/* Appends "parser/transport place side" to the file that OBSERVED names, once for each: what make unit
 * compares with deploy/protocols.md (tests/protocols.sh). */
static inline void observed_tell(const struct observed *o, enum where w)
{
	enum { PARSERS = 64 };
	static const struct parser *known[PARSERS];
	static bool told[PARSERS][WHERE_COUNT][2];
	const struct parser *p = o->in.parser;
	const char *to = getenv("OBSERVED");
	size_t i = 0;
	while (i < PARSERS && known[i] && known[i] != p)
		i++;
	if (!to || !p || i == PARSERS || told[i][w][o->side])
		return;
	known[i] = p;
	told[i][w][o->side] = true;
	FILE *f = fopen(to, "a");
	if (!f)
		return;
	fprintf(f, "%s/%s %s %s\n", p->name,
		p->over & OVER_TCP   ? "tcp"
		: p->over & OVER_UDP ? "udp"
				     : "-",
		where_name(w), o->side == TO_SERVER ? "client" : "server");
	fclose(f);
}

/* Always true, which says nothing: each place is then reported by itself. */
bool observe(struct inspect *in, enum where w, const void *value, size_t n)
{
	struct observed *o = in->owner;
	if (!wanted(in, w))
		return true;
	o->count++;
	observed_tell(o, w);
	observed_append(&o->text, where_name(w), strlen(where_name(w)));
	observed_append(&o->text, " ", 1);
	if ((where_types(w) & INDICATOR_BIT(INDICATOR_IP)) && n == 16)
		observed_addr(&o->text, value);
	else
		observed_escaped(&o->text, value, n);
	observed_append(&o->text, "\n", 1);
	observed_describe(o);
	return true;
}

void inspect_expect(struct inspect *in, const struct addr *a, uint16_t port, const struct parser *p, const void *note,
		    size_t n)
{
	struct observed *o = in->owner;
	char text[32];
	(void)p;
	observed_addr(&o->expected, a->b);
	snprintf(text, sizeof(text), " %u ", port);
	observed_append(&o->expected, text, strlen(text));
	observed_escaped(&o->expected, note, n);
	observed_append(&o->expected, "\n", 1);
}

void inspect_dns_message(struct inspect *in, bool answer, uint8_t rcode, const char *name, size_t n)
{
	(void)in, (void)answer, (void)rcode, (void)name, (void)n;
}

struct bytes inspect_note(const struct inspect *in)
{
	return in->note;
}

/* Stand-ins for tests that are linked without rules/alert.c. */
__attribute__((weak)) void alert_app_text(struct alert_app *app, const char *key, const void *value, size_t n)
{
	if (app->n == ALERT_APP_MAX || !n)
		return;
	app->field[app->n].key = key;
	app->field[app->n].number = false;
	app->field[app->n++].value = (struct bytes){.p = value, .n = n};
}

__attribute__((weak)) void alert_app_number(struct alert_app *app, const char *key, size_t number)
{
	if (app->n == ALERT_APP_MAX)
		return;
	app->field[app->n].key = key;
	app->field[app->n].number = true;
	app->field[app->n++].value = (struct bytes){.p = NULL, .n = number};
}

/* ---- feeding ---- */

/* Bytes are handed over in a block of exactly their size, so that a sanitizer
 * sees a read behind them. */
static inline uint8_t *observed_exact(const void *p, size_t n)
{
	uint8_t *copy = xmalloc(n ? n : 1);
	if (n)
		memcpy(copy, p, n);
	return copy;
}

/* As the engine: after a verdict other than INSPECT_MORE nothing is fed. */
static inline enum verdict feed_stream(struct observed *o, enum side side, const void *p, size_t n)
{
	if (o->verdict != INSPECT_MORE || o->given_up[side] || !n)
		return o->verdict;
	uint8_t *copy = observed_exact(p, n);
	o->side = side;
	o->used = n;
	o->verdict = o->in.parser->stream(&o->in, side, copy, n, &o->used);
	free(copy);
	if (o->used > n || (o->used < n && o->verdict != INSPECT_AGAIN)) {
		fprintf(stderr, "parser %s used %zu of %zu bytes\n", o->in.parser->name, o->used, n);
		abort();
	}
	if (o->verdict == INSPECT_SIDE_DONE) {
		o->given_up[side] = true;
		o->verdict = INSPECT_MORE;
	}
	return o->verdict;
}

static inline enum verdict feed_datagram(struct observed *o, enum side side, const void *p, size_t n)
{
	if (o->verdict == INSPECT_DONE)
		return o->verdict;
	uint8_t *copy = observed_exact(p, n);
	o->side = side;
	o->verdict = o->in.parser->datagram(&o->in, side, copy, n);
	free(copy);
	return o->verdict;
}

static inline enum verdict feed_gap(struct observed *o, enum side side, size_t lost)
{
	o->side = side;
	if (o->verdict == INSPECT_MORE && o->in.parser->gap)
		o->verdict = o->in.parser->gap(&o->in, side, lost);
	return o->verdict;
}

static inline void feed_close(struct observed *o)
{
	for (int side = 0; side < 2; side++) {
		o->side = (enum side)side;
		if (o->verdict == INSPECT_MORE && o->in.parser->close)
			o->in.parser->close(&o->in, (enum side)side);
	}
}

static inline enum probe feed_probe(const struct parser *p, enum side side, const void *data, size_t n)
{
	struct observed o;
	observed_begin(&o, p);
	uint8_t *copy = observed_exact(data, n);
	enum probe answer = p->probe(&o.in, side, copy, n);
	free(copy);
	observed_end(&o);
	return answer;
}

/* Feeds msg[0..count), message `which` in pieces of at most `first` bytes and
 * then the rest (all_bytes: every message byte by byte), and both ends closed. */
static inline void feed_pieces(struct observed *o, const struct message *msg, size_t count, size_t which, size_t first,
			       bool all_bytes)
{
	for (size_t i = 0; i < count; i++) {
		const uint8_t *p = msg[i].p;
		size_t n = msg[i].n;
		size_t step = all_bytes ? 1 : i == which && first < n ? first : n;
		for (size_t at = 0; at < n;) {
			if (step > n - at)
				step = n - at;
			feed_stream(o, msg[i].side, p + at, step);
			at += step;
			if (!all_bytes)
				step = n - at;
		}
	}
	feed_close(o);
}

static inline void feed_expect(const struct parser *p, const struct message *msg, size_t count, size_t which,
			       size_t first, bool all_bytes, const char *expect)
{
	struct observed o;
	observed_begin(&o, p);
	feed_pieces(&o, msg, count, which, first, all_bytes);
	if (strcmp(observed_text(&o), expect) != 0) {
		fprintf(stderr, "%s, message %zu cut at %zu%s: observed\n%s-- expected\n%s--\n", p->name, which, first,
			all_bytes ? " (byte by byte)" : "", observed_text(&o), expect);
		abort();
	}
	observed_end(&o);
}

/* The conversation whole, byte by byte, and with each message cut in two at
 * every position: always the same observables in the same order. */
static inline void feed_every_split(const struct parser *p, const struct message *msg, size_t count, const char *expect)
{
	feed_expect(p, msg, count, 0, SIZE_MAX, false, expect);
	feed_expect(p, msg, count, 0, 1, true, expect);
	for (size_t i = 0; i < count; i++)
		for (size_t at = 1; at < msg[i].n; at++)
			feed_expect(p, msg, count, i, at, false, expect);
}

/* The conversation with its sides exchanged, as in a flow whose first packet seen was the server's: the same
 * observables. */
static inline void feed_turned(const struct parser *p, const struct message *msg, size_t count, const char *expect)
{
	struct message *turned = xmalloc(count * sizeof(*turned));
	for (size_t i = 0; i < count; i++) {
		turned[i] = msg[i];
		turned[i].side = msg[i].side == TO_SERVER ? TO_CLIENT : TO_SERVER;
	}
	feed_expect(p, turned, count, 0, SIZE_MAX, false, expect);
	free(turned);
}

/* The conversation ends after every byte, and loses one there: no crash, no leak. */
static inline void feed_every_prefix(const struct parser *p, const struct message *msg, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t n = 0; n < msg[i].n; n++) {
			struct observed o;
			observed_begin(&o, p);
			for (size_t k = 0; k < i; k++)
				feed_stream(&o, msg[k].side, msg[k].p, msg[k].n);
			feed_stream(&o, msg[i].side, msg[i].p, n);
			feed_gap(&o, msg[i].side, 1);
			if (p->gap)
				feed_stream(&o, msg[i].side, (const uint8_t *)msg[i].p + n + 1, msg[i].n - n - 1);
			feed_close(&o);
			observed_end(&o);
		}
	}
}

/* A datagram cut at every length is no crash. */
static inline void feed_every_cut(const struct parser *p, enum side side, const void *data, size_t n)
{
	for (size_t cut = 0; cut < n; cut++) {
		struct observed o;
		observed_begin(&o, p);
		feed_datagram(&o, side, data, cut);
		observed_end(&o);
	}
}

#endif
