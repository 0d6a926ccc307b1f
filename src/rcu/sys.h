/* SPDX-License-Identifier: MIT */
/*
 * System calls without libc: they leave errno alone, so that a reader in a
 * signal handler does too, and they are no calls that could be interposed.
 */
#ifndef RETOUR_RCU_SYS_H
#define RETOUR_RCU_SYS_H

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

/* The result, or -errno. */
static inline long sys_call(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
#else
#error "libretour knows x86-64 and aarch64"
#endif
}

static inline int sys_gettid(void)
{
	return sys_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

static inline int sys_getpid(void)
{
	return sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

/*
 * All signals of the calling thread.  pthread_sigmask() may be the preloaded one of
 * libretour-agent.so, which keeps the sampler's signal open.
 */
static inline void sys_block_signals(sigset_t *saved)
{
	sigset_t all;

	sigfillset(&all);
	sys_call(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)saved, _NSIG / 8, 0, 0);
}

static inline void sys_restore_signals(const sigset_t *saved)
{
	sys_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)saved, 0, _NSIG / 8, 0, 0);
}

static inline int sys_membarrier(int cmd)
{
	return sys_call(SYS_membarrier, cmd, 0, 0, 0, 0, 0);
}

static inline long sys_futex(unsigned int *word, int op, unsigned int value, const struct timespec *timeout)
{
	return sys_call(SYS_futex, (long)word, op | FUTEX_PRIVATE_FLAG, value, (long)timeout, 0, 0);
}

/* Sleeps while *word is value, at most timeout_ns (0: no limit); may return early. */
static inline void futex_wait(unsigned int *word, unsigned int value, uint64_t timeout_ns)
{
	struct timespec timeout = { timeout_ns / 1000000000, timeout_ns % 1000000000 };

	sys_futex(word, FUTEX_WAIT, value, timeout_ns ? &timeout : NULL);
}

static inline void futex_wake(unsigned int *word, int n)
{
	sys_futex(word, FUTEX_WAKE, n, NULL);
}

static inline uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield" ::: "memory");
#endif
}

static inline void full_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* A full fence behind an atomic instruction that wrote; on x86-64 that was one already. */
static inline void fence_after_atomic(void)
{
#if defined(__x86_64__)
	__asm__ volatile("" ::: "memory");
#else
	full_fence();
#endif
}

#endif
