/* The only file that includes libyaml. Events, not documents: the document API
 * keeps the whole tree (301 MiB for 200 k mappings), events keep nothing.
 *
 * What libyaml lacks is added here:
 *   - limits on nesting, scalars and the whole text. libyaml scans a scalar to
 *     its end before it hands it over, so the scalar's limit is enforced where
 *     bytes enter: SPAN_MAX bytes may be read between two events;
 *   - the place of bytes that YAML does not allow (libyaml reports them without
 *     line and column because its reader runs ahead): they are found in feed();
 *   - aliases, anchors and second documents are refused: none of our files needs
 *     them, and an alias is how small files become large.
 * Tags are ignored: all our scalars are text until a key says otherwise. */
#include "common/yaml.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

#include "common/buf.h"

#define DEPTH_MAX  64
#define SCALAR_MAX (1u << 20)
#define SPAN_MAX   (2u * SCALAR_MAX)
#define TEXT_MAX   (1ull << 30)

struct yaml {
	yaml_parser_t parser;
	yaml_event_t event; /* the last one: holds the scalar that the caller borrows */
	bool has_event, ended;
	FILE *file;        /* or */
	const uint8_t *at; /* a text of the caller's */
	size_t left;
	uint64_t fed;         /* bytes given to libyaml */
	uint64_t fed_at_last; /* … when the last event came */
	unsigned depth, documents;
	/* feed() as it walks the bytes */
	unsigned feed_line, feed_column;
	uint8_t held[1]; /* the first byte that is not allowed: never handed over */
	bool held_bad;
	/* why it ended */
	char why[256];
	unsigned line, column;
};

static void fail_at(struct yaml *y, unsigned line, unsigned column, const char *why)
{
	if (y->why[0])
		return;
	snprintf(y->why, sizeof(y->why), "%s", why);
	y->line = line;
	y->column = column;
}

/* Steps over the bytes that YAML allows, counting lines and columns (in
 * characters); stops at the first that it does not. Bytes from 0x80 on are left
 * to libyaml, which checks UTF-8. */
static size_t allowed_bytes(struct yaml *y, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t c = p[i];
		if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
			return i;
		if (c == '\n') {
			y->feed_line++;
			y->feed_column = 1;
		} else if ((c & 0xc0) != 0x80) {
			y->feed_column++;
		}
	}
	return n;
}

static size_t source_read(struct yaml *y, uint8_t *to, size_t size)
{
	if (y->file)
		return fread(to, 1, size, y->file);
	size_t n = y->left < size ? y->left : size;
	if (n)
		memcpy(to, y->at, n);
	y->at += n;
	y->left -= n;
	return n;
}

/* libyaml takes a byte order mark for a column, so the first line would be
 * indented deeper than the others. */
static size_t without_bom(const struct yaml *y, uint8_t *p, size_t n)
{
	static const uint8_t bom[3] = {0xef, 0xbb, 0xbf};
	if (y->fed || n < sizeof(bom) || memcmp(p, bom, sizeof(bom)) != 0)
		return n;
	memmove(p, p + sizeof(bom), n - sizeof(bom));
	return n - sizeof(bom);
}

/* libyaml's read handler. A bad byte is reported only when libyaml comes back
 * for it, so that what stands before it is still delivered. */
static int feed(void *owner, unsigned char *to, size_t size, size_t *given)
{
	struct yaml *y = owner;
	*given = 0;
	if (y->held_bad) {
		char why[96];
		snprintf(why, sizeof(why), "the byte 0x%02x is not allowed in YAML text", y->held[0]);
		fail_at(y, y->feed_line, y->feed_column, why);
		return 0;
	}
	size_t n = without_bom(y, to, source_read(y, to, size));
	if (n == 0 && y->file && ferror(y->file)) {
		fail_at(y, 0, 0, "reading failed");
		return 0;
	}
	y->fed += n;
	if (y->fed > TEXT_MAX || y->fed - y->fed_at_last > SPAN_MAX) {
		fail_at(y, y->feed_line, 0,
			y->fed > TEXT_MAX ? "longer than 1 GiB" : "a value or a comment longer than 2 MiB");
		return 0;
	}
	size_t good = allowed_bytes(y, to, n);
	if (good < n) {
		y->held[0] = to[good];
		y->held_bad = true;
		if (good == 0)
			return feed(owner, to, size, given);
	}
	*given = good;
	return 1;
}

static struct yaml *reader_new(void)
{
	struct yaml *y = xcalloc(1, sizeof(*y));
	y->feed_line = y->feed_column = 1;
	if (!yaml_parser_initialize(&y->parser)) {
		fail_at(y, 0, 0, "out of memory");
		y->ended = true;
		return y;
	}
	/* Files in other encodings than UTF-8 fail at their first odd byte. */
	yaml_parser_set_encoding(&y->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input(&y->parser, feed, y);
	return y;
}

struct yaml *yaml_open(const char *path, struct err *e)
{
	struct stat st;
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
	if (!f || fstat(fileno(f), &st)) {
		err_errno(e, "cannot read %s", path);
		if (f && f != stdin)
			fclose(f);
		return NULL;
	}
	if (S_ISDIR(st.st_mode)) {
		err_set(e, "cannot read %s: it is a folder", path);
		if (f != stdin)
			fclose(f);
		return NULL;
	}
	struct yaml *y = reader_new();
	y->file = f;
	return y;
}

struct yaml *yaml_over(const void *text, size_t n)
{
	struct yaml *y = reader_new();
	y->at = text;
	y->left = n;
	return y;
}

/* The sentence of libyaml, and where it saw the problem. */
static void fail_from_parser(struct yaml *y)
{
	const yaml_parser_t *p = &y->parser;
	char why[sizeof(y->why)];
	if (p->error == YAML_MEMORY_ERROR) {
		fail_at(y, 0, 0, "out of memory");
	} else if (p->error == YAML_READER_ERROR) {
		snprintf(why, sizeof(why), "not UTF-8 text: %s", p->problem ? p->problem : "reading failed");
		fail_at(y, (unsigned)p->mark.line + 1, 0, why);
	} else {
		/* A token that never ends is found at the end of the file; people need its beginning. */
		bool has_context = p->context && p->context_mark.line != p->problem_mark.line;
		bool token = has_context && p->error == YAML_SCANNER_ERROR;
		const yaml_mark_t *at = token ? &p->context_mark : &p->problem_mark;
		snprintf(why, sizeof(why), "%s%s%s", p->problem ? p->problem : "not YAML", p->context ? ", " : "",
			 p->context ? p->context : "");
		if (has_context && !token) {
			size_t used = strlen(why);
			snprintf(why + used, sizeof(why) - used, " that began on line %zu", p->context_mark.line + 1);
		}
		fail_at(y, (unsigned)at->line + 1, (unsigned)at->column + 1, why);
	}
}

static struct yaml_event ended(struct yaml *y)
{
	y->ended = true;
	return (struct yaml_event){.kind = YAML_END};
}

static struct yaml_event refused(struct yaml *y, const char *why)
{
	fail_at(y, (unsigned)y->event.start_mark.line + 1, (unsigned)y->event.start_mark.column + 1, why);
	return ended(y);
}

static bool has_anchor(const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return e->data.scalar.anchor != NULL;
	case YAML_SEQUENCE_START_EVENT:
		return e->data.sequence_start.anchor != NULL;
	case YAML_MAPPING_START_EVENT:
		return e->data.mapping_start.anchor != NULL;
	default:
		return e->type == YAML_ALIAS_EVENT;
	}
}

static struct yaml_event opened(struct yaml *y, struct yaml_event out, enum yaml_kind kind)
{
	if (++y->depth > DEPTH_MAX)
		return refused(y, "nested more than 64 deep");
	out.kind = kind;
	return out;
}

static struct yaml_event closed(struct yaml *y, struct yaml_event out, enum yaml_kind kind)
{
	y->depth--;
	out.kind = kind;
	return out;
}

static struct yaml_event scalar(struct yaml *y, struct yaml_event out)
{
	const yaml_event_t *e = &y->event;
	if (e->data.scalar.length > SCALAR_MAX)
		return refused(y, "a single value longer than 1 MiB");
	out.kind = YAML_SCALAR;
	out.text = (const char *)e->data.scalar.value;
	out.n = e->data.scalar.length;
	out.quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	return out;
}

/* Pulls until there is an event that callers see. */
struct yaml_event yaml_next(struct yaml *y)
{
	for (;;) {
		if (y->has_event)
			yaml_event_delete(&y->event);
		y->has_event = false;
		if (y->ended)
			return ended(y);
		if (!yaml_parser_parse(&y->parser, &y->event)) {
			fail_from_parser(y);
			return ended(y);
		}
		y->has_event = true;
		y->fed_at_last = y->fed;
		struct yaml_event out = {
		    .line = (unsigned)y->event.start_mark.line + 1,
		    .column = (unsigned)y->event.start_mark.column + 1,
		};
		if (has_anchor(&y->event))
			return refused(y,
				       "anchors (&) and aliases (*) are not accepted; quote the value if it begins so");
		switch (y->event.type) {
		case YAML_SCALAR_EVENT:
			return scalar(y, out);
		case YAML_SEQUENCE_START_EVENT:
			return opened(y, out, YAML_SEQ);
		case YAML_SEQUENCE_END_EVENT:
			return closed(y, out, YAML_SEQ_END);
		case YAML_MAPPING_START_EVENT:
			return opened(y, out, YAML_MAP);
		case YAML_MAPPING_END_EVENT:
			return closed(y, out, YAML_MAP_END);
		case YAML_DOCUMENT_START_EVENT:
			if (++y->documents > 1)
				return refused(y, "a second document in the same file (---)");
			break;
		case YAML_STREAM_END_EVENT:
			return ended(y);
		default:
			break;
		}
	}
}

void yaml_skip(struct yaml *y, enum yaml_kind kind)
{
	if (kind != YAML_MAP && kind != YAML_SEQ)
		return;
	unsigned outside = y->depth - 1;
	while (y->depth > outside && yaml_next(y).kind != YAML_END)
		;
}

bool yaml_failed(const struct yaml *y, const char **why, unsigned *line, unsigned *column)
{
	if (!y->why[0])
		return false;
	*why = y->why;
	*line = y->line;
	*column = y->column;
	return true;
}

void yaml_close(struct yaml *y)
{
	if (!y)
		return;
	if (y->has_event)
		yaml_event_delete(&y->event);
	yaml_parser_delete(&y->parser);
	if (y->file && y->file != stdin)
		fclose(y->file);
	free(y);
}
