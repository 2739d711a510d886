/* FTP (RFC 959, 2228 AUTH, 2428 EPRT and EPSV): who logs in, which files move, and
 * where: the data connection that follows is announced with inspect_expect() and
 * its bytes are hashed as a file.
 *
 *   C: PORT h1,h2,h3,h4,p1,p2            the server will connect there
 *   C: EPRT |1|192.0.2.1|6275|           (1 IPv4, 2 IPv6)
 *   S: 227 … (h1,h2,h3,h4,p1,p2)         the client will connect there
 *   S: 229 … (|||6446|)                  at the server's address
 *   C: RETR name, STOR name, APPE name, STOU [name]
 *
 * The address in PORT and 227 is often wrong behind NAT, and a bouncer's choice
 * (CVE-1999-0017): both it and the flow's own address are expected. */
#include "sensor/parsers.h"

#include <string.h>

#include "common/text.h"
#include "sensor/file.h"
#include "sensor/words.h"

#define LINE_MAX_BYTES 4096
#define NAME_MAX_BYTES 255 /* what inspect_expect() takes */

struct ftp {
	struct carry line[2];
	bool skip[2]; /* to the end of the line */
	bool auth;    /* AUTH was said, not yet answered */
	struct addr data_own, data_named;
	uint16_t data_port; /* 0: not known */
	uint8_t user_n;
	uint8_t name_n;
	uint8_t command_n;
	char user[NAME_MAX_BYTES];
	char name[NAME_MAX_BYTES];
	char command[8];
};

/* A decimal number at the cursor; -1 when there is none or it is above max. */
static long take_number(struct cursor *c, long max)
{
	long v = -1;
	while (cursor_left(c) && *c->p >= '0' && *c->p <= '9') {
		v = (v < 0 ? 0 : v) * 10 + (cursor_u8(c) - '0');
		if (v > max)
			return -1;
	}
	return v;
}

/* h1,h2,h3,h4,p1,p2 */
static bool take_six(struct bytes b, struct addr *a, uint16_t *port)
{
	struct cursor c = cursor_over(b.p, b.n);
	uint8_t v[6];
	for (int i = 0; i < 6; i++) {
		if (i && cursor_u8(&c) != ',')
			return false;
		long k = take_number(&c, 255);
		if (k < 0)
			return false;
		v[i] = (uint8_t)k;
	}
	*a = addr_v4(v);
	*port = (uint16_t)(v[4] << 8 | v[5]);
	return *port != 0;
}

/* Only a transfer is announced, not a listing: by then the name is known, and no
 * byte of the file has come yet. */
static void expect_data(struct inspect *in, struct ftp *f)
{
	if (!f->data_port)
		return;
	inspect_expect(in, &f->data_own, f->data_port, &parser_ftp_data, f->name, f->name_n);
	if (!addr_equal(&f->data_own, &f->data_named))
		inspect_expect(in, &f->data_named, f->data_port, &parser_ftp_data, f->name, f->name_n);
	f->data_port = 0;
}

/* Where the next data connection goes: to the end of the control connection that
 * listens, or to the address it named (NULL: none). */
static void set_data(struct ftp *f, const struct addr *named_addr, const struct addr *own, uint16_t port)
{
	f->data_port = port;
	f->data_own = *own;
	f->data_named = named_addr ? *named_addr : *own;
}

/* |proto|address|port|, the delimiter being whatever stands first. */
static bool take_extended(struct bytes b, struct addr *a, bool *has_addr, uint16_t *port)
{
	struct cursor c = cursor_over(b.p, b.n);
	uint8_t bar = cursor_u8(&c);
	struct bytes part[3];
	for (int i = 0; i < 3; i++) {
		const uint8_t *end = cursor_left(&c) ? memchr(c.p, bar, cursor_left(&c)) : NULL;
		if (!end)
			return false;
		part[i] = cursor_bytes(&c, (size_t)(end - c.p));
		cursor_skip(&c, 1);
	}
	*has_addr = part[1].n && addr_parse((const char *)part[1].p, part[1].n, a);
	struct cursor number = cursor_over(part[2].p, part[2].n);
	long v = take_number(&number, 65535);
	*port = (uint16_t)(v > 0 ? v : 0);
	return v > 0 && !cursor_left(&number);
}

static void on_eprt(const struct inspect *in, struct ftp *f, struct bytes arg)
{
	struct addr a;
	bool has_addr;
	uint16_t port;
	if (take_extended(arg, &a, &has_addr, &port))
		set_data(f, has_addr ? &a : NULL, &in->src, port);
}

static void on_port(const struct inspect *in, struct ftp *f, struct bytes arg)
{
	struct addr a;
	uint16_t port;
	if (take_six(arg, &a, &port))
		set_data(f, &a, &in->src, port);
}

/* The name is matched as given and without its directory. */
static void on_name(struct inspect *in, struct ftp *f, struct bytes name)
{
	size_t from = name.n;
	while (from && name.p[from - 1] != '/' && name.p[from - 1] != '\\')
		from--;
	struct bytes base = {name.p + from, name.n - from};
	if (base.n > NAME_MAX_BYTES)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	f->name_n = (uint8_t)(base.n < NAME_MAX_BYTES ? base.n : NAME_MAX_BYTES);
	if (f->name_n)
		memcpy(f->name, base.p, f->name_n);
	if (name.n)
		observe(in, WHERE_FTP_FILE, name.p, name.n);
	if (base.n && base.n < name.n)
		observe(in, WHERE_FTP_FILE, base.p, base.n);
}

static void on_user(struct inspect *in, struct ftp *f, struct bytes user)
{
	f->user_n = (uint8_t)(user.n < NAME_MAX_BYTES ? user.n : NAME_MAX_BYTES);
	if (!f->user_n)
		return;
	memcpy(f->user, user.p, f->user_n);
	observe(in, WHERE_FTP_USER, user.p, user.n);
}

static void on_command(struct inspect *in, struct ftp *f, struct bytes line)
{
	struct bytes word = words_first(line), arg = words_behind(line, word.n);
	f->command_n = (uint8_t)(word.n < sizeof(f->command) ? word.n : sizeof(f->command));
	memcpy(f->command, word.p, f->command_n);
	f->auth = words_same(word, "AUTH");
	if (words_same(word, "USER"))
		on_user(in, f, arg);
	else if (words_same(word, "PORT"))
		on_port(in, f, arg);
	else if (words_same(word, "EPRT"))
		on_eprt(in, f, arg);
	else if (words_same(word, "RETR") || words_same(word, "STOR") || words_same(word, "APPE") ||
		 words_same(word, "STOU")) {
		on_name(in, f, arg);
		expect_data(in, f);
	} else if (words_same(word, "DELE") || words_same(word, "RNFR") || words_same(word, "RNTO")) {
		on_name(in, f, arg);
	}
}

static void on_227(const struct inspect *in, struct ftp *f, struct bytes line)
{
	for (size_t i = 4; i < line.n; i++) { /* servers differ in the words before the numbers */
		struct addr a;
		uint16_t port;
		bool number = line.p[i] >= '0' && line.p[i] <= '9';
		if (number && take_six(words_behind(line, i), &a, &port)) {
			set_data(f, &a, &in->dest, port);
			return;
		}
	}
}

static void on_229(const struct inspect *in, struct ftp *f, struct bytes line)
{
	const uint8_t *open = memchr(line.p, '(', line.n);
	struct addr a;
	bool has_addr;
	uint16_t port;
	if (open && take_extended(words_behind(line, (size_t)(open - line.p) + 1), &a, &has_addr, &port))
		set_data(f, NULL, &in->dest, port);
}

static enum verdict on_reply(struct inspect *in, struct ftp *f, struct bytes line)
{
	if (line.n < 4 || line.p[3] != ' ')
		return INSPECT_MORE;
	struct bytes code = {line.p, 3};
	if (words_same(code, "227"))
		on_227(in, f, line);
	else if (words_same(code, "229"))
		on_229(in, f, line);
	else if (words_same(code, "234") && f->auth)
		return INSPECT_AGAIN;
	return INSPECT_MORE;
}

/* Takes up to one line; true when it is complete (*line without its end). */
static bool take_line(struct inspect *in, struct ftp *f, enum side side, const uint8_t *p, size_t n, size_t *used,
		      struct bytes *line)
{
	struct carry *c = &f->line[side];
	const uint8_t *nl = memchr(p, '\n', n);
	*used = nl ? (size_t)(nl - p) + 1 : n;
	*line = (struct bytes){p, *used};
	if ((!nl || c->n) && !f->skip[side]) {
		f->skip[side] = !carry_push(in->mem, c, p, *used, LINE_MAX_BYTES);
		if (f->skip[side])
			ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	}
	if (!nl)
		return false;
	if (c->n || f->skip[side])
		*line = (struct bytes){c->p, c->n};
	f->skip[side] = false;
	while (line->n && (line->p[line->n - 1] == '\n' || line->p[line->n - 1] == '\r'))
		line->n--;
	return true;
}

static enum verdict ftp_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct ftp *f = in->state;
	enum verdict v = INSPECT_MORE;
	size_t at = 0;
	while (at < n && v == INSPECT_MORE) {
		if (f->auth && side == TO_SERVER && !f->line[side].n && p[at] == 0x16) { /* the answer was not seen */
			v = INSPECT_AGAIN;
			break;
		}
		size_t took = 0;
		struct bytes line;
		if (take_line(in, f, side, p + at, n - at, &took, &line)) {
			if (line.n && side == TO_SERVER)
				on_command(in, f, line);
			else if (line.n)
				v = on_reply(in, f, line);
			carry_free(in->mem, &f->line[side]);
		}
		at += took;
	}
	if (v == INSPECT_AGAIN)
		*used = at;
	return v;
}

static enum verdict ftp_gap(struct inspect *in, enum side side, size_t lost)
{
	struct ftp *f = in->state;
	(void)lost;
	carry_free(in->mem, &f->line[side]);
	f->skip[side] = true;
	return INSPECT_MORE;
}

static bool contains(struct bytes b, const char *word)
{
	size_t w = strlen(word);
	for (size_t i = 0; i + w <= b.n; i++)
		if (text_equal_fold(b.p + i, w, word, w))
			return true;
	return false;
}

/* USER alone could be IRC's (four words) or POP3's (whose server said +OK first). */
static bool client_line(struct bytes line)
{
	struct bytes word = words_first(line), arg = words_behind(line, word.n);
	struct addr a;
	bool has_addr;
	uint16_t port;
	if (words_same(word, "USER"))
		return arg.n && words_first(arg).n == arg.n;
	if (words_same(word, "PORT"))
		return take_six(arg, &a, &port);
	if (words_same(word, "EPRT"))
		return take_extended(arg, &a, &has_addr, &port);
	return !arg.n && (words_same(word, "PASV") || words_same(word, "EPSV"));
}

static bool server_line(struct bytes line)
{
	if (line.n < 4 || (line.p[3] != ' ' && line.p[3] != '-'))
		return false;
	struct bytes code = {line.p, 3};
	if (words_same(code, "220"))
		return contains(line, "FTP") && !contains(line, "SMTP");
	return (words_same(code, "227") && contains(line, "passive")) ||
	       (words_same(code, "229") && contains(line, "(|||"));
}

static enum probe ftp_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	(void)in;
	const uint8_t *nl = n ? memchr(p, '\n', n) : NULL;
	struct bytes line = {p, nl ? (size_t)(nl - p) : n};
	if (!nl) {
		bool text = n < 512;
		for (size_t i = 0; i < n && text; i++)
			text = p[i] >= 0x20 && p[i] < 0x7f;
		return text || (n < 512 && n && p[n - 1] == '\r') ? PROBE_MORE : PROBE_NO;
	}
	while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' '))
		line.n--;
	return (side == TO_SERVER ? client_line(line) : server_line(line)) ? PROBE_YES : PROBE_NO;
}

static void ftp_describe(const struct inspect *in, struct alert_app *app)
{
	const struct ftp *f = in->state;
	alert_app_text(app, "command", f->command, f->command_n);
	alert_app_text(app, "user", f->user, f->user_n);
	alert_app_text(app, "filename", f->name, f->name_n);
	app->object = "ftp";
}

static void ftp_drop(struct inspect *in)
{
	struct ftp *f = in->state;
	carry_free(in->mem, &f->line[0]);
	carry_free(in->mem, &f->line[1]);
}

const struct parser parser_ftp = {
    .name = "ftp",
    .over = OVER_TCP,
    .state_size = sizeof(struct ftp),
    .probe = ftp_probe,
    .stream = ftp_stream,
    .gap = ftp_gap,
    .describe = ftp_describe,
    .drop = ftp_drop,
};

/* ---- the data connection: one file, in the direction that has bytes ---- */

struct ftp_data {
	struct file *file[2];
	bool told; /* the name */
	bool cut[2];
};

static void tell_name(struct inspect *in, struct ftp_data *d)
{
	struct bytes name = inspect_note(in);
	if (!d->told && name.n)
		observe(in, WHERE_FILE_NAME, name.p, name.n);
	d->told = true;
}

static enum verdict data_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct ftp_data *d = in->state;
	(void)used;
	tell_name(in, d);
	if (!d->file[side] && !d->cut[side])
		d->file[side] = file_begin(in);
	file_data(d->file[side], p, n);
	return INSPECT_MORE;
}

static enum verdict data_gap(struct inspect *in, enum side side, size_t lost)
{
	struct ftp_data *d = in->state;
	(void)lost;
	file_end(in, d->file[side], false);
	d->file[side] = NULL;
	d->cut[side] = true;
	return INSPECT_MORE;
}

static void data_close(struct inspect *in, enum side side)
{
	struct ftp_data *d = in->state;
	struct file *f = d->file[side];
	d->file[side] = NULL;
	file_end(in, f, true);
}

static void data_describe(const struct inspect *in, struct alert_app *app)
{
	struct bytes name = inspect_note(in);
	app->object = "ftp_data";
	alert_app_text(app, "filename", name.p, name.n);
}

static void data_drop(struct inspect *in)
{
	struct ftp_data *d = in->state;
	file_drop(in, d->file[0]);
	file_drop(in, d->file[1]);
}

/* Never probed: it is expected, or it is not FTP data. */
const struct parser parser_ftp_data = {
    .name = "ftp-data",
    .over = OVER_TCP,
    .state_size = sizeof(struct ftp_data),
    .stream = data_stream,
    .gap = data_gap,
    .close = data_close,
    .describe = data_describe,
    .drop = data_drop,
};
