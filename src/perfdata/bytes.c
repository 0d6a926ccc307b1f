/* SPDX-License-Identifier: MIT */
/* Bytes that grow; see bytes.h. */
#include "perfdata/bytes.h"

#include <string.h>

void bytes_add(struct bytes *bytes, const void *data, size_t size)
{
	if (bytes->bad || !vec_reserve(&bytes->vec, bytes->vec.len + size)) {
		bytes->bad = true;
		return;
	}
	if (size)
		memcpy(bytes->vec.data + bytes->vec.len, data, size);
	bytes->vec.len += size;
}

void bytes_free(struct bytes *bytes)
{
	vec_free(&bytes->vec);
}
