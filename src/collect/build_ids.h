/* SPDX-License-Identifier: MIT */
/*
 * Build IDs of the files that were mapped before a recording began: the
 * kernel puts them into its own MMAP2 records, so ours have them too.
 */
#ifndef RETOUR_COLLECT_BUILD_IDS_H
#define RETOUR_COLLECT_BUILD_IDS_H

#include "base/hash.h"

#include <stddef.h>
#include <stdint.h>

struct build_ids {
	struct hash by_file;
};

/* Fills the build ID of a MMAP2 body (without header) in, in place of device and inode; false if there is none. */
bool build_ids_fill(struct build_ids *ids, void *mmap2_body, size_t size);
void build_ids_free(struct build_ids *ids);

#endif
