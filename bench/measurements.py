# SPDX-License-Identifier: MIT
"""What is measured: one function a table."""
import os
import statistics
import subprocess
import time
from functools import cache, partial

import perf_chains
from table import Table
from tools import PYTHON, Failed, require, run
from workloads import C_FILES, WORKLOADS, running

DEEP_FRAMES = 25
TWO_BUSY = ("sqlite3", "python3")
GCC_COMMS = ("gcc", "cc1", "as")


def percent(part, whole):
    if not whole:
        raise Failed("no sample")
    return 100.0 * part / whole


def median(values):
    return statistics.median(values)


def of_comms(stats, comms):
    """Of the samples of these processes, those with user context and the complete ones."""
    rows = [c for c in stats["by_comm"] if c["comm"] in comms]
    return [sum(c[key] for c in rows) for key in ("with_user_context", "complete")]


@cache
def workload_stats(bench, name):
    """retour's figures of a recording of the workload, for its completeness and for the cost of its walks."""
    with bench.scratch() as folder, running(bench.inputs, bench.settle, name):
        made = bench.retour.record(folder, 999, lambda: bench.sleep(5))
        return bench.retour.stats(made.path)


def completeness(bench):
    table = Table(1, "Complete chains at 999 Hz",
                  "% of the samples of the program that have a user context; the machine is recorded for 5 s (perf "
                  "dwarf: 1 s, it takes long to unwind them). \"Machine\" is of all samples with a user context. "
                  + perf_chains.HOW,
                  ["program", "retour", "its samples", "retour, machine", "perf fp", "perf dwarf"])

    def ours(name, comm):
        stats = workload_stats(bench, name)
        total, complete = of_comms(stats, [comm])
        return percent(complete, total), total, percent(stats["complete"], stats["with_user_context"])

    def peer(name, comm, tool, seconds):
        with bench.scratch() as folder:
            with running(bench.inputs, bench.settle, name):
                made = tool.record(folder, 999, lambda: bench.sleep(seconds))
            seen = perf_chains.count(made.path, [comm])
        return percent(seen.complete, seen.with_user_context)

    for name, work in WORKLOADS.items():
        got = table.row(name, (partial(ours, name, work.comm), 3), partial(peer, name, work.comm, bench.fp, 5),
                        partial(peer, name, work.comm, bench.dwarf, 1))
        table.target(f"{name}: complete >= 99.5 %", got[0], 99.5)
    return table


def slowdown(bench):
    rounds, work = (1, 0.05) if bench.quick else (7, 1)
    table = Table(2, "Slowdown of the profiled program",
                  f"One busy program, the machine recorded. {rounds} rounds in which the program runs once with each "
                  "recorder and once with none, in turn. CPU is user + system time of the program; % is the median "
                  "over the rounds of the increase against the run without recorder of the same round, in brackets "
                  f"the quartiles. \"deep\" has {DEEP_FRAMES} frames, built with -O2 -fomit-frame-pointer.",
                  ["program, Hz, recorder", "CPU s, median", "CPU, %", "quartiles", "wall, %", "quartiles"])
    programs = {"deep": [bench.deep, str(DEEP_FRAMES), str(int(120000 * work))],
                "python3": [PYTHON, os.path.join(bench.inputs, "work.py"), str(max(1, int(80 * work)))]}
    modes = [(hz, tool) for hz in (999, 9999) for tool in bench.tools]

    def once(program, mode):
        if mode is None:
            return run(programs[program])
        used = []
        with bench.scratch() as folder:
            mode[1].record(folder, mode[0], lambda: used.append(run(programs[program])))
        return used[0]

    def increase(runs, base, key):
        ratios = sorted(100.0 * (getattr(r, key) / getattr(b, key) - 1) for r, b in zip(runs, base))
        quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        return median(ratios), f"{quartiles[0]:.1f} to {quartiles[2]:.1f}"

    for program in programs:
        measured, failed = {mode: [] for mode in [None, *modes]}, {}
        for i in range(rounds):
            turn = i % len(measured)
            for mode in (list(measured) * 2)[turn:turn + len(measured)]:
                try:
                    measured[mode].append(once(program, mode))
                except Exception as e:  # the row says what
                    if mode is None:
                        raise
                    failed[mode] = str(e)
        base = measured[None]
        table.row(f"{program}, none", median([r.cpu for r in base]), None, None, None, None)
        shown = {}
        for mode in modes:
            runs = measured[mode]
            cells = ([failed[mode]] * 5 if mode in failed else
                     [median([r.cpu for r in runs]), *increase(runs, base, "cpu"), *increase(runs, base, "wall")])
            shown[mode] = table.row(f"{program}, {mode[0]} Hz, {mode[1].name}", *cells)[1]
        for hz in (999, 9999):
            table.target(f"{program}: slowdown at {hz} Hz <= perf fp", shown[hz, bench.retour], shown[hz, bench.fp],
                         upper=True)
    return table


def recorder_cost(bench):
    table = Table(3, "The recorder itself, two busy CPUs",
                  f"{' and '.join(TWO_BUSY)} run. CPU is user + system time of the recorder's process in a run of 20 s "
                  "less that of a run of 1 s, as % of one core: no set-up, but all work that grows with the length. "
                  "Walks and samples cost the profiled programs, see 2. RSS is the peak while recording.",
                  ["recorder, Hz", "CPU, % of a core", "CPU s of the 1 s run", "RSS, MB"])

    def cost(tool, hz):
        made = {}
        for seconds in (1, 20):
            with bench.scratch() as folder, running(bench.inputs, bench.settle, *TWO_BUSY):
                made[seconds] = tool.record(folder, hz, lambda: bench.sleep(seconds))
        cpu = made[20].usage.cpu - made[1].usage.cpu
        return (percent(cpu, made[20].usage.wall - made[1].usage.wall), made[1].usage.cpu, made[20].rss / 1e6)

    for hz, limit in ((99, 1.0), (999, 3.0)):
        for tool in bench.tools:
            got = table.row(f"{tool.name}, {hz} Hz", (partial(cost, tool, hz), 3))
            if tool is bench.retour:
                table.target(f"recorder CPU at {hz} Hz <= {limit:.0f} % of a core", got[0], limit, upper=True)
                table.target(f"RSS at {hz} Hz <= 100 MB", got[2], 100, upper=True)
    return table


def walk_cost(bench):
    table = Table(4, "Cost of a walk",
                  "Time in the walker by its own clock over all walks of the recordings of 1, their cold start "
                  "included: between two samples these programs fill the CPU's caches with their own data. \"deep\" "
                  "is the difference of a run of 6 s and one of 1 s, without cold start. The clock also runs while a "
                  "walk is preempted: a busy machine makes it too long.",
                  ["program", "ns a frame", "us a walk", "frames a walk", "walks", "stack copies, % of walks"])

    def figures(s):
        if not s["frames"] or not s["walks"]:
            raise Failed("no walk")
        return (s["walk_ns_total"] / s["frames"], s["walk_ns_total"] / s["walks"] / 1000, s["frames"] / s["walks"],
                s["walks"], percent(s["stack_copies"], s["walks"]))

    def steady(frames, hz):
        stats = {}
        for seconds in (1, 6):
            with bench.scratch() as folder:
                made = bench.retour.record_command(folder, hz, ["timeout", str(seconds), bench.deep, str(frames)])
                stats[seconds] = bench.retour.stats(made.path)
        return figures({key: stats[6][key] - stats[1][key] for key in
                        ("walk_ns_total", "frames", "walks", "stack_copies")})

    for frames, hz in ((DEEP_FRAMES, 999), (200, 999), (200, 9999)):
        got = table.row(f"deep, {frames} frames, {hz} Hz", (partial(steady, frames, hz), 5))
        table.target(f"steady walk of {frames} frames at {hz} Hz <= 100 ns a frame", got[0], 100, upper=True)
    for name in WORKLOADS:
        got = table.row(name, (lambda name=name: figures(workload_stats(bench, name)), 5))
        table.target(f"{name}: walk <= 100 ns a frame", got[0], 100, upper=True)
    return table


def cold_start(bench):
    runs = 2 if bench.quick else 200
    table = Table(5, f"Cold start: {runs} runs of gcc -c on small files at 999 Hz",
                  "The recorder starts before the first run. Complete is of the samples of gcc, cc1 and as; stack "
                  "copies of all samples with user context. CPU is of the recorder, from start to end.",
                  ["recorder", "complete, %", "samples", "stack copies, %", "CPU s", "seconds"])

    def compile_all():
        for i in range(runs):
            if run(["gcc", "-c", "-o", "small.o", f"small{i % C_FILES}.c"], cwd=bench.inputs).status != 0:
                raise Failed("gcc failed")

    def cold(tool):
        require("gcc")
        with bench.scratch() as folder:
            made = tool.record(folder, 999, compile_all)
            if tool is bench.retour:
                stats = tool.stats(made.path)
                total, complete = of_comms(stats, GCC_COMMS)
                copies = percent(stats["stack_copies"], stats["with_user_context"])
            else:
                seen = perf_chains.count(made.path, GCC_COMMS)
                total, complete, copies = seen.with_user_context, seen.complete, None
        return percent(complete, total), total, copies, made.usage.cpu, made.usage.wall

    for tool in bench.tools:
        got = table.row(tool.name, (partial(cold, tool), 5))
        if tool is bench.retour:
            table.target("cold start: complete >= 98 %", got[0], 98)
            table.target("cold start: stack copies <= 5 % of samples", got[2], 5, upper=True)
    return table


def size_and_loss(bench):
    table = Table(6, "File size and loss",
                  f"Bytes: the file of a program with {DEEP_FRAMES} user frames (only it recorded, 999 Hz), divided "
                  "by its samples. Lost: the machine at 9,999 Hz, both CPUs busy, for 30 s (perf dwarf: 5 s, for the "
                  "size of its file).",
                  ["recorder", "bytes a sample", "samples", "seconds at 9,999 Hz", "samples", "lost", "file, MB"])

    def size(tool):
        with bench.scratch() as folder:
            rounds = 10000 if bench.quick else 500000
            made = tool.record_command(folder, 999, [bench.deep, str(DEEP_FRAMES), str(rounds)])
            samples = tool.samples(made.path)
            return made.bytes / samples if samples else None, samples

    def loss(tool):
        seconds = bench.length(5 if tool is bench.dwarf else 30)
        with bench.scratch() as folder:
            with running(bench.inputs, bench.settle, *TWO_BUSY):
                made = tool.record(folder, 9999, lambda: time.sleep(seconds))
            return seconds, tool.samples(made.path), tool.lost(made.path), made.bytes / 1e6

    for tool in bench.tools:
        got = table.row(tool.name, (partial(size, tool), 2), (partial(loss, tool), 4))
        if tool is bench.retour:
            table.target(f"bytes a sample at {DEEP_FRAMES} frames <= 300", got[0], 300, upper=True)
            table.target("0 lost at 9,999 Hz", got[4], 0, upper=True)
    return table


def time_to_ready(bench):
    times = 2 if bench.quick else 10
    table = Table(7, "Time to ready", "From the start of the recorder to the first action of the command that it "
                  f"runs, when it records the whole machine: median and largest of {times}.",
                  ["recorder", "median, ms", "largest, ms"])

    def ready(tool):
        with bench.scratch() as folder:
            took = [1000 * tool.record(folder, 999, lambda: None).ready for _ in range(times)]
        return median(took), max(took)

    for tool in bench.tools:
        got = table.row(tool.name, (partial(ready, tool), 2))
        if tool is bench.retour:
            table.target("ready <= 300 ms", got[0], 300, upper=True)
    return table


def report_time(bench):
    limit = 60
    table = Table(8, "Report of a large recording",
                  "One file, made by retour at 20,000 Hz on two busy CPUs, read by both. perf's nearest output is "
                  "report --stdio -g folded; it writes no folded stacks of its own, for which perf script "
                  "-F comm,ip,sym is piped into a script: the time here is without that script. "
                  f"A program that takes longer than {limit} s is ended.",
                  ["command", "samples", "seconds", "RSS, MB"])

    def timed(argv):
        require(argv[0])
        used = run(argv, limit, stderr=subprocess.DEVNULL)
        if used.wall >= limit:
            return f"> {limit}", used.rss / 1e6
        if used.status != 0:
            raise Failed(f"{os.path.basename(argv[0])} failed ({used.status})")
        return used.wall, used.rss / 1e6

    with bench.scratch() as folder:
        made = None

        def file():
            nonlocal made
            with running(bench.inputs, bench.settle, "cc1plus", "python3"):
                made = bench.retour.record(folder, 20000, lambda: bench.sleep(26))
            return bench.retour.samples(made.path)

        samples = table.row("the file, MB", file, lambda: None, lambda: made.bytes / 1e6)[0]
        if made is None:
            return table
        commands = {
            "retour report --format folded": [bench.retour.program, "report", "-i", made.path, "--format", "folded",
                                              "-o", os.path.join(folder, "folded")],
            "perf report --stdio -g folded": ["perf", "report", "-i", made.path, "--stdio", "--no-children",
                                              "-g", "folded,0,caller"],
            "perf report --stdio -g none": ["perf", "report", "-i", made.path, "--stdio", "--no-children",
                                            "-g", "none"],
            "perf script -F comm,ip,sym": ["perf", "script", "-i", made.path, "-F", "comm,ip,sym"]}
        for name, argv in commands.items():
            got = table.row(name, samples, (partial(timed, argv), 2))
            if name.startswith("retour"):
                table.target(f"report of {samples:,} samples to folded <= 5 s", got[1], 5, upper=True)
    return table


ALL = [completeness, slowdown, recorder_cost, walk_cost, cold_start, size_and_loss, time_to_ready, report_time]
