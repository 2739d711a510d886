#include "rules/indicator.h"

#include <string.h>

const char *const indicator_type_names[] = {
#define X(id, name) name,
    INDICATOR_TYPES(X)
#undef X
	NULL,
};

const char *const severity_names[SEVERITY_COUNT + 1] = {
    [SEVERITY_LOW] = "low",
    [SEVERITY_MEDIUM] = "medium",
    [SEVERITY_HIGH] = "high",
    [SEVERITY_CRITICAL] = "critical",
};

const char *const tlp_names[TLP_COUNT + 1] = {
    [TLP_UNMARKED] = "unmarked",         [TLP_CLEAR] = "clear", [TLP_GREEN] = "green", [TLP_AMBER] = "amber",
    [TLP_AMBER_STRICT] = "amber+strict", [TLP_RED] = "red",
};

const char *const fold_names[FOLD_COUNT + 1] = {
    [FOLD_ASSET] = "indicator+asset",
    [FOLD_INDICATOR] = "indicator",
    [FOLD_SRC_DST] = "indicator+src+dst",
};

const char *indicator_type_name(enum indicator_type t)
{
	return t > INDICATOR_NONE && t < INDICATOR_TYPE_COUNT ? indicator_type_names[t - 1] : "none";
}

enum indicator_type indicator_type_parse(const char *name, size_t n)
{
	for (int t = 1; t < INDICATOR_TYPE_COUNT; t++) {
		const char *known = indicator_type_names[t - 1];
		if (strlen(known) == n && memcmp(known, name, n) == 0)
			return (enum indicator_type)t;
	}
	return INDICATOR_NONE;
}
