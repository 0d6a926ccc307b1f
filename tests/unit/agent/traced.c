/* SPDX-License-Identifier: MIT */
/*
 * A program with tracepoints.  It fires them until somebody has switched them
 * on and off again, and says "done": traced [fork | fork_late | plugin].
 */
#include "traced.h"

#include <dlfcn.h>
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

static const char *mode = "";
static pid_t child = -1;

/* When somebody has come. */
static void be_traced(void)
{
	if (!strcmp(mode, "fork_late") && child < 0)
		child = fork();
	if (!strcmp(mode, "plugin")) {
		void *plugin = dlopen(TRACED_PLUGIN, RTLD_NOW);
		void (*work)(int) = (void (*)(int))dlsym(plugin, "plugin_trace");

		work(42);
		dlclose(plugin);
	}
}

/* False: nobody came, or nobody left. */
static int fire(void)
{
	int id = 0, was_on = 0;

	for (int i = 0; i < 100000; i++) {
		int on = trace_app_pair_enabled();

		if (was_on && !on)
			return 1;
		if (on && id % 16 == 0)
			be_traced();
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

	if (argc > 1)
		mode = argv[1];
	if (!strcmp(mode, "fork"))
		child = fork();
	ok = fire();
	if (!child)
		return !ok;
	if (child > 0 && (waitpid(child, &status, 0) != child || status))
		ok = 0;
	puts(ok ? "done" : "nobody switched");
	return !ok;
}
