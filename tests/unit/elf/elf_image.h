/* SPDX-License-Identifier: MIT */
/*
 * Small ELF files made in memory: text of a fixed size at a fixed address and
 * whatever sections a test adds behind it.
 */
#ifndef RETOUR_TEST_ELF_IMAGE_H
#define RETOUR_TEST_ELF_IMAGE_H

#include "elf/elf_file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_BASE 0x400000u
#define IMAGE_TEXT_OFFSET 0x1000u
#define IMAGE_TEXT (IMAGE_BASE + IMAGE_TEXT_OFFSET)	/* address of the text */
#define IMAGE_TEXT_SIZE 0x10000u
/* Address of the first section added; section_vaddr() has that of the next one. */
#define IMAGE_DATA (IMAGE_TEXT + IMAGE_TEXT_SIZE)

#define IMAGE_SECTIONS_MAX 8

struct image_section {
	char name[24];
	uint64_t offset, size;
	uint32_t type;
	uint64_t flags;
};

struct image {
	unsigned char *data;
	size_t size, cap;
	uint64_t entry;		/* default: IMAGE_TEXT, set before image_finish() */
	struct image_section section[IMAGE_SECTIONS_MAX];
	size_t n_sections;
};

void image_init(struct image *image);
/* The address that the next section will have. */
uint64_t image_next_vaddr(const struct image *image);
/* flags as in sh_flags, e.g. SHF_ALLOC; returns the file offset of the data. */
size_t image_add(struct image *image, const char *name, uint64_t flags, const void *data, size_t size);
/* Writes the headers; the file is image->data, image->size then. */
void image_finish(struct image *image);
/* As image_finish() and opened; the test fails if it cannot be. */
struct elf_file *image_open(struct image *image);
void image_free(struct image *image);

#endif
