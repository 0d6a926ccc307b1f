/* SPDX-License-Identifier: MIT */
/*
 * A program with tracepoints: serve() fires them with known values, about a thousand times a second.
 * Before that, once it can be attached to, it becomes another user and has another root: traced [as=USER:ROOT].
 */
#include "program.h"

#include "retour/tracepoint.h"

#include <stdio.h>
#include <unistd.h>

RETOUR_TRACEPOINT(app, request, (int, id), (const char *, path), (unsigned long, size), (double, ratio));
RETOUR_TRACEPOINT(app, reply, (int, id), (signed char, code));
RETOUR_TRACEPOINT(app, tick);
RETOUR_TRACEPOINT(other, thing, (int, id));

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
	snprintf(socket, sizeof(socket), "/tmp/retour-%u/%d.agent", geteuid(), getpid());
	while (access(socket, F_OK))
		usleep(1000);
	must(!*root || (!chroot(root) && !chdir("/")), "chroot");
	must(!setgid(user) && !setuid(user), "setuid");
}

int main(int argc, char **argv)
{
	program_start(argc, argv);
	become(program_mode());
	printf("{\"pid\": %d}\n", getpid());
	fflush(stdout);
	for (int id = 0; running(); id++) {
		serve(id);
		usleep(500);
	}
	/* Off again, once nobody records: the tests ask at the end. */
	printf("{\"enabled\": %d}\n", trace_app_request_enabled());
	return 0;
}
