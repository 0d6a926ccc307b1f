/* SPDX-License-Identifier: MIT */
/*
 * Targets by pidfd, so that a reused process ID is never taken for one of
 * them.  The command and its parent share a socket pair that closes on exec:
 * the parent's packets are "NAME=VALUE" for the environment, an empty text lets
 * the child go; its answer is the errno of a failed exec, and end of file
 * means that it succeeded.
 */
#include "cli/targets.h"

#include "base/cleanup.h"
#include "cli/limits.h"
#include "collect/synthesize.h"
#include "collect/task.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

enum { MAX_VARIABLE = 65536 };

void targets_init(struct targets *targets)
{
	*targets = (struct targets){ .gate = -1 };
}

void targets_deinit(struct targets *targets)
{
	if (targets->gate >= 0)
		close(targets->gate);
	vec_each(&targets->pidfds, fd)
		close(*fd);
	vec_free(&targets->pidfds);
	vec_free(&targets->pids);
}

/* Before Linux 6.9 only its whole process can be watched. */
static int watch_thread(pid_t tid)
{
	int fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	pid_t process;

	if (fd >= 0 || errno != EINVAL)
		return fd;
	process = (pid_t)thread_group_of((uint32_t)tid);
	if (process)
		return (int)syscall(SYS_pidfd_open, process, 0);
	errno = ESRCH;
	return -1;
}

struct error *targets_add(struct targets *targets, pid_t pid, bool thread)
{
	_cleanup_close_ int fd = thread ? watch_thread(pid) : (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0 && errno == ESRCH)
		return error_new(ESRCH, "there is no %s %d", thread ? "thread" : "process", pid);
	/* What is a thread's ID but no process's. */
	if (fd < 0 && (errno == EINVAL || errno == ENOENT))
		return error_new(EINVAL, "%d is a thread, not a process (use -t)", pid);
	if (fd < 0)
		return error_errno(errno, "cannot watch %s %d", thread ? "thread" : "process", pid);
	if (task_state((uint32_t)pid) == TASK_ENDED)
		return error_new(ESRCH, "%s %d has ended and is a zombie: its parent has not waited for it yet",
				 thread ? "thread" : "process", pid);
	if (!vec_push(&targets->pids, pid))
		return error_nomem();
	if (!vec_push(&targets->pidfds, fd)) {
		targets->pids.len--;
		return error_nomem();
	}
	steal_fd(&fd);
	return NULL;
}

__attribute__((noreturn)) static void become_command(int gate, char **argv)
{
	int code;

	for (;;) {
		char *text = calloc(1, MAX_VARIABLE);

		if (!text || read(gate, text, MAX_VARIABLE - 1) < 1)
			_exit(127);
		if (!text[0])
			break;
		putenv(text);
	}
	execvp(argv[0], argv);
	code = errno;
	if (write(gate, &code, sizeof(code)) != sizeof(code))
		_exit(126);
	_exit(127);
}

struct error *targets_add_command(struct targets *targets, char **argv, bool output_to_stderr)
{
	int gate[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate))
		return error_errno(errno, "cannot start %s", argv[0]);
	pid = fork();
	if (pid == 0) {
		close(gate[0]);
		if (output_to_stderr && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
			_exit(126);
		become_command(gate[1], argv);
	}
	close(gate[1]);
	if (pid < 0) {
		int code = errno;

		close(gate[0]);
		return code != EAGAIN ? error_errno(code, "cannot start %s", argv[0]) :
			error_new(code, "cannot start %s: too many processes (remedy: %s)", argv[0], limit_remedy(code));
	}
	targets->gate = gate[0];
	targets->command = argv[0];
	return targets_add(targets, pid, false);
}

static bool send_text(int gate, const char *text)
{
	size_t size = strlen(text) + 1;

	return size < MAX_VARIABLE && send(gate, text, size, MSG_NOSIGNAL) == (ssize_t)size;
}

struct error *targets_start_command(struct targets *targets, const char *const *environment)
{
	_cleanup_close_ int gate = steal_fd(&targets->gate);
	int code = 0;
	ssize_t n;

	while (environment && *environment)
		if (!send_text(gate, *environment++))
			return error_new(EIO, "cannot start %s: its environment is too long", targets->command);
	if (!send_text(gate, ""))
		return error_errno(errno, "cannot start %s", targets->command);
	do
		n = read(gate, &code, sizeof(code));
	while (n < 0 && errno == EINTR);
	return n == sizeof(code) ? error_errno(code, "cannot run %s", targets->command) : NULL;
}

void targets_note_stopped(const struct targets *targets)
{
	vec_each(&targets->pids, pid) {
		enum task_state state = task_state((uint32_t)*pid);

		if (state == TASK_STOPPED)
			fprintf(stderr, "note: %d is stopped, and gives no samples until it goes on (kill -CONT %d)\n", *pid, *pid);
		else if (state == TASK_HELD)
			fprintf(stderr, "note: %d is held by a debugger, and gives no samples until it goes on\n", *pid);
	}
}

bool targets_ended(const struct targets *targets)
{
	vec_each(&targets->pidfds, fd) {
		struct pollfd p = { .fd = *fd, .events = POLLIN };

		if (poll(&p, 1, 0) <= 0)
			return false;
	}
	return targets->pidfds.len > 0;
}

int targets_finish_command(struct targets *targets)
{
	int status;
	pid_t pid = targets->pids.data[0];

	if (waitpid(pid, &status, WNOHANG) == pid)
		return status;
	kill(pid, SIGTERM);
	return -1;
}
