/* SPDX-License-Identifier: MIT */
/* Connecting to the agent of a running process; see agent_client.h. */
#include "collect/agent_client.h"

#include "base/cleanup.h"
#include "collect/agent_packet.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum {
	PATIENCE_MS = 3000,
	MAX_LISTED = 65536,
};

/* Who the process is: to us, and as it sees itself. */
struct identity {
	uint32_t uid, own_uid, own_pid;
};

/* The process's user namespace may call the user something else. */
static uint32_t uid_inside(pid_t pid, uint32_t uid)
{
	_cleanup_fclose_ FILE *f = NULL;
	unsigned int inside, outside, n;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	f = fopen(path, "re");
	while (f && fscanf(f, "%u %u %u", &inside, &outside, &n) == 3)
		if (uid >= outside && uid - outside < n)
			return inside + (uid - outside);
	return uid;
}

static bool identify(pid_t pid, struct identity *ret)
{
	_cleanup_fclose_ FILE *f = NULL;
	char line[512];
	int found = 0;

	snprintf(line, sizeof(line), "/proc/%d/status", pid);
	f = fopen(line, "re");
	while (f && fgets(line, sizeof(line), f)) {
		found += sscanf(line, "Uid: %*u %u", &ret->uid) == 1;
		if (strncmp(line, "NSpid:", 6) || !strrchr(line, '\t'))
			continue;
		ret->own_pid = (uint32_t)strtoul(strrchr(line, '\t'), NULL, 10);
		found++;
	}
	ret->own_uid = uid_inside(pid, ret->uid);
	return found == 2;
}

/* In the process's root, whatever links it has there. */
static int open_directory(pid_t pid, const struct identity *who)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_close_ int root = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	snprintf(path, sizeof(path), AGENT_DIRECTORY, who->own_uid);
	root = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	return root < 0 ? -errno : steal_fd(&root);
}

/* Anybody may make files in /tmp, but none of this owner. */
static bool is_private(int fd, const char *name, const struct identity *who, mode_t type)
{
	struct stat st;

	return !fstatat(fd, name, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) && (st.st_mode & S_IFMT) == type &&
	       st.st_uid == who->uid && !(st.st_mode & (S_IRWXG | S_IRWXO));
}

static int connect_in(int directory, const char *name, pid_t pid, const struct identity *who)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory, name);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || peer.pid != pid || peer.uid != who->uid)
		return -EPERM;
	return steal_fd(&fd);
}

int agent_packet_wait(int fd, struct agent_message *ret, int *passed)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	int n;

	*passed = -1;
	do
		n = poll(&ready, 1, PATIENCE_MS);
	while (n < 0 && errno == EINTR);
	return n > 0 ? agent_packet_receive(fd, ret, passed) : 0;
}

static struct error *no_agent(pid_t pid, int code)
{
	switch (code) {
	case EACCES:
	case EPERM:
		return error_errno(code, "the agent of process %d (remedy: be its user, or root)", pid);
	case ENOENT:
	case ECONNREFUSED:
		return error_new(EOPNOTSUPP, "process %d has no agent: it does not use libretour, or has changed its user or "
				 "root directory since (remedy: start it with retour record --backend agent -- CMD)", pid);
	}
	return error_errno(code, "the agent of process %d", pid);
}

struct error *agent_connect(pid_t pid, int *ret)
{
	_cleanup_close_ int directory = -1, fd = -1;
	struct agent_message hello;
	struct identity who;
	char name[32];
	int passed, n;

	if (!identify(pid, &who))
		return error_new(ESRCH, "there is no process %d", pid);
	directory = open_directory(pid, &who);
	if (directory < 0)
		return no_agent(pid, -directory);
	snprintf(name, sizeof(name), "%u.agent", who.own_pid);
	if (!is_private(directory, "", &who, S_IFDIR))
		return no_agent(pid, EPERM);
	if (faccessat(directory, name, F_OK, 0) && errno == ENOENT)
		return no_agent(pid, ENOENT);
	if (!is_private(directory, name, &who, S_IFSOCK))
		return no_agent(pid, EPERM);
	fd = connect_in(directory, name, pid, &who);
	if (fd < 0)
		return no_agent(pid, -fd);
	n = agent_packet_wait(fd, &hello, &passed);
	if (passed >= 0)
		close(passed);
	if (n > 0 && hello.kind == AGENT_REFUSED)
		return error_errno((int)hello.error, "process %d refuses to be recorded", pid);
	if (n <= 0 || hello.kind != AGENT_HELLO)
		return error_new(EPROTO, "the agent of process %d does not answer", pid);
	if (hello.version != AGENT_VERSION)
		return error_new(EOPNOTSUPP, "the agent of process %d is of another version of retour", pid);
	*ret = steal_fd(&fd);
	return NULL;
}

struct error *agent_list(pid_t pid, void (*fn)(void *arg, const struct agent_tracepoint *tracepoint), void *arg)
{
	struct agent_message message = { .kind = AGENT_LIST };
	_cleanup_close_ int fd = -1;
	struct error *err = agent_connect(pid, &fd);
	int passed, n;

	if (err)
		return err;
	n = agent_packet_send(fd, &message, -1);
	if (n)
		return error_errno(-n, "the agent of process %d", pid);
	for (int i = 0; i < MAX_LISTED; i++) {
		n = agent_packet_wait(fd, &message, &passed);
		if (passed >= 0)
			close(passed);
		if (n <= 0 || message.kind == AGENT_REFUSED)
			break;
		if (message.kind == AGENT_DONE)
			return NULL;
		if (message.kind == AGENT_TRACEPOINT && agent_tracepoint_is_sane(&message.tracepoint))
			fn(arg, &message.tracepoint);
	}
	return error_new(EPROTO, "the agent of process %d does not answer", pid);
}
