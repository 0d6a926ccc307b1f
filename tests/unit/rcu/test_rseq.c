/* SPDX-License-Identifier: MIT */
/*
 * Who registers rseq, and how.  Runs with libc's rseq off; the library sees
 * other_rseq_offset for __rseq_offset.  That is undefined, as in a libc without
 * rseq, or with OTHER_LIBC defined here, together with a size in the meaning
 * of several versions and a struct rseq of the sizes of several kernels.
 */
#include <linux/rseq.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "retour/srcu.h"
#include "unit/test.h"

#ifdef __aarch64__
#define SIGNATURE 0xd428bc00
#else
#define SIGNATURE 0x53053053
#endif
#define CPU_IDS 8192
#define SECTIONS 1000

RETOUR_DEFINE_STATIC_SRCU_FAST(domain);

static long rseq(void *area, unsigned int size, int flags)
{
	return syscall(SYS_rseq, area, size, flags, SIGNATURE);
}

/* How many of SECTIONS began by a sequence. */
static unsigned long read_by_sequences(void)
{
	unsigned long before, after;
	struct retour_srcu_bank *bank = retour_srcu_read_lock_fast(&domain), *of_cpu;
	int cpu;

	retour_srcu_read_unlock_fast(&domain, bank);
	cpu = sched_getcpu();
	CHECK(cpu >= 0 && cpu < CPU_IDS);
	of_cpu = (struct retour_srcu_bank *)((char *)bank + ((size_t)cpu << RETOUR_PERCPU_SHIFT));
	before = __atomic_load_n(&of_cpu->lock, __ATOMIC_RELAXED);
	for (int i = 0; i < SECTIONS; i++)
		retour_srcu_read_unlock_fast(&domain, retour_srcu_read_lock_fast(&domain));
	after = __atomic_load_n(&of_cpu->lock, __ATOMIC_RELAXED);
	CHECK(!retour_srcu_read_lock_held(&domain));
	return after - before;
}

/* On one CPU, so that the counters of one need to be looked at. */
static void run_in_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	cpu_set_t one;
	void *failed;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	CHECK(pthread_create(&thread, NULL, run, arg) == 0);
	CHECK(pthread_join(thread, &failed) == 0);
	CHECK(!failed);
}

#ifdef OTHER_LIBC

ptrdiff_t other_rseq_offset;
unsigned int other_rseq_size;

/* The largest is for kernels to come. */
enum { LARGEST = 256 };
static __thread char area[LARGEST] __attribute__((aligned(64), tls_model("initial-exec")));

__attribute__((constructor(101))) static void find_area(void)
{
	other_rseq_offset = area - (char *)__builtin_thread_pointer();
}

struct libc {
	unsigned int size;		/* as registered; 0: not */
	unsigned int says;		/* __rseq_size */
};

static void *be_thread_of(void *arg)
{
	const struct libc *libc = arg;
	struct rseq *mine = (struct rseq *)area;

	mine->cpu_id = RSEQ_CPU_ID_UNINITIALIZED;
	if (libc->size && rseq(area, libc->size, 0)) {
		printf("# the kernel takes no struct rseq of %u bytes\n", libc->size);
		/* Not of the first size: then rseq is switched off here. */
		CHECK(libc->size != 32);
		mine->cpu_id = RSEQ_CPU_ID_REGISTRATION_FAILED;
	}
	/* A switch or a signal may abort some. */
	if ((int)mine->cpu_id >= 0)
		CHECK(read_by_sequences() > SECTIONS / 2);
	else
		CHECK(read_by_sequences() == 0);
	retour_synchronize_srcu(&domain);
	if ((int)mine->cpu_id >= 0)
		CHECK(rseq(area, libc->size, RSEQ_FLAG_UNREGISTER) == 0);
	return NULL;
}

static bool kernel_has_rseq(void)
{
	static char probe[32] __attribute__((aligned(32)));

	return rseq(probe, sizeof(probe), 0) == 0 && rseq(probe, sizeof(probe), RSEQ_FLAG_UNREGISTER) == 0;
}

TEST(libc_may_register_any_size_and_say_any_other)
{
	static const struct libc versions[] = {
		{ 32, 32 },	/* glibc 2.35, and all kernels before 6.3 */
		{ 32, 20 },	/* from 2.36 on: what is used of it */
		{ 32, 28 },	/* with the fields of 6.3 */
		{ 64, 33 },	/* with those of 7.0 */
		{ 33, 33 },
		{ LARGEST, LARGEST },
		{ 0, 0 },	/* switched off */
		{ 0, 32 },	/* refused to libc */
	};

	if (!kernel_has_rseq())
		SKIP("the kernel has no rseq");
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		other_rseq_size = versions[i].says;
		run_in_thread(be_thread_of, (void *)&versions[i]);
	}
}

#else

static pthread_key_t late_key;
static bool registered_at_the_end;

static bool is_registered(void)
{
	static __thread char other[32] __attribute__((aligned(32)));

	if (rseq(other, sizeof(other), 0))
		return true;
	CHECK(rseq(other, sizeof(other), RSEQ_FLAG_UNREGISTER) == 0);
	return false;
}

static void look_at_the_end(void *round)
{
	if (round == &late_key) {
		/* Again, after all other destructors. */
		pthread_setspecific(late_key, &registered_at_the_end);
		return;
	}
	/* Readers still may come. */
	read_by_sequences();
	registered_at_the_end = is_registered();
}

static void *read_and_end(void *arg)
{
	unsigned long *n = arg;

	if (is_registered())
		return arg;
	pthread_setspecific(late_key, &late_key);
	*n = read_by_sequences();
	return is_registered() ? NULL : arg;
}

TEST(a_thread_is_registered_from_its_first_reader_to_its_end)
{
	static char probe[32] __attribute__((aligned(32)));
	unsigned long n = 0;

	if (rseq(probe, sizeof(probe), 0))
		SKIP("the kernel has no rseq, or libc uses it");
	CHECK(rseq(probe, sizeof(probe), RSEQ_FLAG_UNREGISTER) == 0);
	CHECK(pthread_key_create(&late_key, look_at_the_end) == 0);
	run_in_thread(read_and_end, &n);
	CHECK(n > SECTIONS / 2);
	CHECK(!registered_at_the_end);
	retour_synchronize_srcu(&domain);
}

#endif

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
