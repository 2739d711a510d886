/* picket allow, suppress, disable: what this organisation decides about other
 * people's indicators. The decisions are a set of their own (id "local", or --set),
 * read from what is published, changed by one entry, signed, and published again:
 * so sensors get them as they get everything, and every version is kept for a while. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/cli.h"
#include "collector/cli_receipts.h"
#include "collector/publish.h"
#include "common/addr.h"
#include "common/clock.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/frame.h"
#include "common/json.h"
#include "common/text.h"
#include "rules/canon.h"
#include "rules/rulefile_yaml.h"
#include "rules/set_layout.h"
#include "rules/set_lines.h"
#include "rules/signing.h"

static const char usage_format[] =
    "usage: picket %1$s add TYPE VALUE --reason TEXT (--expires TIME|DAYSd | --permanent) --key KEY [--wait]\n"
    "%3$s"
    "       picket %1$s rm TYPE VALUE --key KEY [--wait]\n"
    "       picket %1$s list [--json]     each with how many hits it has hidden, on all sensors\n"
    "%2$s\n"
    "\n"
    "  -k, --key KEY     the private key that sensors trust for this set (picket rules keygen)\n"
    "      --reason TEXT why; who it was is noted beside it\n"
    "      --expires T   until when: 2027-03-01, 2027-03-01T00:00:00Z, or 30d, 12h from now\n"
    "      --permanent   without an end\n"
    "      --source P    suppress: only what has an end in this address or prefix\n"
    "      --set ID      the set that holds the decisions (default local)\n"
    "  -w, --wait        wait until the sensors have it, and say who has not\n" CLI_REDIS_HELP "\n"
    "All sensors have it within a second, without a restart; each hit that is hidden is counted.\n"
    "Exit code: 0 done, 1 no such entry, 2 usage, 3 refused, 4 key file or Redis.\n";

struct verb {
	const char *name, *what, *by_id;
};
static const struct verb verbs[] = {
    {"allow", "The value is good: nothing that equals it, or lies below it, alerts.", ""},
    {"suppress", "The indicator is right and not wanted, from --source or at all: its hits are counted, not told.",
     "       picket suppress add id ID …   the indicator of this id\n"},
    {"disable", "The indicator is wrong: its hits are counted, not told, whichever set it is in.",
     "       picket disable add id ID …   the indicator of this id\n"},
};

struct deciding {
	struct cli cli;
	const struct verb *verb;
	struct signing signing;
	const char *set, *reason, *source;
	int64_t expires_us;
	bool permanent, wait;
	struct rule_entry {
		enum indicator_type type; /* INDICATOR_NONE: an id */
		const char *value;
	} entry;
	/* what is published */
	struct ruleset *rules;
	struct overrides overrides;
	struct err e;
};

enum { OPT_REASON = 256, OPT_EXPIRES, OPT_PERMANENT, OPT_SOURCE, OPT_SET };

static int fail(const struct deciding *d, int code)
{
	complain("picket %s: %s", d->verb->name, d->e.text);
	return code;
}

static int usage_error(struct deciding *d, const char *why)
{
	complain("picket %s: %s; see --help", d->verb->name, why);
	return EXIT_USAGE;
}

/* ---- the command line ---- */

static bool option(struct deciding *d, int c)
{
	if (c == OPT_REASON)
		d->reason = optarg;
	if (c == OPT_SOURCE)
		d->source = optarg;
	if (c == OPT_SET)
		d->set = optarg;
	cli_redis_option(&d->cli, c, optarg);
	if (c == 'k')
		d->signing.key_path = optarg;
	d->permanent = d->permanent || c == OPT_PERMANENT;
	d->wait = d->wait || c == 'w';
	d->cli.json = d->cli.json || c == 'j';
	return c != OPT_EXPIRES || cli_until(optarg, &d->expires_us) ||
	       err_set(&d->e, "--expires: expected a time to come such as 2027-03-01 or 30d, found \"%s\"", optarg);
}

static int parse(struct deciding *d, int argc, char **argv)
{
	static const struct option longs[] = {{"key", 1, NULL, 'k'},
					      {"reason", 1, NULL, OPT_REASON},
					      {"expires", 1, NULL, OPT_EXPIRES},
					      {"permanent", 0, NULL, OPT_PERMANENT},
					      {"source", 1, NULL, OPT_SOURCE},
					      {"set", 1, NULL, OPT_SET},
					      {"wait", 0, NULL, 'w'},
					      {"json", 0, NULL, 'j'},
					      CLI_REDIS_OPTIONS,
					      {"help", 0, NULL, 'h'},
					      {0}};
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "k:wh", longs, NULL)) != -1;) {
		if (c == 'h')
			return printf(usage_format, d->verb->name, d->verb->what, d->verb->by_id), EXIT_OK;
		if (c == '?')
			return EXIT_USAGE;
		if (!option(d, c))
			return fail(d, EXIT_USAGE);
	}
	return manifest_id_valid(d->set, strlen(d->set)) ? -1 : usage_error(d, "--set: ids are of A-Z a-z 0-9 . _ -");
}

/* TYPE VALUE, or id ID. */
static bool take_entry(struct deciding *d, const char *type, const char *value)
{
	struct canon c;
	struct err why = {""};
	d->entry.value = value;
	if (strcmp(type, "id") == 0 && *d->verb->by_id)
		return *value || err_set(&d->e, "the id is empty");
	d->entry.type = indicator_type_parse(type, strlen(type));
	if (!d->entry.type)
		return err_set(&d->e, "there is no indicator type \"%s\"", type);
	return canon_rule(d->entry.type, value, strlen(value), &c, &why) || err_set(&d->e, "%.400s", why.text);
}

/* ---- what is published ---- */

static bool load(struct deciding *d, struct bytes content)
{
	struct diags found = {0};
	struct rulefile_count count = {0};
	struct ruleset_builder *b = ruleset_builder_new();
	struct rule_source s = {.b = b, .d = &found, .count = &count, .file = d->set, .overrides = &d->overrides};
	set_lines_read(&s, content.n ? (const char *)content.p : "", content.n, 0);
	source_close(&s);
	bool ok = !found.count[DIAG_ERROR] ||
		  err_set(&d->e, "the set \"%s\" cannot be read: %.300s", d->set, found.list[0].text);
	d->rules = ok ? ruleset_build(b, &d->e) : NULL;
	ruleset_builder_free(b);
	diag_free(&found);
	return d->rules != NULL;
}

static bool read_published(struct deciding *d)
{
	struct buf content = {0};
	struct published last;
	uint32_t version = 0;
	bool ok = publish_latest(d->cli.redis, d->set, &version, &d->e);
	d->signing.version = version + 1;
	if (ok && version) {
		ok = publish_read(d->cli.redis, d->set, version, &last, &d->e) &&
		     publish_content(d->cli.redis, d->set, version, &content, &d->e);
		memcpy(d->signing.previous, ok ? last.m.digest : "", ok ? sizeof(d->signing.previous) : 1);
	} else if (ok) {
		buf_printf(&content, "set: {id: \"%s\", version: 1, title: \"Decisions of this organisation\"}\n",
			   d->set);
		buf_add(&content, SET_LINES_DIVIDER SET_LINES_COLUMNS, strlen(SET_LINES_DIVIDER SET_LINES_COLUMNS));
	}
	ok = ok && load(d, (struct bytes){content.p, content.n});
	buf_free(&content);
	return ok;
}

static bool publish(struct deciding *d, const struct ruleset *rules)
{
	struct buf content = {0}, file = {0};
	struct manifest m = {.version = d->signing.version};
	size_t count = 0;
	memcpy(m.set, d->set, strlen(d->set) + 1);
	d->signing.priority = URGENCY_FLASH;
	d->signing.shrink = true; /* one entry less is what was asked for */
	d->signing.now_us = clock_wall_us();
	bool ok = set_layout(rules, &d->overrides, d->signing.version, &content, &count, &d->e);
	d->signing.withdraw = count == 0;
	ok = ok && signing_seal((struct bytes){content.p, content.n}, count, &d->signing, &m, &file, &d->e) &&
	     publish_put(d->cli.redis, (struct bytes){file.p, file.n}, "", "", &d->e);
	buf_free(&content);
	buf_free(&file);
	return ok;
}

/* ---- changing ---- */

static bool same_value(enum indicator_type t, const char *a, const char *b)
{
	struct canon x, y;
	return strcmp(a, b) == 0 || (canon_rule(t, a, strlen(a), &x, NULL) && canon_rule(t, b, strlen(b), &y, NULL) &&
				     x.n == y.n && memcmp(x.key, y.key, x.n) == 0);
}

static bool same_override(const struct deciding *d, const struct override *o)
{
	if (strcmp(override_names[o->verb], d->verb->name) != 0)
		return false;
	if (!d->entry.type || o->id)
		return !d->entry.type && o->id && strcmp(o->id, d->entry.value) == 0;
	return o->type == d->entry.type && same_value(o->type, o->value, d->entry.value);
}

/* The allow list again without the entry at hand, and with it when it is added. */
static struct ruleset *change_allowed(struct deciding *d, bool add, size_t *gone)
{
	struct ruleset_builder *b = ruleset_builder_new();
	struct indicator_set head = ruleset_set_at(d->rules, 0);
	struct ruleset *next = NULL;
	bool ok = true;
	ruleset_add_set(b, &head);
	for (size_t i = 0; ok && i < ruleset_allow_count(d->rules); i++) {
		struct ruleset_room room;
		struct indicator a = ruleset_allow_at(d->rules, i, &room);
		if (strcmp(d->verb->name, "allow") == 0 && a.type == d->entry.type &&
		    same_value(a.type, a.value, d->entry.value))
			++*gone;
		else
			ok = ruleset_allow(b, a.type, a.value, a.note, a.valid_until_us, &d->e);
	}
	if (add)
		ok = ok && ruleset_allow(b, d->entry.type, d->entry.value, d->reason, d->expires_us, &d->e);
	if (ok)
		next = ruleset_build(b, &d->e);
	ruleset_builder_free(b);
	return next;
}

static size_t drop_override(struct deciding *d)
{
	size_t gone = 0, kept = 0;
	for (size_t i = 0; i < d->overrides.n; i++) {
		struct override *o = &d->overrides.v[i];
		if (!same_override(d, o)) {
			d->overrides.v[kept++] = *o;
			continue;
		}
		free(o->value);
		free(o->id);
		free(o->reason);
		gone++;
	}
	d->overrides.n = kept;
	return gone;
}

static bool add_override(struct deciding *d)
{
	struct override o = {.verb = strcmp(d->verb->name, "disable") == 0 ? OVERRIDE_DISABLE : OVERRIDE_SUPPRESS,
			     .type = d->entry.type,
			     .expires_us = d->expires_us};
	if (d->source && !(o.has_source = prefix_parse(d->source, strlen(d->source), &o.source)))
		return err_set(&d->e, "--source: \"%s\" is no address and no prefix", d->source);
	o.value = d->entry.type ? xstrdup(d->entry.value) : NULL;
	o.id = d->entry.type ? NULL : xstrdup(d->entry.value);
	o.reason = xstrdup(d->reason);
	return overrides_add(&d->overrides, &o) || err_set(&d->e, "there are %d entries already", OVERRIDES_MAX);
}

static int change(struct deciding *d, bool add)
{
	bool allow = strcmp(d->verb->name, "allow") == 0;
	size_t gone = 0;
	int64_t began_us = clock_mono_us();
	if (!read_published(d))
		return fail(d, EXIT_ENVIRONMENT);
	gone = allow ? 0 : drop_override(d);
	struct ruleset *next = change_allowed(d, add && allow, &gone);
	if (!next || (add && !allow && !add_override(d)))
		return ruleset_free(next), fail(d, EXIT_INVALID);
	if (!add && !gone)
		return ruleset_free(next), err_set(&d->e, "there is no such entry"), fail(d, EXIT_FINDINGS);
	bool ok = publish(d, next);
	ruleset_free(next);
	if (!ok)
		return fail(d, strstr(d->e.text, "Redis") ? EXIT_ENVIRONMENT : EXIT_INVALID);
	printf("%s %s %s; set %s is version %" PRIu32 " now\n", d->verb->name,
	       d->entry.type ? indicator_type_name(d->entry.type) : "id", add ? "added" : "removed", d->set,
	       d->signing.version);
	return d->wait ? receipts_wait(&d->cli, d->set, d->signing.version, "", began_us, 10000) : EXIT_OK;
}

/* ---- listing ---- */

/* What sensors say they hid by it, in all. */
static int64_t hidden_of(struct cli *c, const struct reply *sensors, const char *field)
{
	int64_t sum = 0;
	for (size_t i = 0; i < reply_count(sensors); i++) {
		struct bytes id;
		char key[FRAME_ID_MAX + 32];
		int64_t n = 0;
		if (!reply_text(reply_at(sensors, i), &id) || id.n > FRAME_ID_MAX)
			continue;
		snprintf(key, sizeof(key), "picket:sensor:%.*s", (int)id.n, (const char *)id.p);
		struct reply *r = cli_ask(c, "HGET", key, field, NULL);
		if (reply_number(r, &n))
			sum += n;
		reply_free(r);
	}
	return sum;
}

static void print_entry_json(const char *type, const char *value, const char *source, const char *reason,
			     const char *until, int64_t hidden, bool over)
{
	struct json *o = json_map();
	struct buf line = {0};
	json_put_text(o, "type", type);
	json_put_text(o, "value", value);
	json_put_text(o, "source", *source ? source : NULL);
	json_put_text(o, "reason", reason);
	json_put_text(o, "expires", until);
	json_put_bool(o, "ended", over);
	json_put_int(o, "hidden", hidden);
	json_write(o, &line);
	printf("%.*s\n", (int)line.n, (const char *)line.p);
	buf_free(&line);
	json_drop(o);
}

/* field: what sensors call what it hid. */
static void print_entry(struct deciding *d, const struct reply *sensors, const char *field, const char *type,
			const char *value, const char *source, const char *reason, int64_t expires_us)
{
	char until[CLOCK_TEXT_LEN] = "permanent";
	if (expires_us)
		clock_format(expires_us, until);
	bool over = expires_us && expires_us <= clock_wall_us();
	int64_t hidden = hidden_of(&d->cli, sensors, field);
	if (d->cli.json)
		print_entry_json(type, value, source, reason, expires_us ? until : NULL, hidden, over);
	else
		printf("%-12s %-32s %-18s %-27s %5" PRId64 " hidden %s%s\n", type, text_shown(value),
		       *source ? source : "-", until, hidden, text_shown(reason), over ? " (ended)" : "");
}

static int list(struct deciding *d)
{
	if (!read_published(d))
		return fail(d, EXIT_ENVIRONMENT);
	struct reply *sensors = cli_ask(&d->cli, "ZREVRANGE", "picket:sensors", "0", "9999", NULL);
	for (size_t i = 0; strcmp(d->verb->name, "allow") == 0 && i < ruleset_allow_count(d->rules); i++) {
		struct ruleset_room room;
		struct indicator a = ruleset_allow_at(d->rules, i, &room);
		char field[OVERRIDE_KEY_MAX];
		print_entry(d, sensors, allow_status_key(a.type, a.value, field), indicator_type_name(a.type), a.value,
			    "", a.note, a.valid_until_us);
	}
	for (size_t i = 0; i < d->overrides.n; i++) {
		const struct override *o = &d->overrides.v[i];
		char field[OVERRIDE_KEY_MAX], source[ADDR_TEXT_LEN + 8] = "", address[ADDR_TEXT_LEN];
		if (strcmp(override_names[o->verb], d->verb->name) != 0)
			continue;
		if (o->has_source)
			snprintf(source, sizeof(source), "%s/%u", addr_format(&o->source.addr, address),
				 o->source.length);
		print_entry(d, sensors, override_status_key(o, field), o->id ? "id" : indicator_type_name(o->type),
			    o->id ? o->id : o->value, source, o->reason, o->expires_us);
	}
	reply_free(sensors);
	return EXIT_OK;
}

/* ---- the commands ---- */

static int run(struct deciding *d, int n, char **words)
{
	bool add = n == 3 && strcmp(words[0], "add") == 0, rm = n == 3 && strcmp(words[0], "rm") == 0;
	if (n == 1 && strcmp(words[0], "list") == 0)
		return cli_open(&d->cli) ? list(d) : EXIT_ENVIRONMENT;
	if (!add && !rm)
		return usage_error(d, "expected add TYPE VALUE, rm TYPE VALUE, or list");
	if (add && (!d->reason || !*d->reason))
		return usage_error(d, "--reason is missing: why is it right to hide this?");
	if (add && !d->expires_us == !d->permanent)
		return usage_error(d, "expected --expires TIME or --permanent");
	if (d->source && strcmp(d->verb->name, "suppress") != 0)
		return usage_error(d, "--source is for suppress");
	if (!take_entry(d, words[1], words[2]))
		return fail(d, EXIT_USAGE);
	if (!d->signing.key_path)
		return usage_error(d, "expected --key KEY: sensors take signed sets only");
	if (!(d->signing.key = sign_key_read(d->signing.key_path, &d->e)))
		return fail(d, EXIT_ENVIRONMENT);
	return cli_open(&d->cli) ? change(d, add) : EXIT_ENVIRONMENT;
}

static int decide(const struct verb *verb, int argc, char **argv)
{
	struct deciding d = {.verb = verb, .cli = {.command = verb->name}, .set = "local"};
	int code = parse(&d, argc, argv);
	if (code < 0)
		code = run(&d, argc - optind, argv + optind);
	cli_close(&d.cli);
	ruleset_free(d.rules);
	overrides_free(&d.overrides);
	sign_key_free(d.signing.key);
	return code;
}

int cli_allow(int argc, char **argv)
{
	return decide(&verbs[0], argc, argv);
}

int cli_suppress(int argc, char **argv)
{
	return decide(&verbs[1], argc, argv);
}

int cli_disable(int argc, char **argv)
{
	return decide(&verbs[2], argc, argv);
}
