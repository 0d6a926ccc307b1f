/* SPDX-License-Identifier: MIT */
/* Strings, functions and locations by number; see frames.h. */
#include "profile/frames.h"

#include <stdlib.h>
#include <string.h>

struct string {
	struct hash_node node;
	uint32_t id;
	char text[];
};

struct error *frames_init(struct frames *frames)
{
	uint32_t empty;

	*frames = (struct frames){ 0 };
	return frames_string(frames, "", &empty);
}

void frames_deinit(struct frames *frames)
{
	hash_each_all(&frames->strings_by_text, node)
		free(container_of(node, struct string, node));
	hash_free(&frames->strings_by_text);
	vec_free(&frames->strings);
	vec_free(&frames->functions);
	id_map_free(&frames->functions_by_key);
	vec_free(&frames->locations);
}

static struct error *add_string(struct frames *frames, const char *text, uint64_t hash, uint32_t *ret)
{
	size_t size = strlen(text) + 1;
	struct string *string = NULL;

	if (frames->strings.len < ID_NONE)
		string = malloc(sizeof(*string) + size);
	if (!string)
		return error_nomem();
	memcpy(string->text, text, size);
	string->id = (uint32_t)frames->strings.len;
	if (!hash_insert(&frames->strings_by_text, &string->node, hash)) {
		free(string);
		return error_nomem();
	}
	if (!vec_push(&frames->strings, string->text)) {
		hash_remove(&frames->strings_by_text, &string->node);
		free(string);
		return error_nomem();
	}
	*ret = string->id;
	return NULL;
}

struct error *frames_string(struct frames *frames, const char *text, uint32_t *ret)
{
	uint64_t hash = hash_string(text);

	hash_each(&frames->strings_by_text, hash, node) {
		const struct string *string = container_of(node, struct string, node);

		if (!strcmp(string->text, text)) {
			*ret = string->id;
			return NULL;
		}
	}
	return add_string(frames, text, hash, ret);
}

#define MAX_DSOS (1u << 29)	/* what the key of a function has room for */

struct error *frames_function(struct frames *frames, enum frame_kind kind, uint32_t name, uint32_t dso, uint32_t *ret)
{
	uint64_t key = (uint64_t)name << 32 | (uint64_t)dso << 3 | kind;
	uint32_t id = id_map_get(&frames->functions_by_key, key);

	if (id == ID_NONE) {
		id = (uint32_t)frames->functions.len;
		if (dso >= MAX_DSOS || id == ID_NONE ||
		    !vec_push(&frames->functions, (struct function){ name, dso, kind }))
			return error_nomem();
		if (!id_map_put(&frames->functions_by_key, key, id)) {
			frames->functions.len--;
			return error_nomem();
		}
	}
	*ret = id;
	return NULL;
}

struct error *frames_function_named(struct frames *frames, enum frame_kind kind, const char *name, const char *dso,
				    uint32_t *ret)
{
	uint32_t name_id, dso_id;
	struct error *err;

	err = frames_string(frames, name, &name_id);
	if (!err)
		err = frames_string(frames, dso, &dso_id);
	return err ? err : frames_function(frames, kind, name_id, dso_id, ret);
}

struct error *frames_location(struct frames *frames, const struct location *location, uint32_t *ret)
{
	if (frames->locations.len >= ID_NONE || !vec_push(&frames->locations, *location))
		return error_nomem();
	*ret = (uint32_t)frames->locations.len - 1;
	return NULL;
}

const char *frames_name(const struct frames *frames, uint32_t function)
{
	return frames->strings.data[frames->functions.data[function].name];
}

const char *frames_dso(const struct frames *frames, uint32_t function)
{
	return frames->strings.data[frames->functions.data[function].dso];
}

enum frame_kind frames_kind(const struct frames *frames, uint32_t function)
{
	return frames->functions.data[function].kind;
}

const char *frames_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}
