/* What is asked for (TAXII 2.1 sections 4 and 5): the way from a path to a page. The
 * order of answers is who, form, place, right, filter: nobody learns from an
 * answer what stands behind one that he may not have. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/taxii_internal.h"
#include "common/clock.h"
#include "common/text.h"

#define STIX_MEDIA "application/stix+json;version=2.1"

/* ---- the form of a request ---- */

/* "application/taxii+json", alone or with version=2.1; q and blanks do not matter here. */
static bool media_fits(const char *text, size_t n)
{
	char word[128];
	size_t k = 0;
	for (size_t i = 0; i < n && k + 1 < sizeof(word); i++)
		if (text[i] != ' ' && text[i] != '"')
			word[k++] = text[i];
	word[k] = '\0';
	text_lower(word, word, k);
	size_t type = strcspn(word, ";");
	if (type != 22 || strncmp(word, "application/taxii+json", 22) != 0)
		return false;
	const char *version = strstr(word + type, ";version=");
	return !version || strcmp(version, ";version=2.1") == 0 || strncmp(version, ";version=2.1;", 13) == 0;
}

static bool accepts(const struct ask *a)
{
	const char *at = httpd_header(a->r, "Accept");
	while (at) {
		size_t n = strcspn(at, ",");
		if (media_fits(at, n))
			return true;
		at = at[n] ? at + n + 1 : NULL;
	}
	return false;
}

static bool posts_taxii(const struct ask *a)
{
	const char *type = httpd_header(a->r, "Content-Type");
	return type && strstr(type, "version") && media_fits(type, strlen(type));
}

static void split_path(struct ask *a)
{
	snprintf(a->path, sizeof(a->path), "%s", httpd_path(a->r));
	for (char *at = a->path; *at && a->parts < TAXII_PARTS;) {
		at += strspn(at, "/");
		if (!*at)
			break;
		a->part[a->parts++] = at;
		at += strcspn(at, "/");
		if (*at)
			*at++ = '\0';
	}
}

static bool part_is(const struct ask *a, size_t i, const char *word)
{
	return i < a->parts && strcmp(a->part[i], word) == 0;
}

/* ---- documents ---- */

static void reply_json(struct ask *a, struct json *v)
{
	struct buf body = {0};
	json_write(v, &body);
	json_drop(v);
	ask_reply(a, 200, &body);
	buf_free(&body);
}

static void put_given(struct json *to, const char *key, const char *text)
{
	if (text && *text)
		json_put_text(to, key, text);
}

static void discovery(struct ask *a)
{
	const struct site *s = &a->t->site;
	struct buf body = {0};
	const struct json *given = json_at(s->data, "/discovery");
	if (given) {
		json_write(given, &body);
		ask_reply(a, 200, &body);
		buf_free(&body);
		return;
	}
	struct json *v = json_map(), *roots = json_list();
	json_put_text(v, "title", "Picket");
	put_given(v, "contact", a->t->is.conf->contact);
	for (size_t i = 0; i < s->roots_n; i++) {
		char path[TAXII_PATH_MAX];
		snprintf(path, sizeof(path), "/%s/", s->roots[i].name);
		if (!i)
			json_put_text(v, "default", path);
		json_put_text(roots, NULL, path);
	}
	json_put(v, "api_roots", roots);
	reply_json(a, v);
}

static void root_information(struct ask *a)
{
	struct json *v = json_map(), *versions = json_list();
	json_put_text(v, "title", a->root->title);
	put_given(v, "description", a->root->description);
	json_put_text(versions, NULL, TAXII_MEDIA);
	json_put(v, "versions", versions);
	json_put_int(v, "max_content_length", a->root->content_max);
	reply_json(a, v);
}

/* What the asker may do with a collection; false: it does not exist for him. */
static bool rights(const struct ask *a, const struct site_collection *c, bool *read, bool *write)
{
	const struct policy *p = a->policy;
	*read = c->can_read && (a->t->seeded || (p && policy_lists(&p->taxii.read, c->id)));
	*write = c->can_write && (a->t->seeded || (p && policy_lists(&p->taxii.write, c->id)));
	return a->t->seeded || *read || *write;
}

static struct json *collection_json(const struct ask *a, const struct site_collection *c)
{
	bool read, write;
	if (!rights(a, c, &read, &write))
		return NULL;
	struct json *v = json_map(), *media = json_list();
	json_put_text(v, "id", c->id);
	json_put_text(v, "title", c->title);
	put_given(v, "description", c->description);
	put_given(v, "alias", c->alias);
	json_put_bool(v, "can_read", read);
	json_put_bool(v, "can_write", write);
	for (size_t i = 0; i < c->media.n; i++)
		json_put_text(media, NULL, c->media.v[i]);
	if (!c->media.n)
		json_put_text(media, NULL, STIX_MEDIA);
	json_put(v, "media_types", media);
	return v;
}

static void collections(struct ask *a)
{
	struct json *v = json_map(), *list = json_list();
	const struct site *s = &a->t->site;
	for (size_t i = 0; i < s->collections_n; i++) {
		struct json *one = &s->roots[s->collections[i].root] == a->root ? collection_json(a, &s->collections[i])
										: NULL;
		if (one)
			json_put(list, NULL, one);
	}
	if (json_count(list))
		json_put(v, "collections", list);
	else
		json_drop(list);
	reply_json(a, v);
}

/* ---- pages ---- */

static void put_dates(struct ask *a, const struct page *p)
{
	char first[CLOCK_TEXT_LEN], last[CLOCK_TEXT_LEN];
	if (!a->r || !p->n)
		return;
	clock_format(p->first, first);
	clock_format(p->last, last);
	httpd_reply_header(a->r, "X-TAXII-Date-Added-First", first);
	httpd_reply_header(a->r, "X-TAXII-Date-Added-Last", last);
}

/* What waits for the audit. */
struct sending {
	struct ask *a;
	struct buf body;
};

static void on_recorded(void *arg, bool ok)
{
	struct sending *s = arg;
	if (ok)
		ask_reply(s->a, 200, &s->body);
	else
		ask_busy(s->a);
	buf_free(&s->body);
	free(s);
}

static void write_page(const struct ask *a, const struct page *p, struct buf *out)
{
	char next[FILTER_CURSOR_LEN + 1];
	if (!p->n) {
		buf_printf(out, "{}");
		return;
	}
	buf_printf(out, "{\"more\":%s,", p->more ? "true" : "false");
	if (p->more) {
		filter_next(&a->filter, p->last, a->t->key, next);
		buf_printf(out, "\"next\":\"%s\",", next);
	}
	buf_printf(out, "\"%s\":[", a->kind == PAGE_VERSIONS ? "versions" : "objects");
	buf_add(out, p->body.p, p->body.n);
	buf_add(out, "]}", 2);
}

static void on_page(void *arg, struct page *p)
{
	static const char *const ways[] = {
	    [PAGE_OBJECTS] = "taxii", [PAGE_MANIFEST] = "taxii-manifest", [PAGE_VERSIONS] = "taxii-versions"};
	struct ask *a = arg;
	if (!p->ok || a->cut) {
		ask_busy(a);
		return;
	}
	if (*a->id && !p->exists) {
		ask_fail(a, 404, "NotFound", "there is no such object here");
		return;
	}
	struct sending *s = xcalloc(1, sizeof(*s));
	s->a = a;
	put_dates(a, p);
	write_page(a, p, &s->body);
	a->t->stats.given += a->kind == PAGE_OBJECTS ? p->n : 0;
	if (!a->t->seeded && p->given.n)
		audit_record(partners_audit(a->t->is.partners), a->partner, ways[a->kind], &p->given,
			     (struct audit_done){on_recorded, s});
	else
		on_recorded(s, true);
}

/* The object of the path stands in the query's place for match[id]. */
static const char *parameter(void *from, const char *name)
{
	const struct ask *a = from;
	if (*a->id && strcmp(name, "match[id]") == 0)
		return a->id;
	if (*a->id && strcmp(name, "match[type]") == 0)
		return NULL;
	if (a->kind == PAGE_VERSIONS && strcmp(name, "match[version]") == 0)
		return "all";
	return httpd_query(a->r, name);
}

static bool read_filter(struct ask *a)
{
	struct err e;
	char scope[TAXII_PATH_MAX];
	snprintf(scope, sizeof(scope), "%s|%s|%s|%d|%s", a->partner, a->root->name, a->collection->id, (int)a->kind,
		 a->id);
	if (!a->t->has_key) {
		ask_busy(a);
		return false;
	}
	if (filter_read(&a->filter, parameter, a, scope, (size_t)a->t->is.conf->page_max, a->t->key, &e))
		return true;
	ask_fail(a, 400, "ProcessingError", "The server did not understand the request or filter parameters: %s",
		 e.text);
	return false;
}

static void page(struct ask *a, enum page_kind kind)
{
	a->kind = kind;
	if (!a->can_read) {
		ask_fail(a, 403, "Forbidden", "this collection cannot be read");
		return;
	}
	if (!read_filter(a))
		return;
	struct page_want want = {.kind = kind,
				 .collection = a->collection->store,
				 .policy = a->policy,
				 .filter = &a->filter,
				 .bytes_max = (size_t)a->t->is.conf->page_bytes,
				 .cut = &a->cut};
	page_ask(a->t->is.objects, a->t->release, &want, (struct page_done){on_page, a});
}

/* ---- DELETE ---- */

static void on_deleted(void *arg, bool ok, int64_t gone)
{
	struct ask *a = arg;
	struct buf none = {0};
	if (!ok)
		ask_busy(a);
	else if (!gone)
		ask_fail(a, 404, "NotFound", "there is no such object here");
	else
		ask_reply(a, 200, &none);
}

static void on_rows(void *arg, struct page *p)
{
	struct ask *a = arg;
	if (!p->ok || a->cut)
		ask_busy(a);
	else if (!p->n)
		ask_fail(a, 404, "NotFound", "there is no such object of yours here");
	else
		objects_delete(a->t->is.objects, a->collection->store, a->id, p->rows, p->n,
			       (struct objects_done){on_deleted, a});
}

static const char *delete_parameter(void *from, const char *name)
{
	const char *v = parameter(from, name);
	if (!v && (strcmp(name, "match[version]") == 0 || strcmp(name, "match[spec_version]") == 0))
		return strcmp(name, "match[version]") == 0 ? "all" : "2.0,2.1";
	return strncmp(name, "match", 5) == 0 ? v : NULL;
}

static void delete (struct ask *a)
{
	struct err e;
	a->kind = PAGE_ROWS;
	if (!a->can_read || !a->can_write) {
		ask_fail(a, a->can_read || a->can_write ? 403 : 404, "Forbidden",
			 "objects of this collection cannot be deleted");
		return;
	}
	if (!filter_read(&a->filter, delete_parameter, a, "", 256, a->t->key, &e)) {
		ask_fail(a, 400, "ProcessingError",
			 "The server did not understand the request or filter parameters: %s", e.text);
		return;
	}
	struct page_want want = {.kind = PAGE_ROWS,
				 .collection = a->collection->store,
				 .from = a->t->seeded ? NULL : a->partner,
				 .filter = &a->filter,
				 .bytes_max = SIZE_MAX,
				 .cut = &a->cut};
	page_ask(a->t->is.objects, a->t->release, &want, (struct page_done){on_rows, a});
}

/* ---- the place ---- */

static void not_found(struct ask *a)
{
	ask_fail(a, 404, "NotFound", "there is nothing at this path");
}

static void not_so(struct ask *a, const char *allow)
{
	httpd_reply_header(a->r, "Allow", allow);
	ask_fail(a, 405, "MethodNotAllowed", "%s is not done here", httpd_method_names[httpd_method(a->r)]);
}

static bool get(const struct ask *a)
{
	return httpd_method(a->r) == HTTPD_GET || httpd_method(a->r) == HTTPD_HEAD;
}

static void object(struct ask *a)
{
	bool versions = part_is(a, 5, "versions");
	if (a->parts > (versions ? 6u : 5u) || !shared_id_valid(a->part[4]) || strlen(a->part[4]) > SHARED_ID_MAX)
		not_found(a);
	else if (!get(a) && (versions || httpd_method(a->r) != HTTPD_DELETE))
		not_so(a, versions ? "GET" : "GET, DELETE");
	else {
		snprintf(a->id, sizeof(a->id), "%s", a->part[4]);
		if (get(a))
			page(a, versions ? PAGE_VERSIONS : PAGE_OBJECTS);
		else
			delete (a);
	}
}

static void post(struct ask *a)
{
	if (!a->can_write)
		ask_fail(a, 403, "Forbidden", "this collection cannot be written to");
	else if (!posts_taxii(a))
		ask_fail(a, 415, "UnsupportedMediaType", "Content-Type must be " TAXII_MEDIA);
	else if ((int64_t)httpd_body(a->r).n > a->root->content_max)
		ask_fail(a, 413, "RequestTooLarge", "at most %" PRId64 " bytes (max_content_length)",
			 a->root->content_max);
	else
		taxii_post(a);
}

/* /{root}/collections/{id}/… */
static void collection(struct ask *a)
{
	a->collection = site_collection(&a->t->site, a->root, a->part[2]);
	if (!a->collection || !rights(a, a->collection, &a->can_read, &a->can_write))
		ask_fail(a, 404, "NotFound", "there is no such collection");
	else if (a->parts == 3 && get(a))
		reply_json(a, collection_json(a, a->collection));
	else if (a->parts == 4 && part_is(a, 3, "manifest") && get(a))
		page(a, PAGE_MANIFEST);
	else if (a->parts == 4 && part_is(a, 3, "objects") && get(a))
		page(a, PAGE_OBJECTS);
	else if (a->parts == 4 && part_is(a, 3, "objects") && httpd_method(a->r) == HTTPD_POST)
		post(a);
	else if (a->parts >= 5 && part_is(a, 3, "objects"))
		object(a);
	else if (a->parts == 3 || (a->parts == 4 && part_is(a, 3, "manifest")))
		not_so(a, "GET");
	else if (a->parts == 4 && part_is(a, 3, "objects"))
		not_so(a, "GET, POST");
	else
		not_found(a);
}

/* /{root}/… */
static void below_root(struct ask *a)
{
	a->root = a->parts ? site_root(&a->t->site, a->part[0]) : NULL;
	if (!a->root)
		ask_fail(a, 404, "NotFound", "there is no such API root");
	else if (a->parts >= 3 && part_is(a, 1, "collections"))
		collection(a);
	else if (!get(a))
		not_so(a, "GET");
	else if (a->parts == 1)
		root_information(a);
	else if (a->parts == 2 && part_is(a, 1, "collections"))
		collections(a);
	else if (a->parts == 3 && part_is(a, 1, "status"))
		taxii_status(a, a->part[2]);
	else
		not_found(a);
}

void taxii_route(struct ask *a)
{
	if (!a->r) { /* it left while its password was looked at */
		ask_busy(a);
		return;
	}
	split_path(a);
	if (!accepts(a))
		ask_fail(a, 406, "NotAcceptable", "Accept must allow " TAXII_MEDIA);
	else if (strlen(httpd_path(a->r)) >= sizeof(a->path) || a->parts == TAXII_PARTS)
		not_found(a);
	else if (a->parts == 1 && part_is(a, 0, "taxii2") && get(a))
		discovery(a);
	else
		below_root(a);
}
