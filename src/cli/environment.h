/* SPDX-License-Identifier: MIT */
/* What stands between this process and the machine: namespaces, containers, another root, lost privileges. */
#ifndef RETOUR_CLI_ENVIRONMENT_H
#define RETOUR_CLI_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The text behind "KEY:" in /proc/self/status; false if there is none. */
bool environment_status(const char *key, char *ret, size_t size);

/* Are these the file systems themselves, and not folders of their name? */
bool environment_has_proc(void);
bool environment_has_sys(void);

/* The effective ones, a bit each. */
uint64_t environment_capabilities(void);
bool environment_is_initial_user_namespace(void);
bool environment_is_initial_pid_namespace(void);
/* Tells by what a container was recognised; false if by nothing. */
bool environment_is_container(char *ret, size_t size);
bool environment_is_chroot(void);
/* What the cgroup may use, in bytes; UINT64_MAX: there is no limit, or none that can be read. */
uint64_t environment_memory_limit(void);
/* Do setuid programs and file capabilities work? */
bool environment_may_gain_privileges(void);

#endif
