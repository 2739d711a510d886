/* The packet's whole story: worker_packet(). A burst is decoded and its flow
 * buckets are prefetched before the first packet is looked up, because the flow
 * table is far larger than the caches (31 ns instead of 45 at 10 k flows, 43
 * instead of 150 at 1 M, measured on a prototype). */
#include "sensor/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/scratch.h"
#include "sensor/classify.h"
#include "sensor/inspector.h"

#define FLOWS_DEFAULT  (1u << 20)
#define MEMORY_DEFAULT ((size_t)256 << 20)
#define PUBLISH_US     1000000
#define LOOK_US        50000 /* between looks at the load */
#define RING_OVERHEAD  96    /* of a packet in the kernel's ring, beside its bytes */

/* What a packet will ask of the rule set. */
struct ahead {
	struct ends_ahead ends;
	struct dns_ahead dns;
};

struct worker {
	struct capture *capture;
	struct decoder *decoder;
	struct flow_table *flows;
	struct inspector *inspector;
	struct detector detector;
	struct dpi *dpi;
	struct classifier *classifier;
	struct heuristic_tap tap;
	enum dpi_mode dpi_configured;
	struct overload overload;
	struct {
		int64_t looked_us, first_us, last_us;
		uint64_t bytes;
	} load; /* since the last look: the packets' times, and what they took in the ring */
	struct ledger ledger;
	uint16_t generation;
	struct pattern_scratch *scratch;
	int64_t now_us;              /* the capture's clock */
	struct capture_stats before; /* of captures that are closed */

	_Atomic(const struct armed *) next; /* to be taken at the next burst */
	_Atomic uint16_t reached;           /* generation in use */
	pthread_mutex_t lock;               /* of `published` */
	struct ledger published;
	int64_t published_us;

	/* The burst in hand. */
	struct packet packet[BURST_MAX];
	struct flow_seek seek[BURST_MAX];
	struct ahead ahead[BURST_MAX];
	bool judging;   /* a heuristic is on */
	bool dns_ahead; /* and none that judges DNS */
};

static void flow_ends(void *owner, struct flow *f)
{
	struct worker *w = owner;
	w->detector.layer = w->detector.outer = NULL;
	inspector_end(w->inspector, f, w->now_us);
	classify_end(w->classifier, f);
}

static void flow_ends_soon(void *owner, const struct flow *f)
{
	const struct worker *w = owner;
	inspector_prefetch(w->inspector, f);
}

/* ---- a packet ---- */

static void match_addresses(struct worker *w, struct flow *f, bool outer)
{
	f->checked = w->generation;
	struct inspect in = inspector_view(w->inspector, f, w->now_us);
	detect_addresses(&in, outer);
	if (w->detector.conditions)
		detect_address_terms(&in, outer);
}

/* The wrapping of a tunnel: a flow of its own, of which only addresses matter. */
static void outer_layer(struct worker *w, const struct packet *p, size_t i)
{
	const struct layer *l = &p->layer[i];
	struct flow_seek seek;
	enum side side;
	bool is_new;
	flow_seek(w->flows, l, &seek);
	struct flow *f = flow_get(w->flows, l, &seek, w->now_us, &is_new, &side);
	w->detector.layer = l;
	w->detector.outer = i ? &p->layer[i - 1] : NULL;
	if (f->checked != w->generation)
		match_addresses(w, f, true);
	inspector_outer(w->inspector, f, l, p->ts_us);
}

/* Under overload: whether the payload is not looked at. */
static bool set_aside(struct worker *w, struct flow *f, enum side side, const struct layer *l)
{
	enum shed shed = w->overload.shed;
	bool patterns = w->scratch != NULL;
	if (!overload_sheds(shed, f, side, l, false, patterns) || inspector_dns(w->inspector, f, side, l))
		return false;
	inspector_lost(w->inspector, f, side, l, w->now_us);
	return true;
}

/* Gives where the packet ends; the caller counts that. */
static enum ledger_id worker_packet(struct worker *w, const struct packet *p, const struct flow_seek *seek,
				    const struct ahead *ahead)
{
	size_t inner = p->layers - 1;
	const struct layer *l = &p->layer[inner];
	enum side side;
	bool is_new;
	w->now_us = p->ts_us;
	for (size_t i = 0; i < inner; i++)
		outer_layer(w, p, i);
	struct flow *f = flow_get(w->flows, l, seek, w->now_us, &is_new, &side);
	w->detector.layer = l;
	w->detector.outer = inner ? &p->layer[inner - 1] : NULL;
	if (f->checked != w->generation) {
		if (detect_ends_quiet(&w->detector, &ahead->ends))
			f->checked = w->generation;
		else
			match_addresses(w, f, false);
	}
	if (p->end != LEDGER_END_COUNT) /* nothing that could be inspected */
		return p->end;
	if (w->judging)
		heuristic_packet(&w->tap, f, side, l, p->ts_us);
	if (w->overload.shed && set_aside(w, f, side, l))
		return LEDGER_END_SHED;
	bool inspected = inspector_packet(w->inspector, f, side, l, p->ts_us, &ahead->dns);
	if (w->overload.shed)
		classify_shed(w->classifier, f, l);
	else if (w->dpi)
		classify_packet(w->classifier, f, side, l, p->ts_us);
	return inspected ? LEDGER_END_INSPECTED : LEDGER_END_FLOW;
}

/* ---- a burst ---- */

static void look_ahead(struct worker *w, const struct packet *p, const struct flow_seek *seek, bool is_new,
		       struct ahead *a)
{
	a->ends.asked = false;
	if (is_new)
		detect_ends_ahead(w->detector.rules, &seek->key, &a->ends);
	const struct layer *l = &p->layer[p->layers - 1];
	a->dns.plain = false;
	if (w->dns_ahead && dns_ahead_worth(l))
		dns_ahead(w->detector.rules, l, &a->dns);
}

static void run_decoded(struct worker *w, size_t n)
{
	SCRATCH const struct flow *guess[BURST_MAX];
	for (size_t i = 0; i < n; i++)
		guess[i] = flow_prefetch(w->flows, &w->seek[i]);
	for (size_t i = 0; i < n; i++) {
		if (!guess[i])
			guess[i] = flow_prefetch_other(w->flows, &w->seek[i]);
		look_ahead(w, &w->packet[i], &w->seek[i], !guess[i], &w->ahead[i]);
	}
	for (size_t i = 0; i < n; i++)
		if (guess[i])
			inspector_prefetch(w->inspector, guess[i]);
	for (size_t i = 0; i < n; i++)
		if (guess[i] && w->packet[i].layer[w->packet[i].layers - 1].payload_n)
			inspector_prefetch_parser(w->inspector, guess[i]);
	for (size_t i = 0; i < n; i++) {
		enum ledger_id end = worker_packet(w, &w->packet[i], &w->seek[i], &w->ahead[i]);
		if (!w->packet[i].begun)
			ledger_count(&w->ledger, end);
	}
	w->detector.layer = w->detector.outer = NULL;
}

static void run_burst(struct worker *w, const struct burst *b)
{
	size_t n = 0;
	uint64_t bytes = 0;
	w->judging = w->tap.engine && heuristics_on(w->tap.engine);
	/* The values of STIX patterns are not asked for ahead. */
	w->dns_ahead = !w->detector.conditions && (!w->judging || !heuristic_judges_dns(&w->tap));
	for (size_t i = 0; i < b->n; i++) {
		const struct raw_packet *raw = &b->packet[i];
		bytes += raw->wire_n;
		struct packet *p = &w->packet[n];
		if (!decode_packet(w->decoder, raw, p))
			continue;
		flow_seek(w->flows, &p->layer[p->layers - 1],
			  &w->seek[n++]); /* the bucket comes while others are decoded */
		/* A reassembled payload lives until the next decode: stop here. */
		if (p->reassembled) {
			run_decoded(w, n);
			n = 0;
		}
	}
	ledger_add(&w->ledger, LEDGER_RECEIVED, b->n);
	ledger_add(&w->ledger, LEDGER_BYTES, bytes);
	run_decoded(w, n);
}

static void run_given_up(struct worker *w)
{
	while (decode_given_up(w->decoder, w->now_us, &w->packet[0])) {
		flow_seek(w->flows, &w->packet[0].layer[w->packet[0].layers - 1], &w->seek[0]);
		run_decoded(w, 1);
	}
}

/* ---- overload ---- */

static void shed_types(struct worker *w)
{
	const indicator_mask files = where_types(WHERE_FILE_MD5) | where_types(WHERE_FILE_SHA1) |
				     where_types(WHERE_FILE_SHA256);
	inspector_shed(w->inspector, w->overload.shed ? files : 0);
}

static void note_load(struct worker *w, const struct burst *b)
{
	for (size_t i = 0; i < b->n; i++)
		w->load.bytes += b->packet[i].n + RING_OVERHEAD;
	if (!w->load.first_us)
		w->load.first_us = b->packet[0].ts_us;
	w->load.last_us = b->packet[b->n - 1].ts_us;
}

/* The kernel's and the card's losses; files have none. */
static void count_drops(struct worker *w)
{
	struct capture_stats s;
	if (!capture_stats(w->capture, &s))
		return;
	w->ledger.v[LEDGER_DROP_KERNEL] = w->before.dropped_kernel + s.dropped_kernel;
	w->ledger.v[LEDGER_DROP_INTERFACE] = w->before.dropped_interface + s.dropped_interface;
}

/* Some times a second, on a live capture. */
static void look_at_load(struct worker *w, int64_t mono_us)
{
	int64_t ring_bytes = capture_ring_bytes(w->capture);
	if (!ring_bytes || mono_us - w->load.looked_us < LOOK_US)
		return;
	count_drops(w);
	int fill = w->load.bytes ? overload_fill(clock_wall_us() - w->load.last_us, w->load.bytes,
						 w->load.last_us - w->load.first_us, (uint64_t)ring_bytes)
				 : 0;
	enum shed before = w->overload.shed;
	if (overload_look(&w->overload, mono_us, fill, w->ledger.v[LEDGER_DROP_KERNEL])) {
		shed_types(w);
		ledger_add(&w->ledger, LEDGER_OVERLOADS, w->overload.shed > before);
	}
	w->load.looked_us = mono_us;
	w->load.first_us = w->load.last_us;
	w->load.bytes = 0;
}

enum shed worker_shed(const struct worker *w)
{
	return w->overload.shed;
}

/* ---- rule sets ---- */

static bool take_rules(struct worker *w, const struct armed *a, struct err *e)
{
	struct pattern_scratch *scratch = NULL;
	if (a->patterns && !(scratch = pattern_scratch_new(a->patterns, e)))
		return false;
	inspector_rules(w->inspector, armed_types(a), a->patterns, scratch);
	pattern_scratch_free(w->scratch);
	w->scratch = scratch;
	w->detector.rules = a->rules;
	w->detector.hiding = a->hiding;
	w->detector.conditions = a->conditions;
	w->generation = a->generation;
	seen_clear(w->detector.seen);
	pending_clear(w->detector.pending);
	classifier_mode(w->classifier, armed_dpi_mode(a, w->dpi_configured));
	atomic_store(&w->reached, a->generation);
	return true;
}

void worker_arm(struct worker *w, const struct armed *next)
{
	atomic_store(&w->next, next);
}

uint16_t worker_generation(const struct worker *w)
{
	return atomic_load(&w->reached);
}

/* ---- life ---- */

struct worker *worker_new(const struct worker_conf *conf, struct capture *capture, const struct armed *armed,
			  struct err *e)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	struct hash_key key;
	hash_key_random(&key);
	pthread_mutex_init(&w->lock, NULL);
	w->capture = capture;
	w->dpi_configured = conf->dpi;
	w->tap = conf->tap;
	w->tap.ledger = &w->ledger;
	overload_init(&w->overload, &conf->overload);
	w->detector = (struct detector){
	    .origin = conf->origin,
	    .ledger = &w->ledger,
	    .seen = seen_new(),
	    .pending = pending_new(),
	    .tap = conf->tap.engine ? &w->tap : NULL,
	    .iface = capture_name(capture),
	    .alert = conf->alert,
	    .owner = conf->owner,
	};
	w->decoder = decoder_new(&conf->decode, &w->ledger);
	w->inspector = inspector_new(conf->memory_bytes ? conf->memory_bytes : MEMORY_DEFAULT, conf->number,
				     conf->expect, &w->ledger, &w->detector);
	if (conf->dpi != DPI_OFF && !(w->dpi = dpi_open(&conf->ndpi, &w->ledger, e))) {
		worker_free(w);
		return NULL;
	}
	w->classifier = classifier_new(w->dpi, w->inspector, &w->ledger);
	w->flows = flow_table_new(conf->flows ? conf->flows : FLOWS_DEFAULT, conf->vlan, &key, &w->ledger, flow_ends,
				  w);
	flow_before_end(w->flows, flow_ends_soon);
	shed_types(w);
	if (!take_rules(w, armed, e)) {
		worker_free(w);
		return NULL;
	}
	return w;
}

void worker_capture(struct worker *w, struct capture *capture)
{
	count_drops(w);
	w->before.dropped_kernel = w->ledger.v[LEDGER_DROP_KERNEL];
	w->before.dropped_interface = w->ledger.v[LEDGER_DROP_INTERFACE];
	capture_close(w->capture);
	w->capture = capture;
	w->detector.iface = capture_name(capture);
}

static void publish(struct worker *w)
{
	count_drops(w);
	pthread_mutex_lock(&w->lock);
	w->published = w->ledger;
	pthread_mutex_unlock(&w->lock);
}

/* The set that waits, if any. */
static bool take_next(struct worker *w, struct err *e)
{
	if (!atomic_load_explicit(&w->next, memory_order_relaxed))
		return true;
	const struct armed *next = atomic_exchange(&w->next, NULL);
	return !next || take_rules(w, next, e);
}

/* What is done between bursts, never per packet. */
static bool between_bursts(struct worker *w, struct err *e)
{
	run_given_up(w);
	classify_collect(w->classifier, w->now_us);
	flow_expire(w->flows, w->now_us);
	int64_t mono_us = clock_mono_us();
	look_at_load(w, mono_us);
	if (mono_us - w->published_us >= PUBLISH_US) {
		w->published_us = mono_us;
		publish(w);
	}
	return take_next(w, e);
}

enum capture_result worker_step(struct worker *w, int wait_ms, struct err *e)
{
	SCRATCH struct burst burst;
	burst.n = 0;
	enum capture_result r = capture_read(w->capture, &burst, wait_ms, e);
	if (!take_next(w, e)) /* came while packets were waited for: they are matched with it */
		return CAPTURE_FAILED;
	if (r == CAPTURE_PACKETS) {
		note_load(w, &burst);
		run_burst(w, &burst);
	} else if (r == CAPTURE_IDLE)
		w->now_us = clock_wall_us();
	return between_bursts(w, e) ? r : CAPTURE_FAILED;
}

void worker_ledger(struct worker *w, struct ledger *out)
{
	pthread_mutex_lock(&w->lock);
	*out = w->published;
	pthread_mutex_unlock(&w->lock);
}

struct worker_figures worker_figures(const struct worker *w)
{
	return (struct worker_figures){
	    .packets = w->ledger.v[LEDGER_RECEIVED],
	    .flows = flow_count(w->flows),
	    .flow_bytes = flow_table_bytes(w->flows),
	    .parser_bytes = inspector_memory(w->inspector),
	    .dpi_pid = w->dpi ? dpi_pid(w->dpi) : 0,
	};
}

void worker_finish(struct worker *w)
{
	while (decoder_end(w->decoder))
		run_given_up(w);
	flow_table_free(w->flows);
	w->flows = NULL;
	classify_finish(w->classifier, w->now_us);
	if (w->tap.engine && !w->tap.queue)
		heuristics_finish(w->tap.engine, w->now_us);
	if (capture_cut(w->capture))
		ledger_count(&w->ledger, LEDGER_FILE_CUT);
	publish(w);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	if (w->flows)
		flow_table_free(w->flows);
	classifier_free(w->classifier);
	if (w->dpi)
		dpi_close(w->dpi);
	inspector_free(w->inspector);
	pattern_scratch_free(w->scratch);
	decoder_free(w->decoder);
	seen_free(w->detector.seen);
	pending_free(w->detector.pending);
	capture_close(w->capture);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
