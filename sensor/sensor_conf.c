#include "sensor/sensor_conf.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/frame.h"
#include "common/listen.h"
#include "rules/manifest.h"

static const char *const vlan_modes[] = {"auto", "strict", "ignore", NULL};
static const char *const dpi_modes[] = {"off", "unrecognised", "all", NULL};
static const char *const overload_modes[] = {"auto", "off", "extras", "bulk", "streams", NULL};
static const char *const fsync_modes[] = {"batch", "interval", "none", NULL};

#define AT(field) offsetof(struct sensor_conf, field)
#define TB        ((int64_t)1 << 40)
#define HOUR      ((int64_t)3600000)

const struct conf_key sensor_keys[] = {
    {"sensor.id", CONF_STRING, AT(id), .fallback = "",
     .help = "Name of this sensor, unique among all that report to the same collectors; empty: the host name."},
    {"sensor.site", CONF_STRING, AT(site), .fallback = "", .help = "Where it stands, for people."},
    {"sensor.tenant", CONF_STRING, AT(tenant), .fallback = "",
     .help = "Keeps the alerts of several organisations apart that share a collector."},
    {"home.networks", CONF_STRING_LIST, AT(home), .fallback = "",
     .help = "The organisation's own networks: which end of an alert is the asset. Empty: private, unique local and "
	     "link-local ranges."},

    {"capture.interface", CONF_STRING_LIST, AT(interfaces), .fallback = "",
     .help = "Interfaces to capture from; -i on the command line takes their place."},
    {"capture.filter", CONF_STRING, AT(filter), .fallback = "", .help = "BPF filter, as tcpdump takes it."},
    {"capture.snaplen", CONF_INT, AT(snaplen), .min = 256, .max = 262144, .fallback = "65535",
     .help = "Bytes of a packet to capture at most."},
    {"capture.ring", CONF_BYTES, AT(ring_bytes), .min = 1 << 20, .max = TB, .fallback = "64MB",
     .help = "Kernel ring buffer per worker: what a burst may fill before packets are dropped."},
    {"capture.promiscuous", CONF_BOOL, AT(promiscuous), .fallback = "true",
     .help = "Also packets that are not addressed to this machine."},
    {"capture.workers", CONF_INT, AT(workers), .min = 1, .max = 64, .fallback = "1",
     .help = "Workers per interface; the kernel spreads the flows over them (PACKET_FANOUT)."},

    {"decode.vlan", CONF_CHOICE, AT(vlan), .choices = vlan_modes, .fallback = "auto",
     .help =
	 "VLAN tags as part of a flow: auto (no: asymmetric tags are common), strict, ignore (not reported either)."},
    {"decode.checksums", CONF_BOOL, AT(checksums), .fallback = "false",
     .help = "Verify checksums and count the wrong ones; packets are never dropped for it (offloading makes many)."},
    {"decode.vxlan_ports", CONF_STRING_LIST, AT(vxlan_ports), .fallback = "",
     .help = "UDP ports of VXLAN, four at most; empty: 4789 and 8472."},
    {"decode.geneve_ports", CONF_STRING_LIST, AT(geneve_ports), .fallback = "",
     .help = "UDP ports of GENEVE, four at most; empty: 6081."},
    {"dpi.mode", CONF_CHOICE, AT(dpi), .choices = dpi_modes, .fallback = "unrecognised",
     .help =
	 "Flows that nDPI sees: off, unrecognised (those that no parser knows), all. A rule set with protocol or risk "
	 "indicators makes unrecognised mean all."},
    {"dpi.killers", CONF_STRING, AT(killers), .fallback = "/var/lib/picket-sensor/killers",
     .help = "Folder where packets that made nDPI crash or hang are kept as captures, 64 per run; made when the folder "
	     "above it is there; empty: they are not kept."},

    {"limits.flows", CONF_INT, AT(flows), .min = 1024, .max = 1 << 28, .fallback = "1048576",
     .help = "Flows per worker, 80 bytes each."},
    {"limits.memory", CONF_BYTES, AT(memory_bytes), .min = 1 << 20, .max = TB, .fallback = "256MB",
     .help = "Memory per worker for streams and parsers."},
    {"limits.defrag", CONF_BYTES, AT(defrag_bytes), .min = 1 << 16, .max = TB, .fallback = "16MB",
     .help = "Memory per worker for IP datagrams that wait for fragments."},

    {"overload.shed", CONF_CHOICE, AT(overload), .choices = overload_modes, .fallback = "auto",
     .help =
	 "What is set aside when a worker cannot follow: auto (by load, step by step), off (nothing), or a step that "
	 "is held: extras (nDPI, file digests, unrecognised payload), bulk (also long streams), streams (all payload "
	 "but DNS). DNS and addresses are always matched."},
    {"overload.high", CONF_INT, AT(overload_high), .min = 1, .max = 100, .fallback = "50",
     .help = "Per cent of the ring in use that make the next step; so does every packet that the kernel drops."},
    {"overload.low", CONF_INT, AT(overload_low), .min = 0, .max = 99, .fallback = "10",
     .help = "Per cent of the ring in use, at most, for the way back."},
    {"overload.hold", CONF_DURATION_MS, AT(overload_hold_ms), .min = 100, .max = HOUR, .fallback = "5s",
     .help = "How long it must have been calm for each step back."},

    {"rules.files", CONF_STRING_LIST, AT(rules), .fallback = "", .reload = true,
     .help = "Rule files (YAML, CSV, compiled) and folders of them. SIGHUP reads them again."},
    {"rules.allow_empty", CONF_BOOL, AT(allow_empty), .fallback = "false", .reload = true,
     .help = "Start, and accept a reload, with no indicator at all."},
    {"rules.keys", CONF_STRING, AT(keys), .fallback = "",
     .help = "Trusted keys (YAML, picket-rules(1)): whose signed sets are believed, and which. With a collector: sets "
	     "are taken from it. Read again on SIGHUP."},
    {"rules.require_signature", CONF_BOOL, AT(require_signature), .fallback = "false",
     .help = "Refuse rule files that no trusted key has signed."},
    {"rules.dir", CONF_STRING, AT(sets_dir), .fallback = "/var/lib/picket/sets",
     .help = "Folder for the sets that come from the collector: what is there is loaded when the collector is away."},
    {"rules.ring", CONF_STRING, AT(ring), .fallback = "",
     .help = "A sensor of the ring canary gets sets that are published to this ring first. Empty: none."},
    {"rules.max_shrink", CONF_INT, AT(max_shrink), .min = 0, .max = 100, .fallback = "50",
     .help = "Per cent of its indicators that a set may lose at once; its signer can say that more is meant."},

    {"heuristics.port_scan.on", CONF_BOOL, AT(heuristic.on[HEURISTIC_PORT_SCAN]), .fallback = "false",
     .help = "Warn of a source that tries many TCP ports of one address in vain."},
    {"heuristics.port_scan.ports", CONF_INT, AT(heuristic.scan_ports), .min = 5, .max = 60, .fallback = "25",
     .help = "So many ports of one address that refused or did not answer."},
    {"heuristics.port_scan.window", CONF_DURATION_MS, AT(heuristic.port_scan_window_ms), .min = 5000, .max = HOUR,
     .fallback = "60s", .help = "Within this time."},
    {"heuristics.address_scan.on", CONF_BOOL, AT(heuristic.on[HEURISTIC_ADDRESS_SCAN]), .fallback = "false",
     .help = "Warn of a source that tries one TCP port of many addresses in vain."},
    {"heuristics.address_scan.addresses", CONF_INT, AT(heuristic.scan_addresses), .min = 5, .max = 60, .fallback = "40",
     .help = "So many addresses that refused or did not answer."},
    {"heuristics.address_scan.window", CONF_DURATION_MS, AT(heuristic.address_scan_window_ms), .min = 5000, .max = HOUR,
     .fallback = "60s", .help = "Within this time."},
    {"heuristics.beacon.on", CONF_BOOL, AT(heuristic.on[HEURISTIC_BEACON]), .fallback = "false",
     .help = "Warn of connections that leave the home networks at even intervals, all of the same size. Honest "
	     "programs that poll do the same: expect to allow some."},
    {"heuristics.beacon.connections", CONF_INT, AT(heuristic.beacon_connections), .min = 6, .max = 32, .fallback = "12",
     .help = "So many in a row, 5 s to 6 h apart."},
    {"heuristics.beacon.jitter", CONF_INT, AT(heuristic.beacon_jitter), .min = 1, .max = 30, .fallback = "10",
     .help = "Standard deviation of the intervals in percent of their mean, at most."},
    {"heuristics.dns_tunnel.on", CONF_BOOL, AT(heuristic.on[HEURISTIC_DNS_TUNNEL]), .fallback = "false",
     .help = "Warn of a source that asks for many long, random-looking names below one domain."},
    {"heuristics.dns_tunnel.names", CONF_INT, AT(heuristic.tunnel_names), .min = 10, .max = 10000, .fallback = "100",
     .help = "So many different names below one registered domain."},
    {"heuristics.dns_tunnel.window", CONF_DURATION_MS, AT(heuristic.tunnel_window_ms), .min = 5000, .max = 24 * HOUR,
     .fallback = "5m", .help = "Within this time."},
    {"heuristics.nxdomain_flood.on", CONF_BOOL, AT(heuristic.on[HEURISTIC_NXDOMAIN_FLOOD]), .fallback = "false",
     .help = "Warn of a source most of whose domains do not exist (generated names)."},
    {"heuristics.nxdomain_flood.domains", CONF_INT, AT(heuristic.flood_domains), .min = 10, .max = 10000,
     .fallback = "50", .help = "So many different registered domains that do not exist."},
    {"heuristics.nxdomain_flood.window", CONF_DURATION_MS, AT(heuristic.flood_window_ms), .min = 5000, .max = 24 * HOUR,
     .fallback = "5m", .help = "Within this time."},

    {"output.json", CONF_STRING, AT(json_path), .fallback = "",
     .help = "File for alerts as JSON lines; - is standard output; empty: none. -o takes its place."},
    {"spool.dir", CONF_STRING, AT(spool_dir), .fallback = "/var/lib/picket/spool",
     .help = "Folder where alerts wait for the collector."},
    {"spool.max", CONF_BYTES, AT(spool_bytes), .min = 1 << 20, .max = TB, .fallback = "2GB",
     .help = "Bound of the spool on disk; what must be dropped beyond it is counted and announced as loss."},
    {"spool.horizon", CONF_DURATION_MS, AT(horizon_ms), .min = 0, .max = 7 * 86400000LL, .fallback = "10m",
     .help = "How long acknowledged alerts are kept to be sent again when Redis went back in time."},
    {"spool.horizon_bytes", CONF_BYTES, AT(horizon_bytes), .min = 0, .max = TB, .fallback = "256MB",
     .help = "Bound of what is kept for that."},
    {"spool.fsync", CONF_CHOICE, AT(fsync), .choices = fsync_modes, .fallback = "batch",
     .help = "When alerts reach the disk: batch (before they are sent), interval (each second), none."},
    {"collector.address", CONF_STRING_LIST, AT(collectors), .fallback = "",
     .help = "Collectors in order of preference: host:port, [v6]:port, unix:/path. Empty: none, alerts go to "
	     "output.json only."},
    {"tls.cert", CONF_STRING, AT(tls_cert), .fallback = "",
     .help = "This sensor's certificate (PEM, URI picket://<org>/sensor/<id>). Empty: plaintext, to unix sockets and "
	     "loopback only."},
    {"tls.key", CONF_STRING, AT(tls_key), .fallback = "", .help = "Its private key (PEM)."},
    {"tls.ca", CONF_STRING, AT(tls_ca), .fallback = "", .help = "The CA of the collectors (PEM)."},
    {"tls.crl", CONF_STRING, AT(tls_crl), .fallback = "", .help = "Its revocation list (PEM)."},
    {"collector.leave", CONF_DURATION_MS, AT(leave_ms), .min = 0, .max = 600000, .fallback = "2s",
     .help = "How long a sensor that stops waits for the collector to acknowledge; the spool keeps the rest."},
    {"metrics.listen", CONF_STRING, AT(metrics), .fallback = "",
     .help = "Figures for Prometheus at http://ADDRESS/metrics: host:port, [v6]:port, unix:/path; empty: none. Plain "
	     "HTTP for whoever can connect: loopback, or a network of its own."},
    {"sandbox.on", CONF_BOOL, AT(sandbox), .fallback = "true",
     .help = "Give up capabilities, most system calls (seccomp) and access to other files (Landlock) once the captures "
	     "are open. What the kernel has not got is told of and left out."},
    {"sandbox.read", CONF_STRING_LIST, AT(readable), .fallback = "",
     .help = "More files and folders that may be read after the start: lists that rule files name outside their own "
	     "folder."},
};
const size_t sensor_keys_n = sizeof(sensor_keys) / sizeof(sensor_keys[0]);

static bool check_ports(const struct conf_list *l, const char *key, struct diags *d)
{
	bool ok = l->n <= 4;
	for (size_t i = 0; i < l->n; i++) {
		char *end;
		long v = strtol(l->v[i], &end, 10);
		ok &= end != l->v[i] && !*end && v > 0 && v < 65536;
	}
	if (!ok)
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = key}, "bad-port",
			 "expected up to four UDP ports from 1 to 65535");
	return ok;
}

static bool check_home(const struct sensor_conf *c, struct diags *d)
{
	bool ok = true;
	for (size_t i = 0; i < c->home.n; i++) {
		struct prefix p;
		if (prefix_parse(c->home.v[i], strlen(c->home.v[i]), &p))
			continue;
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = "home.networks"}, "bad-prefix",
			 "\"%s\" is not a network such as 192.0.2.0/24 (host bits must be zero)", c->home.v[i]);
		ok = false;
	}
	return ok;
}

static bool check_tls(const struct sensor_conf *c, struct diags *d)
{
	bool any = c->tls_cert || c->tls_key || c->tls_ca, all = c->tls_cert && c->tls_key && c->tls_ca;
	if (!any || all)
		return true;
	diag_add(d, DIAG_ERROR, (struct diag_place){.file = "tls.cert"}, "incomplete",
		 "tls.cert, tls.key and tls.ca belong together: give all three or none");
	return false;
}

static bool check_metrics(const struct sensor_conf *c, struct diags *d)
{
	struct listen_address a;
	struct err e;
	if (!c->metrics || listen_parse(c->metrics, &a, &e))
		return true;
	diag_add(d, DIAG_ERROR, (struct diag_place){.file = "metrics.listen"}, "bad-address", "%s", e.text);
	return false;
}

static bool check_overload(const struct sensor_conf *c, struct diags *d)
{
	if (c->overload_low < c->overload_high)
		return true;
	diag_add(d, DIAG_ERROR, (struct diag_place){.file = "overload.low"}, "not-below",
		 "%lld is not below overload.high (%lld)", (long long)c->overload_low, (long long)c->overload_high);
	return false;
}

static bool check_id(const struct sensor_conf *c, struct diags *d)
{
	size_t n = strlen(c->id);
	size_t good = strspn(c->id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
	if (n == good && n <= FRAME_ID_MAX)
		return true;
	diag_add(d, DIAG_ERROR, (struct diag_place){.file = "sensor.id"}, "bad-id",
		 "\"%s\": expected 1 to %d of A-Z a-z 0-9 . _ -", c->id, FRAME_ID_MAX);
	return false;
}

static bool check_sets(const struct sensor_conf *c, struct diags *d)
{
	bool ok = true;
	if (c->require_signature && !c->keys) {
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = "rules.require_signature"}, "no-keys",
			 "rules.keys must say whose signatures count");
		ok = false;
	}
	if (c->ring && !manifest_id_valid(c->ring, strlen(c->ring))) {
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = "rules.ring"}, "bad-ring",
			 "expected 1 to %d of A-Z a-z 0-9 . _ -", MANIFEST_SET_MAX);
		ok = false;
	}
	return ok;
}

bool sensor_conf_check(const struct sensor_conf *c, struct diags *d)
{
	bool ok = check_id(c, d);
	ok &= check_ports(&c->vxlan_ports, "decode.vxlan_ports", d);
	ok &= check_ports(&c->geneve_ports, "decode.geneve_ports", d);
	ok &= check_home(c, d);
	ok &= check_tls(c, d);
	ok &= check_overload(c, d);
	ok &= check_metrics(c, d);
	ok &= check_sets(c, d);
	return ok;
}

struct prefix *sensor_conf_home(const struct sensor_conf *c, size_t *n)
{
	struct prefix *home = xcalloc(c->home.n, sizeof(*home));
	*n = 0;
	for (size_t i = 0; i < c->home.n; i++)
		*n += prefix_parse(c->home.v[i], strlen(c->home.v[i]), &home[*n]);
	return home;
}
