/* The heuristics: each with what it is for and with its benign twins, judged from
 * the notes of 1, 2 and 4 workers in shuffled order; rules that override and
 * silence them; bounds under a flood of sources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/clock.h"
#include "sensor/heuristic.h"
#include "sensor/heuristic_part.h"
#include "sensor/heuristic_thread.h"
#include "sensor/sensor_conf.h"

#define SECOND      1000000LL
#define START_US    (1700000000 * SECOND)
#define SERVER      "203.0.113.7"
#define CLIENT      "10.1.2.3"
#define RESOLVER    "10.0.0.53"
#define LAG_US      1500000 /* a worker may be so far behind another */
#define WORKERS_MAX 4

struct scene {
	struct sight *sight;
	size_t n, cap;
	unsigned seed;
	uint16_t src_port;
};

/* ---- scenes ---- */

static struct addr address(const char *text)
{
	struct addr a;
	assert_true(addr_parse(text, strlen(text), &a));
	return a;
}

static struct sight *add(struct scene *s, int64_t at_us, enum sight_kind kind, const char *src, const char *dest,
			 unsigned port)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 1024;
		s->sight = xrealloc(s->sight, s->cap * sizeof(*s->sight));
	}
	struct sight *one = &s->sight[s->n++];
	memset(one, 0, sizeof(*one));
	one->ts_us = START_US + at_us;
	one->kind = (uint8_t)kind;
	one->src = address(src);
	one->dest = address(dest);
	one->src_port = s->src_port;
	one->dest_port = (uint16_t)port;
	one->proto = 6;
	return one;
}

enum fate { TAKEN, REFUSED, SILENT };

/* A connection that carries so many bytes and ends after half a second. */
static void talk(struct scene *s, int64_t at_us, const char *src, const char *dest, unsigned port, uint32_t sent,
		 uint32_t got)
{
	s->src_port++;
	uint32_t isn = (uint32_t)rand_r(&s->seed), reply_isn = (uint32_t)rand_r(&s->seed) | 1;
	add(s, at_us, SIGHT_OPENED, src, dest, port)->seq = isn;
	struct sight *answer = add(s, at_us + 20000, SIGHT_ANSWERED, src, dest, port);
	answer->seq = reply_isn;
	answer->ack = isn + 1;
	struct sight *end = add(s, at_us + 500000, SIGHT_CLOSED, src, dest, port);
	end->seq = isn + 1 + sent;
	end->ack = reply_isn + 1 + got;
}

static void attempt(struct scene *s, int64_t at_us, const char *src, const char *dest, unsigned port, enum fate fate)
{
	if (fate == TAKEN) {
		talk(s, at_us, src, dest, port, 500, 5000);
		return;
	}
	s->src_port++;
	add(s, at_us, SIGHT_OPENED, src, dest, port);
	if (fate == REFUSED)
		add(s, at_us + 1000, SIGHT_REFUSED, src, dest, port);
}

static const char *nth_address(unsigned i)
{
	static char text[4][32];
	snprintf(text[i % 4], sizeof(text[0]), "198.51.%u.%u", 100 + i / 250, 1 + i % 250);
	return text[i % 4];
}

static void ask(struct scene *s, int64_t at_us, const char *name, int rcode)
{
	s->src_port++;
	for (int i = 0; i < 2; i++) {
		struct sight *one = add(s, at_us + i * 3000, i ? SIGHT_DNS_ANSWER : SIGHT_DNS_QUERY, CLIENT, RESOLVER,
					53);
		one->proto = 17;
		one->rcode = (uint8_t)(i ? rcode : 0);
		one->name_n = (uint8_t)strlen(name);
		memcpy(one->name, name, one->name_n);
	}
}

static void ports_refused(struct scene *s)
{
	for (unsigned i = 0; i < 100; i++)
		attempt(s, i * 10000, CLIENT, SERVER, 1 + i, i % 10 == 5 ? TAKEN : REFUSED);
}

static void ports_silent(struct scene *s)
{
	for (unsigned i = 0; i < 30; i++)
		attempt(s, i * 100000, CLIENT, SERVER, 1000 + i, SILENT);
	talk(s, 30 * SECOND, CLIENT, "203.0.113.99", 443, 1, 1);
}

static void page_of_60_connections(struct scene *s)
{
	for (unsigned i = 0; i < 60; i++)
		attempt(s, i * 5000, CLIENT, SERVER, 443, TAKEN);
}

static void server_that_is_down(struct scene *s)
{
	for (unsigned i = 0; i < 200; i++)
		attempt(s, i * 200000, CLIENT, SERVER, 443, i % 2 ? REFUSED : SILENT);
}

static void passive_ftp(struct scene *s)
{
	for (unsigned i = 0; i < 100; i++)
		attempt(s, i * 300000, CLIENT, SERVER, 40000 + i, TAKEN);
}

static void few_ports(struct scene *s)
{
	for (unsigned i = 0; i < 24; i++)
		attempt(s, i * 100000, CLIENT, SERVER, 1 + i, REFUSED);
}

static void slow_ports(struct scene *s)
{
	for (unsigned i = 0; i < 60; i++)
		attempt(s, i * 20 * SECOND, CLIENT, SERVER, 1 + i, REFUSED);
}

/* Many clients of a server that is down, each at its own port. */
static void backend_pool(struct scene *s)
{
	char src[32];
	for (unsigned i = 0; i < 200; i++) {
		snprintf(src, sizeof(src), "10.9.%u.%u", i / 100, 1 + i % 100);
		attempt(s, i * 50000, src, SERVER, 8000 + i, REFUSED);
	}
}

static void addresses_silent(struct scene *s)
{
	for (unsigned i = 0; i < 50; i++)
		attempt(s, i * 20000, CLIENT, nth_address(i), 445, i % 10 == 3 ? TAKEN : SILENT);
	talk(s, 30 * SECOND, CLIENT, "203.0.113.99", 443, 1, 1);
}

static void crawler(struct scene *s)
{
	for (unsigned i = 0; i < 1500; i++)
		attempt(s, i * 40000, CLIENT, nth_address(i), 443, i % 10 == 3 ? SILENT : TAKEN);
}

static void few_addresses(struct scene *s)
{
	for (unsigned i = 0; i < 500; i++)
		attempt(s, i * 50000, CLIENT, nth_address(i % 39), 445, SILENT);
	talk(s, 60 * SECOND, CLIENT, "203.0.113.99", 443, 1, 1);
}

static int64_t jitter(struct scene *s, int64_t by_us)
{
	return (int64_t)rand_r(&s->seed) % (2 * by_us) - by_us;
}

static void beacon(struct scene *s)
{
	for (int i = 0; i < 20; i++)
		talk(s, i * 60 * SECOND + jitter(s, 500000), CLIENT, SERVER, 443, 310, 120);
}

static void beacon_unanswered(struct scene *s)
{
	for (int i = 0; i < 20; i++)
		attempt(s, i * 30 * SECOND, CLIENT, SERVER, 8443, SILENT);
}

static void person_browsing(struct scene *s)
{
	int64_t at_us = 0;
	for (int i = 0; i < 200; i++) {
		at_us += 6 * SECOND + (int64_t)rand_r(&s->seed) % (120 * SECOND);
		talk(s, at_us, CLIENT, SERVER, 443, 310, 120);
	}
}

/* A page that loads itself again every minute, with several connections. */
static void page_that_reloads(struct scene *s)
{
	for (int i = 0; i < 60; i++)
		for (int k = 0; k < 4; k++)
			talk(s, i * 60 * SECOND + k * 30000, CLIENT, SERVER, 443, 310, 120);
}

static void mail_poll(struct scene *s)
{
	for (int i = 0; i < 60; i++)
		talk(s, i * 60 * SECOND, CLIENT, SERVER, 993, 310, (uint32_t)(200 + rand_r(&s->seed) % 20000));
}

static void monitoring_inside(struct scene *s)
{
	for (int i = 0; i < 60; i++)
		talk(s, i * 60 * SECOND, CLIENT, "10.7.7.7", 443, 310, 120);
}

/* Keep-alives within one connection: it opens once in an hour. */
static void keep_alive(struct scene *s)
{
	talk(s, 0, CLIENT, SERVER, 443, 310, 120);
	talk(s, 3600 * SECOND, CLIENT, SERVER, 443, 310, 120);
}

static void random_hex(struct scene *s, char *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = "0123456789abcdef"[rand_r(&s->seed) % 16];
	out[n] = '\0';
}

static void tunnel(struct scene *s)
{
	char label[64], name[128];
	for (int i = 0; i < 150; i++) {
		random_hex(s, label, 50);
		snprintf(name, sizeof(name), "%s.T.Example.co.uk", label);
		ask(s, i * SECOND, name, 0);
	}
}

static void tunnel_without_domain(struct scene *s)
{
	char label[64], name[128];
	for (int i = 0; i < 150; i++) {
		random_hex(s, label, 60);
		snprintf(name, sizeof(name), "dnscat.%s.%.20s", label, label + 20);
		ask(s, i * SECOND, name, 3);
	}
}

static void long_names_again_and_again(struct scene *s)
{
	char name[128];
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "d%02d8f7e6c5b4a392817f6e5d4c3b2a1.cdn.example.net", i % 90);
		ask(s, i * 250000, name, 0);
	}
}

static void search_list(struct scene *s)
{
	static const char *const suffix[] = {"default.svc.cluster.local", "svc.cluster.local", "corp.example.com"};
	char name[160];
	for (int i = 0; i < 300; i++) {
		for (int k = 0; k < 3; k++) {
			snprintf(name, sizeof(name), "www%d.partner-with-a-name-%d.com.%s", i, i / 5, suffix[k]);
			ask(s, i * 500000 + k * 1000, name, 3);
		}
		snprintf(name, sizeof(name), "www%d.partner-with-a-name-%d.com", i, i / 5);
		ask(s, i * 500000 + 10000, name, 0);
	}
}

static void generated_domains(struct scene *s)
{
	char label[32], name[64];
	for (int i = 0; i < 80; i++) {
		random_hex(s, label, 12);
		snprintf(name, sizeof(name), "%s.%s", label, i % 2 ? "com" : "co.jp");
		ask(s, i * SECOND, name, i == 50 ? 0 : 3);
	}
}

static void block_lists_and_reverse_names(struct scene *s)
{
	char name[128];
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "%d.2.0.192.bl.example.org", i);
		ask(s, i * 100000, name, 3);
		snprintf(name, sizeof(name), "7.%d.%d.198.in-addr.arpa", i % 256, i / 256);
		ask(s, i * 100000 + 5000, name, 3);
		snprintf(name, sizeof(name), "printer-%d.lan", i);
		ask(s, i * 100000 + 7000, name, 3);
	}
}

/* A mail server's resolver: many senders' domains are dead, more are not. */
static void mail_server(struct scene *s)
{
	char name[128];
	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "sender%d.com", i);
		ask(s, i * 500000, name, i % 3 ? 0 : 3);
	}
}

static const struct {
	const char *label;
	void (*make)(struct scene *s);
	const char *expect; /* a line per alert: heuristic src dest:port evidence */
} scenes[] = {
    {"ports, refused", ports_refused,
     "port-scan 10.1.2.3 203.0.113.7:28 25 ports of 203.0.113.7 within 0.3 s in vain\n"},
    {"ports, no answer", ports_silent,
     "port-scan 10.1.2.3 203.0.113.7:1029 25 ports of 203.0.113.7 within 2.4 s in vain\n"},
    {"twin: a page of 60 connections", page_of_60_connections, ""},
    {"twin: a server that is down", server_that_is_down, ""},
    {"twin: passive FTP", passive_ftp, ""},
    {"twin: 24 ports", few_ports, ""},
    {"twin: three ports a minute", slow_ports, ""},
    {"twin: many clients, each at one port", backend_pool, ""},
    {"addresses, no answer", addresses_silent,
     "address-scan 10.1.2.3 198.51.100.50:445 45 addresses on port 445 within 1.0 s in vain\n"},
    {"twin: a crawler that meets dead sites", crawler, ""},
    {"twin: 39 addresses again and again", few_addresses, ""},
    {"beacon", beacon,
     "beacon 10.1.2.3 203.0.113.7:443 interval 60.0 s ± 0.3 s over 12 connections, 310 bytes sent, "
     "120 received\n"},
    {"beacon that nobody answers", beacon_unanswered,
     "beacon 10.1.2.3 203.0.113.7:8443 interval 30.0 s ± 0.0 s over 12 connections, 0 bytes sent, 0 received\n"},
    {"twin: a person browsing", person_browsing, ""},
    {"twin: a page that reloads", page_that_reloads, ""},
    {"twin: mail poll", mail_poll, ""},
    {"twin: monitoring inside the house", monitoring_inside, ""},
    {"twin: keep-alives", keep_alive, ""},
    {"tunnel", tunnel,
     "dns-tunnel 10.1.2.3 10.0.0.53:53 100 names below example.co.uk within 99.0 s carry 5300 bytes\n"},
    {"tunnel without a domain", tunnel_without_domain,
     "dns-tunnel 10.1.2.3 10.0.0.53:53 100 names of no known domain asked of 10.0.0.53 within 99.0 s carry 8800 "
     "bytes\n"},
    {"twin: 90 long names again and again", long_names_again_and_again, ""},
    {"twin: a search list", search_list, ""},
    {"generated domains", generated_domains,
     "nxdomain-flood 10.1.2.3 10.0.0.53:53 50 of 50 domains asked for within 49.0 s do not exist\n"},
    {"twin: block lists, reverse names, printers", block_lists_and_reverse_names, ""},
    {"twin: a mail server", mail_server, ""},
};

/* ---- judging ---- */

struct run {
	struct sensor_conf conf;
	struct armed armed;
	struct alert_origin origin;
	struct buf text;
	enum severity severity; /* of the last alert, and its set */
	char set[64];
	struct heuristics *h;
};

static bool take_alert(void *owner, const struct ruleset *r, const struct alert *a, bool repeat)
{
	struct run *run = owner;
	char src[ADDR_TEXT_LEN], dest[ADDR_TEXT_LEN];
	struct indicator i = ruleset_indicator(r, a->indicator);
	assert_false(repeat);
	assert_int_equal(a->where, WHERE_HEURISTIC);
	buf_printf(&run->text, "%s %s %s:%u %.*s\n", i.value, addr_format(&a->flow.src, src),
		   addr_format(&a->flow.dest, dest), a->flow.dest_port, (int)a->observable.n,
		   (const char *)a->observable.p);
	run->severity = i.severity;
	snprintf(run->set, sizeof(run->set), "%s", ruleset_set(r, a->indicator).id);
	struct buf json = {0};
	alert_json(&json, a, r, &run->origin);
	assert_true(json.n > 100);
	buf_free(&json);
	return true;
}

/* entry: a heuristic that the rules name; allow: a value that they let pass (NULL: none). */
static struct ruleset *rules_with(const char *entry, enum indicator_type type, const char *allow)
{
	struct err e = {.text = ""};
	struct ruleset_builder *b = ruleset_builder_new();
	uint32_t set = ruleset_add_set(b, &(struct indicator_set){.id = "mine", .version = 1});
	struct indicator i = {.type = INDICATOR_HEURISTIC, .value = entry, .severity = SEVERITY_CRITICAL};
	struct indicator other = {.type = INDICATOR_DOMAIN, .value = "other.example"};
	assert_int_equal(ruleset_add(b, set, &other, &e), ADDED);
	if (entry)
		assert_int_equal(ruleset_add(b, set, &i, &e), ADDED);
	if (allow)
		assert_true(ruleset_allow(b, type, allow, "known", 0, &e));
	struct ruleset *r = ruleset_build(b, &e);
	assert_non_null(r);
	ruleset_builder_free(b);
	return r;
}

static void begin(struct run *run, bool on, const char *entry, enum indicator_type type, const char *allow)
{
	struct err e;
	struct diags d = {0};
	*run = (struct run){.origin = {.sensor_id = "test", .site = "", .tenant = ""}};
	assert_true(conf_load(sensor_keys, sensor_keys_n, NULL, &run->conf, &d));
	for (int i = 0; i < HEURISTIC_COUNT; i++)
		run->conf.heuristic.on[i] = on;
	run->armed = (struct armed){.rules = rules_with(entry, type, allow), .generation = 1};
	struct heuristics_conf conf = {
	    .thresholds = &run->conf.heuristic, .origin = &run->origin, .alert = take_alert, .owner = run};
	run->h = heuristics_new(&conf, &run->armed, &e);
	assert_non_null(run->h);
	buf_add(&run->text, "", 1);
	run->text.n = 0;
}

static void end(struct run *run)
{
	heuristics_free(run->h);
	ruleset_free(run->armed.rules);
	buf_free(&run->text);
	conf_free(sensor_keys, sensor_keys_n, &run->conf);
}

static int by_time(const void *a, const void *b)
{
	const struct sight *x = a, *y = b;
	return x->ts_us < y->ts_us ? -1 : x->ts_us > y->ts_us;
}

static unsigned worker_of(const struct sight *s, unsigned workers)
{
	unsigned sum = s->src_port + s->dest_port;
	for (size_t i = 0; i < sizeof(s->src); i++)
		sum = sum * 31 + s->src.b[i] + s->dest.b[i];
	return (sum >> 3) % workers;
}

/* Each worker's notes in order, the workers' among each other as they please, but
 * none further behind than LAG_US. */
static void feed_workers(struct heuristics *h, const struct scene *s, unsigned workers, unsigned seed)
{
	size_t at[WORKERS_MAX] = {0};
	for (size_t left = s->n; left;) {
		int64_t least_us = INT64_MAX;
		unsigned behind = 0, chosen = (unsigned)rand_r(&seed) % workers;
		for (unsigned w = 0; w < workers; w++) {
			while (at[w] < s->n && worker_of(&s->sight[at[w]], workers) != w)
				at[w]++;
			if (at[w] < s->n && s->sight[at[w]].ts_us < least_us) {
				least_us = s->sight[at[w]].ts_us;
				behind = w;
			}
		}
		if (at[chosen] == s->n || s->sight[at[chosen]].ts_us > least_us + LAG_US)
			chosen = behind;
		heuristics_sight(h, &s->sight[at[chosen]++]);
		left--;
	}
	heuristics_finish(h, s->sight[s->n - 1].ts_us);
}

static const char *run_text(struct run *run)
{
	buf_add(&run->text, "", 1);
	return (const char *)run->text.p;
}

static void make(struct scene *s, size_t i, unsigned seed)
{
	*s = (struct scene){.seed = seed, .src_port = 40000};
	scenes[i].make(s);
	qsort(s->sight, s->n, sizeof(*s->sight), by_time);
}

static void test_scenes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++) {
		struct scene s;
		struct run run;
		make(&s, i, 7);
		begin(&run, true, NULL, INDICATOR_NONE, NULL);
		feed_workers(run.h, &s, 1, 1);
		if (strcmp(run_text(&run), scenes[i].expect) != 0)
			fail_msg("%s:\n%s-- expected\n%s--", scenes[i].label, run_text(&run), scenes[i].expect);
		end(&run);
		free(s.sight);
	}
}

/* All scenes as they overlap on one wire: the same alerts, in the same order,
 * however many workers there are and however they interleave. */
static void test_workers(void **state)
{
	(void)state;
	unsigned seed = getenv("SEED") ? (unsigned)atoi(getenv("SEED")) : (unsigned)time(NULL);
	struct scene all = {.seed = 7, .src_port = 1000};
	for (size_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++)
		if (strncmp(scenes[i].label, "twin", 4) != 0)
			scenes[i].make(&all);
	qsort(all.sight, all.n, sizeof(*all.sight), by_time);
	char *first = NULL;
	for (unsigned k = 0; k < 12; k++) {
		struct run run;
		unsigned workers = 1u << k % 3;
		begin(&run, true, NULL, INDICATOR_NONE, NULL);
		feed_workers(run.h, &all, workers, seed + k);
		if (!first)
			first = xstrdup(run_text(&run));
		else if (strcmp(first, run_text(&run)) != 0)
			fail_msg("seed %u, %u workers:\n%s-- one worker\n%s--", seed + k, workers, run_text(&run),
				 first);
		end(&run);
	}
	assert_non_null(strstr(first, "port-scan"));
	assert_non_null(strstr(first, "nxdomain-flood"));
	free(first);
	free(all.sight);
}

/* The thread takes the notes of four queues; what is queued when it stops is judged. */
static void test_thread(void **state)
{
	(void)state;
	struct scene s;
	struct run run;
	struct err e;
	struct ledger l;
	make(&s, 0, 7);
	begin(&run, true, NULL, INDICATOR_NONE, NULL);
	struct heuristic_thread *t = heuristic_thread_new(run.h, 4, &e);
	assert_non_null(t);
	assert_true(heuristic_thread_run(t, &e));
	int64_t later_us = clock_wall_us() - START_US;
	for (size_t i = 0; i < s.n; i++) {
		s.sight[i].ts_us += later_us;
		assert_true(queue_push(heuristic_thread_queue(t, worker_of(&s.sight[i], 4)), &s.sight[i], SIGHT_HEAD));
		if (i == s.n / 2)
			nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	}
	heuristic_thread_stop(t);
	heuristics_ledger(run.h, &l);
	assert_int_equal(l.v[LEDGER_HEURISTIC_SIGHTS], s.n);
	assert_int_equal(l.v[LEDGER_HEURISTIC_LATE], 0);
	assert_string_equal(run_text(&run), scenes[0].expect);
	end(&run);
	free(s.sight);
}

/* A note that comes late is judged and counted. */
static void test_late(void **state)
{
	(void)state;
	struct scene s = {.seed = 7};
	struct run run;
	struct ledger l;
	talk(&s, 0, CLIENT, SERVER, 443, 1, 1);
	talk(&s, 10 * HEURISTIC_ORDER_US, CLIENT, SERVER, 443, 1, 1);
	talk(&s, HEURISTIC_ORDER_US, CLIENT, SERVER, 443, 1, 1);
	talk(&s, 20 * HEURISTIC_ORDER_US, CLIENT, SERVER, 443, 1, 1);
	begin(&run, true, NULL, INDICATOR_NONE, NULL);
	for (size_t i = 0; i < s.n; i++)
		heuristics_sight(run.h, &s.sight[i]);
	heuristics_finish(run.h, 0);
	heuristics_ledger(run.h, &l);
	assert_int_equal(l.v[LEDGER_HEURISTIC_SIGHTS], s.n);
	assert_int_equal(l.v[LEDGER_HEURISTIC_LATE], 0); /* held long enough to be put in order */
	end(&run);
	begin(&run, true, NULL, INDICATOR_NONE, NULL);
	for (size_t i = 0; i < s.n; i++) {
		heuristics_sight(run.h, &s.sight[i]);
		heuristics_clock(run.h, s.sight[i].ts_us);
	}
	heuristics_ledger(run.h, &l);
	assert_int_equal(l.v[LEDGER_HEURISTIC_SIGHTS], s.n);
	assert_int_equal(l.v[LEDGER_HEURISTIC_LATE], 3);
	end(&run);
	free(s.sight);
}

static const struct {
	const char *label;
	void (*make)(struct scene *s);
	bool on;
	const char *entry;
	enum indicator_type type;
	const char *allow;
	const char *set; /* of the alert; "": none */
	enum severity severity;
} overrides[] = {
    {"on by configuration", ports_refused, true, NULL, INDICATOR_NONE, NULL, "picket-heuristics", SEVERITY_MEDIUM},
    {"off", ports_refused, false, NULL, INDICATOR_NONE, NULL, "", SEVERITY_LOW},
    {"entry, off", ports_refused, false, "Port-Scan", INDICATOR_NONE, NULL, "mine", SEVERITY_CRITICAL},
    {"entry, on", ports_refused, true, "port-scan", INDICATOR_NONE, NULL, "mine", SEVERITY_CRITICAL},
    {"other entry, off", ports_refused, false, "beacon", INDICATOR_NONE, NULL, "", SEVERITY_LOW},
    {"other entry, on", ports_refused, true, "beacon", INDICATOR_NONE, NULL, "picket-heuristics", SEVERITY_MEDIUM},
    {"allowed", ports_refused, true, NULL, INDICATOR_HEURISTIC, "port-scan", "", SEVERITY_LOW},
    {"allowed beside an entry", ports_refused, true, "port-scan", INDICATOR_HEURISTIC, "port-scan", "", SEVERITY_LOW},
    {"another is allowed", ports_refused, true, NULL, INDICATOR_HEURISTIC, "beacon", "picket-heuristics",
     SEVERITY_MEDIUM},
    {"allowed source", ports_refused, true, NULL, INDICATOR_CIDR, "10.1.2.0/24", "", SEVERITY_LOW},
    {"a scan's target is not asked", ports_refused, true, NULL, INDICATOR_IP, SERVER, "picket-heuristics",
     SEVERITY_MEDIUM},
    {"allowed far end", beacon, true, NULL, INDICATOR_IP, SERVER, "", SEVERITY_LOW},
    {"allowed domain", tunnel, true, NULL, INDICATOR_DOMAIN, "example.co.uk", "", SEVERITY_LOW},
    {"another domain", tunnel, true, NULL, INDICATOR_DOMAIN, "example.jp", "picket-heuristics", SEVERITY_HIGH},
};

static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(overrides) / sizeof(*overrides); i++) {
		struct run run;
		struct scene s = {.seed = 7, .src_port = 40000};
		overrides[i].make(&s);
		qsort(s.sight, s.n, sizeof(*s.sight), by_time);
		begin(&run, overrides[i].on, overrides[i].entry, overrides[i].type, overrides[i].allow);
		if (heuristics_on(run.h))
			feed_workers(run.h, &s, 1, 1);
		if (strcmp(run.set, overrides[i].set) != 0 || run.severity != overrides[i].severity)
			fail_msg("%s: set \"%s\", severity %u", overrides[i].label, run.set, run.severity);
		end(&run);
		free(s.sight);
	}
}

/* A hundred thousand sources that try once each: the one scanner among them is
 * still seen, the flood itself raises nothing, and what was forgotten is counted. */
static void test_flood_of_sources(void **state)
{
	(void)state;
	struct run run;
	struct ledger l;
	char src[48];
	struct scene s = {.seed = 3};
	for (unsigned i = 0; i < 100000; i++) {
		snprintf(src, sizeof(src), "2001:db8::%x:%x", i >> 12, i & 0xfff);
		attempt(&s, i * 200, src, SERVER, 80 + i % 50, SILENT);
		if (i % 2000 == 0)
			attempt(&s, i * 200 + 1, CLIENT, SERVER, 1000 + i / 2000, SILENT);
	}
	begin(&run, true, NULL, INDICATOR_NONE, NULL);
	feed_workers(run.h, &s, 1, 1);
	heuristics_clock(run.h, START_US + 100 * SECOND);
	heuristics_ledger(run.h, &l);
	assert_int_equal(strncmp(run_text(&run), "port-scan 10.1.2.3 203.0.113.7:", 31), 0);
	assert_ptr_equal(strchr((const char *)run.text.p, '\n')[1], 0);
	assert_true(l.v[LEDGER_HEURISTIC_EVICTED] > 50000);
	end(&run);
	free(s.sight);
}

static void test_table_is_bounded(void **state)
{
	(void)state;
	struct ledger l = {0};
	bool fresh;
	struct tracker *t = tracker_new(64, sizeof(struct tracked), sizeof(struct tracked), SECOND, &l);
	for (uint64_t i = 0; i < 10000; i++) {
		uint64_t tag = tracker_tag(t, &i, sizeof(i));
		struct tracked *e = tracker_get(t, tag, (int64_t)i, &fresh);
		assert_true(fresh);
		assert_ptr_equal(tracker_find(t, tag), e);
		assert_true(tracker_count(t) <= 64);
		if (i % 7 == 0)
			tracker_drop(t, e);
	}
	assert_true(l.v[LEDGER_HEURISTIC_EVICTED] > 8000);
	tracker_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_scenes),
	    cmocka_unit_test(test_workers),
	    cmocka_unit_test(test_thread),
	    cmocka_unit_test(test_late),
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_flood_of_sources),
	    cmocka_unit_test(test_table_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
