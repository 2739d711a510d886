/* What a STIX object's data markings say (STIX 2.1 section 7.2): TLP 2.0 and
 * TLP 1.0 by their exact ids, PAP, statements; on the whole object and, as granular
 * markings, on parts of it.
 *
 * What is not known is the most restrictive: an id that nobody has defined, a
 * definition that looks like TLP under another id than TLP's own (typing errors in
 * such ids exist in the wild; STIX 2.1 section 7.2.1.4 forbids further ones), a
 * definition that says something we do not understand, or two that disagree. A
 * definition counts for the objects of the partner that gave it and for nobody
 * else's, so that no partner can loosen another's marking. */
#ifndef RULES_MARKING_H
#define RULES_MARKING_H

#include <stdbool.h>
#include <stddef.h>

#include "common/json.h"
#include "rules/indicator.h"
#include "rules/shared.h"

#define MARKING_BOOK_MAX      65536 /* definitions */
#define MARKING_REFS_MAX      64    /* of one object */
#define MARKING_GRANULAR_MAX  256   /* entries of one object */
#define MARKING_SELECTORS_MAX 1024  /* in all of them */
#define MARKING_SELECTOR_LEN  1024

struct marking {
	enum tlp tlp; /* TLP_UNMARKED: says nothing of it */
	enum pap pap;
	bool known, statement;
};

struct marking_book; /* definitions seen */

struct marking_book *marking_book_new(void);
void marking_book_free(struct marking_book *b);
/* Learns a marking-definition from partner `from`; other objects are left alone. */
void marking_learn(struct marking_book *b, const struct json *stix, const char *from);
/* What an id means on an object of `from`. b may be NULL. */
struct marking marking_of(const struct marking_book *b, const char *id, const char *from);
/* TLP's own definitions, old and new, which everybody has. */
bool marking_is_tlp(const char *id);
enum tlp marking_tlp_of(const char *id); /* what one of them says; TLP_UNMARKED: it is none */
const char *marking_tlp_id(enum tlp t);  /* TLP 2.0's id; NULL for TLP_UNMARKED */
/* One of these as its standard publishes it: a new tree. */
struct json *marking_tlp_object(const char *id);

/* What the object as a whole bears: the strictest of its references, labels of
 * the form "PAP:RED", its extension. *why: the reference that nobody knows, or NULL. */
struct marking marking_object(const struct marking_book *b, const struct json *stix, const char *from,
			      const char **why);

/* A selector (STIX 2.1 section 7.2.3.1) as it is walked: calls for each part.
 * NULL: nothing is there, or the selector is none. */
const struct json *marking_select(const struct json *stix, const char *selector);

#endif
