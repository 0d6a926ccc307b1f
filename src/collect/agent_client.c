/* SPDX-License-Identifier: MIT */
/* Connecting to the agent of a running process; see agent_client.h. */
#include "collect/agent_client.h"

#include "base/cleanup.h"
#include "collect/agent_packet.h"
#include "collect/agent_program.h"
#include "collect/task.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

enum {
	PATIENCE_MS = AGENT_PATIENCE * 1000,
	TRIES = 5,
	START_MS = 5000,	/* until who uses libretour listens … */
	LOAD_MS = 300,		/* … and until it is known who does */
	STEP_MS = 20,
	MAX_LISTED = 65536,
	NO_NUMBER = 65534,	/* of users that a namespace has no number for */
};

/* Who the process is: to us its users, to itself its id. */
struct identity {
	uint32_t users[4], n_users;		/* with whose rights it may have opened its socket */
	uint32_t own_pid;
	unsigned long user_namespace;		/* its inode, 0: the first one */
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
	return NO_NUMBER;
}

/* Other directories than its user's can be entered by their users and root only. */
static void add_user(struct identity *who, uint32_t uid)
{
	for (uint32_t i = 0; i < who->n_users; i++)
		if (who->users[i] == uid)
			return;
	if (!who->n_users || !geteuid() || uid == geteuid())
		who->users[who->n_users++] = uid;
}

static bool identify(pid_t pid, struct identity *who)
{
	_cleanup_fclose_ FILE *f = NULL;
	uint32_t real, effective, saved;
	struct stat namespace;
	char line[512];
	int found = 0;

	*who = (struct identity){ 0 };
	snprintf(line, sizeof(line), "/proc/%d/ns/user", pid);
	if (!stat(line, &namespace) && namespace.st_ino != AGENT_FIRST_NAMESPACE)
		who->user_namespace = namespace.st_ino;
	snprintf(line, sizeof(line), "/proc/%d/status", pid);
	f = fopen(line, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Uid: %u %u %u", &real, &effective, &saved) == 3) {
			/* A daemon may have begun as root. */
			add_user(who, effective);
			add_user(who, saved);
			add_user(who, real);
			add_user(who, 0);
			found++;
		}
		if (strncmp(line, "NSpid:", 6) || !strrchr(line, '\t'))
			continue;
		who->own_pid = (uint32_t)strtoul(strrchr(line, '\t'), NULL, 10);
		found++;
	}
	return found == 2;
}

/* In a root, whatever links are there. */
static int open_directory(const char *root_path, const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_close_ int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int directory;

	if (root < 0)
		return -errno;
	directory = (int)syscall(SYS_openat2, root, name, &how, sizeof(how));
	return directory < 0 ? -errno : directory;
}

/* Anybody may make files in /tmp, but none of this owner. */
static bool is_private(int fd, const char *name, uint32_t user, mode_t type)
{
	struct stat st;

	return !fstatat(fd, name, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) && (st.st_mode & S_IFMT) == type &&
	       st.st_uid == user && !(st.st_mode & (S_IRWXG | S_IRWXO));
}

/* A connection, or -errno. */
static int connect_in(int directory, const char *name, pid_t pid, uint32_t user)
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
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) || peer.uid != user)
		return -EPERM;
	/* One that has the same id in another namespace. */
	return peer.pid == pid ? steal_fd(&fd) : -ENOENT;
}

static int try_socket(int directory, const char *name, pid_t pid, uint32_t user)
{
	if (faccessat(directory, name, F_OK, 0) && errno == ENOENT)
		return -ENOENT;
	return is_private(directory, name, user, S_IFSOCK) ? connect_in(directory, name, pid, user) : -EPERM;
}

/* The process's next socket from that number on, which becomes the one behind it. */
static int try_directory(const char *root, const char *path, pid_t pid, uint32_t user, uint32_t own_pid,
			 unsigned int *number)
{
	_cleanup_close_ int directory = open_directory(root, path);
	int result = -ENOENT;

	if (directory < 0)
		return directory;
	if (!is_private(directory, "", user, S_IFDIR))
		return -EPERM;
	for (unsigned int i = *number; i < AGENT_MAX_SOCKETS; i++) {
		char name[32];
		int fd;

		snprintf(name, sizeof(name), AGENT_NAME, own_pid, i);
		fd = try_socket(directory, name, pid, user);
		if (fd >= 0) {
			*number = i + 1;
			return fd;
		}
		if (fd != -ENOENT && fd != -ECONNREFUSED)
			result = fd;
	}
	return result;
}

/* The names that the directory of a user may have: from before it had another namespace, and since. */
static void name_directories(pid_t pid, const struct identity *who, uint32_t user, char to[3][64])
{
	uint32_t inside = who->user_namespace ? uid_inside(pid, user) : user;

	snprintf(to[0], sizeof(to[0]), AGENT_DIRECTORY, user);
	snprintf(to[1], sizeof(to[1]), AGENT_DIRECTORY, inside);
	snprintf(to[2], sizeof(to[2]), AGENT_NAMESPACE_DIRECTORY, inside, who->user_namespace);
}

static int try_root(const char *root, pid_t pid, const struct identity *who, unsigned int *number)
{
	int fd = -ENOENT, result = -ENOENT;

	for (uint32_t i = 0; i < who->n_users; i++) {
		char names[3][64];

		name_directories(pid, who, who->users[i], names);
		for (int n = 0; n < (who->user_namespace ? 3 : 1); n++) {
			fd = try_directory(root, names[n], pid, who->users[i], who->own_pid, number);
			if (fd >= 0)
				return fd;
			if (fd != -ENOENT && fd != -ECONNREFUSED)
				result = fd;
		}
	}
	return result;
}

/* In its own root, or, if it has changed that since, in ours. */
static int connect_to_process(pid_t pid, const struct identity *who, unsigned int *number)
{
	char root[32];
	int fd, again;

	snprintf(root, sizeof(root), "/proc/%d/root", pid);
	fd = try_root(root, pid, who, number);
	if (fd >= 0)
		return fd;
	again = try_root("/", pid, who, number);
	return again >= 0 ? again : fd;
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

/* ---- who has no socket -------------------------------------------------------------- */

static bool maps_library(pid_t pid)
{
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	while (f && getline(&line, &cap, f) > 0)
		if (strstr(line, "/libretour"))
			return true;
	return false;
}

/* The library may be in the program itself, or not be loaded yet. */
static bool uses_libretour(pid_t pid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return maps_library(pid) || agent_program_has_tracepoints(path);
}

/* What has the name of one of the directories and is not its user's alone: anybody may make something in /tmp. */
static bool find_squatted(pid_t pid, const struct identity *who, char *path, size_t size, struct stat *st)
{
	struct stat ours, root;
	char prefix[32];

	snprintf(prefix, sizeof(prefix), "/proc/%d/root", pid);
	if (!stat("/", &ours) && !stat(prefix, &root) && ours.st_dev == root.st_dev && ours.st_ino == root.st_ino)
		prefix[0] = '\0';
	for (uint32_t i = 0; i < who->n_users; i++) {
		char names[3][64];

		name_directories(pid, who, who->users[i], names);
		for (int n = 0; n < (who->user_namespace ? 3 : 1); n++) {
			snprintf(path, size, "%s%s", prefix, names[n]);
			if (!lstat(path, st) && !is_private(AT_FDCWD, path, who->users[i], S_IFDIR))
				return true;
		}
	}
	return false;
}

/* What no agent can be in; NULL: it is not that. */
static struct error *no_program(pid_t pid)
{
	if (kill(pid, 0) && errno == ESRCH)
		return error_new(ESRCH, "process %d has ended", pid);
	if (task_state((uint32_t)pid) == TASK_ENDED)
		return error_new(ESRCH, "process %d has ended and is a zombie: its parent has not waited for it yet", pid);
	if (task_kind((uint32_t)pid, "") == TASK_KERNEL_THREAD)
		return error_new(EOPNOTSUPP, "process %d is a kernel thread, and agents are in programs (remedy: retour record "
				 "--backend bpf -p %d)", pid, pid);
	return NULL;
}

struct error *agent_no_answer(pid_t pid)
{
	struct error *err = no_program(pid);

	if (err)
		return err;
	switch (task_state((uint32_t)pid)) {
	case TASK_STOPPED:
		return error_new(EPROTO, "no agent of process %d can answer: the process is stopped (remedy: kill -CONT %d)", pid,
				 pid);
	case TASK_HELD:
		return error_new(EPROTO, "no agent of process %d can answer: a debugger holds the process (remedy: let it go "
				 "on)", pid);
	default:
		return error_new(EPROTO, "the agent of process %d does not answer", pid);
	}
}

static struct error *no_agent(pid_t pid, const struct identity *who, int code)
{
	struct error *err = no_program(pid);
	char path[256];
	struct stat st;

	if (err)
		return err;
	if ((code == EPERM || code == ENOENT) && find_squatted(pid, who, path, sizeof(path), &st))
		return error_new(EPERM, "process %d has no place for the socket of its agent: %s is of user %u, mode %03o, and "
				 "must be its own user's alone (remedy: sudo rm -r %s, and start the process again)", pid, path,
				 st.st_uid, st.st_mode & 0777, path);
	switch (code) {
	case EACCES:
	case EPERM:
		return error_new(code, "process %d is another user's, and agents speak to their own user and root only (remedy: "
				 "be that user, or root)", pid);
	case EAGAIN:
	case EPROTO:
	case ECONNRESET:
		return agent_no_answer(pid);
	case ENOENT:
		if (uses_libretour(pid))
			return error_new(EOPNOTSUPP, "process %d uses libretour, but its agent does not listen: it was started with "
					 AGENT_ENVIRONMENT " set, could start no thread, or found no directory in /tmp of its root "
					 "that is its user's alone (remedy: start it again without)", pid);
		return error_new(EOPNOTSUPP, "process %d has no agent: it does not use libretour, or has become another program "
				 "(remedy: start it with retour record --backend agent -- CMD)", pid);
	}
	return error_errno(code, "the agent of process %d", pid);
}

/* The first agent begins to listen some time after its program has begun. */
static int wait_for_process(pid_t pid, const struct identity *who, unsigned int *number)
{
	int fd = connect_to_process(pid, who, number);

	/* EPERM: its socket is not private yet. */
	if (*number)
		return fd == -EPERM ? -ENOENT : fd;
	for (int waited = 0; (fd == -ENOENT || (fd == -EPERM && waited < LOAD_MS)) && waited < START_MS; waited += STEP_MS) {
		if (waited >= LOAD_MS && !uses_libretour(pid))
			break;
		poll(NULL, 0, STEP_MS);
		fd = connect_to_process(pid, who, number);
	}
	return fd;
}

/* Connects, and waits for HELLO.  0; -ECONNRESET: it has changed its place meanwhile; -EPROTO; or another -errno. */
static int meet(pid_t pid, const struct identity *who, unsigned int *number, int *fd, struct agent_message *hello)
{
	unsigned int next = *number;
	int passed, n;

	*fd = wait_for_process(pid, who, &next);
	if (*fd < 0)
		return *fd;
	n = agent_packet_wait(*fd, hello, &passed);
	if (passed >= 0)
		close(passed);
	if (n > 0 && (hello->kind == AGENT_HELLO || hello->kind == AGENT_REFUSED)) {
		*number = next;
		return 0;
	}
	close(*fd);
	*fd = -1;
	return n == -ECONNRESET ? n : -EPROTO;
}

struct error *agent_connect(pid_t pid, unsigned int *number, int *ret)
{
	_cleanup_close_ int fd = -1;
	struct agent_message hello;
	struct identity who;
	int n = -ECONNRESET;

	/* It may stay so for longer than anybody waits. */
	if (task_state((uint32_t)pid) == TASK_STOPPED)
		return agent_no_answer(pid);
	for (int i = 0; i < TRIES && n == -ECONNRESET; i++) {
		if (!identify(pid, &who))
			return error_new(ESRCH, "there is no process %d", pid);
		n = meet(pid, &who, number, &fd, &hello);
	}
	*ret = -1;
	if (n == -ENOENT && *number)
		return NULL;
	if (n)
		return no_agent(pid, &who, -n);
	if (hello.kind == AGENT_REFUSED)
		return error_errno((int)hello.error, "process %d refuses to be recorded", pid);
	if (hello.version != AGENT_VERSION)
		return error_new(EOPNOTSUPP, "the agent of process %d is of another version of retour", pid);
	*ret = steal_fd(&fd);
	return NULL;
}

/* What the agent behind a connection says. */
static struct error *read_list(int fd, pid_t pid, void (*fn)(void *arg, const struct agent_tracepoint *tracepoint),
			       void *arg)
{
	struct agent_message message = { .kind = AGENT_LIST };
	int passed, n = agent_packet_send(fd, &message, -1);

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
	return agent_no_answer(pid);
}

struct error *agent_list(pid_t pid, void (*fn)(void *arg, const struct agent_tracepoint *tracepoint), void *arg)
{
	unsigned int number = 0;
	struct error *err;
	int fd;

	for (;;) {
		err = agent_connect(pid, &number, &fd);
		if (err || fd < 0)
			return err;
		err = read_list(fd, pid, fn, arg);
		close(fd);
		if (err)
			return err;
	}
}
