/* SPDX-License-Identifier: MIT */
/*
 * The unwind rule at a pc of the own process, by the tables of its loaded
 * objects, and a cache of what was found.
 */
#ifndef RETOUR_RUNTIME_UNWIND_RULES_H
#define RETOUR_RUNTIME_UNWIND_RULES_H

#include "runtime/unwind_objects.h"
#include "unwind/rule.h"

/*
 * RULE_CFA_NONE where an object has no entry, RULE_CFA_FP for code outside of
 * all objects.  *object, zeroed before the first call, serves one walk.
 * Async-signal-safe: no lock, no allocation.
 */
struct unwind_rule unwind_rule_at(struct unwind_object *object, unsigned long pc);

#endif
