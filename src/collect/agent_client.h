/* SPDX-License-Identifier: MIT */
/*
 * Attaching to a process that links libretour: its socket is looked for in its
 * own root, must be of its own user, and of nobody else's making.
 */
#ifndef RETOUR_COLLECT_AGENT_CLIENT_H
#define RETOUR_COLLECT_AGENT_CLIENT_H

#include "base/error.h"
#include "runtime/agent_protocol.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * A connection to the next agent of the process, after HELLO.  *number is 0 for the first one, and then what
 * the last call has left; *ret is -1 if there is no further one.  EOPNOTSUPP: it has no agent; EACCES, EPERM: rights; ESRCH: there is
 * no such process.
 */
ERROR_CHECK struct error *agent_connect(pid_t pid, unsigned int *number, int *ret);

/* The tracepoints of a process, as each of its agents says them; those that make no sense are left out. */
ERROR_CHECK struct error *agent_list(pid_t pid, void (*fn)(void *arg, const struct agent_tracepoint *tracepoint),
				     void *arg);

/* Why a process does not answer that has an agent, as far as /proc tells, and what to do. */
ERROR_CHECK struct error *agent_no_answer(pid_t pid);

/* Waits for the next packet, but not for ever; as agent_packet_receive() otherwise. */
int agent_packet_wait(int fd, struct agent_message *ret, int *passed);

#endif
