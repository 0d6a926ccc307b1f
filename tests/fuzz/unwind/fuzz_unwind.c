/* SPDX-License-Identifier: MIT */
/*
 * Damaged unwind tables: any bytes must give rows that cover what was asked
 * for, in order, the same ones however the range is cut, and an end of every step.
 *
 * LLVMFuzzerTestOneInput() takes a byte that names a section and the bytes of
 * that section.  Without libFuzzer the program drives itself: mutations, by a
 * generator with a fixed seed, of sections made to have everything and of the C library.
 */
#include "cfi_bytes.h"
#include "elf_image.h"
#include "rule_eval.h"
#include "seeds.h"

#include "unwind/table.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(cond)                                                            \
	do {                                                                     \
		if (!(cond)) {                                                   \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                 \
		}                                                                \
	} while (0)

static void require_ok(struct error *err)
{
	if (err) {
		fprintf(stderr, "%s\n", err->text);
		abort();
	}
}

static void check_rule(const struct unwind_rule *rule)
{
	REQUIRE(rule->cfa_kind <= RULE_CFA_COMPLEX && rule->cfa_kind != RULE_CFA_FP);
	REQUIRE(rule->ra_kind <= RULE_RA_REG && rule->rbp_kind <= RULE_RBP_LOST);
	REQUIRE(rule->flags <= (RULE_SIGNAL | RULE_ZERO_ENDS));
	if (rule->cfa_kind == RULE_CFA_REG || rule->cfa_kind == RULE_CFA_RSP_INDEX_DEREF ||
	    rule->cfa_kind == RULE_CFA_CONTEXT)
		REQUIRE(rule->ra_kind == RULE_RA_CFA && rule->reg >= 0 && rule->reg < UNWIND_N_REGS);
	if (rule->ra_kind == RULE_RA_REG)
		REQUIRE(rule->cfa_kind == RULE_CFA_RSP && rule->reg >= 0 && rule->reg < UNWIND_N_REGS);
}

/* Where memory of the fake target ends: one address in sixteen is unreadable. */
static bool sparse_read(void *arg, uint64_t address, uint64_t *ret)
{
	*ret = fake_word(address);
	return *ret & 15;
}

static void check_step(struct unwind_table *table, uint64_t offset, const struct unwind_rule *rule)
{
	struct unwind_regs regs = fake_regs(offset, offset);
	struct evaluated want;
	bool signal, outermost, compact = rule_eval(rule, &regs, &want);
	enum reason reason = unwind_step_full(table, offset, &regs, fake_read, NULL, &signal, &outermost);

	if (compact)
		REQUIRE(reason == REASON_NONE && !outermost && regs.value[UNWIND_RSP] == want.cfa &&
			regs.value[UNWIND_RIP] == want.ra);
	if (rule->cfa_kind == RULE_CFA_OUTERMOST)
		REQUIRE(outermost);
	regs = fake_regs(offset, offset);
	regs.valid = (uint32_t)hash_u64(offset) & ((1u << UNWIND_N_REGS) - 1);
	reason = unwind_step_full(table, offset, &regs, sparse_read, NULL, &signal, &outermost);
	REQUIRE(reason == REASON_NONE || reason_kind(reason) == REASON_KIND_TRUNCATED);
}

static void check_range(struct unwind_table *table, uint64_t start, uint64_t end)
{
	unwind_rows rows = {0};

	require_ok(unwind_table_rows(table, start, end, &rows));
	REQUIRE(rows.len && rows.len <= end - start && rows.data[0].start == start);
	for (size_t i = 0; i < rows.len; i++) {
		struct unwind_rule rule;

		check_rule(&rows.data[i].rule);
		REQUIRE(rows.data[i].start < (i + 1 < rows.len ? rows.data[i + 1].start : end));
		if (i)
			REQUIRE(memcmp(&rows.data[i].rule, &rows.data[i - 1].rule, sizeof(rule)));
		if (i % 8)
			continue;
		rule = unwind_table_rule(table, rows.data[i].start);
		REQUIRE(!memcmp(&rule, &rows.data[i].rule, sizeof(rule)));
		check_step(table, rows.data[i].start, &rule);
	}
	vec_free(&rows);
}

static void check_file(const void *image, size_t size, uint64_t from, uint64_t bytes)
{
	struct unwind_table_info info;
	struct unwind_table *table;
	struct elf_file *file;
	struct error *err = elf_file_open_memory(image, size, "fuzz", &file);

	if (err) {
		error_free(err);
		return;
	}
	require_ok(unwind_table_open(file, &table));
	unwind_table_info(table, &info);
	check_range(table, from, from + bytes);
	unwind_table_close(table);
	elf_file_close(file);
}

static const char *const section_names[] = { ".eh_frame", ".debug_frame", ".sframe", ".gopclntab", ".eh_frame_hdr" };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes eh_frame;
	struct image image;
	unsigned int kind;

	if (!size)
		return 0;
	kind = data[0] % (sizeof(section_names) / sizeof(*section_names));
	image_init(&image);
	/* A search table is nothing without what it points to. */
	if (kind == 4) {
		seed_eh_frame(&eh_frame);
		image_add(&image, ".eh_frame", SHF_ALLOC, eh_frame.data, eh_frame.size);
	}
	image_add(&image, section_names[kind], kind == 1 ? 0 : SHF_ALLOC, data + 1, size - 1);
	image_finish(&image);
	check_file(image.data, image.size, IMAGE_TEXT_OFFSET, 2048);
	image_free(&image);
	return 0;
}

#ifndef RETOUR_LIBFUZZER

static uint64_t random_state = 0x2545f4914f6cdd1dULL;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void mutate(unsigned char *data, size_t size)
{
	static const unsigned char interesting[] = { 0, 1, 7, 8, 16, 0x0a, 0x0b, 0x0f, 0x10, 0x40, 0x7f, 0x80, 0xff };
	unsigned int n = 1 + random_u64() % 4;

	while (n--) {
		size_t at = random_u64() % size, from = random_u64() % size, len = 1 + random_u64() % 8;

		switch (random_u64() % 5) {
		case 0:
			data[at] ^= 1u << random_u64() % 8;
			break;
		case 1:
			data[at] = interesting[random_u64() % sizeof(interesting)];
			break;
		case 2:
			data[at] = (unsigned char)random_u64();
			break;
		case 3:
			memset(data + at, (random_u64() & 1) * 0xff, len < size - at ? len : size - at);
			break;
		case 4:
			if (len < size - at && len < size - from)
				memmove(data + at, data + from, len);
			break;
		}
	}
}

/* One section, mutated over and over from its good form. */
static void fuzz_section(unsigned char kind, const struct bytes *seed, unsigned int rounds)
{
	unsigned char data[1 + sizeof(seed->data)];

	for (unsigned int i = 0; i < rounds; i++) {
		size_t size = seed->size;

		data[0] = kind;
		memcpy(data + 1, seed->data, size);
		if (i)
			mutate(data + 1, size);
		if (i % 16 == 15)
			size = random_u64() % size;
		LLVMFuzzerTestOneInput(data, 1 + size);
	}
}

/* A real file with damage in its headers or in the named section. */
static void fuzz_file(const char *path, const char *name, unsigned int rounds)
{
	uint64_t offset = 0, size = 64 + 16 * 56;
	struct unwind_table_info info;
	struct unwind_table *table;
	struct elf_file *file;
	FILE *in = fopen(path, "r");
	unsigned char *good, *bad;
	size_t bytes;

	REQUIRE(in && !fseek(in, 0, SEEK_END) && ftell(in) > 0);
	bytes = (size_t)ftell(in);
	rewind(in);
	good = malloc(bytes);
	bad = malloc(bytes);
	REQUIRE(good && bad && fread(good, 1, bytes, in) == bytes);
	fclose(in);
	require_ok(elf_file_open(path, &file));
	require_ok(unwind_table_open(file, &table));
	unwind_table_info(table, &info);
	REQUIRE(!name || elf_file_section_range(file, name, &offset, &size));
	unwind_table_close(table);
	elf_file_close(file);

	memcpy(bad, good, bytes);
	for (unsigned int i = 0; i < rounds; i++) {
		/* Much damage, so that the few functions looked at have some. */
		for (unsigned int k = 0; k < (name ? 64 : 1); k++)
			mutate(bad + offset, size);
		check_file(bad, bytes, info.text_start + random_u64() % (info.text_end - info.text_start), 4096);
		memcpy(bad + offset, good + offset, size);
	}
	free(good);
	free(bad);
}

int main(int argc, char **argv)
{
	struct bytes seed;
	unsigned int factor = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;	/* for longer runs by hand */
	char path[4096];

	printf("1..8\n");
	seed_eh_frame(&seed);
	fuzz_section(0, &seed, 4000 * factor);
	printf("ok 1 .eh_frame\n");
	seed_debug_frame(&seed);
	fuzz_section(1, &seed, 1500 * factor);
	printf("ok 2 .debug_frame\n");
	seed_sframe(&seed);
	fuzz_section(2, &seed, 1500 * factor);
	printf("ok 3 .sframe\n");
	seed_gopclntab(&seed);
	fuzz_section(3, &seed, 1000 * factor);
	printf("ok 4 .gopclntab\n");
	seed_eh_frame_hdr(&seed);
	fuzz_section(4, &seed, 1000 * factor);
	printf("ok 5 .eh_frame_hdr\n");
	if (!seed_c_library(path, sizeof(path))) {
		for (int i = 6; i <= 8; i++)
			printf("ok %d # SKIP no shared C library\n", i);
		return 0;
	}
	fuzz_file(path, ".eh_frame", 300 * factor);
	printf("ok 6 .eh_frame of the C library\n");
	fuzz_file(path, ".eh_frame_hdr", 150 * factor);
	printf("ok 7 .eh_frame_hdr of the C library\n");
	fuzz_file(path, NULL, 300 * factor);
	printf("ok 8 headers of the C library\n");
	return 0;
}

#endif
