/* Publishing a set as `picket rules push` does it, for other commands of picket. */
#ifndef COLLECTOR_PUSH_H
#define COLLECTOR_PUSH_H

#include "collector/cli.h"
#include "rules/manifest.h"
#include "rules/cli_rules.h"

/* What is the same for each set of an exercise. */
struct push_order {
	struct cli *cli;      /* connected */
	const char *key_path; /* private key */
	const char *exercise;
	int64_t until_us; /* no set is valid for longer; 0 = as its file says */
	const char *ring; /* "" = all sensors */
	bool wait;
	int64_t timeout_ms;
};

/* Signs the files (one set) for the exercise and publishes them as the version
 * after the last one. An exit code; *m is what was published when it is EXIT_OK or
 * EXIT_FINDINGS. Errors are told on standard error. */
int push_exercise_set(const struct push_order *o, const struct rule_paths *files, struct manifest *m);
/* Publishes an empty version of a set of the exercise. */
int push_exercise_end(const struct push_order *o, const char *set);

#endif
