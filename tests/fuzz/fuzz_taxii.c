/* What a TAXII client can send us: an envelope, a query, a cursor, an index entry
 * (which Redis gives, but who knows), a handling. The first byte chooses.
 * For: collector/taxii_envelope.c collector/taxii_filter.c collector/handling.c */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collector/handling.h"
#include "collector/taxii_envelope.h"
#include "collector/taxii_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Objects lie within the text, in order; the second walk finds the same ones. */
static void envelope(const uint8_t *data, size_t size)
{
	for (int walk = 0; walk < 2; walk++) {
		struct envelope v = envelope_over((struct bytes){data, size});
		struct bytes o;
		struct err e;
		const uint8_t *at = data;
		while (envelope_next(&v, &o, &e) == ENVELOPE_OBJECT) {
			if (o.p < at || o.p + o.n > data + size || !o.n)
				abort();
			at = o.p + o.n;
			json_drop(json_read(o.p, o.n, 65536, &e));
		}
	}
}

/* "name=value\n" lines. */
struct query {
	char *text;
	size_t n;
};

static const char *parameter(void *from, const char *name)
{
	struct query *q = from;
	size_t n = strlen(name);
	for (char *at = q->text; at < q->text + q->n; at += strlen(at) + 1)
		if (strncmp(at, name, n) == 0 && at[n] == '=')
			return at + n + 1;
	return NULL;
}

static void query(const uint8_t *data, size_t size)
{
	static const uint8_t key[FILTER_KEY_LEN] = {1, 2, 3};
	struct query q = {malloc(size + 1), size};
	static struct filter f;
	struct err e;
	struct object_row rows[] = {
	    {.row = 5, .spec = 21, .version = "2026-01-01T00:00:00Z", .id = "indicator--a"},
	    {.row = 7, .spec = 20, .version = "", .id = "indicator--a"},
	    {.row = 9, .spec = 21, .version = "x", .id = "malware"},
	};
	memcpy(q.text, data, size);
	q.text[size] = '\0';
	for (size_t i = 0; i < size; i++)
		if (q.text[i] == '\n')
			q.text[i] = '\0';
	if (filter_read(&f, parameter, &q, "scope", 100, key, &e)) {
		char next[FILTER_CURSOR_LEN + 1];
		if (!f.limit || f.limit > 100)
			abort();
		for (size_t i = 0; i < 3; i++) {
			filter_takes(&f, &rows[i]);
			filter_chooses(&f, &rows[i], rows, 3);
		}
		filter_next(&f, 12345, key, next);
		if (strlen(next) != FILTER_CURSOR_LEN)
			abort();
	}
	filter_free(&f);
	free(q.text);
}

static void member(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct object_row r;
	memcpy(text, data, size);
	text[size] = '\0';
	if (object_row_parse(text, size, &r) && (strlen(r.id) > size || r.row < 0))
		abort();
	free(text);
}

static void object(const uint8_t *data, size_t size)
{
	struct err e;
	struct object o;
	struct handling h;
	struct json *j = json_read(data, size, 65536, &e);
	if (j && object_read(&o, j, (struct bytes){data, size}, &e)) {
		struct buf a = {0}, b = {0};
		struct shared s = {.stix = j, .collection = "", .origin = "o", .from = "f", .exercise = ""};
		struct handling_memo *m = handling_memo_new();
		handling_write(&s, &a);
		handling_write_memo(m, &s, &b);
		handling_write_memo(m, &s, &b);
		if (b.n != 2 * a.n || memcmp(a.p, b.p, a.n) != 0 || !handling_read(&h, a.p, a.n, &e))
			abort();
		handling_free(&h);
		handling_memo_free(m);
		buf_free(&a);
		buf_free(&b);
	}
	json_drop(j);
	if (handling_read(&h, data, size, &e))
		handling_free(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parts[])(const uint8_t *, size_t) = {envelope, query, member, object};
	if (size)
		parts[data[0] % 4](data + 1, size - 1);
	return 0;
}
