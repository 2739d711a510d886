/* MIME, line by line but without holding lines: only header fields are kept until
 * they are complete, and the beginning of a line that may be a boundary.
 *
 *   header fields CRLF
 *   CRLF
 *   preamble
 *   --boundary CRLF  header fields CRLF CRLF  content      (a part, again and again)
 *   --boundary-- CRLF
 *
 * The line end before a boundary belongs to the boundary: the last one of the
 * content is held back. A boundary of an outer multipart ends the inner ones.
 *
 * A part is a file when it has a name, says it is an attachment, or is not text;
 * its digest is that of the decoded content. */
#include "sensor/mime.h"

#include <string.h>

#include "common/text.h"
#include "common/scratch.h"
#include "sensor/file.h"
#include "sensor/mime_field.h"

#define LINE_HEAD_MAX (2 + MIME_BOUNDARY_MAX + 2 + 16) /* --boundary-- and blanks */
#define DECODE_BYTES  2048

enum place { PLACE_HEADER = 0, PLACE_BODY };
enum line { LINE_START = 0, LINE_MAYBE, LINE_REST };
enum transfer { TRANSFER_PLAIN = 0, TRANSFER_BASE64, TRANSFER_QUOTED };

struct boundary {
	uint8_t n;
	uint8_t text[MIME_BOUNDARY_MAX];
};

struct part {
	enum transfer transfer;
	bool multipart, message, other_type, attachment;
	bool boundary_known;
	struct boundary boundary;
	struct base64 base64;
	uint8_t quoted[2]; /* '=' and what followed, incomplete */
	uint8_t quoted_n;
	uint16_t name_n;
	char name[MIME_NAME_MAX];
	struct file *file;
};

struct mime {
	bool mail; /* else a form */
	enum place place;
	bool message_header; /* of a message, not of a part */
	bool skip_line;      /* the field is longer than is kept */
	unsigned fields, embedded;
	uint32_t object;  /* the mail, for inspect_object() */
	uint32_t line_at; /* where the current line begins in field */
	struct carry field;
	enum line line;
	uint8_t eol[2]; /* held back */
	uint8_t eol_n;
	uint8_t head_n;
	uint8_t head[LINE_HEAD_MAX];
	unsigned depth;
	struct boundary level[MIME_DEPTH_MAX];
	struct part part;
	uint16_t subject_n;
	char subject[MIME_SUBJECT_KEEP];
};

_Static_assert(LINE_HEAD_MAX <= UINT8_MAX && MIME_BOUNDARY_MAX <= UINT8_MAX, "lengths are bytes");

/* ---- content ---- */

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Quoted-printable (RFC 2045 6.7): =XX is a byte, '=' at the end of a line joins
 * it with the next. Anything else behind '=' stays as it is. */
static size_t decode_quoted(struct part *part, uint8_t c, uint8_t out[static 3])
{
	if (part->quoted_n == 0) {
		out[0] = c;
		part->quoted[0] = c;
		part->quoted_n = c == '=';
		return c != '=';
	}
	if (part->quoted_n == 1) {
		if (c == '\n') {
			part->quoted_n = 0;
			return 0;
		}
		part->quoted[1] = c;
		part->quoted_n = 2;
		return 0;
	}
	part->quoted_n = 0;
	int hi = hex_value(part->quoted[1]), lo = hex_value(c);
	if (hi >= 0 && lo >= 0) {
		out[0] = (uint8_t)(hi << 4 | lo);
		return 1;
	}
	if (c == '\n') /* "=\r\n", or a blank before the line end */
		return 0;
	out[0] = '=';
	out[1] = part->quoted[1];
	out[2] = c;
	return 3;
}

static void content_piece(struct part *part, const uint8_t *p, size_t n)
{
	SCRATCH uint8_t out[3 * DECODE_BYTES];
	size_t made = 0;
	if (part->transfer == TRANSFER_BASE64)
		made = base64_decode(&part->base64, p, n, out);
	else
		for (size_t i = 0; i < n; i++)
			made += decode_quoted(part, p[i], out + made);
	file_data(part->file, out, made);
}

static void content(struct mime *m, const uint8_t *p, size_t n)
{
	struct part *part = &m->part;
	if (!part->file || !n)
		return;
	if (part->transfer == TRANSFER_PLAIN) {
		file_data(part->file, p, n);
		return;
	}
	for (size_t at = 0; at < n; at += DECODE_BYTES)
		content_piece(part, p + at, n - at < DECODE_BYTES ? n - at : DECODE_BYTES);
}

static void flush_eol(struct mime *m)
{
	content(m, m->eol, m->eol_n);
	m->eol_n = 0;
}

/* ---- parts ---- */

static void part_end(struct inspect *in, struct mime *m, bool whole)
{
	struct file *f = m->part.file;
	m->part.file = NULL;
	file_end(in, f, whole);
	m->part = (struct part){0};
}

static void header_begin(struct mime *m, bool of_message)
{
	m->place = PLACE_HEADER;
	m->message_header = of_message;
	m->fields = 0;
	m->field.n = 0;
	m->line_at = 0;
	m->skip_line = false;
}

static void body_begin(struct mime *m)
{
	m->place = PLACE_BODY;
	m->line = LINE_START;
	m->eol_n = m->head_n = 0;
}

static void push_boundary(struct inspect *in, struct mime *m)
{
	if (m->depth == MIME_DEPTH_MAX) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		return;
	}
	m->level[m->depth++] = m->part.boundary;
}

static void header_end(struct inspect *in, struct mime *m)
{
	struct part *part = &m->part;
	if (part->multipart && part->boundary_known) {
		push_boundary(in, m);
		body_begin(m);
		return;
	}
	if (m->mail && part->message && part->transfer == TRANSFER_PLAIN && m->embedded < MIME_EMBEDDED_MAX) {
		m->embedded++;
		m->part = (struct part){0};
		header_begin(m, true);
		return;
	}
	if (m->mail && part->message && m->embedded == MIME_EMBEDDED_MAX)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	bool is_file = part->name_n || (m->mail && (part->attachment || part->other_type));
	uint32_t outer = inspect_object(in, OBJECT_NEW);
	if (part->name_n)
		observe(in, m->mail ? WHERE_MAIL_ATTACHMENT : WHERE_HTTP_FILENAME, part->name, part->name_n);
	if (is_file)
		part->file = file_begin(in);
	inspect_object(in, outer);
	body_begin(m);
}

/* ---- header fields ---- */

static void on_type(struct inspect *in, struct part *part, struct bytes value)
{
	char text[MIME_BOUNDARY_MAX + 1];
	bool is_text = value.n >= 5 && text_equal_fold(value.p, 5, "text/", 5);
	part->multipart = value.n >= 10 && text_equal_fold(value.p, 10, "multipart/", 10);
	part->message = value.n >= 14 && text_equal_fold(value.p, 14, "message/rfc822", 14);
	part->other_type = value.n && !is_text && !part->multipart && !part->message;
	bool cut = false;
	if (!part->name_n)
		part->name_n = (uint16_t)mime_filename(value, "name", part->name, sizeof(part->name), &cut);
	if (cut)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	if (!part->multipart)
		return;
	size_t n = mime_param(value, "boundary", text, sizeof(text), &cut);
	if (n > MIME_BOUNDARY_MAX)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	part->boundary_known = n && n <= MIME_BOUNDARY_MAX;
	if (!part->boundary_known)
		return;
	part->boundary.n = (uint8_t)n;
	memcpy(part->boundary.text, text, n);
}

static void on_disposition(struct inspect *in, struct part *part, struct bytes value)
{
	part->attachment = value.n >= 10 && text_equal_fold(value.p, 10, "attachment", 10);
	char name[MIME_NAME_MAX];
	bool cut = false;
	size_t n = mime_filename(value, "filename", name, sizeof(name), &cut);
	if (cut)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	if (!n)
		return;
	memcpy(part->name, name, n);
	part->name_n = (uint16_t)n;
}

static void on_transfer(struct part *part, struct bytes value)
{
	if (text_equal_fold(value.p, value.n, "base64", 6))
		part->transfer = TRANSFER_BASE64;
	else if (text_equal_fold(value.p, value.n, "quoted-printable", 16))
		part->transfer = TRANSFER_QUOTED;
}

static void on_subject(struct inspect *in, struct mime *m, struct bytes value)
{
	char text[MIME_VALUE_MAX];
	bool cut = false;
	size_t n = mime_words(value, text, sizeof(text), &cut);
	if (cut)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	m->subject_n = (uint16_t)(n < sizeof(m->subject) ? n : sizeof(m->subject));
	memcpy(m->subject, text, m->subject_n);
	observe(in, WHERE_MAIL_SUBJECT, text, n);
}

struct addresses_ctx {
	struct inspect *in;
	enum where where;
};

static void on_address(void *ctx, const uint8_t *p, size_t n)
{
	struct addresses_ctx *a = ctx;
	observe(a->in, a->where, p, n);
}

static void on_addresses(struct inspect *in, enum where w, struct bytes value)
{
	struct addresses_ctx ctx = {.in = in, .where = w};
	if (wanted(in, w) && !mime_addresses(value, on_address, &ctx))
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
}

static struct bytes trim(const uint8_t *p, size_t n)
{
	while (n && (p[0] == ' ' || p[0] == '\t' || p[0] == '\r' || p[0] == '\n')) {
		p++;
		n--;
	}
	while (n && (p[n - 1] == ' ' || p[n - 1] == '\t' || p[n - 1] == '\r' || p[n - 1] == '\n'))
		n--;
	return (struct bytes){p, n};
}

static bool named(struct bytes name, const char *want)
{
	return text_equal_fold(name.p, name.n, want, strlen(want));
}

static void on_field(struct inspect *in, struct mime *m, const uint8_t *p, size_t n)
{
	const uint8_t *colon = n ? memchr(p, ':', n) : NULL;
	if (!colon)
		return;
	if (m->fields++ >= MIME_FIELDS_MAX) {
		if (m->fields == MIME_FIELDS_MAX + 1)
			ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		return;
	}
	struct bytes name = trim(p, (size_t)(colon - p));
	struct bytes value = trim(colon + 1, (size_t)(p + n - colon - 1));
	if (named(name, "content-type"))
		on_type(in, &m->part, value);
	else if (named(name, "content-disposition"))
		on_disposition(in, &m->part, value);
	else if (named(name, "content-transfer-encoding"))
		on_transfer(&m->part, value);
	if (!m->message_header)
		return;
	uint32_t outer = inspect_object(in, m->object);
	if (named(name, "from"))
		on_addresses(in, WHERE_MAIL_FROM, value);
	else if (named(name, "to"))
		on_addresses(in, WHERE_MAIL_TO, value);
	else if (named(name, "cc"))
		on_addresses(in, WHERE_MAIL_CC, value);
	else if (named(name, "subject"))
		on_subject(in, m, value);
	inspect_object(in, outer);
}

/* ---- boundaries ---- */

/* The level whose boundary the line is, or -1. */
static int boundary_level(const struct mime *m, const uint8_t *p, size_t n, bool *closing)
{
	while (n && (p[n - 1] == '\r' || p[n - 1] == '\n' || p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	if (n < 2 || p[0] != '-' || p[1] != '-')
		return -1;
	p += 2;
	n -= 2;
	for (int i = (int)m->depth - 1; i >= 0; i--) {
		const struct boundary *b = &m->level[i];
		if (n < b->n || memcmp(p, b->text, b->n) != 0)
			continue;
		*closing = n == (size_t)b->n + 2 && p[n - 1] == '-' && p[n - 2] == '-';
		if (n == b->n || *closing)
			return i;
	}
	return -1;
}

static void on_boundary(struct inspect *in, struct mime *m, int level, bool closing)
{
	part_end(in, m, true);
	if (closing) {
		m->depth = (unsigned)level;
		body_begin(m);
	} else {
		m->depth = (unsigned)level + 1;
		header_begin(m, false);
	}
}

/* ---- lines of the header ---- */

static void header_line(struct inspect *in, struct mime *m)
{
	const uint8_t *line = m->field.p + m->line_at;
	size_t n = m->field.n - m->line_at;
	bool closing = false;
	int level = boundary_level(m, line, n, &closing);
	struct bytes text = trim(line, n);
	if (m->line_at && level < 0 && text.n && (line[0] == ' ' || line[0] == '\t')) {
		m->line_at = m->field.n;
		return;
	}
	on_field(in, m, m->field.p, m->line_at);
	if (level >= 0) {
		on_boundary(in, m, level, closing);
	} else if (!text.n) {
		header_end(in, m);
	} else {
		carry_shift(&m->field, m->line_at);
		m->line_at = m->field.n;
	}
}

static size_t header_bytes(struct inspect *in, struct mime *m, const uint8_t *p, size_t n)
{
	const uint8_t *nl = memchr(p, '\n', n);
	size_t take = nl ? (size_t)(nl - p) + 1 : n;
	if (!m->skip_line && !carry_push(in->mem, &m->field, p, take, MIME_FIELD_MAX)) {
		m->skip_line = true;
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	}
	if (!nl)
		return take;
	if (m->skip_line) /* of the line that did not fit nothing is kept */
		m->line_at = m->field.n;
	else
		header_line(in, m);
	m->skip_line = false;
	return take;
}

/* ---- lines of the body ---- */

/* The held beginning of a line, complete (at its line end, or at the end of all). */
static bool maybe_boundary(struct inspect *in, struct mime *m)
{
	bool closing = false;
	int level = boundary_level(m, m->head, m->head_n, &closing);
	if (level < 0)
		return false;
	m->eol_n = m->head_n = 0;
	on_boundary(in, m, level, closing);
	return true;
}

/* It is content after all: fed again as the rest of a line. */
static void rest_of_line(struct mime *m, const uint8_t *p, size_t n);

static void not_boundary(struct mime *m)
{
	uint8_t head[LINE_HEAD_MAX];
	size_t n = m->head_n;
	memcpy(head, m->head, n);
	m->head_n = 0;
	m->line = LINE_REST;
	flush_eol(m);
	rest_of_line(m, head, n);
}

/* p holds at most one line end, as its last byte. */
static void rest_of_line(struct mime *m, const uint8_t *p, size_t n)
{
	if (!n)
		return;
	if (m->eol_n == 1 && p[0] == '\n') {
		m->eol[m->eol_n++] = '\n';
		m->line = LINE_START;
		return;
	}
	flush_eol(m);
	bool lf = p[n - 1] == '\n';
	size_t text = n - lf;
	bool cr = text && p[text - 1] == '\r';
	content(m, p, text - cr);
	if (cr)
		m->eol[m->eol_n++] = '\r';
	if (lf)
		m->eol[m->eol_n++] = '\n';
	m->line = lf ? LINE_START : LINE_REST;
}

static size_t body_bytes(struct inspect *in, struct mime *m, const uint8_t *p, size_t n)
{
	if (m->line == LINE_START && (m->depth == 0 || p[0] != '-')) {
		flush_eol(m);
		m->line = LINE_REST;
	}
	if (m->line == LINE_REST) {
		const uint8_t *nl = memchr(p, '\n', n);
		size_t take = nl ? (size_t)(nl - p) + 1 : n;
		rest_of_line(m, p, take);
		return take;
	}
	m->line = LINE_MAYBE;
	m->head[m->head_n++] = p[0];
	bool over = p[0] == '\n' || m->head_n == LINE_HEAD_MAX;
	bool no = m->head_n == 2 && p[0] != '-';
	if (no || (over && !maybe_boundary(in, m)))
		not_boundary(m);
	return 1;
}

/* ---- the door ---- */

static struct mime *begin(struct inspect *in, bool mail)
{
	struct mime *m = mem_alloc(in->mem, sizeof(*m));
	if (!m) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return NULL;
	}
	m->mail = mail;
	if (mail) {
		uint32_t outer = inspect_object(in, OBJECT_NEW);
		m->object = inspect_object(in, outer);
	}
	header_begin(m, true);
	return m;
}

struct mime *mime_begin_mail(struct inspect *in)
{
	return begin(in, true);
}

struct mime *mime_begin_form(struct inspect *in, struct bytes content_type)
{
	if (content_type.n < 10 || !text_equal_fold(content_type.p, 10, "multipart/", 10))
		return NULL;
	struct mime *m = begin(in, false);
	if (!m)
		return NULL;
	on_type(in, &m->part, content_type);
	m->part.name_n = 0;
	if (!m->part.boundary_known) {
		mime_drop(in, m);
		return NULL;
	}
	header_end(in, m);
	return m;
}

void mime_data(struct inspect *in, struct mime *m, const uint8_t *p, size_t n)
{
	while (m && n) {
		size_t took = m->place == PLACE_HEADER ? header_bytes(in, m, p, n) : body_bytes(in, m, p, n);
		p += took;
		n -= took;
	}
}

void mime_gap(struct inspect *in, struct mime *m)
{
	if (!m)
		return;
	struct file *f = m->part.file;
	m->part.file = NULL;
	file_end(in, f, false);
	m->eol_n = m->head_n = 0;
	m->line = LINE_REST;
	if (m->place == PLACE_HEADER) {
		on_field(in, m, m->field.p, m->line_at);
		m->field.n = m->line_at = 0;
		m->skip_line = true;
	}
}

void mime_end(struct inspect *in, struct mime *m, bool whole)
{
	if (!m)
		return;
	if (m->place == PLACE_HEADER) {
		on_field(in, m, m->field.p, m->line_at ? m->line_at : m->field.n);
	} else if (m->line != LINE_MAYBE || !maybe_boundary(in, m)) {
		if (m->line == LINE_MAYBE)
			not_boundary(m);
		flush_eol(m);
	}
	part_end(in, m, whole);
	mime_drop(in, m);
}

void mime_drop(struct inspect *in, struct mime *m)
{
	if (!m)
		return;
	file_drop(in, m->part.file);
	carry_free(in->mem, &m->field);
	mem_free(in->mem, m, sizeof(*m));
}

struct bytes mime_subject(const struct mime *m)
{
	return m ? (struct bytes){(const uint8_t *)m->subject, m->subject_n} : (struct bytes){0};
}
