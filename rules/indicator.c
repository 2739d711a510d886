#include "rules/indicator.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/hash.h"

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

/* 5b0e4c1f-9d5a-4f57-8a39-6f3d0f1c27b2: drawn once at random for Picket. STIX'
 * own 00abedb4-... is for cyber-observables only. */
static const uint8_t id_namespace[16] = {0x5b, 0x0e, 0x4c, 0x1f, 0x9d, 0x5a, 0x4f, 0x57,
					 0x8a, 0x39, 0x6f, 0x3d, 0x0f, 0x1c, 0x27, 0xb2};

char *indicator_make_id(enum indicator_type t, const char *value, char out[static INDICATOR_ID_LEN])
{
	struct buf name = {0};
	uint8_t d[20];
	buf_add(&name, id_namespace, sizeof(id_namespace));
	buf_printf(&name, "%s:%s", indicator_type_name(t), value);
	hash_sha1(d, name.p, name.n);
	buf_free(&name);
	d[6] = (uint8_t)((d[6] & 0x0f) | 0x50); /* version 5 */
	d[8] = (uint8_t)((d[8] & 0x3f) | 0x80); /* the RFC's variant */
	snprintf(out, INDICATOR_ID_LEN, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", d[0],
		 d[1], d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12], d[13], d[14], d[15]);
	return out;
}
