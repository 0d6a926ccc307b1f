/* SPDX-License-Identifier: MIT */
/* Limits and what raises them; see limits.h. */
#include "cli/limits.h"

#include "base/files.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>

enum { LEAST_STACK = 1 << 20 };

#define RAISE(limit) "sudo prlimit --pid $$ --" limit "=unlimited"

static bool is_limited(int resource)
{
	struct rlimit limit;

	return !getrlimit(resource, &limit) && limit.rlim_cur != RLIM_INFINITY;
}

const char *limit_remedy(int code)
{
	switch (code) {
	case EMFILE:
		return FILES_REMEDY;
	case EAGAIN:
		return RAISE("nproc") ", or more processes for the cgroup (pids.max)";
	case EFBIG:
		return is_limited(RLIMIT_FSIZE) ? RAISE("fsize") : NULL;
	case ENOMEM:
		return is_limited(RLIMIT_AS) ? RAISE("as") : is_limited(RLIMIT_DATA) ? RAISE("data") : NULL;
	}
	return NULL;
}

static void ignore(int number)
{
}

void limits_survive_large_files(void)
{
	/* Not SIG_IGN, which execve would hand on. */
	sigaction(SIGXFSZ, &(struct sigaction){ .sa_handler = ignore, .sa_flags = SA_RESTART }, NULL);
}

struct error *limits_check(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_STACK, &limit) || limit.rlim_cur >= LEAST_STACK)
		return NULL;
	return error_new(ENOMEM, "the limit on the stack is below the %d kB that retour takes (remedy: sudo prlimit --pid $$ "
			 "--stack=8388608)", LEAST_STACK >> 10);
}
