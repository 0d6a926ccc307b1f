/* SPDX-License-Identifier: MIT */
/* Functions of every kind a symbol table can hold, and calls through a PLT. */
#include <stdlib.h>
#include <string.h>

int exported_function(int n);
int weak_alias(int n) __attribute__((weak, alias("exported_function")));
int __underscored_alias(int n) __attribute__((alias("exported_function")));
int resolved_function(int n);

static __attribute__((noinline)) int local_function(int n)
{
	return n ? (int)strtol(getenv("HOME"), NULL, n) : 0;
}

int exported_function(int n)
{
	return local_function(n) + abs(n);
}

static int resolved_here(int n)
{
	return n + 1;
}

static int (*resolve(void))(int)
{
	return resolved_here;
}

int resolved_function(int n) __attribute__((ifunc("resolve")));

/* Hand-written: without types and sizes. */
__asm__(".text\n"
	"assembly_first:\n"
	"	nop\n"
	"	nop\n"
	".Lno_symbol:\n"
	"	ret\n"
	"assembly_second:\n"
	"	ret\n"
	".balign 16\n"
	".type sized_function, @function\n"
	"sized_function:\n"
	"	nop\n"
	"label_inside:\n"
	"	nop\n"
	"	ret\n"
	".size sized_function, . - sized_function\n");
