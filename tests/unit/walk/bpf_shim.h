/* SPDX-License-Identifier: MIT */
/*
 * What bpf/walker.h expects of the kernel, played by a recorded process: the
 * types it names, the maps as arrays, the helpers over recorded memory and
 * mappings.  Included once, right before walker.h.
 */
#ifndef RETOUR_TESTS_WALK_BPF_SHIM_H
#define RETOUR_TESTS_WALK_BPF_SHIM_H

#include "base/reason.h"

#include <errno.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "bpf/shared.h"

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))

typedef __u8 u8;
typedef __u32 u32;
typedef __u64 u64;

enum { VM_EXEC = 4 };

struct super_block {
	u32 s_dev;
};
struct inode {
	struct super_block *i_sb;
	u64 i_ino, i_size, i_ctime_sec;
	u32 i_ctime_nsec;
};
struct file {
	struct inode *f_inode;
};
struct vm_area_struct {
	u64 vm_start, vm_end, vm_flags, vm_pgoff;
	struct file *vm_file;
};
struct return_instance {
	u64 stack, orig_ret_vaddr;
	struct return_instance *next;
};
struct uprobe_task {
	struct return_instance *return_instances;
};
struct task_struct {
	int pid;
	struct uprobe_task *utask;
};
#define bpf_core_field_exists(field) ((field) != NULL)
struct pt_regs {
	u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

/* The part of bpf/maps.h's slot that a walk uses. */
struct slot {
	u32 map_next;
	struct walk_mapping map[SLOT_MAPPINGS];
};

#define SHIM_READ_2(p, a) ((p)->a)
#define SHIM_READ_3(p, a, b) ((p)->a->b)
#define SHIM_READ(_1, _2, _3, name, ...) name
#define BPF_CORE_READ(...) SHIM_READ(__VA_ARGS__, SHIM_READ_3, SHIM_READ_2, )(__VA_ARGS__)

/* One map is told from the other by its address. */
static struct config config;
static char rule_sets, rules, files;

static void *bpf_map_lookup_elem(const void *map, const void *key);
static long bpf_find_vma(struct task_struct *task, u64 address,
			 long (*fn)(struct task_struct *, struct vm_area_struct *, void *), void *arg, u64 flags);
static long shim_read(void *to, u32 size, u64 from);

static inline long bpf_copy_from_user(void *to, u32 size, const void *from)
{
	return shim_read(to, size, (u64)from);
}

static inline long bpf_probe_read_user(void *to, u32 size, const void *from)
{
	return shim_read(to, size, (u64)from);
}

static inline long bpf_copy_from_user_task(void *to, u32 size, const void *from, struct task_struct *task,
					   u64 flags)
{
	return shim_read(to, size, (u64)from);
}

static inline long bpf_loop(u32 n, void *fn, void *arg, u64 flags)
{
	long (*body)(u64, void *) = (long (*)(u64, void *))fn;
	u32 i = 0;

	while (i < n && !body(i, arg))
		i++;
	return i;
}

u32 block_lookup(u64 key, u32 at);

#endif
