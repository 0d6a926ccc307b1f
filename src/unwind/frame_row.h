/* SPDX-License-Identifier: MIT */
/*
 * The full rule of one range of pcs: how to find the CFA and each register of
 * the caller.  Every source of unwind information yields these; compile.c
 * makes the compact rule of one, step.c evaluates one.
 */
#ifndef RETOUR_UNWIND_FRAME_ROW_H
#define RETOUR_UNWIND_FRAME_ROW_H

#include "unwind/rule.h"
#include "unwind/unwind.h"

#include <stdbool.h>
#include <stdint.h>

enum frame_rule_kind {
	FRAME_UNSPECIFIED = 0,	/* the ABI decides: callee-saved registers are kept */
	FRAME_UNDEFINED,
	FRAME_SAME,
	FRAME_OFFSET,		/* *(CFA + offset) */
	FRAME_VAL_OFFSET,	/* CFA + offset */
	FRAME_REGISTER,		/* R[reg] + offset */
	FRAME_DEREF,		/* *(R[reg] + offset) */
	FRAME_EXPRESSION,	/* *(result of expr), the CFA pushed first */
	FRAME_VAL_EXPRESSION,	/* result of expr, the CFA pushed first (not for the CFA itself) */
};

struct frame_rule {
	uint8_t kind;
	uint8_t reg;
	uint32_t expr_size;
	union {
		int64_t offset;
		const unsigned char *expr;	/* in the section */
	};
};

#ifdef UNWIND_COMPACT_ROWS
/* The walker inside a process runs on small stacks: its rows keep only what compact rules are made of. */
enum { FRAME_N_COLUMNS = 4, FRAME_STATES_MAX = 4 };

/* Where a row keeps a register's rule; FRAME_N_COLUMNS: nowhere. */
static inline unsigned int frame_column(uint64_t reg)
{
	return reg == UNWIND_RBX ? 0 : reg == UNWIND_RBP ? 1 : reg == UNWIND_RSP ? 2 : reg == UNWIND_RIP ? 3 :
	       FRAME_N_COLUMNS;
}
#else
enum { FRAME_N_COLUMNS = UNWIND_N_REGS, FRAME_STATES_MAX = 32 };

static inline unsigned int frame_column(uint64_t reg)
{
	return reg < UNWIND_N_REGS ? (unsigned int)reg : FRAME_N_COLUMNS;
}
#endif

struct frame_row {
	/* FRAME_REGISTER, FRAME_DEREF or FRAME_VAL_EXPRESSION; FRAME_UNSPECIFIED if there is none */
	struct frame_rule cfa;
	struct frame_rule reg[FRAME_N_COLUMNS];	/* by frame_column(); UNWIND_RIP: the return address */
	bool signal_frame;
	bool zero_ends;		/* RULE_ZERO_ENDS */
};

/* Takes the row of [start, end); false ends the enumeration. */
typedef bool (*frame_row_fn)(void *arg, uint64_t start, uint64_t end, const struct frame_row *row);

/* The compact form; RULE_CFA_COMPLEX for what has none. */
struct unwind_rule frame_row_compile(const struct frame_row *row);

#ifndef UNWIND_COMPACT_ROWS
/* For sources that follow no callee-saved register but rbp: what a caller had in the others is not known. */
static inline void frame_row_forget(struct frame_row *row)
{
	static const unsigned char callee_saved[] = { UNWIND_RBX, 12, 13, 14, 15 };

	for (unsigned int i = 0; i < sizeof(callee_saved); i++)
		row->reg[callee_saved[i]].kind = FRAME_UNDEFINED;
}

/* The caller's registers are those of a ucontext, at 40 in it. */
static inline void frame_row_context(struct frame_row *row, uint8_t base)
{
	static const unsigned char order[UNWIND_N_REGS] = {
		8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16,	/* r8 to r15, rdi, rsi, … */
	};

	for (unsigned int i = 0; i < UNWIND_N_REGS; i++)
		row->reg[order[i]] = (struct frame_rule){
			.kind = FRAME_DEREF, .reg = base, .offset = 40 + 8 * (int64_t)i,
		};
	row->cfa = row->reg[UNWIND_RSP];
}

/* The kernel's struct rt_sigframe seen from the restorer: ucontext at rsp. */
static inline void frame_row_signal(struct frame_row *row)
{
	frame_row_context(row, UNWIND_RSP);
	row->signal_frame = true;
}

#endif

/* True for a frame that has no caller: its return address is undefined. */
static inline bool frame_row_outermost(const struct frame_row *row)
{
	return row->reg[frame_column(UNWIND_RIP)].kind == FRAME_UNDEFINED;
}

#endif
