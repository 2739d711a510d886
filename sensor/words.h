/* Words of a command line, for the protocols that are spoken in lines (FTP, SMTP,
 * IMAP, POP3). Blanks are spaces and tabs; everything is borrowed from the line. */
#ifndef SENSOR_WORDS_H
#define SENSOR_WORDS_H

#include <string.h>

#include "common/cursor.h"
#include "common/text.h"

/* The first word, which may be empty. */
static inline struct bytes words_first(struct bytes b)
{
	size_t n = 0;
	while (n < b.n && b.p[n] != ' ' && b.p[n] != '\t')
		n++;
	return (struct bytes){b.p, n};
}

/* What stands behind the first n bytes and the blanks that follow them. */
static inline struct bytes words_behind(struct bytes line, size_t n)
{
	line.p += n;
	line.n -= n;
	while (line.n && (line.p[0] == ' ' || line.p[0] == '\t')) {
		line.p++;
		line.n--;
	}
	return line;
}

/* ASCII case does not count. */
static inline bool words_same(struct bytes word, const char *want)
{
	return text_equal_fold(word.p, word.n, want, strlen(want));
}

#endif
