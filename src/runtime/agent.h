/* SPDX-License-Identifier: MIT */
/*
 * The agent of this process: the recordings that are under way, and what they
 * are told of threads, forks and mappings.
 *
 * Exported for libretour-agent.so alone, which sees threads and objects come
 * and go; without it threads that exist are found in /proc.  Nothing here may be
 * called in signal handlers, unless it says so, and nothing changes errno.
 */
#ifndef RETOUR_RUNTIME_AGENT_H
#define RETOUR_RUNTIME_AGENT_H

#include <signal.h>
#include <stdbool.h>

#include "retour/rcu_types.h"

/* The calling thread begins, ends, has a new name.  seen_blocked: of the thread that made it. */
RETOUR_API void retour_agent_thread_begin(bool seen_blocked);
RETOUR_API void retour_agent_thread_end(void);
RETOUR_API void retour_agent_thread_named(void);

/* There may be new executable mappings. */
RETOUR_API void retour_agent_objects_changed(void);

/* The signal of the sampler, 0: there is none (yet); what the program does with it goes to the next two.  In handlers too. */
RETOUR_API int retour_agent_signal(void);
RETOUR_API bool retour_agent_seen_blocked(void);
RETOUR_API void retour_agent_sigaction(const struct sigaction *action, struct sigaction *old);
RETOUR_API void retour_agent_sigmask(int how, const sigset_t *set, sigset_t *old);

/* ---- inside the library ---------------------------------------------------- */

struct agent_message;

/*
 * Answers the recorder at the other end of a socket: until it has its rings, or
 * wants nothing.  It must have been found trustworthy; what it says is checked.
 * 0: a recording began; -errno otherwise.
 */
int agent_serve(int fd, pid_t recorder);

#endif
