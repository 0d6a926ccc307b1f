/* SPDX-License-Identifier: MIT */
/*
 * Walks that missed a rule: the chain so far and the rest of the stack arrive
 * in pieces, are put together, and the walk is finished here, by the same
 * walker and the same rules.  On the way the missing rules are loaded.
 */
#ifndef RETOUR_COLLECT_STACK_COPY_H
#define RETOUR_COLLECT_STACK_COPY_H

#include "base/cleanup.h"
#include "base/error.h"
#include "collect/chain.h"
#include "collect/dso.h"
#include "perfdata/process.h"

struct stack_copies;

typedef void (*stack_copies_fn)(void *arg, const struct chain *chain);

/* Every finished chain goes to fn. */
ERROR_CHECK struct error *stack_copies_create(struct dso_store *dsos, struct process_tracker *processes,
					      uint32_t max_depth, stack_copies_fn fn, void *arg,
					      struct stack_copies **ret);
void stack_copies_destroy(struct stack_copies *copies);
DEFINE_CLEANUP(stack_copies_destroy, struct stack_copies *);

/*
 * The chain so far (a record with DEFERRED_PARTIAL), and a piece of the stack;
 * size is the record's, checked here.  They may come in any order.  True once
 * all is there: then the walk can be finished, when the processes are as they
 * were at the time of the record.
 */
bool stack_copies_partial(struct stack_copies *copies, const struct deferred_record *record, uint32_t size);
bool stack_copies_piece(struct stack_copies *copies, const struct deferred_record *record, uint32_t size);
/* Finishes the walk with the record's task and cookie. */
void stack_copies_finish(struct stack_copies *copies, const struct deferred_record *record);
/* Delivers what will not become whole any more, as far as it goes: all, or what is older than time. */
void stack_copies_expire(struct stack_copies *copies, uint64_t time);

#endif
