/* SPDX-License-Identifier: MIT */
/* The walker of bpf/walker.h over snapshots; see replay.h. */
#include "replay.h"

#include "bpf_shim.h"
#include "bpf/walker.h"

#include "collect/rule_cache.h"
#include "elf/elf_file.h"
#include "unwind/unwind.h"

enum { LOAD_WINDOW = 64 << 10, MAX_LOADS = 2 * REPLAY_FRAMES };

struct replay_file {
	struct file_key key;
	u32 file;
	struct elf_file *elf;
	struct unwind_table *table;
	bool has_fdes;
};

struct replay {
	struct rule_set *sets;
	struct unwind_rule *rules;
	u32 n_sets;
	struct rule_cache *cache;
	VEC(struct replay_file) files;
	struct scratch scratch;
	struct slot slot;
	const struct snapshot *snapshot;
};

/* Helpers have no argument of ours. */
static struct replay *current;

/* ---- the kernel's part --------------------------------------------------- */

static void *bpf_map_lookup_elem(const void *map, const void *key)
{
	u32 index = *(const u32 *)key;

	if (map == &rule_sets)
		return index < current->n_sets ? &current->sets[index] : NULL;
	if (map == &rules)
		return index < MAX_RULES ? &current->rules[index] : NULL;
	vec_each(&current->files, f)
		if (f->file != FILE_VDSO && !memcmp(&f->key, key, sizeof(f->key)))
			return &f->file;
	return NULL;
}

static long bpf_find_vma(struct task_struct *task, u64 address,
			 long (*fn)(struct task_struct *, struct vm_area_struct *, void *), void *arg, u64 flags)
{
	const struct snapshot_mapping *m = snapshot_find(current->snapshot, address);
	struct super_block sb;
	struct inode inode = { .i_sb = &sb };
	struct file file = { &inode };
	struct vm_area_struct vma;

	if (!m)
		return -ENOENT;
	sb.s_dev = m->dev;
	inode.i_ino = m->ino;
	vma = (struct vm_area_struct){ m->start, m->end, m->executable ? VM_EXEC : 0, m->pgoff >> 12,
				       m->ino ? &file : NULL };
	fn(task, &vma, arg);
	return 0;
}

static long shim_read(void *to, u32 size, u64 from)
{
	for (int i = 0; i < SNAPSHOT_STACKS; i++) {
		const struct snapshot_memory *m = &current->snapshot->stack[i];

		if (from >= m->start && from - m->start <= m->size && size <= m->size - (from - m->start)) {
			memcpy(to, m->data + (from - m->start), size);
			return 0;
		}
	}
	return -EFAULT;
}

/* ---- files --------------------------------------------------------------- */

struct error *replay_create(u32 n_sets, struct replay **ret)
{
	_cleanup_(replay_destroyp) struct replay *r = calloc(1, sizeof(*r));
	struct error *err;

	if (!r)
		return error_nomem();
	r->n_sets = n_sets;
	r->sets = calloc(n_sets, sizeof(*r->sets));
	r->rules = calloc(MAX_RULES, sizeof(*r->rules));
	if (!r->sets || !r->rules)
		return error_nomem();
	err = rule_cache_create(r->sets, n_sets, r->rules, &r->cache);
	if (err)
		return err;
	*ret = steal_ptr(r);
	return NULL;
}

void replay_destroy(struct replay *r)
{
	vec_each(&r->files, f) {
		unwind_table_close(f->table);
		elf_file_close(f->elf);
	}
	vec_free(&r->files);
	rule_cache_destroy(r->cache);
	free(r->rules);
	free(r->sets);
	free(r);
}

static struct replay_file *open_file(struct replay *r, const struct file_key *key, u32 number,
				     const struct snapshot_mapping *m)
{
	const struct snapshot_maps *maps = r->snapshot->maps;
	struct replay_file f = { .key = *key, .file = number };
	struct unwind_table_info info;
	struct error *err;

	err = number == FILE_VDSO ? elf_file_open_memory(maps->vdso, maps->vdso_size, m->path, &f.elf) :
				    elf_file_open(m->path, &f.elf);
	if (!err)
		err = unwind_table_open(f.elf, &f.table);
	if (err) {
		error_free(err);
		elf_file_close(f.elf);
		return NULL;
	}
	unwind_table_info(f.table, &info);
	f.has_fdes = info.n_fdes > 0;
	return vec_push(&r->files, f) ? &r->files.data[r->files.len - 1] : NULL;
}

/* The file behind an address and the offset in it; NULL for code that has none. */
static struct replay_file *file_at(struct replay *r, u64 address, u64 *offset)
{
	const struct snapshot_mapping *m = snapshot_find(r->snapshot, address);
	bool is_vdso = m && !strcmp(m->path, "[vdso]");
	struct file_key key = { 0 };

	if (!m || (!m->ino && !is_vdso))
		return NULL;
	*offset = address - m->start + (is_vdso ? 0 : m->pgoff);
	key.ino = m->ino;
	key.dev = m->dev;
	vec_each(&r->files, f)
		if (is_vdso ? f->file == FILE_VDSO : !memcmp(&f->key, &key, sizeof(key)))
			return f;
	return open_file(r, &key, is_vdso ? FILE_VDSO : FILE_FIRST + r->files.len, m);
}

/* ---- the walker ---------------------------------------------------------- */

static struct pt_regs regs_of(const u64 *r)
{
	return (struct pt_regs){
		.ax = r[0], .dx = r[1], .cx = r[2], .bx = r[3], .si = r[4], .di = r[5], .bp = r[6], .sp = r[7],
		.r8 = r[8], .r9 = r[9], .r10 = r[10], .r11 = r[11], .r12 = r[12], .r13 = r[13], .r14 = r[14],
		.r15 = r[15], .ip = r[16],
	};
}

static void walk_once(struct replay *r, int mode)
{
	struct walk *w = &r->scratch.walk;
	struct pt_regs regs = regs_of((const u64 *)r->snapshot->regs);
	struct task_struct task = { 1 };
	struct walk_io io = { &r->scratch, &r->slot, &task, &regs, mode };

	memset(w, 0, sizeof(*w));
	memset(&r->slot, 0, sizeof(r->slot));
	w->frame = (struct walk_frame){ .pc = regs.ip, .sp = regs.sp, .bp = regs.bp, .exact = 1, .innermost = 1 };
	vec_each(&r->snapshot->maps->list, m)
		if (!strcmp(m->path, "[vdso]"))
			w->vdso = m->start;
	walk_run(&io, mode);
}

/* Loads what the walk missed; false if that was no use: the rule is not one for the walker. */
static bool load_missing(struct replay *r)
{
	const struct walk *w = &r->scratch.walk;
	u64 at = w->frame.exact ? w->frame.pc : w->frame.pc - 1, offset;
	struct replay_file *f = file_at(r, at, &offset);
	u64 start;

	if (!f || (w->mapping.file != FILE_UNKNOWN && rule_lookup(f->file, offset)))
		return false;
	start = offset > LOAD_WINDOW / 4 ? offset - LOAD_WINDOW / 4 : 0;
	error_free(rule_cache_load(r->cache, f->file, f->table, start, start + LOAD_WINDOW));
	/* The rest of the window may have evicted it already. */
	error_free(rule_cache_load(r->cache, f->file, f->table, offset, offset + 1));
	return rule_lookup(f->file, offset);
}

void replay_walk(struct replay *r, const struct snapshot *snapshot, int mode, u32 max_depth,
		 struct replay_chain *ret)
{
	const struct walk *w = &r->scratch.walk;

	current = r;
	r->snapshot = snapshot;
	config.max_depth = max_depth;
	config.rule_set_mask = r->n_sets - 1;
	for (u32 loads = 0; loads < MAX_LOADS; loads++) {
		walk_once(r, mode);
		if (!w->miss || !load_missing(r))
			break;
	}
	ret->n = w->n;
	ret->at = w->frame.pc - !w->frame.exact;
	ret->reason = w->reason;
	ret->complete = w->complete;
	ret->miss = w->miss;
	memcpy(ret->ips, r->scratch.record.chain, w->n * sizeof(*ret->ips));
}

/* ---- the full unwinder --------------------------------------------------- */

static bool full_read(void *arg, uint64_t address, uint64_t *ret)
{
	return !shim_read(ret, sizeof(*ret), address);
}

void replay_walk_full(struct replay *r, const struct snapshot *snapshot, struct replay_chain *ret)
{
	struct unwind_regs regs = { .valid = (1u << UNWIND_N_REGS) - 1 };
	bool exact = true;

	current = r;
	r->snapshot = snapshot;
	memcpy(regs.value, snapshot->regs, sizeof(regs.value));
	for (ret->n = 0, ret->complete = ret->miss = false, ret->reason = 0; ret->n < REPLAY_FRAMES;) {
		uint64_t pc = regs.value[UNWIND_RIP], sp = regs.value[UNWIND_RSP];
		u64 offset = 0;
		bool stands = exact;
		const struct snapshot_mapping *m = snapshot_find(snapshot, pc - !exact);
		struct replay_file *f = m && m->executable ? file_at(r, pc - !exact, &offset) : NULL;

		ret->reason = !m ? REASON_NO_MAPPING : !m->executable ? REASON_NOT_EXECUTABLE : 0;
		if (ret->reason)
			return;
		ret->ips[ret->n++] = pc;
		ret->reason = REASON_NO_UNWIND_INFO;
		if (f)
			ret->reason = unwind_step_full(f->table, offset, &regs, full_read, NULL, &exact,
						       &ret->complete);
		if (ret->reason || ret->complete)
			return;
		/* A function that made no call may have left its frame already: longjmp. */
		if (!exact && regs.value[UNWIND_RSP] < sp + !stands)
			ret->reason = REASON_BACKWARDS;
		else if (!regs.value[UNWIND_RIP])
			ret->reason = REASON_ZERO_RETURN;
		if (ret->reason)
			return;
	}
	ret->reason = REASON_MAX_DEPTH;
}

unsigned int replay_rule_kind(struct replay *r, const struct snapshot *snapshot, uint64_t at)
{
	struct replay_file *f;
	u64 offset = 0;

	r->snapshot = snapshot;
	f = file_at(r, at, &offset);
	return f ? unwind_table_rule(f->table, offset).cfa_kind : RULE_CFA_FP;
}

struct rule_set *replay_sets(struct replay *r, u32 *n)
{
	*n = r->n_sets;
	return r->sets;
}

struct unwind_rule *replay_rules(struct replay *r)
{
	return r->rules;
}
