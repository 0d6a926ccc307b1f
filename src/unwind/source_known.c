/* SPDX-License-Identifier: MIT */
/* Known code as a source: an entry's position in the index is its frame. */
#include "unwind/known_code.h"

/* As linkers describe their lazy stubs: rsp + 8 + ((rip & 15) >= n ? 8 : 0). */
#define LAZY_PLT_CFA(n) { 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x30 + (n), 0x2a, 0x33, 0x24, 0x22 }

static const unsigned char lazy_plt_cfa[] = LAZY_PLT_CFA(11), lazy_plt_ibt_cfa[] = LAZY_PLT_CFA(9);

enum { RDX = 1 };	/* its DWARF number */

static bool known_rows(const struct unwind_source *source, size_t i, uint64_t *budget, frame_row_fn emit,
		       void *arg)
{
	enum known_frame frame = (enum known_frame)fde_index_position(&source->index, i);
	struct frame_row row = {0};

	row.cfa = (struct frame_rule){ .kind = FRAME_REGISTER, .reg = UNWIND_RSP, .offset = 8 };
	row.reg[UNWIND_RIP] = (struct frame_rule){ .kind = FRAME_OFFSET, .offset = -8 };
	switch (frame) {
	case KNOWN_NOTHING:
		return true;
	case KNOWN_OUTERMOST:
		row = (struct frame_row){ .reg[UNWIND_RIP].kind = FRAME_UNDEFINED };
		break;
	case KNOWN_ENTRY:
		break;
	case KNOWN_CLONE:
		row.zero_ends = true;
		break;
	case KNOWN_ONE_WORD:
		row.cfa.offset = 16;
		break;
	case KNOWN_TWO_WORDS:
		row.cfa.offset = 24;
		break;
	case KNOWN_SAVED_RBP:
		row.cfa.offset = 16;
		row.reg[UNWIND_RBP] = (struct frame_rule){ .kind = FRAME_OFFSET, .offset = -16 };
		break;
	case KNOWN_LAZY_PLT:
	case KNOWN_LAZY_PLT_IBT:
		row.cfa = (struct frame_rule){
			.kind = FRAME_VAL_EXPRESSION, .expr_size = sizeof(lazy_plt_cfa),
			.expr = frame == KNOWN_LAZY_PLT ? lazy_plt_cfa : lazy_plt_ibt_cfa,
		};
		break;
	case KNOWN_SIGNAL:
		row = (struct frame_row){0};
		frame_row_signal(&row);
		break;
	case KNOWN_CONTEXT:
		row = (struct frame_row){0};
		frame_row_context(&row, RDX);
		break;
	}
	emit(arg, fde_index_start(&source->index, i), fde_index_limit(&source->index, i), &row);
	return true;
}

struct error *source_open_corrections(struct elf_file *file, struct unwind_source *ret)
{
	struct error *err;

	ret->rows = known_rows;
	ret->index.start_base = source_start_base(file);
	err = known_code_context(file, ret);
	fde_index_sort(&ret->index);
	return err;
}

struct error *source_open_known(struct elf_file *file, bool entry_known, struct unwind_source *ret)
{
	struct error *err;

	ret->rows = known_rows;
	ret->index.start_base = source_start_base(file);
	err = known_code_start(file, entry_known, ret);
	if (!err)
		err = known_code_crtbegin(file, ret);
	if (!err)
		err = known_code_plt(file, ret);
	if (!err)
		err = known_code_libc(file, ret);
	fde_index_sort(&ret->index);
	return err;
}
