/* SPDX-License-Identifier: MIT */
/* Reading samples with registers and a copy of the stack; see stack_sample.h. */
#include "collect/stack_sample.h"

#include <string.h>

struct reader {
	const unsigned char *at;
	size_t left;
	bool bad;
};

static const unsigned char *take(struct reader *r, uint64_t size)
{
	const unsigned char *at = r->at;

	if (r->bad || size > r->left) {
		r->bad = true;
		return NULL;
	}
	r->at += size;
	r->left -= size;
	return at;
}

static uint64_t take_word(struct reader *r)
{
	const unsigned char *at = take(r, 8);
	uint64_t word = 0;

	if (at)
		memcpy(&word, at, sizeof(word));
	return word;
}

static void take_pair(struct reader *r, uint32_t *low, uint32_t *high)
{
	uint64_t word = take_word(r);

	*low = (uint32_t)word;
	*high = (uint32_t)(word >> 32);
}

/* The kernel writes registers in the order of its own numbers: the flags follow rip. */
static void take_regs(struct reader *r, struct stack_sample *s)
{
	static const unsigned char dwarf_number[UNWIND_N_REGS] = {
		0, 3, 2, 1, 4, 5, 6, 7, UNWIND_RIP, 8, 9, 10, 11, 12, 13, 14, 15,
	};

	for (int i = 0; i < UNWIND_N_REGS; i++) {
		s->regs[dwarf_number[i]] = take_word(r);
		if (dwarf_number[i] == UNWIND_RIP)
			s->flags = take_word(r);
	}
}

/* A whole record has room for all that was asked for, and tells behind it how much there is. */
static void take_stack(struct reader *r, struct stack_sample *s)
{
	s->asked = take_word(r);
	s->stack = r->at;
	s->size = r->left;
	if (s->size > s->asked) {
		uint64_t copied;

		take(r, s->asked);
		copied = take_word(r);
		s->size = copied < s->asked ? copied : s->asked;
	}
}

bool stack_sample_parse(const struct perf_event_header *record, size_t size, struct stack_sample *ret)
{
	struct reader r = { (const unsigned char *)(record + 1), size - sizeof(*record), false };
	uint32_t reserved;

	if (size < sizeof(*record))
		return false;
	*ret = (struct stack_sample){
		.user_mode = (record->misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_USER,
	};
	ret->id = take_word(&r);
	ret->ip = take_word(&r);
	take_pair(&r, &ret->pid, &ret->tid);
	ret->time = take_word(&r);
	take_pair(&r, &ret->cpu, &reserved);
	ret->period = take_word(&r);
	ret->n_kernel = take_word(&r);
	if (ret->n_kernel > r.left / 8)
		return false;
	ret->kernel = take(&r, ret->n_kernel * 8);
	ret->abi = take_word(&r);
	if (ret->abi != PERF_SAMPLE_REGS_ABI_NONE)
		take_regs(&r, ret);
	take_stack(&r, ret);
	return !r.bad;
}

bool stack_sample_in_system_call(const struct stack_sample *sample)
{
	enum { RCX = 2, R11 = 11 };	/* DWARF numbers */

	return !sample->user_mode && sample->regs[RCX] == sample->regs[UNWIND_RIP] &&
	       sample->regs[R11] == sample->flags;
}
