/* SPDX-License-Identifier: MIT */
/*
 * Increment of a per-CPU counter by a restartable sequence.
 *
 * The kernel aborts the sequence when the thread is preempted, migrated or
 * interrupted by a signal in it, so the increment happens on the CPU that was
 * read, alone, or not at all.  It is not tried again: the caller has another
 * way, and a debugger that single-steps aborts every attempt.
 */
#ifndef RETOUR_SRCU_PERCPU_H
#define RETOUR_SRCU_PERCPU_H

#include "rcu_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* From a CPU's counters to the next one's. */
#define RETOUR_PERCPU_SHIFT 6

/* Of the calling thread's struct rseq, from the thread pointer. */
extern RETOUR_API long retour_rseq_offset;

/*
 * The kernel reads the descriptor at the next preemption, even after the
 * sequence: in code that can be unloaded the announcement is taken back.
 */
#if defined(__PIC__) && !defined(__PIE__)
#define RETOUR_RSEQ_TAKE_BACK(code) code
#else
#define RETOUR_RSEQ_TAKE_BACK(code) ""
#endif

/* Descriptor (version, flags, start, length, abort handler) in front of the sequence 1..2, the handler 4 out of line. */
#define RETOUR_RSEQ_DESCRIPTOR                                                 \
	".pushsection __rseq_cs, \"aw?\"\n\t"                                  \
	".balign 32\n\t"                                                       \
	"3: .long 0, 0\n\t"                                                    \
	RETOUR_ASM_POINTER " 1f, (2f - 1f), 4f\n\t"                            \
	".popsection\n\t"

#if defined(__x86_64__) && !defined(RETOUR_TSAN)

/* False: the counter was not touched. */
RETOUR_INLINE bool retour_percpu_inc_(unsigned long *counter)
{
	unsigned long rseq = (unsigned long)retour_rseq_offset;

	/* (S): x86-64 keeps what is before a store before it. */
	__asm__ goto(RETOUR_RSEQ_DESCRIPTOR
		     "leaq 3b(%%rip), %%rax\n\t"
		     "movq %%rax, %%fs:8(%[rseq])\n\t"
		     "1:\n\t"
		     "movl %%fs:4(%[rseq]), %%eax\n\t"
		     "testl %%eax, %%eax\n\t"
		     "js %l[failed]\n\t"
		     "shlq %[shift], %%rax\n\t"
		     "addq $1, (%[counter], %%rax)\n\t"
		     "2:\n\t"
		     RETOUR_RSEQ_TAKE_BACK("movq $0, %%fs:8(%[rseq])\n\t")
		     ".pushsection .text.retour_rseq_abort, \"ax?\"\n\t"
		     ".byte 0x0f, 0xb9, 0x3d\n\t"
		     ".long 0x53053053\n\t"
		     "4: jmp %l[failed]\n\t"
		     ".popsection"
		     :
		     : [counter] "r"(counter), [rseq] "r"(rseq), [shift] "i"(RETOUR_PERCPU_SHIFT)
		     : "rax", "memory", "cc"
		     : failed);
	return true;
failed:
	return false;
}

#define retour_percpu_inc_release_(counter) retour_percpu_inc_(counter)

#elif defined(__aarch64__) && !defined(RETOUR_TSAN)

/* (S) with stlr; the barriers around it tell the compiler the same. */
#define RETOUR_PERCPU_INC_ASM(store)                                           \
	__asm__ goto(RETOUR_RSEQ_DESCRIPTOR                                    \
		     "adrp x9, 3b\n\t"                                         \
		     "add x9, x9, :lo12:3b\n\t"                                \
		     "str x9, [%[rseq], #8]\n\t"                               \
		     "1:\n\t"                                                  \
		     "ldr w9, [%[rseq], #4]\n\t"                               \
		     "tbnz w9, #31, %l[failed]\n\t"                            \
		     "add x9, %[counter], x9, lsl %[shift]\n\t"                \
		     "ldr x10, [x9]\n\t"                                       \
		     "add x10, x10, #1\n\t"                                    \
		     store " x10, [x9]\n\t"                                    \
		     "2:\n\t"                                                  \
		     RETOUR_RSEQ_TAKE_BACK("str xzr, [%[rseq], #8]\n\t")       \
		     ".pushsection .text.retour_rseq_abort, \"ax?\"\n\t"       \
		     ".inst 0xd428bc00\n\t"                                    \
		     "4: b %l[failed]\n\t"                                     \
		     ".popsection"                                             \
		     :                                                         \
		     : [counter] "r"(counter), [rseq] "r"(rseq),               \
		       [shift] "i"(RETOUR_PERCPU_SHIFT)                        \
		     : "x9", "x10", "memory"                                   \
		     : failed);

RETOUR_INLINE bool retour_percpu_inc_(unsigned long *counter)
{
	char *rseq = (char *)__builtin_thread_pointer() + retour_rseq_offset;

	RETOUR_PERCPU_INC_ASM("str")
	return true;
failed:
	return false;
}

RETOUR_INLINE bool retour_percpu_inc_release_(unsigned long *counter)
{
	char *rseq = (char *)__builtin_thread_pointer() + retour_rseq_offset;

	/* (S) as a store-release. */
	RETOUR_PERCPU_INC_ASM("stlr")
	return true;
failed:
	return false;
}

#else

/* ThreadSanitizer, which cannot see into a sequence, and other architectures use the atomic counters. */
#define retour_percpu_inc_(counter) ((void)(counter), false)
#define retour_percpu_inc_release_(counter) ((void)(counter), false)

#endif

#ifdef __cplusplus
}
#endif
#endif
