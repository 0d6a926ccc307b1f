/* SPDX-License-Identifier: MIT */
/*
 * Two threads on two CPUs with nothing in between: for windows as narrow as a
 * store buffer, which threads that are disturbed never meet.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "torture/torture.h"

#define CELLS 1024
#define MEMBARRIER_SPINS 70000	/* for longer than a membarrier takes, about */

/* Each on lines of its own, so that only what the domain does orders them. */
struct cell {
	unsigned int age __attribute__((aligned(64)));
};

static struct cell cells[CELLS];
static struct cell *current __attribute__((aligned(64))) = &cells[0];
static bool settled;
static bool over __attribute__((aligned(64)));
static unsigned long started __attribute__((aligned(64)));	/* rounds of the updater */

/* The nth CPU that the process may use, if there are as many. */
static void settle_on(int nth)
{
	cpu_set_t allowed, one;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || nth--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

/* Readers that begin when the updater does meet its windows more often than by chance. */
static void wait_for_start(void)
{
	unsigned long last = __atomic_load_n(&started, __ATOMIC_RELAXED);

	for (int i = 0; i < 50000 && __atomic_load_n(&started, __ATOMIC_RELAXED) == last; i++)
		;
	spin(torture_random() % 1024);
}

/* What is stored next stays in the store buffer, behind stores to lines that are in no cache. */
static void fill_store_buffer(void)
{
#ifdef __x86_64__
	static struct cell cold[8];

	for (int i = 0; i < 8; i++)
		__builtin_ia32_clflush(&cold[i]);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (int i = 0; i < 8; i++)
		__atomic_store_n(&cold[i].age, 1, __ATOMIC_RELAXED);
#endif
}

static void read_cell(unsigned int longest_us)
{
	void *cookie = torture->lock();
	const struct cell *cell = retour_rcu_dereference_raw(current);

	if (longest_us && one_in(2))
		sleep_us(torture_random() % longest_us);
	else
		spin(one_in(4) ? torture_random() % 512 : MEMBARRIER_SPINS + torture_random() % 512);
	if (__atomic_load_n(&cell->age, __ATOMIC_RELAXED) > 1)
		torture_fail("a reader holds a cell that a grace period has passed");
	torture->unlock(cookie);
}

static bool is_over(void)
{
	return __atomic_load_n(&over, __ATOMIC_RELAXED) || torture_failure();
}

static void *reader_main(void *arg)
{
	unsigned long sections = 0;

	settle_on(1);
	__atomic_store_n(&settled, true, __ATOMIC_RELEASE);
	for (; !is_over(); sections++) {
		if (one_in(2))
			wait_for_start();
		if (one_in(2))
			fill_store_buffer();
		read_cell(0);
	}
	return (void *)sections;
}

static void *straggler_main(void *arg)
{
	unsigned long sections = 0;

	be_sluggish(4);
	for (; !is_over(); sections++)
		read_cell(400);
	return (void *)sections;
}

static void replace_cell(unsigned long n)
{
	struct cell *fresh = &cells[n % CELLS], *old = current;

	__atomic_store_n(&fresh->age, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&started, n, __ATOMIC_RELAXED);
	retour_rcu_assign_pointer(current, fresh);
	__atomic_store_n(&old->age, 1, __ATOMIC_RELAXED);
	n % 2 ? torture->expedited() : torture->synchronize();
	__atomic_store_n(&old->age, 2, __ATOMIC_RELAXED);
}

/* The calling thread prepares for its part as updater once the readers are there. */
static void duel(double for_seconds, int n, void *(*reader)(void *), void (*prepare)(void))
{
	unsigned long sections = 0, rounds = 0;
	double end;
	pthread_t readers[8];
	void *result;

	for (int i = 0; i < n; i++)
		readers[i] = start(reader, NULL);
	prepare();
	/* Nobody watches, so a lost wake-up is a hang. */
	alarm(for_seconds + HANG_SECONDS);
	end = seconds_now() + for_seconds;
	while (!torture_failure() && seconds_now() < end)
		for (int i = 0; i < 100 && !torture_failure(); i++)
			replace_cell(++rounds);
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	for (int i = 0; i < n; i++) {
		pthread_join(readers[i], &result);
		sections += (unsigned long)result;
	}
	alarm(0);
	printf("# %lu sections against %lu grace periods\n", sections, rounds);
}

static void prepare_next_to_reader(void)
{
	while (!__atomic_load_n(&settled, __ATOMIC_ACQUIRE))
		sched_yield();
	settle_on(0);
}

void duel_of_reader(double for_seconds)
{
	duel(for_seconds, 1, reader_main, prepare_next_to_reader);
}

static void prepare_for_stragglers(void)
{
	be_sluggish(64);
}

/* Slow between any two steps of the read side; the updater now and then. */
void duel_of_stragglers(double for_seconds)
{
	duel(for_seconds, 3, straggler_main, prepare_for_stragglers);
}

struct lone {
	struct retour_rcu_head head;
	bool called;
};

static void note_lone(struct retour_rcu_head *head)
{
	__atomic_store_n(&((struct lone *)head)->called, true, __ATOMIC_RELEASE);
}

/* Nobody else wakes the worker; it is about to sleep when the next call comes. */
void duel_of_caller(double for_seconds)
{
	double end = seconds_now() + for_seconds;
	unsigned long calls = 0;
	struct lone lone;

	for (; !torture_failure() && seconds_now() < end; calls++) {
		double patience = seconds_now() + HANG_SECONDS;

		lone.called = false;
		torture->call(&lone.head, note_lone);
		while (!__atomic_load_n(&lone.called, __ATOMIC_ACQUIRE) && !torture_failure())
			if (seconds_now() > patience)
				torture_fail("a callback is not called");
		spin(torture_random() % 256);
	}
	printf("# %lu calls\n", calls);
}
