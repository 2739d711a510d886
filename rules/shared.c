#include "rules/shared.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hash.h"

const char *const pap_names[PAP_COUNT + 1] = {
    [PAP_NONE] = "none", [PAP_CLEAR] = "clear", [PAP_GREEN] = "green", [PAP_AMBER] = "amber", [PAP_RED] = "red"};

const char *const priority_names[PRIORITY_COUNT + 1] = {[PRIORITY_ROUTINE] = "routine",
							[PRIORITY_PRIORITY] = "priority",
							[PRIORITY_IMMEDIATE] = "immediate",
							[PRIORITY_FLASH] = "flash"};

const char *const shared_state_names[SHARED_STATE_COUNT + 1] = {[SHARED_ACTIVE] = "active",
								[SHARED_REVIEW] = "review",
								[SHARED_QUARANTINE] = "quarantine",
								[SHARED_WITHDRAWN] = "withdrawn"};

enum lane shared_lane(enum priority p)
{
	return p >= PRIORITY_IMMEDIATE ? LANE_FLASH : LANE_BULK;
}

/* ---- the object ---- */

static const char *text_of(const struct json *o, const char *key)
{
	size_t n = 0;
	const char *t = json_text(json_at(o, key), &n);
	return t && strlen(t) == n ? t : NULL;
}

const char *shared_id(const struct json *stix)
{
	return text_of(stix, "id");
}

const char *shared_type(const struct json *stix)
{
	return text_of(stix, "type");
}

const char *shared_version(const struct json *stix)
{
	const char *t = text_of(stix, "modified");
	if (!t)
		t = text_of(stix, "created");
	return t ? t : "";
}

bool shared_revoked(const struct json *stix)
{
	return json_bool(json_at(stix, "revoked"), false);
}

const struct json *shared_extension(const struct json *stix)
{
	const struct json *x = json_at(json_at(stix, "extensions"), SHARED_EXTENSION);
	return json_kind(x) == JSON_KIND_MAP ? x : NULL;
}

void shared_digest(const struct json *stix, uint8_t out[static 32])
{
	struct buf text = {0};
	json_write_sorted(stix, &text);
	hash_sha256(out, text.p, text.n);
	buf_free(&text);
}

bool shared_name_valid(const char *text)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t n = strlen(text);
	return n && n <= SHARED_NAME_MAX && text[strspn(text, set)] == '\0';
}

static bool uuid_valid(const char *u)
{
	for (size_t i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? u[i] != '-' : !strchr("0123456789abcdefABCDEF", u[i]) || !u[i])
			return false;
	}
	return u[36] == '\0';
}

bool shared_id_valid(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
	const char *dashes = NULL;
	for (const char *p = strstr(text, "--"); p && p < text + n; p = strstr(p + 1, "--"))
		dashes = p;
	return dashes && dashes > text && dashes - text <= 250 && uuid_valid(dashes + 2);
}

/* ---- the envelope ---- */

struct reader {
	struct shared_box *b;
	size_t names, names_cap, lists;
	struct err *e;
};

/* Room for the names in an envelope: origin, from, exercise, collection, reason, and the lists. */
static void make_room(struct reader *r, const struct json *x)
{
	size_t path = json_count(json_at(x, "path")), rel = json_count(json_at(x, "releasable_to"));
	size_t lists = (path < SHARED_PATH_MAX ? path : SHARED_PATH_MAX) +
		       (rel < SHARED_REL_MAX ? rel : SHARED_REL_MAX);
	r->names_cap = lists + 5;
	r->b->names = xcalloc(r->names_cap, sizeof(*r->b->names));
	r->b->list = xcalloc(lists + 1, sizeof(*r->b->list)); /* one more: an origin that stands for the path */
	r->b->is.path = r->b->is.releasable_to = r->b->list;
}

static const char *keep(struct reader *r, const char *text)
{
	assert(r->names < r->names_cap);
	char *to = r->b->names[r->names++];
	snprintf(to, SHARED_NAME_MAX + 1, "%s", text);
	return to;
}

/* An organisation on the way may stand there as its alias (rules/gate.h). */
static bool way_name_valid(const char *t)
{
	return shared_name_valid(*t == '~' ? t + 1 : t);
}

/* An optional name; "" when it is not there. */
static bool read_name(struct reader *r, const struct json *from, const char *key, const char **to)
{
	const struct json *v = json_at(from, key);
	const char *t = v ? text_of(from, key) : "";
	bool way = strcmp(key, "origin") == 0;
	if (!t || (*t && !(way ? way_name_valid(t) : shared_name_valid(t))))
		return err_set(r->e, "%s: expected 1 to %d of A-Z a-z 0-9 . _ -", key, SHARED_NAME_MAX);
	*to = *t ? keep(r, t) : "";
	return true;
}

static bool read_list(struct reader *r, const struct json *from, const char *key, size_t max, bool path,
		      const char *const **to, size_t *n)
{
	const struct json *v = json_at(from, key);
	if (v && (json_kind(v) != JSON_KIND_LIST || json_count(v) > max))
		return err_set(r->e, "%s: expected a list of at most %zu names", key, max);
	*to = r->b->list + r->lists;
	*n = json_count(v);
	for (size_t i = 0; i < *n; i++) {
		size_t len;
		const char *t = json_text(json_item(v, i), &len);
		if (!t || strlen(t) != len || !(path ? way_name_valid(t) : shared_name_valid(t)))
			return err_set(r->e, "%s: entry %zu is not a name", key, i + 1);
		r->b->list[r->lists++] = keep(r, t);
	}
	return true;
}

static bool read_choice(struct reader *r, const struct json *from, const char *key, const char *const *names, int *to)
{
	const struct json *v = json_at(from, key);
	const char *t = v ? text_of(from, key) : names[0];
	for (int i = 0; t && names[i]; i++)
		if (strcmp(t, names[i]) == 0) {
			*to = i;
			return true;
		}
	return err_set(r->e, "%s: not one of its words", key);
}

static bool read_common(struct reader *r, const struct json *x)
{
	struct shared *s = &r->b->is;
	int pap = 0, priority = 0;
	if (!read_name(r, x, "origin", &s->origin) || !read_name(r, x, "exercise", &s->exercise) ||
	    !read_list(r, x, "path", SHARED_PATH_MAX, true, &s->path, &s->path_n) ||
	    !read_list(r, x, "releasable_to", SHARED_REL_MAX, false, &s->releasable_to, &s->rel_n) ||
	    !read_choice(r, x, "pap", pap_names, &pap) || !read_choice(r, x, "priority", priority_names, &priority))
		return false;
	s->pap = (enum pap)pap;
	s->priority = (enum priority)priority;
	return true;
}

static bool check_object(const struct json *stix, struct err *e)
{
	const char *id = shared_id(stix), *type = shared_type(stix);
	if (json_kind(stix) != JSON_KIND_MAP || !id || !type)
		return err_set(e, "not a STIX object: no id or no type");
	size_t n = strlen(type);
	if (!shared_id_valid(id) || strncmp(id, type, n) != 0 || strncmp(id + n, "--", 2) != 0)
		return err_set(e, "the id is not the type, two dashes and a UUID");
	if (strlen(shared_version(stix)) >= SHARED_VERSION_MAX)
		return err_set(e, "the time of the version is too long");
	const struct json *extensions = json_at(stix, "extensions");
	return !extensions || json_kind(extensions) == JSON_KIND_MAP || err_set(e, "extensions is no map");
}

static void begin(struct shared_box *b, struct json *stix)
{
	memset(b, 0, sizeof(*b));
	b->stix = stix;
	b->is = (struct shared){.stix = stix, .collection = "", .origin = "", .from = "", .exercise = "", .reason = ""};
}

bool shared_box_read(struct shared_box *b, struct json *stix, const char *from, struct err *e)
{
	begin(b, stix);
	struct reader r = {.b = b, .e = e};
	const struct json *x = shared_extension(stix), *outer = json_at(stix, "extensions");
	make_room(&r, x);
	if (!check_object(stix, e))
		return false;
	if (!x && json_at(outer, SHARED_EXTENSION))
		return err_set(e, "the extension " SHARED_EXTENSION " is no map");
	if (x && !read_common(&r, x))
		return false;
	b->is.from = *from ? keep(&r, from) : "";
	if (!*b->is.origin && *from)
		b->is.origin = b->is.from;
	if (!b->is.path_n && *from) {
		b->list[r.lists] = b->is.from;
		b->is.path = b->list + r.lists;
		b->is.path_n = 1;
	}
	return true;
}

struct json *shared_envelope(const struct shared *s)
{
	struct json *x = json_map(), *list = json_list();
	json_put_text(x, "collection", s->collection);
	json_put_text(x, "origin", s->origin);
	json_put_text(x, "from", s->from);
	for (size_t i = 0; i < s->path_n; i++)
		json_put_text(list, NULL, s->path[i]);
	json_put(x, "path", list);
	list = json_list();
	for (size_t i = 0; i < s->rel_n; i++)
		json_put_text(list, NULL, s->releasable_to[i]);
	json_put(x, "releasable_to", list);
	json_put_text(x, "exercise", s->exercise);
	json_put_text(x, "pap", pap_names[s->pap]);
	json_put_text(x, "priority", priority_names[s->priority]);
	json_put_text(x, "state", shared_state_names[s->state]);
	json_put_text(x, "reason", s->reason && *s->reason ? s->reason : NULL);
	json_put_int(x, "date_added_us", s->date_added_us);
	return x;
}

bool shared_box_stored(struct shared_box *b, struct json *stix, const struct json *envelope, struct err *e)
{
	begin(b, stix);
	struct reader r = {.b = b, .e = e};
	int state = 0;
	make_room(&r, envelope);
	if (!check_object(stix, e) || !read_common(&r, envelope) || !read_name(&r, envelope, "from", &b->is.from) ||
	    !read_name(&r, envelope, "collection", &b->is.collection) ||
	    !read_name(&r, envelope, "reason", &b->is.reason) ||
	    !read_choice(&r, envelope, "state", shared_state_names, &state))
		return false;
	b->is.state = (enum shared_state)state;
	b->is.date_added_us = json_int(json_at(envelope, "date_added_us"), 0);
	return true;
}

void shared_box_free(struct shared_box *b)
{
	json_drop(b->stix);
	free(b->names);
	free(b->list);
	memset(b, 0, sizeof(*b));
}
