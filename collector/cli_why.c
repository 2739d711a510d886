#define _GNU_SOURCE /* memmem */
#include "collector/cli_why.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/publish.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/text.h"

#define LINES_MAX 10

static void line(const char *name, const char *value)
{
	if (*value)
		printf("  %-13s %s\n", name, value);
}

static void field(const struct reply *alert, const char *name, const char *title)
{
	char text[600];
	line(title, cli_text(alert, name, text, sizeof(text)));
}

/* The lines of a content that hold the word; how many. */
static size_t print_lines(const struct buf *content, const char *word, const char *title)
{
	const uint8_t *p = content->p, *end = p + content->n;
	size_t n = 0;
	unsigned number = 1;
	for (; p && p < end; number++) {
		const uint8_t *eol = memchr(p, '\n', (size_t)(end - p));
		size_t k = (size_t)((eol ? eol : end) - p);
		char clean[1000];
		if (n < LINES_MAX && k && memmem(p, k, word, strlen(word))) {
			text_clean(clean, sizeof(clean), p, k);
			printf("  %-13s line %u: %s\n", title, number, clean);
			n++;
		}
		p = eol ? eol + 1 : end;
	}
	return n;
}

static bool read_current(struct cli *c, const char *set, struct published *p, struct buf *content)
{
	uint32_t version = 0;
	struct err e;
	return manifest_id_valid(set, strlen(set)) && publish_current(c->redis, set, "", &version, &e) && version &&
	       publish_read(c->redis, set, version, p, &e) && publish_content(c->redis, set, version, content, &e);
}

static void tell_set(struct cli *c, const char *set, const char *value)
{
	struct published p;
	struct buf content = {0};
	char until[CLOCK_TEXT_LEN] = "no end", text[200], row[700];
	if (!read_current(c, set, &p, &content)) {
		line("published", "no: the set comes from files on the sensor (picket why VALUE --rules FILE)");
		buf_free(&content);
		return;
	}
	if (p.m.valid_until_us)
		clock_format(p.m.valid_until_us, until);
	snprintf(text, sizeof(text), "version %" PRIu64 ", until %s, signed by key %s%s", p.m.version, until,
		 p.by.key_id, p.m.withdrawn ? ", withdrawn" : "");
	line("published", text);
	snprintf(row, sizeof(row), ",%.600s,", value);
	if (!print_lines(&content, row, "rule"))
		line("rule", "not in the version that is published now");
	buf_free(&content);
}

static void tell_decisions(struct cli *c, const char *value, const char *id)
{
	struct published p;
	struct buf content = {0};
	char word[700];
	size_t n = 0;
	if (read_current(c, "local", &p, &content)) {
		snprintf(word, sizeof(word), "value: \"%.600s\"", value);
		n = print_lines(&content, word, "decision");
		snprintf(word, sizeof(word), "{id: \"%.600s\"", id);
		n += print_lines(&content, word, "decision");
	}
	if (!n)
		line("decision", "none names it (picket allow|suppress|disable)");
	buf_free(&content);
}

void why_alert(struct cli *c, const char *id, const struct reply *alert)
{
	char set[200], value[700], indicator[200];
	printf("%s\n", id);
	field(alert, "type", "type");
	field(alert, "value", "indicator");
	field(alert, "indicator", "its id");
	field(alert, "set", "set");
	field(alert, "producer", "producer");
	field(alert, "severity", "severity");
	field(alert, "tlp", "marking");
	field(alert, "exercise", "exercise");
	field(alert, "n", "hits");
	field(alert, "first_seen", "first seen");
	field(alert, "last_seen", "last seen");
	field(alert, "state", "state");
	tell_set(c, cli_text(alert, "set", set, sizeof(set)), cli_text(alert, "value", value, sizeof(value)));
	tell_decisions(c, value, cli_text(alert, "indicator", indicator, sizeof(indicator)));
	line("partners", "picket partner why PARTNER OBJECT says what one of them would get");
}
