/* SPDX-License-Identifier: MIT */
/* Full memory barriers in all threads of the process at once. */
#include "rcu/membarrier.h"

#include <sched.h>

#include "rcu/sys.h"

enum mode { UNDECIDED, MEMBARRIER, READER_FENCES };

static unsigned int mode;

static __attribute__((noinline)) enum mode decide(void)
{
	unsigned int undecided = UNDECIDED;
	enum mode found =
		sys_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 ? MEMBARRIER : READER_FENCES;

	/* Threads that decide at the same time must agree, and what the first one found is as good. */
	if (__atomic_compare_exchange_n(&mode, &undecided, found, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return found;
	return undecided;
}

bool membarrier_usable(void)
{
	enum mode decided = __atomic_load_n(&mode, __ATOMIC_RELAXED);

	return (decided == UNDECIDED ? decide() : decided) == MEMBARRIER;
}

/*
 * A filter that was installed after readers began to rely on membarrier.
 * While this thread runs on a CPU no other does, and a context switch is a
 * full barrier: so it visits them all.  Slow, and where affinity is refused or
 * threads are confined to CPUs that this one may not use, the best there is.
 */
static void visit_every_cpu(void)
{
	enum { WORDS = 8192 / (8 * sizeof(long)) };
	unsigned long allowed[WORDS] = { 0 }, one[WORDS] = { 0 };

	long bytes = sys_call(SYS_sched_getaffinity, 0, sizeof(allowed), (long)allowed, 0, 0, 0);

	for (long cpu = 0; cpu < bytes * 8; cpu++) {
		unsigned long bit = 1UL << cpu % (8 * sizeof(long)), *word = &one[cpu / (8 * sizeof(long))];

		*word = bit;
		/* A CPU that is offline or outside the cpuset is refused; nobody runs there. */
		sys_call(SYS_sched_setaffinity, 0, sizeof(one), (long)one, 0, 0, 0);
		*word = 0;
	}
	if (bytes > 0)
		sys_call(SYS_sched_setaffinity, 0, bytes, (long)allowed, 0, 0, 0);
}

void membarrier_all(void)
{
	if (!membarrier_usable()) {
		full_fence();
		return;
	}
	if (sys_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0)
		return;
	/* A registration that did not come along, for example with memory restored from a checkpoint. */
	sys_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
	if (sys_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0)
		visit_every_cpu();
	full_fence();
}
