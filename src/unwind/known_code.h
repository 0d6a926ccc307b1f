/* SPDX-License-Identifier: MIT */
/*
 * Code that has no table but is known by its bytes: the small pieces that
 * every process runs, written in assembly, or made by the linker.
 *
 * Each finder adds the ranges that it recognises, with the frame they have.
 * What the file's own tables say comes first, so a finder need not ask them;
 * but for code of which they are known to say something wrong.
 */
#ifndef RETOUR_UNWIND_KNOWN_CODE_H
#define RETOUR_UNWIND_KNOWN_CODE_H

#include "unwind/source.h"

enum known_frame {
	KNOWN_NOTHING = 0,	/* what follows a range; sorts before a range that starts there */
	KNOWN_OUTERMOST,
	KNOWN_ENTRY,		/* the return address is at rsp */
	KNOWN_ONE_WORD,		/* there is one word on top of it */
	KNOWN_TWO_WORDS,
	KNOWN_SAVED_RBP,	/* there is the caller's rbp on top of it */
	KNOWN_LAZY_PLT,		/* from byte 11 of 16 on there is one word on top of it */
	KNOWN_LAZY_PLT_IBT,	/* from byte 9 */
	KNOWN_CLONE,		/* as KNOWN_ENTRY, but at the child's end of the stack there is a zero */
	KNOWN_SIGNAL,		/* rsp is at the kernel's ucontext */
	KNOWN_CONTEXT,		/* the caller is that of the ucontext at rdx */
};

ERROR_CHECK struct error *known_code_add(struct unwind_source *source, uint64_t start, uint64_t end,
					 enum known_frame frame);

/* Start-up and finishing: the entry point unless known, .init, .fini, the compiler's crtbegin. */
ERROR_CHECK struct error *known_code_start(struct elf_file *file, bool entry_known, struct unwind_source *ret);
ERROR_CHECK struct error *known_code_crtbegin(struct elf_file *file, struct unwind_source *ret);
/* The linker's stubs. */
ERROR_CHECK struct error *known_code_plt(struct elf_file *file, struct unwind_source *ret);
/* What changes stacks in the C library: clone, the return from signal handlers, the end of contexts. */
ERROR_CHECK struct error *known_code_libc(struct elf_file *file, struct unwind_source *ret);
/* The switch from one context to another, whose tables are wrong. */
ERROR_CHECK struct error *known_code_context(struct elf_file *file, struct unwind_source *ret);

#endif
