/* SPDX-License-Identifier: MIT */
/* Building CIEs and FDEs by hand: bytes, LEB128 numbers, entries with their lengths. */
#ifndef RETOUR_TEST_CFI_BYTES_H
#define RETOUR_TEST_CFI_BYTES_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	unsigned char data[8192];
	size_t size;
};

static inline void put(struct bytes *b, const void *data, size_t size)
{
	assert(b->size + size <= sizeof(b->data));
	memcpy(b->data + b->size, data, size);
	b->size += size;
}

static inline void put_u8(struct bytes *b, uint8_t v)
{
	put(b, &v, 1);
}

static inline void put_u16(struct bytes *b, uint16_t v)
{
	put(b, &v, 2);
}

static inline void put_u32(struct bytes *b, uint32_t v)
{
	put(b, &v, 4);
}

static inline void put_u64(struct bytes *b, uint64_t v)
{
	put(b, &v, 8);
}

static inline void put_uleb(struct bytes *b, uint64_t v)
{
	do {
		put_u8(b, (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0)));
		v >>= 7;
	} while (v);
}

static inline void put_sleb(struct bytes *b, int64_t v)
{
	for (;;) {
		uint8_t byte = v & 0x7f;

		v >>= 7;
		if ((v == 0 && !(byte & 0x40)) || (v == -1 && (byte & 0x40))) {
			put_u8(b, byte);
			return;
		}
		put_u8(b, byte | 0x80);
	}
}

/* Starts an entry; entry_end() pads it with nops and fills in its length. */
static inline size_t entry_begin(struct bytes *b)
{
	put_u32(b, 0);
	return b->size;
}

static inline void entry_end(struct bytes *b, size_t body)
{
	uint32_t length;

	while (b->size % 8)
		put_u8(b, 0);
	length = (uint32_t)(b->size - body);
	memcpy(b->data + body - 4, &length, 4);
}

#define PROGRAM(...) (const unsigned char[]){ __VA_ARGS__ }, sizeof((unsigned char[]){ __VA_ARGS__ })

/* CFA = rsp + 8, return address at CFA - 8: how every function starts. */
#define CIE_START 0x0c, 7, 8, 0x90, 1

/*
 * A CIE of .eh_frame with code alignment 1 and data alignment -8.  letters may
 * be any of z, R, L, P, S, B; the FDE encoding is for R.  Returns its offset.
 */
static inline size_t put_cie(struct bytes *b, const char *letters, uint8_t encoding,
			     const unsigned char *program, size_t size)
{
	size_t at = b->size, body = entry_begin(b), data = 0;

	put_u32(b, 0);
	put_u8(b, 1);
	put(b, letters, strlen(letters) + 1);
	put_uleb(b, 1);
	put_sleb(b, -8);
	put_u8(b, 16);
	for (const char *l = letters; *l; l++)
		data += *l == 'R' || *l == 'L' ? 1 : *l == 'P' ? 5 : 0;
	if (*letters == 'z')
		put_uleb(b, data);
	for (const char *l = letters; *l; l++) {
		if (*l == 'R')
			put_u8(b, encoding);
		if (*l == 'L')
			put_u8(b, 0x1b);
		if (*l == 'P') {
			put_u8(b, 0x9b);	/* indirect, pcrel, sdata4 */
			put_u32(b, 0x1234);
		}
	}
	put(b, program, size);
	entry_end(b, body);
	return at;
}

/* An FDE for a CIE with absolute eight-byte pointers; augmented if the CIE has "z".  Returns its offset. */
static inline size_t put_fde(struct bytes *b, size_t cie, int augmented, uint64_t start, uint64_t length,
			     const unsigned char *program, size_t size)
{
	size_t at = b->size, body = entry_begin(b);

	put_u32(b, (uint32_t)(body - cie));
	put_u64(b, start);
	put_u64(b, length);
	if (augmented)
		put_uleb(b, 0);
	put(b, program, size);
	entry_end(b, body);
	return at;
}

#endif
