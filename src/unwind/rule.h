/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The unwind rule: how to find CFA, return address and caller's rbp at a pc.
 *
 * One 16-byte form serves .eh_frame, .debug_frame, .sframe and frame pointers,
 * user space and the BPF walker; it has no pointers and includes no header.
 * What does not fit (expressions over arbitrary registers) is RULE_CFA_COMPLEX
 * and is evaluated by user space from a copy of the stack.
 *
 * Evaluation at a frame with pc, rsp, rbp (R = the register file, see below):
 *	CFA = by cfa_kind, RA = by ra_kind, rbp by rbp_kind, and the caller's rsp is
 *	the CFA (a signal frame's CFA is the interrupted rsp itself).
 */
#ifndef RETOUR_UNWIND_RULE_H
#define RETOUR_UNWIND_RULE_H

enum rule_cfa_kind {
	RULE_CFA_NONE = 0,	/* no unwind information here */
	RULE_CFA_RSP,		/* rsp + cfa_off */
	RULE_CFA_RBP,		/* rbp + cfa_off */
	RULE_CFA_RSP_DEREF,	/* *(rsp + cfa_off) + cfa_add */
	RULE_CFA_RBP_DEREF,	/* *(rbp + cfa_off) + cfa_add: DRAP */
	RULE_CFA_PLT,		/* rsp + cfa_off + ((pc & 15) >= cfa_add ? 8 : 0) */
	RULE_CFA_REG,		/* R[reg] + cfa_off; DWARF number; see walk_reg_known() for where it is known */
	RULE_CFA_RSP_INDEX_DEREF, /* *(rsp + cfa_off + 8 * R[reg]) + cfa_add */
	RULE_CFA_CONTEXT,	/* *(R[reg] + cfa_off), innermost only; the next word is the RA, *(R[reg] + rbp_off) rbp */
	RULE_CFA_FP,		/* frame pointer: CFA = rbp + 16, checked for sanity */
	RULE_CFA_OUTERMOST,	/* the frame has no caller: the chain is complete */
	RULE_CFA_COMPLEX,	/* only user space can evaluate it */
	RULE_CFA_UNLOADED,	/* not in the cache: ask user space (never compiled from a file) */
};

enum rule_ra_kind {
	RULE_RA_CFA = 0,	/* *(CFA - 8) */
	RULE_RA_RSP,		/* *(rsp + ra_off): signal frames */
	RULE_RA_REG,		/* R[reg], with RULE_CFA_RSP; innermost frame only: vfork */
};

enum rule_rbp_kind {
	RULE_RBP_SAME = 0,	/* the caller's rbp is rbp */
	RULE_RBP_CFA,		/* *(CFA + rbp_off) */
	RULE_RBP_RSP,		/* *(rsp + rbp_off): signal frames */
	RULE_RBP_RBP,		/* *(rbp + rbp_off): DW_CFA_expression of DRAP frames */
	RULE_RBP_LOST,		/* undefined: a caller that needs it is LOST_REGISTER */
};

/* rbx is followed for the frames whose CFA it holds: the dynamic linker's lazy binding. */
enum rule_rbx {
	RULE_RBX_SAME = 0,
	RULE_RBX_LOST = 1,	/* no offset of a saved register is odd */
};

enum rule_flags {
	RULE_SIGNAL = 1,	/* signal frame: the caller's pc is exact, not a return address */
	RULE_ZERO_ENDS = 2,	/* a zero in rax or as return address is the end of the stack: the child of clone */
};

struct unwind_rule {
	unsigned char cfa_kind;
	unsigned char ra_kind;
	unsigned char rbp_kind;
	unsigned char flags;
	int cfa_off;
	short rbp_off;
	short rbx_off;			/* *(CFA + rbx_off); or enum rule_rbx */
	short cfa_add;
	union {
		short ra_off;		/* RULE_RA_RSP */
		short reg;		/* RULE_CFA_REG, RULE_CFA_RSP_INDEX_DEREF, RULE_RA_REG */
	};
};

/* Where a walk stands: what a rule is applied to, see walk.h. */
struct walk_frame {
	unsigned long long pc, sp, bp;
	unsigned long long bx_at;	/* where the frame's rbx was saved; 0: still in the register, 1: lost */
	unsigned char exact;		/* pc is where the frame stands, not a return address */
	unsigned char innermost;
	unsigned char second;		/* the innermost frame's caller */
	unsigned char bp_lost;
	unsigned char by_fp;		/* pc was found through a frame pointer */
};

#ifndef __bpf__
_Static_assert(sizeof(struct unwind_rule) == 16, "rules are shared with BPF");
#endif

#endif
