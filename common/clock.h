/* Time is int64_t microseconds since 1970 UTC everywhere (name ends in _us). */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_TEXT_LEN 28 /* "2026-11-21T03:10:00.123456Z" and the NUL */

int64_t clock_wall_us(void);
int64_t clock_mono_us(void);

/* RFC 3339 UTC with microseconds. Years outside 0001..9999 are clamped. */
void clock_format(int64_t us, char out[static CLOCK_TEXT_LEN]);

/* Reads RFC 3339 date-times with any offset and up to nine fraction digits,
 * and a plain date (midnight UTC). False when the text is anything else. */
bool clock_parse(const char *text, int64_t *us);

#endif
