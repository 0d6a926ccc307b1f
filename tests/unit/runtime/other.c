/* SPDX-License-Identifier: MIT */
/* Sites of the tests' tracepoints in a second file. */
#include "app_trace.h"

void other_request(int id, const char *path)
{
	trace_app_request(id, path);
}

int other_register(void (*probe)(void *data, int id, const char *path), void *data)
{
	return register_trace_app_request(probe, data);
}
