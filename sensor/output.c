/* The thread behind the workers. A turn: take what they queued, write it as JSON
 * lines, fold it, spool it, sync once, let the uplink send and hear, sleep. The
 * sync is thus shared by all that came in one turn, and a lone alert waits for
 * nothing.
 *
 * What may be slow here (a disk, a pipe that nobody reads) fills the workers'
 * queues; they count what does not fit and go on with their packets, and the count
 * goes on as a loss record. An indicator that floods cannot fill a queue for the others.
 * The network is never waited for. */
#define _GNU_SOURCE
#include "sensor/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/tls.h"
#include "rules/alert.h"
#include "sensor/coalesce.h"
#include "sensor/queue.h"
#include "sensor/spool.h"
#include "sensor/uplink.h"

#define QUEUE_BYTES     (4u << 20) /* per worker */
#define SHARES          256        /* of its second half, for what hashes of indicators fall into */
#define SHARE_RECORDS   32         /* of one share, each second */
#define TURN_RECORDS    2048       /* taken from a queue before the next step */
#define FOLD_GROUPS     8192
#define JSON_FLUSH      (256u << 10)
#define ROTATE_CHECK_US 1000000
#define HOUSEKEEPING_US 1000000
#define HURRY_MS        50 /* between looks for a signal while a collector is waited for */

struct producer {
	struct queue *queue;
	_Atomic uint64_t queued, lost;
	uint64_t told; /* of lost */
	struct hash_key hash;
	uint8_t share[SHARES]; /* records that went into the second half since share_us */
	int64_t share_us;
};

/* The file of -o. */
struct lines {
	const char *path; /* NULL: none */
	int fd;
	bool standard_output, torn; /* torn: the last line is cut, the next write begins with a newline */
	dev_t dev;
	ino_t ino;
	int64_t check_us;
	struct buf out;
	uint64_t waiting, written, lost;
	struct log_once said;
};

struct output {
	char *json_path, *sensor_id;
	struct producer *producer;
	unsigned producers;
	struct waker waker;
	struct lines lines;
	struct coalesce *coalesce;
	struct spool *spool;
	struct tls *tls;
	struct uplink *uplink;
	struct conf_list collectors;
	pthread_t thread;
	_Atomic bool stopping, reload;
	_Atomic int64_t deadline_us;
	pthread_mutex_t lock; /* for what follows */
	struct output_stats stats;
	struct buf status;
	bool status_new;
};

/* ---- JSON lines ---- */

static bool lines_open(struct lines *l, struct err *e)
{
	struct stat st = {0};
	if (!l->path)
		return true;
	l->standard_output = strcmp(l->path, "-") == 0;
	if (l->standard_output) {
		l->fd = STDOUT_FILENO;
		return true;
	}
	l->fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
	if (l->fd < 0 || fstat(l->fd, &st) != 0)
		return err_errno(e, "cannot write alerts to %s", l->path);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	l->torn = false;
	return true;
}

static void lines_close(struct lines *l)
{
	if (l->fd >= 0 && !l->standard_output)
		close(l->fd);
	l->fd = -1;
}

static void lines_complain(struct lines *l, const char *why)
{
	unsigned long skipped;
	if (log_again(&l->said, &skipped))
		log_warnx("%s; %llu lines are lost so far", why, (unsigned long long)l->lost);
}

static void lines_reopen(struct lines *l)
{
	struct err e;
	lines_close(l);
	if (!lines_open(l, &e))
		lines_complain(l, e.text);
}

/* Somebody moved or removed the file: begin it anew. */
static void lines_follow(struct lines *l, int64_t now_us)
{
	struct stat st;
	if (!l->path || l->standard_output || now_us - l->check_us < ROTATE_CHECK_US)
		return;
	l->check_us = now_us;
	if (l->fd < 0 || stat(l->path, &st) != 0 || st.st_dev != l->dev || st.st_ino != l->ino)
		lines_reopen(l);
}

static size_t write_some(int fd, const void *data, size_t n)
{
	size_t done = 0;
	while (done < n) {
		ssize_t put = write(fd, (const uint8_t *)data + done, n - done);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			break;
		done += (size_t)put;
	}
	return done;
}

static size_t count_lines(const uint8_t *p, size_t n)
{
	size_t lines = 0;
	for (size_t i = 0; i < n; i++)
		lines += p[i] == '\n';
	return lines;
}

static void lines_flush(struct lines *l)
{
	if (!l->waiting)
		return;
	bool mended = l->fd >= 0 && (!l->torn || write_some(l->fd, "\n", 1) == 1);
	size_t done = mended ? write_some(l->fd, l->out.p, l->out.n) : 0;
	int saved = errno;
	uint64_t whole = count_lines(l->out.p, done);
	l->written += whole;
	l->lost += l->waiting - whole;
	if (mended)
		l->torn = done > 0 && l->out.p[done - 1] != '\n';
	if (done < l->out.n) {
		char why[400];
		snprintf(why, sizeof(why), "cannot write alerts to %.300s: %s", l->path,
			 l->fd < 0 ? "it is not open" : strerror(saved));
		lines_complain(l, why);
	}
	l->out.n = 0;
	l->waiting = 0;
}

static void lines_add(struct lines *l, const void *record, size_t n)
{
	struct record r;
	if (!l->path || !record_read(record, n, &r) || !r.field[FIELD_JSON].n)
		return;
	buf_add(&l->out, r.field[FIELD_JSON].p, r.field[FIELD_JSON].n);
	buf_u8(&l->out, '\n');
	l->waiting++;
	if (l->out.n >= JSON_FLUSH)
		lines_flush(l);
}

/* ---- a turn ---- */

static void to_spool(void *owner, const void *record, size_t n)
{
	struct output *o = owner;
	spool_append(o->spool, record, n); /* what it cannot keep it counts and tells */
}

/* What a queue did not take the collector is told of, too. */
static void tell_lost(struct output *o, struct producer *p)
{
	uint64_t lost = atomic_load_explicit(&p->lost, memory_order_relaxed);
	if (o->spool && lost != p->told)
		spool_missed(o->spool, lost - p->told, "the queue between capture and spool was full");
	p->told = lost;
}

/* True: a queue may hold more. */
static bool take_records(struct output *o, int64_t now_us)
{
	bool more = false;
	for (unsigned i = 0; i < o->producers; i++) {
		struct queue *q = o->producer[i].queue;
		struct bytes record;
		int taken = 0;
		for (; taken < TURN_RECORDS && queue_peek(q, &record); taken++) {
			lines_add(&o->lines, record.p, record.n);
			if (o->spool)
				coalesce_add(o->coalesce, record.p, record.n, now_us);
			queue_drop(q);
		}
		tell_lost(o, &o->producer[i]);
		more |= taken == TURN_RECORDS;
	}
	return more;
}

static void take_status(struct output *o)
{
	pthread_mutex_lock(&o->lock);
	if (o->status_new && o->uplink)
		uplink_status(o->uplink, (const char *)o->status.p, o->status.n);
	o->status_new = false;
	pthread_mutex_unlock(&o->lock);
}

static void collect_stats(struct output *o)
{
	struct output_stats s = {.written_json = o->lines.written, .lost_json = o->lines.lost};
	if (o->spool) {
		struct spool_stats sp;
		spool_stats(o->spool, &sp);
		s.coalesced = coalesce_folded(o->coalesce);
		s.spool_records = sp.tail;
		s.spool_bytes = sp.bytes;
		s.spool_acked = sp.acked;
		s.spool_lost = sp.lost;
	}
	if (o->uplink) {
		struct uplink_stats up;
		uplink_stats(o->uplink, &up);
		s.connected = up.connected;
		s.reconnects = up.sessions ? up.sessions - 1 : 0;
		memcpy(s.collector, up.collector, sizeof(s.collector));
	}
	pthread_mutex_lock(&o->lock);
	o->stats = s;
	pthread_mutex_unlock(&o->lock);
}

static void reload(struct output *o, int64_t now_us)
{
	struct err e;
	if (!atomic_exchange(&o->reload, false))
		return;
	if (o->lines.path && !o->lines.standard_output)
		lines_reopen(&o->lines);
	if (!o->tls)
		return;
	if (!tls_reload(o->tls, &e))
		log_warnx("%s; the certificates read before stay in force", e.text);
	else
		uplink_recheck(o->uplink, now_us);
}

static bool queues_empty(const struct output *o)
{
	struct bytes record;
	for (unsigned i = 0; i < o->producers; i++)
		if (queue_peek(o->producer[i].queue, &record))
			return false;
	return true;
}

static void rest(struct output *o, int64_t until_us, bool stopping)
{
	struct pollfd p[2] = {{.fd = o->waker.fd, .events = POLLIN}, {.fd = -1}};
	int64_t now_us = clock_mono_us(), latest_us = now_us + HOUSEKEEPING_US;
	if (o->uplink) {
		int64_t wants_us = uplink_wants(o->uplink, &p[1].fd, &p[1].events);
		latest_us = wants_us < latest_us ? wants_us : latest_us;
	}
	latest_us = until_us < latest_us ? until_us : latest_us;
	waker_sleep(&o->waker);
	if (latest_us > now_us && queues_empty(o) && !atomic_load(&o->reload) && atomic_load(&o->stopping) == stopping)
		poll(p, 2, (int)((latest_us - now_us + 999) / 1000));
	waker_up(&o->waker);
}

static bool all_acknowledged(const struct output *o)
{
	struct spool_stats sp;
	if (!o->uplink)
		return true;
	spool_stats(o->spool, &sp);
	return sp.acked >= sp.tail;
}

/* Returns when the next thing is due, by the clock; 0: at once. */
static int64_t turn(struct output *o)
{
	int64_t now_us = clock_mono_us(), next_us = INT64_MAX;
	bool stopping = atomic_load(&o->stopping), more = take_records(o, now_us);
	reload(o, now_us);
	lines_follow(&o->lines, now_us);
	lines_flush(&o->lines);
	if (o->spool) {
		if (stopping && !more)
			coalesce_flush(o->coalesce);
		next_us = coalesce_tick(o->coalesce, now_us);
		spool_commit(o->spool, now_us);
	}
	if (o->uplink) {
		take_status(o);
		uplink_run(o->uplink, clock_mono_us());
	}
	collect_stats(o);
	return more ? 0 : next_us;
}

static void *output_main(void *arg)
{
	struct output *o = arg;
	for (;;) {
		bool stopping = atomic_load(&o->stopping);
		int64_t next_us = turn(o);
		if (stopping && next_us && queues_empty(o)) {
			int64_t deadline_us = atomic_load(&o->deadline_us);
			if (all_acknowledged(o) || clock_mono_us() >= deadline_us)
				break;
			next_us = next_us < deadline_us ? next_us : deadline_us;
		}
		if (next_us)
			rest(o, next_us, stopping);
	}
	if (o->uplink)
		uplink_bye(o->uplink);
	return NULL;
}

/* ---- start and stop ---- */

static struct tls *own_tls(const struct output_conf *c, struct err *e)
{
	struct tls_conf t = {.cert = c->tls_cert,
			     .key = c->tls_key,
			     .ca = c->tls_ca,
			     .crl = c->tls_crl,
			     .own_role = ROLE_SENSOR,
			     .peer_role = ROLE_COLLECTOR};
	struct tls *tls = tls_new(&t, e);
	if (!tls || strcmp(tls_self(tls)->name, c->sensor_id) == 0)
		return tls;
	err_set(e, "the certificate %s is for the sensor \"%s\", this one is called \"%s\"", c->tls_cert,
		tls_self(tls)->name, c->sensor_id);
	tls_free(tls);
	return NULL;
}

bool output_check(const struct output_conf *c, struct err *e)
{
	struct tls *tls = c->tls_cert ? own_tls(c, e) : NULL;
	tls_free(tls);
	return tls || !c->tls_cert;
}

static bool start_spool(struct output *o, const struct output_conf *c, struct err *e)
{
	if (!c->spool_dir)
		return true;
	struct spool_conf s = {.dir = c->spool_dir,
			       .bytes_max = c->spool_bytes,
			       .horizon_us = c->horizon_ms * 1000,
			       .horizon_bytes = c->horizon_bytes,
			       .fsync = (enum spool_fsync)c->fsync};
	o->spool = spool_open(&s, e);
	if (!o->spool || (c->tls_cert && !(o->tls = own_tls(c, e))))
		return false;
	o->coalesce = coalesce_new(FOLD_GROUPS, to_spool, o);
	struct uplink_conf u = {
	    .collectors = &o->collectors, .tls = o->tls, .sensor_id = o->sensor_id, .sync = c->sync};
	if (o->collectors.n)
		o->uplink = uplink_new(&u, o->spool, e);
	return !o->collectors.n || o->uplink;
}

static void output_free(struct output *o)
{
	uplink_free(o->uplink);
	tls_free(o->tls);
	coalesce_free(o->coalesce);
	spool_close(o->spool);
	lines_flush(&o->lines);
	lines_close(&o->lines);
	buf_free(&o->lines.out);
	buf_free(&o->status);
	for (unsigned i = 0; i < o->producers; i++)
		queue_free(o->producer[i].queue);
	for (size_t i = 0; i < o->collectors.n; i++)
		free(o->collectors.v[i]);
	if (o->waker.fd >= 0)
		waker_close(&o->waker);
	pthread_mutex_destroy(&o->lock);
	free(o->collectors.v);
	free(o->producer);
	free(o->json_path);
	free(o->sensor_id);
	free(o);
}

static struct output *output_new(const struct output_conf *c, unsigned producers)
{
	struct output *o = xcalloc(1, sizeof(*o));
	o->json_path = c->json_path ? xstrdup(c->json_path) : NULL;
	o->sensor_id = xstrdup(c->sensor_id ? c->sensor_id : "");
	o->lines = (struct lines){.path = o->json_path, .fd = -1};
	o->waker.fd = -1;
	o->producers = producers;
	o->producer = xcalloc(producers, sizeof(*o->producer));
	for (unsigned i = 0; i < producers; i++)
		hash_key_random(&o->producer[i].hash);
	o->collectors = (struct conf_list){.v = xcalloc(c->collectors.n, sizeof(char *)), .n = c->collectors.n};
	for (size_t i = 0; i < c->collectors.n; i++)
		o->collectors.v[i] = xstrdup(c->collectors.v[i]);
	pthread_mutex_init(&o->lock, NULL);
	return o;
}

/* Signals are for the main thread; SIGPIPE of a closed pipe or socket is for nobody. */
static bool start_thread(struct output *o, struct err *e)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&o->thread, NULL, output_main, o);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return err_set(e, "cannot start the output thread: %s", strerror(rc));
	pthread_setname_np(o->thread, "output");
	return true;
}

struct output *output_start(const struct output_conf *c, unsigned producers, struct err *e)
{
	struct output *o = output_new(c, producers);
	bool ok = lines_open(&o->lines, e) && waker_open(&o->waker, e) && start_spool(o, c, e);
	for (unsigned i = 0; ok && i < producers; i++)
		o->producer[i].queue = queue_new(QUEUE_BYTES, &o->waker);
	if (ok && start_thread(o, e))
		return o;
	output_free(o);
	return NULL;
}

/* Half of a queue is anybody's. In the other half an indicator gets a few records a second:
 * what floods fills the first, what is hit once among it still finds room. */
static bool has_room(struct producer *p, const void *record, size_t n)
{
	struct record r;
	if (queue_used(p->queue) < QUEUE_BYTES / 2 || !record_read(record, n, &r) || r.kind != RECORD_ALERT)
		return true;
	int64_t now_us = clock_mono_us();
	if (now_us - p->share_us >= 1000000) {
		memset(p->share, 0, sizeof(p->share));
		p->share_us = now_us;
	}
	uint8_t *share = &p->share[record_indicator_hash(&p->hash, &r) % SHARES];
	if (*share == SHARE_RECORDS)
		return false;
	++*share;
	return true;
}

bool output_record(struct output *o, unsigned producer, const void *record, size_t n)
{
	struct producer *p = &o->producer[producer];
	bool ok = n <= SPOOL_RECORD_MAX && has_room(p, record, n) && queue_push(p->queue, record, n);
	if (ok)
		atomic_fetch_add_explicit(&p->queued, 1, memory_order_relaxed);
	return ok;
}

void output_lost(struct output *o, unsigned producer)
{
	atomic_fetch_add_explicit(&o->producer[producer].lost, 1, memory_order_relaxed);
}

void output_status(struct output *o, const char *json, size_t n)
{
	pthread_mutex_lock(&o->lock);
	o->status.n = 0;
	buf_add(&o->status, json, n);
	o->status_new = true;
	pthread_mutex_unlock(&o->lock);
}

void output_reload(struct output *o)
{
	atomic_store(&o->reload, true);
	waker_poke(&o->waker);
}

void output_poke(struct output *o)
{
	waker_poke(&o->waker);
}

void output_stats(struct output *o, struct output_stats *out)
{
	pthread_mutex_lock(&o->lock);
	*out = o->stats;
	pthread_mutex_unlock(&o->lock);
	for (unsigned i = 0; i < o->producers; i++) {
		out->queued += atomic_load_explicit(&o->producer[i].queued, memory_order_relaxed);
		out->lost_queue += atomic_load_explicit(&o->producer[i].lost, memory_order_relaxed);
	}
}

static bool joined_within(pthread_t thread, int ms)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += ms * 1000000L;
	t.tv_sec += t.tv_nsec / 1000000000L;
	t.tv_nsec %= 1000000000L;
	return pthread_timedjoin_np(thread, NULL, &t) != ETIMEDOUT;
}

/* The program blocks these two and takes them when it comes to it: one that waits
 * now is from somebody who does not want to wait for a collector. */
static bool asked_to_leave(void)
{
	sigset_t pending;
	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT));
}

void output_stop(struct output *o, int64_t wait_ms)
{
	if (!o)
		return;
	atomic_store(&o->deadline_us, clock_mono_us() + wait_ms * 1000);
	atomic_store(&o->stopping, true);
	waker_poke(&o->waker);
	while (!joined_within(o->thread, HURRY_MS))
		if (asked_to_leave()) {
			atomic_store(&o->deadline_us, 0);
			waker_poke(&o->waker);
		}
	output_free(o);
}
