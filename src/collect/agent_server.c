/* SPDX-License-Identifier: MIT */
/* Where agents connect to; see agent_server.h. */
#include "collect/agent_server.h"

#include "base/files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BACKLOG = 1024,		/* processes that are started at once wait, but for this many */
	PROCESS_FILES = 4,	/* its socket, its rings, its end, and one to look at it */
	LEAST_FILES = PROCESS_FILES + 2,	/* and the recording */
};

struct error *agent_server_open(struct agent_server *s)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct error *err;

	*s = (struct agent_server){ .fd = -1, .directory = "/tmp/retour-XXXXXX" };
	if (!mkdtemp(s->directory)) {
		err = error_errno(errno, "a directory in /tmp");
		s->directory[0] = '\0';
		return err;
	}
	snprintf(s->path, sizeof(s->path), "%s/agents", s->directory);
	memcpy(address.sun_path, s->path, strlen(s->path));
	s->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd >= 0 && !files_left(LEAST_FILES)) {
		agent_server_close(s);
		return error_errno(EMFILE, "no room for the processes");
	}
	if (s->fd >= 0 && !bind(s->fd, (struct sockaddr *)&address, sizeof(address)) && !listen(s->fd, BACKLOG))
		return NULL;
	err = error_errno(errno, "the socket %s", s->path);
	agent_server_close(s);
	return err;
}

void agent_server_close(struct agent_server *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	if (!s->directory[0])
		return;
	unlink(s->path);
	rmdir(s->directory);
	s->directory[0] = '\0';
}

int agent_server_accept(const struct agent_server *s, uint32_t *pid)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED ? -EAGAIN : -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || (peer.uid != geteuid() && peer.uid) ||
	    peer.pid <= 0) {
		close(fd);
		return -EPERM;
	}
	/* Each who comes is to be answered, so these are always kept. */
	if (!files_left(PROCESS_FILES - 1)) {
		close(fd);
		return -EMFILE;
	}
	*pid = (uint32_t)peer.pid;
	return fd;
}
