/* SPDX-License-Identifier: MIT */
/* The feature sections of a recording: what is known of the machine and the session. */
#ifndef RETOUR_PERFDATA_FEATURE_H
#define RETOUR_PERFDATA_FEATURE_H

#include "base/vec.h"
#include "perfdata/format.h"
#include "perfdata/session.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes that grow; once memory is short, bad is set and nothing more is added. */
struct bytes {
	VEC(unsigned char) vec;
	bool bad;
};

void bytes_add(struct bytes *bytes, const void *data, size_t size);
void bytes_free(struct bytes *bytes);

/* Appends the section to out; false if there is nothing to say. */
bool feature_build(enum format_feature feature, const struct session *session, struct bytes *out);

#endif
