#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A short torture of the RCU family, compiled for aarch64, under qemu: aarch64.py SOURCE_ROOT"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

COMPILER, EMULATOR, LIBC = "aarch64-linux-gnu-gcc-12", "qemu-aarch64", "/usr/aarch64-linux-gnu/lib/libc.a"
SECONDS = "0.5"
DOMAINS = ("rcu", "srcu", "updown", "tasks-trace")
NOT_EMULATED = {"children_of_threads_work": "qemu's user mode has no threads in a forked child"}
SKIPPED = 77


def run(program, *arguments):
    return subprocess.run([EMULATOR, program, *arguments], timeout=60, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)


def result_of(program, domain, test):
    """Passed?, what follows in its line."""
    if test in NOT_EMULATED:
        return True, f" # SKIP {NOT_EMULATED[test]}"
    result = run(program, domain, "--seconds", SECONDS, "--here", test)
    if result.returncode == SKIPPED:
        return True, f" # SKIP {result.stdout.partition('# skip: ')[2].partition(chr(10))[0]}"
    if result.returncode:
        print("".join(f"# {line}\n" for line in result.stdout.splitlines()), end="")
    return result.returncode == 0, ""


def main():
    root, results = sys.argv[1], []
    missing = [what for what in (COMPILER, EMULATOR, LIBC) if not shutil.which(what) and not os.path.exists(what)]
    if missing:
        print(f"1..0 # SKIP {missing[0]} is not installed")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "torture")
        subprocess.run([COMPILER, "-static", "-std=gnu11", "-O2", "-D_GNU_SOURCE",
                        "-DRETOUR_TORTURE", *(f"-I{os.path.join(root, d)}" for d in ("include", "src", "tests")),
                        *sorted(glob.glob(os.path.join(glob.escape(root), "tests/torture/*.c"))),
                        *sorted(glob.glob(os.path.join(glob.escape(root), "src/rcu/*.c"))), "-lpthread", "-o", program],
                       check=True)
        for domain in DOMAINS:
            for test in run(program, domain, "--list").stdout.split():
                passed, note = result_of(program, domain, test)
                results.append(passed)
                print(f"{'ok' if passed else 'not ok'} {len(results)} {domain}: {test}{note}", flush=True)
    print(f"1..{len(results)}")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
