/* The two threads meet at a ticket: the HTTP thread takes one and waits, the owner
 * writes the text and marks all tickets so far as served. */
#include "common/metrics.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/httpd.h"
#include "common/text.h"

#define CONNECTIONS  16
#define HEAD_MAX     8192
#define TIMEOUT_MS   5000
#define WAIT_S       2
#define LABEL_MAX    512 /* bytes of a value, before it is escaped */
#define CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics {
	struct httpd *http;
	void (*render)(void *owner, struct buf *out);
	void *owner;
	int fd;
	pthread_mutex_t lock;
	pthread_cond_t served;
	uint64_t asked, answered; /* tickets */
	struct buf text;
	bool closing;
};

/* ---- the two threads ---- */

/* With the lock. False: the owner did not come. */
static bool wait_for_owner(struct metrics *m)
{
	struct timespec until;
	uint64_t ticket = ++m->asked, one = 1;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAIT_S;
	if (write(m->fd, &one, sizeof(one)) != sizeof(one))
		return false;
	while (m->answered < ticket && !m->closing)
		if (pthread_cond_timedwait(&m->served, &m->lock, &until) == ETIMEDOUT)
			return m->answered >= ticket;
	return m->answered >= ticket;
}

static void answer(void *owner, struct httpd_request *r)
{
	static const char elsewhere[] = "The figures are at /metrics\n", busy[] = "busy\n";
	struct metrics *m = owner;
	if (strcmp(httpd_path(r), "/metrics") != 0) {
		httpd_reply(r, 404, "text/plain", elsewhere, sizeof(elsewhere) - 1);
		return;
	}
	pthread_mutex_lock(&m->lock);
	if (wait_for_owner(m))
		httpd_reply(r, 200, CONTENT_TYPE, m->text.p, m->text.n);
	else
		httpd_reply(r, 503, "text/plain", busy, sizeof(busy) - 1);
	pthread_mutex_unlock(&m->lock);
}

void metrics_work(struct metrics *m)
{
	uint64_t n;
	if (!m || read(m->fd, &n, sizeof(n)) != sizeof(n))
		return;
	pthread_mutex_lock(&m->lock);
	m->text.n = 0;
	m->render(m->owner, &m->text);
	m->answered = m->asked;
	pthread_cond_broadcast(&m->served);
	pthread_mutex_unlock(&m->lock);
}

int metrics_fd(const struct metrics *m)
{
	return m->fd;
}

struct metrics *metrics_open(const char *address, void (*render)(void *owner, struct buf *out), void *owner,
			     struct err *e)
{
	struct metrics *m = xcalloc(1, sizeof(*m));
	pthread_condattr_t clock;
	m->render = render;
	m->owner = owner;
	m->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&m->served, &clock);
	pthread_condattr_destroy(&clock);
	struct httpd_conf conf = {.address = address,
				  .connections = CONNECTIONS,
				  .head_max = HEAD_MAX,
				  .body_max = 0,
				  .timeout_ms = TIMEOUT_MS,
				  .methods = 1u << HTTPD_GET | 1u << HTTPD_HEAD,
				  .answer = answer,
				  .owner = m};
	if (m->fd < 0)
		err_errno(e, "cannot serve metrics");
	else
		m->http = httpd_open(&conf, e);
	if (m->http)
		return m;
	metrics_close(m);
	return NULL;
}

bool metrics_serve(struct metrics *m, struct err *e)
{
	return !m || httpd_serve(m->http, e);
}

void metrics_close(struct metrics *m)
{
	if (!m)
		return;
	pthread_mutex_lock(&m->lock);
	m->closing = true;
	pthread_cond_broadcast(&m->served);
	pthread_mutex_unlock(&m->lock);
	httpd_stop(m->http);
	if (m->fd >= 0)
		close(m->fd);
	pthread_cond_destroy(&m->served);
	pthread_mutex_destroy(&m->lock);
	buf_free(&m->text);
	free(m);
}

/* ---- the text ---- */

bool metric_name_valid(const char *name)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:";
	static const char others[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789";
	return *name && strchr(first, *name) && !name[strspn(name, others)];
}

/* Cleaned, because people read it with curl; then a backslash is escaped, in labels the
 * quote too ("Text format details" of Prometheus' exposition formats). */
static void put_escaped(struct buf *out, const char *text, bool quoted)
{
	char clean[4 * LABEL_MAX];
	size_t n = strlen(text);
	text_clean(clean, sizeof(clean), text, n < LABEL_MAX ? n : LABEL_MAX);
	for (const char *c = clean; *c; c++) {
		if (*c == '\\' || (*c == '"' && quoted))
			buf_u8(out, '\\');
		buf_u8(out, (uint8_t)*c);
	}
}

void metric_family(struct buf *out, const char *name, enum metric_type type, const char *help)
{
	static const char *const types[METRIC_TYPE_COUNT] = {"counter", "gauge"};
	assert(metric_name_valid(name));
	buf_printf(out, "# HELP %s ", name);
	put_escaped(out, help, false);
	buf_printf(out, "\n# TYPE %s %s\n", name, types[type]);
}

static void put_head(struct buf *out, const char *name, const struct metric_label *labels, size_t n)
{
	buf_printf(out, "%s", name);
	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "%s%s=\"", i ? "," : "{", labels[i].name);
		put_escaped(out, labels[i].value, true);
		buf_add(out, "\"", 1);
	}
	buf_printf(out, "%s ", n ? "}" : "");
}

void metric_sample(struct buf *out, const char *name, const struct metric_label *labels, size_t n, uint64_t value)
{
	put_head(out, name, labels, n);
	buf_printf(out, "%" PRIu64 "\n", value);
}

void metric_sample_signed(struct buf *out, const char *name, const struct metric_label *labels, size_t n, int64_t value)
{
	put_head(out, name, labels, n);
	buf_printf(out, "%" PRId64 "\n", value);
}

void metric_sample_us(struct buf *out, const char *name, const struct metric_label *labels, size_t n, int64_t us)
{
	put_head(out, name, labels, n);
	buf_printf(out, "%s%" PRId64 ".%06" PRId64 "\n", us < 0 ? "-" : "", (us < 0 ? -us : us) / 1000000,
		   (us < 0 ? -us : us) % 1000000);
}

void metric_one(struct buf *out, const char *name, enum metric_type type, const char *help, uint64_t value)
{
	metric_family(out, name, type, help);
	metric_sample(out, name, NULL, 0, value);
}
