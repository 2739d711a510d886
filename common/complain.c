#include "common/complain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"

void complain(const char *fmt, ...)
{
	char raw[2048], line[sizeof(raw)];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s\n", text_clean(line, sizeof(line), raw, strlen(raw)));
}
