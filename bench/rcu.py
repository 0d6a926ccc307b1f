#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the RCU family beside liburcu and ck_epoch, in one run, and keeps the tables."""
import argparse
import os
import subprocess
from functools import partial

import tools
from figures import P50, P99, Figures
from record import targets
from table import Table, grid

ROUNDS = 7
BASE = "urcu_memb"
OURS = ["retour_rcu", "retour_srcu", "retour_tasks_trace"]
LIBURCU = [BASE, "urcu_bp", "urcu_qsbr"]
ALL = [*OURS, *LIBURCU, "ck_epoch"]
PEER_THAT_SPINS = "ck_epoch"
ATOMIC = "retour_srcu without rseq"
VARIANTS = {ATOMIC: ("retour_srcu", {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"})}
SECTIONS_US = [0, 1, 100]
THREADS = 10000
UPDATERS = [1, 2, 4, 8]
UPDATE_SECTION_US = 100
SHARED = 1

HOW = ("Every implementation is a program of its own, compiled from the same sources (`bench/rcu/`). In a round "
       "each program runs each measurement once, in an order that turns round by round. A figure is the median over "
       "the rounds; a ratio is the median of the ratios of the same round, to `urcu_memb` where nothing else is "
       "said. liburcu is Debian's, its readers inlined (`_LGPL_SOURCE`) but where they are called in a shared "
       "library.")


def cases(quick):
    """{case: (arguments, implementations)}; the first argument after the names says how much to measure."""
    scale = 0.1 if quick else 1

    def much(n):
        return str(max(5, int(n * scale)))

    found = {"inlined": (["read", "inlined", much(1_000_000)], [*ALL, ATOMIC]),
             "shared": (["read", "shared", much(1_000_000)], [*OURS, ATOMIC, *LIBURCU]),
             "none": (["synchronize", "none", much(100)], ALL),
             "idle": (["synchronize", "idle", much(200), str(THREADS)], ALL),
             "preempted": (["synchronize", "preempted", much(500), "1000"], ALL),
             "latency": (["callbacks", "latency", much(50)], [*OURS, *LIBURCU]),
             "barrier": (["callbacks", "barrier", much(50)], [*OURS, *LIBURCU]),
             "poll": (["callbacks", "poll", much(50)], OURS),
             "flood": (["callbacks", "flood", much(2_000_000)], [*OURS, *LIBURCU])}
    for us in SECTIONS_US:
        found[f"beside {us}"] = (["synchronize", "beside", much(300), str(us * 1000)], ALL)
    for n in UPDATERS:
        found[f"updates {n}"] = (["updates", str(n), much(300), str(UPDATE_SECTION_US * 1000)], ALL)
    return found


def readers(figures):
    table = Table(1, "Readers",
                  "ns of CPU time for a pair of begin and end, in a loop with nothing else; in the program, and in a "
                  "shared library that it is linked to: there liburcu's readers are functions of its own library, "
                  "and the ratios are to urcu_memb inlined in the program and to urcu_memb called there. ck_epoch's "
                  "begin wants a record that the program holds, so it is only measured there.",
                  ["implementation", "inlined", "ratio", "in a shared library", "ratio to inlined", "to called"])
    got = {}
    for impl in [*ALL, ATOMIC]:
        shared = impl != "ck_epoch"
        got[impl] = table.row(impl, partial(figures.median, "inlined", impl),
                              partial(figures.ratio, "inlined", impl),
                              *([partial(figures.median, "shared", impl),
                                 partial(figures.ratio, "shared", impl, base=("inlined", BASE)),
                                 partial(figures.ratio, "shared", impl)] if shared else [None] * 3))
    table.target("retour_rcu: a pair <= 1.0 x urcu_memb inlined", got["retour_rcu"][1], 1.0, upper=True)
    table.target("... also in a shared library", got["retour_rcu"][3], 1.0, upper=True)
    table.target("... and there <= 1.0 x urcu_memb called there", got["retour_rcu"][4], 1.0, upper=True)
    table.target("retour_srcu: a pair <= 2.5 x", got["retour_srcu"][1], 2.5, upper=True)
    table.target("retour_tasks_trace: a pair <= 2.5 x", got["retour_tasks_trace"][1], 2.5, upper=True)
    table.target("retour_srcu without rseq: a pair <= 11 x", got[ATOMIC][1], 11.0, upper=True)
    return table


def no_reader(figures):
    table = Table(2, "Synchronize without a section",
                  f"Nobody has ever read: ns, in batches. {THREADS:,} threads have read and sleep: us, median and "
                  "99th percentile.",
                  ["implementation", "never, ns", "ratio", f"{THREADS:,} threads, us", "ratio", "99th percentile"])
    got = {}
    for impl in ALL:
        got[impl] = table.row(impl, lambda impl=impl: 1000 * figures.median("none", impl),
                              partial(figures.ratio, "none", impl), partial(figures.median, "idle", impl),
                              partial(figures.ratio, "idle", impl), partial(figures.median, "idle", impl, P99))
    for impl in OURS:
        table.target(f"{impl}: no reader <= 1.0 x urcu_memb", got[impl][1], 1.0, upper=True)
    table.target(f"retour_srcu: {THREADS:,} threads <= 0.1 x urcu_memb", got["retour_srcu"][3], 0.1, upper=True)
    return table


def one_reader(figures):
    table = Table(3, "Synchronize beside a reader",
                  "us. The writer on one CPU, on another one a reader, section after section of this length.",
                  ["section, implementation", "median", "ratio", "99th percentile", "ratio"])
    for us in SECTIONS_US:
        case = f"beside {us}"
        for impl in ALL:
            got = table.row(f"{us} us, {impl}", *(cell for which in (P50, P99) for cell in
                                                  (partial(figures.median, case, impl, which),
                                                   partial(figures.ratio, case, impl, which))))
            if impl in OURS:
                table.target(f"{impl}: {us} us, median <= 1.0 x urcu_memb", got[1], 1.0, upper=True)
                table.target(f"{impl}: {us} us, 99th percentile <= 1.0 x urcu_memb", got[3], 1.0, upper=True)
    return table


def preempted(figures):
    table = Table(4, "Synchronize beside a preempted reader",
                  "us. Writer and reader share a CPU; sections of 1 us follow each other, the writer wakes in one of "
                  f"them. {PEER_THAT_SPINS} only spins; urcu_bp spins, then sleeps 10 ms.",
                  ["implementation", "median", "99th percentile", f"median, ratio to {PEER_THAT_SPINS}"])
    case = "preempted"
    for impl in ALL:
        table.row(impl, partial(figures.median, case, impl), partial(figures.median, case, impl, P99),
                  partial(figures.ratio, case, impl, base=(case, PEER_THAT_SPINS)))
    for impl in OURS:
        for which, name in (P50, "median"), (P99, "99th percentile"):
            table.target(f"{impl}: preempted reader, {name} <= 1.0 x {PEER_THAT_SPINS}",
                         known(figures.ratio, case, impl, which, (case, PEER_THAT_SPINS)), 1.0, upper=True)
    return table


def known(figure, *args):
    """The figure, or why there is none."""
    try:
        return figure(*args)
    except (tools.NotInstalled, tools.Failed) as e:
        return str(e)


def callbacks(figures):
    table = Table(5, "Deferred work",
                  "Median us when the library was idle, and how many times faster than urcu_memb. Barrier is one "
                  "behind one callback. Debian's liburcu has no polled grace periods; poll is beside its call. "
                  "Callbacks a second: queued by one thread as fast as it can, to the end of a barrier.",
                  ["implementation", "call to callback", "faster", "barrier", "faster", "poll", "faster",
                   "callbacks a second", "more"])

    def faster(case, impl):
        return 1 / figures.ratio(case, impl, base=("latency", BASE) if case == "poll" else None)

    for impl in [*OURS, *LIBURCU]:
        cells = []
        for case in ("latency", "barrier", "poll"):
            polls = case != "poll" or impl in OURS
            cells += [partial(figures.median, case, impl), partial(faster, case, impl)] if polls else [None] * 2
        got = table.row(impl, *cells, partial(figures.median, "flood", impl),
                        partial(figures.ratio, "flood", impl))
        if impl in OURS:
            for name, times in zip(("call to callback", "barrier", "poll becomes true"), got[1:6:2]):
                table.target(f"{impl}: {name} >= 100 x faster than urcu_memb", times, 100.0)
            table.target(f"{impl}: callbacks a second >= 1.0 x urcu_memb", got[7], 1.0)
    return table


def updates(figures):
    table = Table(6, "Updates a second",
                  "Threads that synchronize as fast as they can, on all CPUs but the one that a reader with sections "
                  f"of {UPDATE_SECTION_US} us has to itself. The last column says how many updates share a grace "
                  f"period when {UPDATERS[-1]} threads make them, where grace periods can be counted.",
                  ["implementation", *(f"updaters: {n}" for n in UPDATERS), f"{UPDATERS[-1]} to {UPDATERS[0]}",
                   f"{UPDATERS[-1]}, ratio", "updates in a grace period"])
    most, least = (f"updates {n}" for n in (UPDATERS[-1], UPDATERS[0]))
    for impl in ALL:
        got = table.row(impl, *(partial(figures.median, f"updates {n}", impl) for n in UPDATERS),
                        partial(figures.ratio, most, impl, base=(least, impl)), partial(figures.ratio, most, impl),
                        partial(figures.median, most, impl, SHARED) if impl in OURS else None)
        if impl in OURS:
            table.target(f"{impl}: {UPDATERS[-1]} updaters >= 1.0 x {UPDATERS[0]} updater", got[-3], 1.0)
            table.target(f"{impl}: {UPDATERS[-1]} updaters, updates in a grace period >= 2", got[-1], 2.0)
    return table


def machine(build):
    def version(package):
        done = subprocess.run(["pkg-config", "--modversion", package], capture_output=True, text=True, check=False)
        return done.stdout.strip() or "not installed"

    about = tools.machine(build)
    kept = {key: about[key] for key in ("date", "kernel", "cpu", "cpus", "load before", "retour", "gcc")}
    return {**kept, "liburcu": version("liburcu"), "ck": version("ck")}


def document(about, tables, rounds, quick):
    head = ["# RCU, beside liburcu and ck_epoch", ""]
    if quick:
        head += ["A smoke test: these runs are too short for figures that mean anything.", ""]
    return "\n".join([*head, *grid(["", "value"], about.items()), "", f"Rounds: {rounds}. {HOW}", "",
                      *targets(tables), *(table.markdown() for table in tables)])


def options():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", help="the build directory")
    parser.add_argument("--quick", action="store_true", help="a smoke test: one short round, nothing is kept")
    parser.add_argument("--results", metavar="DIR", default=os.path.join(here, "results"),
                        help="where to keep the tables")
    return parser.parse_args()


def main():
    args = options()
    about = machine(args.build)
    figures = Figures(os.path.join(os.path.abspath(args.build), "bench", "rcu", "rcu_"), BASE, VARIANTS)
    rounds = 1 if args.quick else ROUNDS
    figures.measure(cases(args.quick), rounds)
    tables = [table(figures) for table in (readers, no_reader, one_reader, preempted, callbacks, updates)]
    text = document(about, tables, rounds, args.quick)
    print(text)
    if not args.quick:
        os.makedirs(args.results, exist_ok=True)
        with open(os.path.join(args.results, "rcu.md"), "w", encoding="utf-8") as f:
            f.write(text)


if __name__ == "__main__":
    main()
