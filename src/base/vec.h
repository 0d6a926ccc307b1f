/* SPDX-License-Identifier: MIT */
/*
 * A growing array.  Declare one as `VEC(int) numbers = {0};` or as a struct
 * field; vec_push() and vec_reserve() are false without memory, and the
 * array is then as it was.
 */
#ifndef RETOUR_BASE_VEC_H
#define RETOUR_BASE_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define VEC(type)               \
	struct {                \
		type *data;     \
		size_t len;     \
		size_t cap;     \
	}

/* The storage behind vec_reserve(): grows data to hold want elements. */
bool vec_grow(void *data_ptr, size_t *cap, size_t want, size_t size);

#define vec_reserve(v, want) \
	((want) <= (v)->cap || vec_grow(&(v)->data, &(v)->cap, (want), sizeof(*(v)->data)))

#define vec_push(v, ...) \
	(vec_reserve((v), (v)->len + 1) ? ((v)->data[(v)->len++] = (__VA_ARGS__), true) : false)

#define vec_free(v)                     \
	do {                            \
		free((v)->data);        \
		(v)->data = NULL;       \
		(v)->len = (v)->cap = 0; \
	} while (0)

#define vec_each(v, it) \
	for (__typeof__((v)->data + 0) it = (v)->data; it && it < (v)->data + (v)->len; it++)

#endif
