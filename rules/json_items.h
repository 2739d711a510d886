/* Cuts a long JSON list into its items without building it, so that a bundle of
 * a gigabyte costs the memory of its largest object. It only finds where values
 * end; what is in them is for common/json to judge. */
#ifndef RULES_JSON_ITEMS_H
#define RULES_JSON_ITEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/cursor.h"

struct json_items {
	const char *p, *end;
	bool inside, bad; /* bad: the list does not end as JSON does */
};

/* The list itself, or the one that a top-level map has under key. False: there
 * is none. */
bool json_items_open(struct json_items *it, const void *text, size_t n, const char *key);
/* The next item; false at the end or when it went bad. */
bool json_items_next(struct json_items *it, struct bytes *item);

#endif
