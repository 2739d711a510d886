/* The Internet checksum (RFC 1071) of IP, TCP, UDP and ICMP. Sums are of 16-bit
 * words in the machine's order, which does not matter to whether they come to all
 * ones, and may be added to one another before checksum_holds() judges them. */
#ifndef SENSOR_CHECKSUM_H
#define SENSOR_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* For a few bytes. Below 16 GiB nothing is lost. The last bytes are those of an
 * eighth that reaches back over what was summed: lengths are as good as random, and
 * a branch for each size of rest would be guessed wrong half of the time. */
static inline uint64_t checksum_words(const uint8_t *p, size_t n)
{
	uint64_t sum = 0, eight = 0;
	size_t rest = n & 7;
	const uint8_t *whole = p + (n - rest);
	for (; p < whole; p += 8) {
		memcpy(&eight, p, 8);
		sum += (eight & UINT32_MAX) + (eight >> 32);
	}
	if (n >= 8) {
		memcpy(&eight, p + rest - 8, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		eight = eight >> 1 >> (63 - 8 * rest);
#else
		eight = eight << 1 << (63 - 8 * rest);
#endif
	} else {
		uint8_t few[8] = {0};
		memcpy(few, p, rest);
		memcpy(&eight, few, 8);
	}
	return sum + (eight & UINT32_MAX) + (eight >> 32);
}

/* For any number. */
uint64_t checksum_long(const uint8_t *p, size_t n);

#define CHECKSUM_LONG 96 /* from here on the call is worth it */

static inline uint64_t checksum_sum(const uint8_t *p, size_t n)
{
	return n < CHECKSUM_LONG ? checksum_words(p, n) : checksum_long(p, n);
}

/* Is a sum that has the checksum field in it right? */
static inline bool checksum_holds(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

#endif
