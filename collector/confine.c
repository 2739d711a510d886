#include "collector/confine.h"

#include <string.h>

#include "common/log.h"
#include "common/sandbox.h"

/* A socket's folder is written to when it is removed at the end. */
static void grant_listener(struct sandbox *box, const char *address)
{
	if (address && strncmp(address, "unix:", 5) == 0)
		sandbox_write_beside(box, address + 5);
}

static void grant_listeners(struct sandbox *box, const struct conf_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		grant_listener(box, l->v[i]);
}

static void grant_files(struct sandbox *box, const char *const *files, size_t n)
{
	sandbox_read_system(box);
	for (size_t i = 0; i < n; i++)
		sandbox_read_beside(box, files[i]);
}

static bool stays_open(bool on)
{
	if (!on)
		log_warnx("sandbox.on is false: the process keeps its rights");
	return !on;
}

bool confine_collector(const struct collector_conf *c, const char *file, struct err *e)
{
	struct sandbox box = {.profile = SANDBOX_COLLECTOR, .any_port = c->store.mode != STORE_STANDALONE};
	const char *const files[] = {file,
				     c->tls.cert,
				     c->tls.key,
				     c->tls.ca,
				     c->tls.crl,
				     c->redis.password_file,
				     c->redis.tls_ca,
				     c->redis.tls_cert,
				     c->redis.tls_key};
	if (stays_open(c->sandbox))
		return true;
	grant_files(&box, files, sizeof(files) / sizeof(*files));
	grant_listeners(&box, &c->listen);
	grant_listener(&box, c->metrics);
	sandbox_connect(&box, c->redis.address);
	sandbox_connect(&box, ":53"); /* long answers of DNS */
	return sandbox_enter(&box, e);
}

/* Partners' servers are anywhere. */
bool confine_gateway(const struct gateway_conf *c, const char *file, struct err *e)
{
	struct sandbox box = {.profile = SANDBOX_GATEWAY, .any_port = true};
	const char *const files[] = {file,
				     c->tls.cert,
				     c->tls.key,
				     c->tls.ca,
				     c->tls.crl,
				     c->collections,
				     c->passwords,
				     c->cursor_key,
				     c->redis.password_file,
				     c->redis.tls_ca,
				     c->redis.tls_cert,
				     c->redis.tls_key,
				     c->partners_dir,
				     c->feeds};
	if (stays_open(c->sandbox))
		return true;
	grant_files(&box, files, sizeof(files) / sizeof(*files));
	const char *const links[] = {c->links_tls.cert, c->links_tls.key, c->links_tls.ca, c->links_tls.crl};
	grant_files(&box, links, sizeof(links) / sizeof(*links));
	sandbox_read(&box, c->partners_dir);
	grant_listeners(&box, &c->links_listen);
	for (size_t i = 0; i < c->inbound_warninglists.n; i++)
		sandbox_read_beside(&box, c->inbound_warninglists.v[i]);
	grant_listeners(&box, &c->taxii_listen);
	grant_listener(&box, c->metrics);
	return sandbox_enter(&box, e);
}
