#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that a test finds a deliberate bug: fails.py MUTANT TEST MESSAGE CONTROL PROGRAM

CONTROL and PROGRAM are commands that print TAP, and are given the test's name.
PROGRAM was built with the bug: the test must fail, and say a line that matches
MESSAGE.  In CONTROL it must pass.
"""
import os
import re
import shlex
import signal
import subprocess
import sys

LIMIT = 150
RESULT = re.compile(r"^(not )?ok \d+ -? ?(\S+)(?: # SKIP)?", re.MULTILINE)


def run(command, limit=LIMIT):
    """exit status or None, output"""
    proc = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                            start_new_session=True)
    try:
        return proc.communicate(timeout=limit)[0], proc.returncode
    except subprocess.TimeoutExpired:
        os.killpg(proc.pid, signal.SIGKILL)
        return proc.communicate()[0], None


def results(output):
    """test -> "ok", "not ok" or "skipped" """
    return {m[2]: "not ok" if m[1] else "skipped" if m[0].endswith("SKIP") else "ok" for m in RESULT.finditer(output)}


def outcome(test, message, output, status):
    """What a program with a bug shows: None if it is found, else why not."""
    if results(output).get(test) != "not ok" or status == 0:
        return f"{test} did not fail"
    if not any(re.search(message, line) for line in output.splitlines() if line.startswith("#")):
        return f"{test} did not fail by {message!r}"
    return None


def control(test, output, status):
    """The same without one: None if the test passes, else why not."""
    if status != 0 or results(output).get(test) != "ok":
        return f"{test} does not pass without the bug"
    return None


def main():
    mutant, test, message, sound, broken = sys.argv[1:]
    output, status = run([*shlex.split(sound), test])
    if results(output).get(test) == "skipped":
        print(f"1..0 # SKIP {output.partition('# skip: ')[2].partition(chr(10))[0]}")
        return 0
    problem = control(test, output, status)
    if not problem:
        output, status = run([*shlex.split(broken), test])
        problem = outcome(test, message, output, status)
    print("1..1")
    if problem:
        print("".join(f"# {line}\n" for line in output.splitlines()) + f"# {problem}")
    print(f"{'not ok' if problem else 'ok'} 1 - {mutant} is found by {test}")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
