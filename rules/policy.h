/* What one partner may get and give: a YAML file per partner, read as the
 * programs' own configuration is (common/conf.h), so that every mistake has its
 * file, line and column and all are told in one run. deploy/partners/ has an example.
 *
 * What is not allowed here is not released (rules/gate.h). */
#ifndef RULES_POLICY_H
#define RULES_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/diag.h"
#include "rules/marking.h"
#include "rules/shared.h"

#define POLICIES_MAX 1024

/* What the partner's software understands. The first is all of it. */
enum profile { PROFILE_PICKET = 0, PROFILE_TAXII, PROFILE_OPENCTI, PROFILE_MISP, PROFILE_COUNT };
extern const char *const profile_names[PROFILE_COUNT + 1];
bool profile_negative_sightings(enum profile p); /* a sighting of count 0 is not read as a hit */
bool profile_opinions(enum profile p);
bool profile_envelope(enum profile p); /* SHARED_EXTENSION is of use */

enum inbound_mode { INBOUND_REVIEW = 0, INBOUND_AUTO, INBOUND_MODE_COUNT };
extern const char *const inbound_mode_names[INBOUND_MODE_COUNT + 1];

enum path_show { PATH_FULL = 0, PATH_ANONYMOUS, PATH_SHOW_COUNT };

struct policy {
	char *id; /* the partner's organisation, as in its certificate; the file's unique name */
	char *title;
	char *valid_until; /* the partnership's end; NULL = open */
	int64_t valid_until_us;

	struct {
		char *identity; /* picket://<org>/partner/<name>: whom we take on a link; NULL = no link */
		char *address;  /* where we connect; NULL = they connect */
		int64_t rate;   /* objects a second out */
	} link;

	struct {
		char *user;                   /* basic authentication; NULL = none */
		char *identity;               /* the certificate's URI, instead or besides */
		struct conf_list read, write; /* collection ids */
	} taxii;

	struct {
		int tlp_max;     /* enum tlp */
		int pap_max;     /* enum pap */
		int unaddressed; /* enum tlp: what is addressed to nobody goes up to here; unmarked = never */
		struct conf_list groups, exercises;
		int64_t hops; /* at most so many organisations before us; TLP may say less */
		struct conf_list types;
		struct conf_list fields; /* "type: field field …": only these of an object of that type */
		struct conf_list drop;   /* "type.field" or "field": never */
		struct conf_list custom; /* properties outside STIX that may go */
		bool victim_detail, statements;
		bool receipts; /* of flash: how many sensors match */
		int path;      /* enum path_show */
		int profile;   /* enum profile */
	} release;

	struct {
		int mode;    /* enum inbound_mode */
		int tlp_max; /* enum tlp: what is marked above is refused */
		struct conf_list types;
		int64_t quota;       /* objects held */
		int64_t rate, burst; /* objects a second, and at once */
		int64_t skew_ms;     /* modified may be so far ahead of our clock */
		int64_t confidence_max;
		int64_t prevalence_max; /* assets or groups here that it would have hit; above: quarantine */
		int64_t fp_threshold;   /* false-positive reports that quarantine one */
		bool sightings;         /* tell the producer what was seen */
		int64_t negative_ms;    /* how often he is told what was looked for and not seen; 0 = never */
		bool relay;             /* what they say of others' indicators goes on to those others */
	} inbound;

	char *bundle_public; /* hex of the key that signs bundles they carry to us */

	const struct policies *all;
	char *file;
};

extern const struct conf_key policy_keys[];
extern const size_t policy_keys_n;

/* All partners of this organisation. */
struct policies {
	struct policy *list;
	size_t n;
	char own[SHARED_NAME_MAX + 1]; /* our organisation */
	struct marking_book *book;     /* definitions seen; owned */
};

/* Reads *.yaml of a folder, or one file. False when any has an error; what is
 * right is in *p all the same, so that -T can go on. */
bool policies_load(struct policies *p, const char *own, const char *path, struct diags *d);
void policies_free(struct policies *p);
const struct policy *policies_find(const struct policies *p, const char *id);
const struct policy *policies_by_identity(const struct policies *p, const char *uri); /* of a link */

bool policy_in_group(const struct policy *p, const char *group); /* its own id is one of them */
bool policy_lists(const struct conf_list *list, const char *word);

#endif
