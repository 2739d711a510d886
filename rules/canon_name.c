/* Names and URLs in canonical form.
 *
 * Decisions:
 * - A name on the wire may hold any bytes (DNS allows them, RFC 2181 section
 *   11): it is lower-cased and compared. Bytes above 127 that are UTF-8 become
 *   their IDNA form by UTS 46, non-transitional, as browsers do; what IDNA
 *   refuses is compared as it is, so the ASCII labels above still match.
 * - A URL's userinfo is dropped: clients send it in a header, if at all, so the
 *   wire's URL never shows it.
 * - Percent-encoding and dot segments stay: servers differ in what they make of
 *   them, and lists carry the spelling that was seen.
 * - A URL without a scheme that names port 80 or 443 is an http or https URL;
 *   kept, the port would never match, because default ports are dropped. */
#define _GNU_SOURCE /* memmem, memrchr */
#include "rules/canon_name.h"

#include <idn2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/addr.h"
#include "common/scratch.h"
#include "common/swar.h"
#include "common/text.h"
#include "rules/refang.h"

char *canon_shown(const void *value, size_t n, char out[static CANON_SHOWN])
{
	bool cut = n > CANON_SHOWN - 24;
	text_clean(out, CANON_SHOWN - 4, value, cut ? CANON_SHOWN - 24 : n);
	return cut ? strcat(out, "...") : out;
}

bool canon_defanged(const char *value, size_t n, struct err *e)
{
	char whole[CANON_MAX + 1] = "";
	size_t k = 0;
	if (n <= CANON_MAX)
		refang(value, n, whole, &k);
	return err_set(e, "\"%s\" is defanged: did you mean \"%s\"?", SHOWN(value, n), SHOWN(whole, k));
}

bool canon_lower(unsigned char *dst, const void *src, size_t n)
{
	const unsigned char *s = src;
	uint64_t seen = 0, w;
	size_t i = 0;
	for (; i + 8 <= n; i += 8) {
		memcpy(&w, s + i, 8);
		seen |= w;
		w = swar_lower(w);
		memcpy(dst + i, &w, 8);
	}
	if (i < n) {
		w = 0;
		memcpy(&w, s + i, n - i);
		seen |= w;
		w = swar_lower(w);
		memcpy(dst + i, &w, n - i);
	}
	return !(seen & SWAR_HIGH);
}

/* UTF-8 to the ASCII form. On refusal *why is libidn2's code and out unchanged. */
static bool name_to_ascii(const void *value, size_t n, struct canon *out, int *why)
{
	char text[CANON_IDNA_MAX + 1], *ascii = NULL;
	*why = IDN2_TOO_BIG_DOMAIN;
	if (n > CANON_IDNA_MAX || memchr(value, '\0', n))
		return false;
	memcpy(text, value, n);
	text[n] = '\0';
	*why = idn2_to_ascii_8z(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (*why != IDN2_OK)
		return false;
	out->n = strnlen(ascii, CANON_MAX);
	canon_lower(out->key, ascii, out->n);
	idn2_free(ascii);
	return true;
}

/* The answers for the last names that needed one. libidn2 takes 80,000 instructions for
 * a name, and what is not ASCII on the wire is mostly what a device tells about itself,
 * again and again (RFC 6762, 8.3). */
#define RECENT 16 /* a power of two */

struct recent {
	size_t n, ascii_n; /* ascii_n 0: refused */
	unsigned char name[CANON_NAME_MAX + 1], ascii[CANON_NAME_MAX + 1];
};

static struct recent *recent_of(const void *value, size_t n)
{
	static _Thread_local struct recent all[RECENT];
	const unsigned char *p = value;
	uint32_t h = 2166136261u; /* FNV-1a; who fills one place with names of his own makes it slow, no more */
	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 16777619u;
	return &all[(h >> 16) % RECENT];
}

/* As name_to_ascii(), for the wire. */
static void name_to_ascii_again(const void *value, size_t n, struct canon *out)
{
	int why;
	struct recent *r = n <= CANON_NAME_MAX ? recent_of(value, n) : NULL;
	if (r && r->n == n && memcmp(r->name, value, n) == 0) {
		memcpy(out->key, r->ascii, r->ascii_n);
		out->n = r->ascii_n ? r->ascii_n : n;
		return;
	}
	bool good = name_to_ascii(value, n, out, &why);
	if (!r || (good && (!out->n || out->n > CANON_NAME_MAX)))
		return;
	r->n = n;
	memcpy(r->name, value, n);
	r->ascii_n = good ? out->n : 0;
	memcpy(r->ascii, out->key, r->ascii_n);
}

static void drop_dot(struct canon *name)
{
	if (name->n && name->key[name->n - 1] == '.')
		name->n--;
}

bool canon_name_wire(const void *value, size_t n, struct canon *out)
{
	if (n > CANON_MAX)
		return false;
	out->n = n;
	if (!canon_lower(out->key, value, n))
		name_to_ascii_again(value, n, out);
	drop_dot(out);
	return out->n > 0;
}

static bool starts(const char *p, size_t n, const char *with)
{
	return n >= strlen(with) && memcmp(p, with, strlen(with)) == 0;
}

static bool holds(const char *p, size_t n, const char *what)
{
	return memmem(p, n, what, strlen(what)) != NULL;
}

static bool label_byte(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool name_good(const struct canon *name)
{
	size_t label = 0;
	for (size_t i = 0; i < name->n; i++) {
		unsigned char c = name->key[i];
		if (c == '.' ? label == 0 : !label_byte(c) || label == CANON_LABEL_MAX)
			return false;
		label = c == '.' ? 0 : label + 1;
	}
	return label > 0 && name->n <= CANON_NAME_MAX;
}

/* "198.51.100.7" passes as a name, but who writes it means the address. */
static bool name_is_address(const struct canon *name)
{
	struct addr a;
	unsigned char last = name->n ? name->key[name->n - 1] : 0;
	return last >= '0' && last <= '9' && addr_parse((const char *)name->key, name->n, &a);
}

/* What people write into the wrong column, answered with what they meant. */
static bool name_refuse(enum indicator_type t, const char *v, size_t n, struct err *e)
{
	const char *type = indicator_type_name(t);
	struct addr a;
	if (holds(v, n, "[.]") || holds(v, n, "(.)"))
		return canon_defanged(v, n, e);
	if (memchr(v, '/', n))
		return err_set(e, "\"%s\" is not a %s: did you mean the type url?", SHOWN(v, n), type);
	if (memchr(v, '@', n))
		return err_set(e, "\"%s\" is not a %s: did you mean the type email?", SHOWN(v, n), type);
	if (addr_parse(v, n, &a))
		return err_set(e, "\"%s\" is not a %s: did you mean the type ip?", SHOWN(v, n), type);
	if (n > 1 && (starts(v, n, "*.") || starts(v, n, ".")))
		return err_set(e, "\"%s\": the type domain covers a name and all below it: did you mean domain \"%s\"?",
			       SHOWN(v, n), SHOWN(v + 1 + (v[0] == '*'), n - 1 - (v[0] == '*')));
	if (n > CANON_NAME_MAX)
		return err_set(e, "\"%s\" is longer than the %d characters that a name can have", SHOWN(v, n),
			       CANON_NAME_MAX);
	return err_set(
	    e, "\"%s\" is not a %s: expected labels of 1 to %d letters, digits, '-' or '_' with dots between them",
	    SHOWN(v, n), type, CANON_LABEL_MAX);
}

bool canon_name_rule(enum indicator_type t, const char *value, size_t n, struct canon *out, struct err *e)
{
	int why;
	out->n = n;
	if (!canon_lower(out->key, value, n) && !name_to_ascii(value, n, out, &why))
		return err_set(e, "\"%s\" has no IDNA form: %s", SHOWN(value, n), idn2_strerror(why));
	drop_dot(out);
	return (name_good(out) && !name_is_address(out)) || name_refuse(t, value, n, e);
}

/* ---- URLs (RFC 3986) ---- */

/* Views into the text; scheme.n = 0 without a scheme, port.n = 0 without a port. */
struct url {
	struct {
		const char *p;
		size_t n;
	} scheme, host, port, rest; /* rest: path and query */
	bool bracketed;
};

static size_t scheme_length(const char *p, size_t n)
{
	size_t i = 0;
	for (; i < n; i++) {
		char c = p[i];
		bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!alpha && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
			break;
	}
	return starts(p + i, n - i, "://") ? i : 0;
}

static const char *first_of(const char *p, const char *end, const char *set)
{
	while (p < end && !(*p && strchr(set, *p)))
		p++;
	return p;
}

/* False: brackets that do not close or something behind them that is no port. */
static bool url_authority(struct url *u, const char *p, const char *end)
{
	const char *at = memrchr(p, '@', (size_t)(end - p));
	p = at ? at + 1 : p;
	const char *host_end = memrchr(p, ':', (size_t)(end - p));
	u->bracketed = p < end && *p == '[';
	if (u->bracketed) {
		const char *close = memchr(p, ']', (size_t)(end - p));
		if (!close || (close + 1 < end && close[1] != ':'))
			return false;
		host_end = close + 1 < end ? close + 1 : NULL;
		u->host.p = p + 1;
		u->host.n = (size_t)(close - p - 1);
	} else {
		u->host.p = p;
		u->host.n = (size_t)((host_end ? host_end : end) - p);
	}
	if (host_end) {
		u->port.p = host_end + 1;
		u->port.n = (size_t)(end - host_end - 1);
	}
	return true;
}

static bool url_split(struct url *u, const char *p, size_t n)
{
	const char *end = p + n;
	*u = (struct url){.scheme = {p, scheme_length(p, n)}};
	if (u->scheme.n)
		p += u->scheme.n + 3;
	else if (starts(p, n, "//"))
		p += 2;
	const char *rest = first_of(p, end, "/?#");
	const char *hash = memchr(rest, '#', (size_t)(end - rest));
	u->rest.p = rest;
	u->rest.n = (size_t)((hash ? hash : end) - rest);
	return url_authority(u, p, rest);
}

static bool put(struct canon *out, const void *p, size_t n)
{
	if (n > CANON_MAX - out->n)
		return false;
	memcpy(out->key + out->n, p, n);
	out->n += n;
	return true;
}

static bool put_text(struct canon *out, const char *s)
{
	return put(out, s, strlen(s));
}

/* The port as a number from 1; -1 when it is none, 0 when nothing is written. */
static long url_port(const struct url *u)
{
	long port = 0;
	for (size_t i = 0; i < u->port.n; i++) {
		char c = u->port.p[i];
		if (c < '0' || c > '9' || port > 65535)
			return -1;
		port = port * 10 + (c - '0');
	}
	return port > 65535 || (u->port.n && port == 0) ? -1 : port;
}

static bool port_is_default(const unsigned char *scheme, size_t n, long port)
{
	static const struct {
		const char *scheme;
		long port;
	} known[] = {{"http", 80}, {"https", 443}, {"ws", 80}, {"wss", 443}, {"ftp", 21}};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strlen(known[i].scheme) == n && memcmp(known[i].scheme, scheme, n) == 0)
			return known[i].port == port;
	return false;
}

/* Scheme and "//"; the scheme that a default port without one stands for. */
static bool put_scheme(struct canon *out, const struct url *u, long port)
{
	if (u->scheme.n && u->scheme.n < CANON_MAX) {
		out->n = u->scheme.n;
		canon_lower(out->key, u->scheme.p, u->scheme.n);
		return put_text(out, "://");
	}
	return put_text(out, port == 80 ? "http://" : port == 443 ? "https://" : "//");
}

static bool put_host(struct canon *out, const struct url *u)
{
	SCRATCH struct canon host;
	struct addr a;
	char text[ADDR_TEXT_LEN];
	if (u->bracketed && addr_parse(u->host.p, u->host.n, &a)) {
		bool v6 = !addr_is_v4(&a);
		return (!v6 || put_text(out, "[")) && put_text(out, addr_format(&a, text)) &&
		       (!v6 || put_text(out, "]"));
	}
	if (!canon_name_wire(u->host.p, u->host.n, &host))
		return false;
	return (!u->bracketed || put_text(out, "[")) && put(out, host.key, host.n) &&
	       (!u->bracketed || put_text(out, "]"));
}

static bool url_put(const struct url *u, struct canon *out)
{
	long port = url_port(u);
	char text[24];
	out->n = 0;
	if (!put_scheme(out, u, port))
		return false;
	bool dropped = port == 0 || (out->n > 3 && port_is_default(out->key, out->n - 3, port));
	if (!put_host(out, u))
		return false;
	if (port > 0 && !dropped) {
		snprintf(text, sizeof(text), ":%ld", port);
		if (!put_text(out, text))
			return false;
	} else if (port < 0 && !(put_text(out, ":") && put(out, u->port.p, u->port.n))) {
		return false;
	}
	if ((!u->rest.n || u->rest.p[0] != '/') && !put_text(out, "/"))
		return false;
	return put(out, u->rest.p, u->rest.n);
}

bool canon_url_wire(const void *value, size_t n, struct canon *out)
{
	struct url u;
	return n <= 2 * CANON_MAX && url_split(&u, value, n) && url_put(&u, out);
}

static bool url_check(const struct url *u, const char *v, size_t n, struct err *e)
{
	struct addr a;
	if (u->bracketed && (!addr_parse(u->host.p, u->host.n, &a) || !memchr(u->host.p, ':', u->host.n)))
		return err_set(e, "\"%s\": what stands in the brackets is not an IPv6 address", SHOWN(v, n));
	if (!u->host.n || (u->host.n == 1 && u->host.p[0] == '.'))
		return err_set(e, "\"%s\" is not a URL: it names no host", SHOWN(v, n));
	if (url_port(u) < 0)
		return err_set(e, "\"%s\": the port is not a number from 1 to 65535", SHOWN(v, n));
	for (size_t i = 0; i < u->host.n; i++)
		if ((unsigned char)u->host.p[i] <= ' ' || strchr("<>\"\\^`{|}\x7f", u->host.p[i]))
			return err_set(e, "\"%s\": its host holds a character that no host has", SHOWN(v, n));
	return true;
}

bool canon_url_rule(const char *value, size_t n, struct canon *out, struct err *e)
{
	struct url u;
	if (starts(value, n, "hxxp") || starts(value, n, "hXXp") || holds(value, n, "[.]") || holds(value, n, "[:]"))
		return canon_defanged(value, n, e);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)value[i] < ' ' || value[i] == 0x7f)
			return err_set(e, "\"%s\" holds a control character", SHOWN(value, n));
	if (!url_split(&u, value, n))
		return err_set(e, "\"%s\" is not a URL: the brackets of its host do not close before the port",
			       SHOWN(value, n));
	if (!url_check(&u, value, n, e))
		return false;
	if (!url_put(&u, out))
		return err_set(e, "\"%s\" is longer than %d bytes", SHOWN(value, n), CANON_MAX);
	return true;
}
