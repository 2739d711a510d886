/* Configuration: every type, every kind of mistake with its place, the order of
 * file, environment and --set, and a dump that loads again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/conf.h"

struct sample {
	char *interface, *name;
	struct conf_list home;
	bool enabled;
	int64_t workers, memory, every_ms;
	int mode;
};

static const char *const modes[] = {"auto", "strict", "ignore", NULL};
static const struct conf_key keys[] = {
    {"capture.interface", CONF_STRING, offsetof(struct sample, interface), .help = "where packets come from"},
    {"capture.workers", CONF_INT, offsetof(struct sample, workers), 1, 64, "1", .help = "how many threads"},
    {"sensor.name", CONF_STRING, offsetof(struct sample, name), .fallback = "sensor-1"},
    {"sensor.home", CONF_STRING_LIST, offsetof(struct sample, home), .fallback = "10.0.0.0/8, fd00::/8"},
    {"capture.ring.memory", CONF_BYTES, offsetof(struct sample, memory), .min = 1 << 20, .max = 1ll << 40,
     .fallback = "64MB"},
    {"dpi.enabled", CONF_BOOL, offsetof(struct sample, enabled), .fallback = "true"},
    {"spool.every", CONF_DURATION_MS, offsetof(struct sample, every_ms), .min = 1, .max = 86400000, .fallback = "50ms"},
    {"vlan", CONF_CHOICE, offsetof(struct sample, mode), .fallback = "auto", .choices = modes},
};
#define KEYS (sizeof(keys) / sizeof(*keys))

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* The findings as printed, the file called F. */
static char *findings(struct diags *d, const char *path)
{
	char *out = NULL, *all = NULL;
	size_t n, all_n;
	FILE *f = open_memstream(&out, &n);
	diag_print(d, f);
	fclose(f);
	FILE *g = open_memstream(&all, &all_n);
	for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n")) {
		bool ours = path && strncmp(line, path, strlen(path)) == 0;
		fprintf(g, "%s%s\n", ours ? "F" : "", ours ? line + strlen(path) : line);
	}
	fclose(g);
	free(out);
	diag_free(d);
	return all;
}

static char path[] = "/tmp/picket-test-conf-XXXXXX";

static char *load(const char *text, struct sample *s)
{
	struct diags d = {0};
	write_file(path, text);
	conf_load(keys, KEYS, path, s, &d);
	return findings(&d, path);
}

static void defaults_and_values(void **state)
{
	(void)state;
	struct sample s = {0};
	char *none = load("", &s);
	assert_string_equal(none, "");
	free(none);
	assert_null(s.interface);
	assert_string_equal(s.name, "sensor-1");
	assert_int_equal(s.home.n, 2);
	assert_string_equal(s.home.v[1], "fd00::/8");
	assert_int_equal(s.memory, 64 << 20);
	assert_int_equal(s.every_ms, 50);
	assert_true(s.enabled);
	conf_free(keys, KEYS, &s);

	s = (struct sample){0};
	none = load("capture: {interface: eth1, workers: 4, ring: {memory: 1 GiB}}\n"
		    "sensor.name: tok-03\nsensor: {home: [192.0.2.0/24]}\ndpi:\n  enabled: off\n"
		    "spool: {every: 2m}\nvlan: strict\ncollector:\n",
		    &s);
	assert_string_equal(none, "F:8:1: error: unknown key \"collector\" [unknown-key]\n");
	free(none);
	assert_string_equal(s.interface, "eth1");
	assert_string_equal(s.name, "tok-03");
	assert_int_equal(s.home.n, 1);
	assert_int_equal(s.workers, 4);
	assert_int_equal(s.memory, 1 << 30);
	assert_int_equal(s.every_ms, 120000);
	assert_int_equal(s.mode, 1);
	assert_false(s.enabled);
	conf_free(keys, KEYS, &s);
}

static void all_mistakes_in_one_run(void **state)
{
	(void)state;
	struct sample s = {0};
	char *got = load("captur:\n"
			 "  interface: eth1\n"
			 "capture:\n"
			 "  interfaec: eth1\n"
			 "  workers: 65\n"
			 "  workers: 2\n"
			 "  ring: 12\n"
			 "sensor:\n"
			 "  name: [a]\n"
			 "  home: {a: b}\n"
			 "dpi: {enabled: perhaps}\n"
			 "spool: {every: 10}\n"
			 "vlan: strikt\n"
			 "memory: 1MB\n",
			 &s);
	assert_string_equal(
	    got, "F:1:1: error: unknown section \"captur\"; did you mean \"capture\"? [unknown-key]\n"
		 "F:4:3: error: unknown key \"capture.interfaec\"; did you mean \"capture.interface\"? [unknown-key]\n"
		 "F:5:12: error: capture.workers: 65 is outside 1..64 [out-of-range]\n"
		 "F:6:3: error: capture.workers is given twice; the first is on line 5 [duplicate-key]\n"
		 "F:7:9: error: capture.ring: expected a section with keys below it [bad-value]\n"
		 "F:9:9: error: sensor.name: expected text, found a list [bad-value]\n"
		 "F:10:9: error: sensor.home: expected a list of texts, found a section [bad-value]\n"
		 "F:11:16: error: dpi.enabled: expected true or false, found \"perhaps\" [bad-value]\n"
		 "F:12:16: error: spool.every: expected a duration such as 250ms, 10s, 5m, 1h or 7d, found \"10\" "
		 "[bad-value]\n"
		 "F:13:7: error: vlan: expected one of auto, strict, ignore, found \"strikt\"; did you mean "
		 "\"strict\"? [bad-choice]\n"
		 "F:14:1: error: unknown key \"memory\"; did you mean \"capture.ring.memory\"? [unknown-key]\n");
	free(got);
	assert_int_equal(s.workers, 1);
	conf_free(keys, KEYS, &s);
}

static void broken_files(void **state)
{
	(void)state;
	static const char *const texts[] = {"a: [b\n",        "- a\n- b\n", "just text\n",
					    "\"\\x00\": 1\n", "[[[[[[[[",   "? {a: b}\n: c\n"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct sample s = {0};
		char *got = load(texts[i], &s);
		assert_non_null(strstr(got, "error"));
		free(got);
		conf_free(keys, KEYS, &s);
	}
	struct sample s = {0};
	struct diags d = {0};
	assert_false(conf_load(keys, KEYS, "/nonexistent/picket.yaml", &s, &d));
	diag_free(&d);
	conf_free(keys, KEYS, &s);
}

static void environment_and_set(void **state)
{
	(void)state;
	struct sample s = {0};
	setenv("PICKET_CAPTURE__INTERFACE", "eth7", 1);
	setenv("PICKET_SENSOR__HOME", "192.0.2.0/24, 198.51.100.0/24", 1);
	setenv("PICKET_CAPTURE__WORKERS", "many", 1);
	setenv("PICKET_SENSOR__NMAE", "x", 1);
	setenv("PICKET_CONFIG", "not a key and not ours", 1);
	char *got = load("capture: {interface: eth1}\n", &s);
	assert_non_null(
	    strstr(got, "PICKET_CAPTURE__WORKERS: error: capture.workers: expected a whole number, found \"many\""));
	assert_non_null(strstr(got, "PICKET_SENSOR__NMAE: error: no configuration key goes by this name; did you mean "
				    "PICKET_SENSOR__NAME?"));
	assert_null(strstr(got, "PICKET_CONFIG"));
	free(got);
	assert_string_equal(s.interface, "eth7");
	assert_int_equal(s.home.n, 2);
	assert_string_equal(s.home.v[1], "198.51.100.0/24");
	struct diags d = {0};
	assert_true(conf_set(keys, KEYS, "capture.interface", "eth9", &s, &d));
	assert_string_equal(s.interface, "eth9");
	assert_false(conf_set(keys, KEYS, "capture.interfaces", "eth9", &s, &d));
	got = findings(&d, NULL);
	assert_string_equal(
	    got,
	    "--set: error: unknown key \"capture.interfaces\"; did you mean \"capture.interface\"? [unknown-key]\n");
	free(got);
	conf_free(keys, KEYS, &s);
	unsetenv("PICKET_CAPTURE__INTERFACE");
	unsetenv("PICKET_SENSOR__HOME");
	unsetenv("PICKET_CAPTURE__WORKERS");
	unsetenv("PICKET_SENSOR__NMAE");
	unsetenv("PICKET_CONFIG");
}

static char *dump(const struct sample *s)
{
	char *out = NULL;
	size_t n;
	FILE *f = open_memstream(&out, &n);
	conf_dump(keys, KEYS, s, f);
	fclose(f);
	return out;
}

static void dump_loads_again(void **state)
{
	(void)state;
	static const char *const names[] = {"plain",        "with \"quotes\" \\ and: colon",
					    "# no comment", "true",
					    "12",           "",
					    "日本",         "line\nbreak\ttab",
					    "*star",        "- dash",
					    "\x01"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct sample s = {0}, again = {0};
		struct diags d = {0};
		assert_true(conf_load(keys, KEYS, NULL, &s, &d));
		assert_true(conf_set(keys, KEYS, "sensor.name", names[i], &s, &d));
		assert_true(conf_set(keys, KEYS, "capture.ring.memory", "3000000", &s, &d));
		assert_true(conf_set(keys, KEYS, "spool.every", "90s", &s, &d));
		char *first = dump(&s);
		char *none = load(first, &again);
		assert_string_equal(none, "");
		char *second = dump(&again);
		assert_string_equal(first, second);
		assert_string_equal(again.name ? again.name : "", names[i]);
		assert_int_equal(again.memory, 3000000);
		assert_int_equal(again.every_ms, 90000);
		free(none);
		free(first);
		free(second);
		conf_free(keys, KEYS, &s);
		conf_free(keys, KEYS, &again);
		diag_free(&d);
	}
}

static void nearest(void **state)
{
	(void)state;
	static const char *const known[] = {"domain", "hostname", "user_agent", "ip", "url", NULL};
	static const struct {
		const char *word, *want;
	} cases[] = {{"domian", "domain"},
		     {"Domain", "domain"},
		     {"user-agent", "user_agent"},
		     {"hostnames", "hostname"},
		     {"ipp", "ip"},
		     {"certificate", NULL},
		     {"", NULL},
		     {"uri", "url"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *got = diag_nearest(cases[i].word, known);
		if (!got != !cases[i].want || (got && strcmp(got, cases[i].want) != 0))
			fail_msg("%s: %s", cases[i].word, got ? got : "none");
	}
}

static void findings_are_bounded_and_clean(void **state)
{
	(void)state;
	struct diags d = {.limit = 2};
	for (int i = 0; i < 5; i++)
		diag_add(&d, DIAG_ERROR, (struct diag_place){"f\033[2J", 3, 4}, "code", "bad \"%s\"", "\033]0;x\007");
	char *got = findings(&d, NULL);
	assert_string_equal(got, "f\\x1b[2J:3:4: error: bad \"\\x1b]0;x\\x07\" [code]\n"
				 "f\\x1b[2J:3:4: error: bad \"\\x1b]0;x\\x07\" [code]\n"
				 "… and 3 more findings (the first 2 are shown)\n");
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults_and_values),
	    cmocka_unit_test(all_mistakes_in_one_run),
	    cmocka_unit_test(broken_files),
	    cmocka_unit_test(environment_and_set),
	    cmocka_unit_test(dump_loads_again),
	    cmocka_unit_test(nearest),
	    cmocka_unit_test(findings_are_bounded_and_clean),
	};
	int fd = mkstemp(path);
	if (fd < 0)
		return 1;
	close(fd);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
