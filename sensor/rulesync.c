/* Two lists. `held` is what is on disk and armed: only the main thread changes
 * it, under the lock. `want` is what was offered, believed, and is on its way:
 * the uplink's thread fills it, the main thread takes out what is whole.
 *
 * Pieces are asked for in order, WINDOW at a time, of the most urgent set that is
 * not whole; so a flash set that is offered while a large one comes in is asked
 * for next, and a slow link holds WINDOW pieces of the large one at most.
 *
 * What has arrived as deltas that change rows and nothing else is put to the set in
 * memory (rules/ruleset_delta.h): 20 ms for a thousand changes to a million, where
 * reading the files takes seconds. Everything else, and what does not fit, is read whole.
 *
 * A delta is tried when the manifest says that it follows what is held; when it
 * does not give the manifest's digest, the whole is asked for. */
#include "sensor/rulesync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/text.h"
#include "rules/rulefile_file.h"
#include "rules/set_lines.h"

#define WINDOW           8 /* pieces asked for and not come */
#define WANTS_MAX        RULESYNC_SETS_MAX
#define ACKS_MAX         (2 * RULESYNC_SETS_MAX)
#define SHRINK_COUNT_MIN 10           /* smaller sets come and go */
#define BYTES_MAX        (512u << 20) /* of sets on their way; then what is whole is armed first */
#define SAY_MAX          20           /* refusals that are logged in a minute; all are counted and told */
#define SAY_EVERY_US     60000000
#define ENDING           ".pset"

struct held {
	struct manifest m;
	int64_t armed_us;
	char *path;
};

enum want_state { WANT_COMING = 0, WANT_WHOLE };

struct want {
	struct manifest m;
	struct endorsement by;
	struct buf line; /* the manifest as it was signed */
	enum set_kind kind;
	enum want_state state;
	uint32_t total; /* 0 = not known yet (a delta) */
	uint32_t asked; /* bytes asked for */
	bool small;     /* a delta that changes rows, and of the head the version */
	struct buf data;
};

struct refusal {
	char set[MANIFEST_SET_MAX + 1];
	char why[256];
};

struct rulesync {
	struct rulesync_conf conf;
	char *dir;
	pthread_mutex_t lock;
	struct held *held;
	size_t held_n;
	struct want **want; /* pointers: the main thread works on one while the list moves */
	size_t want_n;
	struct refusal *refused; /* the last for each set */
	size_t refused_n;
	struct buf out; /* ACK frames that wait */
	size_t acks;
	int64_t said_us;
	unsigned said_n;
	struct rulesync_stats stats;
	char **paths;
	size_t paths_n;
	rulesync_arm_changes *changes;
};

/* ---- lists ---- */

static struct held *find_held(const struct rulesync *r, const char *set)
{
	for (size_t i = 0; i < r->held_n; i++)
		if (strcmp(r->held[i].m.set, set) == 0)
			return &r->held[i];
	return NULL;
}

static void want_free(struct want *w)
{
	buf_free(&w->line);
	buf_free(&w->data);
	free(w);
}

static void drop_want(struct rulesync *r, size_t i)
{
	want_free(r->want[i]);
	r->want_n--;
	memmove(&r->want[i], &r->want[i + 1], (r->want_n - i) * sizeof(*r->want));
}

static void forget_refusal(struct rulesync *r, const char *set)
{
	for (size_t i = 0; i < r->refused_n; i++)
		if (strcmp(r->refused[i].set, set) == 0)
			r->refused[i] = r->refused[--r->refused_n];
}

/* ---- what is told ---- */

static void acknowledge(struct rulesync *r, const struct manifest *m, enum set_result result, int64_t at_us,
			const char *why)
{
	struct set_ack a = {.version = (uint32_t)m->version, .result = result, .at_us = at_us};
	if (r->acks >= ACKS_MAX)
		return; /* a collector that does not read; it asks again with the next session */
	memcpy(a.set, m->set, sizeof(a.set));
	text_unhex(a.digest, sizeof(a.digest), m->digest, strlen(m->digest));
	a.why = (struct bytes){(const uint8_t *)why, strlen(why)};
	set_ack_put(&r->out, &a);
	r->acks++;
}

/* What a collector can make us say is bounded. */
static void say_refused(struct rulesync *r, const struct manifest *m, const char *why)
{
	int64_t now_us = clock_mono_us();
	if (!r->said_us || now_us - r->said_us > SAY_EVERY_US) {
		r->said_us = now_us;
		r->said_n = 0;
	}
	if (r->said_n++ < SAY_MAX)
		log_warnx("set \"%s\" version %" PRIu64 " is refused: %s", m->set, m->version, why);
}

static void refuse(struct rulesync *r, const struct manifest *m, const char *why)
{
	r->stats.refused++;
	say_refused(r, m, why);
	forget_refusal(r, m->set);
	if (r->refused_n < RULESYNC_SETS_MAX) {
		r->refused = xrealloc(r->refused, (r->refused_n + 1) * sizeof(*r->refused));
		struct refusal *f = &r->refused[r->refused_n++];
		memcpy(f->set, m->set, sizeof(f->set));
		snprintf(f->why, sizeof(f->why), "version %" PRIu64 ": %.200s", m->version, why);
	}
	acknowledge(r, m, SET_REFUSED, clock_wall_us(), why);
}

/* ---- judging an offer ---- */

static bool shrank(const struct manifest *m, const struct manifest *was, unsigned max_shrink)
{
	return was->count >= SHRINK_COUNT_MIN && m->count * 100 < was->count * (100 - max_shrink);
}

/* Against what is held. */
static bool follows(const struct rulesync *r, const struct manifest *m, const struct manifest *was, struct err *e)
{
	if (m->version < was->version)
		return err_set(e, "version %" PRIu64 " is older than %" PRIu64 ", which is here", m->version,
			       was->version);
	if (m->version == was->version)
		return err_set(e, "version %" PRIu64 " is here already, with another content", m->version);
	if (!m->withdrawn && !m->shrink && shrank(m, was, r->conf.max_shrink))
		return err_set(e,
			       "it has %" PRIu64 " indicators and had %" PRIu64
			       ": it lost more than %u %% (rules.max_shrink); --allow-shrink says that it is meant",
			       m->count, was->count, r->conf.max_shrink);
	return true;
}

static bool acceptable(const struct rulesync *r, const struct manifest *m, const struct held *h, int64_t now_us,
		       struct err *e)
{
	char when[CLOCK_TEXT_LEN];
	if (m->valid_until_us && m->valid_until_us <= now_us) {
		clock_format(m->valid_until_us, when);
		return err_set(e, "it was valid until %s", when);
	}
	if (!m->count && !m->withdrawn)
		return err_set(e, "it is empty and not withdrawn");
	if (m->count && m->withdrawn)
		return err_set(e, "it is withdrawn and not empty");
	if (!h && r->held_n >= RULESYNC_SETS_MAX)
		return err_set(e, "%d sets are here already", RULESYNC_SETS_MAX);
	return !h || follows(r, m, &h->m, e);
}

/* A newer version of a set takes the place of an older one that is on its way. */
static void expect(struct rulesync *r, const struct manifest *m, const struct set_offer *o, const struct held *h)
{
	for (size_t i = r->want_n; i-- > 0;)
		if (strcmp(r->want[i]->m.set, m->set) == 0 && r->want[i]->state == WANT_COMING) {
			if (strcmp(r->want[i]->m.digest, m->digest) == 0)
				return;
			drop_want(r, i);
		}
	if (r->want_n >= WANTS_MAX)
		return;
	struct want *w = xcalloc(1, sizeof(*w));
	w->m = *m;
	w->by = o->by;
	buf_add(&w->line, o->manifest.p, o->manifest.n);
	w->kind = o->delta && h && *m->previous && strcmp(m->previous, h->m.digest) == 0 ? SET_DELTA : SET_FULL;
	w->total = w->kind == SET_FULL ? (uint32_t)m->bytes : 0;
	r->want = xrealloc(r->want, (r->want_n + 1) * sizeof(*r->want));
	size_t at = r->want_n++;
	while (at > 0 && r->want[at - 1]->m.priority < m->priority) {
		r->want[at] = r->want[at - 1];
		at--;
	}
	r->want[at] = w;
}

static bool take_offer(struct rulesync *r, const struct frame *f, struct err *e)
{
	struct set_offer o;
	struct manifest m;
	struct err why = {""};
	int64_t now_us = clock_wall_us();
	if (!set_offer_read(f->payload, &o) || !manifest_read(o.manifest.p, o.manifest.n, &m, &why))
		return err_set(e, "it offers a set with a malformed manifest: %s", why.text);
	r->stats.offers++;
	const struct held *h = find_held(r, m.set);
	if (!trust_believes(r->conf.trust, o.manifest, &m, &o.by, now_us, NULL, &why)) {
		refuse(r, &m, why.text);
	} else if (h && h->m.version == m.version && strcmp(h->m.digest, m.digest) == 0) {
		acknowledge(r, &m, SET_ARMED, h->armed_us, "");
	} else if (!acceptable(r, &m, h, now_us, &why)) {
		refuse(r, &m, why.text);
	} else {
		expect(r, &m, &o, h);
	}
	return true;
}

/* ---- pieces ---- */

static struct want *find_want(struct rulesync *r, const struct set_data *d, size_t *at)
{
	for (size_t i = 0; i < r->want_n; i++) {
		struct want *w = r->want[i];
		if (w->state == WANT_COMING && w->m.version == d->version && w->kind == d->kind &&
		    strcmp(w->m.set, d->set) == 0) {
			*at = i;
			return w;
		}
	}
	return NULL;
}

static void fetch_whole(struct want *w)
{
	w->kind = SET_FULL;
	w->total = (uint32_t)w->m.bytes;
	w->asked = 0;
	w->data.n = 0;
	w->state = WANT_COMING;
}

/* What comes late, of a set that is no longer wanted, is no fault of anybody's. */
static bool take_data(struct rulesync *r, const struct frame *f, bool *whole, struct err *e)
{
	struct set_data d;
	size_t at = 0;
	if (!set_data_read(f->payload, &d))
		return err_set(e, "it sent a malformed piece of a set");
	struct want *w = find_want(r, &d, &at);
	if (!w)
		return true;
	if (!d.total) {
		if (w->kind == SET_DELTA)
			fetch_whole(w);
		else
			drop_want(r, at); /* a newer version is offered, or will be */
		return true;
	}
	if (!w->total)
		w->total = d.total;
	if (d.total != w->total || d.offset != w->data.n) {
		refuse(r, &w->m, "its pieces do not fit together");
		drop_want(r, at);
		return true;
	}
	buf_add(&w->data, d.piece.p, d.piece.n);
	r->stats.bytes += d.piece.n;
	if (w->data.n == w->total) {
		w->state = WANT_WHOLE;
		*whole = true;
	}
	return true;
}

bool rulesync_take(struct rulesync *r, const struct frame *f, struct err *e)
{
	bool whole = false, ok;
	pthread_mutex_lock(&r->lock);
	ok = f->type == FRAME_SET_OFFER ? take_offer(r, f, e) : take_data(r, f, &whole, e);
	pthread_mutex_unlock(&r->lock);
	if (whole)
		r->conf.ready(r->conf.owner);
	return ok;
}

void rulesync_connected(struct rulesync *r)
{
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->want_n; i++)
		if (r->want[i]->state == WANT_COMING)
			r->want[i]->asked = (uint32_t)r->want[i]->data.n;
	r->out.n = r->acks = 0; /* everything is offered anew, and answered anew */
	pthread_mutex_unlock(&r->lock);
}

/* Of the first set that is not whole, up to WINDOW pieces ahead. The first piece
 * of a delta tells its length. */
static void put_asks(struct rulesync *r, struct buf *out)
{
	size_t i = 0, bytes = 0;
	for (size_t k = 0; k < r->want_n; k++)
		bytes += r->want[k]->data.n;
	while (i < r->want_n && r->want[i]->state == WANT_WHOLE)
		i++;
	if (i == r->want_n || (bytes > BYTES_MAX && r->want_n > 1))
		return;
	struct want *w = r->want[i];
	while ((w->total ? w->asked < w->total : w->asked == 0) && w->asked - w->data.n < WINDOW * SET_PIECE_MAX) {
		struct set_get g = {.version = (uint32_t)w->m.version, .kind = w->kind, .offset = w->asked};
		uint32_t left = w->total ? w->total - w->asked : SET_PIECE_MAX;
		g.bytes = left < SET_PIECE_MAX ? left : SET_PIECE_MAX;
		memcpy(g.set, w->m.set, sizeof(g.set));
		set_get_put(out, &g);
		w->asked += g.bytes;
	}
}

void rulesync_put(struct rulesync *r, struct buf *out)
{
	pthread_mutex_lock(&r->lock);
	if (r->out.n)
		buf_add(out, r->out.p, r->out.n);
	r->out.n = r->acks = 0;
	put_asks(r, out);
	pthread_mutex_unlock(&r->lock);
}

const char *rulesync_ring(const struct rulesync *r)
{
	return r->conf.ring ? r->conf.ring : "";
}

/* ---- files ---- */

static char *file_name(const struct rulesync *r, const char *set, const char *ending)
{
	struct buf b = {0};
	buf_printf(&b, "%s/%s%s", r->dir, set, ending);
	buf_u8(&b, 0);
	return (char *)b.p;
}

static bool sync_dir(const struct rulesync *r)
{
	int fd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool write_file(const char *path, const struct buf *b, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	bool ok = fd >= 0;
	for (size_t at = 0; ok && at < b->n;) {
		ssize_t n = write(fd, b->p + at, b->n - at);
		if (n < 0 && errno == EINTR)
			continue;
		ok = n > 0;
		at += ok ? (size_t)n : 0;
	}
	ok = ok && fsync(fd) == 0;
	int saved = errno;
	if (fd >= 0)
		close(fd);
	if (ok)
		return true;
	unlink(path);
	errno = saved;
	return err_errno(e, "cannot write %s", path);
}

/* A set that is held, from its file. Whether its bytes are what they were shows in what a delta makes of them. */
static bool read_held(const struct held *h, struct buf *file, struct bytes *content, struct err *e)
{
	struct signed_set s;
	if (!rulefile_slurp(h->path, file, e) || !signed_set_read(file->p, file->n, &s, e))
		return false;
	if (strcmp(s.m.digest, h->m.digest) != 0)
		return err_set(e, "%s holds another version", h->path);
	*content = s.content;
	return true;
}

/* ---- what has arrived ---- */

/* The content of a set that is whole, in *content (borrowed from w or room). */
static bool content_of(const struct rulesync *r, struct want *w, struct buf *room, struct bytes *content, struct err *e)
{
	struct bytes came = {w->data.p, w->data.n}, base;
	struct buf file = {0};
	*content = came;
	if (w->kind == SET_FULL)
		return signed_set_whole(&w->m, came, e);
	const struct held *h = find_held(r, w->m.set);
	bool ok = (h || err_set(e, "the set that the delta is for is not here")) && read_held(h, &file, &base, e) &&
		  set_lines_apply(base, came, w->m.bytes, room, e);
	w->small = ok && h->m.valid_until_us == w->m.valid_until_us && strcmp(h->m.exercise, w->m.exercise) == 0 &&
		   !w->m.withdrawn && set_lines_same_head(base, came);
	buf_free(&file);
	*content = (struct bytes){room->p, room->n};
	return ok && signed_set_whole(&w->m, *content, e);
}

static bool counted(const struct manifest *m, struct bytes content, struct err *e)
{
	size_t rows = 0;
	if (!set_lines_count(content, &rows, e))
		return false;
	return rows == m->count || err_set(e, "it has %zu indicators, its manifest says %" PRIu64, rows, m->count);
}

/* Judges it and writes it beside the old one. */
static bool stage(struct rulesync *r, struct want *w, struct err *e)
{
	struct buf room = {0}, file = {0};
	struct bytes content;
	bool ok = content_of(r, w, &room, &content, e) && counted(&w->m, content, e);
	if (ok) {
		char *path = file_name(r, w->m.set, ENDING ".new");
		signed_set_write(&file, (struct bytes){w->line.p, w->line.n}, &w->by, content);
		ok = write_file(path, &file, e);
		free(path);
	}
	buf_free(&room);
	buf_free(&file);
	return ok;
}

static void paths_free(struct rulesync *r)
{
	for (size_t i = 0; i < r->paths_n; i++)
		free(r->paths[i]);
	free(r->paths);
	r->paths = NULL;
	r->paths_n = 0;
}

static void paths_add(struct rulesync *r, char *path)
{
	r->paths = xrealloc(r->paths, (r->paths_n + 1) * sizeof(*r->paths));
	r->paths[r->paths_n++] = path;
}

static bool among(struct want *const *w, size_t n, const char *set)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(w[i]->m.set, set) == 0)
			return true;
	return false;
}

/* The files as they are, but for the n new ones. */
static void plan_paths(struct rulesync *r, struct want *const *w, size_t n)
{
	paths_free(r);
	for (size_t i = 0; i < r->held_n; i++)
		if (!among(w, n, r->held[i].m.set) && !r->held[i].m.withdrawn)
			paths_add(r, xstrdup(r->held[i].path));
	for (size_t i = 0; i < n; i++)
		if (!w[i]->m.withdrawn)
			paths_add(r, file_name(r, w[i]->m.set, ENDING ".new"));
}

const char *const *rulesync_paths(struct rulesync *r, size_t *n)
{
	plan_paths(r, NULL, 0);
	*n = r->paths_n;
	return (const char *const *)r->paths;
}

/* It matches now: the new file takes the old one's place. */
static void settle(struct rulesync *r, const struct want *w, int64_t now_us)
{
	char *from = file_name(r, w->m.set, ENDING ".new"), *to = file_name(r, w->m.set, ENDING);
	if (rename(from, to) != 0)
		log_warn("cannot keep %s: after a restart the version before it counts", to);
	pthread_mutex_lock(&r->lock);
	struct held *h = find_held(r, w->m.set);
	if (!h) {
		r->held = xrealloc(r->held, (r->held_n + 1) * sizeof(*r->held));
		h = &r->held[r->held_n++];
		*h = (struct held){.path = xstrdup(to)};
	}
	h->m = w->m;
	h->armed_us = now_us;
	r->stats.armed++;
	r->stats.deltas += w->kind == SET_DELTA;
	forget_refusal(r, w->m.set);
	acknowledge(r, &w->m, SET_ARMED, now_us, "");
	pthread_mutex_unlock(&r->lock);
	log_info("set \"%s\" version %" PRIu64 " is armed: %" PRIu64 " indicators%s", w->m.set, w->m.version,
		 w->m.count,
		 w->m.withdrawn         ? ", withdrawn"
		 : w->kind == SET_DELTA ? ", by delta"
					: "");
	free(from);
	free(to);
}

static void discard(struct rulesync *r, const struct want *w, const char *why)
{
	char *path = file_name(r, w->m.set, ENDING ".new");
	unlink(path);
	free(path);
	pthread_mutex_lock(&r->lock);
	refuse(r, &w->m, why);
	pthread_mutex_unlock(&r->lock);
}

static bool arm_changes(struct rulesync *r, struct want *const *w, size_t n, void *owner)
{
	struct err e;
	struct rulesync_change *c = xcalloc(n, sizeof(*c));
	bool ok = r->changes && n;
	for (size_t i = 0; i < n; i++) {
		ok = ok && w[i]->small;
		c[i] = (struct rulesync_change){.m = &w[i]->m, .delta = {w[i]->data.p, w[i]->data.n}};
	}
	ok = ok && r->changes(owner, c, n, &e);
	free(c);
	if (ok) {
		pthread_mutex_lock(&r->lock);
		r->stats.patched++;
		pthread_mutex_unlock(&r->lock);
	}
	return ok;
}

void rulesync_changes(struct rulesync *r, rulesync_arm_changes *fn)
{
	r->changes = fn;
}

/* All of them at once; false: none is armed. */
static bool arm_all(struct rulesync *r, struct want *const *w, size_t n, rulesync_arm *arm, void *owner, struct err *e)
{
	plan_paths(r, w, n);
	if (!sync_dir(r))
		return err_errno(e, "cannot write to %s", r->dir);
	if (!arm_changes(r, w, n, owner) && !arm(owner, (const char *const *)r->paths, r->paths_n, e))
		return false;
	int64_t now_us = clock_wall_us();
	for (size_t i = 0; i < n; i++)
		settle(r, w[i], now_us);
	sync_dir(r);
	return true;
}

/* Whether a set that is whole has been overtaken by a newer version of itself. */
static bool overtaken(const struct rulesync *r, const struct want *w, struct want *const *others, size_t n)
{
	const struct held *h = find_held(r, w->m.set);
	if (h && h->m.version >= w->m.version)
		return true;
	for (size_t i = 0; i < n; i++)
		if (others[i] != w && strcmp(others[i]->m.set, w->m.set) == 0 &&
		    (others[i]->m.version > w->m.version || (others[i]->m.version == w->m.version && others[i] < w)))
			return true;
	return false;
}

/* Takes what is whole out of the list; the caller owns them. */
static size_t take_whole(struct rulesync *r, struct want ***out)
{
	size_t n = 0, kept = 0;
	pthread_mutex_lock(&r->lock);
	*out = xcalloc(r->want_n + 1, sizeof(**out));
	for (size_t i = 0; i < r->want_n; i++) {
		if (r->want[i]->state == WANT_WHOLE)
			(*out)[n++] = r->want[i];
		else
			r->want[kept++] = r->want[i];
	}
	r->want_n = kept;
	pthread_mutex_unlock(&r->lock);
	return n;
}

/* A delta that did not give the set: the whole is asked for. */
static bool again(struct rulesync *r, struct want *w)
{
	if (w->kind != SET_DELTA)
		return false;
	pthread_mutex_lock(&r->lock);
	r->stats.delta_failures++;
	fetch_whole(w);
	r->want = xrealloc(r->want, (r->want_n + 1) * sizeof(*r->want));
	r->want[r->want_n++] = w;
	pthread_mutex_unlock(&r->lock);
	return true;
}

/* Takes the overtaken ones out. */
static size_t drop_overtaken(const struct rulesync *r, struct want **w, size_t n)
{
	bool *old = xcalloc(n + 1, sizeof(*old));
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		old[i] = overtaken(r, w[i], w, n);
	for (size_t i = 0; i < n; i++) {
		if (old[i])
			want_free(w[i]);
		else
			w[kept++] = w[i];
	}
	free(old);
	return kept;
}

/* The ones that are written beside the old ones; the rest is refused or asked for again. */
static size_t stage_all(struct rulesync *r, struct want **w, size_t n)
{
	struct err e;
	size_t staged = 0;
	for (size_t i = 0; i < n; i++) {
		if (stage(r, w[i], &e)) {
			w[staged++] = w[i];
		} else if (!again(r, w[i])) {
			discard(r, w[i], e.text);
			want_free(w[i]);
		}
	}
	return staged;
}

void rulesync_work(struct rulesync *r, rulesync_arm *arm, void *owner)
{
	struct want **w;
	struct err e;
	size_t n = take_whole(r, &w);
	if (!n) {
		free(w);
		return;
	}
	n = stage_all(r, w, drop_overtaken(r, w, n));
	bool done = n > 1 && arm_all(r, w, n, arm, owner, &e);
	for (size_t i = 0; i < n; i++) { /* one by one when one of them does not load */
		if (!done && !arm_all(r, &w[i], 1, arm, owner, &e))
			discard(r, w[i], e.text);
		want_free(w[i]);
	}
	free(w);
	r->conf.reply(r->conf.owner);
}

/* ---- start and end ---- */

static bool ends_with(const char *name, const char *ending)
{
	size_t n = strlen(name), k = strlen(ending);
	return n > k && strcmp(name + n - k, ending) == 0;
}

/* Whether a file of the folder can still be believed. */
static bool judge_file(const struct rulesync *r, const char *path, struct manifest *m, struct err *e)
{
	struct buf file = {0};
	struct signed_set s;
	bool ok = rulefile_slurp(path, &file, e) && signed_set_read(file.p, file.n, &s, e) &&
		  signed_set_whole(&s.m, s.content, e) &&
		  trust_believes(r->conf.trust, s.manifest, &s.m, &s.by, clock_wall_us(), NULL, e);
	if (ok)
		*m = s.m;
	buf_free(&file);
	return ok;
}

static void take_up(struct rulesync *r, const char *name, struct diags *d)
{
	struct manifest m;
	struct err e = {""};
	char *path = file_name(r, name, "");
	if (judge_file(r, path, &m, &e) && strlen(m.set) + strlen(ENDING) == strlen(name) &&
	    memcmp(name, m.set, strlen(m.set)) == 0 && r->held_n < RULESYNC_SETS_MAX) {
		r->held = xrealloc(r->held, (r->held_n + 1) * sizeof(*r->held));
		r->held[r->held_n++] = (struct held){.m = m, .armed_us = clock_wall_us(), .path = xstrdup(path)};
	} else {
		diag_add(d, DIAG_WARNING, (struct diag_place){.file = path}, "not-taken", "the set is left out: %s",
			 e.text[0] ? e.text : "its name is not the set's");
	}
	free(path);
}

static bool read_folder(struct rulesync *r, struct diags *d, struct err *e)
{
	struct dirent **names;
	if (mkdir(r->dir, 0750) != 0 && errno != EEXIST)
		return err_errno(e, "cannot make the folder for sets %s (rules.dir)", r->dir);
	int n = scandir(r->dir, &names, NULL, alphasort);
	if (n < 0)
		return err_errno(e, "cannot read the folder for sets %s (rules.dir)", r->dir);
	for (int i = 0; i < n; i++) {
		char *path = file_name(r, names[i]->d_name, "");
		if (ends_with(names[i]->d_name, ENDING ".new"))
			unlink(path);
		else if (ends_with(names[i]->d_name, ENDING))
			take_up(r, names[i]->d_name, d);
		free(path);
		free(names[i]);
	}
	free(names);
	return true;
}

struct rulesync *rulesync_new(const struct rulesync_conf *c, struct diags *d, struct err *e)
{
	struct rulesync *r = xcalloc(1, sizeof(*r));
	r->conf = *c;
	r->dir = xstrdup(c->dir);
	pthread_mutex_init(&r->lock, NULL);
	if (read_folder(r, d, e))
		return r;
	rulesync_free(r);
	return NULL;
}

void rulesync_free(struct rulesync *r)
{
	if (!r)
		return;
	while (r->want_n)
		drop_want(r, r->want_n - 1);
	for (size_t i = 0; i < r->held_n; i++)
		free(r->held[i].path);
	paths_free(r);
	buf_free(&r->out);
	free(r->want);
	free(r->held);
	free(r->refused);
	free(r->dir);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void rulesync_trust(struct rulesync *r, const struct trust *t)
{
	pthread_mutex_lock(&r->lock);
	r->conf.trust = t;
	pthread_mutex_unlock(&r->lock);
}

/* ---- telling ---- */

void rulesync_stats(struct rulesync *r, struct rulesync_stats *out)
{
	pthread_mutex_lock(&r->lock);
	*out = r->stats;
	out->held = r->held_n;
	pthread_mutex_unlock(&r->lock);
}

void rulesync_each(struct rulesync *r, void (*fn)(void *owner, const char *set, const char *text), void *owner)
{
	char text[400], when[CLOCK_TEXT_LEN];
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->refused_n; i++) {
		snprintf(text, sizeof(text), "refused: %s", r->refused[i].why);
		fn(owner, r->refused[i].set, text);
	}
	for (size_t i = 0; i < r->held_n; i++) {
		const struct held *h = &r->held[i];
		clock_format(h->armed_us, when);
		snprintf(text, sizeof(text), "version %" PRIu64 ", %" PRIu64 " indicators%s, armed %s", h->m.version,
			 h->m.count, h->m.withdrawn ? ", withdrawn" : "", when);
		fn(owner, h->m.set, text);
	}
	pthread_mutex_unlock(&r->lock);
}
