#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The public headers compile without a warning, in every way a user may: check-headers.py INCLUDE_FOLDER"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools"))
from tap import Tap

COMPILERS = ["gcc -std=c11", "gcc -std=gnu17", "clang -std=c11", "clang --target=aarch64-linux-gnu -std=c11", "g++ -std=c++11",
             "g++ -std=c++17", "g++ -std=c++20", "clang++ -std=c++17", "clang++ -std=c++20"]
# Where what the headers need is an extension.
OLD_COMPILERS = ["gcc -std=c89", "gcc -std=gnu99", "clang -std=c89"]
VARIANTS = ["-O2", "-O0", "-O2 -fPIC", "-O2 -DRETOUR_RCU_DEBUG", "-O2 -DRETOUR_TORTURE", "-O2 -fsanitize=thread"]
WARNINGS = "-Wall -Wextra -Wpedantic -Wshadow -Wundef -Werror"
USER = r"""
#include <retour/srcu.h>
#include <retour/rcu.h>
#include <retour/trace_rcu.h>
#include <retour/trace_ring.h>
RETOUR_STATIC_KEY_TRUE(key);
RETOUR_TRACEPOINT(app, request, (int, id), (const char *, path), (bool, last), (double, load),
	(const long double, wide));
RETOUR_TRACEPOINT_FAULTABLE(app, tick);
struct item { int value; struct retour_rcu_head head; };
RETOUR_DEFINE_STATIC_SRCU_FAST(one);
RETOUR_DEFINE_SRCU_FAST_UPDOWN(two);
static struct item *items;
void done(struct retour_rcu_head *head);
int use(void);
int use(void)
{
	retour_guard_rcu();
	retour_guard_srcu_fast(&one);
	retour_guard_srcu_fast_updown(&two);
	retour_guard_rcu_tasks_trace();
	struct item *item = retour_rcu_dereference(items);
	int sum = item->value + retour_srcu_dereference(items, &one)->value;
	sum += retour_rcu_dereference_tasks_trace(items)->value;
	retour_srcu_up_read_fast(&two, retour_srcu_down_read_fast(&two));
	retour_rcu_assign_pointer(items, (struct item *)0);
	retour_call_rcu(&item->head, done);
	retour_call_srcu(&one, &item->head, done);
	trace_app_request(sum, "path", true, 0.5, 0.25L);
	trace_app_tick();
	RETOUR_TRACE(app_request, (sum++, "path", false, 1.5, 0));
	if (retour_static_branch_likely(key) && !retour_static_branch_unlikely(key) && trace_app_tick_enabled())
		sum++;
	retour_cond_synchronize_rcu(retour_start_poll_synchronize_rcu());
	return sum;
}
"""
OLD_USER = r"""
#include <retour/tracepoint.h>
RETOUR_TRACEPOINT(app, request, (int, id), (const char *, path), (long double, wide));
void use(int n);
void use(int n)
{
	trace_app_request(n, "path", 0.5);
}
"""
# A declaration of the library and what stands before it.
DECLARATION = re.compile(r"(?:^|\n)((?:[^\n]*\n){2})(?:extern )?(RETOUR_API [^;{]*;)")


def compile_problems(include, language, compiler, text, folder, warnings=WARNINGS):
    source = os.path.join(folder, "user." + language)
    with open(source, "w", encoding="utf-8") as f:
        f.write(text)
    for variant in VARIANTS:
        run = subprocess.run([*compiler.split(), *variant.split(), *warnings.split(), "-I", include, "-c", source, "-o",
                              os.path.join(folder, "user.o")], stderr=subprocess.PIPE, text=True)
        if run.returncode:
            yield f"{compiler} {variant}: {run.stderr}"


def main():
    include, tap = sys.argv[1], Tap()
    headers = sorted(os.path.basename(h) for h in glob.glob(os.path.join(glob.escape(include), "retour", "*.h")))
    alone = "".join(f"#include <retour/{h}>\n" for h in headers if "urcu" not in h)
    with tempfile.TemporaryDirectory() as folder:
        for compiler in COMPILERS:
            if not shutil.which(compiler.split()[0]):
                print(f"# {compiler.split()[0]} is not installed")
                continue
            language = "cpp" if "++" in compiler else "c"
            tap.check(f"{compiler}: no warning",
                      (p for text in (USER, alone) for p in compile_problems(include, language, compiler, text, folder)))
        for compiler in filter(lambda c: shutil.which(c.split()[0]), OLD_COMPILERS):
            tap.check(f"{compiler}: no warning", compile_problems(include, "c", compiler, OLD_USER, folder, "-Wall -Wextra -Werror"))
    tap.finish()


if __name__ == "__main__":
    main()
