#include "collector/collector_conf.h"

#include <string.h>

#include "common/listen.h"

#define AT(member) offsetof(struct collector_conf, member)
#define SECOND     1000
#define HOUR       (3600ll * SECOND)
#define DAY        (24 * HOUR)
#define GIGA       (1ll << 30)

const struct conf_key collector_keys[] = {
    {"collector.name", CONF_STRING, AT(name), .help = "The name in picket:sensor:<id>; empty = the host's name."},
    {"listen.address", CONF_STRING_LIST, AT(listen), .fallback = "unix:/run/picket/collector.sock",
     .help = "Where sensors connect: unix:/path, host:port, [v6]:port."},
    {"listen.plaintext", CONF_BOOL, AT(plaintext), .fallback = "false",
     .help = "No TLS on unix sockets and loopback addresses; all others have it always."},
    {"tls.cert", CONF_STRING, AT(tls.cert), .help = "Our certificate (URI SAN picket://<org>/collector/<name>), PEM."},
    {"tls.key", CONF_STRING, AT(tls.key), .help = "Its private key, PEM."},
    {"tls.ca", CONF_STRING, AT(tls.ca), .help = "The CA of the sensors, PEM."},
    {"tls.crl", CONF_STRING, AT(tls.crl), .help = "Its revocation list, PEM; read again on SIGHUP."},
    {"limits.connections", CONF_INT, AT(connections), 1, 100000, "4096", .reload = true, .help = "In all."},
    {"limits.per_address", CONF_INT, AT(per_address), 1, 100000, "32", .reload = true,
     .help = "Connections from one address."},
    {"limits.per_identity", CONF_INT, AT(per_identity), 1, 1000, "2", .reload = true,
     .help = "Connections with one certificate's name."},
    {"limits.hello", CONF_DURATION_MS, AT(hello_ms), 100, 60 * SECOND, "5s", .reload = true,
     .help = "From connect to HELLO, the TLS handshake included."},
    {"limits.frame", CONF_DURATION_MS, AT(frame_ms), 100, HOUR, "30s", .reload = true,
     .help = "For a frame that has begun."},
    {"limits.records_per_second", CONF_INT, AT(records_per_s), 0, 1000000000, "5000000", .reload = true,
     .help = "Per sensor; more waits in its spool; 0 = any."},
    {"limits.bytes_per_second", CONF_BYTES, AT(bytes_per_s), 0, 1024 * GIGA, "1GB", .reload = true,
     .help = "Per sensor; more waits in its spool; 0 = any."},
    {"flush.interval", CONF_DURATION_MS, AT(flush_ms), 1, 1 * SECOND, "50ms", .reload = true,
     .help = "The longest an alert waits here before it goes to Redis."},
    {"flush.distinct", CONF_INT, AT(flush_distinct), 1, FOLD_DELTAS_MAX, "4096",
     .help = "Groups that one sensor may have waiting; they go to Redis at most 125 at a time."},
    {"flush.in_flight", CONF_INT, AT(flush_in_flight), 1, 64, "4", .reload = true,
     .help = "Flushes under way for one sensor."},
    {"fold.reopen_after", CONF_DURATION_MS, AT(reopen_after_ms), 1 * SECOND, 365 * DAY, "1h",
     .help = "A longer gap between a group's events opens a new episode."},
    REDIS_CONF_ROWS(AT(redis)),
    {"redis.durability", CONF_CHOICE, AT(store.durability), .fallback = "memory", .choices = durability_names,
     .help = "What must be true before an alert is acknowledged: in Redis, on its replicas, on its disk."},
    {"redis.replicas", CONF_INT, AT(store.replicas), 1, 16, "1", .reload = true, .help = "For durability: replica."},
    {"retention.open", CONF_DURATION_MS, AT(store.open_retention_ms), HOUR, 3650 * DAY, "90d", .reload = true,
     .help = "An open group that nothing was heard of for so long is forgotten."},
    {"retention.closed", CONF_DURATION_MS, AT(store.closed_retention_ms), HOUR, 3650 * DAY, "30d", .reload = true,
     .help = "The same for closed groups and false positives."},
    {"retention.stream", CONF_INT, AT(store.stream_max), 1000, 100000000, "100000", .reload = true,
     .help = "Entries in the alerts stream, about."},
    {"retention.top", CONF_INT, AT(store.top_max), 10, 100000, "1000", .reload = true,
     .help = "Entries in a day's top lists, at least."},
    {"metrics.listen", CONF_STRING, AT(metrics),
     .help = "Figures for Prometheus at http://ADDRESS/metrics: host:port, [v6]:port, unix:/path; empty: none. Plain "
	     "HTTP for whoever can connect: loopback, or a network of its own."},
    {"sandbox.on", CONF_BOOL, AT(sandbox), .fallback = "true",
     .help =
	 "Give up capabilities, most system calls (seccomp) and access to other files (Landlock) once the listeners "
	 "are open. What the kernel has not got is told of and left out."},
};
const size_t collector_keys_n = sizeof(collector_keys) / sizeof(*collector_keys);

static bool tls_given(const struct collector_conf *c)
{
	return c->tls.cert && *c->tls.cert && c->tls.key && *c->tls.key && c->tls.ca && *c->tls.ca;
}

static void check_listen(const struct collector_conf *c, struct diag_place at, struct diags *d)
{
	struct err e;
	if (!c->listen.n)
		diag_add(d, DIAG_ERROR, at, "listen", "listen.address is empty: nobody could connect");
	for (size_t i = 0; i < c->listen.n; i++) {
		struct listen_address a;
		if (!listen_parse(c->listen.v[i], &a, &e))
			diag_add(d, DIAG_ERROR, at, "listen", "listen.address: %s", e.text);
		else if (!(c->plaintext && listen_is_local(&a)) && !tls_given(c))
			diag_add(d, DIAG_ERROR, at, "listen", "listen.address %s needs tls.cert, tls.key and tls.ca%s",
				 c->listen.v[i],
				 listen_is_local(&a) ? " (or listen.plaintext: true)"
						     : "; only unix sockets and loopback can do without");
	}
}

static const char *given(const char *text)
{
	return text ? text : "";
}

struct tls_conf collector_conf_tls(const struct collector_conf *c)
{
	return (struct tls_conf){.server = true,
				 .cert = c->tls.cert,
				 .key = c->tls.key,
				 .ca = c->tls.ca,
				 .crl = *given(c->tls.crl) ? c->tls.crl : NULL,
				 .own_role = ROLE_COLLECTOR,
				 .peer_role = ROLE_SENSOR};
}

void collector_conf_files(const struct collector_conf *c, const char *file, struct diags *d)
{
	struct tls_conf tls = collector_conf_tls(c);
	struct err e;
	if (tls_given(c) && !tls_check(&tls, &e))
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = file}, "tls", "%s", e.text);
}

bool collector_conf_finish(struct collector_conf *c, const char *file, struct diags *d)
{
	struct diag_place at = {.file = file};
	struct listen_address metrics;
	struct err e;
	size_t before = d->count[DIAG_ERROR];
	check_listen(c, at, d);
	redis_conf_finish(&c->redis, &c->store, file, d);
	if (*given(c->metrics) && !listen_parse(c->metrics, &metrics, &e))
		diag_add(d, DIAG_ERROR, at, "metrics", "metrics.listen: %s", e.text);
	if (c->name && *c->name && !session_id_valid(c->name, strlen(c->name)))
		diag_add(d, DIAG_ERROR, at, "name", "collector.name: 1 to %d of A-Z a-z 0-9 . _ -", FRAME_ID_MAX);
	return d->count[DIAG_ERROR] == before;
}
