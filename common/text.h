/* Text that came from outside, made safe for where it goes. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* Copies at most cap bytes of valid UTF-8 into dst; every byte that is not
 * part of a well-formed sequence becomes U+FFFD. Control characters stay (JSON
 * escapes them). Never cuts a sequence. Returns the length written; dst is not
 * terminated. */
size_t text_utf8(char *dst, size_t cap, const void *src, size_t n);

/* The length of the character at p[0..n) when what shows text would obey it instead of
 * showing it: C0, DEL and C1; line and paragraph separators (U+2028, U+2029); what turns
 * the direction of writing, so that a line reads as something else (U+061C, U+200E,
 * U+200F, U+202A-202E, U+2066-2069: Bidi_Control of the Unicode character database);
 * U+FFFE and U+FFFF, which XML refuses. 0: it is none of them, or no UTF-8. *code is the
 * character. */
size_t text_control(const void *p, size_t n, unsigned *code);

/* For terminals and logs: as text_utf8, but bytes that are no UTF-8 and controls
 * (text_control) up to U+00FF become \xNN, other controls \uNNNN, and the result is
 * terminated. What is clean stays as it is. Returns dst. cap counts the NUL. */
char *text_clean(char *dst, size_t cap, const void *src, size_t n);

/* The same of a string, in a room of the thread that eight further calls leave alone:
 * for what a printf() shows. At most 1,023 bytes; NULL is "". */
const char *text_shown(const char *s);

/* The same bytes in double quotes as YAML and JSON both read them: valid UTF-8, with
 * quotes, backslashes and controls (text_control) escaped. Appended to out. */
void text_quote(struct buf *out, const void *src, size_t n);

/* Lower-cases ASCII in place of n bytes from src into dst (may be the same). */
void text_lower(char *dst, const void *src, size_t n);

bool text_equal_fold(const void *a, size_t an, const void *b, size_t bn); /* ASCII case ignored */

/* n bytes as 2n lower-case hex digits and a NUL. */
void text_hex(char *dst, const void *src, size_t n);

/* Reads 2n hex digits (either case) into n bytes; false on anything else. */
bool text_unhex(void *dst, size_t n, const char *hex, size_t hex_len);

#endif
