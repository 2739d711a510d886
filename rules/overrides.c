#include "rules/overrides.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/text.h"

const char *const override_names[OVERRIDE_VERB_COUNT + 1] = {"suppress", "disable", NULL};

static void override_free(struct override *o)
{
	free(o->value);
	free(o->id);
	free(o->reason);
}

bool overrides_add(struct overrides *o, const struct override *one)
{
	struct override copy = *one;
	if (o->n >= OVERRIDES_MAX) {
		override_free(&copy);
		return false;
	}
	o->v = xrealloc(o->v, (o->n + 1) * sizeof(*o->v));
	o->v[o->n++] = copy;
	return true;
}

void overrides_free(struct overrides *o)
{
	for (size_t i = 0; i < o->n; i++)
		override_free(&o->v[i]);
	free(o->v);
	*o = (struct overrides){0};
}

static const char *status_key(const char *verb, const char *type, const char *text, const char *source,
			      char into[static OVERRIDE_KEY_MAX])
{
	char value[81];
	value[text_utf8(value, sizeof(value) - 1, text, strlen(text))] = '\0'; /* whole characters */
	snprintf(into, OVERRIDE_KEY_MAX, "hidden.%s %s %s%s", verb, type, value, source);
	return into;
}

const char *override_status_key(const struct override *o, char into[static OVERRIDE_KEY_MAX])
{
	char source[ADDR_TEXT_LEN + 8] = "", address[ADDR_TEXT_LEN];
	if (o->has_source)
		snprintf(source, sizeof(source), " %s/%u", addr_format(&o->source.addr, address), o->source.length);
	return status_key(override_names[o->verb], o->id ? "id" : indicator_type_name(o->type),
			  o->id ? o->id : o->value, source, into);
}

const char *allow_status_key(enum indicator_type t, const char *value, char into[static OVERRIDE_KEY_MAX])
{
	return status_key("allow", indicator_type_name(t), value, "", into);
}
