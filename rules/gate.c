#define _GNU_SOURCE /* memmem */
#include "rules/gate.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/cursor.h"
#include "common/hash.h"
#include "common/text.h"
#include "rules/gate_fields.h"
#include "rules/gate_parts.h"

#define DEPTH_MAX     32
#define CUT_TEXTS_MAX 64

const char *const gate_verdict_names[GATE_VERDICT_COUNT + 1] = {
    [GATE_DENIED] = "denied", [GATE_RELEASED] = "released", [GATE_REDACTED] = "redacted"};

const char *const gate_why_names[GATE_WHY_COUNT + 1] = {
#define X(id, name) [GATE_##id] = name,
    GATE_REASONS(X)
#undef X
};

/* ---- the object as a whole ---- */

static size_t hops_max(enum tlp t)
{
	static const size_t hops[TLP_COUNT] = {[TLP_CLEAR] = SHARED_PATH_MAX - 1, [TLP_GREEN] = 4, [TLP_AMBER] = 1};
	return hops[t];
}

static size_t hops_of(const struct shared *o)
{
	return o->path_n ? o->path_n : *o->from != '\0';
}

static bool came_through(const struct gate *g)
{
	char alias[GATE_ALIAS_LEN];
	const struct shared *o = g->o;
	gate_alias(g->id, g->p->id, alias);
	if (strcmp(o->from, g->p->id) == 0 || strcmp(o->origin, g->p->id) == 0 || strcmp(o->origin, alias) == 0)
		return true;
	for (size_t i = 0; i < o->path_n; i++)
		if (strcmp(o->path[i], g->p->id) == 0 || strcmp(o->path[i], alias) == 0)
			return true;
	return false;
}

static bool addressed_by_name(const struct gate *g)
{
	for (size_t i = 0; i < g->o->rel_n; i++)
		if (strcmp(g->o->releasable_to[i], g->p->id) == 0)
			return true;
	return false;
}

static bool addressed(const struct gate *g, enum tlp t)
{
	if (t == TLP_RED)
		return addressed_by_name(g);
	if (!g->o->rel_n)
		return g->p->release.unaddressed != TLP_UNMARKED && (int)t <= g->p->release.unaddressed;
	for (size_t i = 0; i < g->o->rel_n; i++)
		if (policy_in_group(g->p, g->o->releasable_to[i]))
			return true;
	return false;
}

/* What a part or the whole may bear to go to them. */
static bool marking_passes(const struct gate *g, struct marking m)
{
	return m.known && (int)m.tlp <= g->p->release.tlp_max && (int)m.pap <= g->p->release.pap_max &&
	       (m.tlp == TLP_UNMARKED || hops_of(g->o) <= hops_max(m.tlp)) &&
	       (m.tlp != TLP_RED || addressed_by_name(g));
}

static enum gate_verdict judge_envelope(struct gate *g, int64_t now_us)
{
	const struct policy *p = g->p;
	const struct shared *o = g->o;
	if (p->valid_until_us && now_us >= p->valid_until_us)
		return gate_deny(g, GATE_PARTNER_ENDED, "the partnership with %s ended at %s", p->id, p->valid_until);
	if (o->state != SHARED_ACTIVE)
		return gate_deny(g, GATE_STATE, "it is in the state %s", shared_state_names[o->state]);
	if (came_through(g))
		return gate_deny(g, GATE_ECHO, "it came from or through %s", p->id);
	if (*o->exercise && !policy_lists(&p->release.exercises, o->exercise))
		return gate_deny(g, GATE_EXERCISE, "it is of the exercise %s; %s does not take part", o->exercise,
				 p->id);
	if (*o->exercise && p->release.profile != PROFILE_PICKET)
		return gate_deny(g, GATE_PROFILE, "%s would take it for real", profile_names[p->release.profile]);
	if (!policy_lists(&p->release.types, g->type))
		return gate_deny(g, GATE_TYPE, "release.types of %s does not have %s", p->id, g->type);
	if (strcmp(g->type, "observed-data") == 0 && !p->release.victim_detail)
		return gate_deny(g, GATE_TYPE, "observed data is victim detail");
	return GATE_RELEASED;
}

static enum gate_verdict judge_profile(struct gate *g)
{
	enum profile profile = (enum profile)g->p->release.profile;
	const struct json *count = json_at(g->o->stix, "count");
	if (strcmp(g->type, "sighting") == 0 && count && json_int(count, 0) == 0 &&
	    !profile_negative_sightings(profile))
		return gate_deny(g, GATE_PROFILE, "%s reads a sighting of count 0 as a hit", profile_names[profile]);
	if (strcmp(g->type, "opinion") == 0 && !profile_opinions(profile))
		return gate_deny(g, GATE_PROFILE, "%s does not read opinions", profile_names[profile]);
	return GATE_RELEASED;
}

static bool free_statement(const struct gate *g)
{
	return g->p->release.statements && strcmp(g->type, "marking-definition") == 0 &&
	       marking_of(g->p->all->book, g->id, g->o->from).statement;
}

static enum gate_verdict judge_marking(struct gate *g)
{
	const struct policy *p = g->p;
	const char *unknown;
	struct marking m = marking_object(p->all->book, g->o->stix, g->o->from, &unknown);
	char clean[128];
	if (!m.known)
		return gate_deny(g, GATE_MARKING_UNKNOWN, "nobody here knows the marking %s",
				 text_clean(clean, sizeof(clean), unknown, strlen(unknown)));
	m.pap = g->o->pap > m.pap ? g->o->pap : m.pap;
	if (m.tlp == TLP_UNMARKED && free_statement(g))
		m.tlp = TLP_CLEAR;
	else if (m.tlp == TLP_UNMARKED)
		return gate_deny(g, GATE_UNMARKED, "it bears no TLP marking");
	else if (!addressed(g, m.tlp))
		return gate_deny(
		    g, GATE_NOT_ADDRESSED, "it is not addressed to %s%s", p->id,
		    g->o->rel_n ? "" : ": it is addressed to nobody, and release.unaddressed does not go so far");
	if ((int)m.tlp > p->release.tlp_max)
		return gate_deny(g, GATE_TLP, "it is TLP:%s; %s may have up to %s", tlp_names[m.tlp], p->id,
				 tlp_names[p->release.tlp_max]);
	if ((int)m.pap > p->release.pap_max)
		return gate_deny(g, GATE_PAP, "it is PAP:%s; %s may have up to %s", pap_names[m.pap], p->id,
				 pap_names[p->release.pap_max]);
	size_t hops = hops_of(g->o);
	if (hops > hops_max(m.tlp) || (int64_t)hops > p->release.hops || hops >= SHARED_PATH_MAX)
		return gate_deny(g, GATE_HOPS,
				 "it went through %zu organisations; TLP:%s and the policy let it go no further", hops,
				 tlp_names[m.tlp]);
	return GATE_RELEASED;
}

/* What the partner learns of the way here. */
static void put_org(const struct gate *g, struct json *list, const char *key, const char *org)
{
	char alias[GATE_ALIAS_LEN];
	bool known = g->p->release.path == PATH_FULL || *org == '~' || strcmp(org, g->p->all->own) == 0;
	if (!known)
		gate_alias(g->id, org, alias);
	json_put_text(list, key, known ? org : alias);
}

static void put_envelope(const struct gate *g, struct json *out)
{
	const struct shared *o = g->o;
	struct json *x = json_map(), *path = json_list(), *to = json_list();
	json_put_text(x, "extension_type", "property-extension");
	put_org(g, x, "origin", *o->origin ? o->origin : g->p->all->own);
	for (size_t i = 0; i < o->path_n; i++)
		put_org(g, path, NULL, o->path[i]);
	json_put_text(path, NULL, g->p->all->own);
	json_put(x, "path", path);
	for (size_t i = 0; i < o->rel_n; i++)
		if (policy_in_group(g->p, o->releasable_to[i]))
			json_put_text(to, NULL, o->releasable_to[i]);
	if (json_count(to))
		json_put(x, "releasable_to", to);
	else
		json_drop(to);
	if (*o->exercise)
		json_put_text(x, "exercise", o->exercise);
	if (o->pap)
		json_put_text(x, "pap", pap_names[o->pap]);
	if (o->priority)
		json_put_text(x, "priority", priority_names[o->priority]);
	if (json_kind(json_below(out, "extensions")) != JSON_KIND_MAP)
		json_put(out, "extensions", json_map());
	json_put(json_below(out, "extensions"), SHARED_EXTENSION, x);
}

/* ---- what must not be missing, and what must not be there ---- */

static void check_required(void *arg, const char *field)
{
	struct gate *g = arg;
	if (g->why->why != GATE_OK || !gate_is_cut(g, field))
		return;
	if (gate_ref_key(field))
		gate_deny(g, GATE_REFERENCE, "%s is about something that %s may not have", field, g->p->id);
	else
		gate_deny(g, GATE_FIELD_REQUIRED, "%s may not go to %s, and a %s needs it", field, g->p->id, g->type);
}

static enum gate_verdict judge_required(struct gate *g)
{
	fields_each_required(g->type, check_required, g);
	check_required(g, "id");
	check_required(g, "type");
	check_required(g, "object_marking_refs");
	check_required(g, "granular_markings");
	return g->why->why == GATE_OK ? GATE_RELEASED : GATE_DENIED;
}

/* A text that was cut for its marking may stand in another place, where nobody
 * has marked it. The tree is searched as the bytes that go. */
static enum gate_verdict judge_repeated(struct gate *g, const struct json *out)
{
	struct buf all = {0}, one = {0};
	bool found = false;
	size_t texts = 0;
	if (g->texts.n) {
		json_write(out, &all);
		text_lower((char *)all.p, all.p, all.n);
	}
	for (size_t at = 0; at < g->texts.n && !found && texts <= CUT_TEXTS_MAX; texts++) {
		struct cursor c = cursor_over(g->texts.p + at, g->texts.n - at);
		size_t n = cursor_u32(&c);
		struct json *text = json_list();
		json_put_bytes(text, NULL, c.p, n, n);
		one.n = 0;
		json_write(text, &one); /* ["as it would stand in the output"] */
		found = one.n <= 4 || memmem(all.p, all.n, one.p + 2, one.n - 4) != NULL;
		json_drop(text);
		at += 4 + n;
	}
	buf_free(&all);
	buf_free(&one);
	if (texts > CUT_TEXTS_MAX)
		return gate_deny(g, GATE_REPEATED, "more than %d texts of it are marked above the ceiling",
				 CUT_TEXTS_MAX);
	return found ? gate_deny(g, GATE_REPEATED,
				 "a text that is marked above the ceiling stands in an unmarked place too")
		     : GATE_RELEASED;
}

/* ---- the gate ---- */

static enum gate_verdict judge(struct gate *g, int64_t now_us, struct json **out)
{
	if (!judge_envelope(g, now_us) || !judge_profile(g))
		return GATE_DENIED;
	if (marking_is_tlp(g->id)) {
		*out = marking_tlp_object(g->id); /* ours, not what somebody calls so */
		return GATE_RELEASED;
	}
	if (!judge_marking(g) || !gate_judge_granular(g) || !gate_judge_parts(g) || !judge_required(g))
		return GATE_DENIED;
	*out = gate_build(g);
	if (!judge_repeated(g, *out))
		return GATE_DENIED;
	if (profile_envelope((enum profile)g->p->release.profile))
		put_envelope(g, *out);
	return g->why->cut_n ? GATE_REDACTED : GATE_RELEASED;
}

enum gate_verdict gate_release_refs(const struct policy *partner, const struct shared *o, int64_t now_us,
				    const struct gate_refs *refs, struct json **out, struct gate_reason *why)
{
	struct gate_reason own;
	struct gate g = {.p = partner, .o = o, .refs = refs, .why = why ? why : &own, .passes = marking_passes};
	*g.why = (struct gate_reason){.why = GATE_OK};
	*out = NULL;
	g.type = shared_type(o->stix);
	g.id = shared_id(o->stix);
	if (!g.type || !g.id || !shared_id_valid(g.id))
		return gate_deny(&g, GATE_SHAPE, "it is no STIX object");
	enum gate_verdict verdict = judge(&g, now_us, out);
	if (verdict == GATE_DENIED) {
		json_drop(*out);
		*out = NULL;
	}
	gate_parts_free(&g);
	return verdict;
}

enum gate_verdict gate_release(const struct policy *partner, const struct shared *o, int64_t now_us, struct json **out,
			       struct gate_reason *why)
{
	return gate_release_refs(partner, o, now_us, NULL, out, why);
}

/* ---- references ---- */

struct each {
	void (*fn)(void *arg, const char *id);
	void *arg;
	const char *key;
	unsigned depth;
};

static void each_value(const struct each *e, const char *key, const struct json *v);

static void each_member(void *owner, const char *key, const struct json *v)
{
	each_value(owner, key, v);
}

static void each_value(const struct each *e, const char *key, const struct json *v)
{
	struct each below = *e;
	const char *text = json_text(v, NULL);
	if (text && gate_ref_key(key) && !gate_marking_ref_key(key) && shared_id_valid(text))
		e->fn(e->arg, text);
	if (++below.depth > DEPTH_MAX)
		return;
	json_each(v, each_member, &below);
	for (size_t i = 0; json_kind(v) == JSON_KIND_LIST && i < json_count(v); i++)
		each_value(&below, key, json_item(v, i));
}

void gate_each_ref(const struct json *stix, void (*fn)(void *arg, const char *id), void *arg)
{
	each_value(&(struct each){.fn = fn, .arg = arg}, "", stix);
}

void gate_alias(const char *id, const char *org, char out[static GATE_ALIAS_LEN])
{
	struct buf text = {0};
	uint8_t digest[32];
	buf_printf(&text, "%s|%s", id, org);
	hash_sha256(digest, text.p, text.n);
	buf_free(&text);
	out[0] = '~';
	text_hex(out + 1, digest, 8);
}
