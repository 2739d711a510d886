#include "rules/overrides.h"

#include <stdlib.h>

#include "common/buf.h"

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
