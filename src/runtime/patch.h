/* SPDX-License-Identifier: MIT */
/*
 * Replacing a site's instruction while other threads run through it.
 *
 * A change is three stores and three times patch_sync(); no thread ever meets
 * anything but a whole instruction, and none is trapped.  See docs/runtime.md.
 */
#ifndef RETOUR_RUNTIME_PATCH_H
#define RETOUR_RUNTIME_PATCH_H

#include <stdbool.h>

enum site_state { SITE_NOP, SITE_JUMP, SITE_SKIP, SITE_FOREIGN };

/* What stands at the site; foreign: something that is not ours, as a debugger's breakpoint. */
enum site_state patch_state(const void *code);

/* The three stores of a change to a nop, or to a jump to target. */
void patch_skip(void *code);
void patch_tail(void *code, const void *target, enum site_state state);
void patch_head(void *code, const void *target, enum site_state state);

/* Can patch_sync() be relied on?  Decided at the first call. */
bool patch_usable(void);

/* All threads execute from now on what was stored before; false: the kernel refuses by now. */
bool patch_sync(void);

#endif
