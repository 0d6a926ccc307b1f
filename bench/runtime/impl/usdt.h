/* SPDX-License-Identifier: MIT */
/* The nop of <sys/sdt.h>, that of Debian's systemtap-sdt-dev. */
#include <sys/sdt.h>

#define FIRE(a, b) DTRACE_PROBE2(bench, event, a, b)
#define DECLARE_SITE(name)
#define FIRE_SITE(name, a, b) DTRACE_PROBE2(bench, name, a, b)
#define FLUSH_SITE(name)
