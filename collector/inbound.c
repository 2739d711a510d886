#include "collector/inbound.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/hash.h"
#include "rules/gate.h"
#include "rules/gate_fields.h"
#include "rules/stix_map.h"
#include "rules/stix_pattern.h"

/* Ids of revoked objects as keyed hashes: an open table, 0 = free. */
struct id_set {
	uint64_t *table;
	size_t size, n;
};

struct source {
	int64_t held, tokens_us[LANE_COUNT]; /* when the bucket was full enough, in its own time */
	struct id_set revoked;
};

struct inbound {
	const struct policies *policies;
	const struct intake *gate;
	struct source *sources; /* as many as policies */
	struct stix_pattern pattern;
	struct hash_key key;
};

struct inbound *inbound_new(const struct policies *p, const struct intake *gate)
{
	struct inbound *in = xcalloc(1, sizeof(*in));
	in->policies = p;
	in->gate = gate;
	in->sources = xcalloc(p->n + 1, sizeof(*in->sources));
	hash_key_random(&in->key);
	return in;
}

void inbound_free(struct inbound *in)
{
	for (size_t i = 0; in && i < in->policies->n; i++)
		free(in->sources[i].revoked.table);
	if (in) {
		free(in->sources);
		stix_pattern_free(&in->pattern);
	}
	free(in);
}

static struct source *source_of(struct inbound *in, const struct policy *p)
{
	return &in->sources[p - in->policies->list];
}

static bool set_has(const struct id_set *s, uint64_t h)
{
	for (size_t i = h & (s->size - 1); s->size && s->table[i]; i = (i + 1) & (s->size - 1))
		if (s->table[i] == h)
			return true;
	return false;
}

static void set_add(struct id_set *s, uint64_t h)
{
	if (set_has(s, h))
		return;
	if (2 * (s->n + 1) > s->size) {
		struct id_set grown = {.size = s->size ? 2 * s->size : 64};
		grown.table = xcalloc(grown.size, sizeof(*grown.table));
		for (size_t i = 0; i < s->size; i++)
			if (s->table[i])
				set_add(&grown, s->table[i]);
		free(s->table);
		*s = grown;
	}
	size_t i = h & (s->size - 1);
	while (s->table[i])
		i = (i + 1) & (s->size - 1);
	s->table[i] = h;
	s->n++;
}

static uint64_t id_hash(const struct inbound *in, const char *id)
{
	return hash64(&in->key, id, strlen(id)) | 1;
}

void inbound_held(struct inbound *in, const struct policy *from, int64_t change)
{
	source_of(in, from)->held += change;
}

void inbound_revoked(struct inbound *in, const struct policy *from, const char *id)
{
	set_add(&source_of(in, from)->revoked, id_hash(in, id));
}

/* A bucket of `burst` objects that fills with `rate` a second, kept as the time
 * at which it would be full again. */
int64_t inbound_wait_us(struct inbound *in, const struct policy *from, enum lane lane, uint64_t n, int64_t now_us)
{
	struct source *s = source_of(in, from);
	int64_t full = s->tokens_us[lane] > now_us ? s->tokens_us[lane] : now_us;
	int64_t cost = (int64_t)(n * 1000000ull / (uint64_t)from->inbound.rate);
	int64_t room = from->inbound.burst * 1000000 / from->inbound.rate;
	int64_t wait = full + cost - now_us - (room > cost ? room : cost);
	if (wait > 0)
		return wait;
	s->tokens_us[lane] = full + cost;
	return 0;
}

/* ---- the judges ---- */

struct judging {
	struct inbound *in;
	const struct policy *from;
	struct shared_box *box;
	struct inbound_reason *why;
	int64_t now_us;
};

static bool refuse(struct judging *j, const char *code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static bool refuse(struct judging *j, const char *code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	j->why->code = code;
	vsnprintf(j->why->text, sizeof(j->why->text), fmt, ap);
	va_end(ap);
	return false;
}

static void need_field(void *arg, const char *field)
{
	struct judging *j = arg;
	if (!*j->why->code && !json_at(j->box->stix, field))
		refuse(j, "invalid", "it has no %s", field);
}

static bool judge_shape(struct judging *j)
{
	const char *type = shared_type(j->box->stix), *spec = json_text(json_at(j->box->stix, "spec_version"), NULL);
	if (!policy_lists(&j->from->inbound.types, type))
		return refuse(j, "type", "objects of type %.60s are not taken from here", type);
	if (spec && strcmp(spec, "2.1") != 0)
		return refuse(j, "invalid", "spec_version is not 2.1");
	fields_each_required(type, need_field, j);
	return !*j->why->code;
}

static bool time_of(const struct judging *j, const char *key, int64_t *us)
{
	const char *t = json_text(json_at(j->box->stix, key), NULL);
	*us = 0;
	return !json_at(j->box->stix, key) || (t && clock_parse(t, us));
}

static bool judge_times(struct judging *j)
{
	int64_t created, modified, from, until, skew = j->from->inbound.skew_ms * 1000;
	if (!time_of(j, "created", &created) || !time_of(j, "modified", &modified) ||
	    !time_of(j, "valid_from", &from) || !time_of(j, "valid_until", &until))
		return refuse(j, "time", "created, modified, valid_from or valid_until is not a time");
	if (modified && modified < created)
		return refuse(j, "time", "modified is before created");
	if (until && from && until <= from)
		return refuse(j, "time", "valid_until is not after valid_from");
	if (created > j->now_us + skew || modified > j->now_us + skew) {
		refuse(j, "skew", "its time is further ahead of our clock than %lld s", (long long)(skew / 1000000));
		j->box->is.state = SHARED_QUARANTINE;
	}
	return true;
}

static bool is_org(const struct judging *j, const char *name, const char *org)
{
	char alias[GATE_ALIAS_LEN];
	if (*name != '~')
		return strcmp(name, org) == 0;
	gate_alias(shared_id(j->box->stix), org, alias);
	return strcmp(name, alias) == 0;
}

/* The way must begin with the origin and end with who stands before us, and no
 * organisation is twice on it. */
static bool judge_way(struct judging *j)
{
	const struct shared *s = &j->box->is;
	const char *own = j->in->policies->own;
	if (!s->path_n || !is_org(j, s->path[s->path_n - 1], j->from->id))
		return refuse(j, "forged-origin", "the way does not end with %s, who sent it", j->from->id);
	if (!is_org(j, s->origin, j->from->id) && strcmp(s->origin, s->path[0]) != 0)
		return refuse(j, "forged-origin", "the way does not begin with the origin");
	if (s->path_n > 1 && is_org(j, s->origin, j->from->id))
		return refuse(j, "forged-origin", "%s is the origin, but the way is longer", j->from->id);
	for (size_t i = 0; i < s->path_n; i++) {
		if (is_org(j, s->path[i], own))
			return refuse(j, "loop", "it went through us already");
		for (size_t k = 0; k < i; k++)
			if (strcmp(s->path[i], s->path[k]) == 0)
				return refuse(j, "loop", "an organisation is twice on its way");
	}
	return !is_org(j, s->origin, own) || refuse(j, "forged-origin", "we are said to have made it");
}

static bool judge_marking(struct judging *j)
{
	const char *unknown;
	const struct shared *s = &j->box->is;
	marking_learn(j->in->policies->book, j->box->stix, j->from->id);
	struct marking m = marking_object(j->in->policies->book, j->box->stix, j->from->id, &unknown);
	if ((int)m.tlp > j->from->inbound.tlp_max)
		return refuse(j, "tlp", "%s: we take up to TLP:%s",
			      m.known ? "its marking is above what we want to hold"
				      : "a marking that we do not know counts as the strictest",
			      tlp_names[j->from->inbound.tlp_max]);
	if (*s->exercise && !policy_lists(&j->from->release.exercises, s->exercise))
		return refuse(j, "exercise", "it is of an exercise that we do not share with you");
	return true;
}

static bool judge_history(struct judging *j)
{
	const struct source *s = source_of(j->in, j->from);
	if (s->held >= j->from->inbound.quota)
		return refuse(j, "quota", "%lld objects of yours are held, and no more",
			      (long long)j->from->inbound.quota);
	if (!shared_revoked(j->box->stix) && set_has(&s->revoked, id_hash(j->in, shared_id(j->box->stix))))
		return refuse(j, "revoked", "it was revoked, and that is for ever (STIX 2.1 section 3.2)");
	return true;
}

/* ---- poison ---- */

static enum indicator_type compared(const struct stix_compare *c, const struct stix_path *path, const char **value)
{
	enum indicator_type t = path->type;
	if (c->op == STIX_SUBSET && t == INDICATOR_IP)
		return INDICATOR_CIDR;
	if (c->op == STIX_LIKE && t == INDICATOR_HOSTNAME && strncmp(*value, "%.", 2) == 0) {
		*value += 2;
		return INDICATOR_DOMAIN;
	}
	return c->op == STIX_EQUAL ? t : INDICATOR_NONE;
}

/* Any comparison that could match half the world makes the whole one suspect. How many
 * there may be is the policy's word (inbound.quota), so the gate counts nothing. */
static void judge_pattern(struct judging *j)
{
	struct stix_pattern *p = &j->in->pattern;
	struct intake_reason reason;
	const char *why;
	size_t n;
	const char *text = json_text(json_at(j->box->stix, "pattern"), &n);
	const char *kind = json_text(json_at(j->box->stix, "pattern_type"), NULL);
	if (!j->in->gate || !text || !kind || strcmp(kind, "stix") != 0 ||
	    stix_pattern_read(p, text, n, &why) != STIX_READ)
		return; /* kept and passed on, and not matched here */
	for (size_t i = 0; i < p->n; i++) {
		const struct stix_path *path = stix_path_find(stix_text(p, p->list[i].path));
		const char *value = stix_text(p, p->list[i].value);
		struct indicator one = {.value = value};
		if (!path || !(one.type = compared(&p->list[i], path, &value)))
			continue;
		one.value = value;
		if (!intake_check(j->in->gate, NULL, &one, &reason)) {
			refuse(j, reason.code, "%s", reason.text);
			j->box->is.state = SHARED_QUARANTINE;
			return;
		}
	}
}

bool inbound_judge(struct inbound *in, const struct policy *from, struct json *stix, int64_t now_us,
		   struct shared_box *box, struct inbound_reason *why)
{
	struct err e;
	struct judging j = {.in = in, .from = from, .box = box, .why = why, .now_us = now_us};
	*why = (struct inbound_reason){.code = ""};
	if (!shared_box_read(box, stix, from->id, &e))
		return refuse(&j, "invalid", "%.280s", e.text);
	box->is.state = from->inbound.mode == INBOUND_AUTO ? SHARED_ACTIVE : SHARED_REVIEW;
	if (!judge_shape(&j) || !judge_way(&j) || !judge_times(&j) || !judge_marking(&j) || !judge_history(&j))
		return false;
	if (strcmp(shared_type(stix), "indicator") == 0 && !shared_revoked(stix))
		judge_pattern(&j);
	box->is.reason = box->is.state == SHARED_QUARANTINE ? why->code : "";
	/* A revocation takes away; it needs nobody's yes. */
	if (shared_revoked(stix) && box->is.state == SHARED_REVIEW)
		box->is.state = SHARED_ACTIVE;
	return true;
}
