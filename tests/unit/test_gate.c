/* The release gate: what it refuses, what it cuts, and a property over random
 * objects and policies: no byte that is forbidden is ever in what goes out.
 *
 *   GATE_OBJECTS=100000 GATE_SEED=1 build/tests/unit/test_gate
 *
 * GATE_WRITE=FOLDER writes the objects down for one policy instead of asking the gate: bundle.json,
 * release.yaml, and what may and may not go (may, forbidden), a text a line. */
#define _GNU_SOURCE /* memmem */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "rules/gate.h"

#define CLEAR   "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487"
#define GREEN   "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
#define AMBER   "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"
#define STRICT  "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
#define RED     "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
#define RED1    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"
#define TYPO    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ef"
#define UNKNOWN "marking-definition--11111111-2222-4333-8444-555555555555"
#define OTHER   "identity--11111111-2222-4333-8444-555555555555"
#define ID      "indicator--01234567-0123-4123-8123-0123456789ab"
#define HEAD                                                                                                           \
	"\"type\":\"indicator\",\"spec_version\":\"2.1\",\"id\":\"" ID "\",\"created\":\"2026-11-20T00:00:00.000Z\","  \
	"\"modified\":\"2026-11-20T00:00:00.000Z\",\"pattern\":\"[ipv4-addr:value = '198.51.100.7']\","                \
	"\"pattern_type\":\"stix\",\"valid_from\":\"2026-11-20T00:00:00Z\""
#define NOW 1795600000000000ll

/* A policy from YAML, as a gateway reads it. */
static void load(struct policies *p, const char *yaml)
{
	char path[] = "/tmp/picket-gate-XXXXXX";
	struct diags d = {0};
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, yaml, strlen(yaml)) == (ssize_t)strlen(yaml));
	close(fd);
	if (!policies_load(p, "us", path, &d))
		diag_print(&d, stderr);
	assert_int_equal(d.count[DIAG_ERROR], 0);
	diag_free(&d);
	unlink(path);
	p->list[0].all = p;
}

static struct json *parse(const char *text)
{
	struct err e;
	struct json *v = json_read(text, strlen(text), SHARED_OBJECT_MAX, &e);
	if (!v)
		fail_msg("%s in %s", e.text, text);
	return v;
}

struct one {
	const char *label, *object; /* members after HEAD */
	const char *from, *extension;
	const char *verdict, *why; /* what is wanted */
	const char *has, *has_not; /* in what goes out */
};

static void check(const struct policies *p, const struct one *c)
{
	struct shared_box b;
	struct gate_reason why;
	struct json *out;
	struct buf text = {0}, all = {0};
	struct err e;
	buf_printf(&all, "{" HEAD "%s%s%s%s}", *c->object ? "," : "", c->object,
		   c->extension ? ",\"extensions\":{\"" SHARED_EXTENSION "\":" : "", c->extension ? c->extension : "");
	if (c->extension)
		buf_printf(&all, "}");
	buf_u8(&all, 0);
	if (!shared_box_read(&b, parse((char *)all.p), c->from ? c->from : "", &e))
		fail_msg("%s: %s", c->label, e.text);
	enum gate_verdict v = gate_release(&p->list[0], &b.is, NOW, &out, &why);
	if (strcmp(gate_verdict_names[v], c->verdict) != 0 || strcmp(gate_why_names[why.why], c->why) != 0)
		fail_msg("%s: %s, %s (%s; cut %s)", c->label, gate_verdict_names[v], gate_why_names[why.why],
			 why.detail, why.cut);
	assert_true(!out == (v == GATE_DENIED));
	if (out)
		json_write(out, &text);
	buf_u8(&text, 0);
	if (c->has && !strstr((char *)text.p, c->has))
		fail_msg("%s: lacks %s: %s", c->label, c->has, (char *)text.p);
	if (c->has_not && strstr((char *)text.p, c->has_not))
		fail_msg("%s: has %s: %s", c->label, c->has_not, (char *)text.p);
	json_drop(out);
	shared_box_free(&b);
	buf_free(&text);
	buf_free(&all);
}

#define TO_ALL     ",\"releasable_to\":[\"bilateral\",\"secret-group\"]"
#define MARKED(id) "\"object_marking_refs\":[\"" id "\"]"
#define EXT(more)  "{\"extension_type\":\"property-extension\"" more "}"

static void cases(void **state)
{
	(void)state;
	struct policies p;
	load(&p,
	     "partner: {id: jp}\n"
	     "release: {tlp_max: amber, pap_max: amber, groups: [bilateral], exercises: [ke26], unaddressed: green, "
	     "profile: picket, drop: [indicator.lang], custom: [x_ours], types: [indicator, marking-definition, "
	     "sighting]}\n");
	static const struct one list[] = {
	    {"unmarked", "", NULL, EXT(TO_ALL), "denied", "unmarked", NULL, NULL},
	    {"amber to a group", MARKED(AMBER), NULL, EXT(TO_ALL), "released", "ok", "198.51.100.7", "secret-group"},
	    {"the group they are in is told", MARKED(AMBER), NULL, EXT(TO_ALL), "released", "ok", "bilateral", NULL},
	    {"amber, to nobody", MARKED(AMBER), NULL, NULL, "denied", "not-addressed", NULL, NULL},
	    {"green, to nobody, as the policy allows", MARKED(GREEN), NULL, NULL, "released", "ok", NULL, NULL},
	    {"addressed to others", MARKED(GREEN), NULL, EXT(",\"releasable_to\":[\"x\"]"), "denied", "not-addressed",
	     NULL, NULL},
	    {"above the ceiling", MARKED(STRICT), NULL, EXT(TO_ALL), "denied", "tlp", NULL, NULL},
	    {"red to a group", MARKED(RED), NULL, EXT(TO_ALL), "denied", "not-addressed", NULL, NULL},
	    {"red by name, above the ceiling", MARKED(RED1), NULL, EXT(",\"releasable_to\":[\"jp\"]"), "denied", "tlp",
	     NULL, NULL},
	    {"the strictest of two", "\"object_marking_refs\":[\"" GREEN "\",\"" STRICT "\"]", NULL, EXT(TO_ALL),
	     "denied", "tlp", NULL, NULL},
	    {"a typing error in an id", MARKED(TYPO), NULL, EXT(TO_ALL), "denied", "marking-unknown", NULL, NULL},
	    {"a marking nobody knows", "\"object_marking_refs\":[\"" GREEN "\",\"" UNKNOWN "\"]", NULL, EXT(TO_ALL),
	     "denied", "marking-unknown", NULL, NULL},
	    {"markings that are no list", "\"object_marking_refs\":\"" GREEN "\"", NULL, EXT(TO_ALL), "denied",
	     "marking-unknown", NULL, NULL},
	    {"PAP above", MARKED(GREEN), NULL, EXT(TO_ALL ",\"pap\":\"red\""), "denied", "pap", NULL, NULL},
	    {"PAP in a label", MARKED(GREEN) ",\"labels\":[\"PAP:RED\"]", NULL, NULL, "denied", "pap", NULL, NULL},
	    {"a PAP nobody knows", MARKED(GREEN) ",\"labels\":[\"PAP:BLUE\"]", NULL, NULL, "denied", "pap", NULL, NULL},
	    {"back to whom it came from", MARKED(GREEN), "jp", NULL, "denied", "echo", NULL, NULL},
	    {"it went through them", MARKED(GREEN), "x", EXT(",\"path\":[\"jp\",\"x\"]"), "denied", "echo", NULL, NULL},
	    {"amber, one hop", MARKED(AMBER), "x", EXT(TO_ALL), "released", "ok", NULL, NULL},
	    {"the way is not told", MARKED(AMBER), "third", EXT(TO_ALL), "released", "ok", "\"~", "third"},
	    {"amber, two hops", MARKED(AMBER), "x", EXT(TO_ALL ",\"path\":[\"y\",\"x\"]"), "denied", "hops", NULL,
	     NULL},
	    {"another exercise", MARKED(GREEN), NULL, EXT(",\"exercise\":\"other\""), "denied", "exercise", NULL, NULL},
	    {"their exercise", MARKED(GREEN), NULL, EXT(",\"exercise\":\"ke26\""), "released", "ok",
	     "\"exercise\":\"ke26\"", NULL},
	    {"a property outside STIX", MARKED(GREEN) ",\"x_secret\":\"s3cret\"", NULL, NULL, "redacted", "ok", NULL,
	     "s3cret"},
	    {"one that the policy allows", MARKED(GREEN) ",\"x_ours\":{\"a\":1}", NULL, NULL, "released", "ok",
	     "x_ours", NULL},
	    {"a property that is dropped", MARKED(GREEN) ",\"lang\":\"ja\"", NULL, NULL, "redacted", "ok", NULL,
	     "lang"},
	    {"a map where STIX has a text", MARKED(GREEN) ",\"name\":{\"s3cret\":1}", NULL, NULL, "redacted", "ok",
	     NULL, "s3cret"},
	    {"a stranger's property in a reference",
	     MARKED(GREEN) ",\"external_references\":[{\"source_name\":\"a\","
			   "\"x_s3cret\":\"b\"}]",
	     NULL, NULL, "redacted", "ok", "source_name", "s3cret"},
	    {"a reference", MARKED(GREEN) ",\"created_by_ref\":\"" OTHER "\"", NULL, NULL, "redacted", "ok", NULL,
	     OTHER},
	    {"an id in a text", MARKED(GREEN) ",\"description\":\"see " OTHER ".\"", NULL, NULL, "redacted", "ok", NULL,
	     OTHER},
	    {"a part that is marked",
	     MARKED(GREEN) ",\"description\":\"s3cret\",\"granular_markings\":[{\"marking_ref\":\"" RED
			   "\",\"selectors\":[\"description\"]}]",
	     NULL, NULL, "redacted", "ok", NULL, "s3cret"},
	    {"nor its marking",
	     MARKED(GREEN) ",\"description\":\"s3cret\",\"granular_markings\":[{\"marking_ref\":\"" RED
			   "\",\"selectors\":[\"description\"]}]",
	     NULL, NULL, "redacted", "ok", NULL, "granular"},
	    {"an entry of a list; those behind it move up",
	     MARKED(GREEN) ",\"labels\":[\"one\",\"s3cret\",\"three\"],\"granular_markings\":[{\"marking_ref\":\"" RED
			   "\",\"selectors\":[\"labels.[1]\"]},{\"marking_ref\":\"" GREEN
			   "\",\"selectors\":[\"labels.[1]\",\"labels.[2]\"]}]",
	     NULL, NULL, "redacted", "ok", "\"selectors\":[\"labels.[1]\"]", "s3cret"},
	    {"a container",
	     MARKED(GREEN) ",\"external_references\":[{\"source_name\":\"a\",\"url\":\"s3cret\"}],"
			   "\"granular_markings\":[{\"marking_ref\":\"" UNKNOWN
			   "\",\"selectors\":[\"external_references\"]}]",
	     NULL, NULL, "redacted", "ok", NULL, "s3cret"},
	    {"what it needs is marked",
	     MARKED(GREEN) ",\"granular_markings\":[{\"marking_ref\":\"" RED "\",\"selectors\":[\"pattern\"]}]", NULL,
	     NULL, "denied", "field-required", NULL, NULL},
	    {"a selector of nothing",
	     MARKED(GREEN) ",\"granular_markings\":[{\"marking_ref\":\"" RED "\",\"selectors\":[\"descripton\"]}]",
	     NULL, NULL, "denied", "selector", NULL, NULL},
	    {"an index with a zero before it",
	     MARKED(GREEN) ",\"labels\":[\"a\",\"b\"],\"granular_markings\":[{\"marking_ref\":\"" RED
			   "\",\"selectors\":[\"labels.[01]\"]}]",
	     NULL, NULL, "denied", "selector", NULL, NULL},
	    {"a marked text stands elsewhere too",
	     MARKED(GREEN) ",\"name\":\"Op S3CRET dawn\",\"description\":\"s3cret\",\"granular_markings\":"
			   "[{\"marking_ref\":\"" RED "\",\"selectors\":[\"description\"]}]",
	     NULL, NULL, "denied", "repeated", NULL, NULL},
	    {"a language is no marking",
	     MARKED(GREEN) ",\"description\":\"kept\",\"granular_markings\":[{\"lang\":\"ja\",\"selectors\":"
			   "[\"description\"]}]",
	     NULL, NULL, "released", "ok", "\"lang\":\"ja\"", NULL},
	};
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		check(&p, &list[i]);
	policies_free(&p);
}

/* What nobody has checked before: the envelope takes the place of extensions that are no map. */
static void extensions_that_are_none(void **state)
{
	static const char *const values[] = {"\"x\"", "7", "[{}]", "null"};
	(void)state;
	struct policies p;
	load(&p,
	     "partner: {id: jp}\nrelease: {tlp_max: amber, unaddressed: green, profile: picket, types: [indicator]}\n");
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		struct buf text = {0};
		struct json *out;
		buf_printf(&text, "{" HEAD "," MARKED(GREEN) ",\"extensions\":%s}", values[i]);
		buf_u8(&text, 0);
		struct json *stix = parse((char *)text.p);
		struct shared s = {.stix = stix, .collection = "", .origin = "", .from = "", .exercise = ""};
		assert_int_not_equal(gate_release(&p.list[0], &s, NOW, &out, NULL), GATE_DENIED);
		assert_non_null(shared_extension(out));
		json_drop(out);
		json_drop(stix);
		buf_free(&text);
	}
	policies_free(&p);
}

/* ---- definitions ---- */

static void definitions(void **state)
{
	(void)state;
	struct marking_book *b = marking_book_new();
	struct json *statement = parse("{\"type\":\"marking-definition\",\"id\":\"" UNKNOWN
				       "\",\"definition_type\":\"statement\",\"definition\":{\"statement\":\"(c)\"}}"),
		    *tlp = parse("{\"type\":\"marking-definition\",\"id\":\"" TYPO
				 "\",\"definition_type\":\"tlp\",\"definition\":{\"tlp\":\"white\"}}"),
		    *pap = parse("{\"type\":\"marking-definition\",\"id\":\"" UNKNOWN
				 "\",\"definition_type\":\"PAP\",\"name\":\"PAP:GREEN\"}"),
		    *false_red = parse("{\"type\":\"marking-definition\",\"id\":\"" RED
				       "\",\"definition_type\":\"statement\",\"definition\":{\"statement\":\"(c)\"}}");
	assert_int_equal(marking_of(b, UNKNOWN, "a").tlp, TLP_RED);
	marking_learn(b, statement, "a");
	assert_true(marking_of(b, UNKNOWN, "a").known && marking_of(b, UNKNOWN, "a").tlp == TLP_UNMARKED);
	assert_false(marking_of(b, UNKNOWN, "b").known); /* a's word does not count for b */
	marking_learn(b, pap, "b");
	assert_int_equal(marking_of(b, UNKNOWN, "b").pap, PAP_GREEN);
	marking_learn(b, pap, "a"); /* they disagree */
	assert_false(marking_of(b, UNKNOWN, "a").known);
	marking_learn(b, tlp, "a");
	assert_int_equal(marking_of(b, TYPO, "a").tlp, TLP_RED);
	marking_learn(b, false_red, "a");
	assert_int_equal(marking_of(b, RED, "a").tlp, TLP_RED);
	for (int i = 0; i < 1000; i++) {
		char text[300];
		snprintf(
		    text, sizeof(text),
		    "{\"type\":\"marking-definition\",\"id\":\"marking-definition--11111111-2222-4333-8444-%012d\","
		    "\"definition_type\":\"PAP\",\"name\":\"PAP:AMBER\"}",
		    i);
		struct json *one = parse(text);
		marking_learn(b, one, "a");
		assert_int_equal(marking_of(b, shared_id(one), "a").pap, PAP_AMBER);
		json_drop(one);
	}
	json_drop(statement);
	json_drop(tlp);
	json_drop(pap);
	json_drop(false_red);
	marking_book_free(b);
}

static void selectors(void **state)
{
	(void)state;
	struct json *o = parse("{\"a\":{\"b\":[1,{\"c\":null}]},\"d\":\"x\"}");
	static const char *const good[] = {"a", "a.b", "a.b.[0]", "a.b.[1].c", "d"};
	static const char *const bad[] = {"",      "e",      "a.",       ".a",    "a..b",   "a.b.[2]",   "a.b.[-1]",
					  "a.b.0", "a.b.[]", "a.b.[00]", "d.[0]", "a.b[0]", "a.b.[0].x", "[0]"};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (!marking_select(o, good[i]))
			fail_msg("%s selects nothing", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (marking_select(o, bad[i]))
			fail_msg("\"%s\" selects something", bad[i]);
	json_drop(o);
}

/* ---- policies ---- */

static void policy_errors(void **state)
{
	(void)state;
	static const char yaml[] = "partner: {id: 'a b', valid_until: soon}\n"
				   "link: {identity: 'picket://x/sensor/y'}\n"
				   "release:\n"
				   "  tlp_max: pink\n"
				   "  grops: [a]\n"
				   "  fields: ['indicator pattern', 'indicator: pattern']\n"
				   "taxii:\n"
				   "  read: [not-a-uuid]\n";
	static const char *const want[] = {":1:15: ", ":1:35: ", ":2:18: ", ":4:12: ", ":5:3: ", ":6:12: ", ":8:10: "};
	char path[] = "/tmp/picket-gate-XXXXXX", *text = NULL;
	struct policies p;
	struct diags d = {0};
	size_t n;
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, yaml, sizeof(yaml) - 1) > 0);
	close(fd);
	assert_false(policies_load(&p, "us", path, &d));
	FILE *f = open_memstream(&text, &n);
	diag_print(&d, f);
	fclose(f);
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++)
		if (!strstr(text, want[i]))
			fail_msg("no finding at %s in\n%s", want[i], text);
	free(text);
	diag_free(&d);
	policies_free(&p);
	unlink(path);
}

/* ---- the property ---- */

/* A model that knows of each text whether it may go, by how it was made. */
#define TOKENS_MAX 64
struct model {
	uint64_t seed;
	struct {
		char text[40];
		bool forbidden;
	} token[TOKENS_MAX];
	size_t tokens;
	bool denied, published; /* here: what tells of a way is not taken */
};

static uint64_t draw(struct model *m, uint64_t below)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return m->seed % below;
}

static const char *token(struct model *m, bool forbidden)
{
	size_t i = m->tokens++;
	assert_true(i < TOKENS_MAX);
	snprintf(m->token[i].text, sizeof(m->token[i].text), "cnry%016llxz", (unsigned long long)draw(m, UINT64_MAX));
	m->token[i].forbidden = forbidden;
	return m->token[i].text;
}

struct random_policy {
	int tlp_max, pap_max, unaddressed;
	bool groups[4], custom, drop_name, only_pattern, full_path;
	char yaml[1024];
};

static const char *const groups[] = {"g0", "g1", "g2", "g3"};
static const char *const marking_ids[] = {NULL, CLEAR, GREEN, AMBER, STRICT, RED, UNKNOWN};
static const int marking_levels[] = {0, 1, 2, 3, 4, 5, 9};

static void policy_make(struct model *m, struct random_policy *r)
{
	*r = (struct random_policy){.tlp_max = (int)draw(m, 6), .pap_max = (int)draw(m, 5)};
	r->unaddressed = (int)draw(m, (uint64_t)r->tlp_max + 1);
	r->custom = draw(m, 2);
	r->drop_name = draw(m, 3) == 0;
	r->only_pattern = draw(m, 5) == 0;
	r->full_path = draw(m, 3) == 0;
	int n = snprintf(r->yaml, sizeof(r->yaml),
			 "release: {tlp_max: %s, pap_max: %s, unaddressed: %s, profile: picket, "
			 "custom: [%s], drop: [%s], fields: [%s], path: %s, groups: [",
			 tlp_names[r->tlp_max], pap_names[r->pap_max], tlp_names[r->unaddressed],
			 r->custom ? "x_custom" : "", r->drop_name ? "name" : "",
			 r->only_pattern ? "'indicator: description pattern'" : "",
			 r->full_path ? "full" : "anonymous");
	for (size_t i = 0; i < 4; i++) {
		r->groups[i] = draw(m, 2);
		if (r->groups[i])
			n += snprintf(r->yaml + n, sizeof(r->yaml) - (size_t)n, "%s,", groups[i]);
	}
	snprintf(r->yaml + n, sizeof(r->yaml) - (size_t)n, "]}\n");
}

static size_t hop_limit(int level)
{
	return level == 1 ? 15 : level == 2 ? 4 : level == 3 ? 1 : 0;
}

/* One object, what of it may go, and the envelope. */
static struct json *object_make(struct model *m, const struct random_policy *r)
{
	struct json *o = json_map(), *x = json_map(), *list, *granular = json_list();
	int level = marking_levels[draw(m, 7)], pap = (int)draw(m, 5);
	size_t hops = m->published ? (draw(m, 4) == 0) : draw(m, 4);
	bool addressed = draw(m, 4) != 0, named = false, in_group = false;
	char text[200];
	m->tokens = 0;
	json_put_text(o, "type", "indicator");
	json_put_text(o, "spec_version", "2.1");
	json_put_text(o, "id", ID);
	json_put_text(o, "created", "2026-11-20T00:00:00.000Z");
	json_put_text(o, "modified", "2026-11-20T00:00:00.000Z");
	json_put_text(o, "pattern_type", "stix");
	json_put_text(o, "valid_from", "2026-11-20T00:00:00Z");
	if (level) {
		list = json_list();
		for (int i = 0; i < 7; i++)
			if (marking_levels[i] == level)
				json_put_text(list, NULL, marking_ids[i]);
		if (draw(m, 2))
			json_put_text(list, NULL, CLEAR);
		json_put(o, "object_marking_refs", list);
	}
	/* the envelope */
	json_put_text(x, "extension_type", "property-extension");
	json_put_text(x, "pap", pap_names[pap]);
	list = json_list();
	for (size_t i = 0; i < hops; i++)
		json_put_text(list, NULL, token(m, !r->full_path));
	json_put(x, "path", list);
	if (hops)
		json_put_text(x, "origin", m->token[m->tokens - hops].text);
	list = json_list();
	for (size_t i = 0; addressed && i < 4; i++)
		if (draw(m, 2)) {
			json_put_text(list, NULL, groups[i]);
			in_group |= r->groups[i];
		}
	if (addressed && draw(m, 4) == 0) {
		json_put_text(list, NULL, "jp");
		named = true;
	}
	if (addressed && draw(m, 3) == 0)
		json_put_text(list, NULL, token(m, true)); /* a group whose name they must not learn */
	addressed = json_count(list) != 0;
	json_put(x, "releasable_to", list);
	if (draw(m, 4) == 0)
		json_put_text(x, "x_in_the_envelope", token(m, true));
	bool may = level == 5 ? named : addressed ? named || in_group : r->unaddressed && level <= r->unaddressed;
	m->denied = level == 0 || level == 9 || level > r->tlp_max || pap > r->pap_max || hops > hop_limit(level) ||
		    hops > 4 || !may || (m->published && hops);
	/* parts: a part under a granular marking g may go when g is within the ceiling */
	static const char *const parts[] = {"name", "description", "pattern", "x_custom", "x_other", "lang"};
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		const char *k = parts[i];
		int g = draw(m, 4) == 0 ? marking_levels[1 + draw(m, 6)] : 0;
		bool g_stops = g && (g > r->tlp_max || hops > hop_limit(g) || (g == 5 && !named));
		bool stops = g_stops || (strcmp(k, "name") == 0 && (r->drop_name || r->only_pattern)) ||
			     (strcmp(k, "x_custom") == 0 && !r->custom) || strcmp(k, "x_other") == 0 ||
			     (strcmp(k, "lang") == 0 && r->only_pattern);
		if (draw(m, 3) == 0 && strcmp(k, "pattern") != 0)
			continue;
		snprintf(text, sizeof(text), strcmp(k, "pattern") == 0 ? "[url:value = '%s']" : "text %s text",
			 token(m, stops));
		json_put_text(o, k, text);
		if (strcmp(k, "pattern") == 0 && g_stops)
			m->denied = true;
		if (g) {
			struct json *entry = json_map(), *selectors = json_list();
			for (int j = 1; j < 7; j++)
				if (marking_levels[j] == g)
					json_put_text(entry, "marking_ref", marking_ids[j]);
			json_put_text(selectors, NULL, k);
			json_put(entry, "selectors", selectors);
			json_put(granular, NULL, entry);
		}
	}
	/* lists: some entries are marked */
	struct json *labels = json_list(), *refs = json_list();
	size_t n = draw(m, 5);
	for (size_t i = 0; i < n; i++) {
		bool stops = draw(m, 3) == 0 && (5 > r->tlp_max || hops > 0 || !named);
		json_put_text(labels, NULL, token(m, stops || r->only_pattern));
		if (stops) {
			struct json *entry = json_map(), *selectors = json_list();
			snprintf(text, sizeof(text), "labels.[%zu]", i);
			json_put_text(entry, "marking_ref", RED);
			json_put_text(selectors, NULL, text);
			json_put(entry, "selectors", selectors);
			json_put(granular, NULL, entry);
		}
	}
	if (n)
		json_put(o, "labels", labels);
	else
		json_drop(labels);
	n = draw(m, 3);
	for (size_t i = 0; i < n; i++) {
		struct json *ref = json_map();
		json_put_text(ref, "source_name", token(m, r->only_pattern));
		if (draw(m, 2))
			json_put_text(ref, "x_more", token(m, true));
		if (draw(m, 2)) {
			/* an id of something else, in a text: its last digits are the token */
			snprintf(text, sizeof(text), "malware--11111111-2222-4333-8444-%012llx",
				 (unsigned long long)draw(m, 1ull << 48));
			size_t t = m->tokens++;
			snprintf(m->token[t].text, sizeof(m->token[t].text), "%.36s", text + 9);
			m->token[t].forbidden = true;
			json_put_text(ref, draw(m, 2) ? "description" : "url", text);
		}
		json_put(refs, NULL, ref);
	}
	if (n)
		json_put(o, "external_references", refs);
	else
		json_drop(refs);
	if (draw(m, 3) == 0) {
		json_put_text(o, "created_by_ref", OTHER);
		size_t t = m->tokens++;
		snprintf(m->token[t].text, sizeof(m->token[t].text), "%s", OTHER + 10);
		m->token[t].forbidden = true;
	}
	if (json_count(granular))
		json_put(o, "granular_markings", granular);
	else
		json_drop(granular);
	struct json *extensions = json_map();
	json_put(extensions, SHARED_EXTENSION, x);
	if (draw(m, 4) == 0) {
		struct json *alien = json_map();
		json_put_text(alien, "extension_type", "property-extension");
		json_put_text(alien, "secret", token(m, true));
		json_put(extensions, "extension-definition--99999999-2222-4333-8444-555555555555", alien);
	}
	json_put(o, "extensions", extensions);
	return o;
}

static void fail_object(const struct model *m, const struct shared *o, const struct json *out, const char *what)
{
	struct buf b = {0};
	json_write(o->stix, &b);
	buf_printf(&b, "\n-> ");
	if (out)
		json_write(out, &b);
	buf_u8(&b, 0);
	fail_msg("%s (%zu tokens, denied %d)\n%s", what, m->tokens, m->denied, (char *)b.p);
}

static FILE *file_in(const char *folder, const char *name)
{
	char path[300];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	return f;
}

static void write_objects(const char *folder, struct model *m, size_t n)
{
	struct random_policy r;
	m->published = true;
	do
		policy_make(m, &r);
	while (r.tlp_max < 2 || !r.groups[0] || r.only_pattern); /* one that lets something go */
	FILE *policy = file_in(folder, "release.yaml"), *bundle = file_in(folder, "bundle.json"),
	     *list[] = {file_in(folder, "may"), file_in(folder, "forbidden")};
	fputs(r.yaml, policy);
	fprintf(bundle, "{\"type\":\"bundle\",\"id\":\"bundle--11111111-2222-4333-8444-555555555555\",\"objects\":[");
	for (size_t i = 0; i < n; i++) {
		struct buf text = {0};
		char id[64];
		struct json *o = object_make(m, &r);
		snprintf(id, sizeof(id), "indicator--%08zx-4567-4123-8123-%012llx", i,
			 (unsigned long long)draw(m, 1ull << 48));
		json_put_text(o, "id", id);
		json_write(o, &text);
		fprintf(bundle, "%s%.*s", i ? ",\n" : "", (int)text.n, (char *)text.p);
		for (size_t t = 0; t < m->tokens; t++)
			fprintf(list[m->denied || m->token[t].forbidden], "%s\n", m->token[t].text);
		json_drop(o);
		buf_free(&text);
	}
	fprintf(bundle, "]}\n");
	fclose(policy), fclose(bundle), fclose(list[0]), fclose(list[1]);
}

static void property(void **state)
{
	(void)state;
	const char *objects = getenv("GATE_OBJECTS"), *seed = getenv("GATE_SEED");
	size_t n = objects ? strtoul(objects, NULL, 10) : 20000, went = 0, cut = 0, forbidden = 0;
	struct model m = {.seed = seed ? strtoull(seed, NULL, 10) : (uint64_t)clock_wall_us()};
	print_message("property: %zu objects, GATE_SEED=%llu\n", n, (unsigned long long)m.seed);
	if (getenv("GATE_WRITE")) {
		write_objects(getenv("GATE_WRITE"), &m, n);
		return;
	}
	struct policies p = {0};
	struct random_policy r = {0};
	char yaml[sizeof(r.yaml) + 32];
	for (size_t i = 0; i < n; i++) {
		struct shared_box b;
		struct json *out;
		struct err e;
		struct gate_reason why;
		struct buf text = {0};
		if (i % 20 == 0) {
			if (p.list)
				policies_free(&p);
			policy_make(&m, &r);
			snprintf(yaml, sizeof(yaml), "partner: {id: jp}\n%s", r.yaml);
			load(&p, yaml);
		}
		if (!shared_box_read(&b, object_make(&m, &r), "", &e))
			fail_msg("%s", e.text);
		enum gate_verdict v = gate_release(&p.list[0], &b.is, NOW, &out, &why);
		if (v != GATE_DENIED && m.denied)
			fail_object(&m, &b.is, out, "went, and must not");
		if (v == GATE_DENIED && !m.denied)
			fail_object(&m, &b.is, out, why.detail);
		if (out)
			json_write(out, &text);
		for (size_t t = 0; out && t < m.tokens; t++) {
			bool there = memmem(text.p, text.n, m.token[t].text, strlen(m.token[t].text)) != NULL;
			if (there && m.token[t].forbidden)
				fail_object(&m, &b.is, out, m.token[t].text);
			if (!there && !m.token[t].forbidden)
				fail_object(&m, &b.is, out, "a text is missing that may go");
			forbidden += m.token[t].forbidden;
		}
		went += v != GATE_DENIED;
		cut += v == GATE_REDACTED;
		json_drop(out);
		shared_box_free(&b);
		buf_free(&text);
	}
	print_message("property: %zu went, %zu of them in part, without %zu forbidden texts\n", went, cut, forbidden);
	assert_true(went > n / 50 && cut > n / 100);
	policies_free(&p);
}

static void example(void **state)
{
	(void)state;
	struct policies p;
	struct diags d = {0};
	bool good = policies_load(&p, "us", "deploy/partners", &d);
	diag_print(&d, stderr);
	assert_true(good && p.n == 1);
	assert_non_null(policies_find(&p, "jp-cert-x"));
	assert_ptr_equal(policies_by_identity(&p, "picket://jp-cert-x/partner/gw-1"), &p.list[0]);
	policies_free(&p);
	diag_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cases),         cmocka_unit_test(extensions_that_are_none),
	    cmocka_unit_test(definitions),   cmocka_unit_test(selectors),
	    cmocka_unit_test(policy_errors), cmocka_unit_test(property),
	    cmocka_unit_test(example),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
