/* How far a sensor's records stand in Redis. Groups are dealt to LANES lanes by
 * their key, and each lane has its own mark: a record counts in its group's lane
 * when that lane's mark is below its sequence. So one flush may be written by
 * several script calls, each atomic for its lanes, in one Redis or in many:
 * whoever takes over after a part of them reads the marks and skips, lane by
 * lane, exactly what is already there. */
#ifndef COLLECTOR_MARKS_H
#define COLLECTOR_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cursor.h"

/* Half of the lanes are for groups of exercises, whose keys are others: a script
 * call writes one kind only. They alternate in runs, so that each of up to
 * LANES / (2 * LANE_RUN) partitions has as many of both. */
#define LANES          128
#define LANE_RUN       4
#define MARKS_TEXT_LEN (LANES * 21 + 1)

struct marks {
	uint64_t lane[LANES];
	uint32_t narrow; /* bit i: as it stands in Redis, the part that begins at lane i * 2 * LANE_RUN is narrow */
};

/* A function of the group key only: the same record comes to the same lane
 * whoever folds it. Losses belong to no group: lane 0. */
static inline unsigned lane_of(const uint8_t key[16], bool exercise)
{
	unsigned k = key[15] % (LANES / 2);
	return k / LANE_RUN * 2 * LANE_RUN + (exercise ? LANE_RUN : 0) + k % LANE_RUN;
}

static inline bool lane_is_exercise(unsigned lane)
{
	return lane & LANE_RUN;
}

void marks_set(struct marks *m, uint64_t mark);
uint64_t marks_lowest(const struct marks *m);
uint64_t marks_highest(const struct marks *m);
/* Lanes first .. first + n - 1 stand at mark, if they were not above. */
void marks_raise(struct marks *m, unsigned first, unsigned n, uint64_t mark);

/* Lanes first .. first + n - 1 as they stand in Redis: "17" when they are all
 * the same, else runs: "25x3,17x125".
 *
 * Schema 1 knows a narrow form, too, from before exercises had lanes of their own: runs
 * of n / 2 lanes, which are the real ones. It is read, and written as it was read until
 * one of its lanes is raised. The lanes of exercises then stand at the lowest mark: a
 * record of an exercise that was under way may count twice, none is lost. */
void marks_write(const struct marks *m, unsigned first, unsigned n, char text[static MARKS_TEXT_LEN]);
/* False: not such a text for n lanes; m may be changed. */
bool marks_read(struct bytes text, struct marks *m, unsigned first, unsigned n);

#endif
