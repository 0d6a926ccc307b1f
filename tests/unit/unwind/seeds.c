/* SPDX-License-Identifier: MIT */
/* The sections, written out. */
#include "seeds.h"

#include "elf_image.h"

#include <dlfcn.h>
#include <dwarf.h>
#include <link.h>
#include <stdio.h>

#define FUNCTION_SIZE 64u

/* Programs that between them have every instruction and the expressions that occur. */
static const struct {
	unsigned char code[64];
	size_t size;
} programs[] = {
	{ { 0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x02, 20, 0x0a, 0xc6, 0x0c, 7, 8, 0x41, 0x0b }, 17 },
	{ { 0x03, 4, 0, 0x0e, 24, 0x04, 4, 0, 0, 0, 0x13, 0x7c, 0x12, 7, 0x78, 0x11, 3, 2, 0x05, 12, 3, 0x2f, 13, 4,
	    0x08, 14, 0x07, 15, 0x09, 6, 3, 0x14, 7, 0, 0x15, 7, 0, 0x06, 6, 0x2e, 32, 0x2d }, 42 },
	{ { 0x0c, 10, 0, 0x49, 0x0f, 3, DW_OP_breg6, 0x78, DW_OP_deref, 0x10, 6, 2, DW_OP_breg6, 0, 0x50, 0x0c, 10, 0,
	    0x44, 0x0c, 7, 8 }, 22 },
	{ { 0x0f, 11, DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15, DW_OP_and, DW_OP_lit11, DW_OP_ge, DW_OP_lit3,
	    DW_OP_shl, DW_OP_plus }, 13 },
	{ { 0x0f, 4, DW_OP_breg7, 0xa0, 1, DW_OP_deref, 0x10, 6, 3, DW_OP_breg7, 0xf8, 0, 0x10, 16, 3, DW_OP_breg7, 0xa8,
	    1 }, 18 },
	{ { 0x0f, 9, DW_OP_breg7, 8, DW_OP_breg9, 0, DW_OP_lit8, DW_OP_mul, DW_OP_plus, DW_OP_deref, DW_OP_nop, 0x44,
	    0x0f, 14, DW_OP_lit0, DW_OP_lit5, DW_OP_swap, DW_OP_over, DW_OP_plus, DW_OP_swap, DW_OP_lit1, DW_OP_minus,
	    DW_OP_dup, DW_OP_bra, 0xf6, 0xff, DW_OP_drop, DW_OP_breg7 }, 27 },
	{ { 0x16, 6, 5, DW_OP_dup, DW_OP_const1u, 8, DW_OP_minus, DW_OP_deref, 0x44, 0x07, 16 }, 11 },
	{ { DW_CFA_set_loc, 0, 0, 0, 0, 0, 0, 0, 0, 0x0e, 32 }, 11 },
};

#define N_PROGRAMS (sizeof(programs) / sizeof(*programs))

static uint64_t function_start(size_t i)
{
	return IMAGE_TEXT + i * FUNCTION_SIZE;
}

static void eh_frame(struct bytes *b, size_t *fde)
{
	size_t plain, signal, personal;

	b->size = 0;
	plain = put_cie(b, "", 0, PROGRAM(CIE_START));
	signal = put_cie(b, "zRS", 0, PROGRAM(CIE_START));
	personal = put_cie(b, "zPLR", 0, PROGRAM(CIE_START, 0x86, 2));
	for (size_t i = 0; i < N_PROGRAMS; i++) {
		size_t cie = i % 3 == 0 ? plain : i % 3 == 1 ? signal : personal;

		fde[i] = put_fde(b, cie, cie != plain, function_start(i), FUNCTION_SIZE, programs[i].code,
				 programs[i].size);
	}
	put_u32(b, 0);
}

void seed_eh_frame(struct bytes *b)
{
	size_t fde[N_PROGRAMS];

	eh_frame(b, fde);
}

void seed_eh_frame_hdr(struct bytes *b)
{
	struct bytes frame;
	size_t fde[N_PROGRAMS];
	uint64_t header;

	eh_frame(&frame, fde);
	header = (IMAGE_DATA + frame.size + 15) & ~15ULL;
	b->size = 0;
	put_u32(b, 0x3b031b01);		/* version 1; pcrel sdata4, udata4, datarel sdata4 */
	put_u32(b, (uint32_t)(IMAGE_DATA - (header + 4)));
	put_u32(b, N_PROGRAMS);
	for (size_t i = 0; i < N_PROGRAMS; i++) {
		put_u32(b, (uint32_t)(function_start(i) - header));
		put_u32(b, (uint32_t)(IMAGE_DATA + fde[i] - header));
	}
}

void seed_debug_frame(struct bytes *b)
{
	size_t cie, body;

	b->size = 0;
	cie = b->size;
	body = entry_begin(b);
	put_u32(b, UINT32_MAX);
	put(b, PROGRAM(4, 0, 8, 0, 1, 0x78, 16, CIE_START));
	entry_end(b, body);
	for (size_t i = 0; i < N_PROGRAMS; i++) {
		body = entry_begin(b);
		put_u32(b, (uint32_t)cie);
		put_u64(b, function_start(i));
		put_u64(b, FUNCTION_SIZE);
		put(b, programs[i].code, programs[i].size);
		entry_end(b, body);
	}
}

void seed_sframe(struct bytes *b)
{
	static const unsigned char rows[] = {
		0, 0x03, 8, 1, 0x05, 16, 0xf0, 4, 0x04, 16, 0xf0, 60, 0x03, 8,			/* usual */
		0, 0x0a, 0x33, 0xf8, 0, 0x33, 0, 8, 0x05, 0x51, 8, 16, 0x0d, 0x39, 32, 2, 0xf8, 2, 0xf0,	/* flexible */
		0, 0x03, 8, 11, 0x03, 16,							/* repeated */
	};
	static const struct {
		unsigned char at, size, n, info, info2, rep;
	} function[] = { { 0, 14, 4, 0, 0, 0 }, { 14, 19, 3, 0, 1, 0 }, { 33, 6, 2, 0x10, 0, 16 } };
	uint32_t at = 0;

	b->size = 0;
	put(b, PROGRAM(0xe2, 0xde, 3, 1, 3, 0, 0xf8, 0));
	put_u32(b, 3);
	put_u32(b, 9);
	put_u32(b, sizeof(rows) + 15);
	put_u32(b, 0);
	put_u32(b, 3 * 16);
	for (size_t i = 0; i < 3; i++) {
		put_u64(b, function_start(i) - IMAGE_DATA);
		put_u32(b, FUNCTION_SIZE);
		put_u32(b, at);
		at += 5u + function[i].size;
	}
	for (size_t i = 0; i < 3; i++) {
		put(b, PROGRAM(function[i].n, 0, function[i].info, function[i].info2, function[i].rep));
		put(b, rows + function[i].at, function[i].size);
	}
}

/* Three functions: an ordinary one, one marked as the top of a stack, the signal restorer. */
void seed_gopclntab(struct bytes *b)
{
	static const char names[] = "main.main\0runtime.goexit\0runtime.sigreturn";
	static const uint32_t name[] = { 0, 10, 25 };
	static const unsigned char distances[] = { 0, 2, 4, 48, 50, 47, 10, 0 };	/* 0, then 24, then 0 again */
	const uint64_t functions = 128, distances_at = functions + 32 + 3 * 48;

	b->size = 0;
	put_u32(b, 0xfffffff1);
	put_u32(b, 0x08010000);		/* two zeros, instruction size 1, pointers of 8 bytes */
	put_u64(b, 3);
	put_u64(b, 0);
	put_u64(b, IMAGE_TEXT);
	put_u64(b, 72);			/* names */
	while (b->size < 56)
		put_u8(b, 0);
	put_u64(b, distances_at);
	put_u64(b, functions);
	put(b, names, sizeof(names));
	while (b->size < functions)
		put_u8(b, 0);
	for (uint32_t i = 0; i < 3; i++) {
		put_u32(b, i * FUNCTION_SIZE);
		put_u32(b, 32 + i * 48);
	}
	put_u32(b, 3 * FUNCTION_SIZE);
	put_u32(b, 0);
	for (uint32_t i = 0; i < 3; i++) {
		size_t end = functions + 32 + (i + 1) * 48;

		put_u32(b, i * FUNCTION_SIZE);
		put_u32(b, name[i]);
		while (b->size < end)
			put_u8(b, b->size == end - 48 + 41 ? i == 1 : b->size == end - 48 + 16 ? i == 0 : 0);
	}
	put(b, distances, sizeof(distances));
}

bool seed_c_library(char *path, size_t size)
{
	void *handle = dlopen("libc.so.6", RTLD_LAZY);
	struct link_map *map;

	if (!handle || dlinfo(handle, RTLD_DI_LINKMAP, &map))
		return false;
	snprintf(path, size, "%s", map->l_name);
	return true;
}
