/* SPDX-License-Identifier: MIT */
/* Code known by its bytes: what has rules, to the byte, and what is too different to have any. */
#include "seeds.h"
#include "table_fixture.h"

#define CODE(...) (const unsigned char[]){ __VA_ARGS__ }, sizeof((const unsigned char[]){ __VA_ARGS__ })
#define LAZY(n) .cfa_kind = RULE_CFA_PLT, .cfa_off = 8, .cfa_add = (n)
#define SIGNAL_RULE                                                                                      \
	.cfa_kind = RULE_CFA_RSP_DEREF, .cfa_off = 160, .ra_kind = RULE_RA_RSP, .ra_off = 168,            \
	.rbp_kind = RULE_RBP_RSP, .rbp_off = 120, .flags = RULE_SIGNAL, .rbx_off = RULE_RBX_LOST

static void put_code(struct fixture *f, uint64_t at, const unsigned char *code, size_t size)
{
	memcpy(f->image.data + IMAGE_TEXT_OFFSET + at, code, size);
}

/* A section of the text: what image_add() makes lies behind it. */
static void name_code(struct fixture *f, const char *name, uint64_t at, uint64_t size)
{
	struct image_section *s = &f->image.section[f->image.n_sections++];

	*s = (struct image_section){ "", IMAGE_TEXT_OFFSET + at, size, SHT_PROGBITS, SHF_ALLOC };
	strcpy(s->name, name);
}

/* As RSP(8), in a child at the end of its stack. */
#define CLONE_RULE .cfa_kind = RULE_CFA_RSP, .cfa_off = 8, .flags = RULE_ZERO_ENDS

static void code_is_known(struct fixture *f, const unsigned char *code, size_t size, unsigned int want)
{
	fixture_init(f);
	put_code(f, 0x100, code, size);
	fixture_open(f);
	for (unsigned int i = 0xe0; i < 0x140; i++)
		if (i >= 0x100 && i < 0x100 + want)
			CHECK_RULE(f, i, CLONE_RULE);
		else
			CHECK_RULE(f, i, NO_RULE);
	fixture_close(f);
}

TEST(clone_keeps_its_frame_from_the_system_call_to_its_return)
{
	struct fixture f;

	code_is_known(&f, CODE(0x0f, 5, 0x48, 0x85, 0xc0, 0x7c, 0x13, 0x74, 1, 0xc3), 10);
	code_is_known(&f, CODE(0x0f, 5, 0x85, 0xc0, 0x7c, 0x13, 0x74, 1, 0xc3), 9);
	code_is_known(&f, CODE(0x0f, 5, 0x48, 0x85, 0xc0, 0x0f, 0x8c, 1, 2, 3, 4, 0x74, 1, 0xc3), 14);
	/* Any other system call; another register, another distance, no return. */
	code_is_known(&f, CODE(0x0f, 5, 0x48, 0x3d, 1, 0xf0, 0xff, 0xff, 0x73, 1, 0xc3), 0);
	code_is_known(&f, CODE(0x0f, 5, 0x48, 0x85, 0xc1, 0x7c, 0x13, 0x74, 1, 0xc3), 0);
	code_is_known(&f, CODE(0x0f, 5, 0x48, 0x85, 0xc0, 0x7c, 0x13, 0x74, 2, 0xc3), 0);
	code_is_known(&f, CODE(0x0f, 5, 0x48, 0x85, 0xc0, 0x7c, 0x13, 0x74, 1, 0xc2), 0);
}

/* The search goes in chunks; none hides it, wherever it is cut. */
TEST(clone_is_found_at_every_place)
{
	static const unsigned char clone[] = { 0x0f, 5, 0x48, 0x85, 0xc0, 0x7c, 0x13, 0x74, 1, 0xc3 };

	for (uint64_t at = 64; at < IMAGE_TEXT_SIZE - 200; at += at < 0xfe00 ? 509 : 1) {
		struct fixture f;

		fixture_init(&f);
		put_code(&f, at, clone, sizeof(clone));
		fixture_open(&f);
		CHECK_RULE(&f, at - 1, NO_RULE);
		CHECK_RULE(&f, at, CLONE_RULE);
		CHECK_RULE(&f, at + 9, CLONE_RULE);
		CHECK_RULE(&f, at + 10, NO_RULE);
		fixture_close(&f);
	}
}

TEST(tables_come_before_what_is_known)
{
	static const unsigned char clone[] = { 0x0f, 5, 0x48, 0x85, 0xc0, 0x7c, 0x13, 0x74, 1, 0xc3 };
	struct bytes b = { .size = 0 };
	struct fixture f;
	size_t cie = put_cie(&b, "", 0, PROGRAM(CIE_START));

	put_fde(&b, cie, 0, IMAGE_TEXT + 0x100, 4, PROGRAM(0x0e, 48));
	fixture_init(&f);
	put_code(&f, 0x100, clone, sizeof(clone));
	image_add(&f.image, ".eh_frame", SHF_ALLOC, b.data, b.size);
	fixture_open(&f);
	CHECK_RULE(&f, 0x103, RSP(48));
	CHECK_RULE(&f, 0x104, CLONE_RULE);
	CHECK_RULE(&f, 0x10a, NO_RULE);
	fixture_close(&f);
}

TEST(the_signal_restorer_is_a_signal_frame)
{
	struct fixture f;

	fixture_init(&f);
	put_code(&f, 0x100, CODE(0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 5));
	put_code(&f, 0x200, CODE(0xb8, 15, 0, 0, 0, 0x0f, 5));
	put_code(&f, 0x300, CODE(0xb8, 14, 0, 0, 0, 0x0f, 5));
	fixture_open(&f);
	/* A handler returns to its first byte: one before that is looked up. */
	for (unsigned int i = 0; i < 10; i++)
		CHECK_RULE(&f, 0xff + i, SIGNAL_RULE);
	for (unsigned int i = 0; i < 8; i++)
		CHECK_RULE(&f, 0x1ff + i, SIGNAL_RULE);
	CHECK_RULE(&f, 0xfe, NO_RULE);
	CHECK_RULE(&f, 0x109, NO_RULE);
	CHECK_RULE(&f, 0x207, NO_RULE);
	for (unsigned int i = 0; i < 8; i++)
		CHECK_RULE(&f, 0x2ff + i, NO_RULE);
	fixture_close(&f);
}

TEST(a_context_ends_before_and_in_the_code_that_leaves_it)
{
	struct fixture f;

	fixture_init(&f);
	put_code(&f, 0x100, CODE(0x48, 0x89, 0xdc, 0x48, 0x8b, 0x3c, 0x24, 0x48, 0x85, 0xff));
	put_code(&f, 0x200, CODE(0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x89, 0xdc, 0x48, 0x8b, 0x3c, 0x24, 0x48, 0x85, 0xff));
	put_code(&f, 0x300, CODE(0x48, 0x89, 0xdc, 0x48, 0x8b, 0x3c, 0x24, 0x48, 0x85, 0xfe));
	fixture_open(&f);
	for (unsigned int i = 0xf0; i < 0x320; i++)
		if ((i >= 0xff && i < 0x11a) || i == 0x1ff || (i >= 0x204 && i < 0x21e))
			CHECK_RULE(&f, i, OUTERMOST_RULE);
		else
			CHECK_RULE(&f, i, NO_RULE);
	fixture_close(&f);
}

#define CONTEXT_RULE                                                                                    \
	.cfa_kind = RULE_CFA_CONTEXT, .reg = 1, .cfa_off = 160, .rbp_off = 120, .rbx_off = RULE_RBX_LOST
#define CONTEXT_LOAD                                                                                    \
	0x48, 0x8b, 0xa2, 0xa0, 0, 0, 0, 0x48, 0x8b, 0x9a, 0x80, 0, 0, 0, 0x48, 0x8b, 0x6a, 0x78, 0x4c, \
	0x8b, 0x62, 0x48, 0x4c, 0x8b, 0x6a, 0x50, 0x4c, 0x8b, 0x72, 0x58, 0x4c, 0x8b, 0x7a, 0x60
#define CONTEXT_PUSH 0x48, 0x8b, 0x8a, 0xa8, 0, 0, 0, 0x51, 0x48, 0x8b, 0x7a, 0x68, 0x48, 0x8b, 0x72, 0x70

/* From behind the load of rsp up to the push, against a table that says otherwise. */
static void context_is_known(const unsigned char *code, size_t size, unsigned int from, unsigned int to)
{
	struct bytes b = { .size = 0 };
	struct fixture f;
	size_t cie = put_cie(&b, "", 0, PROGRAM(CIE_START));

	put_fde(&b, cie, 0, IMAGE_TEXT + 0x100, 0x80, (const unsigned char *)"", 0);
	fixture_init(&f);
	put_code(&f, 0x100, code, size);
	image_add(&f.image, ".eh_frame", SHF_ALLOC, b.data, b.size);
	fixture_open(&f);
	for (unsigned int i = 0; i < 0x80; i++)
		if (i >= from && i < to)
			CHECK_RULE(&f, 0x100 + i, CONTEXT_RULE);
		else
			CHECK_RULE(&f, 0x100 + i, RSP(8));
	fixture_close(&f);
}

TEST(the_switch_to_a_context_is_not_what_its_table_says)
{
	context_is_known(CODE(CONTEXT_LOAD, CONTEXT_PUSH), 7, 42);
	/* Libraries that know shadow stacks ask for them in between. */
	context_is_known(CODE(CONTEXT_LOAD, 0x64, 0xf7, 4, 0x25, 0x48, 0, 0, 0, 2, 0, 0, 0, 0x0f, 0x84), 7, 47);
	context_is_known(CODE(0x90, CONTEXT_PUSH), 1, 9);
	/* Another register; something else behind the push. */
	context_is_known(CODE(0x48, 0x8b, 0xa1, 0xa0, 0, 0, 0), 0, 0);
	context_is_known(CODE(0x48, 0x8b, 0x8a, 0xa8, 0, 0, 0, 0x51, 0x90), 0, 0);
}

/* A program without entry point, as most libraries: not searched, but by its name. */
TEST(only_c_libraries_and_static_programs_are_searched)
{
	static const unsigned char clone[] = { 0x0f, 5, 0x48, 0x85, 0xc0, 0x7c, 0x13, 0x74, 1, 0xc3 };
	static const struct {
		const char *name;
		bool searched;
	} way[] = { { "libc.so.6", true }, { "libc.musl-x86_64.so.1", true }, { "libpthread.so.0", true },
		    { "libcrypto.so.3", false }, { "", false } };

	for (size_t i = 0; i < sizeof(way) / sizeof(*way); i++) {
		Elf64_Dyn dynamic[] = { { .d_tag = DT_HASH }, { .d_tag = DT_SONAME, .d_un.d_val = 1 }, { .d_tag = DT_NULL } };
		char strings[40] = "";
		struct fixture f;

		strcpy(strings + 1, way[i].name);
		fixture_init(&f);
		f.image.entry = 0;
		put_code(&f, 0x100, clone, sizeof(clone));
		image_add(&f.image, ".dynamic", SHF_ALLOC, dynamic, sizeof(dynamic));
		image_add(&f.image, ".dynstr", SHF_ALLOC, strings, strlen(way[i].name) + 2);
		fixture_open(&f);
		CHECK(rule_at(&f, 0x100).cfa_kind == (way[i].searched ? RULE_CFA_RSP : RULE_CFA_NONE));
		fixture_close(&f);
	}
}

TEST(stubs_have_rules)
{
	struct fixture f;

	fixture_init(&f);
	put_code(&f, 0x100, CODE(0xff, 0x35, 1, 2, 3, 4, 0xff, 0x25, 1, 2, 3, 4, 0x0f, 0x1f, 0x40, 0,
				 0xff, 0x25, 1, 2, 3, 4, 0x68, 0, 0, 0, 0, 0xe9, 1, 2, 3, 4,
				 0xff, 0x25, 1, 2, 3, 4, 0x68, 1, 0, 0, 0, 0xe9, 1, 2, 3, 4,
				 0xf3, 0x0f, 0x1e, 0xfa, 0x68, 0, 0, 0, 0, 0xe9, 1, 2, 3, 4, 0x66, 0x90,
				 0xff, 0x25, 1, 2, 3, 4, 0x69, 1, 0, 0, 0, 0xe9, 1, 2, 3, 4));
	name_code(&f, ".plt", 0x100, 0x50);
	/* Linkers do not align stubs that push nothing. */
	put_code(&f, 0x208, CODE(0xff, 0x25, 1, 2, 3, 4, 0x66, 0x90, 0xff, 0x25, 5, 6, 7, 8, 0x66, 0x90));
	name_code(&f, ".plt.got", 0x208, 16);
	put_code(&f, 0x300, CODE(0xf3, 0x0f, 0x1e, 0xfa, 0xff, 0x25, 1, 2, 3, 4, 0x66, 0x0f, 0x1f, 0x44, 0, 0,
				 0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 1, 2, 3, 4, 0x0f, 0x1f, 0x44, 0, 0));
	name_code(&f, ".plt.sec", 0x300, 32);
	/* The rule of lazy stubs goes by the address: nothing is said of others. */
	put_code(&f, 0x408, CODE(0xff, 0x25, 1, 2, 3, 4, 0x68, 0, 0, 0, 0, 0xe9, 1, 2, 3, 4));
	name_code(&f, ".iplt", 0x408, 16);
	fixture_open(&f);
	for (unsigned int i = 0; i < 0x50; i++)
		if (i < 16)
			CHECK_RULE(&f, 0x100 + i, RSP(i < 6 ? 16 : 24));
		else if (i < 0x40)
			CHECK_RULE(&f, 0x100 + i, LAZY(i < 0x30 ? 11 : 9));
		else
			CHECK_RULE(&f, 0x100 + i, NO_RULE);
	for (unsigned int i = 0; i < 32; i++) {
		CHECK_RULE(&f, 0x200 + i, .cfa_kind = i >= 8 && i < 24 ? RULE_CFA_RSP : RULE_CFA_NONE,
			   .cfa_off = i >= 8 && i < 24 ? 8 : 0);
		CHECK_RULE(&f, 0x300 + i, RSP(8));
		CHECK_RULE(&f, 0x400 + i, NO_RULE);
	}
	fixture_close(&f);
}

/* frame_dummy, which jumps to a function at 0x180 that ends with two different returns. */
static const unsigned char frame_dummy[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0xe9, 0x77, 0, 0, 0 };
static const unsigned char two_ends[] = {
	0x80, 0x3d, 1, 2, 3, 4, 0,	/* cmpb $0, x(%rip) */
	0x75, 8,			/* jne to the last ret */
	0x55, 0x48, 0x89, 0xe5,		/* push %rbp; mov %rsp, %rbp */
	0x5d, 0xc3, 0x0f, 0x1f,		/* pop %rbp; ret; not run */
	0xc3,
};

static void open_array(struct fixture *f, const unsigned char *code, size_t size, bool relocated)
{
	uint64_t first = IMAGE_TEXT + 0x100;
	Elf64_Rela rela[4] = { { 8, R_X86_64_RELATIVE, 1 }, { 16, R_X86_64_RELATIVE, 2 } };

	fixture_init(f);
	put_code(f, 0x100, frame_dummy, sizeof(frame_dummy));
	put_code(f, 0x180, code, size);
	rela[2] = (Elf64_Rela){ image_next_vaddr(&f->image), R_X86_64_RELATIVE, (int64_t)first };
	rela[3] = (Elf64_Rela){ 8, R_X86_64_GLOB_DAT, 0 };
	if (relocated)
		first = 0;
	image_add(&f->image, ".init_array", SHF_ALLOC, &first, sizeof(first));
	image_add(&f->image, ".rela.dyn", SHF_ALLOC, rela, sizeof(rela));
	fixture_open(f);
}

TEST(frames_of_crtbegin_are_read_off_its_instructions)
{
	for (int relocated = 0; relocated < 2; relocated++) {
		struct fixture f;

		open_array(&f, two_ends, sizeof(two_ends), relocated);
		for (unsigned int i = 0; i < 16; i++) {
			if (i < sizeof(frame_dummy))
				CHECK_RULE(&f, 0x100 + i, RSP(8));
			else
				CHECK_RULE(&f, 0x100 + i, NO_RULE);
		}
		for (unsigned int i = 0; i < 20; i++)
			if (i >= 10 && i < 14)
				CHECK_RULE(&f, 0x180 + i, RSP(16), SAVED(-16));
			else if (i == 15 || i == 16 || i > 17)
				CHECK_RULE(&f, 0x180 + i, NO_RULE);
			else
				CHECK_RULE(&f, 0x180 + i, RSP(8));
		fixture_close(&f);
	}
}

/* One byte changed: an unknown instruction, a branch backwards, into one, or to another depth, no pop. */
TEST(nothing_is_said_of_functions_that_are_not_understood)
{
	static const struct {
		unsigned char at, value;
	} way[] = { { 0, 0x81 }, { 8, 0x80 }, { 8, 2 }, { 8, 4 }, { 8, 0xff }, { 9, 0x90 }, { 13, 0x90 }, { 9, 0x53 },
		    { 12, 0xe4 }, { 14, 0x55 } };

	for (size_t i = 0; i < sizeof(way) / sizeof(*way); i++) {
		unsigned char code[sizeof(two_ends)];
		struct fixture f;

		memcpy(code, two_ends, sizeof(code));
		code[way[i].at] = way[i].value;
		open_array(&f, code, sizeof(code), false);
		CHECK_RULE(&f, 0x100, RSP(8));
		for (unsigned int k = 0; k < sizeof(code); k++)
			CHECK_RULE(&f, 0x180 + k, NO_RULE);
		fixture_close(&f);
	}
}

static unsigned char file_data[16u << 20];

/* Calls check() at every place in a real file where the bytes are; how many there are. */
static unsigned int at_bytes(const char *path, const unsigned char *bytes, size_t n_bytes,
			     void (*check)(struct unwind_table *table, const unsigned char *at))
{
	struct unwind_table *table;
	struct elf_file *file;
	FILE *f = fopen(path, "r");
	unsigned int n = 0;
	size_t size;

	if (!f)
		SKIP(path);
	size = fread(file_data, 1, sizeof(file_data) - 16, f);
	fclose(f);
	CHECK_OK(elf_file_open(path, &file));
	CHECK_OK(unwind_table_open(file, &table));
	for (size_t i = 0; i + n_bytes <= size; i++) {
		if (memcmp(file_data + i, bytes, n_bytes))
			continue;
		n++;
		check(table, file_data + i);
	}
	unwind_table_close(table);
	elf_file_close(file);
	return n;
}

static void check_clone(struct unwind_table *table, const unsigned char *at)
{
	uint64_t offset = (uint64_t)(at - file_data), end = offset;

	while (file_data[end] != 0xc3)
		end++;
	for (; offset <= end; offset++) {
		struct unwind_rule have = unwind_table_rule(table, offset), want = { CLONE_RULE };

		CHECK(!memcmp(&have, &want, sizeof(want)));
	}
	/* Behind it the child begins, of which the library says so itself. */
	CHECK(unwind_table_rule(table, offset).cfa_kind == RULE_CFA_OUTERMOST);
}

static void check_restorer(struct unwind_table *table, const unsigned char *at)
{
	const struct unwind_rule want = { SIGNAL_RULE };

	for (int i = -1; i < 9; i++) {
		struct unwind_rule have = unwind_table_rule(table, (uint64_t)(at - file_data + i));

		CHECK(!memcmp(&have, &want, sizeof(want)));
	}
}

static const unsigned char test_and_jump[] = { 0x0f, 5, 0x48, 0x85, 0xc0, 0x7c };

TEST(the_c_library_s_clone_is_known)
{
	char path[4096];

	if (!seed_c_library(path, sizeof(path)))
		SKIP("no C library");
	if (!at_bytes(path, test_and_jump, sizeof(test_and_jump), check_clone))
		SKIP("this C library is another one");
}

TEST(a_static_program_s_clone_is_known)
{
	const char *path = getenv("STATIC_THREADS");

	if (!path)
		SKIP("no static program");
	if (!at_bytes(path, test_and_jump, sizeof(test_and_jump), check_clone))
		SKIP("this C library is another one");
}

static void check_context(struct unwind_table *table, const unsigned char *at)
{
	static const struct unwind_rule want = { CONTEXT_RULE };
	uint64_t offset = (uint64_t)(at - file_data) + 7;

	for (unsigned int i = 0; i < 27; i++) {
		struct unwind_rule have = unwind_table_rule(table, offset + i);

		CHECK(!memcmp(&have, &want, sizeof(want)));
	}
}

TEST(the_c_library_s_switch_of_contexts_is_known)
{
	static const unsigned char load[] = { CONTEXT_LOAD };
	char path[4096];

	if (!seed_c_library(path, sizeof(path)))
		SKIP("no C library");
	if (!at_bytes(path, load, sizeof(load), check_context))
		SKIP("this C library is another one");
}

TEST(musl_s_signal_restorer_is_known)
{
	CHECK(at_bytes("/lib/ld-musl-x86_64.so.1", CODE(0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 5), check_restorer) == 1);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
