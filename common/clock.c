#include "common/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_US 1000000

static int64_t clock_read(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * SECOND_US + t.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
	return clock_read(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

void clock_format(int64_t us, char out[static CLOCK_TEXT_LEN])
{
	const int64_t first = -62135596800LL * SECOND_US, last = 253402300799LL * SECOND_US + 999999;
	us = us < first ? first : us > last ? last : us;
	int64_t fraction = us % SECOND_US;
	if (fraction < 0)
		fraction += SECOND_US;
	time_t s = (time_t)((us - fraction) / SECOND_US);
	struct tm tm;
	gmtime_r(&s, &tm);
	snprintf(out, CLOCK_TEXT_LEN, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", (unsigned)(tm.tm_year + 1900) % 10000,
		 (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
		 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100, (unsigned)fraction % SECOND_US);
}

/* Exactly n digits, or -1. */
static int digits(const char **p, int n)
{
	int v = 0;
	for (int i = 0; i < n; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return -1;
		v = v * 10 + (**p - '0');
	}
	return v;
}

static bool take(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

/* "Z", "+09:00", "-05:30": seconds east of UTC. */
static bool offset_parse(const char **p, int *seconds)
{
	*seconds = 0;
	if (take(p, 'Z') || take(p, 'z'))
		return true;
	int sign = **p == '-' ? -1 : 1;
	if (!take(p, '+') && !take(p, '-'))
		return false;
	int h = digits(p, 2);
	if (h < 0 || h > 23 || !take(p, ':'))
		return false;
	int m = digits(p, 2);
	if (m < 0 || m > 59)
		return false;
	*seconds = sign * (h * 3600 + m * 60);
	return true;
}

/* Up to nine digits behind the point, cut to microseconds. */
static bool fraction_parse(const char **p, int64_t *us)
{
	int64_t v = 0, scale = SECOND_US;
	int n = 0;
	for (; **p >= '0' && **p <= '9'; (*p)++, n++) {
		if (n >= 9)
			return false;
		if (scale > 1) {
			scale /= 10;
			v += (**p - '0') * scale;
		}
	}
	*us = v;
	return n > 0;
}

bool clock_parse(const char *text, int64_t *us)
{
	const char *p = text;
	struct tm tm = {0};
	int year = digits(&p, 4), month, day;
	if (year < 1 || !take(&p, '-') || (month = digits(&p, 2)) < 1 || month > 12 || !take(&p, '-') ||
	    (day = digits(&p, 2)) < 1 || day > 31)
		return false;
	tm.tm_year = year - 1900, tm.tm_mon = month - 1, tm.tm_mday = day;
	int64_t fraction = 0;
	int offset = 0;
	if (*p) {
		if (!take(&p, 'T') && !take(&p, 't') && !take(&p, ' '))
			return false;
		tm.tm_hour = digits(&p, 2);
		if (tm.tm_hour < 0 || tm.tm_hour > 23 || !take(&p, ':'))
			return false;
		tm.tm_min = digits(&p, 2);
		if (tm.tm_min < 0 || tm.tm_min > 59 || !take(&p, ':'))
			return false;
		tm.tm_sec = digits(&p, 2);
		if (tm.tm_sec < 0 || tm.tm_sec > 60 || (take(&p, '.') && !fraction_parse(&p, &fraction)))
			return false;
		if (!offset_parse(&p, &offset) || *p)
			return false;
	}
	time_t s = timegm(&tm);
	if (tm.tm_mday != day || tm.tm_mon != month - 1) /* 30 February */
		return false;
	*us = ((int64_t)s - offset) * SECOND_US + fraction;
	return true;
}
