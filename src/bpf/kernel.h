/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The few kernel types and fields the programs use, relocated at load time
 * (CO-RE).  A small list of our own instead of a dump of one kernel's BTF: it
 * builds on machines without BTF, and shows what the programs depend on.
 */
#ifndef RETOUR_BPF_KERNEL_H
#define RETOUR_BPF_KERNEL_H

typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef _Bool bool;
enum { false = 0, true = 1 };

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_F_MMAPABLE = 1 << 10 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2, BPF_RB_AVAIL_DATA = 0, BPF_RB_RING_SIZE = 1 };
#define BPF_F_CURRENT_CPU 0xffffffffULL

enum { ENOENT = 2, E2BIG = 7, ENOMEM = 12, EBUSY = 16 };
enum {
	PF_EXITING = 0x4,
	PF_IO_WORKER = 0x10,
	PF_USER_WORKER = 0x4000,
	PF_KTHREAD = 0x200000,
};
enum { VM_EXEC = 4 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct super_block {
	u32 s_dev;
};
struct inode {
	struct super_block *i_sb;
	unsigned long i_ino;
	s64 i_size;
	s64 i_ctime_sec;
	u32 i_ctime_nsec;
};
struct file {
	struct inode *f_inode;
};
struct mm_struct;
struct vm_area_struct {
	unsigned long vm_start, vm_end;
	unsigned long vm_flags, vm_pgoff;
	struct file *vm_file;
	struct mm_struct *vm_mm;
};
struct seqcount {
	u32 sequence;
};
typedef struct seqcount seqcount_t;
typedef struct {
	void *vdso;
} mm_context_t;
struct mm_struct {
	mm_context_t context;
	seqcount_t mm_lock_seq;
	unsigned long start_stack;
};
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
struct return_instance {
	unsigned long stack, orig_ret_vaddr;
	struct return_instance *next;
};
struct uprobe_task {
	struct return_instance *return_instances;
};
struct task_struct {
	u32 flags;
	int pid, tgid;
	struct mm_struct *mm;
	u64 start_time;
	u64 self_exec_id;
	struct uprobe_task *utask;	/* CONFIG_UPROBES */
};
struct bpf_perf_event_data {
	struct pt_regs regs;
	u64 sample_period;
	u64 addr;
};
struct bpf_prog_aux {
	u32 id;
};
struct bpf_prog {
	struct bpf_prog_aux *aux;
};
struct hrtimer {
	void *function;
};
struct hw_perf_event {
	struct hrtimer hrtimer;
	u64 last_period;
};
enum perf_event_state { PERF_EVENT_STATE_ACTIVE = 1 };
struct perf_event {
	enum perf_event_state state;
	struct hw_perf_event hw;
	struct bpf_prog *prog;
};
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
struct linux_binprm;

#pragma clang attribute pop

/* Defined, not just declared: libbpf compares the kind of the kfunc's argument types. */
struct bpf_map {
	u32 id;
};
struct bpf_task_work {
	u64 opaque;
} __attribute__((aligned(8)));
typedef int (*bpf_task_work_callback_t)(struct bpf_map *, void *, void *);

#endif
