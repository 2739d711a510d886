/* Names and passwords of clients that have no certificate. The file has a line
 * name:hash for each, the hash as crypt(5) has it: a slow one ($y$, $2b$, $6$).
 *
 * Hashing is done in a thread of its own, so that a wrong password costs nobody
 * else's time; a right one is remembered, as a keyed digest, for cache_ms. After
 * `tries` wrong ones of a name or from an address within a minute, further ones are
 * not even hashed until the minute is over. Names that do not exist take as long as wrong passwords. */
#ifndef COLLECTOR_LOGIN_H
#define COLLECTOR_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define LOGIN_USERS_MAX    4096
#define LOGIN_USER_MAX     64
#define LOGIN_PASSWORD_MAX 256
#define LOGIN_WAITING_MAX  64

struct event_base;
struct login;

enum login_result {
	LOGIN_WRONG = 0,
	LOGIN_RIGHT,
	LOGIN_LATER,
	LOGIN_RESULT_COUNT
}; /* later: too many tries, or too much to do */

struct login_stats {
	uint64_t right, wrong, later, hashed;
};

struct login *login_new(struct event_base *base, int64_t tries, int64_t cache_ms, struct err *e);
void login_free(struct login *l); /* nobody is called any more */
/* Whether the file can be loaded. */
bool login_file_check(const char *path, struct err *e);
/* The file anew; NULL or "": nobody. False: all stays as it was. */
bool login_load(struct login *l, const char *path, struct err *e);
const struct login_stats *login_stats(const struct login *l);

struct login_done {
	void (*call)(void *arg, enum login_result r);
	void *arg;
};
/* Calls back at once or later from the loop. from: the client's address. */
void login_check(struct login *l, const char *name, const char *password, const char *from, struct login_done done);

#endif
