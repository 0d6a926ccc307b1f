/* SPDX-License-Identifier: MIT */
/*
 * The restartable sequence of the per-CPU counters, with a struct rseq that the
 * test makes up, and the test in the kernel's place: it aborts sequences in
 * signal handlers.  So the sequence runs where nobody has rseq: in emulators.
 */
#include <stddef.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#include "retour/srcu.h"
#include "unit/test.h"

#ifdef __aarch64__
#define SIGNATURE 0xd428bc00
#define PC(context) ((context)->uc_mcontext.pc)
#else
#define SIGNATURE 0x53053053
#define PC(context) ((context)->uc_mcontext.gregs[REG_RIP])
#endif

struct descriptor {
	uint32_t version, flags;
	uint64_t start, length, abort;
};

/* The beginning of struct rseq. */
static __thread struct {
	uint32_t cpu_id_start, cpu_id;
	const struct descriptor *sequence;
	char rest[48];
} area __attribute__((aligned(64), tls_model("initial-exec")));

enum { CPUS = 4096 >> RETOUR_PERCPU_SHIFT };

/* A page, one counter for each CPU. */
static char *counters;
static volatile long aborted, elsewhere;

static unsigned long *counter_of(unsigned int cpu)
{
	return (unsigned long *)(counters + ((size_t)cpu << RETOUR_PERCPU_SHIFT));
}

static void be_on_cpu(int cpu)
{
	retour_rseq_offset = (char *)&area - (char *)__builtin_thread_pointer();
	area.cpu_id = cpu;
	if (!counters)
		counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(counters != MAP_FAILED);
}

static __attribute__((noinline)) bool increment(void)
{
	return retour_percpu_inc_(counter_of(0));
}

static __attribute__((noinline)) bool increment_release(void)
{
	return retour_percpu_inc_release_(counter_of(0));
}

/* What the kernel does to a thread that it interrupts. */
static void abort_sequence(int sig, siginfo_t *info, void *context)
{
	const struct descriptor *sequence = area.sequence;

	area.sequence = NULL;
	if (sequence && PC((ucontext_t *)context) - sequence->start < sequence->length) {
		PC((ucontext_t *)context) = sequence->abort;
		aborted++;
	} else {
		elsewhere++;
	}
	if (sig == SIGSEGV && !aborted)
		_exit(2);
}

TEST(it_counts_for_the_cpu_that_it_reads)
{
	for (int cpu = 0; cpu < CPUS; cpu++) {
		be_on_cpu(cpu);
		CHECK(increment() && *counter_of(cpu) == 1);
		CHECK(increment_release() && *counter_of(cpu) == 2);
	}
	for (int cpu = 0; cpu < CPUS; cpu++)
		CHECK(*counter_of(cpu) == 2);
}

TEST(without_a_cpu_it_counts_nothing)
{
	/* Not registered, registration failed. */
	for (int cpu = -2; cpu < 0; cpu++) {
		be_on_cpu(cpu);
		CHECK(!increment() && !increment_release());
		CHECK(*counter_of(0) == 0);
	}
}

static void check_descriptor(bool (*run)(void))
{
	const struct descriptor *sequence;

	CHECK(run());
	/* In an executable the announcement may stay. */
	sequence = area.sequence;
	CHECK(sequence && (uintptr_t)sequence % 32 == 0);
	CHECK(sequence->version == 0 && sequence->flags == 0);
	CHECK(sequence->start > (uintptr_t)run && sequence->start < (uintptr_t)run + 200);
	CHECK(sequence->length > 0 && sequence->length < 100);
	CHECK(sequence->abort - sequence->start >= sequence->length);
	CHECK(*(const uint32_t *)(sequence->abort - 4) == SIGNATURE);
}

TEST(it_is_described_as_the_kernel_wants)
{
	be_on_cpu(0);
	check_descriptor(increment);
	check_descriptor(increment_release);
}

static void on_signal(int sig)
{
	struct sigaction action = { .sa_sigaction = abort_sequence, .sa_flags = SA_SIGINFO };

	CHECK(sigaction(sig, &action, NULL) == 0);
}

/* At its load, if it has one, and at the store that would commit it. */
TEST(an_abort_at_the_last_instruction_counts_nothing)
{
	on_signal(SIGSEGV);
	be_on_cpu(0);
	for (int i = 0; i < 4; i++) {
		aborted = 0;
		CHECK(mprotect(counters, 4096, i / 2 ? PROT_READ : PROT_NONE) == 0);
		CHECK(!(i % 2 ? increment_release() : increment()));
		CHECK(mprotect(counters, 4096, PROT_READ | PROT_WRITE) == 0);
		CHECK(aborted == 1 && *counter_of(0) == 0);
	}
}

TEST(an_abort_at_any_instruction_counts_nothing)
{
	struct itimerval often = { { 0, 100 }, { 0, 100 } };
	unsigned long counted = 0;

	on_signal(SIGPROF);
	be_on_cpu(0);
	CHECK(setitimer(ITIMER_PROF, &often, NULL) == 0);
	while (aborted < 20) {
		counted += increment();
		counted += increment_release();
	}
	CHECK(signal(SIGPROF, SIG_IGN) != SIG_ERR);
	CHECK(counted == *counter_of(0));
	CHECK(elsewhere > 0);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
