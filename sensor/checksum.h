/* The Internet checksum (RFC 1071) of IP, TCP, UDP and ICMP. Sums are of 16-bit
 * words in the machine's order, which does not matter to whether they come to all
 * ones, and may be added to one another before checksum_holds() judges them. */
#ifndef SENSOR_CHECKSUM_H
#define SENSOR_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What does not fit goes round to the front (RFC 1071, 2(A)). */
static inline uint64_t checksum_add(uint64_t sum, uint64_t more)
{
	sum += more;
	return sum + (sum < more);
}

static inline uint64_t checksum_eight(const uint8_t *p)
{
	uint64_t eight;
	memcpy(&eight, p, sizeof(eight));
	return eight;
}

/* Half as wide, so that some may be added up. */
static inline uint64_t checksum_halved(uint64_t sum)
{
	return (sum & UINT32_MAX) + (sum >> 32);
}

/* For a few bytes. The last of them are those of an eighth that reaches back over what
 * was summed: lengths are as good as random, and a branch for each size of rest would be
 * guessed wrong half of the time. */
static inline uint64_t checksum_words(const uint8_t *p, size_t n)
{
	uint64_t sum = 0, eight = 0;
	size_t rest = n & 7;
	const uint8_t *whole = p + (n - rest);
	for (; whole - p >= 16; p += 16)
		sum = checksum_add(checksum_add(sum, checksum_eight(p)), checksum_eight(p + 8));
	if (p < whole) {
		sum = checksum_add(sum, checksum_eight(p));
		p += 8;
	}
	if (n >= 8) {
		eight = checksum_eight(p + rest - 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		eight = eight >> 1 >> (63 - 8 * rest);
#else
		eight = eight << 1 << (63 - 8 * rest);
#endif
	} else {
		uint8_t few[8] = {0};
		memcpy(few, p, rest);
		eight = checksum_eight(few);
	}
	return checksum_halved(checksum_add(sum, eight));
}

/* Of an IPv4 header without options. */
static inline uint64_t checksum_twenty(const uint8_t *p)
{
	uint32_t four;
	memcpy(&four, p + 16, sizeof(four));
	return checksum_halved(checksum_add(checksum_eight(p), checksum_eight(p + 8))) + four;
}

/* For any number. */
uint64_t checksum_long(const uint8_t *p, size_t n);

#define CHECKSUM_LONG 96 /* from here on the call is worth it */

static inline uint64_t checksum_sum(const uint8_t *p, size_t n)
{
	return n < CHECKSUM_LONG ? checksum_words(p, n) : checksum_long(p, n);
}

/* Is a sum that has the checksum field in it right? Folded to 16 bits it would be all ones. */
static inline bool checksum_holds(uint64_t sum)
{
	return sum && sum % 0xffff == 0;
}

#endif
