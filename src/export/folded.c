/* SPDX-License-Identifier: MIT */
/*
 * Folded stacks: one line per distinct chain, "comm;outermost;…;innermost N".
 * The kind of a frame is a suffix; DSOs are not shown, so functions of one
 * name merge.  Siblings are in the order of their names.
 */
#include "export/export.h"

#include "base/cleanup.h"
#include "base/vec.h"

#include <inttypes.h>
#include <string.h>

static const char *suffix_of(enum frame_kind kind)
{
	switch (kind) {
	case FRAME_KERNEL:
		return "_[k]";
	case FRAME_INLINED:
		return "_[i]";
	case FRAME_JIT:
		return "_[j]";
	default:
		return "";
	}
}

/* The function that stands for a label in the merged tree. */
static struct error *label(struct frames *frames, uint32_t function, uint32_t *ret)
{
	const char *name = frames_name(frames, function), *suffix = suffix_of(frames_kind(frames, function));
	size_t len = strlen(name);
	_cleanup_free_ char *text = malloc(len + strlen(suffix) + 1);

	if (!text)
		return error_nomem();
	/* What separates frames or lines cannot be in a name. */
	for (size_t i = 0; i < len; i++)
		text[i] = name[i] == ';' ? ':' : (unsigned char)name[i] < ' ' ? ' ' : name[i];
	strcpy(text + len, suffix);
	return frames_function_named(frames, FRAME_USER, text, "", ret);
}

static struct error *merge_by_label(struct frames *frames, const struct tree *tree, struct tree *ret)
{
	size_t n = frames->functions.len;
	_cleanup_free_ uint32_t *map = malloc((n + 1) * sizeof(*map));
	struct error *err = map ? NULL : error_nomem();

	for (size_t f = 0; !err && f < n; f++)
		err = label(frames, (uint32_t)f, &map[f]);
	return err ? err : tree_remap(tree, map, ret);
}

static int by_name(const struct tree *tree, uint32_t a, uint32_t b, const void *frames)
{
	return strcmp(frames_name(frames, tree->nodes.data[a].function),
		      frames_name(frames, tree->nodes.data[b].function));
}

/* The line so far and, for every depth, where the part of that node begins. */
struct line {
	VEC(char) text;
	VEC(size_t) starts;
};

static bool set_part(struct line *line, unsigned int depth, const char *name)
{
	size_t len = strlen(name), start;

	if (depth < line->starts.len)
		line->text.len = line->starts.data[depth];
	line->starts.len = depth;
	start = line->text.len;
	if (!vec_push(&line->starts, start) || !vec_reserve(&line->text, start + len + 1))
		return false;
	if (depth > 0)
		line->text.data[line->text.len++] = ';';
	memcpy(line->text.data + line->text.len, name, len);
	line->text.len += len;
	return true;
}

static struct error *write_lines(const struct frames *frames, const struct tree *tree, FILE *out)
{
	struct line line = { 0 };
	unsigned int depth = 0;
	uint32_t node = TREE_ROOT;
	bool memory = true;

	while (memory && (node = tree_next(tree, TREE_ROOT, node, false, &depth)) != ID_NONE) {
		const struct tree_node *n = &tree->nodes.data[node];

		memory = set_part(&line, depth - 1, frames_name(frames, n->function));
		if (memory && n->self) {
			fwrite(line.text.data, 1, line.text.len, out);
			fprintf(out, " %" PRIu64 "\n", n->self);
		}
	}
	vec_free(&line.text);
	vec_free(&line.starts);
	return memory ? NULL : error_nomem();
}

struct error *export_folded(const struct profile *profile, const struct export_options *options, FILE *out)
{
	struct tree merged;
	struct error *err = merge_by_label(profile->frames, &profile->tree, &merged);

	if (err)
		return err;
	err = tree_finish(&merged, by_name, profile->frames);
	if (!err)
		err = write_lines(profile->frames, &merged, out);
	tree_deinit(&merged);
	return err;
}
