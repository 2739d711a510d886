/* The exit codes that every Picket program keeps to (README, man pages). */
#ifndef COMMON_EXITS_H
#define COMMON_EXITS_H

enum exit_code {
	EXIT_OK = 0,
	EXIT_FINDINGS = 1,    /* lint, test, scan --fail-on: something was found */
	EXIT_USAGE = 2,       /* the command line is wrong */
	EXIT_INVALID = 3,     /* configuration or rules are invalid */
	EXIT_ENVIRONMENT = 4, /* permission, interface, file, Redis, disk */
	EXIT_PARTIAL = 5,     /* done, but not all of it */
};

#endif
