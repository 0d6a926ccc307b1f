/* SPDX-License-Identifier: MIT */
/*
 * Strings of one lifetime, appended to big blocks: no allocation per string,
 * and none ever moves, so plain pointers to them stay good.
 */
#ifndef RETOUR_SYMBOL_STRING_BLOCK_H
#define RETOUR_SYMBOL_STRING_BLOCK_H

#include <stddef.h>

struct string_chunk;

struct string_block {
	struct string_chunk *chunks;	/* newest first */
	size_t bytes;			/* of all strings */
};

/* Room for size bytes, not initialised; NULL without memory. */
char *string_block_alloc(struct string_block *block, size_t size);
/* A copy of len bytes with a NUL after them; NULL without memory. */
const char *string_block_add(struct string_block *block, const char *s, size_t len);
void string_block_free(struct string_block *block);

#endif
