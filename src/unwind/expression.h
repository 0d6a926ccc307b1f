/* SPDX-License-Identifier: MIT */
/* DWARF expressions as call frame information uses them: decoding and bounded evaluation. */
#ifndef RETOUR_UNWIND_EXPRESSION_H
#define RETOUR_UNWIND_EXPRESSION_H

#include "unwind/cursor.h"
#include "unwind/unwind.h"

/*
 * One operation in normal form: every literal and constant is DW_OP_constu,
 * every DW_OP_breg* is DW_OP_breg0 with its register, DW_OP_dup, DW_OP_over
 * are DW_OP_pick.
 */
struct expression_op {
	uint8_t code;
	uint8_t reg;
	int64_t value;
};

/* The operation at the cursor; false if it is cut off or has no place in CFI. */
bool expression_next(struct cursor *c, struct expression_op *ret);

struct expression_context {
	const struct unwind_regs *regs;
	unwind_read_fn read;
	void *arg;
};

/* initial, unless NULL, is on the stack at the start. */
enum reason expression_evaluate(const unsigned char *expr, size_t size, const uint64_t *initial,
				const struct expression_context *context, uint64_t *ret);

#endif
