/* The record formats of capture files. libpcap's own reader is not used: it
 * takes 2-8 times as long per packet, and refuses a pcapng file whose interfaces
 * differ in link type, which every host with a tunnel interface produces.
 *
 * Classic pcap (draft-ietf-opsawg-pcap), in the byte order of its magic:
 *   0 magic: a1b2c3d4 microseconds, a1b23c4d nanoseconds, a1b2cd34 "modified" | 4 major(2) = 2 | 6 minor(2)
 *   8 zone, accuracy(8) | 16 snapshot length | 20 link type (low 26 bits; above: frame check sequence)
 *   record: 0 seconds | 4 fraction | 8 captured length | 12 original length | modified: 16 interface … (8) | data
 *   Before version 2.3 the lengths are the other way round; in 2.3 some are.
 *
 * pcapng (draft-ietf-opsawg-pcapng): blocks of 0 type | 4 length | body, padded to four | length again
 *   0a0d0d0a section: 8 byte order 1a2b3c4d | 12 major(2) = 1 | … ; every section has its own byte order and interfaces
 *   1 interface: 8 link type(2) | 12 snapshot length | 16 options: 0 code(2) | 2 length(2) | value, padded to four
 *     option 9: resolution, 10^-n or with bit 7 2^-n; option 14: seconds to add
 *   6 packet: 8 interface | 12 time high | 16 time low | 20 captured | 24 original | 28 data
 *   2 old packet: 8 interface(2), drops(2) | 12 … as above
 *   3 simple packet: 8 original | 12 data (as long as the first interface's snapshot length allows); no time
 *   Any other block is stepped over, however long.
 *
 * A damaged file ends with a sentence where the damage is; no attempt is made to
 * find a later record again, because what is found may be a packet's content. */
#include "sensor/capture_file.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/cursor.h"
#include "sensor/capture_input.h"

enum {
	RECORD_MAX = 256 << 10,     /* captured bytes of one packet: libpcap's largest snapshot length */
	BLOCK_READ_MAX = 320 << 10, /* a pcapng block that is read: a packet with its options */
	INTERFACES_MAX = 16384,     /* of one pcapng section */
	CLASSIC_HEAD = 24,
	SECTION_HEAD = 28
};

#define TIME_MAX_S INT64_C(253402300799) /* the end of the year 9999 */

enum format { FORMAT_CLASSIC = 0, FORMAT_PCAPNG, FORMAT_COUNT };

struct interface {
	int link_type;
	uint32_t snaplen;
	uint64_t per_second; /* units of its time stamps */
	int64_t offset_s;
};

struct capture_file {
	struct input in;
	char *name;
	char format_text[48];
	enum format format;
	bool big; /* byte order of the file or section */
	bool done, cut, failed;
	struct err why; /* of the end, when it is not a plain one */
	/* classic */
	int link_type;
	bool nanoseconds, swapped_lengths, maybe_swapped;
	bool plain; /* none of these, in this machine's byte order */
	size_t record_head;
	/* pcapng */
	struct interface *interface;
	size_t interfaces, interfaces_cap;
	int64_t last_us; /* for packets without a time */
};

enum step { STEP_PACKET = 0, STEP_OTHER, STEP_SHORT, STEP_DAMAGED };

static uint32_t get32(const struct capture_file *f, struct cursor *c)
{
	return f->big ? cursor_u32(c) : cursor_u32le(c);
}

static uint16_t get16(const struct capture_file *f, struct cursor *c)
{
	return f->big ? cursor_u16(c) : cursor_u16le(c);
}

static struct cursor window(const struct capture_file *f)
{
	return cursor_over(f->in.p, f->in.n);
}

__attribute__((format(printf, 2, 3))) static enum step damaged(struct capture_file *f, const char *fmt, ...)
{
	char what[200];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	err_set(&f->why, "\"%s\" is damaged: %s; what came before it was read", f->name, what);
	return STEP_DAMAGED;
}

/* ---- classic pcap ---- */

static bool open_classic(struct capture_file *f, uint32_t magic, struct err *e)
{
	struct cursor c = window(f);
	cursor_skip(&c, 4);
	uint16_t major = get16(f, &c), minor = get16(f, &c);
	cursor_skip(&c, 12);
	f->link_type = (int)(get32(f, &c) & 0x03ffffff);
	if (!cursor_ok(&c))
		return err_set(e, "cannot read \"%s\": it ends within the header of a capture file", f->name);
	if (major != 2)
		return err_set(e, "cannot read \"%s\": capture file version %u.%u, expected 2.x", f->name, major,
			       minor);
	f->format = FORMAT_CLASSIC;
	f->nanoseconds = magic == 0xa1b23c4d;
	f->record_head = magic == 0xa1b2cd34 ? 24 : 16;
	f->swapped_lengths = minor < 3;
	f->maybe_swapped = minor == 3;
	f->plain = magic == 0xa1b2c3d4 && minor > 3 && f->big == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
	input_use(&f->in, CLASSIC_HEAD);
	return true;
}

/* The four numbers of a record's head in one go: this is asked for every packet. */
static bool record_numbers(const struct capture_file *f, struct cursor *c, uint32_t out[static 4])
{
	const uint8_t *p = cursor_take(c, f->record_head);
	if (!p)
		return false;
	memcpy(out, p, 16);
	for (int i = 0; i < 4; i++)
		out[i] = f->big ? be32toh(out[i]) : le32toh(out[i]);
	return true;
}

static enum step next_classic(struct capture_file *f, struct raw_packet *raw)
{
	struct cursor c = window(f);
	uint32_t head[4];
	if (!record_numbers(f, &c, head))
		return STEP_SHORT;
	uint32_t seconds = head[0], fraction = head[1], n = head[2], wire_n = head[3];
	if (f->swapped_lengths || (f->maybe_swapped && n > wire_n)) {
		uint32_t t = n;
		n = wire_n;
		wire_n = t;
	}
	if (n > RECORD_MAX)
		return damaged(f, "a packet of %u bytes, the limit is %d", n, RECORD_MAX);
	raw->data = cursor_take(&c, n);
	if (!cursor_ok(&c))
		return STEP_SHORT;
	raw->ts_us = (int64_t)seconds * 1000000 + (f->nanoseconds ? fraction / 1000 : fraction);
	raw->n = n;
	raw->wire_n = wire_n > n ? wire_n : n;
	raw->link_type = f->link_type;
	input_use(&f->in, f->record_head + n);
	return STEP_PACKET;
}

/* ---- pcapng ---- */

static void set_resolution(struct interface *i, uint8_t r)
{
	unsigned n = r & 0x7f;
	if (r & 0x80) {
		i->per_second = n < 64 ? UINT64_C(1) << n : 0;
		return;
	}
	i->per_second = n < 20 ? 1 : 0;
	for (unsigned k = 0; k < n && i->per_second; k++)
		i->per_second *= 10;
}

static void read_options(const struct capture_file *f, struct interface *i, struct cursor c)
{
	while (cursor_left(&c)) {
		uint16_t code = get16(f, &c), n = get16(f, &c);
		struct cursor value = cursor_sub(&c, n);
		cursor_skip(&c, (4 - n % 4u) % 4);
		if (!code || !cursor_ok(&value))
			return;
		if (code == 9 && n == 1)
			set_resolution(i, cursor_u8(&value));
		if (code == 14 && n == 8) {
			uint64_t low = get32(f, &value), high = get32(f, &value);
			i->offset_s = (int64_t)(f->big ? low << 32 | high : high << 32 | low);
		}
	}
}

static enum step read_interface(struct capture_file *f, struct cursor c)
{
	struct interface i = {.per_second = 1000000};
	i.link_type = get16(f, &c);
	cursor_skip(&c, 2);
	i.snaplen = get32(f, &c);
	if (!cursor_ok(&c))
		return damaged(f, "an interface description of %zu bytes", cursor_left(&c));
	read_options(f, &i, c);
	if (!i.per_second)
		return damaged(f, "an interface with an impossible time resolution");
	if (f->interfaces == INTERFACES_MAX)
		return damaged(f, "more than %d interfaces", INTERFACES_MAX);
	if (f->interfaces == f->interfaces_cap) {
		f->interfaces_cap = f->interfaces_cap ? f->interfaces_cap * 2 : 8;
		f->interface = xrealloc(f->interface, f->interfaces_cap * sizeof(*f->interface));
	}
	f->interface[f->interfaces++] = i;
	return STEP_OTHER;
}

static int64_t time_us(const struct interface *i, uint64_t t)
{
	uint64_t per = i->per_second, s = t / per;
	if (s > (uint64_t)TIME_MAX_S)
		s = (uint64_t)TIME_MAX_S;
	int64_t seconds = (int64_t)s, offset = i->offset_s;
	if (offset > TIME_MAX_S - seconds)
		offset = TIME_MAX_S - seconds;
	if (offset < -seconds)
		offset = -seconds;
	uint64_t rest = per == 1000000 ? t % per : (uint64_t)((unsigned __int128)(t % per) * 1000000 / per);
	return (seconds + offset) * 1000000 + (int64_t)rest;
}

/* A packet of n bytes at c, of the interface with that index. */
static enum step give(struct capture_file *f, struct raw_packet *raw, struct cursor c, uint32_t n, uint32_t wire_n)
{
	if (n > RECORD_MAX)
		return damaged(f, "a packet of %u bytes, the limit is %d", n, RECORD_MAX);
	raw->data = cursor_take(&c, n);
	if (!cursor_ok(&c))
		return damaged(f, "a packet of %u bytes in a shorter block", n);
	raw->n = n;
	raw->wire_n = wire_n > n ? wire_n : n;
	return STEP_PACKET;
}

static enum step read_packet(struct capture_file *f, struct raw_packet *raw, struct cursor c, bool old)
{
	uint32_t index = old ? get16(f, &c) : get32(f, &c);
	if (old)
		cursor_skip(&c, 2);
	uint64_t high = get32(f, &c), low = get32(f, &c);
	uint32_t n = get32(f, &c), wire_n = get32(f, &c);
	if (!cursor_ok(&c))
		return damaged(f, "a packet block too short for its header");
	if (index >= f->interfaces)
		return damaged(f, "a packet of interface %u, of %zu", index, f->interfaces);
	raw->link_type = f->interface[index].link_type;
	raw->ts_us = f->last_us = time_us(&f->interface[index], high << 32 | low);
	return give(f, raw, c, n, wire_n);
}

static enum step read_simple_packet(struct capture_file *f, struct raw_packet *raw, struct cursor c)
{
	uint32_t wire_n = get32(f, &c);
	if (!cursor_ok(&c) || !f->interfaces)
		return damaged(f, "a simple packet without %s", f->interfaces ? "a length" : "an interface");
	uint32_t n = wire_n, snaplen = f->interface[0].snaplen;
	if (snaplen && n > snaplen)
		n = snaplen;
	if (n > cursor_left(&c))
		n = (uint32_t)cursor_left(&c);
	raw->link_type = f->interface[0].link_type;
	raw->ts_us = f->last_us;
	return give(f, raw, c, n, wire_n);
}

/* Byte order first: it decides how the block's length is read. */
static enum step begin_section(struct capture_file *f)
{
	struct cursor c = window(f);
	cursor_skip(&c, 8);
	uint32_t order = cursor_u32(&c);
	cursor_skip(&c, SECTION_HEAD - 12);
	if (!cursor_ok(&c))
		return STEP_SHORT;
	if (order != 0x1a2b3c4d && order != 0x4d3c2b1a)
		return damaged(f, "a pcapng section with an unknown byte order");
	f->big = order == 0x1a2b3c4d;
	c = window(f);
	cursor_skip(&c, 12);
	uint16_t major = get16(f, &c);
	if (major != 1)
		return damaged(f, "a pcapng section of version %u, expected 1", major);
	f->interfaces = 0;
	return STEP_OTHER;
}

static enum step read_block(struct capture_file *f, struct raw_packet *raw, uint32_t type, struct cursor body)
{
	switch (type) {
	case 1:
		return read_interface(f, body);
	case 2:
	case 6:
		return read_packet(f, raw, body, type == 2);
	case 3:
		return read_simple_packet(f, raw, body);
	default:
		return STEP_OTHER;
	}
}

static bool wanted(uint32_t type)
{
	return type == 1 || type == 2 || type == 3 || type == 6;
}

static enum step next_pcapng(struct capture_file *f, struct raw_packet *raw)
{
	struct cursor c = window(f);
	uint32_t type = get32(f, &c);
	cursor_skip(&c, 4);
	if (!cursor_ok(&c))
		return STEP_SHORT;
	if (type == 0x0a0d0d0a) {
		enum step s = begin_section(f);
		if (s != STEP_OTHER)
			return s;
	}
	c = window(f);
	cursor_skip(&c, 4);
	uint32_t length = get32(f, &c);
	if (length < 12 || length % 4 || (type == 0x0a0d0d0a && length < SECTION_HEAD))
		return damaged(f, "a pcapng block of %u bytes", length);
	if (!wanted(type)) {
		input_skip(&f->in, length);
		return STEP_OTHER;
	}
	if (length > BLOCK_READ_MAX)
		return damaged(f, "a pcapng block of %u bytes, the limit is %d", length, BLOCK_READ_MAX);
	struct cursor body = cursor_sub(&c, length - 12);
	uint32_t again = get32(f, &c);
	if (!cursor_ok(&c))
		return STEP_SHORT;
	if (again != length)
		return damaged(f, "a pcapng block whose two lengths differ: %u and %u", length, again);
	enum step s = read_block(f, raw, type, body);
	if (s != STEP_DAMAGED)
		input_use(&f->in, length);
	return s;
}

/* ---- both ---- */

static bool open_pcapng(struct capture_file *f, struct err *e)
{
	f->format = FORMAT_PCAPNG;
	f->link_type = -1;
	if (f->in.n < SECTION_HEAD)
		return err_set(e, "cannot read \"%s\": it ends within the header of a capture file", f->name);
	if (begin_section(f) == STEP_OTHER)
		return true;
	return err_set(e, "%s", f->why.text);
}

static bool not_a_capture(const struct capture_file *f, struct err *e)
{
	static const struct {
		const char *magic, *is;
	} others[] = {
	    {"snoop\0\0\0", "a snoop capture"},
	    {"GMBU\0\2\0\0", "a Network Monitor capture"},
	    {"TRSNIFF ", "a Sniffer capture"},
	};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (f->in.n >= 8 && memcmp(f->in.p, others[i].magic, 8) == 0)
			return err_set(e, "cannot read \"%s\": it is %s; convert it with: editcap -F pcap", f->name,
				       others[i].is);
	}
	return err_set(e, "cannot read \"%s\": it is not a capture file (pcap or pcapng)", f->name);
}

static bool open_format(struct capture_file *f, struct err *e)
{
	enum input_result r = INPUT_MORE;
	while (f->in.n < SECTION_HEAD && r == INPUT_MORE)
		r = input_fill(&f->in, e);
	if (r == INPUT_CUT || r == INPUT_FAILED)
		return false;
	struct cursor big = window(f), little = big;
	uint32_t magic = cursor_u32(&big), reversed = cursor_u32le(&little);
	if (!cursor_ok(&big))
		return not_a_capture(f, e);
	if (magic == 0x0a0d0d0a)
		return open_pcapng(f, e);
	f->big = magic == 0xa1b2c3d4 || magic == 0xa1b23c4d || magic == 0xa1b2cd34;
	if (!f->big && reversed != 0xa1b2c3d4 && reversed != 0xa1b23c4d && reversed != 0xa1b2cd34)
		return not_a_capture(f, e);
	return open_classic(f, f->big ? magic : reversed, e);
}

static struct capture_file *open_input(struct capture_file *f, struct err *e)
{
	if (!open_format(f, e)) {
		capture_file_close(f);
		return NULL;
	}
	const char *packed = input_compression(&f->in);
	snprintf(f->format_text, sizeof(f->format_text), "%s%s%s",
		 f->format == FORMAT_PCAPNG ? "pcapng"
		 : f->nanoseconds           ? "pcap with nanoseconds"
					    : "pcap",
		 *packed ? ", " : "", packed);
	return f;
}

struct capture_file *capture_file_open(const char *path, struct err *e)
{
	struct capture_file *f = xcalloc(1, sizeof(*f));
	f->name = xstrdup(strcmp(path, "-") == 0 ? "standard input" : path);
	if (!input_open(&f->in, path, e)) {
		capture_file_close(f);
		return NULL;
	}
	return open_input(f, e);
}

struct capture_file *capture_file_open_memory(const void *data, size_t n, struct err *e)
{
	struct capture_file *f = xcalloc(1, sizeof(*f));
	f->name = xstrdup("memory");
	input_open_memory(&f->in, data, n);
	return open_input(f, e);
}

void capture_file_close(struct capture_file *f)
{
	if (!f)
		return;
	input_close(&f->in);
	free(f->interface);
	free(f->name);
	free(f);
}

/* More bytes into the window; false at the end. An input that fails still gives
 * what it had: its complaint waits until that has been used. */
static bool more_input(struct capture_file *f)
{
	if (f->cut || f->failed) {
		f->done = true;
		return false;
	}
	enum input_result r = input_fill(&f->in, &f->why);
	if (r == INPUT_MORE)
		return true;
	if (r == INPUT_END) {
		f->done = true;
		f->cut = f->in.n > 0 || input_skipping(&f->in);
		if (f->cut)
			err_set(&f->why,
				"\"%s\" is cut short: it ends in the middle of a packet; those before it were read",
				f->name);
		return false;
	}
	f->cut = r == INPUT_CUT;
	f->failed = r == INPUT_FAILED;
	return true;
}

static enum step next(struct capture_file *f, struct raw_packet *raw)
{
	return f->format == FORMAT_PCAPNG ? next_pcapng(f, raw) : next_classic(f, raw);
}

/* The decoder comes by when the burst is complete: until then the headers can be
 * on their way into the nearest cache (measured: 75 to 66 ns per packet with decoding). */
static void prefetch(const struct raw_packet *raw)
{
	__builtin_prefetch(raw->data);
	__builtin_prefetch(raw->data + (raw->n > 64 ? 64 : 0));
}

/* Records of the common classic file, one behind the other, without the questions
 * that next_classic() asks for the others: little-endian on a little-endian
 * machine, microseconds. Stops at the first that is not whole, or not possible. */
static void collect_plain(struct capture_file *f, struct burst *burst)
{
	enum { HEAD = 16 };
	const uint8_t *p = f->in.p, *end = p + f->in.n;
	while (burst->n < BURST_MAX && (size_t)(end - p) > HEAD) {
		uint32_t head[4];
		memcpy(head, p, HEAD);
		uint32_t n = head[2];
		if (n > RECORD_MAX || n > (size_t)(end - p) - HEAD)
			break;
		struct raw_packet *raw = &burst->packet[burst->n++];
		raw->ts_us = (int64_t)head[0] * 1000000 + head[1];
		raw->data = p + HEAD;
		raw->n = n;
		raw->wire_n = head[3] > n ? head[3] : n;
		raw->link_type = f->link_type;
		prefetch(raw);
		p += HEAD + n;
	}
	input_use(&f->in, (size_t)(p - f->in.p));
}

static void collect(struct capture_file *f, struct burst *burst)
{
	if (f->plain && !f->done)
		collect_plain(f, burst);
	while (burst->n < BURST_MAX && !f->done) {
		enum step s = next(f, &burst->packet[burst->n]);
		if (s == STEP_PACKET)
			prefetch(&burst->packet[burst->n++]);
		else if (s == STEP_DAMAGED)
			f->done = true;
		else if (s == STEP_SHORT && (burst->n || !more_input(f)))
			break;
	}
}

enum capture_result capture_file_read(struct capture_file *f, struct burst *burst, struct err *e)
{
	burst->n = 0;
	collect(f, burst);
	if (burst->n)
		return CAPTURE_PACKETS;
	err_set(e, "%s", f->why.text);
	return f->failed ? CAPTURE_FAILED : CAPTURE_EOF;
}

bool capture_file_cut(const struct capture_file *f)
{
	return f->cut;
}

int capture_file_link_type(const struct capture_file *f)
{
	return f->link_type;
}

const char *capture_file_format(const struct capture_file *f)
{
	return f->format_text;
}
