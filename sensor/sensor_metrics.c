/* The packet ledger keeps its rows: each event of it is a counter of its own name,
 * the ends of packets are one family, because they sum up to what was received. */
#include "sensor/sensor_metrics.h"

#include <stdio.h>
#include <string.h>

#include "common/metrics.h"
#include "sensor/unread.h"

#define NAME_MAX_LEN 96

static void put_info(struct buf *out, const struct status *s)
{
	bool empty = ruleset_count(s->armed->rules, INDICATOR_NONE) == 0;
	struct metric_label labels[] = {{"version", PICKET_VERSION},
					{"sensor", s->id},
					{"site", s->conf->site ? s->conf->site : ""},
					{"set_state", s->armed->partial ? "partial"
						      : empty           ? "empty"
									: "complete"},
					{"set_digest", ruleset_digest(s->armed->rules)}};
	metric_family(out, "picket_sensor_info", METRIC_GAUGE, "What this sensor is; always 1.");
	metric_sample(out, "picket_sensor_info", labels, sizeof(labels) / sizeof(*labels), 1);
	metric_family(out, "picket_sensor_start_time_seconds", METRIC_GAUGE, "When it started, since 1970.");
	metric_sample_us(out, "picket_sensor_start_time_seconds", NULL, 0, s->started_us);
}

static void put_indicators(struct buf *out, const struct armed *a)
{
	metric_family(out, "picket_sensor_indicators", METRIC_GAUGE, "Indicators that it is armed with.");
	for (int t = INDICATOR_NONE + 1; t < INDICATOR_TYPE_COUNT; t++) {
		struct metric_label type = {"type", indicator_type_name((enum indicator_type)t)};
		size_t n = ruleset_count(a->rules, (enum indicator_type)t);
		if (n)
			metric_sample(out, "picket_sensor_indicators", &type, 1, n);
	}
}

static void put_refused(struct buf *out, const struct status *s)
{
	metric_family(out, "picket_sensor_rules_refused_total", METRIC_COUNTER,
		      "Reloads of rules.files that were refused: the set loaded before stayed.");
	metric_sample(out, "picket_sensor_rules_refused_total", NULL, 0, s->rules_refused);
}

/* "end.not_ip" without its first part. */
static const char *end_name(enum ledger_id id)
{
	const char *dot = strchr(ledger_name(id), '.');
	return dot ? dot + 1 : ledger_name(id);
}

static void put_ends(struct buf *out, const struct ledger *l)
{
	metric_family(out, "picket_sensor_packets_ended_total", METRIC_COUNTER,
		      "Where each packet ended; their sum is picket_sensor_packets_received_total.");
	for (int i = 0; i < LEDGER_END_COUNT; i++)
		metric_sample(out, "picket_sensor_packets_ended_total",
			      &(struct metric_label){"end", end_name((enum ledger_id)i)}, 1, l->v[i]);
}

static void put_protocol(void *owner, const char *protocol, uint64_t flows)
{
	metric_sample(owner, "picket_sensor_unread_flows_total", &(struct metric_label){"protocol", protocol}, 1,
		      flows);
}

static void put_unread(struct buf *out, const struct ledger *l)
{
	metric_family(out, "picket_sensor_unread_flows_total", METRIC_COUNTER,
		      "Flows that no parser reads, by nDPI's name for them.");
	unread_each(l, NDPI_NAMES, put_protocol, out);
}

static void put_events(struct buf *out, const struct ledger *l)
{
	for (int i = LEDGER_END_COUNT; i < LEDGER_COUNT; i++) {
		char name[NAME_MAX_LEN];
		snprintf(name, sizeof(name), "picket_sensor_%s_total", ledger_name((enum ledger_id)i));
		for (char *p = name; *p; p++)
			if (*p == '.')
				*p = '_';
		metric_one(out, name, METRIC_COUNTER, ledger_help((enum ledger_id)i), l->v[i]);
	}
}

#define COUNT(name, help, value)                                                                                       \
	{                                                                                                              \
		"picket_sensor_" name "_total", METRIC_COUNTER, help, value                                            \
	}
#define NOW(name, help, value)                                                                                         \
	{                                                                                                              \
		"picket_sensor_" name, METRIC_GAUGE, help, value                                                       \
	}

static void put_output(struct buf *out, const struct status *s)
{
	const struct output_stats *o = s->output;
	const struct {
		const char *name;
		enum metric_type type;
		const char *help;
		uint64_t value;
	} rows[] = {
	    NOW("captures", "Captures that there should be.", s->captures),
	    NOW("captures_up", "Captures that work.", s->captures_up),
	    COUNT("queue_records", "Records that workers handed over.", o->queued),
	    COUNT("queue_lost_alerts", "Alerts lost because the queue was full.", o->lost_queue),
	    COUNT("json_lines", "Alerts written as JSON lines.", o->written_json),
	    COUNT("json_lost_lines", "JSON lines that their file did not take.", o->lost_json),
	    COUNT("coalesced_records", "Records that were folded into another one of the same second.", o->coalesced),
	    COUNT("spool_records", "Records that got a number in the spool, of this epoch.", o->spool_records),
	    NOW("spool_waiting_records", "Records that no collector has acknowledged.",
		o->spool_records - o->spool_acked),
	    NOW("spool_bytes", "Size of the spool on disk.", o->spool_bytes),
	    COUNT("spool_lost_alerts", "Alerts dropped at the spool's bound or damaged; announced as loss.",
		  o->spool_lost),
	    NOW("uplink_connected", "1 when a collector has taken this sensor.", o->connected),
	    COUNT("uplink_reconnects", "Times that the uplink connected.", o->reconnects),
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		metric_one(out, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
}

void sensor_metrics(struct buf *out, const struct status *s)
{
	put_info(out, s);
	put_indicators(out, s->armed);
	put_refused(out, s);
	put_ends(out, s->ledger);
	put_events(out, s->ledger);
	put_unread(out, s->ledger);
	put_output(out, s);
}
