#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The unit tests of the RCU family, compiled for aarch64, under qemu: check-aarch64.py SOURCE_ROOT"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

COMPILER, EMULATOR, SYSROOT = "aarch64-linux-gnu-gcc-12", "qemu-aarch64", "/usr/aarch64-linux-gnu"
OTHER_RSEQ = ["-D__rseq_offset=other_rseq_offset", "-D__rseq_size=other_rseq_size"]
# name -> source, what it is built with, options of the emulator
PROGRAMS = {
    "readers": ("readers", [], []),
    "gp": ("gp", [], []),
    "callbacks": ("callbacks", [], []),
    "hooks": ("hooks", [], []),
    "debug": ("debug", ["-DRETOUR_RCU_DEBUG"], []),
    "fork": ("fork", [], []),
    "kernel": ("kernel", [], []),
    "life": ("life", ["-Wl,--wrap=pthread_create"], []),
    "read_side": ("read_side", [], []),
    "rseq-own": ("rseq", OTHER_RSEQ, []),
    "rseq-libc": ("rseq", ["-DOTHER_LIBC", *OTHER_RSEQ], []),
    # So that signals come between any two instructions.
    "sequence": ("sequence", [], ["-singlestep"]),
}
# Not here: urcu, which is a program with containers of liburcu's, of which Debian has no library for the emulator.
# Each test runs in a process of its own, because of the first of these.
NO_THREADS = "qemu's user mode has no threads in a forked child"
OWN_STATE = "the emulator shows its own state where the kernel would show the thread's"
NOT_EMULATED = {
    "a_stall_is_reported_with_the_readers_thread": OWN_STATE,
    "a_reader_in_a_child_before_its_repair": NO_THREADS,
    "a_child_does_not_wait_for_its_parents_readers": NO_THREADS,
    "pending_callbacks_are_called_once_on_each_side": NO_THREADS,
    "a_child_does_not_wait_for_its_parents_leaders": NO_THREADS,
    "a_section_open_across_a_fork_still_protects_in_the_child": NO_THREADS,
    "a_cookie_from_before_the_fork_does_no_harm": NO_THREADS,
    "a_handler_may_fork_amid_a_wait": NO_THREADS,
    "a_thread_that_forked_inside_may_die_inside": NO_THREADS,
    "the_first_thread_may_die_inside": NO_THREADS,
    "forks_at_any_moment": NO_THREADS,
    "a_process_may_exit_with_callbacks_queued": NO_THREADS,
    "a_debugger_may_single_step_through_readers": "qemu's user mode has no ptrace",
}
SKIPPED = 77


def compile_here(root, folder, *arguments):
    subprocess.run([COMPILER, "-g", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-D_GNU_SOURCE",
                    *(f"-I{os.path.join(root, d)}" for d in ("include", "src", "tests")), *arguments], cwd=folder, check=True)


def library(root, folder, flags):
    """The objects of the library; made once for those who need nothing special."""
    objects = os.path.join(folder, "other" if flags else "library")
    if not os.path.exists(objects):
        os.mkdir(objects)
        compile_here(root, objects, *flags, "-c", *sorted(glob.glob(os.path.join(glob.escape(root), "src/rcu/*.c"))))
    return sorted(glob.glob(os.path.join(glob.escape(objects), "*.o")))


def build(root, name, folder):
    program = os.path.join(folder, name)
    source, flags, _ = PROGRAMS[name]
    special = [flag for flag in flags if flag in OTHER_RSEQ]
    compile_here(root, folder, *flags, os.path.join(root, "tests/unit/rcu", f"test_{source}.c"),
                 *library(root, folder, special), "-lpthread", "-o", program)
    return program


def run(program, *arguments):
    return subprocess.run([EMULATOR, *PROGRAMS[os.path.basename(program)][2], "-L", SYSROOT, program, *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)


def main():
    root, results = os.path.abspath(sys.argv[1]), []
    missing = [what for what in (COMPILER, EMULATOR, SYSROOT + "/lib/libc.so.6") if not shutil.which(what) and not os.path.exists(what)]
    if missing:
        print(f"1..0 # SKIP {missing[0]} is not installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in PROGRAMS:
            program = build(root, name, folder)
            for test in run(program, "--list").stdout.split():
                if test in NOT_EMULATED:
                    results.append(True)
                    print(f"ok {len(results)} {name}: {test} # SKIP {NOT_EMULATED[test]}")
                    continue
                result = run(program, "--here", test)
                results.append(result.returncode in (0, SKIPPED))
                if not results[-1]:
                    print("\n".join(f"# {line}" for line in result.stdout.split("\n")))
                reason = result.stdout.partition("# skip: ")[2].partition("\n")[0]
                directive = f" # SKIP {reason}" if result.returncode == SKIPPED else ""
                print(f"{'ok' if results[-1] else 'not ok'} {len(results)} {name}: {test}{directive}")
    print(f"1..{len(results)}")
    sys.exit(0 if results and all(results) else 1)


if __name__ == "__main__":
    main()
