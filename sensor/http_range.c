/* See http_range.h. Decisions:
 *   - Ranges of one file over several connections are not joined: connections are
 *     spread over workers, and what is found must not depend on how many there are.
 *   - A range that begins before the last one's end is joined, its old bytes are stepped
 *     over; one that leaves a hole is counted as cut, and the hole may still be filled.
 *   - multipart/byteranges, an unknown complete length, and a message that is shorter
 *     or longer than its range says are not joined: files_cut. */
#include "sensor/http_range.h"

#include <string.h>

struct http_joined {
	struct http_request *request; /* NULL: not seen */
	uint64_t next, complete;
	struct file *file;
	struct inflate *coding[HTTP_CODINGS_MAX];
	unsigned codings;
};

static bool same_url(const struct http_request *a, const struct http_request *b)
{
	if (!a || !b)
		return a == b;
	const uint8_t *x = a->text + a->method_n + a->version_n, *y = b->text + b->method_n + b->version_n;
	return a->url_n == b->url_n && memcmp(x, y, a->url_n) == 0;
}

static bool joinable(const struct http_head *h)
{
	const struct http_range *r = &h->range;
	return http_partial(h) && !h->undecodable && r->last >= r->first && r->last < r->complete;
}

static void joined_free(struct inspect *in, struct http_joined **j, bool told)
{
	struct http_joined *old = *j;
	if (!old)
		return;
	if (told)
		file_end(in, old->file, false);
	else
		file_drop(in, old->file);
	for (unsigned i = 0; i < old->codings; i++)
		inflate_free(old->coding[i]);
	http_request_release(in, old->request);
	mem_free(in->mem, old, sizeof(*old));
	*j = NULL;
}

/* The file goes on in b, behind skip bytes that it has already. */
static void resume(struct inspect *in, struct http_joined **j, struct http_body *b)
{
	struct http_joined *old = *j;
	file_drop(in, b->file);
	b->file = old->file;
	b->skip = old->next - b->range.first;
	memcpy(b->coding, old->coding, sizeof(b->coding));
	b->codings = old->codings;
	b->cut = false;
	old->file = NULL;
	old->codings = 0;
	joined_free(in, j, false);
}

void http_range_begin(struct inspect *in, struct http_joined **j, struct http_body *b, const struct http_head *h,
		      const struct http_request *request)
{
	const struct http_joined *old = *j;
	if (!b->file || !joinable(h))
		return;
	b->range = h->range;
	bool follows = old && old->complete == h->range.complete && same_url(old->request, request) &&
		       h->range.first <= old->next && h->range.last >= old->next;
	if (follows && h->range.first) {
		resume(in, j, b);
	} else if (!h->range.first) {
		http_range_cut(in, j);
		http_body_decode(in, b, h);
	}
}

static bool keep(struct inspect *in, struct http_joined **j, struct http_body *b, struct http_request *request)
{
	struct http_joined *new = mem_alloc(in->mem, sizeof(*new));
	if (!new) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return false;
	}
	http_range_cut(in, j);
	new->request = request;
	if (request)
		request->refs++;
	new->next = b->range.last + 1;
	new->complete = b->range.complete;
	new->file = b->file;
	memcpy(new->coding, b->coding, sizeof(new->coding));
	new->codings = b->codings;
	b->file = NULL;
	b->codings = 0;
	*j = new;
	return true;
}

bool http_range_end(struct inspect *in, struct http_joined **j, struct http_body *b, struct http_request *request,
		    bool whole)
{
	const struct http_range *r = &b->range;
	if (!r->complete || b->cut)
		return whole;
	whole &= b->seen == r->last - r->first + 1;
	if (!whole || r->last + 1 == r->complete)
		return whole;
	return keep(in, j, b, request);
}

void http_range_cut(struct inspect *in, struct http_joined **j)
{
	joined_free(in, j, true);
}

void http_range_drop(struct inspect *in, struct http_joined **j)
{
	joined_free(in, j, false);
}
