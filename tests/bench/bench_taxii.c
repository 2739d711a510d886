/* A TAXII client that does nothing but ask, over plain HTTP on one connection that
 * is kept; bench_taxii.sh puts it together.
 *
 *   post PORT PATH USER:PASSWORD N PER FROM   N indicators from number FROM on, PER in one POST; indicators a second
 *   page PORT PATH USER:PASSWORD LIMIT        all pages; objects, objects a second
 *   match PORT PATH USER:PASSWORD N TRIES     match[id] of one of N, at random; median, p99 and worst in microseconds
 */
#define _GNU_SOURCE /* memmem() */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"

#define MEDIA "application/taxii+json;version=2.1"

struct http {
	int fd;
	const char *path;
	char auth[256];
	struct buf in;
	size_t head; /* bytes of the last answer's head */
};

static void die(const char *what)
{
	fprintf(stderr, "bench_taxii: %s: %s\n", what, strerror(errno));
	exit(4);
}

static void connect_to(struct http *h, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int one = 1;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	h->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (h->fd < 0 || connect(h->fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die("connect");
	setsockopt(h->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void basic(struct http *h, const char *user)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strlen(user), to = 0;
	for (size_t i = 0; i < n && to + 5 < sizeof(h->auth); i += 3) {
		unsigned a = (unsigned char)user[i], b = i + 1 < n ? (unsigned char)user[i + 1] : 0;
		unsigned c = i + 2 < n ? (unsigned char)user[i + 2] : 0, v = a << 16 | b << 8 | c;
		h->auth[to++] = digits[v >> 18 & 63];
		h->auth[to++] = digits[v >> 12 & 63];
		h->auth[to++] = i + 1 < n ? digits[v >> 6 & 63] : '=';
		h->auth[to++] = i + 2 < n ? digits[v & 63] : '=';
	}
	h->auth[to] = '\0';
}

static void send_all(struct http *h, const void *p, size_t n)
{
	const char *at = p;
	while (n) {
		ssize_t put = send(h->fd, at, n, MSG_NOSIGNAL);
		if (put <= 0)
			die("send");
		at += put;
		n -= (size_t)put;
	}
}

/* The body of the answer stands behind h->head. */
static void receive(struct http *h, int want)
{
	size_t need = SIZE_MAX;
	h->in.n = h->head = 0;
	while (h->in.n < need) {
		buf_reserve(&h->in, 1 << 18);
		ssize_t n = recv(h->fd, h->in.p + h->in.n, h->in.cap - h->in.n - 1, 0);
		if (n <= 0)
			die("the server closed");
		h->in.n += (size_t)n;
		h->in.p[h->in.n] = '\0';
		const char *end = h->head ? NULL : memmem(h->in.p, h->in.n, "\r\n\r\n", 4);
		if (!end)
			continue;
		h->head = (size_t)(end + 4 - (const char *)h->in.p);
		const char *length = strcasestr((const char *)h->in.p, "\r\nContent-Length:");
		need = h->head + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
	}
	if (atoi((const char *)h->in.p + 9) != want) {
		fprintf(stderr, "bench_taxii: %.400s\n", (const char *)h->in.p);
		exit(1);
	}
}

static void get(struct http *h, const char *query)
{
	struct buf out = {0};
	buf_printf(&out, "GET %s?%s HTTP/1.1\r\nHost: x\r\nAccept: " MEDIA "\r\nAuthorization: Basic %s\r\n\r\n",
		   h->path, query, h->auth);
	send_all(h, out.p, out.n);
	buf_free(&out);
	receive(h, 200);
}

static void make(struct buf *b, unsigned long i)
{
	buf_printf(
	    b,
	    "{\"type\":\"indicator\",\"spec_version\":\"2.1\",\"id\":\"indicator--%08lx-0000-4000-8000-00000000beef\","
	    "\"created\":\"2026-01-01T00:00:00.000Z\",\"modified\":\"2026-01-01T00:00:00.000Z\","
	    "\"name\":\"c2 of the campaign number %lu\",\"description\":\"seen by three sensors in the last week\","
	    "\"indicator_types\":[\"malicious-activity\"],\"pattern\":\"[domain-name:value = 'h%lu.c2.bad-%lu.com']\","
	    "\"pattern_type\":\"stix\",\"valid_from\":\"2026-01-01T00:00:00Z\",\"valid_until\":\"2027-01-01T00:00:"
	    "00Z\","
	    "\"confidence\":80,\"labels\":[\"c2\"],"
	    "\"object_marking_refs\":[\"marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb\"]}",
	    i, i, i, i % 1000);
}

static void bodied(struct buf *body, unsigned long i, unsigned long n, unsigned long per, unsigned long from)
{
	body->n = 0;
	buf_printf(body, "{\"objects\":[");
	for (unsigned long k = i; k < i + per && k < n; k++) {
		if (k > i)
			buf_add(body, ",", 1);
		make(body, from + k);
	}
	buf_printf(body, "]}");
}

static void post(struct http *h, unsigned long n, unsigned long per, unsigned long from)
{
	struct buf body = {0}, head = {0};
	int64_t began = clock_mono_us();
	bodied(&body, 0, n, per, from);
	for (unsigned long i = 0; i < n; i += per) {
		head.n = 0;
		buf_printf(&head,
			   "POST %s HTTP/1.1\r\nHost: x\r\nAccept: " MEDIA "\r\nContent-Type: " MEDIA
			   "\r\nAuthorization: Basic %s\r\nContent-Length: %zu\r\n\r\n",
			   h->path, h->auth, body.n);
		send_all(h, head.p, head.n);
		send_all(h, body.p, body.n);
		bodied(&body, i + per, n, per, from); /* the next one, while the server works */
		receive(h, 202);
		if (!memmem(h->in.p, h->in.n, "\"failure_count\":0,", 18)) {
			fprintf(stderr, "bench_taxii: %.600s\n", (const char *)h->in.p);
			exit(1);
		}
	}
	printf("%.0f\n", (double)n * 1e6 / (double)(clock_mono_us() - began));
}

static size_t count(const struct http *h)
{
	static const char id[] = "\"id\":\"indicator--";
	size_t n = 0;
	const char *at = (const char *)h->in.p + h->head, *end = (const char *)h->in.p + h->in.n;
	while ((at = memmem(at, (size_t)(end - at), id, sizeof(id) - 1))) {
		n++;
		at += sizeof(id);
	}
	return n;
}

static void page(struct http *h, const char *limit)
{
	char query[256];
	size_t total = 0, bytes = 0;
	int64_t began = clock_mono_us();
	snprintf(query, sizeof(query), "limit=%s", limit);
	for (bool more = true; more;) {
		get(h, query);
		total += count(h);
		bytes += h->in.n - h->head;
		const char *next = memmem(h->in.p + h->head, 200 < h->in.n - h->head ? 200 : h->in.n - h->head,
					  "\"next\":\"", 8);
		more = next;
		if (next)
			snprintf(query, sizeof(query), "limit=%s&next=%.*s", limit, (int)strcspn(next + 8, "\""),
				 next + 8);
	}
	double s = (double)(clock_mono_us() - began) / 1e6;
	printf("%zu %.0f %.0f\n", total, (double)total / s, (double)bytes / s / 1e6);
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void match(struct http *h, unsigned long n, unsigned long tries)
{
	int64_t *us = xcalloc(tries, sizeof(*us));
	uint64_t seed = 88172645463325252ull;
	for (unsigned long i = 0; i < tries; i++) {
		char query[128];
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		snprintf(query, sizeof(query), "match[id]=indicator--%08lx-0000-4000-8000-00000000beef",
			 (unsigned long)(seed % n));
		int64_t began = clock_mono_us();
		get(h, query);
		us[i] = clock_mono_us() - began;
		if (count(h) != 1)
			die("match[id] did not give one object");
	}
	qsort(us, tries, sizeof(*us), by_time);
	printf("%" PRId64 " %" PRId64 " %" PRId64 "\n", us[tries / 2], us[tries * 99 / 100], us[tries - 1]);
	free(us);
}

int main(int argc, char **argv)
{
	struct http h = {.path = argc > 3 ? argv[3] : ""};
	if (argc < 6)
		return 2;
	connect_to(&h, argv[2]);
	basic(&h, argv[4]);
	if (strcmp(argv[1], "post") == 0 && argc == 8)
		post(&h, strtoul(argv[5], NULL, 10), strtoul(argv[6], NULL, 10), strtoul(argv[7], NULL, 10));
	else if (strcmp(argv[1], "page") == 0)
		page(&h, argv[5]);
	else if (strcmp(argv[1], "match") == 0 && argc == 7)
		match(&h, strtoul(argv[5], NULL, 10), strtoul(argv[6], NULL, 10));
	else
		return 2;
	close(h.fd);
	buf_free(&h.in);
	return 0;
}
