/* SPDX-License-Identifier: MIT */
/* setjmp and longjmp out of ten frames. */
#include "program.h"

#include <setjmp.h>

static jmp_buf target;

FRAME static void jumps(int depth)
{
	if (depth > 1)
		jumps(depth - 1);
	burn();
	if (depth == 1)
		longjmp(target, 1);
}

FRAME static void landed(void)
{
	burn();
}

FRAME static void lands(void)
{
	if (!setjmp(target))
		jumps(10);
	else
		landed();
}

int main(int argc, char **argv)
{
	program_start(argc, argv);
	while (running())
		lands();
	return 0;
}
