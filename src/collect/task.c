/* SPDX-License-Identifier: MIT */
/* Reading what /proc says of a task; see task.h. */
#include "collect/task.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* task_struct.flags, as /proc/PID/stat shows them. */
enum { PF_IO_WORKER = 0x10, PF_USER_WORKER = 0x4000, PF_KTHREAD = 0x200000 };

/* Workers come and go; the kernel names them. */
static enum task_kind kind_of_gone(const char *comm)
{
	return strncmp(comm, "iou-wrk-", 8) && strncmp(comm, "vhost-", 6) ? TASK_USER : TASK_USER_WORKER;
}

/* What follows the name in /proc/TID/stat, which may contain anything; NULL: it cannot be read. */
static const char *read_stat(uint32_t tid, char *line, int size)
{
	_cleanup_fclose_ FILE *f = NULL;

	snprintf(line, (size_t)size, "/proc/%" PRIu32 "/stat", tid);
	f = fopen(line, "re");
	return f && fgets(line, size, f) ? strrchr(line, ')') : NULL;
}

enum task_kind task_kind(uint32_t tid, const char *comm)
{
	char line[512];
	const char *after_name = read_stat(tid, line, sizeof(line));
	unsigned int flags = 0;

	if (!after_name)
		return kind_of_gone(comm);
	sscanf(after_name, ") %*c %*d %*d %*d %*d %*d %u", &flags);
	if (flags & PF_KTHREAD)
		return TASK_KERNEL_THREAD;
	return flags & (PF_IO_WORKER | PF_USER_WORKER) ? TASK_USER_WORKER : TASK_USER;
}

enum task_state task_state(uint32_t tid)
{
	char line[512], state = 0;
	const char *after_name = read_stat(tid, line, sizeof(line));
	unsigned int n_threads = 0;

	/* The first thread may have ended, and others not. */
	if (after_name)
		sscanf(after_name, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u", &state,
		       &n_threads);
	if ((state == 'Z' || state == 'X') && n_threads <= 1)
		return TASK_ENDED;
	return state == 'T' ? TASK_STOPPED : state == 't' ? TASK_HELD : TASK_GOES_ON;
}
