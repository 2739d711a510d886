/* The door to Redis: addresses, secrets, connections that work, are refused, fall
 * silent, or are answered by somebody else. Against a redis-server of our own where
 * there is one; the others are played here. */
#define _GNU_SOURCE /* memmem() */
#include "tests/unit/collector_help.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "collector/redis_conf.h"
#include "common/clock.h"

static struct test_redis redis;
static char dir[64];

/* ---- addresses and secrets ---- */

static void addresses(void **state)
{
	static const struct {
		const char *text, *host, *port;
		bool local;
	} good[] = {{"unix:/run/r.sock", "/run/r.sock", "", true},
		    {"redis.example:6380", "redis.example", "6380", false},
		    {"redis.example", "redis.example", "6379", false},
		    {"[2001:db8::1]:7000", "2001:db8::1", "7000", false},
		    {"[2001:db8::1]", "2001:db8::1", "6379", false}};
	static const char *const bad[] = {"",           "unix:",  ":6379",   "host:",     "host:0",
					  "host:65536", "host:x", "host:1x", "[::1",      "[::1]x",
					  "[]:1",       "[::1]:", "host:-1", "host:+ 1 ", "host:1e3"};
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct redis_target t = {.db = 7, .user = "u"};
		struct err e = {""};
		if (!redis_target_parse(good[i].text, &t, &e))
			fail_msg("%s: %s", good[i].text, e.text);
		assert_string_equal(t.host, good[i].host);
		assert_string_equal(t.port, good[i].port);
		assert_int_equal(t.local, good[i].local);
		assert_int_equal(t.db, 7);
		assert_string_equal(t.user, "u");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct redis_target t = {0};
		struct err e = {""};
		if (redis_target_parse(bad[i], &t, &e))
			fail_msg("\"%s\" was taken", bad[i]);
		assert_non_null(strstr(e.text, "Redis address"));
	}
	char path[200] = "unix:/";
	memset(path + 6, 'x', 150);
	assert_false(redis_target_parse(path, &(struct redis_target){0}, NULL));
}

static const char *file_with(const char *text)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/secret", dir);
	FILE *f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
	chmod(path, 0600);
	return path;
}

static void passwords(void **state)
{
	struct redis_target t = {0};
	struct err e = {""};
	(void)state;
	assert_true(redis_target_password(&t, file_with("se cret\r\nnext line\n"), &e));
	assert_string_equal(t.password, "se cret");
	assert_true(redis_target_password(&t, file_with("last"), &e));
	assert_string_equal(t.password, "last");
	assert_false(redis_target_password(&t, file_with("\n"), &e));
	assert_non_null(strstr(e.text, "is empty"));
	assert_false(redis_target_password(&t, file_with(""), &e));
	assert_false(redis_target_password(&t, "/nonexistent/secret", &e));
	assert_non_null(strstr(e.text, "/nonexistent/secret"));
}

static void tls_settings(void **state)
{
	struct redis_target t = {0}, other = {0};
	struct err e = {""};
	char long_path[300];
	(void)state;
	memset(long_path, 'p', sizeof(long_path));
	long_path[299] = 0;
	assert_true(redis_target_tls(&t, NULL, NULL, NULL, NULL, &e));
	assert_true(t.tls);
	assert_false(redis_target_tls(&t, long_path, NULL, NULL, NULL, &e));
	assert_non_null(strstr(e.text, "the path of the CA"));
	assert_false(redis_target_tls(&t, NULL, "/c.crt", NULL, NULL, &e));
	assert_non_null(strstr(e.text, "belong together"));
	assert_false(redis_target_tls(&t, "/nonexistent/ca.crt", NULL, NULL, "redis", &e));
	assert_non_null(strstr(e.text, "/nonexistent/ca.crt"));
	redis_target_tls_as(&other, &t);
	assert_true(other.tls);
	assert_string_equal(other.ca, "/nonexistent/ca.crt");
	assert_string_equal(other.name, "redis");
}

static void settings_that_do_not_fit(void **state)
{
	char *node[STORE_NODES_MAX + 1], one[] = "127.0.0.1:26379", wrong[] = "a:b:c";
	char user[100] = "", address[] = "unix:/run/r.sock", tcp[] = "127.0.0.1:1", ca[] = "/nonexistent/ca";
	static const struct {
		const char *says;
		struct redis_conf c;
		size_t nodes;
		bool wrong_node, long_user, socket, ca;
	} cases[] = {{"redis.mode: sentinel needs redis.nodes: the sentinels", {.mode = STORE_SENTINEL}, 0, 0, 0, 0, 0},
		     {"redis.mode: cluster needs redis.nodes: some members", {.mode = STORE_CLUSTER}, 0, 0, 0, 0, 0},
		     {"redis.nodes has more than", {.mode = STORE_CLUSTER}, STORE_NODES_MAX + 1, 0, 0, 0, 0},
		     {"redis.nodes: ", {.mode = STORE_CLUSTER}, 1, true, 0, 0, 0},
		     {"redis.db: a cluster has database 0 only", {.mode = STORE_CLUSTER, .db = 2}, 1, 0, 0, 0, 0},
		     {"redis.user is longer", {.mode = STORE_STANDALONE}, 0, 0, true, 0, 0},
		     {"a unix socket has no TLS", {.tls = true}, 0, 0, 0, true, 0},
		     {"redis.tls: ", {.tls = true}, 0, 0, 0, 0, true}};
	(void)state;
	memset(user, 'u', 90);
	for (size_t i = 0; i <= STORE_NODES_MAX; i++)
		node[i] = one;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct redis_conf c = cases[i].c;
		struct store_conf s = {0};
		struct diags d = {0};
		char *wrong_list[] = {wrong};
		c.address = cases[i].socket ? address : tcp;
		c.user = cases[i].long_user ? user : NULL;
		c.tls_ca = cases[i].ca ? ca : NULL;
		c.nodes = (struct conf_list){.v = cases[i].wrong_node ? wrong_list : node, .n = cases[i].nodes};
		assert_false(redis_conf_finish(&c, &s, "file", &d));
		bool said = false;
		for (size_t k = 0; k < d.n; k++)
			said = said || strstr(d.list[k].text, cases[i].says);
		if (!said)
			fail_msg("not said: %s", cases[i].says);
		diag_free(&d);
	}
}

/* ---- a server of our own ---- */

struct played {
	int listener, peer;
	struct redis_target target;
};

static void play(struct played *p)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	*p = (struct played){.peer = -1};
	p->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(p->listener, 8), 0);
	getsockname(p->listener, (struct sockaddr *)&a, &n);
	snprintf(p->target.host, sizeof(p->target.host), "127.0.0.1");
	snprintf(p->target.port, sizeof(p->target.port), "%u", ntohs(a.sin_port));
}

static void played_end(struct played *p)
{
	if (p->peer >= 0)
		close(p->peer);
	close(p->listener);
}

static struct redis *open_played(struct played *p)
{
	struct err e;
	struct redis *r = redis_open(&p->target, &e);
	assert_non_null(r);
	p->peer = accept(p->listener, NULL, NULL);
	assert_true(p->peer >= 0);
	return r;
}

static void says(const struct played *p, const char *text)
{
	assert_int_equal(send(p->peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Works until it fails or nothing comes any more. */
static bool works(struct redis *r, struct err *e)
{
	for (int i = 0; i < 20; i++) {
		struct pollfd p = {.fd = redis_fd(r), .events = POLLIN};
		if (!redis_work(r, e))
			return false;
		poll(&p, 1, 5);
	}
	return true;
}

struct heard {
	int n, null;
	char last[64];
};

static void on_reply(void *arg, const struct reply *r)
{
	struct heard *h = arg;
	struct bytes b;
	h->n++;
	h->null += r == NULL;
	if (reply_text(r, &b) || reply_error(r, &b) || reply_text(reply_at(r, 2), &b))
		snprintf(h->last, sizeof(h->last), "%.*s", (int)(b.n < 63 ? b.n : 63), (const char *)b.p);
}

static bool ping(struct redis *r, struct heard *h)
{
	const char *words[] = {"PING"};
	const size_t len[] = {4};
	return redis_send(r, 1, words, len, (struct redis_done){on_reply, h});
}

static void what_is_no_redis(void **state)
{
	static const struct {
		const char *says, *why;
	} cases[] = {{"HTTP/1.1 400 Bad Request\r\n", "answers what is not its protocol"},
		     {"*2000000\r\n", "answers what is not its protocol"},
		     {"+OK\r\n+OK\r\n", "answers what was not asked"},
		     {"$-2\r\n", "answers what is not its protocol"}};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct played p;
		struct heard h = {0};
		struct err e = {""};
		play(&p);
		struct redis *r = open_played(&p);
		assert_true(ping(r, &h));
		says(&p, cases[i].says);
		assert_false(works(r, &e));
		if (!strstr(e.text, cases[i].why))
			fail_msg("%s: %s", cases[i].says, e.text);
		redis_free(r);
		assert_int_equal(h.n, 1); /* told once, whatever came */
		played_end(&p);
	}
}

/* A reply of any length is not collected. */
static void replies_are_bounded(void **state)
{
	struct played p;
	struct heard h = {0};
	struct err e = {""};
	char *piece = malloc(1 << 20);
	(void)state;
	memset(piece, 'x', 1 << 20);
	play(&p);
	struct redis *r = open_played(&p);
	assert_true(ping(r, &h));
	says(&p, "$500000000\r\n");
	bool alive = true;
	for (int i = 0; i < 100 && alive; i++) {
		for (ssize_t put = 0, sent; alive && put<1 << 20; put += sent> 0 ? sent : 0) {
			sent = send(p.peer, piece + put, (size_t)((1 << 20) - put), MSG_DONTWAIT | MSG_NOSIGNAL);
			alive = redis_work(r, &e);
		}
	}
	assert_false(alive);
	assert_non_null(strstr(e.text, "a reply above"));
	redis_free(r);
	assert_int_equal(h.null, 1);
	free(piece);
	played_end(&p);
}

static void the_end_of_a_connection(void **state)
{
	struct played p;
	struct heard h = {0};
	struct err e = {""};
	(void)state;
	play(&p);
	struct redis *r = open_played(&p);
	for (int i = 0; i < 500; i++) /* the ring grows */
		assert_true(ping(r, &h));
	assert_int_equal(redis_pending(r), 500);
	says(&p, "+PONG\r\n");
	assert_true(works(r, &e));
	assert_int_equal(h.n, 1);
	assert_true(redis_waited_us(r) > 0);
	close(p.peer);
	p.peer = -1;
	assert_false(works(r, &e));
	redis_free(r);
	assert_int_equal(h.n, 500);
	assert_int_equal(h.null, 499);
	played_end(&p);
}

static void nobody_is_there(void **state)
{
	struct played p;
	struct err e = {""};
	(void)state;
	play(&p);
	played_end(&p); /* the port is free again */
	struct redis *r = redis_open(&p.target, &e);
	if (r) {
		assert_false(works(r, &e));
		redis_free(r);
	}
	assert_non_null(strstr(e.text, "cannot reach Redis at 127.0.0.1:"));
	struct redis_target gone = {.local = true, .host = "/nonexistent/redis.sock"};
	assert_null(redis_open(&gone, &e));
	assert_non_null(strstr(e.text, "unix:/nonexistent/redis.sock"));
	struct redis_target name = {.host = "host.invalid", .port = "6379"};
	assert_null(redis_open(&name, &e));
	assert_non_null(strstr(e.text, "host.invalid:6379"));
}

/* TLS with somebody who speaks none, and with one who hangs up. */
static void no_tls_there(void **state)
{
	struct played p;
	struct heard h = {0};
	struct err e = {""};
	(void)state;
	for (int hangs_up = 0; hangs_up < 2; hangs_up++) {
		play(&p);
		p.target.tls = true;
		struct redis *r = open_played(&p);
		assert_true(ping(r, &h));
		if (!hangs_up)
			says(&p, "-ERR unknown command\r\n");
		else
			shutdown(p.peer, SHUT_RDWR);
		assert_false(works(r, &e));
		assert_non_null(strstr(e.text, "TLS"));
		redis_free(r);
		played_end(&p);
	}
	assert_int_equal(h.null, 2);
	play(&p);
	p.target.tls = true;
	snprintf(p.target.ca, sizeof(p.target.ca), "/nonexistent/ca");
	assert_null(redis_open(&p.target, &e));
	assert_non_null(strstr(e.text, "cannot speak TLS with Redis"));
	played_end(&p);
}

static void one_that_is_silent(void **state)
{
	struct played p;
	struct err e = {""};
	const char *words[] = {"PING"};
	const size_t len[] = {4};
	(void)state;
	play(&p);
	struct redis *r = open_played(&p);
	int64_t began = clock_mono_us();
	assert_null(redis_call(r, 1, words, len, 60, &e));
	assert_true(clock_mono_us() - began >= 60000);
	assert_non_null(strstr(e.text, "does not answer within 60 ms"));
	says(&p, "+LATE\r\n"); /* nobody takes it, and it is not taken for the next one's */
	says(&p, "+PONG\r\n");
	struct reply *reply = redis_call(r, 1, words, len, 5000, &e);
	struct bytes b;
	assert_true(reply_text(reply, &b) && b.n == 4 && memcmp(b.p, "PONG", 4) == 0);
	reply_free(reply);
	redis_free(r);
	played_end(&p);
}

/* ---- a real one ---- */

static struct redis *open_real(const char *user, const char *password, int64_t db)
{
	struct redis_target t = {.db = db};
	struct err e;
	if (!redis.address[0])
		skip();
	assert_true(redis_target_parse(redis.address, &t, &e));
	snprintf(t.user, sizeof(t.user), "%s", user);
	snprintf(t.password, sizeof(t.password), "%s", password);
	struct redis *r = redis_open(&t, &e);
	assert_non_null(r);
	return r;
}

static void who_we_are(void **state)
{
	struct heard h = {0};
	struct err e = {""};
	(void)state;
	ask(&redis, "ACL SETUSER somebody on >right ~* +@all");
	struct redis *r = open_real("somebody", "right", 3);
	const char *words[] = {"CLIENT", "LIST"};
	const size_t len[] = {6, 4};
	struct reply *reply = redis_call(r, 2, words, len, 2000, &e);
	struct bytes b;
	assert_true(reply_text(reply, &b));
	assert_non_null(memmem(b.p, b.n, "user=somebody", 13));
	assert_non_null(memmem(b.p, b.n, "db=3", 4));
	reply_free(reply);
	redis_free(r);
	r = open_real("somebody", "wrong", 0);
	assert_true(ping(r, &h));
	assert_false(works(r, &e));
	assert_non_null(strstr(e.text, "WRONGPASS"));
	redis_free(r);
	r = open_real("", "", 99999);
	assert_true(ping(r, &h));
	assert_false(works(r, &e));
	assert_non_null(strstr(e.text, "out of range"));
	redis_free(r);
	ask(&redis, "ACL DELUSER somebody");
}

static void what_is_published(void **state)
{
	struct heard h = {0};
	struct err e = {""};
	const char *channels[] = {"one", "two"};
	(void)state;
	struct redis *r = open_real("", "", 0);
	assert_true(redis_subscribe(r, 2, channels, (struct redis_done){on_reply, &h}));
	assert_true(works(r, &e));
	h.n = 0;
	ask(&redis, "PUBLISH two hello");
	assert_true(works(r, &e));
	assert_int_equal(h.n, 1);
	assert_string_equal(h.last, "hello");
	redis_free(r);
}

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/picket-test-redis.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char path[128];
	(void)state;
	snprintf(path, sizeof(path), "%s/secret", dir);
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	if (!test_redis_start(&redis))
		printf("no redis-server: some are skipped\n");
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {cmocka_unit_test(addresses),
					   cmocka_unit_test(passwords),
					   cmocka_unit_test(tls_settings),
					   cmocka_unit_test(settings_that_do_not_fit),
					   cmocka_unit_test(what_is_no_redis),
					   cmocka_unit_test(replies_are_bounded),
					   cmocka_unit_test(the_end_of_a_connection),
					   cmocka_unit_test(nobody_is_there),
					   cmocka_unit_test(no_tls_there),
					   cmocka_unit_test(one_that_is_silent),
					   cmocka_unit_test(who_we_are),
					   cmocka_unit_test(what_is_published)};
	int failed = cmocka_run_group_tests(tests, make_dir, remove_dir);
	test_redis_stop(&redis);
	return failed;
}
