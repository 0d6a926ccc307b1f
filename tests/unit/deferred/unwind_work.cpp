/* SPDX-License-Identifier: MIT */
#include "unwind_work.h"

#include <stdexcept>
#include <string>

struct clean_up {
	unsigned int round;
	~clean_up() { work_sink = work_sink + round; }
};

__attribute__((noinline)) static void thrower(unsigned int depth)
{
	clean_up c = { depth };

	if (!depth)
		throw std::runtime_error("thrown " + std::to_string(c.round));
	thrower(depth - 1);
}

extern "C" void work_throw(unsigned int round)
{
	try {
		thrower(round % 5);
	} catch (const std::exception &e) {
		work_sink = work_sink + std::string(e.what()).size();
	}
}
