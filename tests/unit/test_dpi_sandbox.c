/* nDPI taken over: in place of nDPI stands code that does what an attacker would.
 * The door's functions are defined here, so that the real one is not linked. Each
 * try ends the child, is counted, and the next packet is judged by another child. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/clock.h"
#include "common/sandbox.h"
#include "sensor/dpi.h"
#include "sensor/inspect_ndpi.h"
#include "tests/unit/pace.h"

enum deed {
	NOTHING = 'A',
	OPEN,
	SOCKET,
	EXECVE,
	PTRACE,
	FORK,
	KILL,
	CODE,
	LIMITS,
	SECCOMP,
	TRAP_OFF,
	CRASH,
	ENDLESS,
	DEED_END
};

static const struct {
	enum deed deed;
	const char *call; /* as the log names it */
} deeds[] = {
    {SOCKET, "socket"}, {EXECVE, "execve"},
#ifndef __SANITIZE_ADDRESS__ /* which needs the others itself */
    {OPEN, "openat"},   {PTRACE, "ptrace"},    {FORK, "clone"},    {KILL, "kill"},
    {CODE, "mmap"},     {LIMITS, "prlimit64"}, {SECCOMP, "prctl"}, {TRAP_OFF, "rt_sigaction"},
#endif
};

/* ---- in the place of nDPI ---- */

static void do_deed(enum deed d)
{
	char *argv[] = {NULL};
	struct rlimit r = {100, 100};
	switch (d) {
	case OPEN:
		if (open("/etc/passwd", O_RDONLY) >= 0)
			abort();
		break;
	case SOCKET:
		socket(AF_INET, SOCK_DGRAM, 0);
		break;
	case EXECVE:
		execve("/bin/true", argv, argv);
		break;
	case PTRACE:
		ptrace(PTRACE_ATTACH, 1, NULL, NULL);
		break;
	case FORK:
		fork();
		break;
	case KILL:
		kill(1, SIGKILL);
		break;
	case CODE:
		mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		break;
	case LIMITS:
		setrlimit(RLIMIT_NOFILE, &r);
		break;
	case SECCOMP:
		syscall(SYS_prctl, 4 /* PR_SET_DUMPABLE */, 1, 0, 0, 0);
		break;
	case CRASH:
		raise(SIGSEGV); /* a handler of sanitizers must not make it an exit code */
		abort();
	case ENDLESS:
		for (volatile bool ever = true; ever;)
			;
		break;
	case TRAP_OFF:
		signal(SIGSYS, SIG_IGN);
		break;
	default:
		break;
	}
}

struct inspect_ndpi {
	int unused;
};
static struct inspect_ndpi module;

struct inspect_ndpi *inspect_ndpi_new(void)
{
	return &module;
}

void inspect_ndpi_free(struct inspect_ndpi *n)
{
	(void)n;
}

unsigned inspect_ndpi_protocols(struct inspect_ndpi *n)
{
	(void)n;
	return 2;
}

const char *inspect_ndpi_protocol(struct inspect_ndpi *n, unsigned id)
{
	(void)n;
	return id ? "Judged" : "Unknown";
}

const char *inspect_ndpi_risk(unsigned bit)
{
	(void)bit;
	return NULL;
}

struct inspect_ndpi_flow *inspect_ndpi_flow_new(void)
{
	return malloc(1);
}

void inspect_ndpi_flow_free(struct inspect_ndpi_flow *f)
{
	free(f);
}

struct inspect_ndpi_result inspect_ndpi_packet(struct inspect_ndpi *n, struct inspect_ndpi_flow *f, const uint8_t *ip,
					       uint16_t len, uint64_t ms)
{
	(void)n;
	(void)f;
	(void)ms;
	do_deed(ip[len - 1]);
	return (struct inspect_ndpi_result){.app = 1, .final = true};
}

struct inspect_ndpi_result inspect_ndpi_giveup(struct inspect_ndpi *n, struct inspect_ndpi_flow *f)
{
	(void)n;
	(void)f;
	return (struct inspect_ndpi_result){.app = 0};
}

/* ---- the test ---- */

static bool give_any(struct dpi *d, uint32_t flow, enum deed deed)
{
	/* IPv4, UDP, one byte of payload */
	uint8_t p[29] = {0x45, 0, 0, 29,  0, 0, 0, 0,    64,   IPPROTO_UDP, 0,  0, 10,
			 0,    0, 1, 192, 0, 2, 1, 0x30, 0x39, 0,           99, 0, 9};
	p[28] = (uint8_t)deed;
	return dpi_submit(d, flow, 1700000000000000, p, sizeof(p), true);
}

static void give(struct dpi *d, uint32_t flow, enum deed deed)
{
	assert_true(give_any(d, flow, deed));
}

static unsigned verdicts(struct dpi *d)
{
	struct dpi_verdict v[16];
	unsigned n = 0;
	dpi_finish(d);
	for (size_t k; (k = dpi_collect(d, v, 16)) > 0;)
		for (size_t i = 0; i < k; i++)
			n += strcmp(v[i].protocol, "Judged") == 0;
	return n;
}

/* What a supervisor says of it goes to our standard error: kept in a file. */
static char *log_of(struct dpi *(*work)(struct ledger *), struct ledger *g)
{
	static char text[65536];
	char path[] = "/tmp/test_dpi_sandbox.XXXXXX";
	int fd = mkstemp(path), saved = dup(STDERR_FILENO);
	unlink(path);
	dup2(fd, STDERR_FILENO);
	dpi_close(work(g));
	dup2(saved, STDERR_FILENO);
	close(saved);
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	close(fd);
	return text;
}

static struct dpi *try_all(struct ledger *g)
{
	struct err e = {""};
	struct dpi *d = dpi_open(&(struct dpi_conf){.wait = true}, g, &e);
	assert_non_null(d);
	uint32_t flow = 1;
	for (size_t i = 0; i < sizeof(deeds) / sizeof(*deeds); i++) {
		uint64_t before = g->v[LEDGER_DPI_CRASHED];
		give(d, flow++, NOTHING);
		give(d, flow++, deeds[i].deed);
		give(d, flow++, NOTHING);
		unsigned judged = verdicts(d);
		if (judged != 2 || g->v[LEDGER_DPI_CRASHED] != before + 1)
			fail_msg("%s: %u of 2 innocent packets judged, %u crashes", deeds[i].call, judged,
				 (unsigned)(g->v[LEDGER_DPI_CRASHED] - before));
	}
	return d;
}

static void test_deeds(void **state)
{
	(void)state;
	struct ledger g = {0};
	const char *log = log_of(try_all, &g);
	for (size_t i = 0; i < sizeof(deeds) / sizeof(*deeds); i++) {
		char want[64];
		snprintf(want, sizeof(want), "the system call %s,", deeds[i].call);
		if (!strstr(log, want))
			fail_msg("no \"%s\" in:\n%s", want, log);
	}
}

/* Only what was granted is gone: without the sandbox the same deed is done. */
static struct dpi *try_unconfined(struct ledger *g)
{
	struct err e = {""};
	struct dpi *d = dpi_open(&(struct dpi_conf){.wait = true, .unconfined = true}, g, &e);
	assert_non_null(d);
	give(d, 1, SOCKET);
	give(d, 2, NOTHING);
	assert_int_equal(verdicts(d), 2);
	assert_int_equal(g->v[LEDGER_DPI_CRASHED], 0);
	return d;
}

static void test_unconfined(void **state)
{
	(void)state;
	struct ledger g = {0};
	assert_string_equal(log_of(try_unconfined, &g), "");
}

/* ---- a flood with killers in it ---- */

#define FLOOD    50000u
#define EVERY    1000u
#define BURST    50u
#define PAUSE_US 1000

static size_t kept_in(const char *folder)
{
	size_t n = 0;
	DIR *d = opendir(folder);
	for (struct dirent *e; d && (e = readdir(d));)
		if (e->d_name[0] != '.') {
			char path[300];
			snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
			unlink(path);
			n++;
		}
	if (d)
		closedir(d);
	return n;
}

struct flood {
	uint32_t flows; /* the killers come from so many, in turn */
	enum deed deed;
	unsigned judged, innocent, kept;
	int64_t gap_us;
};

/* Live: nothing is waited for. Every 1,000th packet kills. */
static struct dpi *flood(struct flood *f, struct ledger *g)
{
	struct err e = {""};
	char folder[] = "/tmp/test_dpi_flood.XXXXXX";
	assert_non_null(mkdtemp(folder));
	struct dpi *d = dpi_open(&(struct dpi_conf){.killers = folder}, g, &e);
	assert_non_null(d);
	unsigned judged = 0, innocent = 0;
	double slow = slowness();
	int64_t last_us = clock_mono_us(), gap_us = 0;
	for (uint32_t i = 0; i < FLOOD; i++) {
		bool killer = i % EVERY == EVERY / 2;
		give_any(d, killer ? 1 + i / EVERY % f->flows : 100 + i, killer ? f->deed : NOTHING);
		innocent += !killer;
		if (i % BURST)
			continue;
		struct dpi_verdict v[64];
		for (size_t k; (k = dpi_collect(d, v, 64)) > 0;) {
			int64_t now_us = clock_mono_us();
			gap_us = now_us - last_us > gap_us ? now_us - last_us : gap_us;
			last_us = now_us;
			judged += (unsigned)k;
		}
		usleep(PAUSE_US);
	}
	for (int ms = 0; ms < 10000 && judged < innocent; ms++) {
		struct dpi_verdict v[64];
		judged += (unsigned)dpi_collect(d, v, 64);
		usleep(1000);
	}
	f->kept = (unsigned)kept_in(folder);
	rmdir(folder);
	printf("%u of %u innocent packets judged, %u killers of %u flows: %u crashes, %u stalls, %u kept, %u kept "
	       "away; at most %.0f ms without a verdict\n",
	       judged, innocent, FLOOD / EVERY, f->flows, (unsigned)g->v[LEDGER_DPI_CRASHED],
	       (unsigned)g->v[LEDGER_DPI_STALLED], f->kept, (unsigned)g->v[LEDGER_DPI_SKIPPED], (double)gap_us / 1000);
	assert_int_equal(g->v[LEDGER_DPI_SKIPPED], FLOOD / EVERY);
	assert_int_equal(judged, innocent);
	double after = slowness();
	slow = after > slow ? after : slow;
	if ((double)gap_us > 1000000 * slow)
		fail_msg("%.0f ms without a verdict on a machine that is %.1f times as slow as one that is idle",
			 (double)gap_us / 1000, slow);
	return d;
}

/* From few flows again and again; from ever new ones, as a sender who forges sources
 * would do it; and of a kind that does not crash but loops, whose first packets wait
 * for the stall to be seen. */
static void test_flood(void **state)
{
	(void)state;
	struct flood few = {.flows = 3, .deed = CRASH}, many = {.flows = FLOOD / EVERY, .deed = CRASH};
	struct ledger g = {0};
	dpi_close(flood(&few, &g));
	assert_int_equal(g.v[LEDGER_DPI_CRASHED], 3);
	assert_int_equal(few.kept, 3);
	g = (struct ledger){0};
	dpi_close(flood(&many, &g));
	assert_int_equal(g.v[LEDGER_DPI_CRASHED], FLOOD / EVERY);
	assert_int_equal(many.kept, FLOOD / EVERY);
	g = (struct ledger){0};
	struct flood loops = {.flows = 2, .deed = ENDLESS};
	dpi_close(flood(&loops, &g));
	assert_int_equal(g.v[LEDGER_DPI_STALLED], 2);
}

/* Wait mode (scan): many killers, each in a flow of its own, must not take long. And
 * a flow whose packet asked for a forbidden call is looked at no more. */
static struct dpi *many_in_wait_mode(struct ledger *g)
{
	enum { KILLERS = 400 };
	struct err e = {""};
	struct dpi *d = dpi_open(&(struct dpi_conf){.wait = true}, g, &e);
	assert_non_null(d);
	int64_t start_us = clock_mono_us();
	for (uint32_t i = 0; i < KILLERS; i++) {
		give(d, 1 + i, i % 2 ? CRASH : SOCKET);
		give(d, 1 + i, NOTHING); /* the same flow: kept away */
		give(d, 10001 + i, NOTHING);
	}
	assert_int_equal(verdicts(d), KILLERS);
	assert_int_equal(g->v[LEDGER_DPI_CRASHED], KILLERS);
	assert_int_equal(g->v[LEDGER_DPI_SKIPPED], 2 * KILLERS);
	assert_true(clock_mono_us() - start_us < 20000000); /* 2.5 ms each on a quiet machine */
	return d;
}

static void test_many_in_wait_mode(void **state)
{
	(void)state;
	struct ledger g = {0};
	log_of(many_in_wait_mode, &g);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], DPI_WORKER_ARGUMENT) == 0)
		return dpi_worker_main(argc, argv);
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_deeds), cmocka_unit_test(test_unconfined),
					   cmocka_unit_test(test_flood), cmocka_unit_test(test_many_in_wait_mode)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
