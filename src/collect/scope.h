/* SPDX-License-Identifier: MIT */
/*
 * Which processes' records belong into the file.  The rings carry the whole
 * machine's; a recording of processes keeps those of its own and what they
 * fork.
 */
#ifndef RETOUR_COLLECT_SCOPE_H
#define RETOUR_COLLECT_SCOPE_H

#include "base/hash.h"
#include "perfdata/reader.h"

#include <stdbool.h>
#include <stdint.h>

struct scope {
	bool all;
	struct hash pids;
};

void scope_add(struct scope *scope, uint32_t pid);
/* Follows forks; true if the record belongs into the file. */
bool scope_feed(struct scope *scope, const struct perfdata_record *record);
bool scope_has(const struct scope *scope, uint32_t pid);
void scope_free(struct scope *scope);

#endif
