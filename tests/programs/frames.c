/* SPDX-License-Identifier: MIT */
/* Big stacks: twenty frames of 512 bytes (10 KB), and one frame of 80 KB. */
#include "program.h"

#define SMALL 512
#define LARGE (80 * 1024)

FRAME static void small_frame(int depth)
{
	char local[SMALL];

	asm volatile("" : : "r"(local) : "memory");
	if (depth > 1)
		small_frame(depth - 1);
	else
		burn();
	asm volatile("" : : "r"(local) : "memory");
}

FRAME static void large_frame(void)
{
	char local[LARGE];

	asm volatile("" : : "r"(local) : "memory");
	burn();
	asm volatile("" : : "r"(local) : "memory");
}

int main(int argc, char **argv)
{
	program_start(argc, argv);
	while (running()) {
		small_frame(20);
		large_frame();
	}
	return 0;
}
