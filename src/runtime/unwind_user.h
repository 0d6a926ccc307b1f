/* SPDX-License-Identifier: MIT */
/* The walk of the own stack, for those who begin it inside the library. */
#ifndef RETOUR_RUNTIME_UNWIND_USER_H
#define RETOUR_RUNTIME_UNWIND_USER_H

#include "retour/unwind_deferred.h"

/* The registers here, as they must be to go on from this place. */
RETOUR_INLINE void unwind_regs_here(struct retour_unwind_regs *regs)
{
#if defined(__x86_64__)
	__asm__ volatile("movq %%rbx, 24(%[to])\n\t"
			 "movq %%rbp, 48(%[to])\n\t"
			 "movq %%rsp, 56(%[to])\n\t"
			 "movq %%r12, 96(%[to])\n\t"
			 "movq %%r13, 104(%[to])\n\t"
			 "movq %%r14, 112(%[to])\n\t"
			 "movq %%r15, 120(%[to])\n\t"
			 "leaq 0(%%rip), %%rax\n\t"
			 "movq %%rax, 128(%[to])"
			 : "+m"(*regs) : [to] "r"(regs) : "rax");
#else
	regs->reg[16] = (unsigned long)__builtin_return_address(0);
#endif
}

/* As retour_unwind_user(), without the first skip frames. */
unsigned int unwind_user(const struct retour_unwind_regs *regs, unsigned int skip, unsigned long *entries,
			 unsigned int max, enum retour_unwind_end *end);

#endif
