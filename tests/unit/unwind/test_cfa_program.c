/* SPDX-License-Identifier: MIT */
/* Call frame programs: every instruction, and what is refused. */
#include "table_fixture.h"

#include <dwarf.h>

TEST(push_and_move_of_the_frame_pointer)
{
	struct fixture f;

	fixture_program(&f, PROGRAM(0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x4a, 0x0c, 7, 8));
	CHECK_RULE(&f, 0, RSP(8));
	CHECK_RULE(&f, 1, RSP(16), SAVED(-16));
	CHECK_RULE(&f, 3, RSP(16), SAVED(-16));
	CHECK_RULE(&f, 4, RBP(16), SAVED(-16));
	CHECK_RULE(&f, 13, RBP(16), SAVED(-16));
	CHECK_RULE(&f, 14, RSP(8), SAVED(-16));
	CHECK_RULE(&f, 63, RSP(8), SAVED(-16));
	CHECK_RULE(&f, 64, NO_RULE);
	CHECK_U64(bad_fdes(&f), 0);
	fixture_close(&f);
}

TEST(advances_of_every_width)
{
	struct fixture f;

	fixture_program(&f, PROGRAM(0x02, 1, 0x0e, 16, 0x03, 2, 0, 0x0e, 24, 0x04, 3, 0, 0, 0, 0x0e, 32,
				    DW_CFA_MIPS_advance_loc8, 4, 0, 0, 0, 0, 0, 0, 0, 0x0e, 40));
	CHECK_RULE(&f, 0, RSP(8));
	CHECK_RULE(&f, 1, RSP(16));
	CHECK_RULE(&f, 3, RSP(24));
	CHECK_RULE(&f, 6, RSP(32));
	CHECK_RULE(&f, 10, RSP(40));
	fixture_close(&f);
}

TEST(set_loc_takes_an_encoded_address)
{
	const uint64_t at = IMAGE_TEXT + 9;
	unsigned char program[11] = { DW_CFA_set_loc };
	struct fixture f;

	memcpy(program + 1, &at, 8);
	program[9] = 0x0e;
	program[10] = 48;
	fixture_program(&f, program, sizeof(program));
	CHECK_RULE(&f, 8, RSP(8));
	CHECK_RULE(&f, 9, RSP(48));
	fixture_close(&f);
}

TEST(remember_restores_the_cfa_and_the_registers)
{
	struct fixture f;

	fixture_program(&f, PROGRAM(0x0e, 16, 0x86, 2, 0x41, 0x0a, 0x0a, 0x0e, 8, 0xc6, 0x41, 0x0e, 64, 0x41,
				    0x0b, 0x41, 0x0e, 24, 0x41, 0x0b));
	CHECK_RULE(&f, 0, RSP(16), SAVED(-16));
	CHECK_RULE(&f, 1, RSP(8));
	CHECK_RULE(&f, 2, RSP(64));
	CHECK_RULE(&f, 3, RSP(16), SAVED(-16));
	CHECK_RULE(&f, 4, RSP(24), SAVED(-16));
	CHECK_RULE(&f, 5, RSP(16), SAVED(-16));
	CHECK_U64(bad_fdes(&f), 0);
	fixture_close(&f);
}

TEST(restore_goes_back_to_the_cie)
{
	struct bytes b = { .size = 0 };
	struct fixture f;
	size_t cie = put_cie(&b, "", 0, PROGRAM(CIE_START, 0x86, 3));

	put_fde(&b, cie, 0, IMAGE_TEXT, 64, PROGRAM(0x86, 2, 0x41, 0xc6, 0x41, 0x86, 4, 0x41, 0x06, 6));
	fixture_eh_frame(&f, &b);
	CHECK_RULE(&f, 0, RSP(8), SAVED(-16));
	CHECK_RULE(&f, 1, RSP(8), SAVED(-24));
	CHECK_RULE(&f, 2, RSP(8), SAVED(-32));
	CHECK_RULE(&f, 3, RSP(8), SAVED(-24));
	fixture_close(&f);
}

TEST(every_way_to_save_a_register)
{
	static const struct {
		unsigned char program[8];
		size_t size;
		struct unwind_rule rule;
	} way[] = {
		{ { DW_CFA_offset_extended, 6, 2 }, 3, { RSP(8), SAVED(-16) } },
		{ { DW_CFA_offset_extended_sf, 6, 2 }, 3, { RSP(8), SAVED(-16) } },
		{ { DW_CFA_offset_extended_sf, 6, 0x7d }, 3, { RSP(8), SAVED(24) } },
		{ { DW_CFA_GNU_negative_offset_extended, 6, 2 }, 3, { RSP(8), SAVED(16) } },
		{ { DW_CFA_same_value, 6 }, 2, { RSP(8) } },
		{ { DW_CFA_undefined, 6 }, 2, { RSP(8), .rbp_kind = RULE_RBP_LOST } },
		{ { DW_CFA_register, 6, 3 }, 3, { COMPLEX_RULE } },
		{ { DW_CFA_register, 6, 40 }, 3, { RSP(8), .rbp_kind = RULE_RBP_LOST } },
		{ { DW_CFA_val_offset, 6, 2 }, 3, { COMPLEX_RULE } },
		{ { DW_CFA_val_offset_sf, 6, 2 }, 3, { COMPLEX_RULE } },
		{ { DW_CFA_expression, 6, 2, DW_OP_breg6, 0x70 }, 5,
		  { RSP(8), .rbp_kind = RULE_RBP_RBP, .rbp_off = -16 } },
		{ { DW_CFA_expression, 6, 2, DW_OP_breg7, 16 }, 5,
		  { RSP(8), .rbp_kind = RULE_RBP_RSP, .rbp_off = 16 } },
		{ { DW_CFA_expression, 6, 2, DW_OP_breg10, 16 }, 5, { COMPLEX_RULE } },
		{ { DW_CFA_val_expression, 6, 2, DW_OP_breg6, 0 }, 5, { COMPLEX_RULE } },
		/* What no chain depends on: a vector register, most callee-saved ones. */
		{ { DW_CFA_offset_extended, 17, 2 }, 3, { RSP(8) } },
		{ { 0x8c, 3 }, 2, { RSP(8) } },
		/* rbx is followed where it can be, and otherwise lost. */
		{ { 0x83, 3 }, 2, { RSP(8), .rbx_off = -24 } },
		{ { DW_CFA_same_value, 3 }, 2, { RSP(8) } },
		{ { DW_CFA_undefined, 3 }, 2, { RSP(8), .rbx_off = RULE_RBX_LOST } },
		{ { DW_CFA_register, 3, 1 }, 3, { RSP(8), .rbx_off = RULE_RBX_LOST } },
		{ { DW_CFA_GNU_args_size, 32 }, 2, { RSP(8) } },
		{ { DW_CFA_GNU_window_save }, 1, { RSP(8) } },
		/* The stack pointer itself. */
		{ { DW_CFA_val_offset, 7, 0 }, 3, { RSP(8) } },
		{ { DW_CFA_val_offset, 7, 1 }, 3, { COMPLEX_RULE } },
		{ { DW_CFA_same_value, 7 }, 2, { COMPLEX_RULE } },
		{ { 0x87, 2 }, 2, { COMPLEX_RULE } },
		/* The return address. */
		{ { DW_CFA_undefined, 16 }, 2, { OUTERMOST_RULE } },
		{ { 0x90, 2 }, 2, { COMPLEX_RULE } },
		{ { DW_CFA_register, 16, 1 }, 3, { RSP(8), .ra_kind = RULE_RA_REG, .reg = 1 } },
		{ { DW_CFA_register, 16, 16 }, 3, { COMPLEX_RULE } },
		{ { DW_CFA_same_value, 16 }, 2, { COMPLEX_RULE } },
		{ { DW_CFA_expression, 16, 2, DW_OP_breg7, 40 }, 5,
		  { RSP(8), .ra_kind = RULE_RA_RSP, .ra_off = 40 } },
	};

	for (size_t i = 0; i < sizeof(way) / sizeof(*way); i++) {
		struct unwind_rule have;
		struct fixture f;

		fixture_program(&f, way[i].program, way[i].size);
		have = rule_at(&f, 5);
		if (memcmp(&have, &way[i].rule, sizeof(have)))
			printf("# way %zu\n", i);
		CHECK(!memcmp(&have, &way[i].rule, sizeof(have)));
		CHECK_U64(bad_fdes(&f), 0);
		fixture_close(&f);
	}
}

TEST(every_way_to_define_the_cfa)
{
	static const struct {
		unsigned char program[16];
		size_t size;
		struct unwind_rule rule;
	} way[] = {
		{ { DW_CFA_def_cfa, 6, 32 }, 3, { RBP(32) } },
		{ { DW_CFA_def_cfa_sf, 7, 0x7c }, 3, { RSP(32) } },
		{ { DW_CFA_def_cfa_offset_sf, 0x7b }, 2, { RSP(40) } },
		{ { DW_CFA_def_cfa_register, 10 }, 2, { .cfa_kind = RULE_CFA_REG, .cfa_off = 8, .reg = 10 } },
		{ { DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78, DW_OP_deref }, 5,
		  { .cfa_kind = RULE_CFA_RBP_DEREF, .cfa_off = -8 } },
		/* Its offset outlives a CFA by expression. */
		{ { DW_CFA_def_cfa_offset, 56, DW_CFA_def_cfa_expression, 3, DW_OP_breg7, 24, DW_OP_deref,
		    DW_CFA_def_cfa_register, 7 }, 9, { RSP(56) } },
	};

	for (size_t i = 0; i < sizeof(way) / sizeof(*way); i++) {
		struct unwind_rule have;
		struct fixture f;

		fixture_program(&f, way[i].program, way[i].size);
		have = rule_at(&f, 5);
		if (memcmp(&have, &way[i].rule, sizeof(have)))
			printf("# way %zu\n", i);
		CHECK(!memcmp(&have, &way[i].rule, sizeof(have)));
		CHECK_U64(bad_fdes(&f), 0);
		fixture_close(&f);
	}
}

/* What came before the corrupt instruction is kept, what follows has no rule. */
TEST(corrupt_programs_end_the_rows)
{
	static const struct {
		unsigned char program[16];
		size_t size;
	} bad[] = {
		{ { 0x41, 0x3f }, 2 },				/* an unknown instruction */
		{ { 0x41, DW_CFA_restore_state }, 2 },		/* nothing was remembered */
		{ { 0x41, DW_CFA_def_cfa, 60, 8 }, 4 },		/* no such register */
		{ { 0x41, DW_CFA_set_loc, 0, 0, 0, 0, 0, 0, 0, 0 }, 10 },	/* backwards */
		{ { 0x41, DW_CFA_def_cfa_expression, 0x7f, 0x77 }, 4 },		/* longer than the FDE */
		{ { 0x41, DW_CFA_def_cfa_expression, 1, DW_OP_breg7, DW_CFA_def_cfa_offset, 8 }, 6 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct fixture f;

		fixture_program(&f, bad[i].program, bad[i].size);
		CHECK_RULE(&f, 0, RSP(8));
		CHECK_RULE(&f, 1, NO_RULE);
		CHECK_RULE(&f, 63, NO_RULE);
		CHECK(bad_fdes(&f) >= 1);
		fixture_close(&f);
	}
}

TEST(padded_numbers_are_read_and_endless_ones_refused)
{
	unsigned char padded[] = { 0x0e, 0x90, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00 };
	unsigned char endless[200];
	struct fixture f;

	fixture_program(&f, padded, sizeof(padded));
	CHECK_RULE(&f, 0, RSP(16));
	fixture_close(&f);
	memset(endless, 0x80, sizeof(endless));
	endless[0] = 0x41;
	endless[1] = 0x0e;
	endless[sizeof(endless) - 1] = 0;
	fixture_program(&f, endless, sizeof(endless));
	CHECK_RULE(&f, 0, RSP(8));
	CHECK_RULE(&f, 1, NO_RULE);
	fixture_close(&f);
}

TEST(states_cannot_be_remembered_for_ever)
{
	unsigned char program[1000];
	struct fixture f;

	memset(program, DW_CFA_remember_state, sizeof(program));
	program[0] = 0x41;
	fixture_program(&f, program, sizeof(program));
	CHECK_RULE(&f, 0, RSP(8));
	CHECK_RULE(&f, 1, NO_RULE);
	fixture_close(&f);
}

TEST(advances_beyond_the_function_are_cut)
{
	struct fixture f;

	fixture_program(&f, PROGRAM(0x04, 0xff, 0xff, 0xff, 0xff, 0x0e, 16, DW_CFA_MIPS_advance_loc8, 0xff, 0xff,
				    0xff, 0xff, 0xff, 0xff, 0xff, 0xff));
	CHECK_RULE(&f, 63, RSP(8));
	CHECK_RULE(&f, 64, NO_RULE);
	fixture_close(&f);
}

TEST(a_cie_must_not_advance)
{
	struct bytes b = { .size = 0 };
	struct fixture f;
	size_t cie = put_cie(&b, "", 0, PROGRAM(CIE_START, 0x41, 0x0e, 16));

	put_fde(&b, cie, 0, IMAGE_TEXT, 64, PROGRAM(0));
	fixture_eh_frame(&f, &b);
	CHECK_RULE(&f, 0, NO_RULE);
	CHECK(bad_fdes(&f) >= 1);
	fixture_close(&f);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
