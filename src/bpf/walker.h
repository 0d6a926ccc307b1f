/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The walk of one user stack in the kernel: mappings, rules from the cache,
 * frames into a chain.  Instantiated for three ways to read user memory.
 */
#ifndef RETOUR_BPF_WALKER_H
#define RETOUR_BPF_WALKER_H

enum walk_mode {
	WALK_FAULT,	/* the current task, on its way to user space: pages are faulted in */
	WALK_NOFAULT,	/* the current task where it must not fault: exec and exit */
	WALK_REMOTE,	/* another task, from the iterator */
};

enum { LOOKUP_DENSE = 0xffff };	/* no rule has this number */

/*
 * The state of a walk lives in a map (struct scratch), not on the stack: the
 * verifier does not follow values through maps, so that its states stay few.
 */
struct walk {
	struct walk_frame frame;
	u64 cookie;
	u64 vdso;
	u32 pid, tid;
	u32 n;
	u32 reason;
	u32 complete, miss, remote;
	u32 hits, vmas;
	struct walk_mapping mapping;	/* of the current frame */
	struct file_key key;		/* of the mapping, if its file is unknown */
};

/* Room for one walk: its state, the record under construction, a chunk of stack. */
struct scratch {
	u32 busy;
	struct walk walk;
	u64 window_at;		/* the address of what window holds */
	u64 window_size;	/* of what it holds */
	u8 window[STACK_WINDOW];
	struct {
		struct deferred_record head;
		u64 chain[MAX_FRAMES];
	} record;
	struct {
		struct deferred_record head;
		struct stack_record stack;
		u8 bytes[STACK_CHUNK];
	} copy;
	struct {
		u64 address, end;	/* of what is left */
		u32 n, failed;
		struct return_instance *instance;	/* the next one to save */
	} copying;
};

/* What a walk works on; mode is a constant wherever it is looked at. */
struct walk_io {
	struct scratch *s;
	struct slot *slot;
	struct task_struct *task;
	const struct pt_regs *regs;
	int mode;
};

static __always_inline long walk_copy(void *to, u32 size, u64 from, int mode, struct task_struct *task)
{
	if (mode == WALK_FAULT)
		return bpf_copy_from_user(to, size, (void *)from);
	if (mode == WALK_REMOTE)
		return bpf_copy_from_user_task(to, size, (void *)from, task, 0);
	return bpf_probe_read_user(to, size, (void *)from);
}

/* What walk.h asks for. */
/*
 * A word at any position.  For BPF one load, which need not be aligned, and
 * opaque to the compiler: the verifier refuses loads merged from different
 * pointers.
 */
static __always_inline u64 window_word(struct scratch *s, u64 at)
{
	u64 word;

#ifdef __bpf__
	word = *(volatile u64 *)(s->window + at);
	asm volatile("" : "+r"(word));
#else
	__builtin_memcpy(&word, s->window + at, sizeof(word));
#endif
	return word;
}

/*
 * Small frames lie close together: one read serves several of them, and a
 * read of user memory costs about as much as all the rest of a frame.
 */
static __always_inline bool walk_io_read(struct walk_io *io, u64 address, unsigned long long *words, u32 n)
{
	struct scratch *s = io->s;
	u64 at = address - s->window_at;
	u32 size = -address & 4095;

	if (at > STACK_WINDOW - 16 || at + n * 8 > s->window_size) {
		/* Not into the next page unless it has to: that may not be there, and a fault is an event, too. */
		if (!size || size > STACK_WINDOW)
			size = STACK_WINDOW;
		if (size < n * 8)
			size = n * 8;
		at = 0;
		s->window_at = address;
		s->window_size = 0;
		if (walk_copy(s->window, size, address, io->mode, io->task))
			return false;
		s->window_size = size;
	}
	words[0] = window_word(s, at);
	if (n > 1)
		words[1] = window_word(s, at + 8);
	return true;
}

static __always_inline u64 walk_io_reg(struct walk_io *io, u32 number)
{
	const struct pt_regs *r = io->regs;

	switch (number) {
	case 0: return r->ax;
	case 1: return r->dx;
	case 2: return r->cx;
	case 3: return r->bx;
	case 4: return r->si;
	case 5: return r->di;
	case 6: return r->bp;
	case 7: return r->sp;
	case 8: return r->r8;
	case 9: return r->r9;
	case 10: return r->r10;
	case 11: return r->r11;
	case 12: return r->r12;
	case 13: return r->r13;
	case 14: return r->r14;
	case 15: return r->r15;
	}
	return 0;
}

#define WALK_READ(arg, address, words, n) walk_io_read((arg), (address), (words), (n))
#define WALK_REG(arg, number) walk_io_reg((arg), (number))
#include "unwind/walk.h"

/* ---- mappings ---------------------------------------------------------- */

static __always_inline void file_key_of(struct vm_area_struct *vma, struct file_key *key)
{
	struct inode *inode = BPF_CORE_READ(vma, vm_file, f_inode);

	key->ino = BPF_CORE_READ(inode, i_ino);
	key->size = BPF_CORE_READ(inode, i_size);
	key->ctime_sec = BPF_CORE_READ(inode, i_ctime_sec);
	/* The top bit says that the time was queried (multigrain time stamps). */
	key->ctime_nsec = BPF_CORE_READ(inode, i_ctime_nsec) & 0x7fffffff;
	key->dev = BPF_CORE_READ(inode, i_sb, s_dev);
}

static long vma_found(struct task_struct *task, struct vm_area_struct *vma, void *arg)
{
	struct walk *w = &((struct walk_io *)arg)->s->walk;
	u64 start = vma->vm_start;
	u32 *file;

	w->mapping.start = start;
	w->mapping.end = vma->vm_end;
	w->mapping.bias = start - (vma->vm_pgoff << 12);
	w->mapping.executable = !!(vma->vm_flags & VM_EXEC);
	w->mapping.file = FILE_ANON;
	if (start == w->vdso) {
		w->mapping.file = FILE_VDSO;
		w->mapping.bias = start;
	} else if (vma->vm_file) {
		file_key_of(vma, &w->key);
		file = bpf_map_lookup_elem(&files, &w->key);
		w->mapping.file = file ? *file : FILE_UNKNOWN;
	}
	return 0;
}

/* The mapping of an address into the walk's; 0 or a reason. */
static __always_inline u32 walk_find_mapping(struct walk_io *io, u64 address)
{
	struct walk *w = &io->s->walk;
	struct slot *slot = io->slot;
	long err = 0;
	u32 i;

	if (address >= w->mapping.start && address < w->mapping.end)
		return 0;
	for (i = 0; i < SLOT_MAPPINGS; i++) {
		if (address >= slot->map[i].start && address < slot->map[i].end) {
			w->mapping = slot->map[i];
			return 0;
		}
	}
	w->mapping.end = 0;
	w->vmas++;
	/* It only tries the lock of the address space. */
	for (i = 0; i < 4; i++) {
		err = bpf_find_vma(io->task, address, vma_found, io, 0);
		if (err != -EBUSY)
			break;
	}
	if (err)
		return err == -EBUSY ? REASON_MAPPING_BUSY : REASON_NO_MAPPING;
	/* An unknown file gets its number soon: look again then. */
	if (w->mapping.file != FILE_UNKNOWN && w->mapping.executable) {
		i = slot->map_next++ & (SLOT_MAPPINGS - 1);
		slot->map[i] = w->mapping;
	}
	return 0;
}

/* ---- rules ------------------------------------------------------------- */

/*
 * The rule number at a position of a block; 0 if the block is not there.  A
 * global function: the verifier checks it once, not at every call.
 */
__attribute__((noinline)) u32 block_lookup(u64 key, u32 at)
{
	u32 index = rule_block_hash(key) & config.rule_set_mask, id;
	struct rule_set *set = bpf_map_lookup_elem(&rule_sets, &index);

	if (!set)
		return 0;
	for (u32 i = 0; i < BLOCK_WAYS; i++) {
		struct rule_block *b = &set->way[i];
		u32 generation = *(volatile u32 *)&b->generation;

		asm volatile("" ::: "memory");	/* (B) */
		if (*(volatile u64 *)&b->key != key)
			continue;
		asm volatile("" ::: "memory");	/* (B) pairs with (A), rule_cache.c: x86 keeps loads in order */
		id = b->flags & BLOCK_DENSE ? LOOKUP_DENSE : b->rule[walk_block_row(b->start, at)];
		asm volatile("" ::: "memory");	/* (B) */
		if (!b->used)
			b->used = 1;
		return *(volatile u64 *)&b->key == key && *(volatile u32 *)&b->generation == generation ? id : 0;
	}
	return 0;
}

static __always_inline const struct unwind_rule *rule_lookup(u32 file, u64 offset)
{
	u32 id = LOOKUP_DENSE;

	for (u32 level = 0; level < BLOCK_LEVELS && id == LOOKUP_DENSE; level++)
		id = block_lookup(rule_block_key(file, offset, level), offset & (rule_block_size(level) - 1));
	return id ? bpf_map_lookup_elem(&rules, &id) : NULL;
}

/* ---- return probes ------------------------------------------------------- */

enum { MAX_RETURN_PROBES = 32 };	/* pending ones of a task that are looked through */

struct probed_return {
	struct return_instance *instance;
	u64 at;				/* where the return address lay */
	u64 address;
};

/* Several probes of one call hang in a row; the last one of them has the caller. */
static long look_for_return(u64 index, void *arg)
{
	struct probed_return *p = arg;
	struct return_instance *i = p->instance;

	if (!i || BPF_CORE_READ(i, stack) > p->at)
		return 1;
	if (BPF_CORE_READ(i, stack) == p->at)
		p->address = BPF_CORE_READ(i, orig_ret_vaddr);
	p->instance = BPF_CORE_READ(i, next);
	return 0;
}

/* A uretprobe put its trampoline in place of a return address, which lay below sp; the kernel remembers it. */
static __always_inline u64 probed_return(struct task_struct *task, u64 sp)
{
	struct probed_return p = { .at = sp - 8 };

	if (!bpf_core_field_exists(task->utask))
		return 0;
	p.instance = BPF_CORE_READ(task, utask, return_instances);
	bpf_loop(MAX_RETURN_PROBES, look_for_return, &p, 0);
	return p.address;
}

/* ---- frames ------------------------------------------------------------ */

static __always_inline long stop(struct walk *w, u32 reason)
{
	w->reason = reason;
	return 1;
}

static __always_inline long miss(struct walk *w)
{
	w->miss = 1;
	return 1;
}

static __always_inline void push(struct scratch *s)
{
	u32 n = s->walk.n;

	if (n < MAX_FRAMES) {
		s->record.chain[n] = s->walk.frame.pc;
		s->walk.n = n + 1;
	}
}

/* One iteration: the walk's frame goes into the chain, and up. */
static __always_inline long walk_one(struct walk_io *outer, int mode)
{
	struct walk_io io = { outer->s, outer->slot, outer->task, outer->regs, mode };
	struct walk *w = &io.s->walk;
	u64 at = w->frame.exact ? w->frame.pc : w->frame.pc - 1;
	struct unwind_rule rule = { .cfa_kind = RULE_CFA_FP };
	const struct unwind_rule *cached;
	u32 reason = walk_find_mapping(outer, at);
	int ret;

	if (reason == REASON_NO_MAPPING && !w->frame.exact) {
		u64 caller = probed_return(io.task, w->frame.sp);

		if (caller) {
			w->frame.pc = caller;
			at = caller - 1;
			reason = walk_find_mapping(outer, at);
		}
	}
	if (reason == REASON_MAPPING_BUSY) {
		/*
		 * Whoever changes the address space may be preempted meanwhile, for long where
		 * everything can be: user space knows the mappings too, and nobody has to wait.
		 */
		push(io.s);
		return miss(w);
	}
	if (!reason && !w->mapping.executable)
		reason = REASON_NOT_EXECUTABLE;
	if (reason) {
		/* An address that is no code is no frame, but the sampled one. */
		if (w->frame.innermost)
			push(io.s);
		return stop(w, w->frame.by_fp ? REASON_BAD_FRAME_POINTER : reason);
	}
	push(io.s);
	if (w->mapping.file == FILE_UNKNOWN)
		return miss(w);
	/* Inside the trampoline itself. */
	if (w->mapping.file == FILE_ANON && w->frame.innermost && probed_return(io.task, w->frame.sp))
		return stop(w, REASON_URETPROBE);
	if (w->mapping.file != FILE_ANON) {
		cached = rule_lookup(w->mapping.file, at - w->mapping.bias);
		if (!cached)
			return miss(w);
		rule = *cached;
		w->hits++;
	}
	if (w->n >= config.max_depth && rule.cfa_kind != RULE_CFA_OUTERMOST)
		return stop(w, REASON_MAX_DEPTH);
	ret = walk_apply(&rule, &w->frame, &io);
	if (ret == WALK_UP)
		return 0;
	if (ret == WALK_OUTERMOST)
		w->complete = 1;
	else if (ret == WALK_MISS)
		w->miss = 1;
	else
		w->reason = ret;
	return 1;
}

#define DEFINE_WALK_FRAME(name, mode)              \
	static long name(u64 index, void *arg)     \
	{                                          \
		return walk_one(arg, mode);        \
	}
DEFINE_WALK_FRAME(walk_frame_fault, WALK_FAULT)
DEFINE_WALK_FRAME(walk_frame_nofault, WALK_NOFAULT)
DEFINE_WALK_FRAME(walk_frame_remote, WALK_REMOTE)

static __always_inline void walk_run(struct walk_io *io, int mode)
{
	io->s->window_size = 0;
	bpf_loop(MAX_FRAMES, mode == WALK_FAULT ? (void *)walk_frame_fault :
		 mode == WALK_NOFAULT ? (void *)walk_frame_nofault : (void *)walk_frame_remote, io, 0);
}

#endif
