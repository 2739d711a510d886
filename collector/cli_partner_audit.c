/* picket partner audit: who was given what, and whether the chain holds. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/audit.h"
#include "collector/cli_partner.h"
#include "common/exits.h"
#include "common/text.h"

#define PAGE "200"

struct checking {
	struct partner_cli *c;
	char h[AUDIT_HASH_LEN]; /* of the entry before */
	uint64_t n, entries, objects, told;
	uint64_t expect_n;
	char expect_h[AUDIT_HASH_LEN];
	bool broken, expected;
};

static struct bytes field(const struct reply *fields, const char *name)
{
	struct bytes b;
	return cli_field(fields, name, &b) ? b : (struct bytes){(const uint8_t *)"", 0};
}

static bool equals(struct bytes b, const char *text)
{
	return b.n == strlen(text) && memcmp(b.p, text, b.n) == 0;
}

static void broken(struct checking *k, const char *entry, const char *why)
{
	char clean[64];
	printf("BROKEN at entry %s: %s\n", text_clean(clean, sizeof(clean), entry, strlen(entry)), why);
	k->broken = true;
}

static void check(struct checking *k, const char *entry, const struct reply *fields, uint64_t first)
{
	struct audit_entry e = {.n = (uint64_t)cli_number(fields, "n"),
				.prev = field(fields, "prev"),
				.time = field(fields, "time"),
				.partner = field(fields, "partner"),
				.way = field(fields, "way"),
				.items = field(fields, "items")};
	char h[AUDIT_HASH_LEN];
	audit_hash(&e, h);
	if (!equals(field(fields, "h"), h))
		broken(k, entry, "its hash is not that of what stands in it: it was changed");
	if (!k->entries && e.n != first)
		broken(k, entry, "the oldest entry is not the one that the head names: entries before it were removed");
	if (k->entries && e.n != k->n + 1)
		broken(k, entry, "its number does not follow: entries before it were removed or put in");
	else if (k->entries && !equals(e.prev, k->h))
		broken(k, entry, "it does not follow from the entry before it");
	if (e.n == k->expect_n && strcmp(h, k->expect_h) == 0)
		k->expected = true;
	k->n = e.n;
	memcpy(k->h, h, sizeof(h));
	k->entries++;
	bool told = equals(e.way, "taxii-manifest") || equals(e.way, "taxii-versions");
	for (size_t i = 0; i < e.items.n; i++)
		*(told ? &k->told : &k->objects) += e.items.p[i] == '\n';
}

static void print(const struct reply *fields)
{
	char time[64], partner[200], way[32], line[512];
	struct bytes items = field(fields, "items");
	cli_text(fields, "time", time, sizeof(time));
	cli_text(fields, "partner", partner, sizeof(partner));
	cli_text(fields, "way", way, sizeof(way));
	for (size_t at = 0; at < items.n;) {
		const uint8_t *end = memchr(items.p + at, '\n', items.n - at);
		size_t n = end ? (size_t)(end - items.p) - at : items.n - at;
		printf("%s %s %s %s\n", time, partner, way, text_clean(line, sizeof(line), items.p + at, n));
		at += n + 1;
	}
}

static bool page(struct checking *k, char after[static 64], uint64_t first, size_t *got)
{
	struct reply *r = cli_ask(&k->c->cli, "XRANGE", AUDIT_STREAM, after, "+", "COUNT", PAGE, NULL);
	if (!r)
		return false;
	*got = reply_count(r);
	for (size_t i = 0; i < *got; i++) {
		const struct reply *e = reply_at(r, i), *fields = reply_at(e, 1);
		struct bytes id;
		if (!reply_text(reply_at(e, 0), &id) || id.n > 60)
			continue;
		after[0] = '(';
		text_clean(after + 1, 63, id.p, id.n);
		if (k->c->verify)
			check(k, after + 1, fields, first);
		else
			print(fields);
	}
	reply_free(r);
	return true;
}

static bool read_expect(struct checking *k)
{
	const char *colon = k->c->expect ? strchr(k->c->expect, ':') : NULL;
	if (!k->c->expect)
		return true;
	if (!colon || strlen(colon + 1) >= AUDIT_HASH_LEN)
		return false;
	k->expect_n = strtoull(k->c->expect, NULL, 10);
	strcpy(k->expect_h, colon + 1);
	return true;
}

int partner_audit(struct partner_cli *c)
{
	struct checking k = {.c = c};
	char after[64] = "-", head[AUDIT_HASH_LEN * 3];
	size_t got = 1;
	struct reply *r = cli_ask(&c->cli, "HGETALL", AUDIT_HEAD, NULL);
	if (!r)
		return EXIT_ENVIRONMENT;
	uint64_t first = (uint64_t)cli_number(r, "first"), last = (uint64_t)cli_number(r, "n");
	cli_text(r, "h", head, sizeof(head));
	reply_free(r);
	if (!read_expect(&k)) {
		fputs("picket partner audit: --expect N:HASH, as --head printed it\n", stderr);
		return EXIT_USAGE;
	}
	if (c->head) {
		printf("%" PRIu64 ":%s\n", last, *head ? head : "0");
		return EXIT_OK;
	}
	while (got)
		if (!page(&k, after, first, &got))
			return EXIT_ENVIRONMENT;
	if (!c->verify)
		return EXIT_OK;
	if (k.n != last || (last && strcmp(k.h, head) != 0))
		broken(&k, "the last",
		       "it is not the one that the head names: entries behind it were removed or put in");
	if (c->expect && !k.expected)
		broken(&k, c->expect, "what --expect names is not in the chain");
	printf("%" PRIu64 " entries, %" PRIu64 " objects given, %" PRIu64 " told of: the chain %s\n", k.entries,
	       k.objects, k.told, k.broken ? "is BROKEN" : "holds");
	return k.broken ? EXIT_FINDINGS : EXIT_OK;
}
