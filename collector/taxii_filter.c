#include "collector/taxii_filter.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/text.h"

#define CURSOR_VERSION 1
#define CURSOR_TAG     16
#define CURSOR_BYTES   (1 + 8 + CURSOR_TAG)

static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* ---- cursors ---- */

static void cursor_seal(const struct filter *f, int64_t row, const uint8_t *key, uint8_t out[static CURSOR_BYTES])
{
	uint8_t text[1 + 8 + 32], tag[32];
	text[0] = CURSOR_VERSION;
	for (int i = 0; i < 8; i++)
		text[1 + i] = (uint8_t)((uint64_t)row >> (56 - 8 * i));
	memcpy(text + 9, f->scope, 32);
	hash_hmac_sha256(tag, key, FILTER_KEY_LEN, text, sizeof(text));
	memcpy(out, text, 9);
	memcpy(out + 9, tag, CURSOR_TAG);
}

void filter_next(const struct filter *f, int64_t row, const uint8_t key[static FILTER_KEY_LEN],
		 char out[static FILTER_CURSOR_LEN + 1])
{
	uint8_t b[CURSOR_BYTES + 1] = {0};
	cursor_seal(f, row, key, b);
	for (size_t i = 0; i < FILTER_CURSOR_LEN; i++) {
		size_t bit = 6 * i;
		unsigned two = (unsigned)b[bit / 8] << 8 | (bit / 8 + 1 < sizeof(b) ? b[bit / 8 + 1] : 0u);
		out[i] = base64url[two >> (10 - bit % 8) & 63];
	}
	out[FILTER_CURSOR_LEN] = '\0';
}

static bool cursor_open(const struct filter *f, const char *text, const uint8_t *key, int64_t *row)
{
	uint8_t b[CURSOR_BYTES + 1] = {0}, want[CURSOR_BYTES];
	if (strlen(text) != FILTER_CURSOR_LEN)
		return false;
	for (size_t i = 0; i < FILTER_CURSOR_LEN; i++) {
		const char *at = strchr(base64url, text[i]);
		if (!at)
			return false;
		size_t bit = 6 * i;
		unsigned two = (unsigned)(at - base64url) << (10 - bit % 8);
		b[bit / 8] = (uint8_t)(b[bit / 8] | two >> 8);
		if (bit / 8 + 1 < sizeof(b))
			b[bit / 8 + 1] = (uint8_t)(b[bit / 8 + 1] | (two & 255));
	}
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | b[1 + i];
	*row = (int64_t)v;
	cursor_seal(f, *row, key, want);
	return !b[CURSOR_BYTES] && *row >= 0 && hash_same(b, want, CURSOR_BYTES);
}

/* ---- lists ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Splits "a,b , c" in place; sorted, so that the same set has the same scope. */
static bool split(char *text, struct filter_list *l, size_t max, const char *what, struct err *e)
{
	for (char *word = text; word;) {
		char *comma = strchr(word, ',');
		if (comma)
			*comma = '\0';
		word += strspn(word, " ");
		word[strcspn(word, " ")] = '\0';
		if (*word && l->n == max)
			return err_set(e, "%s has more than %zu entries", what, max);
		if (*word)
			l->v[l->n++] = word;
		word = comma ? comma + 1 : NULL;
	}
	qsort(l->v, l->n, sizeof(*l->v), by_text);
	return true;
}

static int spec_of_text(const char *t)
{
	bool good = t[0] >= '0' && t[0] <= '9' && t[1] == '.' && t[2] >= '0' && t[2] <= '9' && !t[3];
	return good ? (t[0] - '0') * 10 + t[2] - '0' : -1; /* none has that */
}

static bool read_specs(struct filter *f, const struct filter_list *l, struct err *e)
{
	f->given_specs = l->n;
	if (l->n > sizeof(f->specs) / sizeof(*f->specs))
		return err_set(e, "match[spec_version] has too many entries");
	for (size_t i = 0; i < l->n; i++)
		f->specs[f->specs_n++] = spec_of_text(l->v[i]);
	return true;
}

static bool read_versions(struct filter *f, const struct filter_list *l, struct err *e)
{
	f->given_versions = l->n;
	f->last = !l->n;
	for (size_t i = 0; i < l->n; i++) {
		char clean[64];
		if (strcmp(l->v[i], "first") == 0)
			f->first = true;
		else if (strcmp(l->v[i], "last") == 0)
			f->last = true;
		else if (strcmp(l->v[i], "all") == 0)
			f->all = true;
		else if (f->versions_n == sizeof(f->versions) / sizeof(*f->versions))
			return err_set(e, "match[version] has too many entries");
		else if (!clock_parse(l->v[i], &f->versions[f->versions_n++]))
			return err_set(e, "match[version]: \"%s\" is not first, last, all or an RFC 3339 time",
				       text_clean(clean, sizeof(clean), l->v[i], strlen(l->v[i])));
	}
	return true;
}

/* ---- reading ---- */

static void add_scope(struct buf *b, const char *name, const struct filter_list *l)
{
	buf_printf(b, "\n%s", name);
	for (size_t i = 0; i < l->n; i++)
		buf_printf(b, ",%s", l->v[i]);
}

static bool read_match(struct filter *f, filter_get *get, void *from, struct buf *scope, struct err *e)
{
	static const char *const names[] = {"match[id]", "match[type]", "match[spec_version]", "match[version]"};
	char *small[128];
	size_t total = 0;
	for (size_t i = 0; i < 4; i++) {
		const char *t = get(from, names[i]);
		total += t ? strlen(t) + 1 : 0;
	}
	if (total > FILTER_TEXT_MAX)
		return err_set(e, "match[…] is longer than %d bytes in all", FILTER_TEXT_MAX);
	char *at = f->text = xmalloc(total + 1);
	f->ids.v = f->lists;
	f->types.v = f->lists + FILTER_LIST_MAX;
	for (size_t i = 0; i < 4; i++) {
		struct filter_list other = {small, 0}, *l = i == 0 ? &f->ids : i == 1 ? &f->types : &other;
		const char *t = get(from, names[i]);
		if (t) {
			size_t n = strlen(t) + 1;
			memcpy(at, t, n);
			if (!split(at, l, i < 2 ? FILTER_LIST_MAX : 128, names[i], e))
				return false;
			at += n;
		}
		add_scope(scope, names[i], l);
		if ((i == 2 && !read_specs(f, l, e)) || (i == 3 && !read_versions(f, l, e)))
			return false;
	}
	return true;
}

static bool read_limit(struct filter *f, const char *text, size_t max, struct err *e)
{
	char *end, clean[40];
	f->limit = max;
	if (!text)
		return true;
	unsigned long long v = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || !v)
		return err_set(e, "limit: \"%s\" is not a number above 0",
			       text_clean(clean, sizeof(clean), text, strlen(text)));
	f->limit = v < max ? (size_t)v : max;
	return true;
}

static bool read_place(struct filter *f, filter_get *get, void *from, const uint8_t *key, struct err *e)
{
	const char *after = get(from, "added_after"), *next = get(from, "next");
	char clean[64];
	int64_t row;
	if (after && !clock_parse(after, &f->after))
		return err_set(e, "added_after: \"%s\" is not an RFC 3339 time",
			       text_clean(clean, sizeof(clean), after, strlen(after)));
	if (f->after < 0)
		f->after = 0;
	if (!next)
		return true;
	if (!cursor_open(f, next, key, &row))
		return err_set(e,
			       "next is not one that was given for this request: parameters changed, or it is damaged");
	f->after = row > f->after ? row : f->after;
	return true;
}

bool filter_read(struct filter *f, filter_get *get, void *from, const char *scope, size_t limit_max,
		 const uint8_t key[static FILTER_KEY_LEN], struct err *e)
{
	struct buf b = {0};
	memset(f, 0, sizeof(*f));
	buf_printf(&b, "%s", scope);
	bool ok = read_match(f, get, from, &b, e);
	if (ok)
		hash_sha256(f->scope, b.p, b.n);
	buf_free(&b);
	return ok && read_limit(f, get(from, "limit"), limit_max, e) && read_place(f, get, from, key, e);
}

void filter_free(struct filter *f)
{
	free(f->text);
	f->text = NULL;
}

/* ---- choosing ---- */

bool filter_only_last(const struct filter *f)
{
	return f->last && !f->first && !f->all && !f->versions_n && !f->given_specs;
}

static bool lists(const struct filter_list *l, const char *text, size_t n)
{
	for (size_t i = 0; i < l->n; i++)
		if (strlen(l->v[i]) == n && memcmp(l->v[i], text, n) == 0)
			return true;
	return !l->n;
}

bool filter_takes(const struct filter *f, const struct object_row *r)
{
	const char *dashes = strstr(r->id, "--");
	return r->row > f->after && dashes && lists(&f->types, r->id, (size_t)(dashes - r->id)) &&
	       lists(&f->ids, r->id, strlen(r->id));
}

int64_t object_version_us(const struct object_row *r)
{
	int64_t us;
	return *r->version && clock_parse(r->version, &us) ? us : r->row;
}

static bool has_spec(const struct filter *f, int spec, int highest)
{
	if (!f->given_specs)
		return spec == highest;
	for (size_t i = 0; i < f->specs_n; i++)
		if (f->specs[i] == spec)
			return true;
	return false;
}

bool filter_chooses(const struct filter *f, const struct object_row *r, const struct object_row *all, size_t n)
{
	int highest = r->spec;
	int64_t mine = object_version_us(r), low = INT64_MAX, high = INT64_MIN;
	for (size_t i = 0; i < n; i++)
		if (strcmp(all[i].id, r->id) == 0 && all[i].spec > highest)
			highest = all[i].spec;
	if (!has_spec(f, r->spec, highest))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(all[i].id, r->id) != 0 || !has_spec(f, all[i].spec, highest))
			continue;
		int64_t v = object_version_us(&all[i]);
		low = v < low ? v : low;
		high = v > high ? v : high;
	}
	for (size_t i = 0; i < f->versions_n; i++)
		if (f->versions[i] == mine)
			return true;
	return f->all || (f->first && mine == low) || (f->last && mine == high);
}
