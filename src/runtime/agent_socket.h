/* SPDX-License-Identifier: MIT */
/* Packets of agent_protocol.h on a socket, with at most one descriptor each. */
#ifndef RETOUR_RUNTIME_AGENT_SOCKET_H
#define RETOUR_RUNTIME_AGENT_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/agent_protocol.h"

/* Is the other side the same user or root? */
bool agent_peer_is_trusted(int fd);

/* How long each call waits from now on: who hangs does not hang the other side.  0 or -errno. */
int agent_set_patience(int fd);

/*
 * For who calls again: the call failed because of a signal, and began, at since, less than that ago.  Calls with a
 * time-out fail so whatever the handler's flags are, see signal(7): other copies of the library may have clocks here.
 */
bool agent_was_interrupted(uint64_t since);

/* Sends the first bytes of a message, up to the end of what its kind has.  passed: a descriptor, or -1.  0 or -errno. */
int agent_send(int fd, struct agent_message *message, int passed);

/*
 * Receives a message; what the packet did not have is 0.  *passed becomes the caller's descriptor
 * or -1.  0; -ECONNRESET: the other side hung up; -EPROTO: no such message; -errno.
 */
int agent_receive(int fd, struct agent_message *message, int *passed);

/* HELLO, and what the recorder asks for until it hangs up or has its rings. */
int agent_send_hello(int fd);

#endif
