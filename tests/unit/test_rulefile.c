/* The rule file readers against a builder that writes down what it is given:
 * every field, every mistake with its place, and texts that try to do harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/addr.h"
#include "common/buf.h"
#include "common/clock.h"
#include "rules/rulefile.h"
#include "tests/unit/pace.h"

/* ---- the builder of these tests ---- */

struct ruleset_builder {
	struct buf said;
	size_t added;
	bool quiet;
};

struct ruleset {
	size_t count;
};

static struct ruleset_builder the_builder;

struct ruleset_builder *ruleset_builder_new(void)
{
	return &the_builder;
}

void ruleset_builder_free(struct ruleset_builder *b)
{
	(void)b;
}

static void say_text(struct buf *out, const char *name, const char *text)
{
	if (text)
		buf_printf(out, " %s=%s", name, text);
}

static void say_time(struct buf *out, const char *name, int64_t us)
{
	char text[CLOCK_TEXT_LEN];
	if (us) {
		clock_format(us, text);
		buf_printf(out, " %s=%.10s", name, text);
	}
}

uint32_t ruleset_add_set(struct ruleset_builder *b, const struct indicator_set *s)
{
	buf_printf(&b->said, "set %s %u %s", s->id, s->version, tlp_names[s->tlp]);
	say_text(&b->said, "title", s->title);
	say_text(&b->said, "producer", s->producer);
	say_text(&b->said, "to", s->releasable_to);
	say_text(&b->said, "exercise", s->exercise);
	say_time(&b->said, "until", s->valid_until_us);
	buf_printf(&b->said, "\n");
	return 7;
}

static bool right(enum indicator_type t, const char *value)
{
	struct addr a;
	struct prefix p;
	switch (t) {
	case INDICATOR_IP:
		return addr_parse(value, strlen(value), &a);
	case INDICATOR_CIDR:
		return prefix_parse(value, strlen(value), &p);
	case INDICATOR_FILE_MD5:
		return strlen(value) == 32;
	default:
		return *value && (t != INDICATOR_DOMAIN || !strchr(value, ' '));
	}
}

enum added ruleset_add(struct ruleset_builder *b, uint32_t set, const struct indicator *i, struct err *e)
{
	assert_int_equal(set, 7);
	assert_non_null(i->file);
	assert_true(i->line > 0);
	if (!right(i->type, i->value)) {
		err_set(e, "\"%s\" is not a good %s", i->value, indicator_type_name(i->type));
		return ADDED_INVALID;
	}
	if (strcmp(i->value, "again.example") == 0)
		return ADDED_DUPLICATE;
	b->added++;
	if (b->quiet)
		return ADDED;
	buf_printf(&b->said, "%u %s %s %s %u %s", i->line, indicator_type_name(i->type), i->value,
		   severity_names[i->severity], i->confidence, tlp_names[i->tlp]);
	say_text(&b->said, "id", i->id);
	say_text(&b->said, "labels", i->labels);
	say_text(&b->said, "note", i->note);
	say_text(&b->said, "ref", i->ref);
	say_text(&b->said, "where", i->where);
	say_text(&b->said, "match", i->match ? "prefix" : NULL);
	say_text(&b->said, "fold", i->fold ? fold_names[i->fold] : NULL);
	say_time(&b->said, "from", i->valid_from_us);
	say_time(&b->said, "until", i->valid_until_us);
	buf_printf(&b->said, "\n");
	return ADDED;
}

bool ruleset_allow(struct ruleset_builder *b, enum indicator_type t, const char *value, const char *reason,
		   int64_t expires_us, struct err *e)
{
	if (!right(t, value))
		return err_set(e, "\"%s\" is not a good %s", value, indicator_type_name(t));
	buf_printf(&b->said, "allow %s %s", indicator_type_name(t), value);
	say_text(&b->said, "reason", reason);
	say_time(&b->said, "expires", expires_us);
	buf_printf(&b->said, "\n");
	return true;
}

size_t ruleset_builder_count(const struct ruleset_builder *b)
{
	return b->added;
}

struct ruleset *ruleset_build(struct ruleset_builder *b, struct err *e)
{
	static struct ruleset built;
	(void)e;
	built.count = b->added;
	return &built;
}

bool ruleset_is_compiled(const char *path)
{
	return strstr(path, ".set") != NULL;
}

struct ruleset *ruleset_open(const char *path, bool verify, struct err *e)
{
	static struct ruleset mapped;
	(void)e;
	assert_true(verify);
	mapped.count = strstr(path, "empty") ? 0 : 5;
	return &mapped;
}

void ruleset_free(struct ruleset *r)
{
	(void)r;
}

size_t ruleset_count(const struct ruleset *r, enum indicator_type t)
{
	assert_int_equal(t, INDICATOR_NONE);
	return r->count;
}

/* ---- reading texts ---- */

static char folder[] = "/tmp/picket-test-rules-XXXXXX";

static char *file_in_folder(const char *name)
{
	struct buf path = {0};
	buf_printf(&path, "%s/%s", folder, name);
	buf_u8(&path, 0);
	return (char *)path.p;
}

static char *write_file(const char *name, const void *text, size_t n)
{
	char *path = file_in_folder(name);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	fclose(f);
	return path;
}

struct outcome {
	struct rulefile_count count;
	char *said, *found;
};

static char *findings(struct diags *d)
{
	struct buf all = {0};
	size_t skip = strlen(folder) + 1;
	for (size_t i = 0; i < d->n; i++) {
		const struct diag *f = &d->list[i];
		bool ours = f->file && strncmp(f->file, folder, skip - 1) == 0;
		buf_printf(&all, "%s:%u:%u: %s%s [%s]\n", ours ? f->file + skip : "-", f->line, f->column,
			   f->level == DIAG_WARNING ? "warning: " : "", f->text, f->code);
	}
	buf_u8(&all, 0);
	diag_free(d);
	return (char *)all.p;
}

static struct outcome read_bytes(const char *name, const void *text, size_t n)
{
	struct outcome o;
	struct diags d = {0};
	char *path = write_file(name, text, n);
	the_builder.said.n = the_builder.added = 0;
	assert_true(rulefile_read(&the_builder, path, NULL, &d, &o.count));
	assert_int_equal(o.count.read, o.count.loaded + o.count.refused + o.count.duplicate);
	buf_u8(&the_builder.said, 0);
	o.said = strdup((char *)the_builder.said.p);
	o.found = findings(&d);
	free(path);
	return o;
}

static struct outcome read_text(const char *name, const char *text)
{
	return read_bytes(name, text, strlen(text));
}

static void drop(struct outcome *o)
{
	free(o->said);
	free(o->found);
}

static void expect(const char *name, const char *text, const char *said, const char *found)
{
	struct outcome o = read_text(name, text);
	if (said)
		assert_string_equal(o.said, said);
	assert_string_equal(o.found, found);
	drop(&o);
}

/* ---- YAML ---- */

static void everything(void **state)
{
	(void)state;
	free(write_file("list.txt", "# comment\none.example\r\n\n  two.example # why\nhash#kept.example\n", 62));
	expect(
	    "full.yaml",
	    "set: {id: apt-demo, version: 421, title: \"T 題\", producer: jp-cert-x, tlp: amber, releasable_to: "
	    "[bilateral, b2],\n"
	    "      valid_until: 2027-03-01T00:00:00Z, exercise: KEEN}\n"
	    "defaults: {severity: high, confidence: 80, labels: [c2]}\n"
	    "domain: [bad.example, worse.example]\n"
	    "ip: 198.51.100.7\n"
	    "url:\n"
	    "file: [{type: domain, path: list.txt, severity: medium}]\n"
	    "indicators:\n"
	    "  - {id: D-1, domain: third.example, severity: critical, valid_until: 2027-01-15, valid_from: "
	    "2026-01-01,\n"
	    "     note: {ja: \"注\", en: \"note\"}, ref: \"https://…\", labels: [a, b], where: [tls, dns.answer]}\n"
	    "  - type: url\n"
	    "    value: http://x.example/a\n"
	    "    match: prefix\n"
	    "    fold: indicator\n"
	    "    tlp: TLP:RED\n"
	    "    labels: \"x, y\"\n"
	    "    note: plain\n"
	    "allow:\n"
	    "  - {domain: update.example, reason: \"vendor\", expires: 2027-02-01}\n",
	    "set apt-demo 421 amber title=T 題 producer=jp-cert-x to=bilateral,b2 exercise=KEEN until=2027-03-01\n"
	    "4 domain bad.example high 80 amber labels=c2 until=2027-03-01\n"
	    "4 domain worse.example high 80 amber labels=c2 until=2027-03-01\n"
	    "5 ip 198.51.100.7 high 80 amber labels=c2 until=2027-03-01\n"
	    "2 domain one.example medium 80 amber labels=c2 until=2027-03-01\n"
	    "4 domain two.example medium 80 amber labels=c2 until=2027-03-01\n"
	    "5 domain hash#kept.example medium 80 amber labels=c2 until=2027-03-01\n"
	    "9 domain third.example critical 80 amber id=D-1 labels=a,b note=note ref=https://… where=tls,dns.answer "
	    "from=2026-01-01 until=2027-01-15\n"
	    "12 url http://x.example/a high 80 red labels=x,y note=plain match=prefix fold=indicator until=2027-03-01\n"
	    "allow domain update.example reason=vendor expires=2027-02-01\n",
	    "");
}

static void head_anywhere(void **state)
{
	(void)state;
	expect("sorted.yaml",
	       "domain: [bad.example]\nip: [192.0.2.1]\ndefaults: {severity: low}\nset: {id: late, version: 2, tlp: "
	       "green}\n",
	       "set late 2 green\n1 domain bad.example low 50 green\n2 ip 192.0.2.1 low 50 green\n", "");
	expect("My feed.yaml", "domain: [offset.example]\n",
	       "set My-feed 0 unmarked\n1 domain offset.example medium 50 unmarked\n", "");
	expect("twice.yaml", "set: {id: a}\nset: {id: b}\ndomain: [x.example]\ndomain: [y.example]\n",
	       "set a 0 unmarked\n3 domain x.example medium 50 unmarked\n4 domain y.example medium 50 unmarked\n",
	       "twice.yaml:2:1: set is given twice; the first is on line 1 [duplicate-key]\n"
	       "twice.yaml:4:1: warning: domain is given twice; the first is on line 3 [duplicate-key]\n");
}

static void twelve_mistakes(void **state)
{
	(void)state;
	struct outcome o = read_text("twelve.yaml", "set: {id: demo, version: x1, tpl: amber}\n" /* 1, 2 */
						    "defaults: {severity: hihg}\n"               /* 3 */
						    "domian: [never.example]\n"                  /* 4 */
						    "ip: [198.51.100.7, 300.1.2.3, 192.0.2.1]\n" /* 5 */
						    "domain:\n"
						    "  - good.example\n"
						    "  - [nested.example]\n" /* 6 */
						    "  - again.example\n"
						    "indicators:\n"
						    "  - {domain: a.example, confidence: 101}\n"       /* 7 */
						    "  - {domain: b.example, valid_until: tomorrow}\n" /* 8 */
						    "  - {domain: c.example, where: [tls.snii]}\n"     /* 9 */
						    "  - {severity: low}\n"                            /* 10 */
						    "  - {domain: e.example, ip: 192.0.2.9}\n"         /* 11 */
						    "  - {domain: f.example, serverity: low}\n"        /* 12 */
						    "  - {domain: fine.example}\n");
	assert_string_equal(
	    o.found,
	    "twelve.yaml:1:26: version: expected 0 to 4294967295, found \"x1\" [bad-version]\n"
	    "twelve.yaml:1:30: set has no key \"tpl\"; did you mean \"tlp\"? [unknown-key]\n"
	    "twelve.yaml:2:22: severity: expected one of low, medium, high, critical, found \"hihg\"; did you mean "
	    "\"high\"? "
	    "[bad-choice]\n"
	    "twelve.yaml:3:1: unknown key \"domian\"; did you mean \"domain\"? [unknown-key]\n"
	    "twelve.yaml:4:20: \"300.1.2.3\" is not a good ip [bad-ip]\n"
	    "twelve.yaml:7:5: domain: expected plain values; entries with fields stand under indicators, found a list "
	    "[bad-shape]\n"
	    "twelve.yaml:8:5: warning: domain \"again.example\" is in this set already [duplicate]\n"
	    "twelve.yaml:10:37: confidence: expected 0 to 100, found \"101\" [bad-confidence]\n"
	    "twelve.yaml:11:38: valid_until: expected a time such as 2027-03-01T00:00:00Z or 2027-03-01, found "
	    "\"tomorrow\" "
	    "[bad-time]\n"
	    "twelve.yaml:12:33: where: no place is called \"tls.snii\"; did you mean \"tls.sni\"? [bad-where]\n"
	    "twelve.yaml:13:5: the entry names no indicator, such as domain: bad.example [no-value]\n"
	    "twelve.yaml:14:29: a second value in one entry; give it an entry of its own [two-values]\n"
	    "twelve.yaml:15:25: unknown key \"serverity\"; did you mean \"severity\"? [unknown-key]\n");
	assert_string_equal(o.said, "set demo 0 unmarked\n"
				    "4 ip 198.51.100.7 medium 50 unmarked\n"
				    "4 ip 192.0.2.1 medium 50 unmarked\n"
				    "6 domain good.example medium 50 unmarked\n"
				    "16 domain fine.example medium 50 unmarked\n");
	assert_int_equal(o.count.loaded, 4);
	assert_int_equal(o.count.refused, 8);
	assert_int_equal(o.count.duplicate, 1);
	drop(&o);
}

/* One finding; everything that does not touch the broken place is loaded. */
static void broken_yaml(void **state)
{
	(void)state;
	static const struct {
		const char *label, *text, *loads;
	} cases[] = {
	    {"open quote in a list", "domain:\n  - a.example\n  - \"b.example\n  - c.example\nip: [192.0.2.1]\n",
	     "2a 4c 5i"},
	    {"open bracket", "domain: [a.example, b.example\nip: [192.0.2.1]\n", "1a 2i"},
	    {"open brace in an entry",
	     "indicators:\n  - {domain: a.example}\n  - {domain: b.example\n  - {domain: c.example}\nip: [192.0.2.1]\n",
	     "2a 4c 5i"},
	    {"list at column one", "domain:\n- a.example\n- [x\n- c.example\nip: [192.0.2.1]\n", "2a 4c 5i"},
	    {"tab", "domain:\n  - a.example\n\t- b.example\nip: [192.0.2.1]\n", "4i"},
	    {"alias", "domain:\n  - a.example\n  - *x\n  - c.example\nip: [192.0.2.1]\n", "2a 4c 5i"},
	    {"depth",
	     "domain:\n  - a.example\n  - [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n"
	     "  - c.example\nip: [192.0.2.1]\n",
	     "2a 4c 5i"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct outcome o = read_text("broken.yaml", cases[i].text);
		char got[64] = "";
		for (char *line = strtok(o.said, "\n"); line; line = strtok(NULL, "\n")) {
			unsigned number;
			char type[16], value[64];
			if (sscanf(line, "%u %15s %63s", &number, type, value) == 3)
				snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%u%c", *got ? " " : "",
					 number, strcmp(type, "ip") == 0 ? 'i' : value[0]);
		}
		if (strcmp(got, cases[i].loads) != 0)
			fail_msg("%s: loaded \"%s\"\n%s", cases[i].label, got, o.found);
		assert_non_null(strstr(o.found, "[yaml]"));
		if (strstr(strstr(o.found, "[yaml]") + 1, "[yaml]"))
			fail_msg("%s: %s", cases[i].label, o.found);
		drop(&o);
	}
}

static void bombs(void **state)
{
	(void)state;
	static const struct {
		const char *before, *repeat;
		int times;
	} cases[] = {
	    {"domain: ", "[", 100000},
	    {"indicators: ", "[{a: ", 100000},
	    {"", "{a: ", 100000},
	    {"domain:\n", "  - [[[\n", 20000},
	    {"", "a: [\n", 20000},
	    {"domain:\n", "  - \"\n", 20001},
	    {"", "- ", 100000},
	    {"", "domain: {\n  - *a\n", 20000},
	    {"indicators:\n", "  - {domain: [[\n", 20000},
	    {"set: ", "{id: ", 100000},
	    {"defaults: {labels: ", "[", 100000},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf text = {0};
		int64_t start = own_us();
		buf_printf(&text, "%s", cases[i].before);
		for (int k = 0; k < cases[i].times; k++)
			buf_add(&text, cases[i].repeat, strlen(cases[i].repeat));
		struct outcome o = read_bytes("bomb.yaml", text.p, text.n);
		assert_true(*o.found);
		if (own_us() - start > 1000000)
			fail_msg("case %zu took %lld us", i, (long long)(own_us() - start));
		drop(&o);
		buf_free(&text);
	}
}

static void odd_texts(void **state)
{
	(void)state;
	expect("bom.yaml",
	       "\xef\xbb\xbf"
	       "domain: [a.example]\r\nip: [192.0.2.1]\r\n",
	       "set bom 0 unmarked\n1 domain a.example medium 50 unmarked\n2 ip 192.0.2.1 medium 50 unmarked\n", "");
	expect("empty.yaml", "", "set empty 0 unmarked\n", "");
	expect("list.yaml", "- a.example\n", NULL,
	       "list.yaml:1:1: rule file: expected keys such as set, domain, indicators, found a list [bad-shape]\n");
	expect("nul.yaml", "domain: [\"a\\0b\", c.example]\n",
	       "set nul 0 unmarked\n1 domain c.example medium 50 unmarked\n",
	       "nul.yaml:1:10: the value holds a NUL character [nul]\n");
	expect("keys.yaml", "? [a, b]\n: c\ndomain: [x.example]\n? {c: d}\n: [1, {2: 3}]\n",
	       "set keys 0 unmarked\n3 domain x.example medium 50 unmarked\n",
	       "keys.yaml:1:3: expected the name of a key [bad-key]\nkeys.yaml:4:3: expected the name of a key "
	       "[bad-key]\n");
	expect("path.yaml",
	       "file: [{type: domain, path: ../x}, {type: domain, path: /etc/passwd}, {type: domian, path: x}, {type: "
	       "ip}]\n",
	       NULL,
	       "path.yaml:1:29: \"../x\" is not a path below this file's folder [bad-path]\n"
	       "path.yaml:1:57: \"/etc/passwd\" is not a path below this file's folder [bad-path]\n"
	       "path.yaml:1:78: there is no indicator type \"domian\"; did you mean \"domain\"? [unknown-type]\n"
	       "path.yaml:1:96: file: expected a type and a path [bad-shape]\n");
	struct outcome o = read_bytes("nul2.yaml", "domain: [a.example]\nip: [192.0.2.1\0]\n", 37);
	assert_non_null(strstr(o.found, "nul2.yaml:2:15: the byte 0x00 is not allowed"));
	drop(&o);
}

/* Two hundred thousand plain entries, and every prefix of a small file. */
static void large_and_cut(void **state)
{
	(void)state;
	struct buf text = {0};
	buf_printf(&text, "set: {id: big, version: 1}\ndomain:\n");
	for (int i = 0; i < 200000; i++)
		buf_printf(&text, "  - d%d.bad.example\n", i);
	the_builder.quiet = true;
	int64_t start = clock_mono_us();
	struct outcome o = read_bytes("big.yaml", text.p, text.n);
	printf("200,000 plain entries: %lld ms\n", (long long)(clock_mono_us() - start) / 1000);
	assert_int_equal(o.count.loaded, 200000);
	the_builder.quiet = false;
	drop(&o);
	buf_free(&text);
	static const char small[] =
	    "set: {id: a, version: 1}\ndefaults: {labels: [x]}\nip: [192.0.2.1]\nindicators:\n"
	    "  - {domain: a.example, note: {en: \"x\"}}\n  - domain: b.example\n    where: [tls]\n"
	    "allow:\n - {ip: 192.0.2.1, expires: 2027-01-01}\nfile: [{type: ip, path: none.txt}]\n";
	for (size_t n = 0; n < sizeof(small); n++) {
		o = read_bytes("cut.yaml", small, n);
		drop(&o);
	}
}

/* ---- CSV ---- */

static void csv(void **state)
{
	(void)state;
	expect("plain.csv", "domain,bad.example\n# comment\n\n  \nIP , 192.0.2.1 \r\nuser_agent,\" a \"\"b\"\", c\"\n",
	       "set plain 0 unmarked\n1 domain bad.example medium 50 unmarked\n5 ip 192.0.2.1 medium 50 unmarked\n"
	       "6 user_agent  a \"b\", c medium 50 unmarked\n",
	       "");
	expect("header.csv",
	       "\xef\xbb\xbf"
	       "Value,TYPE,severity,labels,note,id\r\nbad.example,domain,high,\"a,b\",\"two\nlines\",D-1\r\n"
	       "x.example,domain,,,,\r\ny.example,domain\r\n",
	       "set header 0 unmarked\n2 domain bad.example high 50 unmarked id=D-1 labels=a,b note=two\nlines\n"
	       "4 domain x.example medium 50 unmarked\n5 domain y.example medium 50 unmarked\n",
	       "");
	expect("wrong.csv",
	       "type,value,sevrity,confidence\n"
	       "domian,a.example\n"
	       "domain,\"b.example\"x\n"
	       "domain,c.example,high,200\n"
	       "domain\n"
	       "domain,e.example,high,1,more\n"
	       "ip,300.1.2.3\n"
	       "domain,g.example,high,70\n"
	       "domain,\"h.example\n"
	       "domain,i.example\n",
	       "set wrong 0 unmarked\n8 domain g.example medium 70 unmarked\n10 domain i.example medium 50 unmarked\n",
	       "wrong.csv:1:12: unknown column \"sevrity\"; did you mean \"severity\"? [unknown-key]\n"
	       "wrong.csv:2:1: there is no indicator type \"domian\"; did you mean \"domain\"? [unknown-type]\n"
	       "wrong.csv:3:19: expected a comma after the closing quote [bad-csv]\n"
	       "wrong.csv:4:23: confidence: expected 0 to 100, found \"200\" [bad-confidence]\n"
	       "wrong.csv:5:1: expected type,value [bad-csv]\n"
	       "wrong.csv:6:25: more cells than the header has columns [bad-csv]\n"
	       "wrong.csv:7:4: \"300.1.2.3\" is not a good ip [bad-ip]\n"
	       "wrong.csv:9:8: a quote that is never closed [bad-csv]\n");
	expect("extra.csv", "domain,a.example,x\ndomain,b.example,y\n",
	       "set extra 0 unmarked\n1 domain a.example medium 50 unmarked\n2 domain b.example medium 50 unmarked\n",
	       "extra.csv:1:18: warning: without a header only type and value are read; the other columns of this file "
	       "are not "
	       "[bad-csv]\n");
	expect("noval.csv", "type,valeu\ndomain,a.example\n", "set noval 0 unmarked\n",
	       "noval.csv:1:6: unknown column \"valeu\"; did you mean \"value\"? [unknown-key]\n"
	       "noval.csv:1:1: the header needs the columns type and value [bad-csv]\n");
	expect("latin.csv", "user_agent,caf\xe9\ndomain,\xe6\x97\xa5.example\n",
	       "set latin 0 unmarked\n2 domain 日.example medium 50 unmarked\n",
	       "latin.csv:1:12: the value is not UTF-8 text [not-utf8]\n");
	expect("sniffed", "type,value\ndomain,a.example\n",
	       "set sniffed 0 unmarked\n2 domain a.example medium 50 unmarked\n", "");
	struct outcome o = read_bytes("nul.csv", "domain,a\0b\ndomain,c.example\n", 28);
	assert_non_null(strstr(o.found, "nul.csv:1:8: the value holds a NUL character"));
	assert_int_equal(o.count.loaded, 1);
	drop(&o);
}

static void csv_bombs(void **state)
{
	(void)state;
	static const char *const repeats[] = {",", "\"", "\"\"",      "\"\n",    "\"a\n", ",\"", "domain,\"a\"\"\n",
					      "#", "\r", "\"\"\"a\n", "\"a\",\n"};
	for (size_t i = 0; i < sizeof(repeats) / sizeof(*repeats); i++) {
		struct buf text = {0};
		int64_t start = clock_mono_us();
		buf_printf(&text, "domain,");
		while (text.n < 2000000)
			buf_add(&text, repeats[i], strlen(repeats[i]));
		struct outcome o = read_bytes("bomb.csv", text.p, text.n);
		if (clock_mono_us() - start > 20000000) /* quadratic work would take minutes */
			fail_msg("case %zu took %lld us", i, (long long)(clock_mono_us() - start));
		drop(&o);
		buf_free(&text);
	}
	static const char small[] =
	    "type,value,note\ndomain,\"a\"\"\n.example\",\"x\",\n\"ip\",192.0.2.1\r\n# c\nip,1,2,3,4\n";
	for (size_t n = 0; n < sizeof(small); n++) {
		struct outcome o = read_bytes("cut.csv", small, n);
		drop(&o);
	}
}

/* ---- files and folders ---- */

static struct ruleset *load(const char *const *names, size_t n, bool allow_empty, char **found, bool *partial)
{
	char *paths[8];
	struct diags d = {0};
	for (size_t i = 0; i < n; i++)
		paths[i] = file_in_folder(names[i]);
	the_builder.said.n = the_builder.added = 0;
	struct ruleset *r = rulefile_load((const char *const *)paths, n, allow_empty, &d, partial);
	for (size_t i = 0; i < n; i++)
		free(paths[i]);
	*found = findings(&d);
	return r;
}

static void loading(void **state)
{
	(void)state;
	char *sub = file_in_folder("sub"), *found;
	bool partial;
	mkdir(sub, 0700);
	free(write_file("sub/a.yaml", "domain: [a.example]\n", 20));
	free(write_file("sub/b.csv", "domain,b.example\n", 17));
	free(write_file("sub/.hidden.csv", "domain,c.example\n", 17));
	free(write_file("sub/notes.txt", "nothing\n", 8));
	free(write_file("good.csv", "domain,g.example\n", 17));
	free(write_file("bad.csv", "ip,300.1.2.3\n", 13));
	free(write_file("x.set", "", 0));
	free(write_file("empty.set", "", 0));
	static const struct {
		const char *label, *names[3];
		size_t n;
		bool allow_empty, loads, partial;
		const char *says;
	} cases[] = {
	    {"one file", {"good.csv"}, 1, false, true, false, ""},
	    {"a folder", {"sub"}, 1, false, true, false, ""},
	    {"folder and file", {"sub", "good.csv"}, 2, false, true, false, ""},
	    {"a mistake", {"good.csv", "bad.csv"}, 2, false, true, true, "bad.csv:1:4"},
	    {"a missing file", {"good.csv", "none.csv"}, 2, false, true, true, "No such file"},
	    {"nothing left", {"bad.csv"}, 1, false, false, true, "[empty-set]"},
	    {"empty is meant", {"bad.csv"}, 1, true, true, true, "bad.csv:1:4"},
	    {"none named", {NULL}, 0, false, false, true, "[empty-set]"},
	    {"compiled", {"x.set"}, 1, false, true, false, ""},
	    {"compiled and empty", {"empty.set"}, 1, false, false, true, "[empty-set]"},
	    {"compiled and others", {"x.set", "good.csv"}, 2, false, false, true, "[compiled]"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct ruleset *r = load(cases[i].names, cases[i].n, cases[i].allow_empty, &found, &partial);
		if (!r == cases[i].loads || partial != cases[i].partial || !strstr(found, cases[i].says) ||
		    (!*cases[i].says && *found))
			fail_msg("%s: %s partial %d: %s", cases[i].label, r ? "loaded" : "refused", partial, found);
		free(found);
	}
	free(sub);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	buf_free(&the_builder.said);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everything),    cmocka_unit_test(head_anywhere), cmocka_unit_test(twelve_mistakes),
	    cmocka_unit_test(broken_yaml),   cmocka_unit_test(bombs),         cmocka_unit_test(odd_texts),
	    cmocka_unit_test(large_and_cut), cmocka_unit_test(csv),           cmocka_unit_test(csv_bombs),
	    cmocka_unit_test(loading),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
