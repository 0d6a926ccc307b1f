/* SPDX-License-Identifier: MIT */
/*
 * The restartable sequence of rings: on one CPU, with nobody else of that CPU
 * in between, "if *word is expected, *aux = aux_value and *word = value".
 *
 * The last store is what counts: aborted before it, the sequence may leave
 * aux_value behind, so aux is memory that means nothing until word says so.
 */
#ifndef RETOUR_RUNTIME_RING_PERCPU_H
#define RETOUR_RUNTIME_RING_PERCPU_H

#include <stdint.h>

#include "retour/srcu_percpu.h"
#include "runtime/mutant.h"

#if (defined(__x86_64__) || defined(__aarch64__)) && !defined(RETOUR_TSAN)

/* The calling thread's CPU; negative: not registered for sequences. */
static inline int percpu_cpu(void)
{
	return __atomic_load_n((int *)((char *)__builtin_thread_pointer() + retour_rseq_offset + 4), __ATOMIC_RELAXED);
}

#else

static inline int percpu_cpu(void)
{
	return -1;
}

#endif

#if defined(__x86_64__) && !defined(RETOUR_TSAN)

/* False: *word is what it was. */
static inline bool percpu_change(int cpu, uint64_t *word, uint64_t expected, uint64_t *aux, uint64_t aux_value,
				 uint64_t value)
{
	unsigned long rseq = (unsigned long)retour_rseq_offset;

	if (mutant(ring_no_sequence)) {
		if (*word != expected)
			return false;
		*aux = aux_value;
		retour_torture_delay();
		*word = value;
		return true;
	}
	if (mutant(ring_no_compare))
		expected = *word;
	/* (C): x86-64 keeps what is before a store before it. */
	__asm__ goto(RETOUR_RSEQ_DESCRIPTOR
		     "leaq 3b(%%rip), %%rax\n\t"
		     "movq %%rax, %%fs:8(%[rseq])\n\t"
		     "1:\n\t"
		     "cmpl %[cpu], %%fs:4(%[rseq])\n\t"
		     "jne %l[failed]\n\t"
		     "cmpq %[expected], (%[word])\n\t"
		     "jne %l[failed]\n\t"
		     "movq %[aux_value], (%[aux])\n\t"
		     "movq %[value], (%[word])\n\t"
		     "2:\n\t"
		     RETOUR_RSEQ_TAKE_BACK("movq $0, %%fs:8(%[rseq])\n\t")
		     ".pushsection .text.retour_rseq_abort, \"ax?\"\n\t"
		     ".byte 0x0f, 0xb9, 0x3d\n\t"
		     ".long 0x53053053\n\t"
		     "4: jmp %l[failed]\n\t"
		     ".popsection"
		     :
		     : [cpu] "r"(cpu), [word] "r"(word), [expected] "r"(expected), [aux] "r"(aux),
		       [aux_value] "r"(aux_value), [value] "r"(value), [rseq] "r"(rseq)
		     : "rax", "memory", "cc"
		     : failed);
	return true;
failed:
	return false;
}

#elif defined(__aarch64__) && !defined(RETOUR_TSAN)

static inline bool percpu_change(int cpu, uint64_t *word, uint64_t expected, uint64_t *aux, uint64_t aux_value,
				 uint64_t value)
{
	char *rseq = (char *)__builtin_thread_pointer() + retour_rseq_offset;

	/* (C) as a store-release. */
	__asm__ goto(RETOUR_RSEQ_DESCRIPTOR
		     "adrp x9, 3b\n\t"
		     "add x9, x9, :lo12:3b\n\t"
		     "str x9, [%[rseq], #8]\n\t"
		     "1:\n\t"
		     "ldr w9, [%[rseq], #4]\n\t"
		     "cmp w9, %w[cpu]\n\t"
		     "b.ne %l[failed]\n\t"
		     "ldr x9, [%[word]]\n\t"
		     "cmp x9, %[expected]\n\t"
		     "b.ne %l[failed]\n\t"
		     "str %[aux_value], [%[aux]]\n\t"
		     "stlr %[value], [%[word]]\n\t"
		     "2:\n\t"
		     RETOUR_RSEQ_TAKE_BACK("str xzr, [%[rseq], #8]\n\t")
		     ".pushsection .text.retour_rseq_abort, \"ax?\"\n\t"
		     ".inst 0xd428bc00\n\t"
		     "4: b %l[failed]\n\t"
		     ".popsection"
		     :
		     : [cpu] "r"(cpu), [word] "r"(word), [expected] "r"(expected), [aux] "r"(aux),
		       [aux_value] "r"(aux_value), [value] "r"(value), [rseq] "r"(rseq)
		     : "x9", "memory", "cc"
		     : failed);
	return true;
failed:
	return false;
}

#else

/* ThreadSanitizer, which cannot see into a sequence, and other architectures use locked rings. */
static inline bool percpu_change(int cpu, uint64_t *word, uint64_t expected, uint64_t *aux, uint64_t aux_value,
				 uint64_t value)
{
	return false;
}

#endif
#endif
