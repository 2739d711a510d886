#include "collector/taxii_site.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "collector/objects.h"
#include "common/buf.h"

#define SEED_BYTES_MAX (1ll << 30)
#define PATH_LEN       4096

#define AT(member) offsetof(struct site_collection, member)

const struct conf_key site_keys[] = {
    {"collection.id", CONF_STRING, AT(id), .help = "Its UUID, in lower case; must be given."},
    {"collection.title", CONF_STRING, AT(title), .help = "Its name for people; must be given."},
    {"collection.description", CONF_STRING, AT(description), .help = "What is in it."},
    {"collection.alias", CONF_STRING, AT(alias), .help = "A name for programs."},
    {"collection.store", CONF_STRING, AT(store),
     .help = "Where its objects are kept: own (what is published here), partner-<id>; empty = a place of its own."},
    {"collection.read", CONF_BOOL, AT(can_read), .fallback = "true",
     .help = "Whether it can be read, by partners whose policy says so (taxii.read)."},
    {"collection.write", CONF_BOOL, AT(can_write), .fallback = "false",
     .help = "Whether objects can be posted, by partners whose policy says so (taxii.write)."},
};
const size_t site_keys_n = sizeof(site_keys) / sizeof(*site_keys);

static bool uuid_valid(const char *u)
{
	if (!u || strlen(u) != 36)
		return false;
	for (int i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? u[i] != '-' : !strchr("0123456789abcdef", u[i]))
			return false;
	}
	return true;
}

/* ---- from YAML ---- */

static bool check(const struct site *s, const struct site_collection *c, const char *path, struct diags *d)
{
	struct diag_place at = {.file = path};
	size_t before = d->count[DIAG_ERROR];
	if (!uuid_valid(c->id))
		diag_add(d, DIAG_ERROR, at, "collection", "collection.id is not a UUID in lower case");
	else if (site_collection(s, s->roots, c->id))
		diag_add(d, DIAG_ERROR, at, "collection", "collection.id %s is another file's, too", c->id);
	if (!c->title || !*c->title)
		diag_add(d, DIAG_ERROR, at, "collection", "collection.title is not given");
	if (c->store && *c->store && !shared_name_valid(c->store))
		diag_add(d, DIAG_ERROR, at, "collection", "collection.store: at most %d of A-Z a-z 0-9 . _ -",
			 SHARED_NAME_MAX);
	if (s->collections_n == SITE_COLLECTIONS_MAX)
		diag_add(d, DIAG_ERROR, at, "collection", "more than %d collections", SITE_COLLECTIONS_MAX);
	return d->count[DIAG_ERROR] == before;
}

static bool load_one(struct site *s, const char *path, struct diags *d)
{
	struct site_collection c = {0};
	bool good = conf_load(site_keys, site_keys_n, path, &c, d) && check(s, &c, path, d);
	if (good && (!c.store || !*c.store)) {
		free(c.store);
		c.store = xstrdup(c.id);
	}
	if (good)
		s->collections[s->collections_n++] = c;
	else
		conf_free(site_keys, site_keys_n, &c);
	return good;
}

static int is_yaml(const struct dirent *e)
{
	size_t n = strlen(e->d_name);
	return e->d_name[0] != '.' && n > 5 && strcmp(e->d_name + n - 5, ".yaml") == 0;
}

static bool load_folder(struct site *s, const char *path, struct diags *d)
{
	struct dirent **files;
	int n = scandir(path, &files, is_yaml, alphasort);
	bool good = n >= 0;
	if (!good)
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = path}, "collection", "cannot read the folder");
	for (int i = 0; i < n; i++) {
		char file[PATH_LEN];
		snprintf(file, sizeof(file), "%s/%s", path, files[i]->d_name);
		good = load_one(s, file, d) && good;
		free(files[i]);
	}
	if (n >= 0)
		free(files);
	return good;
}

static void site_open(struct site *s)
{
	*s = (struct site){.roots = xcalloc(SITE_ROOTS_MAX, sizeof(*s->roots)),
			   .collections = xcalloc(SITE_COLLECTIONS_MAX, sizeof(*s->collections))};
}

bool site_load(struct site *s, const char *path, int64_t content_max, struct diags *d)
{
	struct stat st;
	site_open(s);
	s->roots[s->roots_n++] = (struct site_root){
	    .name = xstrdup("shared"), .title = xstrdup("Shared objects"), .content_max = content_max};
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? load_folder(s, path, d) : load_one(s, path, d);
}

/* ---- from a data file ---- */

static char *text_at(const struct json *v, const char *key)
{
	const char *t = json_text(json_at(v, key), NULL);
	return t ? xstrdup(t) : NULL;
}

static bool seed_collection(struct site *s, size_t root, const struct json *v, struct err *e)
{
	struct site_collection c = {.root = root,
				    .id = text_at(v, "id"),
				    .title = text_at(v, "title"),
				    .description = text_at(v, "description"),
				    .alias = text_at(v, "alias"),
				    .store = text_at(v, "id"),
				    .can_read = json_bool(json_at(v, "can_read"), false),
				    .can_write = json_bool(json_at(v, "can_write"), false)};
	const struct json *media = json_at(v, "media_types");
	c.media.v = xcalloc(json_count(media) + 1, sizeof(*c.media.v));
	for (size_t i = 0; i < json_count(media); i++)
		if (json_text(json_item(media, i), NULL))
			c.media.v[c.media.n++] = xstrdup(json_text(json_item(media, i), NULL));
	if (s->collections_n == SITE_COLLECTIONS_MAX || !c.id || !c.title || !shared_name_valid(c.id)) {
		conf_free(site_keys, site_keys_n, &c);
		return err_set(e, "a collection without id or title, or more than %d", SITE_COLLECTIONS_MAX);
	}
	s->collections[s->collections_n++] = c;
	return true;
}

struct seeding {
	struct site *s;
	struct err *e;
	bool good;
};

static void seed_root(void *owner, const char *key, const struct json *v)
{
	struct seeding *w = owner;
	struct site *s = w->s;
	const struct json *info = json_at(v, "information"), *list = json_at(v, "collections");
	if (*key == '/' || !w->good || !info)
		return;
	if (s->roots_n == SITE_ROOTS_MAX) {
		w->good = err_set(w->e, "more than %d API roots", SITE_ROOTS_MAX);
		return;
	}
	char *title = text_at(info, "title");
	s->roots[s->roots_n++] = (struct site_root){
	    .name = xstrdup(key),
	    .title = title ? title : xstrdup(key),
	    .description = text_at(info, "description"),
	    .content_max = json_int(json_at(info, "max_content_length"), SITE_CONTENT_MAX)};
	for (size_t i = 0; i < json_count(list) && w->good; i++)
		w->good = seed_collection(s, s->roots_n - 1, json_item(list, i), w->e);
}

static bool read_file(const char *path, struct buf *b, struct err *e)
{
	char chunk[65536];
	size_t n;
	FILE *f = fopen(path, "re");
	if (!f)
		return err_errno(e, "cannot read %s", path);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0 && b->n < SEED_BYTES_MAX)
		buf_add(b, chunk, n);
	bool good = !ferror(f);
	fclose(f);
	return good || err_errno(e, "cannot read %s", path);
}

bool site_seed(struct site *s, const char *path, struct err *e)
{
	struct buf text = {0};
	struct seeding w = {.s = s, .e = e, .good = true};
	struct err why;
	site_open(s);
	if (!read_file(path, &text, e))
		return false;
	s->data = json_read(text.p, text.n, SEED_BYTES_MAX, &why);
	buf_free(&text);
	if (!s->data)
		return err_set(e, "%s:%s", path, why.text);
	json_each(s->data, seed_root, &w);
	return w.good && (s->roots_n || err_set(e, "%s has no API root", path));
}

void site_free(struct site *s)
{
	for (size_t i = 0; i < s->roots_n; i++) {
		free(s->roots[i].name);
		free(s->roots[i].title);
		free(s->roots[i].description);
	}
	for (size_t i = 0; i < s->collections_n; i++) {
		for (size_t k = 0; k < s->collections[i].media.n; k++)
			free(s->collections[i].media.v[k]);
		free(s->collections[i].media.v);
		conf_free(site_keys, site_keys_n, &s->collections[i]);
	}
	free(s->roots);
	free(s->collections);
	json_drop(s->data);
	*s = (struct site){0};
}

/* ---- looking ---- */

const struct site_root *site_root(const struct site *s, const char *name)
{
	for (size_t i = 0; i < s->roots_n; i++)
		if (strcmp(s->roots[i].name, name) == 0)
			return &s->roots[i];
	return NULL;
}

const struct site_collection *site_collection(const struct site *s, const struct site_root *root, const char *id)
{
	size_t r = (size_t)(root - s->roots);
	for (size_t i = 0; i < s->collections_n; i++)
		if (s->collections[i].root == r &&
		    (strcmp(s->collections[i].id, id) == 0 ||
		     (s->collections[i].alias && strcmp(s->collections[i].alias, id) == 0)))
			return &s->collections[i];
	return NULL;
}
