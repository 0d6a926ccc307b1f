/* SPDX-License-Identifier: MIT */
/*
 * System calls of the C library that change stacks, where its tables stop.
 *
 * clone and clone3 return twice, on two stacks.  Their instructions from the
 * system call to "ret" are in no table, as they are run by the child, too.
 * In the parent nothing moves rsp there; in the child the word at rsp is not
 * an address of code, but the thread's function or its argument.
 *
 * rt_sigreturn, number 15, takes all registers from the frame at rsp.
 */
#include "unwind/known_code.h"

#include <elf.h>

#define CHUNK 65536u
#define CONTEXT 32u		/* what is looked at before and behind a system call */
#define TEXT_MAX (32u << 20)	/* a larger program is not searched */

static const unsigned char syscall_insn[] = { 0x0f, 0x05 };

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

static struct error *add_at(struct unwind_source *source, uint64_t address, const unsigned char *syscall)
{
	size_t length = clone_length(syscall);

	if (length)
		return known_code_add(source, address, address + length, KNOWN_ENTRY);
	length = sigreturn_length(syscall);
	/* A handler returns to the first byte; one before that is where its rule is looked up. */
	if (length)
		return known_code_add(source, address - length - 1, address + sizeof(syscall_insn), KNOWN_SIGNAL);
	return NULL;
}

static struct error *search(struct elf_file *file, const struct elf_segment *s, struct unwind_source *ret)
{
	/* Chunks overlap by the context of an instruction, and by one that is cut in two. */
	const uint64_t step = CHUNK - 2 * CONTEXT - 1;
	unsigned char code[CHUNK];
	struct error *err = NULL;

	for (uint64_t at = 0; at + 2 * CONTEXT < s->size && !err; at += step) {
		size_t size = s->size - at < CHUNK ? s->size - at : CHUNK;
		const unsigned char *c = code + CONTEXT, *end = code + size - CONTEXT;

		if (!elf_file_read(file, s->offset + at, code, size))
			break;
		for (; !err && (c = memmem(c, (size_t)(end - c), syscall_insn, sizeof(syscall_insn))); c++)
			err = add_at(ret, s->vaddr + at + (uint64_t)(c - code), c);
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

struct error *known_code_syscalls(struct elf_file *file, struct unwind_source *ret)
{
	const struct elf_segment *s;
	struct error *err = NULL;
	size_t n;

	if (!has_c_library(file))
		return NULL;
	s = elf_file_segments(file, &n);
	for (size_t i = 0; i < n && !err; i++)
		if (s[i].executable && s[i].size <= TEXT_MAX)
			err = search(file, &s[i], ret);
	return err;
}
