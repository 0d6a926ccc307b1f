/* SPDX-License-Identifier: MIT */
/*
 * The order of a recording's records by time, and where the deferred record of
 * each (tid, cookie) is.  Built in one pass over the file; 16 bytes a record.
 */
#ifndef RETOUR_PERFDATA_INDEX_H
#define RETOUR_PERFDATA_INDEX_H

#include "base/vec.h"
#include "perfdata/recording.h"
#include "perfdata/source.h"

#include <stdint.h>

struct index_place {
	uint64_t offset : 48, size : 16;
};

struct index_entry {
	uint64_t time;
	struct index_place place;
};

struct index_deferred {
	uint64_t cookie;
	uint32_t tid;
	struct index_place place;
};

struct index {
	VEC(struct index_entry) entries;	/* by time, then by place in the file */
	VEC(struct index_deferred) deferred;	/* by tid, cookie, place */
	uint64_t corrupt;			/* records left out */
};

ERROR_CHECK struct error *index_build(struct index *index, struct recording *recording, struct source *source);
void index_free(struct index *index);

/* The first deferred record with this tid and cookie, or NULL. */
const struct index_deferred *index_find_deferred(const struct index *index, uint32_t tid, uint64_t cookie);

#endif
