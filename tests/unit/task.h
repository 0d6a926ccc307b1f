/* SPDX-License-Identifier: MIT */
/*
 * What the kernel says of threads: whether one sleeps, and its own priority.
 * However late a busy machine lets it come to that, a thread that is to be
 * found waiting can be waited for.
 */
#ifndef TEST_TASK_H
#define TEST_TASK_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* The 3rd field of a file "stat" of /proc and what follows; NULL if there is no such thread. */
static inline const char *task_stat(const char *path, char text[static 512])
{
	FILE *file = fopen(path, "re");
	size_t n = file ? fread(text, 1, 511, file) : 0;
	char *end;

	if (file)
		fclose(file);
	text[n] = '\0';
	end = strrchr(text, ')');
	return end && end[1] ? end + 2 : NULL;
}

/* Does a thread of this process sleep? */
static inline bool task_sleeps(pid_t tid)
{
	char path[64], text[512];
	const char *state;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	state = task_stat(path, text);
	return state && *state == 'S';
}

/* Until it has slept for a tenth of a second: it waits for something, and is not just late. */
static inline void task_wait_until_it_sleeps(pid_t tid)
{
	for (int looks = 0; looks < 20; usleep(5000))
		looks = task_sleeps(tid) ? looks + 1 : 0;
}

/* The calling thread's, as the kernel has it now: negative for real-time.  -1000: unknown. */
static inline long task_priority(void)
{
	char text[512];
	const char *at = task_stat("/proc/thread-self/stat", text);

	/* It is the 18th field. */
	for (int i = 3; at && i < 18; i++) {
		at = strchr(at, ' ');
		at += at != NULL;
	}
	return at ? strtol(at, NULL, 10) : -1000;
}

#endif
