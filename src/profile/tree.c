/* SPDX-License-Identifier: MIT */
/* The call tree; see tree.h. */
#include "profile/tree.h"

#include "base/cleanup.h"

#include <stdlib.h>

static struct error *add_node(struct tree *tree, uint32_t parent, uint32_t function, uint32_t *ret)
{
	struct tree_node node = { .function = function, .parent = parent, .first_child = ID_NONE,
				  .next_sibling = ID_NONE };

	if (tree->nodes.len >= ID_NONE || !vec_push(&tree->nodes, node))
		return error_nomem();
	*ret = (uint32_t)tree->nodes.len - 1;
	return NULL;
}

struct error *tree_init(struct tree *tree)
{
	uint32_t root;

	*tree = (struct tree){ 0 };
	return add_node(tree, ID_NONE, ID_NONE, &root);
}

void tree_deinit(struct tree *tree)
{
	vec_free(&tree->nodes);
	id_map_free(&tree->children);
}

struct error *tree_child(struct tree *tree, uint32_t parent, uint32_t function, uint32_t *ret)
{
	uint64_t key = (uint64_t)parent << 32 | function;
	uint32_t id = id_map_get(&tree->children, key);
	struct error *err;

	if (id != ID_NONE) {
		*ret = id;
		return NULL;
	}
	err = add_node(tree, parent, function, &id);
	if (err)
		return err;
	if (!id_map_put(&tree->children, key, id)) {
		tree->nodes.len--;
		return error_nomem();
	}
	*ret = id;
	return NULL;
}

struct order {
	const struct tree *tree;
	tree_compare_fn compare;
	const void *arg;
};

static int by_total(const struct tree *tree, uint32_t a, uint32_t b, const void *arg)
{
	uint64_t ta = tree->nodes.data[a].total, tb = tree->nodes.data[b].total;

	return ta == tb ? 0 : ta > tb ? -1 : 1;
}

/* By parent, so that siblings stand together; then as asked; then by age, so that the order is one. */
static int compare_nodes(const void *pa, const void *pb, void *arg)
{
	const struct order *order = arg;
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
	uint32_t parent_a = order->tree->nodes.data[a].parent, parent_b = order->tree->nodes.data[b].parent;
	int c;

	if (parent_a != parent_b)
		return parent_a < parent_b ? -1 : 1;
	c = order->compare(order->tree, a, b, order->arg);
	return c ? c : a < b ? -1 : a > b;
}

static void sum_totals(struct tree *tree)
{
	struct tree_node *nodes = tree->nodes.data;

	for (size_t i = 0; i < tree->nodes.len; i++)
		nodes[i].total = nodes[i].self;
	for (size_t i = tree->nodes.len; i-- > 1;)
		nodes[nodes[i].parent].total += nodes[i].total;
}

struct error *tree_finish(struct tree *tree, tree_compare_fn compare, const void *arg)
{
	struct order order = { tree, compare ? compare : by_total, arg };
	struct tree_node *nodes = tree->nodes.data;
	size_t n = tree->nodes.len - 1;	/* without the root */
	_cleanup_free_ uint32_t *sorted = malloc((n + 1) * sizeof(*sorted));

	if (!sorted)
		return error_nomem();
	sum_totals(tree);
	for (size_t i = 0; i < n; i++)
		sorted[i] = (uint32_t)i + 1;
	qsort_r(sorted, n, sizeof(*sorted), compare_nodes, &order);

	for (size_t i = 0; i <= n; i++)
		nodes[i].first_child = ID_NONE;
	for (size_t i = n; i-- > 0;) {
		struct tree_node *node = &nodes[sorted[i]];

		node->next_sibling = nodes[node->parent].first_child;
		nodes[node->parent].first_child = sorted[i];
	}
	return NULL;
}

uint32_t tree_next(const struct tree *tree, uint32_t top, uint32_t node, bool skip_children, unsigned int *depth)
{
	const struct tree_node *nodes = tree->nodes.data;

	if (!skip_children && nodes[node].first_child != ID_NONE) {
		++*depth;
		return nodes[node].first_child;
	}
	for (; node != top; node = nodes[node].parent, --*depth)
		if (nodes[node].next_sibling != ID_NONE)
			return nodes[node].next_sibling;
	return ID_NONE;
}

struct error *tree_remap(const struct tree *tree, const uint32_t *map, struct tree *ret)
{
	_cleanup_free_ uint32_t *to = malloc(tree->nodes.len * sizeof(*to));
	struct error *err = tree_init(ret);

	if (!err && !to)
		err = error_nomem();
	if (!err)
		to[TREE_ROOT] = TREE_ROOT;
	for (size_t i = 1; !err && i < tree->nodes.len; i++) {
		const struct tree_node *node = &tree->nodes.data[i];
		uint32_t function = map[node->function];

		to[i] = to[node->parent];
		if (function != ID_NONE)
			err = tree_child(ret, to[node->parent], function, &to[i]);
		if (!err)
			ret->nodes.data[to[i]].self += node->self;
	}
	if (err)
		tree_deinit(ret);
	return err;
}
