/* SPDX-License-Identifier: MIT */
/* The full step: expressions, lost registers, unreadable memory, and agreement with the compact rules. */
#include "table_fixture.h"
#include "rule_eval.h"

#include <dlfcn.h>
#include <dwarf.h>
#include <link.h>
#include <sys/auxv.h>

static bool no_read(void *arg, uint64_t address, uint64_t *ret)
{
	return false;
}

struct stepped {
	enum reason reason;
	struct unwind_regs regs;
	bool signal, outermost;
};

static struct stepped step(struct fixture *f, uint64_t offset, struct unwind_regs regs, unwind_read_fn read)
{
	struct stepped s = { .regs = regs };

	s.reason = unwind_step_full(f->table, IMAGE_TEXT_OFFSET + offset, &s.regs, read, NULL, &s.signal,
				    &s.outermost);
	return s;
}

/* The result of one expression as the CFA, seen as the caller's stack pointer. */
static enum reason evaluate(const unsigned char *expr, size_t size, uint64_t *ret)
{
	struct bytes program = { .size = 0 };
	struct stepped s;
	struct fixture f;

	put_u8(&program, DW_CFA_def_cfa_expression);
	put_uleb(&program, size);
	put(&program, expr, size);
	fixture_program(&f, program.data, program.size);
	s = step(&f, 0, fake_regs(1, IMAGE_TEXT), fake_read);
	*ret = s.regs.value[UNWIND_RSP];
	fixture_close(&f);
	return s.reason;
}

#define CHECK_VALUE(want, ...)                                                  \
	do {                                                                    \
		uint64_t value_ = 0;                                            \
		CHECK(evaluate(PROGRAM(__VA_ARGS__), &value_) == REASON_NONE);  \
		CHECK_U64(value_, (uint64_t)(want));                            \
	} while (0)

#define CHECK_BAD(...)                                                          \
	do {                                                                    \
		uint64_t value_ = 0;                                            \
		CHECK(evaluate(PROGRAM(__VA_ARGS__), &value_) == REASON_BAD_UNWIND_INFO); \
	} while (0)

TEST(constants)
{
	CHECK_VALUE(0, DW_OP_lit0);
	CHECK_VALUE(31, DW_OP_lit31);
	CHECK_VALUE(255, DW_OP_const1u, 255);
	CHECK_VALUE(-1, DW_OP_const1s, 255);
	CHECK_VALUE(65535, DW_OP_const2u, 255, 255);
	CHECK_VALUE(-1, DW_OP_const2s, 255, 255);
	CHECK_VALUE(0xffffffff, DW_OP_const4u, 255, 255, 255, 255);
	CHECK_VALUE(-2, DW_OP_const4s, 254, 255, 255, 255);
	CHECK_VALUE(0x0807060504030201, DW_OP_const8u, 1, 2, 3, 4, 5, 6, 7, 8);
	CHECK_VALUE(0x0807060504030201, DW_OP_const8s, 1, 2, 3, 4, 5, 6, 7, 8);
	CHECK_VALUE(0x0807060504030201, DW_OP_addr, 1, 2, 3, 4, 5, 6, 7, 8);
	CHECK_VALUE(300, DW_OP_constu, 0xac, 2);
	CHECK_VALUE(-300, DW_OP_consts, 0xd4, 0x7d);
}

TEST(arithmetic)
{
	CHECK_VALUE(5, DW_OP_lit2, DW_OP_lit3, DW_OP_plus);
	CHECK_VALUE(-1, DW_OP_lit2, DW_OP_lit3, DW_OP_minus);
	CHECK_VALUE(6, DW_OP_lit2, DW_OP_lit3, DW_OP_mul);
	CHECK_VALUE(-3, DW_OP_const1s, 0xf9, DW_OP_lit2, DW_OP_div);
	CHECK_VALUE(1, DW_OP_lit7, DW_OP_lit2, DW_OP_mod);
	CHECK_VALUE(7, DW_OP_const1s, 0xf9, DW_OP_neg);
	CHECK_VALUE(7, DW_OP_const1s, 0xf9, DW_OP_abs);
	CHECK_VALUE(~7ULL, DW_OP_lit7, DW_OP_not);
	CHECK_VALUE(2, DW_OP_lit6, DW_OP_lit3, DW_OP_and);
	CHECK_VALUE(7, DW_OP_lit6, DW_OP_lit3, DW_OP_or);
	CHECK_VALUE(5, DW_OP_lit6, DW_OP_lit3, DW_OP_xor);
	CHECK_VALUE(48, DW_OP_lit6, DW_OP_lit3, DW_OP_shl);
	CHECK_VALUE(0, DW_OP_lit6, DW_OP_const1u, 64, DW_OP_shl);
	CHECK_VALUE(UINT64_MAX >> 3, DW_OP_const1s, 0xff, DW_OP_lit3, DW_OP_shr);
	CHECK_VALUE(-1, DW_OP_const1s, 0x80, DW_OP_const1u, 200, DW_OP_shra);
	CHECK_VALUE(1ULL << 63, DW_OP_const8u, 0, 0, 0, 0, 0, 0, 0, 0x80, DW_OP_const1s, 0xff, DW_OP_div);
	CHECK_VALUE(1ULL << 63, DW_OP_const8u, 0, 0, 0, 0, 0, 0, 0, 0x80, DW_OP_abs);
	CHECK_VALUE(43, DW_OP_lit3, DW_OP_plus_uconst, 40);
}

TEST(comparisons_are_signed)
{
	CHECK_VALUE(1, DW_OP_const1s, 0xff, DW_OP_lit0, DW_OP_lt);
	CHECK_VALUE(1, DW_OP_const1s, 0xff, DW_OP_lit0, DW_OP_le);
	CHECK_VALUE(0, DW_OP_const1s, 0xff, DW_OP_lit0, DW_OP_gt);
	CHECK_VALUE(0, DW_OP_const1s, 0xff, DW_OP_lit0, DW_OP_ge);
	CHECK_VALUE(0, DW_OP_const1s, 0xff, DW_OP_lit0, DW_OP_eq);
	CHECK_VALUE(1, DW_OP_const1s, 0xff, DW_OP_lit0, DW_OP_ne);
}

TEST(stack_operations)
{
	CHECK_VALUE(2, DW_OP_lit1, DW_OP_dup, DW_OP_plus);
	CHECK_VALUE(1, DW_OP_lit1, DW_OP_lit2, DW_OP_drop);
	CHECK_VALUE(1, DW_OP_lit1, DW_OP_lit2, DW_OP_over);
	CHECK_VALUE(1, DW_OP_lit1, DW_OP_lit2, DW_OP_lit3, DW_OP_pick, 2);
	CHECK_VALUE(1, DW_OP_lit1, DW_OP_lit2, DW_OP_swap);
	CHECK_VALUE(2, DW_OP_lit1, DW_OP_lit2, DW_OP_lit3, DW_OP_rot);
	CHECK_VALUE(3, DW_OP_lit1, DW_OP_lit2, DW_OP_lit3, DW_OP_rot, DW_OP_drop, DW_OP_drop);
	CHECK_VALUE(9, DW_OP_lit9, DW_OP_nop);
}

TEST(branches)
{
	CHECK_VALUE(1, DW_OP_lit1, DW_OP_skip, 1, 0, DW_OP_lit2);
	CHECK_VALUE(1, DW_OP_lit1, DW_OP_lit1, DW_OP_bra, 1, 0, DW_OP_lit2);
	CHECK_VALUE(2, DW_OP_lit1, DW_OP_lit0, DW_OP_bra, 1, 0, DW_OP_lit2);
	/* Counting down from five, adding up: 15. */
	CHECK_VALUE(15, DW_OP_lit0, DW_OP_lit5, DW_OP_swap, DW_OP_over, DW_OP_plus, DW_OP_swap, DW_OP_lit1,
		    DW_OP_minus, DW_OP_dup, DW_OP_bra, 0xf6, 0xff, DW_OP_drop);
}

TEST(bad_expressions)
{
	CHECK_BAD(DW_OP_plus);
	CHECK_BAD(DW_OP_lit1, DW_OP_plus);
	CHECK_BAD(DW_OP_lit1, DW_OP_drop);
	CHECK_BAD(DW_OP_lit1, DW_OP_pick, 1);
	CHECK_BAD(DW_OP_lit1, DW_OP_lit0, DW_OP_div);
	CHECK_BAD(DW_OP_lit1, DW_OP_lit0, DW_OP_mod);
	CHECK_BAD(DW_OP_lit1, DW_OP_skip, 2, 0);
	CHECK_BAD(DW_OP_lit1, DW_OP_skip, 0, 0x80);
	CHECK_BAD(DW_OP_bra, 0, 0);
	CHECK_BAD(DW_OP_lit1, DW_OP_skip, 0xfd, 0xff);		/* for ever */
	CHECK_BAD(DW_OP_lit1, DW_OP_skip, 0xfc, 0xff);		/* until the stack is full */
	CHECK_BAD(DW_OP_const8u, 1, 2);
	CHECK_BAD(DW_OP_lit8, DW_OP_deref_size, 0);
	CHECK_BAD(DW_OP_lit8, DW_OP_deref_size, 9);
	CHECK_BAD(DW_OP_reg3);
	CHECK_BAD(DW_OP_rot);
}

TEST(memory_and_registers)
{
	struct unwind_regs regs = fake_regs(1, IMAGE_TEXT);

	CHECK_VALUE(regs.value[13] + 5, DW_OP_breg13, 5);
	CHECK_VALUE(regs.value[13] - 5, DW_OP_bregx, 13, 0x7b);
	CHECK_VALUE(IMAGE_TEXT, DW_OP_breg16, 0);
	CHECK_VALUE(fake_word(regs.value[7] + 8), DW_OP_breg7, 8, DW_OP_deref);
	CHECK_VALUE(fake_word(regs.value[7]) & 0xffff, DW_OP_breg7, 0, DW_OP_deref_size, 2);
}

TEST(every_register_rule)
{
	struct unwind_regs regs = fake_regs(7, IMAGE_TEXT);
	uint64_t cfa = regs.value[UNWIND_RSP] + 8;
	struct fixture f;
	struct stepped s;

	fixture_program(&f, PROGRAM(0x83, 2, DW_CFA_val_offset, 12, 3, DW_CFA_register, 13, 1, DW_CFA_same_value, 2,
				    DW_CFA_undefined, 14, DW_CFA_expression, 15, 2, DW_OP_plus_uconst, 16,
				    DW_CFA_val_expression, 8, 2, DW_OP_plus_uconst, 24));
	s = step(&f, 0, regs, fake_read);
	CHECK(s.reason == REASON_NONE && !s.signal && !s.outermost);
	CHECK_U64(s.regs.value[UNWIND_RSP], cfa);
	CHECK_U64(s.regs.value[UNWIND_RIP], fake_word(cfa - 8));
	CHECK_U64(s.regs.value[3], fake_word(cfa - 16));
	CHECK_U64(s.regs.value[12], cfa - 24);
	CHECK_U64(s.regs.value[13], regs.value[1]);
	CHECK_U64(s.regs.value[2], regs.value[2]);
	CHECK_U64(s.regs.value[15], fake_word(cfa + 16));
	CHECK_U64(s.regs.value[8], cfa + 24);
	CHECK_U64(s.regs.value[UNWIND_RBP], regs.value[UNWIND_RBP]);
	/* Saved or said to be the same, and what every function keeps: nothing else. */
	CHECK_U64(s.regs.valid, 1u << 2 | 1u << 3 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 12 | 1u << 13 | 1u << 15 |
		  1u << 16);
	fixture_close(&f);
}

TEST(lost_registers)
{
	struct unwind_regs regs = fake_regs(7, IMAGE_TEXT), before;
	struct fixture f;
	struct stepped s;

	fixture_program(&f, PROGRAM(0x41, DW_CFA_def_cfa, 10, 8, 0x41, DW_CFA_def_cfa_expression, 2, DW_OP_breg10, 0,
				    0x41, DW_CFA_def_cfa, 7, 8, DW_CFA_register, 6, 10));
	regs.valid &= ~(1u << 10);
	before = regs;
	CHECK(step(&f, 0, regs, fake_read).reason == REASON_NONE);
	s = step(&f, 1, regs, fake_read);
	CHECK(s.reason == REASON_LOST_REGISTER && !memcmp(&s.regs, &before, sizeof(before)));
	CHECK(step(&f, 2, regs, fake_read).reason == REASON_LOST_REGISTER);
	/* A register that may not be needed is lost without ado. */
	s = step(&f, 3, regs, fake_read);
	CHECK(s.reason == REASON_NONE && !(s.regs.valid & 1u << UNWIND_RBP));
	fixture_close(&f);
}

TEST(unreadable_memory)
{
	struct unwind_regs regs = fake_regs(7, IMAGE_TEXT);
	struct fixture f;

	fixture_program(&f, PROGRAM(0));
	CHECK(step(&f, 0, regs, no_read).reason == REASON_PAGE_UNREADABLE);
	fixture_close(&f);
	fixture_program(&f, PROGRAM(DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78, DW_OP_deref));
	CHECK(step(&f, 0, regs, no_read).reason == REASON_PAGE_UNREADABLE);
	fixture_close(&f);
}

TEST(ends_and_holes)
{
	struct unwind_regs regs = fake_regs(7, IMAGE_TEXT);
	struct fixture f;
	struct stepped s;

	fixture_program(&f, PROGRAM(0x41, 0x3f));
	CHECK(step(&f, 2, regs, fake_read).reason == REASON_BAD_UNWIND_INFO);
	fixture_close(&f);
	fixture_program(&f, PROGRAM(0x41, DW_CFA_undefined, 16));
	s = step(&f, 1, regs, fake_read);
	CHECK(s.reason == REASON_NONE && s.outermost && !memcmp(&s.regs, &regs, sizeof(regs)));
	CHECK(step(&f, 64, regs, fake_read).reason == REASON_NO_UNWIND_INFO);
	CHECK(step(&f, IMAGE_TEXT_SIZE, regs, fake_read).reason == REASON_NO_UNWIND_INFO);
	s = step(&f, IMAGE_TEXT_SIZE - 64, regs, fake_read);
	CHECK(s.reason == REASON_NONE && s.outermost);
	fixture_close(&f);
}

/* The compact rule and the full step at the first and last byte of one row. */
static void compare_row(struct unwind_table *table, const struct unwind_row *row, uint64_t end)
{
	for (int last = 0; last < 2; last++) {
		uint64_t offset = last ? end - 1 : row->start;
		struct unwind_regs regs = fake_regs(offset, offset);
		struct evaluated want = {0};
		bool signal, outermost;
		enum reason reason;
		bool compact = rule_eval(&row->rule, &regs, &want);

		reason = unwind_step_full(table, offset, &regs, fake_read, NULL, &signal, &outermost);
		CHECK((row->rule.cfa_kind == RULE_CFA_NONE) == (reason == REASON_NO_UNWIND_INFO));
		CHECK((row->rule.cfa_kind == RULE_CFA_OUTERMOST) == outermost);
		if (!compact)
			continue;
		CHECK(reason == REASON_NONE && signal == !!(row->rule.flags & RULE_SIGNAL));
		CHECK_U64(regs.value[UNWIND_RSP], want.cfa);
		CHECK_U64(regs.value[UNWIND_RIP], want.ra);
		CHECK(want.rbp_lost == !(regs.valid & 1u << UNWIND_RBP));
		if (!want.rbp_lost)
			CHECK_U64(regs.value[UNWIND_RBP], want.rbp);
	}
}

static size_t compare_file(struct elf_file *file)
{
	struct unwind_table_info info;
	struct unwind_table *table;
	unwind_rows rows = {0};
	size_t n;

	CHECK_OK(unwind_table_open(file, &table));
	unwind_table_info(table, &info);
	CHECK_OK(unwind_table_rows(table, info.text_start, info.text_end, &rows));
	for (size_t i = 0; i < rows.len; i++)
		compare_row(table, &rows.data[i], i + 1 < rows.len ? rows.data[i + 1].start : info.text_end);
	unwind_table_info(table, &info);
	CHECK_U64(info.n_bad_fdes, 0);
	n = rows.len;
	vec_free(&rows);
	unwind_table_close(table);
	elf_file_close(file);
	return n;
}

TEST(compact_rules_agree_with_the_full_step_in_the_c_library)
{
	struct elf_file *file;
	struct link_map *map;
	void *handle = dlopen("libc.so.6", RTLD_LAZY);

	if (!handle || dlinfo(handle, RTLD_DI_LINKMAP, &map))
		SKIP("no shared C library");
	CHECK_OK(elf_file_open(map->l_name, &file));
	CHECK(compare_file(file) > 1000);
}

TEST(compact_rules_agree_with_the_full_step_in_this_program)
{
	struct elf_file *file;

	CHECK_OK(elf_file_open("/proc/self/exe", &file));
	CHECK(compare_file(file) > 10);
}

/* The kernel's own object, which is in no file. */
TEST(compact_rules_agree_with_the_full_step_in_the_vdso)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);
	struct elf_file *file;

	if (!eh)
		SKIP("no vdso");
	CHECK_OK(elf_file_open_memory(eh, eh->e_shoff + (size_t)eh->e_shnum * eh->e_shentsize, "[vdso]", &file));
	CHECK(compare_file(file) > 10);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
