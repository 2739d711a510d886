/* common/listen.h: what is an address to listen on, who is local, and what is said when
 * nobody can listen there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/listen.h"

static char dir[64];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "%s/picket-listen-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

static void test_parse(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool good, local;
		int port;
	} cases[] = {
	    {"unix:/run/x", true, true, 0},
	    {"unix:run/x", false, false, 0},
	    {"unix:", false, false, 0},
	    {"127.0.0.1:1", true, true, 1},
	    {"127.255.0.1:65535", true, true, 65535},
	    {"128.0.0.1:80", true, false, 80},
	    {"localhost:80", true, true, 80},
	    {"*:80", true, false, 80},
	    {"[::1]:80", true, true, 80},
	    {"[::]:80", true, false, 80},
	    {"[2001:db8::1]:80", true, false, 80},
	    {"[::ffff:127.0.0.1]:80", true, true, 80},
	    {"192.0.2.1", false, false, 0},
	    {"192.0.2.1:", false, false, 0},
	    {"192.0.2.1:0", false, false, 0},
	    {"192.0.2.1:65536", false, false, 0},
	    {"192.0.2.1:80x", false, false, 0},
	    {"host.example:80", false, false, 0},
	    {"[::1:80", false, false, 0},
	    {":80", false, false, 0},
	    {"", false, false, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct listen_address a;
		struct err e = {""};
		if (listen_parse(cases[i].text, &a, &e) != cases[i].good)
			fail_msg("\"%s\": %s", cases[i].text, cases[i].good ? e.text : "taken");
		if (!cases[i].good) {
			assert_non_null(strstr(e.text, cases[i].text));
			continue;
		}
		assert_int_equal(listen_is_local(&a), cases[i].local);
		assert_int_equal(a.port, cases[i].port);
	}
	char path[200] = "unix:/";
	memset(path + 6, 'x', 150);
	struct listen_address a;
	assert_false(listen_parse(path, &a, NULL)); /* longer than a socket's name may be */
}

static int opened(const char *text, struct err *e)
{
	struct listen_address a;
	assert_true(listen_parse(text, &a, e));
	return listen_open(&a, e);
}

/* A socket that somebody left behind is taken over, one that somebody listens on is not,
 * and what is no socket stays. */
static void test_local(void **state)
{
	(void)state;
	char text[100];
	struct err e;
	struct stat st;
	snprintf(text, sizeof(text), "unix:%s/s", dir);
	int fd = opened(text, &e);
	assert_true(fd >= 0);
	assert_int_equal(stat(text + 5, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(opened(text, &e), -1);
	assert_non_null(strstr(e.text, "another process listens there"));
	close(fd);
	fd = opened(text, &e);
	assert_true(fd >= 0);
	close(fd);
	unlink(text + 5);
	FILE *f = fopen(text + 5, "w");
	assert_non_null(f);
	fputs("mine", f);
	fclose(f);
	fd = opened(text, &e);
	assert_int_equal(stat(text + 5, &st), 0);
	assert_int_equal(fd, -1);
	assert_true(S_ISREG(st.st_mode) && st.st_size == 4);
	unlink(text + 5);
	snprintf(text, sizeof(text), "unix:%s/none/s", dir);
	assert_int_equal(opened(text, &e), -1);
	assert_non_null(strstr(e.text, "cannot listen on unix:"));
}

static void test_tcp(void **state)
{
	(void)state;
	char text[100];
	struct err e;
	int fd = -1, port = 0;
	for (int i = 0; i < 50 && fd < 0; i++) {
		port = 20000 + (int)((unsigned)(getpid() + i * 131) % 30000);
		snprintf(text, sizeof(text), "127.0.0.1:%d", port);
		fd = opened(text, &e);
	}
	assert_true(fd >= 0);
	assert_int_equal(opened(text, &e), -1);
	snprintf(text, sizeof(text), "cannot listen on 127.0.0.1 port %d", port);
	assert_non_null(strstr(e.text, text));
	close(fd);
	assert_int_equal(opened("192.0.2.1:9", &e), -1); /* not ours */
	assert_non_null(strstr(e.text, "192.0.2.1 port 9"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse),
					   cmocka_unit_test_setup_teardown(test_local, setup, teardown),
					   cmocka_unit_test(test_tcp)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
