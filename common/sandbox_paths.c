/* Landlock: files by folder, TCP by port. The kernel's interface is a few system
 * calls without a wrapper in Debian 12's libc, and its header there knows version 2
 * (Linux 5.19); what later kernels have is spelled out here, from
 * Documentation/userspace-api/landlock.rst. */
#define _GNU_SOURCE
#include "common/sandbox_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/buf.h"

#define FS_TRUNCATE  (1ULL << 14) /* version 3, Linux 6.2 */
#define FS_IOCTL_DEV (1ULL << 15) /* version 5, Linux 6.10 */
#define NET_BIND     (1ULL << 0)  /* version 4, Linux 6.7 */
#define NET_CONNECT  (1ULL << 1)
#define RULE_PORT    2
#define SCOPE_SIGNAL (1ULL << 1) /* version 6, Linux 6.12 */

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct port_attr {
	uint64_t access, port;
};

#define READING (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define CHANGING                                                                                                       \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |              \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |                    \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                 \
	 LANDLOCK_ACCESS_FS_MAKE_SYM)
#define OF_A_FILE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)
/* Nobody needs to make devices or links, or to run anything. */
#define NEVER                                                                                                          \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                   \
	 LANDLOCK_ACCESS_FS_MAKE_SYM | FS_IOCTL_DEV)

/* ---- what is granted ---- */

static void grant(struct sandbox *s, char *path, bool write)
{
	if (s->grants == SANDBOX_GRANTS_MAX) {
		s->too_many = true;
		free(path);
		return;
	}
	s->grant[s->grants++] = (struct sandbox_grant){path, write};
}

static char *folder_of(const char *file)
{
	const char *slash = strrchr(file, '/');
	if (!slash)
		return xstrdup(".");
	return slash == file ? xstrdup("/") : xstrndup(file, (size_t)(slash - file));
}

void sandbox_read(struct sandbox *s, const char *path)
{
	if (path && *path)
		grant(s, xstrdup(path), false);
}

void sandbox_read_beside(struct sandbox *s, const char *file)
{
	if (file && *file)
		grant(s, folder_of(file), false);
}

void sandbox_write(struct sandbox *s, const char *folder)
{
	if (!folder || !*folder)
		return;
	mkdir(folder, 0700); /* whoever uses it will say why it is not there */
	grant(s, xstrdup(folder), true);
}

void sandbox_write_beside(struct sandbox *s, const char *file)
{
	struct stat st;
	if (!file || !*file || strcmp(file, "-") == 0)
		return;
	bool lone = stat(file, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode));
	grant(s, lone ? xstrdup(file) : folder_of(file), true);
}

void sandbox_read_system(struct sandbox *s)
{
	static const char *const paths[] = {"/etc/resolv.conf",
					    "/etc/hosts",
					    "/etc/host.conf",
					    "/etc/nsswitch.conf",
					    "/etc/gai.conf",
					    "/etc/services",
					    "/etc/protocols",
					    "/etc/localtime",
					    "/etc/ld.so.cache",
					    "/etc/ssl",
					    "/usr/share/zoneinfo",
					    "/usr/lib",
					    "/lib",
					    "/lib64",
					    "/run/systemd/resolve",
					    "/dev/null",
					    "/dev/urandom",
					    "/proc/sys/kernel"};
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		sandbox_read(s, paths[i]);
#ifdef __SANITIZE_ADDRESS__
	sandbox_read(s, "/");
#endif
}

void sandbox_connect(struct sandbox *s, const char *address)
{
	const char *colon = address ? strrchr(address, ':') : NULL;
	if (!colon || strncmp(address, "unix:", 5) == 0)
		return;
	long port = strtol(colon + 1, NULL, 10);
	if (port < 1 || port > 65535)
		return;
	if (s->ports == SANDBOX_GRANTS_MAX)
		s->too_many = true;
	else
		s->port[s->ports++] = (uint16_t)port;
}

/* ---- the kernel ---- */

static int landlock_create(const struct ruleset_attr *a, size_t n, uint32_t flags)
{
	return (int)syscall(SYS_landlock_create_ruleset, a, n, flags);
}

static struct ruleset_attr handled_by(int abi, const struct sandbox *s)
{
	struct ruleset_attr a = {.fs = READING | CHANGING};
	if (abi >= 2)
		a.fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		a.fs |= FS_TRUNCATE;
	if (abi >= 5)
		a.fs |= FS_IOCTL_DEV;
	if (s->profile == SANDBOX_SCAN)
		a.fs &= ~(uint64_t)(READING | FS_IOCTL_DEV); /* reads what it is told to, starts the nDPI process */
	if (abi >= 4)
		a.net = NET_BIND | (s->any_port ? 0 : NET_CONNECT);
	/* The sensor ends nDPI supervisors that it started before it was confined. */
	if (abi >= 6 && s->profile != SANDBOX_SENSOR)
		a.scoped = SCOPE_SIGNAL;
	return a;
}

static size_t known_by(int abi)
{
	return abi >= 6 ? sizeof(struct ruleset_attr) : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

/* What is not there is not granted: whoever needs it will say so. */
static bool grant_path(int ruleset, const struct sandbox_grant *g, const struct ruleset_attr *handled, struct err *e)
{
	struct stat st;
	int fd = open(g->path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return true;
	uint64_t access = (READING | (g->write ? ~0ull : 0)) & handled->fs & ~(uint64_t)NEVER;
	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		access &= OF_A_FILE;
	struct landlock_path_beneath_attr a = {.allowed_access = access, .parent_fd = fd};
	bool ok = !access || syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &a, 0) == 0 ||
		  err_errno(e, "cannot grant access to \"%s\" (Landlock)", g->path);
	close(fd);
	return ok;
}

static bool grant_port(int ruleset, uint16_t port, struct err *e)
{
	struct port_attr a = {.access = NET_CONNECT, .port = port};
	return syscall(SYS_landlock_add_rule, ruleset, RULE_PORT, &a, 0) == 0 ||
	       err_errno(e, "cannot grant connections to port %u (Landlock)", port);
}

static bool grant_all(int ruleset, const struct sandbox *s, const struct ruleset_attr *handled, struct err *e)
{
	for (size_t i = 0; i < s->grants; i++)
		if (!grant_path(ruleset, &s->grant[i], handled, e))
			return false;
	for (size_t i = 0; i < s->ports && (handled->net & NET_CONNECT); i++)
		if (!grant_port(ruleset, s->port[i], e))
			return false;
	return true;
}

enum sandbox_step sandbox_confine(const struct sandbox *s, int *abi, struct err *e)
{
	*abi = landlock_create(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	/* EPERM is no answer of the kernel to this question: a container's filter of calls gives it. */
	if (*abi < 0 && (errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM))
		return SANDBOX_ABSENT;
	if (s->too_many)
		return err_set(e, "more than %d files and folders are configured", SANDBOX_GRANTS_MAX);
	struct ruleset_attr handled = handled_by(*abi, s);
	int ruleset = landlock_create(&handled, known_by(*abi), 0);
	if (ruleset < 0)
		return err_errno(e, "cannot make a set of rules for files (Landlock version %d)", *abi);
	bool ok = grant_all(ruleset, s, &handled, e);
	if (ok && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		ok = err_errno(e, "cannot confine the process to its files (Landlock version %d)", *abi);
	close(ruleset);
	return ok ? SANDBOX_DONE : SANDBOX_FAILED;
}
