/* SPDX-License-Identifier: MIT */
/*
 * A program with tracepoints: serve() fires them with known values, about a thousand times a second.
 * Before that, once it can be attached to, it becomes another user and has another root: traced [as=USER:ROOT].
 * As `traced forks` it has children that serve, too, as `traced executes` it becomes another
 * one: both once it is recorded.
 */
#include "program.h"

#include "retour/tracepoint.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

RETOUR_TRACEPOINT(app, request, (int, id), (const char *, path), (unsigned long, size), (double, ratio));
RETOUR_TRACEPOINT(app, reply, (int, id), (signed char, code));
RETOUR_TRACEPOINT(app, tick);
RETOUR_TRACEPOINT(other, thing, (int, id));

#define LEAST 200

static volatile sig_atomic_t asked, over;

/* SIGUSR1 asks whether they are on; SIGTERM ends the program. */
static void on_signal(int number)
{
	if (number == SIGUSR1)
		asked = true;
	else
		over = true;
}

static FRAME void serve(int id)
{
	static const char *const paths[] = { "/index.html", "/a path with \"quotes\" and 100%", "" };

	trace_app_request(id, paths[id % 3], (unsigned long)id << 32, id / 2.0);
	burn();
	trace_app_reply(-id, (signed char)(id % 2 ? -1 : 1));
	trace_app_tick();
	trace_other_thing(id);
}

static void become(const char *mode)
{
	char socket[64], root[256] = "";
	unsigned int user;

	if (!mode || sscanf(mode, "as=%u:%255s", &user, root) < 1)
		return;
	snprintf(socket, sizeof(socket), "/tmp/retour-%u/%d.0.agent", geteuid(), getpid());
	while (access(socket, F_OK))
		usleep(1000);
	must(!*root || (!chroot(root) && !chdir("/")), "chroot");
	must(!setgid(user) && !setuid(user), "setuid");
}

static bool is(const char *mode)
{
	return program_mode() && !strcmp(program_mode(), mode);
}

/* Twenty requests, with numbers of their own. */
static void fork_server(int id)
{
	pid_t child = fork();

	for (int i = 0; !child && i < 20; i++)
		serve(1000000 * id + i);
	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
}

static void become_another(int id)
{
	printf("{\"served\": %d}\n", id + 1);
	fflush(stdout);
	execl("/proc/self/exe", "traced", "--seconds", "2", (char *)NULL);
}

int main(int argc, char **argv)
{
	int recorded = 0, id = 0;

	program_start(argc, argv);
	signal(SIGUSR1, on_signal);
	signal(SIGTERM, on_signal);
	become(program_mode());
	printf("{\"pid\": %d}\n", getpid());
	fflush(stdout);
	for (; !over && (time_left() || id < LEAST); id++) {
		serve(id);
		usleep(500);
		recorded += trace_app_request_enabled();
		if (is("forks") && recorded && id % 50 == 0)
			fork_server(id / 50 + 1);
		if (is("executes") && recorded == 2000)
			become_another(id);
		if (asked) {
			asked = false;
			printf("{\"enabled\": %d}\n", trace_app_request_enabled());
		}
	}
	/* Off again, once nobody records. */
	printf("{\"enabled\": %d, \"served\": %d}\n", trace_app_request_enabled(), id);
	return 0;
}
