/* SPDX-License-Identifier: MIT */
/*
 * The socket at which a process is attached to: in a directory that only its
 * user can enter, where agent_protocol.h says that recorders look.
 *
 * A process changes its user or root directory without telling, so the socket is looked
 * after; and it may die without a word, so whoever comes removes what others have left.
 */
#ifndef RETOUR_RUNTIME_AGENT_LISTENER_H
#define RETOUR_RUNTIME_AGENT_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

struct agent_listener {
	int fd;			/* -1: not open */
	uid_t user;		/* those for which it was opened, or could not be */
	dev_t root_device;
	ino_t root;
};

/* Opens it, or opens it anew where recorders look now.  Where that cannot be done it stays where it is. */
void agent_listener_follow(struct agent_listener *listener);

/*
 * Somebody who came through the directory: the same user, root, or root of an outer user
 * namespace, who has no number here.
 */
bool agent_listener_trusts(int fd);

/* As the process ends, in any thread. */
void agent_listener_remove(void);

#endif
