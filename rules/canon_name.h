/* Names and URLs in canonical form: the part of rules/canon.h that knows of
 * labels, IDNA and authorities. Used by canon.c alone. */
#ifndef RULES_CANON_NAME_H
#define RULES_CANON_NAME_H

#include "rules/canon.h"

#define CANON_NAME_MAX  253 /* RFC 1035 section 2.3.4 as text, without the trailing dot */
#define CANON_LABEL_MAX 63
#define CANON_IDNA_MAX  1012 /* bytes of Unicode that could still become 253: 4 per character */

/* Lower-cases ASCII from src to dst (which may be src); true when all n bytes are ASCII. */
bool canon_lower(unsigned char *dst, const void *src, size_t n);

/* A name as a rule's author may write it, and as it stands on the wire. */
bool canon_name_rule(enum indicator_type t, const char *value, size_t n, struct canon *out, struct err *e);
bool canon_name_wire(const void *value, size_t n, struct canon *out);

bool canon_url_rule(const char *value, size_t n, struct canon *out, struct err *e);
bool canon_url_wire(const void *value, size_t n, struct canon *out);

/* The sentence for a value that was broken on purpose, with what was meant. False. */
bool canon_defanged(const char *value, size_t n, struct err *e);

/* The value made safe to stand in a sentence, shortened. */
#define CANON_SHOWN 120
char *canon_shown(const void *value, size_t n, char out[static CANON_SHOWN]);
#define SHOWN(value, n) canon_shown((value), (n), (char[CANON_SHOWN]){""})

#endif
