/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The maps of the programs, and the types of their values. */
#ifndef RETOUR_BPF_MAPS_H
#define RETOUR_BPF_MAPS_H

/*
 * The state of one sampled task: the request that is pending, and the mappings
 * its last walk used.  Only the task itself touches it (in its own context or
 * in interrupts on top of it), and the remote walk at the end of a session.
 */
struct slot {
	struct bpf_task_work work;
	u64 start_time;		/* task ids are reused */
	u64 cookie;		/* of the latest kernel entry that was asked for */
	u64 mm;
	u64 ip, sp, other_regs;	/* user registers when the request was made: see other_regs() */
	u32 pending;		/* requested, not yet written */
	u32 walked;		/* written already, before exec or exit; the entry goes on */
	u64 map_mm;		/* the mappings below are those of this mm … */
	u64 map_exec;		/* … since this exec … */
	u32 map_seq;		/* … at this state of its lock */
	u32 map_next;
	struct walk_mapping map[SLOT_MAPPINGS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SLOTS);
	__type(key, u32);
	__type(value, struct slot);
} slots SEC(".maps");

/*
 * A slot before its first use: too large for the stack of a program, and not
 * of type struct slot, whose bpf_task_work programs may not read.
 */
struct empty_slot {
	u8 bytes[sizeof(struct slot)];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct empty_slot);
} empty_slot SEC(".maps");

/* By the program of an event, and by what watches for those whose program is not run. */
enum { SAMPLE_ON_TIME, SAMPLE_SKIPPED, N_SAMPLE_SCRATCH };
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, N_SAMPLE_SCRATCH);
	__type(key, u32);
	__type(value, struct sample_record);
} sample_scratch SEC(".maps");

/* The events of a CPU that are under way. */
struct under_way {
	u8 due[MAX_EVENTS];	/* fired, but its program has not begun */
	u32 sampling;		/* a program of an event runs */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct under_way);
} under_way SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} cookie_counter SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counters);
} counts SEC(".maps");

/* The processes or threads to sample, by id; the value means nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SCOPE);
	__type(key, u32);
	__type(value, u32);
} scope SEC(".maps");

/* Samples: perf's rings, for they may be written from NMI on top of a write. */
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} sample_rings SEC(".maps");

/* Deferred records: a callback has no context for a perf ring, so BPF rings, one a CPU. */
struct deferred_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__array(values, struct deferred_ring);
} deferred_rings SEC(".maps");

/* The rule cache, written by user space through a memory map: no system call. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct rule_set);
} rule_sets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_RULES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct unwind_rule);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FILES);
	__type(key, struct file_key);
	__type(value, u32);
} files SEC(".maps");

#endif
