#include "collector/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exits.h"
#include "common/json.h"
#include "common/text.h"

int cli_options(struct cli *c, int argc, char **argv, const char *usage)
{
	static const struct option longs[] = {
	    {"json", 0, NULL, 'j'}, CLI_REDIS_OPTIONS, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int o;
	optind = 1;
	while ((o = getopt_long(argc, argv, "hc:", longs, NULL)) != -1) {
		if (o == 'h') {
			fputs(usage, stdout);
			return EXIT_OK;
		}
		if (o == 'j')
			c->json = true;
		else if (!cli_redis_option(c, o, optarg))
			return EXIT_USAGE;
	}
	return -1;
}

const char *cli_who(void)
{
	const char *user = getenv("SUDO_USER");
	if (!user || !*user)
		user = getenv("USER");
	return user && *user ? user : "unknown";
}

bool cli_field(const struct reply *r, const char *name, struct bytes *value)
{
	size_t len = strlen(name);
	for (size_t i = 0; i + 1 < reply_count(r); i += 2) {
		struct bytes field;
		if (reply_text(reply_at(r, i), &field) && field.n == len && memcmp(field.p, name, len) == 0)
			return reply_text(reply_at(r, i + 1), value);
	}
	return false;
}

const char *cli_text(const struct reply *r, const char *name, char *into, size_t cap)
{
	struct bytes value;
	*into = 0;
	return cli_field(r, name, &value) ? text_clean(into, cap, value.p, value.n) : into;
}

int64_t cli_number(const struct reply *r, const char *name)
{
	size_t len = strlen(name);
	int64_t v = 0;
	for (size_t i = 0; i + 1 < reply_count(r); i += 2) {
		struct bytes field;
		if (reply_text(reply_at(r, i), &field) && field.n == len && memcmp(field.p, name, len) == 0)
			return reply_number(reply_at(r, i + 1), &v) ? v : 0;
	}
	return 0;
}

/* ---- JSON ---- */

#define TEXT_MAX  65536
#define EVENT_MAX 65536

static bool counts(const char *name)
{
	static const char *const names[] = {"n", "episode", "episode_n", "skew_ms", "set_version", NULL};
	for (size_t i = 0; names[i]; i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, "sensor:", 7) == 0;
}

static void put_value(struct json *o, const char *name, const struct reply *r)
{
	struct bytes b;
	int64_t v;
	struct json *event = NULL;
	if (counts(name) && reply_number(r, &v)) {
		json_put_int(o, name, v);
	} else if (!reply_text(r, &b)) {
		json_put_null(o, name);
	} else {
		if (strcmp(name, "event") == 0 || strcmp(name, "last_event") == 0 || strcmp(name, "json") == 0)
			event = json_read(b.p, b.n, EVENT_MAX, NULL);
		if (event)
			json_put(o, name, event);
		else
			json_put_bytes(o, name, b.p, b.n, TEXT_MAX);
	}
}

void cli_print_json(const struct reply *r, const char *id)
{
	struct json *o = json_map();
	struct buf out = {0};
	if (id)
		json_put_text(o, "id", id);
	for (size_t i = 0; i + 1 < reply_count(r); i += 2) {
		struct bytes field;
		char name[128];
		if (reply_text(reply_at(r, i), &field))
			put_value(o, text_clean(name, sizeof(name), field.p, field.n), reply_at(r, i + 1));
	}
	json_write(o, &out);
	printf("%.*s\n", (int)out.n, (const char *)out.p);
	buf_free(&out);
	json_drop(o);
}

struct printing {
	const char *path;
	int depth;
};

#define PRINT_DEPTH_MAX 8

static void print_member(void *owner, const char *key, const struct json *v)
{
	struct printing *p = owner;
	char path[256], clean[2048];
	struct buf text = {0};
	size_t n;
	snprintf(path, sizeof(path), "%s%s%s", p->path, *p->path ? "." : "", key);
	if (json_kind(v) == JSON_KIND_MAP && p->depth < PRINT_DEPTH_MAX) {
		struct printing below = {path, p->depth + 1};
		json_each(v, print_member, &below);
		return;
	}
	const char *s = json_text(v, &n);
	if (!s) {
		json_write(v, &text);
		s = (const char *)text.p;
		n = text.n;
	}
	text_clean(clean, sizeof(clean), path, strlen(path));
	printf("  %-28s ", clean);
	printf("%s\n", text_clean(clean, sizeof(clean), s, n));
	buf_free(&text);
}

void cli_print_event(const char *title, struct bytes json)
{
	struct json *event = json_read(json.p, json.n, EVENT_MAX, NULL);
	struct printing p = {"", 0};
	if (!event)
		return;
	printf("%s:\n", title);
	json_each(event, print_member, &p);
	json_drop(event);
}

/* ---- looks ---- */

const char *cli_severity_colour(const struct cli *c, const char *severity)
{
	if (!c->colour)
		return "";
	if (strcmp(severity, "critical") == 0)
		return "\033[1;31m";
	if (strcmp(severity, "high") == 0)
		return "\033[31m";
	return strcmp(severity, "medium") == 0 ? "\033[33m" : "\033[2m";
}

const char *cli_plain(const struct cli *c)
{
	return c->colour ? "\033[0m" : "";
}

bool cli_until(const char *text, int64_t *us)
{
	char *end;
	long n = strtol(text, &end, 10);
	int64_t unit = strcmp(end, "d") == 0 ? 86400000000 : strcmp(end, "h") == 0 ? 3600000000 : 0;
	if (end != text && unit && n > 0 && n < 100000) {
		*us = clock_wall_us() + n * unit;
		return true;
	}
	return clock_parse(text, us) && *us > clock_wall_us();
}

bool cli_since(const char *text, int64_t *us)
{
	static const struct {
		const char *unit;
		int64_t us;
	} units[] = {{"s", 1000000}, {"m", 60000000}, {"h", 3600000000}, {"d", 86400000000}};
	char *end;
	long v = strtol(text, &end, 10);
	for (size_t i = 0; end != text && v >= 0 && v < 1000000 && i < sizeof(units) / sizeof(*units); i++)
		if (strcmp(end, units[i].unit) == 0) {
			*us = clock_wall_us() - v * units[i].us;
			return true;
		}
	return clock_parse(text, us);
}

const char *cli_age(int64_t us, char *into, size_t cap)
{
	int64_t s = us / 1000000;
	if (s < 0)
		snprintf(into, cap, "in the future");
	else if (s < 120)
		snprintf(into, cap, "%lld s", (long long)s);
	else if (s < 7200)
		snprintf(into, cap, "%lld min", (long long)(s / 60));
	else if (s < 172800)
		snprintf(into, cap, "%lld h", (long long)(s / 3600));
	else
		snprintf(into, cap, "%lld d", (long long)(s / 86400));
	return into;
}
