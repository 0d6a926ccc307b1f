#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The unit tests of the RCU family, compiled for aarch64, under qemu: check-aarch64.py SOURCE_ROOT"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

# Debian's cross gcc cannot be installed beside gcc-multilib.
COMPILER, EMULATOR, LIBC = "clang", "qemu-aarch64", "/usr/aarch64-linux-gnu/lib/libc.a"
# qemu's user mode has no threads in a forked child, so each test runs in a process of its own, and fork's not at all.
PROGRAMS = {"readers": [], "gp": [], "callbacks": [], "hooks": [], "debug": ["-DRETOUR_RCU_DEBUG"]}
# The emulator shows its own state where the kernel would show the thread's.
NOT_EMULATED = {"a_stall_is_reported_with_the_readers_thread", "a_reader_in_a_child_before_its_repair"}
SKIPPED = 77


def build(root, name, flags, folder):
    program = os.path.join(folder, name)
    subprocess.run([COMPILER, "--target=aarch64-linux-gnu", "-static", "-g", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
                    "-D_GNU_SOURCE", *flags, *(f"-I{os.path.join(root, d)}" for d in ("include", "src", "tests")),
                    os.path.join(root, "tests/unit/rcu", f"test_{name}.c"),
                    *sorted(glob.glob(os.path.join(glob.escape(root), "src/rcu/*.c"))), "-lpthread", "-o", program],
                   check=True)
    return program


def run(program, *arguments):
    return subprocess.run([EMULATOR, program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=120)


def main():
    root, results = sys.argv[1], []
    if not shutil.which(EMULATOR) or not os.path.exists(LIBC):
        print(f"1..0 # SKIP {EMULATOR} or {LIBC} is not installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, flags in PROGRAMS.items():
            program = build(root, name, flags, folder)
            for test in run(program, "--list").stdout.split():
                if test in NOT_EMULATED:
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
