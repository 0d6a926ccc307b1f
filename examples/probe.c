/* SPDX-License-Identifier: MIT */
/* A tracepoint, and a probe of the program's own. */
#include <retour/tracepoint.h>
#include <stdio.h>

RETOUR_TRACEPOINT(app, request, (int, id), (const char *, path));

static void show(void *data, int id, const char *path)
{
	printf("request %d: %s\n", id, path);
}

int main(void)
{
	trace_app_request(1, "/off");
	register_trace_app_request(show, NULL);
	trace_app_request(2, "/on");
	return 0;
}
