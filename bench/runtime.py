#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures libretour's tracepoints beside LTTng-UST and sdt.h, in one run, and keeps the tables."""
import argparse
import os
import statistics
import subprocess
import tempfile
from functools import partial

import lines
import tools
from figures import Figures
from lttng import Session
from record import targets
from table import Table, grid

ROUNDS = 7
AGENT_ROUNDS = 15
BASE = "usdt"
ALL = ["retour", "usdt", "nop5", "load_test", "lttng", "none"]
COLD = ["retour", "usdt", "load_test"]
ONE, WORK, ROW = range(3)
HOT, FLUSHED = range(2)
SINGLE, BATCH = range(2)
FRAMES = 20
SITES = 1000
CPUS = 2
AGENT_HZ = {999: 2.0, 99: 0.3}
EMPTY, AGENT = "empty handler", "agent"

HOW = ("Every implementation is a program of its own, compiled from the same sources (`bench/runtime/`), with a "
       "tracepoint of two ints. In a round each program runs each measurement once, in an order that turns round by "
       "round. A figure is the median over the rounds, each the median of many loops; a ratio is the median of the "
       "ratios of the same round, rounded to hundredths. `usdt` is Debian's sdt.h, `nop5` a bare nop of five bytes: "
       "the least that a site can cost which becomes a jump; `load_test` a flag that is loaded and tested; `lttng` "
       "Debian's LTTng-UST; `none` the loop alone.")


def cases(quick):
    """{case: (arguments, implementations)}."""
    def much(n):
        return str(max(3, n // 10 if quick else n))

    return {"hot": (["hot", much(1000)], ALL),
            "cold": (["cold", much(1000)], COLD),
            "chain": (["chain", str(FRAMES), much(1000), "chain"], ["retour"]),
            "section": (["chain", str(FRAMES), much(1000), "plain"], ["retour"]),
            "switch": (["switch", str(SITES), much(3)], ["retour"])}


def cases_on(quick):
    ms = "20" if quick else "200"

    def cases(name, how, writers, impls):
        return {f"{name} {n}": (["on", str(n), ms, how, writers], impls) for n in range(1, CPUS + 1)}

    return {**cases("on", "plain", "threads", ["retour", "lttng"]), **cases("shared", "shared", "threads", ["retour"]),
            **cases("apart", "plain", "processes", ["retour"])}


def hundredths(figure, *args, **more):
    return lambda: round(figure(*args, **more), 2)


def off_hot(figures):
    table = Table(1, "Off, in the caches",
                  "ns: a turn of an empty loop with one site; a turn of a loop that computes a random number, with "
                  "one site; a site, of 64 back to back. There the bytes count, and some processors fuse nops of one "
                  "byte: what bare nops of five bytes cost is the least for a site that becomes a jump.",
                  ["implementation", "one site", "ratio", "amid work", "ratio", "back to back", "ratio"])
    for impl in ALL:
        got = table.row(impl, *(cell for which in (ONE, WORK, ROW) for cell in
                                (partial(figures.median, "hot", impl, which),
                                 hundredths(figures.ratio, "hot", impl, which))))
        if impl == "retour":
            table.target("off, one site in a loop <= 1.0 x USDT", got[1], 1.0, upper=True)
            table.target("off, one site amid work <= 1.0 x USDT", got[3], 1.0, upper=True)
            table.target("off, sites back to back <= 1.0 x USDT", got[5], 1.0, upper=True)
    return table


def off_cold(figures):
    table = Table(2, "Off, 512 tracepoints",
                  "ns a site, passed one after the other in another order than they lie in memory: all in the caches, "
                  "and with what says whether they are on flushed from them.",
                  ["implementation", "hot", "keys flushed", "load_test / it"])
    for impl in COLD:
        got = table.row(impl, *(partial(figures.median, "cold", impl, which) for which in (HOT, FLUSHED)),
                        lambda impl=impl: figures.ratio("cold", "load_test", FLUSHED, base=("cold", impl)))
        if impl == "retour":
            table.target("off, cold keys: >= 10 x cheaper than load and test", got[2], 10.0)
    return table


def on(figures):
    table = Table(3, "On, two ints",
                  "ns an event: time and two ints into per-CPU buffers that are overwritten (libretour: time stamp "
                  "counter; LTTng: a snapshot session with Debian's session daemon). With two threads, on two CPUs, "
                  "the slower one. `and a shared counter`: the probe also adds to a counter that both threads write. "
                  "`in processes`: that have nothing in common, which is what two CPUs take from each other anyhow, "
                  "if they are two threads of one core.",
                  ["implementation", "1 thread", "lttng / it", "2 threads", "2 to 1", "2 to 2 processes"])

    def to_processes():
        return round(figures.ratio("on 2", "retour", base=("apart 2", "retour")), 2)

    def cells(impl, what):
        return [partial(figures.median, f"{what} 1", impl),
                lambda: figures.ratio("on 1", "lttng", base=(f"{what} 1", impl)),
                partial(figures.median, f"{what} 2", impl),
                hundredths(figures.ratio, f"{what} 2", impl, base=(f"{what} 1", impl))]

    got = table.row("retour", *cells("retour", "on"), to_processes)
    table.row("retour, and a shared counter", *cells("retour", "shared"), "")
    table.row("retour, in processes", *cells("retour", "apart"), "")
    table.row("lttng", *cells("lttng", "on"), "")
    table.target("on, two ints <= 20 ns", got[0], 20.0, upper=True)
    table.target("on, two ints: >= 3.5 x faster than LTTng-UST", got[1], 3.5)
    table.target("two threads: an event <= 1.1 x that of two processes", got[4], 1.1, upper=True)
    return table


def shared_lines(prefix):
    table = Table(4, "Cache lines on the way",
                  "500 events on one CPU, then on the other one: lines of the process's memory that changed, and those "
                  "of them that both changed.",
                  ["implementation", "lines written", "also by the other CPU"])
    for name, impl, how in (("retour", "retour", "plain"), ("retour, and a shared counter", "retour", "shared"),
                            ("lttng", "lttng", "plain")):
        got = table.row(name, (partial(lines.written, f"{prefix}{impl}", how), 2))
        if name == "retour":
            table.target("cache lines that two CPUs write: 0", got[1], 0, upper=True)
    return table


def chains(figures):
    table = Table(5, f"With a deferred chain of {FRAMES} frames",
                  "ns: an event in a runtime section, without and with a chain, which is walked at the section's end "
                  "and becomes a record of its own.",
                  ["", "an event", "with its chain", "more a frame"])

    def more():
        walked = {found[1] for found in figures.rounds("chain", "retour")}
        if walked != {FRAMES}:
            raise tools.Failed(f"chains of {walked} frames")
        pairs = zip(figures.rounds("chain", "retour"), figures.rounds("section", "retour"))
        return statistics.median((chain[0] - event[0]) / FRAMES for chain, event in pairs)

    got = table.row("retour", *(partial(figures.median, case, "retour") for case in ("section", "chain")), more)
    table.target("a deferred chain: <= 100 ns a frame", got[2], 100.0, upper=True)
    return table


def switching(figures):
    table = Table(6, f"Switching {SITES:,} sites on",
                  "us, for as many tracepoints, while another thread runs through them.",
                  ["", "one after the other", "in one batch", "a site in the batch", "times as fast"])
    got = table.row("retour", *(partial(figures.median, "switch", "retour", which) for which in (SINGLE, BATCH)),
                    lambda: figures.median("switch", "retour", BATCH) / SITES,
                    lambda: 1 / ratio_of_batch(figures))
    table.target(f"{SITES:,} sites in one batch: >= 10 x faster than one by one", got[3], 10.0)
    return table


def ratio_of_batch(figures):
    return statistics.median(batch / single for single, batch in figures.rounds("switch", "retour"))


def lower_quartile(found):
    """Of CPU times of the same work: what else runs on the machine only adds to them."""
    return sorted(found)[len(found) // 4]


class Agent:
    """A program that measures its own CPU time: alone, with a handler that does nothing, with the agent in it."""

    def __init__(self, build, quick):
        self.retour = os.path.join(build, "retour")
        self.busy = [os.path.join(build, "bench", "runtime", "busy"), "10" if quick else "70000"]
        self.found, self.why = {}, {}

    def argv(self, hz, how, folder):
        if how == AGENT:
            return [self.retour, "record", "--backend", "agent", "-e", "cpu-clock", "-F", str(hz), "-q", "-o",
                    os.path.join(folder, "data"), "--", *self.busy]
        return [*self.busy, str(hz)] if hz else self.busy

    def once(self, way):
        if way in self.why:
            return
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(self.argv(*way, folder), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["failed"]
            self.why[way] = tools.Failed(f"not there: {said[-1]}")
            return
        self.found.setdefault(way, []).append(float(done.stdout.split()[0]))

    def measure(self, rounds):
        ways = [(0, EMPTY), *((hz, how) for hz in AGENT_HZ for how in (EMPTY, AGENT))]
        for turn in range(rounds):
            first = turn % len(ways)
            for way in (ways * 2)[first:first + len(ways)]:
                self.once(way)

    def slowdown(self, hz, how):
        if (hz, how) in self.why:
            raise self.why[hz, how]
        return 100 * (lower_quartile(self.found[hz, how]) / lower_quartile(self.found[0, EMPTY]) - 1)


def agent(build, rounds, quick):
    table = Table(7, "The agent", "CPU time that a busy program, more than 20 frames deep, measures of itself: % more "
                  f"than alone, by the lower quartile of {rounds} rounds with each in turn. The empty handler is the "
                  "program's own, of a timer of its CPU time: the least that sampling by signals costs on this machine, "
                  "and a measure of the noise. Such timers fire with the kernel's ticks, the agent counts what falls "
                  "together.",
                  ["Hz", "with an empty handler, %", "with the agent, %"])
    measured = Agent(build, quick)
    measured.measure(rounds)
    for hz, limit in AGENT_HZ.items():
        got = table.row(str(hz), *(partial(measured.slowdown, hz, how) for how in (EMPTY, AGENT)))
        table.target(f"agent at {hz} Hz: slowdown <= {limit} %", got[1], limit, upper=True)
    return table


def machine(build):
    def first_line(*argv):
        try:
            return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[0]
        except (OSError, subprocess.CalledProcessError, IndexError):
            return "not installed"

    about = tools.machine(build)
    kept = {key: about[key] for key in ("date", "kernel", "cpu", "cpus", "load before", "retour", "gcc")}
    return {**kept, "lttng-ust": first_line("pkg-config", "--modversion", "lttng-ust"),
            "lttng-tools": first_line("lttng", "--version"),
            "sdt.h": first_line("dpkg-query", "-W", "systemtap-sdt-dev")}


def document(about, tables, rounds, quick):
    head = ["# Tracepoints, beside LTTng-UST and sdt.h", ""]
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
    build = os.path.abspath(args.build)
    about = machine(build)
    prefix = os.path.join(build, "bench", "runtime", "runtime_")
    figures = Figures(prefix, BASE, {})
    rounds = 1 if args.quick else ROUNDS
    # The session switches LTTng's tracepoint on in every process: what is off is measured before.
    figures.measure(cases(args.quick), rounds)
    with Session() as session:
        if session.why:
            figures.why.update({(case, "lttng"): session.why for case in cases_on(args.quick)})
        figures.measure(cases_on(args.quick), rounds)
        shared = shared_lines(prefix)
    tables = [off_hot(figures), off_cold(figures), on(figures), shared, chains(figures), switching(figures),
              agent(build, 1 if args.quick else AGENT_ROUNDS, args.quick)]
    text = document(about, tables, rounds, args.quick)
    print(text)
    if not args.quick:
        os.makedirs(args.results, exist_ok=True)
        with open(os.path.join(args.results, "runtime.md"), "w", encoding="utf-8") as f:
            f.write(text)


if __name__ == "__main__":
    main()
