/* SPDX-License-Identifier: MIT */
/*
 * What record watches: processes or threads that exist already, or a command
 * that it starts.  A recording of targets ends when the last of them ends.
 */
#ifndef RETOUR_CLI_TARGETS_H
#define RETOUR_CLI_TARGETS_H

#include "base/error.h"
#include "base/vec.h"

#include <stdbool.h>
#include <sys/types.h>

struct targets {
	VEC(pid_t) pids;
	VEC(int) pidfds;	/* one for each of pids */
	const char *command;	/* the name of the command that was started, or NULL */
	int gate;		/* of the command: it waits here until it may exec; -1 */
};

void targets_init(struct targets *targets);
/* A command that was not let go ends without a trace. */
void targets_deinit(struct targets *targets);

/* A process, or with `thread` a thread. */
ERROR_CHECK struct error *targets_add(struct targets *targets, pid_t pid, bool thread);
/*
 * Forks a child that waits before it becomes argv[0].  With output_to_stderr its
 * standard output is our standard error: ours is the recording.
 */
ERROR_CHECK struct error *targets_add_command(struct targets *targets, char **argv, bool output_to_stderr);
/* Lets the command go, with "NAME=VALUE"s (NULL: none) in its environment; fails if it cannot be executed. */
ERROR_CHECK struct error *targets_start_command(struct targets *targets, const char *const *environment);

/* Says on standard error which targets cannot give samples now. */
void targets_note_stopped(const struct targets *targets);
/* Have all targets ended?  Without targets: never. */
bool targets_ended(const struct targets *targets);
/* Asks a command that still runs to end; the status of waitpid(2) if it has ended, -1 if not. */
int targets_finish_command(struct targets *targets);

#endif
