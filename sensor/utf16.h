/* UTF-16LE, as Windows' protocols write names, turned into UTF-8. */
#ifndef SENSOR_UTF16_H
#define SENSOR_UTF16_H

#include "common/cursor.h"

/* At most cap bytes, never cutting a character; a lone surrogate becomes U+FFFD,
 * an odd last byte is left out. Gives the length. */
size_t utf16_to_utf8(struct bytes from, char *out, size_t cap);

#endif
