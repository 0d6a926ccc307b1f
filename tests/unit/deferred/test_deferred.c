/* SPDX-License-Identifier: MIT */
/* Requests and their answers: what the kernel's deferred unwinding promises, in one thread and in many. */
#include "unit/task.h"
#include "unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <time.h>
#include <ucontext.h>

#include "retour/unwind_deferred.h"

#define NOINLINE __attribute__((noinline, noclone))

struct tracer {
	struct retour_unwind_work work;
	unsigned int n;			/* calls */
	unsigned int nr;
	unsigned long first, second;
	enum retour_unwind_end end;
	uint64_t cookie;
	struct tracer *asks;		/* whom the callback requests of */
	int answer;
};

static void called(struct retour_unwind_work *work, const struct retour_unwind_stacktrace *trace, uint64_t cookie)
{
	struct tracer *t = (struct tracer *)work;
	uint64_t again;

	t->n++;
	t->nr = trace->nr;
	t->end = trace->end;
	t->cookie = cookie;
	t->first = trace->nr > 0 ? trace->entries[0] : 0;
	t->second = trace->nr > 1 ? trace->entries[1] : 0;
	if (t->asks) {
		t->answer = retour_unwind_deferred_request(&t->asks->work, &again);
		CHECK_U64(again, cookie);
	}
}

static void start(struct tracer *t)
{
	memset(t, 0, sizeof(*t));
	CHECK(!retour_unwind_deferred_init(&t->work, called));
}

TEST(outside_of_sections_requests_are_refused)
{
	struct tracer t;
	uint64_t cookie;

	start(&t);
	CHECK(retour_unwind_deferred_request(&t.work, &cookie) == -EINVAL);
	retour_runtime_enter();
	CHECK(retour_unwind_deferred_cancel(&t.work) == -EDEADLK);
	retour_runtime_leave();
	CHECK(!retour_unwind_deferred_cancel(&t.work));
	retour_runtime_enter();
	CHECK(retour_unwind_deferred_request(&t.work, &cookie) == -ENOENT);
	retour_runtime_leave();
	CHECK_U64(t.n, 0);
}

NOINLINE static void one_entry(struct tracer *t, unsigned int depth)
{
	uint64_t cookie, again;

	if (depth) {
		one_entry(t, depth - 1);
		__asm__ volatile("" ::: "memory");
		return;
	}
	retour_runtime_enter();
	CHECK(retour_unwind_deferred_request(&t->work, &cookie) == 0);
	CHECK(cookie & 1ul << 32 && cookie & 1);
	retour_runtime_enter();
	CHECK(retour_unwind_deferred_request(&t->work, &again) == 1);
	CHECK_U64(again, cookie);
	retour_runtime_leave();
	CHECK_U64(t->n, 0);
	retour_runtime_leave();
	CHECK_U64(t->n, 1);
	CHECK_U64(t->cookie, cookie);
}

TEST(an_entry_has_one_cookie_and_one_call)
{
	struct tracer t;
	uint64_t last;

	start(&t);
	one_entry(&t, 5);
	CHECK_U64(t.end, RETOUR_UNWIND_COMPLETE);
	CHECK(t.nr > 7);
	CHECK(t.first > (unsigned long)one_entry && t.first < (unsigned long)one_entry + 4096);
	CHECK(t.second > (unsigned long)one_entry && t.second < (unsigned long)one_entry + 4096);
	last = t.cookie;
	t.n = 0;
	one_entry(&t, 0);
	CHECK(t.cookie != last);
	CHECK(!retour_unwind_deferred_cancel(&t.work));
}

/* The agent takes even ones for chains of no entry. */
TEST(cookies_are_odd_on_each_cpu)
{
	struct tracer t;
	cpu_set_t cpus, one;

	start(&t);
	CHECK(!sched_getaffinity(0, sizeof(cpus), &cpus));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus)) {
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			CHECK(!sched_setaffinity(0, sizeof(one), &one));
			t.n = 0;
			one_entry(&t, 0);
		}
	CHECK(!retour_unwind_deferred_cancel(&t.work));
}

TEST(one_walk_serves_all_who_asked_and_no_one_else)
{
	struct tracer t[3];
	uint64_t cookie[2];

	for (int i = 0; i < 3; i++)
		start(&t[i]);
	retour_runtime_enter();
	CHECK(retour_unwind_deferred_request(&t[0].work, &cookie[0]) == 0);
	CHECK(retour_unwind_deferred_request(&t[2].work, &cookie[1]) == 0);
	CHECK_U64(cookie[0], cookie[1]);
	retour_runtime_leave();
	CHECK(t[0].n == 1 && t[1].n == 0 && t[2].n == 1);
	CHECK(t[0].first == t[2].first && t[0].nr == t[2].nr);
}

/* As the kernel's: who was called is not called again, who was not is, with the same cookie and chain. */
TEST(requests_from_callbacks_count_for_the_same_entry)
{
	struct tracer t[2];
	uint64_t cookie;

	start(&t[0]);
	start(&t[1]);
	t[0].asks = &t[1];
	t[1].asks = &t[0];
	retour_runtime_enter();
	CHECK(retour_unwind_deferred_request(&t[0].work, &cookie) == 0);
	retour_runtime_leave();
	CHECK(t[0].n == 1 && t[0].answer == 0);
	CHECK(t[1].n == 1 && t[1].answer == 1);
	CHECK(t[1].cookie == cookie && t[1].nr == t[0].nr && t[1].first == t[0].first);
}

TEST(there_are_62_tracers)
{
	static struct tracer t[63];

	for (int i = 0; i < 62; i++)
		start(&t[i]);
	CHECK(retour_unwind_deferred_init(&t[62].work, called) == -EBUSY);
	CHECK(!retour_unwind_deferred_cancel(&t[17].work));
	CHECK(!retour_unwind_deferred_init(&t[62].work, called));
	CHECK_U64((uint64_t)t[62].work.bit, 19);
}

/* ---- Handlers ---- */

static struct tracer handler_tracer;
static unsigned long interrupted;

static void handler(int signal, siginfo_t *info, void *ucontext)
{
	struct retour_unwind_regs regs;
	uint64_t cookie;

	retour_runtime_enter();
	retour_unwind_regs_of_signal(&regs, ucontext);
	interrupted = regs.reg[16];
	CHECK(retour_unwind_deferred_request(&handler_tracer.work, &cookie) == 0);
	retour_runtime_leave_handler(ucontext);
}

TEST(a_handler_is_an_entry_unless_it_interrupts_one)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	struct tracer *t = &handler_tracer;

#ifdef __SANITIZE_THREAD__
	SKIP("the thread sanitizer delivers signals late");
#endif
	start(t);
	CHECK(!sigaction(SIGUSR1, &action, NULL));
	raise(SIGUSR1);
	CHECK_U64(t->n, 1);
	CHECK_U64(t->first, interrupted);
	CHECK_U64(t->end, RETOUR_UNWIND_COMPLETE);
	retour_runtime_enter();
	raise(SIGUSR1);
	CHECK_U64(t->n, 1);
	retour_runtime_leave();
	CHECK_U64(t->n, 2);
	CHECK(t->first != interrupted);
	CHECK_U64(t->end, RETOUR_UNWIND_COMPLETE);
}

/*
 * At every instruction of request and leave: each request that was not refused
 * gets its cookie once, and a refused one got none.
 */
#define LOG 4096	/* entries of the one CPU; each ends before the next but one begins */

static struct tracer fire_tracers[2];
/* By tracer: what main and the handler ask is logged apart. */
static struct {
	uint64_t cookie;
	unsigned int asked, called;
} entry_log[2][LOG];
static volatile unsigned int n_refused, n_handled;

static void log_cookie(struct retour_unwind_work *work, uint64_t cookie, unsigned int asked, unsigned int called)
{
	unsigned int tracer = work == &fire_tracers[1].work, at = (unsigned int)(cookie >> 33) % LOG;

	if (entry_log[tracer][at].cookie != cookie) {
		CHECK_U64(entry_log[tracer][at].asked, entry_log[tracer][at].called);
		entry_log[tracer][at].cookie = cookie;
		entry_log[tracer][at].asked = entry_log[tracer][at].called = 0;
	}
	entry_log[tracer][at].asked += asked;
	entry_log[tracer][at].called += called;
	CHECK(entry_log[tracer][at].asked == 1 && entry_log[tracer][at].called <= 1);
}

static void log_call(struct retour_unwind_work *work, const struct retour_unwind_stacktrace *trace, uint64_t cookie)
{
	CHECK(trace->nr > 0);
	log_cookie(work, cookie, 0, 1);
}

static int log_request(struct tracer *t)
{
	uint64_t cookie;
	int ret = retour_unwind_deferred_request(&t->work, &cookie);

	if (!ret)
		log_cookie(&t->work, cookie, 1, 0);
	return ret;
}

static void fire(int signal, siginfo_t *info, void *ucontext)
{
	int ret;

	retour_runtime_enter();
	ret = log_request(&fire_tracers[1]);
	CHECK(ret == 0 || ret == 1 || ret == -EAGAIN);
	n_refused += ret == -EAGAIN;
	n_handled++;
	retour_runtime_leave_handler(ucontext);
}

TEST(handlers_at_any_instruction_of_an_entry)
{
	struct sigaction action = { .sa_sigaction = fire, .sa_flags = SA_SIGINFO };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF };
	struct itimerspec once = { { 0, 0 }, { 0, 0 } };
	timer_t timer;
	cpu_set_t here;
	unsigned int seed = 1;

	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	CHECK(!sched_setaffinity(0, sizeof(here), &here));
	for (int i = 0; i < 2; i++)
		CHECK(!retour_unwind_deferred_init(&fire_tracers[i].work, log_call));
	CHECK(!sigaction(SIGPROF, &action, NULL));
	CHECK(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	for (unsigned int i = 0; i < 20000; i++) {
		int ret;

		seed = seed * 1103515245 + 12345;
		once.it_value.tv_nsec = 1 + (seed >> 16) % 6000;
		CHECK(!timer_settime(timer, 0, &once, NULL));
		for (volatile unsigned int spin = (seed >> 8) % 400; spin; spin--)
			;
		retour_runtime_enter();
		ret = log_request(&fire_tracers[0]);
		CHECK(ret == 0);
		retour_runtime_leave();
		CHECK(retour_runtime_task.nesting == 0 && retour_runtime_task.unwind_mask == 0);
	}
	printf("# %u handlers, %u refused\n", n_handled, n_refused);
	CHECK(n_handled > 1000);
	for (unsigned int i = 0; i < 2 * LOG; i++)
		CHECK_U64(entry_log[i / LOG][i % LOG].asked, entry_log[i / LOG][i % LOG].called);
}

/* The same without chance: a trap at each instruction, of which the n-th is the handler's. */
#define TRAP_FLAG 0x100
#define STEPS 400	/* more than there are instructions */

static volatile unsigned int trap_at;	/* 0: it was */
static volatile bool trap_due;
static bool trap_in_callback;

static void single_step(void)
{
#if defined(__x86_64__)
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushfq\n\torq %0, (%%rsp)\n\tpopfq\n\tleaq 128(%%rsp), %%rsp"
			 : : "i"(TRAP_FLAG) : "memory", "cc");
#endif
}

static void on_trap(int signal, siginfo_t *info, void *ucontext)
{
	if (trap_at && --trap_at)
		return;
	if (trap_due) {
		trap_due = false;
		fire(signal, info, ucontext);
	}
	((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static void log_call_and_step(struct retour_unwind_work *work, const struct retour_unwind_stacktrace *trace,
			      uint64_t cookie)
{
	log_call(work, trace, cookie);
	if (trap_in_callback && trap_at)
		single_step();
}

TEST(a_handler_at_each_instruction_of_an_entry)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	cpu_set_t here;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) || !defined(__x86_64__)
	SKIP("only as compiled for x86-64 without sanitizers");
#endif
	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	CHECK(!sched_setaffinity(0, sizeof(here), &here));
	CHECK(!retour_unwind_deferred_init(&fire_tracers[0].work, log_call_and_step));
	CHECK(!retour_unwind_deferred_init(&fire_tracers[1].work, log_call));
	CHECK(!sigaction(SIGTRAP, &action, NULL));
	for (unsigned int i = 0; i < 2 * STEPS; i++) {
		trap_at = 1 + i / 2;
		trap_in_callback = i & 1;
		trap_due = true;
		if (!trap_in_callback)
			single_step();
		retour_runtime_enter();
		CHECK(log_request(&fire_tracers[0]) == 0);
		trap_due &= trap_in_callback;	/* it comes between enter and leave, or after the callback */
		trap_at *= trap_in_callback;
		retour_runtime_leave();
		trap_due = false;
		trap_at = 0;
		CHECK(retour_runtime_task.nesting == 0 && retour_runtime_task.unwind_mask == 0);
	}
	printf("# %u handlers, %u refused\n", n_handled, n_refused);
	CHECK(n_handled > 100 && n_refused > 10);
	for (unsigned int i = 0; i < 2 * LOG; i++)
		CHECK_U64(entry_log[i / LOG][i % LOG].asked, entry_log[i / LOG][i % LOG].called);
}

/* ---- Cancelling ---- */

static _Atomic bool in_callback, has_called, cancelled;
static unsigned int n_late;

static void slow_callback(struct retour_unwind_work *work, const struct retour_unwind_stacktrace *trace,
			  uint64_t cookie)
{
	in_callback = has_called = true;
	/* The first thread waits for this. */
	task_wait_until_it_sleeps(getpid());
	n_late += cancelled;
	in_callback = false;
}

static void *ask_once(void *arg)
{
	uint64_t cookie;

	retour_runtime_enter();
	CHECK(retour_unwind_deferred_request(arg, &cookie) == 0);
	retour_runtime_leave();
	return NULL;
}

TEST(cancel_waits_for_callbacks_in_flight)
{
	struct retour_unwind_work work;
	pthread_t thread;

	CHECK(!retour_unwind_deferred_init(&work, slow_callback));
	CHECK(!pthread_create(&thread, NULL, ask_once, &work));
	while (!has_called)
		usleep(100);
	CHECK(!retour_unwind_deferred_cancel(&work));
	cancelled = true;
	CHECK(!in_callback);
	pthread_join(thread, NULL);
	CHECK_U64(n_late, 0);
}

/* Who is in an entry when its tracer is cancelled does not call the next owner of the bit. */
static _Atomic int stage;

static void *keep_pending(void *arg)
{
	uint64_t cookie;

	retour_runtime_enter();
	CHECK(retour_unwind_deferred_request(arg, &cookie) == 0);
	stage = 1;
	while (stage != 2)
		usleep(100);
	usleep(20000);
	retour_runtime_leave();
	return NULL;
}

TEST(a_bit_is_not_handed_on_with_requests)
{
	struct tracer first, second;
	pthread_t thread;

	start(&first);
	CHECK(!pthread_create(&thread, NULL, keep_pending, &first.work));
	while (stage != 1)
		usleep(100);
	stage = 2;
	CHECK(!retour_unwind_deferred_cancel(&first.work));
	start(&second);
	pthread_join(thread, NULL);
	CHECK_U64(first.n, 0);
	CHECK_U64(second.n, 0);
}

/* ---- Without memory; in a child ---- */

TEST(callbacks_come_without_memory_too)
{
	struct tracer t;
	uint64_t cookie;
	struct rlimit limit = { 0, 0 };

#ifdef __SANITIZE_ADDRESS__
	SKIP("the address sanitizer needs memory itself");
#endif
	start(&t);
	CHECK(!setrlimit(RLIMIT_AS, &limit));
	retour_runtime_enter();
	CHECK(retour_unwind_deferred_request(&t.work, &cookie) == 0);
	retour_runtime_leave();
	CHECK_U64(t.n, 1);
	CHECK_U64(t.nr, 0);
}

TEST(a_child_goes_on_in_its_parents_section)
{
	struct tracer t;
	uint64_t cookie;
	int status;
	pid_t pid;

	start(&t);
	retour_runtime_enter();
	CHECK(retour_unwind_deferred_request(&t.work, &cookie) == 0);
	pid = fork();
	retour_runtime_leave();
	CHECK_U64(t.n, 1);
	CHECK(!retour_unwind_deferred_cancel(&t.work));
	if (!pid)
		_exit(0);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
