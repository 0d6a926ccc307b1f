#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A short torture of the RCU family compiled for aarch64, under qemu: aarch64.py SOURCE_ROOT"""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

COMPILER, EMULATOR, LIBC = "aarch64-linux-gnu-gcc-12", "qemu-aarch64", "/usr/aarch64-linux-gnu/lib/libc.a"
DOMAINS = ("rcu", "srcu", "updown", "tasks-trace")
# Those that need no forked child, which the emulator gives no threads.
TESTS = ("readers_are_waited_for", "stragglers_are_waited_for", "floods_of_callbacks_drain_in_order")


def main():
    root, failed = sys.argv[1], 0
    missing = [what for what in (COMPILER, EMULATOR, LIBC) if not shutil.which(what) and not os.path.exists(what)]
    if missing:
        print(f"1..0 # SKIP {missing[0]} is not installed")
        return 0
    print(f"1..{len(DOMAINS) * len(TESTS)}")
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "torture")
        subprocess.run([COMPILER, "-static", "-std=gnu11", "-O2", "-D_GNU_SOURCE",
                        "-DRETOUR_TORTURE", *(f"-I{os.path.join(root, d)}" for d in ("include", "src", "tests")),
                        *sorted(glob.glob(os.path.join(glob.escape(root), "tests/torture/*.c"))),
                        *sorted(glob.glob(os.path.join(glob.escape(root), "src/rcu/*.c"))), "-lpthread", "-o", program],
                       check=True)
        for n, (domain, test) in enumerate(((d, t) for d in DOMAINS for t in TESTS), 1):
            result = subprocess.run([EMULATOR, program, domain, "--seconds", "1", "--here", test], timeout=60,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            failed += result.returncode != 0
            if result.returncode:
                print("".join(f"# {line}\n" for line in result.stdout.splitlines()), end="")
            print(f"{'not ok' if result.returncode else 'ok'} {n} {domain}: {test}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
