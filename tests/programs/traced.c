/* SPDX-License-Identifier: MIT */
/* A program with tracepoints: serve() fires them with known values, about a thousand times a second. */
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

int main(int argc, char **argv)
{
	program_start(argc, argv);
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
