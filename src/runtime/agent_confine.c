/* SPDX-License-Identifier: MIT */
/* What seccomp forbids; see agent_confine.h. */
#include "runtime/agent_confine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rcu/sys.h"
#include "runtime/agent_protocol.h"

static __thread bool here __attribute__((tls_model("initial-exec")));
static bool everywhere;
static long level_at_start;
static char first_of_path;	/* of RETOUR_AGENT, while it says nothing; 0: it is as it was */

bool confined_all(void)
{
	return __atomic_load_n(&everywhere, __ATOMIC_RELAXED);
}

bool confined_here(void)
{
	return here || confined_all();
}

void confine(bool all, bool on)
{
	if (all)
		__atomic_store_n(&everywhere, on, __ATOMIC_RELAXED);
	else
		here = on;
}

/* A number that grows with each filter; 0: none, or not to be known. */
static long level_of(pid_t tid)
{
	char path[64], text[4096];
	long fd, n, filters;
	const char *at;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	fd = sys_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return 0;
	n = sys_call(SYS_read, fd, (long)text, sizeof(text) - 1, 0, 0, 0);
	sys_call(SYS_close, fd, 0, 0, 0, 0, 0);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, "\nSeccomp:\t");
	if (!at)
		return 0;
	n = strtol(at + strlen("\nSeccomp:\t"), NULL, 10);
	/* Since Linux 5.9. */
	at = strstr(at, "\nSeccomp_filters:\t");
	filters = at ? strtol(at + strlen("\nSeccomp_filters:\t"), NULL, 10) : 0;
	return n + filters;
}

void confine_look(void)
{
	level_at_start = level_of(sys_gettid());
}

bool confined_thread(pid_t tid)
{
	return level_of(tid) > level_at_start;
}

/*
 * In its place in the environment, which may be read at any time.  An empty path is no
 * recorder's, and does not ask for an agent that listens either.
 */
void confine_children(bool on)
{
	char *path = getenv(AGENT_ENVIRONMENT);

	if (!path || (on ? *path != '/' : !first_of_path))
		return;
	if (on)
		first_of_path = *path;
	*path = on ? '\0' : first_of_path;
	if (!on)
		first_of_path = '\0';
}
