/* SPDX-License-Identifier: MIT */
/*
 * Packets of runtime/agent_protocol.h as the recorder's side sends and takes
 * them: never waiting, and nothing taken that is not whole.
 */
#ifndef RETOUR_COLLECT_AGENT_PACKET_H
#define RETOUR_COLLECT_AGENT_PACKET_H

#include "runtime/agent_protocol.h"

#include <stdbool.h>
#include <stddef.h>

/* The size of a packet of this kind; 0: there is none. */
size_t agent_packet_size(uint32_t kind);

/* passed: a descriptor that goes along, or -1.  0 or -errno. */
int agent_packet_send(int fd, struct agent_message *message, int passed);
/*
 * The next packet; what is not in it is zero.  *passed is the caller's, -1 if
 * none came.  1: there is one; 0: not yet; -EPROTO: it was none; -ECONNRESET
 * or another -errno: no more will come.
 */
int agent_packet_receive(int fd, struct agent_message *ret, int *passed);

/* Do its names fit what they are written into, and its fields the data of a sample? */
bool agent_tracepoint_is_sane(const struct agent_tracepoint *tracepoint);

#endif
