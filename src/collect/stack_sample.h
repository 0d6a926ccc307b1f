/* SPDX-License-Identifier: MIT */
/*
 * Samples that the kernel writes with the user registers and a copy of the user
 * stack, as they lie in a ring.
 */
#ifndef RETOUR_COLLECT_STACK_SAMPLE_H
#define RETOUR_COLLECT_STACK_SAMPLE_H

#include "unwind/unwind.h"

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* perf_event_attr.sample_type; the call chain is the kernel's part only. */
#define STACK_SAMPLE_TYPE \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | \
	 PERF_SAMPLE_PERIOD | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER)
/* perf_event_attr.sample_regs_user: what unwinding can need, UNWIND_N_REGS of them, and the flags. */
#define STACK_SAMPLE_REGS 0xff03ffULL

struct stack_sample {
	uint64_t id, ip, time, period;
	uint32_t pid, tid, cpu;
	bool user_mode;				/* ip is in user space */
	uint64_t n_kernel;
	const unsigned char *kernel;		/* n_kernel words, markers of context among them */
	uint64_t abi;				/* PERF_SAMPLE_REGS_ABI_* */
	uint64_t regs[UNWIND_N_REGS];		/* in DWARF order */
	uint64_t flags;
	uint64_t asked;				/* how much stack was to be copied */
	const unsigned char *stack;
	size_t size;				/* how much there is */
};

/*
 * Reads a PERF_RECORD_SAMPLE; size is the record's, or ends where its copy of
 * the stack does (ret->stack + ret->size), so that padding need not be kept.
 * False if it is not laid out like that.
 */
bool stack_sample_parse(const struct perf_event_header *record, size_t size, struct stack_sample *ret);

/*
 * May the task be in a system call, and so stand behind its instruction?
 * syscall leaves the address of the next one in rcx and the flags in r11 (Intel
 * SDM, volume 2, SYSCALL).  What faults may have its own address in rcx, too, as
 * the first instruction of a function that is called through it.
 */
bool stack_sample_in_system_call(const struct stack_sample *sample);

#endif
