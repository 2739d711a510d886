#include "rules/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "common/clock.h"
#include "common/text.h"
#include "rules/canon.h"
#include "rules/refang.h"

/* ---- writing entries: YAML flow maps with JSON's quoting, which YAML shares ---- */

static void put_field(struct buf *b, const char *name, const char *text, size_t max)
{
	if (!text || !*text)
		return;
	size_t n = strnlen(text, max);
	while (n && n == max && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--; /* never cut a character */
	buf_printf(b, ", %s: ", name);
	text_quote(b, text, n);
}

static void put_time(struct buf *b, const char *name, int64_t us)
{
	char text[CLOCK_TEXT_LEN];
	if (!us)
		return;
	clock_format(us, text);
	buf_printf(b, ", %s: %s", name, text);
}

void import_entry_put(struct buf *b, const struct import_item *i, const char *value, size_t n)
{
	buf_printf(b, "  - {%s: ", indicator_type_name(i->type));
	text_quote(b, value, n);
	put_field(b, "id", i->id, 128);
	if (i->severity >= 0)
		buf_printf(b, ", severity: %s", severity_names[i->severity]);
	if (i->confidence >= 0 && i->confidence <= 100)
		buf_printf(b, ", confidence: %d", i->confidence);
	if (i->tlp)
		buf_printf(b, ", tlp: %s", tlp_names[i->tlp]);
	if (i->match == MATCH_PREFIX)
		buf_printf(b, ", match: prefix");
	if (i->fold)
		buf_printf(b, ", fold: %s", fold_names[i->fold]);
	put_field(b, "labels", i->labels, 512);
	put_field(b, "where", i->where, 512);
	put_time(b, "valid_from", i->valid_from_us);
	put_time(b, "valid_until", i->valid_until_us);
	put_field(b, "ref", i->ref, 4096);
	put_field(b, "note", i->note, 4096);
	buf_add(b, "}\n", 2);
}

/* ---- what becomes of an item ---- */

void import_leave(struct import *m, const char *code, const char *why, const char *text, size_t n)
{
	char shown[400];
	m->left++;
	text_clean(shown, sizeof(shown), text, n);
	diag_add(m->d, DIAG_WARNING, (struct diag_place){.file = m->file, .line = m->line}, code, "%s: %s", shown, why);
	if (m->kept.n + n > IMPORT_KEPT_MAX) {
		m->kept_not++;
		return;
	}
	char *whole = xmalloc(4 * n + 1);
	text_clean(whole, 4 * n + 1, text, n);
	buf_printf(&m->kept, "# %s: %s\n", code, whole);
	free(whole);
}

void import_inactive(struct import *m)
{
	m->inactive++;
}

/* When it cannot be written, the entries stay in memory. */
static void spill(struct import *m)
{
	if (m->in_memory || m->entries.n < IMPORT_SPILL || (!m->spill && !(m->spill = tmpfile())))
		return;
	if (fwrite(m->entries.p, 1, m->entries.n, m->spill) == m->entries.n)
		m->entries.n = 0;
	else
		m->spill_failed = true;
}

void import_end(struct import *m)
{
	if (m->spill)
		fclose(m->spill);
	m->spill = NULL;
	buf_free(&m->entries);
	buf_free(&m->kept);
}

bool import_take(struct import *m, const struct import_item *item)
{
	static const indicator_mask broken = INDICATOR_BIT(INDICATOR_IP) | INDICATOR_BIT(INDICATOR_CIDR) |
					     INDICATOR_BIT(INDICATOR_IP_PORT) | INDICATOR_BIT(INDICATOR_DOMAIN) |
					     INDICATOR_BIT(INDICATOR_HOSTNAME) | INDICATOR_BIT(INDICATOR_URL) |
					     INDICATOR_BIT(INDICATOR_EMAIL);
	char whole[CANON_MAX + 1];
	const char *value = item->value;
	struct canon c;
	struct err e = {"longer than any value that can match"};
	size_t n = item->n;
	if (n <= CANON_MAX && broken & INDICATOR_BIT(item->type)) {
		refang(item->value, item->n, whole, &n);
		value = whole;
	}
	if (memchr(value, '\0', n) || n > CANON_MAX || !canon_rule(item->type, value, n, &c, &e)) {
		import_leave(m, "bad-value", e.text, item->value, item->n);
		return false;
	}
	import_entry_put(&m->entries, item, value, n);
	m->taken++;
	spill(m);
	return true;
}

/* ---- what a value is by its look ---- */

static bool all_hex(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f') || (p[i] >= 'A' && p[i] <= 'F')))
			return false;
	return true;
}

static enum indicator_type guess_hash(size_t n)
{
	return n == 32   ? INDICATOR_FILE_MD5
	       : n == 40 ? INDICATOR_FILE_SHA1
	       : n == 64 ? INDICATOR_FILE_SHA256
			 : INDICATOR_NONE;
}

enum indicator_type import_guess(const char *value, size_t n)
{
	static const enum indicator_type order[] = {INDICATOR_IP,    INDICATOR_CIDR,   INDICATOR_IP_PORT,
						    INDICATOR_EMAIL, INDICATOR_DOMAIN, INDICATOR_URL};
	char whole[CANON_MAX + 1];
	struct canon c;
	size_t k;
	if (!n || n > CANON_MAX)
		return INDICATOR_NONE;
	if (all_hex(value, n) && guess_hash(n))
		return guess_hash(n);
	refang(value, n, whole, &k);
	if (strstr(whole, "://"))
		return INDICATOR_URL;
	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++)
		if ((order[i] != INDICATOR_EMAIL || memchr(whole, '@', k)) &&
		    (order[i] != INDICATOR_DOMAIN || memchr(whole, '.', k)) &&
		    (order[i] != INDICATOR_URL || memchr(whole, '/', k)) && canon_rule(order[i], whole, k, &c, NULL))
			return order[i];
	return INDICATOR_NONE;
}
