/* What a command says to the person who typed it, on standard error: one line, cleaned
 * (text_clean), so that a file's name or a value that it quotes cannot act on the
 * terminal or look like a second line. Daemons use common/log.h. */
#ifndef COMMON_COMPLAIN_H
#define COMMON_COMPLAIN_H

/* At most 2,047 bytes; the line end is put by it. */
__attribute__((format(printf, 1, 2))) void complain(const char *fmt, ...);

#endif
