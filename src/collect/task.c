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

enum task_kind task_kind(uint32_t tid, const char *comm)
{
	_cleanup_fclose_ FILE *f = NULL;
	const char *after_name;
	unsigned int flags = 0;
	char line[512];

	snprintf(line, sizeof(line), "/proc/%" PRIu32 "/stat", tid);
	f = fopen(line, "re");
	if (!f || !fgets(line, sizeof(line), f))
		return kind_of_gone(comm);
	after_name = strrchr(line, ')');
	if (after_name)
		sscanf(after_name, ") %*c %*d %*d %*d %*d %*d %u", &flags);
	if (flags & PF_KTHREAD)
		return TASK_KERNEL_THREAD;
	return flags & (PF_IO_WORKER | PF_USER_WORKER) ? TASK_USER_WORKER : TASK_USER;
}
