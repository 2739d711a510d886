#include "common/hash.h"

#include <errno.h>
#include <isa-l/crc.h>
#define OPENSSL_SUPPRESS_DEPRECATED /* the digests below say why */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <sys/random.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/exits.h"
#include "common/log.h"

_Static_assert(sizeof(struct hash_key) >= XXH3_SECRET_SIZE_MIN, "the secret is large enough for XXH3");

void hash_random(void *out, size_t n)
{
	size_t got = 0;
	while (got < n) {
		ssize_t more = getrandom((uint8_t *)out + got, n - got, 0);
		if (more < 0 && errno != EINTR)
			log_fatal(EXIT_ENVIRONMENT, "cannot draw random bytes from the kernel (getrandom)");
		got += more > 0 ? (size_t)more : 0;
	}
}

void hash_key_random(struct hash_key *k)
{
	hash_random(k->secret, sizeof(k->secret));
}

uint64_t hash64(const struct hash_key *k, const void *data, size_t n)
{
	return XXH3_64bits_withSecret(data, n, k->secret, sizeof(k->secret));
}

uint32_t hash_crc32c(uint32_t crc, const void *data, size_t n)
{
	union {
		const void *in;
		unsigned char *out;
	} p = {.in = data}; /* ISA-L reads only, its prototype lacks the const */
	while (n > INT32_MAX) {
		crc = crc32_iscsi(p.out, INT32_MAX, crc);
		p.out += INT32_MAX;
		n -= INT32_MAX;
	}
	return n ? crc32_iscsi(p.out, (int)n, crc) : crc;
}

/* OpenSSL 3 looks up an algorithm by name under a lock and allocates a context
 * for each digest: several times what hashing a ClientHello takes. Its direct
 * functions do neither, are the same assembly, and cannot fail. */
void hash_sha256(uint8_t out[static 32], const void *data, size_t n)
{
	SHA256_CTX c;
	SHA256_Init(&c);
	SHA256_Update(&c, data, n);
	SHA256_Final(out, &c);
}

void hash_hmac_sha256(uint8_t out[static 32], const void *key, size_t key_n, const void *data, size_t n)
{
	unsigned len = 32;
	if (!HMAC(EVP_sha256(), key, (int)key_n, data, n, out, &len))
		log_fatal(EXIT_ENVIRONMENT, "OpenSSL has no HMAC-SHA256");
}

bool hash_same(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

void hash_sha1(uint8_t out[static 20], const void *data, size_t n)
{
	SHA_CTX c;
	SHA1_Init(&c);
	SHA1_Update(&c, data, n);
	SHA1_Final(out, &c);
}

void hash_md5(uint8_t out[static 16], const void *data, size_t n)
{
	MD5_CTX c;
	MD5_Init(&c);
	MD5_Update(&c, data, n);
	MD5_Final(out, &c);
}
