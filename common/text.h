/* Text that came from outside, made safe for where it goes. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies at most cap bytes of valid UTF-8 into dst; every byte that is not
 * part of a well-formed sequence becomes U+FFFD. Control characters stay (JSON
 * escapes them). Never cuts a sequence. Returns the length written; dst is not
 * terminated. */
size_t text_utf8(char *dst, size_t cap, const void *src, size_t n);

/* For terminals and logs: as text_utf8, but control characters (C0, DEL, C1)
 * become \xNN, and the result is terminated. Returns dst. cap counts the NUL. */
char *text_clean(char *dst, size_t cap, const void *src, size_t n);

/* Lower-cases ASCII in place of n bytes from src into dst (may be the same). */
void text_lower(char *dst, const void *src, size_t n);

bool text_equal_fold(const void *a, size_t an, const void *b, size_t bn); /* ASCII case ignored */

/* n bytes as 2n lower-case hex digits and a NUL. */
void text_hex(char *dst, const void *src, size_t n);

/* Reads 2n hex digits (either case) into n bytes; false on anything else. */
bool text_unhex(void *dst, size_t n, const char *hex, size_t hex_len);

#endif
