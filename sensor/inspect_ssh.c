/* SSH: the two banners (RFC 4253 4.2) and the two KEXINIT messages (7.1), from
 * which HASSH and HASSH-server come: MD5 over the algorithm lists that each side
 * offers for its own direction (Salesforce's specification, github.com/salesforce/hassh).
 *
 *   banner    SSH-protoversion-softwareversion SP comments CR LF; a server may say
 *             other lines before it
 *   packet    u32 length | u8 padding | payload | padding     (no MAC before NEWKEYS)
 *   KEXINIT   u8 20 | 16 cookie | ten name-lists, each u32 length and text:
 *             0 kex, 1 host key, 2 3 encryption c>s s>c, 4 5 MAC, 6 7 compression, …
 *
 * Both sides' lists are clear text; after them nothing is looked for. The banner
 * is reported without its line end, comments included. */
#include <string.h>

#include "common/hash.h"
#include "common/scratch.h"
#include "common/text.h"
#include "sensor/parsers.h"

#define BANNER_MAX 255   /* RFC 4253: with CR LF */
#define LINES_MAX  64    /* a server's lines before its banner */
#define PACKET_MAX 35000 /* RFC 4253 6.1 */
#define LISTS      8
#define KEXINIT    20

enum stage { STAGE_BANNER = 0, STAGE_PACKETS, STAGE_DONE, STAGE_COUNT };

struct half {
	enum stage stage;
	unsigned lines;
	struct carry kept;
	uint8_t banner[BANNER_MAX];
	size_t banner_n;
	char hassh[33];
};

struct ssh {
	struct half half[2];
};

static enum probe ssh_probe(const struct inspect *in, enum side side, const uint8_t *p, size_t n)
{
	static const char word[4] = "SSH-";
	(void)in;
	(void)side;
	if (memcmp(p, word, n < sizeof(word) ? n : sizeof(word)) != 0)
		return PROBE_NO;
	if (n < 7)
		return PROBE_MORE;
	return (p[4] == '1' || p[4] == '2') && p[5] == '.' ? PROBE_YES : PROBE_NO;
}

/* Bytes of the first line without its end; *used counts the end too. False: not whole yet. */
static bool first_line(const struct carry *c, size_t *n, size_t *used)
{
	const uint8_t *lf = c->n ? memchr(c->p, '\n', c->n) : NULL;
	if (!lf)
		return false;
	*n = (size_t)(lf - c->p);
	*used = *n + 1;
	if (*n && c->p[*n - 1] == '\r')
		(*n)--;
	return true;
}

/* Some servers fill the line up with blanks and NULs. */
static size_t banner_length(const uint8_t *p, size_t n)
{
	const uint8_t *nul = memchr(p, '\0', n);
	n = nul ? (size_t)(nul - p) : n;
	while (n && p[n - 1] == ' ')
		n--;
	return n;
}

/* The banner, or a line before it. False: this is no SSH. */
static bool take_banner(struct inspect *in, struct half *h, bool *progress)
{
	size_t n, used;
	*progress = first_line(&h->kept, &n, &used);
	if (!*progress)
		return h->kept.n <= BANNER_MAX;
	if (n > BANNER_MAX)
		return false;
	if (n >= 4 && memcmp(h->kept.p, "SSH-", 4) == 0) {
		memcpy(h->banner, h->kept.p, n);
		h->banner_n = banner_length(h->banner, n);
		h->stage = STAGE_PACKETS;
		observe(in, WHERE_SSH_BANNER, h->banner, h->banner_n);
	} else if (++h->lines > LINES_MAX) {
		return false;
	}
	carry_shift(&h->kept, used);
	return true;
}

static void report_hassh(struct inspect *in, struct half *h, enum side side, const struct bytes *list)
{
	/* kex;encryption;MAC;compression of the sender's own direction. */
	size_t own = side == TO_SERVER ? 0 : 1;
	const size_t order[4] = {0, 2 + own, 4 + own, 6 + own};
	SCRATCH uint8_t text[PACKET_MAX + 4];
	uint8_t digest[16];
	size_t n = 0;
	for (size_t i = 0; i < 4; i++) {
		const struct bytes *l = &list[order[i]];
		if (i)
			text[n++] = ';';
		if (l->n)
			memcpy(text + n, l->p, l->n);
		n += l->n;
	}
	hash_md5(digest, text, n);
	text_hex(h->hassh, digest, sizeof(digest));
	observe(in, side == TO_SERVER ? WHERE_SSH_HASSH : WHERE_SSH_HASSH_SERVER, h->hassh, 32);
}

/* One whole packet before encryption. */
static void take_packet(struct inspect *in, struct half *h, enum side side, const uint8_t *p, size_t n)
{
	struct cursor c = cursor_over(p, n);
	struct bytes list[LISTS];
	cursor_skip(&c, 1); /* padding length */
	if (cursor_u8(&c) != KEXINIT)
		return;
	cursor_skip(&c, 16);
	for (size_t i = 0; i < LISTS; i++)
		list[i] = cursor_bytes(&c, cursor_u32(&c));
	h->stage = STAGE_DONE;
	if (cursor_ok(&c))
		report_hassh(in, h, side, list);
	else
		ledger_count(in->ledger, LEDGER_PARSER_ERROR);
}

static bool take_packets(struct inspect *in, struct half *h, enum side side, bool *progress)
{
	struct cursor c = cursor_over(h->kept.p, h->kept.n);
	uint32_t length = cursor_u32(&c);
	*progress = false;
	if (!cursor_ok(&c))
		return true;
	if (length < 2 || length > PACKET_MAX)
		return false;
	const uint8_t *p = cursor_take(&c, length);
	if (!p)
		return true;
	take_packet(in, h, side, p, length);
	carry_shift(&h->kept, 4 + (size_t)length);
	*progress = true;
	return true;
}

static enum verdict ssh_stream(struct inspect *in, enum side side, const uint8_t *p, size_t n, size_t *used)
{
	struct ssh *s = in->state;
	struct half *h = &s->half[side];
	(void)used;
	if (h->stage == STAGE_DONE)
		return INSPECT_MORE;
	size_t room = 4 + PACKET_MAX - h->kept.n;
	if (!carry_push(in->mem, &h->kept, p, n < room ? n : room, 4 + PACKET_MAX)) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return INSPECT_DONE;
	}
	for (bool progress = true; progress && h->stage != STAGE_DONE;) {
		bool good = h->stage == STAGE_BANNER ? take_banner(in, h, &progress)
						     : take_packets(in, h, side, &progress);
		if (!good)
			return INSPECT_ERROR;
	}
	if (h->stage == STAGE_DONE)
		carry_free(in->mem, &h->kept);
	return s->half[0].stage == STAGE_DONE && s->half[1].stage == STAGE_DONE ? INSPECT_DONE : INSPECT_MORE;
}

static void ssh_describe(const struct inspect *in, struct alert_app *app)
{
	const struct ssh *s = in->state;
	const struct half *client = &s->half[TO_SERVER], *server = &s->half[TO_CLIENT];
	alert_app_text(app, "client.banner", client->banner, client->banner_n);
	alert_app_text(app, "client.hassh.hash", client->hassh, strlen(client->hassh));
	alert_app_text(app, "server.banner", server->banner, server->banner_n);
	alert_app_text(app, "server.hassh.hash", server->hassh, strlen(server->hassh));
}

static void ssh_drop(struct inspect *in)
{
	struct ssh *s = in->state;
	carry_free(in->mem, &s->half[0].kept);
	carry_free(in->mem, &s->half[1].kept);
}

const struct parser parser_ssh = {
    .name = "ssh",
    .over = OVER_TCP,
    .state_size = sizeof(struct ssh),
    .probe = ssh_probe,
    .late = LATE_UNKNOWN,
    .stream = ssh_stream,
    .describe = ssh_describe,
    .drop = ssh_drop,
};
