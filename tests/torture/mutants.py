#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that the torture tests can fail: mutants.py BUILD_DIR [MUTANT...]

src/rcu/mutant.h has deliberate bugs.  The torture program is built with each
one (all, if none is named) and must fail within LIMIT seconds.  Bugs that torture
on this kind of machine cannot show are named with the tests that find them.
"""
import os
import re
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT = 20
CLOSE = "a_reader_and_an_updater_at_close_quarters"
STRAGGLERS = "stragglers_are_waited_for"
PIPELINE = "readers_are_waited_for"
CHILDREN = "children_of_threads_work"
FOUND_BY = {
    "no_membarrier": ("rcu", CLOSE),
    "no_rescan": ("rcu", CLOSE),
    "report_trusted": ("rcu", CLOSE),
    "no_last_look": ("rcu", PIPELINE),
    "hooks_nest": ("rcu", PIPELINE),
    "late_report": ("rcu", PIPELINE),
    "no_wake": ("rcu", "preempted_readers_are_boosted"),
    "snap_early": ("rcu", PIPELINE),
    "no_gp_wake": ("rcu", PIPELINE),
    "no_sleepers_flag": ("rcu", PIPELINE),
    "srcu_no_membarrier": ("srcu", CLOSE),
    "srcu_single_phase": ("srcu", STRAGGLERS),
    "srcu_no_flip": ("updown", PIPELINE),
    "srcu_no_wake": ("srcu", PIPELINE),
    "srcu_wrong_cookie": ("srcu", PIPELINE, "--no-rseq"),
    "early_callback": ("rcu", PIPELINE),
    "lost_callback": ("rcu", "a_caller_and_the_worker_at_close_quarters"),
    "barrier_early": ("rcu", PIPELINE),
    "fork_double_call": ("rcu", CHILDREN),
    "fork_keeps_readers": ("rcu", CHILDREN),
    "no_boost": ("rcu", "preempted_readers_are_boosted"),
    "dead_reader_hangs": ("rcu", "dead_readers_are_buried"),
}
FOUND_ELSEWHERE = {
    "no_late_membarrier": "tests/model: the leader looks again for microseconds, by when a store buffer is empty",
    "no_claim_fence": "tests/model: the compare-and-exchange before it is a full fence on x86-64",
    "srcu_lock_first": "tests/model: a whole section must fit between two sums, in the bank that is left",
    "cleanup_under_leader": "tests/unit: torture cleans nothing up",
    "fork_leader_waits": "tests/unit: handlers of torture do not fork",
    "fork_loses_claim": "tests/unit: handlers of torture do not fork",
    "rseq_stays": "tests/unit: only where libc has no rseq",
    "lost_poll": "tests/unit: other grace periods come to its help",
    "lost_worker": "tests/unit: a barrier creates the worker",
    "srcu_unused_membarrier": "tests/unit: costs time and breaks nothing",
}


def names():
    with open(os.path.join(ROOT, "src", "rcu", "mutant.h"), encoding="utf-8") as f:
        return [name for name in re.findall(r"^\tMUTANT_(\w+),", f.read(), re.MULTILINE) if name != "none"]


def run(command):
    """(exit status or None, output)"""
    proc = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        return proc.communicate(timeout=LIMIT)[0], proc.returncode
    except subprocess.TimeoutExpired:
        os.killpg(proc.pid, signal.SIGKILL)
        return proc.communicate()[0], None


def why(output):
    reasons = [line[2:] for line in output.splitlines() if line.startswith("# ") and "grace periods" not in line and
               "ages seen" not in line]
    return reasons[0] if reasons else "no output"


def main():
    if sys.argv[1:] == ["--list"]:
        print(*names())
        return 0
    build, wanted = sys.argv[1], sys.argv[2:] or names()
    failed = 0
    print(f"1..{len(wanted)}")
    for n, name in enumerate(wanted, 1):
        if name in FOUND_ELSEWHERE:
            print(f"ok {n} {name} # SKIP {FOUND_ELSEWHERE[name]}")
            continue
        domain, test, *options = FOUND_BY.get(name, ("rcu", PIPELINE))
        output, status = run([os.path.join(build, "tests", "torture", f"torture-{name}"), domain, "--seconds", "160",
                              *options, test])
        found = status not in (0, None)
        failed += not found
        print(f"{'ok' if found else 'not ok'} {n} {name}: {why(output) if found else 'not found'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
