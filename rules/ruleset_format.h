/* The compiled rule set: one relocatable blob, the same bytes in memory and in
 * the file. Shared by ruleset_build.c (writes it), ruleset_file.c (opens it),
 * ruleset_record.c and ruleset.c (read it). Integers are in the machine's own
 * order; a file from a machine of the other order is refused by the mark.
 *
 *   0     8  magic "PICKETRS"
 *   8     4  version of this layout
 *   12    4  byte order mark 0x01020304
 *   16    8  bytes of the whole file
 *   24    8  checksum: XXH3 with the secret below over bytes 32 to the end
 *   32   32  digest: SHA-256 over the content (see below)
 *   64  192  secret of all hashes, random for each build
 *   256   …  struct ruleset_head from `types` on: counts, masks, section table
 *
 * Sections, each at a multiple of 64 bytes, in this order:
 *
 *   content    counts    struct ruleset_counts: so that the digest covers the bounds
 *              sets      struct ruleset_set_row []
 *              metas     struct ruleset_meta []: what many indicators share
 *              strings   NUL-terminated, offset 0 is "not given"
 *              records   one per indicator, then one per allow entry:
 *                        varint meta, u8 type, u8 form, varint n, n bytes of key,
 *                        NUL if the form shows the key as text,
 *                        [varint n, value, NUL] if the form says so,
 *                        [varint n, id, NUL]    if the form says so
 *   where read files     NUL-terminated names
 *              places    struct ruleset_place []: runs of lines
 *   derived    offsets   u32 [records]: where each begins
 *              groups    u32 []: n, then n refs of records that share a key
 *              patterns  u32 []: refs of payload and STIX patterns: what is compiled when the set is armed
 *              bloom     32-byte blocks: one bit in each of eight words
 *              table     64-byte lines: ten refs, ten fingerprints of 16 bits
 *              net4 net6 bit maps over the first bits of addresses: "some CIDR touches this"
 *
 * The digest covers the content only: neither the secret nor the folder that the
 * rules were read from changes it, so two machines that loaded the same rules
 * agree. The checksum covers everything and finds damage at memory speed; it is
 * no signature: who needs authenticity signs the file.
 *
 * Nothing in a file is believed: sections are checked when it is opened, and
 * every number read from one is checked when it is used. A hostile file can
 * give wrong answers, never a read outside the mapping or a loop without end. */
#ifndef RULES_RULESET_FORMAT_H
#define RULES_RULESET_FORMAT_H

#include "common/cursor.h"
#include "common/hash.h"
#include "rules/name_hash.h"
#include "rules/ruleset.h"

#define RULESET_MAGIC    "PICKETRS"
#define RULESET_VERSION  4u
#define RULESET_ENDIAN   0x01020304u
#define RULESET_ALIGN    64u
#define RULESET_MAX      (1u << 30) /* indicators */
#define RULESET_SET_MAX  65536u
#define RULESET_ID_MAX   1024u /* bytes of an author's id */
#define RULESET_SAME_MAX 1024u /* indicators that share one key */
#define RULESET_TYPES    64    /* bits of an indicator_mask */
#define RULESET_PROBES   1024u /* lines that one key may be away from its own */
#define RULESET_NONE     UINT32_MAX
#define RULESET_GROUP    0x80000000u /* a ref in the table with this bit is an index into groups */

#define BLOOM_BLOCK_BYTES 32u
#define BLOOM_WORDS       8 /* two halves of four: ruleset_bloom() */
#define TABLE_SLOTS       10
#define FILTER_BITS_MIN   16
#define FILTER_BITS_MAX   24

#define URL_DEPTH_MAX 16 /* a prefix is filed under its folder, at most this many '/' deep */

enum ruleset_section {
	SECTION_COUNTS = 0,
	SECTION_SETS,
	SECTION_METAS,
	SECTION_STRINGS,
	SECTION_RECORDS,
	SECTION_FILES,
	SECTION_PLACES,
	SECTION_OFFSETS,
	SECTION_GROUPS,
	SECTION_PATTERNS,
	SECTION_BLOOM,
	SECTION_TABLE,
	SECTION_NET4,
	SECTION_NET6,
	SECTION_COUNT
};

/* Prefix lengths in use, except the full length: bit n of v4, bit n of v6. */
struct ruleset_lengths {
	uint64_t v4, v6[2];
};

struct ruleset_head {
	char magic[8];
	uint32_t version, endian;
	uint64_t bytes, checksum;
	uint8_t digest[32];
	struct hash_key key;
	uint64_t types;
	struct ruleset_lengths net, allow_net;
	uint64_t depths; /* bit n: some name has n labels (63: 63 or more) */
	uint32_t count, allow;
	uint32_t hosts;        /* ip indicators and CIDRs of full length */
	uint32_t url_prefixes; /* url indicators with match: prefix */
	uint8_t filter_bits4, filter_bits6;
	uint8_t unused[6];
	uint32_t taken; /* places of the table that are not free */
	uint32_t stale; /* what deltas have left behind: records that no ref leads to, heads said again */
	uint32_t by_type[RULESET_TYPES];
	struct {
		uint64_t offset, bytes;
	} section[SECTION_COUNT];
};

struct ruleset_counts {
	uint64_t section_bytes[4]; /* sets, metas, strings, records */
	uint32_t count, allow;
	uint8_t unused[24];
};

struct ruleset_set_row {
	uint32_t id, title, producer, releasable_to, exercise; /* strings */
	uint32_t version, tlp, unused;
	int64_t valid_until_us;
};

struct ruleset_meta {
	uint32_t set;
	uint32_t labels, note, ref, where; /* strings */
	uint8_t severity, confidence, tlp, match, fold, unused[7];
	int64_t valid_from_us, valid_until_us;
};

/* From this ref on, up to the next run: file, and line + step * (ref - first). */
struct ruleset_place {
	uint32_t first, file, line, step;
};

struct ruleset_line {
	uint32_t ref[TABLE_SLOTS]; /* filled from the front; RULESET_NONE = free */
	uint16_t fingerprint[TABLE_SLOTS];
	uint32_t unused;
};

_Static_assert(sizeof(struct ruleset_line) == RULESET_ALIGN, "a table line is a cache line");
_Static_assert(sizeof(struct ruleset_counts) == 64 && sizeof(struct ruleset_set_row) == 40 &&
		   sizeof(struct ruleset_meta) == 48,
	       "no padding: it would enter the digest");

struct ruleset {
	struct ruleset_head head; /* a copy: the file may not change under us */
	const uint8_t *map;
	size_t bytes;
	bool in_file;      /* the map is of a file */
	uint8_t *near;     /* copies of its filters: ruleset_near() */
	size_t near_bytes; /* of their mapping */
	char digest[65];
	_Atomic uint64_t *silenced; /* by allow entry; NULL: there is none */
	/* Views into the map with their number of elements, checked when opened. */
	const struct ruleset_set_row *sets;
	const struct ruleset_meta *metas;
	const char *strings, *files;
	const uint8_t *records;
	const struct ruleset_place *places;
	const uint32_t *offsets, *groups, *patterns;
	const uint32_t *bloom;
	const struct ruleset_line *table;
	const uint8_t *net4, *net6;
	uint32_t set_n, meta_n, place_n, group_n, pattern_n, bloom_n, table_n;
	uint32_t strings_n, files_n, records_n;
};

/* How the author's value is told: a record stores it only when it must. */
enum record_form {
	FORM_STORED = 0, /* beside the key */
	FORM_KEY,        /* is the key */
	FORM_SLASHES,    /* the key without its leading "//" */
	FORM_LOWER,      /* made from the key: an address, lower-case hex */
	FORM_UPPER,      /* the key in upper-case hex */
	FORM_COUNT
};
#define FORM_MASK 0x0fu
#define FORM_ID   0x10u /* the author's id follows */

struct ruleset_record {
	enum indicator_type type;
	enum record_form form;
	uint32_t meta;
	struct bytes key;  /* addresses: 4 or 16 bytes, then length or port */
	const char *value; /* NULL: made from the key */
	const char *id;    /* NULL: made from type and value */
};

/* ---- ruleset_record.c ---- */

#define RULESET_VARINT_MAX 5
size_t ruleset_varint(uint8_t out[static RULESET_VARINT_MAX], uint32_t v);

/* All of a record but its meta: canonical key, the author's value and id (or NULL). */
struct buf;
void ruleset_record_put(struct buf *out, enum indicator_type t, const void *key, size_t key_n, const char *value,
			const char *id);
/* What ruleset_record_put() wrote. */
bool ruleset_record_body(struct cursor *c, struct ruleset_record *rec);
/* Record number i (allow entries stand behind the indicators); false when the file is wrong. */
bool ruleset_record_at(const struct ruleset *r, uint32_t i, struct ruleset_record *rec);
/* The canonical key again: either borrowed from the record or spelled into room. */
#define RULESET_KEY_ROOM 18
struct bytes ruleset_record_key(const struct ruleset_record *rec, uint8_t room[static RULESET_KEY_ROOM]);
const char *ruleset_record_value(const struct ruleset_record *rec, char room[static RULESET_VALUE_ROOM]);

/* ---- keys: what is hashed for a record and for an observable ---- */

#define SPACE_URL_PREFIX 62u
#define SPACE_ALLOW      64u /* added to a space: the allow list's */

/* Types that one lookup answers together share a space. */
static inline uint32_t space_of(enum indicator_type t)
{
	return t == INDICATOR_CIDR ? INDICATOR_IP : t == INDICATOR_HOSTNAME ? INDICATOR_DOMAIN : (uint32_t)t;
}

/* Addresses are asked for on every packet, so their 16 bytes have a keyed hash
 * that can be inlined: two folded multiplications with words of the secret.
 * length: of the prefix in the 16-byte form. */
static inline uint64_t address_hash(const struct hash_key *k, uint32_t space, uint32_t length, const void *address)
{
	uint64_t a[2], s[4];
	memcpy(a, address, sizeof(a));
	memcpy(s, k->secret, sizeof(s));
	uint64_t h = fold_multiply(a[0] ^ s[0] ^ (space | length << 8), a[1] ^ s[1]);
	return fold_multiply(h ^ s[2], s[3] | 1);
}

static inline uint64_t space_hash(const struct hash_key *k, uint32_t space, uint32_t length, const void *key, size_t n)
{
	if ((space & ~SPACE_ALLOW) == INDICATOR_IP)
		return address_hash(k, space, length, key);
	if ((space & ~SPACE_ALLOW) == INDICATOR_DOMAIN)
		return name_hash(k, space, key, n);
	return hash64(k, key, n) ^ ((uint64_t)space * UINT64_C(0x9e3779b97f4a7c15));
}

/* In SECTION_PATTERNS. */
static inline bool type_is_pattern(uint32_t t)
{
	return t == INDICATOR_PAYLOAD || t == INDICATOR_PAYLOAD_HEX || t == INDICATOR_STIX;
}

static inline uint32_t scale(uint64_t h, uint32_t n)
{
	return (uint32_t)((h >> 32) * n >> 32);
}

/* The bit of the CIDR filter that an address falls on. */
static inline uint32_t filter_bit(const struct addr *a, bool v4, unsigned bits)
{
	uint32_t first;
	memcpy(&first, v4 ? a->b + 12 : a->b, sizeof(first));
	return be32toh(first) >> (32 - bits);
}

/* ---- the first looks: whether it is worth looking closer ---- */

static inline const uint32_t *ruleset_bloom_block(const struct ruleset *r, uint64_t h)
{
	return r->bloom + (size_t)scale(h, r->bloom_n) * BLOOM_WORDS;
}

static inline uint32_t ruleset_bloom_half(const uint32_t *block, uint64_t h)
{
	return block[0] >> (h & 31) & block[1] >> (h >> 5 & 31) & block[2] >> (h >> 10 & 31) &
	       block[3] >> (h >> 15 & 31) & 1;
}

/* Half of the words settle 15 of 16 misses; testing them one by one would mispredict. */
static inline bool ruleset_bloom(const struct ruleset *r, uint64_t h)
{
	const uint32_t *block = ruleset_bloom_block(r, h);
	return ruleset_bloom_half(block, h) && ruleset_bloom_half(block + BLOOM_WORDS / 2, h >> 20);
}

/* The bit of the CIDR filters that an address falls on: net6's have RULESET_NET6 set.
 * RULESET_NONE: no CIDR of its family. */
#define RULESET_NET6 0x80000000u
static inline uint32_t ruleset_net_place(const struct ruleset *r, const struct addr *a)
{
	bool v4 = addr_is_v4(a);
	unsigned bits = v4 ? r->head.filter_bits4 : r->head.filter_bits6;
	return bits ? filter_bit(a, v4, bits) | (v4 ? 0 : RULESET_NET6) : RULESET_NONE;
}

static inline const uint8_t *ruleset_net_byte(const struct ruleset *r, uint32_t place)
{
	return (place & RULESET_NET6 ? r->net6 : r->net4) + (place & ~RULESET_NET6) / 8;
}

static inline bool ruleset_net(const struct ruleset *r, uint32_t place)
{
	return place != RULESET_NONE && *ruleset_net_byte(r, place) >> (place % 8) & 1;
}

/* What stands in the table beside a ref: the bits that chose neither line nor block. */
static inline uint16_t fingerprint_of(uint64_t h)
{
	return (uint16_t)h;
}

/* Where the next folder of a canonical URL ends, from `from` on; 0 at the end. */
size_t url_folder(const uint8_t *key, size_t n, size_t from);

/* Keeps the first `length` bits. */
static inline struct addr addr_masked(const struct addr *a, unsigned length)
{
	struct addr m = {.b = {0}};
	unsigned whole = length / 8u;
	memcpy(m.b, a->b, whole);
	if (whole < 16)
		m.b[whole] = (uint8_t)(a->b[whole] & (0xff00u >> (length % 8u)));
	return m;
}

/* ---- ruleset_build.c ---- */

/* With a secret that is given: for what is to be merged with a set that has it. */
struct ruleset_builder *ruleset_builder_keyed(const struct hash_key *key);
/* With a digest (32 bytes) that is given instead of the content's; NULL: the content's. */
struct ruleset *ruleset_build_as(struct ruleset_builder *b, const uint8_t *digest, struct err *e);
/* Puts the sections one behind the other; gives the bytes of the whole. */
uint64_t ruleset_lay(struct ruleset_head *h, const uint64_t bytes[static SECTION_COUNT]);
/* Memory for a set that is being made: zeroed, to be adopted or unmapped. */
uint8_t *ruleset_map(uint64_t bytes, struct err *e);
/* The last step: writes the head with its checksum; from then on the map is read-only. */
void ruleset_seal(struct ruleset *r, uint8_t *map);

/* ---- ruleset.c ---- */

/* Whether something is filed under this hash, by its fingerprint. */
bool ruleset_filed(const struct ruleset *r, uint64_t h);
/* The same for the prefixes around an address, down to the shortest in use. */
bool ruleset_net_filed(const struct ruleset *r, const struct addr *a);

/* The run of lines that a ref is in, NULL: none. */
const struct ruleset_place *ruleset_place_of(const struct ruleset *r, uint32_t ref);

/* ---- ruleset_file.c ---- */

/* Takes the mapping over (it is unmapped on failure). */
struct ruleset *ruleset_adopt(const void *map, size_t bytes, const char *name, struct err *e);
uint64_t ruleset_checksum(const void *map, size_t bytes);

#endif
