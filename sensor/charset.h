/* Text in the character sets of mail, turned into UTF-8. The door to iconv. */
#ifndef SENSOR_CHARSET_H
#define SENSOR_CHARSET_H

#include <stdbool.h>
#include <stddef.h>

/* glibc loads a converter from disk when it is first used. A process that gives
 * up its rights calls this before, and holds what it gets for as long as it
 * inspects: converters then stay in memory. NULL only when memory is short. */
struct charsets;
struct charsets *charset_prepare(void);
void charset_release(struct charsets *c);

/* n bytes of the named character set as UTF-8 in out (at most cap bytes; cut
 * there, and *cut is set). Unknown names, and what does not convert, are copied as they are: the
 * value is still matched as it stood on the wire. Gives the length. */
size_t charset_to_utf8(const void *name, size_t name_n, const void *in, size_t n, char *out, size_t cap, bool *cut);

#endif
