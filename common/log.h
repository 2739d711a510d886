/* What a daemon says to its operator, on standard error, one line each:
 * "warning: cannot reach collector at 192.0.2.1:8460: connection refused".
 * Under systemd (JOURNAL_STREAM set) lines carry the <N> priority prefix.
 * Text that came from outside is cleaned here (text_clean): a line stays one line, and
 * no control character reaches a terminal. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR = 0, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_COUNT };

/* name goes before every line. The level is set once at start-up. */
void log_open(const char *name, enum log_level level);
bool log_enabled(enum log_level level);

void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));  /* adds strerror(errno) */
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_errorx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* For start-up only: says the sentence and exits with the given code
 * (common/exits.h). A running daemon never dies of its input. */
__attribute__((noreturn, format(printf, 2, 3))) void log_fatal(int code, const char *fmt, ...);

/* A site that can repeat without end says it once, then counts. Returns true
 * the first time and then once per minute, and gives in *skipped how often it
 * was silent in between. */
struct log_once {
	long long next_s;
	unsigned long skipped;
};
bool log_again(struct log_once *site, unsigned long *skipped);

#endif
