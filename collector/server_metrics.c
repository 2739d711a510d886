/* A family's samples must stand together, so the sensors' reports are read once
 * and walked once per family. What a sensor reports is selected here: with
 * thousands of sensors every row of their ledgers would be too much for one
 * answer, and each sensor can be asked itself (metrics.listen). */
#include "collector/server_metrics.h"

#include <stdlib.h>
#include <string.h>

#include "collector/server.h"
#include "common/json.h"
#include "common/metrics.h"

/* Numbers of a status, and the families that they are samples of: rows of one
 * family stand together. stage: NULL = no such label. */
struct status_row {
	const char *key, *stage, *name;
	enum metric_type type;
	const char *help;
};

#define SENSOR "picket_collector_sensor_"
#define PACKETS(key, stage)                                                                                            \
	{                                                                                                              \
		key, stage, SENSOR "packets_dropped_total", METRIC_COUNTER, "Packets that a sensor lost, by stage."    \
	}
#define ALERTS(key, stage)                                                                                             \
	{                                                                                                              \
		key, stage, SENSOR "alerts_lost_total", METRIC_COUNTER, "Alerts that a sensor lost, by stage."         \
	}

static const struct status_row status_rows[] = {
    PACKETS("drops.kernel", "kernel"),
    PACKETS("drops.interface", "interface"),
    PACKETS("end.shed", "shed"),
    ALERTS("queue_lost", "queue"),
    ALERTS("spool_lost", "spool"),
    {"packets.received", NULL, SENSOR "packets_received_total", METRIC_COUNTER, "Packets that a sensor captured."},
    {"alerts.raised", NULL, SENSOR "alerts_raised_total", METRIC_COUNTER, "Alerts that a sensor raised."},
    {"spool_waiting", NULL, SENSOR "spool_waiting_records", METRIC_GAUGE, "Records that wait to be acknowledged."},
    {"spool_bytes", NULL, SENSOR "spool_bytes", METRIC_GAUGE, "Size of a sensor's spool on its disk."},
    {"set_indicators", NULL, SENSOR "indicators", METRIC_GAUGE, "Indicators that a sensor is armed with."},
};
#define STATUS_ROWS (sizeof(status_rows) / sizeof(*status_rows))

struct report {
	struct server_sensor sensor; /* its strings live while the server does not run */
	struct json *status;         /* NULL: none yet, or unreadable */
	int64_t number[STATUS_ROWS]; /* -1 = not told */
};

struct reports {
	struct report *v;
	size_t n, cap;
};

static void take_number(void *owner, const char *key, const struct json *v)
{
	struct report *r = owner;
	for (size_t i = 0; i < STATUS_ROWS; i++)
		if (strcmp(key, status_rows[i].key) == 0)
			r->number[i] = json_int(v, -1);
}

static void keep_report(void *arg, const struct server_sensor *s)
{
	struct reports *all = arg;
	if (all->n == all->cap) {
		all->cap = all->cap ? 2 * all->cap : 64;
		all->v = xrealloc(all->v, all->cap * sizeof(*all->v));
	}
	struct report *r = &all->v[all->n++];
	*r = (struct report){.sensor = *s};
	memset(r->number, -1, sizeof(r->number));
	r->status = s->status.n ? json_read(s->status.p, s->status.n, s->status.n, NULL) : NULL;
	if (r->status)
		json_each(r->status, take_number, r);
}

static void drop_reports(struct reports *all)
{
	for (size_t i = 0; i < all->n; i++)
		json_drop(all->v[i].status);
	free(all->v);
}

/* ---- of the collector ---- */

struct row {
	const char *name;
	enum metric_type type;
	const char *help;
	uint64_t value;
};

static void put_rows(struct buf *out, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		metric_one(out, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
}

#define COUNT(name, help, value)                                                                                       \
	{                                                                                                              \
		"picket_collector_" name "_total", METRIC_COUNTER, help, value                                         \
	}
#define NOW(name, help, value)                                                                                         \
	{                                                                                                              \
		"picket_collector_" name, METRIC_GAUGE, help, value                                                    \
	}

static void put_connections(struct buf *out, const struct server_figures *f)
{
	const struct session_stats *s = &f->sessions;
	const struct row rows[] = {
	    NOW("connections", "Connections of sensors that are open.", f->connections),
	    COUNT("connections_accepted", "Connections that were taken from the network.", f->accepted),
	    COUNT("connections_refused", "Connections refused: limits, certificates.", f->refused),
	    COUNT("sessions_blamed", "Sessions ended because the sensor broke the rules.", f->blamed),
	    COUNT("received_bytes", "Bytes of frames from sensors.", s->bytes),
	    COUNT("frames", "Frames from sensors.", s->frames),
	    COUNT("records", "Records taken from sensors.", s->records),
	    COUNT("records_duplicate", "Records that came again and were not counted again.", s->duplicates),
	    COUNT("records_unreadable", "Records that could not be read: counted as lost alerts.", s->unreadable),
	    COUNT("records_lying", "Records whose group key was not that of their fields.", s->lies),
	    COUNT("gaps", "Missing numbers that a sensor was asked for again.", s->gaps),
	    COUNT("rate_limited", "Times that a sensor had to wait for its rate limit.", s->limited),
	};
	put_rows(out, rows, sizeof(rows) / sizeof(*rows));
}

static void put_store(struct buf *out, const struct server_figures *f)
{
	const struct store_stats *s = f->store;
	const struct row rows[] = {
	    NOW("redis_ready", "1 when Redis takes alerts, 0 when sensors must keep them.", f->redis_ready),
	    COUNT("redis_connects", "Connections made to a single Redis or its master.", s->reconnects),
	    COUNT("redis_redirects", "Calls that a cluster sent elsewhere.", s->redirects),
	    COUNT("script_calls", "Calls of scripts inside Redis.", s->calls),
	    COUNT("flushes", "Flushes of folded alerts to Redis.", s->flushes),
	    COUNT("flushes_failed", "Flushes without an answer, or refused: sensors send these alerts again.",
		  s->failed),
	    COUNT("flushes_behind", "Flushes that met another mark in Redis.", s->behind),
	    COUNT("alerts", "Alerts handed to Redis.", s->alerts),
	    COUNT("deltas", "Changes of groups handed to Redis.", s->deltas),
	    COUNT("transitions", "Groups that were new, reopened or escalated, and losses.", s->transitions),
	    COUNT("key_conflicts", "Groups whose key has a wrong type in Redis.", s->conflicts),
	    COUNT("groups_swept", "Groups forgotten after their retention.", s->swept),
	};
	put_rows(out, rows, sizeof(rows) / sizeof(*rows));
	metric_family(out, "picket_collector_script_seconds_total", METRIC_COUNTER,
		      "How long flushes kept Redis busy, by its own clock.");
	metric_sample_us(out, "picket_collector_script_seconds_total", NULL, 0, (int64_t)s->script_us);
}

/* ---- of the sensors ---- */

static const char *text_of(const struct json *status, const char *key)
{
	size_t n;
	const char *text = json_text(json_at(status, key), &n);
	return text ? text : "";
}

static void put_infos(struct buf *out, const struct reports *all)
{
	metric_family(out, SENSOR "info", METRIC_GAUGE, "What a connected sensor says it is; always 1.");
	for (size_t i = 0; i < all->n; i++) {
		const struct report *r = &all->v[i];
		struct metric_label labels[] = {{"sensor", r->sensor.id},
						{"version", r->sensor.version},
						{"site", text_of(r->status, "site")},
						{"capture", text_of(r->status, "capture")},
						{"set_state", text_of(r->status, "set_state")},
						{"set_digest", text_of(r->status, "set_digest")}};
		metric_sample(out, SENSOR "info", labels, sizeof(labels) / sizeof(*labels), 1);
	}
}

static void put_times(struct buf *out, const struct reports *all)
{
	metric_family(out, SENSOR "status_timestamp_seconds", METRIC_GAUGE, "When a sensor last told its status.");
	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].status)
			metric_sample_us(out, SENSOR "status_timestamp_seconds",
					 &(struct metric_label){"sensor", all->v[i].sensor.id}, 1,
					 all->v[i].sensor.status_at_us);
	metric_family(out, SENSOR "clock_skew_seconds", METRIC_GAUGE,
		      "How far a sensor's clock is ahead of the collector's.");
	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].status)
			metric_sample_us(out, SENSOR "clock_skew_seconds",
					 &(struct metric_label){"sensor", all->v[i].sensor.id}, 1,
					 all->v[i].sensor.skew_us);
}

static void put_number(struct buf *out, const struct report *r, size_t row)
{
	const struct status_row *s = &status_rows[row];
	struct metric_label labels[] = {{"sensor", r->sensor.id}, {"stage", s->stage}};
	if (r->number[row] >= 0)
		metric_sample(out, s->name, labels, s->stage ? 2 : 1, (uint64_t)r->number[row]);
}

static void put_numbers(struct buf *out, const struct reports *all)
{
	for (size_t row = 0; row < STATUS_ROWS; row++) {
		const struct status_row *s = &status_rows[row];
		if (!row || strcmp(s->name, s[-1].name) != 0)
			metric_family(out, s->name, s->type, s->help);
		for (size_t i = 0; i < all->n; i++)
			put_number(out, &all->v[i], row);
	}
}

void server_metrics(void *server, struct buf *out)
{
	struct server_figures f;
	struct reports all = {0};
	server_figures(server, &f);
	server_each_sensor(server, keep_report, &all);
	metric_family(out, "picket_collector_info", METRIC_GAUGE, "The program; always 1.");
	metric_sample(out, "picket_collector_info", &(struct metric_label){"version", PICKET_VERSION}, 1, 1);
	put_connections(out, &f);
	put_store(out, &f);
	put_infos(out, &all);
	put_times(out, &all);
	put_numbers(out, &all);
	drop_reports(&all);
}
