/* What a process gives up once it is ready, so that whoever takes it over through
 * its input has little in hand: no capabilities, no new privileges, only the system
 * calls of its profile (seccomp), only the files and TCP ports that it was granted
 * (Landlock), no core dumps. The door to libseccomp, libcap-ng and Landlock.
 *
 * Capabilities and Landlock hold for the calling thread and those that it starts:
 * enter before any thread is started.
 *
 * A kernel without seccomp or Landlock is told of in one line and the rest holds;
 * what the kernel has and still refuses is an error. */
#ifndef COMMON_SANDBOX_H
#define COMMON_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

enum sandbox_profile {
	SANDBOX_DPI = 0,    /* runs nDPI on packets: memory, time, nothing else */
	SANDBOX_SUPERVISOR, /* starts and watches it: also processes, and one folder */
	SANDBOX_SENSOR,     /* captures, spools, talks to collectors */
	SANDBOX_OPENER,     /* opens packet sockets for the sensor: alone keeps CAP_NET_RAW */
	SANDBOX_COLLECTOR,  /* serves sensors, talks to Redis */
	SANDBOX_GATEWAY,    /* serves and asks over HTTP */
	SANDBOX_SCAN,       /* reads files: writes none, connects nowhere (no filter of calls) */
	SANDBOX_PROFILE_COUNT
};
extern const char *const sandbox_names[SANDBOX_PROFILE_COUNT + 1];

#define SANDBOX_GRANTS_MAX 64

/* What is granted; zero-initialised but for the profile. Paths are borrowed until
 * sandbox_enter(); those that are NULL or empty are passed over. */
struct sandbox {
	enum sandbox_profile profile;
	uint32_t
	    *refused; /* of a forbidden call: its number plus 1 is stored here before the end; NULL: it is logged */
	struct sandbox_grant {
		char *path;
		bool write;
	} grant[SANDBOX_GRANTS_MAX];
	size_t grants;
	uint16_t port[SANDBOX_GRANTS_MAX]; /* TCP, to connect to */
	size_t ports;
	bool any_port; /* connects anywhere */
	int opener;    /* sandbox_opener_start(); 0 = none */
	bool too_many; /* more was granted than fits: sandbox_enter() fails */
};

/* A file or a folder with all below it. */
void sandbox_read(struct sandbox *s, const char *path);
/* What stands beside the file, too: files are replaced by renaming. */
void sandbox_read_beside(struct sandbox *s, const char *file);
void sandbox_write(struct sandbox *s, const char *folder); /* made (0700) when it is not there */
/* A file that may be rotated: its folder; a device or FIFO: only itself. "-" is none. */
void sandbox_write_beside(struct sandbox *s, const char *file);
/* What getaddrinfo(3), time zones and OpenSSL read. */
void sandbox_read_system(struct sandbox *s);
/* The port of "host:port"; others ("unix:/path") need none. */
void sandbox_connect(struct sandbox *s, const char *address);

/* Gives everything up but that. From then on a system call outside the profile
 * ends the process by SIGSYS, with a line that names it. Daemons say in one line
 * what holds. */
bool sandbox_enter(struct sandbox *s, struct err *e);

/* Starts the process that will open packet sockets for this one when an interface
 * comes back: call it before any capture is open (a copy of a ring would keep its
 * socket alive). It gets to work by sandbox_enter() and ends with this process. */
bool sandbox_opener_start(struct sandbox *s, struct err *e);

/* The name of a system call on this machine, "?" if there is none. */
const char *sandbox_call_name(uint32_t number);

/* The profiles as Markdown, for deploy/THREATS.md. */
void sandbox_describe(FILE *to);

#endif
