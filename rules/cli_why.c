/* `picket rules why VALUE`: the chain from a value to what the sensors do with
 * it. The value is an observable as it was seen, an indicator as it was written,
 * or an indicator's id. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/exits.h"
#include "common/text.h"
#include "rules/canon.h"
#include "rules/cli_rules.h"
#include "rules/export.h"
#include "rules/gate.h"
#include "rules/hiding.h"

static const char why_help[] =
    "usage: picket rules why VALUE --rules FILE… [--type TYPE] [--policies DIR]\n"
    "Says which indicators a value hits, where each stands, what its author and its set say of it, what the\n"
    "allow list makes of it, and who suppresses or disables it. picket why ID… without --rules tells what is\n"
    "behind an alert in Redis, as picket alerts why does.\n"
    "\n"
    "  -r, --rules FILE    rule file, compiled set or folder; may be given again\n"
    "  -t, --type TYPE     only as this type; without it as every type that the value can be\n"
    "      --policies DIR  also what each partner would see of it, if it were published (picket partner publish)\n"
    "\n"
    "VALUE may be an indicator's id. Exit code: 0 something hits, 1 nothing does, 2 usage, 3 rules invalid,\n"
    "4 a file cannot be read.\n";

struct why {
	const struct ruleset *r;
	const struct hiding *decided;
	const struct policies *partners; /* NULL: nobody asked */
	int64_t now_us;
	ruleset_ref told[RULESET_HITS_MAX];
	size_t told_n;
};

static void line(const char *name, const char *value)
{
	char shown[1024];
	if (value && *value)
		printf("  %-11s %s\n", name, text_clean(shown, sizeof(shown), value, strlen(value)));
}

static const char *time_text(int64_t us, char room[static CLOCK_TEXT_LEN])
{
	clock_format(us, room);
	return room;
}

static void tell_validity(const struct why *w, const struct indicator *i, const struct indicator_set *s)
{
	char from[CLOCK_TEXT_LEN], until[CLOCK_TEXT_LEN];
	int64_t end_us = i->valid_until_us;
	if (s->valid_until_us && (!end_us || s->valid_until_us < end_us))
		end_us = s->valid_until_us;
	const char *state = i->valid_from_us > w->now_us    ? "not yet valid: does not alert"
			    : end_us && end_us <= w->now_us ? "expired: does not alert"
							    : "in force";
	printf("  %-11s %s to %s (%s)\n", "valid", i->valid_from_us ? time_text(i->valid_from_us, from) : "always",
	       end_us ? time_text(end_us, until) : "no end", state);
}

/* What the allow list does to what the indicator itself names. */
static void tell_allowed(const struct why *w, const struct indicator *i)
{
	struct ruleset_room room;
	struct indicator entry;
	struct canon c, other;
	char end[CLOCK_TEXT_LEN];
	if (!canon_rule(i->type, i->value, strlen(i->value), &c, NULL) ||
	    !ruleset_allowed(w->r, i->type, &c, w->now_us, &room, &entry)) {
		printf("  %-11s no entry covers it\n", "allow list");
		return;
	}
	bool equal = canon_rule(entry.type, entry.value, strlen(entry.value), &other, NULL) && other.n == c.n &&
		     memcmp(other.key, c.key, c.n) == 0;
	printf("  %-11s %s %s, \"%s\", %s%s: %s\n", "allow list", indicator_type_name(entry.type),
	       text_shown(entry.value), entry.note ? text_shown(entry.note) : "no reason given",
	       entry.valid_until_us ? "until " : "no end",
	       entry.valid_until_us ? time_text(entry.valid_until_us, end) : "",
	       equal ? "silenced" : "the indicator is more specific and alerts");
}

static void tell_decision(void *owner, const struct override *o)
{
	const struct why *w = owner;
	char end[CLOCK_TEXT_LEN], source[ADDR_TEXT_LEN], reason[512];
	bool over = o->expires_us && o->expires_us <= w->now_us;
	printf("  %-11s ", override_names[o->verb]);
	if (o->has_source)
		printf("from %s/%u, ", addr_format(&o->source.addr, source), o->source.length);
	printf("\"%s\", %s%s: %s\n",
	       o->reason ? text_clean(reason, sizeof(reason), o->reason, strlen(o->reason)) : "no reason given",
	       o->expires_us ? "until " : "no end", o->expires_us ? time_text(o->expires_us, end) : "",
	       over ? "over, it alerts" : "its hits are counted, not told");
}

/* What each partner would get: the gate's word about the object that publishing makes of it. */
static void tell_partner(const struct why *w, const struct policy *p, const struct shared *s)
{
	struct gate_reason why;
	struct json *out = NULL;
	char clean[800];
	enum gate_verdict v = gate_release(p, s, w->now_us, &out, &why);
	printf("  %-11s %s: %s", "partner", p->id, gate_verdict_names[v]);
	if (v == GATE_DENIED)
		printf(", %s: %s", gate_why_names[why.why],
		       text_clean(clean, sizeof(clean), why.detail, strlen(why.detail)));
	else if (why.cut_n)
		printf(", without %s", text_clean(clean, sizeof(clean), why.cut, strlen(why.cut)));
	putchar('\n');
	json_drop(out);
}

static void tell_partners(const struct why *w, const struct indicator *i, const struct indicator_set *set)
{
	const char *why;
	struct shared s = {.collection = "", .origin = w->partners->own, .from = "", .exercise = ""};
	char *to = xstrdup(set->releasable_to ? set->releasable_to : ""), *rest = NULL;
	const char **names = xcalloc(strlen(to) / 2 + 1, sizeof(*names));
	struct json *stix = export_stix_indicator(i, set, w->now_us, &why);
	for (char *name = strtok_r(to, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
		names[s.rel_n++] = name;
	s.releasable_to = names;
	s.stix = stix;
	s.exercise = set->exercise ? set->exercise : "";
	if (!stix)
		printf("  %-11s nobody can be given it: %s\n", "partner", why);
	for (size_t k = 0; stix && k < w->partners->n; k++)
		tell_partner(w, &w->partners->list[k], &s);
	json_drop(stix);
	free(names);
	free(to);
}

static void tell(struct why *w, ruleset_ref ref)
{
	struct indicator i = ruleset_indicator(w->r, ref);
	struct indicator_set s = ruleset_set(w->r, ref);
	char shown[512], number[64];
	printf("%s %s\n", indicator_type_name(i.type), text_clean(shown, sizeof(shown), i.value, strlen(i.value)));
	if (i.file)
		printf("  %-11s %s:%u\n", "written in", text_clean(shown, sizeof(shown), i.file, strlen(i.file)),
		       i.line);
	snprintf(number, sizeof(number), ", version %u", s.version);
	printf("  %-11s %s%s\n", "set", text_clean(shown, sizeof(shown), s.id, strlen(s.id)), s.version ? number : "");
	line("title", s.title);
	line("producer", s.producer ? s.producer : "not named");
	line("id", i.id);
	printf("  %-11s %s, confidence %u\n", "severity", severity_names[i.severity], i.confidence);
	line("marking", i.tlp ? tlp_names[i.tlp] : "none: not releasable");
	line("releasable", s.releasable_to ? s.releasable_to : "to nobody");
	line("exercise", s.exercise);
	line("labels", i.labels);
	line("note", i.note);
	line("reference", i.ref);
	line("only in", i.where);
	if (i.match == MATCH_PREFIX)
		line("match", "prefix");
	tell_validity(w, &i, &s);
	tell_allowed(w, &i);
	hiding_of(w->decided, ref, tell_decision, w);
	if (w->partners)
		tell_partners(w, &i, &s);
}

static void tell_once(struct why *w, ruleset_ref ref)
{
	for (size_t k = 0; k < w->told_n; k++)
		if (w->told[k] == ref)
			return;
	if (w->told_n == RULESET_HITS_MAX)
		return;
	w->told[w->told_n++] = ref;
	tell(w, ref);
}

static void ask_type(struct why *w, enum indicator_type t, const char *value)
{
	struct ruleset_hits hits = {.n = 0};
	struct canon c;
	if (!canon_rule(t, value, strlen(value), &c, NULL))
		return;
	ruleset_covering(w->r, t, &c, &hits);
	for (size_t k = 0; k < hits.n; k++)
		tell_once(w, hits.ref[k]);
}

static void ask_id(struct why *w, const char *id)
{
	for (ruleset_ref k = 0; k < ruleset_count(w->r, INDICATOR_NONE); k++) {
		struct ruleset_room room;
		if (strcmp(ruleset_indicator_in(w->r, k, &room).id, id) == 0)
			tell_once(w, k);
	}
}

static int why(struct why *w, const char *value, enum indicator_type only)
{
	for (int t = 1; t < INDICATOR_TYPE_COUNT; t++)
		if (!only || t == (int)only)
			ask_type(w, (enum indicator_type)t, value);
	if (!w->told_n && !only)
		ask_id(w, value);
	if (w->told_n)
		return EXIT_OK;
	char shown[512];
	printf("%s hits nothing in these rules\n", text_clean(shown, sizeof(shown), value, strlen(value)));
	return EXIT_FINDINGS;
}

static int run(const struct rule_paths *p, const char *value, enum indicator_type only, const char *policies)
{
	struct overrides decided = {0};
	struct policies partners = {0};
	struct diags d = {0};
	int code;
	if (policies && !policies_load(&partners, "-", policies, &d)) {
		diag_print(&d, stderr);
		diag_free(&d);
		policies_free(&partners);
		return EXIT_INVALID;
	}
	struct ruleset *r = rules_load_all(p, true, &decided, &code);
	struct hiding *h = r ? hiding_new(r, &decided) : NULL;
	struct why w = {.r = r, .decided = h, .partners = policies ? &partners : NULL, .now_us = clock_wall_us()};
	code = r ? why(&w, value, only) : code;
	hiding_free(h);
	overrides_free(&decided);
	ruleset_free(r);
	if (policies)
		policies_free(&partners);
	diag_free(&d);
	return code;
}

int rules_why(int argc, char **argv)
{
	static const struct option options[] = {
	    {"rules", 1, NULL, 'r'}, {"type", 1, NULL, 't'}, {"policies", 1, NULL, 'p'}, {"help", 0, NULL, 'h'}, {0}};
	struct rule_paths p = {0};
	enum indicator_type only = INDICATOR_NONE;
	const char *value = NULL, *policies = NULL;
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "-r:t:h", options, NULL)) != -1;) {
		if (c == 'h')
			return fputs(why_help, stdout), EXIT_OK;
		if (c == '?')
			return EXIT_USAGE;
		if (c == 't' && !(only = indicator_type_parse(optarg, strlen(optarg))))
			return rules_usage("why", "there is no type \"%s\"", optarg);
		if (c == 'p')
			policies = optarg;
		if (c == 'r' || (c == 1 && value))
			rule_paths_add(&p, optarg);
		else if (c == 1)
			value = optarg;
	}
	if (!value || !p.n)
		return rules_usage("why", "expected VALUE --rules FILE…");
	int code = run(&p, value, only, policies);
	free(p.v);
	return code;
}
