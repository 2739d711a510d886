/* The door to hashing: xxHash for tables (keyed with a random secret, because
 * outsiders choose the keys), OpenSSL for digests, ISA-L for CRC-32C. */
#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* 192 random bytes (getrandom) drawn once per process or stored with a file. */
struct hash_key {
	uint8_t secret[192];
};
void hash_key_random(struct hash_key *k);

uint64_t hash64(const struct hash_key *k, const void *data, size_t n);

/* The two halves of a product, folded: every bit depends on all of both factors. */
static inline uint64_t hash_fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Five words in registers, asked for every packet: made as XXH3 makes its hashes of
 * this length, keyed by words of the secret, without its call. */
static inline uint64_t hash64_five(const struct hash_key *k, uint64_t v, uint64_t w, uint64_t x, uint64_t y, uint64_t z)
{
	uint64_t s[6];
	memcpy(s, k->secret, sizeof(s));
	uint64_t h = hash_fold(v ^ s[0], w ^ s[1]) + hash_fold(x ^ s[2], y ^ s[3]);
	return hash_fold(h ^ s[4], z ^ s[5]);
}

uint32_t hash_crc32c(uint32_t crc, const void *data, size_t n);

void hash_sha256(uint8_t out[static 32], const void *data, size_t n);
/* HMAC (RFC 2104) with SHA-256. */
void hash_hmac_sha256(uint8_t out[static 32], const void *key, size_t key_n, const void *data, size_t n);
/* Whether n bytes are equal, in a time that does not tell where they differ. */
_Bool hash_same(const void *a, const void *b, size_t n);
/* Bytes that nobody can guess, from the kernel. */
void hash_random(void *out, size_t n);
void hash_sha1(uint8_t out[static 20], const void *data, size_t n);
void hash_md5(uint8_t out[static 16], const void *data, size_t n);

#endif
