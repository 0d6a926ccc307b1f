/* SPDX-License-Identifier: MIT */
/* Growth of vec.h's arrays: doubling, checked against overflow. */
#include "base/vec.h"

#include <stdint.h>
#include <string.h>

bool vec_grow(void *data_ptr, size_t *cap, size_t want, size_t size)
{
	size_t next = *cap ? *cap : 8;
	void *data;

	while (next < want) {
		if (next > SIZE_MAX / 2)
			return false;
		next *= 2;
	}
	if (next > SIZE_MAX / size)
		return false;
	memcpy(&data, data_ptr, sizeof(data));
	data = realloc(data, next * size);
	if (!data)
		return false;
	memcpy(data_ptr, &data, sizeof(data));
	*cap = next;
	return true;
}
