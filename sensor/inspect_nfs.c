/* NFS 2, 3 and 4 (RFC 1094, 1813, 7530, 5661) over ONC RPC (RFC 5531): the names
 * that calls carry. Over TCP each message comes in fragments: u32 with bit 31 set
 * in the last, the rest the length; of a call over several the beginning is joined.
 * XDR (RFC 4506), all in units of four bytes:
 *
 *   call   u32 xid, 0, 2 (RPC version), program, version, procedure,
 *          u32 flavour, opaque credential, u32 flavour, opaque verifier, arguments
 *   reply  u32 xid, 1, …: stepped over
 *
 * NFS 2 and 3: a file handle (32 bytes; opaque), then the name; RENAME and LINK
 * have a second pair. NFS 4: COMPOUND is a list of operations of which each has
 * its own arguments; it is read up to the first whose arguments are not known.
 *
 * Content (READ, WRITE) is not hashed: it comes in any order and in parallel,
 * and mostly from a cache that we do not see. */
#include <string.h>

#include "sensor/framed.h"
#include "sensor/parsers.h"

#define HEAD_MAX     8192 /* bytes of a call that are looked at */
#define NAME_BYTES   1024
#define CREDENTIAL   400 /* RFC 5531 8.2 */
#define OPERATIONS   32  /* of one COMPOUND */
#define BITMAP_WORDS 8

enum { NFS = 100003, RPC_VERSION = 2, CALL = 0, PROCEDURES = 22, LAST = 1u << 31 };
enum { CALL_MIN = 40, LOOK = 24 }; /* with empty credentials; up to the procedure */
enum { FRAGMENT = 1 << 24 };       /* a longer one begins no conversation */

struct nfs {
	struct framed half[2]; /* TCP */
	bool inside[2];        /* fragments of a message that has begun follow, */
	bool read[2];          /* of which nothing is looked at any more */
};

static struct bytes opaque(struct cursor *c)
{
	size_t n = cursor_u32(c);
	struct bytes b = cursor_bytes(c, n);
	cursor_skip(c, (4 - n % 4) % 4);
	return b;
}

static void report(struct inspect *in, const struct cursor *c, struct bytes name)
{
	if (!cursor_ok(c) || !name.n)
		return;
	if (name.n > NAME_BYTES)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	else
		observe(in, WHERE_NFS_FILE, name.p, name.n);
}

/* ---- versions 2 and 3 ---- */

static void handle(struct cursor *c, uint32_t version)
{
	if (version == 2)
		cursor_skip(c, 32);
	else
		opaque(c);
}

enum shape { NO_NAME = 0, NAME, NAME_TWICE, HANDLE_NAME };

/* What a procedure's arguments begin with: RFC 1094 2.2, RFC 1813 3. */
static enum shape shape_of(uint32_t version, uint32_t procedure)
{
	static const uint8_t v2[PROCEDURES] = {[4] = NAME,         [9] = NAME,  [10] = NAME, [11] = NAME_TWICE,
					       [12] = HANDLE_NAME, [13] = NAME, [14] = NAME, [15] = NAME};
	static const uint8_t v3[PROCEDURES] = {
	    [3] = NAME,  [8] = NAME,  [9] = NAME,        [10] = NAME,       [11] = NAME,
	    [12] = NAME, [13] = NAME, [14] = NAME_TWICE, [15] = HANDLE_NAME};
	if (procedure >= PROCEDURES)
		return NO_NAME;
	return (enum shape)(version == 2 ? v2[procedure] : v3[procedure]);
}

static void read_names(struct inspect *in, struct cursor *c, uint32_t version, enum shape shape)
{
	if (shape == NO_NAME)
		return;
	handle(c, version);
	if (shape == HANDLE_NAME)
		handle(c, version);
	report(in, c, opaque(c));
	if (shape != NAME_TWICE)
		return;
	handle(c, version);
	report(in, c, opaque(c));
}

/* ---- version 4 ---- */

enum {
	ACCESS = 3,
	CLOSE = 4,
	COMMIT = 5,
	GETATTR = 9,
	GETFH = 10,
	LOOKUP = 15,
	LOOKUPP = 16,
	OPEN = 18,
	PUTFH = 22,
	PUTROOTFH = 24,
	READDIR = 26,
	REMOVE = 28,
	RENAME = 29,
	RESTOREFH = 31,
	SAVEFH = 32,
	SEQUENCE = 53
};
enum { OPEN_CREATE = 1, EXCLUSIVE = 2, EXCLUSIVE_ATTRIBUTES = 3, CLAIM_NULL = 0 };

static void bitmap(struct cursor *c)
{
	size_t words = cursor_u32(c);
	if (words > BITMAP_WORDS)
		c->bad = true;
	cursor_skip(c, words * 4);
}

/* RFC 7530 16.16.1 */
static void read_open(struct inspect *in, struct cursor *c)
{
	cursor_skip(c, 4 + 4 + 4 + 8);
	opaque(c);
	uint32_t mode = cursor_u32(c) == OPEN_CREATE ? cursor_u32(c) : EXCLUSIVE + 2;
	if (mode == EXCLUSIVE || mode == EXCLUSIVE_ATTRIBUTES)
		cursor_skip(c, 8);
	if (mode <= EXCLUSIVE_ATTRIBUTES && mode != EXCLUSIVE) {
		bitmap(c);
		opaque(c);
	}
	if (cursor_u32(c) == CLAIM_NULL)
		report(in, c, opaque(c));
	else
		c->bad = true; /* other claims are not known: nothing behind can be read */
}

/* One operation's arguments; makes the cursor bad behind which nothing is read. */
static void read_operation(struct inspect *in, struct cursor *c, uint32_t operation)
{
	switch (operation) {
	case GETFH:
	case LOOKUPP:
	case PUTROOTFH:
	case RESTOREFH:
	case SAVEFH:
		break;
	case ACCESS:
		cursor_skip(c, 4);
		break;
	case CLOSE:
		cursor_skip(c, 4 + 16);
		break;
	case COMMIT:
		cursor_skip(c, 8 + 4);
		break;
	case GETATTR:
		bitmap(c);
		break;
	case PUTFH:
		opaque(c);
		break;
	case SEQUENCE:
		cursor_skip(c, 16 + 4 * 4);
		break;
	case READDIR:
		cursor_skip(c, 8 + 8 + 4 + 4);
		bitmap(c);
		break;
	case RENAME:
		report(in, c, opaque(c));
		report(in, c, opaque(c));
		break;
	case LOOKUP:
	case REMOVE:
		report(in, c, opaque(c));
		break;
	case OPEN:
		read_open(in, c);
		break;
	default:
		c->bad = true;
	}
}

static void read_compound(struct inspect *in, struct cursor *c)
{
	opaque(c);
	cursor_skip(c, 4);
	uint32_t n = cursor_u32(c);
	if (n > OPERATIONS)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	for (uint32_t i = 0; i < n && i < OPERATIONS && cursor_ok(c); i++)
		read_operation(in, c, cursor_u32(c));
}

/* ---- RPC ---- */

struct call {
	uint32_t version, procedure;
};

/* Steps to the credentials. False: not a call of NFS. */
static bool read_call(struct cursor *c, struct call *call)
{
	cursor_skip(c, 4);
	bool good = cursor_u32(c) == CALL && cursor_u32(c) == RPC_VERSION && cursor_u32(c) == NFS;
	call->version = cursor_u32(c);
	call->procedure = cursor_u32(c);
	return good && cursor_ok(c) && call->version >= 2 && call->version <= 4 && call->procedure < PROCEDURES;
}

/* cut: more of the message follows that is not looked at. */
static void read_message(struct inspect *in, struct cursor c, bool cut)
{
	struct call call;
	if (!read_call(&c, &call))
		return;
	for (int i = 0; i < 2; i++) {
		cursor_skip(&c, 4);
		if (opaque(&c).n > CREDENTIAL)
			return;
	}
	if (call.version < 4)
		read_names(in, &c, call.version, shape_of(call.version, call.procedure));
	else if (call.procedure == 1)
		read_compound(in, &c);
	if (cut && !cursor_ok(&c) && !cursor_left(&c))
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
}

static enum probe nfs_udp_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	struct call call;
	(void)in;
	(void)side;
	return n >= CALL_MIN && read_call(&c, &call) ? PROBE_YES : PROBE_NO;
}

static enum verdict nfs_datagram(struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)side; /* a call says that it is one; servers call back */
	read_message(in, cursor_over(p, n), false);
	return INSPECT_MORE;
}

/* ---- TCP ---- */

/* What a call begins with, out of the fragments that the stream begins with: at most LOOK bytes. False: it
 * ends before, or a fragment is empty, as nobody sends them. *n is how many there are. */
static bool gather(struct cursor c, uint8_t out[static LOOK], size_t *n)
{
	for (*n = 0; *n < LOOK && cursor_left(&c);) {
		uint32_t mark = cursor_u32(&c), length = mark & ~LAST;
		if (!cursor_ok(&c))
			return true;
		if (!length || length > FRAGMENT || ((mark & LAST) && *n + length < CALL_MIN))
			return false;
		size_t take = length < LOOK - *n ? length : LOOK - *n;
		take = take < cursor_left(&c) ? take : cursor_left(&c);
		struct bytes piece = cursor_bytes(&c, take);
		memcpy(out + *n, piece.p, piece.n);
		*n += piece.n;
		if (take < length)
			return true;
	}
	return true;
}

static enum probe nfs_tcp_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	static const uint8_t is_call[] = {0, 0, 0, CALL, 0, 0, 0, RPC_VERSION};
	uint8_t first[LOOK];
	size_t have;
	struct call call;
	(void)in;
	(void)side;
	if (!gather(cursor_over(p, n), first, &have))
		return PROBE_NO;
	size_t known = have < 4 ? 0 : have - 4 < sizeof(is_call) ? have - 4 : sizeof(is_call);
	if (memcmp(first + 4, is_call, known) != 0)
		return PROBE_NO;
	if (have < LOOK)
		return PROBE_MORE;
	struct cursor c = cursor_over(first, have);
	return read_call(&c, &call) ? PROBE_YES : PROBE_NO;
}

static size_t head(const struct inspect *in, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	size_t length = cursor_u32(&c) & ~LAST;
	(void)in;
	if (!cursor_ok(&c))
		return 4;
	return length < HEAD_MAX ? 4 + length : 4 + HEAD_MAX;
}

/* Of a message over several fragments the first HEAD_MAX bytes are joined, when it is a call. */
static void read_fragment(struct inspect *in, enum side side, struct framed *f, struct cursor c, bool last)
{
	struct nfs *s = in->state;
	struct call call;
	struct cursor first = c;
	if (!s->inside[side] && last) {
		read_message(in, c, f->skip);
		return;
	}
	if (!s->inside[side])
		s->read[side] = cursor_left(&c) >= LOOK && !read_call(&first, &call);
	s->inside[side] = !last;
	if (s->read[side])
		return;
	bool cut = !framed_join(in, f, c.p, cursor_left(&c), HEAD_MAX) || f->skip;
	if (!last && !cut)
		return;
	read_message(in, cursor_over(f->joined.p, f->joined.n), cut);
	carry_free(in->mem, &f->joined);
	s->read[side] = true;
}

static enum verdict message(struct inspect *in, enum side side, struct framed *f, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	uint32_t mark = cursor_u32(&c);
	f->skip = (mark & ~LAST) - cursor_left(&c);
	read_fragment(in, side, f, c, mark & LAST);
	return INSPECT_MORE;
}

static const struct framing framing = {.max = HEAD_MAX + 4, .head = head, .message = message};

static enum verdict nfs_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct nfs *s = in->state;
	return framed_stream(in, side, &s->half[side], &framing, p, n, used);
}

static enum verdict nfs_gap(struct inspect *in, enum side side, size_t lost)
{
	struct nfs *s = in->state;
	return framed_gap(in, &s->half[side], lost);
}

static void nfs_drop(struct inspect *in)
{
	struct nfs *s = in->state;
	framed_drop(in, &s->half[0]);
	framed_drop(in, &s->half[1]);
}

const struct parser parser_nfs_tcp = {
    .name = "nfs",
    .over = OVER_TCP,
    .state_size = sizeof(struct nfs),
    .probe = nfs_tcp_probe,
    .stream = nfs_stream,
    .gap = nfs_gap,
    .drop = nfs_drop,
};

const struct parser parser_nfs_udp = {
    .name = "nfs",
    .over = OVER_UDP,
    .probe = nfs_udp_probe,
    .datagram = nfs_datagram,
};
