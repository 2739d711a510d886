/* Hashing of files on the wire. The door to OpenSSL's streaming digests.
 *
 * Decisions: a digest that no indicator asks for is never computed, so a rule
 * set without file hashes costs nothing. OpenSSL allocates its contexts by
 * itself; what it takes is charged to in->mem beside the struct, so the number
 * of open files stays within the worker's budget. An empty file is not
 * reported: its digest says nothing. */
#include "sensor/file.h"

#include <openssl/evp.h>

#include "common/text.h"

#define DIGESTS            3
#define DIGEST_HEAP_CHARGE 448 /* bytes that one EVP_MD_CTX with its state takes, rounded up */

static const struct {
	enum where where;
	const EVP_MD *(*algorithm)(void);
} digests[DIGESTS] = {
    {WHERE_FILE_MD5, EVP_md5},
    {WHERE_FILE_SHA1, EVP_sha1},
    {WHERE_FILE_SHA256, EVP_sha256},
};

struct file {
	EVP_MD_CTX *ctx[DIGESTS]; /* NULL: not wanted */
	bool empty;
	bool broken; /* OpenSSL refused: nothing to report */
	uint8_t heap_charge[DIGESTS * DIGEST_HEAP_CHARGE];
};

static bool begin_digest(struct file *f, int i)
{
	f->ctx[i] = EVP_MD_CTX_new();
	return f->ctx[i] && EVP_DigestInit_ex(f->ctx[i], digests[i].algorithm(), NULL);
}

struct file *file_begin(struct inspect *in)
{
	bool any = false;
	for (int i = 0; i < DIGESTS; i++)
		any |= wanted(in, digests[i].where);
	if (!any)
		return NULL;
	struct file *f = mem_alloc(in->mem, sizeof(*f));
	if (!f) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return NULL;
	}
	f->empty = true;
	for (int i = 0; i < DIGESTS; i++)
		if (wanted(in, digests[i].where) && !begin_digest(f, i))
			f->broken = true;
	return f;
}

void file_data(struct file *f, const void *p, size_t n)
{
	if (!f || !n)
		return;
	f->empty = false;
	for (int i = 0; i < DIGESTS; i++)
		if (f->ctx[i] && !EVP_DigestUpdate(f->ctx[i], p, n))
			f->broken = true;
}

static void report(struct inspect *in, struct file *f)
{
	for (int i = 0; i < DIGESTS; i++) {
		unsigned char out[EVP_MAX_MD_SIZE];
		unsigned n = 0;
		if (!f->ctx[i] || !EVP_DigestFinal_ex(f->ctx[i], out, &n))
			continue;
		char hex[2 * EVP_MAX_MD_SIZE + 1];
		text_hex(hex, out, n);
		observe(in, digests[i].where, hex, 2 * (size_t)n);
	}
}

void file_end(struct inspect *in, struct file *f, bool whole)
{
	if (!f)
		return;
	if (!whole || f->broken) {
		ledger_count(in->ledger, LEDGER_FILES_CUT);
	} else if (!f->empty) {
		ledger_count(in->ledger, LEDGER_FILES);
		report(in, f);
	}
	file_drop(in, f);
}

void file_drop(struct inspect *in, struct file *f)
{
	if (!f)
		return;
	for (int i = 0; i < DIGESTS; i++)
		EVP_MD_CTX_free(f->ctx[i]);
	mem_free(in->mem, f, sizeof(*f));
}
