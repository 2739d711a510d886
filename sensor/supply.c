#include "sensor/supply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "rules/entry.h"
#include "rules/ruleset_delta.h"
#include "rules/set_lines.h"
#include "sensor/output.h"

static void on_ready(void *owner)
{
	const struct supply *s = owner;
	const uint64_t one = 1;
	while (write(s->ready_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void on_reply(void *owner)
{
	const struct supply *s = owner;
	if (s->output)
		output_poke(s->output);
}

static bool open_sync(struct supply *s, struct diags *d)
{
	const struct sensor_conf *c = s->conf;
	struct rulesync_conf conf = {.dir = c->sets_dir,
				     .trust = s->trust,
				     .ring = c->ring,
				     .max_shrink = (unsigned)c->max_shrink,
				     .ready = on_ready,
				     .reply = on_reply,
				     .owner = s};
	struct err e;
	s->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->ready_fd < 0)
		err_errno(&e, "cannot make an eventfd");
	else
		s->sync = rulesync_new(&conf, d, &e);
	if (!s->sync)
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = "rules.dir"}, "unreadable", "%s", e.text);
	return s->sync != NULL;
}

bool supply_open(struct supply *s, const struct sensor_conf *c, bool from_collector, struct diags *d)
{
	*s = (struct supply){.conf = c, .ready_fd = -1};
	if (!c->keys)
		return true;
	s->trust = trust_read(c->keys, d);
	return s->trust && (!from_collector || !c->sets_dir || !c->collectors.n || open_sync(s, d));
}

void supply_close(struct supply *s)
{
	rulesync_free(s->sync);
	trust_free(s->trust);
	if (s->ready_fd >= 0)
		close(s->ready_fd);
	*s = (struct supply){.ready_fd = -1};
}

struct armed *supply_load_with(struct supply *s, const char *const *sets, size_t n, uint16_t generation,
			       struct diags *d)
{
	const struct sensor_conf *c = s->conf;
	struct rulefile_trust trust = {.keys = s->trust, .required = c->require_signature, .now_us = clock_wall_us()};
	if (!c->rules.n && !s->sync && !c->allow_empty) {
		diag_add(d, DIAG_ERROR, (struct diag_place){.file = "rules.files"}, "no-rules",
			 "no rule file is configured: the sensor would match nothing; give rules.files or --rules, or "
			 "set rules.allow_empty");
		return NULL;
	}
	const char **all = xcalloc(c->rules.n + n + 1, sizeof(*all));
	for (size_t i = 0; i < c->rules.n; i++)
		all[i] = c->rules.v[i];
	if (n)
		memcpy(all + c->rules.n, sets, n * sizeof(*all));
	/* With a collector behind it a sensor may begin with nothing; its status says so. */
	struct armed *a = armed_load_trusted(all, c->rules.n + n, c->allow_empty || s->sync, &trust, generation, d);
	free(all);
	return a;
}

struct armed *supply_load(struct supply *s, uint16_t generation, struct diags *d)
{
	size_t n = 0;
	const char *const *sets = s->sync ? rulesync_paths(s->sync, &n) : NULL;
	return supply_load_with(s, n ? sets : (const char *const[]){NULL}, n, generation, d);
}

/* ---- a few changes ---- */

/* One half of a delta as a set of its own; its rows are of one set. */
static struct ruleset *read_half(const struct buf *content, const struct manifest *m, struct err *e)
{
	struct rulefile_count count = {0};
	struct diags d = {0};
	struct overrides overrides = {0};
	struct rule_source s = {.b = ruleset_builder_new(),
				.d = &d,
				.count = &count,
				.file = m->set,
				.signed_as = m,
				.overrides = &overrides};
	rulefile_defaults(&s);
	set_lines_read(&s, (const char *)content->p, content->n, 0);
	source_close(&s);
	struct ruleset *r = NULL;
	if (count.refused || count.duplicate || d.count[DIAG_ERROR])
		err_set(e, "the changes of \"%s\" hold entries that are refused, or twice", m->set);
	else
		r = ruleset_build(s.b, e);
	ruleset_builder_free(s.b);
	overrides_free(&overrides);
	diag_free(&d);
	return r;
}

static bool is_there_once(const struct ruleset *r, const char *id)
{
	size_t n = 0;
	for (size_t i = 0; i < ruleset_set_count(r); i++)
		n += strcmp(ruleset_set_at(r, i).id, id) == 0;
	return n == 1;
}

static bool change_one(struct ruleset_delta *delta, const struct ruleset *base, const struct rulesync_change *c,
		       struct err *e)
{
	struct buf gone = {0}, come = {0};
	struct ruleset *out = NULL, *in = NULL;
	bool ok = is_there_once(base, c->m->set) || err_set(e, "two files hold the set \"%s\"", c->m->set);
	ok = ok && set_lines_changes(c->delta, &gone, &come, e) && (out = read_half(&gone, c->m, e)) &&
	     (in = read_half(&come, c->m, e));
	if (ok) {
		struct indicator_set head = ruleset_set_at(in, 0);
		uint32_t set = ruleset_delta_set(delta, &head);
		ok = ruleset_delta_remove_all(delta, set, out, e) && ruleset_delta_add_all(delta, set, in, e);
	}
	ruleset_free(out);
	ruleset_free(in);
	buf_free(&gone);
	buf_free(&come);
	return ok;
}

struct armed *supply_change(const struct armed *now, const struct rulesync_change *c, size_t n, uint16_t generation,
			    struct err *e)
{
	if (!now->exact) {
		err_set(e, "of the files that are loaded something was left out, or was there twice");
		return NULL;
	}
	struct ruleset_delta *delta = ruleset_delta_new(now->rules);
	bool ok = true;
	for (size_t i = 0; ok && i < n; i++)
		ok = change_one(delta, now->rules, &c[i], e);
	struct ruleset *r = ok ? ruleset_delta_apply(delta, e) : NULL;
	ruleset_delta_free(delta);
	struct armed *a = r ? armed_new(r, false, generation, e) : NULL;
	if (a) {
		a->exact = true;
		a->hiding = hiding_again(a->rules, now->hiding);
	}
	return a;
}

void supply_reread(struct supply *s, struct diags *d)
{
	struct trust *fresh = s->conf->keys ? trust_read(s->conf->keys, d) : NULL;
	if (!fresh)
		return;
	if (s->sync)
		rulesync_trust(s->sync, fresh);
	trust_free(s->trust);
	s->trust = fresh;
}

void supply_work(struct supply *s, rulesync_arm *arm, rulesync_arm_changes *changes, void *owner)
{
	uint64_t count;
	rulesync_changes(s->sync, changes);
	if (read(s->ready_fd, &count, sizeof(count)) > 0)
		rulesync_work(s->sync, arm, owner);
}
