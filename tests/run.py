#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs every test and counts them: run.py BUILD_DIR [KERNEL...]

Each subtest of a TAP program counts as one test; so does every other program,
by its exit status (77 is a skip).  Those of the live machine that fail are run
twice more, and listed as unsteady if they pass then (tests/system/tap.py).  A
program that dies, hangs or prints fewer results than it planned adds failures.
The unit tests run once more with the address and undefined behaviour sanitizers,
and tests/vm/test_*.py run in a virtual machine with the newest kernel; with
KERNELs (names of tools/vm/packages.py, or "all") only those run, in each of them.
The last line is "N passed, N failed, N skipped"; the exit status is 1 if one
failed.
"""
import concurrent.futures
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tools", "vm"))

import guest  # noqa: E402
import packages  # noqa: E402

AGAIN = {"RETOUR_TEST_AGAIN": "2"}
LEAST_TIMEOUT = 600     # seconds for a program that hangs: busy machines are slow
GUEST_TIMEOUT = 3600    # seconds for a program that hangs: an emulated machine on a busy one
# What a kernel prints when something is wrong with it.
COMPLAINT = re.compile(r"WARNING: |BUG: |Oops|Call Trace:|rcu: INFO: .*stall|general protection|refcount_t:")
RESULT = re.compile(r"(not )?ok\b\s*\d*\s*-?\s*([^#]*)(?:#\s*(SKIP|UNSTEADY)\S*\s*(.*))?", re.IGNORECASE)
PLAN = re.compile(r"1\.\.(\d+)(?:\s*#\s*SKIP\S*\s*(.*))?", re.IGNORECASE)


class Outcome:
    def __init__(self, name):
        self.name, self.passed, self.failed, self.skipped, self.unsteady = name, 0, [], [], []
        self.output, self.seconds = "", 0.0


def read_tap(out, status, text):
    planned, reason, results = None, "", 0
    for line in text.splitlines():
        if m := re.match(r"#\s*skip:\s*(.*)", line, re.IGNORECASE):
            reason = m[1]
        elif m := PLAN.match(line):
            planned = int(m[1])
            if planned == 0:
                out.skipped.append((out.name, m[2] or reason or "no reason given"))
        elif m := RESULT.match(line):
            results += 1
            name = f"{out.name}: {m[2].strip()}"
            if (m[3] or "").upper() == "UNSTEADY":
                out.passed += 1
                out.unsteady.append(name)
            elif m[3]:
                given = m[4].strip()
                out.skipped.append((name, reason if given in ("", "see above") else given))
            elif m[1]:
                out.failed.append(name)
            else:
                out.passed += 1
            reason = ""
    if planned is None:
        out.failed.append(f"{out.name}: printed no plan (exit status {status})")
    elif results != planned:
        out.failed.append(f"{out.name}: {results} results for {planned} tests (exit status {status})")
    elif status != 0 and not out.failed:
        out.failed.append(f"{out.name}: exit status {status}")


def read_exit_status(out, status, text):
    if status == 0:
        out.passed = 1
    elif status == 77:
        lines = text.strip().splitlines()
        out.skipped.append((out.name, lines[-1] if lines else "no reason given"))
    else:
        out.failed.append(f"{out.name}: exit status {status}")


def last_words(proc):
    """What a program that was killed had written; who has left its session may keep the pipe open."""
    try:
        return proc.communicate(timeout=30)[0]
    except subprocess.TimeoutExpired as still:
        return still.output or b""


def run(test, label):
    """Runs one program of `meson introspect --tests`."""
    out = Outcome(label)
    start = time.monotonic()
    timeout = test["timeout"] and max(LEAST_TIMEOUT, 4 * test["timeout"])
    proc = subprocess.Popen(test["cmd"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            cwd=test["workdir"] or test["build"], env={**os.environ, **AGAIN, **test["env"]},
                            start_new_session=True)
    try:
        raw, _ = proc.communicate(timeout=timeout)
        status = proc.returncode
    except subprocess.TimeoutExpired:
        os.killpg(proc.pid, signal.SIGKILL)
        raw = last_words(proc)
        status = f"none: still running after {timeout} s"
    out.output, out.seconds = raw.decode(errors="replace"), time.monotonic() - start
    (read_tap if test["protocol"] == "tap" else read_exit_status)(out, status, out.output)
    return out


def report(out):
    counts = f"{out.passed} passed"
    if out.failed:
        counts += f", {len(out.failed)} FAILED"
    if out.skipped:
        counts += f", {len(out.skipped)} skipped"
    if out.unsteady:
        counts += f", {len(out.unsteady)} UNSTEADY"
    print(f"{out.name:<40} {counts} ({out.seconds:.1f} s)")
    if out.failed or out.unsteady:
        print("".join(f"    {line}\n" for line in out.output.splitlines()), end="")
    sys.stdout.flush()


def introspect(build, what):
    return json.loads(subprocess.run(["meson", "introspect", f"--{what}", build], check=True,
                                     stdout=subprocess.PIPE).stdout)


def tests_of(build):
    build = os.path.abspath(build)
    return [{**test, "build": build} for test in introspect(build, "tests")]


def suite(test):
    return test["suite"][0].split(":")[-1] if test["suite"] else ""


def run_all(tests, prefix=""):
    """Tests that measure or record the machine run alone, after the others."""
    label = lambda t: f"{prefix}{suite(t)}/{t['name']}"
    alone = [t for t in tests if suite(t) == "system" or not t["is_parallel"]]
    together = [t for t in tests if t not in alone]
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for out in pool.map(lambda t: run(t, label(t)), together):
            report(out)
            outcomes.append(out)
    for t in alone:
        out = run(t, label(t))
        report(out)
        outcomes.append(out)
    return outcomes


LIBRETOUR_TESTS = ("rcu-", "runtime-", "deferred", "unwind-user", "unwind-event")


def sanitized(build):
    """The unit tests, built once more under build/asan; only what they need is built."""
    directory = os.path.join(build, "asan")
    if not os.path.exists(os.path.join(directory, "build.ninja")):
        subprocess.run(["meson", "setup", "-Db_sanitize=address,undefined", "-Db_lundef=false", directory],
                       check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", directory, "build.ninja"], check=True, stdout=subprocess.DEVNULL)
    tests = [t for t in tests_of(directory) if suite(t) == "unit"]
    needed = {name for t in tests for name in t["depends"] + t["cmd"]}
    targets = sorted({os.path.relpath(name, os.path.abspath(directory))
                      for target in introspect(directory, "targets")
                      for name in target["filename"] if needed & {target["id"], name}})
    if targets and subprocess.run(["ninja", "-C", directory, *targets]).returncode:
        out = Outcome("asan: build")
        out.failed.append("asan: the sanitizer build failed")
        return [out]
    os.environ["LSAN_OPTIONS"] = f"print_suppressions=0:suppressions={os.path.abspath(directory)}/lsan.supp"
    with open(os.path.join(directory, "lsan.supp"), "w", encoding="utf-8") as f:
        f.write("leak:libdw.so\n")  # of libdw itself, which serves as oracle
    # The leak checker can hang in forked children while a thread of libretour runs, and so does malloc() in a child
    # if that thread had the sanitizer's lock as it was forked.
    for t in tests:
        if t["name"].startswith(LIBRETOUR_TESTS):
            t["env"].setdefault("ASAN_OPTIONS", "detect_leaks=0")
            t["env"].setdefault("RETOUR_AGENT", "off")
    os.environ["UBSAN_OPTIONS"] = "halt_on_error=1:print_stacktrace=1"
    return run_all(tests, "asan: ")


def run_in_guest(machine, test, label):
    """Runs one program of tests/vm."""
    out = Outcome(label)
    start = time.monotonic()
    raw = []
    try:
        status = machine.run(["python3", f"vm/{test}"], lambda kind, data: raw.append(data), GUEST_TIMEOUT,
                             AGAIN)
    except guest.Failed as error:
        raw.append(str(error).encode())
        status = "none: the guest failed"
    out.output, out.seconds = b"".join(raw).decode(errors="replace"), time.monotonic() - start
    read_tap(out, status, out.output)
    return out


def kernel_log(machine, label):
    """One more test: the kernel has nothing to complain of."""
    out = Outcome(f"{label}/kernel log")
    complaints = [line for line in machine.log().splitlines() if COMPLAINT.search(line)]
    out.passed = 0 if complaints else 1
    out.failed = [f"{out.name}: {line}" for line in complaints[:3]]
    out.output = machine.log() if complaints else ""
    return out


def guest_tests(build, kernel):
    """The tests of tests/vm share a guest, and those after one that killed it get another."""
    tests = sorted(os.path.basename(t) for t in glob.glob(os.path.join(ROOT, "tests", "vm", "test_*.py")))
    while tests:
        boot = Outcome(f"vm {kernel}/boot")
        reason = guest.missing()
        try:
            if reason:
                raise packages.Unavailable(reason)
            with guest.Guest(kernel, build) as machine:
                boot.passed, boot.seconds = 1, machine.boot_seconds
                yield boot
                while tests and machine.alive():
                    name = tests.pop(0)
                    yield run_in_guest(machine, name, f"vm {kernel}/{name.removesuffix('.py')}")
                yield kernel_log(machine, f"vm {kernel}")
        except packages.Unavailable as why:
            boot.skipped = [(f"vm {kernel}: {name}", why) for name in tests]
            tests = []
            yield boot
        except guest.Failed as error:
            boot.failed, boot.output, tests = [f"{boot.name}: the guest failed"], str(error), []
            yield boot


def run_in_guests(build, kernels):
    outcomes = []
    for kernel in packages.KERNELS if kernels == ["all"] else kernels:
        for out in guest_tests(build, kernel):
            report(out)
            outcomes.append(out)
    return outcomes


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    build, kernels = sys.argv[1], sys.argv[2:]
    if kernels:
        outcomes = run_in_guests(build, kernels)
    else:
        outcomes = run_all(tests_of(build)) + sanitized(build) + run_in_guests(build, ["newest"])
    failed = [f for o in outcomes for f in o.failed]
    skipped = [s for o in outcomes for s in o.skipped]
    print()
    for name, reason in skipped:
        print(f"skipped: {name}: {reason}")
    for name in (name for o in outcomes for name in o.unsteady):
        print(f"unsteady: {name}: failed, then passed when it was run again")
    for name in failed:
        print(f"failed: {name}")
    print(f"{sum(o.passed for o in outcomes)} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
