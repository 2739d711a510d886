#include "rules/suffix.h"

#include <libpsl.h>
#include <stddef.h>
#include <string.h>

bool suffix_public(const char *name, bool *shared)
{
	const psl_ctx_t *psl = psl_builtin();
	*shared = false;
	if (!psl || !psl_is_public_suffix2(psl, name, PSL_TYPE_ANY))
		return false;
	*shared = !psl_is_public_suffix2(psl, name, PSL_TYPE_ICANN);
	return true;
}

const char *suffix_registered(const char *name)
{
	const psl_ctx_t *psl = psl_builtin();
	return psl ? psl_registrable_domain(psl, name) : NULL;
}

bool suffix_top_level_known(const char *name)
{
	const psl_ctx_t *psl = psl_builtin();
	const char *dot = strrchr(name, '.');
	return psl && dot && psl_is_public_suffix2(psl, dot + 1, PSL_TYPE_ICANN | PSL_TYPE_NO_STAR_RULE);
}
