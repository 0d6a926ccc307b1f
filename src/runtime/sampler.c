/* SPDX-License-Identifier: MIT */
/* Per-thread timers and their signal; see sampler.h. */
#include "runtime/sampler.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "rcu/sys.h"
#include "retour/rcu.h"
#include "retour/unwind_deferred.h"

struct sampled_thread {
	pid_t tid;
	unsigned int n_timers;		/* 0: they could not be had, and are not asked for again */
	int timers[SAMPLER_CLOCKS];
};

/* What a timer sends along is an address in here: nobody else's timer sends one. */
static char tags[SAMPLERS][SAMPLER_CLOCKS];
static struct sampler *samplers[SAMPLERS];

static int signal_number;
/* What the program has been told of the signal: [n_actions % 2], the other half is for the next. */
static struct sigaction program_actions[2];
static unsigned int n_actions;
static __thread bool seen_blocked __attribute__((tls_model("initial-exec")));

/*
 * The program has sent itself the signal where it blocks it, so it wants to wait for
 * it: it gets it back, each thread as this concerns it, and no more clocks are made.
 */
static bool given_back;
static __thread bool thread_has_it_back __attribute__((tls_model("initial-exec")));

enum { SLOW_NS = 100000000 };
enum { USUAL_FLAGS = SA_SIGINFO | SA_RESTART | SA_ONSTACK };

/* As the kernel has it. */
struct kernel_action {
	const void *handler;
	unsigned long flags;
	const void *restorer;
	uint64_t mask;
};

int sampler_signal(void)
{
	return __atomic_load_n(&signal_number, __ATOMIC_RELAXED);
}

/* ---- the handler ---------------------------------------------------------- */

static void stop_timer(int timer)
{
	struct itimerspec never = { { 0 } };

	sys_call(SYS_timer_settime, timer, 0, (long)&never, 0, 0, 0);
}

/* Fails for one that has been deleted meanwhile. */
static void slow_down(int timer)
{
	struct itimerspec slow = { { 0, SLOW_NS }, { 0, SLOW_NS } };

	sys_call(SYS_timer_settime, timer, 0, (long)&slow, 0, 0, 0);
}

static void fire(size_t tag, const siginfo_t *info, const void *ucontext)
{
	struct sampler *sampler;

	retour_rcu_read_lock();
	sampler = retour_rcu_dereference(samplers[tag / SAMPLER_CLOCKS]);
	/* si_overrun is signed, and stops at its greatest value. */
	if (sampler && !sampler->fire(sampler, tag % SAMPLER_CLOCKS, (unsigned int)info->si_overrun + 1, ucontext))
		slow_down(info->si_timerid);
	retour_rcu_read_unlock();
}

static bool change_mask(int how, int sig)
{
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, sig);
	sys_call(SYS_rt_sigprocmask, how, (long)&set, (long)&old, _NSIG / 8, 0, 0);
	return sigismember(&old, sig) == 1;
}

/* The default action, as if there were no handler.  Not by sigaction(), which may be the preloaded one. */
static void die_by(int sig)
{
	struct kernel_action standard = { .handler = NULL };

	sys_call(SYS_rt_sigaction, sig, (long)&standard, 0, _NSIG / 8, 0, 0);
	sys_call(SYS_tgkill, sys_getpid(), sys_gettid(), sig, 0, 0, 0);
	change_mask(SIG_UNBLOCK, sig);
}

static const struct sigaction *program_action(void)
{
	/* (T) pairs with (U): the number of an action before the action. */
	return &program_actions[__atomic_load_n(&n_actions, __ATOMIC_ACQUIRE) % 2];
}

static void deliver_to_program(int sig, siginfo_t *info, void *ucontext)
{
	struct sigaction action = *program_action(), standard = { .sa_handler = SIG_DFL };

	if (action.sa_flags & SA_RESETHAND)
		sampler_program_action(&standard, NULL);
	if (action.sa_flags & SA_SIGINFO)
		action.sa_sigaction(sig, info, ucontext);
	else if (action.sa_handler == SIG_DFL)
		die_by(sig);
	else if (action.sa_handler != SIG_IGN)
		action.sa_handler(sig);
}

static void send_again(const siginfo_t *info)
{
	pid_t tid = sys_gettid();

	if (info->si_code == SI_TKILL)
		sys_call(SYS_rt_tgsigqueueinfo, sys_getpid(), tid, info->si_signo, (long)info, 0, 0);
	else	/* to the process; only its own id lets a thread say what it likes */
		sys_call(SYS_rt_sigqueueinfo, tid, info->si_signo, (long)info, 0, 0, 0);
}

/* Blocks the signal as the program has, and lets the kernel keep it. */
static void give_back(int sig, const siginfo_t *info, void *ucontext)
{
	sigaddset(&((ucontext_t *)ucontext)->uc_sigmask, sig);
	thread_has_it_back = true;
	__atomic_store_n(&given_back, true, __ATOMIC_RELAXED);
	send_again(info);
}

static bool is_clock(const siginfo_t *info)
{
	return info->si_code == SI_TIMER && (uintptr_t)info->si_value.sival_ptr - (uintptr_t)tags < sizeof(tags);
}

void sampler_drop_pending(void)
{
	bool was_blocked = change_mask(SIG_BLOCK, signal_number);
	struct timespec now = { 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal_number);
	/* What is not a clock's is sent again, and would come again. */
	for (int n = 0; n < SAMPLERS * SAMPLER_CLOCKS; n++) {
		if (sys_call(SYS_rt_sigtimedwait, (long)&set, (long)&info, (long)&now, _NSIG / 8, 0, 0) < 0)
			break;
		if (!is_clock(&info))
			send_again(&info);
	}
	if (!was_blocked)
		change_mask(SIG_UNBLOCK, signal_number);
}

static void on_signal(int sig, siginfo_t *info, void *ucontext)
{
	size_t tag = (uintptr_t)info->si_value.sival_ptr - (uintptr_t)tags;
	int saved = errno;

	if (!is_clock(info)) {
		if (seen_blocked)
			give_back(sig, info, ucontext);
		else
			deliver_to_program(sig, info, ucontext);
		return;
	}
	retour_runtime_enter();
	fire(tag, info, ucontext);
	retour_runtime_leave_handler(ucontext);
	errno = saved;
}

/* Takes the highest signal with the default action.  The very highest is what others take first. */
int sampler_take_signal(void)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = USUAL_FLAGS };

	if (signal_number)
		return 0;
	sigemptyset(&action.sa_mask);
	for (int sig = SIGRTMAX - 1; sig >= SIGRTMIN; sig--) {
		struct sigaction old;

		if (sigaction(sig, NULL, &old))
			return -errno;
		if ((old.sa_flags & SA_SIGINFO) || old.sa_handler != SIG_DFL)
			continue;
		if (sigaction(sig, &action, NULL))
			return -errno;
		__atomic_store_n(&signal_number, sig, __ATOMIC_RELAXED);
		return 0;
	}
	return -EBUSY;
}

/* ---- timers ---------------------------------------------------------------- */

/* The CPU time of a thread of this process, as the kernel numbers clocks. */
static clockid_t cpu_clock(pid_t tid)
{
	return (clockid_t)(~(unsigned int)tid << 3 | 4 | 2);
}

static uint64_t random_below(uint64_t n)
{
	uint64_t x = now_ns(CLOCK_MONOTONIC) * 0x9e3779b97f4a7c15ull;

	return (x ^ x >> 32) % n;
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ ns / 1000000000, ns % 1000000000 };
}

/* A timer that runs, or -errno. */
static int make_timer(const struct sampler *sampler, unsigned int clock, pid_t tid)
{
	const struct sampler_clock *c = &sampler->clocks[clock];
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = signal_number,
		.sigev_value.sival_ptr = &tags[sampler->slot][clock],
	};
	struct itimerspec when = { timespec_of(c->period), timespec_of(1 + random_below(c->period)) };
	int timer;
	long err;

	event._sigev_un._tid = tid;
	err = sys_call(SYS_timer_create, c->wall ? CLOCK_MONOTONIC : cpu_clock(tid), (long)&event, (long)&timer, 0, 0, 0);
	if (!err) {
		err = sys_call(SYS_timer_settime, timer, 0, (long)&when, 0, 0, 0);
		if (err)
			sys_call(SYS_timer_delete, timer, 0, 0, 0, 0, 0);
	}
	return err ? err : timer;
}

static void delete_timers(struct sampled_thread *thread)
{
	while (thread->n_timers)
		sys_call(SYS_timer_delete, thread->timers[--thread->n_timers], 0, 0, 0, 0, 0);
}

/* The table is mapped: fork handlers of allocators may not have run yet when ours do. */
static int make_room(struct sampler *sampler)
{
	size_t size = sampler->room * sizeof(sampler->threads[0]), new_size = size ? 2 * size : 4096;
	long at;

	if (sampler->n_threads < sampler->room)
		return 0;
	at = size ? sys_call(SYS_mremap, (long)sampler->threads, size, new_size, MREMAP_MAYMOVE, 0, 0) :
		    sys_call(SYS_mmap, 0, new_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at < 0 && at > -4096)
		return at;
	sampler->threads = (struct sampled_thread *)at;
	sampler->room = new_size / sizeof(sampler->threads[0]);
	return 0;
}

static struct sampled_thread *find(const struct sampler *sampler, pid_t tid)
{
	struct sampled_thread *thread = sampler->threads, *end = thread + sampler->n_threads;

	while (thread < end && thread->tid != tid)
		thread++;
	return thread < end ? thread : NULL;
}

bool sampler_has(const struct sampler *sampler, pid_t tid)
{
	return find(sampler, tid) != NULL;
}

bool sampler_runs(const struct sampler *sampler)
{
	size_t i = 0;

	while (i < sampler->n_threads && sampler->threads[i].n_timers < sampler->n_clocks)
		i++;
	return i < sampler->n_threads;
}

static int make_timers(const struct sampler *sampler, struct sampled_thread *thread)
{
	if (__atomic_load_n(&given_back, __ATOMIC_RELAXED))
		return -EBUSY;
	while (thread->n_timers < sampler->n_clocks) {
		int timer = make_timer(sampler, thread->n_timers, thread->tid);

		if (timer < 0) {
			delete_timers(thread);
			return timer;
		}
		thread->timers[thread->n_timers++] = timer;
	}
	return 0;
}

/* Without timers. */
static int add(struct sampler *sampler, pid_t tid, struct sampled_thread **ret)
{
	int err = make_room(sampler);

	if (err)
		return err;
	*ret = &sampler->threads[sampler->n_threads++];
	(*ret)->tid = tid;
	(*ret)->n_timers = 0;
	return 0;
}

int sampler_arm(struct sampler *sampler, pid_t tid)
{
	struct sampled_thread *thread;
	int err;

	if (find(sampler, tid))
		return 0;
	err = add(sampler, tid, &thread);
	return err ? err : make_timers(sampler, thread);
}

void sampler_leave_out(struct sampler *sampler, pid_t tid)
{
	struct sampled_thread *thread = find(sampler, tid);

	if (thread)
		delete_timers(thread);
	else
		add(sampler, tid, &thread);
}

static void remove_thread(struct sampler *sampler, struct sampled_thread *thread)
{
	delete_timers(thread);
	*thread = sampler->threads[--sampler->n_threads];
}

void sampler_disarm(struct sampler *sampler, pid_t tid)
{
	struct sampled_thread *thread = find(sampler, tid);

	if (thread)
		remove_thread(sampler, thread);
}

void sampler_disarm_if(struct sampler *sampler, bool (*over)(pid_t tid, void *arg), void *arg)
{
	for (size_t i = sampler->n_threads; i--;)
		if (over(sampler->threads[i].tid, arg))
			remove_thread(sampler, &sampler->threads[i]);
}

void sampler_after_fork(struct sampler *sampler)
{
	sampler->n_threads = 0;
}

int sampler_start(struct sampler *sampler)
{
	unsigned int slot = 0;
	int err = sampler_take_signal();

	if (err)
		return err;
	while (slot < SAMPLERS && samplers[slot])
		slot++;
	if (slot == SAMPLERS)
		return -EBUSY;
	sampler->slot = slot;
	retour_rcu_assign_pointer(samplers[slot], sampler);
	return 0;
}

void sampler_stop(struct sampler *sampler)
{
	struct sampled_thread *threads;
	size_t room;

	while (sampler->n_threads)
		remove_thread(sampler, &sampler->threads[sampler->n_threads - 1]);
	threads = sampler->threads;
	room = sampler->room;
	/* First: a child of a fork in between has lost some memory, rather than unmapping it again. */
	sampler->threads = NULL;
	sampler->room = 0;
	if (room)
		/* Not as a bare system call: the thread sanitizer is to know that what comes there next is new. */
		munmap(threads, room * sizeof(threads[0]));
	if (samplers[sampler->slot] == sampler)
		retour_rcu_assign_pointer(samplers[sampler->slot], NULL);
}

/* ---- what the program sees of the signal ----------------------------------- */

void sampler_admit(bool blocked)
{
	bool back = __atomic_load_n(&given_back, __ATOMIC_RELAXED);

	/* None comes before it is clear whose it is. */
	seen_blocked = change_mask(SIG_BLOCK, signal_number) || blocked;
	thread_has_it_back = back;
	if (!back || !seen_blocked)
		change_mask(SIG_UNBLOCK, signal_number);
}

void sampler_give_back(void)
{
	__atomic_store_n(&given_back, true, __ATOMIC_RELAXED);
	if (seen_blocked)
		change_mask(SIG_BLOCK, signal_number);
	thread_has_it_back = true;
}

bool sampler_has_given_back(void)
{
	return thread_has_it_back;
}

bool sampler_stop_clock_of(const siginfo_t *info)
{
	bool is = info->si_signo == signal_number && is_clock(info);

	if (is)
		stop_timer(info->si_timerid);
	return is;
}

bool sampler_seen_blocked(void)
{
	return seen_blocked;
}

/* What the kernel does of the program's action: it interrupts calls, or not, and blocks others meanwhile. */
static void take_over(const struct sigaction *action)
{
	bool handled = (action->sa_flags & SA_SIGINFO) ||
		       (action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN);
	unsigned long flags = handled ? SA_SIGINFO | (action->sa_flags & (SA_RESTART | SA_ONSTACK)) : USUAL_FLAGS;
	struct kernel_action real;

	if (sys_call(SYS_rt_sigaction, signal_number, 0, (long)&real, _NSIG / 8, 0, 0))
		return;
	real.flags = flags | (real.flags & ~(unsigned long)USUAL_FLAGS);
	real.mask = 0;
	if (handled)
		memcpy(&real.mask, &action->sa_mask, sizeof(real.mask));
	sys_call(SYS_rt_sigaction, signal_number, (long)&real, 0, _NSIG / 8, 0, 0);
}

void sampler_program_action(const struct sigaction *action, struct sigaction *old)
{
	struct sigaction before = *program_action();
	unsigned int next = n_actions + 1;

	if (action) {
		program_actions[next % 2] = *action;
		/* (U) pairs with (T): the action before its number. */
		__atomic_store_n(&n_actions, next, __ATOMIC_RELEASE);
		take_over(action);
	}
	if (old)
		*old = before;
}

void sampler_program_mask(int how, const sigset_t *set, sigset_t *old)
{
	bool was_blocked = seen_blocked, named = set && sigismember(set, signal_number) == 1;

	if (old && was_blocked)
		sigaddset(old, signal_number);
	if (!set)
		return;
	if (how == SIG_SETMASK || named)
		seen_blocked = named && how != SIG_UNBLOCK;
}
