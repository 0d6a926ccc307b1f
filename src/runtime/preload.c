/* SPDX-License-Identifier: MIT */
/*
 * libretour-agent.so: what a program's calls tell its agent.
 *
 * Each function here is the C library's with a word to the agent before or
 * behind.  The program sees what it would see without us; in particular the
 * sampler's signal looks as if it were its own, blocked or handled as it has said.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

#include "rcu/sys.h"
#include "runtime/agent.h"

#define EXPORT __attribute__((visibility("default")))

/* The next definition of the function, looked up once. */
#define REAL(name)                                                             \
	({                                                                     \
		static __typeof__(&name) real_;                                \
		__typeof__(&name) known_ = __atomic_load_n(&real_, __ATOMIC_RELAXED); \
		if (!known_) {                                                 \
			known_ = (__typeof__(&name))dlsym(RTLD_NEXT, #name);   \
			__atomic_store_n(&real_, known_, __ATOMIC_RELAXED);    \
		}                                                              \
		known_;                                                        \
	})

/* ---- threads ----------------------------------------------------------------- */

struct start {
	void *routine;
	void *arg;
	bool seen_blocked, confined;	/* of who makes it */
	bool taken;		/* of the pool; else allocated */
};

/*
 * Threads that are being made, without the allocator, which may be making one itself.
 * Where there are more at once the rest is allocated.
 */
static struct start pool[64];
static pthread_key_t ending;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool has_key;

static struct start *get_start(void)
{
	for (size_t i = 0; i < sizeof(pool) / sizeof(pool[0]); i++)
		/* (R) pairs with (S): the last user has copied what was in it. */
		if (!__atomic_exchange_n(&pool[i].taken, true, __ATOMIC_ACQUIRE))
			return &pool[i];
	return calloc(1, sizeof(struct start));
}

static void put_start(struct start *start)
{
	if (start < pool || start >= pool + sizeof(pool) / sizeof(pool[0])) {
		free(start);
		return;
	}
	/* (S) pairs with (R): it was copied before it is free. */
	__atomic_store_n(&start->taken, false, __ATOMIC_RELEASE);
}

static void end(void *arg)
{
	retour_agent_thread_end();
}

static void make_key(void)
{
	has_key = !pthread_key_create(&ending, end);
}

static struct start *new_start(void *routine, void *arg)
{
	struct start *start = NULL;

	/* Constructors of other objects may come before ours. */
	if (retour_agent_signal() && !pthread_once(&key_once, make_key) && has_key)
		start = get_start();
	if (!start)
		return NULL;
	start->routine = routine;
	start->arg = arg;
	start->seen_blocked = retour_agent_seen_blocked();
	start->confined = retour_agent_is_confined();
	return start;
}

/* In the new thread. */
static struct start began(void *arg)
{
	struct start start = *(struct start *)arg;

	put_start(arg);
	pthread_setspecific(ending, &ending);
	retour_agent_thread_begin(start.seen_blocked, start.confined);
	return start;
}

/* Calls the routine last, and in its own place: the chains of the thread do not show this one. */
static void *begin(void *arg)
{
	struct start start = began(arg);

	return ((void *(*)(void *))start.routine)(start.arg);
}

static int begin_c11(void *arg)
{
	struct start start = began(arg);

	return ((thrd_start_t)start.routine)(start.arg);
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*routine)(void *), void *arg)
{
	struct start *start = new_start(routine, arg);
	int err;

	if (!start)
		return REAL(pthread_create)(thread, attr, routine, arg);
	err = REAL(pthread_create)(thread, attr, begin, start);
	if (err)
		put_start(start);
	return err;
}

EXPORT int thrd_create(thrd_t *thread, thrd_start_t routine, void *arg)
{
	struct start *start = new_start(routine, arg);
	int ret;

	if (!start)
		return REAL(thrd_create)(thread, routine, arg);
	ret = REAL(thrd_create)(thread, begin_c11, start);
	if (ret != thrd_success)
		put_start(start);
	return ret;
}

EXPORT int pthread_setname_np(pthread_t thread, const char *name)
{
	int err = REAL(pthread_setname_np)(thread, name);

	if (!err && pthread_equal(thread, pthread_self()))
		retour_agent_thread_named();
	return err;
}

/* ---- filters ------------------------------------------------------------------ */

/* A call that may put the thread, or all, under a filter; what is refused for certain may not. */
struct confining {
	bool is, all, returns_descriptor;
};

static struct confining confining_prctl(long option, unsigned long mode, unsigned long filter)
{
	return (struct confining){
		.is = option == PR_SET_SECCOMP && (mode == SECCOMP_MODE_STRICT || (mode == SECCOMP_MODE_FILTER && filter)),
	};
}

static struct confining confining_seccomp(unsigned long operation, unsigned long flags, unsigned long filter)
{
	return (struct confining){
		.is = operation == SECCOMP_SET_MODE_STRICT || (operation == SECCOMP_SET_MODE_FILTER && filter),
		.all = flags & SECCOMP_FILTER_FLAG_TSYNC,
		.returns_descriptor = flags & SECCOMP_FILTER_FLAG_NEW_LISTENER,
	};
}

static long call(long nr, const long *args)
{
	long ret = sys_call(nr, args[0], args[1], args[2], args[3], args[4], args[5]);

	if (ret > -4096 && ret < 0) {
		errno = -ret;
		return -1;
	}
	return ret;
}

static long call_confining(struct confining how, long nr, const long *args)
{
	bool is_new = retour_agent_confine(how.all);
	long ret = call(nr, args);

	/* Above 0: a thread that could not be brought under it. */
	if (is_new)
		retour_agent_confined(how.all, ret < 0 || (ret > 0 && !how.returns_descriptor));
	return ret;
}

EXPORT int prctl(int option, ...)
{
	long args[6] = { option };
	struct confining how;
	va_list list;
	int ret;

	va_start(list, option);
	for (int i = 1; i < 5; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	how = confining_prctl(option, args[1], args[2]);
	if (how.is)
		return call_confining(how, SYS_prctl, args);
	ret = REAL(prctl)(option, args[1], args[2], args[3], args[4]);
	if (option == PR_SET_NAME && !ret && retour_agent_is_here())
		retour_agent_thread_named();
	return ret;
}

static long (*real_syscall)(long nr, long a, long b, long c, long d, long e, long f);

/* syscall(), in its own place; allocators call it before there is anything. */
EXPORT long preloaded_syscall(long nr, long a, long b, long c, long d, long e, long f) __asm__("syscall");

long preloaded_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	struct confining how = { false };

	if (nr == SYS_seccomp)
		how = confining_seccomp(a, b, c);
	else if (nr == SYS_prctl)
		how = confining_prctl(a, b, c);
	if (how.is)
		return call_confining(how, nr, (long[]){ a, b, c, d, e, f });
	if (!real_syscall)
		return call(nr, (long[]){ a, b, c, d, e, f });
	return real_syscall(nr, a, b, c, d, e, f);
}

/* ---- objects ------------------------------------------------------------------- */

/*
 * The loader asks who calls: for the caller's RUNPATH, if the name is no path.
 * Then the call is left to it in our place; the recorder finds the mappings by itself.
 */
EXPORT void *dlopen(const char *file, int mode)
{
	void *handle;

	if (!file || !strchr(file, '/') || strchr(file, '$'))
		return REAL(dlopen)(file, mode);
	handle = REAL(dlopen)(file, mode);
	if (handle)
		retour_agent_objects_changed();
	return handle;
}

/* ---- the signal ------------------------------------------------------------------- */

/* Signals whose handlers are to run with ours blocked, as the program believes. */
static bool handler_blocks[_NSIG];

static void set_member(sigset_t *set, int sig, bool member)
{
	if (member)
		sigaddset(set, sig);
	else
		sigdelset(set, sig);
}

/*
 * A handler that blocks every signal does not block ours.  One on an alternate
 * stack does, whatever it says: there may be no room for a second frame of the kernel's.
 */
static int change_action(int sig, const struct sigaction *action, struct sigaction *old)
{
	int ours = retour_agent_signal(), err;
	struct sigaction changed;
	bool blocks = false, blocked;

	if (ours && action && !retour_agent_is_here())
		return REAL(sigaction)(sig, action, old);
	if (action && ours) {
		changed = *action;
		blocks = sigismember(&action->sa_mask, ours) == 1;
		set_member(&changed.sa_mask, ours, action->sa_flags & SA_ONSTACK);
	}
	err = REAL(sigaction)(sig, action && ours ? &changed : action, old);
	if (err || !ours)
		return err;
	blocked = handler_blocks[sig];
	if (action)
		handler_blocks[sig] = blocks;
	if (old)
		set_member(&old->sa_mask, ours, blocked);
	return 0;
}

EXPORT int sigaction(int sig, const struct sigaction *action, struct sigaction *old)
{
	if (sig != retour_agent_signal() || !sig)
		return change_action(sig, action, old);
	if (action && !retour_agent_is_here()) {
		struct sigaction asked = *action;

		retour_agent_sigaction(NULL, old);
		return REAL(sigaction)(sig, &asked, NULL);
	}
	retour_agent_sigaction(action, old);
	return 0;
}

EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART }, old;

	if (sig != retour_agent_signal() || !sig)
		return REAL(signal)(sig, handler);
	return sigaction(sig, &action, &old) ? SIG_ERR : old.sa_handler;
}

static bool has_ours(const sigset_t *set)
{
	int sig = retour_agent_signal();

	return sig && set && sigismember(set, sig) == 1;
}

/* The set without our signal, unless it is the program's: in *copy, if it is there. */
static const sigset_t *without_ours(const sigset_t *set, sigset_t *copy)
{
	if (!has_ours(set) || retour_agent_has_given_back())
		return set;
	*copy = *set;
	sigdelset(copy, retour_agent_signal());
	return copy;
}

static int change_mask(int (*real)(int, const sigset_t *, sigset_t *), int how, const sigset_t *set, sigset_t *old)
{
	/* The program's sets may be one. */
	sigset_t asked = set ? *set : (sigset_t){ { 0 } }, copy;
	bool changes = set && (how == SIG_SETMASK || has_ours(set));
	bool elsewhere = changes && retour_agent_signal() && !retour_agent_is_here();
	int err = real(how, elsewhere ? set : without_ours(set, &copy), old);

	if (!err && retour_agent_signal())
		retour_agent_sigmask(how, set && !elsewhere ? &asked : NULL, old);
	return err;
}

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return change_mask(REAL(pthread_sigmask), how, set, old);
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	return change_mask(REAL(sigprocmask), how, set, old);
}

/*
 * Who waits for any signal does not want ours, unless the program has sent it: then
 * the wait was interrupted, and goes on with all.
 */
static int wait_for(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	siginfo_t came;
	sigset_t copy;
	bool was_back;
	int sig;

	do {
		was_back = retour_agent_has_given_back();
		sig = REAL(sigtimedwait)(without_ours(set, &copy), &came, timeout);
	} while (sig < 0 && errno == EINTR && retour_agent_has_given_back() != was_back);
	if (sig > 0 && retour_agent_stop_clock_of(&came)) {
		errno = EINTR;
		return -1;
	}
	if (sig > 0 && info)
		*info = came;
	return sig;
}

EXPORT int sigwait(const sigset_t *set, int *sig)
{
	int ret;

	do {
		ret = wait_for(set, NULL, NULL);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return errno;
	*sig = ret;
	return 0;
}

EXPORT int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
	return wait_for(set, info, NULL);
}

EXPORT int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	return wait_for(set, info, timeout);
}

/* What is read of it are signals that are blocked, ours among them. */
EXPORT int signalfd(int fd, const sigset_t *set, int flags)
{
	if (has_ours(set) && retour_agent_seen_blocked())
		retour_agent_give_back();
	return REAL(signalfd)(fd, set, flags);
}

/* Looked up before there are handlers that might call them. */
__attribute__((constructor)) static void prepare(void)
{
	real_syscall = (__typeof__(real_syscall))dlsym(RTLD_NEXT, "syscall");
	pthread_sigmask(SIG_BLOCK, NULL, NULL);
	sigprocmask(SIG_BLOCK, NULL, NULL);
	sigaction(SIGCHLD, NULL, NULL);
	retour_agent_offer(true);
}
