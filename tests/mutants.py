#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that the tests of libretour find deliberate bugs: mutants.py BUILD_DIR [MUTANT...]

src/*/mutant.h have them.  Those of RCU are found by torture: the torture
program, built with each one (all, if none is named), must fail in the named
test with the named message within LIMIT seconds, and not without the bug.
If none is named the tests of suite "mutants" run too, which find the others by
unit tests and by the torture of rings; a bug that nothing finds is a failure.
"""
import glob
import json
import os
import re
import subprocess
import sys

import fails

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIMIT = 100
CONTROL_SECONDS = 2
CLOSE = "a_reader_and_an_updater_at_close_quarters"
STRAGGLERS = "stragglers_are_waited_for"
PIPELINE = "readers_are_waited_for"
CHILDREN = "children_of_threads_work"
BOOST = "preempted_readers_are_boosted"
TOO_EARLY = "a reader holds (an object|a cell) that "
HANG = "a grace period does not end|killed by signal 14"
NOT_CALLED = "barrier returned before (a callback was|all callbacks were) called"
# domain, test, message, options
FOUND_BY = {
    "no_membarrier": ("rcu", CLOSE, TOO_EARLY),
    "no_rescan": ("rcu", CLOSE, TOO_EARLY),
    "report_trusted": ("rcu", CLOSE, TOO_EARLY),
    "no_last_look": ("rcu", PIPELINE, HANG),
    "hooks_nest": ("rcu", PIPELINE, "a hook runs in a hook"),
    "late_report": ("rcu", PIPELINE, "a hook runs in a hook"),
    "no_wake": ("rcu", BOOST, f"{HANG}|a boosted reader keeps the priority"),
    "snap_early": ("rcu", PIPELINE, f"{TOO_EARLY}|{NOT_CALLED}"),
    "no_gp_wake": ("rcu", PIPELINE, HANG),
    "no_sleepers_flag": ("rcu", PIPELINE, HANG),
    "srcu_no_membarrier": ("srcu", CLOSE, TOO_EARLY),
    "srcu_single_phase": ("srcu", STRAGGLERS, TOO_EARLY),
    "srcu_lock_first": ("srcu", STRAGGLERS, TOO_EARLY),
    "srcu_no_flip": ("updown", PIPELINE, HANG),
    "srcu_no_wake": ("srcu", PIPELINE, HANG),
    "srcu_wrong_cookie": ("srcu", PIPELINE, f"{TOO_EARLY}|{HANG}", "--no-rseq"),
    "early_callback": ("rcu", PIPELINE, TOO_EARLY),
    "lost_callback": ("rcu", "a_caller_and_the_worker_at_close_quarters", "a callback is not called"),
    "barrier_early": ("rcu", PIPELINE, NOT_CALLED),
    "fork_double_call": ("rcu", CHILDREN, f"a child failed or hung|a callback was called twice|{NOT_CALLED}"),
    "fork_keeps_readers": ("rcu", CHILDREN, "a child failed or hung"),
    "no_boost": ("rcu", BOOST, "a preempted reader is not boosted"),
    "dead_reader_hangs": ("rcu", "dead_readers_are_buried", "a dead reader is not reported"),
}
# What x86-64 does not show; tests/model finds them.
MODELS_ONLY = {
    "no_late_membarrier": "the reader's store must leave its store buffer after the leader looked twice, some 100 ns apart",
    "no_claim_fence": "on x86-64 the compare-and-exchange before it is a full fence",
}


def names(folder):
    with open(os.path.join(ROOT, "src", folder, "mutant.h"), encoding="utf-8") as f:
        return [name for name in re.findall(r"^\tMUTANT_(\w+),", f.read(), re.MULTILINE) if name != "none"]


def torture(build, program, domain, test, options, seconds):
    command = [os.path.join(build, "tests", "torture", program), domain, "--seconds", str(seconds), *options, test]
    return fails.run(command, LIMIT)


class Controls:
    """The tests without a bug, each once."""

    def __init__(self, build):
        self.build, self.problems = build, {}

    def problem(self, domain, test, options):
        key = domain, test, options
        if key not in self.problems:
            output, status = torture(self.build, "torture", domain, test, options, CONTROL_SECONDS)
            skipped = fails.results(output).get(test) == "skipped"
            self.problems[key] = ("skipped", output) if skipped else (fails.control(test, output, status), output)
        return self.problems[key]


def find_by_torture(build, name, controls):
    """"" or why it was not found, what the program said."""
    domain, test, message, *options = FOUND_BY[name]
    if test == CLOSE and len(os.sched_getaffinity(0)) < 2:
        return "skipped", "# skip: its threads meet on two CPUs only"
    problem, output = controls.problem(domain, test, tuple(options))
    if not problem:
        output, status = torture(build, f"torture-{name}", domain, test, options, 160)
        problem = fails.outcome(test, message, output, status)
    return problem or "", output


def find_by_test(test):
    result = subprocess.run(test["cmd"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                            cwd=test["workdir"] or None, env={**os.environ, **test["env"]})
    if "# SKIP" in result.stdout.partition("\n")[0]:
        return "skipped", result.stdout
    return "" if result.returncode == 0 else "not found", result.stdout


def report(n, name, problem, output):
    """True if it failed."""
    if problem == "skipped":
        print(f"ok {n} {name} # SKIP {output.partition('# skip: ')[2].partition(chr(10))[0] or output.strip()}", flush=True)
        return False
    if problem:
        print("".join(f"# {line}\n" for line in output.splitlines()), end="")
    print(f"{'not ok' if problem else 'ok'} {n} {name}{': ' + problem if problem else ''}", flush=True)
    return bool(problem)


def main():
    if sys.argv[1:] == ["--list"]:
        print(*(name for name in names("rcu") if name in FOUND_BY))
        return 0
    build, wanted = sys.argv[1], sys.argv[2:]
    tests, controls, failed, n = [], Controls(build), 0, 0
    if not wanted:
        wanted = [*FOUND_BY]
        tests = [t for t in json.loads(subprocess.run(["meson", "introspect", "--tests", build], check=True,
                                                      stdout=subprocess.PIPE).stdout)
                 if t["suite"] and t["suite"][0].endswith("mutants") and t["name"] != "torture"]
        everything = [name for path in glob.glob(os.path.join(glob.escape(ROOT), "src", "*", "mutant.h"))
                      for name in names(os.path.basename(os.path.dirname(path)))]
        left_out = set(everything) - {t["name"] for t in tests} - {*FOUND_BY, *MODELS_ONLY}
        failed += report(n := n + 1, "each deliberate bug has a test that finds it", " ".join(sorted(left_out)), "")
        for name, reason in MODELS_ONLY.items():
            print(f"ok {(n := n + 1)} {name} # SKIP only in tests/model: {reason}")
    for name in wanted:
        failed += report(n := n + 1, name, *find_by_torture(build, name, controls))
    for test in tests:
        failed += report(n := n + 1, f"{test['name']} (tests)", *find_by_test(test))
    print(f"1..{n}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
