/* See http_request.h. The URL that is matched is scheme + "://" + Host + target; in
 * absolute form the target itself; without a Host, the address that was asked
 * (and its port unless 80). The Host field is taken as it stands, with its port;
 * as a name it is reported without port, and not when it is an address. */
#include "sensor/http_request.h"

#include <stdio.h>
#include <string.h>

#include "common/scratch.h"
#include "common/text.h"
#include "sensor/http_auth.h"
#include "sensor/http_dns.h"
#include "sensor/mime_field.h"

/* ---- URL ---- */

static void url_add(struct url *u, const void *p, size_t n)
{
	if (n > sizeof(u->text) - u->n) {
		u->over_limit = true;
		n = sizeof(u->text) - u->n;
	}
	if (n)
		memcpy(u->text + u->n, p, n);
	u->n += n;
}

/* Length of "scheme://" that the target begins with, or 0. */
static size_t scheme_length(struct bytes t)
{
	size_t i = 0;
	while (i < t.n && i < 16 && ((t.p[i] | 0x20) >= 'a' && (t.p[i] | 0x20) <= 'z'))
		i++;
	return i && t.n - i >= 3 && memcmp(t.p + i, "://", 3) == 0 ? i + 3 : 0;
}

/* The host in an authority: no user, no port; of "[v6]:port" all within and with
 * the brackets. */
static void url_find_host(struct url *u, size_t at, size_t end)
{
	for (size_t i = at; i < end; i++)
		if (u->text[i] == '@')
			at = i + 1;
	size_t n = 0;
	if (at < end && u->text[at] == '[')
		while (at + n < end && u->text[at + n] != ']')
			n++;
	while (at + n < end && u->text[at + n] != ':')
		n++;
	u->host_at = at;
	u->host_n = n;
}

struct bytes http_url_host(struct bytes url)
{
	size_t at = scheme_length(url), end = at, n = 0;
	if (!at)
		return (struct bytes){0};
	for (; end < url.n && !strchr("/?#", url.p[end]); end++)
		if (url.p[end] == '@')
			at = end + 1;
	if (at < end && url.p[at] == '[')
		while (at + n < end && url.p[at + n] != ']')
			n++;
	while (at + n < end && url.p[at + n] != ':')
		n++;
	return (struct bytes){url.p + at, n};
}

static void url_from_address(struct url *u, const struct inspect *in, enum side side)
{
	const struct addr *a = side == TO_SERVER ? &in->dest : &in->src;
	unsigned port = side == TO_SERVER ? in->dest_port : in->src_port;
	char host[ADDR_TEXT_LEN], text[ADDR_TEXT_LEN + 16];
	addr_format(a, host);
	int n = snprintf(text, sizeof(text), addr_is_v4(a) ? "%s" : "[%s]", host);
	if (port != 80)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ":%u", port);
	url_add(u, text, (size_t)n);
}

static void url_build(struct url *u, const struct inspect *in, enum side side, const struct http_head *h, bool connect)
{
	u->n = u->host_at = u->host_n = u->path_at = 0;
	u->over_limit = u->host_over = false;
	size_t scheme = connect ? 0 : scheme_length(h->target);
	if (!scheme && !connect) {
		if (h->scheme.n)
			url_add(u, h->scheme.p, h->scheme.n);
		url_add(u, h->scheme.n ? "://" : "http://", h->scheme.n ? 3 : 7);
	}
	size_t at = u->n + scheme;
	if (!scheme && !connect && h->host.n)
		url_add(u, h->host.p, h->host.n);
	else if (!scheme && !connect)
		url_from_address(u, in, side);
	u->path_at = scheme ? 0 : u->n;
	size_t end = u->n;
	url_add(u, h->target.p, h->target.n);
	if (scheme || connect) {
		end = at;
		while (end < u->n && u->text[end] != '/' && u->text[end] != '?' && u->text[end] != '#')
			end++;
	}
	url_find_host(u, at < end ? at : end, end);
	u->host_over = u->host_n > HTTP_HOST_MAX;
	if (u->host_over)
		u->host_n = 0;
}

/* ---- requests ---- */

static struct http_request *keep_request(struct inspect *in, const struct http_head *h, const struct url *u)
{
	size_t agent_n = h->user_agent.n < HTTP_AGENT_KEEP ? h->user_agent.n : HTTP_AGENT_KEEP;
	size_t version_n = h->version.n < 16 ? h->version.n : 16;
	size_t bytes = sizeof(struct http_request) + h->method.n + version_n + u->n + agent_n;
	struct http_request *r = mem_alloc_raw(in->mem, bytes);
	if (!r)
		return NULL;
	*r = (struct http_request){.bytes = bytes,
				   .version_n = (uint8_t)version_n,
				   .method_n = (uint8_t)h->method.n,
				   .url_n = (uint16_t)u->n,
				   .agent_n = (uint16_t)agent_n,
				   .host_at = (uint16_t)u->host_at,
				   .host_n = (uint16_t)u->host_n,
				   .path_at = (uint16_t)u->path_at};
	r->head = text_equal_fold(h->method.p, h->method.n, "HEAD", 4);
	r->connect = text_equal_fold(h->method.p, h->method.n, "CONNECT", 7);
	uint8_t *to = r->text;
	const struct bytes parts[] = {
	    h->method, {h->version.p, version_n}, {u->text, u->n}, {h->user_agent.p, agent_n}};
	for (size_t i = 0; i < 4; i++) {
		if (parts[i].n)
			memcpy(to, parts[i].p, parts[i].n);
		to += parts[i].n;
	}
	return r;
}

static void observe_name(struct inspect *in, struct bytes name)
{
	struct addr ip;
	if (!name.n || name.p[0] == '[' || addr_parse((const char *)name.p, name.n, &ip))
		return;
	observe(in, WHERE_HTTP_HOST, name.p, name.n);
}

void http_filename_observe(struct inspect *in, struct bytes disposition)
{
	char name[HTTP_NAME_MAX];
	if (!disposition.n || !wanted(in, WHERE_HTTP_FILENAME))
		return;
	bool cut = false;
	size_t n = mime_filename(disposition, "filename", name, sizeof(name), &cut);
	if (cut)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	if (n)
		observe(in, WHERE_HTTP_FILENAME, name, n);
}

/* In absolute form the Host field is not the host of the URL: a proxy ignores it,
 * an origin may not. Both are reported. */
static void observe_host_field(struct inspect *in, struct bytes host, struct bytes reported)
{
	SCRATCH struct url u;
	u.n = 0;
	u.over_limit = false;
	if (host.n > HTTP_HOST_MAX)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	if (!host.n || host.n > HTTP_HOST_MAX)
		return;
	url_add(&u, host.p, host.n);
	url_find_host(&u, 0, u.n);
	if (!text_equal_fold(u.text + u.host_at, u.host_n, reported.p, reported.n))
		observe_name(in, (struct bytes){u.text + u.host_at, u.host_n});
}

static void observe_last_host(struct inspect *in, const struct http_head *head, bool connect)
{
	struct http_head other;
	SCRATCH struct url u;
	if (!head->last_host.n || connect)
		return;
	other = *head;
	other.host = head->last_host;
	url_build(&u, in, TO_SERVER, &other, false);
	observe_host_field(in, head->last_host, (struct bytes){0});
	if (u.over_limit)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	else
		observe(in, WHERE_HTTP_URL, u.text, u.n);
}

struct http_request *http_request_new(struct inspect *in, enum side side, const struct http_head *head, struct url *u)
{
	bool connect = text_equal_fold(head->method.p, head->method.n, "CONNECT", 7);
	url_build(u, in, side, head, connect);
	struct http_request *r = keep_request(in, head, u);
	if (r)
		r->refs = 1;
	return r;
}

void http_request_release(struct inspect *in, struct http_request *r)
{
	if (r && --r->refs == 0)
		mem_free(in->mem, r, r->bytes);
}

void http_request_observe(struct inspect *in, const struct http_head *head, const struct url *u)
{
	struct bytes host = {u->text + u->host_at, u->host_n};
	bool connect = text_equal_fold(head->method.p, head->method.n, "CONNECT", 7);
	observe_name(in, host);
	observe_host_field(in, head->host, host);
	observe_last_host(in, head, connect);
	if (u->over_limit || u->host_over)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	if (!u->over_limit && !connect)
		observe(in, WHERE_HTTP_URL, u->text, u->n);
	http_dns_target(in, head->target);
	if (head->user_agent.n)
		observe(in, WHERE_HTTP_USER_AGENT, head->user_agent.p, head->user_agent.n);
	http_filename_observe(in, head->disposition);
	http_auth_observe(in, head->authorization[0]);
	http_auth_observe(in, head->authorization[1]);
}

void http_request_describe(const struct http_request *r, struct alert_app *app)
{
	if (!r)
		return;
	const uint8_t *method = r->text, *version = method + r->method_n, *url = version + r->version_n;
	alert_app_text(app, "hostname", url + r->host_at, r->host_n);
	alert_app_text(app, "url", url + r->path_at, (size_t)(r->url_n - r->path_at));
	alert_app_text(app, "http_user_agent", url + r->url_n, r->agent_n);
	alert_app_text(app, "http_method", method, r->method_n);
	alert_app_text(app, "protocol", version, r->version_n);
}
