/* SPDX-License-Identifier: MIT */
/*
 * What the read side and the calls for handlers do not do: take locks,
 * allocate, run long.  The program's own malloc() and pthread_mutex_lock()
 * stand before libc's, for libc itself and for the library.
 */
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#include "domains.h"

static __thread bool watched __attribute__((tls_model("initial-exec")));
static atomic_int locks, allocations;
static void *volatile kept;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
	allocations += watched;
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	allocations += watched;
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	allocations += watched;
	return __libc_realloc(p, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	allocations += watched;
	return __libc_memalign(alignment, size);
}

#define COUNT_LOCK(name, type)                                                 \
	int name(type *lock)                                                   \
	{                                                                      \
		static int (*next)(type *);                                    \
                                                                               \
		locks += watched;                                              \
		if (!next)                                                     \
			next = (int (*)(type *))dlsym(RTLD_NEXT, #name);       \
		return next(lock);                                             \
	}

COUNT_LOCK(pthread_mutex_lock, pthread_mutex_t)
COUNT_LOCK(pthread_mutex_trylock, pthread_mutex_t)
COUNT_LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
COUNT_LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)
COUNT_LOCK(pthread_spin_lock, pthread_spinlock_t)

static void do_nothing(struct retour_rcu_head *head)
{
}

/* A thread's first contact with the library, and a domain's first reader; the leader waits for it. */
static void *read_watched(void *arg)
{
	static struct retour_srcu_struct fresh;
	static struct retour_rcu_head heads[3];
	const struct domain *d = arg;
	void *cookie, *inner;

	watched = true;
	cookie = d->lock();
	inner = d->lock();
	d->held();
	d->unlock(inner);
	d->poll(d->start_poll());
	d->call(&heads[d - domains], do_nothing);
	watched = false;
	/* The worker's grace period waits for this section. */
	sleep_ms(20);
	watched = true;
	d->unlock(cookie);
	watched = false;
	if (d == domains) {
		fresh = (struct retour_srcu_struct)RETOUR_SRCU_INIT_("fresh", RETOUR_SRCU_FAST);
		watched = true;
		retour_srcu_read_unlock_fast(&fresh, retour_srcu_read_lock_fast(&fresh));
		watched = false;
	}
	d->barrier();
	return NULL;
}

TEST(readers_and_calls_take_no_lock_and_allocate_nothing)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_t thread;

	for (int i = 0; i < 3; i++) {
		for_each_domain(d) {
			CHECK(pthread_create(&thread, NULL, read_watched, (void *)d) == 0);
			CHECK(pthread_join(thread, NULL) == 0);
		}
	}
	CHECK(locks == 0 && allocations == 0);
	/* The counters count, inside the library too. */
	watched = true;
	kept = malloc(1);
	pthread_mutex_lock(&mutex);
	watched = false;
	CHECK(locks == 1 && allocations == 1);
	struct retour_srcu_struct srcu;

	watched = true;
	CHECK(retour_init_srcu_struct_fast(&srcu) == 0);
	watched = false;
	CHECK(locks > 1);
	CHECK(retour_cleanup_srcu_struct(&srcu) == 0);
}

#ifdef __x86_64__

static void *synchronize_main(void *arg)
{
	((const struct domain *)arg)->synchronize();
	return NULL;
}

/* Between the two breakpoints: the end of a section that a leader sleeps for, and one that follows. */
static void unlock_between_breakpoints(const struct domain *d)
{
	pthread_t leader;
	void *cookie = d->lock();

	CHECK(pthread_create(&leader, NULL, synchronize_main, (void *)d) == 0);
	sleep_ms(50);
	__asm__ volatile("int3");
	d->unlock(cookie);
	__asm__ volatile("int3");
	pthread_join(leader, NULL);
}

static void step_through(const struct domain *d, long *steps, long *calls)
{
	enum { INT3 = 0xcc, SYSCALL = 0x050f };
	struct user_regs_struct regs;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
		unlock_between_breakpoints(d);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	for (*steps = *calls = 0; *steps < 100000; ++*steps) {
		long code;

		CHECK(ptrace(PTRACE_GETREGS, pid, 0, &regs) == 0);
		code = ptrace(PTRACE_PEEKTEXT, pid, regs.rip, 0);
		if ((code & 0xff) == INT3)
			break;
		*calls += (code & 0xffff) == SYSCALL;
		CHECK(ptrace(PTRACE_SINGLESTEP, pid, 0, 0) == 0);
		CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	}
	CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status))
		CHECK(ptrace(PTRACE_CONT, pid, 0, 0) == 0);
	CHECK(status == 0);
}

TEST(the_slow_path_of_an_unlock_is_short)
{
	for_each_domain(d) {
		long steps, calls;

		step_through(d, &steps, &calls);
		printf("# %s: %ld instructions, %ld system calls\n", d->name, steps, calls);
		/* None if the leader happens to be awake. */
		CHECK(calls <= 2);
		CHECK(steps < 500);
	}
}

#endif

int main(int argc, char **argv)
{
	return domains_main(argc, argv);
}
