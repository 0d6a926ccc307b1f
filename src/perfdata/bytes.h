/* SPDX-License-Identifier: MIT */
/* Bytes that grow; once memory is short, bad is set and nothing more is added. */
#ifndef RETOUR_PERFDATA_BYTES_H
#define RETOUR_PERFDATA_BYTES_H

#include "base/vec.h"

struct bytes {
	VEC(unsigned char) vec;
	bool bad;
};

void bytes_add(struct bytes *bytes, const void *data, size_t size);
void bytes_free(struct bytes *bytes);

#endif
