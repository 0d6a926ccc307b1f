/* SPDX-License-Identifier: MIT */
/*
 * A program whose tracepoint is switched and fired by lines of its input:
 * r(egister), u(nregister), f(ire 100 times).  It answers each with the number
 * of calls of its probe since the last one.
 */
#include <stdio.h>

#include "app_trace.h"

static long calls;

static void count(void *data, int id, const char *path)
{
	calls++;
}

__attribute__((noinline)) static void fire(int id)
{
	trace_app_request(id, "on command");
}

int main(void)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin)) {
		if (line[0] == 'r')
			register_trace_app_request(count, NULL);
		else if (line[0] == 'u')
			unregister_trace_app_request(count, NULL);
		for (int i = 0; i < 100 && line[0] == 'f'; i++)
			fire(i);
		printf("%ld\n", calls);
		fflush(stdout);
		calls = 0;
	}
	return 0;
}
