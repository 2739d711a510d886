#include "collector/http_client.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TICK_BUSY_US 5000 /* curl is asked what there is; no more sockets than partners are expected */

struct flight {
	struct flight *next;
	CURL *curl;
	struct curl_slist *headers;
	struct http_answer answer;
	struct http_done done;
	size_t answer_max;
	char error[CURL_ERROR_SIZE];
};

struct http_client {
	CURLM *multi;
	struct event *tick;
	struct flight *flights;
};

static void flight_free(struct flight *f)
{
	curl_easy_cleanup(f->curl);
	curl_slist_free_all(f->headers);
	buf_free(&f->answer.body);
	free(f);
}

static void finish(struct http_client *c, struct flight *f)
{
	struct flight **at = &c->flights;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	curl_multi_remove_handle(c->multi, f->curl);
	f->done.call(f->done.arg, &f->answer);
	flight_free(f);
}

static void take_result(struct http_client *c, const CURLMsg *m)
{
	struct flight *f = NULL;
	long status = 0;
	curl_off_t wait_s = 0;
	curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &f);
	if (m->data.result == CURLE_OK) {
		curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_getinfo(f->curl, CURLINFO_RETRY_AFTER, &wait_s);
		f->answer.status = (int)status;
		f->answer.retry_after_s = wait_s;
	} else {
		err_set(&f->answer.why, "%s", f->error[0] ? f->error : curl_easy_strerror(m->data.result));
	}
	finish(c, f);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct http_client *c = arg;
	struct timeval again = {.tv_usec = TICK_BUSY_US};
	int left = 0;
	(void)fd;
	(void)what;
	curl_multi_perform(c->multi, &left);
	for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left));)
		if (m->msg == CURLMSG_DONE)
			take_result(c, m);
	if (c->flights)
		evtimer_add(c->tick, &again);
}

struct http_client *http_client_new(struct event_base *base, struct err *e)
{
	struct http_client *c = xcalloc(1, sizeof(*c));
	curl_global_init(CURL_GLOBAL_DEFAULT);
	c->multi = curl_multi_init();
	c->tick = c->multi ? evtimer_new(base, on_tick, c) : NULL;
	if (c->tick)
		return c;
	err_set(e, "no memory for an HTTP client");
	http_client_free(c);
	return NULL;
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	while (c->flights) {
		err_set(&c->flights->answer.why, "leaving");
		finish(c, c->flights);
	}
	if (c->tick)
		event_free(c->tick);
	if (c->multi)
		curl_multi_cleanup(c->multi);
	free(c);
}

/* ---- one request ---- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct flight *f = arg;
	if (f->answer.body.n + size * n > f->answer_max) {
		snprintf(f->error, sizeof(f->error), "the answer is longer than %zu bytes", f->answer_max);
		return 0;
	}
	buf_add(&f->answer.body, p, size * n);
	return size * n;
}

static void keep_header(const char *line, size_t n, const char *name, char out[static HTTP_HEADER_MAX])
{
	size_t k = strlen(name), from = k + 1;
	if (n <= k || strncasecmp(line, name, k) != 0 || line[k] != ':')
		return;
	while (from < n && line[from] == ' ')
		from++;
	while (n > from && (line[n - 1] == '\r' || line[n - 1] == '\n'))
		n--;
	snprintf(out, HTTP_HEADER_MAX, "%.*s", (int)(n - from < HTTP_HEADER_MAX ? n - from : 0), line + from);
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct flight *f = arg;
	keep_header(p, size * n, "Content-Type", f->answer.type);
	keep_header(p, size * n, "X-TAXII-Date-Added-Last", f->answer.date_last);
	return size * n;
}

static void add_header(struct flight *f, const char *name, const char *value)
{
	struct buf line = {0};
	if (!value)
		return;
	buf_printf(&line, "%s: %s", name, value);
	buf_add(&line, "", 1);
	f->headers = curl_slist_append(f->headers, (const char *)line.p);
	buf_free(&line);
}

static void set_bounds(CURL *h, const struct http_ask *ask)
{
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)ask->timeout_ms);
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)(ask->timeout_ms < 10000 ? ask->timeout_ms : 10000));
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "https,http");
	curl_easy_setopt(h, CURLOPT_PROXY, "");
	curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
}

static void set_credentials(CURL *h, const struct http_ask *ask)
{
	if (ask->user) {
		curl_easy_setopt(h, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(h, CURLOPT_USERNAME, ask->user);
		curl_easy_setopt(h, CURLOPT_PASSWORD, ask->password ? ask->password : "");
	}
	if (ask->cert)
		curl_easy_setopt(h, CURLOPT_SSLCERT, ask->cert);
	if (ask->key)
		curl_easy_setopt(h, CURLOPT_SSLKEY, ask->key);
	if (ask->ca)
		curl_easy_setopt(h, CURLOPT_CAINFO, ask->ca);
}

void http_client_ask(struct http_client *c, const struct http_ask *ask, struct http_done done)
{
	struct flight *f = xcalloc(1, sizeof(*f));
	CURL *h = f->curl = curl_easy_init();
	*f = (struct flight){.next = c->flights, .curl = h, .done = done, .answer_max = ask->answer_max};
	c->flights = f;
	set_bounds(h, ask);
	set_credentials(h, ask);
	add_header(f, "Accept", ask->accept);
	add_header(f, "Content-Type", ask->content_type);
	add_header(f, "Expect", ask->body.p ? "" : NULL);
	curl_easy_setopt(h, CURLOPT_URL, ask->url);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, f->headers);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(h, CURLOPT_HEADERDATA, f);
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, f->error);
	curl_easy_setopt(h, CURLOPT_PRIVATE, f);
	if (ask->body.p) {
		curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->body.n);
		curl_easy_setopt(h, CURLOPT_POSTFIELDS, ask->body.p);
	}
	curl_multi_add_handle(c->multi, h);
	event_active(c->tick, EV_TIMEOUT, 0);
}
