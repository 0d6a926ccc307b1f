/* SPDX-License-Identifier: MIT */
/*
 * Measures apart what a recorder and its command use: cost FILE COMMAND [ARG]...
 *
 * It runs COMMAND, and is itself the command that the recorder runs.  FILE gets,
 * in seconds: CPU and wall time of COMMAND, then the CPU time of the recorder
 * until COMMAND began and until it ended.
 */
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now(clockid_t clock)
{
	struct timespec t = {0};

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
	return t.tv_sec + t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	clockid_t recorder;
	struct rusage used;
	pid_t child;
	int status;
	FILE *out;

	if (argc < 3 || clock_getcpuclockid(getppid(), &recorder) != 0)
		return 2;
	double before = now(recorder), begin = now(CLOCK_MONOTONIC);
	if (posix_spawnp(&child, argv[2], NULL, NULL, argv + 2, environ) != 0 || wait4(child, &status, 0, &used) != child)
		return 127;
	double wall = now(CLOCK_MONOTONIC) - begin, after = now(recorder);

	out = fopen(argv[1], "w");
	if (!out)
		return 1;
	fprintf(out, "%.9f %.9f %.9f %.9f\n", seconds(used.ru_utime) + seconds(used.ru_stime), wall, before, after);
	if (fclose(out) != 0)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
