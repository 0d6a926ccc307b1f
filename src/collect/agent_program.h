/* SPDX-License-Identifier: MIT */
/*
 * Can a program be given the agent by LD_PRELOAD?  That takes the loader of our
 * own C library, and no more rights than the caller's; or it has one in itself.
 */
#ifndef RETOUR_COLLECT_AGENT_PROGRAM_H
#define RETOUR_COLLECT_AGENT_PROGRAM_H

#include "base/error.h"

#include <stdbool.h>

/*
 * EOPNOTSUPP with a sentence for users if it cannot.  command is looked for as
 * execvp(3) does; one that is not found or not readable is left to exec.
 */
ERROR_CHECK struct error *agent_program_check(const char *command);

/* Has a command rights that its caller lacks (setuid, setgid, capabilities), or may he only run it?  false: or not found. */
bool agent_program_gains_rights(const char *command);

/* Has the program tracepoints of its own, and so a copy of libretour, or will it load one? */
bool agent_program_has_tracepoints(const char *path);

/* The object to preload, malloc()ed: beside this program, in its build tree, or installed. */
ERROR_CHECK struct error *agent_object_find(char **ret);

/*
 * What LD_PRELOAD has to be, malloc()ed, with what it was before or NULL.  Loaders of
 * other C libraries do not find the object by it, which they pass over in silence;
 * if they did they would refuse the program, for what the object needs of glibc.
 */
ERROR_CHECK struct error *agent_program_preload(const char *object, const char *others, char **ret);

#endif
