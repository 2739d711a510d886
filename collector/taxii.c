/* Who asks, and what is answered; opening and closing. What is asked for: taxii_route.c. */
#include "collector/taxii.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/taxii_internal.h"
#include "common/hash.h"
#include "common/listen.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/text.h"
#include "common/tls.h"

#define CURSOR_KEY "picket:{x}:cursor_key"
#define BASIC_MAX  1024

/* ---- answers ---- */

static void ask_free(struct ask *a)
{
	struct ask **at = &a->t->asks;
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	filter_free(&a->filter);
	free(a);
}

void ask_reply(struct ask *a, int status, const struct buf *body)
{
	if (a->r)
		httpd_reply(a->r, status, TAXII_MEDIA, body->p, body->n);
	ask_free(a);
}

void ask_fail(struct ask *a, int status, const char *title, const char *fmt, ...)
{
	char text[512], number[16];
	struct buf body = {0};
	struct json *v = json_map();
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(number, sizeof(number), "%d", status);
	json_put_text(v, "title", title);
	json_put_bytes(v, "description", text, strlen(text), sizeof(text));
	json_put_text(v, "http_status", number);
	json_write(v, &body);
	json_drop(v);
	a->t->stats.refused++;
	if (a->r && (status == 503 || status == 429))
		httpd_reply_header(a->r, "Retry-After", "1");
	ask_reply(a, status, &body);
	buf_free(&body);
}

void ask_busy(struct ask *a)
{
	ask_fail(a, 503, "Unavailable", "the store of objects does not answer: try again");
}

/* ---- who asks ---- */

static void unauthorized(struct ask *a)
{
	a->t->stats.unauthorized++;
	if (a->r)
		httpd_reply_header(a->r, "WWW-Authenticate", "Basic realm=\"picket\", charset=\"UTF-8\"");
	ask_fail(a, 401, "Unauthorized", "a certificate, or a name and its password, are needed");
}

static const struct policy *by_user(const struct policies *p, const char *user)
{
	for (size_t i = 0; p && i < p->n; i++)
		if (p->list[i].taxii.user && strcmp(p->list[i].taxii.user, user) == 0)
			return &p->list[i];
	return NULL;
}

static const struct policy *by_identity(const struct policies *p, const struct identity *id)
{
	char uri[3 * IDENTITY_PART_MAX + 16];
	snprintf(uri, sizeof(uri), "picket://%s/%s/%s", id->org, role_names[id->role], id->name);
	for (size_t i = 0; p && i < p->n; i++)
		if (p->list[i].taxii.identity && strcmp(p->list[i].taxii.identity, uri) == 0)
			return &p->list[i];
	return NULL;
}

static int digit64(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* "Basic <base64 of name:password>" (RFC 7617) into text, NUL-terminated, at most cap - 1 bytes. */
static bool read_basic(const char *header, char *text, size_t cap)
{
	size_t n = 0;
	unsigned bits = 0, have = 0;
	if (!header || !text_equal_fold(header, strnlen(header, 6), "basic ", 6))
		return false;
	for (header += 6; *header == ' '; header++)
		;
	for (; digit64(*header) >= 0; header++) {
		bits = bits << 6 | (unsigned)digit64(*header);
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n + 1 >= cap)
			return false;
		text[n++] = (char)(bits >> have & 255);
	}
	text[n] = '\0';
	return header[strspn(header, "= ")] == '\0' && strlen(text) == n && strchr(text, ':');
}

static void on_login(void *arg, enum login_result result)
{
	struct ask *a = arg;
	struct taxii *t = a->t;
	if (a->cut) {
		ask_busy(a);
		return;
	}
	if (result == LOGIN_LATER) {
		ask_fail(a, 429, "TooManyRequests", "too many wrong passwords, or too many at once: wait a minute");
		return;
	}
	a->policy = result == LOGIN_RIGHT && !t->seeded ? by_user(partners_policies(t->is.partners), a->partner) : NULL;
	if (result != LOGIN_RIGHT || (!t->seeded && !a->policy)) {
		unauthorized(a);
		return;
	}
	snprintf(a->partner, sizeof(a->partner), "%s", t->seeded ? TAXII_SEED : a->policy->id);
	taxii_route(a);
}

static void ask_password(struct ask *a)
{
	char text[BASIC_MAX];
	if (!read_basic(httpd_header(a->r, "Authorization"), text, sizeof(text))) {
		unauthorized(a);
		return;
	}
	char *colon = strchr(text, ':');
	*colon = '\0';
	snprintf(a->partner, sizeof(a->partner), "%s", text);
	login_check(a->t->login, text, colon + 1, httpd_peer(a->r), (struct login_done){on_login, a});
	explicit_bzero(text, sizeof(text));
}

static void on_gone(void *arg)
{
	struct ask *a = arg;
	a->r = NULL;   /* answered by the server; what is under way ends without an answer */
	a->cut = true; /* and the body is gone */
}

static void on_request(void *owner, struct httpd_request *r)
{
	struct taxii *t = owner;
	struct ask *a = xcalloc(1, sizeof(*a));
	const struct identity *who = httpd_identity(r);
	*a = (struct ask){.t = t, .r = r, .next = t->asks};
	t->asks = a;
	t->stats.requests++;
	httpd_hold(r, on_gone, a);
	if (!who || t->seeded) {
		ask_password(a);
		return;
	}
	a->policy = by_identity(partners_policies(t->is.partners), who);
	if (!a->policy) {
		unauthorized(a);
		return;
	}
	snprintf(a->partner, sizeof(a->partner), "%s", a->policy->id);
	taxii_route(a);
}

/* ---- the key of cursors ---- */

static void on_key(void *arg, const struct reply *r)
{
	struct taxii *t = arg;
	struct bytes text;
	if (reply_text(r, &text) && text_unhex(t->key, sizeof(t->key), (const char *)text.p, text.n))
		t->has_key = true;
}

/* The first gateway draws it, all others find it. */
void taxii_redis_ready(struct taxii *t)
{
	uint8_t fresh[FILTER_KEY_LEN];
	char hex[2 * FILTER_KEY_LEN + 1];
	if (!t->has_key) {
		hash_random(fresh, sizeof(fresh));
		text_hex(hex, fresh, sizeof(fresh));
		redis_link_words(t->is.redis, 4, (const char *[]){"SET", CURSOR_KEY, hex, "NX"},
				 (struct redis_done){0});
		redis_link_words(t->is.redis, 2, (const char *[]){"GET", CURSOR_KEY}, (struct redis_done){on_key, t});
	}
	if (t->seed)
		seed_ready(t->seed);
}

bool taxii_cursor_key(const char *path, uint8_t key[static 32], struct err *e)
{
	char text[1024];
	FILE *f = secret_open(path, "the secret of cursors", e);
	if (!f)
		return false;
	size_t n = fread(text, 1, sizeof(text), f);
	fclose(f);
	if (n < 16)
		return err_set(e, "%s does not hold a secret of 16 bytes or more (taxii.cursor_key)", path);
	hash_sha256(key, text, n);
	return true;
}

static bool read_key(struct taxii *t, const char *path, struct err *e)
{
	t->has_key = path && *path;
	return !t->has_key || taxii_cursor_key(path, t->key, e);
}

void taxii_uuid(char out[static 37])
{
	uint8_t b[16];
	char hex[33];
	hash_random(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 15) | 0x40);
	b[8] = (uint8_t)((b[8] & 63) | 0x80);
	text_hex(hex, b, sizeof(b));
	snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* ---- opening ---- */

static bool open_tls(struct taxii *t, struct err *e)
{
	struct tls_conf tls = gateway_conf_tls(t->is.conf);
	t->tls = tls_new(&tls, e);
	return t->tls;
}

static bool open_server(struct taxii *t, const char *address, struct err *e)
{
	const struct gateway_conf *c = t->is.conf;
	struct listen_address a;
	if (!listen_parse(address, &a, e))
		return false;
	if (t->seeded && !listen_is_local(&a))
		return err_set(e, "a data file is for tests: taxii.address %s is not a loopback address", address);
	bool plain = c->taxii_plaintext && listen_is_local(&a);
	if (!plain && !t->tls && !open_tls(t, e))
		return false;
	struct httpd_conf conf = {.address = address,
				  .base = t->is.base,
				  .tls = plain ? NULL : t->tls,
				  .connections = (size_t)c->connections,
				  .per_address = (size_t)c->per_address,
				  .head_max = (size_t)c->header_bytes,
				  .body_max = (size_t)c->body_bytes,
				  .timeout_ms = c->request_ms,
				  .methods = 1u << HTTPD_GET | 1u << HTTPD_HEAD | 1u << HTTPD_POST | 1u << HTTPD_PUT |
					     1u << HTTPD_DELETE,
				  .answer = on_request,
				  .owner = t};
	t->servers[t->servers_n] = httpd_start(&conf, e);
	if (!t->servers[t->servers_n])
		return false;
	t->servers_n++;
	log_info("TAXII on %s (%s)%s", address, plain ? "plaintext" : "TLS",
		 t->seeded ? ", a data file, without the gate" : "");
	return true;
}

static bool load_site(struct site *s, const struct gateway_conf *c, struct err *e)
{
	struct diags d = {0};
	bool good = !c->collections || !*c->collections || site_load(s, c->collections, c->body_bytes, &d);
	diag_print(&d, stderr);
	diag_free(&d);
	return good || err_set(e, "taxii.collections %s has errors", c->collections);
}

static bool open_site(struct taxii *t, const char *seed, struct err *e)
{
	if (!seed)
		return load_site(&t->site, t->is.conf, e);
	t->seeded = true;
	if (partners_policies(t->is.partners))
		return err_set(e, "a data file is for tests and goes around the release gate: not with partners.dir");
	return site_seed(&t->site, seed, e);
}

struct taxii *taxii_new(const struct taxii_parts *parts, const char *seed, struct err *e)
{
	struct taxii *t = xcalloc(1, sizeof(*t));
	const struct gateway_conf *c = parts->conf;
	t->is = *parts;
	t->servers = xcalloc(c->taxii_listen.n ? c->taxii_listen.n : 1, sizeof(struct httpd *));
	t->release = release_new();
	t->login = login_new(parts->base, c->logins, c->login_cache_ms, e);
	bool good = t->login && login_load(t->login, c->passwords, e) && read_key(t, c->cursor_key, e) &&
		    open_site(t, seed, e);
	if (good && seed)
		t->seed = seed_new(t);
	for (size_t i = 0; i < c->taxii_listen.n && good; i++)
		good = open_server(t, c->taxii_listen.v[i], e);
	if (good)
		return t;
	taxii_free(t);
	return NULL;
}

void taxii_free(struct taxii *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->servers_n; i++)
		httpd_stop(t->servers[i]);
	login_free(t->login);
	while (t->asks) /* of those that waited for their password */
		ask_free(t->asks);
	seed_free(t->seed);
	release_free(t->release);
	tls_free(t->tls);
	site_free(&t->site);
	free(t->servers);
	free(t);
}

/* What is under way ends with "try again": its policy is about to go. */
void taxii_cut(struct taxii *t)
{
	static const char text[] = "{\"title\":\"Unavailable\",\"http_status\":\"503\"}";
	for (struct ask *a = t->asks; a; a = a->next) {
		struct httpd_request *r = a->r;
		a->cut = true;
		a->r = NULL;
		if (!r)
			continue;
		httpd_reply_header(r, "Retry-After", "1");
		httpd_reply(r, 503, TAXII_MEDIA, text, sizeof(text) - 1);
	}
}

bool taxii_reload(struct taxii *t, struct err *e)
{
	struct site fresh = {0};
	release_forget(t->release);
	if (!login_load(t->login, t->is.conf->passwords, e) || (t->tls && !tls_reload(t->tls, e)))
		return false;
	if (t->seeded)
		return true;
	if (!load_site(&fresh, t->is.conf, e)) {
		site_free(&fresh);
		return false;
	}
	site_free(&t->site);
	t->site = fresh;
	return true;
}

const struct taxii_stats *taxii_stats(const struct taxii *t)
{
	return &t->stats;
}

const struct release_stats *taxii_released(const struct taxii *t)
{
	return release_stats(t->release);
}
