/* The system calls of each profile. They are lists in code and not files: a list
 * that does not fit the program that uses it is a fault of the program.
 *
 * Found by running everything in tests/ under strace and by reading glibc for the
 * ways it takes when something fails. A call that is missing ends the process with
 * a line that names it; so rather one too many of the harmless kind.
 *
 * deploy/THREATS.md holds these lists, made by `picket sandbox`. */
#include "common/sandbox_parts.h"

#include <errno.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* How far a call goes. */
enum limit {
	FREE = 0,
	NO_CODE,      /* memory never writable and executable at once */
	NO_CODE_EVER, /* never executable */
	THREADS,      /* clone() for threads; another process is refused with EPERM */
	SELF,         /* to this process only */
	STANDARD,     /* descriptors 0 to 2 */
	KILL,         /* signal 9 only */
	FAMILIES,     /* local, IPv4, IPv6, netlink; packet sockets by the opener */
	PACKETS,      /* packet sockets only */
	OWN_LIMITS,   /* of this process only */
	MISSING,      /* as if the kernel had not got it (ENOSYS): the library takes the older way */
	LIMIT_COUNT
};

static const char *const limit_words[LIMIT_COUNT] = {
    [NO_CODE] = "never writable and executable",
    [NO_CODE_EVER] = "never executable",
    [THREADS] = "threads only",
    [SELF] = "own process only",
    [STANDARD] = "descriptors 0-2 only",
    [KILL] = "SIGKILL only",
    [FAMILIES] = "local, IPv4, IPv6, netlink; packet: by the opener",
    [PACKETS] = "packet sockets only",
    [OWN_LIMITS] = "own process only",
    [MISSING] = "answered ENOSYS",
};

struct call {
	const char *name;
	enum limit limit;
};
#define END                                                                                                            \
	{                                                                                                              \
		NULL, FREE                                                                                             \
	}

/* nDPI: computes, sleeps, waits, dies. tgkill and rt_sigprocmask are abort()'s. */
static const struct call compute[] = {{"brk", FREE},
				      {"mmap", NO_CODE_EVER},
				      {"mprotect", NO_CODE_EVER},
				      {"munmap", FREE},
				      {"mremap", FREE},
				      {"madvise", FREE},
				      {"futex", FREE},
				      {"nanosleep", FREE},
				      {"clock_nanosleep", FREE},
				      {"clock_gettime", FREE},
				      {"gettimeofday", FREE},
				      {"time", FREE},
				      {"getrandom", FREE},
				      {"getpid", FREE},
				      {"gettid", FREE},
				      {"tgkill", SELF},
				      {"rt_sigprocmask", FREE},
				      {"rt_sigreturn", FREE},
				      {"restart_syscall", FREE},
				      {"sched_yield", FREE},
				      {"write", STANDARD},
				      {"exit", FREE},
				      {"exit_group", FREE},
				      END};

/* What every daemon needs beside it. */
static const struct call program[] = {{"brk", FREE},
				      {"mmap", NO_CODE},
				      {"mprotect", NO_CODE},
				      {"munmap", FREE},
				      {"mremap", FREE},
				      {"madvise", FREE},
				      {"membarrier", FREE},
				      {"futex", FREE},
				      {"set_robust_list", FREE},
				      {"rseq", FREE},
				      {"sched_yield", FREE},
				      {"sched_getaffinity", FREE},
				      {"nanosleep", FREE},
				      {"clock_nanosleep", FREE},
				      {"clock_gettime", FREE},
				      {"clock_getres", FREE},
				      {"gettimeofday", FREE},
				      {"time", FREE},
				      {"getrandom", FREE},
				      {"uname", FREE},
				      {"sysinfo", FREE},
				      {"getpid", FREE},
				      {"gettid", FREE},
				      {"getppid", FREE},
				      {"getuid", FREE},
				      {"geteuid", FREE},
				      {"getgid", FREE},
				      {"getegid", FREE},
				      {"getrusage", FREE},
				      {"getrlimit", FREE},
				      {"prlimit64", OWN_LIMITS},
				      {"prctl", FREE},
				      {"tgkill", SELF},
				      {"rt_sigaction", FREE},
				      {"rt_sigprocmask", FREE},
				      {"rt_sigreturn", FREE},
				      {"rt_sigpending", FREE},
				      {"rt_sigtimedwait", FREE},
				      {"sigaltstack", FREE},
				      {"restart_syscall", FREE},
				      {"read", FREE},
				      {"readv", FREE},
				      {"write", FREE},
				      {"writev", FREE},
				      {"lseek", FREE},
				      {"close", FREE},
				      {"dup", FREE},
				      {"dup2", FREE},
				      {"dup3", FREE},
				      {"fcntl", FREE},
				      {"fstat", FREE},
				      {"newfstatat", FREE},
				      {"statx", FREE},
				      {"poll", FREE},
				      {"ppoll", FREE},
				      {"pipe2", FREE},
				      {"exit", FREE},
				      {"exit_group", FREE},
				      END};

static const struct call threads[] = {{"clone", THREADS}, {"clone3", MISSING}, END};

/* Reading files is bounded by Landlock. */
static const struct call files[] = {{"open", FREE},
				    {"openat", FREE},
				    {"stat", FREE},
				    {"lstat", FREE},
				    {"access", FREE},
				    {"faccessat", FREE},
				    {"faccessat2", FREE},
				    {"readlink", FREE},
				    {"readlinkat", FREE},
				    {"getdents64", FREE},
				    {"getcwd", FREE},
				    {"pread64", FREE},
				    {"preadv", FREE},
				    {"fadvise64", FREE},
				    {"flock", FREE},
				    {"statfs", FREE},
				    {"fstatfs", FREE},
				    {"umask", FREE},
				    END};

static const struct call writing[] = {{"pwrite64", FREE},
				      {"pwritev", FREE},
				      {"ftruncate", FREE},
				      {"fallocate", FREE},
				      {"fsync", FREE},
				      {"fdatasync", FREE},
				      {"sync_file_range", FREE},
				      {"rename", FREE},
				      {"renameat", FREE},
				      {"renameat2", FREE},
				      {"unlink", FREE},
				      {"unlinkat", FREE},
				      {"mkdir", FREE},
				      {"mkdirat", FREE},
				      {"rmdir", FREE},
				      {"fchmod", FREE},
				      {"chmod", FREE},
				      {"fchmodat", FREE},
				      END};

static const struct call network[] = {{"socket", FAMILIES},  {"socketpair", FREE}, {"connect", FREE},
				      {"bind", FREE},        {"shutdown", FREE},   {"getsockname", FREE},
				      {"getpeername", FREE}, {"getsockopt", FREE}, {"setsockopt", FREE},
				      {"sendto", FREE},      {"sendmsg", FREE},    {"sendmmsg", FREE},
				      {"recvfrom", FREE},    {"recvmsg", FREE},    {"recvmmsg", FREE},
				      {"ioctl", FREE},       {"eventfd2", FREE},   END};

static const struct call serving[] = {{"listen", FREE},          {"accept", FREE},       {"accept4", FREE},
				      {"epoll_create1", FREE},   {"epoll_create", FREE}, {"epoll_ctl", FREE},
				      {"epoll_wait", FREE},      {"epoll_pwait", FREE},  {"epoll_pwait2", FREE},
				      {"select", FREE},          {"pselect6", FREE},     {"timerfd_create", FREE},
				      {"timerfd_settime", FREE}, {"sendfile", FREE},     END};

/* Waiting for the nDPI processes, and their end. */
static const struct call children[] = {{"wait4", FREE}, {"waitid", FREE}, {"kill", KILL}, END};

/* The supervisor forks; its children then give up all but `compute`. */
static const struct call forking[] = {{"clone", FREE},
				      {"clone3", MISSING},
				      {"fork", FREE},
				      {"vfork", FREE},
				      {"wait4", FREE},
				      {"kill", KILL},
				      {"close_range", FREE},
				      {"openat", FREE},

				      {"seccomp", FREE},
				      {"tgkill", FREE},
				      {"capget", FREE},
				      {"capset", FREE},
				      {"landlock_create_ruleset", FREE},
				      {"landlock_restrict_self", FREE},
				      END};

static const struct call opening[] = {{"socket", PACKETS},      {"ioctl", FREE},           {"close", FREE},
				      {"poll", FREE},           {"ppoll", FREE},           {"exit_group", FREE},
				      {"rt_sigreturn", FREE},   {"restart_syscall", FREE}, {"write", STANDARD},
				      {"rt_sigprocmask", FREE}, {"getpid", FREE},          {"gettid", FREE},
				      {"tgkill", SELF},         {"munmap", FREE},          END};

/* AddressSanitizer and LeakSanitizer read /proc, start a tracer and print. Only in
 * their builds, which are never shipped. */
static const struct call sanitizers[] = {
#ifdef __SANITIZE_ADDRESS__
    {"mmap", FREE},
    {"mprotect", FREE},
    {"open", FREE},
    {"openat", FREE},
    {"read", FREE},
    {"write", FREE},
    {"close", FREE},
    {"fstat", FREE},
    {"newfstatat", FREE},
    {"lseek", FREE},
    {"readlink", FREE},
    {"readlinkat", FREE},
    {"getdents", FREE},
    {"getdents64", FREE},
    {"clone", FREE},
    {"wait4", FREE},
    {"waitid", FREE},
    {"ptrace", FREE},
    {"prctl", FREE},
    {"sigaltstack", FREE},
    {"rt_sigaction", FREE},
    {"getrlimit", FREE},
    {"prlimit64", FREE},
    {"getuid", FREE},
    {"geteuid", FREE},
    {"getppid", FREE},
    {"kill", FREE},
    {"pipe", FREE},
    {"pipe2", FREE},
    {"dup2", FREE},
    {"poll", FREE},
    {"sched_getaffinity", FREE},
    {"process_vm_readv", FREE},
    {"arch_prctl", FREE},
    {"set_robust_list", FREE},
    {"rseq", FREE},
    {"access", FREE},
    {"stat", FREE},
    {"getcwd", FREE},
    {"tgkill", FREE},
#endif
    END};

enum part { COMPUTE = 0, PROGRAM, THREADING, FILES, WRITING, NETWORK, SERVING, CHILDREN, FORKING, OPENING, PART_COUNT };

static const struct {
	const char *name;
	const struct call *calls;
} parts[PART_COUNT] = {
    [COMPUTE] = {"compute", compute}, [PROGRAM] = {"program", program},    [THREADING] = {"threads", threads},
    [FILES] = {"files", files},       [WRITING] = {"writing", writing},    [NETWORK] = {"network", network},
    [SERVING] = {"serving", serving}, [CHILDREN] = {"children", children}, [FORKING] = {"forking", forking},
    [OPENING] = {"opening", opening},
};

#define PART(p) (1u << (p))
static const unsigned profiles[SANDBOX_PROFILE_COUNT] = {
    [SANDBOX_DPI] = PART(COMPUTE),
    [SANDBOX_SUPERVISOR] = PART(PROGRAM) | PART(FORKING),
    [SANDBOX_SENSOR] = PART(PROGRAM) | PART(THREADING) | PART(FILES) | PART(WRITING) | PART(NETWORK) | PART(SERVING) |
		       PART(CHILDREN),
    [SANDBOX_OPENER] = PART(OPENING),
    [SANDBOX_COLLECTOR] = PART(PROGRAM) | PART(THREADING) | PART(FILES) | PART(WRITING) | PART(NETWORK) | PART(SERVING),
    [SANDBOX_GATEWAY] = PART(PROGRAM) | PART(THREADING) | PART(FILES) | PART(WRITING) | PART(NETWORK) | PART(SERVING),
    [SANDBOX_SCAN] = 0,
};

const char *const sandbox_names[SANDBOX_PROFILE_COUNT + 1] = {"nDPI worker", "nDPI supervisor", "sensor", "opener",
							      "collector",   "gateway",         "scan"};

typedef bool call_fn(void *owner, const struct call *c);

static bool each_call(enum sandbox_profile p, call_fn *fn, void *owner)
{
	for (unsigned left = profiles[p]; left; left &= left - 1)
		for (const struct call *c = parts[__builtin_ctz(left)].calls; c->name; c++)
			if (!fn(owner, c))
				return false;
	return true;
}

static bool count_call(void *owner, const struct call *c)
{
	*(unsigned *)owner += c->limit != MISSING;
	return true;
}

unsigned sandbox_calls(enum sandbox_profile p)
{
	unsigned n = 0;
	each_call(p, count_call, &n);
	return n;
}

/* ---- the filter ---- */

struct filter {
	scmp_filter_ctx ctx;
	enum sandbox_profile profile;
	bool opener;
	int failed; /* negative errno */
	const char *name;
};

/* Names that this kernel or machine has not got are passed over. */
static bool rule(struct filter *f, uint32_t action, int number, unsigned n, const struct scmp_arg_cmp *arg)
{
	int r = seccomp_rule_add_array(f->ctx, action, number, n, arg);
	if (r == 0 || r == -EDOM || r == -EEXIST)
		return true;
	f->failed = r;
	return false;
}

static bool allow_if(struct filter *f, int number, struct scmp_arg_cmp arg)
{
	return rule(f, SCMP_ACT_ALLOW, number, 1, &arg);
}

static bool allow_families(struct filter *f, int number)
{
	static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
	bool ok = true;
	for (size_t i = 0; ok && i < sizeof(families) / sizeof(*families); i++)
		ok = allow_if(f, number, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	struct scmp_arg_cmp packet = SCMP_A0(SCMP_CMP_EQ, AF_PACKET);
	uint32_t how = f->opener ? SCMP_ACT_NOTIFY : SCMP_ACT_ERRNO(EPERM);
	return ok && rule(f, how, number, 1, &packet);
}

static bool allow_threads(struct filter *f, int number)
{
	struct scmp_arg_cmp process = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0);
	return allow_if(f, number, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)) &&
	       rule(f, SCMP_ACT_ERRNO(EPERM), number, 1, &process);
}

static bool allow_memory(struct filter *f, int number, bool code)
{
	return allow_if(f, number, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) &&
	       (!code || allow_if(f, number, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, PROT_EXEC)));
}

static bool own_limits(struct filter *f, int number)
{
	return allow_if(f, number, SCMP_A0(SCMP_CMP_EQ, 0)) &&
	       allow_if(f, number, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

static bool add_call(void *owner, const struct call *c)
{
	struct filter *f = owner;
	int number = seccomp_syscall_resolve_name(c->name);
	f->name = c->name;
	if (number == __NR_SCMP_ERROR)
		return true;
	switch (c->limit) {
	case NO_CODE:
		return allow_memory(f, number, true);
	case NO_CODE_EVER:
		return allow_memory(f, number, false);
	case THREADS:
		return allow_threads(f, number);
	case SELF:
		return allow_if(f, number, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	case STANDARD:
		return allow_if(f, number, SCMP_A0(SCMP_CMP_LE, STDERR_FILENO));
	case KILL:
		return allow_if(f, number, SCMP_A1(SCMP_CMP_EQ, SIGKILL));
	case FAMILIES:
		return allow_families(f, number);
	case PACKETS:
		return allow_if(f, number, SCMP_A0(SCMP_CMP_EQ, AF_PACKET));
	case OWN_LIMITS:
		return own_limits(f, number);
	case MISSING:
		return rule(f, SCMP_ACT_ERRNO(ENOSYS), number, 0, NULL);
	default:
		return rule(f, SCMP_ACT_ALLOW, number, 0, NULL);
	}
}

static bool sanitized(struct filter *f)
{
	for (const struct call *c = sanitizers; c->name; c++)
		if (!add_call(f, c))
			return false;
	return true;
}

enum sandbox_step sandbox_filter(enum sandbox_profile p, bool opener, int *listener, struct err *e)
{
	*listener = -1;
	if (!profiles[p])
		return SANDBOX_DONE;
	if (prctl(PR_GET_SECCOMP) < 0 && errno == EINVAL)
		return SANDBOX_ABSENT;
	/* A trap does not make the call either, and lets us say which it was. */
	struct filter f = {.ctx = seccomp_init(SCMP_ACT_TRAP), .profile = p, .opener = opener};
	bool ok = f.ctx != NULL && seccomp_attr_set(f.ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
		  sanitized(&f) && each_call(p, add_call, &f) && (f.failed = seccomp_load(f.ctx)) == 0;
	if (!ok)
		err_set(e, "cannot set the filter of system calls%s%s: %s", f.name ? ", last " : "",
			f.name ? f.name : "", strerror(f.failed ? -f.failed : ENOMEM));
	if (ok && opener)
		*listener = seccomp_notify_fd(f.ctx);
	if (f.ctx)
		seccomp_release(f.ctx);
	return ok ? SANDBOX_DONE : SANDBOX_FAILED;
}

/* ---- telling ---- */

#define NUMBERS_MAX 512
static char *call_names[NUMBERS_MAX];

/* Looked up beforehand: libseccomp may not be called from a signal handler. */
void sandbox_learn_names(void)
{
	for (int i = 0; i < NUMBERS_MAX && !call_names[NUMBERS_MAX - 1]; i++)
		if (!call_names[i])
			call_names[i] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
}

const char *sandbox_call_name(uint32_t number)
{
	return number < NUMBERS_MAX && call_names[number] ? call_names[number] : "?";
}

static void tell_call(FILE *to, const struct call *c)
{
	const char *word = limit_words[c->limit];
	fprintf(to, " `%s`%s%s%s", c->name, word ? " (" : "", word ? word : "", word ? ")" : "");
}

static void tell_profile(FILE *to, enum sandbox_profile p)
{
	fprintf(to, profiles[p] ? "| %s | %u |" : "| %s | all |", sandbox_names[p], sandbox_calls(p));
	for (unsigned left = profiles[p]; left; left &= left - 1)
		fprintf(to, " %s", parts[__builtin_ctz(left)].name);
	fputs(" |\n", to);
}

void sandbox_describe(FILE *to)
{
	fputs("| process | system calls | groups |\n|---|---|---|\n", to);
	for (int p = 0; p < SANDBOX_PROFILE_COUNT; p++)
		tell_profile(to, (enum sandbox_profile)p);
	for (int k = 0; k < PART_COUNT; k++) {
		fprintf(to, "\n**%s**:", parts[k].name);
		for (const struct call *c = parts[k].calls; c->name; c++)
			tell_call(to, c);
		fputc('\n', to);
	}
}
