/* SPDX-License-Identifier: MIT */
/* Works below the function of lies.S that the mode names. */
#include "program.h"

#include <alloca.h>
#include <string.h>

#define LIES(X) X(lie_backwards) X(lie_still) X(lie_far) X(lie_zero) X(lie_loop) X(lie_underflow) \
	X(lie_lost) X(without_cfi)

typedef void trampoline(void (*callback)(void));

#define DECLARE(name) trampoline name;
LIES(DECLARE)

static const struct {
	const char *name;
	trampoline *call;
} lies[] = {
#define ENTRY(name) { #name, name },
	LIES(ENTRY)
};

FRAME static void below(void)
{
	burn_until_end();
}

/* alloca makes its own CFA depend on rbp. */
FRAME static void above(trampoline *lie, int size)
{
	char *local = alloca(size);

	asm volatile("" : : "r"(local) : "memory");
	lie(below);
	asm volatile("" : : "r"(local) : "memory");
}

int main(int argc, char **argv)
{
	program_start(argc, argv);
	must(program_mode() != NULL, "the name of a lie");
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		if (!strcmp(lies[i].name, program_mode()))
			above(lies[i].call, 64);
	return 0;
}
