/* Which values of a STIX pattern a flow has shown so far (rules/condition.h): one
 * entry for each condition that has begun on a flow. Bounded: PENDING_ENTRIES of 64
 * bytes, made when the first is needed; in a full bucket the one that was touched
 * longest ago goes, so flows that ended make room for those that go on. */
#ifndef SENSOR_PENDING_H
#define SENSOR_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#define PENDING_ENTRIES 32768
#define PENDING_OBJECTS 4 /* objects of one flow that are told apart at a time */

struct pending_object {
	uint32_t object; /* 0: free */
	uint32_t seen;
};

struct pending_entry {
	uint64_t flow;
	uint32_t condition;
	uint32_t touched; /* 0: free */
	uint32_t seen;    /* by the flow as a whole: counts for each of its objects */
	uint8_t held;     /* bit i: object i has been told of; bit 7: the flow */
	uint8_t next;     /* the object that goes next */
	struct pending_object object[PENDING_OBJECTS];
};

struct pending;
struct pending *pending_new(void);
void pending_free(struct pending *p);  /* NULL is fine */
void pending_clear(struct pending *p); /* a new rule set: its numbers mean something else */

/* The entry, made now if need be (*evicted: another one went for it). Until the next call. */
struct pending_entry *pending_get(struct pending *p, uint64_t flow, uint32_t condition, bool *evicted);
/* The place of an object in it; *evicted: the one that came first went for it. */
unsigned pending_object(struct pending_entry *e, uint32_t object, bool *evicted);

#endif
