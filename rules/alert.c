/* From a hit to the alert's JSON: Suricata EVE's names first, so that what reads
 * EVE reads this, then ours.
 *
 * Decisions held here:
 *   - alert_id and signature_id are hashes of content, never counters: the same
 *     capture gives the same ids on any sensor build, and a rule keeps its
 *     signature id from version to version;
 *   - texts are limited (TEXT_MAX), and when the whole would be longer than a
 *     record may carry, once more with shorter limits: an alert is never
 *     dropped for being long;
 *   - flow_id is cut to 53 bits: JSON readers keep numbers as doubles;
 *   - an exercise is named in the signature too, because that line is what a
 *     dashboard shows. */
#include "rules/alert.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/hash.h"
#include "common/json.h"
#include "common/text.h"
#include "rules/community_id.h"

#define TEXT_MAX     4096  /* one text of an alert */
#define APP_TEXT_MAX 2048  /* one field of the protocol's object */
#define JSON_MAX     49152 /* the whole record, with its value and 64 peers, has 64 KiB in spool and queue */
#define FLOW_ID_BITS 53
#define APP_PATH_MAX 64

const char *const direction_names[DIRECTION_COUNT + 1] = {
    [DIRECTION_UNKNOWN] = "unknown",   [DIRECTION_OUTBOUND] = "outbound", [DIRECTION_INBOUND] = "inbound",
    [DIRECTION_INTERNAL] = "internal", [DIRECTION_EXTERNAL] = "external",
};

void alert_app_text(struct alert_app *app, const char *key, const void *value, size_t n)
{
	if (app->n == ALERT_APP_MAX || !n)
		return;
	app->field[app->n].key = key;
	app->field[app->n].value = (struct bytes){.p = value, .n = n};
	app->field[app->n++].number = false;
}

void alert_app_number(struct alert_app *app, const char *key, size_t number)
{
	if (app->n == ALERT_APP_MAX)
		return;
	app->field[app->n].key = key;
	app->field[app->n].value = (struct bytes){.p = NULL, .n = number};
	app->field[app->n++].number = true;
}

/* ---- whose networks ---- */

/* RFC 1918, RFC 3927, RFC 4193, RFC 4291 link-local. */
static const struct prefix private_networks[] = {
    {{{[10] = 0xff, 0xff, 10}}, 8},
    {{{[10] = 0xff, 0xff, 172, 16}}, 12},
    {{{[10] = 0xff, 0xff, 192, 168}}, 16},
    {{{[10] = 0xff, 0xff, 169, 254}}, 16},
    {{{0xfc}}, 7},
    {{{0xfe, 0x80}}, 10},
};

bool alert_is_home(const struct alert_origin *o, const struct addr *a)
{
	const struct prefix *home = o->home_n ? o->home : private_networks;
	size_t n = o->home_n ? o->home_n : sizeof(private_networks) / sizeof(*private_networks);
	for (size_t i = 0; i < n; i++)
		if (prefix_has(&home[i], a))
			return true;
	return false;
}

enum direction alert_direction(const struct alert_origin *o, const struct addr *src, const struct addr *dest)
{
	bool from_home = alert_is_home(o, src), to_home = alert_is_home(o, dest);
	if (from_home)
		return to_home ? DIRECTION_INTERNAL : DIRECTION_OUTBOUND;
	return to_home ? DIRECTION_INBOUND : DIRECTION_EXTERNAL;
}

/* ---- ids ---- */

static void id_bytes(struct buf *b, const void *p, size_t n)
{
	buf_u32(b, (uint32_t)n);
	buf_add(b, p, n);
}

static void id_text(struct buf *b, const char *s)
{
	id_bytes(b, s ? s : "", s ? strlen(s) : 0);
}

static void alert_id(char out[static 33], const struct alert *a, const struct alert_origin *o, const char *set,
		     const char *indicator)
{
	const struct alert_flow *f = &a->flow;
	struct buf b = {0};
	uint8_t digest[32];
	id_text(&b, o->sensor_id);
	id_bytes(&b, f->src.b, sizeof(f->src.b));
	id_bytes(&b, f->dest.b, sizeof(f->dest.b));
	buf_u16(&b, f->src_port);
	buf_u16(&b, f->dest_port);
	buf_u8(&b, f->proto);
	buf_u64(&b, (uint64_t)a->ts_us);
	id_text(&b, set);
	id_text(&b, indicator);
	id_text(&b, where_name(a->where));
	id_bytes(&b, a->observable.p, a->observable.n);
	hash_sha256(digest, b.p, b.n);
	text_hex(out, digest, 16);
	buf_free(&b);
}

/* 1..2^31-1, as Suricata's readers expect. */
static int64_t signature_id(const char *set, const char *indicator)
{
	struct buf b = {0};
	uint8_t digest[32];
	id_text(&b, set);
	id_text(&b, indicator);
	hash_sha256(digest, b.p, b.n);
	buf_free(&b);
	struct cursor c = cursor_over(digest, 4);
	int64_t id = cursor_u32(&c) & 0x7fffffff;
	return id ? id : 1;
}

/* ---- the parts of the object ---- */

/* An alert being written. */
struct writing {
	struct json *json;
	const struct alert *a;
	const struct alert_origin *o;
	struct indicator i;
	struct indicator_set set;
	size_t text_max, app_max; /* bytes of one text */
};

static void put_text(const struct writing *w, struct json *in, const char *key, const char *text)
{
	if (text)
		json_put_bytes(in, key, text, strlen(text), w->text_max);
}

static void put_addr(struct json *in, const char *key, const struct addr *a)
{
	char text[ADDR_TEXT_LEN];
	json_put_text(in, key, addr_format(a, text));
}

/* An address of the flow's own packets. */
static void put_flow_addr(const struct writing *w, const char *key, const struct addr *a)
{
	char text[ADDR_TEXT_LEN + 8], plain[ADDR_TEXT_LEN];
	bool mapped = w->a->flow.ipv6 && addr_is_v4(a);
	snprintf(text, sizeof(text), "%s%s", mapped ? "::ffff:" : "", addr_format(a, plain));
	json_put_text(w->json, key, text);
}

/* EVE's names; a protocol without one is its number. */
static const char *proto_name(uint8_t proto, char out[static 8])
{
	static const struct {
		uint8_t proto;
		const char *name;
	} names[] = {
	    {IPPROTO_TCP, "TCP"},   {IPPROTO_UDP, "UDP"},   {IPPROTO_ICMP, "ICMP"}, {IPPROTO_ICMPV6, "IPv6-ICMP"},
	    {IPPROTO_SCTP, "SCTP"}, {IPPROTO_IGMP, "IGMP"}, {IPPROTO_GRE, "GRE"},   {IPPROTO_ESP, "ESP"},
	    {IPPROTO_AH, "AH"},     {IPPROTO_IPV6, "IPv6"}, {IPPROTO_IPIP, "IPIP"}, {IPPROTO_PIM, "PIM"},
	    {89, "OSPF"},           {112, "VRRP"},
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].proto == proto)
			return names[i].name;
	snprintf(out, 8, "%u", proto);
	return out;
}

static bool arp(const struct alert *a)
{
	return a->where == WHERE_ARP_SENDER || a->where == WHERE_ARP_TARGET;
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

static void put_flow(const struct writing *w)
{
	const struct alert_flow *f = &w->a->flow;
	char id[COMMUNITY_ID_LEN], number[8];
	put_text(w, w->json, "in_iface", f->iface);
	json_put_int(w->json, "flow_id", (int64_t)(f->id & ((1ull << FLOW_ID_BITS) - 1)));
	if (!arp(w->a))
		json_put_text(w->json, "community_id", community_id(f, id));
	if (f->vlan_n) {
		struct json *vlan = json_list();
		for (size_t i = 0; i < f->vlan_n && i < 4; i++)
			json_put_int(vlan, NULL, f->vlan[i]);
		json_put(w->json, "vlan", vlan);
	}
	put_flow_addr(w, "src_ip", &f->src);
	if (has_ports(f->proto))
		json_put_int(w->json, "src_port", f->src_port);
	put_flow_addr(w, "dest_ip", &f->dest);
	if (has_ports(f->proto))
		json_put_int(w->json, "dest_port", f->dest_port);
	json_put_text(w->json, "proto", arp(w->a) ? "ARP" : proto_name(f->proto, number));
	if (!arp(w->a) && (f->proto == IPPROTO_ICMP || f->proto == IPPROTO_ICMPV6)) {
		json_put_int(w->json, "icmp_type", f->icmp_type);
		json_put_int(w->json, "icmp_code", f->icmp_code);
	}
	put_text(w, w->json, "app_proto", f->app_proto);
	json_put_text(w->json, "direction", direction_names[f->direction]);
}

static void put_tunnel(const struct writing *w)
{
	const struct alert_flow *f = &w->a->flow;
	if (!f->tunnelled)
		return;
	struct json *tunnel = json_map();
	put_addr(tunnel, "src_ip", &f->tunnel_src);
	put_addr(tunnel, "dest_ip", &f->tunnel_dest);
	put_text(w, tunnel, "proto", f->tunnel_proto);
	json_put(w->json, "tunnel", tunnel);
}

static void put_alert(const struct writing *w)
{
	struct buf line = {0};
	const char *type = indicator_type_name(w->i.type), *labels = w->i.labels ? w->i.labels : "";
	size_t label = strcspn(labels, ",");
	buf_printf(&line, "%s%s: %s %s", w->set.exercise ? "EXERCISE 演習 " : "", w->set.id, type, w->i.value);
	struct json *alert = json_map();
	json_put_text(alert, "action", "allowed");
	json_put_int(alert, "gid", 1);
	json_put_int(alert, "signature_id", signature_id(w->set.id, w->i.id));
	json_put_int(alert, "rev", w->set.version);
	json_put_bytes(alert, "signature", line.p, line.n, w->text_max);
	json_put_bytes(alert, "category", label ? labels : type, label ? label : strlen(type), w->text_max);
	json_put_int(alert, "severity", (int64_t)SEVERITY_COUNT - w->i.severity); /* EVE: 1 is the worst */
	json_put(w->json, "alert", alert);
	buf_free(&line);
}

static void put_labels(const struct writing *w, struct json *indicator)
{
	struct json *list = json_list();
	for (const char *p = w->i.labels ? w->i.labels : ""; *p;) {
		size_t n = strcspn(p, ",");
		json_put_bytes(list, NULL, p, n, w->text_max);
		p += n + (p[n] == ',');
	}
	json_put(indicator, "labels", list);
}

static void put_indicator(const struct writing *w)
{
	struct json *indicator = json_map();
	put_text(w, indicator, "id", w->i.id);
	json_put_text(indicator, "type", indicator_type_name(w->i.type));
	put_text(w, indicator, "value", w->i.value);
	put_text(w, indicator, "set", w->set.id);
	json_put_int(indicator, "version", w->set.version);
	put_text(w, indicator, "producer", w->set.producer);
	json_put_text(indicator, "severity", severity_names[w->i.severity]);
	json_put_int(indicator, "confidence", w->i.confidence);
	json_put_text(indicator, "tlp", tlp_names[w->i.tlp]);
	put_labels(w, indicator);
	put_text(w, indicator, "ref", w->i.ref);
	put_text(w, indicator, "note", w->i.note);
	json_put(w->json, "indicator", indicator);
}

static void endpoint_text(struct bytes endpoint, char out[static ADDR_TEXT_LEN + 8])
{
	char text[ADDR_TEXT_LEN];
	struct addr a = addr_v6(endpoint.p);
	unsigned port = (unsigned)endpoint.p[16] << 8 | endpoint.p[17];
	snprintf(out, ADDR_TEXT_LEN + 8, addr_is_v4(&a) ? "%s:%u" : "[%s]:%u", addr_format(&a, text), port);
}

static void put_observable(const struct writing *w)
{
	struct bytes o = w->a->observable;
	indicator_mask types = where_types(w->a->where);
	char endpoint[ADDR_TEXT_LEN + 8];
	struct json *observable = json_map();
	json_put_text(observable, "where", where_name(w->a->where));
	if (types & INDICATOR_BIT(INDICATOR_IP) && o.n == 16) {
		struct addr a = addr_v6(o.p);
		put_addr(observable, "value", &a);
	} else if (types & INDICATOR_BIT(INDICATOR_IP_PORT) && o.n == 18) {
		endpoint_text(o, endpoint);
		json_put_text(observable, "value", endpoint);
	} else {
		json_put_bytes(observable, "value", o.p, o.n, w->text_max);
	}
	json_put(w->json, "observable", observable);
}

/* "ja3.hash" in the object {"ja3":{…}}: the map that holds the last part, or
 * NULL when a part on the way is a value already. */
static struct json *app_parent(struct json *object, const char *path, const char **last)
{
	const char *dot;
	for (; (dot = strchr(path, '.')); path = dot + 1) {
		char part[APP_PATH_MAX];
		snprintf(part, sizeof(part), "%.*s", (int)(dot - path), path);
		struct json *below = json_below(object, part);
		if (!below) {
			below = json_map();
			json_put(object, part, below);
		}
		if (json_kind(below) != JSON_KIND_MAP)
			return NULL;
		object = below;
	}
	*last = path;
	return object;
}

static void put_app(const struct writing *w)
{
	const struct alert_app *app = &w->a->app;
	if (!app->object || !app->n || !w->app_max)
		return;
	struct json *object = json_map();
	for (size_t i = 0; i < app->n; i++) {
		const char *last;
		struct json *in = app_parent(object, app->field[i].key, &last);
		if (in && app->field[i].number)
			json_put_int(in, last, (int64_t)(app->field[i].value.n & INT64_MAX));
		else if (in)
			json_put_bytes(in, last, app->field[i].value.p, app->field[i].value.n, w->app_max);
	}
	json_put(w->json, app->object, object);
}

static void put_head(const struct writing *w)
{
	char ts[CLOCK_TEXT_LEN], id[33];
	clock_format(w->a->ts_us, ts);
	json_put_text(w->json, "timestamp", ts);
	json_put_text(w->json, "event_type", "alert");
	alert_id(id, w->a, w->o, w->set.id, w->i.id);
	json_put_text(w->json, "alert_id", id);
	struct json *sensor = json_map();
	put_text(w, sensor, "id", w->o->sensor_id);
	put_text(w, sensor, "site", w->o->site);
	json_put(w->json, "sensor", sensor);
}

static void write_once(struct buf *out, struct writing *w)
{
	w->json = json_map();
	put_head(w);
	put_flow(w);
	put_tunnel(w);
	put_alert(w);
	put_indicator(w);
	put_observable(w);
	put_app(w);
	if (w->set.exercise)
		put_text(w, w->json, "exercise", w->set.exercise);
	else
		json_put_null(w->json, "exercise");
	json_write(w->json, out);
	json_drop(w->json);
}

void alert_json(struct buf *out, const struct alert *a, const struct ruleset *r, const struct alert_origin *o)
{
	static const struct {
		size_t text, app;
	} limits[] = {{TEXT_MAX, APP_TEXT_MAX}, {TEXT_MAX / 4, APP_TEXT_MAX / 8}, {TEXT_MAX / 16, 0}};
	struct writing w = {
	    .a = a, .o = o, .i = ruleset_indicator(r, a->indicator), .set = ruleset_set(r, a->indicator)};
	size_t start = out->n;
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		out->n = start;
		w.text_max = limits[i].text;
		w.app_max = limits[i].app;
		write_once(out, &w);
		if (out->n - start <= JSON_MAX)
			break;
	}
}

/* ---- the record ---- */

/* The organisation's own end: where a group is keyed by asset. The originator
 * when both or neither are at home. */
static const struct addr *internal_end(const struct alert *a, const struct alert_origin *o, const struct addr **peer)
{
	bool dest = !alert_is_home(o, &a->flow.src) && alert_is_home(o, &a->flow.dest);
	*peer = dest ? &a->flow.src : &a->flow.dest;
	return dest ? &a->flow.dest : &a->flow.src;
}

static struct bytes text_bytes(const char *s)
{
	return (struct bytes){.p = (const uint8_t *)s, .n = s ? strlen(s) : 0};
}

void alert_record(struct buf *out, const struct alert *a, const struct ruleset *r, const struct alert_origin *o,
		  struct bytes json)
{
	struct indicator i = ruleset_indicator(r, a->indicator);
	struct indicator_set set = ruleset_set(r, a->indicator);
	char src[ADDR_TEXT_LEN], dest[ADDR_TEXT_LEN], endpoint[ADDR_TEXT_LEN], version[12];
	const struct addr *peer, *inside = internal_end(a, o, &peer);
	snprintf(version, sizeof(version), "%u", set.version);
	struct record rec = {
	    .kind = RECORD_ALERT,
	    .severity = i.severity,
	    .exercise = set.exercise != NULL,
	    .n = 1,
	    .first_us = a->ts_us,
	    .last_us = a->ts_us,
	    .field =
		{
		    [FIELD_SET] = text_bytes(set.id),
		    [FIELD_SET_VERSION] = text_bytes(version),
		    [FIELD_INDICATOR] = text_bytes(i.id),
		    [FIELD_TYPE] = text_bytes(indicator_type_name(i.type)),
		    [FIELD_VALUE] = text_bytes(i.value),
		    [FIELD_WHERE] = text_bytes(where_name(a->where)),
		    [FIELD_SRC] = text_bytes(addr_format(&a->flow.src, src)),
		    [FIELD_DEST] = text_bytes(addr_format(&a->flow.dest, dest)),
		    [FIELD_ENDPOINT] = text_bytes(addr_format(inside, endpoint)),
		    [FIELD_APP] = text_bytes(a->flow.app_proto),
		    [FIELD_TLP] = text_bytes(tlp_names[i.tlp]),
		    [FIELD_PRODUCER] = text_bytes(set.producer),
		    [FIELD_EXERCISE] = text_bytes(set.exercise),
		    [FIELD_TENANT] = text_bytes(o->tenant),
		    [FIELD_JSON] = json,
		    [FIELD_FOLD] = text_bytes(fold_names[i.fold]),
		},
	    .peer = {{.p = peer->b, .n = sizeof(peer->b)}},
	    .peers = 1,
	};
	record_key(&rec, rec.key);
	record_write(out, &rec);
}
