/* SPDX-License-Identifier: MIT */
/*
 * Joins samples with the deferred chains of their kernel entries, by (tid,
 * cookie), in either order: a sample may come after the record it belongs to,
 * because every sample of an entry shares the entry's one walk.
 *
 * Memory is bounded: chains are kept for late samples up to a number of bytes,
 * and so are samples that wait; the oldest give way, with a counted reason.
 */
#ifndef RETOUR_COLLECT_STITCH_H
#define RETOUR_COLLECT_STITCH_H

#include "base/cleanup.h"
#include "base/error.h"
#include "collect/chain.h"

#include <linux/types.h>
#include <stdbool.h>

#include "bpf/shared.h"

struct stitcher;

/* chain is NULL where the sample has no user part, or none was had: reason says why. */
typedef void (*stitch_fn)(void *arg, const struct sample_record *sample, uint32_t size, const struct chain *chain,
			  uint16_t reason, bool shared);

ERROR_CHECK struct error *stitcher_create(stitch_fn fn, void *arg, struct stitcher **ret);
void stitcher_destroy(struct stitcher *stitcher);
DEFINE_CLEANUP(stitcher_destroy, struct stitcher *);

/* Both copy what they keep.  size is the record's. */
void stitcher_sample(struct stitcher *stitcher, const struct sample_record *sample, uint32_t size);
void stitcher_chain(struct stitcher *stitcher, const struct chain *chain);

/* Samples that wait for their chain. */
uint64_t stitcher_waiting(const struct stitcher *stitcher);
/* Tells why a chain never came. */
typedef uint16_t (*stitch_reason_fn)(void *arg, uint32_t tid, uint64_t cookie);
/* Delivers every waiting sample without a chain. */
void stitcher_give_up(struct stitcher *stitcher, stitch_reason_fn why, void *arg);

#endif
