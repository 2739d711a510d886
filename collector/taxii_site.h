/* The API roots and collections of a TAXII server: from a folder of YAML files, one
 * for each collection, or, for tests, from a JSON data file. */
#ifndef COLLECTOR_TAXII_SITE_H
#define COLLECTOR_TAXII_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/json.h"

#define SITE_COLLECTIONS_MAX 1024
#define SITE_ROOTS_MAX       64
#define SITE_CONTENT_MAX     (16ll << 20) /* bytes of one POST, unless a root says less */

struct site_root {
	char *name; /* in the path */
	char *title, *description;
	int64_t content_max;
};

struct site_collection {
	size_t root;
	char *id, *title, *description, *alias, *store; /* store: where its objects are kept */
	bool can_read, can_write;
	struct conf_list media; /* empty: STIX 2.1 */
};

struct site {
	struct site_root *roots;
	size_t roots_n;
	struct site_collection *collections;
	size_t collections_n;
	struct json *discovery; /* as a data file has it; NULL: made from the roots */
	struct json *data;      /* the data file; its objects are loaded from here */
};

/* Reads *.yaml of a folder (or one file): all collections of the API root "shared".
 * Findings go to d; what is right stays in s. */
bool site_load(struct site *s, const char *path, int64_t content_max, struct diags *d);
/* A data file as medallion's memory backend has it. */
bool site_seed(struct site *s, const char *path, struct err *e);
void site_free(struct site *s);

const struct site_root *site_root(const struct site *s, const char *name);
/* NULL: no such collection in that root. */
const struct site_collection *site_collection(const struct site *s, const struct site_root *root, const char *id);

extern const struct conf_key site_keys[];
extern const size_t site_keys_n;

#endif
