#include "collector/gateway_conf.h"

#include <string.h>

#include "collector/login.h"
#include "collector/taxii.h"
#include "collector/taxii_client.h"
#include "collector/taxii_site.h"
#include "common/listen.h"
#include "rules/policy.h"

#define AT(member) offsetof(struct gateway_conf, member)
#define SECOND     1000
#define MINUTE     (60ll * SECOND)
#define HOUR       (60 * MINUTE)
#define DAY        (24 * HOUR)
#define MEGA       (1ll << 20)

const struct conf_key gateway_keys[] = {
    {"gateway.name", CONF_STRING, AT(name), .help = "This gateway's name in logs; empty = the host's name."},
    {"gateway.org", CONF_STRING, AT(org), .help = "Our organisation, as partners and certificates call it."},
    {"taxii.address", CONF_STRING_LIST, AT(taxii_listen),
     .help = "Where TAXII is served: host:port, [v6]:port, unix:/path. Empty = nowhere."},
    {"taxii.plaintext", CONF_BOOL, AT(taxii_plaintext), .fallback = "false",
     .help = "No TLS on unix sockets and loopback addresses; all others have it always."},
    {"taxii.collections", CONF_STRING, AT(collections),
     .help = "A folder with a file for each collection (*.yaml); read again on SIGHUP. Empty = none."},
    {"taxii.feeds", CONF_STRING, AT(feeds),
     .help = "A folder with a file for each collection elsewhere that is fetched or posted to (*.yaml). Empty = none."},
    {"taxii.contact", CONF_STRING, AT(contact), .help = "Whom partners can ask, in the discovery."},
    {"taxii.passwords", CONF_STRING, AT(passwords),
     .help =
	 "Lines name:hash as crypt(5) knows them ($y$, $2b$, $6$); read again on SIGHUP. Empty = certificates only."},
    {"taxii.cursor_key", CONF_STRING, AT(cursor_key),
     .help =
	 "A file with the secret that signs cursors, for gateways that do not share a Redis; empty = kept in Redis."},
    {"tls.cert", CONF_STRING, AT(tls.cert), .help = "Our certificate (URI SAN picket://<org>/collector/<name>), PEM."},
    {"tls.key", CONF_STRING, AT(tls.key), .help = "Its private key, PEM."},
    {"tls.ca", CONF_STRING, AT(tls.ca), .help = "The CA of partners' certificates, PEM."},
    {"tls.crl", CONF_STRING, AT(tls.crl), .help = "Its revocation list, PEM; read again on SIGHUP."},
    {"partners.dir", CONF_STRING, AT(partners_dir),
     .help = "A folder with a policy for each partner (*.yaml); read again on SIGHUP. Empty = no partners."},
    {"links.address", CONF_STRING_LIST, AT(links_listen),
     .help = "Where partners' gateways connect: host:port, [v6]:port. Empty = we connect only."},
    {"links.cert", CONF_STRING, AT(links_tls.cert),
     .help = "Our certificate on links (URI SAN picket://<org>/partner/<name>), PEM. Empty = no links."},
    {"links.key", CONF_STRING, AT(links_tls.key), .help = "Its private key, PEM."},
    {"links.ca", CONF_STRING, AT(links_tls.ca), .help = "The CA of partners' gateways, PEM."},
    {"links.crl", CONF_STRING, AT(links_tls.crl), .help = "Its revocation list, PEM; read again on SIGHUP."},
    {"sets.key", CONF_STRING, AT(sets_key),
     .help = "The private key (picket rules keygen) that signs partners' sets for sensors, whose trusted keys have it "
	     "with the scope partner-*. Empty = nothing of partners goes to sensors."},
    {"inbound.own", CONF_STRING_LIST, AT(inbound_own),
     .help = "Our networks and names: partners' indicators that would hit them are quarantined."},
    {"inbound.warninglists", CONF_STRING_LIST, AT(inbound_warninglists),
     .help = "MISP warninglists (JSON): what is on one is quarantined."},
    {"limits.connections", CONF_INT, AT(connections), 1, 100000, "1024", .reload = true, .help = "In all."},
    {"limits.per_address", CONF_INT, AT(per_address), 1, 100000, "64", .reload = true,
     .help = "Connections from one address."},
    {"limits.header", CONF_BYTES, AT(header_bytes), 1024, MEGA, "16kB", .help = "Of one request's headers."},
    {"limits.body", CONF_BYTES, AT(body_bytes), 1024, 1024 * MEGA, "16MB",
     .help = "Of one request; an API root may say less (max_content_length)."},
    {"limits.object", CONF_BYTES, AT(object_bytes), 1024, 16 * MEGA, "1MB", .reload = true,
     .help = "One shared object."},
    {"limits.request", CONF_DURATION_MS, AT(request_ms), 100, HOUR, "30s",
     .help = "Without a byte from or to a client for so long its connection ends."},
    {"limits.page", CONF_INT, AT(page_max), 1, 100000, "1000", .reload = true, .help = "Objects in one answer."},
    {"limits.page_bytes", CONF_BYTES, AT(page_bytes), MEGA, 48 * MEGA, "8MB", .reload = true,
     .help = "Bytes of objects in one answer, about; the rest is on the next page."},
    {"limits.logins", CONF_INT, AT(logins), 1, 1000000, "10", .reload = true,
     .help = "Wrong passwords of a name or from an address in a minute; further ones wait."},
    {"limits.login_cache", CONF_DURATION_MS, AT(login_cache_ms), 0, DAY, "5m", .reload = true,
     .help = "A right password is not hashed again for so long."},
    REDIS_CONF_ROWS(AT(redis)),
    {"retention.objects", CONF_INT, AT(objects_max), 100, 100000000, "2000000", .reload = true,
     .help = "Objects in one collection; beyond that the oldest are forgotten, counted."},
    {"retention.versions", CONF_INT, AT(versions_max), 1, 256, "16", .reload = true,
     .help = "Versions of one object; beyond that the oldest are forgotten."},
    {"retention.status", CONF_DURATION_MS, AT(status_ms), MINUTE, 365 * DAY, "1d", .reload = true,
     .help = "How long the outcome of a POST can be asked for."},
    {"metrics.listen", CONF_STRING, AT(metrics),
     .help = "Figures for Prometheus at http://ADDRESS/metrics: host:port, [v6]:port, unix:/path; empty: none. Plain "
	     "HTTP for whoever can connect: loopback, or a network of its own."},
    {"sandbox.on", CONF_BOOL, AT(sandbox), .fallback = "true",
     .help =
	 "Give up capabilities, most system calls (seccomp) and access to other files (Landlock) once the listeners "
	 "are open. What the kernel has not got is told of and left out."},
};
const size_t gateway_keys_n = sizeof(gateway_keys) / sizeof(*gateway_keys);

static const char *given(const char *text)
{
	return text ? text : "";
}

static void check_taxii(const struct gateway_conf *c, struct diag_place at, struct diags *d)
{
	struct err e;
	bool tls = *given(c->tls.cert) && *given(c->tls.key);
	if (*given(c->tls.crl) && !*given(c->tls.ca))
		diag_add(d, DIAG_ERROR, at, "tls", "tls.crl is given, tls.ca is not: whose list is it?");
	if (!*given(c->tls.ca) && !*given(c->passwords) && c->taxii_listen.n && *given(c->collections))
		diag_add(d, DIAG_ERROR, at, "taxii",
			 "neither tls.ca (certificates) nor taxii.passwords: nobody could log in");
	for (size_t i = 0; i < c->taxii_listen.n; i++) {
		struct listen_address a;
		if (!listen_parse(c->taxii_listen.v[i], &a, &e))
			diag_add(d, DIAG_ERROR, at, "taxii", "taxii.address: %s", e.text);
		else if (!(c->taxii_plaintext && listen_is_local(&a)) && !tls)
			diag_add(d, DIAG_ERROR, at, "taxii", "taxii.address %s needs tls.cert and tls.key%s",
				 c->taxii_listen.v[i],
				 listen_is_local(&a) ? " (or taxii.plaintext: true)"
						     : "; only unix sockets and loopback can do without");
	}
}

static void check_folders(const struct gateway_conf *c, struct diags *d)
{
	struct site s;
	if (*given(c->feeds))
		taxii_client_check(c->feeds, d);
	if (!*given(c->collections))
		return;
	site_load(&s, c->collections, c->body_bytes, d);
	site_free(&s);
}

static void check_partners(const struct gateway_conf *c, struct diag_place at, struct diags *d)
{
	bool cert = *given(c->links_tls.cert), all = cert && *given(c->links_tls.key) && *given(c->links_tls.ca);
	struct listen_address a;
	struct err e;
	struct policies p;
	if ((cert && !all) || (c->links_listen.n && !cert))
		diag_add(d, DIAG_ERROR, at, "links", "links need links.cert, links.key and links.ca");
	if (c->links_listen.n > GATEWAY_LINKS_LISTEN_MAX)
		diag_add(d, DIAG_ERROR, at, "links", "links.address: %zu addresses, at most %d are listened on",
			 c->links_listen.n, GATEWAY_LINKS_LISTEN_MAX);
	for (size_t i = 0; i < c->links_listen.n; i++)
		if (!listen_parse(c->links_listen.v[i], &a, &e))
			diag_add(d, DIAG_ERROR, at, "links", "links.address: %s", e.text);
	if (!*given(c->partners_dir))
		return;
	if (!*given(c->org)) {
		diag_add(d, DIAG_ERROR, at, "org", "partners.dir needs gateway.org: who are we to them?");
		return;
	}
	policies_load(&p, c->org, c->partners_dir, d);
	policies_free(&p);
}

static void check_metrics(const struct gateway_conf *c, struct diag_place at, struct diags *d)
{
	struct listen_address a;
	struct err e;
	if (*given(c->metrics) && !listen_parse(c->metrics, &a, &e))
		diag_add(d, DIAG_ERROR, at, "metrics", "metrics.listen: %s", e.text);
}

static bool is_name(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	return strspn(text, allowed) == strlen(text) && strlen(text) <= IDENTITY_PART_MAX;
}

struct tls_conf gateway_conf_tls(const struct gateway_conf *c)
{
	return (struct tls_conf){.server = true,
				 .web = true,
				 .cert = c->tls.cert,
				 .key = c->tls.key,
				 .ca = *given(c->tls.ca) ? c->tls.ca : NULL,
				 .crl = *given(c->tls.crl) ? c->tls.crl : NULL,
				 .own_role = ROLE_COLLECTOR,
				 .peer_role = ROLE_PARTNER};
}

struct tls_conf gateway_conf_links_tls(const struct gateway_conf *c)
{
	return (struct tls_conf){.server = true,
				 .cert = c->links_tls.cert,
				 .key = c->links_tls.key,
				 .ca = c->links_tls.ca,
				 .crl = *given(c->links_tls.crl) ? c->links_tls.crl : NULL,
				 .own_role = ROLE_PARTNER,
				 .peer_role = ROLE_PARTNER};
}

void gateway_conf_files(const struct gateway_conf *c, const char *file, struct diags *d)
{
	struct diag_place at = {.file = file};
	struct tls_conf taxii = gateway_conf_tls(c), links = gateway_conf_links_tls(c);
	uint8_t key[32];
	struct err e;
	if (*given(c->tls.cert) && *given(c->tls.key) && !tls_check(&taxii, &e))
		diag_add(d, DIAG_ERROR, at, "tls", "%s", e.text);
	if (*given(c->links_tls.cert) && !tls_check(&links, &e))
		diag_add(d, DIAG_ERROR, at, "links", "%s", e.text);
	if (*given(c->passwords) && !login_file_check(c->passwords, &e))
		diag_add(d, DIAG_ERROR, at, "taxii", "%s", e.text);
	if (*given(c->cursor_key) && !taxii_cursor_key(c->cursor_key, key, &e))
		diag_add(d, DIAG_ERROR, at, "taxii", "%s", e.text);
}

bool gateway_conf_finish(struct gateway_conf *c, const char *file, struct diags *d)
{
	struct diag_place at = {.file = file};
	size_t before = d->count[DIAG_ERROR];
	check_taxii(c, at, d);
	check_folders(c, d);
	check_partners(c, at, d);
	check_metrics(c, at, d);
	c->store.use = STORE_OBJECTS;
	redis_conf_finish(&c->redis, &c->store, file, d);
	if (!is_name(given(c->name)))
		diag_add(d, DIAG_ERROR, at, "name", "gateway.name: at most %d of A-Z a-z 0-9 . _ -", IDENTITY_PART_MAX);
	if (!is_name(given(c->org)))
		diag_add(d, DIAG_ERROR, at, "org", "gateway.org: at most %d of A-Z a-z 0-9 . _ -", IDENTITY_PART_MAX);
	return d->count[DIAG_ERROR] == before;
}
