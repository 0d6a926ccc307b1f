/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the BPF programs and the recorder share: limits, configuration, the
 * rule cache, and the records that cross the rings.  Fixed-size types only;
 * the includer defines __u8 … __u64 (linux/types.h, or bpf/kernel.h).
 */
#ifndef RETOUR_BPF_SHARED_H
#define RETOUR_BPF_SHARED_H

#include "unwind/rule.h"

enum retour_limits {
	MAX_FRAMES = 4096,		/* user frames of one chain */
	MAX_KERNEL_FRAMES = 127,	/* the kernel's own default bound */
	MAX_EVENTS = 8,			/* sampling events of one session */
	MAX_SLOTS = 16384,		/* tasks that can be sampled at once */
	MAX_SCOPE = 65536,		/* processes or threads of a session */
	MAX_FILES = 16384,		/* mapped files known to the rule cache */
	MAX_RULES = 16384,		/* distinct rules */
	N_SCRATCH = 128,		/* walks under way at once */
	SLOT_MAPPINGS = 8,		/* mappings a task's slot remembers */
	BLOCK_WAYS = 4,			/* associativity of the rule cache */
	BLOCK_ROWS = 16,
	STACK_WINDOW = 2048,		/* bytes of stack that are read at once */
	STACK_BELOW = 128,		/* bytes of a stack copy below rsp */
	STACK_FAR = 262144,		/* bytes to the end of the mapping that are believed to be stack */
	STACK_CHUNK = 32768,		/* bytes of stack in one record */
	STACK_CHUNKS = 12,		/* records of one stack copy, at most */
};

/* ---- the rule cache ---------------------------------------------------- */

/*
 * A block holds the rules of 256 bytes of a file's text, by file offset.  Where
 * these have more than BLOCK_ROWS rows the block only says BLOCK_DENSE, and
 * blocks of 64 bytes hold them, or likewise of 16 bytes, which always suffice.
 * Row i is in force from start[i] to start[i + 1]; start[0] is 0, and unused
 * rows repeat the last one, so that the search needs no count.
 *
 * User space writes blocks through a memory map while programs read them.  The
 * writer sets key to 0, then generation, fills the block, then sets the key (A);
 * the reader compares both before and after reading (B).  Rule numbers and file
 * numbers are never reused within a session.
 */
struct rule_block {
	__u64 key;
	__u16 rule[BLOCK_ROWS];	/* index into the dictionary */
	__u8 start[BLOCK_ROWS];
	__u8 flags;		/* BLOCK_DENSE */
	__u8 used;		/* set by programs: the block was of use since it came */
	__u8 reserved[2];
	__u32 generation;	/* of the place: another one with every block put there */
};

enum { BLOCK_DENSE = 1 };

struct rule_set {
	struct rule_block way[BLOCK_WAYS];
};

enum { BLOCK_LEVELS = 3 };

/* Bytes of text of a block of a level: 256, 64, 16. */
static inline __u32 rule_block_size(__u32 level)
{
	return 256 >> 2 * level;
}

static inline __u64 rule_block_key(__u32 file, __u64 offset, __u32 level)
{
	return (__u64)file << 40 | (offset >> (8 - 2 * level) & ((1ULL << 38) - 1)) << 2 | level;
}

static inline __u32 rule_block_hash(__u64 key)
{
	key ^= key >> 29;
	key *= 0x9e3779b97f4a7c15ULL;
	key ^= key >> 32;
	return (__u32)((key * 0xbf58476d1ce4e5b9ULL) >> 40);
}

/* ---- files and mappings ------------------------------------------------ */

/* A mapped file as the kernel's mapping shows it; an opaque key for user space. */
struct file_key {
	__u64 ino;
	__u64 size;
	__u64 ctime_sec;
	__u32 ctime_nsec;
	__u32 dev;		/* kernel encoding: major << 20 | minor */
};

enum { FILE_UNKNOWN = 0, FILE_ANON = 1, FILE_VDSO = 2, FILE_FIRST = 3 };

struct walk_mapping {
	__u64 start, end;	/* end 0: empty entry */
	__u64 bias;		/* file offset = address - bias */
	__u32 file;
	__u32 executable;
};

/* ---- records ----------------------------------------------------------- */

enum record_type { RECORD_SAMPLE = 1, RECORD_DEFERRED, RECORD_STACK };

/* In the perf ring of the CPU on which the event fired. */
struct sample_record {
	__u32 type;		/* RECORD_SAMPLE */
	__u16 event;
	__u16 reason;		/* 0: cookie names the chain */
	__u64 time;
	__u64 cookie;
	__u64 ip;
	__u64 period;
	__u32 pid, tid;
	__u32 cpu;
	__u16 user_mode;
	__u16 n_kernel;
	__u64 kernel[MAX_KERNEL_FRAMES];
};

/* The common head of what the walk writes, in the ring of the CPU of return. */
struct deferred_record {
	__u32 type;		/* RECORD_DEFERRED, RECORD_STACK */
	__u16 reason;
	__u16 n;		/* frames that follow the head */
	__u64 time;
	__u64 cookie;
	__u32 pid, tid;
	__u32 cpu;
	__u32 flags;
};

enum {
	DEFERRED_REMOTE = 1,	/* walked from outside, at the end of the session */
	DEFERRED_COMPLETE = 2,
	DEFERRED_PARTIAL = 4,	/* a stack copy with the same cookie continues the chain */
};

/* A return address that a probe's trampoline stands for. */
struct saved_return {
	__u64 place, address;	/* place 0: no more */
};
enum { STACK_RETURNS = 8 };	/* a power of two */

/*
 * A rule miss.  A DEFERRED_PARTIAL record holds the frames walked so far, the
 * last of them the one whose rule is missing.  RECORD_STACK records with the
 * same cookie follow: a deferred_record with n = 0, this struct, and `size`
 * bytes of stack from address.  `last` marks the final chunk.
 */
struct stack_record {
	__u64 pc, sp, bp, bx_at;	/* of the frame whose rule is missing, as in struct walk_frame */
	__u64 address;		/* of the first copied byte */
	__u32 size;
	__u8 exact, innermost, second, bp_lost, by_fp;
	__u8 last;
	__u8 reason;		/* why the copy ends early, 0 or a reason */
	__u16 index;		/* of the piece */
	__u8 reserved[7];
	__u64 regs[17];		/* of the innermost frame, in DWARF order; all of them */
	struct walk_mapping mapping;	/* of pc; file FILE_UNKNOWN if never seen */
	struct file_key key;
	struct saved_return returns[STACK_RETURNS];
};

/* ---- configuration and counters ---------------------------------------- */

/* Set before the programs are loaded. */
struct config {
	__u32 max_depth;
	__u32 rule_set_mask;	/* number of sets of the rule cache, less one */
	__u32 wake_bytes;	/* wake the recorder at this much unread data */
	__u32 scope;		/* enum scope_kind */
	__u32 prime;		/* a first request must not come from an interrupt: PREEMPT_RT */
};

/* Set before what watches events is attached. */
struct watch {
	__u32 program[MAX_EVENTS];	/* the numbers of the events' programs */
	__u64 clock_fn;			/* where the kernel's timers of clock events lead … */
	__u64 timer_entry;		/* … and what the interrupt of timers begins with */
};

/* Which tasks are sampled: all, those of processes in a map (and what they fork), or threads in it. */
enum scope_kind { SCOPE_SYSTEM, SCOPE_PROCESSES, SCOPE_THREADS };

struct counters {
	__u64 requests, walks, sample_lost, record_lost, copy_lost;
	__u64 rule_hits, rule_misses, stack_copies, frames, walk_ns, find_vma, no_scratch;
};

#endif
