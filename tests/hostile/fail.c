/* For LD_PRELOAD: lets one call fail, from the outside.
 *
 *   FAIL_CALL   malloc (with calloc, realloc), open (with fopen), read (with pread, fread),
 *               write (with pwrite, writev, fwrite, fflush, fclose), fsync (with fdatasync),
 *               rename, ftruncate
 *   FAIL_AT     the number of the call, from 1; 0: none, only count
 *   FAIL_HOW    once, from (that one and all after it), short (fewer bytes; read and write)
 *   FAIL_ERRNO  a number (default: 28, ENOSPC)
 *   FAIL_COUNT  a file that is told how many calls there were
 *
 * Calls before main() do not count: the loader's and the libraries' own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum how { ONCE, FROM, SHORT };

static char call[16];
static long at;
static enum how how;
static int error = ENOSPC;
static int count_fd = -1; /* opened at once: a sandbox may forbid it later */
static atomic_long seen;
static atomic_bool armed;

__attribute__((constructor)) static void arm(void)
{
	const char *c = getenv("FAIL_CALL"), *n = getenv("FAIL_AT"), *h = getenv("FAIL_HOW"), *e = getenv("FAIL_ERRNO");
	snprintf(call, sizeof(call), "%s", c ? c : "");
	at = n ? atol(n) : 0;
	how = !h ? ONCE : h[0] == 'f' ? FROM : h[0] == 's' ? SHORT : ONCE;
	error = e ? atoi(e) : ENOSPC;
	const char *count = getenv("FAIL_COUNT");
	if (count)
		count_fd = (int)syscall(SYS_openat, AT_FDCWD, count, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	unsetenv("LD_PRELOAD"); /* children are left alone */
	atomic_store(&armed, true);
}

__attribute__((destructor)) static void tell(void)
{
	char text[32];
	if (count_fd < 0)
		return;
	atomic_store(&armed, false);
	int n = snprintf(text, sizeof(text), "%ld\n", atomic_load(&seen));
	if (syscall(SYS_write, count_fd, text, n) == n)
		syscall(SYS_close, count_fd);
}

static bool due(const char *name)
{
	if (!atomic_load_explicit(&armed, memory_order_relaxed) || strcmp(name, call) != 0)
		return false;
	long n = atomic_fetch_add(&seen, 1) + 1;
	return at && (n == at || (how == FROM && n > at));
}

static bool refuse(const char *name)
{
	if (how == SHORT || !due(name))
		return false;
	errno = error;
	return true;
}

/* How many of n bytes pass; -1: none, it fails. */
static ssize_t pass(const char *name, size_t n)
{
	if (!due(name))
		return (ssize_t)n;
	if (how != SHORT) {
		errno = error;
		return -1;
	}
	return n > 1 ? (ssize_t)(n / 2) : (ssize_t)n;
}

/* ---- memory ---- */

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t n);
extern void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
	return refuse("malloc") ? NULL : __libc_malloc(n);
}

void *calloc(size_t count, size_t n)
{
	return refuse("malloc") ? NULL : __libc_calloc(count, n);
}

void *realloc(void *p, size_t n)
{
	return refuse("malloc") ? NULL : __libc_realloc(p, n);
}

/* ---- files ---- */

static int open_mode(int dir, const char *path, int flags, va_list arguments)
{
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
	return refuse("open") ? -1 : (int)syscall(SYS_openat, dir, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	va_list arguments;
	va_start(arguments, flags);
	int fd = open_mode(AT_FDCWD, path, flags, arguments);
	va_end(arguments);
	return fd;
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list arguments;
	va_start(arguments, flags);
	int fd = open_mode(dir, path, flags, arguments);
	va_end(arguments);
	return fd;
}

ssize_t read(int fd, void *p, size_t n)
{
	ssize_t m = pass("read", n);
	return m < 0 ? -1 : syscall(SYS_read, fd, p, m);
}

ssize_t pread(int fd, void *p, size_t n, off_t offset)
{
	ssize_t m = pass("read", n);
	return m < 0 ? -1 : syscall(SYS_pread64, fd, p, m, offset);
}

ssize_t write(int fd, const void *p, size_t n)
{
	ssize_t m = pass("write", n);
	return m < 0 ? -1 : syscall(SYS_write, fd, p, m);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t offset)
{
	ssize_t m = pass("write", n);
	return m < 0 ? -1 : syscall(SYS_pwrite64, fd, p, m, offset);
}

ssize_t writev(int fd, const struct iovec *v, int count)
{
	if (!due("write"))
		return syscall(SYS_writev, fd, v, count);
	errno = error;
	return how != SHORT ? -1 : count && v[0].iov_len ? syscall(SYS_write, fd, v[0].iov_base, 1) : 0;
}

int fsync(int fd)
{
	return refuse("fsync") ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return refuse("fsync") ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int rename(const char *from, const char *to)
{
	return refuse("rename") ? -1 : (int)syscall(SYS_rename, from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return refuse("rename") ? -1 : (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
}

int ftruncate(int fd, off_t n)
{
	return refuse("ftruncate") ? -1 : (int)syscall(SYS_ftruncate, fd, n);
}

/* stdio calls the kernel past us: its own calls fail, with the stream's error flag set
 * as it would be. */
#define ERROR_SEEN 0x20 /* glibc's _IO_ERR_SEEN */

#define REAL(result, name, ...)                                                                                        \
	static result (*real)(__VA_ARGS__);                                                                            \
	if (!real)                                                                                                     \
	*(void **)&real = dlsym(RTLD_NEXT, #name)

static bool refuse_stream(const char *name, FILE *f)
{
	if (!refuse(name))
		return false;
	f->_flags |= ERROR_SEEN;
	return true;
}

size_t fwrite(const void *p, size_t size, size_t count, FILE *f)
{
	REAL(size_t, fwrite, const void *, size_t, size_t, FILE *);
	return refuse_stream("write", f) ? 0 : real(p, size, count, f);
}

size_t fread(void *p, size_t size, size_t count, FILE *f)
{
	REAL(size_t, fread, void *, size_t, size_t, FILE *);
	return refuse_stream("read", f) ? 0 : real(p, size, count, f);
}

int fflush(FILE *f)
{
	REAL(int, fflush, FILE *);
	return f && refuse_stream("write", f) ? EOF : real(f);
}

int fclose(FILE *f)
{
	REAL(int, fclose, FILE *);
	int r = real(f);
	return refuse("write") ? EOF : r;
}

FILE *fopen(const char *path, const char *mode)
{
	REAL(FILE *, fopen, const char *, const char *);
	return refuse("open") ? NULL : real(path, mode);
}

/* Their names with 64-bit offsets, which are the same here, and what _FORTIFY_SOURCE
 * makes of them. */
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int dir, const char *path, int flags, ...) __attribute__((alias("openat")));
ssize_t pread64(int fd, void *p, size_t n, off64_t offset) __attribute__((alias("pread")));
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t offset) __attribute__((alias("pwrite")));
int ftruncate64(int fd, off64_t n) __attribute__((alias("ftruncate")));
FILE *fopen64(const char *path, const char *mode) __attribute__((alias("fopen")));

int __openat64_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags)
{
	return openat(dir, path, flags);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
	return open(path, flags);
}

ssize_t __read_chk(int fd, void *p, size_t n, size_t room);
ssize_t __read_chk(int fd, void *p, size_t n, size_t room)
{
	if (n > room)
		abort();
	return read(fd, p, n);
}

size_t __fread_chk(void *p, size_t room, size_t size, size_t count, FILE *f);
size_t __fread_chk(void *p, size_t room, size_t size, size_t count, FILE *f)
{
	if (size * count > room)
		abort();
	return fread(p, size, count, f);
}
