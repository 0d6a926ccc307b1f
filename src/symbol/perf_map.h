/* SPDX-License-Identifier: MIT */
/* JIT code of one process, as its runtime tells in /tmp/perf-PID.map: "start size name". */
#ifndef RETOUR_SYMBOL_PERF_MAP_H
#define RETOUR_SYMBOL_PERF_MAP_H

#include "symbol/symtab.h"

struct perf_map {
	uint32_t pid;
	uint64_t read_bytes;	/* of the file, up to its last whole line */
	uint64_t checked_ns;	/* when we last looked for more; 0: never */
	uint32_t n_read;	/* lines, for later ones replace earlier ones */
	struct symtab tab;
};

void perf_map_init(struct perf_map *map, uint32_t pid);
void perf_map_free(struct perf_map *map);
/* NULL if nothing covers the address; looks for new lines then, a few times a second at most. */
const struct symtab_entry *perf_map_lookup(struct perf_map *map, uint64_t address);

#endif
