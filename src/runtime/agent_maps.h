/* SPDX-License-Identifier: MIT */
/* The executable mappings of the process, all and those that are new. */
#ifndef RETOUR_RUNTIME_AGENT_MAPS_H
#define RETOUR_RUNTIME_AGENT_MAPS_H

#include "runtime/agent_record.h"

/*
 * Calls fn for each executable mapping, and says whether it was there at the
 * last call; what fn gets is valid during the call.  For one thread at a time.
 * 0, or -errno if /proc/self/maps cannot be read.
 */
int agent_maps_read(void (*fn)(const struct agent_mapping *mapping, bool is_new, void *arg), void *arg);

#endif
