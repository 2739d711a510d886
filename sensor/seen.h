/* Which (flow, indicator, place) was alerted on already: one alert each, then
 * repeats. Bounded: two generations of a hash set; the last SEEN_GENERATION
 * entries at least are remembered, whatever is forgotten alerts anew. */
#ifndef SENSOR_SEEN_H
#define SENSOR_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#define SEEN_GENERATION 65536

struct seen;
struct seen *seen_new(void);
void seen_free(struct seen *s);
/* True when the entry is new (it is remembered now). */
bool seen_add(struct seen *s, uint32_t flow, uint32_t indicator, uint16_t place);
void seen_clear(struct seen *s); /* a new rule set: its numbers mean something else */

#endif
