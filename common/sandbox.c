#define _GNU_SOURCE
#include "common/sandbox.h"

#include <cap-ng.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"
#include "common/sandbox_parts.h"

/* ---- a forbidden call ---- */

static struct {
	uint32_t *refused;
	const char *who;
} trap; /* for the signal handler, which gets no argument */

static void put(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return; /* nobody listens: the end of the process tells, too */
}

static void put_number(unsigned n)
{
	char text[12], *at = text + sizeof(text);
	*--at = '\0';
	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	put(at);
}

/* The call was not made. Going on would mean to guess why it was asked for. */
static void on_refused(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	unsigned number = (unsigned)info->si_syscall;
	if (trap.refused) {
		__atomic_store_n(trap.refused, number + 1, __ATOMIC_RELEASE);
		_exit(128 + SIGSYS);
	}
	put("picket: the sandbox of the ");
	put(trap.who);
	put(" refused the system call ");
	put(sandbox_call_name(number));
	put(" (");
	put_number(number);
	put("): an attack, or a fault of Picket; ending\n");
	syscall(SYS_tgkill, getpid(), gettid(), SIGSYS); /* the handler is gone (SA_RESETHAND): the end */
}

static void catch_refused(const struct sandbox *s)
{
	struct sigaction a = {.sa_sigaction = on_refused, .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_NODEFER)};
	trap.refused = s->refused;
	trap.who = sandbox_names[s->profile];
	if (!s->refused)
		sandbox_learn_names();
	sigaction(SIGSYS, &a, NULL);
}

/* ---- giving up ---- */

/* The bounding set can be emptied only by who has CAP_SETPCAP; without it and
 * with no_new_privs it is of no use anyway. */
bool sandbox_drop_capabilities(enum sandbox_profile p, struct err *e)
{
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	capng_get_caps_process();
	bool bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	bool net_raw = capng_have_capability(CAPNG_PERMITTED, CAP_NET_RAW);
	bool dac = capng_have_capability(CAPNG_PERMITTED, CAP_DAC_READ_SEARCH);
	capng_clear(CAPNG_SELECT_BOTH);
	if (p == SANDBOX_OPENER && net_raw)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_RAW);
	if (p == SANDBOX_SCAN && dac) /* root scans everybody's captures */
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_READ_SEARCH);
	int r = capng_apply(bounds ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS);
	return r == 0 || err_errno(e, "cannot give capabilities up (libcap-ng: %d)", r);
}

static bool plain_process(struct err *e)
{
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none); /* packets and keys do not belong on a disk */
#ifndef __SANITIZE_ADDRESS__           /* LeakSanitizer traces its own process */
	prctl(PR_SET_DUMPABLE, 0);
#endif
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_errno(e, "cannot set no_new_privs");
	return true;
}

static bool daemon_profile(enum sandbox_profile p)
{
	return p != SANDBOX_DPI && p != SANDBOX_SUPERVISOR && p != SANDBOX_SCAN;
}

static void say(const struct sandbox *s, enum sandbox_step files, int abi, enum sandbox_step calls)
{
	char filter[64] = "any system call", paths[64] = "any file";
	if (!daemon_profile(s->profile))
		return;
	if (calls == SANDBOX_DONE)
		snprintf(filter, sizeof(filter), "%u system calls", sandbox_calls(s->profile));
	if (files == SANDBOX_DONE)
		snprintf(paths, sizeof(paths), "files as granted (Landlock %d)", abi);
	if (calls == SANDBOX_ABSENT)
		log_warnx("this kernel has no seccomp: system calls are not confined");
	if (files == SANDBOX_ABSENT)
		log_warnx("no Landlock (the kernel has none, or a container keeps it away): access to files is not "
			  "confined beyond their permissions");
	log_info("sandbox of the %s: %s, %s, %s, no new privileges", sandbox_names[s->profile],
		 s->profile == SANDBOX_OPENER ? "CAP_NET_RAW only" : "no capabilities", filter, paths);
}

static bool give_up(struct sandbox *s, struct err *e)
{
	int abi, listener;
	if (!plain_process(e) || !sandbox_drop_capabilities(s->profile, e))
		return false;
	enum sandbox_step files = sandbox_confine(s, &abi, e);
	if (files == SANDBOX_FAILED)
		return false;
	catch_refused(s);
	enum sandbox_step calls = sandbox_filter(s->profile, s->opener > 0, &listener, e);
	if (calls == SANDBOX_FAILED || (listener >= 0 && !sandbox_opener_hand_over(s, listener, e)))
		return false;
	say(s, files, abi, calls);
	return true;
}

bool sandbox_enter(struct sandbox *s, struct err *e)
{
	bool ok = give_up(s, e);
	for (size_t i = 0; i < s->grants; i++)
		free(s->grant[i].path);
	s->grants = 0;
	if (s->opener > 0)
		close(s->opener);
	s->opener = 0;
	return ok;
}
