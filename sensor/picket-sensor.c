/* picket-sensor: captures, inspects, matches, and forwards alerts. */
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/exits.h"
#include "common/frame.h"
#include "common/log.h"
#include "common/metrics.h"
#include "sensor/confine.h"
#include "sensor/live.h"
#include "sensor/sensor_metrics.h"
#include "sensor/status.h"
#include "sensor/supply.h"
#include "sensor/unread.h"

#define STATUS_S      5
#define FILE_LEAVE_MS 600000 /* a file was read: the collector is waited for */

struct sensor {
	const char *conf_path;
	struct diags d;
	struct sensor_conf conf;
	bool check, dump;
	const char *file; /* -r */
	enum log_level level;
	char host[FRAME_ID_MAX + 1];

	struct prefix *home;
	struct alert_origin origin;
	struct worker_conf worker;
	struct supply supply;
	struct armed *armed;
	struct output *output;
	struct heuristics *heuristics; /* -r; a running sensor's are in live */
	struct live *live;
	struct metrics *metrics;
	struct ledger ledger;
	int64_t started_us;
	uint64_t rules_refused;
};

static const char usage[] =
    "usage: picket-sensor [-c FILE] [-i INTERFACE | -r CAPTURE] [option…] [BPF filter]\n"
    "\n"
    "  -c, --config FILE      configuration (YAML); see --dump-config and picket-sensor.yaml(5)\n"
    "  -i, --interface IF     capture from this interface; may be given again\n"
    "  -r, --read FILE        read a capture file instead; - is standard input\n"
    "  -R, --rules FILE       rule file or folder, added to rules.files; may be given again\n"
    "  -o, --output FILE      alerts as JSON lines to FILE; - is standard output\n"
    "      --set KEY=VALUE    set a configuration key\n"
    "  -T, --test             check configuration and rules, print every problem, exit\n"
    "      --dump-config      print every key with its value and meaning, exit\n"
    "  -v, -q                 more, less on standard error\n"
    "      --version, --help\n"
    "\n"
    "Signals: HUP reads rules, certificates and revocation lists again and reopens -o;\n"
    "USR1 prints the packet ledger; TERM and INT flush and leave.\n"
    "Exit code: 0 ok, 2 usage, 3 configuration or rules invalid, 4 environment (permission, interface, disk),\n"
    "5 a file was cut short or part of the rules did not load.\n";

/* ---- the command line ---- */

enum { OPT_SET = 256, OPT_DUMP, OPT_VERSION };

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"interface", required_argument, NULL, 'i'},
    {"read", required_argument, NULL, 'r'},
    {"rules", required_argument, NULL, 'R'},
    {"output", required_argument, NULL, 'o'},
    {"set", required_argument, NULL, OPT_SET},
    {"test", no_argument, NULL, 'T'},
    {"dump-config", no_argument, NULL, OPT_DUMP},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {"verbose", no_argument, NULL, 'v'},
    {"quiet", no_argument, NULL, 'q'},
    {NULL, 0, NULL, 0},
};
#define SHORT_OPTIONS "c:i:r:R:o:Tvqh"

static void list_add(struct conf_list *l, const char *word)
{
	l->v = xrealloc(l->v, (l->n + 1) * sizeof(*l->v));
	l->v[l->n++] = xstrdup(word);
}

static void list_clear(struct conf_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct conf_list){0};
}

static void replace(char **at, const char *word)
{
	free(*at);
	*at = xstrdup(word);
}

/* First round: what decides how the configuration is read. A negative result: go on. */
static int first_round(struct sensor *s, int argc, char **argv)
{
	int opt;
	while ((opt = getopt_long(argc, argv, SHORT_OPTIONS, options, NULL)) != -1) {
		if (opt == 'h') {
			fputs(usage, stdout);
			return EXIT_OK;
		}
		if (opt == OPT_VERSION) {
			puts("picket-sensor " PICKET_VERSION);
			return EXIT_OK;
		}
		if (opt == '?')
			return EXIT_USAGE;
		if (opt == 'c')
			s->conf_path = optarg;
		s->check |= opt == 'T';
		s->dump |= opt == OPT_DUMP;
		s->level = opt == 'v' ? LOG_LEVEL_DEBUG : opt == 'q' ? LOG_LEVEL_WARN : s->level;
	}
	return -1;
}

/* Second round: what the command line puts in the configuration's place. */
static bool second_round(struct sensor *s, int argc, char **argv)
{
	int opt;
	bool ok = true, interfaces = false;
	optind = 1;
	while ((opt = getopt_long(argc, argv, SHORT_OPTIONS, options, NULL)) != -1) {
		if (opt == 'i') {
			if (!interfaces)
				list_clear(&s->conf.interfaces);
			interfaces = true;
			list_add(&s->conf.interfaces, optarg);
		}
		if (opt == 'R')
			list_add(&s->conf.rules, optarg);
		if (opt == 'r')
			s->file = optarg;
		if (opt == 'o')
			replace(&s->conf.json_path, optarg);
		if (opt == OPT_SET)
			ok &= conf_set_word(sensor_keys, sensor_keys_n, optarg, &s->conf, &s->d);
	}
	struct buf filter = {0};
	for (int i = optind; i < argc; i++)
		buf_printf(&filter, "%s%s", i > optind ? " " : "", argv[i]);
	if (filter.n)
		replace(&s->conf.filter, (const char *)filter.p);
	buf_free(&filter);
	return ok;
}

static bool read_conf(struct sensor *s, int argc, char **argv)
{
	bool ok = conf_load(sensor_keys, sensor_keys_n, s->conf_path, &s->conf, &s->d);
	ok &= second_round(s, argc, argv);
	if (!s->conf.id) {
		gethostname(s->host, sizeof(s->host) - 1);
		replace(&s->conf.id, s->host);
	}
	return ok && sensor_conf_check(&s->conf, &s->d);
}

static void print_findings(struct sensor *s)
{
	diag_print(&s->d, stderr);
	diag_free(&s->d);
}

/* ---- rules ---- */

/* The first lines: what was decided, and what cannot work. */
static void tell_rules(const struct sensor *s)
{
	char text[1024];
	armed_describe(s->armed, text, sizeof(text));
	log_info("armed with %s", text);
	if (!ruleset_count(s->armed->rules, INDICATOR_NONE))
		log_warnx("the rule set is EMPTY: nothing will be matched");
	if (s->armed->partial)
		log_warnx("part of the rules did NOT load (see above): matching with the rest");
	enum dpi_mode needs = armed_dpi_mode(s->armed, DPI_UNRECOGNISED);
	if (s->conf.dpi == DPI_OFF && needs == DPI_ALL)
		log_warnx("dpi.mode is off: the protocol and risk indicators of this set can NOT match");
	if (s->conf.dpi == DPI_UNRECOGNISED && needs == DPI_ALL)
		log_info("the set holds protocol or risk indicators: nDPI sees every flow");
}

static uint16_t next_generation(const struct sensor *s)
{
	return (uint16_t)(s->armed->generation % 65535 + 1);
}

static void take_over(struct sensor *s, struct armed *next)
{
	hiding_inherit(next->hiding, s->armed->hiding);
	ruleset_silenced_inherit(next->rules, s->armed->rules);
	if (!live_arm(s->live, next)) {
		log_errorx("a worker did not take the new rules within ten seconds; the old set's memory is kept");
	} else {
		armed_free(s->armed);
	}
	s->armed = next;
}

static void reload(struct sensor *s)
{
	output_reload(s->output); /* also when the rules turn out to be refused */
	supply_reread(&s->supply, &s->d);
	struct armed *next = supply_load(&s->supply, next_generation(s), &s->d);
	print_findings(s);
	if (!next) {
		s->rules_refused++;
		log_errorx("the new rules are refused, see above; the set loaded before stays");
		return;
	}
	take_over(s, next);
	tell_rules(s);
}

/* rulesync_arm(): sets came from the collector. What is wrong in other files was told when they were loaded. */
static bool arm_sets(void *owner, const char *const *paths, size_t n, struct err *e)
{
	struct sensor *s = owner;
	struct diags d = {0};
	struct armed *next = supply_load_with(&s->supply, paths, n, next_generation(s), &d);
	if (!next)
		err_set(e, "it cannot be armed: %.400s", d.n ? d.list[d.n - 1].text : "no reason was given");
	diag_free(&d);
	if (!next)
		return false;
	take_over(s, next);
	return true;
}

/* rulesync_arm_changes() */
static bool arm_changes(void *owner, const struct rulesync_change *c, size_t n, struct err *e)
{
	struct sensor *s = owner;
	struct armed *next = supply_change(s->armed, c, n, next_generation(s), e);
	if (next)
		take_over(s, next);
	return next != NULL;
}

/* ---- start ---- */

static void fill_ports(uint16_t *out, const struct conf_list *l)
{
	for (size_t i = 0; i < l->n && i < 4; i++)
		out[i] = (uint16_t)strtoul(l->v[i], NULL, 10);
}

/* NULL: not kept. The default folder need not be there: then it is said, no more. */
static const char *killers_folder(const struct sensor_conf *c)
{
	if (!c->killers || c->dpi == DPI_OFF)
		return NULL;
	mkdir(c->killers, 0700);
	if (access(c->killers, W_OK | X_OK) == 0)
		return c->killers;
	log_info("dpi.killers: \"%s\" cannot be written to: packets that kill nDPI are not kept", c->killers);
	return NULL;
}

static void plan(struct sensor *s)
{
	const struct sensor_conf *c = &s->conf;
	size_t home_n;
	s->home = sensor_conf_home(c, &home_n);
	s->origin = (struct alert_origin){.sensor_id = c->id,
					  .site = c->site ? c->site : "",
					  .tenant = c->tenant ? c->tenant : "",
					  .home = s->home,
					  .home_n = home_n};
	s->worker = (struct worker_conf){
	    .decode = {.defrag_bytes = (size_t)c->defrag_bytes, .checksums = c->checksums},
	    .flows = (size_t)c->flows,
	    .memory_bytes = (size_t)c->memory_bytes,
	    .vlan = (enum vlan_mode)c->vlan,
	    .dpi = (enum dpi_mode)c->dpi,
	    .ndpi = {.killers = killers_folder(c), .unconfined = !c->sandbox},
	    .overload = {.mode = (enum overload_mode)c->overload,
			 .high = (int)c->overload_high,
			 .low = (int)c->overload_low,
			 .hold_us = c->overload_hold_ms * 1000},
	    .origin = &s->origin,
	};
	fill_ports(s->worker.decode.vxlan_ports, &c->vxlan_ports);
	fill_ports(s->worker.decode.geneve_ports, &c->geneve_ports);
}

static struct output_conf output_conf_of(const struct sensor *s)
{
	const struct sensor_conf *c = &s->conf;
	return (struct output_conf){
	    .json_path = c->json_path,
	    .spool_dir = c->collectors.n ? c->spool_dir : NULL,
	    .spool_bytes = c->spool_bytes,
	    .horizon_ms = c->horizon_ms,
	    .horizon_bytes = c->horizon_bytes,
	    .fsync = c->fsync,
	    .collectors = c->collectors,
	    .tls_cert = c->tls_cert,
	    .tls_key = c->tls_key,
	    .tls_ca = c->tls_ca,
	    .tls_crl = c->tls_crl,
	    .sensor_id = c->id,
	    .sync = s->supply.sync,
	};
}

static bool start_output(struct sensor *s, unsigned producers, struct err *e)
{
	struct output_conf o = output_conf_of(s);
	if (!o.json_path && !o.collectors.n)
		return err_set(e, "nowhere to send alerts: give -o FILE (- is standard output) or collector.address");
	s->supply.output = s->output = output_start(&o, producers, e);
	return s->output != NULL;
}

/* ---- running ---- */

static struct status status_now(struct sensor *s, struct output_stats *stats)
{
	output_stats(s->output, stats);
	if (s->live)
		live_ledger(s->live, &s->ledger);
	return (struct status){
	    .conf = &s->conf,
	    .id = s->conf.id,
	    .armed = s->armed,
	    .captures = s->live ? live_workers(&s->conf) : 1,
	    .captures_up = s->live ? live_captures_up(s->live) : 1,
	    .ledger = &s->ledger,
	    .output = stats,
	    .started_us = s->started_us,
	    .rules_refused = s->rules_refused,
	    .sync = s->supply.sync,
	};
}

static void render_metrics(void *owner, struct buf *out)
{
	struct output_stats stats;
	struct status status = status_now(owner, &stats);
	sensor_metrics(out, &status);
}

static void tell_status(struct sensor *s)
{
	struct output_stats stats;
	struct buf json = {0};
	struct status status = status_now(s, &stats);
	status_json(&json, &status);
	output_status(s->output, (const char *)json.p, json.n);
	buf_free(&json);
}

static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	pthread_sigmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static bool start_metrics(struct sensor *s, struct err *e)
{
	if (!s->conf.metrics)
		return true;
	s->metrics = metrics_open(s->conf.metrics, render_metrics, s, e);
	if (s->metrics)
		log_info("metrics at http://%s/metrics", s->conf.metrics);
	return s->metrics != NULL;
}

/* The signal that came within STATUS_S seconds, else 0. Who asks for metrics is
 * answered meanwhile, and sets that come from the collector are armed. */
static int wait_signal(struct sensor *s, int signals)
{
	int64_t until = clock_mono_us() + STATUS_S * 1000000, left;
	struct pollfd p[3] = {{.fd = signals, .events = POLLIN},
			      {.fd = s->metrics ? metrics_fd(s->metrics) : -1, .events = POLLIN},
			      {.fd = s->supply.ready_fd, .events = POLLIN}};
	struct signalfd_siginfo info;
	while ((left = until - clock_mono_us()) > 0) {
		poll(p, 3, (int)(left / 1000 + 1));
		if (p[1].revents)
			metrics_work(s->metrics);
		if (p[2].revents) {
			supply_work(&s->supply, arm_sets, arm_changes, s);
			return 0; /* the status says so at once */
		}
		if (p[0].revents && read(signals, &info, sizeof(info)) == sizeof(info))
			return (int)info.ssi_signo;
	}
	return 0;
}

static void print_ledger(const struct sensor *s)
{
	ledger_print(&s->ledger, stderr);
	unread_print(&s->ledger, stderr);
}

static void run_live(struct sensor *s, int signals)
{
	sd_notify(0, "READY=1");
	for (int sig = 0; sig != SIGTERM && sig != SIGINT;) {
		tell_status(s);
		sd_notify(0, "WATCHDOG=1");
		sig = wait_signal(s, signals);
		if (sig == SIGHUP)
			reload(s);
		if (sig == SIGUSR1) {
			live_ledger(s->live, &s->ledger);
			print_ledger(s);
		}
	}
	sd_notify(0, "STOPPING=1");
	log_info("leaving: what is queued is written out, the spool keeps what no collector has acknowledged");
}

/* Interfaces and the nDPI processes first, then the rights are gone, then all else. */
static bool start_live(struct sensor *s, struct err *e)
{
	struct sandbox box;
	return confine_prepare(&box, &s->conf, e) && (s->live = live_open(&s->conf, &s->worker, s->armed, e)) != NULL &&
	       confine_enter(&box, &s->conf, e) && start_output(s, live_producers(&s->conf), e) &&
	       metrics_serve(s->metrics, e) && live_run(s->live, s->output, e);
}

static void stop_live(struct sensor *s)
{
	struct live *live = s->live;
	s->live = NULL;
	if (live)
		live_stop(live, &s->ledger);
}

static int sensor_live(struct sensor *s, const sigset_t *set)
{
	struct err e;
	int signals = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (!start_metrics(s, &e) || !start_live(s, &e)) {
		log_errorx("%s", e.text);
		metrics_close(s->metrics);
		stop_live(s);
		output_stop(s->output, 0);
		return EXIT_ENVIRONMENT;
	}
	run_live(s, signals);
	metrics_close(s->metrics);
	close(signals);
	stop_live(s);
	tell_status(s);
	output_stop(s->output, s->conf.leave_ms);
	return EXIT_OK;
}

/* A capture file through the same walk; SIGTERM and SIGINT end it early. */
static enum capture_result read_file(struct sensor *s, struct worker *w, struct err *e)
{
	enum capture_result r;
	sigset_t pending;
	while ((r = worker_step(w, 0, e)) == CAPTURE_PACKETS) {
		sigpending(&pending);
		if (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT))
			break;
	}
	worker_finish(w);
	worker_ledger(w, &s->ledger);
	struct ledger judged;
	heuristics_ledger(s->heuristics, &judged);
	ledger_sum(&s->ledger, &judged);
	return r;
}

static int sensor_file(struct sensor *s)
{
	struct err e = {.text = ""};
	struct producer producer = {.origin = &s->origin, .may_wait = true};
	struct capture *c = capture_open_file(s->file, s->conf.filter, &e);
	struct worker *w = NULL;
	s->worker.alert = producer_alert;
	s->worker.owner = &producer;
	s->worker.ndpi.wait = true;
	struct heuristics_conf heuristics = {.thresholds = &s->conf.heuristic,
					     .origin = &s->origin,
					     .alert = producer_alert,
					     .owner = &producer,
					     .in_order = true};
	s->worker.tap.engine = s->heuristics = heuristics_new(&heuristics, s->armed, &e);
	struct sandbox box = {.profile = SANDBOX_SENSOR};
	if (c && s->heuristics)
		w = worker_new(&s->worker, c, s->armed, &e); /* closes c, whatever comes */
	else if (c)
		capture_close(c);
	if (!w || !confine_enter(&box, &s->conf, &e) || !start_output(s, 1, &e)) {
		log_errorx("%s", e.text);
		worker_free(w);
		return EXIT_ENVIRONMENT;
	}
	producer.output = s->output;
	enum capture_result r = read_file(s, w, &e);
	if (e.text[0])
		log_warnx("%s", e.text);
	worker_free(w);
	tell_status(s);
	output_stop(s->output, s->conf.collectors.n ? FILE_LEAVE_MS : 0);
	if (s->level >= LOG_LEVEL_INFO)
		print_ledger(s);
	return r == CAPTURE_EOF && !e.text[0] ? EXIT_OK : EXIT_PARTIAL;
}

static int sensor_run(struct sensor *s)
{
	if (!s->file && !s->conf.interfaces.n) {
		log_errorx("nothing to capture from: give -i INTERFACE, capture.interface or -r FILE");
		return EXIT_USAGE;
	}
	sigset_t set;
	block_signals(&set);
	tell_rules(s);
	plan(s);
	int code = s->file ? sensor_file(s) : sensor_live(s, &set);
	return code == EXIT_OK && s->armed->partial && s->file ? EXIT_PARTIAL : code;
}

/* What -T refuses ends a start with the same code: a restart would not mend it. Rules of
 * which a part loads are refused by -T only. */
static bool fit(const struct sensor *s)
{
	struct output_conf o = output_conf_of(s);
	struct err e;
	bool good = output_check(&o, &e);
	if (!good)
		log_errorx("%s", e.text);
	return good;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], DPI_WORKER_ARGUMENT) == 0)
		return dpi_worker_main(argc, argv);
	struct sensor s = {.level = LOG_LEVEL_INFO, .supply = {.ready_fd = -1}, .started_us = clock_wall_us()};
	int code = first_round(&s, argc, argv);
	if (code >= 0)
		return code;
	log_open("picket-sensor", s.level);
	bool ok = read_conf(&s, argc, argv);
	if (ok && s.dump) {
		conf_dump(sensor_keys, sensor_keys_n, &s.conf, stdout);
		code = EXIT_OK;
	} else {
		bool supplied = (ok || s.check) && supply_open(&s.supply, &s.conf, !s.file, &s.d);
		s.armed = supplied ? supply_load(&s.supply, 1, &s.d) : NULL;
		print_findings(&s);
		if (!ok || !s.armed || !fit(&s))
			code = EXIT_INVALID;
		else if (s.check)
			code = s.armed->partial ? EXIT_INVALID : EXIT_OK;
		else
			code = sensor_run(&s);
	}
	if (s.check && code == EXIT_OK)
		log_info("configuration and rules are valid");
	print_findings(&s);
	armed_free(s.armed);
	supply_close(&s.supply);
	heuristics_free(s.heuristics);
	free(s.home);
	conf_free(sensor_keys, sensor_keys_n, &s.conf);
	return code;
}
