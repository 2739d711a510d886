/* Each profile: what it forbids is refused, what the daemons do still works. Every
 * try is a process of its own, because what is given up cannot be had back. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/log.h"
#include "common/sandbox.h"

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

static char folder[] = "/tmp/test_sandbox.XXXXXX";

static const char *in(const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* ---- deeds: 0 when done, else errno ---- */

static int result(long r)
{
	return r < 0 ? errno : 0;
}

static int read_passwd(void)
{
	return result(open("/etc/passwd", O_RDONLY));
}

static int read_granted(void)
{
	return result(open(in("read/rules.csv"), O_RDONLY));
}

static int write_readable(void)
{
	return result(open(in("read/rules.csv"), O_WRONLY));
}

static int write_granted(void)
{
	char to[128];
	int fd = open(in("write/new"), O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || ftruncate(fd, 0) || fsync(fd))
		return errno;
	snprintf(to, sizeof(to), "%s", in("write/newer"));
	return result(rename(in("write/new"), to) || unlink(to) ? -1 : 0);
}

static int write_elsewhere(void)
{
	return result(open(in("elsewhere"), O_WRONLY | O_CREAT, 0600));
}

static int make_link(void)
{
	return result(symlink("/etc/passwd", in("write/link")));
}

static int run_program(void)
{
	char *argv[] = {(char *)(uintptr_t) "true", NULL};
	return result(execve("/bin/true", argv, argv + 1));
}

static int fork_process(void)
{
	pid_t p = fork();
	if (p == 0)
		_exit(0);
	return result(p);
}

static void *nothing(void *arg)
{
	return arg;
}

static int start_thread(void)
{
	pthread_t t;
	int r = pthread_create(&t, NULL, nothing, NULL);
	return r ? r : pthread_join(t, NULL);
}

static int trace(void)
{
	return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int packet_socket(void)
{
	return result(socket(AF_PACKET, SOCK_RAW, 0));
}

static int raw_socket(void)
{
	return result(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int odd_socket(void)
{
	return result(socket(AF_BLUETOOTH, SOCK_RAW, 0));
}

static int listen_tcp(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return result(fd < 0 ? fd : bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

static int connect_port(uint16_t port)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return result(fd < 0 ? fd : connect(fd, (struct sockaddr *)&a, sizeof(a)));
}

static int connect_granted(void)
{
	return connect_port(9); /* refused by nobody listening, not by the kernel */
}

static int connect_elsewhere(void)
{
	return connect_port(7);
}

static int make_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return result(mprotect(p, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
}

static int kill_parent(void)
{
	return result(kill(getppid(), 0));
}

static int load_module(void)
{
	return result(syscall(SYS_init_module, NULL, 0, ""));
}

static int mount_something(void)
{
	return result(syscall(SYS_mount, "none", folder, "tmpfs", 0, NULL));
}

static int use_bpf(void)
{
	return result(syscall(SYS_bpf, 0, NULL, 0));
}

/* ---- one try ---- */

#define KILLED (-1)
#define ANYHOW (-2) /* refused, in whatever way */

static bool landlock(int version)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= version;
}

static void enter(enum sandbox_profile p)
{
	struct sandbox s = {.profile = p};
	struct err e = {""};
	sandbox_read(&s, in("read"));
	sandbox_write(&s, in("write"));
	sandbox_connect(&s, "127.0.0.1:9");
	if (p == SANDBOX_SENSOR && !sandbox_opener_start(&s, &e))
		_exit(250);
	if (!sandbox_enter(&s, &e)) {
		fprintf(stderr, "%s\n", e.text);
		_exit(250);
	}
}

/* KILLED by SIGSYS, or what the deed gave. */
static int attempt(enum sandbox_profile p, int (*deed)(void), char *said, size_t n)
{
	int status, out[2];
	assert_int_equal(pipe(out), 0);
	pid_t pid = fork();
	if (pid == 0) {
		enter(p);
		dup2(out[1], STDERR_FILENO);
		_exit(deed());
	}
	close(out[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	ssize_t got = read(out[0], said, n - 1);
	said[got > 0 ? got : 0] = '\0';
	close(out[0]);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGSYS);
		return KILLED;
	}
	return WEXITSTATUS(status);
}

static const struct {
	const char *label;
	int (*deed)(void);
	int want[3]; /* sensor, collector, scan */
	int landlock;
	bool bare; /* not under sanitizers, which need more system calls themselves */
} table[] = {
    {"open /etc/passwd", read_passwd, {EACCES, EACCES, 0}, 1, false},
    {"read what was granted", read_granted, {0, 0, 0}, 0, false},
    {"write what was granted for reading", write_readable, {EACCES, EACCES, EACCES}, 1, false},
    {"make, rename and remove in a granted folder", write_granted, {0, 0, 0}, 0, false},
    {"write elsewhere", write_elsewhere, {EACCES, EACCES, EACCES}, 1, false},
    {"connect to a granted port", connect_granted, {ECONNREFUSED, ECONNREFUSED, ECONNREFUSED}, 0, false},
    {"connect to another port", connect_elsewhere, {EACCES, EACCES, EACCES}, 4, false},
    {"listen", listen_tcp, {EACCES, EACCES, EACCES}, 4, false},
    {"a thread", start_thread, {0, 0, 0}, 0, false},
    {"another process", fork_process, {EPERM, EPERM, 0}, 0, true},
    {"ptrace", trace, {KILLED, KILLED, ANYHOW}, 0, true},
    {"writable code", make_code, {KILLED, KILLED, 0}, 0, true},
    {"a signal to the parent", kill_parent, {KILLED, KILLED, ANYHOW}, 6, true},
    {"symlink", make_link, {KILLED, KILLED, EACCES}, 1, false},
    {"execve", run_program, {KILLED, KILLED, 0}, 0, false},
    {"a raw socket", raw_socket, {EPERM, EPERM, EPERM}, 0, false},
    {"a socket of an odd family", odd_socket, {KILLED, KILLED, ANYHOW}, 0, false},
    {"init_module", load_module, {KILLED, KILLED, ANYHOW}, 0, false},
    {"mount", mount_something, {KILLED, KILLED, EPERM}, 0, false},
    {"bpf", use_bpf, {KILLED, KILLED, ANYHOW}, 0, false},
};

static void test_refused(void **state)
{
	(void)state;
	static const enum sandbox_profile profiles[] = {SANDBOX_SENSOR, SANDBOX_COLLECTOR, SANDBOX_SCAN};
	char said[512];
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (!landlock(table[i].landlock) || (table[i].bare && SANITIZED))
			continue;
		for (size_t k = 0; k < 3; k++) {
			int want = table[i].want[k], got = attempt(profiles[k], table[i].deed, said, sizeof(said));
			if (want == ANYHOW ? got == 0 : got != want)
				fail_msg("%s, %s: %d (%s), expected %d; it said: %s", sandbox_names[profiles[k]],
					 table[i].label, got, strerror(got), want, said);
		}
	}
}

static void test_named(void **state)
{
	(void)state;
	char said[512];
	assert_int_equal(attempt(SANDBOX_COLLECTOR, mount_something, said, sizeof(said)), KILLED);
	assert_string_equal(said,
			    "picket: the sandbox of the collector refused the system call mount (165): an attack, "
			    "or a fault of Picket; ending\n");
}

/* The sensor has no right to open a packet socket; the opener has, and only that. */
static void test_opener(void **state)
{
	(void)state;
	char said[512];
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0) {
		print_message("not permitted to capture: skipped\n");
		return;
	}
	close(fd);
	assert_int_equal(attempt(SANDBOX_SENSOR, packet_socket, said, sizeof(said)), 0);
	assert_int_equal(attempt(SANDBOX_COLLECTOR, packet_socket, said, sizeof(said)), EPERM);
}

static int status_clean(void)
{
	char text[8192];
	int fd = open("/proc/self/status", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	static const char *const lines[] = {"\nCapInh:\t0000000000000000",
					    "\nCapPrm:\t0000000000000000",
					    "\nCapEff:\t0000000000000000",
					    "\nCapAmb:\t0000000000000000",
					    "\nNoNewPrivs:\t1",
					    "\nSeccomp:\t2"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		if (!strstr(text, lines[i]))
			return 1 + (int)i;
	return 0;
}

static void test_status(void **state)
{
	(void)state;
	char said[512];
	pid_t pid = fork();
	int status;
	if (pid == 0) {
		struct sandbox s = {.profile = SANDBOX_COLLECTOR};
		struct err e;
		sandbox_read(&s, "/proc");
		_exit(sandbox_enter(&s, &e) ? status_clean() : 250);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	(void)said;
}

/* Too many grants are told of, not left out. */
static void test_too_many(void **state)
{
	(void)state;
	pid_t pid = fork();
	int status;
	if (pid == 0) {
		struct sandbox s = {.profile = SANDBOX_COLLECTOR};
		struct err e = {""};
		for (int i = 0; i <= SANDBOX_GRANTS_MAX; i++)
			sandbox_read(&s, "/tmp");
		_exit(!sandbox_enter(&s, &e) && strstr(e.text, "files and folders") ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

/* In a container whose own filter answers EPERM to Landlock (systemd-nspawn, older Docker):
 * what is left holds, and a line says what does not. */
static void test_in_a_container(void **state)
{
	(void)state;
	int out[2], status = 0;
	char said[1024] = "";
	assert_int_equal(pipe(out), 0);
	pid_t pid = fork();
	if (pid == 0) {
		scmp_filter_ctx outer = seccomp_init(SCMP_ACT_ALLOW);
		struct sandbox s = {.profile = SANDBOX_COLLECTOR};
		struct err e;
		seccomp_rule_add(outer, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(landlock_create_ruleset), 0);
		dup2(out[1], STDERR_FILENO);
		log_open("test", LOG_LEVEL_WARN);
		_exit(seccomp_load(outer) != 0 || !sandbox_enter(&s, &e) ? 1 : 0);
	}
	close(out[1]);
	waitpid(pid, &status, 0);
	ssize_t n = read(out[0], said, sizeof(said) - 1);
	close(out[0]);
	if (status)
		fail_msg("status %d: %.*s", status, (int)n, said);
	assert_non_null(strstr(said, "no Landlock"));
}

int main(void)
{
	log_open("test", LOG_LEVEL_ERROR);
	assert_non_null(mkdtemp(folder));
	mkdir(in("read"), 0755);
	mkdir(in("write"), 0755);
	close(open(in("read/rules.csv"), O_WRONLY | O_CREAT, 0644));
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused),  cmocka_unit_test(test_named),
					   cmocka_unit_test(test_opener),   cmocka_unit_test(test_status),
					   cmocka_unit_test(test_too_many), cmocka_unit_test(test_in_a_container)};
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(in("read/rules.csv"));
	rmdir(in("read"));
	rmdir(in("write"));
	rmdir(folder);
	return r;
}
