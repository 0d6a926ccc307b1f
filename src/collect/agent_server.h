/* SPDX-License-Identifier: MIT */
/* The socket to which the processes of a command connect as they start. */
#ifndef RETOUR_COLLECT_AGENT_SERVER_H
#define RETOUR_COLLECT_AGENT_SERVER_H

#include "base/error.h"

#include <stdint.h>

struct agent_server {
	int fd;			/* -1: closed; readable when somebody is there */
	int spare;		/* a descriptor to hang up with where there are no others */
	char directory[64];	/* the user's alone; of root's, others may know what is in it */
	char path[80];
};

ERROR_CHECK struct error *agent_server_open(struct agent_server *server);
void agent_server_close(struct agent_server *server);
/*
 * The next connection of this user or root, or of what root has started, and whose; -EAGAIN: none;
 * -EPERM: it was somebody else's; -EMFILE: no files for it.
 */
int agent_server_accept(struct agent_server *server, uint32_t *pid);

#endif
