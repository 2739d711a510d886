/* The HTTP server over real sockets: whole answers, every bound, and the text for
 * Prometheus with hostile labels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/httpd.h"
#include "common/metrics.h"

static char path[sizeof(((struct sockaddr_un *)0)->sun_path)], address[sizeof(path) + 8];

static int dial(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	strcpy(un.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* What comes until the end, or until ms passed without a byte. */
static char *hear(int fd, int ms, bool *ended)
{
	static char text[1 << 20];
	size_t n = 0;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	*ended = false;
	while (n < sizeof(text) - 1 && poll(&p, 1, ms) > 0) {
		ssize_t got = recv(fd, text + n, sizeof(text) - 1 - n, 0);
		if (got <= 0) {
			*ended = true;
			break;
		}
		n += (size_t)got;
	}
	text[n] = 0;
	return text;
}

static char big[300000];

static void answer(void *owner, struct httpd_request *r)
{
	(void)owner;
	const char *name = httpd_query(r, "name"), *agent = httpd_header(r, "user-agent");
	struct buf out = {0};
	if (strcmp(httpd_path(r), "/silent") == 0)
		return;
	if (strcmp(httpd_path(r), "/big") == 0) {
		httpd_reply(r, 200, "text/plain", big, sizeof(big));
		return;
	}
	buf_printf(&out, "%s|%s|%s|%s|%.*s", httpd_method_names[httpd_method(r)], httpd_path(r), name ? name : "-",
		   agent ? agent : "-", (int)httpd_body(r).n, (const char *)httpd_body(r).p);
	httpd_reply_header(r, "X-Picket", "yes");
	httpd_reply_header(r, "X-Split", "a\r\nX-Injected: b");
	httpd_reply(r, 200, "text/plain", out.p, out.n);
	buf_free(&out);
}

static struct httpd *begin(size_t connections, int64_t timeout_ms)
{
	struct err e;
	struct httpd_conf c = {.address = address,
			       .connections = connections,
			       .head_max = 1000,
			       .body_max = 1000,
			       .timeout_ms = timeout_ms,
			       .methods = 1u << HTTPD_GET | 1u << HTTPD_HEAD | 1u << HTTPD_POST,
			       .answer = answer};
	struct httpd *h = httpd_start(&c, &e);
	if (!h)
		fail_msg("%s", e.text);
	return h;
}

static const struct {
	const char *label, *request, *begins, *holds;
} cases[] = {
    {"get", "GET /a/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 ", "GET|/a/b|-|-|"},
    {"decoded path and query", "GET /%61?name=b%20c&x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
     "HTTP/1.1 200 ", "GET|/a|b c|-|"},
    {"header", "GET / HTTP/1.0\r\nUser-Agent: me\r\n\r\n", "HTTP/1.0 200 ", "GET|/|-|me|"},
    {"post", "POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody", "HTTP/1.1 200 ",
     "POST|/p|-|-|body"},
    {"chunked post",
     "POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
     "HTTP/1.1 200 ", "POST|/p|-|-|abc"},
    {"no answer", "GET /silent HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 500 ", ""},
    {"method not taken", "DELETE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 501 ", ""},
    {"NUL in the path", "GET /a%00b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 400 ", ""},
    {"no path", "GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 400 ", ""},
    {"body too long", "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", "HTTP/1.1 413 ", ""},
    {"body that lies", "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: -4\r\n\r\n", "HTTP/1.1 400 ", ""},
};

static void test_requests(void **state)
{
	(void)state;
	struct httpd *h = begin(8, 5000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		bool ended;
		int fd = dial();
		say(fd, cases[i].request);
		const char *got = hear(fd, 2000, &ended);
		if (!ended || strncmp(got, cases[i].begins, strlen(cases[i].begins)) != 0 ||
		    !strstr(got, cases[i].holds))
			fail_msg("%s: ended %d, %s", cases[i].label, ended, got);
		assert_null(strstr(got, "X-Injected"));
		close(fd);
	}
	httpd_stop(h);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void test_every_cut_of_a_request_is_no_request(void **state)
{
	(void)state;
	static const char whole[] = "POST /p?name=x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody";
	struct httpd *h = begin(8, 5000);
	struct httpd_stats s;
	for (size_t n = 0; n + 1 < sizeof(whole); n++) {
		bool ended;
		int fd = dial();
		send(fd, whole, n, MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		assert_null(strstr(hear(fd, 2000, &ended), "200 OK"));
		assert_true(ended);
		close(fd);
	}
	httpd_stats(h, &s);
	assert_int_equal(s.requests, 0);
	assert_int_equal(s.connections, sizeof(whole) - 1);
	httpd_stop(h);
}

static void test_head_and_connection_kept(void **state)
{
	(void)state;
	bool ended;
	struct httpd *h = begin(8, 5000);
	int fd = dial();
	say(fd, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
	const char *got = hear(fd, 300, &ended);
	assert_false(ended);
	assert_non_null(strstr(got, "Content-Length: 12\r\n"));
	assert_string_equal(strstr(got, "\r\n\r\n"), "\r\n\r\n");
	say(fd, "GET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\n\r\n");
	got = hear(fd, 300, &ended);
	assert_non_null(strstr(got, "GET|/b"));
	assert_non_null(strstr(got, "GET|/c"));
	close(fd);
	httpd_stop(h);
}

static void test_a_head_without_end_is_cut(void **state)
{
	(void)state;
	bool ended;
	struct httpd *h = begin(8, 5000);
	int fd = dial();
	say(fd, "GET / HTTP/1.1\r\n");
	for (int i = 0; i < 100; i++)
		say(fd, "X-Padding: padding padding\r\n");
	hear(fd, 2000, &ended);
	assert_true(ended);
	close(fd);
	httpd_stop(h);
}

/* One byte now and then does not help. */
static void test_a_slow_request_is_cut(void **state)
{
	(void)state;
	bool ended = false;
	struct httpd *h = begin(8, 500);
	struct httpd_stats s;
	int fd = dial(), silent = dial();
	int64_t from = clock_mono_us();
	say(fd, "GET / HTTP/1.1\r\nX: ");
	while (!ended && clock_mono_us() - from < 3000000) {
		say(fd, "x");
		hear(fd, 50, &ended);
	}
	assert_true(ended);
	hear(silent, 1000, &ended);
	assert_true(ended);
	httpd_stats(h, &s);
	assert_int_equal(s.timeouts, 2);
	close(fd);
	close(silent);
	httpd_stop(h);
}

static void test_an_answer_nobody_takes_is_cut(void **state)
{
	(void)state;
	bool ended;
	struct httpd *h = begin(8, 500);
	struct httpd_stats s;
	int fd = dial(), small = 4096;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	say(fd, "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	usleep(1500000);
	const char *got = hear(fd, 500, &ended);
	assert_true(ended);
	assert_true(strlen(got) < sizeof(big));
	httpd_stats(h, &s);
	assert_int_equal(s.timeouts, 1);
	close(fd);
	/* The same answer to one who reads. */
	fd = dial();
	say(fd, "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	got = hear(fd, 500, &ended);
	assert_true(ended);
	assert_true(strlen(got) > sizeof(big));
	close(fd);
	httpd_stop(h);
}

static void test_connections_are_limited(void **state)
{
	(void)state;
	bool ended;
	struct httpd *h = begin(2, 60000);
	int a = dial(), b = dial(), c = dial();
	usleep(200000);
	say(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_string_equal(hear(c, 500, &ended), "");
	assert_false(ended);
	close(a); /* room: the third is served */
	assert_non_null(strstr(hear(c, 2000, &ended), "200 OK"));
	close(b);
	close(c);
	httpd_stop(h);
}

static void test_addresses_that_cannot_be(void **state)
{
	(void)state;
	struct err e;
	struct httpd_conf c = {.connections = 1, .answer = answer};
	c.address = "nowhere";
	assert_null(httpd_start(&c, &e));
	c.address = "unix:/nonexistent/folder/socket";
	assert_null(httpd_start(&c, &e));
	c.address = "192.0.2.1:1";
	assert_null(httpd_start(&c, &e));
	httpd_stop(NULL);
}

/* ---- metrics ---- */

static void render(void *owner, struct buf *out)
{
	metric_one(out, "a_total", METRIC_COUNTER, "Counts \\ and\nmore.", *(const uint64_t *)owner);
	metric_family(out, "b_seconds", METRIC_GAUGE, "Time.");
	metric_sample_us(out, "b_seconds", NULL, 0, -1500000);
	metric_family(out, "c", METRIC_GAUGE, "Labels.");
	metric_sample_signed(out, "c",
			     (const struct metric_label[]){{"x", "a\"b\\c\nd"}, {"y", "\xff\xc3\xa4"}}, 2, -7);
}

static atomic_bool done;

static void *serve(void *arg)
{
	struct pollfd p = {.fd = metrics_fd(arg), .events = POLLIN};
	while (!atomic_load(&done))
		if (poll(&p, 1, 20) > 0)
			metrics_work(arg);
	return NULL;
}

static void test_metrics(void **state)
{
	(void)state;
	struct err e;
	bool ended;
	uint64_t value = UINT64_MAX;
	pthread_t thread;
	struct metrics *m = metrics_open(address, render, &value, &e);
	assert_non_null(m);
	assert_true(metrics_serve(m, &e));
	int fd = dial();
	say(fd, "GET /metrics HTTP/1.0\r\n\r\n"); /* nobody serves: 503, not for ever */
	assert_non_null(strstr(hear(fd, 4000, &ended), " 503 "));
	close(fd);
	assert_int_equal(pthread_create(&thread, NULL, serve, m), 0);
	fd = dial();
	say(fd, "GET /metrics HTTP/1.0\r\n\r\n");
	const char *got = hear(fd, 2000, &ended), *text = strstr(got, "\r\n\r\n");
	assert_non_null(strstr(got, "Content-Type: text/plain; version=0.0.4"));
	assert_string_equal(text + 4, "# HELP a_total Counts \\\\ and\\\\x0amore.\n"
				      "# TYPE a_total counter\n"
				      "a_total 18446744073709551615\n"
				      "# HELP b_seconds Time.\n"
				      "# TYPE b_seconds gauge\n"
				      "b_seconds -1.500000\n"
				      "# HELP c Labels.\n"
				      "# TYPE c gauge\n"
				      "c{x=\"a\\\"b\\\\c\\\\x0ad\",y=\"\\\\xff\xc3\xa4\"} -7\n");
	close(fd);
	fd = dial();
	say(fd, "GET / HTTP/1.0\r\n\r\n");
	assert_non_null(strstr(hear(fd, 2000, &ended), " 404 "));
	close(fd);
	atomic_store(&done, true);
	pthread_join(thread, NULL);
	metrics_close(m);
}

static void test_metric_names(void **state)
{
	(void)state;
	assert_true(metric_name_valid("picket_a:b9"));
	assert_false(metric_name_valid(""));
	assert_false(metric_name_valid("9a"));
	assert_false(metric_name_valid("a-b"));
	assert_false(metric_name_valid("a.b"));
}

int main(void)
{
	char dir[] = "/tmp/picket-httpd.XXXXXX";
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/s", dir);
	snprintf(address, sizeof(address), "unix:%s", path);
	memset(big, 'b', sizeof(big));
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_requests),
	    cmocka_unit_test(test_every_cut_of_a_request_is_no_request),
	    cmocka_unit_test(test_head_and_connection_kept),
	    cmocka_unit_test(test_a_head_without_end_is_cut),
	    cmocka_unit_test(test_a_slow_request_is_cut),
	    cmocka_unit_test(test_an_answer_nobody_takes_is_cut),
	    cmocka_unit_test(test_connections_are_limited),
	    cmocka_unit_test(test_addresses_that_cannot_be),
	    cmocka_unit_test(test_metrics),
	    cmocka_unit_test(test_metric_names),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
