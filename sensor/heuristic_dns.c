/* DNS tunnelling: one source asks within the window for at least tunnel_names
 * names below one registered domain, each with a label of its own of LABEL_MIN
 * characters or more that looks random. Data must be in the names, in labels as
 * long as they may be, and no name may be asked twice (a cache would answer): this
 * is what a tunnel cannot avoid. A search list behind ordinary names gives many
 * long names, but few long labels. Names outside the known top-level domains
 * go to the tunnel's own server (dnscat2 without a domain): they count together,
 * by server. The window begins with the first such name.
 *
 * NXDOMAIN flood: of the registered domains that one source got answers for within
 * the window at least flood_domains do not exist, and they are the majority: what
 * generated domain names look like (RFC 8020 says when NXDOMAIN is said).
 * Registered domains, not names, are counted: a resolver's search list makes many
 * failing names below few domains. Reverse names (arpa) and names outside the
 * known top-level domains (printer.lan) count for nothing.
 *
 * Both use the Public Suffix List (rules/suffix.h). */
#include <math.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/text.h"
#include "rules/suffix.h"
#include "sensor/heuristic_part.h"

#define LABEL_MIN   24  /* characters */
#define ENTROPY_MIN 3.0 /* bits per character: 24 random hex digits have about 3.5 */
#define SOURCES     8192
#define NAMES       131072 /* distinct names or domains held for all sources */
#define RCODE_OK    0
#define RCODE_NONE  3 /* NXDOMAIN */

/* A source, or a source and a domain, within its window. */
struct asking {
	struct tracked head;
	int64_t since_us;
	uint32_t n;     /* distinct names; domains that do not exist */
	uint32_t other; /* bytes below the domain; domains that exist */
};

struct names {
	struct heuristics *owner;
	const struct heuristic_conf *conf;
	struct tracker *tunnel, *flood;
	struct tracker *seen; /* what was counted already, by entry, window and name */
};

struct names *names_new(struct heuristics *h, const struct heuristic_conf *c, struct ledger *ledger)
{
	struct names *n = xcalloc(1, sizeof(*n));
	n->owner = h;
	n->conf = c;
	n->tunnel = tracker_new(SOURCES, sizeof(struct asking), sizeof(struct asking), c->tunnel_window_ms * 1000,
				ledger);
	n->flood = tracker_new(SOURCES, sizeof(struct asking), sizeof(struct asking), c->flood_window_ms * 1000,
			       ledger);
	n->seen = tracker_new(NAMES, sizeof(struct tracked), sizeof(struct tracked), 0, ledger);
	return n;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	tracker_free(n->tunnel);
	tracker_free(n->flood);
	tracker_free(n->seen);
	free(n);
}

/* The name as the list wants it: lower case, ASCII. */
static void name_text(const struct sight *at, char out[static 256])
{
	size_t n = at->name_n;
	text_lower(out, at->name, n);
	for (size_t i = 0; i < n; i++)
		if (out[i] <= ' ' || out[i] > '~')
			out[i] = '?';
	while (n && out[n - 1] == '.')
		n--;
	out[n] = '\0';
}

static bool below(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);
	return n >= d && strcmp(name + n - d, domain) == 0 && (n == d || name[n - d - 1] == '.');
}

/* The part of name that somebody registered; NULL when there is none to speak of. */
static const char *registered(const char *name)
{
	return below(name, "arpa") ? NULL : suffix_registered(name);
}

static struct asking *window(struct tracker *table, const void *key, size_t key_n, int64_t window_us, int64_t now_us)
{
	bool fresh;
	struct asking *a = tracker_get(table, tracker_tag(table, key, key_n), now_us, &fresh);
	if (fresh || now_us - a->since_us > window_us || now_us < a->since_us) {
		a->since_us = now_us;
		a->n = a->other = a->head.worth = 0;
	}
	return a;
}

static bool first_time(struct names *n, const struct asking *a, const void *text, size_t text_n, int64_t now_us)
{
	uint8_t key[16 + 256];
	bool fresh;
	memcpy(key, &a->head.tag, 8);
	memcpy(key + 8, &a->since_us, 8);
	memcpy(key + 16, text, text_n);
	tracker_get(n->seen, tracker_tag(n->seen, key, 16 + text_n), now_us, &fresh);
	return fresh;
}

/* ---- tunnel ---- */

/* Shannon's, in bits per character. */
static double entropy(const char *p, size_t n)
{
	unsigned count[256] = {0};
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		count[(unsigned char)p[i]]++;
	for (size_t i = 0; i < 256; i++)
		if (count[i])
			sum -= count[i] * log2((double)count[i] / (double)n);
	return sum / (double)n;
}

/* The first label of name[0..n) that looks random; .p is NULL when there is none. */
static struct bytes random_label(const char *name, size_t n)
{
	for (size_t at = 0; at < n;) {
		size_t label = strcspn(name + at, ".");
		label = label < n - at ? label : n - at;
		if (label >= LABEL_MIN && entropy(name + at, label) >= ENTROPY_MIN)
			return (struct bytes){.p = (const uint8_t *)name + at, .n = label};
		at += label + 1;
	}
	return (struct bytes){.p = NULL};
}

/* What the name is counted under: its domain, or the server that it was asked of. */
static const char *tunnel_end(const struct sight *at, const char *domain, char room[static ADDR_TEXT_LEN])
{
	return suffix_top_level_known(domain) ? domain : addr_format(&at->dest, room);
}

static void tunnel_sight(struct names *n, const struct sight *at, const char *name, const char *domain)
{
	uint8_t key[sizeof(at->src) + 256];
	char room[ADDR_TEXT_LEN];
	const char *end = tunnel_end(at, domain, room);
	size_t labels = end == domain ? (size_t)(domain - name) : strlen(name), end_n = strlen(end);
	struct bytes label = random_label(name, labels);
	if (!label.p)
		return;
	memcpy(key, &at->src, sizeof(at->src));
	memcpy(key + sizeof(at->src), end, end_n);
	struct asking *a = window(n->tunnel, key, sizeof(at->src) + end_n, n->conf->tunnel_window_ms * 1000, at->ts_us);
	if (!first_time(n, a, label.p, label.n, at->ts_us))
		return;
	a->head.worth = ++a->n;
	a->other += (uint32_t)labels;
	if (a->n < (uint32_t)n->conf->tunnel_names)
		return;
	struct evidence e = evidence_of(at);
	heuristic_tell(n->owner, HEURISTIC_DNS_TUNNEL, &e, end, end_n, "%u names %s %s within %.1f s carry %u bytes",
		       a->n, end == domain ? "below" : "of no known domain asked of", end,
		       (double)(at->ts_us - a->since_us) / 1e6, a->other);
}

/* ---- flood ---- */

static void flood_sight(struct names *n, const struct sight *at, const char *domain)
{
	bool none = at->rcode == RCODE_NONE;
	char text[256];
	size_t domain_n = strlen(domain);
	if ((at->rcode != RCODE_OK && !none) || !suffix_top_level_known(domain))
		return;
	struct asking *a = window(n->flood, &at->src, sizeof(at->src), n->conf->flood_window_ms * 1000, at->ts_us);
	text[0] = none ? '!' : ' ';
	memcpy(text + 1, domain, domain_n);
	if (!first_time(n, a, text, domain_n + 1, at->ts_us))
		return;
	if (!none) {
		a->other++;
		return;
	}
	a->head.worth = ++a->n;
	if (a->n < (uint32_t)n->conf->flood_domains || a->n <= a->other)
		return;
	struct evidence e = evidence_of(at);
	heuristic_tell(n->owner, HEURISTIC_NXDOMAIN_FLOOD, &e, NULL, 0,
		       "%u of %u domains asked for within %.1f s do not exist", a->n, a->n + a->other,
		       (double)(at->ts_us - a->since_us) / 1e6);
}

void names_sight(struct names *n, const struct sight *at, unsigned on)
{
	char name[256];
	if (at->kind != SIGHT_DNS_QUERY && at->kind != SIGHT_DNS_ANSWER)
		return;
	name_text(at, name);
	const char *domain = registered(name);
	if (!domain)
		return;
	if (on & 1u << HEURISTIC_DNS_TUNNEL)
		tunnel_sight(n, at, name, domain);
	if ((on & 1u << HEURISTIC_NXDOMAIN_FLOOD) && at->kind == SIGHT_DNS_ANSWER)
		flood_sight(n, at, domain);
}
