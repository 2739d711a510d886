/* Records as a sensor would make them, and a private redis-server: for the
 * collector's tests. */
#ifndef TESTS_UNIT_COLLECTOR_HELP_H
#define TESTS_UNIT_COLLECTOR_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/store_redis.h"
#include "common/addr.h"
#include "rules/alert.h"

#define T0  1700000000000000ll /* 2023-11-14T22:13:20Z */
#define SEC 1000000ll

struct made {
	const char *indicator, *endpoint, *peer, *json, *exercise;
	uint32_t n;
	int64_t first_us, last_us;
	enum severity severity;
	enum record_kind kind;
};

static struct bytes as_bytes(const char *text)
{
	return (struct bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}

/* A record with its true key; views into m and *peer. */
static inline struct record made_record(const struct made *m, struct addr *peer)
{
	struct record r = {.kind = m->kind,
			   .severity = m->severity,
			   .exercise = m->exercise != NULL,
			   .n = m->n ? m->n : 1,
			   .first_us = m->first_us ? m->first_us : T0,
			   .last_us = m->last_us    ? m->last_us
				      : m->first_us ? m->first_us
						    : T0};
	r.field[FIELD_SET] = as_bytes("demo");
	r.field[FIELD_SET_VERSION] = as_bytes("7");
	r.field[FIELD_INDICATOR] = as_bytes(m->indicator ? m->indicator : "D-1");
	r.field[FIELD_TYPE] = as_bytes("domain");
	r.field[FIELD_VALUE] = as_bytes("bad.example");
	r.field[FIELD_WHERE] = as_bytes("tls.sni");
	r.field[FIELD_SRC] = as_bytes(m->endpoint ? m->endpoint : "10.1.2.7");
	r.field[FIELD_DEST] = as_bytes(m->peer ? m->peer : "203.0.113.9");
	r.field[FIELD_ENDPOINT] = as_bytes(m->endpoint ? m->endpoint : "10.1.2.7");
	r.field[FIELD_APP] = as_bytes("tls");
	r.field[FIELD_TLP] = as_bytes("amber");
	r.field[FIELD_EXERCISE] = as_bytes(m->exercise);
	r.field[FIELD_FOLD] = as_bytes("indicator+asset");
	r.field[FIELD_JSON] = as_bytes(m->json ? m->json : "{\"event_type\":\"alert\"}");
	const char *far = m->peer ? m->peer : "203.0.113.9";
	assert_true(addr_parse(far, strlen(far), peer));
	r.field[FIELD_PEER] = r.peer[0] = (struct bytes){peer->b, 16};
	r.peers = 1;
	record_key(&r, r.key);
	return r;
}

static inline void made_write(struct buf *out, const struct made *m)
{
	struct addr peer;
	struct record r = made_record(m, &peer);
	record_write(out, &r);
}

/* ---- a redis-server of our own ---- */

struct test_redis {
	char dir[64], socket[96], address[104];
	pid_t pid;
	struct redis *redis;
};

static inline bool test_redis_start(struct test_redis *t)
{
	struct redis_target target = {0};
	*t = (struct test_redis){0};
	strcpy(t->dir, "/tmp/picket-test-XXXXXX");
	if (!mkdtemp(t->dir))
		return false;
	snprintf(t->socket, sizeof(t->socket), "%s/redis.sock", t->dir);
	snprintf(t->address, sizeof(t->address), "unix:%s", t->socket);
	t->pid = fork();
	if (t->pid == 0) {
		execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", t->socket, "--save", "", "--dir",
		       t->dir, "--logfile", "redis.log", "--hash-max-listpack-value", "1024", (char *)NULL);
		_exit(127);
	}
	redis_target_parse(t->address, &target, NULL);
	for (int i = 0; i < 300 && !t->redis; i++) {
		int status;
		if (waitpid(t->pid, &status, WNOHANG) == t->pid) {
			t->pid = 0;
			return false;
		}
		t->redis = redis_open(&target, NULL);
		usleep(10000);
	}
	return t->redis != NULL;
}

static inline void test_redis_stop(struct test_redis *t)
{
	char command[128];
	redis_free(t->redis);
	if (t->pid) {
		kill(t->pid, SIGKILL);
		waitpid(t->pid, NULL, 0);
	}
	snprintf(command, sizeof(command), "rm -rf '%s'", t->dir);
	if (strncmp(t->dir, "/tmp/picket-test-", 17) == 0 && system(command) != 0)
		fprintf(stderr, "cannot remove %s\n", t->dir);
}

/* One command of blank-separated words; the reply as text (an array: its
 * elements joined by blanks), in a static buffer. */
static inline const char *ask(struct test_redis *t, const char *command)
{
	static char out[65536];
	char words[4096];
	const char *argv[64];
	size_t len[64], argc = 0, n = 0;
	struct bytes text;
	int64_t number;
	struct err e = {{0}};
	snprintf(words, sizeof(words), "%s", command);
	for (char *w = strtok(words, " "); w && argc < 64; w = strtok(NULL, " ")) {
		argv[argc] = w;
		len[argc++] = strlen(w);
	}
	struct reply *r = redis_call(t->redis, argc, argv, len, 5000, &e);
	out[0] = 0;
	if (!r)
		fail_msg("%s: %s", command, e.text);
	for (size_t i = 0; i < (reply_count(r) ? reply_count(r) : 1); i++) {
		const struct reply *one = reply_count(r) ? reply_at(r, i) : r;
		if (reply_text(one, &text) || reply_error(one, &text))
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%.*s", i ? " " : "", (int)text.n,
					      (const char *)text.p);
		else if (reply_number(one, &number))
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%lld", i ? " " : "", (long long)number);
		else
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%s-", i ? " " : "");
	}
	reply_free(r);
	return out;
}

#endif
