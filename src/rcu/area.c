/* SPDX-License-Identifier: MIT */
/*
 * The per-CPU counters of SRCU domains.
 *
 * Areas are mapped when first needed, which may be in a signal handler, and
 * are kept for reuse: a late unlock of a domain that was cleaned up by mistake
 * finds memory.
 */
#include "rcu/area.h"

#include <sys/mman.h>

#include "rcu/mutant.h"
#include "rcu/percpu.h"
#include "rcu/sys.h"

#define STRIDE (1UL << RETOUR_PERCPU_SHIFT)

_Static_assert(2 * sizeof(struct retour_srcu_bank) == STRIDE, "two banks are a CPU's line");

static struct retour_srcu_area *areas;	/* only grows */
static struct {
	struct retour_srcu_area head;
	char counters[PERCPU_MAX * STRIDE];
} shared;

static size_t area_size(void)
{
	return sizeof(struct retour_srcu_area) + percpu_possible() * STRIDE;
}

struct retour_srcu_area *area_get(void)
{
	struct retour_srcu_area *area;
	unsigned int no;
	long address;

	/* (j) pairs with (i): what an area holds. */
	for (area = __atomic_load_n(&areas, __ATOMIC_ACQUIRE); area; area = area->next) {
		no = 0;
		/* (l) pairs with (k). */
		if (__atomic_compare_exchange_n(&area->taken, &no, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return area;
	}
	address = sys_call(SYS_mmap, 0, area_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (address < 0 && address > -4096)
		return &shared.head;
	area = (struct retour_srcu_area *)address;
	area->taken = 1;
	area->next = __atomic_load_n(&areas, __ATOMIC_RELAXED);
	/* (i) pairs with (j). */
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
	/* (k) pairs with (l): what the last owner did before what the next one does. */
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
	/* Threads differ in the pages of their thread pointers; multiplied by the golden ratio, their upper bits do. */
	unsigned int hash = (unsigned int)((unsigned long)__builtin_thread_pointer() >> 12) * 0x9e3779b1u;

	percpu_register_thread();
	return of_cpu(bank, (unsigned long)hash * percpu_possible() >> 32);
}

static unsigned long sum_locks(struct retour_srcu_bank *bank, unsigned int n)
{
	unsigned long sum = 0;

	for (unsigned int cpu = 0; cpu < n; cpu++)
		sum += __atomic_load_n(&of_cpu(bank, cpu)->lock, __ATOMIC_RELAXED) +
		       __atomic_load_n(&of_cpu(bank, cpu)->atomic_lock, __ATOMIC_RELAXED);
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

unsigned long area_sections(struct retour_srcu_bank *bank)
{
	unsigned int n = percpu_possible();
	unsigned long locks = 0, unlocks;

	if (mutant(srcu_lock_first)) {
		locks = sum_locks(bank, n);
		retour_torture_delay();
	}
	unlocks = sum_unlocks(bank, n);
	retour_torture_delay();
	if (!mutant(srcu_lock_first))
		locks = sum_locks(bank, n);
	return locks - unlocks;
}

void area_unlock(struct retour_srcu_bank *bank, unsigned long n)
{
	/* (S) */
	__atomic_fetch_add(&area_slot(bank)->atomic_unlock, n, __ATOMIC_RELEASE);
}

bool area_is_drained(struct retour_srcu_bank *bank)
{
	return area_sections(bank) == 0;
}

void area_forget(struct retour_srcu_area *area)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct retour_srcu_bank *bank = area_bank(area, i);

		bank->atomic_unlock += sum_locks(bank, percpu_possible()) - sum_unlocks(bank, percpu_possible());
	}
}
