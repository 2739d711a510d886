/* A sensor without packets, for tests/torture/torture.py: the product's own way
 * out (queue, coalescer, spool, uplink), fed by a generator in place of workers.
 * How many alerts of each group the way out has accepted stands in a file that
 * is mapped, so that it survives kill -9. TERM stops it as a sensor stops; USR1
 * makes the clock of its events jump. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/tls.h"
#include "rules/alert.h"
#include "sensor/output.h"
#include "sensor/spool.h"

#define STEP_US 5000
#define STOP_MS 20000
#define HOUR_US 3600000000LL

/* Behind the counters. */
enum phase { PHASE_STARTING = 0, PHASE_RUNNING, PHASE_ENDED };

struct plan {
	const char *id, *dir, *certs, *collectors, *counters;
	uint32_t keys;
	double rate;
	uint64_t random;
};

static volatile sig_atomic_t stop, jump;

static void on_signal(int number)
{
	if (number == SIGUSR1)
		jump++;
	else
		stop = 1;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Half of the groups are rare, a few are storms. */
static uint32_t pick_key(struct plan *p)
{
	double u = (double)(next_random(&p->random) >> 11) / 9007199254740992.0;
	uint32_t k = (uint32_t)(u * u * u * p->keys);
	return k < p->keys ? k : p->keys - 1;
}

static struct bytes text(const char *t)
{
	return (struct bytes){(const uint8_t *)t, strlen(t)};
}

/* The value says the group's number: the verifier finds it in Redis by that. */
static void make_record(struct buf *out, struct plan *p, uint32_t k, int64_t ts_us)
{
	char indicator[16], value[40], endpoint[24], json[200];
	uint8_t peer[16] = {[10] = 0xff, [11] = 0xff, [12] = 203, [13] = 0, [14] = 113};
	peer[15] = (uint8_t)next_random(&p->random);
	snprintf(indicator, sizeof(indicator), "T-%" PRIu32, k);
	snprintf(value, sizeof(value), "n%" PRIu32 ".torture.example", k);
	snprintf(endpoint, sizeof(endpoint), "10.9.%" PRIu32 ".%" PRIu32, k / 250, k % 250);
	snprintf(json, sizeof(json), "{\"event_type\":\"alert\",\"sensor\":{\"id\":\"%s\"},\"observable\":\"%s\"}",
		 p->id, value);
	struct record r = {
	    .kind = RECORD_ALERT, .severity = SEVERITY_HIGH, .n = 1, .first_us = ts_us, .last_us = ts_us};
	r.field[FIELD_SET] = text("torture");
	r.field[FIELD_SET_VERSION] = text("1");
	r.field[FIELD_INDICATOR] = text(indicator);
	r.field[FIELD_TYPE] = text("domain");
	r.field[FIELD_VALUE] = text(value);
	r.field[FIELD_WHERE] = text("dns.query");
	r.field[FIELD_SRC] = r.field[FIELD_ENDPOINT] = text(endpoint);
	r.field[FIELD_DEST] = text("203.0.113.9");
	r.field[FIELD_JSON] = text(json);
	r.field[FIELD_PEER] = r.peer[0] = (struct bytes){peer, 16};
	r.peers = 1;
	record_key(&r, r.key);
	record_write(out, &r);
}

static void emit(struct plan *p, struct output *o, _Atomic uint64_t *raised, int n)
{
	struct buf b = {0};
	int64_t away_us = jump % 4 == 1 ? 2 * HOUR_US : jump % 4 == 3 ? -3 * HOUR_US : 0;
	for (int i = 0; i < n; i++) {
		uint32_t k = pick_key(p);
		b.n = 0;
		make_record(&b, p, k, clock_wall_us() + away_us);
		if (output_record(o, 0, b.p, b.n))
			atomic_fetch_add(&raised[k], 1);
	}
	buf_free(&b);
}

static void run(struct plan *p, struct output *o, _Atomic uint64_t *raised)
{
	double owed = 0;
	while (!stop) {
		struct timespec rest = {.tv_nsec = STEP_US * 1000};
		nanosleep(&rest, NULL);
		owed += p->rate * STEP_US / 1e6;
		emit(p, o, raised, (int)owed);
		owed -= floor(owed);
	}
}

static _Atomic uint64_t *map_counters(const char *path, uint32_t keys)
{
	size_t n = (keys + 1) * sizeof(uint64_t);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	void *at = fd >= 0 && ftruncate(fd, (off_t)n) == 0 ? mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
							   : MAP_FAILED;
	if (fd >= 0)
		close(fd);
	return at == MAP_FAILED ? NULL : at;
}

static void split(struct conf_list *l, char *words)
{
	static char *word[8];
	l->v = word;
	for (char *w = strtok(words, ","); w && l->n < 8; w = strtok(NULL, ","))
		word[l->n++] = w;
}

static struct output *start(const struct plan *p, struct err *e)
{
	static char cert[512], key[512], ca[512], addresses[512];
	struct output_conf c = {.spool_dir = p->dir,
				.spool_bytes = 1LL << 40,
				.horizon_ms = 86400000,
				.horizon_bytes = 1LL << 40,
				.fsync = SPOOL_FSYNC_BATCH,
				.tls_cert = cert,
				.tls_key = key,
				.tls_ca = ca,
				.sensor_id = p->id};
	snprintf(cert, sizeof(cert), "%s/%s.crt", p->certs, p->id);
	snprintf(key, sizeof(key), "%s/%s.key", p->certs, p->id);
	snprintf(ca, sizeof(ca), "%s/collector-ca.crt", p->certs);
	snprintf(addresses, sizeof(addresses), "%s", p->collectors);
	split(&c.collectors, addresses);
	return output_start(&c, 1, e);
}

int main(int argc, char **argv)
{
	if (argc != 9) {
		fputs("usage: driver ID SPOOL CERTS COLLECTOR,… COUNTERS KEYS RATE SEED\n", stderr);
		return 2;
	}
	struct plan p = {.id = argv[1],
			 .dir = argv[2],
			 .certs = argv[3],
			 .collectors = argv[4],
			 .counters = argv[5],
			 .keys = (uint32_t)strtoul(argv[6], NULL, 10),
			 .rate = strtod(argv[7], NULL),
			 .random = strtoull(argv[8], NULL, 10) * 2654435761u + 1};
	struct err e;
	log_open(p.id, LOG_LEVEL_INFO);
	signal(SIGTERM, on_signal);
	signal(SIGUSR1, on_signal);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* the full disk is played with RLIMIT_FSIZE */
	_Atomic uint64_t *raised = map_counters(p.counters, p.keys);
	struct output *o = raised ? start(&p, &e) : NULL;
	if (!o) {
		log_errorx("%s", raised ? e.text : "cannot map the counters");
		return 4;
	}
	atomic_store(&raised[p.keys], PHASE_RUNNING);
	run(&p, o, raised);
	output_stop(o, STOP_MS);
	atomic_store(&raised[p.keys], PHASE_ENDED);
	return 0;
}
