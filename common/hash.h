/* The door to hashing: xxHash for tables (keyed with a random secret, because
 * outsiders choose the keys), OpenSSL for digests, ISA-L for CRC-32C. */
#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include <stddef.h>
#include <stdint.h>

/* 192 random bytes (getrandom) drawn once per process or stored with a file. */
struct hash_key {
	uint8_t secret[192];
};
void hash_key_random(struct hash_key *k);

uint64_t hash64(const struct hash_key *k, const void *data, size_t n);

uint32_t hash_crc32c(uint32_t crc, const void *data, size_t n);

void hash_sha256(uint8_t out[static 32], const void *data, size_t n);
void hash_sha1(uint8_t out[static 20], const void *data, size_t n);
void hash_md5(uint8_t out[static 16], const void *data, size_t n);

#endif
