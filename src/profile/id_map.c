/* SPDX-License-Identifier: MIT */
/* The map from keys to ids; see id_map.h. */
#include "profile/id_map.h"

#include "base/hash.h"

#include <stdlib.h>

/* The slot of the key, or the free one where it belongs. */
static struct id_map_slot *find_slot(struct id_map_slot *slots, size_t n_slots, uint64_t key)
{
	size_t i = hash_u64(key) & (n_slots - 1);

	while (slots[i].id_plus_1 && slots[i].key != key)
		i = (i + 1) & (n_slots - 1);
	return &slots[i];
}

uint32_t id_map_get(const struct id_map *map, uint64_t key)
{
	if (!map->n_slots)
		return ID_NONE;
	return find_slot(map->slots, map->n_slots, key)->id_plus_1 - 1;
}

static bool grow(struct id_map *map)
{
	size_t n_slots = map->n_slots ? map->n_slots * 2 : 64;
	struct id_map_slot *slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < map->n_slots; i++)
		if (map->slots[i].id_plus_1)
			*find_slot(slots, n_slots, map->slots[i].key) = map->slots[i];
	free(map->slots);
	map->slots = slots;
	map->n_slots = n_slots;
	return true;
}

bool id_map_put(struct id_map *map, uint64_t key, uint32_t id)
{
	if (map->len >= map->n_slots / 2 && !grow(map))
		return false;
	*find_slot(map->slots, map->n_slots, key) = (struct id_map_slot){ key, id + 1 };
	map->len++;
	return true;
}

void id_map_free(struct id_map *map)
{
	free(map->slots);
	*map = (struct id_map){ 0 };
}
