/* SPDX-License-Identifier: MIT */
/*
 * The call tree: one node per distinct chain of functions from the outermost
 * frame, with the number of samples that end in it.  Node 0 is the root of
 * everything; its children are the tasks (FRAME_TASK).  Totals and order are
 * derived by tree_finish() once all chains are in; parents come before their
 * children in the array, before and after.
 */
#ifndef RETOUR_PROFILE_TREE_H
#define RETOUR_PROFILE_TREE_H

#include "base/error.h"
#include "base/vec.h"
#include "profile/frames.h"
#include "profile/id_map.h"

#include <stddef.h>
#include <stdint.h>

#define TREE_ROOT 0u

struct tree_node {
	uint32_t function;		/* ID_NONE for the root */
	uint32_t parent;
	uint32_t first_child, next_sibling;	/* ID_NONE: none; valid after tree_finish() */
	uint64_t self;			/* samples whose chain ends here */
	uint64_t total;			/* self and all below; valid after tree_finish() */
};

struct tree {
	VEC(struct tree_node) nodes;
	struct id_map children;		/* by parent and function */
};

ERROR_CHECK struct error *tree_init(struct tree *tree);
void tree_deinit(struct tree *tree);

/* The child of parent for a function, made if needed. */
ERROR_CHECK struct error *tree_child(struct tree *tree, uint32_t parent, uint32_t function, uint32_t *ret);

/* Orders siblings: negative if a comes first. */
typedef int (*tree_compare_fn)(const struct tree *tree, uint32_t a, uint32_t b, const void *arg);

/* Derives totals and links children in the given order, by total from the biggest if compare is NULL. */
ERROR_CHECK struct error *tree_finish(struct tree *tree, tree_compare_fn compare, const void *arg);

/*
 * The node after `node` in pre-order within the subtree of top, ID_NONE at the
 * end; *depth follows.  Start with node = top.  skip_children steps over what
 * is below node.
 */
uint32_t tree_next(const struct tree *tree, uint32_t top, uint32_t node, bool skip_children, unsigned int *depth);

/*
 * A copy of the tree in which function f is shown as map[f]; equal siblings
 * merge, and what maps to ID_NONE gives its samples to its parent.
 */
ERROR_CHECK struct error *tree_remap(const struct tree *tree, const uint32_t *map, struct tree *ret);

#endif
