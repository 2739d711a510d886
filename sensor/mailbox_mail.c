/* POP3 (RFC 1939, 3): lines up to ".", a dot in front of a line's first dot. IMAP (RFC 3501,
 * 7.4.2): "BODY[] {n}", "RFC822 {n}" and an APPEND's literal are whole mails, "BODY[]<k> {n}"
 * the part from k on: parts that follow each other without a hole are one mail. Header
 * fields alone ("BODY[HEADER…", "RFC822.HEADER") are read as a mail without a body.
 *
 * Single MIME parts ("BODY[2]") are stepped over: their encoding stands in an answer that
 * may have been given days ago. */
#include "sensor/mailbox_mail.h"

#include <string.h>

#include "common/text.h"

#define LITERAL_DIGITS 10

void mail_end(struct inspect *in, struct mail *m, bool whole)
{
	mime_end(in, m->mime, whole);
	*m = (struct mail){0};
}

void mail_drop(struct inspect *in, struct mail *m)
{
	mime_drop(in, m->mime);
	*m = (struct mail){0};
}

void mail_pop3_begin(struct inspect *in, struct mail *m, bool mail)
{
	mail_end(in, m, false);
	m->mime = mail ? mime_begin_mail(in) : NULL;
	m->at = MAIL_LINE;
}

/* ---- IMAP ---- */

/* Takes the number between brackets off the line's end; "+}" is RFC 7888's. */
static bool last_number(struct bytes *line, char open, char close, uint64_t *number)
{
	size_t n = line->n, digits = 0;
	uint64_t value = 0, scale = 1;
	if (!n || line->p[n - 1] != (uint8_t)close)
		return false;
	n--;
	if (n && line->p[n - 1] == '+')
		n--;
	for (; n && line->p[n - 1] >= '0' && line->p[n - 1] <= '9'; n--, digits++) {
		if (digits == LITERAL_DIGITS)
			return false;
		value += scale * (uint64_t)(line->p[n - 1] - '0');
		scale *= 10;
	}
	if (!digits || !n || line->p[n - 1] != (uint8_t)open)
		return false;
	line->n = n - 1;
	*number = value;
	return true;
}

static bool ends_with(struct bytes line, const char *word)
{
	size_t w = strlen(word);
	return line.n >= w && text_equal_fold(line.p + line.n - w, w, word, w);
}

/* "… BODY[HEADER.FIELDS (FROM TO)]": does the line's last section begin so? */
static bool section(struct bytes line, const char *word)
{
	size_t w = strlen(word), at = line.n;
	if (!at || line.p[at - 1] != ']')
		return false;
	while (at && line.p[at - 1] != '[')
		at--;
	return line.n - at >= w && text_equal_fold(line.p + at, w, word, w);
}

/* A "~" belongs to the literal of RFC 3516. */
static void trim(struct bytes *line)
{
	while (line->n && (line->p[line->n - 1] == ' ' || line->p[line->n - 1] == '~'))
		line->n--;
}

void mail_imap_literal(struct inspect *in, struct mail *m, struct bytes line, bool append)
{
	uint64_t n = 0, from = 0;
	if (!last_number(&line, '{', '}', &n))
		return;
	trim(&line);
	bool part = last_number(&line, '<', '>', &from);
	bool whole = append || ends_with(line, "BODY[]") || ends_with(line, " RFC822") || ends_with(line, "(RFC822");
	bool head = ends_with(line, "RFC822.HEADER") || section(line, "HEADER");
	bool more = part && whole && from && m->mime && from == m->next;
	if (!more) {
		mail_end(in, m, !m->next);
		m->mime = (whole && !from) || head ? mime_begin_mail(in) : NULL;
	}
	m->at = n ? MAIL_LITERAL : MAIL_NONE;
	m->left = n;
	m->next = part && whole ? from + n : 0;
	if (!n && !m->next)
		mail_end(in, m, true);
}

static size_t literal(struct inspect *in, struct mail *m, const uint8_t *p, size_t n)
{
	size_t take = n < m->left ? n : (size_t)m->left;
	mime_data(in, m->mime, p, take);
	m->left -= take;
	if (m->left)
		return take;
	m->at = MAIL_NONE;
	if (!m->next)
		mail_end(in, m, true);
	return take;
}

/* ---- POP3 ---- */

/* One step at a line's beginning. */
static void begin_line(struct inspect *in, struct mail *m, uint8_t c)
{
	if (m->at == MAIL_LINE && c == '.') {
		m->at = MAIL_DOT;
	} else if (m->at == MAIL_DOT && c == '\r') {
		m->at = MAIL_DOT_CR;
	} else if (m->at != MAIL_LINE && c == '\n') {
		mail_end(in, m, true);
	} else {
		if (m->at == MAIL_DOT_CR)
			mime_data(in, m->mime, (const uint8_t *)"\r", 1);
		mime_data(in, m->mime, &c, 1);
		m->at = c == '\n' ? MAIL_LINE : MAIL_MIDDLE;
	}
}

static size_t text(struct inspect *in, struct mail *m, const uint8_t *p, size_t n)
{
	if (m->at != MAIL_MIDDLE) {
		begin_line(in, m, p[0]);
		return 1;
	}
	const uint8_t *nl = memchr(p, '\n', n);
	size_t take = nl ? (size_t)(nl - p) + 1 : n;
	mime_data(in, m->mime, p, take);
	if (nl)
		m->at = MAIL_LINE;
	return take;
}

/* ---- both ---- */

size_t mail_data(struct inspect *in, struct mail *m, const uint8_t *p, size_t n)
{
	size_t at = 0;
	while (at < n && m->at != MAIL_NONE)
		at += m->at == MAIL_LITERAL ? literal(in, m, p + at, n - at) : text(in, m, p + at, n - at);
	return at;
}

bool mail_gap(struct inspect *in, struct mail *m, size_t lost)
{
	if (m->at == MAIL_NONE || (m->at == MAIL_LITERAL && lost > m->left)) {
		mail_end(in, m, false);
		return false;
	}
	mime_gap(in, m->mime);
	if (m->at != MAIL_LITERAL) {
		m->at = MAIL_MIDDLE;
		return true;
	}
	m->left -= lost;
	if (!m->left) {
		m->at = MAIL_NONE;
		mail_end(in, m, false);
	}
	return true;
}
