/* SPDX-License-Identifier: MIT */
/* Sets of mappings, copied on write; see mapping.h. */
#include "perfdata/mapping.h"

#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

/* Twice vm.max_map_count: bounds the work that a hostile recording can make. */
#define MAX_MAPPINGS (1u << 17)

/* A path, once per tracker however many mappings have it. */
struct path {
	struct hash_node node;
	struct hash *table;
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

static struct path *path_get(struct hash *table, const char *text)
{
	uint64_t hash = hash_string(text);
	size_t size = strlen(text) + 1;
	struct path *path;

	hash_each(table, hash, node) {
		path = container_of(node, struct path, node);
		if (strcmp(path->text, text))
			continue;
		path->refs++;
		return path;
	}
	path = malloc(sizeof(*path) + size);
	if (!path)
		return NULL;
	path->table = table;
	path->refs = 1;
	memcpy(path->text, text, size);
	if (!hash_insert(table, &path->node, hash)) {
		free(path);
		return NULL;
	}
	return path;
}

static void path_put(struct path *path)
{
	if (--path->refs)
		return;
	hash_remove(path->table, &path->node);
	free(path);
}

/* Takes over the reference of path. */
static struct mapping *mapping_new(const struct process_mapping *map, struct path *path)
{
	struct mapping *mapping = path ? malloc(sizeof(*mapping)) : NULL;

	if (!mapping) {
		if (path)
			path_put(path);
		return NULL;
	}
	*mapping = (struct mapping){ .map = *map, .path = path, .refs = 1 };
	mapping->map.path = path->text;
	return mapping;
}

static void mapping_put(struct mapping *mapping)
{
	if (!mapping || --mapping->refs)
		return;
	path_put(mapping->path);
	free(mapping);
}

/* The part of the mapping between start and end. */
static struct mapping *mapping_part(const struct mapping *whole, uint64_t start, uint64_t end)
{
	struct process_mapping map = whole->map;

	map.pgoff += start - map.start;
	map.start = start;
	map.end = end;
	whole->path->refs++;
	return mapping_new(&map, whole->path);
}

struct mapping_set *mapping_set_get(struct mapping_set *set)
{
	if (set)
		set->refs++;
	return set;
}

void mapping_set_put(struct mapping_set *set)
{
	if (!set || --set->refs)
		return;
	vec_each(&set->mappings, mapping)
		mapping_put(*mapping);
	vec_free(&set->mappings);
	free(set);
}

/* Makes *set the caller's alone. */
static bool unshare(struct mapping_set **set)
{
	struct mapping_set *copy;

	if (*set && (*set)->refs == 1)
		return true;
	copy = calloc(1, sizeof(*copy));
	if (!copy)
		return false;
	copy->refs = 1;
	if (*set && (*set)->mappings.len) {
		if (!vec_reserve(&copy->mappings, (*set)->mappings.len)) {
			free(copy);
			return false;
		}
		vec_each(&(*set)->mappings, mapping) {
			(*mapping)->refs++;
			copy->mappings.data[copy->mappings.len++] = *mapping;
		}
	}
	mapping_set_put(*set);
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
static void replace(struct mapping_set *set, size_t first, size_t last, struct mapping **with, size_t n)
{
	struct mapping **data = set->mappings.data;

	for (size_t i = first; i < last; i++)
		mapping_put(data[i]);
	memmove(data + first + n, data + last, (set->mappings.len - last) * sizeof(*data));
	memcpy(data + first, with, n * sizeof(*data));
	set->mappings.len = set->mappings.len - (last - first) + n;
}

bool mapping_set_add(struct mapping_set **set_ptr, struct hash *paths, const struct process_mapping *map)
{
	struct mapping *with[3], *mapping;
	size_t first, last, n = 0;
	bool left, right;
	struct mapping_set *set;

	if (!unshare(set_ptr))
		return false;
	set = *set_ptr;
	if (set->mappings.len >= MAX_MAPPINGS || !vec_reserve(&set->mappings, set->mappings.len + 2))
		return false;
	first = last = lower_bound(set, map->start);
	while (last < set->mappings.len && set->mappings.data[last]->map.start < map->end)
		last++;
	/* What stays of the mappings at either end of the new one. */
	left = first < last && set->mappings.data[first]->map.start < map->start;
	right = first < last && set->mappings.data[last - 1]->map.end > map->end;
	mapping = mapping_new(map, path_get(paths, map->path));
	if (!mapping)
		return false;
	if (left) {
		with[n] = mapping_part(set->mappings.data[first], set->mappings.data[first]->map.start, map->start);
		n += with[n] != NULL;
	}
	with[n++] = mapping;
	if (right) {
		with[n] = mapping_part(set->mappings.data[last - 1], map->end, set->mappings.data[last - 1]->map.end);
		n += with[n] != NULL;
	}
	replace(set, first, last, with, n);
	return true;
}

const struct process_mapping *mapping_set_find(const struct mapping_set *set, uint64_t address)
{
	size_t i = set ? lower_bound(set, address) : 0;

	if (!set || i == set->mappings.len || set->mappings.data[i]->map.start > address)
		return NULL;
	return &set->mappings.data[i]->map;
}
