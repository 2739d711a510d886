/* The nDPI process: classification of hand-made flows, what is kept from it, and
 * that its death by signal, killer packet or endless loop costs nobody else. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/clock.h"
#include "sensor/dpi.h"
#include "sensor/inspect_ndpi.h"
#include "tests/unit/pace.h"

#define T0 1700000000000000LL

/* ---- packets ---- */

struct packet_bytes {
	uint8_t b[65536];
	size_t n;
};

static void put16(uint8_t *at, size_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

/* IPv4 with UDP or TCP (20 bytes each) around the payload. */
static void make(struct packet_bytes *p, uint8_t proto, uint32_t flow, bool reply, uint16_t port, const void *payload,
		 size_t n)
{
	size_t l4 = proto == IPPROTO_TCP ? 20 : proto == IPPROTO_UDP ? 8 : 0;
	memset(p->b, 0, 40);
	p->n = 20 + l4 + n;
	p->b[0] = 0x45;
	put16(p->b + 2, p->n);
	p->b[8] = 64;
	p->b[9] = proto;
	const uint8_t client[4] = {10, 0, 0, 1}, server[4] = {192, 0, 2, 9};
	memcpy(p->b + (reply ? 16 : 12), client, 4);
	memcpy(p->b + (reply ? 12 : 16), server, 4);
	if (l4) {
		put16(p->b + (reply ? 22 : 20), 20000 + flow % 40000);
		put16(p->b + (reply ? 20 : 22), port);
	}
	if (proto == IPPROTO_UDP)
		put16(p->b + 24, 8 + n);
	if (proto == IPPROTO_TCP) {
		p->b[32] = 0x50;
		p->b[33] = 0x18;
		p->b[27] = p->b[31] = 1;
	}
	memcpy(p->b + 20 + l4, payload, n);
}

static bool give(struct dpi *d, uint32_t flow, const struct packet_bytes *p, bool reply)
{
	return dpi_submit(d, flow, T0, p->b, p->n, !reply);
}

static const char dns_query[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07"
				"example\x03"
				"com\x00\x00\x01\x00\x01";
static const char dns_answer[] =
    "\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x07"
    "example\x03"
    "com\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01";
static const char http_get[] = "GET /index.html HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\n\r\n";
static const char http_ok[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi";

/* A ClientHello with the name www.example.net. */
static size_t client_hello(uint8_t *out)
{
	static const char name[] = "www.example.net";
	size_t nn = sizeof(name) - 1, ext = 9 + nn, body = 2 + 32 + 1 + 4 + 2 + 2 + ext, n = 0;
	uint8_t head[] = {0x16, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3};
	put16(head + 3, body + 4);
	put16(head + 7, body);
	memcpy(out, head, sizeof(head));
	n = sizeof(head);
	memset(out + n, 0x5a, 32);
	n += 32;
	const uint8_t rest[] = {0, 0, 2, 0xc0, 0x2f, 1, 0};
	memcpy(out + n, rest, sizeof(rest));
	n += sizeof(rest);
	put16(out + n, ext);
	put16(out + n + 2, 0);
	put16(out + n + 4, ext - 4);
	put16(out + n + 6, ext - 6);
	out[n + 8] = 0;
	put16(out + n + 9, nn);
	memcpy(out + n + 11, name, nn);
	return n + 11 + nn;
}

static void give_dns(struct dpi *d, uint32_t flow)
{
	struct packet_bytes p;
	make(&p, IPPROTO_UDP, flow, false, 53, dns_query, sizeof(dns_query) - 1);
	assert_true(give(d, flow, &p, false));
	make(&p, IPPROTO_UDP, flow, true, 53, dns_answer, sizeof(dns_answer) - 1);
	assert_true(give(d, flow, &p, true));
}

/* ---- verdicts ---- */

struct said {
	struct dpi_verdict last[64]; /* by flow */
	unsigned finals, n;
};

static void collect(struct dpi *d, struct said *s)
{
	struct dpi_verdict v[16];
	dpi_finish(d);
	for (size_t n; (n = dpi_collect(d, v, 16)) > 0;) {
		for (size_t i = 0; i < n; i++) {
			s->n++;
			s->finals += v[i].final;
			if (v[i].flow < 64)
				s->last[v[i].flow] = v[i];
		}
	}
}

static struct dpi *open_or_die(bool wait, const char *killers, struct ledger *g)
{
	struct err e;
	struct dpi *d = dpi_open(&(struct dpi_conf){.wait = wait, .killers = killers}, g, &e);
	if (!d)
		fail_msg("%s", e.text);
	return d;
}

static void test_classify(void **state)
{
	(void)state;
	struct ledger g = {0};
	struct said s = {0};
	struct dpi *d = open_or_die(true, NULL, &g);
	struct packet_bytes p;
	uint8_t hello[256];
	assert_true(dpi_pid(d) > 0 && dpi_pid(d) != getpid());
	give_dns(d, 1);
	make(&p, IPPROTO_TCP, 2, false, 8000, http_get, sizeof(http_get) - 1);
	assert_true(give(d, 2, &p, false));
	make(&p, IPPROTO_TCP, 2, true, 8000, http_ok, sizeof(http_ok) - 1);
	assert_true(give(d, 2, &p, true));
	make(&p, IPPROTO_TCP, 3, false, 443, hello, client_hello(hello));
	assert_true(give(d, 3, &p, false));
	for (uint32_t f = 1; f <= 3; f++)
		dpi_end(d, f);
	collect(d, &s);
	assert_string_equal(s.last[1].protocol, "DNS");
	assert_string_equal(s.last[2].protocol, "HTTP");
	assert_true(s.last[2].risks >> 5 & 1); /* known protocol on another port */
	assert_string_equal(ndpi_risk_name(5), inspect_ndpi_risk(5));
	assert_string_equal(s.last[3].protocol, "TLS");
	assert_int_equal(s.finals, 3);
	assert_int_equal(g.v[LEDGER_DPI_FLOWS], 3);
	assert_int_equal(g.v[LEDGER_DPI_PACKETS], 5);
	dpi_close(d);
}

static void test_kept_away(void **state)
{
	(void)state;
	static uint8_t big[20000];
	static const uint8_t dtls[] = {0x16, 0xfe, 0xfd, 0, 0, 0, 0};
	struct ledger g = {0};
	struct said s = {0};
	struct dpi *d = open_or_die(true, NULL, &g);
	struct packet_bytes p;
	unsigned refused = 0;
	make(&p, IPPROTO_UDP, 1, false, 4433, dtls, sizeof(dtls));
	refused += !give(d, 1, &p, false);
	make(&p, IPPROTO_UDP, 1, false, 443, "", 0);
	refused += !give(d, 1, &p, false);
	make(&p, IPPROTO_TCP, 1, false, 443, "", 0);
	refused += !give(d, 1, &p, false);
	make(&p, IPPROTO_UDP, 1, false, 53, big, DPI_PACKET_MAX - 28 + 1);
	refused += !give(d, 1, &p, false);
	make(&p, IPPROTO_UDP, 1, false, 53, dns_query, sizeof(dns_query) - 1);
	p.b[6] = 0x20; /* a first fragment */
	refused += !give(d, 1, &p, false);
	assert_int_equal(refused, 5);
	make(&p, IPPROTO_UDP, 1, false, 53, dns_query, sizeof(dns_query) - 1);
	for (size_t n = 0; n < p.n; n++)
		assert_false(dpi_submit(d, 1, T0, p.b, n, true));
	make(&p, IPPROTO_UDP, 1, false, 9999, big, DPI_PACKET_MAX - 28);
	assert_true(give(d, 1, &p, false));
	make(&p, IPPROTO_ICMP, 2, false, 0, "\x08\x00\x00\x00\x00\x00\x00\x00", 8);
	assert_true(give(d, 2, &p, false));
	collect(d, &s);
	dpi_close(d);
}

/* IPv6 with extension headers: where the payload begins, and cut short. */
static void test_ipv6(void **state)
{
	(void)state;
	struct ledger g = {0};
	struct said s = {0};
	struct dpi *d = open_or_die(true, NULL, &g);
	uint8_t b[200] = {0x60, 0, 0, 0, 0, 0, 0, 64};
	size_t n = sizeof(dns_query) - 1;
	put16(b + 4, 8 + 8 + n);
	b[8] = b[24] = 0x20;
	b[23] = 1;
	b[39] = 2;
	b[6] = 0; /* hop by hop, 8 bytes, then UDP */
	b[40] = IPPROTO_UDP;
	b[42] = 1;
	b[43] = 4;
	put16(b + 48, 40000);
	put16(b + 50, 53);
	put16(b + 52, 8 + n);
	memcpy(b + 56, dns_query, n);
	assert_true(dpi_submit(d, 1, T0, b, 56 + n, true));
	for (size_t cut = 0; cut < 56 + n; cut++)
		assert_false(dpi_submit(d, 1, T0, b, cut, true));
	b[6] = 44; /* a fragment */
	assert_false(dpi_submit(d, 1, T0, b, 56 + n, true));
	dpi_end(d, 1);
	collect(d, &s);
	assert_string_equal(s.last[1].protocol, "DNS");
	dpi_close(d);
}

/* More flows than the child holds, more bytes than the queue: each flow gets its
 * last word, in wait mode nothing is lost. */
static void test_many(void **state)
{
	(void)state;
	enum { N = 40000 };
	struct ledger g = {0};
	struct said s = {0};
	struct dpi *d = open_or_die(true, NULL, &g);
	static struct packet_bytes p;
	for (uint32_t f = 1; f <= N; f++) {
		make(&p, IPPROTO_UDP, f, false, 5000, "\xde\xad\xbe\xef\xde\xad\xbe\xef", 8);
		assert_true(give(d, f, &p, false));
	}
	for (uint32_t f = 1; f <= N; f++)
		dpi_end(d, f);
	collect(d, &s);
	assert_int_equal(s.finals, N);
	assert_int_equal(g.v[LEDGER_DPI_SKIPPED], 0);
	dpi_close(d);
}

/* Wait mode gives each verdict at the same call, however the two processes are
 * scheduled. */
static void test_same_each_time(void **state)
{
	(void)state;
	enum { CALLS = 400 };
	static uint32_t said[2][CALLS];
	for (int round = 0; round < 2; round++) {
		struct ledger g = {0};
		struct dpi *d = open_or_die(true, NULL, &g);
		unsigned finals = 0;
		for (uint32_t f = 1; f <= CALLS; f++) {
			struct dpi_verdict v[3];
			if (f == CALLS - 1)
				dpi_finish(d);
			for (uint32_t k = 0; f < CALLS - 1 && k < f % 4; k++) {
				give_dns(d, f * 4 + k);
				dpi_end(d, f * 4 + k);
			}
			for (size_t n; (n = dpi_collect(d, v, 3)) > 0;) {
				for (size_t i = 0; i < n; i++) {
					finals += v[i].final;
					said[round][f - 1] += v[i].flow;
				}
			}
			if (round && f % 50 == 0)
				usleep(500);
		}
		assert_int_equal(finals, (CALLS - 4) / 4 * 6 + 1 + 2);
		dpi_close(d);
	}
	assert_memory_equal(said[0], said[1], sizeof(said[0]));
}

/* Never 0, which kill() would take for this process' own group. */
static int live_pid(const struct dpi *d)
{
	for (int i = 0; i < 5000 && !dpi_pid(d); i++)
		usleep(1000);
	assert_true(dpi_pid(d) > 0);
	return dpi_pid(d);
}

static int64_t await_verdict(struct dpi *d, uint32_t first)
{
	struct said s = {0};
	int64_t start = clock_mono_us();
	struct packet_bytes p;
	for (uint32_t f = first; clock_mono_us() - start < 10000000; f++) {
		make(&p, IPPROTO_UDP, f, false, 53, dns_query, sizeof(dns_query) - 1);
		give(d, 1 + f % 60, &p, false); /* a full queue is no failure here */
		dpi_end(d, 1 + f % 60);
		collect(d, &s);
		if (s.finals)
			return clock_mono_us() - start;
		usleep(1000);
	}
	fail_msg("no verdict within 10 s");
	return 0;
}

static void test_killed(void **state)
{
	(void)state;
	struct ledger g = {0};
	struct dpi *d = open_or_die(false, NULL, &g);
	await_verdict(d, 0);
	for (unsigned i = 1; i <= 3; i++) {
		int pid = live_pid(d);
		assert_int_equal(kill(pid, SIGKILL), 0);
		while (dpi_pid(d) == pid)
			usleep(100);
		int64_t us = await_verdict(d, 100 * i);
		printf("killed: the next verdict after %.1f ms\n", (double)us / 1000);
		assert_true((double)us < 1000000 * slowness());
		assert_int_equal(g.v[LEDGER_DPI_CRASHED], i);
	}
	dpi_close(d);
}

/* A stopped child does not beat: killed and replaced. */
static void test_stalled(void **state)
{
	(void)state;
	struct ledger g = {0};
	struct dpi *d = open_or_die(true, NULL, &g);
	struct said s = {0};
	kill(live_pid(d), SIGSTOP);
	give_dns(d, 1);
	dpi_end(d, 1);
	collect(d, &s);
	assert_int_equal(g.v[LEDGER_DPI_STALLED], 1);
	assert_int_equal(s.finals, 1); /* it was not busy: nothing was skipped */
	dpi_close(d);
}

/* 'R', 'S', 'Z' …; 0: there is no such process. */
static char process_state(int pid, int *ppid)
{
	char path[64], line[512], state = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	if (!f)
		return 0;
	if (fgets(line, sizeof(line), f) && strrchr(line, ')'))
		sscanf(strrchr(line, ')'), ") %c %d", &state, ppid);
	fclose(f);
	return state;
}

/* The worker at work and its supervisor. One whose supervisor was killed belongs to another process
 * until its signal arrives, which takes its time on a busy machine. */
static int parent_of_live(const struct dpi *d, int *child)
{
	int ppid = 0;
	for (int i = 0; i < 5000; i++, usleep(1000)) {
		*child = live_pid(d);
		if (process_state(*child, &ppid) && ppid > 1 && ppid != getpid() && *child == dpi_pid(d))
			return ppid;
	}
	fail_msg("the worker %d has no supervisor: its parent is %d", *child, ppid);
	return 0;
}

static bool lives(int pid)
{
	int ppid;
	char state = process_state(pid, &ppid);
	return state && state != 'Z';
}

/* The other child of the supervisor; waits until there is one. */
static int standby_of(int supervisor, int child)
{
	for (int ms = 0; ms < 5000; ms++, usleep(1000)) {
		char path[64];
		int pid;
		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", supervisor, supervisor);
		FILE *f = fopen(path, "r");
		assert_non_null(f);
		while (fscanf(f, "%d", &pid) == 1 && (pid == child || !lives(pid)))
			pid = 0;
		fclose(f);
		if (pid > 0)
			return pid;
	}
	fail_msg("no standby within 5 s");
	return 0;
}

static void kill_and_await(int pid, int with)
{
	kill(pid, SIGKILL);
	for (int ms = 0; ms < 5000 && (lives(pid) || lives(with)); ms++)
		usleep(1000);
	assert_false(lives(pid) || lives(with));
}

static void one_verdict(struct dpi *d, uint32_t flow)
{
	struct said s = {0};
	give_dns(d, flow);
	dpi_end(d, flow);
	collect(d, &s);
	assert_int_equal(s.finals, 1);
}

/* The supervisor itself: its standby goes on, again and again, and what waited is not lost. */
static void test_supervisor_killed(void **state)
{
	(void)state;
	struct ledger g = {0};
	struct dpi *d = open_or_die(true, NULL, &g);
	for (uint32_t i = 1; i <= 5; i++) {
		int child, supervisor = parent_of_live(d, &child), standby = standby_of(supervisor, child);
		int64_t start_us = clock_mono_us();
		kill_and_await(supervisor, child); /* its child goes with it */
		one_verdict(d, i);
		double us = (double)(clock_mono_us() - start_us);
		printf("supervisor killed: the next verdict after %.1f ms\n", us / 1000);
		assert_true(us < 1000000 * slowness());
		assert_int_equal(parent_of_live(d, &child), standby);
		assert_int_equal(g.v[LEDGER_DPI_CRASHED], i);
	}
	dpi_close(d);
}

/* A standby is replaced; when both are gone, who may still start processes starts others. */
static void test_standby_killed(void **state)
{
	(void)state;
	struct ledger g = {0};
	struct dpi *d = open_or_die(true, NULL, &g);
	int child, supervisor = parent_of_live(d, &child);
	for (int i = 0; i < 3; i++) {
		int standby = standby_of(supervisor, child);
		kill_and_await(standby, 0);
		assert_int_not_equal(standby_of(supervisor, child), standby);
	}
	one_verdict(d, 1);
	assert_int_equal(live_pid(d), child);
	int standby = standby_of(supervisor, child);
	kill(supervisor, SIGSTOP); /* so that it makes no other one meanwhile */
	kill(standby, SIGKILL);
	kill_and_await(supervisor, child);
	one_verdict(d, 2);
	assert_true(g.v[LEDGER_DPI_CRASHED] >= 1);
	supervisor = parent_of_live(d, &child);
	standby = standby_of(supervisor, child);
	dpi_close(d); /* none of them is left */
	for (int ms = 0; ms < 2000 && (lives(supervisor) || lives(standby) || lives(child)); ms++)
		usleep(1000);
	assert_false(lives(supervisor) || lives(standby) || lives(child));
}

/* ---- killers ---- */

static uint8_t *read_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	if (!f)
		return NULL;
	uint8_t *b = malloc(1 << 20);
	*n = fread(b, 1, 1 << 20, f);
	fclose(f);
	return b;
}

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void run_killer(const char *path)
{
	size_t n;
	uint8_t *b = read_file(path, &n);
	if (!b || n < 24) {
		printf("%s is not there: skipped\n", path);
		free(b);
		return;
	}
	struct ledger g = {0};
	struct said s = {0};
	struct dpi *d = open_or_die(true, NULL, &g);
	unsigned link = le32(b + 20) == 1 ? 14 : 0;
	give_dns(d, 1);
	for (size_t at = 24; at + 16 <= n;) {
		size_t len = le32(b + at + 8);
		if (at + 16 + len > n)
			break;
		if (len > link)
			dpi_submit(d, 2, T0, b + at + 16 + link, len - link, true);
		at += 16 + len;
	}
	give_dns(d, 3);
	for (uint32_t f = 1; f <= 3; f++)
		dpi_end(d, f);
	collect(d, &s);
	printf("%s: taken %lu, kept away %lu, crashed %lu\n", strrchr(path, '/') + 1,
	       (unsigned long)g.v[LEDGER_DPI_PACKETS], (unsigned long)g.v[LEDGER_DPI_SKIPPED],
	       (unsigned long)g.v[LEDGER_DPI_CRASHED]);
	assert_string_equal(s.last[3].protocol, "DNS");
	assert_int_equal(g.v[LEDGER_DPI_CRASHED] + g.v[LEDGER_DPI_STALLED], 0);
	dpi_close(d);
	free(b);
}

static void test_killers(void **state)
{
	(void)state;
	run_killer("../shared/killers/ndpi42-dtls-null.min.pcap");
	run_killer("../shared/killers/ndpi42-dnsloop.pcap");
	run_killer("../shared/killers/ndpi42-quic-overread.min.pcap");
}

static unsigned files_in(const char *folder, bool clean)
{
	unsigned n = 0;
	DIR *dir = opendir(folder);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		if (e->d_name[0] == '.')
			continue;
		char path[600];
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		n++;
		if (clean)
			unlink(path);
	}
	if (dir)
		closedir(dir);
	return n;
}

/* The child dies with a record in hand: that record is skipped and kept, its flow
 * is left alone, the others go on. The kill is aimed by chance: a flood keeps
 * the child busy until one hits. */
static void test_quarantine(void **state)
{
	(void)state;
	char folder[] = "/tmp/picket-killers-XXXXXX";
	assert_non_null(mkdtemp(folder));
	struct ledger g = {0};
	struct dpi *d = open_or_die(false, folder, &g);
	struct said s = {0};
	static struct packet_bytes p;
	uint8_t hello[256];
	size_t n = client_hello(hello);
	int64_t start = clock_mono_us();
	while (!files_in(folder, false) && clock_mono_us() - start < 10000000) {
		int pid = dpi_pid(d);
		for (uint32_t f = 0; f < 3000; f++) {
			make(&p, IPPROTO_TCP, f, false, 443, hello, n);
			give(d, 1000 + f, &p, false);
			if (f == 1500 && pid > 0)
				kill(pid, SIGKILL);
		}
		collect(d, &s);
		usleep(2000);
	}
	collect(d, &s);
	assert_true(g.v[LEDGER_DPI_CRASHED] > 0);
	assert_true(files_in(folder, true) > 0);
	assert_int_equal(rmdir(folder), 0);
	assert_true(await_verdict(d, 0) < 10000000);
	dpi_close(d);
}

/* The tables of names are those of the installed library. */
static void test_names(void **state)
{
	(void)state;
	struct inspect_ndpi *n = inspect_ndpi_new();
	assert_non_null(n);
	for (unsigned i = 0; i < inspect_ndpi_protocols(n); i++) {
		if (!ndpi_protocol_number(inspect_ndpi_protocol(n, i)))
			fail_msg("nDPI knows \"%s\", the table does not", inspect_ndpi_protocol(n, i));
	}
	for (unsigned bit = 0; bit < 70; bit++) {
		const char *mine = ndpi_risk_name(bit), *its = inspect_ndpi_risk(bit);
		assert_true(!mine == !its && (!mine || !strcmp(mine, its)));
	}
	assert_true(ndpi_protocol_number("dns"));
	assert_false(ndpi_protocol_number("dn"));
	assert_false(ndpi_protocol_number(""));
	assert_false(ndpi_protocol_number("zzzz"));
	inspect_ndpi_free(n);
}

static void test_open_fails(void **state)
{
	(void)state;
	struct ledger g = {0};
	struct err e;
	assert_null(dpi_open(&(struct dpi_conf){.wait = true, .killers = "/nonexistent/folder"}, &g, &e));
	assert_non_null(strstr(e.text, "/nonexistent/folder"));
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], DPI_WORKER_ARGUMENT) == 0)
		return dpi_worker_main(argc, argv);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_classify),
	    cmocka_unit_test(test_kept_away),
	    cmocka_unit_test(test_ipv6),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_killed),
	    cmocka_unit_test(test_stalled),
	    cmocka_unit_test(test_killers),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_supervisor_killed),
	    cmocka_unit_test(test_standby_killed),
	    cmocka_unit_test(test_quarantine),
	    cmocka_unit_test(test_open_fails),
	    cmocka_unit_test(test_same_each_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
