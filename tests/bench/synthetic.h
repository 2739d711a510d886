/* The made-up indicators of the benches: number i of a set, computable by the
 * generator of the set and by the generator of traffic that is to hit it. The mix
 * is 50 % domains, 30 % IPv4 addresses, 5 % networks, 10 % URLs, 2.5 % SHA-256 and
 * 2.5 % JA3. Names and addresses look nothing like those of real captures: names
 * end in -pb and a top-level domain, addresses are of all ranges, so that a few
 * random hits are there, as with real sets. */
#ifndef TESTS_BENCH_SYNTHETIC_H
#define TESTS_BENCH_SYNTHETIC_H

#include <stdint.h>
#include <stdio.h>

#define SYNTHETIC_ROOM 128

static inline uint64_t synthetic_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

enum synthetic_kind { SYNTHETIC_DOMAIN, SYNTHETIC_IP, SYNTHETIC_CIDR, SYNTHETIC_URL, SYNTHETIC_SHA256, SYNTHETIC_JA3 };

static inline enum synthetic_kind synthetic_kind(uint64_t i)
{
	unsigned k = (unsigned)(i % 40);
	return k < 20   ? SYNTHETIC_DOMAIN
	       : k < 32 ? SYNTHETIC_IP
	       : k < 34 ? SYNTHETIC_CIDR
	       : k < 38 ? SYNTHETIC_URL
	       : k < 39 ? SYNTHETIC_SHA256
			: SYNTHETIC_JA3;
}

static inline void synthetic_domain(uint64_t i, char out[SYNTHETIC_ROOM])
{
	static const char *const tld[] = {"com", "net", "org", "info", "example", "io", "jp", "co.uk"};
	uint64_t h = synthetic_mix(i);
	char word[16];
	unsigned n = 5 + (unsigned)(h & 7);
	for (unsigned k = 0; k < n; k++)
		word[k] = (char)('a' + (h >> (3 + 4 * k) & 15) + (k & 7));
	word[n] = 0;
	snprintf(out, SYNTHETIC_ROOM, "%s%llu-pb.%s", word, (unsigned long long)i, tld[h >> 61]);
}

/* Unicast, never private: the addresses of the clients in the corpora. */
static inline uint32_t synthetic_ipv4(uint64_t i)
{
	uint32_t a = (uint32_t)(synthetic_mix(i) >> 17);
	uint32_t first = 11 + (a >> 24) % 200;
	first += first >= 127;
	return first << 24 | (a & 0xffffff);
}

static inline void synthetic_hex(uint64_t i, unsigned n, char out[SYNTHETIC_ROOM])
{
	for (unsigned k = 0; k < n; k++)
		out[k] = "0123456789abcdef"[synthetic_mix(i * 64 + k / 16) >> (k % 16 * 4) & 15];
	out[n] = 0;
}

/* The value as an author writes it; gives the type's name. */
static inline const char *synthetic_indicator(uint64_t i, char out[SYNTHETIC_ROOM])
{
	uint32_t a = synthetic_ipv4(i);
	char name[SYNTHETIC_ROOM - 32];
	switch (synthetic_kind(i)) {
	case SYNTHETIC_DOMAIN:
		synthetic_domain(i, out);
		return "domain";
	case SYNTHETIC_IP:
		snprintf(out, SYNTHETIC_ROOM, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
		return "ip";
	case SYNTHETIC_CIDR:
		snprintf(out, SYNTHETIC_ROOM, "%u.%u.%u.%u/28", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 240);
		return "cidr";
	case SYNTHETIC_URL:
		synthetic_domain(i, out);
		snprintf(name, sizeof(name), "%.80s", out);
		snprintf(out, SYNTHETIC_ROOM, "http://%s/%08x/login.php", name, (unsigned)synthetic_mix(i + 1));
		return "url";
	case SYNTHETIC_SHA256:
		synthetic_hex(i, 64, out);
		return "file_sha256";
	default:
		synthetic_hex(i, 32, out);
		return "ja3";
	}
}

#endif
