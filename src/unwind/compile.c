/* SPDX-License-Identifier: MIT */
/*
 * From a full row to the compact rule.
 *
 * The few expressions that compilers, linkers and hand-written assembly use
 * are recognised by their signature, one letter per operation; whatever has no
 * compact form, or does not fit its fields, is RULE_CFA_COMPLEX.
 */
#include "unwind/expression.h"
#include "unwind/frame_row.h"

#include <dwarf.h>
#include <limits.h>

#define OPS_MAX 12

struct pattern {
	char signature[OPS_MAX + 1];
	struct expression_op op[OPS_MAX];
};

static char letter(uint8_t code)
{
	switch (code) {
	case DW_OP_breg0: return 'b';
	case DW_OP_constu: return 'c';
	case DW_OP_deref: return 'd';
	case DW_OP_plus_uconst: return 'u';
	case DW_OP_plus: return '+';
	case DW_OP_mul: return '*';
	case DW_OP_and: return '&';
	case DW_OP_ge: return 'g';
	case DW_OP_shl: return '<';
	default: return '?';
	}
}

static bool decode(const struct frame_rule *rule, struct pattern *ret)
{
	struct cursor c = { rule->expr, rule->expr + rule->expr_size, false };
	size_t n = 0;

	for (; cursor_left(&c); n++) {
		if (n == OPS_MAX || !expression_next(&c, &ret->op[n]))
			return false;
		ret->signature[n] = letter(ret->op[n].code);
	}
	ret->signature[n] = '\0';
	return true;
}

static bool matches(const struct pattern *p, const char *signature)
{
	return !strcmp(p->signature, signature);
}

static bool fits_int(int64_t v)
{
	return v >= INT_MIN && v <= INT_MAX;
}

static bool fits_short(int64_t v)
{
	return v >= SHRT_MIN && v <= SHRT_MAX;
}

/* *(R[reg] + offset) + add, by the base register: RSP_DEREF or RBP_DEREF. */
static bool set_deref(struct unwind_rule *rule, uint8_t reg, int64_t offset, int64_t add)
{
	if (!fits_int(offset) || !fits_short(add) || (reg != UNWIND_RSP && reg != UNWIND_RBP))
		return false;
	rule->cfa_kind = reg == UNWIND_RSP ? RULE_CFA_RSP_DEREF : RULE_CFA_RBP_DEREF;
	rule->cfa_off = (int)offset;
	rule->cfa_add = (short)add;
	return true;
}

/* rsp + N + ((rip & 15) >= M) << 3: a lazy-binding stub, before and after its push. */
static bool set_plt(struct unwind_rule *rule, const struct expression_op *op)
{
	if (op[0].reg != UNWIND_RSP || op[1].reg != UNWIND_RIP || op[1].value || op[2].value != 15 ||
	    op[6].value != 3 || !fits_int(op[0].value) || !fits_short(op[4].value))
		return false;
	rule->cfa_kind = RULE_CFA_PLT;
	rule->cfa_off = (int)op[0].value;
	rule->cfa_add = (short)op[4].value;
	return true;
}

/* *(rsp + N + 8 * R[reg]) + M: a frame of variable size that keeps the old rsp above it. */
static bool set_index_deref(struct unwind_rule *rule, const struct expression_op *op, bool shift)
{
	int64_t add = op[6].code == DW_OP_plus_uconst ? op[6].value : 0;

	if (op[0].reg != UNWIND_RSP || op[1].value || op[1].reg >= UNWIND_RIP ||
	    op[2].value != (shift ? 3 : 8) || !fits_int(op[0].value) || !fits_short(add))
		return false;
	rule->cfa_kind = RULE_CFA_RSP_INDEX_DEREF;
	rule->cfa_off = (int)op[0].value;
	rule->cfa_add = (short)add;
	rule->reg = op[1].reg;
	return true;
}

static bool set_base(struct unwind_rule *rule, uint8_t reg, int64_t offset)
{
	if (!fits_int(offset))
		return false;
	rule->cfa_off = (int)offset;
	if (reg == UNWIND_RSP) {
		rule->cfa_kind = RULE_CFA_RSP;
	} else if (reg == UNWIND_RBP) {
		rule->cfa_kind = RULE_CFA_RBP;
	} else {
		rule->cfa_kind = RULE_CFA_REG;
		rule->reg = reg;
	}
	return true;
}

static bool compile_cfa_expression(struct unwind_rule *rule, const struct frame_rule *cfa)
{
	struct pattern p = {0};

	if (!decode(cfa, &p))
		return false;
	if (matches(&p, "b"))
		return set_base(rule, p.op[0].reg, p.op[0].value);
	if (matches(&p, "bu"))
		return fits_int(p.op[1].value) && fits_int(p.op[0].value) &&
		       set_base(rule, p.op[0].reg, p.op[0].value + p.op[1].value);
	if (matches(&p, "bd"))
		return set_deref(rule, p.op[0].reg, p.op[0].value, 0);
	if (matches(&p, "bdu"))
		return set_deref(rule, p.op[0].reg, p.op[0].value, p.op[2].value);
	if (matches(&p, "bbc&cgc<+"))
		return set_plt(rule, p.op);
	if (matches(&p, "bbc*+d") || matches(&p, "bbc*+du"))
		return set_index_deref(rule, p.op, false);
	if (matches(&p, "bbc<+d") || matches(&p, "bbc<+du"))
		return set_index_deref(rule, p.op, true);
	return false;
}

static bool compile_cfa(struct unwind_rule *rule, const struct frame_rule *cfa)
{
	switch (cfa->kind) {
	case FRAME_REGISTER:
		return set_base(rule, cfa->reg, cfa->offset);
	case FRAME_DEREF:
		return set_deref(rule, cfa->reg, cfa->offset, 0);
	default:
		return compile_cfa_expression(rule, cfa);
	}
}

/* The address R[reg] + offset at which a register was saved, if that is its rule. */
static bool saved_at(const struct frame_rule *rule, uint8_t *reg, int64_t *offset)
{
	struct pattern p = {0};

	if (rule->kind == FRAME_DEREF) {
		*reg = rule->reg;
		*offset = rule->offset;
		return true;
	}
	if (rule->kind != FRAME_EXPRESSION || !decode(rule, &p) || !matches(&p, "b"))
		return false;
	*reg = p.op[0].reg;
	*offset = p.op[0].value;
	return true;
}

static bool compile_ra(struct unwind_rule *rule, const struct frame_rule *ra)
{
	uint8_t reg;
	int64_t offset;

	if (ra->kind == FRAME_OFFSET && ra->offset == -8) {
		rule->ra_kind = RULE_RA_CFA;
		return true;
	}
	/* vfork keeps it in a register.  reg and ra_off share their place. */
	if (ra->kind == FRAME_REGISTER && !ra->offset && ra->reg < UNWIND_RIP && rule->cfa_kind == RULE_CFA_RSP) {
		rule->ra_kind = RULE_RA_REG;
		rule->reg = ra->reg;
		return true;
	}
	if (!saved_at(ra, &reg, &offset) || reg != UNWIND_RSP || !fits_short(offset) ||
	    rule->cfa_kind == RULE_CFA_REG || rule->cfa_kind == RULE_CFA_RSP_INDEX_DEREF)
		return false;
	rule->ra_kind = RULE_RA_RSP;
	rule->ra_off = (short)offset;
	return true;
}

static bool compile_rbp(struct unwind_rule *rule, const struct frame_rule *rbp)
{
	uint8_t reg;
	int64_t offset = rbp->offset;

	switch (rbp->kind) {
	case FRAME_UNSPECIFIED:
	case FRAME_SAME:
		rule->rbp_kind = RULE_RBP_SAME;
		return true;
	case FRAME_UNDEFINED:
		rule->rbp_kind = RULE_RBP_LOST;
		return true;
	case FRAME_OFFSET:
		rule->rbp_kind = RULE_RBP_CFA;
		break;
	default:
		if (!saved_at(rbp, &reg, &offset) || (reg != UNWIND_RSP && reg != UNWIND_RBP))
			return false;
		rule->rbp_kind = reg == UNWIND_RSP ? RULE_RBP_RSP : RULE_RBP_RBP;
	}
	rule->rbp_off = (short)offset;
	return fits_short(offset);
}

/* Only where a caller's CFA may depend on it does rbx matter: what does not fit is lost, not complex. */
static void compile_rbx(struct unwind_rule *rule, const struct frame_rule *rbx)
{
	if (rbx->kind == FRAME_UNSPECIFIED || rbx->kind == FRAME_SAME)
		rule->rbx_off = RULE_RBX_SAME;
	else if (rbx->kind == FRAME_OFFSET && rbx->offset && !(rbx->offset & 7) && fits_short(rbx->offset))
		rule->rbx_off = (short)rbx->offset;
	else
		rule->rbx_off = RULE_RBX_LOST;
}

/* The compact form takes the caller's rsp to be the CFA. */
static bool rsp_is_cfa(const struct unwind_rule *rule, const struct frame_rule *rsp)
{
	uint8_t reg;
	int64_t offset;

	if (rsp->kind == FRAME_UNSPECIFIED || (rsp->kind == FRAME_VAL_OFFSET && rsp->offset == 0))
		return true;
	return saved_at(rsp, &reg, &offset) && reg == UNWIND_RSP &&
	       rule->cfa_kind == RULE_CFA_RSP_DEREF && rule->cfa_off == offset && rule->cfa_add == 0;
}

/* The place R[base] + offset of a register's value, also where the row counts from a CFA in a register. */
static bool placed_at(const struct frame_row *row, unsigned int reg, uint8_t *base, int64_t *offset)
{
	const struct frame_rule *rule = &row->reg[frame_column(reg)];

	if (rule->kind != FRAME_OFFSET)
		return saved_at(rule, base, offset);
	*base = row->cfa.reg;
	return row->cfa.kind == FRAME_REGISTER && !__builtin_add_overflow(row->cfa.offset, rule->offset, offset);
}

/* The caller's registers all come from a record in memory, as setcontext() describes itself. */
static bool compile_context(struct unwind_rule *rule, const struct frame_row *row)
{
	uint8_t base, ra_base, rbp_base;
	int64_t rsp, ra, rbp;

	if (row->signal_frame || !placed_at(row, UNWIND_RSP, &base, &rsp) ||
	    !placed_at(row, UNWIND_RIP, &ra_base, &ra) || !placed_at(row, UNWIND_RBP, &rbp_base, &rbp))
		return false;
	if (base >= UNWIND_RIP || ra_base != base || rbp_base != base || !fits_int(rsp) || ra != rsp + 8 ||
	    !fits_short(rbp))
		return false;
	*rule = (struct unwind_rule){
		.cfa_kind = RULE_CFA_CONTEXT, .reg = base, .cfa_off = (int)rsp, .rbp_off = (short)rbp,
		.rbx_off = RULE_RBX_LOST,
	};
	return true;
}

struct unwind_rule frame_row_compile(const struct frame_row *row)
{
	struct unwind_rule rule = {
		.flags = (row->signal_frame ? RULE_SIGNAL : 0) | (row->zero_ends ? RULE_ZERO_ENDS : 0),
	};

	if (frame_row_outermost(row))
		return (struct unwind_rule){ .cfa_kind = RULE_CFA_OUTERMOST };
	if (row->cfa.kind == FRAME_UNSPECIFIED)
		return (struct unwind_rule){ .cfa_kind = RULE_CFA_NONE };
	if (compile_cfa(&rule, &row->cfa) && compile_ra(&rule, &row->reg[frame_column(UNWIND_RIP)]) &&
	    compile_rbp(&rule, &row->reg[frame_column(UNWIND_RBP)]) && rsp_is_cfa(&rule, &row->reg[frame_column(UNWIND_RSP)])) {
		compile_rbx(&rule, &row->reg[frame_column(UNWIND_RBX)]);
		return rule;
	}
	if (compile_context(&rule, row))
		return rule;
	return (struct unwind_rule){ .cfa_kind = RULE_CFA_COMPLEX };
}
