/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Events whose program the kernel does not run, and does not count: while
 * another program of this kind, or a system call on any BPF map, is under way or
 * preempted on the CPU (bpf_prog_active in bpf_overflow_handler()).  Tracing
 * programs have a guard of their own, so they run then: they watch where events
 * fire, and when one's program has not begun until that is over, they take the
 * sample.  Where functions cannot be traced the timers of clock events are
 * watched, which have tracepoints.
 */
#ifndef RETOUR_BPF_SKIPPED_H
#define RETOUR_BPF_SKIPPED_H

volatile struct watch watch SEC(".data.watch");

enum { MAX_MACHINERY = 32, ENTRY_BYTES = 64 };

/* Which of our events it is; MAX_EVENTS: none. */
static __always_inline u32 event_number(struct perf_event *event)
{
	u32 id = BPF_CORE_READ(event, prog, aux, id);

	for (u32 i = 0; i < MAX_EVENTS; i++)
		if (id && watch.program[i] == id)
			return i;
	return MAX_EVENTS;
}

static __always_inline void event_begins(struct perf_event *event)
{
	struct under_way *u = bpf_map_lookup_elem(&under_way, &zero);
	u32 i = event_number(event);

	if (!u || i >= MAX_EVENTS)
		return;
	/* Skipped, as was what should have seen that, because it was busy with the event below. */
	if (u->due[i])
		COUNT(sample_lost, 1);
	u->due[i] = 1;
}

/* How many of the innermost frames are the kernel's way from what the event hit to here. */
static __always_inline u32 count_machinery(const struct sample_record *r, u64 ip)
{
	for (u32 i = 0; i < MAX_MACHINERY && i < r->n_kernel; i++) {
		if (ip && r->kernel[i] == ip)
			return i;
		if (!ip && watch.timer_entry && r->kernel[i] - watch.timer_entry < ENTRY_BYTES)
			return i + 1;
	}
	return 0;
}

/* ip: what the event hit, 0 if that is what a timer's interrupt hit. */
static __always_inline void find_place(void *ctx, struct sample_record *r, struct task_struct *task, u64 ip)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	u64 user = regs->ip;
	bool in_syscall = (s64)regs->orig_ax >= 0;
	u32 skipped;

	asm volatile("" : "+r"(user));	/* the verifier refuses one load by either of two pointers */
	r->n_kernel = (s64)ip > 0 ? 0 : kernel_frames(ctx, r, 0);
	skipped = count_machinery(r, ip);
	/* The kernel cannot follow its own calls from everywhere: an interrupt of a system call hit the kernel all the same. */
	if (!ip && in_syscall && skipped && skipped == r->n_kernel)
		skipped--;
	if (skipped)
		r->n_kernel = kernel_frames(ctx, r, skipped);
	if (!ip)
		ip = r->n_kernel ? r->kernel[0] : user;
	r->ip = ip;
	r->user_mode = (s64)ip > 0;
}

/* A program that is taking a sample may be changing the slot: it is left alone then. */
static __always_inline void event_ends(void *ctx, struct perf_event *event, u64 ip)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct under_way *u = bpf_map_lookup_elem(&under_way, &zero);
	const u32 skipped = SAMPLE_SKIPPED;
	struct sample_record *r;
	u32 i;

	if (!u || !*(u64 *)u->due)
		return;
	i = event_number(event);
	r = bpf_map_lookup_elem(&sample_scratch, &skipped);
	if (!r || i >= MAX_EVENTS || !u->due[i])
		return;
	u->due[i] = 0;
	if (!in_scope(task))
		return;
	r->cookie = 0;
	find_place(ctx, r, task, ip);
	r->reason = u->sampling ? REASON_BPF_BUSY : sample_user(task, &r->cookie);
	write_sample(ctx, r, i, BPF_CORE_READ(event, hw.last_period));
}

SEC("fentry/__perf_event_overflow")
int BPF_PROG(on_overflow, struct perf_event *event)
{
	event_begins(event);
	return 0;
}

SEC("fexit/__perf_event_overflow")
int BPF_PROG(after_overflow, struct perf_event *event, int throttle, void *data, struct pt_regs *regs)
{
	event_ends(ctx, event, regs->ip);
	return 0;
}

/* The event of a clock; NULL if the timer is something else's, or the event is about to be switched off. */
static __always_inline struct perf_event *clock_of(struct hrtimer *timer)
{
	struct perf_event *event = (void *)timer - bpf_core_field_offset(struct perf_event, hw.hrtimer);

	if ((u64)timer->function != watch.clock_fn || BPF_CORE_READ(event, state) != PERF_EVENT_STATE_ACTIVE)
		return NULL;
	return event;
}

SEC("tp_btf/hrtimer_expire_entry")
int BPF_PROG(on_timer, struct hrtimer *timer)
{
	struct perf_event *event = clock_of(timer);

	if (event)
		event_begins(event);
	return 0;
}

SEC("tp_btf/hrtimer_expire_exit")
int BPF_PROG(after_timer, struct hrtimer *timer)
{
	struct perf_event *event = clock_of(timer);

	if (event)
		event_ends(ctx, event, 0);
	return 0;
}

#endif
