#include "collector/redis_conf.h"

#include <string.h>

static const char *given(const char *text)
{
	return text ? text : "";
}

static void check_tls(const struct redis_conf *c, struct redis_target *t, struct diag_place at, struct diags *d)
{
	struct err e;
	if (!c->tls)
		return;
	if (c->mode == STORE_STANDALONE && t->local)
		diag_add(d, DIAG_ERROR, at, "redis",
			 "redis.tls: a unix socket has no TLS: give redis.address host:port");
	if (!redis_target_tls(t, c->tls_ca, c->tls_cert, c->tls_key, c->tls_name, &e))
		diag_add(d, DIAG_ERROR, at, "redis", "redis.tls: %s", e.text);
}

static void check_nodes(const struct redis_conf *c, struct diag_place at, struct diags *d)
{
	struct redis_target t = {0};
	struct err e;
	if (c->mode != STORE_STANDALONE && !c->nodes.n)
		diag_add(d, DIAG_ERROR, at, "redis", "redis.mode: %s needs redis.nodes: %s", store_mode_names[c->mode],
			 c->mode == STORE_CLUSTER ? "some members of the cluster" : "the sentinels");
	if (c->nodes.n > STORE_NODES_MAX)
		diag_add(d, DIAG_ERROR, at, "redis", "redis.nodes has more than %d entries", STORE_NODES_MAX);
	for (size_t i = 0; i < c->nodes.n; i++)
		if (!redis_target_parse(c->nodes.v[i], &t, &e))
			diag_add(d, DIAG_ERROR, at, "redis", "redis.nodes: %s", e.text);
	if (c->mode == STORE_CLUSTER && c->db)
		diag_add(d, DIAG_ERROR, at, "redis", "redis.db: a cluster has database 0 only");
}

bool redis_conf_finish(const struct redis_conf *c, struct store_conf *s, const char *file, struct diags *d)
{
	struct diag_place at = {.file = file};
	struct redis_target *t = &s->redis;
	struct err e;
	size_t before = d->count[DIAG_ERROR];
	s->mode = c->mode;
	s->nodes = c->nodes.v;
	s->nodes_n = c->nodes.n;
	s->master = c->master;
	s->timeout_ms = c->timeout_ms;
	if (!redis_target_parse(given(c->address), t, &e))
		diag_add(d, DIAG_ERROR, at, "redis", "redis.address: %s", e.text);
	t->db = c->db;
	check_nodes(c, at, d);
	check_tls(c, t, at, d);
	if (strlen(given(c->user)) >= sizeof(t->user))
		diag_add(d, DIAG_ERROR, at, "redis", "redis.user is longer than %zu bytes", sizeof(t->user) - 1);
	else
		strcpy(t->user, given(c->user));
	if (*given(c->password_file) && !redis_target_password(t, c->password_file, &e))
		diag_add(d, DIAG_ERROR, at, "redis", "%s", e.text);
	return d->count[DIAG_ERROR] == before;
}
