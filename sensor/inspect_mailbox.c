/* IMAP (RFC 3501, 9051) and POP3 (RFC 1939, 5034): who logs in, where TLS begins, and
 * the mails that are fetched or stored. Lines of text:
 *
 *   IMAP  S: * OK …                          POP3  S: +OK …
 *         C: a LOGIN ann secret                    C: USER ann      C: APOP ann digest
 *         C: a LOGIN "ann" …   {3}CRLF ann …       C: AUTH PLAIN [token]
 *         C: a AUTHENTICATE PLAIN [token]          C: STLS          S: +OK
 *         C: a STARTTLS        S: a OK
 *         S: * 7 FETCH (BODY[] {99}CRLF mail)      C: RETR 7        S: +OK CRLF mail CRLF.CRLF
 *         C: a APPEND box {99}CRLF mail            C: TOP 7 0
 *
 * Tokens are in sasl.c; they come with the command or as the next line.
 *
 * Mails are in mailbox_mail.c. A POP3 answer belongs to the oldest command that was
 * not answered; those that wait are remembered, PENDING_MAX of them. COMPRESS (RFC 4978)
 * ends inspection. */
#include <string.h>

#include "common/text.h"
#include "sensor/mailbox_mail.h"
#include "sensor/parsers.h"
#include "sensor/sasl.h"
#include "sensor/words.h"

#define LINE_BYTES 8192 /* longer lines are stepped over; tokens are the longest */
#define TAG_BYTES  32

#define PENDING_MAX 64 /* POP3 commands without an answer; more end inspection */

struct mailbox {
	struct carry line[2];
	bool skip[2]; /* to the end of the line */
	enum sasl sasl;
	size_t literal;         /* the next line begins with a name of this length; 0: it does not */
	bool tls;               /* asked for, not yet answered */
	uint8_t tag[TAG_BYTES]; /* of the IMAP command that asked */
	size_t tag_n;
	struct mail mail[2]; /* fetched, stored */
	uint64_t pending;    /* POP3: a bit for each command, the oldest lowest: its answer is a mail */
	uint64_t listing;    /* … its answer is another text of lines */
	unsigned pending_n;
};

static bool one_of(struct bytes word, const char *const *list)
{
	for (; *list; list++)
		if (words_same(word, *list))
			return true;
	return false;
}

/* Takes the next word off the line. */
static struct bytes next_word(struct bytes *line)
{
	while (line->n && line->p[0] == ' ') {
		line->p++;
		line->n--;
	}
	size_t n = 0;
	while (n < line->n && line->p[n] != ' ')
		n++;
	struct bytes word = {line->p, n};
	line->p += n;
	line->n -= n;
	return word;
}

/* ---- IMAP ---- */

/* "{12}" or "{12+}" at the end of the line: the name comes with the next one. */
static bool literal(const struct inspect *in, struct mailbox *m, struct bytes word)
{
	size_t n = 0, i = 1;
	if (word.n < 3 || word.p[0] != '{')
		return false;
	for (; i < word.n && word.p[i] >= '0' && word.p[i] <= '9' && n <= SASL_USER_MAX; i++)
		n = n * 10 + (size_t)(word.p[i] - '0');
	if (i == 1 || !n)
		return false;
	if (n > SASL_USER_MAX) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		return true;
	}
	m->literal = n;
	m->sasl = SASL_NOTHING;
	return true;
}

/* "a\"b\\c": without the quotes, the backslashes taken away. */
static void quoted(struct inspect *in, struct bytes line)
{
	uint8_t name[SASL_USER_MAX + 1]; /* one more: sasl_user() counts it */
	size_t n = 0;
	for (size_t i = 1; i < line.n; i++) {
		if (line.p[i] == '"') {
			sasl_user(in, (struct bytes){name, n});
			return;
		}
		if (line.p[i] == '\\' && ++i == line.n)
			return;
		if (n < sizeof(name))
			name[n++] = line.p[i];
	}
}

static void imap_login(struct inspect *in, struct mailbox *m, struct bytes line)
{
	struct bytes rest = line, word = next_word(&rest);
	if (word.n && word.p[0] == '"')
		quoted(in, (struct bytes){word.p, word.n + rest.n});
	else if (!literal(in, m, word))
		sasl_user(in, word);
}

static enum verdict imap_command(struct inspect *in, struct mailbox *m, struct bytes line)
{
	struct bytes tag = next_word(&line), verb = next_word(&line);
	m->tls = false;
	if (words_same(verb, "LOGIN"))
		imap_login(in, m, line);
	else if (words_same(verb, "AUTHENTICATE"))
		sasl_begin(in, &m->sasl, line);
	else if (words_same(verb, "COMPRESS"))
		return INSPECT_DONE;
	else if (words_same(verb, "APPEND"))
		mail_imap_literal(in, &m->mail[TO_SERVER], line, true);
	if (!words_same(verb, "STARTTLS"))
		return INSPECT_MORE;
	if (tag.n > TAG_BYTES) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	} else if (tag.n) {
		m->tls = true;
		m->tag_n = tag.n;
		memcpy(m->tag, tag.p, tag.n);
	}
	return INSPECT_MORE;
}

static enum verdict imap_answer(struct mailbox *m, struct bytes line)
{
	struct bytes tag = next_word(&line), status = next_word(&line);
	if (!m->tls || tag.n != m->tag_n || memcmp(tag.p, m->tag, tag.n) != 0)
		return INSPECT_MORE;
	m->tls = false;
	return words_same(status, "OK") ? INSPECT_AGAIN : INSPECT_MORE;
}

static enum verdict imap_line(struct inspect *in, enum side side, struct bytes line)
{
	struct mailbox *m = in->state;
	if (side == TO_CLIENT) {
		mail_imap_literal(in, &m->mail[TO_CLIENT], line, false);
		return imap_answer(m, line);
	}
	if (m->literal) {
		if (line.n >= m->literal)
			sasl_user(in, (struct bytes){line.p, m->literal});
		m->literal = 0;
		return INSPECT_MORE;
	}
	if (m->sasl != SASL_NOTHING && !memchr(line.p, ' ', line.n)) {
		sasl_token(in, &m->sasl, line);
		return INSPECT_MORE;
	}
	m->sasl = SASL_NOTHING;
	return imap_command(in, m, line);
}

/* ---- POP3 ---- */

/* Remembers what the answer to a command will be. */
static bool expect_answer(struct mailbox *m, bool mail, bool listing)
{
	if (m->pending_n == PENDING_MAX)
		return false;
	m->pending |= (uint64_t)mail << m->pending_n;
	m->listing |= (uint64_t)listing << m->pending_n;
	m->pending_n++;
	return true;
}

static enum verdict pop3_command(struct inspect *in, struct mailbox *m, struct bytes line)
{
	static const char *const mails[] = {"RETR", "TOP", NULL}, *const listings[] = {"LIST", "UIDL", NULL};
	struct bytes verb = next_word(&line), rest = line, argument = next_word(&rest);
	bool listing = (one_of(verb, listings) && !argument.n) || words_same(verb, "CAPA");
	m->tls = words_same(verb, "STLS");
	if (words_same(verb, "USER") || words_same(verb, "APOP"))
		sasl_user(in, next_word(&line));
	else if (words_same(verb, "AUTH"))
		sasl_begin(in, &m->sasl, line);
	if (expect_answer(m, one_of(verb, mails), listing))
		return INSPECT_MORE;
	ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	return INSPECT_DONE;
}

/* A greeting answers nothing. */
static void pop3_answer(struct inspect *in, struct mailbox *m, bool ok)
{
	if (!m->pending_n)
		return;
	if (ok && (m->pending & 1))
		mail_pop3_begin(in, &m->mail[TO_CLIENT], true);
	else if (ok && (m->listing & 1))
		mail_pop3_begin(in, &m->mail[TO_CLIENT], false);
	m->pending >>= 1;
	m->listing >>= 1;
	m->pending_n--;
}

static enum verdict pop3_line(struct inspect *in, enum side side, struct bytes line)
{
	struct mailbox *m = in->state;
	if (side == TO_CLIENT) {
		bool tls = m->tls, ok = line.n >= 3 && memcmp(line.p, "+OK", 3) == 0;
		bool refused = line.n >= 4 && memcmp(line.p, "-ERR", 4) == 0;
		m->tls = false;
		if (refused)
			m->sasl = SASL_NOTHING;
		if (ok || refused)
			pop3_answer(in, m, ok);
		return tls && ok ? INSPECT_AGAIN : INSPECT_MORE;
	}
	if (m->sasl != SASL_NOTHING && !memchr(line.p, ' ', line.n)) {
		sasl_token(in, &m->sasl, line);
		return INSPECT_MORE;
	}
	m->sasl = SASL_NOTHING;
	return pop3_command(in, m, line);
}

/* ---- lines ---- */

typedef enum verdict line_fn(struct inspect *in, enum side side, struct bytes line);

static void keep(struct inspect *in, struct mailbox *m, enum side side, const uint8_t *p, size_t n)
{
	if (m->skip[side] || carry_push(in->mem, &m->line[side], p, n, LINE_BYTES))
		return;
	ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	m->skip[side] = true;
}

/* A line is complete. */
static enum verdict end_line(struct inspect *in, enum side side, line_fn *on_line)
{
	struct mailbox *m = in->state;
	struct carry c = m->line[side];
	bool whole = !m->skip[side];
	m->line[side] = (struct carry){0};
	m->skip[side] = false;
	struct bytes line = {c.p, c.n};
	while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
		line.n--;
	enum verdict v = whole && line.n ? on_line(in, side, line) : INSPECT_MORE;
	carry_free(in->mem, &c);
	return v;
}

static enum verdict lines(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used,
			  line_fn *on_line)
{
	struct mailbox *m = in->state;
	for (size_t at = 0; at < n;) {
		size_t mail = mail_data(in, &m->mail[side], p + at, n - at);
		at += mail;
		if (mail)
			continue;
		if (side == TO_SERVER && m->tls && !m->line[side].n && p[at] == 0x16) { /* the answer was not seen */
			*used = at;
			return INSPECT_AGAIN;
		}
		const uint8_t *nl = memchr(p + at, '\n', n - at);
		size_t step = nl ? (size_t)(nl - p) + 1 - at : n - at;
		keep(in, m, side, p + at, step);
		at += step;
		enum verdict v = nl ? end_line(in, side, on_line) : INSPECT_MORE;
		if (v == INSPECT_AGAIN)
			*used = at;
		if (v != INSPECT_MORE)
			return v;
	}
	return INSPECT_MORE;
}

static enum verdict imap_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	return lines(in, side, p, n, used, imap_line);
}

static enum verdict pop3_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	return lines(in, side, p, n, used, pop3_line);
}

static enum verdict mailbox_gap(struct inspect *in, enum side side, size_t lost)
{
	struct mailbox *m = in->state;
	if (mail_gap(in, &m->mail[side], lost))
		return INSPECT_MORE;
	carry_free(in->mem, &m->line[side]);
	m->skip[side] = true;
	if (side == TO_SERVER) {
		m->sasl = SASL_NOTHING;
		m->literal = 0;
	}
	return INSPECT_MORE;
}

static void mailbox_drop(struct inspect *in)
{
	struct mailbox *m = in->state;
	carry_free(in->mem, &m->line[0]);
	carry_free(in->mem, &m->line[1]);
	mail_drop(in, &m->mail[0]);
	mail_drop(in, &m->mail[1]);
}

static void mailbox_close(struct inspect *in, enum side side)
{
	struct mailbox *m = in->state;
	mail_end(in, &m->mail[side], false);
}

static void mailbox_describe(const struct inspect *in, struct alert_app *app)
{
	const struct mailbox *m = in->state;
	const struct mail *mail = &m->mail[m->mail[TO_CLIENT].mime ? TO_CLIENT : TO_SERVER];
	struct bytes subject = mime_subject(mail->mime);
	alert_app_text(app, "subject", subject.p, subject.n);
}

/* ---- recognising ---- */

/* A line that begins so; more bytes are waited for up to a greeting's length. */
static enum probe begins(const uint8_t *p, size_t n, const char *word)
{
	size_t w = strlen(word), k = n < w ? n : w;
	if (!text_equal_fold(p, k, word, k))
		return PROBE_NO;
	if (memchr(p, '\n', n))
		return n >= w ? PROBE_YES : PROBE_NO;
	return n < 1024 ? PROBE_MORE : PROBE_NO;
}

static enum probe best(const uint8_t *p, size_t n, const char *const *words)
{
	enum probe answer = PROBE_NO;
	for (; *words; words++) {
		enum probe one = begins(p, n, *words);
		answer = one > answer ? one : answer;
	}
	return answer;
}

/* A greeting, or a tag and a command that comes before the login. */
static enum probe imap_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	static const char *const greetings[] = {"* OK ", "* PREAUTH ", NULL};
	static const char *const commands[] = {" CAPABILITY", " STARTTLS", " LOGIN ", " AUTHENTICATE ", " ID (", NULL};
	(void)in;
	if (side == TO_CLIENT)
		return best(p, n, greetings);
	size_t tag = 0;
	while (tag < n && tag < TAG_BYTES && p[tag] > ' ' && p[tag] < 0x7f)
		tag++;
	if (tag == n)
		return tag < TAG_BYTES ? PROBE_MORE : PROBE_NO;
	return tag ? best(p + tag, n - tag, commands) : PROBE_NO;
}

/* "+OK" alone is Redis' answer, USER is FTP's word, too. */
static enum probe pop3_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	static const char *const greetings[] = {"+OK ", NULL};
	static const char *const commands[] = {"CAPA\r\n", "STLS\r\n", "APOP ", NULL};
	(void)in;
	return best(p, n, side == TO_CLIENT ? greetings : commands);
}

const struct parser parser_imap = {
    .name = "imap",
    .over = OVER_TCP,
    .state_size = sizeof(struct mailbox),
    .probe = imap_probe,
    .stream = imap_stream,
    .gap = mailbox_gap,
    .close = mailbox_close,
    .describe = mailbox_describe,
    .drop = mailbox_drop,
};

const struct parser parser_pop3 = {
    .name = "pop3",
    .over = OVER_TCP,
    .state_size = sizeof(struct mailbox),
    .probe = pop3_probe,
    .stream = pop3_stream,
    .gap = mailbox_gap,
    .close = mailbox_close,
    .describe = mailbox_describe,
    .drop = mailbox_drop,
};
