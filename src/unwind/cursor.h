/* SPDX-License-Identifier: MIT */
/*
 * Bounded reading of little-endian bytes, LEB128 numbers and DWARF's encoded
 * pointers.  A read past the end gives 0 and marks the cursor as failed; it
 * stays failed, so callers check once after a group of reads.
 */
#ifndef RETOUR_UNWIND_CURSOR_H
#define RETOUR_UNWIND_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LEB_BITS_MAX (16 * 7)

struct cursor {
	const unsigned char *pos, *end;
	bool failed;
};

/* DW_EH_PE_*: the low four bits are the format, the next three the base. */
enum pointer_encoding {
	POINTER_ABSPTR = 0x00,
	POINTER_ULEB128 = 0x01,
	POINTER_UDATA2 = 0x02,
	POINTER_UDATA4 = 0x03,
	POINTER_UDATA8 = 0x04,
	POINTER_SLEB128 = 0x09,
	POINTER_SDATA2 = 0x0a,
	POINTER_SDATA4 = 0x0b,
	POINTER_SDATA8 = 0x0c,
	POINTER_FORMAT_MASK = 0x0f,
	POINTER_PCREL = 0x10,
	POINTER_DATAREL = 0x30,
	POINTER_BASE_MASK = 0x70,
	POINTER_INDIRECT = 0x80,
	POINTER_OMIT = 0xff,
};

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->pos);
}

/* The next n bytes, or NULL. */
static inline const unsigned char *cursor_skip(struct cursor *c, uint64_t n)
{
	const unsigned char *p = c->pos;

	if (c->failed || n > cursor_left(c)) {
		c->failed = true;
		c->pos = c->end;
		return NULL;
	}
	c->pos += n;
	return p;
}

#define CURSOR_READ(name, type)                                    \
	static inline type cursor_##name(struct cursor *c)         \
	{                                                          \
		const unsigned char *p = cursor_skip(c, sizeof(type)); \
		type v = 0;                                        \
								   \
		if (p)                                             \
			memcpy(&v, p, sizeof(v));                  \
		return v;                                          \
	}

CURSOR_READ(u8, uint8_t)
CURSOR_READ(s8, int8_t)
CURSOR_READ(u16, uint16_t)
CURSOR_READ(s16, int16_t)
CURSOR_READ(u32, uint32_t)
CURSOR_READ(s32, int32_t)
CURSOR_READ(u64, uint64_t)
CURSOR_READ(s64, int64_t)

/*
 * A LEB128 number; *shift becomes the bits it had.  Bits beyond 64 are dropped
 * as every consumer does, but padding must end: one number costs bounded time.
 */
static inline uint64_t cursor_leb(struct cursor *c, unsigned int *shift, uint8_t *last)
{
	uint64_t value = 0;

	*shift = 0;
	do {
		*last = cursor_u8(c);
		if (*shift < 64)
			value |= (uint64_t)(*last & 0x7f) << *shift;
		*shift += 7;
		if (*shift > LEB_BITS_MAX)
			c->failed = true;
	} while ((*last & 0x80) && !c->failed);
	return value;
}

static inline uint64_t cursor_uleb(struct cursor *c)
{
	unsigned int shift;
	uint8_t last;

	return cursor_leb(c, &shift, &last);
}

static inline int64_t cursor_sleb(struct cursor *c)
{
	unsigned int shift;
	uint8_t last;
	uint64_t value = cursor_leb(c, &shift, &last);

	if (shift < 64 && (last & 0x40))
		value |= ~0ULL << shift;
	return (int64_t)value;
}

/* The part of an encoded pointer that its format describes, without its base. */
static inline uint64_t cursor_pointer_format(struct cursor *c, uint8_t encoding)
{
	switch (encoding & POINTER_FORMAT_MASK) {
	case POINTER_ABSPTR:
	case POINTER_UDATA8:
	case POINTER_SDATA8:
		return cursor_u64(c);
	case POINTER_ULEB128:
		return cursor_uleb(c);
	case POINTER_SLEB128:
		return (uint64_t)cursor_sleb(c);
	case POINTER_UDATA2:
		return cursor_u16(c);
	case POINTER_SDATA2:
		return (uint64_t)(int64_t)cursor_s16(c);
	case POINTER_UDATA4:
		return cursor_u32(c);
	case POINTER_SDATA4:
		return (uint64_t)(int64_t)cursor_s32(c);
	default:
		c->failed = true;
		return 0;
	}
}

/*
 * An encoded pointer.  here is the virtual address of c->pos, data the base of
 * datarel.  Text- and function-relative and indirect pointers do not occur in
 * x86-64 tables and fail.
 */
static inline uint64_t cursor_pointer(struct cursor *c, uint8_t encoding, uint64_t here, uint64_t data)
{
	uint64_t value = cursor_pointer_format(c, encoding);

	if (encoding & POINTER_INDIRECT)
		c->failed = true;
	switch (encoding & POINTER_BASE_MASK) {
	case 0:
		return value;
	case POINTER_PCREL:
		return value + here;
	case POINTER_DATAREL:
		return value + data;
	default:
		c->failed = true;
		return 0;
	}
}

#endif
