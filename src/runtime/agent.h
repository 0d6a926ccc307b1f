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
#include <sys/types.h>

#include "retour/rcu_types.h"

/* The calling thread begins, ends, has a new name.  seen_blocked, confined: of the thread that made it. */
RETOUR_API void retour_agent_thread_begin(bool seen_blocked, bool confined);
RETOUR_API void retour_agent_thread_end(void);
RETOUR_API void retour_agent_thread_named(void);

/*
 * The calling thread, or all of the process, is about to forbid itself system calls
 * with seccomp; whatever the agent does in it might kill the program.  Nothing of
 * ours is under way in it any more, and nothing begins, when this returns.  True:
 * that is new, and the second says how it went.
 */
RETOUR_API bool retour_agent_confine(bool all);
RETOUR_API void retour_agent_confined(bool all, bool failed);
RETOUR_API bool retour_agent_is_confined(void);

/* There may be new executable mappings. */
RETOUR_API void retour_agent_objects_changed(void);

/* The signal of the sampler, 0: there is none (yet); what the program does with it goes to the next two.  In handlers too. */
RETOUR_API int retour_agent_signal(void);
RETOUR_API bool retour_agent_seen_blocked(void);
RETOUR_API void retour_agent_sigaction(const struct sigaction *action, struct sigaction *old);
RETOUR_API void retour_agent_sigmask(int how, const sigset_t *set, sigset_t *old);

/* False in the child of a vfork(), whose memory is its parent's but whose actions and masks are not.  In handlers too. */
RETOUR_API bool retour_agent_is_here(void);

/* The signal, given back to the program as in sampler.h; the first not in handlers. */
RETOUR_API void retour_agent_give_back(void);
RETOUR_API bool retour_agent_has_given_back(void);
RETOUR_API bool retour_agent_stop_clock_of(const siginfo_t *info);

/*
 * Lets recorders attach, unless the program was started by one, which has no
 * tracepoints of it, or RETOUR_AGENT says "off".  sampled: the signal is taken now, so that no thread blocks it meanwhile.
 */
RETOUR_API void retour_agent_offer(bool sampled);

/* ---- inside the library ---------------------------------------------------- */

struct recording;

/*
 * Answers the recorder at the other end of a socket, until it has its rings or
 * wants nothing.  It must have been found trustworthy; what it says is checked.
 * 0: *ret has begun; -errno otherwise.
 */
int agent_serve(int fd, struct recording **ret);

/* Ends a recording that began, unless that has been done. */
void agent_end(struct recording *recording);

/* The first recording that its recorder wants no more, or NULL. */
struct recording *agent_find_over(void);

/* In the agent's own thread, as it begins: the process may come to have a root without /proc. */
void agent_keep_tasks(void);

/* Takes in threads that have begun, and forgets those that have ended.  True if there is a recording. */
bool agent_update_threads(void);

/* Does a recording have tracepoints of this process? */
bool agent_has_tracepoints(void);

/* Has forks looked after from now on. */
void agent_prepare_forks(void);

/* The agent's own thread, 0: there is none.  It is not one of the program's. */
extern pid_t agent_thread;

#endif
