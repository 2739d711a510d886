/* What Redis, or somebody in its place, answers: the reader and our checks, and a
 * connection over which it comes in two pieces, to commands that wait and to nobody.
 * For: collector/store_redis.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "collector/cli.h"
#include "collector/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void look(const struct reply *r, int depth)
{
	struct bytes text;
	int64_t number;
	char clean[64];
	(void)reply_error(r, &text);
	(void)reply_text(r, &text);
	(void)reply_number(r, &number);
	(void)reply_nil(r);
	cli_text(r, "state", clean, sizeof(clean));
	cli_number(r, "n");
	for (size_t i = 0; i < reply_count(r) && i < 100 && depth < 10; i++)
		look(reply_at(r, i), depth + 1);
}

/* ---- a server that says what it is told to ---- */

static struct sockaddr_un where = {.sun_family = AF_UNIX};

static void forget(void)
{
	unlink(where.sun_path);
}

static int listener(void)
{
	static int fd = -1;
	if (fd >= 0)
		return fd;
	snprintf(where.sun_path, sizeof(where.sun_path), "/tmp/picket-fuzz-redis.%d", (int)getpid());
	unlink(where.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&where, sizeof(where)) != 0 || listen(fd, 4) != 0)
		abort();
	atexit(forget);
	return fd;
}

static void on_reply(void *arg, const struct reply *r)
{
	unsigned *answers = arg;
	++*answers;
	look(r, 0);
}

/* Every command is answered once, whatever comes. */
static void speak(const uint8_t *data, size_t n, bool listens)
{
	struct redis_target t = {.local = true, .user = "u", .password = "p", .db = 3};
	const char *channels[] = {"a", "b"}, *ping[] = {"PING"};
	const size_t len[] = {4};
	unsigned answers = 0, published = 0;
	struct err e;
	int server = listener(), peer;
	snprintf(t.host, sizeof(t.host), "%s", where.sun_path);
	struct redis *r = redis_open(&t, &e);
	if (!r || (peer = accept(server, NULL, NULL)) < 0)
		abort();
	for (int i = 0; i < 3; i++)
		redis_send(r, 1, ping, len, (struct redis_done){on_reply, &answers});
	if (listens)
		redis_subscribe(r, 2, channels, (struct redis_done){on_reply, &published});
	bool alive = redis_work(r, &e);
	for (size_t at = 0; alive && at < n; at += n / 2 + 1) {
		size_t piece = n - at < n / 2 + 1 ? n - at : n / 2 + 1;
		if (send(peer, data + at, piece, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		alive = redis_work(r, &e);
	}
	close(peer);
	if (alive)
		redis_work(r, &e);
	(void)redis_waited_us(r);
	redis_free(r);
	if (answers != 3)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct store_stats stats = {0};
	struct redis_target t = {0};
	char conflict[128], text[300];
	uint64_t mark;
	struct reply *r = reply_parse(data, n);
	look(r, 0);
	(void)store_flush_result(r, 7, &stats, &mark, conflict);
	reply_free(r);
	speak(data, n, false);
	speak(data, n, true);
	if (n < sizeof(text)) {
		memcpy(text, data, n);
		text[n] = '\0';
		(void)redis_target_parse(text, &t, NULL);
	}
	return 0;
}
