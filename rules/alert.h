/* An alert: one indicator, seen on one flow, in one place. Its JSON (Suricata
 * EVE's names, plus ours) and the record that carries it to the collector. */
#ifndef RULES_ALERT_H
#define RULES_ALERT_H

#include "common/addr.h"
#include "common/buf.h"
#include "common/cursor.h"
#include "rules/ruleset.h"

enum direction { DIRECTION_UNKNOWN = 0, DIRECTION_OUTBOUND, DIRECTION_INBOUND, DIRECTION_INTERNAL, DIRECTION_EXTERNAL,
		 DIRECTION_COUNT };
extern const char *const direction_names[DIRECTION_COUNT + 1];

/* What the parser knew of the transaction, for the "tls", "http", "dns" … object:
 * key is a path below the protocol's own object ("sni", "ja3.hash"), value the
 * bytes from the wire. Borrowed for the call. */
#define ALERT_APP_MAX 24
struct alert_app {
	const char *object; /* "tls", "http", "dns"; NULL = none */
	size_t n;
	struct {
		const char *key;
		struct bytes value;
		bool number; /* value.p is NULL and value.n is the number */
	} field[ALERT_APP_MAX];
};
void alert_app_text(struct alert_app *app, const char *key, const void *value, size_t n); /* ignored when full or empty */
void alert_app_number(struct alert_app *app, const char *key, size_t number);

/* The flow as the alert tells it: src is the originator. */
struct alert_flow {
	uint64_t id;
	struct addr src, dest;
	uint16_t src_port, dest_port; /* 0 for what has none */
	uint8_t proto;                /* IP protocol number */
	bool ipv6;                    /* the packets were IPv6: ::ffff:a.b.c.d in them is shown so */
	uint8_t icmp_type, icmp_code;
	uint8_t vlan_n;
	uint16_t vlan[4];
	bool tunnelled;
	struct addr tunnel_src, tunnel_dest;
	const char *tunnel_proto; /* "gre", "vxlan", … */
	const char *iface;        /* interface or file name */
	const char *app_proto;    /* NULL = not known */
	enum direction direction;
};

struct alert {
	int64_t ts_us;
	struct alert_flow flow;
	ruleset_ref indicator;
	enum where where;
	struct bytes observable; /* as on the wire; addresses as 16 bytes */
	struct alert_app app;
};

/* Who raised it and how it folds: the same for all alerts of a sensor. */
struct alert_origin {
	const char *sensor_id, *site, *tenant; /* tenant: "" unless configured */
	const struct prefix *home; /* the organisation's own networks; none = RFC 1918, ULA, link-local */
	size_t home_n;
};

bool alert_is_home(const struct alert_origin *o, const struct addr *a);
enum direction alert_direction(const struct alert_origin *o, const struct addr *src, const struct addr *dest);

/* Appends one JSON object without a newline. Valid UTF-8 whatever was on the
 * wire; deterministic (same alert, same bytes). alert_id is derived from the
 * content, so the same capture twice gives the same ids. */
void alert_json(struct buf *out, const struct alert *a, const struct ruleset *r, const struct alert_origin *o);

/* ---- the record in the spool and in DATA frames ----
 *
 *   0   u8  version (1)
 *   1   u8  kind
 *   2   u8  severity
 *   3   u8  flags: bit 0 exercise
 *   4   u32 n: how many alerts it stands for (1 or more)
 *   8   u64 first event time, microseconds since 1970
 *  16   u64 last event time
 *  24   16 bytes group key
 *  40   fields: u8 id, u16 length, bytes; in any order, unknown ids are skipped
 *
 * The group key is the first 16 bytes of SHA-256 over the schema version,
 * tenant, set id, indicator id, kind of where, and the endpoints that the
 * indicator's fold asks for, each length-prefixed, and the exercise's name when
 * there is one: never ports, never time. */
enum record_kind { RECORD_ALERT = 0, RECORD_LOSS, RECORD_KIND_COUNT };

/* FIELD_SRC, _DEST and _ENDPOINT (the internal end) are text as addr_format()
 * writes it, FIELD_SET_VERSION is decimal; all others are names or the text that
 * was given. */
enum record_field {
	FIELD_SET = 1, FIELD_SET_VERSION, FIELD_INDICATOR, FIELD_TYPE, FIELD_VALUE, FIELD_WHERE, FIELD_SRC, FIELD_DEST,
	FIELD_ENDPOINT, FIELD_APP, FIELD_TLP, FIELD_PRODUCER, FIELD_EXERCISE, FIELD_TENANT, FIELD_REASON,
	FIELD_PEER, /* 16 bytes; may repeat: the distinct far ends */
	FIELD_JSON, /* the alert as alert_json() wrote it */
	FIELD_FOLD,
	FIELD_COUNT
};

#define RECORD_PEERS_MAX 64

struct record {
	enum record_kind kind;
	enum severity severity;
	bool exercise;
	uint32_t n;
	int64_t first_us, last_us;
	uint8_t key[16];
	struct bytes field[FIELD_COUNT]; /* FIELD_PEER: the first one */
	struct bytes peer[RECORD_PEERS_MAX];
	size_t peers;
};

/* Appends the record of one alert, n = 1, with its JSON (given, so that it is
 * made once). */
void alert_record(struct buf *out, const struct alert *a, const struct ruleset *r, const struct alert_origin *o,
		  struct bytes json);
void record_write(struct buf *out, const struct record *rec);
/* Borrowed views into data. False: not a record we can believe. */
bool record_read(const void *data, size_t n, struct record *rec);
/* The key recomputed from the fields, to check a sensor's word. */
void record_key(const struct record *rec, uint8_t key[static 16]);
struct hash_key;
/* A keyed hash of set and indicator: what keeps one indicator's flood from others. */
uint64_t record_indicator_hash(const struct hash_key *k, const struct record *rec);

#endif
