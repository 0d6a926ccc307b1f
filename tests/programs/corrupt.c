/* SPDX-License-Identifier: MIT */
/* Works below a function of the library whose path is the mode; its .eh_frame may be garbage. */
#include "program.h"

#include <dlfcn.h>

FRAME static void below(void)
{
	burn_until_end();
}

FRAME static void above(void (*through)(void (*)(void)))
{
	through(below);
	asm volatile("");
}

int main(int argc, char **argv)
{
	void *handle;
	void (*through)(void (*)(void));

	program_start(argc, argv);
	must(program_mode() != NULL, "a library");
	handle = dlopen(program_mode(), RTLD_NOW);
	must(handle != NULL, "dlopen");
	*(void **)&through = dlsym(handle, "through");
	must(through != NULL, "dlsym");
	above(through);
	return 0;
}
