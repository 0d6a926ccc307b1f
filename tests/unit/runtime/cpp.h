/* SPDX-License-Identifier: MIT */
/* C++ functions with sites that two files have and the linker keeps once. */
#ifndef TEST_RUNTIME_CPP_H
#define TEST_RUNTIME_CPP_H

#include "app_trace.h"

struct server {
	int id;

	__attribute__((noinline)) void request() const { trace_app_request(id, "member"); }
};

template <typename T> __attribute__((noinline)) void request_of(T id)
{
	trace_app_request(static_cast<int>(id), "template");
}

void cpp_request_too(int id);

#endif
