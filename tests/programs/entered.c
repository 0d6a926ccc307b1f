/* SPDX-License-Identifier: MIT */
/*
 * Calls, through rcx, a function whose first instruction faults.  A task in that
 * fault has its own address in rcx and the flags in r11, as it has in a system
 * call; but what lies before it is another function, of another frame.
 */
#include "program.h"

#include <sys/mman.h>

asm(".text\n"
    ".type before, @function\n"
    "before:\n"
    "	.cfi_startproc\n"
    "	.cfi_def_cfa_offset 80\n"
    "	ud2\n"
    "	.cfi_endproc\n"
    ".size before, . - before\n"
    ".type entered, @function\n"
    "entered:\n"
    "	.cfi_startproc\n"
    "	movb $1, (%rdi)\n"
    "	ret\n"
    "	.cfi_endproc\n"
    ".size entered, . - entered\n");
void entered(char *memory);

FRAME static void enters(char *memory)
{
	/* In r11 are the flags, as after syscall: those that xor makes, and RF, which the fault sets. */
	asm volatile("mov $0x10246, %%r11d\n"
		     "	xor %%eax, %%eax\n"
		     "	call *%%rcx" : : "c"(entered), "D"(memory) : "memory", "cc", "rax", "r11");
}

int main(int argc, char **argv)
{
	char *memory = map_stack(4096, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	program_start(argc, argv);
	while (running()) {
		enters(memory);
		madvise(memory, 4096, MADV_DONTNEED);
	}
	return 0;
}
