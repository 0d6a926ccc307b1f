/* SPDX-License-Identifier: MIT */
/*
 * Single steps: between steps_begin() and steps_end() a signal handler runs
 * after each instruction of the calling thread, in the library and in libc.
 * What runs with that signal blocked is left out, as from any handler.
 */
#ifndef TEST_RCU_STEPS_H
#define TEST_RCU_STEPS_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static __thread volatile bool stepping;
static void (*at_step)(const void *pc);

#ifdef __x86_64__
#define STEPS_POSSIBLE 1
#define TRAP_FLAG 0x100l
#define PC(context) ((context)->uc_mcontext.gregs[REG_RIP])

static inline void clear_trap_flag(ucontext_t *context)
{
	context->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static inline void set_trap_flag(bool on)
{
	if (on)
		__asm__ volatile("pushfq\n\torq %0, (%%rsp)\n\tpopfq" :: "i"(TRAP_FLAG) : "memory", "cc");
	else
		__asm__ volatile("pushfq\n\tandq %0, (%%rsp)\n\tpopfq" :: "i"(~TRAP_FLAG) : "memory", "cc");
}
#else
#define STEPS_POSSIBLE 0
#define PC(context) 0l

static inline void clear_trap_flag(ucontext_t *context)
{
}

static inline void set_trap_flag(bool on)
{
}
#endif

static inline void on_step(int sig, siginfo_t *info, void *context)
{
	if (stepping)
		at_step((const void *)PC((ucontext_t *)context));
	else
		clear_trap_flag(context);
}

/* fn is given the next instruction; flags are those of sigaction().  False: not on this machine. */
static inline bool steps_init(void (*fn)(const void *pc), int flags)
{
	struct sigaction action = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO | flags };

	at_step = fn;
	return STEPS_POSSIBLE && sigaction(SIGTRAP, &action, NULL) == 0;
}

static inline void steps_begin(void)
{
	stepping = true;
	set_trap_flag(true);
}

static inline void steps_end(void)
{
	stepping = false;
}

/* In place of libc's: a step with the signal blocked would kill the process. */
int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	bool named = set && sigismember(set, SIGTRAP);
	int err;

	if (stepping && named && how != SIG_UNBLOCK)
		set_trap_flag(false);
	err = syscall(SYS_rt_sigprocmask, how, set, old, _NSIG / 8) ? errno : 0;
	if (stepping && set && (how == SIG_SETMASK ? !named : named && how == SIG_UNBLOCK))
		set_trap_flag(true);
	return err;
}

#endif
