#include "common/addr.h"

#include <arpa/inet.h>

/* The part that the family's text form shows, and its length in bits. */
static const uint8_t *own_bytes(const struct addr *a, unsigned *bits)
{
	bool v4 = addr_is_v4(a);
	*bits = v4 ? 32 : 128;
	return v4 ? a->b + 12 : a->b;
}

char *addr_format(const struct addr *a, char out[static ADDR_TEXT_LEN])
{
	unsigned bits;
	const uint8_t *b = own_bytes(a, &bits);
	inet_ntop(bits == 32 ? AF_INET : AF_INET6, b, out, ADDR_TEXT_LEN);
	return out;
}

bool addr_parse(const char *text, size_t n, struct addr *out)
{
	char copy[ADDR_TEXT_LEN];
	uint8_t b[16];
	if (n >= sizeof(copy) || memchr(text, '\0', n))
		return false;
	memcpy(copy, text, n);
	copy[n] = '\0';
	if (inet_pton(AF_INET, copy, b) == 1)
		*out = addr_v4(b);
	else if (inet_pton(AF_INET6, copy, b) == 1)
		*out = addr_v6(b);
	else
		return false;
	return true;
}

/* Whether all bits of b from `from` up to `bits` are zero. */
static bool zero_from(const uint8_t *b, unsigned from, unsigned bits)
{
	for (unsigned i = from; i < bits; i++)
		if (b[i / 8] & (0x80u >> (i % 8)))
			return false;
	return true;
}

bool prefix_parse(const char *text, size_t n, struct prefix *out)
{
	const char *slash = memchr(text, '/', n);
	size_t addr_n = slash ? (size_t)(slash - text) : n;
	if (!addr_parse(text, addr_n, &out->addr))
		return false;
	unsigned bits, length = 0;
	const uint8_t *b = own_bytes(&out->addr, &bits);
	if (!slash) {
		out->length = (uint8_t)bits;
		return true;
	}
	size_t digits = n - addr_n - 1;
	if (digits < 1 || digits > 3)
		return false;
	for (const char *p = slash + 1; p < text + n; p++) {
		if (*p < '0' || *p > '9')
			return false;
		length = length * 10 + (unsigned)(*p - '0');
	}
	out->length = (uint8_t)length;
	return length <= bits && zero_from(b, length, bits);
}

bool prefix_has(const struct prefix *p, const struct addr *a)
{
	unsigned bits, a_bits;
	const uint8_t *x = own_bytes(&p->addr, &bits), *y = own_bytes(a, &a_bits);
	unsigned whole = p->length / 8u, rest = p->length % 8u;
	if (bits != a_bits || memcmp(x, y, whole) != 0)
		return false;
	return !rest || ((x[whole] ^ y[whole]) >> (8 - rest)) == 0;
}
