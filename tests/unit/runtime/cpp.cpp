/* SPDX-License-Identifier: MIT */
/* Sites in C++: four for each request. */
#include "cpp.h"

void cpp_request(int id)
{
	server{ id }.request();
	request_of<int>(id);
	request_of<long>(id);
	[id] { trace_app_request(id, "lambda"); }();
	cpp_request_too(id);
}

void cpp_lazy(int *evaluated)
{
	trace_app_lazy([&] { return ++*evaluated; }(), "C++");
}

int cpp_register(void (*probe)(void *data, int id, const char *path), void *data)
{
	return register_trace_app_request(probe, data);
}
