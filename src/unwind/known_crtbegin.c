/* SPDX-License-Identifier: MIT */
/*
 * The compiler's crtbegin: deregister_tm_clones, register_tm_clones,
 * __do_global_dtors_aux and frame_dummy.  Every program and library has these
 * four, and runs them when it starts and ends.
 *
 * The first functions of .init_array and .fini_array lead to all of them.
 * From the entry of a function its frame is read off its instructions, along
 * every path, if all of them are among the few that such code has: compilers
 * differ in details.  One that is not among them, and nothing is said.
 */
#include "unwind/known_code.h"

#include <elf.h>

#define FUNCTION_MAX 192u
#define FUNCTIONS_MAX 8u
#define INSN_MAX 8u

enum insn_kind { INSN_OTHER, INSN_PLAIN, INSN_BRANCH, INSN_PUSH, INSN_POP, INSN_CALL, INSN_JUMP, INSN_END };

struct insn {
	enum insn_kind kind;
	unsigned int length, immediate;		/* immediate: of a jump or call, at the end */
};

/* What a ModRM byte must be. */
enum modrm { MODRM_NONE, MODRM_REGISTER, MODRM_RIP, MODRM_RIP_LOAD };

static const struct form {
	unsigned char size, bytes[4], modrm, immediate, kind;
} forms[] = {
	{ 4, { 0xf3, 0x0f, 0x1e, 0xfa }, .kind = INSN_PLAIN },				/* endbr64 */
	{ 1, { 0x90 }, .kind = INSN_PLAIN },						/* nop */
	{ 2, { 0x66, 0x90 }, .kind = INSN_PLAIN },
	{ 3, { 0x48, 0x89, 0xe5 }, .kind = INSN_PLAIN },				/* mov %rsp, %rbp */
	{ 1, { 0x55 }, .kind = INSN_PUSH },						/* push %rbp */
	{ 1, { 0x5d }, .kind = INSN_POP },						/* pop %rbp */
	{ 2, { 0x48, 0x8d }, MODRM_RIP_LOAD, 0, INSN_PLAIN },				/* lea */
	{ 2, { 0x48, 0x8b }, MODRM_RIP_LOAD, 0, INSN_PLAIN },				/* mov */
	{ 2, { 0x80, 0x3d }, MODRM_RIP, 1, INSN_PLAIN },				/* cmpb */
	{ 2, { 0xc6, 0x05 }, MODRM_RIP, 1, INSN_PLAIN },				/* movb */
	{ 3, { 0x48, 0x83, 0x3d }, MODRM_RIP, 1, INSN_PLAIN },				/* cmpq */
	{ 2, { 0x48, 0x01 }, MODRM_REGISTER, 0, INSN_PLAIN },				/* add */
	{ 2, { 0x48, 0x29 }, MODRM_REGISTER, 0, INSN_PLAIN },				/* sub */
	{ 2, { 0x48, 0x39 }, MODRM_REGISTER, 0, INSN_PLAIN },				/* cmp */
	{ 2, { 0x48, 0x85 }, MODRM_REGISTER, 0, INSN_PLAIN },				/* test */
	{ 2, { 0x48, 0x89 }, MODRM_REGISTER, 0, INSN_PLAIN },				/* mov */
	{ 2, { 0x48, 0xd1 }, MODRM_REGISTER, 0, INSN_PLAIN },				/* sar */
	{ 2, { 0x48, 0xc1 }, MODRM_REGISTER, 1, INSN_PLAIN },				/* shr, sar */
	{ 2, { 0x48, 0x83 }, MODRM_REGISTER, 1, INSN_PLAIN },				/* cmp */
	{ 2, { 0x48, 0x81 }, MODRM_REGISTER, 4, INSN_PLAIN },				/* sub */
	{ 2, { 0x48, 0xc7 }, MODRM_REGISTER, 4, INSN_PLAIN },				/* mov */
	{ 2, { 0x48, 0x2d }, MODRM_NONE, 4, INSN_PLAIN },				/* sub, %rax */
	{ 2, { 0x48, 0x3d }, MODRM_NONE, 4, INSN_PLAIN },				/* cmp, %rax */
	{ 1, { 0xb8 }, MODRM_NONE, 4, INSN_PLAIN },					/* mov, %eax */
	{ 1, { 0xbe }, MODRM_NONE, 4, INSN_PLAIN },					/* mov, %esi */
	{ 1, { 0xbf }, MODRM_NONE, 4, INSN_PLAIN },					/* mov, %edi */
	{ 1, { 0x74 }, MODRM_NONE, 1, INSN_BRANCH },					/* je */
	{ 1, { 0x75 }, MODRM_NONE, 1, INSN_BRANCH },					/* jne */
	{ 1, { 0x76 }, MODRM_NONE, 1, INSN_BRANCH },					/* jbe */
	{ 1, { 0xe8 }, MODRM_NONE, 4, INSN_CALL },
	{ 2, { 0xff, 0xd0 }, .kind = INSN_PLAIN },					/* call *%rax */
	{ 1, { 0xe9 }, MODRM_NONE, 4, INSN_JUMP },
	{ 1, { 0xeb }, MODRM_NONE, 1, INSN_JUMP },
	{ 2, { 0xff, 0xe0 }, .kind = INSN_END },					/* jmp *%rax */
	{ 1, { 0xc3 }, .kind = INSN_END },						/* ret */
};

/* Registers 4 and 5, rsp and rbp, are only changed by the forms that name them. */
static bool is_plain_register(unsigned int reg)
{
	return (reg & 7) != 4 && (reg & 7) != 5;
}

static struct insn form_insn(const struct form *form, const unsigned char *code)
{
	struct insn insn = { form->kind, form->size + form->immediate, form->immediate };
	unsigned char modrm = code[form->size];

	switch (form->modrm) {
	case MODRM_RIP:		/* the byte is one of the form's */
		insn.length += 4;
		break;
	case MODRM_RIP_LOAD:
		insn.length += 5;
		if ((modrm & 0xc7) != 5 || !is_plain_register(modrm >> 3))
			insn.kind = INSN_OTHER;
		break;
	case MODRM_REGISTER:
		insn.length += 1;
		if (modrm < 0xc0 || !is_plain_register(modrm))
			insn.kind = INSN_OTHER;
		break;
	}
	return insn;
}

/* There are INSN_MAX bytes of code. */
static struct insn decode(const unsigned char *code)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++)
		if (!memcmp(code, forms[i].bytes, forms[i].size))
			return form_insn(&forms[i], code);
	return (struct insn){ .kind = INSN_OTHER };
}

struct function {
	unsigned char code[FUNCTION_MAX + INSN_MAX];
	unsigned char frame[FUNCTION_MAX];	/* enum known_frame at each instruction's first byte and within */
	uint64_t callee[FUNCTIONS_MAX];		/* where it calls or jumps to, from its start */
	size_t n_callees;
};

/* Where a jump or call goes, from the function's start. */
static uint64_t jump_target(const struct function *f, unsigned int at, const struct insn *insn)
{
	unsigned int next = at + insn->length;
	int32_t word;

	if (insn->immediate == 1)
		return next + (uint64_t)(signed char)f->code[next - 1];
	memcpy(&word, f->code + next - sizeof(word), sizeof(word));
	return next + (uint64_t)word;
}

/* The frame behind an instruction, KNOWN_NOTHING if the path ends with it; false if it does not fit. */
static bool frame_after(struct function *f, unsigned int at, const struct insn *insn, unsigned char *frame)
{
	uint64_t target;

	switch (insn->kind) {
	case INSN_OTHER:
		return false;
	case INSN_PLAIN:
		return true;
	case INSN_BRANCH:	/* forward, so that one pass sees all paths */
		target = jump_target(f, at, insn);
		if (target <= at || target >= FUNCTION_MAX || (f->frame[target] && f->frame[target] != *frame))
			return false;
		f->frame[target] = *frame;
		return true;
	case INSN_PUSH:
	case INSN_POP:
		if (*frame != (insn->kind == INSN_PUSH ? KNOWN_ENTRY : KNOWN_SAVED_RBP))
			return false;
		*frame = insn->kind == INSN_PUSH ? KNOWN_SAVED_RBP : KNOWN_ENTRY;
		return true;
	case INSN_CALL:
	case INSN_JUMP:
		if (f->n_callees < FUNCTIONS_MAX)
			f->callee[f->n_callees++] = jump_target(f, at, insn);
		if (insn->kind == INSN_CALL)
			return true;
		break;
	case INSN_END:
		break;
	}
	if (*frame != KNOWN_ENTRY)
		return false;
	*frame = KNOWN_NOTHING;
	return true;
}

/* Follows every path from the function's start. */
static bool follow(struct function *f)
{
	unsigned int at = 0;

	f->frame[0] = KNOWN_ENTRY;
	while (at < FUNCTION_MAX) {
		unsigned char frame = f->frame[at];
		unsigned int next;
		struct insn insn;

		if (!frame) {	/* between paths */
			at++;
			continue;
		}
		insn = decode(f->code + at);
		next = at + insn.length;
		if (next >= FUNCTION_MAX || !frame_after(f, at, &insn, &frame))
			return false;
		for (unsigned int i = at + 1; i < next; i++) {
			if (f->frame[i])
				return false;	/* a branch into an instruction */
			f->frame[i] = f->frame[at];
		}
		if (frame && f->frame[next] && f->frame[next] != frame)
			return false;
		if (frame)
			f->frame[next] = frame;
		at = next;
	}
	return true;
}

static struct error *add_rows(const struct function *f, uint64_t start, struct unwind_source *ret)
{
	struct error *err = NULL;

	for (unsigned int at = 0, end; at < FUNCTION_MAX && !err; at = end) {
		for (end = at + 1; end < FUNCTION_MAX && f->frame[end] == f->frame[at]; end++)
			;
		if (f->frame[at])
			err = known_code_add(ret, start + at, start + end, f->frame[at]);
	}
	return err;
}

/* Functions to look at, each once. */
struct queue {
	uint64_t start[FUNCTIONS_MAX];
	size_t n;
};

static void enqueue(struct queue *q, const struct elf_file *file, uint64_t start)
{
	for (size_t i = 0; i < q->n; i++)
		if (q->start[i] == start)
			return;
	if (q->n < FUNCTIONS_MAX && source_is_code(file, start))
		q->start[q->n++] = start;
}

/* The addend of the relative relocation at an address; they come first in the section, by address. */
static uint64_t relocated(const struct elf_file *file, uint64_t offset, uint64_t size, uint64_t address)
{
	uint64_t low = 0, high = size / sizeof(Elf64_Rela);
	Elf64_Rela rela;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (!elf_file_read(file, offset + middle * sizeof(rela), &rela, sizeof(rela)))
			return 0;
		if (ELF64_R_TYPE(rela.r_info) == R_X86_64_RELATIVE && rela.r_offset == address)
			return (uint64_t)rela.r_addend;
		if (ELF64_R_TYPE(rela.r_info) == R_X86_64_RELATIVE && rela.r_offset < address)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

/* The first function of an array: what the file has there or, where that is nothing, its relocation. */
static void enqueue_first(struct queue *q, struct elf_file *file, const char *name)
{
	uint64_t offset, size, address, first;

	if (!elf_file_section_range(file, name, &offset, &size) || size < sizeof(first) ||
	    !elf_file_read(file, offset, &first, sizeof(first)))
		return;
	if (!first && elf_file_section_vaddr(file, name, &address) &&
	    elf_file_section_range(file, ".rela.dyn", &offset, &size))
		first = relocated(file, offset, size, address);
	enqueue(q, file, first);
}

struct error *known_code_crtbegin(struct elf_file *file, struct unwind_source *ret)
{
	struct error *err = NULL;
	struct queue q = {0};
	uint64_t offset;

	enqueue_first(&q, file, ".init_array");
	enqueue_first(&q, file, ".fini_array");
	for (size_t i = 0; i < q.n && !err; i++) {
		struct function f = {0};

		if (!elf_file_to_offset(file, q.start[i], &offset) ||
		    !elf_file_read(file, offset, f.code, sizeof(f.code)) || !follow(&f))
			continue;
		for (size_t j = 0; j < f.n_callees; j++)
			enqueue(&q, file, q.start[i] + f.callee[j]);
		err = add_rows(&f, q.start[i], ret);
	}
	return err;
}
