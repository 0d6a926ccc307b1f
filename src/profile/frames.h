/* SPDX-License-Identifier: MIT */
/*
 * Frames by number.  A profile has millions of frames but few distinct ones:
 * strings, functions and locations are kept once and named by small ids.
 *
 * A function is what a call tree's node shows: name, DSO, kind.  A location is
 * a place in a function: what an address in a mapping resolves to.  Code of an
 * inlined function resolves to the place in that, which has a caller.
 */
#ifndef RETOUR_PROFILE_FRAMES_H
#define RETOUR_PROFILE_FRAMES_H

#include "base/error.h"
#include "base/hash.h"
#include "base/vec.h"
#include "profile/id_map.h"

#include <stdint.h>

enum frame_kind {
	FRAME_USER,
	FRAME_KERNEL,
	FRAME_JIT,
	FRAME_INLINED,	/* a user frame without a return address of its own */
	FRAME_NOTE,	/* no code: says in brackets why the chain stops here */
	FRAME_TASK,	/* no code: the root of the chains of a comm; its dso is the pid, or "" for all of that comm */
};

struct function {
	uint32_t name, dso;	/* strings */
	enum frame_kind kind;
};

struct location {
	uint32_t function;
	uint32_t caller;	/* the location it is inlined into; ID_NONE: a frame of the stack */
	uint32_t file;		/* a string; 0: not known */
	uint32_t line;		/* 0: not known */
	uint64_t address;	/* offset in the file; address in the kernel or JIT code */
	uint64_t offset;	/* from the start of the function; 0 if that is not known, as in an inlined one */
};

struct frames {
	VEC(const char *) strings;	/* string 0 is "" */
	struct hash strings_by_text;
	VEC(struct function) functions;
	struct id_map functions_by_key;
	VEC(struct location) locations;
};

ERROR_CHECK struct error *frames_init(struct frames *frames);
void frames_deinit(struct frames *frames);

ERROR_CHECK struct error *frames_string(struct frames *frames, const char *text, uint32_t *ret);
ERROR_CHECK struct error *frames_function(struct frames *frames, enum frame_kind kind, uint32_t name, uint32_t dso,
					  uint32_t *ret);
ERROR_CHECK struct error *frames_function_named(struct frames *frames, enum frame_kind kind, const char *name,
						const char *dso, uint32_t *ret);
ERROR_CHECK struct error *frames_location(struct frames *frames, const struct location *location, uint32_t *ret);

const char *frames_name(const struct frames *frames, uint32_t function);
const char *frames_dso(const struct frames *frames, uint32_t function);
enum frame_kind frames_kind(const struct frames *frames, uint32_t function);

/* The file name of a DSO's path. */
const char *frames_base_name(const char *path);

#endif
