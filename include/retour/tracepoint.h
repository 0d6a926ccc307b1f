/* SPDX-License-Identifier: MIT */
/*
 * Tracepoints: named places with typed fields, to which probes can be attached.
 *
 *	RETOUR_TRACEPOINT(app, request, (int, id), (const char *, path));
 *
 * in a header, outside of functions, is all of a declaration, in C and in C++,
 * with up to twelve fields of scalar types (a long double is recorded as double).  It gives
 *
 *	void trace_app_request(int id, const char *path);
 *	bool trace_app_request_enabled(void);
 *	int register_trace_app_request(void (*probe)(void *data, int id, const char *path), void *data);
 *	int unregister_trace_app_request(the same);
 *
 * trace_app_request() may stand anywhere: in signal handlers, in other probes,
 * with any lock held; but not where the child of a vfork() comes by while there
 * are probes (see srcu.h).  While no probe is registered it is a nop.
 *
 * It is a function, so its arguments are evaluated whether it is on or off, and
 * what has to be computed is computed first: it is where the note below says.  No
 * declaration can change that in C, for none can define a macro; a second line can:
 *
 *	#define trace_app_request(...) RETOUR_TRACE(app_request, (__VA_ARGS__))
 *
 * evaluates them only if the tracepoint is on, calls and side effects included,
 * and (trace_app_request)(id, path) is still the function.  At such a site the
 * note has no arguments, for there are none when it is off.
 *
 * Probes are called in the order of their registration, in an SRCU section that
 * is not instrumented, retour_tracepoint_srcu, and must not block for long.
 * Those of a RETOUR_TRACEPOINT_FAULTABLE() run in a tasks-trace section and may.
 * A probe must not fire its own tracepoint.
 *
 * Tracepoints are one across the objects of a process if provider, name and
 * fields are the same: a probe registered in one object is called from the
 * others, and from those that are loaded later.
 *
 * Each trace_app_request() also has a note (.note.stapsdt: app, request, and where
 * the arguments are) by which perf, bpftrace and gdb find it.
 */
#ifndef RETOUR_TRACEPOINT_H
#define RETOUR_TRACEPOINT_H

#include <stdint.h>

#include "srcu.h"
#include "static_key.h"
#include "tracepoint_map.h"

#ifdef __cplusplus
extern "C" {
#endif

enum retour_field_kind {
	RETOUR_FIELD_SIGNED,
	RETOUR_FIELD_UNSIGNED,	/* bool, too */
	RETOUR_FIELD_FLOAT,
	RETOUR_FIELD_STRING,	/* char *: the characters up to a 0; NULL is possible */
	RETOUR_FIELD_POINTER
};

struct retour_tracepoint_field {
	const char *name;	/* NULL ends an array of fields */
	const char *type;	/* as it was written */
	unsigned short size;	/* in bytes */
	unsigned short kind;	/* enum retour_field_kind */
};

struct retour_tracepoint_func {
	void (*func)(void);	/* NULL ends an array of probes */
	void *data;
};

/* All that is known of a tracepoint in one object; only the first line is for others than the library. */
struct retour_tracepoint {
	const char *provider, *name;
	const struct retour_tracepoint_field *fields;
	bool faultable;
	bool known;
	struct retour_static_key key;
	struct retour_tracepoint_func *funcs;
	struct retour_tracepoint *next;
	struct retour_tracepoint *twin;	/* the same tracepoint in other objects, in a circle */
	unsigned int hash;		/* of its names */
};

/* The domain of ordinary tracepoints' probes. */
extern RETOUR_API struct retour_srcu_struct retour_tracepoint_srcu;

/*
 * Adds a probe at the end; 0, -EEXIST if it is there with the same data,
 * -ENOMEM, or what retour_static_key_enable() returns: then it is added all the
 * same.  Takes effect at all sites before it returns.  Like the next two from
 * any thread and from probes, not from signal handlers.
 */
RETOUR_API int retour_tracepoint_probe_register(struct retour_tracepoint *tp, void (*probe)(void), void *data);

/*
 * Takes a probe out; 0, -ENOENT if it is not there.  It may still be running, and
 * be called by threads that are on their way: see the next.
 */
RETOUR_API int retour_tracepoint_probe_unregister(struct retour_tracepoint *tp, void (*probe)(void), void *data);

/*
 * Waits until no probe that was unregistered before is running or will be
 * called, of either kind of tracepoint: then their data may be freed and their
 * object closed.  Not from a probe.
 */
RETOUR_API void retour_tracepoint_synchronize_unregister(void);

/*
 * Calls fn for each tracepoint of the process, once also if several objects
 * have it, until it returns something else than 0, and returns that.  What it is
 * given is valid during the call; fn must not register.
 */
RETOUR_API int retour_tracepoint_for_each(int (*fn)(const struct retour_tracepoint *tp, void *arg), void *arg);

/*
 * Has fn called for each tracepoint that an object brings along from now on,
 * once for its name, in the thread that loads it, amid the loading; fn must not
 * register.  NULL: no more.  For tracers that want tracepoints by pattern.
 */
RETOUR_API void retour_tracepoint_set_coming(void (*fn)(const struct retour_tracepoint *tp, void *arg), void *arg);

/*
 * The probe of recorders, which fits every tracepoint: the object that fires it
 * makes an array of the arguments, each the lowest bytes of its value, long double
 * as double, and calls record with it and with the address of the site.  Its data are:
 */
#define RETOUR_TRACEPOINT_RECORD ((void (*)(void))8)
struct retour_tracepoint_recorder {
	void (*record)(struct retour_tracepoint_recorder *recorder, const uint64_t *values, const void *site);
};

RETOUR_INLINE uint64_t retour_tracepoint_value_(const void *value, size_t size, unsigned int kind)
{
	long double wide;
	double narrow;
	uint64_t ret = 0;

	if (kind == RETOUR_FIELD_FLOAT && size == sizeof(wide)) {
		__builtin_memcpy(&wide, value, sizeof(wide));
		narrow = (double)wide;
		__builtin_memcpy(&ret, &narrow, sizeof(ret));
	} else {
		__builtin_memcpy(&ret, value, size < sizeof(ret) ? size : sizeof(ret));
	}
	return ret;
}

/* Of a note's argument: constants in memory have addresses by labels, which gdb and perf do not take. */
RETOUR_INLINE uint32_t retour_noted_float_(float value)
{
	uint32_t bits;

	__builtin_memcpy(&bits, &value, sizeof(bits));
	return bits;
}

RETOUR_INLINE uint64_t retour_noted_double_(double value)
{
	uint64_t bits;

	__builtin_memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* From the name of a tracepoint: NULL if there is none.  Valid as long as its object is loaded. */
RETOUR_API struct retour_tracepoint *retour_tracepoint_find(const char *provider, const char *name);

#ifdef __cplusplus
} /* extern "C" */

extern "C++" {
template <typename T> struct retour_field_of_ {
	static constexpr unsigned short kind = T(0.5) != T(0) ? RETOUR_FIELD_FLOAT :
		T(-1) < T(1) ? RETOUR_FIELD_SIGNED : RETOUR_FIELD_UNSIGNED;
};
template <typename T> struct retour_field_of_<T *> {
	static constexpr unsigned short kind = RETOUR_FIELD_POINTER;
};
template <> struct retour_field_of_<bool> {
	static constexpr unsigned short kind = RETOUR_FIELD_UNSIGNED;
};
template <> struct retour_field_of_<char *> {
	static constexpr unsigned short kind = RETOUR_FIELD_STRING;
};
template <> struct retour_field_of_<const char *> : retour_field_of_<char *> {};
template <typename T> struct retour_field_of_<const T> : retour_field_of_<T> {};
}
#define RETOUR_FIELD_KIND_(type) retour_field_of_<type>::kind
extern "C++" {
template <typename T> RETOUR_INLINE T retour_noted_(T value)
{
	return value;
}
RETOUR_INLINE uint32_t retour_noted_(float value)
{
	return retour_noted_float_(value);
}
RETOUR_INLINE uint64_t retour_noted_(double value)
{
	return retour_noted_double_(value);
}
RETOUR_INLINE uint64_t retour_noted_(long double value)
{
	return retour_noted_double_(static_cast<double>(value));
}
}
#define RETOUR_TP_NOTED_(type, name) retour_noted_(name)
#else
/* clang-format off */
#define RETOUR_FIELD_KIND_(type) __extension__ _Generic((type)0,               \
	char *: RETOUR_FIELD_STRING, const char *: RETOUR_FIELD_STRING,        \
	float: RETOUR_FIELD_FLOAT, double: RETOUR_FIELD_FLOAT, long double: RETOUR_FIELD_FLOAT, \
	char: (char)-1 < 0 ? RETOUR_FIELD_SIGNED : RETOUR_FIELD_UNSIGNED,      \
	signed char: RETOUR_FIELD_SIGNED, short: RETOUR_FIELD_SIGNED, int: RETOUR_FIELD_SIGNED, \
	long: RETOUR_FIELD_SIGNED, long long: RETOUR_FIELD_SIGNED,             \
	_Bool: RETOUR_FIELD_UNSIGNED, unsigned char: RETOUR_FIELD_UNSIGNED,    \
	unsigned short: RETOUR_FIELD_UNSIGNED, unsigned int: RETOUR_FIELD_UNSIGNED, \
	unsigned long: RETOUR_FIELD_UNSIGNED, unsigned long long: RETOUR_FIELD_UNSIGNED, \
	default: RETOUR_FIELD_POINTER)
#define RETOUR_TP_IF_(type, wanted, name) _Generic((type)0, wanted: name, default: 0)
#define RETOUR_TP_NOTED_(type, name) __extension__ _Generic((type)0,           \
	float: retour_noted_float_(RETOUR_TP_IF_(type, float, name)),          \
	double: retour_noted_double_(RETOUR_TP_IF_(type, double, name)),       \
	long double: retour_noted_double_((double)RETOUR_TP_IF_(type, long double, name)), \
	default: name)
/* clang-format on */
#endif

/* Of one field. */
#define RETOUR_TP_PARAM_(type, name) type name
#define RETOUR_TP_TYPE_(type, name) type
#define RETOUR_TP_NAME_(type, name) name
#define RETOUR_TP_VALUE_(type, name) \
	retour_tracepoint_value_((const void *)&name, sizeof(name), RETOUR_FIELD_KIND_(type))
#define RETOUR_TP_FIELD_(type, name) { #name, #type, sizeof(type), RETOUR_FIELD_KIND_(type) }
#define RETOUR_TP_IS_SIGNED_(type) (RETOUR_FIELD_KIND_(type) == RETOUR_FIELD_SIGNED)

#if defined(__x86_64__)

/*
 * An argument of a note, SIZE@PLACE, the size negative if it is signed; %n prints what it is given negated.
 * Floating-point numbers are their bits, a long double, for which notes have no size, those of a double.
 */
#define RETOUR_TP_OPERAND_(type, name)                                         \
	[retour_size_##name] "n"((RETOUR_TP_IS_SIGNED_(type) ? 1 : -1) *       \
				 (int)sizeof(RETOUR_TP_NOTED_(type, name))),   \
	[retour_arg_##name] "nor"(RETOUR_TP_NOTED_(type, name))
#define RETOUR_TP_SPEC_(type, name) "%n[retour_size_" #name "]@%[retour_arg_" #name "]"

/* The format of <sys/sdt.h>: version 3 of notes of type stapsdt, no semaphore; the base shows what prelink moved. */
#define RETOUR_TP_NOTE_(provider, name, specs)                                 \
	".pushsection .note.stapsdt, \"?\", \"note\"\n\t"                      \
	".balign 4\n\t"                                                        \
	".4byte 775f - 774f, 777f - 776f, 3\n"                                 \
	"774:\t.asciz \"stapsdt\"\n"                                           \
	"775:\t.balign 4\n"                                                    \
	"776:\t.8byte 770b, _.stapsdt.base, 0\n\t"                             \
	".asciz \"" #provider "\"\n\t"                                         \
	".asciz \"" #name "\"\n\t"                                             \
	".asciz \"" specs "\"\n"                                               \
	"777:\t.balign 4\n\t"                                                  \
	".popsection\n\t"                                                      \
	".ifndef _.stapsdt.base\n\t"                                           \
	".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n\t" \
	".weak _.stapsdt.base\n\t"                                             \
	".hidden _.stapsdt.base\n"                                             \
	"_.stapsdt.base:\t.space 1\n\t"                                        \
	".size _.stapsdt.base, 1\n\t"                                          \
	".popsection\n\t"                                                      \
	".endif\n\t"

/*
 * A prefix in front of the site, which the note points to: a breakpoint, be it
 * gdb's or the kernel's, replaces this byte and puts it back, whatever has become of
 * the others meanwhile.
 */
#define RETOUR_TP_FIRST_ "770: .byte " RETOUR_STATIC_PREFIX_ "\n\t"

/* Straight on if the tracepoint is off, else to the label. */
#define RETOUR_TP_SITE_(provider, name, tp, operands, specs)                   \
	__asm__ goto(RETOUR_STATIC_SITE_(RETOUR_TP_FIRST_, 0, retour_test)     \
		     RETOUR_TP_NOTE_(provider, name, specs)                    \
		     :                                                         \
		     : [retour_key] "i"(&(tp).key) RETOUR_STRIP_ operands      \
		     : : retour_test)
#else
#define RETOUR_TP_SITE_(provider, name, tp, operands, specs) goto retour_test
#define RETOUR_TP_OPERAND_(type, name)
#define RETOUR_TP_SPEC_(type, name) ""
#endif

/* The read side of either kind. */
#define RETOUR_TP_MAY_FAULT_ordinary false
#define RETOUR_TP_LOCK_ordinary() retour_srcu_read_lock_fast_notrace(&retour_tracepoint_srcu)
#define RETOUR_TP_UNLOCK_ordinary(bank) retour_srcu_read_unlock_fast_notrace(&retour_tracepoint_srcu, bank)
#define RETOUR_TP_MAY_FAULT_faultable true
#define RETOUR_TP_LOCK_faultable() retour_rcu_read_lock_tasks_trace_notrace()
#define RETOUR_TP_UNLOCK_faultable(bank) retour_rcu_read_unlock_tasks_trace_notrace(bank)

#define RETOUR_TP_QUIET_ __attribute__((unused, no_instrument_function))

/* Behind the call of the probes: a tail call would take who fires off the chain. */
#define RETOUR_TP_CALLED_ __asm__ volatile("")

/* Away from what runs while tracepoints are off, yet compiled for speed, which `cold` is not. */
#define RETOUR_TP_ASIDE_ __attribute__((noinline, section(".text.unlikely.retour")))

/*
 * params, args, types: of the fields, in parentheses; the more_ ones begin with a
 * comma if there are any.  Weak and hidden: one in an object, in as many files as include it.
 */
#define RETOUR_TP_BODY_(kind, provider, tpname, id, params, args, more_params, more_args, more_types, \
			more_operands, specs, fields, values)                  \
	static const struct retour_tracepoint_field retour_fields_##id[] = {   \
		RETOUR_STRIP_ fields                                           \
	};                                                                     \
	RETOUR_EXTERN_C_ RETOUR_HIDDEN struct retour_tracepoint retour_tracepoint_##id; \
	__attribute__((weak)) struct retour_tracepoint retour_tracepoint_##id = { \
		#provider, #tpname, retour_fields_##id, RETOUR_TP_MAY_FAULT_##kind, false, { 0 }, NULL, NULL, \
		NULL, 0                                                        \
	};                                                                     \
	RETOUR_TP_ASIDE_ RETOUR_TP_QUIET_                                      \
	static void trace_call_##id params                                     \
	{                                                                      \
		struct retour_srcu_bank *retour_bank = RETOUR_TP_LOCK_##kind(); \
		/* (P) pairs with (Q): the probes before the pointer to them. */ \
		struct retour_tracepoint_func *retour_func =                   \
			retour_rcu_dereference_raw_notrace(retour_tracepoint_##id.funcs); \
		void (*retour_probe)(void);                                    \
		while (retour_func && (retour_probe = __atomic_load_n(&retour_func->func, __ATOMIC_RELAXED))) { \
			if (retour_probe == RETOUR_TRACEPOINT_RECORD) {        \
				const uint64_t retour_values[] = { RETOUR_STRIP_ values }; \
				struct retour_tracepoint_recorder *retour_recorder = \
					(struct retour_tracepoint_recorder *)retour_func->data; \
				retour_recorder->record(retour_recorder, retour_values, __builtin_return_address(0)); \
			} else {                                               \
				((void (*)(void *RETOUR_STRIP_ more_types))retour_probe) \
					(retour_func->data RETOUR_STRIP_ more_args); \
			}                                                      \
			retour_func++;                                         \
		}                                                              \
		RETOUR_TP_UNLOCK_##kind(retour_bank);                     \
	}                                                                      \
	RETOUR_INLINE void trace_##id params                                   \
	{                                                                      \
		RETOUR_TP_SITE_(provider, tpname, retour_tracepoint_##id, more_operands, specs); \
		return;                                                        \
	retour_test: RETOUR_COLD_LABEL_;                                       \
		if (retour_unlikely(retour_static_key_enabled(&retour_tracepoint_##id.key))) { \
			trace_call_##id args;                                  \
			RETOUR_TP_CALLED_;                                     \
		}                                                              \
	}                                                                      \
	/* The site of RETOUR_TRACE(): there are no arguments yet. */          \
	RETOUR_INLINE bool trace_site_##id(void)                               \
	{                                                                      \
		RETOUR_TP_SITE_(provider, tpname, retour_tracepoint_##id, (), ""); \
		return false;                                                  \
	retour_test: RETOUR_COLD_LABEL_;                                       \
		return retour_static_key_enabled(&retour_tracepoint_##id.key); \
	}                                                                      \
	RETOUR_STATIC_BRANCH_(trace_##id##_enabled, retour_tracepoint_##id.key, 0) \
	RETOUR_TP_QUIET_ static __inline__ int                                 \
	register_trace_##id(void (*probe)(void *retour_data RETOUR_STRIP_ more_params), void *data) \
	{                                                                      \
		return retour_tracepoint_probe_register(&retour_tracepoint_##id, (void (*)(void))probe, data); \
	}                                                                      \
	RETOUR_TP_QUIET_ static __inline__ int                                 \
	unregister_trace_##id(void (*probe)(void *retour_data RETOUR_STRIP_ more_params), void *data) \
	{                                                                      \
		return retour_tracepoint_probe_unregister(&retour_tracepoint_##id, (void (*)(void))probe, data); \
	}                                                                      \
	__attribute__((section("retour_tracepoints"), used))                   \
	static struct retour_tracepoint *retour_tracepoint_pointer_##id = &retour_tracepoint_##id

#define RETOUR_TP_END_ { NULL, NULL, 0, 0 }
#define RETOUR_TP_NONE_(kind, provider, name)                                 \
	RETOUR_TP_BODY_(kind, provider, name, provider##_##name, (void), (), (), (), (), (), "", (RETOUR_TP_END_), \
			(0))
#define RETOUR_TP_SOME_(kind, map, provider, name, ...)                       \
	RETOUR_TP_BODY_(kind, provider, name, provider##_##name,              \
			(map(RETOUR_TP_PARAM_, RETOUR_COMMA_, __VA_ARGS__)),   \
			(map(RETOUR_TP_NAME_, RETOUR_COMMA_, __VA_ARGS__)),    \
			(, map(RETOUR_TP_PARAM_, RETOUR_COMMA_, __VA_ARGS__)), \
			(, map(RETOUR_TP_NAME_, RETOUR_COMMA_, __VA_ARGS__)),  \
			(, map(RETOUR_TP_TYPE_, RETOUR_COMMA_, __VA_ARGS__)),  \
			(, map(RETOUR_TP_OPERAND_, RETOUR_COMMA_, __VA_ARGS__)), \
			map(RETOUR_TP_SPEC_, RETOUR_SPACE_, __VA_ARGS__),      \
			(map(RETOUR_TP_FIELD_, RETOUR_COMMA_, __VA_ARGS__), RETOUR_TP_END_), \
			(map(RETOUR_TP_VALUE_, RETOUR_COMMA_, __VA_ARGS__)))

#define RETOUR_TP_2(kind, provider, name) RETOUR_TP_NONE_(kind, provider, name)
#define RETOUR_TP_3(kind, ...) RETOUR_TP_SOME_(kind, RETOUR_MAP_1, __VA_ARGS__)
#define RETOUR_TP_4(kind, ...) RETOUR_TP_SOME_(kind, RETOUR_MAP_2, __VA_ARGS__)
#define RETOUR_TP_5(kind, ...) RETOUR_TP_SOME_(kind, RETOUR_MAP_3, __VA_ARGS__)
#define RETOUR_TP_6(kind, ...) RETOUR_TP_SOME_(kind, RETOUR_MAP_4, __VA_ARGS__)
#define RETOUR_TP_7(kind, ...) RETOUR_TP_SOME_(kind, RETOUR_MAP_5, __VA_ARGS__)
#define RETOUR_TP_8(kind, ...) RETOUR_TP_SOME_(kind, RETOUR_MAP_6, __VA_ARGS__)
#define RETOUR_TP_9(kind, ...) RETOUR_TP_SOME_(kind, RETOUR_MAP_7, __VA_ARGS__)
#define RETOUR_TP_10(kind, ...) RETOUR_TP_SOME_(kind, RETOUR_MAP_8, __VA_ARGS__)
#define RETOUR_TP_11(kind, ...) RETOUR_TP_SOME_(kind, RETOUR_MAP_9, __VA_ARGS__)
#define RETOUR_TP_12(kind, ...) RETOUR_TP_SOME_(kind, RETOUR_MAP_10, __VA_ARGS__)
#define RETOUR_TP_13(kind, ...) RETOUR_TP_SOME_(kind, RETOUR_MAP_11, __VA_ARGS__)
#define RETOUR_TP_14(kind, ...) RETOUR_TP_SOME_(kind, RETOUR_MAP_12, __VA_ARGS__)
#define RETOUR_TP_DECLARE_(kind, count, ...) RETOUR_PASTE_(RETOUR_TP_, count)(kind, __VA_ARGS__)

/* RETOUR_TRACEPOINT(provider, name, (type, field), ...); and the same for probes that may block. */
#define RETOUR_TRACEPOINT(...) RETOUR_TP_DECLARE_(ordinary, RETOUR_COUNT_(__VA_ARGS__), __VA_ARGS__)
#define RETOUR_TRACEPOINT_FAULTABLE(...) RETOUR_TP_DECLARE_(faultable, RETOUR_COUNT_(__VA_ARGS__), __VA_ARGS__)

/* RETOUR_TRACE(provider_name, (arguments)): an expression of type void that evaluates them only if the tracepoint is on. */
#define RETOUR_TRACE(id, arguments)                                            \
	(retour_unlikely(trace_site_##id()) ? __extension__ ({ trace_call_##id arguments; RETOUR_TP_CALLED_; }) : (void)0)

#endif
