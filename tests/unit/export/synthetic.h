/* SPDX-License-Identifier: MIT */
/* A recording whose every sample is known. */
#ifndef RETOUR_TEST_SYNTHETIC_H
#define RETOUR_TEST_SYNTHETIC_H

/*
 * Writes it; exits with a message if that fails.  Task "prog" (pid 100), of
 * /nonexistent/prog and libfoo.so:
 *	60 complete chains; of these 10 share a walk with another
 *	20 complete chains that go on into the kernel
 *	10 truncated in libfoo.so for want of unwind information
 *	 5 missing because of exec, with kernel frames
 * Task "kworker/0:1" (pid 2): 3 kernel chains.
 * Task SYNTHETIC_HOSTILE (pid 200): 4 complete chains in SYNTHETIC_HOSTILE_DSO.
 */
void synthetic_write(const char *path);

#define SYNTHETIC_SAMPLES 102
#define SYNTHETIC_HOSTILE "</script>;<b>"
#define SYNTHETIC_HOSTILE_DSO "/x/<img src=x onerror=alert(1)>\n\"\xff.so"

#endif
