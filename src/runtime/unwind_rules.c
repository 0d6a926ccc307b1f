/* SPDX-License-Identifier: MIT */
/*
 * Rules of the own process; see unwind_rules.h.
 *
 * A rule is a function of the bytes of one FDE and its CIE, and an FDE says
 * itself which code it is for.  So a cached rule is good as long as the same
 * bytes stand in the same place of a loaded object: that needs no word from
 * the loader about objects that came and went.
 */
#include "runtime/unwind_rules.h"

#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

#include "retour/rcu_types.h"
#include "runtime/mutant.h"
#include "runtime/unwind_memory.h"
#define UNWIND_COMPACT_ROWS	/* as the objects of src/unwind in this library */
#include "unwind/cfi.h"
#include "unwind/fde_index.h"

#define ENTRIES 4096u
#define BUDGET 4096u		/* instructions of a call frame program */
#define HASHED_MAX 512u		/* of the bytes of an FDE */
#define ENTRY_BYTES 64u		/* as in unwind/known_start.c */

/*
 * One cached rule.  seq is odd while it is written; who finds it so does
 * without: a handler never waits for what it interrupted.
 */
struct slot {
	uint64_t seq;
	uint64_t pc;
	uint64_t fde;		/* its address */
	uint64_t hash;		/* of its bytes and its CIE's */
	uint64_t rule[2];
} __attribute__((aligned(64)));

static struct slot slots[ENTRIES];

/* Where the kernel lets programs begin: in the loader as a rule, and where that goes on. */
static unsigned long entry_points[2];

__attribute__((constructor(103))) static void find_entry_points(void)
{
	const ElfW(Ehdr) *loader = (const ElfW(Ehdr) *)getauxval(AT_BASE);

	entry_points[0] = getauxval(AT_ENTRY);
	if (loader)
		entry_points[1] = (unsigned long)loader + loader->e_entry;
}

/*
 * The first byte of what a context of makecontext() returns to when it is over, as in unwind/known_libc.c:
 * no rule of libc's says that its stack ends there.  pc is that of the call which there was none of.
 */
static bool is_end_of_context(unsigned long pc)
{
	/* mov %rbx, %rsp; mov (%rsp), %rdi; test %rdi, %rdi */
	static const unsigned char code[] = { 0x48, 0x89, 0xdc, 0x48, 0x8b, 0x3c, 0x24, 0x48, 0x85, 0xff };
	struct unwind_memory none = { 0, 0 };
	unsigned long long words[2];

	return unwind_memory_read(&none, pc + 1, words, 2) && !memcmp(words, code, sizeof(code));
}

/* .eh_frame reaches at most to the object's end. */
static bool find_tables(const struct unwind_object *object, struct cfi_section *section, struct fde_index *index)
{
	unsigned long here = (unsigned long)object->header;
	struct cursor c = { object->header, (const unsigned char *)object->end, false };
	uint8_t version, frame_encoding, count_encoding, table_encoding;
	uint64_t frame, count;

	if (here < object->start || here >= object->end)
		return false;
	version = cursor_u8(&c);
	frame_encoding = cursor_u8(&c);
	count_encoding = cursor_u8(&c);
	table_encoding = cursor_u8(&c);
	frame = cursor_pointer(&c, frame_encoding, here + 4, here);
	count = cursor_pointer_format(&c, count_encoding);
	if (c.failed || version != 1 || table_encoding != (POINTER_DATAREL | POINTER_SDATA4) || !count ||
	    count > cursor_left(&c) / 8 || frame < object->start || frame >= object->end)
		return false;
	*section = (struct cfi_section){ (const unsigned char *)frame, object->end - frame, frame, false };
	*index = (struct fde_index){
		.entries = c.pos, .n = count, .start_base = here, .position_base = here - frame,
	};
	return true;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 29;
}

/* All of its bytes; the last two words may overlap. */
static bool hash_entry(const struct unwind_object *object, uint64_t at, uint64_t *hash)
{
	uint32_t length;
	uint64_t word;

	if (at < object->start || at > object->end - 8)
		return false;
	memcpy(&length, (const void *)at, sizeof(length));
	if (length < 8 || length > object->end - at - 4)
		return false;
	length = length > HASHED_MAX ? HASHED_MAX : length;
	for (uint32_t i = 0; i + 8 <= length + 4; i += 8) {
		memcpy(&word, (const void *)(at + i), sizeof(word));
		*hash = mix(*hash, word);
	}
	memcpy(&word, (const void *)(at + length - 4), sizeof(word));
	*hash = mix(*hash, word);
	return true;
}

/* 0: the bytes are no FDE of this object. */
static uint64_t hash_fde(const struct unwind_object *object, uint64_t fde)
{
	uint64_t hash = fde;
	uint32_t cie;

	if (!hash_entry(object, fde, &hash))
		return 0;
	memcpy(&cie, (const void *)(fde + 4), sizeof(cie));
	return hash_entry(object, fde + 4 - cie, &hash) ? hash | 1 : 0;
}

struct search {
	uint64_t pc;
	struct unwind_rule rule;
};

static bool take_row(void *arg, uint64_t start, uint64_t end, const struct frame_row *row)
{
	struct search *s = arg;

	if (s->pc >= end)
		return true;
	s->rule = frame_row_compile(row);
	return false;
}

/* The address of the FDE that covers the pc, or 0, and its rule. */
static uint64_t compile(const struct unwind_object *object, unsigned long pc, struct unwind_rule *rule)
{
	struct search s = { .pc = pc };
	struct cfi_section section;
	struct fde_index index;
	struct cfi_fde fde;
	uint64_t budget = BUDGET;
	size_t i;

	if (!object->header || !find_tables(object, &section, &index))
		return 0;
	i = fde_index_find(&index, pc);
	if (!cfi_parse_fde(&section, fde_index_position(&index, i), &fde) || pc < fde.start || pc >= fde.end)
		return 0;
	cfi_run(&section, &fde, &budget, take_row, &s);
	*rule = s.rule;
	return section.vaddr + fde_index_position(&index, i);
}

/*
 * The loader's entry point has no table: while it runs constructors that is the end of the stack.  One that has
 * a table says by it how far it goes.
 */
static bool is_entry(const struct unwind_object *object, unsigned long pc)
{
	struct unwind_rule rule;

	for (int i = 0; i < 2; i++)
		if (pc - entry_points[i] < ENTRY_BYTES)
			return !compile(object, entry_points[i], &rule);
	return false;
}

static struct slot *slot_of(unsigned long pc)
{
	return &slots[mix(0, pc) % ENTRIES];
}

static bool load_slot(const struct slot *slot, const struct unwind_object *object, unsigned long pc,
		      struct unwind_rule *rule)
{
	/* (w) pairs with (x): the words of this seq or newer ones. */
	uint64_t seq = __atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE), fde, hash, words[2];

	if (seq & 1 || __atomic_load_n(&slot->pc, __ATOMIC_RELAXED) != pc)
		return false;
	fde = __atomic_load_n(&slot->fde, __ATOMIC_RELAXED);
	hash = __atomic_load_n(&slot->hash, __ATOMIC_RELAXED);
	words[0] = __atomic_load_n(&slot->rule[0], __ATOMIC_RELAXED);
	words[1] = __atomic_load_n(&slot->rule[1], __ATOMIC_RELAXED);
	/* (u) pairs with (v): words that a writer changed have changed seq. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&slot->seq, __ATOMIC_RELAXED) != seq ||
	    (hash_fde(object, fde) != hash && !mutant(unwind_stale_rules)))
		return false;
	memcpy(rule, words, sizeof(*rule));
	return true;
}

static void store_slot(struct slot *slot, unsigned long pc, uint64_t fde, uint64_t hash,
		       const struct unwind_rule *rule)
{
	uint64_t seq = __atomic_load_n(&slot->seq, __ATOMIC_RELAXED), words[2];

	if (seq & 1 || !__atomic_compare_exchange_n(&slot->seq, &seq, seq + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	/* (v) pairs with (u): seq is odd before the first word changes. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy(words, rule, sizeof(words));
	__atomic_store_n(&slot->pc, pc, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->fde, fde, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->hash, hash, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->rule[0], words[0], __ATOMIC_RELAXED);
	__atomic_store_n(&slot->rule[1], words[1], __ATOMIC_RELAXED);
	/* (x) pairs with (w): the words are there before seq is even again. */
	__atomic_store_n(&slot->seq, seq + 2, __ATOMIC_RELEASE);
}

/* Apart, so that a hit does not pay for the stack of the compiler. */
__attribute__((noinline)) static struct unwind_rule miss(struct slot *slot, const struct unwind_object *object,
							 unsigned long pc)
{
	struct unwind_rule rule = { .cfa_kind = RULE_CFA_NONE };
	uint64_t fde = compile(object, pc, &rule), hash = fde ? hash_fde(object, fde) : 0;

	if (hash)
		store_slot(slot, pc, fde, hash, &rule);
	else if (is_entry(object, pc) || is_end_of_context(pc))
		rule.cfa_kind = RULE_CFA_OUTERMOST;
	return rule;
}

struct unwind_rule unwind_rule_at(struct unwind_object *object, unsigned long pc)
{
	struct slot *slot = slot_of(pc);
	struct unwind_rule rule;

	if (!unwind_object_find(object, pc))
		return (struct unwind_rule){ .cfa_kind = RULE_CFA_FP };
	return load_slot(slot, object, pc, &rule) ? rule : miss(slot, object, pc);
}
