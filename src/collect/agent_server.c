/* SPDX-License-Identifier: MIT */
/* Where agents connect to; see agent_server.h. */
#include "collect/agent_server.h"

#include "base/files.h"
#include "collect/agent_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	BACKLOG = 1024,		/* processes that are started at once wait, but for this many */
	PROCESS_FILES = 4,	/* its socket, its rings, its end, and one to look at it */
	LEAST_FILES = PROCESS_FILES + 3,	/* and the recording, and the spare one */
};

/* What root starts may become another user before it becomes a program with an agent. */
static int let_others_come(const struct agent_server *s)
{
	return geteuid() ? 0 : chmod(s->directory, 0711) || chmod(s->path, 0666);
}

/* 0, or why there is none in /tmp: all users reach that, whoever the command becomes. */
static int make_directory(struct agent_server *s)
{
	const char *const places[] = { "/tmp", getenv("TMPDIR"), "/dev/shm" };
	int reason = 0;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (!places[i] || places[i][0] != '/' || snprintf(s->directory, sizeof(s->directory), "%s/retour-XXXXXX",
								  places[i]) >= (int)sizeof(s->directory))
			continue;
		if (mkdtemp(s->directory))
			return 0;
		reason = reason ?: errno;
	}
	s->directory[0] = '\0';
	return reason;
}

struct error *agent_server_open(struct agent_server *s)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct error *err;
	int reason;

	*s = (struct agent_server){ .fd = -1, .spare = -1 };
	reason = make_directory(s);
	if (reason)
		return error_errno(reason, "a directory in /tmp (remedy: set TMPDIR to where files can be made)");
	snprintf(s->path, sizeof(s->path), "%s/agents", s->directory);
	memcpy(address.sun_path, s->path, strlen(s->path));
	s->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd >= 0 && !files_left(LEAST_FILES)) {
		agent_server_close(s);
		return error_errno(EMFILE, "no room for the processes");
	}
	s->spare = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
	if (s->spare >= 0 && !bind(s->fd, (struct sockaddr *)&address, sizeof(address)) && !listen(s->fd, BACKLOG) &&
	    !let_others_come(s))
		return NULL;
	err = error_errno(errno, "the socket %s", s->path);
	agent_server_close(s);
	return err;
}

void agent_server_close(struct agent_server *s)
{
	if (s->fd >= 0)
		close(s->fd);
	if (s->spare >= 0)
		close(s->spare);
	s->fd = s->spare = -1;
	if (!s->directory[0])
		return;
	unlink(s->path);
	rmdir(s->directory);
	s->directory[0] = '\0';
}

/* What root has started may have become another user since. */
static bool is_trusted(const struct ucred *peer)
{
	if (peer->pid <= 0)
		return false;
	return peer->uid == geteuid() || !peer->uid ||
	       (!geteuid() && agent_process_descends((uint32_t)peer->pid, (uint32_t)getpid()));
}

/* The files of code may have taken all: nobody waits for an answer for which there is no descriptor. */
static int hang_up_on_next(struct agent_server *s)
{
	int fd = -1;

	if (s->spare >= 0) {
		close(s->spare);
		fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	}
	if (fd >= 0)
		close(fd);
	s->spare = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
	return fd >= 0 ? -EMFILE : -EAGAIN;
}

int agent_server_accept(struct agent_server *s, uint32_t *pid)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return hang_up_on_next(s);
	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED ? -EAGAIN : -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || !is_trusted(&peer)) {
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
