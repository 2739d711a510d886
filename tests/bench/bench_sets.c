/* Many sensors in one process: the sensor's own thread for the uplink and its own
 * way of taking sets, without a capture. Each tells on standard output when it
 * matches with a version:
 *
 *   bench_sets ADDRESS SENSORS FOLDER CA KEYS [BULK [FIRST]]
 *
 *   FOLDER holds s-<n>.crt and s-<n>.key; spools and sets are made in it
 *   "armed <set> <version> <sensor> <µs since 1970>"  after an indicator of the set
 *                                                     (probe-<version>.<set>.example) was hit in what is armed
 *   "kept …"                                          of the set BULK (default bulk), which is received, judged and
 * written, but not loaded: on as many machines it would be, here all share one
 *
 * FIRST is the number of the first sensor (default 1). Ends when standard input does. */
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "rules/rulefile.h"
#include "sensor/output.h"
#include "sensor/sensor_conf.h"
#include "sensor/spool.h"
#include "sensor/supply.h"

#define PATH_LEN 512

struct one {
	unsigned number;
	char id[32], spool[PATH_LEN], sets[PATH_LEN], cert[PATH_LEN], key[PATH_LEN];
	struct sensor_conf conf;
	struct supply supply;
	struct output *output;
	struct ruleset *rules;
	pthread_t thread;
};

static const char *address, *ca, *keys;
static char bulk_file[160] = "/bulk.pset";
static volatile bool over;

/* The set and version of a signed file. */
static bool head_of(const char *path, struct manifest *m)
{
	char text[2048];
	FILE *f = fopen(path, "rb");
	size_t n = f ? fread(text, 1, sizeof(text), f) : 0;
	struct signed_set s;
	if (f)
		fclose(f);
	bool ok = signed_set_read(text, n, &s, NULL);
	*m = s.m;
	return ok;
}

static bool hits(const struct ruleset *r, const struct manifest *m)
{
	char name[128];
	struct ruleset_hits h = {.n = 0};
	int n = snprintf(name, sizeof(name), "probe-%" PRIu64 ".%s.example", m->version, m->set);
	ruleset_match(r, WHERE_DNS_QUERY, name, (size_t)n, clock_wall_us(), &h, NULL);
	return h.n > 0;
}

static bool is_new(const char *path)
{
	size_t n = strlen(path);
	return n > 4 && strcmp(path + n - 4, ".new") == 0;
}

static bool arm(void *owner, const char *const *paths, size_t n, struct err *e)
{
	struct one *o = owner;
	struct diags d = {0};
	struct manifest m;
	bool partial;
	const char **small = calloc(n + 1, sizeof(*small));
	size_t small_n = 0;
	for (size_t i = 0; i < n; i++)
		if (!strstr(paths[i], bulk_file))
			small[small_n++] = paths[i];
	struct rulefile_trust trust = {.keys = o->supply.trust, .required = true, .now_us = clock_wall_us()};
	struct ruleset *next = rulefile_load_trusted(small, small_n, true, &trust, &d, &partial);
	if (!next)
		return err_set(e, "it does not load");
	ruleset_free(o->rules);
	o->rules = next;
	for (size_t i = 0; i < n; i++) {
		bool bulk = strstr(paths[i], bulk_file) != NULL;
		if (is_new(paths[i]) && head_of(paths[i], &m) && (bulk || hits(next, &m))) {
			printf("%s %s %" PRIu64 " %s %" PRId64 "\n", bulk ? "kept" : "armed", m.set, m.version, o->id,
			       clock_wall_us());
			fflush(stdout);
		}
	}
	if (n < 1)
		printf("empty - 0 %s %" PRId64 "\n", o->id, clock_wall_us()), fflush(stdout);
	diag_free(&d);
	free(small);
	return true;
}

static void *sensor_main(void *arg)
{
	struct one *o = arg;
	static const char status[] = "{\"sets_held\":0}";
	output_status(o->output, status, sizeof(status) - 1);
	while (!over) {
		struct pollfd p = {.fd = o->supply.ready_fd, .events = POLLIN};
		if (poll(&p, 1, 100) > 0)
			supply_work(&o->supply, arm, NULL, o);
	}
	output_stop(o->output, 0);
	supply_close(&o->supply);
	ruleset_free(o->rules);
	return NULL;
}

static bool start(struct one *o, unsigned number, const char *folder, struct err *e)
{
	struct diags d = {0};
	static char *addresses[1];
	addresses[0] = strdup(address);
	o->number = number;
	snprintf(o->id, sizeof(o->id), "s-%u", number);
	snprintf(o->spool, PATH_LEN, "%s/spool-%u", folder, number);
	snprintf(o->sets, PATH_LEN, "%s/sets-%u", folder, number);
	snprintf(o->cert, PATH_LEN, "%s/s-%u.crt", folder, number);
	snprintf(o->key, PATH_LEN, "%s/s-%u.key", folder, number);
	mkdir(o->spool, 0700);
	o->conf.collectors = (struct conf_list){addresses, 1};
	o->conf.keys = strdup(keys);
	o->conf.sets_dir = o->sets;
	o->conf.max_shrink = 50;
	if (!supply_open(&o->supply, &o->conf, true, &d)) {
		diag_print(&d, stderr);
		return err_set(e, "the sets of sensor %u cannot be opened", number);
	}
	struct output_conf c = {.spool_dir = o->spool,
				.spool_bytes = 1 << 20,
				.fsync = SPOOL_FSYNC_NONE,
				.collectors = o->conf.collectors,
				.tls_cert = o->cert,
				.tls_key = o->key,
				.tls_ca = ca,
				.sensor_id = o->id,
				.sync = o->supply.sync};
	o->supply.output = o->output = output_start(&c, 1, e);
	return o->output && (pthread_create(&o->thread, NULL, sensor_main, o) == 0 || err_set(e, "no thread"));
}

int main(int argc, char **argv)
{
	struct err e = {""};
	char byte;
	if (argc < 6 || argc > 8)
		return fputs("usage: bench_sets ADDRESS SENSORS FOLDER CA KEYS [BULK [FIRST]]\n", stderr), 2;
	unsigned n = (unsigned)atoi(argv[2]), first = argc > 7 ? (unsigned)atoi(argv[7]) : 1;
	if (argc > 6)
		snprintf(bulk_file, sizeof(bulk_file), "/%s.pset", argv[6]);
	address = argv[1];
	ca = argv[4];
	keys = argv[5];
	signal(SIGPIPE, SIG_IGN);
	log_open("bench_sets", LOG_LEVEL_WARN);
	struct one *all = calloc(n, sizeof(*all));
	for (unsigned i = 0; i < n; i++)
		if (!start(&all[i], first + i, argv[3], &e))
			return fprintf(stderr, "bench_sets: %s\n", e.text), 4;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	over = true;
	for (unsigned i = 0; i < n; i++)
		pthread_join(all[i].thread, NULL);
	return 0;
}
