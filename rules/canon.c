/* The canonical form: one row per indicator type says which way it goes. Names
 * and URLs have a file of their own, canon_name.c. */
#define _GNU_SOURCE /* memmem, memrchr */
#include "rules/canon.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/addr.h"
#include "common/text.h"
#include "rules/canon_name.h"
#include "rules/condition.h"
#include "rules/heuristic.h"

#define ENDPOINT_BYTES 18
#define PREFIX_BYTES   17
#define V4_MAPPED_BITS 96
#define JA4_LEN        36 /* 10 characters, '_', 12, '_', 12 */

enum way {
	WAY_NONE = 0,
	WAY_IP,
	WAY_CIDR,
	WAY_ENDPOINT,
	WAY_NAME,
	WAY_URL,
	WAY_EMAIL,
	WAY_DIGEST,
	WAY_SERIAL,
	WAY_JA4,
	WAY_LOWER, /* exact but for ASCII case */
	WAY_EXACT,
	WAY_HEX,       /* the bytes that hex digits spell; not looked up */
	WAY_PATTERN,   /* as it is; not looked up */
	WAY_HEURISTIC, /* one of heuristic_names */
	WAY_CONDITION, /* rules/condition.h; not looked up */
	WAY_COUNT
};

struct row {
	enum way way;
	size_t digest; /* WAY_DIGEST: bytes */
	const char *what;
};

static const struct row rows[INDICATOR_TYPE_COUNT] = {
    [INDICATOR_IP] = {WAY_IP, 0, NULL},
    [INDICATOR_CIDR] = {WAY_CIDR, 0, NULL},
    [INDICATOR_IP_PORT] = {WAY_ENDPOINT, 0, NULL},
    [INDICATOR_DOMAIN] = {WAY_NAME, 0, NULL},
    [INDICATOR_HOSTNAME] = {WAY_NAME, 0, NULL},
    [INDICATOR_URL] = {WAY_URL, 0, NULL},
    [INDICATOR_USER_AGENT] = {WAY_EXACT, 0, NULL},
    [INDICATOR_JA3] = {WAY_DIGEST, 16, "a JA3 hash (MD5)"},
    [INDICATOR_JA3S] = {WAY_DIGEST, 16, "a JA3S hash (MD5)"},
    [INDICATOR_JA4] = {WAY_JA4, 0, NULL},
    [INDICATOR_CERT_SHA1] = {WAY_DIGEST, 20, "a SHA-1"},
    [INDICATOR_CERT_SHA256] = {WAY_DIGEST, 32, "a SHA-256"},
    [INDICATOR_CERT_SUBJECT] = {WAY_EXACT, 0, NULL},
    [INDICATOR_CERT_ISSUER] = {WAY_EXACT, 0, NULL},
    [INDICATOR_CERT_SERIAL] = {WAY_SERIAL, 0, NULL},
    [INDICATOR_FILE_MD5] = {WAY_DIGEST, 16, "an MD5"},
    [INDICATOR_FILE_SHA1] = {WAY_DIGEST, 20, "a SHA-1"},
    [INDICATOR_FILE_SHA256] = {WAY_DIGEST, 32, "a SHA-256"},
    [INDICATOR_FILENAME] = {WAY_EXACT, 0, NULL},
    [INDICATOR_EMAIL] = {WAY_EMAIL, 0, NULL},
    [INDICATOR_EMAIL_SUBJECT] = {WAY_EXACT, 0, NULL},
    [INDICATOR_HASSH] = {WAY_DIGEST, 16, "a HASSH (MD5)"},
    [INDICATOR_HASSH_SERVER] = {WAY_DIGEST, 16, "a HASSH (MD5)"},
    [INDICATOR_SSH_BANNER] = {WAY_EXACT, 0, NULL},
    [INDICATOR_USERNAME] = {WAY_EXACT, 0, NULL},
    [INDICATOR_DHCP_HOSTNAME] = {WAY_EXACT, 0, NULL},
    [INDICATOR_MQTT_TOPIC] = {WAY_EXACT, 0, NULL},
    [INDICATOR_RDP_COOKIE] = {WAY_EXACT, 0, NULL},
    [INDICATOR_COMMUNITY] = {WAY_EXACT, 0, NULL},
    [INDICATOR_PAYLOAD_HEX] = {WAY_HEX, 0, NULL},
    [INDICATOR_PAYLOAD] = {WAY_PATTERN, 0, NULL},
    [INDICATOR_PROTOCOL] = {WAY_LOWER, 0, NULL},
    [INDICATOR_RISK] = {WAY_LOWER, 0, NULL},
    [INDICATOR_HEURISTIC] = {WAY_HEURISTIC, 0, NULL},
    [INDICATOR_STIX] = {WAY_CONDITION, 0, NULL},
};

const char *const heuristic_names[HEURISTIC_COUNT + 1] = {
#define X(id, name, help) [HEURISTIC_##id] = name,
    HEURISTICS(X)
#undef X
};

const char *const heuristic_helps[HEURISTIC_COUNT] = {
#define X(id, name, help) [HEURISTIC_##id] = help,
    HEURISTICS(X)
#undef X
};

static bool set_key(struct canon *out, const void *p, size_t n)
{
	if (n > CANON_MAX)
		return false;
	memcpy(out->key, p, n);
	out->n = n;
	return true;
}

/* ---- addresses ---- */

static bool refuse_address(const char *v, size_t n, struct err *e)
{
	if (memmem(v, n, "[.]", 3))
		return canon_defanged(v, n, e);
	if (memchr(v, '/', n))
		return err_set(e, "\"%s\" is not an address: did you mean the type cidr?", SHOWN(v, n));
	if (memchr(v, '%', n))
		return err_set(e, "\"%s\": leave the zone (%%...) out", SHOWN(v, n));
	const char *colon = memchr(v, ':', n);
	if (!colon)
		return err_set(e, "\"%s\" is not an IPv4 address", SHOWN(v, n));
	if (v[0] == '[' || !memchr(colon + 1, ':', n - (size_t)(colon + 1 - v)))
		return err_set(e, "\"%s\" is not an address: did you mean the type ip_port?", SHOWN(v, n));
	return err_set(e, "\"%s\" is not an IPv6 address", SHOWN(v, n));
}

static bool rule_ip(const char *v, size_t n, struct canon *out, struct err *e)
{
	struct addr a;
	if (!addr_parse(v, n, &a))
		return refuse_address(v, n, e);
	return set_key(out, a.b, sizeof(a.b));
}

/* Decimal of at most max; -1 when it is none. */
static long decimal(const char *p, size_t n, long max)
{
	long value = 0;
	if (n < 1 || n > 5)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		value = value * 10 + (p[i] - '0');
	}
	return value <= max ? value : -1;
}

/* Clears all bits of the 16-byte form behind the first `bits`; true when there were any. */
static bool clear_host_bits(struct addr *a, unsigned bits)
{
	bool any = false;
	for (unsigned i = bits / 8; i < 16; i++) {
		uint8_t keep = i == bits / 8 ? (uint8_t)(0xff00u >> (bits % 8)) : 0;
		any = any || (a->b[i] & (uint8_t)~keep);
		a->b[i] &= keep;
	}
	return any;
}

static bool rule_cidr(const char *v, size_t n, struct canon *out, struct err *e)
{
	char text[ADDR_TEXT_LEN];
	struct addr a;
	const char *slash = memchr(v, '/', n);
	size_t addr_n = slash ? (size_t)(slash - v) : n;
	if (!addr_parse(v, addr_n, &a))
		return refuse_address(v, addr_n, e);
	bool v4 = addr_is_v4(&a);
	bool mapped = v4 && memchr(v, ':', addr_n); /* ::ffff:198.51.100.0/120 counts from the front */
	long most = v4 && !mapped ? 32 : 128;
	long length = slash ? decimal(slash + 1, n - addr_n - 1, most) : most;
	if (length < 0)
		return err_set(e, "\"%s\": the prefix length is not a number from 0 to %ld", SHOWN(v, n), most);
	if (mapped && length < V4_MAPPED_BITS)
		return err_set(e, "\"%s\" reaches beyond the IPv4 addresses in IPv6 form", SHOWN(v, n));
	long own = mapped ? length - V4_MAPPED_BITS : length;
	if (clear_host_bits(&a, (unsigned)(v4 ? own + V4_MAPPED_BITS : own)))
		return err_set(e, "\"%s\": host bits are set: did you mean %s/%ld?", SHOWN(v, n), addr_format(&a, text),
			       own);
	memcpy(out->key, a.b, 16);
	out->key[16] = (unsigned char)own;
	out->n = PREFIX_BYTES;
	return true;
}

static bool rule_endpoint(const char *v, size_t n, struct canon *out, struct err *e)
{
	const char *colon = memrchr(v, ':', n), *end = colon;
	struct addr a;
	if (!colon || (v[0] == '[' && (colon == v || colon[-1] != ']')))
		return err_set(e, "\"%s\" names no port: write 198.51.100.7:443 or [2001:db8::7]:443", SHOWN(v, n));
	bool bracketed = v[0] == '[';
	const char *p = bracketed ? v + 1 : v;
	end -= bracketed;
	if (!bracketed && memchr(v, ':', (size_t)(colon - v)))
		return err_set(e, "\"%s\": write an IPv6 address with its port as [2001:db8::7]:443", SHOWN(v, n));
	if (!addr_parse(p, (size_t)(end - p), &a))
		return refuse_address(p, (size_t)(end - p), e);
	long port = decimal(colon + 1, n - (size_t)(colon + 1 - v), 65535);
	if (port < 0)
		return err_set(e, "\"%s\": the port is not a number from 0 to 65535", SHOWN(v, n));
	memcpy(out->key, a.b, 16);
	out->key[16] = (unsigned char)(port >> 8);
	out->key[17] = (unsigned char)port;
	out->n = ENDPOINT_BYTES;
	return true;
}

static bool wire_address(const void *v, size_t n, struct canon *out)
{
	if (n == 4) {
		struct addr a = addr_v4(v);
		return set_key(out, a.b, sizeof(a.b));
	}
	return n == 16 && set_key(out, v, n);
}

/* ---- hashes and serials ---- */

/* Copies without ':' and blanks; the number of characters that are no hex digits goes to *bad. */
static size_t hex_only(const char *v, size_t n, char *out, size_t cap, size_t *bad)
{
	size_t k = 0;
	*bad = 0;
	for (size_t i = 0; i < n && k < cap; i++) {
		char c = v[i];
		if (c == ':' || c == ' ')
			continue;
		*bad += !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'));
		out[k++] = c;
	}
	return k;
}

static const char *length_hint(size_t digits)
{
	return digits == 32   ? " (that many has an MD5)"
	       : digits == 40 ? " (that many has a SHA-1)"
	       : digits == 64 ? " (that many has a SHA-256)"
			      : "";
}

static bool rule_digest(const struct row *row, const char *v, size_t n, struct canon *out, struct err *e)
{
	char hex[CANON_MAX];
	size_t bad, digits = hex_only(v, n, hex, sizeof(hex), &bad);
	if (bad)
		return err_set(e, "\"%s\" is not %s: it is not hexadecimal", SHOWN(v, n), row->what);
	if (digits != 2 * row->digest)
		return err_set(e, "\"%s\" is not %s: it has %zu hex digits%s, expected %zu", SHOWN(v, n), row->what,
			       digits, length_hint(digits), 2 * row->digest);
	out->n = row->digest;
	return text_unhex(out->key, row->digest, hex, digits);
}

static bool wire_digest(size_t bytes, const char *v, size_t n, struct canon *out)
{
	out->n = bytes;
	if (n == bytes)
		return set_key(out, v, n);
	return n == 2 * bytes && text_unhex(out->key, bytes, v, n);
}

/* Digits of whole bytes without leading zero bytes: "00:0A:1b" is "0a1b". */
static bool serial(const char *v, size_t n, struct canon *out)
{
	char hex[CANON_MAX];
	size_t bad, digits = hex_only(v, n, hex, sizeof(hex), &bad), zero = 0;
	if (bad || !digits)
		return false;
	while (zero + 1 < digits && hex[zero] == '0')
		zero++;
	bool odd = (digits - zero) % 2;
	if (digits - zero + odd > CANON_MAX)
		return false;
	out->key[0] = '0';
	out->n = digits - zero + odd;
	canon_lower(out->key + odd, hex + zero, digits - zero);
	return true;
}

/* ---- text ---- */

static bool lower(const void *v, size_t n, struct canon *out)
{
	out->n = n;
	if (n <= CANON_MAX)
		canon_lower(out->key, v, n);
	return n > 0 && n <= CANON_MAX;
}

/* Local part and domain lower-cased; a domain with Unicode in its IDNA form. */
static bool email(const char *v, size_t n, struct canon *out)
{
	const char *at = memrchr(v, '@', n);
	struct canon domain;
	if (!lower(v, n, out))
		return false;
	size_t local = at ? (size_t)(at + 1 - v) : n;
	if (local == n || canon_lower(out->key + local, at + 1, n - local))
		return true;
	if (!canon_name_wire(at + 1, n - local, &domain) || domain.n > CANON_MAX - local)
		return true;
	memcpy(out->key + local, domain.key, domain.n);
	out->n = local + domain.n;
	return true;
}

static bool rule_email(const char *v, size_t n, struct canon *out, struct err *e)
{
	const char *at = memrchr(v, '@', n);
	if (!at || at == v || at + 1 == v + n || memchr(v, ' ', n) || v[0] == '<')
		return err_set(e, "\"%s\" is not an e-mail address: expected name@domain", SHOWN(v, n));
	return email(v, n, out);
}

static bool rule_ja4(const char *v, size_t n, struct canon *out, struct err *e)
{
	if (n != JA4_LEN || v[10] != '_' || v[23] != '_')
		return err_set(e,
			       "\"%s\" is not a JA4: expected three parts of 10, 12 and 12 characters with '_' between",
			       SHOWN(v, n));
	return lower(v, n, out);
}

static bool rule_hex(const char *v, size_t n, struct canon *out, struct err *e)
{
	char hex[CANON_MAX];
	size_t bad, digits = hex_only(v, n, hex, sizeof(hex), &bad);
	if (bad)
		return err_set(e, "\"%s\" is not hexadecimal", SHOWN(v, n));
	if (!digits || digits % 2)
		return err_set(e, "\"%s\" has %zu hex digits, expected two for each byte", SHOWN(v, n), digits);
	out->n = digits / 2;
	return text_unhex(out->key, out->n, hex, digits);
}

static bool rule_heuristic(const char *v, size_t n, struct canon *out, struct err *e)
{
	char known[160] = "";
	for (int h = 0; h < HEURISTIC_COUNT; h++) {
		if (text_equal_fold(v, n, heuristic_names[h], strlen(heuristic_names[h])))
			return lower(v, n, out);
		size_t at = strlen(known);
		snprintf(known + at, sizeof(known) - at, "%s%s", h ? ", " : "", heuristic_names[h]);
	}
	return err_set(e, "\"%s\" is not a heuristic: expected one of %s", SHOWN(v, n), known);
}

static bool free_text(enum way way)
{
	return way == WAY_EXACT || way == WAY_PATTERN;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool canon_rule(enum indicator_type t, const char *value, size_t n, struct canon *out, struct err *e)
{
	if (t <= INDICATOR_NONE || t >= INDICATOR_TYPE_COUNT)
		return err_set(e, "unknown indicator type");
	const struct row *row = &rows[t];
	if (!n)
		return err_set(e, "the value is empty");
	if (n > CANON_MAX)
		return err_set(e, "\"%s\" is %zu bytes long, at most %d can match", SHOWN(value, n), n, CANON_MAX);
	if (memchr(value, '\0', n))
		return err_set(e, "\"%s\" holds a NUL byte", SHOWN(value, n));
	if (!free_text(row->way) && (blank(value[0]) || blank(value[n - 1])))
		return err_set(e, "\"%s\" has blanks around it", SHOWN(value, n));
	switch (row->way) {
	case WAY_IP:
		return rule_ip(value, n, out, e);
	case WAY_CIDR:
		return rule_cidr(value, n, out, e);
	case WAY_ENDPOINT:
		return rule_endpoint(value, n, out, e);
	case WAY_NAME:
		return canon_name_rule(t, value, n, out, e);
	case WAY_URL:
		return canon_url_rule(value, n, out, e);
	case WAY_EMAIL:
		return rule_email(value, n, out, e);
	case WAY_DIGEST:
		return rule_digest(row, value, n, out, e);
	case WAY_SERIAL:
		return serial(value, n, out) ||
		       err_set(e, "\"%s\" is not a serial number: expected hex digits", SHOWN(value, n));
	case WAY_JA4:
		return rule_ja4(value, n, out, e);
	case WAY_LOWER:
		return lower(value, n, out);
	case WAY_HEX:
		return rule_hex(value, n, out, e);
	case WAY_HEURISTIC:
		return rule_heuristic(value, n, out, e);
	case WAY_CONDITION:
		return condition_read(value, n, NULL, NULL, NULL, e) && set_key(out, value, n);
	case WAY_EXACT:
	case WAY_PATTERN:
		return set_key(out, value, n);
	case WAY_NONE:
	case WAY_COUNT:
		break;
	}
	return err_set(e, "the type %s cannot be matched", indicator_type_name(t));
}

bool canon_wire(enum indicator_type t, const void *value, size_t n, struct canon *out)
{
	if (t <= INDICATOR_NONE || t >= INDICATOR_TYPE_COUNT || !n)
		return false;
	switch (rows[t].way) {
	case WAY_IP:
	case WAY_CIDR:
		return wire_address(value, n, out);
	case WAY_ENDPOINT:
		return n == ENDPOINT_BYTES && set_key(out, value, n);
	case WAY_NAME:
		return canon_name_wire(value, n, out);
	case WAY_URL:
		return canon_url_wire(value, n, out);
	case WAY_EMAIL:
		return email(value, n, out);
	case WAY_DIGEST:
		return wire_digest(rows[t].digest, value, n, out);
	case WAY_SERIAL:
		return n <= CANON_MAX && serial(value, n, out);
	case WAY_JA4:
	case WAY_LOWER:
	case WAY_HEURISTIC:
		return lower(value, n, out);
	case WAY_EXACT:
		return set_key(out, value, n);
	case WAY_HEX: /* the multi-pattern matcher's */
	case WAY_CONDITION:
	case WAY_PATTERN:
	case WAY_NONE:
	case WAY_COUNT:
		break;
	}
	return false;
}
