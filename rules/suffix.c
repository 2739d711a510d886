#include "rules/suffix.h"

#include <libpsl.h>
#include <stddef.h>

bool suffix_public(const char *name, bool *shared)
{
	const psl_ctx_t *psl = psl_builtin();
	*shared = false;
	if (!psl || !psl_is_public_suffix2(psl, name, PSL_TYPE_ANY))
		return false;
	*shared = !psl_is_public_suffix2(psl, name, PSL_TYPE_ICANN);
	return true;
}
