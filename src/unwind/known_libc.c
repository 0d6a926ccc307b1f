/* SPDX-License-Identifier: MIT */
/*
 * Code of the C library that changes stacks, where its tables stop.
 *
 * clone and clone3 return twice, on two stacks.  Their instructions from the
 * system call to "ret" are in no table, as they are run by the child, too.
 * In the parent nothing moves rsp there; in the child the word at rsp is zero,
 * or the thread's function (clone), or the first above its stack, but never an
 * address it returns to.  What tells them apart is rax, which is zero in the child.
 *
 * rt_sigreturn, number 15, takes all registers from the frame at rsp.
 *
 * makecontext() has its function return to the first byte of code that leaves
 * that stack: there the stack ends, and in that code too.
 *
 * swapcontext() loads the new stack pointer and, some instructions later, pushes
 * the return address; glibc's tables say all along that it is at rsp.
 */
#include "unwind/known_code.h"

#include <elf.h>

#define CHUNK 65536u
#define CONTEXT 64u		/* what is looked at before and behind what is searched for */
#define TEXT_MAX (32u << 20)	/* a larger program is not searched */

static const unsigned char syscall_insn[] = { 0x0f, 0x05 };
/* mov 0xa0(%rdx), %rsp, and likewise rbx, rbp, r12 to r15 from the ucontext at rdx */
static const unsigned char context_load[] = {
	0x48, 0x8b, 0xa2, 0xa0, 0, 0, 0, 0x48, 0x8b, 0x9a, 0x80, 0, 0, 0, 0x48, 0x8b, 0x6a, 0x78,
	0x4c, 0x8b, 0x62, 0x48, 0x4c, 0x8b, 0x6a, 0x50, 0x4c, 0x8b, 0x72, 0x58, 0x4c, 0x8b, 0x7a, 0x60,
};
/* mov 0xa8(%rdx), %rcx; push %rcx; mov 0x68(%rdx), %rdi; mov 0x70(%rdx), %rsi: the return address */
static const unsigned char context_push[] = {
	0x48, 0x8b, 0x8a, 0xa8, 0, 0, 0, 0x51, 0x48, 0x8b, 0x7a, 0x68, 0x48, 0x8b, 0x72, 0x70,
};
/* mov %rbx, %rsp; mov (%rsp), %rdi; test %rdi, %rdi: where a context ends */
static const unsigned char context_end[] = { 0x48, 0x89, 0xdc, 0x48, 0x8b, 0x3c, 0x24, 0x48, 0x85, 0xff };

/* Length of the code at a system call that is clone's, or 0: test, jl, jz over the ret, ret. */
static size_t clone_length(const unsigned char *code)
{
	size_t at = sizeof(syscall_insn);

	at += code[at] == 0x48;
	if (code[at] != 0x85 || code[at + 1] != 0xc0)
		return 0;
	at += 2;
	if (code[at] == 0x7c)
		at += 2;
	else if (code[at] == 0x0f && code[at + 1] == 0x8c)
		at += 6;
	else
		return 0;
	return code[at] == 0x74 && code[at + 1] == 1 && code[at + 2] == 0xc3 ? at + 3 : 0;
}

/* Length of "mov $15, %eax" or %rax before a system call, or 0. */
static size_t sigreturn_length(const unsigned char *syscall)
{
	static const unsigned char mov_rax[] = { 0x48, 0xc7, 0xc0, 15, 0, 0, 0 }, mov_eax[] = { 0xb8, 15, 0, 0, 0 };

	if (!memcmp(syscall - sizeof(mov_rax), mov_rax, sizeof(mov_rax)))
		return sizeof(mov_rax);
	return memcmp(syscall - sizeof(mov_eax), mov_eax, sizeof(mov_eax)) ? 0 : sizeof(mov_eax);
}

static struct error *add_syscall(struct unwind_source *source, uint64_t address, const unsigned char *syscall)
{
	size_t length = clone_length(syscall);

	if (length)
		return known_code_add(source, address, address + length, KNOWN_CLONE);
	length = sigreturn_length(syscall);
	/* A handler returns to the first byte; one before that is where its rule is looked up. */
	if (length)
		return known_code_add(source, address - length - 1, address + sizeof(syscall_insn), KNOWN_SIGNAL);
	return NULL;
}

/* Return addresses are looked up one byte before. */
static struct error *add_context_end(struct unwind_source *source, uint64_t address, const unsigned char *code)
{
	static const unsigned char endbr[] = { 0xf3, 0x0f, 0x1e, 0xfa };

	if (!memcmp(code - sizeof(endbr), endbr, sizeof(endbr)))
		address -= sizeof(endbr);
	return known_code_add(source, address - 1, address, KNOWN_OUTERMOST);
}

/* From behind the load of rsp; at the end there may be the test of whether shadow stacks are on. */
static struct error *add_context_load(struct unwind_source *source, uint64_t address, const unsigned char *code)
{
	/* testl $2, %fs:0x48, and the first byte of the jump that follows */
	static const unsigned char test[] = { 0x64, 0xf7, 4, 0x25, 0x48, 0, 0, 0, 2, 0, 0, 0 };
	uint64_t end = address + sizeof(context_load);

	if (!memcmp(code + sizeof(context_load), test, sizeof(test)))
		end += sizeof(test) + 1;
	return known_code_add(source, address + 7, end, KNOWN_CONTEXT);
}

/* Up to the push. */
static struct error *add_context_push(struct unwind_source *source, uint64_t address, const unsigned char *code)
{
	return known_code_add(source, address, address + 8, KNOWN_CONTEXT);
}

struct find {
	const unsigned char *bytes;
	size_t size;
	struct error *(*add)(struct unwind_source *source, uint64_t address, const unsigned char *code);
};

/* What glibc's table says of the code itself is what holds at the entry of a function, which it is not. */
static struct error *add_context_ending(struct unwind_source *source, uint64_t address, const unsigned char *code)
{
	/* To behind "jz; call setcontext; mov %rax, %rdi; call exit; hlt". */
	return known_code_add(source, address, address + sizeof(context_end) + 2 + 5 + 3 + 5 + 1, KNOWN_OUTERMOST);
}

/* What is searched for: as many patterns at most, the last ones may be empty. */
enum { N_FINDS = 3 };
static const struct find without_table[N_FINDS] = {
	{ syscall_insn, sizeof(syscall_insn), add_syscall },
	{ context_end, sizeof(context_end), add_context_end },
};
static const struct find with_wrong_table[N_FINDS] = {
	{ context_load, sizeof(context_load), add_context_load },
	{ context_push, sizeof(context_push), add_context_push },
	{ context_end, sizeof(context_end), add_context_ending },
};

/* Everything searched for that starts in a chunk; there are CONTEXT bytes before and behind it. */
static struct error *search_chunk(const unsigned char *chunk, size_t size, uint64_t address,
				  const struct find *find, struct unwind_source *ret)
{
	struct error *err = NULL;

	for (size_t i = 0; i < N_FINDS && find[i].size; i++) {
		const unsigned char *c = chunk, *end = chunk + size + find[i].size - 1;

		for (; !err && (c = memmem(c, (size_t)(end - c), find[i].bytes, find[i].size)); c++)
			err = find[i].add(ret, address + (uint64_t)(c - chunk), c);
	}
	return err;
}

static struct error *search_segment(struct elf_file *file, const struct elf_segment *s, const struct find *find,
				    struct unwind_source *ret)
{
	unsigned char code[CONTEXT + CHUNK + CONTEXT];
	struct error *err = NULL;

	for (uint64_t at = 0; at + 2 * CONTEXT < s->size && !err; at += CHUNK) {
		size_t size = s->size - at < sizeof(code) ? s->size - at : sizeof(code);

		if (!elf_file_read(file, s->offset + at, code, size))
			break;
		err = search_chunk(code + CONTEXT, size - 2 * CONTEXT, s->vaddr + at + CONTEXT, find, ret);
	}
	return err;
}

/* The name a shared library has for the dynamic linker; "" if there is none. */
static void read_soname(struct elf_file *file, char *name, size_t size)
{
	uint64_t offset, bytes, strings, strings_size;
	Elf64_Dyn dyn;

	memset(name, 0, size);
	if (!elf_file_section_range(file, ".dynamic", &offset, &bytes) ||
	    !elf_file_section_range(file, ".dynstr", &strings, &strings_size))
		return;
	for (; bytes >= sizeof(dyn) && elf_file_read(file, offset, &dyn, sizeof(dyn)); offset += sizeof(dyn)) {
		bytes -= sizeof(dyn);
		if (dyn.d_tag == DT_NULL)
			return;
		if (dyn.d_tag != DT_SONAME || dyn.d_un.d_val >= strings_size)
			continue;
		strings_size -= dyn.d_un.d_val;
		if (!elf_file_read(file, strings + dyn.d_un.d_val, name,
				   strings_size < size ? strings_size : size - 1))
			name[0] = 0;
		return;
	}
}

/* A C library, or a program that needs no dynamic linker and so has its own. */
static bool has_c_library(struct elf_file *file)
{
	uint64_t vaddr, size;
	char name[16];

	read_soname(file, name, sizeof(name));
	if (name[0])
		return !strncmp(name, "libc.", 5) || !strncmp(name, "libpthread.", 11);
	return !elf_file_phdr(file, PT_INTERP, &vaddr, &size) && source_is_code(file, elf_file_entry(file));
}

static struct error *search(struct elf_file *file, const struct find *find, struct unwind_source *ret)
{
	const struct elf_segment *s;
	struct error *err = NULL;
	size_t n;

	if (!has_c_library(file))
		return NULL;
	s = elf_file_segments(file, &n);
	for (size_t i = 0; i < n && !err; i++)
		if (s[i].executable && s[i].size <= TEXT_MAX)
			err = search_segment(file, &s[i], find, ret);
	return err;
}

struct error *known_code_libc(struct elf_file *file, struct unwind_source *ret)
{
	return search(file, without_table, ret);
}

struct error *known_code_context(struct elf_file *file, struct unwind_source *ret)
{
	return search(file, with_wrong_table, ret);
}
