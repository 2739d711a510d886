/* What the rule set costs: time to add and build, bytes per indicator, time to
 * open and verify, nanoseconds per lookup. Usage: bench_ruleset [indicators]
 * The mix is that of common feeds: half names, a third addresses, the rest
 * hashes and URLs; a second figure for memory is for names and addresses only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "rules/ruleset.h"

#define QUESTIONS 4096u /* distinct observables, asked again and again */
#define ROUNDS    200u

static uint64_t state = 1;

static uint32_t rnd(void)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(state >> 32);
}

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void name(char *out, size_t cap)
{
	static const char *const tlds[] = {"com", "net", "org", "info", "example", "co.jp"};
	static const char *const subs[] = {"", "", "www.", "cdn."};
	uint32_t a = rnd(), b = rnd();
	snprintf(out, cap, "%sx%x%x.%s", subs[a % 4], a, b & 0xffff, tlds[b >> 16 & 3]);
}

static void hex(char *out, unsigned digits)
{
	for (unsigned i = 0; i < digits; i++)
		out[i] = "0123456789abcdef"[rnd() & 15];
	out[digits] = '\0';
}

static enum indicator_type value(char *out, size_t cap, bool plain)
{
	unsigned kind = rnd() % (plain ? 8 : 10);
	uint32_t a = rnd();
	if (kind < 5)
		name(out, cap);
	else if (kind < 8)
		snprintf(out, cap, "%u.%u.%u.%u", 1 + a % 223, a >> 8 & 255, a >> 16 & 255, a >> 24);
	else if (kind < 9)
		hex(out, 64);
	else
		snprintf(out, cap, "http://x%x.example/%x/%x.php", a, rnd() & 0xffff, rnd());
	return kind < 5 ? INDICATOR_DOMAIN : kind < 8 ? INDICATOR_IP : kind < 9 ? INDICATOR_FILE_SHA256 : INDICATOR_URL;
}

static struct ruleset *build(unsigned n, bool plain)
{
	struct ruleset_builder *b = ruleset_builder_new();
	struct indicator_set s = {.id = "bench"};
	struct err e;
	uint32_t set = ruleset_add_set(b, &s);
	char(*text)[96] = xmalloc(n * sizeof(*text));
	uint8_t *type = xmalloc(n);
	for (unsigned i = 0; i < n; i++)
		type[i] = (uint8_t)value(text[i], sizeof(*text), plain);
	double start = now_s();
	for (unsigned i = 0; i < n; i++) {
		struct indicator k = {
		    .type = (enum indicator_type)type[i], .value = text[i], .file = "bench.csv", .line = i + 1};
		if (ruleset_add(b, set, &k, &e) == ADDED_INVALID)
			printf("%s\n", e.text);
	}
	double added = now_s();
	struct ruleset *r = ruleset_build(b, &e);
	double built = now_s();
	if (!r) {
		printf("%s\n", e.text);
		exit(1);
	}
	size_t count = ruleset_count(r, INDICATOR_NONE);
	printf("%-28s %zu indicators, add %.0f ms, build %.0f ms, %.1f bytes each\n",
	       plain ? "names and addresses" : "mix", count, (added - start) * 1e3, (built - added) * 1e3,
	       (double)ruleset_bytes(r) / (double)(count ? count : 1));
	ruleset_builder_free(b);
	free(text);
	free(type);
	return r;
}

struct question {
	uint8_t p[96];
	size_t n;
};

static void ask(const struct ruleset *r, const char *what, enum where w, const struct question *q)
{
	struct ruleset_hits hits = {.n = 0};
	size_t found = 0;
	double start = now_s();
	for (unsigned k = 0; k < ROUNDS; k++)
		for (unsigned i = 0; i < QUESTIONS; i++) {
			hits.n = 0;
			ruleset_match(r, w, q[i].p, q[i].n, 0, &hits, NULL);
			found += hits.n;
		}
	double ns = (now_s() - start) * 1e9 / ROUNDS / QUESTIONS;
	printf("%-28s %6.1f ns, %.2f hits each\n", what, ns, (double)found / ROUNDS / QUESTIONS);
}

static void ask_maybe(const struct ruleset *r, const struct question *q)
{
	size_t found = 0;
	double start = now_s();
	for (unsigned k = 0; k < ROUNDS; k++)
		for (unsigned i = 0; i < QUESTIONS; i++) {
			struct addr a = addr_v6(q[i].p);
			found += ruleset_maybe_addr(r, &a);
		}
	double ns = (now_s() - start) * 1e9 / ROUNDS / QUESTIONS;
	printf("%-28s %6.1f ns, %.2f %% pass\n", "maybe_addr, miss", ns, 100.0 * (double)found / ROUNDS / QUESTIONS);
}

static void set_addr(struct question *q, uint32_t v)
{
	struct addr a = addr_v4(&v);
	memcpy(q->p, a.b, q->n = 16);
}

static void set_text(struct question *q, const char *text)
{
	memcpy(q->p, text, q->n = strlen(text));
}

static void ask_all(const struct ruleset *r)
{
	static struct question q[QUESTIONS];
	char text[96];
	for (unsigned i = 0; i < QUESTIONS; i++)
		set_addr(&q[i], rnd() | 0xe0); /* 224.0.0.0/3 is not listed */
	ask_maybe(r, q);
	ask(r, "address, miss", WHERE_IP_SRC, q);
	for (unsigned i = 0; i < QUESTIONS; i++) {
		snprintf(text, sizeof(text), "www%u.service-%x.example.com", i % 7, rnd());
		set_text(&q[i], text);
	}
	ask(r, "name of four labels, miss", WHERE_DNS_QUERY, q);
	for (unsigned i = 0; i < QUESTIONS; i++) {
		snprintf(text, sizeof(text), "http://www.site-%x.example/index/%u.html?id=%u", rnd(), i, i);
		set_text(&q[i], text);
	}
	ask(r, "URL, miss", WHERE_HTTP_URL, q);
	for (unsigned i = 0; i < QUESTIONS; i++) {
		hex(text, 64);
		set_text(&q[i], text);
	}
	ask(r, "SHA-256, miss", WHERE_FILE_SHA256, q);
	unsigned names = 0;
	for (ruleset_ref i = 0; names < QUESTIONS && i < ruleset_count(r, INDICATOR_NONE); i++) {
		struct indicator k = ruleset_indicator(r, i);
		if (k.type == INDICATOR_DOMAIN)
			set_text(&q[names++], k.value);
	}
	if (names == QUESTIONS)
		ask(r, "name, hit", WHERE_DNS_QUERY, q);
}

static void open_close(const struct ruleset *r)
{
	char path[] = "/tmp/bench_ruleset.XXXXXX";
	struct err e;
	int fd = mkstemp(path);
	double start = now_s();
	if (fd < 0 || close(fd) || !ruleset_write(r, path, &e))
		return;
	double written = now_s();
	struct ruleset *plain = ruleset_open(path, false, &e);
	double opened = now_s();
	struct ruleset *verified = ruleset_open(path, true, &e);
	double checked = now_s();
	printf("%-28s write %.1f ms, open %.3f ms, open and verify %.1f ms (%.1f GB/s)\n", "file",
	       (written - start) * 1e3, (opened - written) * 1e3, (checked - opened) * 1e3,
	       (double)ruleset_bytes(r) / (checked - opened) / 1e9);
	ruleset_free(plain);
	ruleset_free(verified);
	unlink(path);
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000000;
	struct ruleset *r = build(n, true);
	ruleset_free(r);
	r = build(n, false);
	open_close(r);
	ask_all(r);
	ruleset_free(r);
	return 0;
}
