/* SPDX-License-Identifier: MIT */
/* From expressions to compact rules, and what has none. */
#include "table_fixture.h"

#include <dwarf.h>

/* def_cfa_expression with these bytes as the whole program. */
static struct unwind_rule cfa_rule(const unsigned char *expr, size_t size)
{
	struct bytes program = { .size = 0 };
	struct unwind_rule rule;
	struct fixture f;

	put_u8(&program, DW_CFA_def_cfa_expression);
	put_uleb(&program, size);
	put(&program, expr, size);
	fixture_program(&f, program.data, program.size);
	rule = rule_at(&f, 0);
	fixture_close(&f);
	return rule;
}

#define CHECK_CFA(want, ...)                                                    \
	do {                                                                    \
		struct unwind_rule have_ = cfa_rule(PROGRAM(__VA_ARGS__)), want_ = want; \
		CHECK(!memcmp(&have_, &want_, sizeof(want_)));                  \
	} while (0)

#define RULE(...) ((struct unwind_rule){ __VA_ARGS__ })

TEST(stubs_of_the_procedure_linkage_table)
{
	CHECK_CFA(RULE(.cfa_kind = RULE_CFA_PLT, .cfa_off = 8, .cfa_add = 11),
		  DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and, DW_OP_lit11, DW_OP_ge, DW_OP_lit3,
		  DW_OP_shl, DW_OP_plus);
	CHECK_CFA(RULE(.cfa_kind = RULE_CFA_PLT, .cfa_off = 8, .cfa_add = 9),
		  DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_const1u, 15, DW_OP_and, DW_OP_lit9, DW_OP_ge, DW_OP_lit3,
		  DW_OP_shl, DW_OP_plus);
	/* Another mask, another shift, another register: not that stub. */
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit7, DW_OP_and, DW_OP_lit11,
		  DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus);
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and, DW_OP_lit11,
		  DW_OP_ge, DW_OP_lit4, DW_OP_shl, DW_OP_plus);
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_breg7, 8, DW_OP_breg1, 0, DW_OP_lit15, DW_OP_and, DW_OP_lit11,
		  DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus);
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_breg6, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and, DW_OP_lit11,
		  DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus);
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_breg7, 8, DW_OP_breg16, 1, DW_OP_lit15, DW_OP_and, DW_OP_lit11,
		  DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus);
}

TEST(frames_reached_through_a_saved_pointer)
{
	CHECK_CFA(RULE(.cfa_kind = RULE_CFA_RBP_DEREF, .cfa_off = -8), DW_OP_breg6, 0x78, DW_OP_deref);
	CHECK_CFA(RULE(.cfa_kind = RULE_CFA_RSP_DEREF, .cfa_off = 120, .cfa_add = 8),
		  DW_OP_breg7, 0xf8, 0, DW_OP_deref, DW_OP_plus_uconst, 8);
	CHECK_CFA(RULE(.cfa_kind = RULE_CFA_RSP_INDEX_DEREF, .cfa_off = 8, .cfa_add = 8, .reg = 9),
		  DW_OP_breg7, 8, DW_OP_breg9, 0, DW_OP_lit8, DW_OP_mul, DW_OP_plus, DW_OP_deref,
		  DW_OP_plus_uconst, 8);
	CHECK_CFA(RULE(.cfa_kind = RULE_CFA_RSP_INDEX_DEREF, .cfa_off = 8, .reg = 10),
		  DW_OP_breg7, 8, DW_OP_breg10, 0, DW_OP_lit3, DW_OP_shl, DW_OP_plus, DW_OP_deref);
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_breg10, 0, DW_OP_deref);
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_breg7, 8, DW_OP_breg9, 0, DW_OP_lit4, DW_OP_mul, DW_OP_plus,
		  DW_OP_deref);
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_breg6, 8, DW_OP_breg9, 0, DW_OP_lit8, DW_OP_mul, DW_OP_plus,
		  DW_OP_deref);
}

TEST(expressions_that_are_plain_offsets)
{
	CHECK_CFA(RULE(RSP(16)), DW_OP_breg7, 16);
	CHECK_CFA(RULE(RBP(24)), DW_OP_breg6, 8, DW_OP_plus_uconst, 16);
	CHECK_CFA(RULE(RSP(16)), DW_OP_bregx, 7, 16);
}

TEST(what_does_not_fit_is_complex)
{
	/* An add of 16 bits, an offset of 32. */
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_breg7, 8, DW_OP_deref, DW_OP_plus_uconst, 0x80, 0x80, 0x02);
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_breg7, 0x80, 0x80, 0x80, 0x80, 0x10, DW_OP_deref);
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_breg7, 0x80, 0x80, 0x80, 0x80, 0x10);
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_nop);
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_breg7, 8, DW_OP_nop, DW_OP_nop, DW_OP_nop, DW_OP_nop, DW_OP_nop,
		  DW_OP_nop, DW_OP_nop, DW_OP_nop, DW_OP_nop, DW_OP_nop, DW_OP_nop, DW_OP_nop, DW_OP_nop);
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_call2, 0, 0);
	CHECK_CFA(RULE(COMPLEX_RULE), DW_OP_breg20, 0);
}

TEST(offsets_that_do_not_fit_are_complex)
{
	struct fixture f;

	fixture_program(&f, PROGRAM(DW_CFA_def_cfa_offset, 0x80, 0x80, 0x80, 0x80, 0x08));
	CHECK_RULE(&f, 0, COMPLEX_RULE);
	fixture_close(&f);
	fixture_program(&f, PROGRAM(DW_CFA_offset_extended, 6, 0x80, 0x80, 0x80, 0x80, 0x08));
	CHECK_RULE(&f, 0, COMPLEX_RULE);
	fixture_close(&f);
	fixture_program(&f, PROGRAM(DW_CFA_expression, 16, 4, DW_OP_breg7, 0x80, 0x80, 0x02));
	CHECK_RULE(&f, 0, COMPLEX_RULE);
	fixture_close(&f);
}

/* The fields of a register and of the return address's offset share their place. */
TEST(a_register_cfa_with_a_return_address_elsewhere_is_complex)
{
	struct fixture f;

	fixture_program(&f, PROGRAM(DW_CFA_def_cfa, 10, 0, DW_CFA_expression, 16, 2, DW_OP_breg7, 40));
	CHECK_RULE(&f, 0, COMPLEX_RULE);
	fixture_close(&f);
}

/* As the C library describes its restorer: registers in the context above rsp. */
TEST(signal_frames)
{
	struct bytes b = { .size = 0 };
	struct fixture f;
	size_t cie = put_cie(&b, "zRS", 0, PROGRAM(CIE_START));

	put_fde(&b, cie, 1, IMAGE_TEXT, 16,
		PROGRAM(DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 0xa0, 1, DW_OP_deref,
			DW_CFA_expression, 6, 3, DW_OP_breg7, 0xf8, 0,
			DW_CFA_expression, 7, 3, DW_OP_breg7, 0xa0, 1,
			DW_CFA_expression, 16, 3, DW_OP_breg7, 0xa8, 1));
	put_fde(&b, cie, 1, IMAGE_TEXT + 16, 16,
		PROGRAM(DW_CFA_def_cfa_expression, 4, DW_OP_breg7, 0xa0, 1, DW_OP_deref,
			DW_CFA_expression, 7, 3, DW_OP_breg7, 0xa8, 1,
			DW_CFA_expression, 16, 3, DW_OP_breg7, 0xa8, 1));
	fixture_eh_frame(&f, &b);
	CHECK_RULE(&f, 0, .cfa_kind = RULE_CFA_RSP_DEREF, .cfa_off = 160, .ra_kind = RULE_RA_RSP, .ra_off = 168,
		   .rbp_kind = RULE_RBP_RSP, .rbp_off = 120, .flags = RULE_SIGNAL);
	/* The stack pointer is not the CFA. */
	CHECK_RULE(&f, 16, COMPLEX_RULE);
	fixture_close(&f);
}

/* As setcontext() describes itself: the caller's registers are in the context at rdx. */
TEST(contexts)
{
	struct bytes b = { .size = 0 };
	struct fixture f;
	size_t cie = put_cie(&b, "zR", 0, PROGRAM(CIE_START));

	put_fde(&b, cie, 1, IMAGE_TEXT, 16,
		PROGRAM(DW_CFA_def_cfa, 1, 8, DW_CFA_offset_extended_sf, 6, 0x72, DW_CFA_offset_extended_sf, 7, 0x6d,
			DW_CFA_offset_extended_sf, 16, 0x6c));
	/* The return address is not behind the stack pointer; rbp is not in the context. */
	put_fde(&b, cie, 1, IMAGE_TEXT + 16, 16,
		PROGRAM(DW_CFA_def_cfa, 1, 8, DW_CFA_offset_extended_sf, 6, 0x72, DW_CFA_offset_extended_sf, 7, 0x6d,
			DW_CFA_offset_extended_sf, 16, 0x6b));
	put_fde(&b, cie, 1, IMAGE_TEXT + 32, 16,
		PROGRAM(DW_CFA_def_cfa, 1, 8, DW_CFA_offset_extended_sf, 7, 0x6d, DW_CFA_offset_extended_sf, 16, 0x6c));
	fixture_eh_frame(&f, &b);
	CHECK_RULE(&f, 0, .cfa_kind = RULE_CFA_CONTEXT, .reg = 1, .cfa_off = 160, .rbp_off = 120,
		   .rbx_off = RULE_RBX_LOST);
	CHECK_RULE(&f, 16, COMPLEX_RULE);
	CHECK_RULE(&f, 32, COMPLEX_RULE);
	fixture_close(&f);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
