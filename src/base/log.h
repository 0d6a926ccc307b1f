/* SPDX-License-Identifier: MIT */
/*
 * The log callback.  Library code never prints; what is worth telling but is
 * no error goes through log_message(), and whoever set a callback shows it.
 * Without a callback messages vanish.
 */
#ifndef RETOUR_BASE_LOG_H
#define RETOUR_BASE_LOG_H

enum log_level { LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

typedef void (*log_fn)(enum log_level level, const char *text, void *arg);

/* Set before threads start; fn may be NULL. */
void log_set_callback(log_fn fn, void *arg);

__attribute__((format(printf, 2, 3)))
void log_message(enum log_level level, const char *fmt, ...);

#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
