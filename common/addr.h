/* Addresses. IPv4 is held as ::ffff:a.b.c.d, so one 16-byte form serves both
 * families, compares and hashes alike; addr_is_v4() tells them apart. */
#ifndef COMMON_ADDR_H
#define COMMON_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ADDR_TEXT_LEN 46 /* INET6_ADDRSTRLEN */

struct addr {
	uint8_t b[16];
};

static inline struct addr addr_v4(const void *four)
{
	struct addr a = {.b = {[10] = 0xff, [11] = 0xff}};
	memcpy(a.b + 12, four, 4);
	return a;
}

static inline struct addr addr_v6(const void *sixteen)
{
	struct addr a;
	memcpy(a.b, sixteen, 16);
	return a;
}

static inline bool addr_is_v4(const struct addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	return memcmp(a->b, mapped, 12) == 0;
}

static inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* "198.51.100.7" or RFC 5952 text. Returns out. */
char *addr_format(const struct addr *a, char out[static ADDR_TEXT_LEN]);
bool addr_parse(const char *text, size_t n, struct addr *out); /* v4, v6, ::ffff:v4; no zone */

/* A prefix. length counts in the address's own family: 0..32 or 0..128. */
struct prefix {
	struct addr addr;
	uint8_t length;
};
bool prefix_parse(const char *text, size_t n, struct prefix *out); /* "a/len" or a lone address; host bits must be zero */
bool prefix_has(const struct prefix *p, const struct addr *a);     /* never across families */

#endif
