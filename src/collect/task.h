/* SPDX-License-Identifier: MIT */
/* What kind of task a thread ID is, by /proc. */
#ifndef RETOUR_COLLECT_TASK_H
#define RETOUR_COLLECT_TASK_H

#include <stdint.h>

enum task_kind {
	TASK_USER,
	TASK_KERNEL_THREAD,
	TASK_USER_WORKER,		/* of a user's process, but never in user space: io_uring, vhost */
};

/* comm is for a task that is gone: kernel threads mostly stay. */
enum task_kind task_kind(uint32_t tid, const char *comm);

#endif
