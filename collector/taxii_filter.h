/* What a TAXII 2.1 request asks for (section 3.4: added_after, limit, next, match),
 * and where it goes on (next).
 *
 * A cursor holds the last row given and nothing else, signed together with what was
 * asked for: no state here, valid after a restart and at every gateway that has the key,
 * refused when the filters or the asker are others than they were. added_after may change or be left out
 * beside a cursor (clients do both): the later of the two counts. */
#ifndef COLLECTOR_TAXII_FILTER_H
#define COLLECTOR_TAXII_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/objects.h"
#include "common/err.h"

#define FILTER_LIST_MAX   512   /* entries of one match[…] */
#define FILTER_TEXT_MAX   32768 /* bytes of all of them */
#define FILTER_CURSOR_LEN 34    /* characters of a next */
#define FILTER_KEY_LEN    32

struct filter_list {
	char **v;
	size_t n; /* 0: all */
};

struct filter {
	int64_t after; /* rows behind this one */
	size_t limit;
	struct filter_list ids, types;
	bool given_specs, given_versions;
	int specs[16];
	size_t specs_n;
	bool first, last, all;
	int64_t versions[64];
	size_t versions_n;
	uint8_t scope[32]; /* what was asked for, and by whom */
	char *text;        /* what the lists point into */
	char *lists[2 * FILTER_LIST_MAX];
};

/* Gives a parameter of the query, NULL when it is not there. */
typedef const char *filter_get(void *from, const char *name);

/* scope: place and asker. False: 400, e says why. limit_max: what limit is lowered to. */
bool filter_read(struct filter *f, filter_get *get, void *from, const char *scope, size_t limit_max,
		 const uint8_t key[static FILTER_KEY_LEN], struct err *e);
void filter_free(struct filter *f);

void filter_next(const struct filter *f, int64_t row, const uint8_t key[static FILTER_KEY_LEN],
		 char out[static FILTER_CURSOR_LEN + 1]);

/* Whether only the last version of each object is asked for: those are what an index has. */
bool filter_only_last(const struct filter *f);
/* By id, type, added_after: what one row says. */
bool filter_takes(const struct filter *f, const struct object_row *r);
/* Among all rows of the same object (any order, itself too): by spec_version, then version. */
bool filter_chooses(const struct filter *f, const struct object_row *r, const struct object_row *all, size_t n);

int64_t object_version_us(const struct object_row *r);

#endif
