// SPDX-License-Identifier: MIT
// C++ exceptions: work in a destructor that runs while the stack is unwound, and in the handler.
#include "program.h"

struct Guard {
	FRAME ~Guard()
	{
		burn();
	}
};

FRAME static void throws(int depth)
{
	if (depth == 0)
		throw depth;
	throws(depth - 1);
	asm volatile("");
}

FRAME static void guarded()
{
	Guard guard;

	throws(8);
}

FRAME static void handled(int)
{
	burn();
}

FRAME static void catches()
{
	try {
		guarded();
	} catch (int value) {
		handled(value);
	}
}

int main(int argc, char **argv)
{
	program_start(argc, argv);
	while (running())
		catches();
	return 0;
}
