/* A data file for tests: its objects and statuses go into Redis as they stand in it, each
 * with the date of addition that its manifest says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/handling.h"
#include "collector/taxii_internal.h"
#include "common/clock.h"
#include "common/log.h"

struct seed {
	struct taxii *t;
	bool begun;
	size_t loaded;
};

struct seed *seed_new(struct taxii *t)
{
	struct seed *s = xcalloc(1, sizeof(*s));
	s->t = t;
	return s;
}

void seed_free(struct seed *s)
{
	free(s);
}

static int64_t added_us(const struct json *manifest, const struct object *o)
{
	for (size_t i = 0; i < json_count(manifest); i++) {
		const struct json *m = json_item(manifest, i);
		const char *id = json_text(json_at(m, "id"), NULL), *version = json_text(json_at(m, "version"), NULL);
		const char *added = json_text(json_at(m, "date_added"), NULL);
		int64_t us, row;
		if (id && version && added && strcmp(id, o->id) == 0 && clock_parse(version, &us) &&
		    (us == o->version_us || !*o->version) && clock_parse(added, &row))
			return row;
	}
	return 0;
}

static void on_put(void *arg, bool ok, const struct objects_put_result *v, size_t n)
{
	struct seed *s = arg;
	(void)v;
	if (!ok)
		log_warnx("objects of the data file could not be stored");
	s->loaded += n;
}

/* Where two objects have the same date of addition, the one of the higher spec_version keeps it. */
static void load_object(struct seed *s, const char *collection, const struct json *stix, const struct json *manifest,
			bool newer)
{
	struct buf text = {0}, handling = {0};
	struct object o;
	struct err e;
	struct shared shared = {
	    .stix = stix, .collection = "", .origin = TAXII_SEED, .from = TAXII_SEED, .exercise = ""};
	json_write(stix, &text);
	if (object_read(&o, stix, (struct bytes){text.p, text.n}, &e) && (o.spec > 20) != newer) {
		buf_free(&text);
		return;
	}
	if (object_read(&o, stix, (struct bytes){text.p, text.n}, &e)) {
		handling_write(&shared, &handling);
		o.handling = (struct bytes){handling.p, handling.n};
		o.row = added_us(manifest, &o);
		objects_put(s->t->is.objects, collection, &o, 1, (struct objects_put_done){on_put, s});
	} else {
		log_warnx("an object of the data file is left out: %s", e.text);
	}
	buf_free(&text);
	buf_free(&handling);
}

static void load_status(struct seed *s, const char *root, const struct json *status)
{
	struct buf text = {0};
	char key[256];
	const char *id = json_text(json_at(status, "id"), NULL);
	if (!id || !shared_name_valid(id))
		return;
	snprintf(key, sizeof(key), OBJECTS_PREFIX "status:%s:%s:%s", root, TAXII_SEED, id);
	json_write(status, &text);
	const char *v[] = {"SET", key, (const char *)text.p, "EX", "86400"};
	size_t len[] = {3, strlen(key), text.n, 2, 5};
	redis_link_send(s->t->is.redis, 5, v, len, (struct redis_done){0});
	buf_free(&text);
}

static void load_root(void *owner, const char *key, const struct json *v)
{
	struct seed *s = owner;
	const struct json *collections = json_at(v, "collections"), *statuses = json_at(v, "status");
	for (size_t i = 0; *key != '/' && i < json_count(collections); i++) {
		const struct json *c = json_item(collections, i), *objects = json_at(c, "objects");
		const char *id = json_text(json_at(c, "id"), NULL);
		for (size_t k = 0; id && k < 2 * json_count(objects); k++)
			load_object(s, id, json_item(objects, k % json_count(objects)), json_at(c, "manifest"),
				    k < json_count(objects));
	}
	for (size_t i = 0; *key != '/' && i < json_count(statuses); i++)
		load_status(s, key, json_item(statuses, i));
}

void seed_ready(struct seed *s)
{
	if (s->begun)
		return;
	s->begun = true;
	json_each(s->t->site.data, load_root, s);
}
