/* SPDX-License-Identifier: MIT */
/* Sets of mappings, copied on write; see mapping.h. */
#include "perfdata/mapping.h"

#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

/* Bounds on the work and the memory that a hostile recording can cost. */
#define MAX_MAPPINGS (1u << 16)		/* of a process: the default of vm.max_map_count */
#define MAX_PLACES (1u << 24)		/* 128 MiB of pointers */

/* A path, once per tracker however many mappings have it. */
struct path {
	struct hash_node node;
	size_t refs;
	char text[];
};

struct mapping {
	struct process_mapping map;
	struct path *path;
	size_t refs;
};

struct mapping_set {
	size_t refs;
	VEC(struct mapping *) mappings;
};

static struct path *path_get(struct mapping_pool *pool, const char *text)
{
	uint64_t hash = hash_string(text);
	size_t size = strlen(text) + 1;
	struct path *path;

	hash_each(&pool->paths, hash, node) {
		path = container_of(node, struct path, node);
		if (strcmp(path->text, text))
			continue;
		path->refs++;
		return path;
	}
	path = malloc(sizeof(*path) + size);
	if (!path)
		return NULL;
	path->refs = 1;
	memcpy(path->text, text, size);
	if (!hash_insert(&pool->paths, &path->node, hash)) {
		free(path);
		return NULL;
	}
	return path;
}

static void path_put(struct mapping_pool *pool, struct path *path)
{
	if (--path->refs)
		return;
	hash_remove(&pool->paths, &path->node);
	free(path);
}

/* Takes over the reference of path. */
static struct mapping *mapping_new(struct mapping_pool *pool, const struct process_mapping *map,
				   struct path *path)
{
	struct mapping *mapping = path ? malloc(sizeof(*mapping)) : NULL;

	if (!mapping) {
		if (path)
			path_put(pool, path);
		return NULL;
	}
	*mapping = (struct mapping){ .map = *map, .path = path, .refs = 1 };
	mapping->map.path = path->text;
	return mapping;
}

static void mapping_put(struct mapping_pool *pool, struct mapping *mapping)
{
	if (--mapping->refs)
		return;
	path_put(pool, mapping->path);
	free(mapping);
}

/* The part of the mapping between start and end. */
static struct mapping *mapping_part(struct mapping_pool *pool, const struct mapping *whole, uint64_t start,
				    uint64_t end)
{
	struct process_mapping map = whole->map;

	map.pgoff += start - map.start;
	map.start = start;
	map.end = end;
	whole->path->refs++;
	return mapping_new(pool, &map, whole->path);
}

struct mapping_set *mapping_set_get(struct mapping_set *set)
{
	if (set)
		set->refs++;
	return set;
}

void mapping_set_put(struct mapping_pool *pool, struct mapping_set *set)
{
	if (!set || --set->refs)
		return;
	vec_each(&set->mappings, mapping)
		mapping_put(pool, *mapping);
	pool->places -= set->mappings.len;
	vec_free(&set->mappings);
	free(set);
}

/* Makes *set the caller's alone. */
static bool unshare(struct mapping_pool *pool, struct mapping_set **set)
{
	size_t n = *set ? (*set)->mappings.len : 0;
	struct mapping_set *copy;

	if (*set && (*set)->refs == 1)
		return true;
	if (n > MAX_PLACES - pool->places)
		return false;
	copy = calloc(1, sizeof(*copy));
	if (!copy || !vec_reserve(&copy->mappings, n)) {
		free(copy);
		return false;
	}
	copy->refs = 1;
	for (size_t i = 0; i < n; i++) {
		copy->mappings.data[i] = (*set)->mappings.data[i];
		copy->mappings.data[i]->refs++;
	}
	copy->mappings.len = n;
	pool->places += n;
	mapping_set_put(pool, *set);
	*set = copy;
	return true;
}

/* The first mapping that ends after address. */
static size_t lower_bound(const struct mapping_set *set, uint64_t address)
{
	size_t low = 0, high = set->mappings.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->mappings.data[middle]->map.end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Puts n new mappings where those from first up to last were; there is room. */
static void replace(struct mapping_pool *pool, struct mapping_set *set, size_t first, size_t last,
		    struct mapping **with, size_t n)
{
	struct mapping **data = set->mappings.data;

	for (size_t i = first; i < last; i++)
		mapping_put(pool, data[i]);
	memmove(data + first + n, data + last, (set->mappings.len - last) * sizeof(*data));
	memcpy(data + first, with, n * sizeof(*data));
	set->mappings.len = set->mappings.len - (last - first) + n;
	pool->places = pool->places - (last - first) + n;
}

bool mapping_set_add(struct mapping_pool *pool, struct mapping_set **set_ptr, const struct process_mapping *map)
{
	struct mapping *with[3], *mapping, **old;
	size_t first, last, n = 0;
	struct mapping_set *set;

	if (!unshare(pool, set_ptr))
		return false;
	set = *set_ptr;
	/* One more, and one for the second half of a mapping that is split. */
	if (set->mappings.len + 2 > MAX_MAPPINGS || pool->places + 2 > MAX_PLACES ||
	    !vec_reserve(&set->mappings, set->mappings.len + 2))
		return false;
	mapping = mapping_new(pool, map, path_get(pool, map->path));
	if (!mapping)
		return false;
	old = set->mappings.data;
	first = last = lower_bound(set, map->start);
	while (last < set->mappings.len && old[last]->map.start < map->end)
		last++;
	/* What stays of the mappings at either end of the new one; lost without memory. */
	if (first < last && old[first]->map.start < map->start) {
		with[n] = mapping_part(pool, old[first], old[first]->map.start, map->start);
		n += with[n] != NULL;
	}
	with[n++] = mapping;
	if (first < last && old[last - 1]->map.end > map->end) {
		with[n] = mapping_part(pool, old[last - 1], map->end, old[last - 1]->map.end);
		n += with[n] != NULL;
	}
	replace(pool, set, first, last, with, n);
	return true;
}

void mapping_pool_free(struct mapping_pool *pool)
{
	hash_free(&pool->paths);
}

const struct process_mapping *mapping_set_find(const struct mapping_set *set, uint64_t address)
{
	size_t i = set ? lower_bound(set, address) : 0;

	if (!set || i == set->mappings.len || set->mappings.data[i]->map.start > address)
		return NULL;
	return &set->mappings.data[i]->map;
}
