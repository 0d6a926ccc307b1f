/* SPDX-License-Identifier: MIT */
/*
 * The per-CPU counters of SRCU domains.
 *
 * Areas are mapped when first needed, which may be in a signal handler, and
 * are kept for reuse: a late unlock of a domain that was cleaned up by mistake
 * finds memory.
 */
#include "rcu/area.h"

#include <fcntl.h>
#include <linux/rseq.h>
#include <sys/mman.h>

#include "rcu/mutant.h"
#include "rcu/sys.h"

#define STRIDE (1UL << RETOUR_PERCPU_SHIFT)
#define MAX_CPUS 8192

_Static_assert(2 * sizeof(struct retour_srcu_bank) == STRIDE, "two banks are a CPU's line");

static struct retour_srcu_area *areas;	/* only grows */
static unsigned int cpus;		/* 0: not yet known */
static struct {
	struct retour_srcu_area head;
	char counters[MAX_CPUS * STRIDE];
} shared;

/* glibc's, from 2.35 on; other libraries leave registration to us. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
static __thread struct rseq own_rseq __attribute__((tls_model("initial-exec"), aligned(32))) = {
	.cpu_id = RSEQ_CPU_ID_UNINITIALIZED
};
long retour_rseq_offset;

/* The last number of the kernel's list of possible CPUs, "0-7", plus one. */
static unsigned int read_possible_cpus(void)
{
	char text[64];
	long fd = sys_call(SYS_openat, AT_FDCWD, (long)"/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC, 0, 0, 0);
	long n = fd < 0 ? fd : sys_call(SYS_read, fd, (long)text, sizeof(text), 0, 0, 0);
	unsigned int last = 0, seen = 0;

	if (fd >= 0)
		sys_call(SYS_close, fd, 0, 0, 0, 0, 0);
	for (long i = 0; i < n; i++) {
		if (text[i] >= '0' && text[i] <= '9') {
			last = seen++ ? last * 10 + (text[i] - '0') : (unsigned int)(text[i] - '0');
			if (last >= MAX_CPUS)
				return MAX_CPUS;
		} else {
			seen = 0;
		}
	}
	return n > 0 ? last + 1 : MAX_CPUS;
}

static void find_rseq(void)
{
	char *thread = __builtin_thread_pointer();

	retour_rseq_offset = &__rseq_offset ? __rseq_offset : (char *)&own_rseq - thread;
}

static unsigned int possible_cpus(void)
{
	unsigned int n = __atomic_load_n(&cpus, __ATOMIC_ACQUIRE);

	if (!n) {
		find_rseq();
		n = read_possible_cpus();
		__atomic_store_n(&cpus, n, __ATOMIC_RELEASE);
	}
	return n;
}

/* Where libc does not do it, a thread is registered by its first slow reader. */
static void register_rseq(void)
{
	if (!&__rseq_offset && own_rseq.cpu_id == (unsigned int)RSEQ_CPU_ID_UNINITIALIZED &&
	    sys_call(SYS_rseq, (long)&own_rseq, sizeof(own_rseq), 0, 0x53053053, 0, 0) != 0)
		own_rseq.cpu_id = RSEQ_CPU_ID_REGISTRATION_FAILED;
}

static size_t area_size(void)
{
	return sizeof(struct retour_srcu_area) + possible_cpus() * STRIDE;
}

struct retour_srcu_area *area_get(void)
{
	struct retour_srcu_area *area;
	unsigned int no;
	long address;

	for (area = __atomic_load_n(&areas, __ATOMIC_ACQUIRE); area; area = area->next) {
		no = 0;
		if (__atomic_compare_exchange_n(&area->taken, &no, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return area;
	}
	address = sys_call(SYS_mmap, 0, area_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (address < 0 && address > -4096)
		return &shared.head;
	area = (struct retour_srcu_area *)address;
	area->taken = 1;
	area->next = __atomic_load_n(&areas, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&areas, &area->next, area, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
	return area;
}

bool area_is_shared(const struct retour_srcu_area *area)
{
	return area == &shared.head;
}

void area_put(struct retour_srcu_area *area)
{
	if (!area || area_is_shared(area))
		return;
	/* The counters stay: equal sums are as good as zeros, and a straggler's lock and unlock add to both. */
	area->index = 0;
	__atomic_store_n(&area->taken, 0, __ATOMIC_RELEASE);
}

struct retour_srcu_bank *area_bank(struct retour_srcu_area *area, unsigned int index)
{
	return (struct retour_srcu_bank *)(area + 1) + index;
}

static struct retour_srcu_bank *of_cpu(struct retour_srcu_bank *bank, unsigned int cpu)
{
	return (struct retour_srcu_bank *)((char *)bank + cpu * STRIDE);
}

struct retour_srcu_bank *area_slot(struct retour_srcu_bank *bank)
{
	register_rseq();
	/* Threads differ in the pages of their thread pointers. */
	return of_cpu(bank, ((unsigned long)__builtin_thread_pointer() >> 12) % possible_cpus());
}

static unsigned long sum_locks(struct retour_srcu_bank *bank, unsigned int n)
{
	unsigned long sum = 0;

	for (unsigned int cpu = 0; cpu < n; cpu++)
		sum += __atomic_load_n(&of_cpu(bank, cpu)->lock, __ATOMIC_ACQUIRE) +
		       __atomic_load_n(&of_cpu(bank, cpu)->atomic_lock, __ATOMIC_ACQUIRE);
	return sum;
}

static unsigned long sum_unlocks(struct retour_srcu_bank *bank, unsigned int n)
{
	unsigned long sum = 0;

	/* (V) pairs with (S): unlocks before locks, and what the sections did. */
	for (unsigned int cpu = 0; cpu < n; cpu++)
		sum += __atomic_load_n(&of_cpu(bank, cpu)->unlock, __ATOMIC_ACQUIRE) +
		       __atomic_load_n(&of_cpu(bank, cpu)->atomic_unlock, __ATOMIC_ACQUIRE);
	return sum;
}

bool area_is_drained(struct retour_srcu_bank *bank)
{
	unsigned int n = possible_cpus();
	unsigned long locks = 0, unlocks;

	if (mutant(srcu_lock_first))
		locks = sum_locks(bank, n);
	unlocks = sum_unlocks(bank, n);
	retour_torture_delay();
	if (!mutant(srcu_lock_first))
		locks = sum_locks(bank, n);
	return locks == unlocks;
}
