/* What the two daemons of this room begin with: command line, configuration,
 * loading it again. */
#ifndef COLLECTOR_DAEMON_H
#define COLLECTOR_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "common/conf.h"

struct daemon;

struct daemon_program {
	const char *name, *usage;
	const char *extra; /* one more long option, with a value; NULL: none */
	const struct conf_key *keys;
	size_t keys_n, conf_size;
	/* What one key alone cannot say; `where` begins its findings. */
	bool (*finish)(void *conf, const char *where, struct diags *d);
	/* With -T: what else would stop a start, from the files that the configuration names. */
	void (*files)(const void *conf, const char *where, struct diags *d);
	/* After a reload: what follows from the keys that changed. */
	void (*taken_over)(void *conf);
	int (*serve)(struct daemon *d, void *conf); /* the exit code */
};

/* The whole of main(): options, configuration, then serve(). */
int daemon_main(const struct daemon_program *program, int argc, char **argv);

/* The configuration's file, NULL without one. */
const char *daemon_file(const struct daemon *d);
/* The value of the extra option, NULL when it was not given. */
const char *daemon_extra(const struct daemon *d);

/* At SIGHUP; arg is the daemon. Keys that may change are taken over; false: the new
 * configuration has errors, which were printed, and the old one stays. */
bool daemon_load_again(void *arg);

/* A descriptor per connection: takes what the system gives, and warns when that is
 * less than limits.connections. */
void daemon_raise_files(int64_t connections);

#endif
