/* SPDX-License-Identifier: MIT */
/*
 * The mappings of one address space: sorted, without overlaps.  Sets are
 * shared between processes and copied on a change; the mappings in them are
 * shared too and never change, so that such a copy is an array of pointers.
 */
#ifndef RETOUR_PERFDATA_MAPPING_H
#define RETOUR_PERFDATA_MAPPING_H

#include "base/hash.h"
#include "perfdata/process.h"

#include <stdbool.h>
#include <stdint.h>

struct mapping_set;

/* What all sets of a tracker have in common; it outlives them.  Starts as zeros. */
struct mapping_pool {
	struct hash paths;	/* each path once */
	size_t places;		/* in all sets together */
};

/* Once no set is left. */
void mapping_pool_free(struct mapping_pool *pool);

/* A new reference of set, which may be NULL: no mappings. */
struct mapping_set *mapping_set_get(struct mapping_set *set);
void mapping_set_put(struct mapping_pool *pool, struct mapping_set *set);

/*
 * Puts the mapping into *set, over what was there.  *set, which may be NULL,
 * is replaced by a copy if others share it.  The path is copied.  False
 * without memory, or if one set or all together have grown beyond what a real
 * machine has.
 */
bool mapping_set_add(struct mapping_pool *pool, struct mapping_set **set, const struct process_mapping *mapping);

const struct process_mapping *mapping_set_find(const struct mapping_set *set, uint64_t address);

#endif
