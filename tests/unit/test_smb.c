/* SMB: names, users, files that are read and written, in both versions; lost
 * bytes; limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/observed.h"

#include "sensor/ntlm.h"
#include "sensor/parsers.h"
#include "sensor/smb_files.h"
#include "sensor/utf16.h"

#define ABC_MD5    "file.md5 900150983cd24fb0d6963f7d28e17f72\n"
#define ABC_SHA1   "file.sha1 a9993e364706816aba3e25717850c26c9cd0d89d\n"
#define ABC_SHA256 "file.sha256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"
#define ABC        ABC_MD5 ABC_SHA1 ABC_SHA256

static void le(struct buf *b, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		buf_u8(b, (uint8_t)(v >> (8 * i)));
}

static void zeros(struct buf *b, size_t n)
{
	while (n--)
		buf_u8(b, 0);
}

static void utf16(struct buf *b, const char *ascii)
{
	for (; *ascii; ascii++)
		le(b, (uint8_t)*ascii, 2);
}

/* ---- SMB2 ---- */

enum { REQUEST = 0, RESPONSE = 1, RELATED = 4 };

static void smb2(struct buf *b, uint16_t command, uint32_t flags, uint64_t id, uint32_t status, uint32_t next)
{
	buf_add(b, "\xfeSMB\x40\0\0\0", 8);
	le(b, status, 4);
	le(b, command, 2);
	le(b, 1, 2);
	le(b, flags, 4);
	le(b, next, 4);
	le(b, id, 8);
	zeros(b, 32);
}

static void fid(struct buf *b, uint8_t f)
{
	for (int i = 0; i < 16; i++)
		buf_u8(b, f);
}

static void create(struct buf *b, uint32_t flags, uint64_t id, const char *name, uint32_t next)
{
	size_t from = b->n;
	smb2(b, 5, flags, id, 0, next);
	zeros(b, 44);
	le(b, 120, 2);
	le(b, strlen(name) * 2, 2);
	zeros(b, 8);
	utf16(b, name);
	if (next)
		zeros(b, from + next - b->n);
}

static void created(struct buf *b, uint64_t id, uint32_t status, uint64_t size, uint8_t f)
{
	smb2(b, 5, RESPONSE, id, status, 0);
	zeros(b, 48);
	le(b, size, 8);
	zeros(b, 8);
	fid(b, f);
	zeros(b, 8);
}

static void reads(struct buf *b, uint32_t flags, uint64_t id, uint64_t offset, uint8_t f)
{
	smb2(b, 8, flags, id, 0, 0);
	le(b, 49, 2);
	zeros(b, 2);
	le(b, 4096, 4);
	le(b, offset, 8);
	fid(b, f);
	zeros(b, 17);
}

static void was_read(struct buf *b, uint64_t id, uint32_t status, const char *data)
{
	smb2(b, 8, RESPONSE, id, status, 0);
	le(b, 17, 2);
	le(b, 84, 2);
	le(b, strlen(data), 4);
	zeros(b, 8 + 4);
	buf_add(b, data, strlen(data));
}

static void writes(struct buf *b, uint64_t id, uint64_t offset, uint8_t f, const char *data)
{
	smb2(b, 9, REQUEST, id, 0, 0);
	le(b, 49, 2);
	le(b, 112, 2);
	le(b, strlen(data), 4);
	le(b, offset, 8);
	fid(b, f);
	zeros(b, 16);
	buf_add(b, data, strlen(data));
	zeros(b, 3);
}

static void closes(struct buf *b, uint64_t id, uint8_t f)
{
	smb2(b, 6, REQUEST, id, 0, 0);
	zeros(b, 8);
	fid(b, f);
}

static void was_closed(struct buf *b, uint64_t id)
{
	smb2(b, 6, RESPONSE, id, 0, 0);
	le(b, 60, 2);
	zeros(b, 58);
}

static void ntlm(struct buf *b, uint32_t type, uint32_t flags, const char *user)
{
	size_t n = strlen(user) * (flags & 1 ? 2 : 1);
	buf_add(b, "NTLMSSP", 8);
	le(b, type, 4);
	zeros(b, 24);
	le(b, n, 2);
	le(b, n, 2);
	le(b, 64, 4);
	zeros(b, 16);
	le(b, flags, 4);
	if (flags & 1)
		utf16(b, user);
	else
		buf_add(b, user, n);
}

/* ---- SMB1 ---- */

static void smb1(struct buf *b, uint8_t command, uint8_t flags, uint16_t id)
{
	buf_add(b, "\xffSMB", 4);
	buf_u8(b, command);
	le(b, 0, 4);
	buf_u8(b, flags);
	le(b, 0x8001, 2);
	zeros(b, 18);
	le(b, id, 2);
}

static void smb1_body(struct buf *b, const struct buf *words, const struct buf *bytes)
{
	buf_u8(b, (uint8_t)(words->n / 2));
	buf_add(b, words->p, words->n);
	le(b, bytes->n, 2);
	if (bytes->n)
		buf_add(b, bytes->p, bytes->n);
}

/* ---- conversations ---- */

#define TALK_MAX 24
struct talk {
	struct buf piece[TALK_MAX];
	struct message msg[TALK_MAX];
	size_t n;
};

/* The next frame's buffer; its header is filled in by talk_end(). */
static struct buf *say(struct talk *t, enum side side)
{
	assert_true(t->n < TALK_MAX);
	t->msg[t->n].side = side;
	struct buf *b = &t->piece[t->n++];
	zeros(b, 4);
	return b;
}

static void talk_end(struct talk *t)
{
	for (size_t i = 0; i < t->n; i++) {
		size_t n = t->piece[i].n - 4;
		t->piece[i].p[1] = (uint8_t)(n >> 16);
		t->piece[i].p[2] = (uint8_t)(n >> 8);
		t->piece[i].p[3] = (uint8_t)n;
		t->msg[i].p = t->piece[i].p;
		t->msg[i].n = t->piece[i].n;
	}
}

static void talk_check(struct talk *t, const char *expect)
{
	talk_end(t);
	feed_every_split(&parser_smb, t->msg, t->n, expect);
	feed_turned(&parser_smb, t->msg, t->n, expect);
	feed_every_prefix(&parser_smb, t->msg, t->n);
	for (size_t i = 0; i < t->n; i++)
		buf_free(&t->piece[i]);
	*t = (struct talk){0};
}

static void test_read(void **s)
{
	(void)s;
	struct talk t = {0};
	create(say(&t, TO_SERVER), REQUEST, 4, "\\dir\\a.exe", 0);
	created(say(&t, TO_CLIENT), 4, 0, 3, 7);
	reads(say(&t, TO_SERVER), REQUEST, 5, 0, 7);
	was_read(say(&t, TO_CLIENT), 5, 0x103, "");
	was_read(say(&t, TO_CLIENT), 5, 0, "ab");
	reads(say(&t, TO_SERVER), REQUEST, 6, 1, 7);
	was_read(say(&t, TO_CLIENT), 6, 0, "bc");
	closes(say(&t, TO_SERVER), 7, 7);
	talk_check(&t, "smb.file dir\\x5ca.exe\nsmb.file a.exe\n" ABC);
}

static void test_write(void **s)
{
	(void)s;
	struct talk t = {0};
	create(say(&t, TO_SERVER), REQUEST, 4, "b", 0);
	created(say(&t, TO_CLIENT), 4, 0, 0, 7);
	writes(say(&t, TO_SERVER), 5, 0, 7, "a");
	writes(say(&t, TO_SERVER), 6, UINT64_MAX, 7, "bc");
	closes(say(&t, TO_SERVER), 7, 7);
	writes(say(&t, TO_SERVER), 8, 0, 9, "abc"); /* opened before we came */
	closes(say(&t, TO_SERVER), 9, 9);
	talk_check(&t, "smb.file b\n" ABC ABC);
}

static void test_holes(void **s)
{
	(void)s;
	struct talk t = {0};
	create(say(&t, TO_SERVER), REQUEST, 4, "b", 0);
	created(say(&t, TO_CLIENT), 4, 0, 9, 7);
	reads(say(&t, TO_SERVER), REQUEST, 5, 0, 7);
	was_read(say(&t, TO_CLIENT), 5, 0, "abc");
	reads(say(&t, TO_SERVER), REQUEST, 6, 5, 7);
	was_read(say(&t, TO_CLIENT), 6, 0, "f");
	closes(say(&t, TO_SERVER), 7, 7);
	create(say(&t, TO_SERVER), REQUEST, 8, "none", 0);
	created(say(&t, TO_CLIENT), 8, 0xc0000034, 0, 7);
	reads(say(&t, TO_SERVER), REQUEST, 9, 0, 7);
	was_read(say(&t, TO_CLIENT), 9, 0xc0000128, "abc");
	closes(say(&t, TO_SERVER), 10, 7);
	talk_check(&t, "smb.file b\nsmb.file none\n");
}

/* The server's stream is behind the client's: a READ comes before the answer that
 * names its file, a CLOSE before the bytes. */
static void test_answers_late(void **s)
{
	(void)s;
	struct talk t = {0};
	create(say(&t, TO_SERVER), REQUEST, 4, "late", 0);
	reads(say(&t, TO_SERVER), REQUEST, 5, 0, 7);
	closes(say(&t, TO_SERVER), 6, 7);
	create(say(&t, TO_SERVER), REQUEST, 7, "next", 0); /* the server uses the id again */
	reads(say(&t, TO_SERVER), REQUEST, 8, 0, 7);
	created(say(&t, TO_CLIENT), 4, 0, 9, 7);
	was_read(say(&t, TO_CLIENT), 5, 0, "abc");
	was_closed(say(&t, TO_CLIENT), 6);
	created(say(&t, TO_CLIENT), 7, 0, 3, 7);
	was_read(say(&t, TO_CLIENT), 8, 0, "abc");
	talk_check(&t, "smb.file late\nsmb.file next\n" ABC ABC);
}

/* A pipe: each message begins at 0 again. */
static void test_pipe(void **s)
{
	(void)s;
	struct talk t = {0};
	create(say(&t, TO_SERVER), REQUEST, 4, "svcctl", 0);
	created(say(&t, TO_CLIENT), 4, 0, 0, 7);
	writes(say(&t, TO_SERVER), 5, 0, 7, "abc");
	writes(say(&t, TO_SERVER), 6, 0, 7, "abc");
	closes(say(&t, TO_SERVER), 7, 7);
	talk_check(&t, "smb.file svcctl\n" ABC ABC);
}

/* DCE/RPC: what logs in last (AUTH3, 16), its token behind 8 bytes that introduce it. */
static void auth3(struct buf *b, const char *user)
{
	struct buf token = {0};
	ntlm(&token, 3, 1, user);
	buf_add(b, "\5\0\x10\3\x10\0\0\0", 8);
	le(b, 16 + 4 + 8 + token.n, 2);
	le(b, token.n, 2);
	zeros(b, 4 + 4 + 8);
	buf_add(b, token.p, token.n);
	buf_free(&token);
}

/* The ways to write to a pipe. */
static void written(struct buf *b, uint8_t f, const uint8_t *p, size_t n)
{
	smb2(b, 9, REQUEST, 4, 0, 0);
	le(b, 49, 2);
	le(b, 112, 2);
	le(b, n, 4);
	le(b, UINT64_MAX, 8);
	fid(b, f);
	zeros(b, 16);
	buf_add(b, p, n);
}

static void transceived(struct buf *b, uint8_t f, uint32_t what, const uint8_t *p, size_t n)
{
	smb2(b, 11, REQUEST, 5, 0, 0);
	le(b, 57, 4);
	le(b, what, 4);
	fid(b, f);
	le(b, 120, 4);
	le(b, n, 4);
	zeros(b, 24);
	buf_add(b, p, n);
}

static void written1(struct buf *b, uint16_t f, uint16_t mode, const uint8_t *p, size_t n)
{
	struct buf w = {0}, d = {0};
	bool length = mode == 12;
	smb1(b, 0x2f, 0, 65);
	zeros(&w, 4);
	le(&w, f, 2);
	le(&w, UINT32_MAX, 8);
	le(&w, mode, 2);
	zeros(&w, 4);
	le(&w, n + (length ? 2 : 0), 2);
	le(&w, 33 + 28 + 2 + 1, 2);
	zeros(&w, 4);
	zeros(&d, 1);
	if (length)
		le(&d, 5000, 2);
	buf_add(&d, p, n);
	smb1_body(b, &w, &d);
	buf_free(&w);
	buf_free(&d);
}

static void transaction1(struct buf *b, uint8_t f, size_t total, const uint8_t *p, size_t n)
{
	struct buf w = {0}, d = {0};
	smb1(b, 0x25, 0, 64);
	zeros(&w, 2);
	le(&w, total, 2);
	zeros(&w, 18);
	le(&w, n, 2);
	le(&w, 33 + 32 + 2 + 1, 2);
	le(&w, 2, 2);
	le(&w, 0x26, 2);
	le(&w, f, 2);
	zeros(&d, 1);
	buf_add(&d, p, n);
	smb1_body(b, &w, &d);
	buf_free(&w);
	buf_free(&d);
}

static void secondary1(struct buf *b, const uint8_t *p, size_t n)
{
	struct buf w = {0}, d = {0};
	smb1(b, 0x26, 0, 64);
	zeros(&w, 10);
	le(&w, n, 2);
	le(&w, 33 + 16 + 2 + 1, 2);
	zeros(&w, 2);
	zeros(&d, 1);
	buf_add(&d, p, n);
	smb1_body(b, &w, &d);
	buf_free(&w);
	buf_free(&d);
}

static void write_one(struct talk *t, enum side side, int way, int part, const struct buf *pdu, size_t from, size_t n)
{
	struct buf *b = say(t, side);
	const uint8_t *p = pdu->p + from;
	switch (way) {
	case 0:
		written(b, 7, p, n);
		break;
	case 1:
		transceived(b, 7, 0x11c017, p, n);
		break;
	case 2:
		written1(b, 0x4001, part ? 4 : 12, p, n);
		break;
	case 3:
		written1(b, 0x4001, 0, p, n);
		break;
	default:
		if (part)
			secondary1(b, p, n);
		else
			transaction1(b, 7, pdu->n, p, n);
	}
}

enum { WAYS = 5 };

/* Logins within the calls that are written to a pipe, in each way to write, by each side. */
static void test_pipe_logins(void **s)
{
	(void)s;
	struct buf pdu = {0};
	auth3(&pdu, "ann");
	for (int side = 0; side < 2; side++) {
		struct talk t = {0};
		for (int way = 0; way < WAYS; way++)
			write_one(&t, (enum side)side, way, 0, &pdu, 0, pdu.n);
		transceived(say(&t, (enum side)side), 7, 0x140204, pdu.p, pdu.n); /* no call of a pipe */
		talk_check(&t, "ntlm.user ann\nntlm.user ann\nntlm.user ann\nntlm.user ann\nntlm.user ann\n");
	}
	buf_free(&pdu);
}

/* A call over two writes, cut anywhere, by each side; another pipe and a file are written to in between. */
static void test_pipe_joins(void **s)
{
	(void)s;
	struct buf pdu = {0}, other = {0};
	auth3(&pdu, "ann");
	auth3(&other, "bob");
	for (int way = 0; way < WAYS; way++) {
		struct observed o;
		observed_begin(&o, &parser_smb);
		for (size_t cut = 1; cut < pdu.n; cut++) {
			enum side side = cut % 2 ? TO_SERVER : TO_CLIENT;
			struct talk t = {0};
			write_one(&t, side, way, 0, &pdu, 0, cut);
			written(say(&t, side), 9, other.p, cut);
			writes(say(&t, side), 5, UINT64_MAX, 8, "abc");
			write_one(&t, side, way, 1, &pdu, cut, pdu.n - cut);
			written(say(&t, side), 9, other.p + cut, pdu.n - cut);
			if (cut == 33 + (size_t)way) {
				talk_check(&t, "ntlm.user ann\nntlm.user bob\n");
				continue;
			}
			talk_end(&t);
			o.text.n = 0;
			buf_add(&o.text, "", 1);
			for (size_t i = 0; i < t.n; i++) {
				feed_stream(&o, side, t.msg[i].p, t.msg[i].n);
				buf_free(&t.piece[i]);
			}
			if (strcmp(observed_text(&o), "ntlm.user ann\nntlm.user bob\n") != 0)
				fail_msg("way %d, cut at %zu: %s", way, cut, observed_text(&o));
		}
		observed_end(&o);
	}
	buf_free(&pdu);
	buf_free(&other);
}

/* What a pipe waits for is forgotten when the server gives its name anew, and when bytes are lost. */
static void test_pipe_forgets(void **s)
{
	(void)s;
	struct buf pdu = {0};
	auth3(&pdu, "ann");
	for (int anew = 0; anew < 2; anew++) {
		struct talk t = {0};
		written(say(&t, TO_SERVER), 7, pdu.p, 40);
		created(say(&t, TO_CLIENT), 4, anew ? 0 : 0xc0000034, 0, 7);
		closes(say(&t, TO_SERVER), 7, 7);
		written(say(&t, TO_SERVER), 7, pdu.p, pdu.n);
		talk_check(&t, anew ? "ntlm.user ann\n" : "");
	}
	struct talk t = {0};
	struct observed o;
	written(say(&t, TO_SERVER), 7, pdu.p, pdu.n);
	written(say(&t, TO_SERVER), 7, pdu.p, pdu.n);
	talk_end(&t);
	observed_begin(&o, &parser_smb);
	feed_stream(&o, TO_SERVER, t.msg[0].p, t.msg[0].n - 20);
	feed_gap(&o, TO_SERVER, 20);
	feed_stream(&o, TO_SERVER, t.msg[1].p, t.msg[1].n);
	assert_string_equal(observed_text(&o), "ntlm.user ann\n");
	observed_end(&o);
	for (size_t i = 0; i < t.n; i++)
		buf_free(&t.piece[i]);
	buf_free(&pdu);
}

/* One pipe more than are kept: the first is forgotten. */
static void test_pipe_limit(void **s)
{
	(void)s;
	struct buf pdu = {0};
	auth3(&pdu, "ann");
	for (uint8_t pipes = SMB_PIPES_MAX; pipes <= SMB_PIPES_MAX + 1; pipes++) {
		struct talk t = {0};
		struct observed o;
		for (uint8_t i = 1; i <= pipes; i++)
			written(say(&t, TO_SERVER), i, pdu.p, 50);
		for (uint8_t i = 1; i <= pipes; i++)
			written(say(&t, TO_SERVER), i, pdu.p + 50, pdu.n - 50);
		talk_end(&t);
		observed_begin(&o, &parser_smb);
		for (size_t i = 0; i < t.n; i++)
			feed_stream(&o, TO_SERVER, t.msg[i].p, t.msg[i].n);
		assert_int_equal(o.count, SMB_PIPES_MAX);
		assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], pipes - SMB_PIPES_MAX);
		observed_end(&o);
		for (size_t i = 0; i < t.n; i++)
			buf_free(&t.piece[i]);
	}
	buf_free(&pdu);
}

static void test_chain(void **s)
{
	(void)s;
	struct talk t = {0};
	struct buf *b = say(&t, TO_SERVER);
	create(b, REQUEST, 4, "x:s", 136);
	reads(b, RELATED, 5, 0, 0xff);
	created(say(&t, TO_CLIENT), 4, 0, 3, 7);
	was_read(say(&t, TO_CLIENT), 5, 0, "abc");
	talk_check(&t, "smb.file x:s\n" ABC);
}

static void test_rename_and_user(void **s)
{
	(void)s;
	struct talk t = {0};
	struct buf *b = say(&t, TO_SERVER);
	smb2(b, 1, REQUEST, 1, 0, 0);
	zeros(b, 30);
	ntlm(b, 1, 1, "");
	b = say(&t, TO_SERVER);
	smb2(b, 1, REQUEST, 2, 0, 0);
	zeros(b, 31);
	ntlm(b, 3, 1, "ann");
	b = say(&t, TO_SERVER);
	smb2(b, 17, REQUEST, 3, 0, 0);
	le(b, 33, 2);
	buf_u8(b, 1);
	buf_u8(b, 10);
	le(b, 20 + 4, 4);
	le(b, 96, 2);
	zeros(b, 6 + 16 + 16);
	le(b, 4, 4);
	utf16(b, "zz");
	talk_check(&t, "ntlm.user ann\nsmb.file zz\n");
}

/* Encrypted frames and keep-alives between others. */
static void test_frames(void **s)
{
	(void)s;
	struct talk t = {0};
	create(say(&t, TO_SERVER), REQUEST, 1, "a", 0);
	buf_add(say(&t, TO_SERVER), "\xfdSMB-------------------", 22);
	say(&t, TO_SERVER)->p[0] = 0x85;
	create(say(&t, TO_SERVER), REQUEST, 2, "b", 0);
	talk_check(&t, "smb.file a\nsmb.file b\n");
}

static void test_smb1(void **s)
{
	(void)s;
	struct talk t = {0};
	struct buf w = {0}, d = {0}, *b = say(&t, TO_SERVER);
	smb1(b, 0xa2, 0, 64);
	zeros(&w, 5);
	le(&w, 8, 2);
	zeros(&w, 41);
	zeros(&d, 1);
	utf16(&d, "\\d\\f");
	smb1_body(b, &w, &d);

	b = say(&t, TO_CLIENT);
	w.n = d.n = 0;
	smb1(b, 0xa2, 0x80, 64);
	zeros(&w, 5);
	le(&w, 0x4001, 2);
	zeros(&w, 48);
	le(&w, 3, 8);
	zeros(&w, 5);
	smb1_body(b, &w, &d);

	b = say(&t, TO_SERVER);
	w.n = d.n = 0;
	smb1(b, 0x2e, 0, 128);
	zeros(&w, 4);
	le(&w, 0x4001, 2);
	zeros(&w, 18);
	smb1_body(b, &w, &d);

	b = say(&t, TO_CLIENT);
	w.n = d.n = 0;
	smb1(b, 0x2e, 0x80, 128);
	zeros(&w, 10);
	le(&w, 3, 2);
	le(&w, 61, 2);
	zeros(&w, 10);
	buf_add(&d, "--abc", 5);
	smb1_body(b, &w, &d);

	b = say(&t, TO_SERVER);
	w.n = d.n = 0;
	smb1(b, 0x2f, 0, 129);
	zeros(&w, 4);
	le(&w, 0x4001, 2);
	zeros(&w, 14);
	le(&w, 3, 2);
	le(&w, 64, 2);
	zeros(&w, 4);
	buf_add(&d, "-abc", 4);
	smb1_body(b, &w, &d);

	b = say(&t, TO_SERVER);
	w.n = d.n = 0;
	smb1(b, 0x04, 0, 130);
	le(&w, 0x4001, 2);
	zeros(&w, 4);
	smb1_body(b, &w, &d);

	b = say(&t, TO_SERVER);
	w.n = d.n = 0;
	smb1(b, 0x07, 0, 131);
	zeros(&w, 2);
	buf_add(&d, "\4o\0\0\0\4\0n\0\0\0", 11);
	smb1_body(b, &w, &d);

	b = say(&t, TO_SERVER);
	w.n = d.n = 0;
	smb1(b, 0x73, 0, 132);
	zeros(&w, 14);
	le(&w, 1, 2);
	zeros(&w, 10);
	buf_add(&d, "p", 1);
	utf16(&d, "bob");
	zeros(&d, 6);
	smb1_body(b, &w, &d);
	buf_free(&w);
	buf_free(&d);
	talk_check(&t, "smb.file d\\x5cf\nsmb.file f\n" ABC ABC "smb.file o\nsmb.file n\nsmb.user bob\n");
}

static void test_lost_bytes(void **s)
{
	(void)s;
	struct talk t = {0};
	struct observed o;
	create(say(&t, TO_SERVER), REQUEST, 1, "a", 0);
	writes(say(&t, TO_SERVER), 2, 0, 5, "abcdefgh");
	create(say(&t, TO_SERVER), REQUEST, 3, "b", 0);
	talk_end(&t);
	/* Within content: that file is cut, the next message is whole. */
	observed_begin(&o, &parser_smb);
	feed_stream(&o, TO_SERVER, t.msg[1].p, t.msg[1].n - 8);
	feed_gap(&o, TO_SERVER, 4);
	feed_stream(&o, TO_SERVER, t.piece[1].p + t.msg[1].n - 4, 4);
	feed_stream(&o, TO_SERVER, t.msg[2].p, t.msg[2].n);
	assert_string_equal(observed_text(&o), "smb.file b\n");
	assert_int_equal(o.ledger.v[LEDGER_FILES_CUT], 1);
	observed_end(&o);
	/* Anywhere: the next frame is found. */
	observed_begin(&o, &parser_smb);
	feed_stream(&o, TO_SERVER, t.msg[0].p, 40);
	feed_gap(&o, TO_SERVER, 400);
	feed_stream(&o, TO_SERVER, "\0\0\0\xfeSMB junk \0", 13);
	feed_stream(&o, TO_SERVER, t.msg[2].p, t.msg[2].n);
	assert_string_equal(observed_text(&o), "smb.file b\n");
	observed_end(&o);
	for (size_t i = 0; i < t.n; i++)
		buf_free(&t.piece[i]);
}

static void test_limits(void **s)
{
	(void)s;
	struct observed o;
	observed_begin(&o, &parser_smb);
	for (size_t i = 0; i < SMB_OPENS_MAX + 3; i++) {
		struct talk t = {0};
		create(say(&t, TO_SERVER), REQUEST, i, "a", 0);
		talk_end(&t);
		feed_stream(&o, TO_SERVER, t.msg[0].p, t.msg[0].n);
		buf_free(&t.piece[0]);
	}
	assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], 3);
	feed_close(&o);
	observed_end(&o);

	char name[SMB_NAME_MAX / 2 + 2];
	memset(name, 'n', sizeof(name));
	for (size_t over = 0; over < 2; over++) {
		struct talk t = {0};
		name[SMB_NAME_MAX / 2 + over] = '\0';
		create(say(&t, TO_SERVER), REQUEST, 1, name, 0);
		talk_end(&t);
		observed_begin(&o, &parser_smb);
		feed_stream(&o, TO_SERVER, t.msg[0].p, t.msg[0].n);
		assert_int_equal(o.count, 1 - over);
		assert_int_equal(o.ledger.v[LEDGER_PARSER_LIMIT], over);
		observed_end(&o);
		buf_free(&t.piece[0]);
		name[SMB_NAME_MAX / 2 + over] = 'n';
	}
}

static void test_probe(void **s)
{
	(void)s;
	static const struct {
		const char *label;
		const void *p;
		size_t n;
		enum probe want;
	} cases[] = {
	    {"SMB2", BYTES("\0\0\0\x90\xfeSMB\x40\0\0\0"), PROBE_YES},
	    {"SMB1", BYTES("\0\0\0\x55\xffSMB\x72\0\0\0"), PROBE_YES},
	    {"encrypted", BYTES("\0\0\0\x90\xfdSMB    "), PROBE_YES},
	    {"session request", BYTES("\x81\0\0\x44 CKFDENECFDEFFCFGEFFCCACACACACACA"), PROBE_YES},
	    {"cut", BYTES("\0\0\0\x90\xfeSM"), PROBE_MORE},
	    {"header size", BYTES("\0\0\0\x90\xfeSMB\x41\0\0\0"), PROBE_NO},
	    {"too short a frame", BYTES("\0\0\0\x20\xffSMB\x72\0\0\0"), PROBE_NO},
	    {"other letters", BYTES("\0\0\0\x90\xfeSMC\x40\0\0\0"), PROBE_NO},
	    {"DNS", BYTES("\0\x1d\x12\x34\1\0\0\1\0\0\0\0\0\0"), PROBE_NO},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (feed_probe(&parser_smb, TO_SERVER, cases[i].p, cases[i].n) != cases[i].want)
			fail_msg("%s", cases[i].label);
}

static void expect_user(const void *p, size_t n, const char *want)
{
	struct observed o;
	observed_begin(&o, &parser_smb);
	uint8_t *copy = observed_exact(p, n);
	ntlm_user(&o.in, copy, n);
	free(copy);
	assert_string_equal(observed_text(&o), want);
	observed_end(&o);
}

static void test_ntlm(void **s)
{
	(void)s;
	struct buf b = {0};
	ntlm(&b, 3, 0, "oem");
	expect_user(b.p, b.n, "ntlm.user oem\n");
	for (size_t cut = 0; cut < b.n; cut++)
		expect_user(b.p, cut, "");
	b.p[40] = 0xff;
	expect_user(b.p, b.n, "");
	b.n = 0;
	ntlm(&b, 3, 1, "");
	expect_user(b.p, b.n, "");
	buf_free(&b);
}

static void test_utf16(void **s)
{
	(void)s;
	static const struct {
		const char *label;
		const void *p;
		size_t n;
		const char *want;
	} cases[] = {
	    {"plain", BYTES("a\0b\0"), "ab"},
	    {"two, three and four bytes", BYTES("\xe9\0\x42\x30\x3d\xd8\0\xde"),
	     "\xc3\xa9\xe3\x81\x82\xf0\x9f\x98\x80"},
	    {"lone halves",
	     BYTES("\0\xde"
		   "a\0\x3d\xd8"),
	     "\xef\xbf\xbd"
	     "a\xef\xbf\xbd"},
	    {"half and no half",
	     BYTES("\x3d\xd8"
		   "a\0"),
	     "\xef\xbf\xbd"
	     "a"},
	    {"odd", BYTES("a\0b"), "a"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[64];
		size_t n = utf16_to_utf8((struct bytes){cases[i].p, cases[i].n}, out, sizeof(out));
		if (n != strlen(cases[i].want) || memcmp(out, cases[i].want, n) != 0)
			fail_msg("%s", cases[i].label);
	}
	char small[2];
	assert_int_equal(utf16_to_utf8((struct bytes){(const uint8_t *)"a\0\x42\x30", 4}, small, 2), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_read),
	    cmocka_unit_test(test_write),
	    cmocka_unit_test(test_holes),
	    cmocka_unit_test(test_answers_late),
	    cmocka_unit_test(test_pipe),
	    cmocka_unit_test(test_chain),
	    cmocka_unit_test(test_rename_and_user),
	    cmocka_unit_test(test_frames),
	    cmocka_unit_test(test_smb1),
	    cmocka_unit_test(test_lost_bytes),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_probe),
	    cmocka_unit_test(test_pipe_logins),
	    cmocka_unit_test(test_pipe_joins),
	    cmocka_unit_test(test_pipe_forgets),
	    cmocka_unit_test(test_pipe_limit),
	    cmocka_unit_test(test_ntlm),
	    cmocka_unit_test(test_utf16),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
