/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The kernel side: take a sample and a cookie at the event, walk the user
 * stack once as the task returns to user space, write the chain.
 *
 *	on_event_N	perf event N fired, in NMI, interrupt or task context:
 *			sample to the perf ring, request the walk
 *	on_return	task work, in the task's own context, faultable: walk
 *	on_last_chance	exec or exit: the user context is about to vanish while
 *			the kernel entry goes on: walk now, without faulting
 *	on_overflow, after_overflow, on_timer, after_timer
 *			around events: sample those whose program is not run
 *	on_fork		what a process in scope forks is in scope
 *	prime_tasks	iterator at the beginning: tasks that exist are primed
 *	walk_blocked	iterator at the end of a session: tasks that have not
 *			returned are walked from outside
 */
#include "bpf/kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "base/reason.h"
#include "bpf/shared.h"
#include "bpf/maps.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

const volatile struct config config SEC(".rodata.config") = { .max_depth = 1024 };

#ifdef TASK_WORK_IMPLICIT
extern int bpf_task_work_schedule_resume(struct task_struct *task, struct bpf_task_work *tw, void *map,
					 bpf_task_work_callback_t callback) __ksym;
#define schedule_on_return(task, tw, map, fn) bpf_task_work_schedule_resume(task, tw, map, fn)
#else
extern int bpf_task_work_schedule_resume_impl(struct task_struct *task, struct bpf_task_work *tw, void *map__map,
					      bpf_task_work_callback_t callback, void *aux__prog) __ksym;
#define schedule_on_return(task, tw, map, fn) bpf_task_work_schedule_resume_impl(task, tw, map, fn, NULL)
#endif

#include "bpf/walker.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, N_SCRATCH);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static const u32 zero;

#define COUNT(field, n)                                                             \
	do {                                                                        \
		struct counters *c_ = bpf_map_lookup_elem(&counts, &zero);          \
		if (c_)                                                             \
			c_->field += (n);                                           \
	} while (0)

static __always_inline bool in_scope(struct task_struct *task)
{
	u32 id = config.scope == SCOPE_THREADS ? task->pid : task->tgid;

	return config.scope == SCOPE_SYSTEM || bpf_map_lookup_elem(&scope, &id);
}

/* ---- output ------------------------------------------------------------ */

static __always_inline long ring_write(void *data, u64 size, bool urgent)
{
	u32 cpu = bpf_get_smp_processor_id();
	void *ring = bpf_map_lookup_elem(&deferred_rings, &cpu);
	u64 flags = BPF_RB_NO_WAKEUP;

	if (!ring)
		return -ENOENT;
	if (urgent || bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) > config.wake_bytes)
		flags = BPF_RB_FORCE_WAKEUP;
	return bpf_ringbuf_output(ring, data, size, flags);
}

/* Copies are large: a quarter of a ring is kept for chains. */
static __always_inline bool room_for_copy(void)
{
	u32 cpu = bpf_get_smp_processor_id();
	void *ring = bpf_map_lookup_elem(&deferred_rings, &cpu);

	return ring && bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) < bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / 4 * 3;
}

static __always_inline void record_head(struct deferred_record *r, u32 type, const struct walk *w)
{
	r->type = type;
	r->reason = w->reason;
	r->n = w->n;
	r->time = bpf_ktime_get_ns();
	r->cookie = w->cookie;
	r->pid = w->pid;
	r->tid = w->tid;
	r->cpu = bpf_get_smp_processor_id();
	r->flags = (w->remote ? DEFERRED_REMOTE : 0) | (w->complete ? DEFERRED_COMPLETE : 0);
}

/* Writes the chain; the sample is not left without an answer if it does not fit. */
static __always_inline void write_chain(struct scratch *s)
{
	u32 n = s->walk.n;

	if (n > MAX_FRAMES)
		n = MAX_FRAMES;
	record_head(&s->record.head, RECORD_DEFERRED, &s->walk);
	if (!ring_write(&s->record, sizeof(s->record.head) + n * sizeof(u64), false))
		return;
	s->record.head.reason = REASON_RECORD_LOST;
	s->record.head.n = 0;
	if (ring_write(&s->record.head, sizeof(s->record.head), true))
		COUNT(record_lost, 1);
}

/* A record without a chain, for what cannot be walked. */
static __always_inline void write_reason(u64 cookie, u32 pid, u32 tid, u16 reason)
{
	struct deferred_record r = {};

	r.type = RECORD_DEFERRED;
	r.reason = reason;
	r.time = bpf_ktime_get_ns();
	r.cookie = cookie;
	r.pid = pid;
	r.tid = tid;
	r.cpu = bpf_get_smp_processor_id();
	if (ring_write(&r, sizeof(r), false))
		COUNT(record_lost, 1);
}

/* ---- scratch ----------------------------------------------------------- */

/* The callback may sleep and migrate, so scratch is taken from a pool, not from a CPU. */
static __always_inline struct scratch *scratch_get(u32 seed)
{
	for (u32 i = 0; i < 16; i++) {
		u32 at = (seed + i * 7) % N_SCRATCH;
		struct scratch *s = bpf_map_lookup_elem(&scratches, &at);

		if (s && __sync_val_compare_and_swap(&s->busy, 0, 1) == 0)
			return s;
	}
	return NULL;
}

static __always_inline void scratch_put(struct scratch *s)
{
	__sync_lock_test_and_set(&s->busy, 0);
}

/* ---- the stack copy ---------------------------------------------------- */

static __always_inline long copy_chunk(const struct walk_io *io, int mode)
{
	struct scratch *s = io->s;
	u64 address = s->copying.address, left = s->copying.end - address;
	u64 size = left > STACK_CHUNK ? STACK_CHUNK : left;
	u32 got, page;
	bool last;

	asm volatile("" : "+r"(size));	/* the verifier has to see the bounded value used */
	got = size;
	if (walk_copy(s->copy.bytes, size, address, mode, io->task)) {
		/* As far as the page that cannot be read. */
		page = 4096 - (address & 4095);
		got = page < size ? page : size;
		if (got > 4096)
			got = 4096;
		if (walk_copy(s->copy.bytes, got, address, mode, io->task))
			got = 0;
		s->copy.stack.reason = REASON_PAGE_UNREADABLE;
	}
	s->copy.stack.index = s->copying.n++;
	s->copy.stack.address = address;
	s->copy.stack.size = got;
	s->copying.address = address + got;
	last = !got || got >= left || s->copying.n >= STACK_CHUNKS;
	s->copy.stack.last = last;
	if (got > STACK_CHUNK)
		got = STACK_CHUNK;
	if (ring_write(&s->copy, sizeof(s->copy.head) + sizeof(s->copy.stack) + got, last)) {
		s->copying.failed = 1;
		return 1;
	}
	return last ? 1 : 0;
}

#define DEFINE_COPY_CHUNK(name, mode)                                  \
	static long name(u64 index, void *arg)                         \
	{                                                              \
		return copy_chunk(arg, mode);                          \
	}
DEFINE_COPY_CHUNK(copy_chunk_fault, WALK_FAULT)
DEFINE_COPY_CHUNK(copy_chunk_nofault, WALK_NOFAULT)
DEFINE_COPY_CHUNK(copy_chunk_remote, WALK_REMOTE)

/*
 * A program's first frame lies where execve has put its arguments.  Above are strings, and before
 * these there may be a page that nobody has touched yet: one more fault, were it copied.
 */
static long stack_end(struct task_struct *task, struct vm_area_struct *vma, void *arg)
{
	struct scratch *s = ((struct walk_io *)arg)->s;
	u64 first = BPF_CORE_READ(vma, vm_mm, start_stack) | 4095;

	s->copying.end = vma->vm_end;
	if (first >= s->copying.address && first < s->copying.end)
		s->copying.end = first + 1;
	return 0;
}

static __always_inline void save_regs(u64 *to, const struct pt_regs *regs)
{
	to[0] = regs->ax;
	to[1] = regs->dx;
	to[2] = regs->cx;
	to[3] = regs->bx;
	to[4] = regs->si;
	to[5] = regs->di;
	to[6] = regs->bp;
	to[7] = regs->sp;
	to[8] = regs->r8;
	to[9] = regs->r9;
	to[10] = regs->r10;
	to[11] = regs->r11;
	to[12] = regs->r12;
	to[13] = regs->r13;
	to[14] = regs->r14;
	to[15] = regs->r15;
	to[16] = regs->ip;
}

static long save_return(u64 index, void *arg)
{
	struct scratch *s = ((struct walk_io *)arg)->s;
	struct return_instance *i = s->copying.instance;

	index &= STACK_RETURNS - 1;
	if (!i)
		return 1;
	s->copy.stack.returns[index].place = BPF_CORE_READ(i, stack);
	s->copy.stack.returns[index].address = BPF_CORE_READ(i, orig_ret_vaddr);
	s->copying.instance = BPF_CORE_READ(i, next);
	return 0;
}

/* User space cannot ask for them. */
static __always_inline void save_returns(struct walk_io *io)
{
	struct task_struct *task = io->task;
	struct scratch *s = io->s;

	__builtin_memset(s->copy.stack.returns, 0, sizeof(s->copy.stack.returns));
	if (!bpf_core_field_exists(task->utask))
		return;
	s->copying.instance = BPF_CORE_READ(task, utask, return_instances);
	if (s->copying.instance)
		bpf_loop(STACK_RETURNS, save_return, io, 0);
}

/*
 * The rule of the current frame is not in the cache: hands the rest of the
 * walk to user space.  The frames walked so far go in a record of their own
 * kind of head, then the stack in chunks.
 */
static __always_inline void write_copy(struct walk_io *io, int mode)
{
	struct scratch *s = io->s;
	struct walk *w = &s->walk;
	struct stack_record *st = &s->copy.stack;
	u64 address = (w->frame.sp & ~7ULL) - STACK_BELOW, end;
	u32 n = w->n;

	w->reason = REASON_COPY_LOST;
	if (!room_for_copy()) {
		COUNT(copy_lost, 1);
		write_chain(s);
		return;
	}
	COUNT(stack_copies, 1);
	w->reason = 0;
	record_head(&s->copy.head, RECORD_STACK, w);
	s->copy.head.n = 0;
	record_head(&s->record.head, RECORD_DEFERRED, w);
	s->record.head.reason = REASON_NO_RULE_SLOT;	/* until the copy completes it */
	s->record.head.flags |= DEFERRED_PARTIAL;
	if (n > MAX_FRAMES)
		n = MAX_FRAMES;
	if (ring_write(&s->record, sizeof(s->record.head) + n * sizeof(u64), false)) {
		COUNT(record_lost, 1);
		return;
	}
	st->pc = w->frame.pc;
	st->sp = w->frame.sp;
	st->bp = w->frame.bp;
	st->bx_at = w->frame.bx_at;
	st->exact = w->frame.exact;
	st->innermost = w->frame.innermost;
	st->second = w->frame.second;
	st->bp_lost = w->frame.bp_lost;
	st->by_fp = w->frame.by_fp;
	st->reason = 0;
	st->mapping = w->mapping;
	st->key = w->key;
	save_regs(st->regs, io->regs);
	save_returns(io);
	/*
	 * In an epilogue the rules still name the places below rsp from which registers were popped.
	 * A page there that nobody has touched yet is no part of the stack.
	 */
	if (walk_copy(s->copy.bytes, sizeof(u64), address, mode == WALK_FAULT ? WALK_NOFAULT : mode, io->task))
		address += STACK_BELOW;
	s->copying.address = address;
	s->copying.end = address + STACK_CHUNK;	/* if its mapping cannot be had now */
	s->copying.n = 0;
	s->copying.failed = 0;
	for (u32 i = 0; i < 4; i++)
		if (bpf_find_vma(io->task, address, stack_end, io, 0) != -EBUSY)
			break;
	end = s->copying.end;
	/* So much is hardly one stack: goroutines' lie in the heap's arenas. */
	if (end >= address && end - address > STACK_FAR)
		s->copying.end = address + 2 * STACK_CHUNK;
	else if (end < address)
		s->copying.end = address;
	bpf_loop(STACK_CHUNKS, mode == WALK_FAULT ? (void *)copy_chunk_fault :
		 mode == WALK_NOFAULT ? (void *)copy_chunk_nofault : (void *)copy_chunk_remote, io, 0);
	if (s->copying.failed)
		COUNT(copy_lost, 1);
}

/* ---- which kernel entry it is ------------------------------------------- */

/*
 * A loop's entries have the same ip and sp, whoever called it: the other registers tell them
 * apart, but for rax, into which a system call writes its result.
 */
static __always_inline u64 other_regs(const struct pt_regs *regs)
{
	const u64 odd = 0x9e3779b97f4a7c15;	/* spreads each over all bits */
	u64 hash = regs->bp;

	hash = hash * odd + regs->bx;
	hash = hash * odd + regs->cx;
	hash = hash * odd + regs->dx;
	hash = hash * odd + regs->si;
	hash = hash * odd + regs->di;
	hash = hash * odd + regs->r8;
	hash = hash * odd + regs->r9;
	hash = hash * odd + regs->r10;
	hash = hash * odd + regs->r12;
	hash = hash * odd + regs->r13;
	hash = hash * odd + regs->r14;
	return hash * odd + regs->r15;
}

/* Are these still the registers of the entry for which the slot's request was made? */
static __always_inline bool same_regs(const struct slot *slot, const struct pt_regs *regs)
{
	return regs->ip == slot->ip && regs->sp == slot->sp && other_regs(regs) == slot->other_regs;
}

/* ---- the walk of a slot's task ----------------------------------------- */

/* The remembered mappings hold as long as nothing write-locked the address space. */
static __always_inline void check_mappings(struct slot *slot, struct task_struct *task, struct mm_struct *mm)
{
	u32 seq = mm->mm_lock_seq.sequence;

	if (slot->map_mm == (u64)mm && slot->map_exec == task->self_exec_id && slot->map_seq == seq && !(seq & 1))
		return;
	for (u32 i = 0; i < SLOT_MAPPINGS; i++)
		slot->map[i].end = 0;
	slot->map_mm = (u64)mm;
	slot->map_exec = task->self_exec_id;
	slot->map_seq = seq;
}

static __always_inline void walk_begin(struct walk *w, struct walk_io *io, struct mm_struct *mm, int mode)
{
	__builtin_memset(w, 0, sizeof(*w));
	w->frame.pc = io->regs->ip;
	w->frame.sp = io->regs->sp;
	w->frame.bp = io->regs->bp;
	w->frame.exact = 1;
	w->frame.innermost = 1;
	w->cookie = io->slot->cookie;
	w->vdso = (u64)mm->context.vdso;
	w->pid = io->task->tgid;
	w->tid = io->task->pid;
	w->remote = mode == WALK_REMOTE;
}

static __always_inline void count_walk(const struct walk *w, u64 ns)
{
	struct counters *c = bpf_map_lookup_elem(&counts, &zero);

	if (!c)
		return;
	c->walks++;
	c->frames += w->n;
	c->rule_hits += w->hits;
	c->rule_misses += w->miss;
	c->find_vma += w->vmas;
	c->walk_ns += ns;
}

static __always_inline void walk_slot(struct slot *slot, struct task_struct *task, struct mm_struct *mm,
				      const struct pt_regs *regs, struct scratch *s, int mode)
{
	struct walk_io io = { s, slot, task, regs, mode };
	u64 begin = bpf_ktime_get_ns();

	walk_begin(&s->walk, &io, mm, mode);
	check_mappings(slot, task, mm);
	walk_run(&io, mode);
	count_walk(&s->walk, bpf_ktime_get_ns() - begin);
	if (mode == WALK_REMOTE && (!slot->pending || slot->cookie != s->walk.cookie))
		return;		/* it returned meanwhile, and answered for itself */
	if (s->walk.miss)
		write_copy(&io, mode);
	else
		write_chain(s);
}

/* ---- return to user space ---------------------------------------------- */

static int on_return(struct bpf_map *map, void *key, void *value)
{
	struct slot *slot = value;
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct mm_struct *mm = task->mm;
	struct scratch *s;
	u16 reason = 0;

	if (slot->walked || !slot->pending)
		goto out;
	if (!mm)
		reason = REASON_EXITING;
	else if ((u64)mm != slot->mm)
		reason = REASON_EXEC;
	else if (!same_regs(slot, regs))
		reason = REASON_REGS_CHANGED;
	if (!reason) {
		s = scratch_get(task->pid);
		if (s) {
			walk_slot(slot, task, mm, regs, s, WALK_FAULT);
			scratch_put(s);
			goto out;
		}
		COUNT(no_scratch, 1);
		reason = REASON_NO_SCRATCH;
	}
	write_reason(slot->cookie, task->tgid, task->pid, reason);
out:
	slot->walked = 0;
	slot->pending = 0;
	return 0;
}

/* ---- request ----------------------------------------------------------- */

static __always_inline u64 new_cookie(void)
{
	u32 *counter = bpf_map_lookup_elem(&cookie_counter, &zero);

	if (!counter)
		return 0;
	return (u64)++*counter << 32 | (bpf_get_smp_processor_id() + 1);
}

/* NULL if there is none; *full tells whether there is no room, or the map was busy under an interrupt. */
static __always_inline struct slot *slot_of(struct task_struct *task, bool create, bool *full)
{
	u32 tid = task->pid;
	struct slot *slot = bpf_map_lookup_elem(&slots, &tid), *empty;

	if (!slot && create) {
		empty = bpf_map_lookup_elem(&empty_slot, &zero);
		if (!empty)
			return NULL;
		*full = bpf_map_update_elem(&slots, &tid, empty, BPF_NOEXIST) == -E2BIG;
		slot = bpf_map_lookup_elem(&slots, &tid);
	}
	if (slot && slot->start_time != task->start_time) {
		slot->pending = slot->walked = 0;
		slot->cookie = 0;
		slot->map_mm = 0;
		slot->start_time = task->start_time;
	}
	return slot;
}

static __always_inline void begin_entry(struct slot *slot, struct mm_struct *mm, const struct pt_regs *regs)
{
	slot->cookie = new_cookie();
	slot->mm = (u64)mm;
	slot->ip = regs->ip;
	slot->sp = regs->sp;
	slot->other_regs = other_regs(regs);
	COUNT(requests, 1);
}

/* Is this still the kernel entry that on_last_chance() walked? */
static __always_inline bool entry_walked(const struct slot *slot, const struct pt_regs *regs)
{
	return slot->walked && same_regs(slot, regs);
}

/*
 * Asks for the chain of this kernel entry.  The kernel refuses with EBUSY as
 * long as the work of this entry waits or runs: then the entry's cookie is
 * shared, also after its record has been written.
 */
static __always_inline u32 request(struct slot *slot, struct task_struct *task, struct mm_struct *mm, u64 *cookie)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	long err;

	if (entry_walked(slot, regs)) {
		if (slot->mm != (u64)mm)
			return REASON_NOT_STARTED;
		*cookie = slot->cookie;
		return 0;
	}
	err = schedule_on_return(task, &slot->work, &slots, on_return);
	if (!err) {
		begin_entry(slot, mm, regs);
		slot->walked = 0;
		slot->pending = 1;
	} else if (err != -EBUSY || !slot->cookie) {
		return REASON_SCHEDULE_FAILED;
	} else if (slot->mm != (u64)mm) {
		return REASON_NOT_STARTED;	/* the end of an execve */
	} else if (!same_regs(slot, regs)) {
		return REASON_REGS_CHANGED;	/* a later entry: where irq_work is a thread, work may come late */
	}
	*cookie = slot->cookie;
	return 0;
}

/* Task work is over; on_last_chance() answers, or has answered. */
static __always_inline u32 exiting_user(struct task_struct *task, struct mm_struct *mm, const struct pt_regs *regs,
					u64 *cookie)
{
	bool full = false;
	struct slot *slot = slot_of(task, mm != NULL, &full);

	if (!slot)
		return mm ? REASON_EXITING : REASON_NO_MM;
	if (!entry_walked(slot, regs) && !slot->pending) {
		if (!mm)
			return REASON_NO_MM;
		begin_entry(slot, mm, regs);
		slot->walked = 0;
		slot->pending = 1;
	}
	*cookie = slot->cookie;
	return 0;
}

static __always_inline u32 sample_user(struct task_struct *task, u64 *cookie)
{
	struct mm_struct *mm = task->mm;
	u32 flags = task->flags;
	struct pt_regs *regs;
	struct slot *slot;
	bool full = false;

	if (!task->pid)
		return REASON_IDLE;
	if (flags & PF_KTHREAD)
		return REASON_KERNEL_THREAD;
	if (flags & (PF_IO_WORKER | PF_USER_WORKER))
		return REASON_IO_WORKER;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (mm && regs->cs == 0x23)
		return REASON_COMPAT_TASK;
	if (flags & PF_EXITING)
		return exiting_user(task, mm, regs, cookie);
	if (!mm)
		return REASON_NO_MM;
	slot = slot_of(task, true, &full);
	if (!slot)
		return full ? REASON_SLOTS_FULL : REASON_SLOT_BUSY;
	return request(slot, task, mm, cookie);
}

/* ---- events ------------------------------------------------------------ */

static __always_inline void write_sample(void *ctx, struct sample_record *r, u16 event, u64 period)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 n = r->n_kernel;

	if (n > MAX_KERNEL_FRAMES)
		n = MAX_KERNEL_FRAMES;
	r->type = RECORD_SAMPLE;
	r->event = event;
	r->time = bpf_ktime_get_ns();
	r->period = period;
	r->pid = id >> 32;
	r->tid = (u32)id;
	r->cpu = bpf_get_smp_processor_id();
	if (bpf_perf_event_output(ctx, &sample_rings, BPF_F_CURRENT_CPU, r,
				  __builtin_offsetof(struct sample_record, kernel) + n * sizeof(u64)))
		COUNT(sample_lost, 1);
}

static __always_inline u16 kernel_frames(void *ctx, struct sample_record *r, u64 skipped)
{
	long size = bpf_get_stack(ctx, r->kernel, sizeof(r->kernel), skipped);

	return size < 0 ? 0 : size / sizeof(u64);
}

static __always_inline int on_event(struct bpf_perf_event_data *ctx, u16 event)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct sample_record *r = bpf_map_lookup_elem(&sample_scratch, &zero);
	struct under_way *u = bpf_map_lookup_elem(&under_way, &zero);

	if (!r || !u)
		return 0;
	u->due[event] = 0;
	if (!in_scope(task))
		return 0;
	u->sampling = 1;
	r->cookie = 0;
	r->ip = ctx->regs.ip;
	r->user_mode = (s64)r->ip > 0;
	r->n_kernel = r->user_mode ? 0 : kernel_frames(ctx, r, 0);
	r->reason = sample_user(task, &r->cookie);
	write_sample(ctx, r, event, ctx->sample_period);
	u->sampling = 0;
	return 0;
}

/* A program per event of a session: inherited events do not keep an attach cookie. */
#define DEFINE_EVENT(i)                                                   \
	SEC("perf_event") int on_event_##i(struct bpf_perf_event_data *ctx) \
	{                                                                 \
		return on_event(ctx, i);                                  \
	}
DEFINE_EVENT(0)
DEFINE_EVENT(1)
DEFINE_EVENT(2)
DEFINE_EVENT(3)
DEFINE_EVENT(4)

#include "bpf/skipped.h"

/* ---- where the user context ends before the kernel entry does ----------- */

/*
 * Samples that follow in the same entry share this chain as long as the memory
 * it belongs to is the task's, and through the tear-down at exit.
 */
static __always_inline void walk_now(struct task_struct *task)
{
	bool full = false;
	struct slot *slot = in_scope(task) ? slot_of(task, true, &full) : NULL;
	struct mm_struct *mm = task->mm;
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct scratch *s;

	if (!slot || !mm || (entry_walked(slot, regs) && slot->mm == (u64)mm) ||
	    (task->flags & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER)) ||
	    regs->cs == 0x23)
		return;
	if (!slot->pending)
		begin_entry(slot, mm, regs);
	slot->walked = 1;	/* first: samples that hit during the walk share it */
	if (!same_regs(slot, regs)) {
		write_reason(slot->cookie, task->tgid, task->pid, REASON_REGS_CHANGED);
		return;
	}
	s = scratch_get(task->pid);
	if (!s) {
		COUNT(no_scratch, 1);
		write_reason(slot->cookie, task->tgid, task->pid, REASON_NO_SCRATCH);
		return;
	}
	walk_slot(slot, task, mm, regs, s, WALK_NOFAULT);
	scratch_put(s);
}

/* One program for both tracepoints, attached twice: it needs none of their arguments. */
SEC("raw_tp")
int on_last_chance(void *ctx)
{
	walk_now(bpf_get_current_task_btf());
	return 0;
}

/* ---- tasks that come into view ------------------------------------------ */

/*
 * With the first request of a slot the kernel allocates what it needs for it,
 * and keeps that.  On PREEMPT_RT it cannot in an interrupt (ENOMEM), so there
 * a request that asks for nothing is made before any event fires.
 */
static __always_inline void prime(struct task_struct *task)
{
	bool full = false;
	struct slot *slot;

	if (!config.prime || !task->mm || task->flags & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER | PF_EXITING) ||
	    !in_scope(task))
		return;
	slot = slot_of(task, true, &full);
	if (slot && !slot->cookie)
		schedule_on_return(task, &slot->work, &slots, on_return);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	u32 from = parent->tgid, to = child->tgid, value = 0;

	if (config.scope == SCOPE_PROCESSES && from != to && bpf_map_lookup_elem(&scope, &from))
		bpf_map_update_elem(&scope, &to, &value, BPF_ANY);
	prime(child);
	return 0;
}

SEC("iter.s/task")
int prime_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	if (task)
		prime(task);
	return 0;
}

/* ---- the end of a session ---------------------------------------------- */

SEC("iter.s/task")
int walk_blocked(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct pt_regs *regs;
	struct mm_struct *mm;
	struct slot *slot;
	struct scratch *s;
	u32 tid;

	if (!task)
		return 0;
	tid = task->pid;
	slot = bpf_map_lookup_elem(&slots, &tid);
	if (!slot || !slot->pending || slot->walked || slot->start_time != task->start_time)
		return 0;
	mm = task->mm;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (!mm || !regs || (u64)mm != slot->mm || !same_regs(slot, regs))
		return 0;
	s = scratch_get(tid);
	if (!s)
		return 0;
	walk_slot(slot, task, mm, regs, s, WALK_REMOTE);
	scratch_put(s);
	return 0;
}
