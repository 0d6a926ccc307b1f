/* SPDX-License-Identifier: MIT */
/*
 * The stack machine of DWARF expressions.  Branches may loop, so the number of
 * steps is bounded as well as the stack.
 */
#include "unwind/expression.h"

#include <dwarf.h>

#define STACK_MAX 64
#define STEPS_MAX 1000

static bool read_constant(struct cursor *c, uint8_t op, int64_t *ret)
{
	switch (op) {
	case DW_OP_const1u: *ret = cursor_u8(c); return true;
	case DW_OP_const1s: *ret = cursor_s8(c); return true;
	case DW_OP_const2u: *ret = cursor_u16(c); return true;
	case DW_OP_const2s: *ret = cursor_s16(c); return true;
	case DW_OP_const4u: *ret = cursor_u32(c); return true;
	case DW_OP_const4s: *ret = cursor_s32(c); return true;
	case DW_OP_addr:
	case DW_OP_const8u:
	case DW_OP_const8s: *ret = cursor_s64(c); return true;
	case DW_OP_constu: *ret = (int64_t)cursor_uleb(c); return true;
	case DW_OP_consts: *ret = cursor_sleb(c); return true;
	default: return false;
	}
}

static bool read_operand(struct cursor *c, struct expression_op *op)
{
	switch (op->code) {
	case DW_OP_dup:
		op->code = DW_OP_pick;
		return true;
	case DW_OP_over:
		op->code = DW_OP_pick;
		op->value = 1;
		return true;
	case DW_OP_pick:
	case DW_OP_deref_size:
		op->value = cursor_u8(c);
		return true;
	case DW_OP_plus_uconst:
		op->value = (int64_t)cursor_uleb(c);
		return true;
	case DW_OP_bra:
	case DW_OP_skip:
		op->value = cursor_s16(c);
		return true;
	case DW_OP_deref: case DW_OP_drop: case DW_OP_swap: case DW_OP_rot: case DW_OP_abs:
	case DW_OP_and: case DW_OP_div: case DW_OP_minus: case DW_OP_mod: case DW_OP_mul:
	case DW_OP_neg: case DW_OP_not: case DW_OP_or: case DW_OP_plus: case DW_OP_shl:
	case DW_OP_shr: case DW_OP_shra: case DW_OP_xor: case DW_OP_eq: case DW_OP_ge:
	case DW_OP_gt: case DW_OP_le: case DW_OP_lt: case DW_OP_ne: case DW_OP_nop:
		return true;
	default:
		return false;
	}
}

bool expression_next(struct cursor *c, struct expression_op *ret)
{
	struct expression_op op = { .code = cursor_u8(c) };
	uint64_t reg;

	if (op.code >= DW_OP_lit0 && op.code <= DW_OP_lit31) {
		op.value = op.code - DW_OP_lit0;
		op.code = DW_OP_constu;
	} else if ((op.code >= DW_OP_breg0 && op.code <= DW_OP_breg31) || op.code == DW_OP_bregx) {
		reg = op.code == DW_OP_bregx ? cursor_uleb(c) : (uint64_t)(op.code - DW_OP_breg0);
		op.value = cursor_sleb(c);
		op.code = DW_OP_breg0;
		op.reg = (uint8_t)reg;
		if (reg >= UNWIND_N_REGS)
			return false;
	} else if (read_constant(c, op.code, &op.value)) {
		op.code = DW_OP_constu;
	} else if (!read_operand(c, &op)) {
		return false;
	}
	*ret = op;
	return !c->failed;
}

struct stack {
	uint64_t value[STACK_MAX];
	unsigned int depth;
};

/* How many values an operation takes off the stack. */
static unsigned int operands(uint8_t code)
{
	switch (code) {
	case DW_OP_constu: case DW_OP_breg0: case DW_OP_pick: case DW_OP_skip: case DW_OP_nop:
		return 0;
	case DW_OP_deref: case DW_OP_deref_size: case DW_OP_drop: case DW_OP_abs: case DW_OP_neg:
	case DW_OP_not: case DW_OP_plus_uconst: case DW_OP_bra:
		return 1;
	case DW_OP_rot:
		return 3;
	default:
		return 2;
	}
}

/* a is below b on the stack; comparisons and division are signed, as DWARF says. */
static bool binary(uint8_t code, uint64_t a, uint64_t b, uint64_t *ret)
{
	int64_t sa = (int64_t)a, sb = (int64_t)b;

	switch (code) {
	case DW_OP_and: *ret = a & b; return true;
	case DW_OP_or: *ret = a | b; return true;
	case DW_OP_xor: *ret = a ^ b; return true;
	case DW_OP_plus: *ret = a + b; return true;
	case DW_OP_minus: *ret = a - b; return true;
	case DW_OP_mul: *ret = a * b; return true;
	case DW_OP_shl: *ret = b < 64 ? a << b : 0; return true;
	case DW_OP_shr: *ret = b < 64 ? a >> b : 0; return true;
	case DW_OP_shra: *ret = (uint64_t)(sa >> (b < 63 ? b : 63)); return true;
	case DW_OP_eq: *ret = sa == sb; return true;
	case DW_OP_ne: *ret = sa != sb; return true;
	case DW_OP_ge: *ret = sa >= sb; return true;
	case DW_OP_gt: *ret = sa > sb; return true;
	case DW_OP_le: *ret = sa <= sb; return true;
	case DW_OP_lt: *ret = sa < sb; return true;
	case DW_OP_div:
		/* INT64_MIN / -1 overflows. */
		*ret = !b ? 0 : sb == -1 ? 0 - a : (uint64_t)(sa / sb);
		return b;
	case DW_OP_mod:
		*ret = b ? a % b : 0;
		return b;
	default:
		return false;
	}
}

/* Operations that move values or compute from the stack alone. */
static enum reason compute(struct stack *s, const struct expression_op *op)
{
	uint64_t *top = s->value + s->depth, v;

	switch (op->code) {
	case DW_OP_nop:
		return REASON_NONE;
	case DW_OP_pick:
		if ((uint64_t)op->value >= s->depth)
			return REASON_BAD_UNWIND_INFO;
		*top = top[-1 - op->value];
		s->depth++;
		return REASON_NONE;
	case DW_OP_drop:
		s->depth--;
		return REASON_NONE;
	case DW_OP_swap:
		v = top[-1], top[-1] = top[-2], top[-2] = v;
		return REASON_NONE;
	case DW_OP_rot:
		v = top[-1], top[-1] = top[-2], top[-2] = top[-3], top[-3] = v;
		return REASON_NONE;
	case DW_OP_abs:
		top[-1] = (int64_t)top[-1] < 0 ? 0 - top[-1] : top[-1];
		return REASON_NONE;
	case DW_OP_neg:
		top[-1] = 0 - top[-1];
		return REASON_NONE;
	case DW_OP_not:
		top[-1] = ~top[-1];
		return REASON_NONE;
	case DW_OP_plus_uconst:
		top[-1] += (uint64_t)op->value;
		return REASON_NONE;
	default:
		s->depth--;
		return binary(op->code, top[-2], top[-1], &top[-2]) ? REASON_NONE : REASON_BAD_UNWIND_INFO;
	}
}

static enum reason deref(uint64_t *top, uint64_t size, const struct expression_context *x)
{
	uint64_t value;

	if (size == 0 || size > 8)
		return REASON_BAD_UNWIND_INFO;
	if (!x->read(x->arg, *top, &value))
		return REASON_PAGE_UNREADABLE;
	*top = size < 8 ? value & ((1ULL << size * 8) - 1) : value;
	return REASON_NONE;
}

static enum reason execute(struct stack *s, const struct expression_op *op, const struct expression_context *x)
{
	unsigned int need = operands(op->code);

	if (s->depth < need || s->depth - need + 1 > STACK_MAX || (!need && s->depth == STACK_MAX))
		return REASON_BAD_UNWIND_INFO;
	switch (op->code) {
	case DW_OP_constu:
		s->value[s->depth++] = (uint64_t)op->value;
		return REASON_NONE;
	case DW_OP_breg0:
		if (!(x->regs->valid & 1u << op->reg))
			return REASON_LOST_REGISTER;
		s->value[s->depth++] = x->regs->value[op->reg] + (uint64_t)op->value;
		return REASON_NONE;
	case DW_OP_deref:
		return deref(s->value + s->depth - 1, 8, x);
	case DW_OP_deref_size:
		return deref(s->value + s->depth - 1, (uint64_t)op->value, x);
	default:
		return compute(s, op);
	}
}

/* Whether a branch lands inside the expression; its end is a valid target. */
static bool branch(struct cursor *c, const unsigned char *expr, int64_t distance)
{
	if (distance < expr - c->pos || distance > c->end - c->pos)
		return false;
	c->pos += distance;
	return true;
}

enum reason expression_evaluate(const unsigned char *expr, size_t size, const uint64_t *initial,
				const struct expression_context *context, uint64_t *ret)
{
	struct cursor c = { expr, expr + size, false };
	struct expression_op op;
	struct stack s = { .depth = 0 };
	enum reason reason;

	if (initial)
		s.value[s.depth++] = *initial;
	for (unsigned int steps = 0; cursor_left(&c); steps++) {
		bool taken = true;

		if (steps == STEPS_MAX || !expression_next(&c, &op))
			return REASON_BAD_UNWIND_INFO;
		if (op.code == DW_OP_bra || op.code == DW_OP_skip) {
			if (op.code == DW_OP_bra) {
				if (!s.depth)
					return REASON_BAD_UNWIND_INFO;
				taken = s.value[--s.depth];
			}
			if (taken && !branch(&c, expr, op.value))
				return REASON_BAD_UNWIND_INFO;
			continue;
		}
		reason = execute(&s, &op, context);
		if (reason)
			return reason;
	}
	if (!s.depth)
		return REASON_BAD_UNWIND_INFO;
	*ret = s.value[s.depth - 1];
	return REASON_NONE;
}
