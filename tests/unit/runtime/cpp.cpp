/* SPDX-License-Identifier: MIT */
/* Sites in C++: four for each request. */
#include "cpp.h"

/*
 * Two of each, and fields with the names of what is around them.  The domains are found again at exit, also where
 * the plugin has brought the library to a program that was linked with its sources.
 */
namespace inner
{
RETOUR_TRACEPOINT(inner, first, (int, data));
RETOUR_TRACEPOINT(inner, second, (const void *, probe), (int, name));
RETOUR_STATIC_KEY_FALSE(inner_off);
RETOUR_STATIC_KEY_TRUE(inner_on);
RETOUR_DEFINE_STATIC_SRCU_FAST(inner_domain);
RETOUR_DEFINE_STATIC_SRCU_FAST(inner_other_domain);

static void add(void *sum, int data)
{
	*static_cast<int *>(sum) += data;
}

static int fire()
{
	int sum = retour_static_branch_unlikely(inner_off) || !retour_static_branch_likely(inner_on);

	register_trace_inner_first(add, &sum);
	trace_inner_first(7);
	trace_inner_second(&sum, 8);
	unregister_trace_inner_first(add, &sum);
	trace_inner_first(9);
	return sum;
}
}

int cpp_namespace(void)
{
	return inner::fire();
}

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
