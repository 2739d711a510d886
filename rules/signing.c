#include "rules/signing.h"

#include <stdlib.h>
#include <string.h>

#include "common/hash.h"
#include "common/text.h"
#include "rules/set_layout.h"
#include "rules/set_lines.h"

static bool parse_version(const char *text, uint32_t *out)
{
	char *end;
	unsigned long long v = strtoull(text, &end, 10);
	*out = (uint32_t)v;
	return *text >= '0' && *text <= '9' && !*end && v > 0 && v <= UINT32_MAX;
}

static bool parse_urgency(const char *text, enum urgency *out)
{
	for (int i = 0; i < URGENCY_COUNT; i++)
		if (strcmp(text, urgency_names[i]) == 0) {
			*out = (enum urgency)i;
			return true;
		}
	return false;
}

bool signing_option(struct signing *s, int option, const char *argument, struct err *e)
{
	if (option == 'k')
		s->key_path = argument;
	if (option == 'V' && !parse_version(argument, &s->version))
		return err_set(e, "--set-version: expected 1 to 4294967295, found \"%s\"", argument);
	if (option == 'P' && !parse_urgency(argument, &s->priority))
		return err_set(e, "--priority: expected routine, priority, immediate or flash, found \"%s\"", argument);
	if (option == 'X' && !manifest_id_valid(argument, strlen(argument)))
		return err_set(e, "--exercise: expected 1 to %d of A-Z a-z 0-9 . _ -", MANIFEST_SET_MAX);
	if (option == 'X')
		s->exercise = argument;
	s->withdraw = s->withdraw || option == 'W';
	s->shrink = s->shrink || option == 'S';
	return true;
}

bool signing_seal(struct bytes content, size_t count, const struct signing *s, struct manifest *m, struct buf *file,
		  struct err *e)
{
	uint8_t digest[32];
	struct buf line = {0};
	struct endorsement by;
	if (content.n > MANIFEST_CONTENT_MAX)
		return err_set(e, "set \"%s\" has %zu bytes; at most %u MiB are distributed", m->set, content.n,
			       MANIFEST_CONTENT_MAX >> 20);
	hash_sha256(digest, content.p, content.n);
	text_hex(m->digest, digest, sizeof(digest));
	memcpy(m->previous, s->previous, sizeof(m->previous));
	m->count = count;
	m->bytes = content.n;
	m->created_us = s->now_us;
	m->priority = s->priority;
	m->withdrawn = s->withdraw;
	m->shrink = s->shrink;
	manifest_write(m, &line);
	bool ok = manifest_sign(s->key, line.p, line.n, &by, e);
	if (ok)
		signed_set_write(file, (struct bytes){line.p, line.n}, &by, content);
	buf_free(&line);
	return ok;
}

static bool fill(const struct ruleset *r, const struct signing *s, struct manifest *m, struct err *e)
{
	if (ruleset_set_count(r) != 1)
		return err_set(e, "these files hold %zu sets; one set is signed at a time", ruleset_set_count(r));
	struct indicator_set set = ruleset_set_at(r, 0);
	const char *exercise = s->exercise ? s->exercise : set.exercise ? set.exercise : "";
	*m = (struct manifest){.version = s->version ? s->version : set.version, .valid_until_us = set.valid_until_us};
	if (s->until_us && (!m->valid_until_us || m->valid_until_us > s->until_us))
		m->valid_until_us = s->until_us;
	if (!manifest_id_valid(set.id, strlen(set.id)))
		return err_set(e, "\"%s\": the id of a signed set has 1 to %d of A-Z a-z 0-9 . _ -, no dot in front",
			       set.id, MANIFEST_SET_MAX);
	if (*exercise && !manifest_id_valid(exercise, strlen(exercise)))
		return err_set(e, "\"%s\": an exercise is called by 1 to %d of A-Z a-z 0-9 . _ -", exercise,
			       MANIFEST_SET_MAX);
	if (!m->version)
		return err_set(e, "set \"%s\" has no version: sensors take newer ones only; give set: {version: N}",
			       set.id);
	memcpy(m->set, set.id, strlen(set.id) + 1);
	memcpy(m->exercise, exercise, strlen(exercise) + 1);
	return true;
}

bool signing_make(const struct ruleset *r, const struct signing *s, struct buf *file, struct manifest *m, struct err *e)
{
	struct buf content = {0};
	size_t count = 0;
	bool ok = fill(r, s, m, e) && set_layout(r, &s->overrides, (uint32_t)m->version, &content, &count, e);
	if (ok && count && s->withdraw)
		ok = err_set(e, "set \"%s\" has %zu indicators: a set that is withdrawn has none", m->set, count);
	if (ok && !count && !s->withdraw)
		ok = err_set(e, "set \"%s\" is empty; --withdraw says that it is meant", m->set);
	ok = ok && signing_seal((struct bytes){content.p, content.n}, count, s, m, file, e);
	buf_free(&content);
	return ok;
}

bool signing_withdrawn(const char *set, const struct signing *s, struct manifest *m, struct buf *file, struct err *e)
{
	struct buf content = {0};
	struct signing empty = *s;
	empty.withdraw = true;
	*m = (struct manifest){.version = s->version};
	if (!manifest_id_valid(set, strlen(set)) || !s->version)
		return err_set(e, "\"%s\" version %u cannot be withdrawn: no such id or version can be", set,
			       s->version);
	memcpy(m->set, set, strlen(set) + 1);
	buf_printf(&content, "set: {id: \"%s\", version: %u}\n", set, s->version);
	buf_add(&content, SET_LINES_DIVIDER SET_LINES_COLUMNS, strlen(SET_LINES_DIVIDER SET_LINES_COLUMNS));
	bool ok = signing_seal((struct bytes){content.p, content.n}, 0, &empty, m, file, e);
	buf_free(&content);
	return ok;
}
