/* SPDX-License-Identifier: MIT */
/*
 * Call frame programs: DW_CFA_* instructions that turn one row into the next.
 *
 * Rules of vector and other registers that no return address depends on are
 * read and dropped.
 */
#include "unwind/cfi.h"

#include <dwarf.h>

struct machine {
	const struct cfi_section *section;
	const struct cfi_cie *cie;
	struct cursor c;
	uint64_t *budget;
	uint64_t loc, end;	/* of the row being built; the function's end */
	int64_t cfa_offset;	/* the last one; it outlives a CFA by expression, as in libgcc */
	struct frame_row row;
	struct frame_row initial;	/* after the CIE's program, for DW_CFA_restore */
	frame_row_fn emit;
	void *arg;
	bool stopped;	/* emit has enough */
	unsigned int n_states;
	struct frame_row states[FRAME_STATES_MAX];	/* compilers nest once or twice */
};

/* Wraps around instead of overflowing; a nonsense offset is caught by whoever uses it. */
static int64_t scaled(const struct machine *m, uint64_t factor)
{
	return (int64_t)(factor * (uint64_t)m->cie->data_align);
}

static void set_rule(struct machine *m, uint64_t reg, struct frame_rule rule)
{
	unsigned int column = frame_column(reg);

	if (column < FRAME_N_COLUMNS)
		m->row.reg[column] = rule;
}

static void set_offset(struct machine *m, uint64_t reg, uint8_t kind, int64_t offset)
{
	set_rule(m, reg, (struct frame_rule){ .kind = kind, .offset = offset });
}

static struct frame_rule read_expression(struct machine *m, uint8_t kind)
{
	uint64_t size = cursor_uleb(&m->c);
	const unsigned char *expr = cursor_skip(&m->c, size);

	return (struct frame_rule){ .kind = kind, .expr_size = expr ? (uint32_t)size : 0, .expr = expr };
}

static bool define_cfa(struct machine *m, uint64_t reg, int64_t offset)
{
	if (reg >= UNWIND_N_REGS)
		return false;
	m->row.cfa = (struct frame_rule){ .kind = FRAME_REGISTER, .reg = (uint8_t)reg, .offset = offset };
	m->cfa_offset = offset;
	return true;
}

static bool redefine_cfa_register(struct machine *m, uint64_t reg)
{
	return m->row.cfa.kind != FRAME_UNSPECIFIED && define_cfa(m, reg, m->cfa_offset);
}

static bool redefine_cfa_offset(struct machine *m, int64_t offset)
{
	return m->row.cfa.kind == FRAME_REGISTER && define_cfa(m, m->row.cfa.reg, offset);
}

/* The row built so far holds up to loc. */
static bool advance_to(struct machine *m, uint64_t loc)
{
	if (loc < m->loc)
		return false;
	if (loc > m->end)
		loc = m->end;
	if (loc > m->loc) {
		m->stopped = !m->emit(m->arg, m->loc, loc, &m->row) || loc == m->end;
		m->loc = loc;
	}
	return true;
}

static bool advance_by(struct machine *m, uint64_t delta)
{
	uint64_t bytes, loc;

	return !__builtin_mul_overflow(delta, m->cie->code_align, &bytes) &&
	       !__builtin_add_overflow(m->loc, bytes, &loc) && advance_to(m, loc);
}

static bool set_loc(struct machine *m)
{
	uint64_t here = m->section->vaddr + (uint64_t)(m->c.pos - m->section->data);

	return advance_to(m, cursor_pointer(&m->c, m->cie->fde_encoding, here, 0));
}

static void restore(struct machine *m, uint64_t reg)
{
	unsigned int column = frame_column(reg);

	if (column < FRAME_N_COLUMNS)
		m->row.reg[column] = m->initial.reg[column];
}

static bool remember_state(struct machine *m)
{
	if (m->n_states == FRAME_STATES_MAX)
		return false;
	m->states[m->n_states++] = m->row;
	return true;
}

static bool restore_state(struct machine *m)
{
	if (!m->n_states)
		return false;
	m->row = m->states[--m->n_states];
	if (m->row.cfa.kind == FRAME_REGISTER)
		m->cfa_offset = m->row.cfa.offset;
	return true;
}

static bool cfa_instruction(struct machine *m, uint8_t op)
{
	uint64_t reg;

	switch (op) {
	case DW_CFA_def_cfa:
		reg = cursor_uleb(&m->c);
		return define_cfa(m, reg, (int64_t)cursor_uleb(&m->c));
	case DW_CFA_def_cfa_sf:
		reg = cursor_uleb(&m->c);
		return define_cfa(m, reg, scaled(m, (uint64_t)cursor_sleb(&m->c)));
	case DW_CFA_def_cfa_register:
		return redefine_cfa_register(m, cursor_uleb(&m->c));
	case DW_CFA_def_cfa_offset:
		return redefine_cfa_offset(m, (int64_t)cursor_uleb(&m->c));
	case DW_CFA_def_cfa_offset_sf:
		return redefine_cfa_offset(m, scaled(m, (uint64_t)cursor_sleb(&m->c)));
	case DW_CFA_def_cfa_expression:
		m->row.cfa = read_expression(m, FRAME_VAL_EXPRESSION);
		return true;
	default:
		return false;
	}
}

static bool location_instruction(struct machine *m, uint8_t op)
{
	switch (op) {
	case DW_CFA_set_loc:
		return set_loc(m);
	case DW_CFA_advance_loc1:
		return advance_by(m, cursor_u8(&m->c));
	case DW_CFA_advance_loc2:
		return advance_by(m, cursor_u16(&m->c));
	case DW_CFA_advance_loc4:
		return advance_by(m, cursor_u32(&m->c));
	case DW_CFA_MIPS_advance_loc8:
		return advance_by(m, cursor_u64(&m->c));
	default:
		return cfa_instruction(m, op);
	}
}

/* Instructions whose first operand is a register. */
static bool register_instruction(struct machine *m, uint8_t op)
{
	uint64_t reg = cursor_uleb(&m->c), other;

	switch (op) {
	case DW_CFA_offset_extended:
		set_offset(m, reg, FRAME_OFFSET, scaled(m, cursor_uleb(&m->c)));
		return true;
	case DW_CFA_offset_extended_sf:
		set_offset(m, reg, FRAME_OFFSET, scaled(m, (uint64_t)cursor_sleb(&m->c)));
		return true;
	case DW_CFA_GNU_negative_offset_extended:
		set_offset(m, reg, FRAME_OFFSET, scaled(m, 0 - cursor_uleb(&m->c)));
		return true;
	case DW_CFA_val_offset:
		set_offset(m, reg, FRAME_VAL_OFFSET, scaled(m, cursor_uleb(&m->c)));
		return true;
	case DW_CFA_val_offset_sf:
		set_offset(m, reg, FRAME_VAL_OFFSET, scaled(m, (uint64_t)cursor_sleb(&m->c)));
		return true;
	case DW_CFA_restore_extended:
		restore(m, reg);
		return true;
	case DW_CFA_undefined:
		set_offset(m, reg, FRAME_UNDEFINED, 0);
		return true;
	case DW_CFA_same_value:
		set_offset(m, reg, FRAME_SAME, 0);
		return true;
	case DW_CFA_register:
		other = cursor_uleb(&m->c);
		set_rule(m, reg, other < UNWIND_N_REGS ?
			 (struct frame_rule){ .kind = FRAME_REGISTER, .reg = (uint8_t)other } :
			 (struct frame_rule){ .kind = FRAME_UNDEFINED });
		return true;
	case DW_CFA_expression:
		set_rule(m, reg, read_expression(m, FRAME_EXPRESSION));
		return true;
	default:
		set_rule(m, reg, read_expression(m, FRAME_VAL_EXPRESSION));
		return true;
	}
}

static bool extended_instruction(struct machine *m, uint8_t op)
{
	switch (op) {
	case DW_CFA_nop:
	case DW_CFA_GNU_window_save:
		return true;
	case DW_CFA_GNU_args_size:
		cursor_uleb(&m->c);
		return true;
	case DW_CFA_remember_state:
		return remember_state(m);
	case DW_CFA_restore_state:
		return restore_state(m);
	case DW_CFA_offset_extended:
	case DW_CFA_offset_extended_sf:
	case DW_CFA_GNU_negative_offset_extended:
	case DW_CFA_val_offset:
	case DW_CFA_val_offset_sf:
	case DW_CFA_restore_extended:
	case DW_CFA_undefined:
	case DW_CFA_same_value:
	case DW_CFA_register:
	case DW_CFA_expression:
	case DW_CFA_val_expression:
		return register_instruction(m, op);
	default:
		return location_instruction(m, op);
	}
}

static bool instruction(struct machine *m)
{
	uint8_t op = cursor_u8(&m->c), operand = op & 0x3f;

	switch (op & 0xc0) {
	case DW_CFA_advance_loc:
		return advance_by(m, operand);
	case DW_CFA_offset:
		set_offset(m, operand, FRAME_OFFSET, scaled(m, cursor_uleb(&m->c)));
		return true;
	case DW_CFA_restore:
		restore(m, operand);
		return true;
	default:
		return extended_instruction(m, op);
	}
}

static bool run(struct machine *m, const struct cursor *program)
{
	m->c = *program;
	while (!m->stopped && cursor_left(&m->c)) {
		if (!*m->budget)
			return false;
		--*m->budget;
		if (!instruction(m) || m->c.failed)
			return false;
	}
	return true;
}

/* Rows belong to the FDE: a CIE's program must not advance. */
static bool reject_row(void *arg, uint64_t start, uint64_t end, const struct frame_row *row)
{
	*(bool *)arg = true;
	return false;
}

bool cfi_run(const struct cfi_section *section, const struct cfi_fde *fde, uint64_t *budget,
	     frame_row_fn emit, void *arg)
{
	struct machine m;
	bool advanced = false;

	/* All but states, which n_states guards. */
	memset(&m, 0, offsetof(struct machine, states));
	m.section = section;
	m.cie = &fde->cie;
	m.budget = budget;
	m.loc = fde->start;
	m.end = fde->end;
	m.row.signal_frame = fde->cie.signal_frame;

	m.emit = reject_row;
	m.arg = &advanced;
	if (!run(&m, &fde->cie.program) || advanced)
		return false;
	m.initial = m.row;
	m.n_states = 0;

	m.emit = emit;
	m.arg = arg;
	return run(&m, &fde->program) && (m.stopped || advance_to(&m, m.end));
}
