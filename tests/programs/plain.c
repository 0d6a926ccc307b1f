/* SPDX-License-Identifier: MIT */
/*
 * Three calls deep; built in every way a binary can be linked.  It prints where
 * its functions are, for the builds that carry no symbols.
 */
#include "program.h"

#include <stdio.h>

int main(int argc, char **argv);

FRAME static void plain_inner(void)
{
	burn_until_end();
}

FRAME static void plain_middle(void)
{
	plain_inner();
}

FRAME static void plain_outer(void)
{
	plain_middle();
}

int main(int argc, char **argv)
{
	program_start(argc, argv);
	printf("{\"main\": \"%p\"}\n", (void *)main);
	plain_outer();
	return 0;
}
