/* SPDX-License-Identifier: MIT */
/* Good sections that have something of everything, to be read and to be damaged. */
#ifndef RETOUR_TEST_SEEDS_H
#define RETOUR_TEST_SEEDS_H

#include "cfi_bytes.h"

#include <stdbool.h>

/* Laid out for the first section of an image, see elf_image.h; the header for the second. */
void seed_eh_frame(struct bytes *b);
void seed_eh_frame_hdr(struct bytes *b);
void seed_debug_frame(struct bytes *b);
void seed_sframe(struct bytes *b);
void seed_gopclntab(struct bytes *b);

/* The path of the C library that this program runs with. */
bool seed_c_library(char *path, size_t size);

#endif
