#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/text.h"

static struct {
	const char *name;
	enum log_level level;
	bool journal;
} logger = {.name = "picket", .level = LOG_LEVEL_INFO};

static const char *const level_words[LOG_LEVEL_COUNT] = {
    [LOG_LEVEL_ERROR] = "error: ",
    [LOG_LEVEL_WARN] = "warning: ",
    [LOG_LEVEL_INFO] = "",
    [LOG_LEVEL_DEBUG] = "debug: ",
};

/* syslog(3) priorities, which journald takes as a "<N>" prefix. */
static const int level_priority[LOG_LEVEL_COUNT] = {3, 4, 6, 7};

void log_open(const char *name, enum log_level level)
{
	logger.name = name;
	logger.level = level;
	logger.journal = getenv("JOURNAL_STREAM") != NULL;
}

bool log_enabled(enum log_level level)
{
	return level <= logger.level;
}

/* One write(2) per line, so that lines of several threads do not mix. */
static void log_line(enum log_level level, const char *fmt, va_list ap, int error)
{
	if (!log_enabled(level))
		return;
	char raw[1024], text[1024], line[1200], prefix[8] = "";
	vsnprintf(raw, sizeof(raw), fmt, ap);
	text_clean(text, sizeof(text), raw, strlen(raw));
	if (logger.journal)
		snprintf(prefix, sizeof(prefix), "<%d>", level_priority[level]);
	int n = snprintf(line, sizeof(line), "%s%s: %s%s%s%s\n", prefix, logger.name, level_words[level], text,
			 error ? ": " : "", error ? strerror(error) : "");
	if (n > 0)
		fwrite(line, 1, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1, stderr);
}

#define LOG_BODY(level, error)                                                                                         \
	do {                                                                                                           \
		int saved = errno;                                                                                     \
		va_list ap;                                                                                            \
		va_start(ap, fmt);                                                                                     \
		log_line(level, fmt, ap, (error));                                                                     \
		va_end(ap);                                                                                            \
		errno = saved;                                                                                         \
	} while (0)

void log_debug(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_DEBUG, 0);
}

void log_info(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_INFO, 0);
}

void log_warn(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_WARN, saved);
}

void log_warnx(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_WARN, 0);
}

void log_errorx(const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR, 0);
}

void log_fatal(int code, const char *fmt, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR, 0);
	exit(code);
}

bool log_again(struct log_once *site, unsigned long *skipped)
{
	long long now_s = clock_mono_us() / 1000000;
	if (site->next_s && now_s < site->next_s) {
		site->skipped++;
		return false;
	}
	site->next_s = now_s + 60;
	*skipped = site->skipped;
	site->skipped = 0;
	return true;
}
