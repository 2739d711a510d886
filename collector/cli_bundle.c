/* picket bundle: shared objects for and from a partner without a network. What
 * goes passes the release gate and the audit stream, what comes is judged as if it came over a
 * link. How far both sides are stands in picket:{x}:bundle:<partner>: out:number,
 * out:digest, out:bulk, out:flash; in:number, in:digest. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/cli_partner.h"
#include "collector/partner_feed.h"
#include "collector/partner_take.h"
#include "collector/partner_walk.h"
#include "collector/partners.h"
#include "common/clock.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/text.h"
#include "rules/bundle.h"
#include "rules/rulefile_file.h"

static const char usage[] =
    "usage: picket bundle export PARTNER --org NAME --key KEY -o FILE [--all] [option…]\n"
    "       picket bundle import PARTNER --org NAME FILE… [--gap] [option…]\n"
    "Shared objects for a site without a network, in files that are signed, numbered and chained.\n"
    "\n"
    "      --org NAME      who we are (gateway.org)\n"
    "      --policies DIR  the policy files (default /etc/picket/partners); bundle.public is whose signature counts\n"
    "      --key KEY       export: the private key (picket rules keygen)\n"
    "  -o, --output FILE   export: where to\n"
    "      --all           export: from the beginning, not from where the last bundle ended\n"
    "      --gap           import: a bundle before this one is lost; go on without it\n"
    "      --own NETWORK   import: ours, may be given again: indicators that would hit it are "
    "quarantined\n" CLI_REDIS_HELP
    "Exit: 0 ok, 1 refused: forged, cut short, seen before, or one is missing, 2 usage, 3 policies invalid, 4 Redis or "
    "a file,\n"
    "5 some of its objects were refused.\n";

#define OWN_MAX 64

struct bundling {
	struct partner_cli c;
	const char *own[OWN_MAX];
	size_t own_n;
	bool all, gap;
	struct policies policies;
	const struct policy *partner;
	/* state in Redis */
	uint64_t number;
	char digest[BUNDLE_DIGEST_LEN];
	int64_t place[LANE_COUNT];
	/* what is under way */
	struct buf content;
	uint64_t objects;
	int64_t newest_us;
	struct feed *feed;
	enum lane lane;
	bool failed;
	struct take_result got;
	struct inbound *inbound;
	int64_t said_from; /* the first row of what they said of others' indicators; 0 = nothing */
};

static const char *const place_fields[LANE_COUNT] = {[LANE_BULK] = "out:bulk", [LANE_FLASH] = "out:flash"};

static int said(const char *what, const char *why, int code)
{
	complain("picket bundle: %s%s%s", what, *what ? ": " : "", why);
	return code;
}

static void key_of(const struct bundling *b, char out[static 160])
{
	snprintf(out, 160, "picket:{x}:bundle:%s", b->partner->id);
}

static bool read_state(struct bundling *b, const char *direction)
{
	char key[160], number[32], digest[32];
	struct bytes text;
	key_of(b, key);
	snprintf(number, sizeof(number), "%s:number", direction);
	snprintf(digest, sizeof(digest), "%s:digest", direction);
	struct reply *r = cli_ask(&b->c.cli, "HGETALL", key, NULL);
	if (!r)
		return false;
	b->number = (uint64_t)cli_number(r, number);
	snprintf(b->digest, sizeof(b->digest), "0");
	if (cli_field(r, digest, &text) && text.n < sizeof(b->digest))
		text_clean(b->digest, sizeof(b->digest), text.p, text.n);
	for (int i = 0; i < LANE_COUNT && !b->all; i++)
		b->place[i] = cli_number(r, place_fields[i]);
	reply_free(r);
	return true;
}

static bool write_state(struct bundling *b, const char *direction, const struct bundle *made)
{
	char key[160], number[32], digest[32], n[24], bulk[24], flash[24];
	key_of(b, key);
	snprintf(number, sizeof(number), "%s:number", direction);
	snprintf(digest, sizeof(digest), "%s:digest", direction);
	snprintf(n, sizeof(n), "%" PRIu64, made->number);
	snprintf(bulk, sizeof(bulk), "%" PRId64, b->place[LANE_BULK]);
	snprintf(flash, sizeof(flash), "%" PRId64, b->place[LANE_FLASH]);
	struct reply *r = *direction == 'o'
			      ? cli_ask(&b->c.cli, "HSET", key, number, n, digest, made->head_digest,
					place_fields[LANE_BULK], bulk, place_fields[LANE_FLASH], flash, NULL)
			      : cli_ask(&b->c.cli, "HSET", key, number, n, digest, made->head_digest, NULL);
	bool good = r != NULL;
	reply_free(r);
	return good;
}

/* ---- export ---- */

static void on_batch(void *arg, bool ok, struct feed_batch *f)
{
	struct bundling *b = arg;
	b->failed |= !ok;
	if (ok && f->n) {
		buf_add(&b->content, f->records.p, f->records.n);
		b->objects += f->n;
		b->newest_us = f->place[f->n - 1] > b->newest_us ? f->place[f->n - 1] : b->newest_us;
	}
	if (ok)
		b->place[b->lane] = f->looked_to;
	if (ok && f->more && b->content.n < BUNDLE_CONTENT_MAX / 2)
		feed_next(b->feed, b->lane, b->place[b->lane], (struct feed_done){on_batch, b});
	else
		partner_store_stop(&b->c);
}

static bool no_row(void *arg, const struct walked *w)
{
	(void)arg;
	return strncmp(w->id, "marking-definition--", 20) == 0;
}

static void learn(void *arg, const struct walked *w, const struct shared *s)
{
	(void)w;
	marking_learn(((struct bundling *)arg)->policies.book, s->stix, s->from);
}

static void learned(void *arg, bool ok)
{
	struct bundling *b = arg;
	b->failed |= !ok;
	partner_store_stop(&b->c);
}

static void learn_markings(struct bundling *b)
{
	char name[OBJECTS_COLLECTION_MAX + 1];
	for (size_t i = 0; i <= b->policies.n; i++) {
		feed_collection_of(i < b->policies.n ? b->policies.list[i].id : NULL, LANE_BULK, name);
		walk_collection(b->c.objects, name, 0, (struct walker){no_row, learn, learned, b});
		partner_store_run(&b->c);
	}
}

static void collect(struct bundling *b)
{
	struct audit *a = audit_new(b->c.link);
	learn_markings(b);
	b->feed = feed_new(b->c.objects, a, &b->policies, b->partner, "bundle");
	for (int lane = LANE_COUNT - 1; lane >= 0 && !b->failed; lane--) {
		b->lane = (enum lane)lane;
		feed_next(b->feed, b->lane, b->place[lane], (struct feed_done){on_batch, b});
		partner_store_run(&b->c);
	}
	feed_free(b->feed);
	audit_free(a);
}

/* To a temporary name, to the disk, then in place. */
static bool write_file(const char *path, const struct buf *file)
{
	char tmp[4096];
	if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp))
		return false;
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	size_t at = 0;
	while (fd >= 0 && at < file->n) {
		ssize_t n = write(fd, file->p + at, file->n - at);
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	bool good = fd >= 0 && at == file->n && fsync(fd) == 0;
	good = fd >= 0 && close(fd) == 0 && good && rename(tmp, path) == 0;
	if (!good)
		complain("picket bundle: cannot write %s: %s", path, strerror(errno));
	return good;
}

static int export_file(struct bundling *b)
{
	struct sign_key *k;
	struct err e;
	struct buf file = {0};
	struct bundle made = {.number = b->number + 1, .objects = b->objects, .time_us = b->newest_us};
	if (!b->objects)
		return said("", "there is nothing new for them", EXIT_OK);
	if (!(k = sign_key_read(b->c.key, &e)))
		return said("", e.text, EXIT_ENVIRONMENT);
	snprintf(made.from, sizeof(made.from), "%s", b->policies.own);
	snprintf(made.to, sizeof(made.to), "%s", b->partner->id);
	snprintf(made.previous, sizeof(made.previous), "%s", b->digest);
	bool good = bundle_write(&made, (struct bytes){b->content.p, b->content.n}, k, &file, &e);
	sign_key_free(k);
	if (!good)
		said("", e.text, 0);
	good = good && write_file(b->c.output, &file) && write_state(b, "out", &made);
	buf_free(&file);
	if (!good)
		return EXIT_ENVIRONMENT;
	printf("bundle %" PRIu64 " for %s: %" PRIu64 " objects, %" PRIu64 " bytes\n", made.number, made.to,
	       made.objects, made.bytes);
	return EXIT_OK;
}

static int bundle_export(struct bundling *b)
{
	if (!b->c.key || !b->c.output || b->c.words_n != 1)
		return said("", "export PARTNER --org NAME --key KEY -o FILE; see --help", EXIT_USAGE);
	if (!read_state(b, "out") || !partner_store_open(&b->c))
		return EXIT_ENVIRONMENT;
	collect(b);
	partner_store_close(&b->c);
	return b->failed ? said("", "Redis failed on the way: nothing was written", EXIT_ENVIRONMENT) : export_file(b);
}

/* ---- import ---- */

static void on_taken(void *arg, bool ok, const struct take_result *r)
{
	struct bundling *b = arg;
	b->failed |= !ok;
	take_result_add(&b->got, r);
	partner_store_stop(&b->c);
}

/* What is said of somebody's indicator, the gateway counts and passes on (collector/relay.h). */
static void on_stored(void *arg, const struct policy *from, const char *collection, const struct shared *s, int64_t row)
{
	struct bundling *b = arg;
	const char *type = shared_type(s->stix);
	(void)collection;
	inbound_held(b->inbound, from, 1);
	if (shared_revoked(s->stix))
		inbound_revoked(b->inbound, from, shared_id(s->stix));
	if ((strcmp(type, "sighting") == 0 || strcmp(type, "opinion") == 0) && (!b->said_from || row < b->said_from))
		b->said_from = row;
}

/* The loop is stopped by the answer; it may have come already. */
static bool take(struct bundling *b, struct taker *t, struct bytes records, size_t n, struct err *e)
{
	uint64_t before = b->got.stored + b->got.same + b->got.conflicts + b->got.refused;
	if (!take_batch(t, b->partner, records, n, (struct take_done){on_taken, b}, e))
		return false;
	if (before + n > b->got.stored + b->got.same + b->got.conflicts + b->got.refused && !b->failed)
		partner_store_run(&b->c);
	return !b->failed || err_set(e, "Redis failed on the way; import the same bundle again");
}

static bool take_all(struct bundling *b, struct taker *t, struct bytes content, struct err *e)
{
	struct cursor c = cursor_over(content.p, content.n);
	while (cursor_left(&c)) {
		const uint8_t *from = c.p;
		size_t n = 0;
		for (; n < TAKE_BATCH && cursor_left(&c); n++)
			cursor_skip(&c, cursor_u32(&c));
		if (!cursor_ok(&c))
			return err_set(e, "the bundle's content is not objects with their lengths");
		if (!take(b, t, (struct bytes){from, (size_t)(c.p - from)}, n, e))
			return false;
	}
	return true;
}

static bool follows(const struct bundling *b, const struct bundle *x, struct err *e)
{
	if (strcmp(x->from, b->partner->id) != 0 || strcmp(x->to, b->policies.own) != 0)
		return err_set(e, "it is from %s to %s", x->from, x->to);
	if (x->number <= b->number)
		return err_set(e, "it is number %" PRIu64 "; number %" PRIu64 " was imported already", x->number,
			       b->number);
	if (x->number > b->number + 1 && !b->gap)
		return err_set(e, "it is number %" PRIu64 "; number %" PRIu64 " is missing (--gap goes on without it)",
			       x->number, b->number + 1);
	return x->number > b->number + 1 || strcmp(x->previous, b->digest) == 0 ||
	       err_set(e, "it does not follow the bundle before it: somebody made another chain");
}

static int import_one(struct bundling *b, struct taker *t, const char *path)
{
	uint8_t pub[SIGN_PUBLIC_BYTES];
	struct buf file = {0};
	struct bundle x;
	struct err e;
	const char *hex = b->partner->bundle_public;
	if (!hex || !text_unhex(pub, sizeof(pub), hex, strlen(hex)))
		return said(b->partner->id, "its policy has no bundle.public: whose signature should count?",
			    EXIT_INVALID);
	if (!rulefile_slurp(path, &file, &e)) {
		buf_free(&file);
		return said("", e.text, EXIT_ENVIRONMENT);
	}
	int code = EXIT_OK;
	if (!bundle_read(&x, (struct bytes){file.p, file.n}, pub, &e) || !follows(b, &x, &e))
		code = said(path, e.text, EXIT_FINDINGS);
	else if (!take_all(b, t, x.content, &e))
		code = said(path, e.text, b->failed ? EXIT_ENVIRONMENT : EXIT_FINDINGS);
	else if (!write_state(b, "in", &x))
		code = EXIT_ENVIRONMENT;
	else {
		b->number = x.number;
		snprintf(b->digest, sizeof(b->digest), "%s", x.head_digest);
		printf("bundle %" PRIu64 " of %s: %" PRIu64 " objects\n", x.number, x.from, x.objects);
	}
	buf_free(&file);
	return code;
}

static struct intake *poison(const struct bundling *b, struct err *e)
{
	struct intake *g = intake_new(NULL);
	bool good = true;
	for (size_t i = 0; good && i < b->own_n; i++)
		good = intake_add_own(g, b->own[i], e);
	if (good && intake_seal(g, e))
		return g;
	intake_free(g);
	return NULL;
}

/* The gateway learns that something has changed behind it. */
static void tell_gateway(struct bundling *b)
{
	char from[32] = "all";
	if (b->said_from)
		snprintf(from, sizeof(from), "%" PRId64, b->said_from);
	reply_free(cli_ask(&b->c.cli, "XADD", PARTNER_COMMANDS, "MAXLEN", "~", "1000", "*", "op", "changed", "partner",
			   b->partner->id, "id", from, NULL));
	printf("%" PRIu64 " stored, %" PRIu64 " were there already, %" PRIu64 " wait for review, %" PRIu64
	       " quarantined, %" PRIu64 " refused\n",
	       b->got.stored, b->got.same, b->got.review, b->got.quarantined, b->got.refused);
	for (size_t i = 0; i < b->got.codes_n; i++)
		printf("  %s: %" PRIu64 "\n", b->got.codes[i].code, b->got.codes[i].n);
}

/* What the store has of them: revocations are for ever, the quota holds. */
static bool count_row(void *arg, const struct walked *w)
{
	struct taker *t = ((void **)arg)[0];
	struct bundling *b = ((void **)arg)[1];
	inbound_held(t->inbound, b->partner, 1);
	if (json_bool(json_at(w->handling->root, "gate.revoked"), false))
		inbound_revoked(t->inbound, b->partner, w->id);
	return false;
}

static void counted(void *arg, bool ok)
{
	learned(((void **)arg)[1], ok);
}

static int bundle_import(struct bundling *b)
{
	struct err e;
	char name[OBJECTS_COLLECTION_MAX + 1];
	int code = EXIT_OK;
	if (b->c.words_n < 2)
		return said("", "import PARTNER --org NAME FILE…; see --help", EXIT_USAGE);
	struct intake *gate = poison(b, &e);
	if (!gate)
		return said("--own", e.text, EXIT_USAGE);
	if (!read_state(b, "in") || !partner_store_open(&b->c)) {
		intake_free(gate);
		return EXIT_ENVIRONMENT;
	}
	b->inbound = inbound_new(&b->policies, gate);
	struct taker t = {.objects = b->c.objects, .inbound = b->inbound, .stored = on_stored, .arg = b};
	void *both[2] = {&t, b};
	for (int lane = 0; lane < LANE_COUNT; lane++) {
		feed_collection_of(b->partner->id, (enum lane)lane, name);
		walk_collection(b->c.objects, name, 0, (struct walker){count_row, NULL, counted, both});
		partner_store_run(&b->c);
	}
	for (int i = 1; i < b->c.words_n && code == EXIT_OK; i++)
		code = import_one(b, &t, b->c.words[i]);
	partner_store_close(&b->c);
	inbound_free(t.inbound);
	intake_free(gate);
	tell_gateway(b);
	return code == EXIT_OK && b->got.refused ? EXIT_PARTIAL : code;
}

static int options(struct bundling *b, int argc, char **argv)
{
	enum { OPT_ALL = 256, OPT_GAP, OPT_OWN, OPT_ORG, OPT_POLICIES };
	static const struct option longs[] = {{"all", 0, NULL, OPT_ALL},
					      {"gap", 0, NULL, OPT_GAP},
					      {"own", 1, NULL, OPT_OWN},
					      {"org", 1, NULL, OPT_ORG},
					      {"policies", 1, NULL, OPT_POLICIES},
					      {"key", 1, NULL, 'k'},
					      {"output", 1, NULL, 'o'},
					      CLI_REDIS_OPTIONS,
					      {"help", 0, NULL, 'h'},
					      {0}};
	optind = 0;
	for (int o; (o = getopt_long(argc, argv, "k:o:h", longs, NULL)) != -1;) {
		if (o == 'h') {
			fputs(usage, stdout);
			return EXIT_OK;
		}
		if (o == '?' || (o == OPT_OWN && b->own_n == OWN_MAX))
			return EXIT_USAGE;
		b->all |= o == OPT_ALL;
		b->gap |= o == OPT_GAP;
		if (o == OPT_OWN)
			b->own[b->own_n++] = optarg;
		else if (o == OPT_ORG)
			b->c.org = optarg;
		else if (o == OPT_POLICIES)
			b->c.policies = optarg;
		else if (o == 'k')
			b->c.key = optarg;
		else if (o == 'o')
			b->c.output = optarg;
		else
			cli_redis_option(&b->c.cli, o, optarg);
	}
	return -1;
}

int cli_bundle(int argc, char **argv)
{
	struct bundling b = {.c = {.cli = {.command = "bundle"}}};
	int code = options(&b, argc, argv);
	if (code >= 0)
		return code;
	const char *verb = optind < argc ? argv[optind++] : "";
	b.c.words = argv + optind;
	b.c.words_n = argc - optind;
	bool out = strcmp(verb, "export") == 0;
	if ((!out && strcmp(verb, "import") != 0) || b.c.words_n < 1 || !b.c.org)
		return said("", "export or import, a partner, and --org; see --help", EXIT_USAGE);
	if (!partner_policies(&b.c, &b.policies, b.c.words[0], &b.partner))
		return b.c.code;
	if (!cli_open(&b.c.cli)) {
		policies_free(&b.policies);
		return EXIT_ENVIRONMENT;
	}
	code = out ? bundle_export(&b) : bundle_import(&b);
	cli_close(&b.c.cli);
	buf_free(&b.content);
	policies_free(&b.policies);
	return code;
}
