/* SPDX-License-Identifier: MIT */
/*
 * Addresses of a recording to locations.  A resolver follows the processes of
 * the recording (mappings, names) and asks the symboliser; every answer is
 * kept, because most frames of a profile have been seen before.
 */
#ifndef RETOUR_PROFILE_RESOLVE_H
#define RETOUR_PROFILE_RESOLVE_H

#include "base/cleanup.h"
#include "base/error.h"
#include "perfdata/reader.h"
#include "profile/frames.h"

#include <stdbool.h>
#include <stdint.h>

struct resolver;

struct resolver_options {
	bool kernel;		/* this kernel's symbols are the recording's */
	bool inlined;		/* resolve to inlined functions too */
};

/* The frames must outlive the resolver. */
ERROR_CHECK struct error *resolver_create(struct frames *frames, const struct resolver_options *options,
					  struct resolver **ret);
void resolver_destroy(struct resolver *resolver);
DEFINE_CLEANUP(resolver_destroy, struct resolver *);

/* Every record that is no sample, in order of time. */
ERROR_CHECK struct error *resolver_feed(struct resolver *resolver, const struct perfdata_record *record);

/* The name of a task now, as a string of the frames. */
ERROR_CHECK struct error *resolver_comm(struct resolver *resolver, uint32_t pid, uint32_t tid, uint32_t *ret);

/*
 * The location of an address; never fails for want of a symbol: then the
 * function is "[dso+0xoffset]".  For a return address pass the address less
 * one, which is inside of the call.
 */
ERROR_CHECK struct error *resolver_user(struct resolver *resolver, uint32_t pid, uint64_t address, uint32_t *ret);
ERROR_CHECK struct error *resolver_kernel(struct resolver *resolver, uint64_t address, uint32_t *ret);

/* The path of the DSO at an address, as a string of the frames. */
ERROR_CHECK struct error *resolver_dso(struct resolver *resolver, uint32_t pid, uint64_t address, uint32_t *ret);

#endif
