/* SPDX-License-Identifier: MIT */
/* What a task is, and what it is doing, by /proc. */
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

enum task_state {
	TASK_GOES_ON,			/* or there is none */
	TASK_ENDED,			/* and its process with it: a zombie */
	TASK_STOPPED,			/* by a signal */
	TASK_HELD,			/* by a debugger */
};

enum task_state task_state(uint32_t tid);

#endif
