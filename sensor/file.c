/* Hashing of files on the wire. The door to OpenSSL's streaming digests.
 *
 * Decisions: a digest that no indicator asks for is never computed, so a rule
 * set without file hashes costs nothing. The direct functions are used, as in
 * common/hash.c: their state lies in the struct and is paid from in->mem, nothing
 * is allocated or looked up under a lock for each file. An empty file is not
 * reported: its digest says nothing. */
#include "sensor/file.h"

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/md5.h>
#include <openssl/sha.h>

#include "common/text.h"

#define DIGEST_MAX SHA256_DIGEST_LENGTH

struct file {
	bool md5_wanted, sha1_wanted, sha256_wanted;
	bool empty;
	uint32_t object;
	MD5_CTX md5;
	SHA_CTX sha1;
	SHA256_CTX sha256;
};

/* The one that is told of, for instance the message with its name; else the file is one itself. */
static uint32_t object_here(struct inspect *in)
{
	uint32_t outer = inspect_object(in, OBJECT_NEW), own = inspect_object(in, outer);
	return outer ? outer : own;
}

struct file *file_begin(struct inspect *in)
{
	bool md5 = wanted(in, WHERE_FILE_MD5), sha1 = wanted(in, WHERE_FILE_SHA1);
	bool sha256 = wanted(in, WHERE_FILE_SHA256);
	if (in->shed & (where_types(WHERE_FILE_MD5) | where_types(WHERE_FILE_SHA1) | where_types(WHERE_FILE_SHA256)))
		ledger_count(in->ledger, LEDGER_SHED_FILES);
	if (!md5 && !sha1 && !sha256)
		return NULL;
	struct file *f = mem_alloc(in->mem, sizeof(*f));
	if (!f) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return NULL;
	}
	f->empty = true;
	f->object = object_here(in);
	f->md5_wanted = md5;
	f->sha1_wanted = sha1;
	f->sha256_wanted = sha256;
	MD5_Init(&f->md5);
	SHA1_Init(&f->sha1);
	SHA256_Init(&f->sha256);
	return f;
}

void file_data(struct file *f, const void *p, size_t n)
{
	if (!f || !n)
		return;
	f->empty = false;
	if (f->md5_wanted)
		MD5_Update(&f->md5, p, n);
	if (f->sha1_wanted)
		SHA1_Update(&f->sha1, p, n);
	if (f->sha256_wanted)
		SHA256_Update(&f->sha256, p, n);
}

static void report_digest(struct inspect *in, enum where w, const unsigned char *digest, size_t n)
{
	char hex[2 * DIGEST_MAX + 1];
	text_hex(hex, digest, n);
	observe(in, w, hex, 2 * n);
}

static void report(struct inspect *in, struct file *f)
{
	unsigned char out[DIGEST_MAX];
	if (f->md5_wanted) {
		MD5_Final(out, &f->md5);
		report_digest(in, WHERE_FILE_MD5, out, MD5_DIGEST_LENGTH);
	}
	if (f->sha1_wanted) {
		SHA1_Final(out, &f->sha1);
		report_digest(in, WHERE_FILE_SHA1, out, SHA_DIGEST_LENGTH);
	}
	if (f->sha256_wanted) {
		SHA256_Final(out, &f->sha256);
		report_digest(in, WHERE_FILE_SHA256, out, SHA256_DIGEST_LENGTH);
	}
}

void file_end(struct inspect *in, struct file *f, bool whole)
{
	if (!f)
		return;
	if (!whole) {
		ledger_count(in->ledger, LEDGER_FILES_CUT);
	} else if (!f->empty) {
		ledger_count(in->ledger, LEDGER_FILES);
		uint32_t outer = inspect_object(in, f->object);
		report(in, f);
		inspect_object(in, outer);
	}
	file_drop(in, f);
}

void file_drop(struct inspect *in, struct file *f)
{
	if (f)
		mem_free(in->mem, f, sizeof(*f));
}
