/* SPDX-License-Identifier: MIT */
/*
 * Static keys: conditions that hardly ever change and cost a nop while they do not.
 *
 * A site is one instruction of five bytes.  In the file it is a jump to code
 * that loads the key and tests it, so a site is right at any time: before the
 * library knows the object, and for ever where text may not be written.  Where
 * it may, the library writes a nop over the jump as long as the key has the
 * value for which the code goes straight on.  See docs/runtime.md.
 *
 * Keys and their sites belong to one object (executable or shared library): a
 * key is hidden from others.  On other architectures than x86-64 sites always
 * load and test.  Not for -mcmodel=large, where addresses of keys are no constants.
 */
#ifndef RETOUR_STATIC_KEY_H
#define RETOUR_STATIC_KEY_H

#include "rcu_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RETOUR_HIDDEN __attribute__((visibility("hidden")))

struct retour_static_key {
	int enabled;	/* a count; 0: false */
};

/* The value of a key by a load.  Async-signal-safe. */
RETOUR_INLINE bool retour_static_key_enabled(const struct retour_static_key *key)
{
	return __atomic_load_n(&key->enabled, __ATOMIC_RELAXED) != 0;
}

/* One site, as the assembly below writes it: places relative to the field itself. */
struct retour_static_site {
	int code;		/* the instruction */
	int target;		/* where its jump leads */
	unsigned long key;	/* struct retour_static_key *, | 1 if the code goes straight on when it is true */
};

#if defined(__GNUC__) && !defined(__clang__)
#define RETOUR_COLD_LABEL_ __attribute__((cold))
#else
#define RETOUR_COLD_LABEL_
#endif

#if defined(__x86_64__)

/*
 * Straight on, or to the C label `test`.  The two bytes that are replaced
 * together lie in one aligned quadword, whose stores processors do not tear:
 * where they would not, the instruction gets a prefix without effect.  A nop would be
 * one more instruction.  `first` is another such prefix, or nothing.
 * The section's group is that of the code: discarded functions take theirs along.
 */
#define RETOUR_STATIC_PREFIX_ "0x67"
#define RETOUR_STATIC_SITE_(first, through, test)                              \
	first                                                                  \
	".p2align 3, " RETOUR_STATIC_PREFIX_ ", 1\n"                           \
	"771: .byte 0xe9\n\t"                                                  \
	".long %l[" #test "] - (771b + 5)\n\t"                                 \
	".pushsection retour_static_sites, \"aw?\"\n\t"                        \
	".balign 8\n\t"                                                        \
	".long 771b - ., %l[" #test "] - .\n\t"                                \
	".quad %c[retour_key] + " #through "\n\t"                              \
	".popsection\n\t"

#define RETOUR_STATIC_BRANCH_(function, key, through)                          \
	RETOUR_INLINE bool function(void)                                      \
	{                                                                      \
		__asm__ goto(RETOUR_STATIC_SITE_("", through, retour_test)             \
			     : : [retour_key] "i"(&(key)) : : retour_test);    \
		return (through);                                              \
	retour_test: RETOUR_COLD_LABEL_;                                       \
		return retour_static_key_enabled(&(key));                      \
	}

#else
#define RETOUR_STATIC_BRANCH_(function, key, through)                          \
	RETOUR_INLINE bool function(void)                                      \
	{                                                                      \
		return retour_static_key_enabled(&(key));                      \
	}
#endif

#ifdef __cplusplus
#define RETOUR_EXTERN_C_ extern "C"
#else
#define RETOUR_EXTERN_C_ extern
#endif

#define RETOUR_STATIC_KEY_(name, enabled)                                      \
	RETOUR_EXTERN_C_ RETOUR_HIDDEN struct retour_static_key name;          \
	RETOUR_STATIC_BRANCH_(retour_static_unlikely_##name, name, 0)          \
	RETOUR_STATIC_BRANCH_(retour_static_likely_##name, name, 1)            \
	__attribute__((weak)) struct retour_static_key name = { enabled }

/* A key that starts as false or true: at file scope, in a header too; it is one in an object. */
#define RETOUR_STATIC_KEY_FALSE(name) RETOUR_STATIC_KEY_(name, 0)
#define RETOUR_STATIC_KEY_TRUE(name) RETOUR_STATIC_KEY_(name, 1)

/* The value of the key with this name; the code goes straight on if it is false, or true.  Async-signal-safe. */
#define retour_static_branch_unlikely(name) __builtin_expect(retour_static_unlikely_##name(), 0)
#define retour_static_branch_likely(name) __builtin_expect(retour_static_likely_##name(), 1)

/*
 * Switch a key, by value or by count.  When they return, all threads see it at
 * all its sites.  0; or the -errno of the mprotect() that was refused, if text
 * could be written when its object was loaded and cannot be now: the key is
 * switched, and sites of that object stay as they are.  From any thread, not
 * from signal handlers.
 */
RETOUR_API int retour_static_key_enable(struct retour_static_key *key);
RETOUR_API int retour_static_key_disable(struct retour_static_key *key);
RETOUR_API int retour_static_key_inc(struct retour_static_key *key);
RETOUR_API int retour_static_key_dec(struct retour_static_key *key);

/*
 * Between the two, which nest, switches of the calling thread, those of
 * tracepoints too, may take effect as late as at the end, all at once: the
 * price is in the batch, not in the sites.  The end returns what the switches would have.
 */
RETOUR_API void retour_static_key_batch_begin(void);
RETOUR_API int retour_static_key_batch_end(void);

/*
 * What the library knows of an object.  Each file that includes this makes it
 * known when it is loaded and forgotten when it is closed; once is enough.
 */
struct retour_tracepoint;

struct retour_object {
	struct retour_static_site *sites, *sites_end;
	struct retour_tracepoint **tracepoints, **tracepoints_end;
	/* the library's: */
	struct retour_object *next;
	bool known;
	int protection;				/* of its text */
	unsigned long text, text_end;
	unsigned long open, open_end;		/* the part of it that can be written just now */
};

/* Not to be called directly. */
RETOUR_API void retour_object_coming(struct retour_object *object);
RETOUR_API void retour_object_going(struct retour_object *object);

/* The library's own files have no sites. */
#ifndef RETOUR_NO_SITES
extern RETOUR_HIDDEN __attribute__((weak)) struct retour_static_site __start_retour_static_sites[],
	__stop_retour_static_sites[];
extern RETOUR_HIDDEN __attribute__((weak)) struct retour_tracepoint *__start_retour_tracepoints[],
	*__stop_retour_tracepoints[];

RETOUR_HIDDEN __attribute__((weak)) struct retour_object retour_object_ = {
	__start_retour_static_sites, __stop_retour_static_sites,
	__start_retour_tracepoints, __stop_retour_tracepoints,
	NULL, false, 0, 0, 0, 0, 0
};

__attribute__((constructor(101))) static void retour_object_coming_(void)
{
	retour_object_coming(&retour_object_);
}

__attribute__((destructor(101))) static void retour_object_going_(void)
{
	retour_object_going(&retour_object_);
}
#endif

#ifdef __cplusplus
}
#endif
#endif
