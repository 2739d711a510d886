/* Other organisations' TAXII 2.1 collections: what is new there is fetched and taken
 * like anything that comes from that partner; what may go to them is posted. One YAML file for
 * each in the folder that taxii.feeds of the gateway names.
 *
 *   picket:{x}:feed:<name>   hash: after (added_after of the next request), next (inside a series of pages),
 *                            pushed (the last row of ours that they have), told, trouble
 *
 * Where a feed stands is written when what came before it stands in Redis: after
 * a kill -9 the last page is fetched again, and what is there already is the same. */
#ifndef COLLECTOR_TAXII_CLIENT_H
#define COLLECTOR_TAXII_CLIENT_H

#include "collector/taxii.h"

#define FEED_KEY OBJECTS_PREFIX "feed:%s"

struct taxii_client;

struct feed_stats {
	uint64_t pages, taken, refused, pushed, failures;
};

/* NULL: e says why. parts as for the server. */
struct taxii_client *taxii_client_new(const struct taxii_parts *parts, struct err *e);
void taxii_client_free(struct taxii_client *c);
void taxii_client_cut(struct taxii_client *c); /* as taxii_cut() */

struct feed_figures {
	const char *name, *partner; /* until taxii_client_free() */
	struct feed_stats stats;
};
void taxii_client_each(const struct taxii_client *c, void (*each)(void *arg, const struct feed_figures *f), void *arg);
const struct release_stats *taxii_client_released(const struct taxii_client *c);

/* Only reads and checks the files. */
bool taxii_client_check(const char *folder, struct diags *d);

extern const struct conf_key feed_keys[];
extern const size_t feed_keys_n;

#endif
