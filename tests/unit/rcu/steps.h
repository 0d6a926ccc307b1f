/* SPDX-License-Identifier: MIT */
/*
 * Single steps: between steps_begin() and steps_end() a signal handler runs
 * after each instruction of the calling thread, in the library and in libc.
 *
 * A step with that signal blocked would kill the process, so it stays open: the
 * system call that blocks it is run by the handler instead, for the other signals.
 * Until it would be open again the steps go on, but nobody is told of them.
 */
#ifndef TEST_RCU_STEPS_H
#define TEST_RCU_STEPS_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static __thread volatile bool stepping, blocked;
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

/* The kernel's set of signals. */
static inline uint64_t mask_of(const void *set)
{
	uint64_t mask;

	memcpy(&mask, set, sizeof(mask));
	return mask;
}

/* If the next instruction is the system call rt_sigprocmask: what it does. */
static inline void run_sigprocmask(ucontext_t *context)
{
	static const unsigned char syscall_instruction[] = { 0x0f, 0x05 };
	const uint64_t trap = 1ull << (SIGTRAP - 1);
	greg_t *regs = context->uc_mcontext.gregs;
	uint64_t mask = mask_of(&context->uc_sigmask) | (blocked ? trap : 0), old = mask, set;

	if (memcmp((const void *)regs[REG_RIP], syscall_instruction, 2) || regs[REG_RAX] != SYS_rt_sigprocmask)
		return;
	if (regs[REG_RSI]) {
		set = mask_of((const void *)regs[REG_RSI]);
		mask = regs[REG_RDI] == SIG_BLOCK ? mask | set : regs[REG_RDI] == SIG_UNBLOCK ? mask & ~set : set;
	}
	if (regs[REG_RDX])
		memcpy((void *)regs[REG_RDX], &old, sizeof(old));
	blocked = mask & trap;
	mask &= ~trap;
	memcpy(&context->uc_sigmask, &mask, sizeof(mask));
	regs[REG_RIP] += sizeof(syscall_instruction);
	regs[REG_RAX] = 0;
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

static inline void run_sigprocmask(ucontext_t *context)
{
}
#endif

static inline void on_step(int sig, siginfo_t *info, void *context)
{
	if (stepping && !blocked)
		at_step((const void *)PC((ucontext_t *)context));
	if (stepping)
		run_sigprocmask(context);
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

#endif
