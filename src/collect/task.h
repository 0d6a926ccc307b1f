/* SPDX-License-Identifier: MIT */
/* What /proc says of a task. */
#ifndef RETOUR_COLLECT_TASK_H
#define RETOUR_COLLECT_TASK_H

#include <stdint.h>

enum task_kind {
	TASK_USER,			/* also one that is gone: kernel threads stay */
	TASK_KERNEL_THREAD,
	TASK_USER_WORKER,		/* of a user's process, but never in user space: io_uring, vhost */
};

enum task_kind task_kind(uint32_t tid);

#endif
