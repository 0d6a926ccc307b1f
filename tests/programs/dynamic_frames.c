/* SPDX-License-Identifier: MIT */
/*
 * Frames whose size is known at run time only (alloca, variable length arrays:
 * CFA from rbp), and frames realigned through a dynamic argument pointer (DRAP:
 * CFA from a saved pointer, by DW_CFA_def_cfa_expression).
 */
#include "program.h"

#include <alloca.h>
#include <stdint.h>

FRAME static void vla_frame(int size)
{
	char local[size];

	asm volatile("" : : "r"(local) : "memory");
	burn();
	asm volatile("" : : "r"(local) : "memory");
}

FRAME static void alloca_frame(int size)
{
	char *local = alloca(size);

	asm volatile("" : : "r"(local) : "memory");
	vla_frame(size * 3);
	asm volatile("" : : "r"(local) : "memory");
}

__attribute__((noipa, force_align_arg_pointer)) static void realigned_frame(int size)
{
	_Alignas(64) char local[192];

	asm volatile("" : : "r"(local) : "memory");
	alloca_frame(size);
	asm volatile("" : : "r"(local) : "memory");
}

FRAME static void aligned_frame(int size)
{
	_Alignas(128) char local[256];

	asm volatile("" : : "r"(local) : "memory");
	realigned_frame(size);
	asm volatile("" : : "r"(local) : "memory");
}

/* Stack arguments and a dynamic size make the argument pointer live beside rbp. */
FRAME static void drap_frame(long a, long b, long c, long d, long e, long f, long g, int size)
{
	_Alignas(64) char fixed[64];
	char local[size];

	asm volatile("" : : "r"(local), "r"(fixed) : "memory");
	aligned_frame(size + (int)g);
	asm volatile("" : : "r"(local), "r"(fixed), "r"(a + b + c + d + e + f) : "memory");
}

int main(int argc, char **argv)
{
	program_start(argc, argv);
	for (int size = 16; running(); size = size % 2000 + 16)
		drap_frame(1, 2, 3, 4, 5, 6, 7, size);
	return 0;
}
