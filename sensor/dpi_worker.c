/* The nDPI process: a supervisor that never runs nDPI on a packet, and its child that
 * does (sensor/dpi_shared.h draws how they hang together).
 *
 * The supervisor initialises nDPI once and forks; a child that died is replaced
 * by another fork, ready at once. A child is killed when it has work and its beat
 * stood still for STALL_CPU_US of its own processor time, or STALL_WALL_US of
 * anybody's: on a machine that is merely busy, wall time alone would kill the
 * innocent. The record that a dead child had in hand is skipped, its flow is
 * looked at no more, and the packet is kept as a capture. The next child follows at
 * once, however many die so: an attacker who found a killer sends it often, and what
 * waits meanwhile is lost. Patience is for children that die without a packet.
 *
 * A supervisor that is killed from outside is followed by its standby, which loses
 * only nDPI's flows; the record in hand is done again, for it killed nobody. Only who
 * kills both within the time of a fork leaves a confined sensor without nDPI.
 *
 * The child holds at most STATES_MAX flows; the least recently used one is given
 * up (with a verdict) for a new one. Whatever it writes is checked by its
 * readers, the supervisor among them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exits.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "sensor/dpi.h"
#include "sensor/dpi_shared.h"
#include "sensor/inspect_ndpi.h"

#define STATES_MAX    16384u /* flows in nDPI's hands at once */
#define CHAINS        32768u /* a power of two */
#define OTHER_MAX     4u     /* packets of flows that are neither TCP nor UDP */
#define KILLERS_MAX   64u    /* captures kept per run */
#define LOOK_MS       100
#define STALL_CPU_US  200000 /* nDPI takes microseconds for a packet */
#define STALL_WALL_US 4000000
#define QUICK_US      1000000 /* a child that lived shorter than that */
#define PATIENCE_MS   500     /* before another try when several died quickly */
#define QUICK_DEATHS  3
#define IDLE_MS       100
#define FULL_MS       1
#define SETTLE_MS     10          /* until the child of a killed supervisor is gone, too */
#define ADDRESS_SPACE (1ul << 30) /* a leak or a bomb in nDPI ends at this */

/* ---- the child: flows ---- */

struct slot {
	uint32_t flow;
	uint32_t chain;                  /* next with the same hash, 0 = none */
	uint32_t older, newer;           /* by last use */
	struct inspect_ndpi_flow *state; /* NULL: the last word was said */
	uint8_t packets;
	bool announced;
};

struct child {
	struct dpi_map map;
	struct inspect_ndpi *ndpi;
	unsigned bad_n;          /* quarantined flows, as many as there were at the fork */
	uint32_t used;           /* slots beyond were never taken */
	uint32_t free;           /* given back, linked by chain; 0 = none */
	uint32_t oldest, newest; /* slots, 0 = none */
	uint32_t chain[CHAINS];
	struct slot slot[STATES_MAX + 1]; /* from 1 */
	uint8_t packet[DPI_PACKET_MAX + INSPECT_NDPI_PAD];
};

static uint32_t *chain_of(struct child *c, uint32_t flow)
{
	return &c->chain[(flow * 2654435761u >> 16) % CHAINS];
}

static void unlink_age(struct child *c, uint32_t i)
{
	struct slot *s = &c->slot[i];
	*(s->older ? &c->slot[s->older].newer : &c->oldest) = s->newer;
	*(s->newer ? &c->slot[s->newer].older : &c->newest) = s->older;
	s->older = s->newer = 0;
}

static void link_newest(struct child *c, uint32_t i)
{
	c->slot[i].older = c->newest;
	c->slot[i].newer = 0;
	*(c->newest ? &c->slot[c->newest].newer : &c->oldest) = i;
	c->newest = i;
}

static uint32_t find_slot(struct child *c, uint32_t flow)
{
	uint32_t i = *chain_of(c, flow);
	while (i && c->slot[i].flow != flow)
		i = c->slot[i].chain;
	return i;
}

static void unlink_chain(struct child *c, uint32_t i)
{
	uint32_t *at = chain_of(c, c->slot[i].flow);
	while (*at != i)
		at = &c->slot[*at].chain;
	*at = c->slot[i].chain;
}

static void sleep_ms(long ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	nanosleep(&t, NULL);
}

static void answer(struct child *c, uint32_t flow, const struct inspect_ndpi_result *r)
{
	struct dpi_child *mine = c->map.child;
	uint64_t head = mine->up_head;
	while (head - dpi_load(&c->map.parent->up_tail) >= DPI_UP_SIZE) {
		dpi_store(&mine->beat, mine->beat + 1); /* alive, waiting for the reader */
		sleep_ms(FULL_MS);
	}
	c->map.up[head % DPI_UP_SIZE] = (struct dpi_answer){
	    .risks = r->risks, .flow = flow, .app = r->app, .master = r->master, .final = r->final, .at = mine->tail};
	dpi_store(&mine->up_head, head + 1);
}

/* Says the last word on a flow and gives nDPI's state back. */
static void finish(struct child *c, struct slot *s, struct inspect_ndpi_result r)
{
	r.final = true;
	answer(c, s->flow, &r);
	inspect_ndpi_flow_free(s->state);
	s->state = NULL;
}

static void forget(struct child *c, uint32_t i)
{
	struct slot *s = &c->slot[i];
	if (s->state)
		finish(c, s, inspect_ndpi_giveup(c->ndpi, s->state));
	unlink_chain(c, i);
	unlink_age(c, i);
}

static uint32_t free_slot(struct child *c)
{
	uint32_t i = c->free;
	if (i)
		c->free = c->slot[i].chain;
	else if (c->used < STATES_MAX)
		i = ++c->used;
	else
		forget(c, i = c->oldest);
	return i;
}

static uint32_t new_slot(struct child *c, uint32_t flow)
{
	uint32_t i = free_slot(c), *chain = chain_of(c, flow);
	c->slot[i] = (struct slot){.flow = flow, .chain = *chain, .state = inspect_ndpi_flow_new()};
	*chain = i;
	link_newest(c, i);
	return i;
}

/* ---- the child: work ---- */

static bool quarantined(const struct child *c, uint32_t flow)
{
	for (unsigned i = 0; i < c->bad_n; i++) {
		if (c->map.control->bad[i] == flow)
			return true;
	}
	return false;
}

static void do_packet(struct child *c, const struct dpi_record *r, const uint8_t *data)
{
	uint32_t i = find_slot(c, r->flow);
	if (!i)
		i = new_slot(c, r->flow);
	struct slot *s = &c->slot[i];
	unlink_age(c, i);
	link_newest(c, i);
	if (!s->state)
		return;
	memcpy(c->packet, data, r->n);
	memset(c->packet + r->n, 0, INSPECT_NDPI_PAD);
	uint64_t ms = r->ts_us > 0 ? (uint64_t)r->ts_us / 1000 : 0;
	struct inspect_ndpi_result v = inspect_ndpi_packet(c->ndpi, s->state, c->packet, (uint16_t)r->n, ms);
	s->packets++;
	bool tcp_udp = r->proto == IPPROTO_TCP || r->proto == IPPROTO_UDP;
	if (v.final) {
		finish(c, s, v);
	} else if (s->packets >= (tcp_udp ? r->packets_max : OTHER_MAX)) {
		finish(c, s, inspect_ndpi_giveup(c->ndpi, s->state));
	} else if (v.app && !s->announced) {
		s->announced = true;
		answer(c, r->flow, &v);
	}
}

static void do_end(struct child *c, uint32_t flow)
{
	uint32_t i = find_slot(c, flow);
	if (!i)
		return;
	forget(c, i);
	c->slot[i].chain = c->free;
	c->free = i;
}

static void do_record(struct child *c, const struct dpi_record *r, const uint8_t *data)
{
	if (quarantined(c, r->flow)) {
		c->map.child->skipped += r->kind == DPI_PACKET;
		return;
	}
	if (r->kind == DPI_PACKET && r->n <= DPI_PACKET_MAX)
		do_packet(c, r, data);
	else if (r->kind == DPI_END)
		do_end(c, r->flow);
}

/* The record at a position, copied; how far it reaches. False: it cannot be one. */
static bool read_record(const struct dpi_map *m, uint64_t tail, uint64_t head, struct dpi_record *r, uint64_t *size)
{
	uint64_t at = tail % DPI_DOWN_SIZE, rest = DPI_DOWN_SIZE - at;
	*r = (struct dpi_record){.kind = DPI_WRAP};
	*size = rest;
	if (rest < sizeof(*r))
		return head - tail >= rest;
	memcpy(r, m->down + at, sizeof(*r));
	if (r->kind != DPI_WRAP)
		*size = dpi_record_size(r->n);
	return r->kind < DPI_KIND_COUNT && r->n <= DPI_PACKET_MAX && *size <= rest && *size <= head - tail;
}

static void sleep_until_work(struct dpi_map *m, uint64_t tail)
{
	struct timespec t = {.tv_nsec = IDLE_MS * 1000000};
	struct dpi_child *mine = m->child;
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* tail is seen before waiting is looked at */
	if (dpi_load(&m->parent->waiting)) {
		dpi_store(&mine->done, mine->done + 1);
		syscall(SYS_futex, &mine->done, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
	dpi_store(&mine->sleeping, 1);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (dpi_load(&m->parent->head) == tail)
		syscall(SYS_futex, &mine->sleeping, FUTEX_WAIT, 1, &t, NULL, 0);
	dpi_store(&mine->sleeping, 0);
}

__attribute__((noreturn)) static void child_run(struct child *c)
{
	struct dpi_child *mine = c->map.child;
	for (;;) {
		uint64_t tail = mine->tail, head = dpi_load(&c->map.parent->head), size;
		struct dpi_record r;
		dpi_store(&mine->beat, mine->beat + 1);
		if (tail == head) {
			sleep_until_work(&c->map, tail);
			continue;
		}
		if (!read_record(&c->map, tail, head, &r, &size))
			_exit(EXIT_ENVIRONMENT); /* the supervisor puts the positions right */
		dpi_store(&mine->busy, 1);
		if (r.kind != DPI_WRAP)
			do_record(c, &r, c->map.down + tail % DPI_DOWN_SIZE + sizeof(r));
		dpi_store(&mine->busy, 0);
		dpi_store(&mine->tail, tail + size);
	}
}

/* ---- the child: what it gives up ---- */

static void limit(int what, rlim_t n)
{
	struct rlimit l = {n, n};
	setrlimit(what, &l);
}

/* Read-only but for what the child writes: the file itself is closed, and the
 * mapping comes from a descriptor that was opened for reading only. */
static bool map_narrowly(struct dpi_map *m, int read_fd)
{
	uint8_t *at = mmap(NULL, DPI_SHARED_LEN, PROT_READ, MAP_SHARED, read_fd, 0);
	if (at == MAP_FAILED)
		return false;
	const struct {
		uint32_t at;
		size_t n;
	} own[] = {{DPI_CHILD_AT, DPI_PAGE}, {DPI_UP_AT, DPI_UP_SIZE * sizeof(struct dpi_answer)}};
	for (size_t i = 0; i < 2; i++) {
		if (mmap(at + own[i].at, own[i].n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, DPI_FD_SHARED,
			 own[i].at) == MAP_FAILED)
			return false;
	}
	*m = dpi_map_at(at);
	return true;
}

/* From here on the child has no files, may make the few system calls of its
 * profile, and dies with the supervisor. */
static bool give_up(struct child *c, pid_t supervisor, bool unconfined)
{
	struct sandbox box = {.profile = SANDBOX_DPI, .refused = &c->map.child->refused};
	struct err e;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != supervisor)
		return false;
	prctl(PR_SET_NAME, "picket-ndpi");
#ifndef __SANITIZE_ADDRESS__ /* it reserves terabytes, and its report is wanted */
	limit(RLIMIT_AS, ADDRESS_SPACE);
	dup2(STDOUT_FILENO, STDERR_FILENO);
#endif
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_NPROC, 0);
	limit(RLIMIT_NOFILE, 4); /* Landlock takes one on the way */
	return close_range(3, ~0u, 0) == 0 && (unconfined || sandbox_enter(&box, &e));
}

/* ---- the supervisor ---- */

struct supervisor {
	void *memory;
	struct dpi_map map;
	struct inspect_ndpi *ndpi;
	int read_fd;
	bool keep, unconfined;
	pid_t child, standby; /* 0 = none */
	int64_t born_us, moved_us, moved_cpu_us;
	uint64_t beat;
	unsigned quick;
	sigset_t mask; /* while waiting: SIGCHLD comes through */
};

__attribute__((noreturn)) static void child_main(struct supervisor *s, pid_t supervisor)
{
	signal(SIGCHLD, SIG_DFL);
	struct child *c = calloc(1, sizeof(*c));
	if (!c || !map_narrowly(&c->map, s->read_fd) || munmap(s->memory, DPI_SHARED_LEN) ||
	    !give_up(c, supervisor, s->unconfined))
		_exit(EXIT_ENVIRONMENT);
	c->ndpi = s->ndpi;
	c->bad_n = c->map.control->bad_n < DPI_QUARANTINE ? c->map.control->bad_n : DPI_QUARANTINE;
	child_run(c);
}

static void fork_child(struct supervisor *s)
{
	pid_t self = getpid(), pid = fork();
	if (pid == 0)
		child_main(s, self);
	s->child = pid > 0 ? pid : 0;
	s->born_us = s->moved_us = clock_mono_us();
	s->moved_cpu_us = 0;
	dpi_store(&s->map.control->pid, (uint32_t)s->child);
}

static void put_u32(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, sizeof(v));
}

/* A classic capture of raw IP: 24 bytes of file header, 16 of packet header. */
static void keep_killer(struct supervisor *s, const struct dpi_record *r, const uint8_t *data)
{
	char name[64];
	uint8_t head[40];
	const uint32_t words[] = {0xa1b2c3d4, 2 | 4u << 16, 0, 0, 65535, 101 /* LINKTYPE_RAW */};
	if (!s->keep || s->map.control->kept >= KILLERS_MAX)
		return;
	for (size_t i = 0; i < 6; i++)
		put_u32(head + 4 * i, words[i]);
	put_u32(head + 24, (uint32_t)(r->ts_us / 1000000));
	put_u32(head + 28, (uint32_t)(r->ts_us % 1000000));
	put_u32(head + 32, r->n);
	put_u32(head + 36, r->n);
	snprintf(name, sizeof(name), "ndpi-killer-%lld-%u.pcap", (long long)clock_wall_us(), s->map.control->kept++);
	int fd = openat(DPI_FD_KILLERS, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, head, sizeof(head)) != sizeof(head) || write(fd, data, r->n) != (ssize_t)r->n)
		log_warn("cannot keep a packet that killed nDPI");
	if (fd >= 0)
		close(fd);
}

/* The record that the dead child had in hand, and its size. False: there is none. If
 * its numbers make no sense, all that waits is skipped. */
static bool in_hand(struct supervisor *s, struct dpi_record *r, uint64_t *size)
{
	struct dpi_child *theirs = s->map.child;
	uint64_t tail = dpi_load(&theirs->tail), head = dpi_load(&s->map.parent->head);
	dpi_store(&theirs->sleeping, 0);
	if (head - tail > DPI_DOWN_SIZE || (tail != head && (tail % 8 || !read_record(&s->map, tail, head, r, size)))) {
		dpi_store(&s->map.control->skipped, s->map.control->skipped + 1);
		dpi_store(&theirs->tail, head);
		dpi_store(&theirs->busy, 0);
		return false;
	}
	return tail != head && dpi_load(&theirs->busy);
}

static bool skip_killer(struct supervisor *s)
{
	struct dpi_child *theirs = s->map.child;
	struct dpi_control *ours = s->map.control;
	struct dpi_record r;
	uint64_t size;
	if (!in_hand(s, &r, &size))
		return false;
	uint64_t tail = dpi_load(&theirs->tail);
	if (r.kind == DPI_PACKET) {
		keep_killer(s, &r, s->map.down + tail % DPI_DOWN_SIZE + sizeof(r));
		dpi_store(&ours->skipped, ours->skipped + 1);
	}
	ours->bad[ours->bad_n++ % DPI_QUARANTINE] = r.flow;
	dpi_store(&theirs->busy, 0);
	dpi_store(&theirs->tail, tail + size);
	return true;
}

static int64_t cpu_us(pid_t pid)
{
	clockid_t id;
	struct timespec t;
	if (clock_getcpuclockid(pid, &id) || clock_gettime(id, &t))
		return 0;
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static bool stalled(struct supervisor *s)
{
	uint64_t beat = dpi_load(&s->map.child->beat);
	int64_t now_us = clock_mono_us(), used_us = cpu_us(s->child);
	if (beat != s->beat || !s->moved_cpu_us) {
		s->beat = beat;
		s->moved_us = now_us;
		s->moved_cpu_us = used_us + 1;
		return false;
	}
	return used_us - s->moved_cpu_us > STALL_CPU_US || now_us - s->moved_us > STALL_WALL_US;
}

/* One child is dead: make room for the next. */
static void bury(struct supervisor *s, uint32_t *counter)
{
	dpi_store(&s->map.control->pid, 0);
	dpi_store(counter, *counter + 1);
	bool killed = skip_killer(s);
	s->child = 0;
	s->quick = !killed && clock_mono_us() - s->born_us < QUICK_US ? s->quick + 1 : 0;
	if (s->quick > QUICK_DEATHS)
		sleep_ms(PATIENCE_MS);
}

/* The number is the child's own word: it is only looked up. */
static void tell_refused(struct supervisor *s)
{
	uint32_t refused = dpi_load(&s->map.child->refused);
	if (refused)
		log_warnx("nDPI asked for the system call %s, which its sandbox refuses: ended, started again",
			  sandbox_call_name(refused - 1));
	dpi_store(&s->map.child->refused, 0);
}

static void watch(struct supervisor *s)
{
	int status;
	if (waitpid(s->child, &status, WNOHANG) == s->child) {
		tell_refused(s);
		bury(s, &s->map.control->crashed);
	} else if (stalled(s)) {
		kill(s->child, SIGKILL);
		waitpid(s->child, &status, 0);
		bury(s, &s->map.control->stalled);
	}
}

/* Waits for a signal, or for as long as a look is due; NULL: for ever. */
static bool parent_lives(const struct supervisor *s, const struct timespec *look)
{
	struct pollfd p = {.fd = DPI_FD_ALIVE, .events = POLLIN};
	return ppoll(&p, 1, look, &s->mask) <= 0; /* any event is the end of the other side */
}

/* ---- the standby ---- */

/* Until the supervisor that forked us ends. SIGCHLD, which comes then, only wakes. The
 * other side is looked at again: when it ends, so does the supervisor, perhaps first. */
static bool stand_by(struct supervisor *s, pid_t active)
{
	const struct timespec at_once = {0};
	if (prctl(PR_SET_PDEATHSIG, SIGCHLD))
		return false;
	while (getppid() == active) {
		if (!parent_lives(s, NULL))
			return false;
	}
	return parent_lives(s, &at_once);
}

/* Its child was killed with it, but a child that is a moment late must not write
 * where the next one does. */
static void take_over(struct supervisor *s)
{
	struct dpi_record r;
	uint64_t size;
	sleep_ms(SETTLE_MS);
	log_warnx("the supervisor of nDPI was killed: its standby goes on");
	dpi_store(&s->map.control->taken_over, s->map.control->taken_over + 1);
	dpi_store(&s->map.control->pid, 0);
	in_hand(s, &r, &size);
	dpi_store(&s->map.child->busy, 0);
}

/* Returns false in the supervisor, and true in the standby once it is the supervisor. */
static bool fork_standby(struct supervisor *s)
{
	pid_t self = getpid(), pid = fork();
	if (pid != 0) {
		s->standby = pid > 0 ? pid : 0; /* tried again at the next look */
		return false;
	}
	s->child = s->standby = 0;
	if (!stand_by(s, self))
		_exit(EXIT_OK);
	take_over(s);
	return true;
}

static bool watch_standby(struct supervisor *s)
{
	if (s->standby && waitpid(s->standby, NULL, WNOHANG) == s->standby)
		s->standby = 0;
	return !s->standby && fork_standby(s);
}

/* ---- the supervisor's life ---- */

static void on_child(int sig)
{
	(void)sig; /* only to wake ppoll() */
}

static void catch_child(struct supervisor *s)
{
	struct sigaction a = {.sa_handler = on_child};
	sigset_t block;
	sigaction(SIGCHLD, &a, NULL);
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigprocmask(SIG_BLOCK, &block, &s->mask);
	sigdelset(&s->mask, SIGCHLD);
}

static void publish_names(struct supervisor *s)
{
	struct dpi_control *c = s->map.control;
	unsigned n = inspect_ndpi_protocols(s->ndpi);
	c->protocols = n < DPI_NAMES_MAX ? n : DPI_NAMES_MAX;
	for (unsigned i = 0; i < c->protocols; i++) {
		const char *name = inspect_ndpi_protocol(s->ndpi, i);
		snprintf(c->protocol[i], DPI_NAME_LEN, "%s", name ? name : "Unknown");
	}
}

static bool attach(struct supervisor *s)
{
	struct stat st;
	if (fstat(DPI_FD_SHARED, &st) || st.st_size != DPI_SHARED_LEN || fcntl(DPI_FD_ALIVE, F_GETFD) < 0)
		return false;
	s->memory = mmap(NULL, DPI_SHARED_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, DPI_FD_SHARED, 0);
	if (s->memory == MAP_FAILED)
		return false;
	s->map = dpi_map_at(s->memory);
	s->read_fd = open("/proc/self/fd/3", O_RDONLY | O_CLOEXEC);
	return s->read_fd >= 0;
}

/* The capturing process decides when we end, by the pipe: not a terminal's
 * interrupt nor a service manager's signal to the whole group, which would look
 * like a crash. Standard output is the alerts' and not for nDPI to print on. */
static void stand_apart(void)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		log_fatal(EXIT_ENVIRONMENT, "cannot open /dev/null");
	close(null);
	limit(RLIMIT_CORE, 0);
}

/* The supervisor keeps what it needs to start and watch children. */
static bool confine(const struct supervisor *s, struct err *e)
{
	struct sandbox box = {.profile = SANDBOX_SUPERVISOR};
	char killers[32];
	snprintf(killers, sizeof(killers), "/proc/self/fd/%d", DPI_FD_KILLERS);
	if (s->keep)
		sandbox_write(&box, killers);
	return s->unconfined || sandbox_enter(&box, e);
}

int dpi_worker_main(int argc, char **argv)
{
	static struct supervisor s;
	const struct timespec look = {.tv_nsec = LOOK_MS * 1000000};
	log_open("picket-dpi", LOG_LEVEL_INFO);
	if (!attach(&s)) {
		log_errorx("%s is for Picket's own use: it needs memory handed over by a sensor", DPI_WORKER_ARGUMENT);
		return EXIT_USAGE;
	}
	prctl(PR_SET_NAME, "picket-dpi");
	stand_apart();
	s.keep = argc > 2 && strcmp(argv[2], DPI_WORKER_KEEP) == 0;
	s.unconfined = argc > 3 && strcmp(argv[3], DPI_WORKER_UNCONFINED) == 0;
	/* nDPI asks for the local time of a certificate's dates; libc would open /etc/localtime then. */
	setenv("TZ", "UTC0", 1);
	tzset();
	s.ndpi = inspect_ndpi_new();
	struct err e = {"nDPI does not initialise"};
	if (!s.ndpi || !confine(&s, &e)) {
		log_errorx("%s", e.text);
		dpi_store(&s.map.control->ready, 2);
		return EXIT_ENVIRONMENT;
	}
	publish_names(&s);
	catch_child(&s);
	skip_killer(&s); /* supervisors before this one may have died with work in hand */
	for (bool now = true; now || parent_lives(&s, &look); now = watch_standby(&s)) {
		if (s.child)
			watch(&s);
		if (!s.child)
			fork_child(&s);
		dpi_store(&s.map.control->ready, 1u);
	}
	if (s.child) {
		kill(s.child, SIGKILL);
		waitpid(s.child, NULL, 0);
	}
	return EXIT_OK;
}
