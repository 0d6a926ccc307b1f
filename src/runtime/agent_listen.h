/* SPDX-License-Identifier: MIT */
/* The thread to which recorders attach. */
#ifndef RETOUR_RUNTIME_AGENT_LISTEN_H
#define RETOUR_RUNTIME_AGENT_LISTEN_H

/* Starts it, unless it runs; forked children start theirs.  Without it nobody can attach, that is all. */
void agent_listen(void);

#endif
