#include "collector/taxii_client.h"

#include <dirent.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/http_client.h"
#include "collector/release.h"
#include "collector/taxii_envelope.h"
#include "collector/taxii_internal.h"
#include "collector/taxii_take.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/text.h"

#define FEEDS_MAX      256
#define TICK_US        200000
#define BACKOFF_MAX_US 3600000000ll
#define TIMEOUT_MS     120000
#define POLL_US        2000000 /* of a status that is pending */
#define POLLS_MAX      30
#define PUSH_OBJECTS   500
#define PUSH_BYTES     (4u << 20)
#define URL_MAX        2048
#define NEXT_MAX       1024
#define PATH_LEN       4096

/* What a person writes. */
struct feed_conf {
	char *partner, *url, *into, *from, *user, *password_file, *cert, *key, *ca, *since;
	bool pull, push;
	int64_t every_ms, limit, answer_max;
};

#define AT(member) offsetof(struct feed_conf, member)

const struct conf_key feed_keys[] = {
    {"feed.partner", CONF_STRING, AT(partner), .help = "Whose it is: partner.id of a policy; must be given."},
    {"feed.url", CONF_STRING, AT(url), .help = "The collection: https://host/root/collections/id/; must be given."},
    {"feed.into", CONF_STRING, AT(into),
     .help = "Where what is fetched goes here; empty = partner-<feed.partner>, as from a link."},
    {"feed.from", CONF_STRING, AT(from), .fallback = "own", .help = "What is posted: own, or the id of a collection."},
    {"feed.pull", CONF_BOOL, AT(pull), .fallback = "true", .help = "Whether what is new there is fetched."},
    {"feed.push", CONF_BOOL, AT(push), .fallback = "false", .help = "Whether what may go to them is posted there."},
    {"feed.every", CONF_DURATION_MS, AT(every_ms), 1000, 7 * 86400000ll, "5m", .help = "How often it is looked."},
    {"feed.since", CONF_STRING, AT(since), .help = "The first added_after; empty = from the beginning."},
    {"feed.limit", CONF_INT, AT(limit), 1, 100000, "1000", .help = "Objects asked for at once."},
    {"feed.answer_max", CONF_BYTES, AT(answer_max), 65536, 1ll << 30, "32MB", .help = "A longer answer is refused."},
    {"feed.user", CONF_STRING, AT(user), .help = "Our name there."},
    {"feed.password_file", CONF_STRING, AT(password_file), .help = "Its first line is our password there."},
    {"feed.cert", CONF_STRING, AT(cert), .help = "Our certificate there, PEM."},
    {"feed.key", CONF_STRING, AT(key), .help = "Its private key, PEM."},
    {"feed.ca", CONF_STRING, AT(ca), .help = "The CA of their server, PEM; empty = the system's."},
};
const size_t feed_keys_n = sizeof(feed_keys) / sizeof(*feed_keys);

struct feed {
	struct feed_conf conf;
	struct taxii_client *client;
	char name[SHARED_NAME_MAX + 1], into[SHARED_NAME_MAX + 1], password[256];
	bool busy, reset; /* reset: the cursor was refused once */
	int64_t next_us, backoff_us;
	char after[CLOCK_TEXT_LEN + 16], next[NEXT_MAX + 1];
	int64_t pushed, pushing; /* rows */
	size_t push_n;
	unsigned polls;
	struct buf body; /* of a page, or of a POST */
	bool more;
	struct filter filter;
	struct log_once say;
	struct feed_stats stats;
};

struct taxii_client {
	struct taxii_parts is;
	struct http_client *http;
	struct release *release;
	struct event *tick;
	struct feed *feeds;
	size_t feeds_n;
	bool cut; /* nothing of policies may be touched by what is under way */
};

static const struct policy *policy_of(const struct feed *f)
{
	const struct policies *p = partners_policies(f->client->is.partners);
	return p ? policies_find(p, f->conf.partner) : NULL;
}

static void fetch(struct feed *f);
static void push(struct feed *f);

static const char *given(const char *text)
{
	return text && *text ? text : NULL;
}

/* ---- files ---- */

static bool check(const struct feed_conf *c, const char *file, struct diags *d)
{
	struct diag_place at = {.file = file};
	size_t before = d->count[DIAG_ERROR];
	int64_t us;
	if (!given(c->partner) || !given(c->url))
		diag_add(d, DIAG_ERROR, at, "feed", "feed.partner and feed.url must be given");
	else if (strncmp(c->url, "https://", 8) != 0 && strncmp(c->url, "http://127.0.0.1:", 17) != 0)
		diag_add(d, DIAG_ERROR, at, "feed", "feed.url must be https:// (http:// only to 127.0.0.1)");
	else if (strlen(c->url) > URL_MAX / 2 || c->url[strlen(c->url) - 1] != '/' || !strstr(c->url, "/collections/"))
		diag_add(d, DIAG_ERROR, at, "feed", "feed.url is not …/collections/<id>/");
	else if (!shared_name_valid(c->partner) || strlen(c->partner) > SHARED_NAME_MAX - 8)
		diag_add(d, DIAG_ERROR, at, "feed", "feed.partner is not a name");
	if ((given(c->into) && !shared_name_valid(c->into)) || !given(c->from) || !shared_name_valid(c->from))
		diag_add(d, DIAG_ERROR, at, "feed", "feed.into and feed.from are ids of collections");
	if (given(c->since) && !clock_parse(c->since, &us))
		diag_add(d, DIAG_ERROR, at, "feed", "feed.since is not an RFC 3339 time");
	if (!given(c->user) != !given(c->password_file))
		diag_add(d, DIAG_ERROR, at, "feed", "feed.user and feed.password_file go together");
	if (!given(c->cert) != !given(c->key))
		diag_add(d, DIAG_ERROR, at, "feed", "feed.cert and feed.key go together");
	return d->count[DIAG_ERROR] == before;
}

static bool read_password(struct feed *f, struct err *e)
{
	const char *path = given(f->conf.password_file);
	return !path || secret_line(path, "the password file", f->password, sizeof(f->password), e);
}

/* libcurl reads the key itself, for each connection: here only whether it is fit. */
static bool key_fit(const struct feed *f, struct err *e)
{
	const char *path = given(f->conf.key);
	FILE *key = path ? secret_open(path, "the private key", e) : NULL;
	if (key)
		fclose(key);
	return !path || key;
}

static bool read_secrets(struct feed *f, const char *file, struct diags *d)
{
	struct err e;
	const char *ca = given(f->conf.ca);
	if (read_password(f, &e) && key_fit(f, &e) && (!ca || trusted_file(ca, "the CA", TRUSTED_OWNER, &e)))
		return true;
	diag_add(d, DIAG_ERROR, (struct diag_place){.file = file}, "feed", "%s", e.text);
	return false;
}

static int is_yaml(const struct dirent *e)
{
	size_t n = strlen(e->d_name);
	return e->d_name[0] != '.' && n > 5 && n - 5 <= SHARED_NAME_MAX && strcmp(e->d_name + n - 5, ".yaml") == 0;
}

static bool load_one(struct feed *f, const char *folder, const char *file, struct diags *d)
{
	char path[PATH_LEN];
	snprintf(path, sizeof(path), "%s/%s", folder, file);
	snprintf(f->name, sizeof(f->name), "%.*s", (int)strlen(file) - 5, file);
	if (!conf_load(feed_keys, feed_keys_n, path, &f->conf, d) || !check(&f->conf, path, d) ||
	    !read_secrets(f, path, d)) {
		conf_free(feed_keys, feed_keys_n, &f->conf);
		return false;
	}
	snprintf(f->into, sizeof(f->into), "%s%s", given(f->conf.into) ? "" : "partner-",
		 given(f->conf.into) ? f->conf.into : f->conf.partner);
	return true;
}

/* feeds: room for FEEDS_MAX. */
static size_t load(struct feed *feeds, const char *folder, struct diags *d)
{
	struct dirent **files;
	size_t feeds_n = 0;
	int n = scandir(folder, &files, is_yaml, alphasort);
	if (n < 0)
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = folder}, "feed", "cannot read the folder");
	for (int i = 0; i < n; i++) {
		if (i == FEEDS_MAX)
			diag_add(d, DIAG_ERROR, (struct diag_place){.file = folder}, "feed",
				 "%d feeds, at most %d are read: %s and those after it are not", n, FEEDS_MAX,
				 files[i]->d_name);
		feeds_n += i < FEEDS_MAX && load_one(&feeds[feeds_n], folder, files[i]->d_name, d);
		free(files[i]);
	}
	if (n >= 0)
		free(files);
	return feeds_n;
}

static void drop_feeds(struct feed *feeds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		conf_free(feed_keys, feed_keys_n, &feeds[i].conf);
		buf_free(&feeds[i].body);
		filter_free(&feeds[i].filter);
	}
	free(feeds);
}

bool taxii_client_check(const char *folder, struct diags *d)
{
	size_t before = d->count[DIAG_ERROR];
	struct feed *feeds = xcalloc(FEEDS_MAX, sizeof(*feeds));
	drop_feeds(feeds, load(feeds, folder, d));
	return d->count[DIAG_ERROR] == before;
}

/* ---- where a feed stands ---- */

static void rest(struct feed *f, int64_t us)
{
	f->busy = false;
	f->next_us = clock_mono_us() + us;
}

static void well(struct feed *f)
{
	f->backoff_us = 0;
	rest(f, f->conf.every_ms * 1000);
}

/* Comes again later, each time twice as long after; or when they say. */
static void trouble(struct feed *f, int64_t retry_after_s, const char *what, const char *why)
{
	unsigned long skipped;
	char clean[300], key[128];
	f->stats.failures++;
	text_clean(clean, sizeof(clean), why, strlen(why));
	if (log_again(&f->say, &skipped))
		log_warnx("feed %s: %s: %s", f->name, what, clean);
	snprintf(key, sizeof(key), FEED_KEY, f->name);
	redis_link_words(f->client->is.redis, 4, (const char *[]){"HSET", key, "trouble", clean},
			 (struct redis_done){0});
	f->backoff_us = f->backoff_us ? f->backoff_us * 2 : 5000000;
	if (f->backoff_us > BACKOFF_MAX_US)
		f->backoff_us = BACKOFF_MAX_US;
	rest(f, retry_after_s > 0 && retry_after_s < 86400 ? retry_after_s * 1000000 : f->backoff_us);
}

static void on_saved(void *arg, const struct reply *r)
{
	struct feed *f = arg;
	struct bytes text;
	if (!r || reply_error(r, &text))
		trouble(f, 0, "its place could not be kept", "the store does not answer");
	else if (f->more)
		fetch(f);
	else
		push(f);
}

static void save(struct feed *f)
{
	char key[128], pushed[24];
	snprintf(key, sizeof(key), FEED_KEY, f->name);
	snprintf(pushed, sizeof(pushed), "%" PRId64, f->pushed);
	const char *v[] = {"HSET", key, "after", f->after, "next", f->next, "pushed", pushed, "trouble", ""};
	if (!redis_link_words(f->client->is.redis, 10, v, (struct redis_done){on_saved, f}))
		trouble(f, 0, "its place could not be kept", "the store does not answer");
}

static void copy_field(const struct reply *r, size_t i, char *to, size_t cap)
{
	struct bytes text;
	*to = '\0';
	if (reply_text(reply_at(r, i), &text) && text.n < cap) {
		memcpy(to, text.p, text.n);
		to[text.n] = '\0';
	}
}

static void on_place(void *arg, const struct reply *r)
{
	struct feed *f = arg;
	int64_t us;
	if (reply_count(r) != 3) {
		rest(f, TICK_US);
		return;
	}
	copy_field(r, 0, f->after, sizeof(f->after));
	copy_field(r, 1, f->next, sizeof(f->next));
	if (!reply_number(reply_at(r, 2), &f->pushed))
		f->pushed = 0;
	if (!clock_parse(f->after, &us))
		snprintf(f->after, sizeof(f->after), "%.*s", (int)sizeof(f->after) - 1,
			 given(f->conf.since) ? f->conf.since : "");
	if (f->conf.pull)
		fetch(f);
	else
		push(f);
}

static void begin(struct feed *f)
{
	char key[128];
	f->busy = true;
	f->reset = false;
	snprintf(key, sizeof(key), FEED_KEY, f->name);
	if (!redis_link_words(f->client->is.redis, 5, (const char *[]){"HMGET", key, "after", "next", "pushed"},
			      (struct redis_done){on_place, f}))
		rest(f, TICK_US);
}

/* ---- asking ---- */

static void add_escaped(struct buf *b, const char *text)
{
	for (; *text; text++)
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~", *text))
			buf_add(b, text, 1);
		else
			buf_printf(b, "%%%02X", (unsigned char)*text);
}

static void ask(struct feed *f, const char *url, struct bytes body, void (*done)(void *arg, struct http_answer *a))
{
	const struct feed_conf *c = &f->conf;
	struct http_ask h = {.url = url,
			     .accept = TAXII_MEDIA,
			     .content_type = body.p ? TAXII_MEDIA : NULL,
			     .user = given(c->user),
			     .password = f->password,
			     .cert = given(c->cert),
			     .key = given(c->key),
			     .ca = given(c->ca),
			     .body = body,
			     .timeout_ms = TIMEOUT_MS,
			     .answer_max = (size_t)c->answer_max};
	http_client_ask(f->client->http, &h, (struct http_done){done, f});
}

static void failed(struct feed *f, const char *what, const struct http_answer *a)
{
	char why[200];
	if (!a->status) {
		trouble(f, 0, what, a->why.text);
		return;
	}
	snprintf(why, sizeof(why), "the server answers %d: %.120s", a->status,
		 a->body.n ? (const char *)a->body.p : "");
	trouble(f, a->retry_after_s, what, why);
}

/* ---- fetching ---- */

static void on_taken(void *arg, const struct taken *t)
{
	struct feed *f = arg;
	struct feed_stats *s = &f->stats;
	if (t->lost) {
		trouble(f, 1, "what was fetched could not be kept", "the store does not answer");
		return;
	}
	s->pages++;
	s->taken += t->success_n;
	s->refused += t->failure_n;
	save(f);
}

/* "more", "next" and the date in the head say where to go on. False: the page is no TAXII. */
static bool read_page(struct feed *f, const struct http_answer *a, struct err *e)
{
	struct envelope v = envelope_over((struct bytes){f->body.p, f->body.n});
	struct bytes object;
	enum envelope_result r;
	size_t n = 0;
	int64_t date, before = 0;
	char next[NEXT_MAX + 1] = "";
	while ((r = envelope_next(&v, &object, e)) == ENVELOPE_OBJECT)
		n++;
	if (r == ENVELOPE_BROKEN)
		return false;
	if (v.next.n > 2 && v.next.n < NEXT_MAX) {
		struct json *text = json_read(v.next.p, v.next.n, NEXT_MAX, NULL);
		const char *t = json_text(text, NULL);
		snprintf(next, sizeof(next), "%s", t ? t : "");
		json_drop(text);
	}
	f->more = v.more.n == 4 && memcmp(v.more.p, "true", 4) == 0;
	bool moved = strcmp(next, f->next) != 0;
	if (clock_parse(a->date_last, &date) && (!clock_parse(f->after, &before) || date > before)) {
		snprintf(f->after, sizeof(f->after), "%.*s", (int)sizeof(f->after) - 1, a->date_last);
		moved = true;
	}
	/* A server that says "more" and moves nothing would be asked for ever. */
	f->more = f->more && n && moved;
	snprintf(f->next, sizeof(f->next), "%s", f->more ? next : "");
	return true;
}

static void on_fetched(void *arg, struct http_answer *a)
{
	struct feed *f = arg;
	struct taxii_client *c = f->client;
	struct err e;
	if (c->cut) {
		rest(f, TICK_US);
		return;
	}
	if (a->status == 400 && *f->next && !f->reset) { /* they do not know their cursor any more */
		f->reset = true;
		f->next[0] = '\0';
		fetch(f);
		return;
	}
	const struct policy *policy = policy_of(f);
	if (a->status != 200) {
		failed(f, "it cannot be fetched", a);
		return;
	}
	buf_free(&f->body);
	f->body = a->body; /* ours now */
	a->body = (struct buf){0};
	if (!policy || !read_page(f, a, &e)) {
		trouble(f, 0, "what it gives cannot be read", policy ? e.text : "its partner has no policy");
		return;
	}
	struct take_want want = {.objects = c->is.objects,
				 .partners = c->is.partners,
				 .policy = policy,
				 .from = f->conf.partner,
				 .collection = f->into,
				 .object_max = (size_t)c->is.conf->object_bytes,
				 .text = {f->body.p, f->body.n},
				 .cut = &c->cut};
	take_all(&want, (struct take_done){on_taken, f});
}

static void fetch(struct feed *f)
{
	struct buf url = {0};
	buf_printf(&url, "%sobjects/?limit=%" PRId64, f->conf.url, f->conf.limit);
	if (*f->after && !*f->next) {
		buf_printf(&url, "&added_after=");
		add_escaped(&url, f->after);
	} else if (*f->next) {
		buf_printf(&url, "&next=");
		add_escaped(&url, f->next);
	}
	buf_add(&url, "", 1);
	ask(f, (const char *)url.p, (struct bytes){0}, on_fetched);
	buf_free(&url);
}

/* ---- posting ---- */

static void next_push(struct feed *f)
{
	f->pushed = f->pushing;
	f->stats.pushed += f->push_n;
	f->more = false;
	f->polls = 0;
	save(f); /* which comes back to push(), until nothing is left */
}

static void on_status(void *arg, struct http_answer *a);

/* A status may be pending: asked again until it is complete. */
static void read_status(struct feed *f, const struct http_answer *a)
{
	struct json *v = json_read(a->body.p, a->body.n, a->body.n, NULL);
	const char *status = json_text(json_at(v, "status"), NULL), *id = json_text(json_at(v, "id"), NULL);
	int64_t refused = json_int(json_at(v, "failure_count"), 0);
	if (status && strcmp(status, "pending") == 0 && id && shared_name_valid(id) && f->polls++ < POLLS_MAX) {
		char url[URL_MAX];
		const char *end = strstr(f->conf.url, "/collections/");
		snprintf(url, sizeof(url), "%.*s/status/%s/", (int)(end - f->conf.url), f->conf.url, id);
		json_drop(v);
		ask(f, url, (struct bytes){0}, on_status);
		return;
	}
	if (refused)
		log_warnx("feed %s: they refuse %" PRId64 " of %zu objects", f->name, refused, f->push_n);
	json_drop(v);
	next_push(f);
}

static void on_status(void *arg, struct http_answer *a)
{
	struct feed *f = arg;
	if (f->client->cut)
		rest(f, TICK_US);
	else if (a->status == 200)
		read_status(f, a);
	else
		failed(f, "the status of what was posted cannot be fetched", a);
}

static void on_posted(void *arg, struct http_answer *a)
{
	struct feed *f = arg;
	if (f->client->cut)
		rest(f, TICK_US);
	else if (a->status == 202 || a->status == 200)
		read_status(f, a);
	else
		failed(f, "what may go to them cannot be posted", a);
}

static void on_recorded(void *arg, bool ok)
{
	struct feed *f = arg;
	char url[URL_MAX];
	if (!ok || f->client->cut) {
		rest(f, TICK_US);
		return;
	}
	snprintf(url, sizeof(url), "%sobjects/", f->conf.url);
	ask(f, url, (struct bytes){f->body.p, f->body.n}, on_posted);
}

static void on_page(void *arg, struct page *p)
{
	struct feed *f = arg;
	if (!p->ok || f->client->cut) {
		rest(f, TICK_US);
		return;
	}
	f->pushing = p->more ? p->last : p->seen > p->last ? p->seen : p->last;
	f->push_n = p->n;
	if (!p->n) {
		if (f->pushing > f->pushed)
			f->pushed = f->pushing; /* kept with the next change; at worst looked at again */
		well(f);
		return;
	}
	buf_free(&f->body);
	buf_printf(&f->body, "{\"objects\":[");
	buf_add(&f->body, p->body.p, p->body.n);
	buf_add(&f->body, "]}", 2);
	audit_record(partners_audit(f->client->is.partners), f->conf.partner, "taxii-push", &p->given,
		     (struct audit_done){on_recorded, f});
}

static const char *no_parameter(void *from, const char *name)
{
	(void)from;
	(void)name;
	return NULL;
}

static void push(struct feed *f)
{
	static const uint8_t no_key[FILTER_KEY_LEN];
	struct taxii_client *c = f->client;
	const struct policy *policy = policy_of(f);
	struct err e;
	if (!f->conf.push || !policy) {
		well(f);
		return;
	}
	filter_free(&f->filter);
	if (!filter_read(&f->filter, no_parameter, NULL, "", PUSH_OBJECTS, no_key, &e)) {
		trouble(f, 0, "posting", e.text);
		return;
	}
	f->filter.after = f->pushed;
	struct page_want want = {.kind = PAGE_OBJECTS,
				 .collection = f->conf.from,
				 .policy = policy,
				 .filter = &f->filter,
				 .bytes_max = PUSH_BYTES,
				 .cut = &c->cut};
	page_ask(c->is.objects, c->release, &want, (struct page_done){on_page, f});
}

/* ---- the loop ---- */

static bool any_busy(const struct taxii_client *c)
{
	for (size_t i = 0; i < c->feeds_n; i++)
		if (c->feeds[i].busy)
			return true;
	return false;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct taxii_client *c = arg;
	(void)fd;
	(void)what;
	if (c->cut && !any_busy(c)) {
		release_forget(c->release);
		c->cut = false;
	}
	for (size_t i = 0; i < c->feeds_n && !c->cut && redis_link_ready(c->is.redis); i++)
		if (!c->feeds[i].busy && clock_mono_us() >= c->feeds[i].next_us)
			begin(&c->feeds[i]);
}

struct taxii_client *taxii_client_new(const struct taxii_parts *parts, struct err *e)
{
	struct taxii_client *c = xcalloc(1, sizeof(*c));
	struct timeval every = {.tv_usec = TICK_US};
	struct diags d = {0};
	c->is = *parts;
	c->release = release_new();
	c->feeds = xcalloc(FEEDS_MAX, sizeof(*c->feeds));
	c->feeds_n = given(parts->conf->feeds) ? load(c->feeds, parts->conf->feeds, &d) : 0;
	bool good = !d.count[DIAG_ERROR] || err_set(e, "taxii.feeds %s has errors", parts->conf->feeds);
	diag_print(&d, stderr);
	diag_free(&d);
	for (size_t i = 0; i < c->feeds_n; i++)
		c->feeds[i].client = c;
	c->http = good ? http_client_new(parts->base, e) : NULL;
	c->tick = c->http ? event_new(parts->base, -1, EV_PERSIST, on_tick, c) : NULL;
	if (c->tick && event_add(c->tick, &every) == 0)
		return c;
	taxii_client_free(c);
	return NULL;
}

void taxii_client_free(struct taxii_client *c)
{
	if (!c)
		return;
	c->cut = true;
	if (c->tick)
		event_free(c->tick);
	http_client_free(c->http); /* calls back */
	drop_feeds(c->feeds, c->feeds_n);
	release_free(c->release);
	free(c);
}

void taxii_client_cut(struct taxii_client *c)
{
	c->cut = any_busy(c);
	if (!c->cut)
		release_forget(c->release);
}

void taxii_client_each(const struct taxii_client *c, void (*each)(void *arg, const struct feed_figures *f), void *arg)
{
	for (size_t i = 0; i < c->feeds_n; i++)
		each(arg, &(struct feed_figures){c->feeds[i].name, c->feeds[i].conf.partner, c->feeds[i].stats});
}

const struct release_stats *taxii_client_released(const struct taxii_client *c)
{
	return release_stats(c->release);
}
