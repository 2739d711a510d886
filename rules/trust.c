#include "rules/trust.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/secret.h"
#include "common/text.h"
#include "common/yaml.h"

struct trusted {
	char id[MANIFEST_SET_MAX + 1];
	uint8_t pub[SIGN_PUBLIC_BYTES];
	char key_id[SIGN_KEY_ID_LEN];
	char scope[TRUST_SCOPE_MAX][MANIFEST_SET_MAX + 1];
	size_t scopes;
	int64_t valid_from_us, valid_until_us; /* 0 = open */
};

struct trust {
	struct trusted key[TRUST_KEYS_MAX];
	size_t n;
};

/* ---- reading ---- */

struct reader {
	struct yaml *y;
	const char *path;
	struct diags *d;
	struct trust *t;
};

static struct diag_place place(const struct reader *r, struct yaml_event ev)
{
	return (struct diag_place){.file = r->path, .line = ev.line, .column = ev.column};
}

static void skip(struct reader *r, struct yaml_event ev)
{
	if (ev.kind == YAML_MAP || ev.kind == YAML_SEQ)
		yaml_skip(r->y, ev.kind);
}

static bool closes(struct yaml_event ev)
{
	return ev.kind == YAML_END || ev.kind == YAML_MAP_END || ev.kind == YAML_SEQ_END;
}

static void add_scope(struct reader *r, struct trusted *k, struct yaml_event ev)
{
	if (ev.kind != YAML_SCALAR || !ev.n || ev.n > MANIFEST_SET_MAX || k->scopes == TRUST_SCOPE_MAX ||
	    strspn(ev.text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-*?") != ev.n) {
		diag_add(r->d, DIAG_ERROR, place(r, ev), "bad-scope",
			 "scope: expected patterns over set ids such as \"partner-*\" (at most %d)", TRUST_SCOPE_MAX);
		skip(r, ev);
		return;
	}
	memcpy(k->scope[k->scopes++], ev.text, ev.n + 1);
}

static void read_scope(struct reader *r, struct trusted *k, struct yaml_event ev)
{
	if (ev.kind != YAML_SEQ) {
		add_scope(r, k, ev);
		return;
	}
	for (ev = yaml_next(r->y); !closes(ev); ev = yaml_next(r->y))
		add_scope(r, k, ev);
}

static void read_public(struct reader *r, struct trusted *k, struct yaml_event ev)
{
	if (ev.kind == YAML_SCALAR && text_unhex(k->pub, sizeof(k->pub), ev.text, ev.n)) {
		sign_key_id(k->pub, k->key_id);
		return;
	}
	diag_add(r->d, DIAG_ERROR, place(r, ev), "bad-key",
		 "public: expected the 64 hex digits that picket rules keygen prints");
	skip(r, ev);
}

static void read_time(struct reader *r, const char *name, struct yaml_event ev, int64_t *to)
{
	if (ev.kind == YAML_SCALAR && clock_parse(ev.text, to) && *to > 0)
		return;
	diag_add(r->d, DIAG_ERROR, place(r, ev), "bad-time", "%s: expected a time such as 2027-12-31", name);
	skip(r, ev);
}

static void read_id(struct reader *r, struct trusted *k, struct yaml_event ev)
{
	if (ev.kind == YAML_SCALAR && manifest_id_valid(ev.text, ev.n)) {
		memcpy(k->id, ev.text, ev.n + 1);
		return;
	}
	diag_add(r->d, DIAG_ERROR, place(r, ev), "bad-id", "id: expected 1 to %d of A-Z a-z 0-9 . _ -",
		 MANIFEST_SET_MAX);
	skip(r, ev);
}

static void read_field(struct reader *r, struct trusted *k, struct yaml_event name)
{
	static const char *const known[] = {"id", "public", "scope", "valid_from", "valid_until", NULL};
	char word[32] = "";
	if (name.kind == YAML_SCALAR && name.n < sizeof(word))
		memcpy(word, name.text, name.n + 1);
	struct diag_place at = place(r, name);
	skip(r, name);
	struct yaml_event ev = yaml_next(r->y);
	if (strcmp(word, "id") == 0) {
		read_id(r, k, ev);
	} else if (strcmp(word, "public") == 0) {
		read_public(r, k, ev);
	} else if (strcmp(word, "scope") == 0) {
		read_scope(r, k, ev);
	} else if (strcmp(word, "valid_from") == 0) {
		read_time(r, word, ev, &k->valid_from_us);
	} else if (strcmp(word, "valid_until") == 0) {
		read_time(r, word, ev, &k->valid_until_us);
	} else {
		const char *near = diag_nearest(word, known);
		diag_add(r->d, DIAG_ERROR, at, "unknown-key", "unknown key \"%s\"%s%s%s", word,
			 near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
		skip(r, ev);
	}
}

/* A key that is half there is worse than none. */
static void judge_key(struct reader *r, const struct trusted *k, struct diag_place at)
{
	if (!k->key_id[0])
		diag_add(r->d, DIAG_ERROR, at, "bad-key", "the key \"%s\" has no public:", k->id);
	if (!k->scopes)
		diag_add(r->d, DIAG_ERROR, at, "no-scope",
			 "the key \"%s\" has no scope: say which sets it may sign, [\"*\"] for all", k->id);
	for (size_t i = 0; i < r->t->n; i++)
		if (strcmp(r->t->key[i].id, k->id) == 0 || strcmp(r->t->key[i].key_id, k->key_id) == 0)
			diag_add(r->d, DIAG_ERROR, at, "duplicate", "the key \"%s\" is listed twice", k->id);
}

static void read_key(struct reader *r, struct yaml_event ev)
{
	struct diag_place at = place(r, ev);
	struct trusted k = {.id = ""};
	if (ev.kind != YAML_MAP || r->t->n == TRUST_KEYS_MAX) {
		diag_add(r->d, DIAG_ERROR, at, "bad-shape",
			 "expected {id: …, public: …, scope: […]}, at most %d of them", TRUST_KEYS_MAX);
		skip(r, ev);
		return;
	}
	for (ev = yaml_next(r->y); !closes(ev); ev = yaml_next(r->y))
		read_field(r, &k, ev);
	judge_key(r, &k, at);
	r->t->key[r->t->n++] = k;
}

static void read_top(struct reader *r)
{
	struct yaml_event ev = yaml_next(r->y);
	if (ev.kind != YAML_MAP) {
		diag_add(r->d, DIAG_ERROR, place(r, ev), "bad-shape", "expected keys: and a list of trusted keys");
		return;
	}
	for (ev = yaml_next(r->y); !closes(ev); ev = yaml_next(r->y)) {
		bool keys = ev.kind == YAML_SCALAR && strcmp(ev.text, "keys") == 0;
		struct diag_place at = place(r, ev);
		skip(r, ev);
		ev = yaml_next(r->y);
		if (!keys || ev.kind != YAML_SEQ) {
			diag_add(r->d, DIAG_ERROR, at, "unknown-key", "expected keys: and a list");
			skip(r, ev);
			continue;
		}
		for (ev = yaml_next(r->y); !closes(ev); ev = yaml_next(r->y))
			read_key(r, ev);
	}
}

struct trust *trust_read(const char *path, struct diags *d)
{
	struct err e;
	bool fit = trusted_file(path, "the list of trusted keys", TRUSTED_OWNER, &e);
	struct reader r = {.path = path, .d = d, .y = fit ? yaml_open(path, &e) : NULL};
	size_t errors = d->count[DIAG_ERROR];
	const char *why;
	unsigned line, column;
	if (!r.y) {
		diag_add(d, DIAG_ERROR, (struct diag_place){0}, "unreadable", "%s", e.text);
		return NULL;
	}
	r.t = xcalloc(1, sizeof(*r.t));
	read_top(&r);
	if (yaml_failed(r.y, &why, &line, &column))
		diag_add(d, DIAG_ERROR, (struct diag_place){path, line, column}, "bad-yaml", "%s", why);
	yaml_close(r.y);
	if (!r.t->n)
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = path}, "no-keys", "no trusted key is listed");
	if (d->count[DIAG_ERROR] == errors)
		return r.t;
	trust_free(r.t);
	return NULL;
}

void trust_free(struct trust *t)
{
	free(t);
}

/* ---- judging ---- */

bool trust_in_scope(const char *pattern, const char *set)
{
	const char *star = NULL, *from = NULL;
	while (*set) {
		if (*pattern == '*') {
			star = pattern++;
			from = set;
		} else if (*pattern == '?' || *pattern == *set) {
			pattern++;
			set++;
		} else if (star) {
			pattern = star + 1;
			set = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

static const struct trusted *find_key(const struct trust *t, const char *key_id)
{
	for (size_t i = 0; t && i < t->n; i++)
		if (strcmp(t->key[i].key_id, key_id) == 0)
			return &t->key[i];
	return NULL;
}

static bool speaks_for(const struct trusted *k, const char *set)
{
	for (size_t i = 0; i < k->scopes; i++)
		if (trust_in_scope(k->scope[i], set))
			return true;
	return false;
}

bool trust_believes(const struct trust *t, struct bytes manifest, const struct manifest *m,
		    const struct endorsement *by, int64_t now_us, const char **who, struct err *e)
{
	char when[CLOCK_TEXT_LEN];
	const struct trusted *k = find_key(t, by->key_id);
	if (!k)
		return err_set(e, "set \"%s\" is signed by the key %s, which is not trusted here", m->set, by->key_id);
	if (!sign_holds(k->pub, MANIFEST_CONTEXT, manifest.p, manifest.n, by->signature))
		return err_set(e, "the signature of set \"%s\" by \"%s\" does not hold", m->set, k->id);
	if (!speaks_for(k, m->set))
		return err_set(e, "the key \"%s\" may not sign the set \"%s\": it is outside its scope", k->id, m->set);
	if (k->valid_from_us && now_us < k->valid_from_us) {
		clock_format(k->valid_from_us, when);
		return err_set(e, "the key \"%s\" is valid only from %s", k->id, when);
	}
	if (k->valid_until_us && now_us >= k->valid_until_us) {
		clock_format(k->valid_until_us, when);
		return err_set(e, "the key \"%s\" was valid until %s", k->id, when);
	}
	if (who)
		*who = k->id;
	return true;
}
