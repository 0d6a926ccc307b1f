/* SPDX-License-Identifier: MIT */
/*
 * Replacing a site's instruction while other threads run through it.
 *
 * nop:  0f 1f 44 00 00		jump:  e9 disp32
 *
 * First the two leading bytes become a short jump over the other three (eb 03),
 * then those are written, then the two.  Threads stand before the instruction
 * or behind it, never inside, so each of the three stores is between two whole
 * instructions of the same length.
 */
#include "runtime/patch.h"

#include <stdint.h>
#include <string.h>

#include "rcu/domain.h"
#include "runtime/mutant.h"
#include "rcu/sys.h"
#include "retour/rcu_types.h"

enum { LENGTH = 5, HEAD = 2 };

/* ThreadSanitizer keeps books of data, and has no pages for those of text. */
#define TOUCHES_TEXT __attribute__((no_sanitize("thread")))

static const unsigned char nop[LENGTH] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
static const unsigned char skip[HEAD] = { 0xeb, LENGTH - HEAD };
static const unsigned char jump = 0xe9;

TOUCHES_TEXT enum site_state patch_state(const void *code)
{
	unsigned char first = __atomic_load_n((const unsigned char *)code, __ATOMIC_RELAXED);

	return first == nop[0] ? SITE_NOP : first == jump ? SITE_JUMP : first == skip[0] ? SITE_SKIP : SITE_FOREIGN;
}

static void instruction(unsigned char *ret, const void *code, const void *target, enum site_state state)
{
	int32_t distance = (int32_t)((const char *)target - (const char *)code - LENGTH);

	memcpy(ret, nop, LENGTH);
	if (state == SITE_NOP)
		return;
	ret[0] = jump;
	memcpy(ret + 1, &distance, sizeof(distance));
}

/* Bytes that may be stored at any address, by one instruction. */
typedef uint16_t __attribute__((aligned(1), may_alias)) head_bytes;

TOUCHES_TEXT static void store_head(void *code, const unsigned char *bytes)
{
	head_bytes head;

	if (mutant(patch_bytewise)) {
		*(volatile unsigned char *)code = bytes[0];
		retour_torture_delay();
		*((volatile unsigned char *)code + 1) = bytes[1];
		return;
	}
	memcpy(&head, bytes, HEAD);
	*(volatile head_bytes *)code = head;
}

void patch_skip(void *code)
{
	store_head(code, skip);
}

TOUCHES_TEXT void patch_tail(void *code, const void *target, enum site_state state)
{
	unsigned char bytes[LENGTH];

	instruction(bytes, code, target, state);
	for (int i = HEAD; i < LENGTH; i++)
		*((volatile unsigned char *)code + i) = bytes[i];
}

void patch_head(void *code, const void *target, enum site_state state)
{
	unsigned char bytes[LENGTH];

	instruction(bytes, code, target, state);
	store_head(code, bytes);
}

bool patch_usable(void)
{
	enum { UNDECIDED, USABLE, UNUSABLE };
	static unsigned int decided;
	unsigned int now = __atomic_load_n(&decided, __ATOMIC_RELAXED);

	if (now == UNDECIDED) {
		now = sys_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE) == 0 ? USABLE : UNUSABLE;
		__atomic_store_n(&decided, now, __ATOMIC_RELAXED);
	}
	return now == USABLE;
}

bool patch_sync(void)
{
	if (process_is_single_threaded() || mutant(patch_no_sync))
		return true;
	if (sys_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) == 0)
		return true;
	/* A registration that did not come along, for example with memory restored from a checkpoint. */
	sys_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE);
	return sys_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) == 0;
}
