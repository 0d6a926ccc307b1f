/* SPDX-License-Identifier: MIT */
/*
 * Threads that have forbidden themselves system calls with seccomp.  A filter
 * may kill the program for any of ours, so in such a thread nothing is done.
 */
#ifndef RETOUR_RUNTIME_AGENT_CONFINE_H
#define RETOUR_RUNTIME_AGENT_CONFINE_H

#include <stdbool.h>
#include <sys/types.h>

/* Is the calling thread one?  Are all?  Async-signal-safe. */
bool confined_here(void);
bool confined_all(void);

/* Makes the calling thread one, or all; or no more. */
void confine(bool all, bool on);

/* What a thread that knows nothing of ours has done is seen in /proc: more filters than when the agent began. */
void confine_look(void);
bool confined_thread(pid_t tid);

/* Programs that are executed under the filter leave recorders alone; or no more. */
void confine_children(bool on);

#endif
