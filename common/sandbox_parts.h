/* The parts of common/sandbox.h, for its own files. */
#ifndef COMMON_SANDBOX_PARTS_H
#define COMMON_SANDBOX_PARTS_H

#include "common/sandbox.h"

/* What a kernel that lacks something makes of a step. */
enum sandbox_step { SANDBOX_FAILED = 0, SANDBOX_DONE, SANDBOX_ABSENT };

/* seccomp: only the calls of the profile from here on. *listener: of the notified
 * calls of SANDBOX_SENSOR with an opener, else -1. */
enum sandbox_step sandbox_filter(enum sandbox_profile p, bool opener, int *listener, struct err *e);
unsigned sandbox_calls(enum sandbox_profile p);
void sandbox_learn_names(void); /* for sandbox_call_name() */

/* Landlock: only what was granted. *abi: its version. */
enum sandbox_step sandbox_confine(const struct sandbox *s, int *abi, struct err *e);

/* libcap-ng: all capabilities; the opener keeps CAP_NET_RAW, scan CAP_DAC_READ_SEARCH. */
bool sandbox_drop_capabilities(enum sandbox_profile p, struct err *e);

bool sandbox_opener_hand_over(struct sandbox *s, int listener, struct err *e);

#endif
