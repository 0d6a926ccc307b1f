/* SPDX-License-Identifier: MIT */
/* The log callback; see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static log_fn callback;
static void *callback_arg;

void log_set_callback(log_fn fn, void *arg)
{
	callback = fn;
	callback_arg = arg;
}

void log_message(enum log_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!callback)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	callback(level, text, callback_arg);
}
