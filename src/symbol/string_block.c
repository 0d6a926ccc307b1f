/* SPDX-License-Identifier: MIT */
/* Strings of one lifetime in a chain of chunks. */
#include "symbol/string_block.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE (64u << 10)

struct string_chunk {
	struct string_chunk *next;
	size_t used, size;
	char data[];
};

char *string_block_alloc(struct string_block *block, size_t size)
{
	struct string_chunk *chunk = block->chunks;

	if (!chunk || chunk->size - chunk->used < size) {
		size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;

		if (room > SIZE_MAX - sizeof(*chunk))
			return NULL;
		chunk = malloc(sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		*chunk = (struct string_chunk){ .next = block->chunks, .size = room };
		block->chunks = chunk;
	}
	chunk->used += size;
	block->bytes += size;
	return chunk->data + chunk->used - size;
}

const char *string_block_add(struct string_block *block, const char *s, size_t len)
{
	char *copy = len < SIZE_MAX ? string_block_alloc(block, len + 1) : NULL;

	if (!copy)
		return NULL;
	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

void string_block_free(struct string_block *block)
{
	while (block->chunks) {
		struct string_chunk *chunk = block->chunks;

		block->chunks = chunk->next;
		free(chunk);
	}
	block->bytes = 0;
}
