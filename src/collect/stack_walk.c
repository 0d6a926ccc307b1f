/* SPDX-License-Identifier: MIT */
/* Walks over a copy of a stack; see stack_walk.h. */
#include "collect/stack_walk.h"

#include "unwind/unwind.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

struct walk {
	const struct stack_walker *walker;
	const struct stack_image *image;
	uint64_t refused;		/* the last address that was not in the copy */
	uint64_t reach;			/* the bytes that were asked for, from the copy's first on */
};

/* The code that a walk looks at, of its innermost frame, is not in the copy: it hardly changes. */
static bool read_code(const struct stack_image *image, uint64_t address, void *bytes, size_t n)
{
	struct iovec to = { bytes, n }, from = { (void *)(uintptr_t)address, n };

	return process_vm_readv((pid_t)image->pid, &to, 1, &from, 1, 0) == (ssize_t)n;
}

static bool read_stack(struct walk *w, uint64_t address, unsigned long long *words, unsigned int n)
{
	const struct stack_image *image = w->image;
	uint64_t offset = address - image->address;

	if (image->frame.innermost && address == image->frame.pc && n == 1)
		return read_code(image, address, words, sizeof(*words));
	if (address >= image->address && w->reach < offset + n * 8)
		w->reach = offset + n * 8;
	if (address < image->address || offset > image->size || image->size - offset < n * 8) {
		w->refused = address;
		return false;
	}
	memcpy(words, image->bytes + offset, n * 8);
	return true;
}

static bool read_word(void *arg, uint64_t address, uint64_t *ret)
{
	unsigned long long word;

	if (!read_stack(arg, address, &word, 1))
		return false;
	*ret = word;
	return true;
}

#define WALK_READ(arg, address, words, n) read_stack((arg), (address), (words), (n))
#define WALK_REG(arg, number) (((struct walk *)(arg))->image->regs[(number) % UNWIND_N_REGS])
#include "unwind/walk.h"

/* The file of the code at an address; *bias turns the address into a file offset. */
static enum reason find_code(const struct walk *w, uint64_t at, struct dso **dso, uint64_t *bias)
{
	const struct walk_mapping *seen = w->image->mapping;
	struct dso_store *dsos = w->walker->dsos;
	uint32_t pid = w->image->pid;
	const struct process_mapping *m = process_tracker_find(w->walker->processes, pid, at);

	if (seen && at >= seen->start && at < seen->end && seen->file != FILE_ANON) {
		*bias = seen->bias;
		*dso = seen->file != FILE_UNKNOWN ? dso_by_number(dsos, seen->file) :
		       dso_by_key(dsos, w->image->key, pid, seen->start, seen->end, m);
		return *dso ? (*dso)->reason : REASON_FILE_UNREADABLE;
	}
	if (!m)
		return REASON_NO_MAPPING;
	if (!(m->prot & PROT_EXEC))
		return REASON_NOT_EXECUTABLE;
	if (process_mapping_is_probe(m))
		return REASON_URETPROBE;
	*dso = NULL;
	*bias = m->start - m->pgoff;
	if (m->path[0] == '[' ? strcmp(m->path, "[vdso]") : m->path[0] != '/' || m->path[1] == '/')
		return REASON_NONE;	/* anonymous: frame pointers */
	if (!strcmp(m->path, "[vdso]"))
		*bias = m->start;
	*dso = dso_by_mapping(dsos, pid, m);
	return *dso ? (*dso)->reason : REASON_FILE_UNREADABLE;
}

/*
 * Registers can be by chance as a system call leaves them: what lies before pc decides,
 * in the file, which is there when the process has gone, or else in the process.
 */
static bool is_behind_system_call(const struct walk *w)
{
	static const unsigned char syscall[] = { 0x0f, 0x05 };
	uint64_t at = w->image->frame.pc - sizeof(syscall), bias;
	unsigned char code[sizeof(syscall)];
	struct dso *dso;

	if ((find_code(w, at, &dso, &bias) || !dso || !dso_read(dso, at - bias, code, sizeof(code))) &&
	    !read_code(w->image, at, code, sizeof(code)))
		return true;
	return !memcmp(code, syscall, sizeof(code));
}

/* A rule that needs the whole register file. */
static int step_full(struct walk *w, struct dso *dso, uint64_t offset, struct walk_frame *frame)
{
	struct unwind_regs regs = { .valid = 1u << UNWIND_RSP | 1u << UNWIND_RIP };
	bool signal_frame = false, outermost = false;
	enum reason reason;

	if (frame->innermost) {
		memcpy(regs.value, w->image->regs, sizeof(regs.value));
		regs.valid = (1u << UNWIND_N_REGS) - 1;
	}
	regs.value[UNWIND_RSP] = frame->sp;
	regs.value[UNWIND_RBP] = frame->bp;
	regs.value[UNWIND_RIP] = frame->pc;
	regs.valid |= frame->bp_lost ? 0 : 1u << UNWIND_RBP;
	reason = unwind_step_full(dso->table, offset, &regs, read_word, w, &signal_frame, &outermost);
	if (outermost)
		return WALK_OUTERMOST;
	if (reason)
		return reason;
	/* An interrupted frame may have its return address in a register, and no frame. */
	if (!signal_frame && regs.value[UNWIND_RSP] < frame->sp + !frame->exact)
		return REASON_BACKWARDS;
	*frame = (struct walk_frame){
		.bx_at = RULE_RBX_LOST,		/* its value is known now, but not its place */
		.pc = regs.value[UNWIND_RIP], .sp = regs.value[UNWIND_RSP], .bp = regs.value[UNWIND_RBP],
		.exact = signal_frame, .bp_lost = !(regs.valid & 1u << UNWIND_RBP),
	};
	return frame->pc ? WALK_UP : REASON_ZERO_RETURN;
}

/*
 * In an epilogue the rule still names the places below rsp from which registers
 * were popped.  Where the copy begins at rsp, the registers themselves tell.
 */
static void believe_popped(const struct walk *w, const struct walk_frame *frame, struct unwind_rule *rule)
{
	uint64_t cfa = frame->sp + (int64_t)rule->cfa_off;

	if (!frame->innermost || rule->cfa_kind != RULE_CFA_RSP)
		return;
	if (rule->rbp_kind == RULE_RBP_CFA && cfa + (int64_t)rule->rbp_off < w->image->address)
		rule->rbp_kind = RULE_RBP_SAME;
	if (rule->rbx_off != RULE_RBX_LOST && cfa + (int64_t)rule->rbx_off < w->image->address)
		rule->rbx_off = RULE_RBX_SAME;
}

static int step(struct walk *w, struct dso *dso, uint64_t offset, struct walk_frame *frame)
{
	const struct stack_image *image = w->image;
	struct unwind_rule rule = { .cfa_kind = RULE_CFA_FP };
	int ret;

	if (dso)
		rule = dso_rule(w->walker->dsos, dso, offset);
	believe_popped(w, frame, &rule);
	ret = walk_apply(&rule, frame, w);
	if (ret == WALK_MISS)
		ret = dso ? step_full(w, dso, offset, frame) : REASON_NO_UNWIND_INFO;
	/* What nobody tried to copy is not unreadable, it is not here. */
	if (ret == REASON_PAGE_UNREADABLE && (w->refused < image->address || w->refused >= image->end))
		ret = REASON_STACK_COPY_SHORT;
	return ret;
}

/* What the kernel remembers of the return address at a place; 0: nothing.  Of several probes of a call the last has it. */
static uint64_t caller_of_probed(const struct stack_image *image, uint64_t place)
{
	uint64_t caller = 0;

	for (int i = 0; image->returns && i < STACK_RETURNS && image->returns[i].place; i++)
		if (image->returns[i].place == place)
			caller = image->returns[i].address;
	return caller;
}

/* From the image's frame up. */
static enum reason walk_up(struct walk *w, stack_ips *ips)
{
	struct walk_frame frame = w->image->frame;

	if (frame.innermost && !frame.exact)
		frame.exact = !is_behind_system_call(w);
	/* The image's own frame comes again, if it is one: nobody may have looked. */
	if (ips->len)
		ips->len--;
	for (;;) {
		uint64_t at = frame.exact ? frame.pc : frame.pc - 1, bias = 0;
		struct dso *dso = NULL;
		enum reason reason = find_code(w, at, &dso, &bias);
		int ret;

		/* A trampoline stands where the caller did, at its own mapping's first byte. */
		if (reason == REASON_NO_MAPPING &&
		    process_mapping_is_probe(process_tracker_find(w->walker->processes, w->image->pid, frame.pc))) {
			frame.pc = caller_of_probed(w->image, frame.sp - 8);
			if (!frame.pc)
				return REASON_URETPROBE;
			at = frame.pc - 1;
			reason = find_code(w, at, &dso, &bias);
		}
		if (reason == REASON_NO_MAPPING || reason == REASON_NOT_EXECUTABLE) {
			/* An address that is no code is no frame, but the sampled one. */
			if (frame.innermost && !vec_push(ips, frame.pc))
				return REASON_MAX_DEPTH;
			return frame.by_fp ? REASON_BAD_FRAME_POINTER : reason;
		}
		if (!vec_push(ips, frame.pc))
			return REASON_MAX_DEPTH;
		if (reason)
			return reason;
		ret = step(w, dso, at - bias, &frame);
		if (ret == WALK_OUTERMOST)
			return REASON_NONE;
		if (ips->len >= w->walker->max_depth)
			return REASON_MAX_DEPTH;
		if (ret != WALK_UP)
			return ret;
	}
}

enum reason stack_walk(const struct stack_walker *walker, const struct stack_image *image, stack_ips *ips,
		       uint64_t *reach)
{
	struct walk w = { .walker = walker, .image = image };
	enum reason reason = walk_up(&w, ips);

	if (reach)
		*reach = w.reach;
	return reason;
}
