/* MQTT 3.1, 3.1.1 and 5 (OASIS): topics that are published, subscribed to or left
 * as a will, and the user name.
 *
 *   u8 type << 4 | flags, remaining length (1 to 4 bytes, 7 bits each, low first)
 *   CONNECT      text protocol, u8 level, u8 flags, u16 keep-alive, [5: properties],
 *                text client, [will: [5: properties] text topic, data], [text user]
 *   PUBLISH      text topic, [qos > 0: u16 id], … payload
 *   SUBSCRIBE    u16 id, [5: properties], (text filter, u8 options)…
 *   UNSUBSCRIBE  u16 id, [5: properties], (text filter)…
 *
 * text is u16 length and bytes. Of a packet at most HEAD_MAX bytes are kept; the
 * rest (payload) is stepped over. */
#include <string.h>

#include "sensor/parsers.h"

#define HEAD_MAX    8192 /* bytes of a packet that are looked at */
#define FILTER_MAX  64   /* topic filters of one packet */
#define TOPIC_SHOWN 256

enum { CONNECT = 1, PUBLISH = 3, SUBSCRIBE = 8, UNSUBSCRIBE = 10 };

struct half {
	struct carry kept;
	uint64_t skip; /* payload bytes still to step over */
};

struct mqtt {
	struct half half[2];
	uint8_t level; /* 3, 4, 5; 0 before CONNECT */
	uint8_t topic[TOPIC_SHOWN];
	size_t topic_n;
};

/* The remaining length, MQTT 5 1.5.5. False: not all of it is there (or bad). */
static size_t variable_length(struct cursor *c)
{
	size_t v = 0;
	for (unsigned shift = 0; shift < 28; shift += 7) {
		uint8_t b = cursor_u8(c);
		v |= (size_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	c->bad = true;
	return 0;
}

static struct bytes text(struct cursor *c)
{
	return cursor_bytes(c, cursor_u16(c));
}

static bool level_known(struct bytes protocol, uint8_t level)
{
	if (protocol.n == 6 && memcmp(protocol.p, "MQIsdp", 6) == 0)
		return level == 3;
	return protocol.n == 4 && memcmp(protocol.p, "MQTT", 4) == 0 && (level == 4 || level == 5);
}

/* A CONNECT begins every connection. */
static enum probe mqtt_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)in;
	(void)side;
	if (p[0] != CONNECT << 4)
		return PROBE_NO;
	struct cursor c = cursor_over(p, n);
	cursor_skip(&c, 1);
	size_t length = variable_length(&c);
	if (!cursor_ok(&c))
		return n < 5 ? PROBE_MORE : PROBE_NO;
	if (length < 12)
		return PROBE_NO;
	size_t name_n = cursor_u16(&c);
	if (cursor_ok(&c) && name_n != 4 && name_n != 6)
		return PROBE_NO;
	struct bytes protocol = cursor_bytes(&c, name_n);
	uint8_t level = cursor_u8(&c);
	if (!cursor_ok(&c))
		return n < 16 ? PROBE_MORE : PROBE_NO;
	return level_known(protocol, level) ? PROBE_YES : PROBE_NO;
}

static void report_topic(struct inspect *in, struct bytes topic)
{
	struct mqtt *m = in->state;
	if (!topic.n)
		return;
	m->topic_n = topic.n < TOPIC_SHOWN ? topic.n : TOPIC_SHOWN;
	memcpy(m->topic, topic.p, m->topic_n);
	observe(in, WHERE_MQTT_TOPIC, topic.p, topic.n);
}

static void properties(const struct mqtt *m, struct cursor *c)
{
	if (m->level == 5)
		cursor_skip(c, variable_length(c));
}

static void read_connect(struct inspect *in, struct cursor *c)
{
	struct mqtt *m = in->state;
	struct bytes protocol = text(c);
	uint8_t level = cursor_u8(c), flags = cursor_u8(c);
	cursor_skip(c, 2);
	if (!cursor_ok(c) || !level_known(protocol, level))
		return;
	m->level = level;
	properties(m, c);
	text(c);
	if (flags & 0x04) {
		properties(m, c);
		struct bytes topic = text(c);
		text(c);
		if (cursor_ok(c))
			report_topic(in, topic);
	}
	struct bytes user = flags & 0x80 ? text(c) : (struct bytes){0};
	if (cursor_ok(c) && user.n)
		observe(in, WHERE_MQTT_USER, user.p, user.n);
}

static void read_filters(struct inspect *in, struct cursor *c, bool options)
{
	cursor_skip(c, 2);
	properties(in->state, c);
	for (int i = 0; cursor_left(c) && i < FILTER_MAX; i++) {
		struct bytes filter = text(c);
		if (options)
			cursor_skip(c, 1);
		if (!cursor_ok(c))
			return;
		report_topic(in, filter);
	}
	if (cursor_left(c))
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
}

/* cut: the packet is longer than what is looked at. */
static void read_packet(struct inspect *in, uint8_t type, struct cursor c, bool cut)
{
	if (type == CONNECT)
		read_connect(in, &c);
	else if (type == PUBLISH)
		report_topic(in, text(&c));
	else if (type == SUBSCRIBE || type == UNSUBSCRIBE)
		read_filters(in, &c, type == SUBSCRIBE);
	if (cut && !cursor_ok(&c))
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
}

enum step { STEP_NEXT = 0, STEP_MORE, STEP_BAD };

/* One packet from what is kept. */
static enum step take_packet(struct inspect *in, struct half *h)
{
	struct cursor c = cursor_over(h->kept.p, h->kept.n);
	uint8_t first = cursor_u8(&c);
	size_t length = variable_length(&c);
	if (!cursor_ok(&c))
		return h->kept.n < 5 ? STEP_MORE : STEP_BAD;
	if (first >> 4 == 0)
		return STEP_BAD;
	size_t looked_at = length < HEAD_MAX ? length : HEAD_MAX;
	size_t header = h->kept.n - cursor_left(&c);
	if (cursor_left(&c) < looked_at)
		return STEP_MORE;
	read_packet(in, first >> 4, cursor_sub(&c, looked_at), looked_at < length);
	carry_shift(&h->kept, header + looked_at);
	h->skip = length - looked_at;
	return STEP_NEXT;
}

static size_t skip(struct half *h, size_t n)
{
	size_t step = n < h->skip ? n : (size_t)h->skip;
	h->skip -= step;
	return step;
}

static enum verdict mqtt_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct mqtt *m = in->state;
	struct half *h = &m->half[side];
	(void)used;
	while (n) {
		size_t step = skip(h, n);
		p += step;
		n -= step;
		size_t room = HEAD_MAX + 5 - h->kept.n, take = n < room ? n : room;
		if (take && !carry_push(in->mem, &h->kept, p, take, HEAD_MAX + 5)) {
			ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
			return INSPECT_DONE;
		}
		p += take;
		n -= take;
		enum step s = STEP_NEXT;
		while (s == STEP_NEXT && h->kept.n) {
			s = take_packet(in, h);
			if (s == STEP_NEXT && h->skip)
				carry_shift(&h->kept, skip(h, h->kept.n));
		}
		if (s == STEP_BAD)
			return INSPECT_ERROR;
	}
	return INSPECT_MORE;
}

/* Lost bytes inside a payload do no harm. */
static enum verdict mqtt_gap(struct inspect *in, enum side side, size_t lost)
{
	struct half *h = &((struct mqtt *)in->state)->half[side];
	if (h->kept.n || lost > h->skip)
		return INSPECT_DONE;
	h->skip -= lost;
	return INSPECT_MORE;
}

static void mqtt_describe(const struct inspect *in, struct alert_app *app)
{
	const struct mqtt *m = in->state;
	alert_app_text(app, "topic", m->topic, m->topic_n);
}

static void mqtt_drop(struct inspect *in)
{
	struct mqtt *m = in->state;
	carry_free(in->mem, &m->half[0].kept);
	carry_free(in->mem, &m->half[1].kept);
}

const struct parser parser_mqtt = {
    .name = "mqtt",
    .over = OVER_TCP,
    .state_size = sizeof(struct mqtt),
    .probe = mqtt_probe,
    .stream = mqtt_stream,
    .gap = mqtt_gap,
    .describe = mqtt_describe,
    .drop = mqtt_drop,
};
