/* SPDX-License-Identifier: MIT */
/*
 * The compact rule evaluated word by word as rule.h defines it, and a memory
 * whose every word is a hash of its address: what two unwinders must agree on.
 */
#ifndef RETOUR_TEST_RULE_EVAL_H
#define RETOUR_TEST_RULE_EVAL_H

#include "base/hash.h"
#include "unwind/unwind.h"

struct evaluated {
	uint64_t cfa, ra, rbp;
	bool rbp_lost;
};

static inline uint64_t fake_word(uint64_t address)
{
	return hash_u64(address ^ 0x9e3779b97f4a7c15ULL);
}

static inline bool fake_read(void *arg, uint64_t address, uint64_t *ret)
{
	*ret = fake_word(address);
	return true;
}

/* Registers that are different for every seed, all valid. */
static inline struct unwind_regs fake_regs(uint64_t seed, uint64_t pc)
{
	struct unwind_regs regs = { .valid = (1u << UNWIND_N_REGS) - 1 };

	for (unsigned int i = 0; i < UNWIND_N_REGS; i++)
		regs.value[i] = hash_u64(seed * 32 + i) >> 16;
	regs.value[UNWIND_RIP] = pc;
	return regs;
}

static inline bool rule_eval_cfa(const struct unwind_rule *rule, const struct unwind_regs *regs, uint64_t *ret)
{
	uint64_t rsp = regs->value[UNWIND_RSP], rbp = regs->value[UNWIND_RBP];
	uint64_t off = (uint64_t)(int64_t)rule->cfa_off, add = (uint64_t)(int64_t)rule->cfa_add;

	switch (rule->cfa_kind) {
	case RULE_CFA_RSP: *ret = rsp + off; return true;
	case RULE_CFA_RBP: *ret = rbp + off; return true;
	case RULE_CFA_RSP_DEREF: *ret = fake_word(rsp + off) + add; return true;
	case RULE_CFA_RBP_DEREF: *ret = fake_word(rbp + off) + add; return true;
	case RULE_CFA_PLT: *ret = rsp + off + ((regs->value[UNWIND_RIP] & 15) >= add ? 8 : 0); return true;
	case RULE_CFA_REG: *ret = regs->value[rule->reg] + off; return true;
	case RULE_CFA_RSP_INDEX_DEREF: *ret = fake_word(rsp + off + 8 * regs->value[rule->reg]) + add; return true;
	default: return false;
	}
}

/* False for a rule that gives no caller by itself. */
static inline bool rule_eval(const struct unwind_rule *rule, const struct unwind_regs *regs, struct evaluated *ret)
{
	struct evaluated e = {0};
	uint64_t rsp = regs->value[UNWIND_RSP], rbp = regs->value[UNWIND_RBP];
	uint64_t off = (uint64_t)(int64_t)rule->rbp_off;

	if (rule->cfa_kind == RULE_CFA_CONTEXT) {
		e.cfa = fake_word(regs->value[rule->reg] + (uint64_t)(int64_t)rule->cfa_off);
		e.ra = fake_word(regs->value[rule->reg] + (uint64_t)(int64_t)rule->cfa_off + 8);
		e.rbp = fake_word(regs->value[rule->reg] + off);
		*ret = e;
		return true;
	}
	if (!rule_eval_cfa(rule, regs, &e.cfa))
		return false;
	switch (rule->ra_kind) {
	case RULE_RA_CFA: e.ra = fake_word(e.cfa - 8); break;
	case RULE_RA_RSP: e.ra = fake_word(rsp + (uint64_t)(int64_t)rule->ra_off); break;
	case RULE_RA_REG: e.ra = regs->value[rule->reg]; break;
	default: return false;
	}
	switch (rule->rbp_kind) {
	case RULE_RBP_SAME: e.rbp = rbp; break;
	case RULE_RBP_CFA: e.rbp = fake_word(e.cfa + off); break;
	case RULE_RBP_RSP: e.rbp = fake_word(rsp + off); break;
	case RULE_RBP_RBP: e.rbp = fake_word(rbp + off); break;
	default: e.rbp_lost = true;
	}
	*ret = e;
	return true;
}

#endif
