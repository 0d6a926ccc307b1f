/* SPDX-License-Identifier: MIT */
/* Walking the own stack: the rules of the loaded objects under the walker of all backends. */
#include "runtime/unwind_user.h"

#include <string.h>
#include <ucontext.h>

#include "base/reason.h"
#include "runtime/unwind_memory.h"
#include "runtime/unwind_rules.h"

struct walker {
	const struct retour_unwind_regs *regs;
	struct unwind_memory memory;
	struct unwind_object object;
};

#define WALK_READ(arg, address, words, n) unwind_memory_read(&((struct walker *)(arg))->memory, (address), (words), (n))
#define WALK_REG(arg, number) (((struct walker *)(arg))->regs->reg[(number) % 17])
#include "unwind/walk.h"

_Static_assert((int)RETOUR_UNWIND_NO_INFO == REASON_NO_UNWIND_INFO &&
	       (int)RETOUR_UNWIND_PAGE_UNREADABLE == REASON_PAGE_UNREADABLE &&
	       (int)RETOUR_UNWIND_BACKWARDS == REASON_BACKWARDS &&
	       (int)RETOUR_UNWIND_MAX_DEPTH == REASON_MAX_DEPTH &&
	       (int)RETOUR_UNWIND_BAD_FRAME_POINTER == REASON_BAD_FRAME_POINTER &&
	       (int)RETOUR_UNWIND_LOST_REGISTER == REASON_LOST_REGISTER &&
	       (int)RETOUR_UNWIND_ZERO_RETURN == REASON_ZERO_RETURN, "ends are the reasons of recordings");

/* One frame up; as walk_apply(). */
static int step(struct walker *w, struct walk_frame *frame)
{
#if defined(__x86_64__)
	/* A return address may be the next function's: the call before it counts. */
	struct unwind_rule rule = unwind_rule_at(&w->object, frame->pc - !frame->exact);
	int ret = walk_apply(&rule, frame, w);

	if (ret == WALK_UP && rule.flags & RULE_SIGNAL)
		unwind_memory_stack(&w->memory, frame->sp);
	return ret;
#else
	/* The rules are x86-64's. */
	return REASON_NO_UNWIND_INFO;
#endif
}

static enum retour_unwind_end end_of(int ret)
{
	if (ret == WALK_OUTERMOST)
		return RETOUR_UNWIND_COMPLETE;
	return ret == WALK_MISS ? RETOUR_UNWIND_LOST_REGISTER : (enum retour_unwind_end)ret;
}

unsigned int unwind_user(const struct retour_unwind_regs *regs, unsigned int skip, unsigned long *entries,
			 unsigned int max, enum retour_unwind_end *end)
{
	struct walker w = { .regs = regs };
	struct walk_frame frame = {
		.pc = regs->reg[16], .sp = regs->reg[7], .bp = regs->reg[6], .exact = 1, .innermost = 1,
	};
	unsigned int n = 0;
	int ret = WALK_UP;

	unwind_memory_stack(&w.memory, frame.sp);
	while (ret == WALK_UP && n < max) {
		if (skip)
			skip--;
		else
			entries[n++] = frame.pc;
		ret = step(&w, &frame);
	}
	/* It has not come to what was wanted: where it ended says as much. */
	if (!n && max)
		entries[n++] = frame.pc;
	if (end)
		*end = ret == WALK_UP ? RETOUR_UNWIND_MAX_DEPTH : end_of(ret);
	return n;
}

unsigned int retour_unwind_user(const struct retour_unwind_regs *regs, unsigned long *entries, unsigned int max,
				enum retour_unwind_end *end)
{
	return unwind_user(regs, 0, entries, max, end);
}

__attribute__((noinline))
unsigned int retour_unwind_here(unsigned long *entries, unsigned int max, enum retour_unwind_end *end)
{
	struct retour_unwind_regs regs = { { 0 } };

	unwind_regs_here(&regs);
	return unwind_user(&regs, 1, entries, max, end);
}

void retour_unwind_regs_of_signal(struct retour_unwind_regs *regs, const void *ucontext)
{
#if defined(__x86_64__)
	/* DWARF's order of registers as indices of the ucontext's. */
	static const unsigned char from[17] = {
		REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP,
		REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
	};
	const greg_t *values = ((const ucontext_t *)ucontext)->uc_mcontext.gregs;

	for (unsigned int i = 0; i < 17; i++)
		regs->reg[i] = (unsigned long)values[from[i]];
#else
	memset(regs, 0, sizeof(*regs));
	regs->reg[16] = ((const ucontext_t *)ucontext)->uc_mcontext.pc;
#endif
}
