/* SPDX-License-Identifier: MIT */
/* The walk of the own stack, with backtrace() as the oracle. */
#include "unit/test.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#include "retour/unwind_deferred.h"
#include "unwind_work.h"

#define MAX 400

#define NOINLINE __attribute__((noinline, noclone))

/* ---- A chain where the program asks ---- */

/*
 * Without the innermost entry, where the two calls are different places of one
 * function.  A sanitizer's backtrace() has its own frame in front.
 */
NOINLINE static void compare_here(void)
{
	enum retour_unwind_end end;
	unsigned long entries[MAX];
	void *expected[MAX];
	unsigned int n = retour_unwind_here(entries, MAX, &end), at = 1;
	unsigned int n_expected = (unsigned int)backtrace(expected, MAX);

	CHECK_U64(end, RETOUR_UNWIND_COMPLETE);
	CHECK(n > 3);
	while (at < n_expected && (unsigned long)expected[at] != entries[1])
		at++;
	CHECK_U64(n_expected - at, n - 1);
	for (unsigned int i = 1; i < n; i++)
		CHECK_U64(entries[i], (unsigned long)expected[at + i - 1]);
	CHECK(entries[0] >= (unsigned long)compare_here && entries[0] < (unsigned long)compare_here + 4096);
}

static int compare_in_callback(const void *a, const void *b)
{
	compare_here();
	return 0;
}

NOINLINE static void with_frame(unsigned int n)
{
	char *block = __builtin_alloca(n);

	memset(block, 1, n);
	if (n > 100)
		with_frame(n - 100);
	else
		compare_here();
	__asm__ volatile("" : : "r"(block) : "memory");
}

TEST(chains_agree_with_backtrace)
{
	int two[2] = { 1, 2 };

	compare_here();
	with_frame(2000);
	qsort(two, 2, sizeof(two[0]), compare_in_callback);
}

static struct {
	unsigned long entries[MAX];
	unsigned int n;
	enum retour_unwind_end end;
} walked;

__attribute__((constructor)) static void walk_walked(void)
{
	walked.n = retour_unwind_here(walked.entries, MAX, &walked.end);
}

/* Whoever calls them: the loader, or libc. */
TEST(chains_of_constructors_are_complete)
{
	CHECK(walked.n > 2);
	CHECK_U64(walked.end, RETOUR_UNWIND_COMPLETE);
	CHECK(walked.entries[0] - (unsigned long)walk_walked < 4096);
}

static ucontext_t of_test;

NOINLINE static void walk_in_context(void)
{
	walked.n = retour_unwind_here(walked.entries, MAX, &walked.end);
}

/* Its function returns to code without a rule for that. */
TEST(chains_of_contexts_are_complete)
{
	static char stack[65536];
	ucontext_t context;

	CHECK(!getcontext(&context));
	context.uc_stack = (stack_t){ .ss_sp = stack, .ss_size = sizeof(stack) };
	context.uc_link = &of_test;
	makecontext(&context, walk_in_context, 0);
	walked.n = 0;
	CHECK(!swapcontext(&of_test, &context));
	CHECK_U64(walked.n, 2);
	CHECK_U64(walked.end, RETOUR_UNWIND_COMPLETE);
}

static void *compare_in_thread(void *arg)
{
	with_frame(500);
	return NULL;
}

TEST(chains_of_threads_are_complete)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, compare_in_thread, NULL));
	pthread_join(thread, NULL);
}

/* There _start ends after fewer bytes than one without a table is granted, and crtbegin.o goes on, which has none. */
TEST(what_is_behind_an_entry_point_with_a_table_is_not_the_end)
{
	struct retour_unwind_regs regs = { .reg = { 0 } };
	unsigned long stack[4] = { 0 }, entries[4];
	enum retour_unwind_end end;

	regs.reg[7] = (unsigned long)stack;
	regs.reg[16] = getauxval(AT_ENTRY) + 8;
	CHECK_U64(retour_unwind_user(&regs, entries, 4, &end), 1);
	CHECK_U64(end, RETOUR_UNWIND_COMPLETE);
	regs.reg[16] = getauxval(AT_ENTRY) + 63;
	CHECK_U64(retour_unwind_user(&regs, entries, 4, &end), 1);
	CHECK_U64(end, RETOUR_UNWIND_NO_INFO);
}

NOINLINE static unsigned int walk_deep(unsigned int depth, unsigned long *entries, unsigned int max,
				       enum retour_unwind_end *end)
{
	unsigned int n = depth ? walk_deep(depth - 1, entries, max, end) : retour_unwind_here(entries, max, end);

	__asm__ volatile("" ::: "memory");
	return n;
}

TEST(deep_stacks_are_walked_to_the_end_or_the_limit)
{
	static unsigned long entries[30000];
	enum retour_unwind_end end;
	unsigned int n = walk_deep(20000, entries, 30000, &end);

	CHECK_U64(end, RETOUR_UNWIND_COMPLETE);
	CHECK(n > 20000 && n < 20020);
	CHECK_U64(walk_deep(20000, entries, 100, &end), 100);
	CHECK_U64(end, RETOUR_UNWIND_MAX_DEPTH);
	CHECK_U64(walk_deep(0, entries, 0, NULL), 0);
}

/* ---- At any instruction ---- */

static unsigned int n_samples, n_in_oracle, n_compared, n_incomplete;
static volatile sig_atomic_t use_oracle = 1, in_spin;
static unsigned int n_in_spin;

/*
 * libgcc's tables do not tell of each instruction of its own as it goes over to a
 * handler of an exception: it follows wild pointers if it is interrupted there.
 */
static bool is_oracle(unsigned long pc)
{
	struct dl_find_object object;

	return !_dl_find_object((void *)pc, &object) && strstr(object.dlfo_link_map->l_name, "libgcc_s");
}

static void compare_sample(int signal, siginfo_t *info, void *ucontext)
{
	static unsigned long entries[MAX];
	static void *expected[MAX];
	struct retour_unwind_regs regs;
	enum retour_unwind_end end;
	unsigned int n, at;
	int n_expected, saved = errno;
	bool in_oracle;

	errno = 4711;
	retour_unwind_regs_of_signal(&regs, ucontext);
	n = retour_unwind_user(&regs, entries, MAX, &end);
	CHECK_U64((uint64_t)errno, 4711);
	CHECK(n > 0 && entries[0] == regs.reg[16]);
	in_oracle = is_oracle(entries[0]);
	n_samples++;
	n_in_oracle += in_oracle;
	n_incomplete += !in_oracle && end != RETOUR_UNWIND_COMPLETE;
	if (in_spin) {
		CHECK(end == RETOUR_UNWIND_COMPLETE);
		n_in_spin++;
	}
	if (!use_oracle || end != RETOUR_UNWIND_COMPLETE || in_oracle) {
		errno = saved;
		return;
	}
	n_expected = backtrace(expected, MAX);
	for (at = 0; at < (unsigned int)n_expected && (unsigned long)expected[at] != entries[0];)
		at++;
	/* What the oracle does not find it cannot refute. */
	if (at + n <= (unsigned int)n_expected) {
		CHECK_U64(at + n, (uint64_t)n_expected);
		for (unsigned int i = 1; i < n; i++)
			CHECK_U64(entries[i], (unsigned long)expected[at + i]);
		n_compared++;
	}
	errno = saved;
}

static void start_sampling(int flags)
{
	struct sigaction action = { .sa_sigaction = compare_sample, .sa_flags = SA_SIGINFO | SA_RESTART | flags };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF };
	struct itimerspec period = { { 0, 200000 }, { 0, 200000 } };
	void *warm[4];
	timer_t timer;

	backtrace(warm, 4);	/* loads libgcc */
	CHECK(!sigaction(SIGPROF, &action, NULL));
	CHECK(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK(!timer_settime(timer, 0, &period, NULL));
}

TEST(samples_at_any_instruction_agree_with_backtrace)
{
	start_sampling(0);
	/* How many of them hit exceptions on their way is up to the machine. */
	for (unsigned int round = 0; n_samples - n_in_oracle < 1500; round++)
		work(round);
	printf("# %u samples, %u in the oracle, %u compared, %u incomplete\n", n_samples, n_in_oracle, n_compared, n_incomplete);
	CHECK(n_compared > 1500 / 2);
	CHECK(n_incomplete * 100 <= n_samples - n_in_oracle);
}

/* ---- Small stacks ---- */

#define PAINT 0xa5
#define BOUND 2048

static struct retour_unwind_work small_work;
static enum retour_unwind_end small_end;
static unsigned long small_sp;	/* the handler's, before it calls */

static void keep_end(struct retour_unwind_work *work, const struct retour_unwind_stacktrace *trace, uint64_t cookie)
{
	small_end = trace->end;
}

static void walk_on_small_stack(int signal, siginfo_t *info, void *ucontext)
{
	static uint64_t cookie;

	small_sp = (unsigned long)__builtin_frame_address(0);
	retour_runtime_enter();
	retour_unwind_deferred_request(&small_work, &cookie);
	retour_runtime_leave_handler(ucontext);
}

NOINLINE static void raise_deep(unsigned int depth)
{
	if (depth)
		raise_deep(depth - 1);
	else
		raise(SIGUSR1);
	__asm__ volatile("" ::: "memory");
}

static int raise_in_callback(const void *a, const void *b)
{
	raise_deep(20);
	return 0;
}

TEST(walks_need_less_than_two_kilobytes_of_stack)
{
	static unsigned char alternate[64 << 10];
	struct sigaction action = { .sa_sigaction = walk_on_small_stack, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
	unsigned char *lowest = alternate;
	int two[2] = { 1, 2 };

#ifdef __SANITIZE_ADDRESS__
	SKIP("the address sanitizer widens frames");
#endif
	small_end = RETOUR_UNWIND_MAX_DEPTH;
	CHECK(!retour_unwind_deferred_init(&small_work, keep_end));
	memset(alternate, PAINT, sizeof(alternate));
	CHECK(!sigaltstack(&stack, NULL));
	CHECK(!sigaction(SIGUSR1, &action, NULL));
	qsort(two, 2, sizeof(two[0]), raise_in_callback);	/* rules are compiled here */
	CHECK_U64(small_end, RETOUR_UNWIND_COMPLETE);
	CHECK(small_sp > (unsigned long)alternate && small_sp < (unsigned long)(alternate + sizeof(alternate)));
	while (*lowest == PAINT)
		lowest++;
	printf("# %lu bytes of stack\n", small_sp - (unsigned long)lowest);
	CHECK(small_sp - (unsigned long)lowest < BOUND);
}

/* ---- Bad memory ---- */

TEST(bad_stacks_end_chains)
{
	unsigned long entries[MAX], bad[] = { 0, 8, 4095, -8ul, -1ul, 1ul << 47, 1ul << 63, 0, 0 };
	char *hole = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	enum retour_unwind_end end;

	CHECK(!munmap(hole + 4096, 4096));
	bad[7] = (unsigned long)hole + 4096;
	bad[8] = (unsigned long)hole + 4096 - 12;
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct retour_unwind_regs regs = { { 0 } };

		regs.reg[16] = (unsigned long)qsort;
		regs.reg[7] = regs.reg[6] = bad[i];
		CHECK(retour_unwind_user(&regs, entries, MAX, &end) >= 1);
		CHECK(end != RETOUR_UNWIND_COMPLETE);
		regs.reg[16] = bad[i];
		CHECK(retour_unwind_user(&regs, entries, MAX, &end) >= 1);
		CHECK(end != RETOUR_UNWIND_COMPLETE);
	}
}

/* Stacks of random words, half of which look like addresses of code or of the stack. */
TEST(random_stacks_end_chains)
{
	static unsigned long stack[2048], entries[MAX];
	unsigned long seed = 88172645463325252ul;

	for (unsigned int round = 0; round < 3000; round++) {
		struct retour_unwind_regs regs;

		for (unsigned int i = 0; i < 2048 + 17; i++) {
			unsigned long *word = i < 2048 ? &stack[i] : &regs.reg[i - 2048];

			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			*word = seed % 4 == 0 ? (unsigned long)qsort + (seed >> 40) % 65536 :
				seed % 4 == 1 ? (unsigned long)&stack[(seed >> 20) % 2048] :
				seed % 4 == 2 ? (unsigned long)work + (seed >> 40) % 1024 : seed;
		}
		regs.reg[7] = (unsigned long)&stack[seed % 1024];
		regs.reg[16] = (unsigned long)qsort + (seed >> 40) % 65536;
		CHECK(retour_unwind_user(&regs, entries, MAX, NULL) >= 1);
	}
}

/* ---- Objects that come and go ---- */

static enum retour_unwind_end plugin_end;
static unsigned long plugin_pc;

static void walk_from_plugin(void *arg)
{
	unsigned long entries[MAX];

	CHECK(retour_unwind_here(entries, MAX, &plugin_end) > 3);
	plugin_pc = entries[1];
}

static void run_plugin(const char *path, void (*fn)(void *))
{
	void *plugin = dlopen(path, RTLD_NOW);
	void (*run)(void (*)(void *), void *);

	CHECK(plugin);
	retour_unwind_update_objects();
	run = (void (*)(void (*)(void *), void *))dlsym(plugin, "plugin_run");
	CHECK(run);
	run(fn, NULL);
	CHECK(!dlclose(plugin));
}

/* The second object lies where the first one did, and only its rules differ. */
TEST(rules_of_an_unloaded_object_are_not_used)
{
	unsigned int same = 0;
	unsigned long last = 0;

	for (unsigned int i = 0; i < 20; i++) {
		run_plugin(i & 1 ? PLUGIN_SMALL : PLUGIN_LARGE, walk_from_plugin);
		CHECK_U64(plugin_end, RETOUR_UNWIND_COMPLETE);
		same += plugin_pc == last;
		last = plugin_pc;
	}
	if (!same)
		SKIP("the loader put the two objects into different places");
}

static void spin(void *arg)
{
	in_spin = 1;
	for (unsigned int i = 0; i < 20000; i++)
		work_sink += i;
	in_spin = 0;
}

/* Chains may end early while the loader is at work, which may be most of the time, but not in between. */
TEST(loading_and_unloading_under_fire)
{
	use_oracle = 0;
	start_sampling(0);
	for (unsigned int i = 0; i < 400 || n_samples < 500 || n_in_spin < 50; i++)
		run_plugin(i & 1 ? PLUGIN_SMALL : PLUGIN_LARGE, spin);
	printf("# %u samples, %u in between, %u incomplete\n", n_samples, n_in_spin, n_incomplete);
}

TEST(children_walk)
{
	int status;
	pid_t pid;

	start_sampling(0);
	for (unsigned int i = 0; i < 20; i++) {
		work(i);
		pid = fork();
		if (!pid) {
			compare_here();
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
