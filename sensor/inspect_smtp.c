/* SMTP (RFC 5321) with PIPELINING (2920), CHUNKING (3030), STARTTLS (3207); LMTP's
 * LHLO, too. Several mails per session; the mail itself is read by mime.c.
 *
 *   C: EHLO name            S: 250-…            C: DATA       S: 354
 *   C: AUTH PLAIN [token]   S: 334, 235         (RFC 4954, sasl.c)
 *   C: MAIL FROM:<a@b> …    S: 250              C: mail, a leading '.' doubled, ended by CRLF.CRLF
 *   C: RCPT TO:<c@d> …      S: 250              C: BDAT n [LAST] CRLF n bytes
 *
 * Whether what follows DATA is a mail is the server's word: 354, or a refusal that
 * lets a pipelining client go on with commands. When the client sends on before
 * the answer was seen (one side only, or captured late) it is taken for a mail.
 *
 * The end of a mail: CRLF.CRLF; a session that writes its commands with LF alone
 * may end it so, too. Taking LF.LF from everyone would let a sender hide the rest
 * of a mail from us that strict servers still take as mail. */
#include "sensor/parsers.h"

#include <string.h>

#include "common/text.h"
#include "sensor/mime.h"
#include "sensor/sasl.h"
#include "sensor/words.h"

#define LINE_MAX_BYTES 4096 /* command or reply line; RFC 5321 4.5.3.1 allows 512 */
#define ADDRESS_KEEP   320  /* for describe(): 64 + @ + 255 */
#define PENDING_MAX    1000 /* commands whose reply is counted */

enum phase {
	PHASE_COMMAND = 0,
	PHASE_WAIT, /* DATA was said, not yet answered */
	PHASE_DATA,
	PHASE_CHUNK /* within BDAT */
};

/* Where in a line of the mail (RFC 5321 4.5.2). */
enum dot { DOT_LINE_START = 0, DOT_SEEN, DOT_SEEN_CR, DOT_TEXT, DOT_TEXT_CR };

struct keep {
	uint16_t n;
	char text[ADDRESS_KEEP];
};

struct smtp {
	enum phase phase;
	enum dot dot;
	bool lf_only;  /* the DATA command ended so */
	bool starttls; /* said, not yet answered */
	bool last;     /* BDAT … LAST */
	bool lost;     /* bytes of this mail are missing */
	bool skip[2];  /* to the end of the line: over-long, or begun in a gap */
	unsigned pending;
	uint64_t chunk_left;
	struct carry line[2];
	enum sasl sasl;
	struct mime *mime;
	struct keep helo, from, to;
};

static void keep_text(struct keep *k, struct bytes b)
{
	k->n = (uint16_t)(b.n < sizeof(k->text) ? b.n : sizeof(k->text));
	if (k->n)
		memcpy(k->text, b.p, k->n);
}

static bool begins(struct bytes line, const char *word)
{
	size_t n = strlen(word);
	return line.n >= n && text_equal_fold(line.p, n, word, n);
}

/* "<@route:user@host> params", or without the brackets. */
static struct bytes path_of(struct bytes b)
{
	if (!b.n || b.p[0] != '<')
		return words_first(b);
	const uint8_t *end = memchr(b.p, '>', b.n);
	struct bytes path = {b.p + 1, (end ? (size_t)(end - b.p) : b.n) - 1};
	const uint8_t *colon = path.n && path.p[0] == '@' ? memchr(path.p, ':', path.n) : NULL;
	return colon ? words_behind(path, (size_t)(colon - path.p) + 1) : path;
}

static void mail_over(struct inspect *in, struct smtp *s)
{
	struct mime *m = s->mime;
	mime_end(in, m, !s->lost);
	s->mime = NULL;
	s->lost = false;
	s->phase = PHASE_COMMAND;
	s->from.n = s->to.n = 0;
}

static void reset_mail(struct inspect *in, struct smtp *s)
{
	mime_drop(in, s->mime);
	s->mime = NULL;
	s->lost = false;
	s->from.n = s->to.n = 0;
}

/* ---- commands ---- */

static void on_helo(struct inspect *in, struct smtp *s, struct bytes arg)
{
	struct bytes name = words_first(arg);
	keep_text(&s->helo, name);
	if (name.n && name.p[0] != '[')
		observe(in, WHERE_SMTP_HELO, name.p, name.n);
}

static void on_path(struct inspect *in, struct keep *k, enum where w, struct bytes arg)
{
	struct bytes path = path_of(arg);
	if (!path.n)
		return;
	keep_text(k, path);
	observe(in, w, path.p, path.n);
}

static void on_bdat(struct inspect *in, struct smtp *s, struct bytes arg)
{
	uint64_t n = 0;
	size_t i = 0;
	for (; i < arg.n && arg.p[i] >= '0' && arg.p[i] <= '9' && n < UINT64_MAX / 100; i++)
		n = n * 10 + (uint64_t)(arg.p[i] - '0');
	if (!i)
		return;
	s->last = begins(words_behind(arg, i), "LAST");
	if (!s->mime)
		s->mime = mime_begin_mail(in);
	s->chunk_left = n;
	if (n)
		s->phase = PHASE_CHUNK;
	else if (s->last)
		mail_over(in, s);
}

static void on_command(struct inspect *in, struct smtp *s, struct bytes line, bool lf_only)
{
	s->starttls = false;
	/* It may be a command all the same: the login was refused, unseen. */
	if (s->sasl != SASL_NOTHING && !memchr(line.p, ' ', line.n))
		sasl_token(in, &s->sasl, line);
	else
		s->sasl = SASL_NOTHING;
	if (s->pending < PENDING_MAX)
		s->pending++;
	else
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	if (begins(line, "EHLO ") || begins(line, "HELO ") || begins(line, "LHLO ")) {
		on_helo(in, s, words_behind(line, 5));
	} else if (begins(line, "MAIL FROM:")) {
		on_path(in, &s->from, WHERE_SMTP_FROM, words_behind(line, 10));
	} else if (begins(line, "RCPT TO:")) {
		on_path(in, &s->to, WHERE_SMTP_TO, words_behind(line, 8));
	} else if (begins(line, "AUTH ")) {
		sasl_begin(in, &s->sasl, words_behind(line, 5));
	} else if (begins(line, "BDAT ")) {
		on_bdat(in, s, words_behind(line, 5));
	} else if (begins(line, "DATA") && words_first(line).n == 4) {
		s->phase = PHASE_WAIT;
		s->lf_only = lf_only;
	} else if (begins(line, "RSET")) {
		reset_mail(in, s);
	} else if (begins(line, "STARTTLS")) {
		s->starttls = true;
	}
}

/* ---- replies ---- */

static void begin_data(struct inspect *in, struct smtp *s)
{
	mime_drop(in, s->mime);
	s->mime = mime_begin_mail(in);
	s->lost = false;
	s->phase = PHASE_DATA;
	s->dot = DOT_LINE_START;
}

static enum verdict on_reply(struct inspect *in, struct smtp *s, struct bytes line)
{
	if (line.n < 3 || line.p[0] < '2' || line.p[0] > '5' || (line.n > 3 && line.p[3] == '-'))
		return INSPECT_MORE;
	bool was_last = s->pending <= 1;
	if (s->pending)
		s->pending--;
	if (was_last && !begins(line, "334"))
		s->sasl = SASL_NOTHING;
	if (begins(line, "220") && s->starttls && was_last)
		return INSPECT_AGAIN;
	if (s->phase == PHASE_WAIT && begins(line, "354"))
		begin_data(in, s);
	else if (s->phase == PHASE_WAIT && was_last)
		s->phase = PHASE_COMMAND;
	else if (s->phase == PHASE_DATA && s->lost && !begins(line, "354")) /* its end was among what was lost */
		mail_over(in, s);
	return INSPECT_MORE;
}

/* ---- lines ---- */

/* Takes up to one line. Gives true with *line (borrowed until line_done()) when
 * it is complete, without its end. */
static bool take_line(struct inspect *in, struct smtp *s, enum side side, const uint8_t *p, size_t n, size_t *used,
		      struct bytes *line)
{
	struct carry *c = &s->line[side];
	const uint8_t *nl = memchr(p, '\n', n);
	*used = nl ? (size_t)(nl - p) + 1 : n;
	*line = (struct bytes){p, *used};
	if ((!nl || c->n) && !s->skip[side]) {
		size_t room = LINE_MAX_BYTES - c->n, take = *used < room ? *used : room;
		s->skip[side] = take < *used || !carry_push(in->mem, c, p, take, LINE_MAX_BYTES);
		if (s->skip[side])
			ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	}
	if (!nl)
		return false;
	if (c->n || s->skip[side])
		*line = (struct bytes){c->p, c->n};
	s->skip[side] = false;
	return true;
}

static bool strip_end(struct bytes *line)
{
	bool lf = line->n && line->p[line->n - 1] == '\n';
	line->n -= lf;
	bool cr = line->n && line->p[line->n - 1] == '\r';
	line->n -= cr;
	while (line->n && (line->p[line->n - 1] == ' ' || line->p[line->n - 1] == '\t'))
		line->n--;
	return lf && !cr;
}

/* ---- the mail ---- */

static size_t data_end(struct inspect *in, struct smtp *s, size_t used)
{
	mail_over(in, s);
	s->pending++; /* it is answered like a command */
	return used;
}

/* Within a line: where its line feed stands, or n. */
static size_t text_end(struct smtp *s, const uint8_t *p, size_t i, size_t n)
{
	const uint8_t *end = memchr(p + i, '\n', n - i);
	size_t at = end ? (size_t)(end - p) : n;
	if (at > i)
		s->dot = p[at - 1] == '\r' ? DOT_TEXT_CR : DOT_TEXT;
	return at;
}

/* Undoes the dots and looks for the end. Runs of plain text go on in one piece. */
static size_t take_data(struct inspect *in, struct smtp *s, const uint8_t *p, size_t n)
{
	size_t from = 0; /* of what is not handed on yet */
	for (size_t i = 0; i < n; i++) {
		if ((s->dot == DOT_TEXT || s->dot == DOT_TEXT_CR) && (i = text_end(s, p, i, n)) == n)
			break;
		uint8_t c = p[i];
		switch (s->dot) {
		case DOT_LINE_START:
			if (c == '.') {
				mime_data(in, s->mime, p + from, i - from);
				from = i + 1;
				s->dot = DOT_SEEN;
				continue;
			}
			break;
		case DOT_SEEN:
			from = i;
			if (c == '\r') {
				s->dot = DOT_SEEN_CR;
				continue;
			}
			if (c == '\n' && s->lf_only)
				return data_end(in, s, i + 1);
			break;
		case DOT_SEEN_CR:
			if (c == '\n') {
				return data_end(in, s, i + 1);
			}
			mime_data(in, s->mime, (const uint8_t *)"\r", 1);
			from = i;
			break;
		case DOT_TEXT:
		case DOT_TEXT_CR:
			break;
		}
		if (c == '\n' && (s->dot == DOT_TEXT_CR || s->lf_only))
			s->dot = DOT_LINE_START;
		else
			s->dot = c == '\r' ? DOT_TEXT_CR : DOT_TEXT;
	}
	if (s->dot != DOT_SEEN_CR && s->dot != DOT_SEEN)
		mime_data(in, s->mime, p + from, n - from);
	return n;
}

static size_t take_chunk(struct inspect *in, struct smtp *s, const uint8_t *p, size_t n)
{
	size_t k = s->chunk_left < n ? (size_t)s->chunk_left : n;
	mime_data(in, s->mime, p, k);
	s->chunk_left -= k;
	if (s->chunk_left)
		return k;
	s->phase = PHASE_COMMAND;
	if (s->last)
		mail_over(in, s);
	return k;
}

static enum verdict from_client(struct inspect *in, struct smtp *s, const uint8_t *p, size_t n, size_t *used)
{
	struct bytes line;
	if (s->phase == PHASE_WAIT)
		begin_data(in, s);
	if (s->phase == PHASE_DATA) {
		*used = take_data(in, s, p, n);
		return INSPECT_MORE;
	}
	if (s->phase == PHASE_CHUNK) {
		*used = take_chunk(in, s, p, n);
		return INSPECT_MORE;
	}
	if (s->starttls && !s->line[TO_SERVER].n && p[0] == 0x16) { /* the answer was not seen */
		*used = 0;
		return INSPECT_AGAIN;
	}
	if (!take_line(in, s, TO_SERVER, p, n, used, &line))
		return INSPECT_MORE;
	bool lf_only = strip_end(&line);
	struct carry held = s->line[TO_SERVER];
	s->line[TO_SERVER] = (struct carry){0};
	if (line.n)
		on_command(in, s, line, lf_only);
	carry_free(in->mem, &held);
	return INSPECT_MORE;
}

static enum verdict from_server(struct inspect *in, struct smtp *s, const uint8_t *p, size_t n, size_t *used)
{
	struct bytes line;
	if (!take_line(in, s, TO_CLIENT, p, n, used, &line))
		return INSPECT_MORE;
	strip_end(&line);
	enum verdict v = on_reply(in, s, line);
	s->line[TO_CLIENT].n = 0;
	return v;
}

static enum verdict smtp_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct smtp *s = in->state;
	enum verdict v = INSPECT_MORE;
	size_t at = 0;
	while (at < n && v == INSPECT_MORE) {
		size_t took = 0;
		v = side == TO_SERVER ? from_client(in, s, p + at, n - at, &took)
				      : from_server(in, s, p + at, n - at, &took);
		at += took;
	}
	if (v == INSPECT_AGAIN)
		*used = at;
	return v;
}

static enum verdict smtp_gap(struct inspect *in, enum side side, size_t lost)
{
	struct smtp *s = in->state;
	carry_free(in->mem, &s->line[side]);
	if (side == TO_SERVER)
		s->sasl = SASL_NOTHING;
	if (side == TO_CLIENT || s->phase == PHASE_COMMAND || s->phase == PHASE_WAIT) {
		s->skip[side] = true;
		s->pending = 0;
		return INSPECT_MORE;
	}
	mime_gap(in, s->mime);
	s->lost = true;
	if (s->phase == PHASE_DATA) {
		s->dot = DOT_TEXT;
		return INSPECT_MORE;
	}
	s->skip[side] = lost > s->chunk_left;
	s->chunk_left -= lost < s->chunk_left ? lost : s->chunk_left;
	if (s->chunk_left)
		return INSPECT_MORE;
	s->phase = PHASE_COMMAND;
	if (s->last)
		mail_over(in, s);
	return INSPECT_MORE;
}

static void smtp_close(struct inspect *in, enum side side)
{
	struct smtp *s = in->state;
	if (side != TO_SERVER || !s->mime)
		return;
	s->lost = true; /* its end never came */
	mail_over(in, s);
}

/* ---- recognising ---- */

static bool has_word(const uint8_t *p, size_t n, const char *word)
{
	size_t w = strlen(word);
	for (size_t i = 0; i + w <= n; i++)
		if (text_equal_fold(p + i, w, word, w))
			return true;
	return false;
}

/* The words a client may begin with; also the middle of a session. */
static enum probe probe_client(const uint8_t *p, size_t n)
{
	static const char *const words[] = {"EHLO ", "HELO ", "LHLO ", "MAIL FROM:", "RCPT TO:<"};
	enum probe answer = PROBE_NO;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t w = strlen(words[i]), k = n < w ? n : w;
		if (!text_equal_fold(p, k, words[i], k))
			continue;
		if (k < w || !memchr(p, '\n', n))
			answer = n < LINE_MAX_BYTES ? PROBE_MORE : PROBE_NO;
		else
			return PROBE_YES;
	}
	return answer;
}

/* A banner that says SMTP; FTP's begins alike. */
static enum probe probe_server(const uint8_t *p, size_t n)
{
	static const char start[] = "220";
	size_t k = n < 3 ? n : 3;
	if (memcmp(p, start, k) != 0 || (n > 3 && p[3] != ' ' && p[3] != '-'))
		return PROBE_NO;
	const uint8_t *nl = memchr(p, '\n', n);
	if (!nl)
		return n < 512 ? PROBE_MORE : PROBE_NO;
	return has_word(p, (size_t)(nl - p), "SMTP") ? PROBE_YES : PROBE_NO;
}

static enum probe smtp_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)in;
	if (!n)
		return PROBE_MORE;
	return side == TO_SERVER ? probe_client(p, n) : probe_server(p, n);
}

static void smtp_describe(const struct inspect *in, struct alert_app *app)
{
	const struct smtp *s = in->state;
	struct bytes subject = mime_subject(s->mime);
	app->object = "smtp";
	alert_app_text(app, "helo", s->helo.text, s->helo.n);
	alert_app_text(app, "mail_from", s->from.text, s->from.n);
	alert_app_text(app, "rcpt_to", s->to.text, s->to.n);
	alert_app_text(app, "subject", subject.p, subject.n);
}

static void smtp_drop(struct inspect *in)
{
	struct smtp *s = in->state;
	mime_drop(in, s->mime);
	carry_free(in->mem, &s->line[0]);
	carry_free(in->mem, &s->line[1]);
}

const struct parser parser_smtp = {
    .name = "smtp",
    .over = OVER_TCP,
    .state_size = sizeof(struct smtp),
    .probe = smtp_probe,
    .stream = smtp_stream,
    .gap = smtp_gap,
    .close = smtp_close,
    .describe = smtp_describe,
    .drop = smtp_drop,
};
