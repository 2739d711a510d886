/* The capturing process' side of the nDPI process (sensor/dpi_shared.h draws what
 * they share). A packet costs a look at its headers, a copy and a store; a system
 * call is made once per burst, and only when the other side sleeps.
 *
 * What comes back is not believed: positions must lie between what we know, names
 * are numbers into a table that was fetched before the first packet, so the
 * worst that a subverted nDPI can do here is to give wrong verdicts.
 *
 * Kept from nDPI 4.2 because they kill it: payloads that begin as DTLS, packets
 * without payload, packets beyond DPI_PACKET_MAX. */
#define _GNU_SOURCE
#include "sensor/dpi.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/cursor.h"
#include "common/log.h"
#include "sensor/dpi_shared.h"

#define READY_MS       10000 /* nDPI takes 20 ms to initialise; a busy machine longer */
#define WAIT_STUCK_MS  15000 /* wait mode: no progress for so long: the verdicts are given up */
#define WAIT_SLICE_MS  5
#define LAG            64u         /* wait mode: collects between a packet and its verdict */
#define WAKE_AT        (64u << 10) /* wait mode: bytes of work that are worth waking the child for */
#define CREDIT_MAX     (1u << 19)  /* answers: more than two per record that fits the queue, and one per state */
#define LOOK_EVERY     1024        /* collects between looks whether the supervisor lives */
#define RESPAWN_US     1000000
#define CLOSE_MS       2000
#define EXTENSIONS_MAX 8   /* IPv6 extension headers */
#define SPARE_FD       100 /* file descriptors are moved here on their way to a fixed number */

extern char **environ;

struct dpi {
	struct dpi_map map;
	void *memory;
	int memory_fd, alive_fd, killers_fd;
	pid_t supervisor; /* the one that we started; its standby may have taken over */
	int why;          /* errno of the last start */
	bool wait, unconfined;
	bool gone;   /* nobody is left to run nDPI */
	bool broken; /* wait mode: it did not answer; nothing is waited for any more */
	uint64_t head, tail, up_tail;
	uint32_t crashed, stalled, taken_over, skipped, child_skipped; /* as far as they are in the ledger */
	uint64_t credit; /* answers that may still come: two per packet, one per end */
	unsigned collects;
	int64_t respawn_us;
	unsigned protocols;
	char (*protocol)[DPI_NAME_LEN];
	uint64_t mark[LAG]; /* wait mode: heads at the last collects that found a new one */
	unsigned marks;
	bool finished;
	struct dpi_answer *early; /* wait mode: taken before their turn */
	size_t early_n, early_at, early_cap;
	struct ledger *ledger;
};

/* ---- start and end ---- */

static bool share_memory(struct dpi *d, struct err *e)
{
	d->memory_fd = memfd_create("picket-dpi", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (d->memory_fd < 0 || ftruncate(d->memory_fd, DPI_SHARED_LEN) ||
	    fcntl(d->memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return err_errno(e, "cannot make %zu bytes of memory to share with the nDPI process",
				 (size_t)DPI_SHARED_LEN);
	d->memory = mmap(NULL, DPI_SHARED_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, d->memory_fd, 0);
	if (d->memory == MAP_FAILED) {
		d->memory = NULL;
		return err_errno(e, "cannot map the memory shared with the nDPI process");
	}
	d->map = dpi_map_at(d->memory);
	return true;
}

/* Moves fd out of the way of the fixed numbers, then to its own. */
static bool place_fd(posix_spawn_file_actions_t *a, int fd, int number, int *moved)
{
	*moved = fcntl(fd, F_DUPFD_CLOEXEC, SPARE_FD);
	return *moved >= 0 && !posix_spawn_file_actions_adddup2(a, *moved, number);
}

static bool spawn(struct dpi *d, int alive, struct err *e)
{
	char name[] = "picket-dpi", argument[] = DPI_WORKER_ARGUMENT, keep[] = DPI_WORKER_KEEP,
	     unconfined[] = DPI_WORKER_UNCONFINED, nothing[] = "-";
	char *argv[] = {name, argument, d->killers_fd >= 0 ? keep : nothing, d->unconfined ? unconfined : nothing,
			NULL};
	int moved[3] = {-1, -1, -1};
	posix_spawn_file_actions_t a;
	posix_spawn_file_actions_init(&a);
	bool ok = place_fd(&a, d->memory_fd, DPI_FD_SHARED, &moved[0]) &&
		  place_fd(&a, alive, DPI_FD_ALIVE, &moved[1]) &&
		  (d->killers_fd < 0 || place_fd(&a, d->killers_fd, DPI_FD_KILLERS, &moved[2])) &&
		  !posix_spawn_file_actions_addclosefrom_np(&a,
							    d->killers_fd < 0 ? DPI_FD_KILLERS : DPI_FD_KILLERS + 1);
	if (ok)
		errno = posix_spawn(&d->supervisor, "/proc/self/exe", &a, NULL, argv, environ);
	ok = ok && !errno;
	d->why = errno;
	if (!ok) {
		d->supervisor = 0;
		err_errno(e, "cannot start the nDPI process from /proc/self/exe");
	}
	posix_spawn_file_actions_destroy(&a);
	for (size_t i = 0; i < 3; i++) {
		if (moved[i] >= 0)
			close(moved[i]);
	}
	return ok;
}

static bool start(struct dpi *d, struct err *e)
{
	int alive[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, alive))
		return err_errno(e, "cannot make a socket pair for the nDPI process");
	bool ok = spawn(d, alive[0], e);
	close(alive[0]);
	if (d->alive_fd >= 0)
		close(d->alive_fd);
	d->alive_fd = alive[1];
	return ok;
}

static void nap(long ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	nanosleep(&t, NULL);
}

static bool await_ready(struct dpi *d, struct err *e)
{
	for (int ms = 0; ms < READY_MS; ms++) {
		uint32_t ready = dpi_load(&d->map.control->ready);
		if (ready == 1)
			return true;
		if (ready == 2)
			return err_set(
			    e, "cannot start nDPI: it refused to initialise, or its sandbox could not be entered");
		if (waitpid(d->supervisor, NULL, WNOHANG) == d->supervisor) {
			d->supervisor = 0;
			return err_set(e, "cannot start nDPI: its process ended at once (see its messages above)");
		}
		nap(1);
	}
	return err_set(e, "cannot start nDPI: its process was not ready within %d s", READY_MS / 1000);
}

/* Names cross once, before the first packet does. */
static void fetch_names(struct dpi *d)
{
	uint32_t n = d->map.control->protocols;
	d->protocols = n < DPI_NAMES_MAX ? n : DPI_NAMES_MAX;
	d->protocol = xcalloc(d->protocols + 1, DPI_NAME_LEN);
	for (unsigned i = 0; i < d->protocols; i++)
		memcpy(d->protocol[i], d->map.control->protocol[i], DPI_NAME_LEN - 1);
}

struct dpi *dpi_open(const struct dpi_conf *c, struct ledger *ledger, struct err *e)
{
	struct dpi *d = xcalloc(1, sizeof(*d));
	*d = (struct dpi){.memory_fd = -1,
			  .alive_fd = -1,
			  .killers_fd = -1,
			  .wait = c->wait,
			  .unconfined = c->unconfined,
			  .ledger = ledger};
	if (c->killers && (d->killers_fd = open(c->killers, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0) {
		err_errno(e, "cannot open \"%s\", the folder for packets that kill nDPI", c->killers);
		dpi_close(d);
		return NULL;
	}
	if (!share_memory(d, e) || !start(d, e) || !await_ready(d, e)) {
		dpi_close(d);
		return NULL;
	}
	fetch_names(d);
	return d;
}

/* Whether neither supervisor nor standby is left, waiting for it up to ms. */
static bool alone(const struct dpi *d, int ms)
{
	struct pollfd p = {.fd = d->alive_fd, .events = POLLIN};
	return d->alive_fd < 0 || (poll(&p, 1, ms) > 0 && p.revents & (POLLIN | POLLHUP | POLLERR));
}

static void stop(struct dpi *d)
{
	if (d->alive_fd >= 0) {
		shutdown(d->alive_fd, SHUT_WR); /* they see it and end, and the child with them */
		bool gone = alone(d, CLOSE_MS);
		close(d->alive_fd);
		if (!gone && d->supervisor)
			kill(d->supervisor, SIGKILL);
	}
	if (d->supervisor)
		waitpid(d->supervisor, NULL, 0);
}

void dpi_close(struct dpi *d)
{
	if (!d)
		return;
	stop(d);
	if (d->memory)
		munmap(d->memory, DPI_SHARED_LEN);
	if (d->memory_fd >= 0)
		close(d->memory_fd);
	if (d->killers_fd >= 0)
		close(d->killers_fd);
	free(d->protocol);
	free(d->early);
	free(d);
}

int dpi_pid(const struct dpi *d)
{
	return (int)dpi_load(&d->map.control->pid);
}

/* ---- what may go to nDPI ---- */

/* What the headers say: the protocol above IP and its payload. */
struct content {
	uint8_t proto;
	size_t ip_n; /* of the whole packet, without link padding */
	struct bytes payload;
};

static void skip_extensions(struct cursor *c, uint8_t *proto)
{
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		if (*proto != IPPROTO_HOPOPTS && *proto != IPPROTO_ROUTING && *proto != IPPROTO_DSTOPTS)
			return;
		*proto = cursor_u8(c);
		cursor_skip(c, 8 * (size_t)cursor_u8(c) + 6);
	}
	c->bad = true;
}

static void read_ip(struct cursor *c, struct content *out)
{
	uint8_t first = cursor_u8(c);
	cursor_skip(c, 1);
	if (first >> 4 == 4) {
		/* RFC 791: length at 2, fragment at 6, protocol at 9 */
		size_t total = cursor_u16(c), header = 4 * (size_t)(first & 15);
		cursor_skip(c, 2);
		bool fragment = cursor_u16(c) & 0x3fff;
		cursor_skip(c, 1);
		out->proto = cursor_u8(c);
		out->ip_n = total;
		c->bad |= fragment || header < 20 || total < header || cursor_left(c) + 10 < total;
		if (!c->bad)
			c->end = c->p - 10 + total;
		cursor_skip(c, header - 10);
		return;
	}
	/* RFC 8200: length at 4, next header at 6, 40 bytes in all */
	cursor_skip(c, 2);
	size_t payload = cursor_u16(c);
	out->proto = cursor_u8(c);
	out->ip_n = payload + 40;
	cursor_skip(c, 33);
	c->bad |= first >> 4 != 6 || cursor_left(c) < payload;
	if (!c->bad)
		c->end = c->p + payload;
	skip_extensions(c, &out->proto);
}

static bool read_content(const void *ip, size_t n, struct content *out)
{
	struct cursor c = cursor_over(ip, n);
	read_ip(&c, out);
	if (out->proto == IPPROTO_TCP) {
		cursor_skip(&c, 12);
		size_t header = 4 * (size_t)(cursor_u8(&c) >> 4);
		c.bad |= header < 20;
		cursor_skip(&c, c.bad ? 0 : header - 13);
	} else if (out->proto == IPPROTO_UDP) {
		cursor_skip(&c, 8);
	} else if (out->proto == IPPROTO_FRAGMENT) {
		c.bad = true;
	}
	out->payload = cursor_bytes(&c, cursor_left(&c));
	return cursor_ok(&c);
}

static bool harmless(const struct content *c)
{
	if (c->payload.n == 0 || c->ip_n > DPI_PACKET_MAX)
		return false;
	struct cursor p = cursor_over(c->payload.p, c->payload.n);
	return c->proto != IPPROTO_UDP || cursor_u16(&p) != 0x16fe;
}

/* ---- handing down ---- */

static uint64_t work_left(struct dpi *d)
{
	uint64_t tail = dpi_load(&d->map.child->tail);
	if (tail >= d->tail && tail <= d->head) /* never back, never beyond: else the last good one counts */
		d->tail = tail;
	return d->head - d->tail;
}

static void wake(struct dpi *d)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!dpi_load(&d->map.child->sleeping))
		return;
	dpi_store(&d->map.child->sleeping, 0);
	syscall(SYS_futex, &d->map.child->sleeping, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void take_early(struct dpi *d);
static void look_after(struct dpi *d);

/* Sleeps until the child says that all is done, or a little while. */
static void doze(struct dpi *d)
{
	struct timespec t = {.tv_nsec = WAIT_SLICE_MS * 1000000};
	uint32_t done = dpi_load(&d->map.child->done);
	dpi_store(&d->map.parent->waiting, 1);
	wake(d);
	if (work_left(d))
		syscall(SYS_futex, &d->map.child->done, FUTEX_WAIT, done, &t, NULL, 0);
	dpi_store(&d->map.parent->waiting, 0);
}

/* Wait mode: until at most `left` bytes of work are left. */
static bool await(struct dpi *d, uint64_t left)
{
	uint64_t seen = d->tail;
	int64_t progress_us = clock_mono_us();
	while (work_left(d) > left && !d->broken) {
		doze(d);
		take_early(d);
		look_after(d);
		int64_t now_us = clock_mono_us();
		if (d->tail != seen) {
			seen = d->tail;
			progress_us = now_us;
		} else if (now_us - progress_us > WAIT_STUCK_MS * 1000LL) {
			log_warnx("nDPI does not answer: its verdicts are missing from here on");
			d->broken = true;
		}
	}
	return work_left(d) <= left;
}

static bool room_for(struct dpi *d, uint64_t size)
{
	if (DPI_DOWN_SIZE - (d->head - d->tail) >= size || DPI_DOWN_SIZE - work_left(d) >= size)
		return true;
	wake(d);
	return d->wait && await(d, DPI_DOWN_SIZE / 2);
}

/* Where a record can stand in one piece. NULL: no room. */
static uint8_t *reserve(struct dpi *d, uint64_t size)
{
	uint64_t at = d->head % DPI_DOWN_SIZE, rest = DPI_DOWN_SIZE - at;
	bool wrap = rest < size;
	if (!room_for(d, wrap ? rest + size : size))
		return NULL;
	if (!wrap)
		return d->map.down + at;
	if (rest >= sizeof(struct dpi_record)) {
		struct dpi_record w = {.kind = DPI_WRAP};
		memcpy(d->map.down + at, &w, sizeof(w));
	}
	d->head += rest;
	return d->map.down;
}

static bool hand_down(struct dpi *d, const struct dpi_record *r, const void *data)
{
	uint64_t size = dpi_record_size(r->n);
	uint8_t *at = reserve(d, size);
	if (!at)
		return false;
	memcpy(at, r, sizeof(*r));
	if (r->n)
		memcpy(at + sizeof(*r), data, r->n);
	d->head += size;
	d->credit += r->kind == DPI_PACKET ? 2 : 1;
	if (d->credit > CREDIT_MAX)
		d->credit = CREDIT_MAX;
	dpi_store(&d->map.parent->head, d->head);
	return true;
}

bool dpi_submit(struct dpi *d, uint32_t flow, int64_t ts_us, const void *ip, size_t n, bool from_originator)
{
	(void)from_originator; /* 4.2 finds the direction itself */
	struct content c = {0};
	if (d->broken || !read_content(ip, n, &c) || !harmless(&c)) {
		ledger_count(d->ledger, LEDGER_DPI_SKIPPED);
		return false;
	}
	struct dpi_record r = {
	    .n = (uint32_t)c.ip_n,
	    .flow = flow,
	    .ts_us = ts_us,
	    .kind = DPI_PACKET,
	    .proto = c.proto,
	    .packets_max = c.proto == IPPROTO_TCP ? DPI_PACKETS_TCP : DPI_PACKETS_UDP,
	};
	bool taken = hand_down(d, &r, ip);
	ledger_count(d->ledger, taken ? LEDGER_DPI_PACKETS : LEDGER_DPI_SKIPPED);
	return taken;
}

void dpi_end(struct dpi *d, uint32_t flow)
{
	struct dpi_record r = {.flow = flow, .kind = DPI_END};
	if (!d->broken)
		hand_down(d, &r, NULL); /* without room the child forgets the flow in its own time */
}

/* ---- taking up ---- */

static void name_protocol(const struct dpi *d, unsigned id, char out[static DPI_NAME_LEN])
{
	memcpy(out, id < d->protocols ? d->protocol[id] : "Unknown", id < d->protocols ? DPI_NAME_LEN : 8);
}

static struct dpi_verdict verdict_of(const struct dpi *d, const struct dpi_answer *a)
{
	struct dpi_verdict v = {.flow = a->flow, .risks = a->risks, .final = a->final != 0};
	name_protocol(d, a->app, v.protocol);
	if (a->master)
		name_protocol(d, a->master, v.master);
	return v;
}

static bool take_one(struct dpi *d, struct dpi_answer *out)
{
	uint64_t head = dpi_load(&d->map.child->up_head);
	if (head - d->up_tail > DPI_UP_SIZE) /* impossible numbers: start where it stands */
		d->up_tail = head;
	if (!d->credit)
		d->up_tail = head; /* nobody asked */
	if (head == d->up_tail)
		return false;
	d->credit--;
	memcpy(out, &d->map.up[d->up_tail % DPI_UP_SIZE], sizeof(*out));
	d->up_tail++;
	dpi_store(&d->map.parent->up_tail, d->up_tail);
	return true;
}

/* Wait mode: the child must not wait for us while we wait for it. */
static void take_early(struct dpi *d)
{
	struct dpi_answer a;
	while (take_one(d, &a)) {
		if (d->early_n == d->early_cap) {
			d->early_cap = d->early_cap ? 2 * d->early_cap : 256;
			d->early = xrealloc(d->early, d->early_cap * sizeof(*d->early));
		}
		d->early[d->early_n++] = a;
	}
}

static void count_up(struct dpi *d, enum ledger_id id, const uint32_t *from, uint32_t *seen)
{
	uint32_t now = dpi_load(from), more = now - *seen;
	if (more <= DPI_DOWN_SIZE / sizeof(struct dpi_record)) /* a plausible number */
		ledger_add(d->ledger, id, more);
	*seen = now;
}

static void count_losses(struct dpi *d)
{
	struct dpi_control *c = d->map.control;
	count_up(d, LEDGER_DPI_CRASHED, &c->crashed, &d->crashed);
	count_up(d, LEDGER_DPI_STALLED, &c->stalled, &d->stalled);
	count_up(d, LEDGER_DPI_CRASHED, &c->taken_over, &d->taken_over);
	count_up(d, LEDGER_DPI_SKIPPED, &c->skipped, &d->skipped);
	count_up(d, LEDGER_DPI_SKIPPED, &d->map.child->skipped, &d->child_skipped);
}

/* The supervisor is not expected to die, but somebody may kill it: its standby goes on.
 * When both are gone, a sensor in its sandbox cannot start others. */
static void look_after(struct dpi *d)
{
	if (d->supervisor && waitpid(d->supervisor, NULL, WNOHANG) != 0)
		d->supervisor = 0;
	if (d->gone || !alone(d, 0) || clock_mono_us() - d->respawn_us < RESPAWN_US)
		return;
	struct err e;
	ledger_count(d->ledger, LEDGER_DPI_CRASHED);
	d->respawn_us = clock_mono_us();
	if (start(d, &e))
		return;
	if (d->why == EPERM) {
		log_errorx("the supervisor of nDPI and its standby were killed, and this process may start no other: "
			   "no verdicts of nDPI until a restart");
		d->gone = true;
		return;
	}
	log_warnx("%s", e.text);
}

static void hand_out(struct dpi *d, struct dpi_verdict *out, const struct dpi_answer *a)
{
	*out = verdict_of(d, a);
	if (out->final)
		ledger_count(d->ledger, LEDGER_DPI_FLOWS);
}

/* Verdicts on what was submitted before this position are due. */
static uint64_t due_before(struct dpi *d)
{
	if (d->finished)
		return d->head;
	if (d->mark[d->marks % LAG] != d->head) {
		d->marks++;
		uint64_t due = d->mark[d->marks % LAG];
		d->mark[d->marks % LAG] = d->head;
		return due;
	}
	return d->mark[(d->marks + 1) % LAG];
}

static size_t collect_due(struct dpi *d, struct dpi_verdict *out, size_t max)
{
	uint64_t due = due_before(d);
	size_t n = 0;
	await(d, d->head - due);
	take_early(d);
	while (n < max && d->early_at < d->early_n && (d->finished || d->early[d->early_at].at < due))
		hand_out(d, &out[n++], &d->early[d->early_at++]);
	if (d->early_at == d->early_n)
		d->early_at = d->early_n = 0;
	return n;
}

void dpi_finish(struct dpi *d)
{
	d->finished = true;
}

size_t dpi_collect(struct dpi *d, struct dpi_verdict *out, size_t max)
{
	if (work_left(d) > (d->wait ? WAKE_AT : 0))
		wake(d);
	if (d->collects++ % LOOK_EVERY == 0)
		look_after(d);
	count_losses(d);
	if (d->wait)
		return collect_due(d, out, max);
	struct dpi_answer a;
	size_t n = 0;
	while (n < max && take_one(d, &a))
		hand_out(d, &out[n++], &a);
	return n;
}
