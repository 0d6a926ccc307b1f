/* SPDX-License-Identifier: MIT */
/* Work at the bottom of a recursion --count (1000) deep. */
#include "program.h"

#include <stdlib.h>

FRAME static void bottom(void)
{
	burn_until_end();
}

FRAME static void down(long depth)
{
	if (depth > 1)
		down(depth - 1);
	else
		bottom();
}

int main(int argc, char **argv)
{
	program_start(argc, argv);
	down(program_count(1000));
	return 0;
}
