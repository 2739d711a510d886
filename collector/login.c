#define _GNU_SOURCE /* crypt_r */
#include "collector/login.h"

#include <crypt.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/secret.h"

#define CACHE_SLOTS 1024
#define TRIES_SLOTS 4096
#define MINUTE_US   60000000
#define LINE_MAX_   512
#define DIGEST_LEN  32

struct user {
	char name[LOGIN_USER_MAX + 1], hash[CRYPT_OUTPUT_SIZE];
};

struct check {
	struct check *next;
	char name[LOGIN_USER_MAX + 1], password[LOGIN_PASSWORD_MAX + 1], from[64], hash[CRYPT_OUTPUT_SIZE];
	bool known, right;
	struct login_done done;
};

struct tried {
	uint64_t key;
	int64_t since_us;
	int64_t n;
};

struct cached {
	uint8_t digest[DIGEST_LEN];
	int64_t until_us;
};

struct login {
	int64_t tries, cache_ms;
	struct user *users;
	size_t users_n;
	uint8_t key[32]; /* of cached digests */
	struct hash_key hash;
	struct cached cache[CACHE_SLOTS];
	struct tried tried[TRIES_SLOTS];
	struct login_stats stats;
	struct log_once say;
	/* shared with the thread */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct check *todo, **todo_end, *over, **over_end;
	size_t waiting;
	bool leave, started;
	int fd;
	struct event *event;
};

/* What a name that does not exist is compared with, when no name does. */
static const char nobody[] = "$6$nobody.is.here$";

static void check_free(struct check *c)
{
	explicit_bzero(c->password, sizeof(c->password));
	free(c);
}

/* ---- the thread ---- */

static void hash_one(struct check *c, struct crypt_data *data)
{
	const char *out = crypt_r(c->password, c->hash, data);
	size_t n = strlen(c->hash);
	c->right = c->known && out && strlen(out) == n && hash_same(out, c->hash, n);
}

static void *run(void *arg)
{
	struct login *l = arg;
	struct crypt_data *data = xcalloc(1, sizeof(*data));
	uint64_t one = 1;
	pthread_mutex_lock(&l->lock);
	while (!l->leave) {
		struct check *c = l->todo;
		if (!c) {
			pthread_cond_wait(&l->wake, &l->lock);
			continue;
		}
		l->todo = c->next;
		if (!l->todo)
			l->todo_end = &l->todo;
		pthread_mutex_unlock(&l->lock);
		hash_one(c, data);
		pthread_mutex_lock(&l->lock);
		c->next = NULL;
		*l->over_end = c;
		l->over_end = &c->next;
		if (write(l->fd, &one, sizeof(one)) != sizeof(one))
			continue; /* it is full of wake-ups already */
	}
	pthread_mutex_unlock(&l->lock);
	explicit_bzero(data, sizeof(*data));
	free(data);
	return NULL;
}

/* ---- what is remembered ---- */

static void digest_of(const struct login *l, const char *name, const char *password, const char *hash,
		      uint8_t out[static DIGEST_LEN])
{
	char text[LOGIN_USER_MAX + LOGIN_PASSWORD_MAX + CRYPT_OUTPUT_SIZE + 3];
	int n = snprintf(text, sizeof(text), "%s%c%s%c%s", name, 0, password, 0, hash);
	hash_hmac_sha256(out, l->key, sizeof(l->key), text, (size_t)n);
	explicit_bzero(text, sizeof(text));
}

static struct cached *cache_slot(struct login *l, const uint8_t *digest)
{
	return &l->cache[(digest[0] | (unsigned)digest[1] << 8) % CACHE_SLOTS];
}

static struct tried *tries_of(struct login *l, const char *what, const char *value)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "%s %s", what, value);
	uint64_t key = hash64(&l->hash, text, (size_t)n);
	struct tried *t = &l->tried[key % TRIES_SLOTS];
	int64_t now = clock_mono_us();
	if (t->key != key || now - t->since_us > MINUTE_US)
		*t = (struct tried){.key = key, .since_us = now};
	return t;
}

static bool too_many(struct login *l, const char *name, const char *from)
{
	return tries_of(l, "name", name)->n >= l->tries || tries_of(l, "from", from)->n >= l->tries;
}

static void tell(struct login *l, struct check *c)
{
	unsigned long skipped;
	if (c->right) {
		uint8_t digest[DIGEST_LEN];
		digest_of(l, c->name, c->password, c->hash, digest);
		struct cached *slot = cache_slot(l, digest);
		memcpy(slot->digest, digest, DIGEST_LEN);
		slot->until_us = clock_mono_us() + l->cache_ms * 1000;
		l->stats.right++;
	} else {
		tries_of(l, "name", c->name)->n++;
		tries_of(l, "from", c->from)->n++;
		l->stats.wrong++;
		if (log_again(&l->say, &skipped))
			log_warnx("wrong name or password from %s (%lu more were not logged)", c->from, skipped);
	}
	c->done.call(c->done.arg, c->right ? LOGIN_RIGHT : LOGIN_WRONG);
}

static void on_over(evutil_socket_t fd, short what, void *arg)
{
	struct login *l = arg;
	uint64_t n;
	(void)what;
	if (read(fd, &n, sizeof(n)) != sizeof(n))
		return;
	pthread_mutex_lock(&l->lock);
	struct check *c = l->over;
	l->over = NULL;
	l->over_end = &l->over;
	pthread_mutex_unlock(&l->lock);
	while (c) {
		struct check *next = c->next;
		l->waiting--;
		l->stats.hashed++;
		tell(l, c);
		check_free(c);
		c = next;
	}
}

/* ---- asking ---- */

static const struct user *find(const struct login *l, const char *name)
{
	const struct user *found = NULL;
	for (size_t i = 0; i < l->users_n; i++)
		if (strcmp(l->users[i].name, name) == 0)
			found = &l->users[i];
	return found;
}

static bool cached(struct login *l, const char *name, const char *password, const struct user *u)
{
	uint8_t digest[DIGEST_LEN];
	if (!u)
		return false;
	digest_of(l, name, password, u->hash, digest);
	const struct cached *slot = cache_slot(l, digest);
	return slot->until_us > clock_mono_us() && hash_same(slot->digest, digest, DIGEST_LEN);
}

void login_check(struct login *l, const char *name, const char *password, const char *from, struct login_done done)
{
	const struct user *u = find(l, name);
	bool fits = strlen(name) <= LOGIN_USER_MAX && strlen(password) <= LOGIN_PASSWORD_MAX;
	if (fits && cached(l, name, password, u)) {
		l->stats.right++;
		done.call(done.arg, LOGIN_RIGHT);
		return;
	}
	if (!fits || too_many(l, name, from) || l->waiting >= LOGIN_WAITING_MAX) {
		l->stats.later++;
		done.call(done.arg, fits ? LOGIN_LATER : LOGIN_WRONG);
		return;
	}
	struct check *c = xcalloc(1, sizeof(*c));
	c->known = u;
	c->done = done;
	snprintf(c->name, sizeof(c->name), "%s", name);
	snprintf(c->password, sizeof(c->password), "%s", password);
	snprintf(c->from, sizeof(c->from), "%s", from);
	snprintf(c->hash, sizeof(c->hash), "%s", u ? u->hash : l->users_n ? l->users[0].hash : nobody);
	l->waiting++;
	pthread_mutex_lock(&l->lock);
	*l->todo_end = c;
	l->todo_end = &c->next;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

/* ---- the file ---- */

static bool read_line(char *line, struct user *u, const char *path, unsigned number, struct err *e)
{
	char *colon = strchr(line, ':');
	if (!colon || colon == line || colon - line > LOGIN_USER_MAX)
		return err_set(e, "%s:%u: expected name:hash, the name of at most %d bytes", path, number,
			       LOGIN_USER_MAX);
	*colon = '\0';
	if (strlen(colon + 1) >= sizeof(u->hash) || crypt_checksalt(colon + 1) != CRYPT_SALT_OK)
		return err_set(
		    e,
		    "%s:%u: the hash of \"%s\" is not one that crypt(5) takes today: make it with mkpasswd -m "
		    "yescrypt or openssl passwd -6",
		    path, number, line);
	snprintf(u->name, sizeof(u->name), "%.*s", LOGIN_USER_MAX, line);
	snprintf(u->hash, sizeof(u->hash), "%s", colon + 1);
	return true;
}

/* users: room for LOGIN_USERS_MAX. */
static bool read_users(const char *path, struct user *users, size_t *n, struct err *e)
{
	char line[LINE_MAX_];
	bool good = true;
	FILE *f = secret_open(path, "the password file", e);
	if (!f)
		return false;
	for (unsigned number = 1; good && fgets(line, sizeof(line), f); number++) {
		line[strcspn(line, "\r\n")] = '\0';
		if (!*line || *line == '#')
			continue;
		if (*n == LOGIN_USERS_MAX)
			good = err_set(e, "%s:%u: more than %d names", path, number, LOGIN_USERS_MAX);
		else
			good = read_line(line, &users[(*n)++], path, number, e);
	}
	fclose(f);
	return good;
}

bool login_file_check(const char *path, struct err *e)
{
	struct user *users = xcalloc(LOGIN_USERS_MAX, sizeof(*users));
	size_t n = 0;
	bool good = read_users(path, users, &n, e);
	free(users);
	return good;
}

bool login_load(struct login *l, const char *path, struct err *e)
{
	struct user *users = xcalloc(LOGIN_USERS_MAX, sizeof(*users));
	size_t n = 0;
	if (path && *path && !read_users(path, users, &n, e)) {
		free(users);
		return false;
	}
	free(l->users);
	l->users = users;
	l->users_n = n;
	return true;
}

/* ---- opening ---- */

static bool start(struct login *l)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	l->started = pthread_create(&l->thread, NULL, run, l) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return l->started;
}

struct login *login_new(struct event_base *base, int64_t tries, int64_t cache_ms, struct err *e)
{
	struct login *l = xcalloc(1, sizeof(*l));
	l->tries = tries;
	l->cache_ms = cache_ms;
	l->todo_end = &l->todo;
	l->over_end = &l->over;
	hash_random(l->key, sizeof(l->key));
	hash_key_random(&l->hash);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->wake, NULL);
	l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->event = l->fd >= 0 ? event_new(base, l->fd, EV_READ | EV_PERSIST, on_over, l) : NULL;
	if (l->event && event_add(l->event, NULL) == 0 && start(l))
		return l;
	err_errno(e, "cannot start a thread for passwords");
	login_free(l);
	return NULL;
}

void login_free(struct login *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->leave = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	if (l->started)
		pthread_join(l->thread, NULL);
	for (struct check *c = l->todo, *next; c; c = next) {
		next = c->next;
		check_free(c);
	}
	for (struct check *c = l->over, *next; c; c = next) {
		next = c->next;
		check_free(c);
	}
	if (l->event)
		event_free(l->event);
	if (l->fd >= 0)
		close(l->fd);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->wake);
	free(l->users);
	free(l);
}

const struct login_stats *login_stats(const struct login *l)
{
	return &l->stats;
}
