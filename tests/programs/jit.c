/* SPDX-License-Identifier: MIT */
/*
 * Code made at run time, in anonymous memory: with frame pointers, as JITs emit
 * it for profilers, or (mode `bare`) without.
 */
#include "program.h"

#include <string.h>
#include <sys/mman.h>

typedef void (*generated)(void (*callback)(void));

/* push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret */
static const unsigned char framed[] = { 0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3 };
/* push %rbp; xor %ebp,%ebp; sub $16,%rsp; call *%rdi; add $16,%rsp; pop %rbp; ret */
static const unsigned char bare[] = { 0x55, 0x31, 0xed, 0x48, 0x83, 0xec, 0x10, 0xff, 0xd7,
				      0x48, 0x83, 0xc4, 0x10, 0x5d, 0xc3 };

static generated generate(const unsigned char *code, size_t size)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(memory != MAP_FAILED, "mmap");
	memcpy(memory, code, size);
	must(!mprotect(memory, 4096, PROT_READ | PROT_EXEC), "mprotect");
	return (generated)memory;
}

FRAME static void called_by_jit(void)
{
	burn_until_end();
}

FRAME static void calls_jit(generated code)
{
	code(called_by_jit);
	asm volatile("");
}

int main(int argc, char **argv)
{
	bool without = false;

	program_start(argc, argv);
	if (program_mode())
		without = !strcmp(program_mode(), "bare");
	calls_jit(without ? generate(bare, sizeof(bare)) : generate(framed, sizeof(framed)));
	return 0;
}
