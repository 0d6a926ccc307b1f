/* SPDX-License-Identifier: MIT */
/*
 * A program with tracepoints.  It fires them until somebody has switched them
 * on and off again, and says "done": traced [fork].
 */
#include "traced.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

__attribute__((noinline)) static void handle_request(int id, const char *path)
{
	trace_app_request(id, path);
	trace_app_pair(id, -id);
	trace_app_small((signed char)-id, (unsigned short)(id * 3), id / 2.0, &main);
	trace_app_tick();
}

static void pause_ms(unsigned int ms)
{
	struct timespec t = { 0, ms * 1000000 };

	nanosleep(&t, NULL);
}

/* False: nobody came, or nobody left. */
static int fire(void)
{
	int id = 0, was_on = 0;

	for (int i = 0; i < 20000; i++) {
		int on = trace_app_pair_enabled();

		if (was_on && !on)
			return 1;
		was_on |= on;
		id++;
		handle_request(id, id % 2 ? "/odd" : "");
		pause_ms(1);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int status = 0, ok;
	pid_t pid = 0;

	if (argc > 1 && !strcmp(argv[1], "fork"))
		pid = fork();
	ok = fire();
	if (argc > 1 && !pid)
		return !ok;
	if (pid && (waitpid(pid, &status, 0) != pid || status))
		ok = 0;
	puts(ok ? "done" : "nobody switched");
	return !ok;
}
