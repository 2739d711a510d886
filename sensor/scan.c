/* `picket scan`: each file is a capture of its own, read by the same worker that
 * runs live. Alerts go to standard output, everything else to standard error. */
#include "sensor/scan.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "common/text.h"
#include "rules/heuristic.h"
#include "sensor/sensor_conf.h"
#include "sensor/unread.h"
#include "sensor/worker.h"

#define PROGRESS_US 500000

struct scan {
	const char **rules;
	size_t rules_n;
	const char *filter;
	struct prefix *home;
	size_t home_n;
	bool text, quiet, verbose, progress;
	int fail_on; /* enum severity, or SEVERITY_COUNT: never */
	struct worker_conf worker;
	struct alert_origin origin;
	struct sensor_conf conf; /* the defaults: for the heuristics' thresholds */

	const struct armed *armed;
	struct ledger total;
	uint64_t alerts, failing;
	bool cut, failed, read_any;
	int64_t shown_us;
};

static const char usage[] =
    "usage: picket scan --rules FILE [option…] CAPTURE…\n"
    "Matches capture files (pcap, pcapng, gzip'd or zstd'd; - is standard input) against indicators.\n"
    "One alert per indicator, flow and place goes to standard output: JSON lines, or a table on a terminal.\n"
    "\n"
    "  -r, --rules FILE      rule file (YAML, CSV, compiled) or folder; may be given again\n"
    "      --json            JSON lines, also on a terminal\n"
    "      --text            the table, also in a pipe\n"
    "      --fail-on LEVEL   exit 1 when an alert of this severity or above was raised:\n"
    "                        low, medium, high, critical\n"
    "      --filter BPF      only packets that this filter takes\n"
    "      --home PREFIX     own network, for the direction of alerts; may be given again\n"
    "                        (default: private and link-local ranges)\n"
    "      --dpi MODE        nDPI: off, unrecognised (default), all\n"
    "      --vlan MODE       VLAN tags as part of the flow: auto (default: no), strict, ignore\n"
    "      --memory MB       bound for streams and parsers (default 256)\n"
    "      --flows N         bound of the flow table (default 1048576)\n"
    "      --heuristics LIST heuristics to turn on: all, or names with commas (port-scan, address-scan,\n"
    "                        beacon, dns-tunnel, nxdomain-flood)\n"
    "  -q, --quiet           no packet ledger on standard error\n"
    "  -v, --verbose         the ledger's explanations, and the rule set's types\n"
    "  -h, --help            this text\n"
    "\n"
    "Exit code: 0 done, 1 --fail-on, 2 usage, 3 rules invalid, 4 nothing could be read, 5 partly done\n"
    "(a file was cut short or unreadable, or some of the rules did not load).\n";

/* ---- alerts ---- */

static const char *severity_colour(enum severity s)
{
	static const char *const colour[SEVERITY_COUNT] = {"", "\033[33m", "\033[31m", "\033[1;31m"};
	return isatty(STDOUT_FILENO) && !getenv("NO_COLOR") ? colour[s] : "";
}

static void endpoint_text(char *out, size_t n, const struct addr *a, uint16_t port)
{
	char text[ADDR_TEXT_LEN];
	addr_format(a, text);
	if (!port)
		snprintf(out, n, "%s", text);
	else
		snprintf(out, n, addr_is_v4(a) ? "%s:%u" : "[%s]:%u", text, port);
}

static void print_text(const struct alert *a, const struct indicator *i, const char *set)
{
	char time[CLOCK_TEXT_LEN], src[64], dest[64], value[200], id[80];
	clock_format(a->ts_us, time);
	endpoint_text(src, sizeof(src), &a->flow.src, a->flow.src_port);
	endpoint_text(dest, sizeof(dest), &a->flow.dest, a->flow.dest_port);
	text_clean(value, sizeof(value), i->value, strlen(i->value));
	text_clean(id, sizeof(id), set, strlen(set));
	const char *colour = severity_colour(i->severity);
	printf("%s  %s%-8s%s  %-12s %s  (%s, %s)  %s -> %s\n", time, colour, severity_names[i->severity],
	       *colour ? "\033[0m" : "", indicator_type_name(i->type), value, where_name(a->where), id, src, dest);
}

static bool take_alert(void *owner, const struct ruleset *r, const struct alert *a, bool repeat)
{
	struct scan *s = owner;
	if (repeat)
		return true;
	struct indicator i = ruleset_indicator(r, a->indicator);
	s->alerts++;
	s->failing += (int)i.severity >= s->fail_on;
	if (s->text) {
		print_text(a, &i, ruleset_set(r, a->indicator).id);
		return true;
	}
	struct buf line = {0};
	alert_json(&line, a, r, &s->origin);
	buf_u8(&line, '\n');
	fwrite(line.p, 1, line.n, stdout);
	buf_free(&line);
	return true;
}

/* ---- files ---- */

static void show_progress(struct scan *s, struct worker *w, const char *path)
{
	if (!s->progress)
		return;
	int64_t now_us = clock_mono_us();
	if (now_us - s->shown_us < PROGRESS_US)
		return;
	s->shown_us = now_us;
	struct ledger l;
	worker_ledger(w, &l);
	fprintf(stderr, "\r%s: %llu packets, %llu alerts\033[K", text_shown(path),
		(unsigned long long)l.v[LEDGER_RECEIVED], (unsigned long long)s->alerts);
}

/* A scan reads what it is told to and writes to standard output: whoever takes it
 * over by a capture can write no file and connect nowhere. */
static void confine(void)
{
	struct sandbox box = {.profile = SANDBOX_SCAN};
	struct err e;
	sandbox_write_beside(&box, "/dev/null");
	if (!sandbox_enter(&box, &e))
		complain("picket scan: goes on without its sandbox: %s", e.text);
}

static void scan_file(struct scan *s, const char *path)
{
	struct err e = {.text = ""};
	struct capture *c = capture_open_file(path, s->filter, &e);
	struct worker_conf conf = s->worker;
	struct heuristics_conf heuristics = {
	    .thresholds = &s->conf.heuristic, .origin = &s->origin, .alert = take_alert, .owner = s, .in_order = true};
	conf.tap.engine = c ? heuristics_new(&heuristics, s->armed, &e) : NULL;
	struct worker *w = conf.tap.engine ? worker_new(&conf, c, s->armed, &e) : NULL;
	if (!w) {
		complain("picket scan: %s", e.text);
		heuristics_free(conf.tap.engine);
		s->failed = true;
		return;
	}
	enum capture_result r;
	while ((r = worker_step(w, 0, &e)) == CAPTURE_PACKETS)
		show_progress(s, w, path);
	worker_finish(w);
	if (s->progress && s->shown_us)
		fputs("\r\033[K", stderr);
	if (e.text[0])
		complain("picket scan: %s", e.text);
	struct ledger l;
	worker_ledger(w, &l);
	ledger_sum(&s->total, &l);
	s->read_any |= l.v[LEDGER_RECEIVED] > 0;
	s->cut |= r != CAPTURE_EOF || capture_cut(c);
	heuristics_ledger(conf.tap.engine, &l);
	ledger_sum(&s->total, &l);
	worker_free(w);
	heuristics_free(conf.tap.engine);
}

/* ---- the command line ---- */

enum {
	OPT_JSON = 256,
	OPT_TEXT,
	OPT_FAIL_ON,
	OPT_FILTER,
	OPT_HOME,
	OPT_DPI,
	OPT_VLAN,
	OPT_MEMORY,
	OPT_FLOWS,
	OPT_HEURISTICS
};

static const struct option options[] = {
    {"rules", required_argument, NULL, 'r'},
    {"json", no_argument, NULL, OPT_JSON},
    {"text", no_argument, NULL, OPT_TEXT},
    {"fail-on", required_argument, NULL, OPT_FAIL_ON},
    {"filter", required_argument, NULL, OPT_FILTER},
    {"home", required_argument, NULL, OPT_HOME},
    {"dpi", required_argument, NULL, OPT_DPI},
    {"vlan", required_argument, NULL, OPT_VLAN},
    {"memory", required_argument, NULL, OPT_MEMORY},
    {"flows", required_argument, NULL, OPT_FLOWS},
    {"heuristics", required_argument, NULL, OPT_HEURISTICS},
    {"quiet", no_argument, NULL, 'q'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* The index of word in a NULL-terminated list; -1 with a sentence if it is none. */
static int choose(const char *option, const char *word, const char *const *list)
{
	for (int i = 0; list[i]; i++)
		if (strcmp(word, list[i]) == 0)
			return i;
	struct buf known = {0};
	for (int i = 0; list[i]; i++)
		buf_printf(&known, "%s %s", i ? "," : "", list[i]);
	complain("picket scan: %s \"%s\": expected%s", option, word, (const char *)known.p);
	buf_free(&known);
	return -1;
}

static bool number(const char *option, const char *word, long long max, long long *out)
{
	char *end;
	long long v = strtoll(word, &end, 10);
	if (end == word || *end || v < 1 || v > max) {
		complain("picket scan: %s \"%s\": expected a number from 1 to %lld", option, word, max);
		return false;
	}
	*out = v;
	return true;
}

static bool add_home(struct scan *s, const char *word)
{
	s->home = xrealloc(s->home, (s->home_n + 1) * sizeof(*s->home));
	if (prefix_parse(word, strlen(word), &s->home[s->home_n])) {
		s->home_n++;
		return true;
	}
	complain("picket scan: --home \"%s\" is not a network such as 192.0.2.0/24", word);
	return false;
}

/* Comma-separated names, or all. */
static bool add_heuristics(struct scan *s, const char *list)
{
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",");
		char *word = xstrndup(p, n);
		bool all = strcmp(word, "all") == 0;
		int one = all ? 0 : choose("--heuristics", word, heuristic_names);
		free(word);
		if (one < 0)
			return false;
		for (int i = all ? 0 : one; i < (all ? HEURISTIC_COUNT : one + 1); i++)
			s->conf.heuristic.on[i] = true;
		p += n + (p[n] == ',');
	}
	return true;
}

static bool take_option(struct scan *s, int opt, const char *arg)
{
	static const char *const dpi_modes[] = {"off", "unrecognised", "all", NULL};
	static const char *const vlan_modes[] = {"auto", "strict", "ignore", NULL};
	long long v = 0;
	int choice = 0;
	switch (opt) {
	case 'r':
		s->rules = xrealloc(s->rules, (s->rules_n + 1) * sizeof(*s->rules));
		s->rules[s->rules_n++] = arg;
		return true;
	case 'q':
		return s->quiet = true;
	case 'v':
		return s->verbose = true;
	case OPT_JSON:
		s->text = false;
		return true;
	case OPT_TEXT:
		return s->text = true;
	case OPT_FILTER:
		s->filter = arg;
		return true;
	case OPT_HOME:
		return add_home(s, arg);
	case OPT_FAIL_ON:
		return (s->fail_on = choose("--fail-on", arg, severity_names)) >= 0;
	case OPT_DPI:
		choice = choose("--dpi", arg, dpi_modes);
		s->worker.dpi = (enum dpi_mode)choice;
		return choice >= 0;
	case OPT_VLAN:
		choice = choose("--vlan", arg, vlan_modes);
		s->worker.vlan = (enum vlan_mode)choice;
		return choice >= 0;
	case OPT_HEURISTICS:
		return add_heuristics(s, arg);
	case OPT_MEMORY:
		if (!number("--memory", arg, 1 << 20, &v))
			return false;
		s->worker.memory_bytes = (size_t)v << 20;
		return true;
	case OPT_FLOWS:
		if (!number("--flows", arg, 1 << 28, &v))
			return false;
		s->worker.flows = (size_t)v;
		return true;
	default:
		return false;
	}
}

/* EXIT_OK: go on with the files behind optind. EXIT_FINDINGS here: help was asked for. */
static int read_options(struct scan *s, int argc, char **argv)
{
	int opt;
	optind = 1;
	while ((opt = getopt_long(argc, argv, "r:qvh", options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage, stdout);
			return -1;
		}
		if (!take_option(s, opt, optarg))
			return EXIT_USAGE;
	}
	if (!s->rules_n || optind == argc) {
		complain("picket scan: %s; see picket scan --help",
			 s->rules_n ? "name at least one capture file, or - for standard input"
				    : "name the indicators with --rules FILE");
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

static int scan_result(const struct scan *s)
{
	if (s->failed && !s->read_any)
		return EXIT_ENVIRONMENT;
	if (s->failing)
		return EXIT_FINDINGS;
	return s->failed || s->cut || s->armed->partial ? EXIT_PARTIAL : EXIT_OK;
}

static void print_sum(const struct scan *s)
{
	if (s->quiet)
		return;
	ledger_print(&s->total, stderr);
	unread_print(&s->total, stderr);
	if (!ledger_balanced(&s->total))
		fputs("picket scan: the ledger does not balance: this is a bug, please report it\n", stderr);
}

static int scan_run(struct scan *s, int argc, char **argv)
{
	struct diags d = {0};
	struct armed *armed = armed_load(s->rules, s->rules_n, false, 1, &d);
	diag_print(&d, stderr);
	diag_free(&d);
	if (!armed)
		return EXIT_INVALID;
	s->armed = armed;
	if (armed->partial)
		fputs("picket scan: part of the rules did not load; matching with the rest\n", stderr);
	if (s->verbose) {
		char text[1024];
		armed_describe(armed, text, sizeof(text));
		complain("picket scan: %s", text);
	}
	confine();
	for (int i = optind; i < argc; i++)
		scan_file(s, argv[i]);
	if (fflush(stdout) || ferror(stdout)) {
		fputs("picket scan: cannot write the alerts to standard output\n", stderr);
		s->failed = true;
	}
	print_sum(s);
	int code = scan_result(s);
	armed_free(armed);
	return code;
}

int scan_main(int argc, char **argv)
{
	struct scan s = {
	    .text = isatty(STDOUT_FILENO),
	    .fail_on = SEVERITY_COUNT,
	    .progress = isatty(STDERR_FILENO),
	    .worker = {.dpi = DPI_UNRECOGNISED, .ndpi.wait = true, .alert = take_alert, .decode.checksums = true},
	};
	struct diags none = {0};
	conf_load(sensor_keys, sensor_keys_n, NULL, &s.conf, &none);
	diag_free(&none);
	int code = read_options(&s, argc, argv);
	if (code == EXIT_OK) {
		s.origin = (struct alert_origin){
		    .sensor_id = "scan", .site = "", .tenant = "", .home = s.home, .home_n = s.home_n};
		s.worker.origin = &s.origin;
		s.worker.owner = &s;
		code = scan_run(&s, argc, argv);
	}
	free(s.rules);
	free(s.home);
	conf_free(sensor_keys, sensor_keys_n, &s.conf);
	return code < 0 ? EXIT_OK : code;
}
