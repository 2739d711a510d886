/* What a packet of a flow costs that the table knows, among as many flows as there are:
 *
 *   known SET.compiled CAPTURE FLOWS
 *
 * CAPTURE is of the kind `flows` of generate: FLOWS packets of a new flow each, which
 * are not timed, then packets of those flows in random order. Reading, decoding and
 * the look-ups of rules are in the time. Prints name=value lines: known_ns, processor
 * time of a packet; anon_kib, its own memory when all flows are there. */
#include <stdio.h>
#include <stdlib.h>

#include "sensor/worker.h"
#include "tests/bench/used.h"

static bool no_alert(void *owner, const struct ruleset *r, const struct alert *a, bool repeat)
{
	(void)owner, (void)r, (void)a, (void)repeat;
	return true;
}

int main(int argc, char **argv)
{
	struct err e = {.text = ""};
	if (argc != 4) {
		fputs("usage: known SET.compiled CAPTURE FLOWS\n", stderr);
		return 2;
	}
	uint64_t flows = strtoull(argv[3], NULL, 10);
	struct ruleset *rules = ruleset_open(argv[1], false, &e);
	struct capture *c = rules ? capture_open_file(argv[2], NULL, &e) : NULL;
	struct armed *armed = c ? armed_new(rules, false, 1, &e) : NULL;
	struct alert_origin origin = {.sensor_id = "bench"};
	struct worker_conf conf = {.origin = &origin, .alert = no_alert, .flows = flows};
	struct worker *w = armed ? worker_new(&conf, c, armed, &e) : NULL;
	if (!w) {
		fprintf(stderr, "known: %s\n", e.text);
		return 1;
	}
	while (worker_figures(w).packets < flows && worker_step(w, 0, &e) == CAPTURE_PACKETS)
		;
	struct worker_figures first = worker_figures(w);
	long kib = used_kib("RssAnon:");
	double t = used_ms(CLOCK_THREAD_CPUTIME_ID);
	while (worker_step(w, 0, &e) == CAPTURE_PACKETS)
		;
	t = used_ms(CLOCK_THREAD_CPUTIME_ID) - t;
	bool complete = first.packets >= flows && first.flows >= flows - flows / 100;
	if (complete)
		printf("known_ns=%.1f\nanon_kib=%ld\n", t * 1e6 / (double)(worker_figures(w).packets - first.packets), kib);
	else
		fprintf(stderr, "known: of %s flows in %s the table held %zu\n", argv[3], argv[2], first.flows);
	worker_free(w);
	armed_free(armed);
	return complete ? 0 : 1;
}
