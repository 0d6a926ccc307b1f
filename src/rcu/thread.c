/* SPDX-License-Identifier: MIT */
/* What the kernel knows about another thread of the process. */
#include "rcu/thread.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rcu/sys.h"

bool thread_is_dead(int tid)
{
	int pid = sys_getpid();
	unsigned int owned = tid;

	if (sys_call(SYS_tgkill, pid, tid, 0, 0, 0, 0) == -ESRCH)
		return true;
	/* A process's first thread stays till the last one ends, but no futex is locked for it any more. */
	return tid == pid && sys_futex(&owned, FUTEX_TRYLOCK_PI, 0, NULL) == -ESRCH;
}

const void *thread_pc(int tid)
{
	char path[64], text[256], *last;
	long fd, n;

	if (tid <= 0)
		return NULL;
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	fd = sys_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return NULL;
	n = sys_call(SYS_read, fd, (long)text, sizeof(text) - 1, 0, 0, 0);
	sys_call(SYS_close, fd, 0, 0, 0, 0, 0);
	text[n > 0 ? n : 0] = '\0';
	/* "running", or: number, arguments, stack pointer, program counter */
	last = strrchr(text, ' ');
	return last ? (const void *)strtoul(last, NULL, 16) : NULL;
}
