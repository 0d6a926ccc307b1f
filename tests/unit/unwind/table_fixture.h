/* SPDX-License-Identifier: MIT */
/* A table over made-up sections, and rows to compare. */
#ifndef RETOUR_TEST_TABLE_FIXTURE_H
#define RETOUR_TEST_TABLE_FIXTURE_H

#include "cfi_bytes.h"
#include "elf_image.h"
#include "test.h"

#include "unwind/table.h"

#include <elf.h>

struct fixture {
	struct image image;
	struct elf_file *file;
	struct unwind_table *table;
};

/* The entry point is far behind the functions that tests make up. */
static inline void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	image_init(&f->image);
	f->image.entry = IMAGE_TEXT + IMAGE_TEXT_SIZE - 64;
}

static inline void fixture_open(struct fixture *f)
{
	f->file = image_open(&f->image);
	CHECK_OK(unwind_table_open(f->file, &f->table));
}

static inline void fixture_close(struct fixture *f)
{
	unwind_table_close(f->table);
	elf_file_close(f->file);
	image_free(&f->image);
}

static inline void fixture_eh_frame(struct fixture *f, const struct bytes *eh_frame)
{
	fixture_init(f);
	image_add(&f->image, ".eh_frame", SHF_ALLOC, eh_frame->data, eh_frame->size);
	fixture_open(f);
}

/* The rule at an offset into the text. */
static inline struct unwind_rule rule_at(struct fixture *f, uint64_t offset)
{
	return unwind_table_rule(f->table, IMAGE_TEXT_OFFSET + offset);
}

static inline uint64_t bad_fdes(struct fixture *f)
{
	struct unwind_table_info info;

	unwind_table_info(f->table, &info);
	return info.n_bad_fdes;
}

#define CHECK_RULE(f, offset, ...)                                                              \
	do {                                                                                    \
		struct unwind_rule have_ = rule_at((f), (offset)), want_ = { __VA_ARGS__ };      \
		if (memcmp(&have_, &want_, sizeof(want_)))                                      \
			printf("# rule at %#x: cfa %u %d %d, ra %u %d, rbp %u %d, rbx %d, flags %u\n",   \
			       (unsigned int)(offset), have_.cfa_kind, have_.cfa_off, have_.cfa_add, \
			       have_.ra_kind, have_.ra_off, have_.rbp_kind, have_.rbp_off, have_.rbx_off, \
			       have_.flags); \
		CHECK(!memcmp(&have_, &want_, sizeof(want_)));                                  \
	} while (0)

#define RSP(off) .cfa_kind = RULE_CFA_RSP, .cfa_off = (off)
#define RBP(off) .cfa_kind = RULE_CFA_RBP, .cfa_off = (off)
#define SAVED(off) .rbp_kind = RULE_RBP_CFA, .rbp_off = (off)
#define NO_RBX .rbx_off = RULE_RBX_LOST
#define NO_RULE .cfa_kind = RULE_CFA_NONE
#define COMPLEX_RULE .cfa_kind = RULE_CFA_COMPLEX
#define OUTERMOST_RULE .cfa_kind = RULE_CFA_OUTERMOST

/* A table with one function of 64 bytes at the start of the text, whose program is given. */
static inline void fixture_program(struct fixture *f, const unsigned char *program, size_t size)
{
	struct bytes b = { .size = 0 };
	size_t cie = put_cie(&b, "", 0, PROGRAM(CIE_START));

	put_fde(&b, cie, 0, IMAGE_TEXT, 64, program, size);
	fixture_eh_frame(f, &b);
}

#endif
