/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * One frame of a walk: from (pc, sp, bp) to the caller's, by a rule.
 *
 * This is the walker of the BPF programs and of user space alike.  It is all
 * inline and calls nothing but what the includer defines before including it:
 *
 *	bool WALK_READ(void *arg, u64 address, u64 *words, n)	n is 1 or 2
 *	u64 WALK_REG(void *arg, unsigned int dwarf_number)	innermost registers
 *
 * A rule is applied with walk_apply(); finding the rule is the caller's.
 */
#ifndef RETOUR_UNWIND_WALK_H
#define RETOUR_UNWIND_WALK_H

#include "unwind/rule.h"

enum { WALK_RAX = 0, WALK_RBX = 3 };	/* their DWARF numbers */

/* What walk_apply() can say besides an enum reason. */
enum { WALK_UP = 0, WALK_OUTERMOST = 253, WALK_MISS = 254 };

#ifndef WALK_INLINE
#define WALK_INLINE static inline __attribute__((always_inline))
#endif

/* A frame this large is taken for garbage where only a frame pointer vouches for it. */
#define WALK_MAX_FP_FRAME (1ULL << 24)

/*
 * Where a frame pointer's frame is being set up or torn down, the innermost
 * instruction tells: before "push %rbp" and at "ret" the return address is at
 * rsp, between "push %rbp" and "mov %rsp,%rbp" one word above it.
 */
WALK_INLINE unsigned int walk_fp_depth(const struct walk_frame *f, void *arg)
{
	unsigned long long code = 0;

	if (!f->innermost || !WALK_READ(arg, f->pc, &code, 1))
		return 0;
	if ((code & 0xff) == 0x55 || (code & 0xff) == 0xc3 || (code & 0xffffffff) == 0xfa1e0ff3)
		return 1;
	if ((code & 0xffffff) == 0xe58948)
		return 2;
	return 0;
}

WALK_INLINE int walk_frame_pointer(struct walk_frame *f, void *arg)
{
	unsigned long long words[2] = { 0, 0 }, base = f->bp;
	unsigned int depth = walk_fp_depth(f, arg);

	if (depth == 1) {
		if (!WALK_READ(arg, f->sp, words, 1))
			return REASON_PAGE_UNREADABLE;
		f->pc = words[0];
		f->sp += 8;
	} else {
		if (depth == 2)
			base = f->sp;
		if (f->bp_lost || !base)
			return REASON_NO_UNWIND_INFO;
		if (base & 7 || base < f->sp || base - f->sp > WALK_MAX_FP_FRAME)
			return REASON_BAD_FRAME_POINTER;
		if (!WALK_READ(arg, base, words, 2))
			return REASON_PAGE_UNREADABLE;
		f->bp = words[0];
		f->pc = words[1];
		f->sp = base + 16;
	}
	f->by_fp = 1;
	f->bx_at = RULE_RBX_LOST;	/* such code may have saved it anywhere */
	f->exact = 0;
	f->second = 0;
	f->innermost = 0;
	if (!f->pc)
		return f->bp ? REASON_ZERO_RETURN : WALK_OUTERMOST;
	return WALK_UP;
}

/*
 * Is the innermost frame's register this frame's too?  A CFA in a caller-saved
 * register at a call is hand-written code whose callee leaves it alone (OpenSSL's
 * AES-GCM); only the innermost frame's caller is believed so much.
 */
WALK_INLINE int walk_reg_known(const struct walk_frame *f, unsigned short reg)
{
	return f->innermost || (f->second && reg != WALK_RBX && reg != 6 && reg < 12) ||
	       (reg == WALK_RBX && f->bx_at != RULE_RBX_LOST);
}

/* The most a frame may hold whose CFA rests on such a belief. */
#define WALK_MAX_REG_FRAME (1ULL << 16)

WALK_INLINE int walk_cfa(const struct unwind_rule *rule, const struct walk_frame *f, void *arg,
			 unsigned long long *cfa)
{
	unsigned long long base = f->sp;

	switch (rule->cfa_kind) {
	case RULE_CFA_RBP:
	case RULE_CFA_RBP_DEREF:
		if (f->bp_lost)
			return REASON_LOST_REGISTER;
		base = f->bp;
		break;
	case RULE_CFA_PLT:
		if ((f->pc & 15) >= (unsigned long long)rule->cfa_add)
			base += 8;
		break;
	case RULE_CFA_REG:
		if (rule->reg == WALK_RBX && f->bx_at > RULE_RBX_LOST) {
			if (!WALK_READ(arg, f->bx_at, &base, 1))
				return REASON_PAGE_UNREADABLE;
			break;
		}
		if (!walk_reg_known(f, rule->reg))
			return WALK_MISS;
		base = WALK_REG(arg, (unsigned short)rule->reg);
		break;
	case RULE_CFA_RSP_INDEX_DEREF:
		if (!walk_reg_known(f, rule->reg))
			return WALK_MISS;
		base += WALK_REG(arg, (unsigned short)rule->reg) * 8;
		break;
	}
	base += (long long)rule->cfa_off;
	if (rule->cfa_kind == RULE_CFA_RSP_DEREF || rule->cfa_kind == RULE_CFA_RBP_DEREF ||
	    rule->cfa_kind == RULE_CFA_RSP_INDEX_DEREF) {
		if (!WALK_READ(arg, base, &base, 1))
			return REASON_PAGE_UNREADABLE;
		base += (long long)rule->cfa_add;
	}
	if (f->second && rule->cfa_kind == RULE_CFA_REG && base - f->sp > WALK_MAX_REG_FRAME)
		return WALK_MISS;
	*cfa = base;
	return WALK_UP;
}

/*
 * On the way into another context, half of whose registers are loaded: all of
 * them are in memory, like those that a signal interrupts.
 */
WALK_INLINE int walk_context(const struct unwind_rule *rule, struct walk_frame *f, void *arg)
{
	unsigned long long words[2] = { 0, 0 }, at, bp;

	if (!f->innermost)
		return WALK_MISS;
	at = WALK_REG(arg, (unsigned short)rule->reg);
	bp = at + (long long)rule->rbp_off;
	at += (long long)rule->cfa_off;
	if (!WALK_READ(arg, bp, &bp, 1) || !WALK_READ(arg, at, words, 2))
		return REASON_PAGE_UNREADABLE;
	f->bp = bp;
	f->sp = words[0];
	f->pc = words[1];
	f->bx_at = RULE_RBX_LOST;
	f->exact = 0;
	f->innermost = 0;
	return f->pc ? WALK_UP : REASON_ZERO_RETURN;
}

/*
 * Goes up one frame.  WALK_UP: *f is the caller.  WALK_OUTERMOST: there is
 * none.  WALK_MISS: user space must evaluate this rule.  Otherwise a reason.
 */
WALK_INLINE int walk_apply(const struct unwind_rule *rule, struct walk_frame *f, void *arg)
{
	unsigned long long cfa = 0, words[2] = { 0, 0 }, bp_at;
	int ret;

	switch (rule->cfa_kind) {
	case RULE_CFA_OUTERMOST:
		return WALK_OUTERMOST;
	case RULE_CFA_NONE:
		/* Code that frame pointers led to (V8's built-ins below its JIT code) keeps them itself. */
		return f->by_fp ? walk_frame_pointer(f, arg) : REASON_NO_UNWIND_INFO;
	case RULE_CFA_COMPLEX:
	case RULE_CFA_UNLOADED:
		return WALK_MISS;
	case RULE_CFA_FP:
		return walk_frame_pointer(f, arg);
	case RULE_CFA_CONTEXT:
		return walk_context(rule, f, arg);
	}
	/* What lies at the end of the child's stack, or above it, is no address it returns to. */
	if (rule->flags & RULE_ZERO_ENDS && f->innermost && !WALK_REG(arg, WALK_RAX))
		return WALK_OUTERMOST;
	ret = walk_cfa(rule, f, arg, &cfa);
	if (ret)
		return ret;
	/*
	 * A signal may have switched to another stack; nothing else can go down,
	 * and only a function that keeps its return address in a register stays.
	 */
	if (!(rule->flags & RULE_SIGNAL) && cfa <= f->sp && (cfa < f->sp || rule->ra_kind != RULE_RA_REG))
		return REASON_BACKWARDS;
	if (rule->ra_kind == RULE_RA_REG && !f->innermost)
		return WALK_MISS;

	if (rule->ra_kind == RULE_RA_CFA && rule->rbp_kind == RULE_RBP_CFA && rule->rbp_off == -16) {
		if (!WALK_READ(arg, cfa - 16, words, 2))
			return REASON_PAGE_UNREADABLE;
		f->bp = words[0];
		f->bp_lost = 0;
		f->pc = words[1];
	} else {
		bp_at = (long long)rule->rbp_off;
		bp_at += rule->rbp_kind == RULE_RBP_CFA ? cfa : rule->rbp_kind == RULE_RBP_RSP ? f->sp : f->bp;
		if (rule->ra_kind == RULE_RA_REG)
			words[0] = WALK_REG(arg, (unsigned short)rule->reg);
		else if (!WALK_READ(arg, rule->ra_kind == RULE_RA_RSP ? f->sp + rule->ra_off : cfa - 8, words, 1))
			return REASON_PAGE_UNREADABLE;
		if (rule->rbp_kind == RULE_RBP_LOST) {
			f->bp_lost = 1;
		} else if (rule->rbp_kind != RULE_RBP_SAME) {
			if (rule->rbp_kind == RULE_RBP_RBP && f->bp_lost)
				return REASON_LOST_REGISTER;
			if (!WALK_READ(arg, bp_at, words + 1, 1))
				return REASON_PAGE_UNREADABLE;
			f->bp = words[1];
			f->bp_lost = 0;
		}
		f->pc = words[0];
	}
	if (rule->flags & RULE_SIGNAL || rule->rbx_off == RULE_RBX_LOST)
		f->bx_at = RULE_RBX_LOST;
	else if (rule->rbx_off != RULE_RBX_SAME)
		f->bx_at = cfa + (long long)rule->rbx_off;
	f->sp = cfa;
	f->exact = !!(rule->flags & RULE_SIGNAL);
	f->second = f->innermost && !f->exact;
	f->innermost = 0;
	f->by_fp = 0;
	if (!f->pc)
		return rule->flags & RULE_ZERO_ENDS ? WALK_OUTERMOST : REASON_ZERO_RETURN;
	return WALK_UP;
}

/*
 * The row of a block (16 starts, ascending) that covers a position: a binary
 * search without branches, for the BPF verifier follows every branch.
 */
WALK_INLINE unsigned int walk_block_row(const unsigned char *start, unsigned int at)
{
	unsigned int row = 0;

	for (unsigned int step = 8; step; step /= 2)
		row += step & (unsigned int)(((long long)start[(row + step) & 15] - (long long)at - 1) >> 63);
	return row & 15;
}

#endif
