/* SPDX-License-Identifier: MIT */
/*
 * One frame up by the whole row: all registers, every expression.
 *
 * Only what the caller's frame needs may fail the step: the CFA, the return
 * address and the stack pointer.  Any other register that cannot be had is marked invalid.
 */
#include "unwind/expression.h"
#include "unwind/table_internal.h"

/* rbx, rbp, r12 to r15: kept by every function that does not say otherwise. */
#define CALLEE_SAVED (1u << UNWIND_RBX | 1u << UNWIND_RBP | 0xfu << 12)

struct find {
	uint64_t pc;
	struct frame_row row;
	bool found;
};

static bool find_row(void *arg, uint64_t start, uint64_t end, const struct frame_row *row)
{
	struct find *f = arg;

	if (f->pc >= end)
		return true;
	f->row = *row;
	f->found = true;
	return false;
}

/* REASON_NONE with f->found false: no source knows the pc. */
static enum reason find_in_table(struct unwind_table *table, struct find *f)
{
	bool corrupt = false;

	for (size_t level = 0; level < UNWIND_N_SOURCES; level++) {
		const struct unwind_source *source = &table->source[level];
		uint64_t budget = SOURCE_BUDGET_BASE;
		size_t i;

		if (!source->index.n)
			continue;
		i = fde_index_find(&source->index, f->pc);
		if (fde_index_start(&source->index, i) > f->pc)
			continue;
		corrupt |= !source->rows(source, i, &budget, find_row, f) && !f->found;
		if (f->found)
			return REASON_NONE;
	}
	return corrupt ? REASON_BAD_UNWIND_INFO : REASON_NO_UNWIND_INFO;
}

static enum reason register_plus(const struct expression_context *x, const struct frame_rule *rule,
				 uint64_t *ret)
{
	if (!(x->regs->valid & 1u << rule->reg))
		return REASON_LOST_REGISTER;
	*ret = x->regs->value[rule->reg] + (uint64_t)rule->offset;
	return REASON_NONE;
}

static enum reason load(const struct expression_context *x, uint64_t address, uint64_t *ret)
{
	return x->read(x->arg, address, ret) ? REASON_NONE : REASON_PAGE_UNREADABLE;
}

static enum reason evaluate_cfa(const struct expression_context *x, const struct frame_rule *cfa, uint64_t *ret)
{
	enum reason reason;
	uint64_t address;

	switch (cfa->kind) {
	case FRAME_REGISTER:
		return register_plus(x, cfa, ret);
	case FRAME_DEREF:
		reason = register_plus(x, cfa, &address);
		return reason ? reason : load(x, address, ret);
	case FRAME_VAL_EXPRESSION:
		return expression_evaluate(cfa->expr, cfa->expr_size, NULL, x, ret);
	default:
		return REASON_BAD_UNWIND_INFO;
	}
}

static enum reason evaluate_kept(const struct expression_context *x, unsigned int reg, uint64_t *ret)
{
	if (!(x->regs->valid & 1u << reg))
		return REASON_LOST_REGISTER;
	*ret = x->regs->value[reg];
	return REASON_NONE;
}

static enum reason evaluate_unspecified(const struct expression_context *x, unsigned int reg, uint64_t cfa,
					uint64_t *ret)
{
	if (reg == UNWIND_RSP) {
		*ret = cfa;
		return REASON_NONE;
	}
	return CALLEE_SAVED & 1u << reg ? evaluate_kept(x, reg, ret) : REASON_LOST_REGISTER;
}

/* The caller's value of one register. */
static enum reason evaluate_register(const struct expression_context *x, const struct frame_rule *rule,
				     unsigned int reg, uint64_t cfa, uint64_t *ret)
{
	enum reason reason;
	uint64_t address;

	switch (rule->kind) {
	case FRAME_UNSPECIFIED:
		return evaluate_unspecified(x, reg, cfa, ret);
	case FRAME_SAME:
		return evaluate_kept(x, reg, ret);
	case FRAME_OFFSET:
		return load(x, cfa + (uint64_t)rule->offset, ret);
	case FRAME_VAL_OFFSET:
		*ret = cfa + (uint64_t)rule->offset;
		return REASON_NONE;
	case FRAME_REGISTER:
		return register_plus(x, rule, ret);
	case FRAME_DEREF:
		reason = register_plus(x, rule, &address);
		return reason ? reason : load(x, address, ret);
	case FRAME_EXPRESSION:
		reason = expression_evaluate(rule->expr, rule->expr_size, &cfa, x, &address);
		return reason ? reason : load(x, address, ret);
	case FRAME_VAL_EXPRESSION:
		return expression_evaluate(rule->expr, rule->expr_size, &cfa, x, ret);
	default:
		return REASON_LOST_REGISTER;
	}
}

static enum reason evaluate_row(const struct frame_row *row, const struct expression_context *x,
				struct unwind_regs *caller)
{
	uint64_t cfa;
	enum reason reason = evaluate_cfa(x, &row->cfa, &cfa);

	for (unsigned int reg = 0; reg < UNWIND_N_REGS && !reason; reg++) {
		enum reason lost = evaluate_register(x, &row->reg[reg], reg, cfa, &caller->value[reg]);

		if (!lost)
			caller->valid |= 1u << reg;
		else if (reg == UNWIND_RSP || reg == UNWIND_RIP)
			reason = lost;
	}
	return reason;
}

enum reason unwind_step_full(struct unwind_table *table, uint64_t offset, struct unwind_regs *regs,
			     unwind_read_fn read, void *arg, bool *signal_frame, bool *outermost)
{
	const struct expression_context x = { regs, read, arg };
	struct unwind_regs caller = {0};
	struct find f = {0};
	enum reason reason;

	*signal_frame = false;
	*outermost = false;
	if (!table_code_vaddr(table, offset, &f.pc))
		return REASON_NO_UNWIND_INFO;
	reason = find_in_table(table, &f);
	if (reason)
		return reason;
	if (frame_row_outermost(&f.row)) {
		*outermost = true;
		return REASON_NONE;
	}
	if (f.row.cfa.kind == FRAME_UNSPECIFIED)
		return REASON_NO_UNWIND_INFO;
	reason = evaluate_row(&f.row, &x, &caller);
	if (reason)
		return reason;
	*signal_frame = f.row.signal_frame;
	*regs = caller;
	return REASON_NONE;
}
