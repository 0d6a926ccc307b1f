/* SPDX-License-Identifier: MIT */
/*
 * Differential oracle: every rule of every file named on the command line
 * against libdw, at the first and the last pc of each of libdw's rows.  A name
 * without a slash is a shared library, if it has ".so", or else a program.
 *
 * Both sides are evaluated on the same random registers over the same fake
 * memory.  The compact rule must give libdw's CFA, return address and rbp; the
 * full step, which also serves the rules without a compact form, the
 * callee-saved registers as well.  Rows must begin where libdw's do.
 */
#include "rule_eval.h"

#include "elf/elf_file.h"
#include "unwind/table.h"

#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MISMATCHES_SHOWN 10
#define LIBDW_REGS 17
#define SMALL_MAX 512	/* bytes of small functions that are known without a table */

enum value_kind { VALUE_KNOWN, VALUE_SAME, VALUE_UNDEFINED, VALUE_ERROR };

struct oracle {
	const char *path;
	struct elf_file *file;
	struct unwind_table *table;
	int fd;
	Elf *elf;
	Dwarf *dwarf;
	Dwarf_CFI *cfi[2];	/* .eh_frame, .debug_frame */
	bool go;
	uint64_t corrected_end;	/* of the last row that is not the file's own */
	uint64_t rows, compared, complex_rows, outermost, overlaid, small, mismatches;
};

static void mismatch(struct oracle *o, uint64_t pc, const char *what, uint64_t ours, uint64_t libdw)
{
	if (o->mismatches++ < MISMATCHES_SHOWN)
		printf("# %s: pc %#llx: %s: ours %#llx, libdw %#llx\n", o->path, (unsigned long long)pc, what,
		       (unsigned long long)ours, (unsigned long long)libdw);
}

struct eval {
	uint64_t stack[64];
	unsigned int depth;
	const struct unwind_regs *regs;
	uint64_t cfa;
};

static bool eval_binary(struct eval *e, const Dwarf_Op *op)
{
	uint64_t a, b;

	if (e->depth < 2)
		return false;
	b = e->stack[--e->depth];
	a = e->stack[--e->depth];
	switch (op->atom) {
	case DW_OP_plus: a += b; break;
	case DW_OP_minus: a -= b; break;
	case DW_OP_mul: a *= b; break;
	case DW_OP_and: a &= b; break;
	case DW_OP_or: a |= b; break;
	case DW_OP_shl: a <<= b & 63; break;
	case DW_OP_shr: a >>= b & 63; break;
	case DW_OP_ge: a = (int64_t)a >= (int64_t)b; break;
	case DW_OP_eq: a = a == b; break;
	default: return false;
	}
	e->stack[e->depth++] = a;
	return true;
}

static bool eval_op(struct eval *e, const Dwarf_Op *op)
{
	if (e->depth > 60)
		return false;
	if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31) {
		e->stack[e->depth++] = op->atom - DW_OP_lit0;
		return true;
	}
	if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg16) {
		e->stack[e->depth++] = e->regs->value[op->atom - DW_OP_breg0] + op->number;
		return true;
	}
	switch (op->atom) {
	case DW_OP_bregx:
		if (op->number >= UNWIND_N_REGS)
			return false;
		e->stack[e->depth++] = e->regs->value[op->number] + op->number2;
		return true;
	case DW_OP_call_frame_cfa:
		e->stack[e->depth++] = e->cfa;
		return true;
	case DW_OP_const1u: case DW_OP_const1s: case DW_OP_const2u: case DW_OP_const2s:
	case DW_OP_const4u: case DW_OP_const4s: case DW_OP_const8u: case DW_OP_const8s:
	case DW_OP_constu: case DW_OP_consts:
		e->stack[e->depth++] = op->number;
		return true;
	case DW_OP_plus_uconst:
		e->stack[e->depth - 1] += op->number;
		return e->depth;
	case DW_OP_deref:
		e->stack[e->depth - 1] = fake_word(e->stack[e->depth - 1]);
		return e->depth;
	default:
		return eval_binary(e, op);
	}
}

static bool eval_ops(const Dwarf_Op *ops, size_t n, const struct unwind_regs *regs, uint64_t cfa, uint64_t *ret,
		     bool *is_value)
{
	struct eval e = { .regs = regs, .cfa = cfa };

	*is_value = false;
	for (size_t i = 0; i < n; i++) {
		if (ops[i].atom == DW_OP_stack_value) {
			*is_value = true;
		} else if (ops[i].atom == DW_OP_regx && ops[i].number < UNWIND_N_REGS) {
			e.stack[e.depth++] = regs->value[ops[i].number];
			*is_value = true;
		} else if (ops[i].atom >= DW_OP_reg0 && ops[i].atom <= DW_OP_reg16) {
			e.stack[e.depth++] = regs->value[ops[i].atom - DW_OP_reg0];
			*is_value = true;
		} else if (!eval_op(&e, &ops[i])) {
			printf("# unknown operation %#x\n", ops[i].atom);
			return false;
		}
	}
	if (!e.depth)
		return false;
	*ret = e.stack[e.depth - 1];
	return true;
}

static enum value_kind libdw_register(Dwarf_Frame *frame, int reg, const struct unwind_regs *regs, uint64_t cfa,
				      uint64_t *ret)
{
	Dwarf_Op mem[3], *ops;
	size_t n;
	bool is_value;

	if (dwarf_frame_register(frame, reg, mem, &ops, &n))
		return VALUE_ERROR;
	if (!n)
		return ops ? VALUE_UNDEFINED : VALUE_SAME;
	if (!eval_ops(ops, n, regs, cfa, ret, &is_value))
		return VALUE_ERROR;
	if (!is_value)
		*ret = fake_word(*ret);
	return VALUE_KNOWN;
}

struct truth {
	uint64_t cfa, value[LIBDW_REGS];
	enum value_kind kind[LIBDW_REGS];
	bool outermost, signal;
};

static bool libdw_truth(Dwarf_Frame *frame, const struct unwind_regs *regs, struct truth *ret)
{
	Dwarf_Op *ops;
	size_t n;
	bool is_value;

	memset(ret, 0, sizeof(*ret));
	ret->kind[UNWIND_RIP] = libdw_register(frame, UNWIND_RIP, regs, 0, &ret->value[UNWIND_RIP]);
	ret->outermost = ret->kind[UNWIND_RIP] == VALUE_UNDEFINED;
	if (ret->outermost)
		return true;
	if (dwarf_frame_cfa(frame, &ops, &n) || !eval_ops(ops, n, regs, 0, &ret->cfa, &is_value))
		return false;
	for (int reg = 0; reg < LIBDW_REGS; reg++) {
		ret->kind[reg] = libdw_register(frame, reg, regs, ret->cfa, &ret->value[reg]);
		if (ret->kind[reg] == VALUE_SAME)
			ret->value[reg] = regs->value[reg];
	}
	return true;
}

static void compare_compact(struct oracle *o, const struct unwind_rule *rule, const struct unwind_regs *regs,
			    const struct truth *t, uint64_t pc)
{
	struct evaluated ours;

	if (!rule_eval(rule, regs, &ours)) {
		mismatch(o, pc, "rule kind", rule->cfa_kind, 0);
		return;
	}
	/* A context's compact rule has the caller's rsp in its place, which is compared below. */
	if (ours.cfa != t->cfa && rule->cfa_kind != RULE_CFA_CONTEXT)
		mismatch(o, pc, "CFA", ours.cfa, t->cfa);
	if (ours.ra != t->value[UNWIND_RIP])
		mismatch(o, pc, "RA", ours.ra, t->value[UNWIND_RIP]);
	/* Go's CFI says nothing of registers: not where rbp was saved, nor that it keeps no other. */
	if (!o->go && (ours.rbp_lost != (t->kind[UNWIND_RBP] == VALUE_UNDEFINED) ||
		       (!ours.rbp_lost && ours.rbp != t->value[UNWIND_RBP])))
		mismatch(o, pc, "rbp", ours.rbp, t->value[UNWIND_RBP]);
	/* Of rbx the compact rule says where it was saved, or that it is as it was, or nothing. */
	if (t->kind[UNWIND_RBX] == VALUE_KNOWN && rule->rbx_off != RULE_RBX_LOST &&
	    (rule->rbx_off == RULE_RBX_SAME ||
	     fake_word(ours.cfa + (uint64_t)(int64_t)rule->rbx_off) != t->value[UNWIND_RBX]))
		mismatch(o, pc, "rbx", (uint64_t)rule->rbx_off, t->value[UNWIND_RBX]);
	if (t->kind[UNWIND_RSP] == VALUE_KNOWN && t->value[UNWIND_RSP] != ours.cfa)
		mismatch(o, pc, "rsp", ours.cfa, t->value[UNWIND_RSP]);
	if (!!(rule->flags & RULE_SIGNAL) != t->signal)
		mismatch(o, pc, "signal flag", rule->flags, t->signal);
}

/*
 * libdw's idea of what the ABI keeps has rax in the place of rbx, so only what
 * the file itself says about these two is compared.
 */
static bool abi_default(const struct truth *t, unsigned int reg)
{
	return (reg == 0 || reg == UNWIND_RBX) && (t->kind[reg] == VALUE_SAME || t->kind[reg] == VALUE_UNDEFINED);
}

static void compare_full(struct oracle *o, uint64_t offset, const struct unwind_regs *regs, const struct truth *t,
			 uint64_t pc)
{
	struct unwind_regs up = *regs;
	bool signal_frame, outermost;
	enum reason reason = unwind_step_full(o->table, offset, &up, fake_read, NULL, &signal_frame, &outermost);

	if (reason) {
		mismatch(o, pc, "full step's reason", reason, 0);
		return;
	}
	if (outermost != t->outermost || signal_frame != t->signal)
		mismatch(o, pc, "full step's end or signal", outermost << 1 | signal_frame, t->outermost);
	for (unsigned int reg = 0; reg < LIBDW_REGS && !outermost; reg++) {
		bool valid = up.valid & 1u << reg;

		if (abi_default(t, reg) || (o->go && reg != UNWIND_RSP && reg != UNWIND_RIP))
			continue;
		if (t->kind[reg] == VALUE_UNDEFINED && valid)
			mismatch(o, pc, "full step: a register libdw calls undefined", reg, 0);
		if ((t->kind[reg] == VALUE_KNOWN || t->kind[reg] == VALUE_SAME) &&
		    (!valid || up.value[reg] != t->value[reg]))
			mismatch(o, pc, "full step: register's value", up.value[reg], t->value[reg]);
	}
}

/* Go's CFI describes its stack ends and its signal frame as ordinary functions, if at all. */
static bool fixed_in_go(const struct oracle *o, const struct unwind_rule *rule)
{
	return o->go && (rule->cfa_kind == RULE_CFA_OUTERMOST || rule->flags & RULE_SIGNAL);
}

/*
 * swapcontext() loads its caller's registers from a context, of which its CFI says nothing; that of the code in
 * which contexts end says what holds at the entry of a function.
 */
static bool is_corrected(struct oracle *o, const struct unwind_rule *rule, const struct truth *t)
{
	if (rule->cfa_kind == RULE_CFA_OUTERMOST)
		return t->cfa == t->value[UNWIND_RSP] && ++o->small <= SMALL_MAX;
	return rule->cfa_kind == RULE_CFA_CONTEXT && t->value[UNWIND_RSP] == t->cfa && ++o->small <= SMALL_MAX;
}

static void compare_at(struct oracle *o, Dwarf_Frame *frame, const struct unwind_rule *rule, uint64_t pc,
		       bool signal)
{
	struct unwind_regs regs = fake_regs(pc, pc);
	struct truth t;
	uint64_t offset;

	o->compared++;
	if (!libdw_truth(frame, &regs, &t) || !elf_file_to_offset(o->file, pc, &offset)) {
		mismatch(o, pc, "libdw cannot evaluate its row", 0, 0);
		return;
	}
	t.signal = signal && !t.outermost;
	if (fixed_in_go(o, rule) || is_corrected(o, rule, &t)) {
		o->overlaid++;
		return;
	}
	if (t.outermost != (rule->cfa_kind == RULE_CFA_OUTERMOST)) {
		mismatch(o, pc, "outermost", rule->cfa_kind, t.outermost);
		return;
	}
	if (!t.outermost && rule->cfa_kind != RULE_CFA_COMPLEX)
		compare_compact(o, rule, &regs, &t, pc);
	compare_full(o, offset, &regs, &t, pc);
}

static Dwarf_Frame *libdw_frame(struct oracle *o, uint64_t pc)
{
	Dwarf_Frame *frame;

	for (size_t i = 0; i < 2; i++)
		if (o->cfi[i] && !dwarf_cfi_addrframe(o->cfi[i], pc, &frame))
			return frame;
	return NULL;
}

static bool in_section(const struct oracle *o, const char *name, uint64_t pc)
{
	uint64_t start, offset, size;

	return elf_file_section_vaddr(o->file, name, &start) &&
	       elf_file_section_range(o->file, name, &offset, &size) && pc >= start && pc - start < size;
}

/* What is known by its bytes: stubs, .init, .fini, and few small functions with at most rbp on the stack. */
static bool is_known_code(struct oracle *o, const struct unwind_rule *rule, uint64_t pc)
{
	static const char *const sections[] = { ".init", ".fini", ".plt", ".plt.sec", ".plt.got", ".iplt" };

	for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++)
		if (in_section(o, sections[i], pc))
			return true;
	return rule->cfa_kind == RULE_CFA_RSP && rule->ra_kind == RULE_RA_CFA &&
	       ((rule->cfa_off == 8 && rule->rbp_kind == RULE_RBP_SAME) ||
		(rule->cfa_off == 16 && rule->rbp_kind == RULE_RBP_CFA && rule->rbp_off == -16)) &&
	       ++o->small <= SMALL_MAX;
}

/* A stretch that libdw knows nothing about, starting at pc; returns its end, at most end. */
static uint64_t compare_hole(struct oracle *o, const struct unwind_rule *rule, uint64_t pc, uint64_t end)
{
	uint64_t entry = elf_file_entry(o->file);
	/* The entry point, and before the code where contexts end. */
	bool at_start = rule->cfa_kind == RULE_CFA_OUTERMOST &&
			((pc >= entry && pc - entry < 64) || libdw_frame(o, pc + 1));

	if (rule->cfa_kind == RULE_CFA_NONE)
		return end;
	/* A stripped Go program has no CFI, but its own table. */
	if (at_start || is_known_code(o, rule, pc) || o->go)
		o->overlaid++;
	else
		mismatch(o, pc, "a rule where libdw has none", rule->cfa_kind, 0);
	return end;
}

/*
 * libdw's row before pc must end at pc.  (It is asked this way round because
 * it lets a row that DW_CFA_restore_state began start at the remembered one.)
 */
static void compare_border(struct oracle *o, const struct unwind_rule *rule, uint64_t pc)
{
	Dwarf_Frame *frame = libdw_frame(o, pc - 1);
	Dwarf_Addr from, to;
	bool signal;

	if (!frame)
		return;
	dwarf_frame_info(frame, &from, &to, &signal);
	free(frame);
	if (to != pc && pc != o->corrected_end && !fixed_in_go(o, rule) && rule->cfa_kind != RULE_CFA_CONTEXT)
		mismatch(o, pc, "row's start", pc, to);
}

/* Our row [start, end) against every libdw row in it. */
static void compare_row(struct oracle *o, const struct unwind_rule *rule, uint64_t start, uint64_t end)
{
	uint64_t pc = start;

	o->rows++;
	o->complex_rows += rule->cfa_kind == RULE_CFA_COMPLEX;
	o->outermost += rule->cfa_kind == RULE_CFA_OUTERMOST;
	compare_border(o, rule, start);
	if (rule->cfa_kind == RULE_CFA_CONTEXT)
		o->corrected_end = end;
	while (pc < end) {
		Dwarf_Frame *frame = libdw_frame(o, pc);
		Dwarf_Addr from, to;
		bool signal;

		if (!frame) {
			pc = compare_hole(o, rule, pc, o->go && rule->cfa_kind != RULE_CFA_NONE ? end : pc + 1);
			continue;
		}
		dwarf_frame_info(frame, &from, &to, &signal);
		if (to > end)
			to = end;
		if (rule->cfa_kind == RULE_CFA_NONE) {
			mismatch(o, pc, "no rule where libdw has one", 0, 0);
		} else {
			compare_at(o, frame, rule, pc, signal);
			if (to - 1 > pc)
				compare_at(o, frame, rule, to - 1, signal);
		}
		free(frame);
		pc = to;
	}
}

static bool oracle_open(struct oracle *o)
{
	struct elf_section section;
	struct error *err = elf_file_open(o->path, &o->file);

	if (!err)
		err = unwind_table_open(o->file, &o->table);
	if (err) {
		printf("# %s\n", err->text);
		error_free(err);
		return false;
	}
	o->go = elf_file_section(o->file, ".note.go.buildid", &section);
	o->fd = open(o->path, O_RDONLY | O_CLOEXEC);
	o->elf = elf_begin(o->fd, ELF_C_READ, NULL);
	o->cfi[0] = dwarf_getcfi_elf(o->elf);
	o->dwarf = dwarf_begin_elf(o->elf, DWARF_C_READ, NULL);
	o->cfi[1] = o->dwarf ? dwarf_getcfi(o->dwarf) : NULL;
	return true;
}

static void oracle_close(struct oracle *o)
{
	if (o->cfi[0])
		dwarf_cfi_end(o->cfi[0]);
	dwarf_end(o->dwarf);
	elf_end(o->elf);
	if (o->fd >= 0)
		close(o->fd);
	unwind_table_close(o->table);
	elf_file_close(o->file);
}

static void compare_segment(struct oracle *o, const struct elf_segment *s)
{
	unwind_rows rows = {0};
	struct error *err = unwind_table_rows(o->table, s->offset, s->offset + s->size, &rows);

	if (err) {
		mismatch(o, s->vaddr, err->text, 0, 0);
		error_free(err);
	}
	for (size_t i = 0; i < rows.len; i++) {
		uint64_t end = i + 1 < rows.len ? rows.data[i + 1].start : s->offset + s->size;

		compare_row(o, &rows.data[i].rule, s->vaddr + (rows.data[i].start - s->offset),
			    s->vaddr + (end - s->offset));
	}
	vec_free(&rows);
}

static bool compare_file(const char *path)
{
	struct oracle o = { .path = path, .fd = -1 };
	struct unwind_table_info info = {0};

	if (oracle_open(&o)) {
		size_t n;
		const struct elf_segment *s = elf_file_segments(o.file, &n);

		for (size_t i = 0; i < n; i++)
			if (s[i].executable)
				compare_segment(&o, &s[i]);
		unwind_table_info(o.table, &info);
		if (info.n_bad_fdes)
			mismatch(&o, 0, "bad FDEs", info.n_bad_fdes, 0);
	} else {
		o.mismatches++;
	}
	oracle_close(&o);
	printf("# %s: %llu FDEs, %llu rows (%llu complex, %llu outermost), %llu pcs compared, "
	       "%llu overlaid, %llu mismatches\n", path, (unsigned long long)info.n_fdes,
	       (unsigned long long)o.rows, (unsigned long long)o.complex_rows, (unsigned long long)o.outermost,
	       (unsigned long long)o.compared, (unsigned long long)o.overlaid, (unsigned long long)o.mismatches);
	return !o.mismatches && o.rows;
}

static bool is_elf(const char *path)
{
	char magic[4] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool elf = fd >= 0 && read(fd, magic, 4) == 4 && !memcmp(magic, ELFMAG, 4);

	if (fd >= 0)
		close(fd);
	return elf;
}

static bool find_library(const char *name, char path[static PATH_MAX])
{
	void *handle = dlopen(name, RTLD_LAZY);
	struct link_map *map;

	if (!handle || dlinfo(handle, RTLD_DI_LINKMAP, &map))
		return false;
	snprintf(path, PATH_MAX, "%s", map->l_name);
	return true;
}

/* Scripts that stand before the program of the same name are passed over. */
static bool find_program(const char *name, char path[static PATH_MAX])
{
	const char *dirs = getenv("PATH");

	while (dirs && *dirs) {
		size_t len = strcspn(dirs, ":");

		snprintf(path, PATH_MAX, "%.*s/%s", (int)len, dirs, name);
		if (is_elf(path))
			return true;
		dirs += len + (dirs[len] == ':');
	}
	return false;
}

static bool find_file(const char *name, char path[static PATH_MAX])
{
	if (strchr(name, '/')) {
		snprintf(path, PATH_MAX, "%s", name);
		return is_elf(name);
	}
	return strstr(name, ".so") ? find_library(name, path) : find_program(name, path);
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];
	int failed = 0;

	elf_version(EV_CURRENT);
	printf("1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++) {
		bool ok;

		if (!find_file(argv[i], path)) {
			printf("ok %d %s # SKIP not installed\n", i, argv[i]);
			continue;
		}
		ok = compare_file(path);
		printf("%sok %d %s\n", ok ? "" : "not ", i, argv[i]);
		fflush(stdout);
		failed += !ok;
	}
	return failed != 0;
}
