/* SPDX-License-Identifier: MIT */
/* Finding functions: entry layouts, pointer encodings, the search table, sources and their precedence. */
#include "seeds.h"
#include "table_fixture.h"

#include "unwind/cursor.h"

static const unsigned char to_rsp_16[] = { 0x0e, 16 };

TEST(augmentations)
{
	static const char *const letters[] = { "zR", "zPLR", "zRS", "zPLRB", "zRSB", "zL", "" };

	for (size_t i = 0; i < sizeof(letters) / sizeof(*letters); i++) {
		struct bytes b = { .size = 0 };
		struct fixture f;
		size_t cie = put_cie(&b, letters[i], POINTER_ABSPTR, PROGRAM(CIE_START));

		put_fde(&b, cie, letters[i][0] == 'z', IMAGE_TEXT, 64, to_rsp_16, sizeof(to_rsp_16));
		fixture_eh_frame(&f, &b);
		CHECK_RULE(&f, 0, RSP(16), .flags = strchr(letters[i], 'S') ? RULE_SIGNAL : 0);
		fixture_close(&f);
	}
}

TEST(unknown_augmentations)
{
	/* The length that "z" gives lets a reader go on; without it nothing is known. */
	static const struct {
		const char *letters;
		int known;
	} way[] = { { "zRx", 1 }, { "zx", 1 }, { "x", 0 }, { "eh", 0 } };

	for (size_t i = 0; i < sizeof(way) / sizeof(*way); i++) {
		struct bytes b = { .size = 0 };
		struct fixture f;
		size_t cie = put_cie(&b, way[i].letters, POINTER_ABSPTR, PROGRAM(CIE_START));

		put_fde(&b, cie, way[i].letters[0] == 'z', IMAGE_TEXT, 64, to_rsp_16, sizeof(to_rsp_16));
		fixture_eh_frame(&f, &b);
		CHECK(rule_at(&f, 0).cfa_kind == (way[i].known ? RULE_CFA_RSP : RULE_CFA_NONE));
		fixture_close(&f);
	}
}

/* An FDE whose pointers have another encoding than eight absolute bytes. */
static void put_encoded_fde(struct bytes *b, size_t cie, uint8_t encoding, uint64_t vaddr)
{
	size_t body = entry_begin(b);
	uint64_t start = IMAGE_TEXT;

	put_u32(b, (uint32_t)(body - cie));
	if ((encoding & POINTER_BASE_MASK) == POINTER_PCREL)
		start -= vaddr + b->size;
	for (int twice = 0; twice < 2; twice++) {
		switch (encoding & POINTER_FORMAT_MASK) {
		case POINTER_ULEB128: put_uleb(b, start); break;
		case POINTER_SLEB128: put_sleb(b, (int64_t)start); break;
		case POINTER_UDATA2: case POINTER_SDATA2: put_u16(b, (uint16_t)start); break;
		case POINTER_UDATA4: case POINTER_SDATA4: put_u32(b, (uint32_t)start); break;
		default: put_u64(b, start);
		}
		start = 64;
	}
	put_uleb(b, 0);
	put(b, to_rsp_16, sizeof(to_rsp_16));
	entry_end(b, body);
}

TEST(pointer_encodings)
{
	static const uint8_t good[] = {
		POINTER_ABSPTR, POINTER_UDATA8, POINTER_SDATA8, POINTER_UDATA4, POINTER_SDATA4, POINTER_ULEB128,
		POINTER_SLEB128, POINTER_PCREL | POINTER_SDATA4, POINTER_PCREL | POINTER_SDATA8,
		POINTER_PCREL | POINTER_ABSPTR, POINTER_PCREL | POINTER_SLEB128,
	};
	static const uint8_t bad[] = { 0x05, 0x0f, POINTER_INDIRECT | POINTER_UDATA8, 0x20, 0x40, 0x50, POINTER_OMIT };

	for (size_t i = 0; i < sizeof(good) + sizeof(bad); i++) {
		uint8_t encoding = i < sizeof(good) ? good[i] : bad[i - sizeof(good)];
		struct bytes b = { .size = 0 };
		struct fixture f;
		size_t cie = put_cie(&b, "zR", encoding, PROGRAM(CIE_START));

		put_encoded_fde(&b, cie, encoding, IMAGE_DATA);
		fixture_eh_frame(&f, &b);
		if (i < sizeof(good))
			CHECK_RULE(&f, 63, RSP(16));
		else
			CHECK_RULE(&f, 63, NO_RULE);
		CHECK_U64(bad_fdes(&f), i >= sizeof(good));
		fixture_close(&f);
	}
}

TEST(rows_cover_the_range_exactly_and_merge)
{
	struct bytes b = { .size = 0 };
	unwind_rows rows = {0};
	struct fixture f;
	size_t cie = put_cie(&b, "", 0, PROGRAM(CIE_START));

	put_fde(&b, cie, 0, IMAGE_TEXT + 64, 16, PROGRAM(0x41, 0x0e, 16, 0x44, 0x86, 2));
	put_fde(&b, cie, 0, IMAGE_TEXT + 16, 32, PROGRAM(0x44, 0x86, 2, 0x44, 0xc6));
	put_fde(&b, cie, 0, IMAGE_TEXT + 80, 16, PROGRAM(0x0e, 16, 0x86, 2));
	fixture_eh_frame(&f, &b);
	CHECK_OK(unwind_table_rows(f.table, IMAGE_TEXT_OFFSET + 8, IMAGE_TEXT_OFFSET + 200, &rows));
	static const uint64_t start[] = { 8, 16, 20, 24, 48, 64, 65, 69, 96 };

	CHECK_U64(rows.len, sizeof(start) / sizeof(*start));
	for (size_t i = 0; i < rows.len; i++)
		CHECK_U64(rows.data[i].start, IMAGE_TEXT_OFFSET + start[i]);
	/* Cut anywhere, the parts say the same. */
	for (uint64_t cut = 9; cut < 200; cut++) {
		unwind_rows part = {0};

		CHECK_OK(unwind_table_rows(f.table, IMAGE_TEXT_OFFSET + cut, IMAGE_TEXT_OFFSET + cut + 1, &part));
		CHECK_U64(part.len, 1);
		CHECK_U64(part.data[0].start, IMAGE_TEXT_OFFSET + cut);
		size_t i = rows.len - 1;

		while (rows.data[i].start > IMAGE_TEXT_OFFSET + cut)
			i--;
		CHECK(!memcmp(&part.data[0].rule, &rows.data[i].rule, sizeof(struct unwind_rule)));
		vec_free(&part);
	}
	/* Appended rows are not merged into what was there before. */
	CHECK_OK(unwind_table_rows(f.table, IMAGE_TEXT_OFFSET + 200, IMAGE_TEXT_OFFSET + 300, &rows));
	CHECK_U64(rows.len, sizeof(start) / sizeof(*start) + 1);
	CHECK_OK(unwind_table_rows(f.table, 500, 500, &rows));
	CHECK_U64(rows.len, sizeof(start) / sizeof(*start) + 1);
	vec_free(&rows);
	fixture_close(&f);
}

TEST(what_lies_outside_the_code_has_no_rule)
{
	struct bytes b = { .size = 0 };
	unwind_rows rows = {0};
	struct fixture f;
	size_t cie = put_cie(&b, "", 0, PROGRAM(CIE_START));

	put_fde(&b, cie, 0, IMAGE_TEXT, IMAGE_TEXT_SIZE, PROGRAM(0));
	put_fde(&b, cie, 0, 0, 64, PROGRAM(0));		/* dropped by the linker */
	fixture_eh_frame(&f, &b);
	CHECK_OK(unwind_table_rows(f.table, 0, UINT64_MAX, &rows));
	CHECK_U64(rows.len, 3);
	CHECK_U64(rows.data[1].start, IMAGE_TEXT_OFFSET);
	CHECK_U64(rows.data[2].start, IMAGE_TEXT_OFFSET + IMAGE_TEXT_SIZE);
	CHECK(rows.data[0].rule.cfa_kind == RULE_CFA_NONE && rows.data[2].rule.cfa_kind == RULE_CFA_NONE);
	CHECK_U64(bad_fdes(&f), 0);
	vec_free(&rows);
	fixture_close(&f);
}

/* Of functions that overlap, each ends where the next one starts. */
TEST(overlapping_functions)
{
	struct bytes b = { .size = 0 };
	struct fixture f;
	size_t cie = put_cie(&b, "", 0, PROGRAM(CIE_START));

	put_fde(&b, cie, 0, IMAGE_TEXT, 100, PROGRAM(0x0e, 16));
	put_fde(&b, cie, 0, IMAGE_TEXT + 40, 20, PROGRAM(0x0e, 24));
	fixture_eh_frame(&f, &b);
	CHECK_RULE(&f, 39, RSP(16));
	CHECK_RULE(&f, 40, RSP(24));
	CHECK_RULE(&f, 60, NO_RULE);
	fixture_close(&f);
}

TEST(corrupt_entries_are_counted_and_skipped)
{
	struct bytes b = { .size = 0 };
	struct fixture f;
	size_t cie = put_cie(&b, "", 0, PROGRAM(CIE_START)), at;

	put_fde(&b, cie, 0, IMAGE_TEXT, 0, PROGRAM(0));				/* empty */
	put_fde(&b, cie, 0, IMAGE_TEXT, UINT64_MAX, PROGRAM(0));		/* wraps around */
	at = put_fde(&b, cie, 0, IMAGE_TEXT, 16, PROGRAM(0));
	b.data[at + 4] = 0xff;							/* no CIE there */
	at = put_fde(&b, cie, 0, IMAGE_TEXT, 16, PROGRAM(0));
	memset(b.data + at + 4, 0xfe, 4);					/* a CIE before the section */
	put_fde(&b, cie, 0, IMAGE_TEXT + 16, 16, to_rsp_16, sizeof(to_rsp_16));
	at = put_fde(&b, cie, 0, IMAGE_TEXT + 32, 16, PROGRAM(0));
	b.data[at] = 0xff;							/* longer than the section */
	fixture_eh_frame(&f, &b);
	CHECK_U64(bad_fdes(&f), 4);
	CHECK_RULE(&f, 0, NO_RULE);
	CHECK_RULE(&f, 16, RSP(16));
	CHECK_RULE(&f, 32, NO_RULE);
	fixture_close(&f);
}

TEST(bad_cies)
{
	/* Offsets into a CIE without augmentation: version, alignment, return address column. */
	static const struct {
		size_t at;
		unsigned char value;
	} poke[] = { { 8, 2 }, { 8, 5 }, { 12, 17 }, { 9, 'x' } };

	for (size_t i = 0; i < sizeof(poke) / sizeof(*poke); i++) {
		struct bytes b = { .size = 0 };
		struct fixture f;
		size_t cie = put_cie(&b, "", 0, PROGRAM(CIE_START));

		put_fde(&b, cie, 0, IMAGE_TEXT, 64, PROGRAM(0));
		b.data[poke[i].at] = poke[i].value;
		fixture_eh_frame(&f, &b);
		CHECK_RULE(&f, 0, NO_RULE);
		CHECK(bad_fdes(&f) >= 1);
		fixture_close(&f);
	}
}

/* Two functions and a search table that may be spoilt: entries are (start, FDE). */
struct searched {
	struct fixture f;
	int32_t entry[2][2];
	uint8_t table_encoding;
	uint32_t count;
};

static void searched_open(struct searched *s, void (*spoil)(struct searched *))
{
	struct bytes b = { .size = 0 }, h = { .size = 0 };
	size_t cie = put_cie(&b, "", 0, PROGRAM(CIE_START)), fde[2];
	uint64_t header;

	fde[0] = put_fde(&b, cie, 0, IMAGE_TEXT, 64, PROGRAM(0x0e, 16));
	fde[1] = put_fde(&b, cie, 0, IMAGE_TEXT + 64, 64, PROGRAM(0x0e, 24));
	fixture_init(&s->f);
	image_add(&s->f.image, ".eh_frame", SHF_ALLOC, b.data, b.size);
	header = image_next_vaddr(&s->f.image);
	for (int i = 0; i < 2; i++) {
		s->entry[i][0] = (int32_t)(IMAGE_TEXT + 64 * (unsigned int)i - header);
		s->entry[i][1] = (int32_t)(IMAGE_DATA + fde[i] - header);
	}
	s->table_encoding = POINTER_DATAREL | POINTER_SDATA4;
	s->count = 2;
	if (spoil)
		spoil(s);
	put_u8(&h, 1);
	put_u8(&h, POINTER_PCREL | POINTER_SDATA4);
	put_u8(&h, POINTER_UDATA4);
	put_u8(&h, s->table_encoding);
	put_u32(&h, (uint32_t)(IMAGE_DATA - (header + 4)));
	put_u32(&h, s->count);
	put(&h, s->entry, sizeof(s->entry));
	image_add(&s->f.image, ".eh_frame_hdr", SHF_ALLOC, h.data, h.size);
	fixture_open(&s->f);
}

/* Leaving out the second function shows that the table is what is used. */
static void one_entry(struct searched *s)
{
	s->count = 1;
}

static void unsorted(struct searched *s)
{
	int32_t first[2];

	memcpy(first, s->entry[0], sizeof(first));
	memcpy(s->entry[0], s->entry[1], sizeof(first));
	memcpy(s->entry[1], first, sizeof(first));
}

static void other_encoding(struct searched *s)
{
	s->table_encoding = POINTER_DATAREL | POINTER_UDATA4;
}

static void too_many(struct searched *s)
{
	s->count = 0x20000000;
}

static void wrong_fde(struct searched *s)
{
	s->entry[1][1] = s->entry[0][1];
}

static void outside(struct searched *s)
{
	s->entry[1][1] = INT32_MAX;
}

TEST(the_search_table_is_used)
{
	struct searched s;

	searched_open(&s, one_entry);
	CHECK_RULE(&s.f, 63, RSP(16));
	CHECK_RULE(&s.f, 64, NO_RULE);
	fixture_close(&s.f);
	searched_open(&s, NULL);
	CHECK_RULE(&s.f, 64, RSP(24));
	fixture_close(&s.f);
}

TEST(a_search_table_that_cannot_be_used_is_rebuilt)
{
	static void (*const spoil[])(struct searched *) = { unsorted, other_encoding, too_many };

	for (size_t i = 0; i < sizeof(spoil) / sizeof(*spoil); i++) {
		struct searched s;

		searched_open(&s, spoil[i]);
		CHECK_RULE(&s.f, 63, RSP(16));
		CHECK_RULE(&s.f, 64, RSP(24));
		CHECK_U64(bad_fdes(&s.f), 0);
		fixture_close(&s.f);
	}
}

TEST(a_lying_search_table_gives_no_wrong_rule)
{
	static void (*const spoil[])(struct searched *) = { wrong_fde, outside };

	for (size_t i = 0; i < sizeof(spoil) / sizeof(*spoil); i++) {
		struct searched s;

		searched_open(&s, spoil[i]);
		CHECK_RULE(&s.f, 63, RSP(16));
		CHECK_RULE(&s.f, 64, NO_RULE);
		CHECK(bad_fdes(&s.f) >= 1);
		fixture_close(&s.f);
	}
}

/* A CIE and an FDE as .debug_frame has them: version 4, offsets from the section's start. */
static void put_debug_frame(struct bytes *b, bool wide, uint64_t start, const unsigned char *program, size_t size)
{
	size_t cie = b->size, body, header = wide ? 12 : 4;

	for (int fde = 0; fde < 2; fde++) {
		if (wide)
			put_u32(b, UINT32_MAX);
		body = entry_begin(b);
		if (wide)
			put_u32(b, 0);
		if (wide)
			put_u64(b, fde ? cie : UINT64_MAX);
		else
			put_u32(b, fde ? (uint32_t)cie : UINT32_MAX);
		if (fde) {
			put_u64(b, start);
			put_u64(b, 64);
			put(b, program, size);
		} else {
			put(b, (const unsigned char[]){ 4, 0, 8, 0, 1, 0x78, 16, CIE_START }, 12);
		}
		while (b->size % 8)
			put_u8(b, 0);
		uint32_t length = (uint32_t)(b->size - body - (header - 4) / 2);

		memcpy(b->data + body - 4, &length, 4);
	}
}

TEST(debug_frame_fills_what_eh_frame_leaves)
{
	for (int wide = 0; wide < 2; wide++) {
		struct bytes b = { .size = 0 }, d = { .size = 0 };
		struct fixture f;
		size_t cie = put_cie(&b, "", 0, PROGRAM(CIE_START));

		put_fde(&b, cie, 0, IMAGE_TEXT, 64, PROGRAM(0x0e, 16));
		put_debug_frame(&d, wide, IMAGE_TEXT + 32, PROGRAM(0x0e, 24));
		fixture_init(&f);
		image_add(&f.image, ".eh_frame", SHF_ALLOC, b.data, b.size);
		image_add(&f.image, ".debug_frame", 0, d.data, d.size);
		fixture_open(&f);
		CHECK_RULE(&f, 40, RSP(16));
		CHECK_RULE(&f, 64, RSP(24));
		CHECK_RULE(&f, 96, NO_RULE);
		CHECK_U64(bad_fdes(&f), 0);
		fixture_close(&f);
	}
}

TEST(the_entry_point_is_outermost_unless_the_file_says_otherwise)
{
	struct bytes b = { .size = 0 };
	struct fixture f;
	size_t cie = put_cie(&b, "", 0, PROGRAM(CIE_START));

	put_fde(&b, cie, 0, IMAGE_TEXT + 0x140, 16, PROGRAM(0));
	fixture_init(&f);
	f.image.entry = IMAGE_TEXT + 0x120;
	image_add(&f.image, ".eh_frame", SHF_ALLOC, b.data, b.size);
	fixture_open(&f);
	CHECK_RULE(&f, 0x11f, NO_RULE);
	CHECK_RULE(&f, 0x120, OUTERMOST_RULE);
	CHECK_RULE(&f, 0x13f, OUTERMOST_RULE);
	CHECK_RULE(&f, 0x140, RSP(8));
	CHECK_RULE(&f, 0x160, NO_RULE);
	fixture_close(&f);

	fixture_init(&f);
	f.image.entry = IMAGE_TEXT + 0x148;
	image_add(&f.image, ".eh_frame", SHF_ALLOC, b.data, b.size);
	fixture_open(&f);
	CHECK_RULE(&f, 0x148, RSP(8));
	CHECK_RULE(&f, 0x150, NO_RULE);
	fixture_close(&f);
}

/* The linker's pieces around one frame of eight bytes, with and without a landing pad; and something else. */
TEST(start_up_code_has_rules)
{
	static const unsigned char fini[] = { 0x48, 0x83, 0xec, 8, 0x48, 0x83, 0xc4, 8, 0xc3 };
	static const unsigned char init[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x83, 0xec, 8, 0x90, 0x48, 0x83, 0xc4, 8, 0xc3 };
	struct fixture f;

	for (int other = 0; other < 2; other++) {
		fixture_init(&f);
		/* Sections of the text: what image_add() makes lies behind it. */
		memcpy(f.image.data + IMAGE_TEXT_OFFSET, init, sizeof(init));
		memcpy(f.image.data + IMAGE_TEXT_OFFSET + 32, fini, sizeof(fini));
		f.image.data[IMAGE_TEXT_OFFSET + 32 + sizeof(fini) - 1] = other ? 0xcc : 0xc3;
		f.image.section[0] = (struct image_section){ ".init", IMAGE_TEXT_OFFSET, sizeof(init), SHT_PROGBITS,
							     SHF_ALLOC };
		f.image.section[1] = (struct image_section){ ".fini", IMAGE_TEXT_OFFSET + 32, sizeof(fini),
							     SHT_PROGBITS, SHF_ALLOC };
		f.image.n_sections = 2;
		fixture_open(&f);
		CHECK_RULE(&f, 0, RSP(8));
		CHECK_RULE(&f, 7, RSP(8));
		CHECK_RULE(&f, 8, RSP(16));
		CHECK_RULE(&f, 12, RSP(16));
		CHECK_RULE(&f, 13, RSP(8));
		CHECK_RULE(&f, 14, NO_RULE);
		if (other) {
			CHECK_RULE(&f, 32, NO_RULE);
		} else {
			CHECK_RULE(&f, 32, RSP(8));
			CHECK_RULE(&f, 36, RSP(16));
			CHECK_RULE(&f, 40, RSP(8));
		}
		CHECK_RULE(&f, 41, NO_RULE);
		fixture_close(&f);
	}
}

/* Three functions of 64 bytes: one with a frame, the end of a stack, the signal restorer. */
TEST(go_programs_have_a_table_of_their_own)
{
	static const char *const names[] = { ".gopclntab", ".data.rel.ro.gopclntab" };
	struct bytes b;

	seed_gopclntab(&b);
	for (int i = 0; i < 2; i++) {
		struct fixture f;

		fixture_init(&f);
		image_add(&f.image, names[i], SHF_ALLOC, b.data, b.size);
		fixture_open(&f);
		CHECK_RULE(&f, 3, RSP(8), NO_RBX);
		CHECK_RULE(&f, 4, RSP(32), SAVED(-16), NO_RBX);
		CHECK_RULE(&f, 53, RSP(32), SAVED(-16), NO_RBX);
		CHECK_RULE(&f, 63, RSP(8), NO_RBX);
		CHECK_RULE(&f, 64, OUTERMOST_RULE);
		CHECK_RULE(&f, 126, OUTERMOST_RULE);
		/* A handler returns to the restorer's first byte: one before it is looked up. */
		for (uint64_t at = 127; at < 192; at++)
			CHECK_RULE(&f, at, .cfa_kind = RULE_CFA_RSP_DEREF, .cfa_off = 160,
				   .ra_kind = RULE_RA_RSP, .ra_off = 168, .rbp_kind = RULE_RBP_RSP,
				   .rbp_off = 120, .flags = RULE_SIGNAL, NO_RBX);
		CHECK_RULE(&f, 192, NO_RULE);
		fixture_close(&f);
	}
}

TEST(go_comes_before_what_its_cfi_says)
{
	struct bytes go, frame = { .size = 0 };
	struct fixture f;
	size_t cie = put_cie(&frame, "", 0, PROGRAM(CIE_START));

	put_fde(&frame, cie, 0, IMAGE_TEXT, 192, PROGRAM(0x0e, 120));
	put_fde(&frame, cie, 0, IMAGE_TEXT + 192, 64, PROGRAM(0x0e, 112));
	seed_gopclntab(&go);
	fixture_init(&f);
	image_add(&f.image, ".gopclntab", SHF_ALLOC, go.data, go.size);
	image_add(&f.image, ".eh_frame", SHF_ALLOC, frame.data, frame.size);
	fixture_open(&f);
	CHECK_RULE(&f, 63, RSP(8), NO_RBX);
	CHECK_RULE(&f, 64, OUTERMOST_RULE);
	CHECK_RULE(&f, 192, RSP(112));
	fixture_close(&f);
}

static void rows_of(const void *image, size_t size, unwind_rows *rows)
{
	struct unwind_table_info info;
	struct unwind_table *table;
	struct elf_file *file;

	CHECK_OK(elf_file_open_memory(image, size, "image", &file));
	CHECK_OK(unwind_table_open(file, &table));
	unwind_table_info(table, &info);
	CHECK_OK(unwind_table_rows(table, info.text_start, info.text_end, rows));
	unwind_table_close(table);
	elf_file_close(file);
}

TEST(section_headers_are_not_needed)
{
	unwind_rows with = {0}, without = {0};
	FILE *self = fopen("/proc/self/exe", "r");
	unsigned char *image = malloc(16u << 20);
	Elf64_Ehdr *eh = (Elf64_Ehdr *)image;
	size_t size;

	CHECK(self && image);
	size = fread(image, 1, 16u << 20, self);
	CHECK(size > sizeof(*eh) && size < 16u << 20);
	rows_of(image, size, &with);
	eh->e_shoff = 0;
	eh->e_shnum = 0;
	eh->e_shstrndx = 0;
	rows_of(image, size, &without);
	CHECK(without.len > 10);
	/* Only code known by its bytes needs the headers: what is known without them is what is known with them. */
	for (size_t i = 0, k = 0; i < without.len; i++) {
		if (without.data[i].rule.cfa_kind == RULE_CFA_NONE)
			continue;
		while (k < with.len && with.data[k].start < without.data[i].start)
			k++;
		CHECK(k < with.len && !memcmp(&with.data[k], &without.data[i], sizeof(*with.data)));
	}
	CHECK(with.len - without.len <= 40);
	fclose(self);
	free(image);
	vec_free(&with);
	vec_free(&without);
}

TEST(a_file_without_any_information_opens)
{
	struct unwind_table_info info;
	struct fixture f;

	fixture_init(&f);
	f.image.entry = 0;
	fixture_open(&f);
	CHECK_RULE(&f, 0, NO_RULE);
	unwind_table_info(f.table, &info);
	CHECK(info.n_fdes == 0 && info.n_bad_fdes == 0);
	CHECK_U64(info.text_start, IMAGE_TEXT_OFFSET);
	CHECK_U64(info.text_end, IMAGE_TEXT_OFFSET + IMAGE_TEXT_SIZE);
	fixture_close(&f);
}

/* One short FDE per byte of text, each with the same long CIE program: time is bounded, not the file's choice. */
TEST(the_work_for_one_call_is_bounded)
{
	static unsigned char eh_frame[0x10000 * 40 + 0x10000 * 2];
	unsigned char *program = calloc(1, 0x10000);
	unwind_rows rows = {0};
	struct fixture f;
	size_t at = 0;
	uint32_t word;

	word = 17 + 0x10000 - 4;
	memcpy(eh_frame + at, &word, 4);
	memcpy(eh_frame + 8, "\1\0\1\x78\x10\x0c\7\x08\x90\1", 10);
	at = 4 + word;
	for (uint64_t i = 0; i < IMAGE_TEXT_SIZE; i++) {
		uint64_t start = IMAGE_TEXT + i, length = 1;

		word = 4 + 16;
		memcpy(eh_frame + at, &word, 4);
		word = (uint32_t)at + 4;
		memcpy(eh_frame + at + 4, &word, 4);
		memcpy(eh_frame + at + 8, &start, 8);
		memcpy(eh_frame + at + 16, &length, 8);
		at += 24;
	}
	fixture_init(&f);
	image_add(&f.image, ".eh_frame", SHF_ALLOC, eh_frame, at);
	fixture_open(&f);
	CHECK_OK(unwind_table_rows(f.table, 0, UINT64_MAX, &rows));
	CHECK(bad_fdes(&f) > 1000);
	CHECK(rows.len <= IMAGE_TEXT_SIZE + 2);
	vec_free(&rows);
	free(program);
	fixture_close(&f);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}
