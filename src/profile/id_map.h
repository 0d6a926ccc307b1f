/* SPDX-License-Identifier: MIT */
/*
 * A map from 64-bit keys to 32-bit ids, for the look-ups that happen once a
 * frame: open addressing, one cache line a look-up.  Nothing is ever removed.
 */
#ifndef RETOUR_PROFILE_ID_MAP_H
#define RETOUR_PROFILE_ID_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_NONE UINT32_MAX

struct id_map_slot {
	uint64_t key;
	uint32_t id_plus_1;	/* 0: the slot is free */
};

struct id_map {
	struct id_map_slot *slots;
	size_t n_slots;		/* a power of two, or 0 */
	size_t len;
};

/* ID_NONE if the key is not there. */
uint32_t id_map_get(const struct id_map *map, uint64_t key);
/* The key must not be there, id not be ID_NONE.  False without memory. */
bool id_map_put(struct id_map *map, uint64_t key, uint32_t id);
void id_map_free(struct id_map *map);

#endif
