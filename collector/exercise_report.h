/* What came of an exercise: picket exercise report, and the end of its alerts. */
#ifndef COLLECTOR_EXERCISE_REPORT_H
#define COLLECTOR_EXERCISE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/cli.h"
#include "rules/manifest.h"

#define EXERCISE_INJECTS_MAX 1000

struct exercise_inject {
	int64_t at_us;
	char set[MANIFEST_SET_MAX + 1];
	uint32_t version;
	uint64_t count; /* indicators */
};

struct exercise_injects {
	struct exercise_inject *v; /* in the order in which they were made */
	size_t n;
};

/* From the exercise's hash; what is no inject there is left out. */
void exercise_injects_read(const struct reply *record, struct exercise_injects *list);
void exercise_injects_free(struct exercise_injects *list);

/* Prints who had which inject when, what it hit and how fast, and what analysts
 * did. An exit code. */
int exercise_report(struct cli *c, const char *name, const struct reply *record);

/* Removes the groups of the exercise; *n is how many. The entries in the stream and
 * the sums stay until their own bounds take them. */
bool exercise_forget_alerts(struct cli *c, const char *name, size_t *n);

#endif
