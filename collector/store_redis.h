/* The door to Redis: hiredis writes the requests and reads the replies, the
 * socket, and TLS on it, are ours and never block. One connection, commands in
 * order, one callback per reply.
 *
 * Redis is believed no more than it must be: a reply is looked at only through
 * the accessors below, which take any reply of any shape (and NULL) and say no
 * when it is not what was asked for. */
#ifndef COLLECTOR_STORE_REDIS_H
#define COLLECTOR_STORE_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cursor.h"
#include "common/err.h"

#define REDIS_REPLY_BYTES_MAX    (64u << 20) /* unread reply bytes of one connection */
#define REDIS_REPLY_ELEMENTS_MAX (1 << 20)   /* of one array */
#define REDIS_PENDING_MAX        65536       /* commands without their reply yet */

/* Where a Redis listens and who we are there. */
struct redis_target {
	bool local;     /* unix socket: host is its path */
	char host[256]; /* path, name or address */
	char port[6];
	char user[65], password[257]; /* empty = not used */
	int64_t db;
	bool tls; /* not on unix sockets */
	/* Of TLS: files (common/tls_client.h), and the name that the server's certificate
	 * must be for; "" = host. */
	char ca[256], cert[256], key[256], name[256];
};

/* "unix:/path", "host:port", "[v6]:port", "host" (port 6379). Leaves user,
 * password and db alone. */
bool redis_target_parse(const char *text, struct redis_target *t, struct err *e);

/* The settings of TLS; NULL is "". Reads the files, to tell early what is wrong. */
bool redis_target_tls(struct redis_target *t, const char *ca, const char *cert, const char *key, const char *name,
		      struct err *e);
/* The settings of TLS of another target: sentinels and members of a cluster have
 * those of the Redis that is configured. */
void redis_target_tls_as(struct redis_target *t, const struct redis_target *other);

/* The first line of a file, as the password. */
bool redis_target_password(struct redis_target *t, const char *path, struct err *e);

struct redis;
struct reply; /* one reply or an element of one */

/* r == NULL: the connection died before the answer came. */
struct redis_done {
	void (*call)(void *arg, const struct reply *r);
	void *arg;
};
/* For a command whose answer changes nothing. */
extern const struct redis_done redis_ignored;

/* Begins to connect and queues AUTH and SELECT when the target asks for them. */
struct redis *redis_open(const struct redis_target *t, struct err *e);
/* Every command that still waits gets its callback with NULL. */
void redis_free(struct redis *r);

int redis_fd(const struct redis *r);
bool redis_wants_write(const struct redis *r);
size_t redis_pending(const struct redis *r);
size_t redis_unsent(const struct redis *r); /* bytes */

/* A command as it goes over the wire, to be sent more than once. 0: no memory. */
size_t redis_text(char **text, size_t argc, const char **argv, const size_t *len);
void redis_text_free(char *text);
bool redis_send_text(struct redis *r, const char *text, size_t n, struct redis_done done);

/* Queues one command. False: too many wait already. */
bool redis_send(struct redis *r, size_t argc, const char **argv, const size_t *len, struct redis_done done);

/* From now on this connection only listens: what is published comes to published,
 * and so do the confirmations of all channels but the first. */
#define REDIS_CHANNELS_MAX 4
bool redis_subscribe(struct redis *r, size_t n, const char **channels, struct redis_done published);

/* Writes and reads what the socket takes and gives, and calls back. False:
 * the connection is dead, e says why; redis_free() it. A callback must not free
 * the connection. */
bool redis_work(struct redis *r, struct err *e);

/* How long the oldest command has waited, in microseconds; 0 = none waits. */
int64_t redis_waited_us(const struct redis *r);

/* For programs that may wait: sends and gives the reply, NULL with e when none
 * came within timeout_ms. An error reply is a reply. Free with reply_free(). */
struct reply *redis_call(struct redis *r, size_t argc, const char **argv, const size_t *len, int timeout_ms,
			 struct err *e);
void reply_free(struct reply *r);

/* Parses bytes as a reply stream would arrive, for tests: NULL when there is no
 * whole reply or none to believe. */
struct reply *reply_parse(const void *data, size_t n);

bool reply_error(const struct reply *r, struct bytes *text); /* "-OOM command not allowed …" */
bool reply_text(const struct reply *r, struct bytes *text);  /* bulk or status */
bool reply_number(const struct reply *r, int64_t *value);    /* integer, or text that is one */
bool reply_nil(const struct reply *r);
size_t reply_count(const struct reply *r);                     /* elements; 0 when not an array */
const struct reply *reply_at(const struct reply *r, size_t i); /* NULL when not there */

#endif
