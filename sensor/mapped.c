/* The table of mappings is the process's, because a signal is: workers in several
 * threads may each read a file. A slot is taken and given back by its base alone;
 * the handler only reads them, replaces pages, and notes it. mmap() is a plain system
 * call, safe in a handler. */
#include "sensor/mapped.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14; older kernels refuse it, then pages come as they are touched */
#endif

struct slot {
	_Atomic(uintptr_t) base; /* 0 = free */
	_Atomic size_t n;
	atomic_bool broken;
};

static struct slot slots[MAPPED_MAX];

static struct slot *slot_of(uintptr_t at)
{
	for (size_t i = 0; i < MAPPED_MAX; i++) {
		uintptr_t base = atomic_load(&slots[i].base);
		if (base && at >= base && at - base < atomic_load(&slots[i].n))
			return &slots[i];
	}
	return NULL;
}

/* Everything from the lost page on becomes zeroes. */
static void on_sigbus(int number, siginfo_t *info, void *context)
{
	(void)context;
	int before = errno;
	uintptr_t at = (uintptr_t)info->si_addr;
	struct slot *s = slot_of(at);
	uintptr_t page = at & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
	bool cured = s && mmap((void *)page, atomic_load(&s->base) + atomic_load(&s->n) - page, PROT_READ,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
	if (cured)
		atomic_store(&s->broken, true);
	else
		signal(number, SIG_DFL); /* the same access again ends the process */
	errno = before;
}

static void take_sigbus(void)
{
	struct sigaction a = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigemptyset(&a.sa_mask);
	sigaction(SIGBUS, &a, NULL);
}

static struct slot *take_slot(uintptr_t base, size_t n)
{
	for (size_t i = 0; i < MAPPED_MAX; i++) {
		uintptr_t none = 0;
		if (!atomic_compare_exchange_strong(&slots[i].base, &none, base))
			continue;
		atomic_store(&slots[i].broken, false);
		atomic_store(&slots[i].n, n);
		return &slots[i];
	}
	return NULL;
}

const uint8_t *mapped_open(int fd, size_t n)
{
	void *p = n ? mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
	if (p == MAP_FAILED)
		return NULL;
	take_sigbus();
	if (!take_slot((uintptr_t)p, n)) {
		munmap(p, n);
		return NULL;
	}
	return p;
}

void mapped_close(const uint8_t *p, size_t n)
{
	struct slot *s = slot_of((uintptr_t)p);
	if (s) {
		atomic_store(&s->n, 0);
		atomic_store(&s->base, 0);
	}
	munmap((void *)(uintptr_t)p, n);
}

bool mapped_bring(const uint8_t *p, size_t n)
{
	return madvise((void *)(uintptr_t)p, n, MADV_POPULATE_READ) == 0 || errno != EFAULT;
}

void mapped_give_back(const uint8_t *p, size_t n)
{
	madvise((void *)(uintptr_t)p, n, MADV_DONTNEED);
}

bool mapped_broken(const uint8_t *p)
{
	const struct slot *s = slot_of((uintptr_t)p);
	return s && atomic_load(&s->broken);
}
