#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"

static void set(struct err *e, const char *fmt, va_list ap, int error)
{
	char raw[sizeof(e->text)];
	int n = vsnprintf(raw, sizeof(raw), fmt, ap);
	size_t used = n < 0 ? 0 : (size_t)n;
	if (error && used < sizeof(raw))
		snprintf(raw + used, sizeof(raw) - used, ": %s", strerror(error));
	text_clean(e->text, sizeof(e->text), raw, strlen(raw));
}

bool err_set(struct err *e, const char *fmt, ...)
{
	va_list ap;
	if (!e)
		return false;
	va_start(ap, fmt);
	set(e, fmt, ap, 0);
	va_end(ap);
	return false;
}

bool err_errno(struct err *e, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	if (!e)
		return false;
	va_start(ap, fmt);
	set(e, fmt, ap, saved);
	va_end(ap);
	errno = saved;
	return false;
}
