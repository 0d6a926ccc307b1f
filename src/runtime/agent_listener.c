/* SPDX-License-Identifier: MIT */
/* Where recorders attach; see agent_listener.h. */
#include "runtime/agent_listener.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "rcu/sys.h"
#include "runtime/agent_socket.h"

enum {
	TRIES = 3,
	NO_NUMBER = 65534,	/* of users that a namespace has no number for, see user_namespaces(7) */
};

/* In its name. */
static unsigned int socket_number;

/* Its inode; 0: the first one, or unknown. */
static unsigned long user_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/user", &st) || st.st_ino == AGENT_FIRST_NAMESPACE ? 0 : st.st_ino;
}

static void name_directory(char *to, size_t size)
{
	unsigned long in = user_namespace();

	if (in)
		snprintf(to, size, AGENT_NAMESPACE_DIRECTORY, geteuid(), in);
	else
		snprintf(to, size, AGENT_DIRECTORY, geteuid());
}

static void name_socket(struct sockaddr_un *to, const char *directory, pid_t pid, unsigned int number)
{
	to->sun_family = AF_UNIX;
	snprintf(to->sun_path, sizeof(to->sun_path), "%.64s/" AGENT_NAME, directory, pid, number);
}

/* Whoever made the directory: it must be ours alone. */
static bool directory_is_ours(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) && errno != EEXIST)
		return false;
	return !lstat(path, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077);
}

static bool refuses_connections(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool refuses = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) && errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return refuses;
}

/* Sockets of processes that were killed.  Ids may be of another namespace, so nobody must listen either. */
static void sweep(const char *directory)
{
	DIR *dir = opendir(directory);

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		struct sockaddr_un address;
		unsigned int pid, number;
		int end = 0;

		if (sscanf(entry->d_name, AGENT_NAME "%n", &pid, &number, &end) != 2 || !end || entry->d_name[end] ||
		    !kill((pid_t)pid, 0) || errno != ESRCH)
			continue;
		name_socket(&address, directory, (pid_t)pid, number);
		if (refuses_connections(&address))
			unlink(address.sun_path);
	}
	if (dir)
		closedir(dir);
}

/* Takes the name, unless somebody listens there: an earlier process with our id does not any more. */
static bool bind_to(int fd, const struct sockaddr_un *address)
{
	if (!access(address->sun_path, F_OK) && (!refuses_connections(address) || unlink(address->sun_path)))
		return false;
	return !bind(fd, (const struct sockaddr *)address, sizeof(*address)) && !chmod(address->sun_path, 0600) &&
	       !listen(fd, 8);
}

static int open_locked(const char *directory)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	for (unsigned int i = 0; fd >= 0 && i < AGENT_MAX_SOCKETS; i++) {
		struct sockaddr_un address;

		name_socket(&address, directory, sys_getpid(), i);
		if (!bind_to(fd, &address))
			continue;
		socket_number = i;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* A socket that listens, or -1.  Who is about to listen is not taken for somebody dead. */
static int try_to_open(const char *directory)
{
	int lock, fd;

	if (!directory_is_ours(directory))
		return -1;
	lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0)
		return -1;
	flock(lock, LOCK_EX);
	fd = open_locked(directory);
	close(lock);
	return fd;
}

void agent_listener_follow(struct agent_listener *l)
{
	char directory[64];
	struct stat root;
	int fd = -1;

	if (stat("/", &root))
		return;
	if (l->user == geteuid() && l->root_device == root.st_dev && l->root == root.st_ino)
		return;
	l->user = geteuid();
	l->root_device = root.st_dev;
	l->root = root.st_ino;
	name_directory(directory, sizeof(directory));
	/* The last one to leave a directory removes it. */
	for (int i = 0; i < TRIES && fd < 0; i++)
		fd = try_to_open(directory);
	if (fd < 0)
		return;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = fd;
	sweep(directory);
}

bool agent_listener_trusts(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (agent_peer_is_trusted(fd))
		return true;
	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.uid == NO_NUMBER && user_namespace();
}

void agent_listener_remove(void)
{
	struct sockaddr_un address;
	char directory[64];

	name_directory(directory, sizeof(directory));
	name_socket(&address, directory, sys_getpid(), socket_number);
	unlink(address.sun_path);
	rmdir(directory);
}
