/* One sentence for the operator: what was tried, with which value, why it
 * failed, what to do. Functions that can fail for an outside reason return
 * bool and fill a struct err; false means the text is set. */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include <stdbool.h>

struct err {
	char text[512];
};

/* Sets the text (truncated to fit) and returns false, so that a failure is
 * `return err_set(e, "...")`. A NULL e is allowed: the caller does not care.
 * Sentences quote what came from outside: the text is cleaned here (text_clean), one
 * line that any log or terminal may show. */
bool err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same, followed by ": " and strerror(errno). Keeps errno. */
bool err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
