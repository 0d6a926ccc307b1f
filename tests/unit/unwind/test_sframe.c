/* SPDX-License-Identifier: MIT */
/* .sframe of versions 2 and 3, from bytes laid out as the specification has them. */
#include "table_fixture.h"
#include "rule_eval.h"

enum { SORTED = 1, PCREL = 4 };
enum { BASE_RBP = 0, BASE_RSP = 1 };

struct function {
	uint64_t start;
	uint32_t size;
	uint8_t info, info2, rep_size;
	uint16_t n_rows;
	struct bytes rows;
};

static uint8_t row_info(unsigned int base, unsigned int words, unsigned int size_code)
{
	return (uint8_t)(base | words << 1 | size_code << 5);
}

static void header(struct bytes *b, uint8_t version, uint8_t flags, uint32_t n, uint32_t rows_at)
{
	put_u16(b, 0xdee2);
	put_u8(b, version);
	put_u8(b, flags);
	put_u8(b, 3);			/* AMD64 */
	put_u8(b, 0);			/* rbp's offset is not fixed */
	put_u8(b, (uint8_t)-8);		/* the return address' is */
	put_u8(b, 0);			/* no auxiliary header */
	put_u32(b, n);
	put_u32(b, 0);
	put_u32(b, 0);
	put_u32(b, 0);			/* functions at once */
	put_u32(b, rows_at);
}

/* Where a function's start field stands decides its value if it is relative to itself. */
static uint64_t start_field(const struct bytes *b, const struct function *fn, uint8_t flags, uint64_t vaddr)
{
	return fn->start - vaddr - (flags & PCREL ? b->size : 0);
}

static void layout_v2(struct bytes *b, const struct function *fn, uint32_t n, uint8_t flags, uint64_t vaddr)
{
	uint32_t rows = 0;

	header(b, 2, flags, n, n * 20);
	for (uint32_t i = 0; i < n; i++) {
		put_u32(b, (uint32_t)start_field(b, &fn[i], flags, vaddr));
		put_u32(b, fn[i].size);
		put_u32(b, rows);
		put_u32(b, fn[i].n_rows);
		put_u8(b, fn[i].info);
		put_u8(b, fn[i].rep_size);
		put_u16(b, 0);
		rows += (uint32_t)fn[i].rows.size;
	}
	for (uint32_t i = 0; i < n; i++)
		put(b, fn[i].rows.data, fn[i].rows.size);
}

static void layout_v3(struct bytes *b, const struct function *fn, uint32_t n, uint8_t flags, uint64_t vaddr)
{
	uint32_t rows = 0;

	header(b, 3, flags, n, n * 16);
	for (uint32_t i = 0; i < n; i++) {
		put_u64(b, start_field(b, &fn[i], flags, vaddr));
		put_u32(b, fn[i].size);
		put_u32(b, rows);
		rows += 5 + (uint32_t)fn[i].rows.size;
	}
	for (uint32_t i = 0; i < n; i++) {
		put_u16(b, fn[i].n_rows);
		put_u8(b, fn[i].info);
		put_u8(b, fn[i].info2);
		put_u8(b, fn[i].rep_size);
		put(b, fn[i].rows.data, fn[i].rows.size);
	}
}

static void fixture_sframe(struct fixture *f, int version, uint8_t flags, const struct function *fn, uint32_t n)
{
	struct bytes b = { .size = 0 };

	(version == 2 ? layout_v2 : layout_v3)(&b, fn, n, flags, IMAGE_DATA);
	fixture_init(f);
	image_add(&f->image, ".sframe", SHF_ALLOC, b.data, b.size);
	fixture_open(f);
}

/* push %rbp; mov %rsp,%rbp; … ; pop %rbp: with rows of one-byte words. */
static void usual_function(struct function *fn, uint64_t start)
{
	struct bytes *r = &fn->rows;

	*fn = (struct function){ .start = start, .size = 64, .n_rows = 4 };
	put(r, (const unsigned char[]){ 0, row_info(BASE_RSP, 1, 0), 8 }, 3);
	put(r, (const unsigned char[]){ 1, row_info(BASE_RSP, 2, 0), 16, 0xf0 }, 4);
	put(r, (const unsigned char[]){ 4, row_info(BASE_RBP, 2, 0), 16, 0xf0 }, 4);
	put(r, (const unsigned char[]){ 60, row_info(BASE_RSP, 1, 0), 8 }, 3);
}

TEST(both_versions_and_both_kinds_of_starts)
{
	for (int version = 2; version <= 3; version++) {
		for (int flags = 0; flags <= (SORTED | PCREL); flags++) {
			struct function fn[2];
			struct fixture f;

			usual_function(&fn[0], IMAGE_TEXT + 64);
			usual_function(&fn[1], IMAGE_TEXT);
			fixture_sframe(&f, version, (uint8_t)flags & (SORTED | PCREL), fn, 2);
			for (uint64_t at = 0; at < 128; at += 64) {
				CHECK_RULE(&f, at, RSP(8), NO_RBX);
				CHECK_RULE(&f, at + 1, RSP(16), SAVED(-16), NO_RBX);
				CHECK_RULE(&f, at + 4, RBP(16), SAVED(-16), NO_RBX);
				CHECK_RULE(&f, at + 60, RSP(8), NO_RBX);
				CHECK_RULE(&f, at + 63, RSP(8), NO_RBX);
			}
			CHECK_RULE(&f, 128, NO_RULE);
			CHECK_U64(bad_fdes(&f), 0);
			fixture_close(&f);
		}
	}
}

TEST(wide_starts_and_wide_words)
{
	for (unsigned int type = 1; type <= 2; type++) {
		struct function fn = { .start = IMAGE_TEXT, .size = 0x800, .info = (uint8_t)type, .n_rows = 2 };
		struct fixture f;

		for (uint32_t row = 0; row < 2; row++) {
			if (type == 1)
				put_u16(&fn.rows, (uint16_t)(row * 0x500));
			else
				put_u32(&fn.rows, row * 0x500);
			put_u8(&fn.rows, row_info(BASE_RSP, 2, type));
			if (type == 1) {
				put_u16(&fn.rows, (uint16_t)(0x1000 + row));
				put_u16(&fn.rows, (uint16_t)-0x200);
			} else {
				put_u32(&fn.rows, 0x100000 + row);
				put_u32(&fn.rows, (uint32_t)-0x2000);
			}
		}
		fixture_sframe(&f, 2, SORTED, &fn, 1);
		CHECK_RULE(&f, 0x4ff, RSP(type == 1 ? 0x1000 : 0x100000), SAVED(type == 1 ? -0x200 : -0x2000), NO_RBX);
		CHECK_RULE(&f, 0x500, RSP(type == 1 ? 0x1001 : 0x100001), SAVED(type == 1 ? -0x200 : -0x2000), NO_RBX);
		fixture_close(&f);
	}
}

TEST(a_row_without_words_is_outermost)
{
	struct function fn = { .start = IMAGE_TEXT, .size = 16, .n_rows = 1 };
	struct fixture f;

	put(&fn.rows, (const unsigned char[]){ 0, row_info(BASE_RSP, 0, 0) }, 2);
	fixture_sframe(&f, 3, SORTED, &fn, 1);
	CHECK_RULE(&f, 0, OUTERMOST_RULE);
	fixture_close(&f);
}

TEST(a_function_without_a_row_for_its_start_is_corrupt)
{
	struct function fn = { .start = IMAGE_TEXT, .size = 16, .n_rows = 1 };
	struct unwind_regs regs = fake_regs(3, IMAGE_TEXT);
	bool signal, outermost;
	struct fixture f;

	put(&fn.rows, (const unsigned char[]){ 8, row_info(BASE_RSP, 1, 0), 8 }, 3);
	fixture_sframe(&f, 3, SORTED, &fn, 1);
	CHECK_RULE(&f, 0, NO_RULE);
	CHECK_RULE(&f, 8, NO_RULE);
	CHECK(bad_fdes(&f) >= 1);
	CHECK(unwind_step_full(f.table, IMAGE_TEXT_OFFSET, &regs, fake_read, NULL, &signal, &outermost) ==
	      REASON_BAD_UNWIND_INFO);
	fixture_close(&f);
}

TEST(repeated_blocks)
{
	struct function fn = { .start = IMAGE_TEXT, .size = 40, .info = 0x10, .rep_size = 16, .n_rows = 2 };
	struct fixture f;

	put(&fn.rows, (const unsigned char[]){ 0, row_info(BASE_RSP, 1, 0), 8 }, 3);
	put(&fn.rows, (const unsigned char[]){ 11, row_info(BASE_RSP, 1, 0), 16 }, 3);
	for (int version = 2; version <= 3; version++) {
		fixture_sframe(&f, version, SORTED, &fn, 1);
		for (uint64_t at = 0; at < 40; at++)
			CHECK_RULE(&f, at, RSP(at % 16 >= 11 ? 16 : 8), NO_RBX);
		CHECK_RULE(&f, 40, NO_RULE);
		CHECK_U64(bad_fdes(&f), 0);
		fixture_close(&f);
	}
}

/* Control words: the register, shifted by three; 2 to dereference; 1 for a register, not the CFA. */
TEST(flexible_functions)
{
	struct function fn = { .start = IMAGE_TEXT, .size = 64, .info2 = 1, .n_rows = 5 };
	struct fixture f;

	/* CFA = *(rbp - 8), rbp = *rbp; the return address where it always is. */
	put(&fn.rows, (const unsigned char[]){ 0, row_info(BASE_RBP, 5, 0), 6 << 3 | 3, 0xf8, 0, 6 << 3 | 3, 0 }, 7);
	/* CFA = r10 + 8. */
	put(&fn.rows, (const unsigned char[]){ 8, row_info(BASE_RSP, 2, 0), 10 << 3 | 1, 8 }, 4);
	/* CFA = rsp + 32, return address *(CFA - 8), rbp *(CFA - 16). */
	put(&fn.rows, (const unsigned char[]){ 16, row_info(BASE_RSP, 6, 0), 7 << 3 | 1, 32, 2, 0xf8, 2, 0xf0 }, 8);
	/* The return address in a register. */
	put(&fn.rows, (const unsigned char[]){ 24, row_info(BASE_RSP, 4, 0), 7 << 3 | 1, 8, 1 << 3 | 1, 0 }, 6);
	/* CFA = *(rsp + 160), as in a signal frame. */
	put(&fn.rows, (const unsigned char[]){ 32, row_info(BASE_RSP, 2, 1), 7 << 3 | 3, 0, 160, 0 }, 6);
	fixture_sframe(&f, 3, SORTED, &fn, 1);
	CHECK_RULE(&f, 0, .cfa_kind = RULE_CFA_RBP_DEREF, .cfa_off = -8, .rbp_kind = RULE_RBP_RBP, NO_RBX);
	CHECK_RULE(&f, 8, .cfa_kind = RULE_CFA_REG, .cfa_off = 8, .reg = 10, NO_RBX);
	CHECK_RULE(&f, 16, RSP(32), SAVED(-16), NO_RBX);
	CHECK_RULE(&f, 24, RSP(8), .ra_kind = RULE_RA_REG, .reg = 1, NO_RBX);
	CHECK_RULE(&f, 32, .cfa_kind = RULE_CFA_RSP_DEREF, .cfa_off = 160, NO_RBX);
	CHECK_U64(bad_fdes(&f), 0);
	fixture_close(&f);
}

TEST(signal_functions_of_version_3)
{
	struct function fn;
	struct fixture f;

	usual_function(&fn, IMAGE_TEXT);
	fn.info |= 0x80;
	fixture_sframe(&f, 3, SORTED, &fn, 1);
	CHECK_RULE(&f, 4, RBP(16), SAVED(-16), .flags = RULE_SIGNAL, NO_RBX);
	fixture_close(&f);
}

/* It says nothing of other callee-saved registers, so the full step must not claim to have them. */
TEST(the_full_step_knows_only_rsp_rbp_and_the_return_address)
{
	struct unwind_regs regs = fake_regs(3, IMAGE_TEXT);
	uint64_t cfa = regs.value[UNWIND_RBP] + 16;
	bool signal, outermost;
	struct function fn;
	struct fixture f;

	usual_function(&fn, IMAGE_TEXT);
	fixture_sframe(&f, 3, SORTED, &fn, 1);
	CHECK(unwind_step_full(f.table, IMAGE_TEXT_OFFSET + 8, &regs, fake_read, NULL, &signal, &outermost) ==
	      REASON_NONE);
	CHECK_U64(regs.value[UNWIND_RSP], cfa);
	CHECK_U64(regs.value[UNWIND_RIP], fake_word(cfa - 8));
	CHECK_U64(regs.value[UNWIND_RBP], fake_word(cfa - 16));
	CHECK_U64(regs.valid, 1u << UNWIND_RSP | 1u << UNWIND_RBP | 1u << UNWIND_RIP);
	fixture_close(&f);
}

TEST(eh_frame_comes_first)
{
	struct bytes b = { .size = 0 }, s = { .size = 0 };
	struct function fn;
	struct fixture f;
	size_t cie = put_cie(&b, "", 0, PROGRAM(CIE_START));

	put_fde(&b, cie, 0, IMAGE_TEXT, 32, PROGRAM(0x0e, 120));
	usual_function(&fn, IMAGE_TEXT);
	fixture_init(&f);
	image_add(&f.image, ".eh_frame", SHF_ALLOC, b.data, b.size);
	layout_v3(&s, &fn, 1, SORTED | PCREL, image_next_vaddr(&f.image));
	image_add(&f.image, ".sframe", SHF_ALLOC, s.data, s.size);
	fixture_open(&f);
	CHECK_RULE(&f, 31, RSP(120));
	CHECK_RULE(&f, 32, RBP(16), SAVED(-16), NO_RBX);
	fixture_close(&f);
}

TEST(corrupt_sections)
{
	struct function fn[2];
	struct bytes good = { .size = 0 };

	usual_function(&fn[0], IMAGE_TEXT);
	usual_function(&fn[1], IMAGE_TEXT + 64);
	for (int version = 2; version <= 3; version++) {
		good.size = 0;
		(version == 2 ? layout_v2 : layout_v3)(&good, fn, 2, SORTED, IMAGE_DATA);
		/* Cut off anywhere, and with each byte inverted: rows or none, but an end. */
		for (size_t i = 0; i < 2 * good.size; i++) {
			struct bytes b = good;
			struct fixture f;
			unwind_rows rows = {0};

			if (i < good.size)
				b.size = i + 1;
			else
				b.data[i - good.size] ^= 0xff;
			fixture_init(&f);
			image_add(&f.image, ".sframe", SHF_ALLOC, b.data, b.size);
			fixture_open(&f);
			CHECK_OK(unwind_table_rows(f.table, IMAGE_TEXT_OFFSET, IMAGE_TEXT_OFFSET + 256, &rows));
			CHECK(rows.len && rows.len <= 32);
			vec_free(&rows);
			fixture_close(&f);
		}
	}
}

TEST(other_architectures_and_versions_are_ignored)
{
	static const struct {
		size_t at;
		unsigned char value;
	} poke[] = { { 0, 0 }, { 2, 1 }, { 2, 4 }, { 4, 2 }, { 6, 0 } };

	for (size_t i = 0; i < sizeof(poke) / sizeof(*poke); i++) {
		struct bytes b = { .size = 0 };
		struct function fn;
		struct fixture f;

		usual_function(&fn, IMAGE_TEXT);
		layout_v3(&b, &fn, 1, SORTED, IMAGE_DATA);
		b.data[poke[i].at] = poke[i].value;
		fixture_init(&f);
		image_add(&f.image, ".sframe", SHF_ALLOC, b.data, b.size);
		fixture_open(&f);
		CHECK_RULE(&f, 4, NO_RULE);
		fixture_close(&f);
	}
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
