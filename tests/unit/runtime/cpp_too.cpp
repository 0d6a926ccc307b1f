/* SPDX-License-Identifier: MIT */
/* The same C++ functions as in the other file: their sites are the ones kept. */
#include "cpp.h"

void cpp_request_too(int id)
{
	server{ id }.request();
	request_of<int>(id);
	request_of<long>(id);
}
