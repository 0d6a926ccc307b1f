/* SPDX-License-Identifier: MIT */
/*
 * Errors of library code: an object with a code and one sentence.
 *
 * A function that can fail returns `struct error *`, NULL for success, and
 * leaves its outputs untouched on failure.  The sentence says what failed and
 * on which file or process; cli/ prints it and decides the exit status.
 */
#ifndef RETOUR_BASE_ERROR_H
#define RETOUR_BASE_ERROR_H

struct error {
	int code;	/* an errno value */
	char *text;	/* owned by the object */
};

#define ERROR_CHECK __attribute__((warn_unused_result))
#define ERROR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* A new error.  Never NULL: without memory it is a static "out of memory". */
ERROR_CHECK ERROR_PRINTF(2, 3)
struct error *error_new(int code, const char *fmt, ...);

/* As error_new(), with ": strerror(code)" appended. */
ERROR_CHECK ERROR_PRINTF(2, 3)
struct error *error_errno(int code, const char *fmt, ...);

/* Puts "text: " before the sentence of err; consumes err, returns the new one. */
ERROR_CHECK ERROR_PRINTF(2, 3)
struct error *error_wrap(struct error *err, const char *fmt, ...);

ERROR_CHECK struct error *error_nomem(void);

/* Accepts NULL. */
void error_free(struct error *err);

#endif
