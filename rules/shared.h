/* What partners share: a STIX 2.1 object and its envelope.
 *
 * The object is kept as it was received; properties that we do not know stay in
 * it. The envelope says where it came from, whom it is addressed to and what has
 * become of it here. It never leaves this house as it is: rules/gate.h writes what
 * a partner may know of it into the object's extension
 *
 *   "extensions": {"extension-definition--134945c3-8bed-546c-83b9-48a31fdfb4b2": {
 *      "extension_type": "property-extension",
 *      "origin": "jp-cert-x",             the organisation that made it
 *      "path": ["jp-cert-x", "alpha"],    whom it went through, the origin first
 *      "releasable_to": ["bilateral"],    whom it is addressed to; left out: nobody
 *      "exercise": "keen-edge-26",        left out: real
 *      "pap": "green",                    left out: not said
 *      "priority": "flash"}}              left out: routine
 *
 * so that it stays with the object over a link, TAXII and a bundle. The id is a
 * UUIDv5 in Picket's namespace (rules/indicator.c) over ":extension-definition|picket-shared". */
#ifndef RULES_SHARED_H
#define RULES_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/json.h"

#define SHARED_EXTENSION   "extension-definition--134945c3-8bed-546c-83b9-48a31fdfb4b2"
#define SHARED_NAME_MAX    64           /* an organisation, a group, an exercise: A-Z a-z 0-9 . _ - */
#define SHARED_PATH_MAX    16           /* organisations that an object may have gone through */
#define SHARED_REL_MAX     64           /* groups and organisations that it may be addressed to */
#define SHARED_OBJECT_MAX  (256u << 10) /* bytes of one object as JSON */
#define SHARED_ID_MAX      317          /* type of 250, "--", UUID, and some */
#define SHARED_VERSION_MAX 40           /* a timestamp as it was written */

/* Permissible Actions Protocol: what a receiver may do with it. */
enum pap { PAP_NONE = 0, PAP_CLEAR, PAP_GREEN, PAP_AMBER, PAP_RED, PAP_COUNT };
extern const char *const pap_names[PAP_COUNT + 1]; /* "none" is not written */

enum priority { PRIORITY_ROUTINE = 0, PRIORITY_PRIORITY, PRIORITY_IMMEDIATE, PRIORITY_FLASH, PRIORITY_COUNT };
extern const char *const priority_names[PRIORITY_COUNT + 1];

/* Two ways through everything: what is immediate or flash never waits for the rest. */
enum lane { LANE_BULK = 0, LANE_FLASH, LANE_COUNT };
enum lane shared_lane(enum priority p);

/* review: a person has to say yes. quarantine: a check said no. withdrawn: was
 * active, its producer or the kill switch took it back. Only active goes on. */
enum shared_state { SHARED_ACTIVE = 0, SHARED_REVIEW, SHARED_QUARANTINE, SHARED_WITHDRAWN, SHARED_STATE_COUNT };
extern const char *const shared_state_names[SHARED_STATE_COUNT + 1];

/* Texts are borrowed and never NULL. */
struct shared {
	const struct json *stix;
	const char *collection; /* TAXII collection id (UUID); "" = none */
	const char *origin;     /* organisation that made it */
	const char *from;       /* partner it came from; "" = made here */
	const char *const *path;
	size_t path_n; /* organisations it went through before it came here, the origin first; 0 = made here */
	const char *const *releasable_to;
	size_t rel_n;         /* 0 = not addressed to anybody */
	const char *exercise; /* "" = real */
	enum pap pap;
	enum priority priority;
	enum shared_state state;
	const char *reason;    /* why it is in quarantine, a code (collector/inbound.h); NULL or "" = it is not */
	int64_t date_added_us; /* strictly increasing over all objects of a store; 0 = not stored yet */
};

/* A shared object that owns what it points to. */
struct shared_box {
	struct shared is;
	struct json *stix;
	char (*names)[SHARED_NAME_MAX + 1]; /* as many as there are */
	const char **list;
};

/* Reads the envelope out of an object's extension; an object without one has
 * the partner as its origin and path. stix becomes the box's, whether it works
 * or not, and the box the caller's to free. from: the partner, "" for what is made here. False: not an object,
 * or an extension that is not ours to believe (too long a path, a bad name). */
bool shared_box_read(struct shared_box *b, struct json *stix, const char *from, struct err *e);
/* The envelope as it is stored: a JSON map with from, state, collection and the
 * fields above; and back. box->stix must be set by the caller beforehand (taken). */
struct json *shared_envelope(const struct shared *s);
bool shared_box_stored(struct shared_box *b, struct json *stix, const struct json *envelope, struct err *e);
void shared_box_free(struct shared_box *b);

/* What an object is called. NULL when it is not there or no text. */
const char *shared_id(const struct json *stix);
const char *shared_type(const struct json *stix);
/* modified, else created, else "" (STIX 2.1 section 3.2; observables have neither). */
const char *shared_version(const struct json *stix);
bool shared_revoked(const struct json *stix);

/* The object as an equal tree always gives it, and its SHA-256: what "the same
 * id and version with another content" is judged by. */
void shared_digest(const struct json *stix, uint8_t out[static 32]);

/* The members of SHARED_EXTENSION in an object; NULL if it has none. */
const struct json *shared_extension(const struct json *stix);

bool shared_name_valid(const char *text);
bool shared_id_valid(const char *text); /* type--uuid */

#endif
