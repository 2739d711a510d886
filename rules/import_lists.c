/* Formats of one indicator a line: plain lists, CSV, Maltrail's trails,
 * Suricata's datasets, Zeek's intel files. */
#include <string.h>

#include "common/text.h"
#include "rules/import.h"

#define FIELDS_MAX 64

/* The next line without its end; false after the last. */
static bool next_line(struct import *m, struct bytes *text, struct bytes *line)
{
	if (!text->n)
		return false;
	const uint8_t *end = memchr(text->p, '\n', text->n);
	size_t n = end ? (size_t)(end - text->p) : text->n;
	*line = (struct bytes){.p = text->p, .n = n};
	text->p += n + (end != NULL);
	text->n -= n + (end != NULL);
	if (line->n && line->p[line->n - 1] == '\r')
		line->n--;
	m->line++;
	return true;
}

static struct bytes trimmed(struct bytes b)
{
	while (b.n && (b.p[0] == ' ' || b.p[0] == '\t'))
		b.p++, b.n--;
	while (b.n && (b.p[b.n - 1] == ' ' || b.p[b.n - 1] == '\t'))
		b.n--;
	return b;
}

/* Up to the first of the separators; a comment is none. */
static struct bytes until(struct bytes line, const char *separators)
{
	size_t n = 0;
	while (n < line.n && !(line.p[n] && strchr(separators, line.p[n])))
		n++;
	return trimmed((struct bytes){.p = line.p, .n = n});
}

static bool begins(struct bytes b, const char *with)
{
	return b.n >= strlen(with) && memcmp(b.p, with, strlen(with)) == 0;
}

static void take_value(struct import *m, struct bytes value)
{
	const char *text = (const char *)value.p;
	struct import_item item = IMPORT_ITEM;
	item.type = m->type ? m->type : import_guess(text, value.n);
	item.value = text;
	item.n = value.n;
	if (item.type)
		import_take(m, &item);
	else
		import_leave(m, "unknown-kind", "it looks like no type of indicator (--type says which)", text,
			     value.n);
}

void import_plain(struct import *m, struct bytes text)
{
	for (struct bytes line; next_line(m, &text, &line);) {
		line = trimmed(line);
		if (!line.n || begins(line, "#") || begins(line, ";") || begins(line, "//"))
			continue;
		take_value(m, until(line, m->type ? "" : " \t,;"));
	}
}

static struct bytes unquoted(struct bytes cell)
{
	if (cell.n >= 2 && cell.p[0] == '"' && cell.p[cell.n - 1] == '"')
		return (struct bytes){.p = cell.p + 1, .n = cell.n - 2};
	return cell;
}

/* The first cell of each line; a first line that is no indicator is a header.
 * Our own CSV needs no import: all commands read it. */
void import_csv(struct import *m, struct bytes text)
{
	for (struct bytes line; next_line(m, &text, &line);) {
		struct bytes cell = unquoted(until(trimmed(line), ",;\t"));
		if (!cell.n || begins(cell, "#"))
			continue;
		if (m->line == 1 && !import_guess((const char *)cell.p, cell.n))
			continue;
		take_value(m, cell);
	}
}

/* Trails are names, addresses, address:port, name/path, /path, and regular
 * expressions for user agents (github.com/stamparm/maltrail, trails/static). */
void import_maltrail(struct import *m, struct bytes text)
{
	for (struct bytes line; next_line(m, &text, &line);) {
		line = until(line, "#");
		if (!line.n)
			continue;
		if (m->type == INDICATOR_USER_AGENT)
			import_leave(m, "regex", "a pattern for a part of the user agent; user_agent is exact",
				     (const char *)line.p, line.n);
		else if (begins(line, "/"))
			import_leave(m, "path", "a path on any host; url needs the host", (const char *)line.p, line.n);
		else
			take_value(m, line);
	}
}

/* ---- Suricata (doc/userguide/rules/datasets.rst): strings in base64, the rest
 * plain; a reputation may follow a comma ---- */

static int base64_digit(uint8_t c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

static bool base64(struct bytes in, struct buf *out)
{
	uint32_t bits = 0;
	unsigned have = 0;
	out->n = 0;
	while (in.n && in.p[in.n - 1] == '=')
		in.n--;
	for (size_t i = 0; i < in.n; i++) {
		int v = base64_digit(in.p[i]);
		if (v < 0)
			return false;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_u8(out, (uint8_t)(bits >> have));
		}
	}
	return in.n && in.n % 4 != 1;
}

static bool plain_in_datasets(enum indicator_type t)
{
	const indicator_mask plain = INDICATOR_BIT(INDICATOR_IP) | INDICATOR_BIT(INDICATOR_CIDR) |
				     INDICATOR_BIT(INDICATOR_FILE_MD5) | INDICATOR_BIT(INDICATOR_FILE_SHA1) |
				     INDICATOR_BIT(INDICATOR_FILE_SHA256);
	return t == INDICATOR_NONE || plain & INDICATOR_BIT(t);
}

void import_suricata(struct import *m, struct bytes text)
{
	struct buf value = {0};
	for (struct bytes line; next_line(m, &text, &line);) {
		line = until(line, ",");
		if (!line.n || begins(line, "#"))
			continue;
		if (plain_in_datasets(m->type))
			take_value(m, line);
		else if (base64(line, &value))
			take_value(m, (struct bytes){.p = value.p, .n = value.n});
		else
			import_leave(m, "bad-base64", "not base64, as datasets of strings are", (const char *)line.p,
				     line.n);
	}
	buf_free(&value);
}

/* ---- Zeek (frameworks/intel): tab-separated below a line "#fields" ---- */

static const struct {
	const char *name;
	enum indicator_type type;
} zeek_types[] = {
    {"Intel::ADDR", INDICATOR_IP},
    {"Intel::SUBNET", INDICATOR_CIDR},
    {"Intel::URL", INDICATOR_URL},
    {"Intel::DOMAIN", INDICATOR_HOSTNAME},
    {"Intel::EMAIL", INDICATOR_EMAIL},
    {"Intel::SOFTWARE", INDICATOR_USER_AGENT},
    {"Intel::USER_NAME", INDICATOR_USERNAME},
    {"Intel::FILE_NAME", INDICATOR_FILENAME},
    {"Intel::CERT_HASH", INDICATOR_CERT_SHA1},
    {"Intel::FILE_HASH", INDICATOR_NONE}, /* by its length */
    {"Intel::JA3", INDICATOR_JA3},
};

struct zeek {
	char name[FIELDS_MAX][32];
	size_t names;
	struct bytes cell[FIELDS_MAX];
	size_t cells;
};

static void split_tabs(struct zeek *z, struct bytes line)
{
	z->cells = 0;
	for (;;) {
		const uint8_t *tab = memchr(line.p, '\t', line.n);
		size_t n = tab ? (size_t)(tab - line.p) : line.n;
		if (z->cells < FIELDS_MAX)
			z->cell[z->cells++] = (struct bytes){.p = line.p, .n = n};
		if (!tab)
			return;
		line = (struct bytes){.p = tab + 1, .n = line.n - n - 1};
	}
}

static void take_header(struct zeek *z, struct bytes line)
{
	split_tabs(z, (struct bytes){.p = line.p + 8, .n = line.n - 8});
	z->names = z->cells;
	for (size_t i = 0; i < z->cells; i++)
		text_clean(z->name[i], sizeof(z->name[i]), z->cell[i].p, z->cell[i].n);
}

/* Zeek writes what its format cannot hold as \xNN. A NUL stays as it is written. */
static void unescaped(struct bytes b, char *into, size_t n)
{
	size_t used = 0;
	for (size_t i = 0; i < b.n && used + 1 < n; i++) {
		uint8_t c = b.p[i];
		if (c == '\\' && b.n - i >= 4 && b.p[i + 1] == 'x' && text_unhex(&c, 1, (const char *)b.p + i + 2, 2) &&
		    c)
			i += 3;
		into[used++] = (char)(c ? c : b.p[i]);
	}
	into[used] = '\0';
}

/* The named cell, "" when it is not there or "-". into has room for n bytes. */
static const char *cell(const struct zeek *z, const char *name, char *into, size_t n)
{
	into[0] = '\0';
	for (size_t i = 0; i < z->names && i < z->cells; i++)
		if (strcmp(z->name[i], name) == 0 && !(z->cell[i].n == 1 && z->cell[i].p[0] == '-'))
			unescaped(z->cell[i], into, n);
	return into;
}

static void take_intel(struct import *m, const struct zeek *z, struct bytes line)
{
	char value[4200], type[64], source[200], note[1000], ref[1000];
	struct import_item item = IMPORT_ITEM;
	bool known = false;
	cell(z, "indicator_type", type, sizeof(type));
	item.value = cell(z, "indicator", value, sizeof(value));
	item.n = strlen(value);
	item.labels = cell(z, "meta.source", source, sizeof(source));
	item.note = cell(z, "meta.desc", note, sizeof(note));
	item.ref = cell(z, "meta.url", ref, sizeof(ref));
	for (char *c = source; *c; c++)
		*c = *c == ',' ? ' ' : *c;
	for (size_t i = 0; i < sizeof(zeek_types) / sizeof(*zeek_types); i++)
		if (strcmp(zeek_types[i].name, type) == 0) {
			item.type = zeek_types[i].type ? zeek_types[i].type : import_guess(value, item.n);
			known = true;
		}
	if (item.type == INDICATOR_URL && !strstr(value, "://") && !strchr(value, '/'))
		item.type = INDICATOR_HOSTNAME;
	if (item.type)
		import_take(m, &item);
	else
		import_leave(m, "unknown-kind", known ? "a hash of no known length" : "a type that Picket has not",
			     (const char *)line.p, line.n);
}

void import_zeek(struct import *m, struct bytes text)
{
	struct zeek z = {.names = 0};
	for (struct bytes line; next_line(m, &text, &line);) {
		if (begins(line, "#fields\t")) {
			take_header(&z, line);
		} else if (line.n && line.p[0] != '#') {
			split_tabs(&z, line);
			if (z.names && z.cells >= 2)
				take_intel(m, &z, line);
			else
				import_leave(m, "bad-line", "no cells that a #fields line before it names",
					     (const char *)line.p, line.n);
		}
	}
}
