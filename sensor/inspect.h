/* Inspection: the seam between bytes and observables. A parser understands one
 * protocol; it is told bytes in order (stream) or whole datagrams, on any port,
 * and reports what it saw with observe(). It knows nothing of indicators,
 * alerts or nDPI; its row in rules/where.h says what is matched.
 *
 * Parsers read through common/cursor.h, hold only bounded state from in->mem,
 * never block, never log; every limit they have is a constant with MAX in its name,
 * counted (LEDGER_PARSER_LIMIT), tested, and told in deploy/limits.md. */
#ifndef SENSOR_INSPECT_H
#define SENSOR_INSPECT_H

#include "common/cursor.h"
#include "common/mem.h"
#include "rules/alert.h"
#include "rules/where.h"
#include "sensor/flow.h"
#include "sensor/ledger.h"

struct parser;
struct inspector;

/* What a parser sees of its flow. */
struct inspect {
	int64_t ts_us;
	struct addr src, dest; /* originator, responder */
	uint16_t src_port, dest_port;
	uint8_t proto;
	uint64_t flow_id;
	indicator_mask want; /* types that the rule set holds: skip work that nothing asks for */
	indicator_mask shed; /* types that it holds and that overload sets aside: not in want */
	struct mem *mem;
	struct ledger *ledger;
	const struct parser *parser; /* the current one */
	void *state;                 /* its state */
	struct bytes note;           /* of an expected connection: inspect_note() */
	void *owner;                 /* struct detector: not for parsers */
	struct inspector *inspector; /* not for parsers */
};

/* Reports an observable, as it stood on the wire. For an alert that follows from
 * it, the parser's describe() is asked for the transaction at once, within this
 * call. Cheap when nothing wants the types of w.
 * False: the rule set surely holds nothing for this value, in any place that asks
 * for the same types: observe_again() says that it stood in another such place. */
bool observe(struct inspect *in, enum where w, const void *value, size_t n);

/* A DNS message whose only question is for name (as it is observed): what the
 * heuristics judge. */
void inspect_dns_message(struct inspect *in, bool answer, uint8_t rcode, const char *name, size_t n);

static inline bool wanted(const struct inspect *in, enum where w)
{
	return (in->want & where_types(w)) != 0;
}

/* A value that observe() said false for: it is counted, not looked up a second time. */
static inline void observe_again(struct inspect *in, enum where w)
{
	if (wanted(in, w))
		ledger_count(in->ledger, LEDGER_TRANSACTIONS);
}

/* What is observed from here on belongs to one object of the flow (a file, a
 * certificate, a mail, a request): to a new one (OBJECT_NEW), to one that was begun
 * before, or to none in particular (0). Gives what it belonged to until now, so that
 * the caller can go back to it. STIX patterns about one object ask for it, nothing else. */
#define OBJECT_NEW UINT32_MAX
uint32_t inspect_object_set(struct inspect *in, uint32_t object);
static inline uint32_t inspect_object(struct inspect *in, uint32_t object)
{
	return in->want & INDICATOR_BIT(INDICATOR_STIX) ? inspect_object_set(in, object) : 0;
}

enum probe { PROBE_NO = 0, PROBE_MORE, PROBE_YES };

enum verdict {
	INSPECT_MORE = 0,  /* go on */
	INSPECT_DONE,      /* nothing more to find on this flow: no more bytes, please */
	INSPECT_ERROR,     /* the bytes break the protocol (counted); the flow is probed no more */
	INSPECT_SIDE_DONE, /* nothing more to find on this side of the stream: no more bytes of it, please */
	INSPECT_AGAIN      /* from here on another protocol begins (STARTTLS, CONNECT, upgrade): probe
			      both sides anew, beginning behind the bytes that *used says */
};

#define OVER_TCP 1
#define OVER_UDP 2

enum late {
	LATE_NEVER = 0,
	LATE_UNKNOWN, /* once every parser has said no to the side */
	LATE_ANY      /* also while one waits for more */
};

struct parser {
	const char *name; /* app_proto, and the alert's object unless describe says otherwise */
	unsigned over;
	size_t state_size; /* zeroed for each flow; 0 = stateless */

	/* Is this the protocol? Sees the first bytes of one side of a stream (up to
	 * PROBE_MAX, more with each segment), or one datagram. Must be strict: ports are
	 * a hint at most, a false yes blinds the right parser. */
	enum probe (*probe)(const struct inspect *in, enum side side, const uint8_t *p, size_t n);

	/* May begin behind the first words of a protocol that no parser knows (SOCKS, PROXY,
	 * database handshakes before TLS, a malformed first message): probe() is also shown
	 * the beginning of each further segment, and must say yes to that alone. */
	enum late late;

	/* The next bytes of one side, in order. The parser keeps what it needs of an
	 * incomplete message itself (struct carry). *used is n on entry; only with
	 * INSPECT_AGAIN may it be set lower. */
	enum verdict (*stream)(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used);
	/* Bytes were lost. NULL: the side is given up. */
	enum verdict (*gap)(struct inspect *in, enum side side, size_t lost);
	/* The side ended (FIN, RST, or the flow's end). May be NULL. */
	void (*close)(struct inspect *in, enum side side);

	enum verdict (*datagram)(struct inspect *in, enum side side, const uint8_t *p, size_t n);

	void (*describe)(const struct inspect *in, struct alert_app *app); /* may be NULL */
	void (*drop)(struct inspect *in); /* give back what the state holds; may be NULL */
};

#define PROBE_MAX 4096 /* bytes per side after which a stream counts as unrecognised */

extern const struct parser *const parsers[]; /* sensor/parsers.c: in order of probing; NULL-terminated */

/* A connection is about to come to or from addr:port (FTP data, TFTP): it belongs to parser p,
 * a stream when it looks like no other protocol, datagrams when p's probe() says so, and is told note
 * (copied, at most 255 bytes), which the parser finds with inspect_note(). Forgotten after 60 s. */
void inspect_expect(struct inspect *in, const struct addr *a, uint16_t port, const struct parser *p, const void *note,
		    size_t n);
struct bytes inspect_note(const struct inspect *in);

#endif
