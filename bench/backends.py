#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the backends beside each other and beside perf: here, and on the newest kernel in a virtual machine.

What costs something comes from the same runs: a recorder runs `cost`, which runs the program.
"""
import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import perf_chains
import tools
from table import Table, grid

HZ = 999
FRAMES = 25
COMM = 15
STRIPPED = ("xz",)
ROUNDS, GUEST_ROUNDS = 7, 3
HOST_WORK = 2
GUEST_WORK, GUEST_LIMIT = 0.6, 420
GUEST_DIED, GUEST_ATTEMPTS = 125, 2
# In an emulated machine perf is the newest one.
NEWEST_PERF = "ln -s perf7 /usr/bin/perf && exec \"$0\" \"$@\""

HOW = (f"Each recorder records only the program, at {HZ} Hz, from its exec to its exit. In a round the program runs once "
       "with each recorder and once with none, in turn. CPU is user + system time of "
       "the program beside that of the run without recorder of the same round: the median over the rounds, and the "
       "quartiles. The recorder's own CPU time is split: while the program ran, and before and after it. "
       "Chains are counted in one more run, where the recorder starts the program itself (perf 6.1 often loses the last "
       "frame of programs that are started by others). "
       "Complete is of the samples of the program that have a user context; it is retour's own count for retour. "
       + perf_chains.HOW + " Debian's C library has no frame pointers, so those who follow them never come to the "
       "outermost frame of a program that uses it: \"to main\" is how many samples of the program have main among "
       "their frames, as perf reads all the files. xz is as Debian ships it, without frame pointers and symbols; "
       "deep_frame_pointer is bench/deep.c with frame pointers.")


class Backend(tools.Retour):
    """retour with one of its backends."""

    def __init__(self, build, name):
        super().__init__(os.path.join(build, "retour"))
        self.name = f"retour, {name}"
        self.options = ["--backend", name]

    def counts(self, path):
        s = self.stats(path)
        return {"samples": s["samples"], "walks": s["walks"], "lost": s["lost_samples"]}

    def complete(self, path, comm, _):
        """How many samples with user context the processes of this name have, and how many complete chains."""
        mine = [c for c in self.stats(path)["by_comm"] if c["comm"] == comm]
        return [sum(c[key] for c in mine) for key in ("with_user_context", "complete")]


class Peer(tools.Perf):
    """perf with one of its kinds of call chains."""

    def counts(self, path):
        """Walks are the chains that the kernel took apart from the samples: None if each sample is its own walk."""
        out = subprocess.run(["perf", "report", "-i", path, "--stats"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, check=True).stdout
        found = {kind: int(n) for kind, n in re.findall(r"(\w+) events:\s+(\d+)", out)}
        return {"samples": found.get("SAMPLE", 0), "walks": found.get("CALLCHAIN_DEFERRED"),
                "lost": self.lost(path) if found.keys() & {"LOST", "LOST_SAMPLES"} else 0}

    def complete(self, _, __, seen):
        return [seen.with_user_context, seen.complete]


class Chains(perf_chains.Count):
    """Of the chains, as perf reads any of the files, also those with main among their frames."""

    def __init__(self):
        self.all = self.main = 0
        super().__init__()

    def start(self):
        super().start()
        self.has_main = False

    def frame(self, ip, symbol, dso):
        super().frame(ip, symbol, dso)
        self.has_main |= symbol == "main"

    def end(self):
        self.all += 1
        self.main += self.has_main
        super().end()


class Bench:
    """The programs and the recorders of one machine."""

    def __init__(self, build, folder, rounds, work):
        self.folder, self.rounds = folder, rounds
        self.cost = os.path.join(build, "bench", "cost")
        text = os.path.join(folder, "text")
        write_words(text, int(350_000 * work))
        near = os.pathsep.join([os.path.dirname(self.cost), os.environ["PATH"]])
        self.programs = {
            "xz": [shutil.which("xz", path=near) or "xz", "-6", "-T1", "-c", text],
            "deep_frame_pointer": [os.path.join(build, "bench", "deep_frame_pointer"), str(FRAMES),
                                   str(int(90_000 * work))]}

    def once(self, program, recorder):
        """What one run of the program costs."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            result = os.path.join(folder, "cost")
            argv = [self.cost, result, *self.programs[program]]
            made = recorder.record_command(folder, HZ, argv) if recorder else None
            if not made and tools.run(argv).status != 0:
                raise tools.Failed(f"{program} failed")
            with open(result, encoding="ascii") as f:
                cpu, wall, before, after = map(float, f.read().split())
            if not made:
                return {"cpu": cpu}
            return {"cpu": cpu, "wall": wall, "while": after - before, "bytes": made.bytes,
                    "around": max(0, made.usage.cpu - cpu - (after - before)), **recorder.counts(made.path)}

    def chains(self, program, recorder):
        """How good the chains are."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            comm = program[:COMM]
            made = recorder.record_command(folder, HZ, self.programs[program])
            seen = perf_chains.count(made.path, [comm], Chains())
            whole, complete = recorder.complete(made.path, comm, seen)
        return {"complete": percent(complete, whole),
                "main": None if program in STRIPPED else percent(seen.main, seen.all)}

    def measure(self, program, recorders):
        """{recorder: its runs, then its chains; or why there are none}; "none" runs without one.  The order turns
        round by round."""
        modes = {"none": None, **{r.name: r for r in recorders}}
        runs, failed = {name: [] for name in modes}, {}
        for i in range(self.rounds + 1):
            turn = i % len(modes)
            for name in (list(modes) * 2)[turn:turn + len(modes)]:
                try:
                    if i < self.rounds:
                        runs[name].append(self.once(program, modes[name]))
                    elif modes[name]:
                        runs[name].append(self.chains(program, modes[name]))
                except (tools.Failed, tools.NotInstalled, OSError, subprocess.CalledProcessError) as e:
                    if name == "none":
                        raise
                    failed[name] = str(e)
        return {**runs, **failed}


def percent(part, whole):
    if not whole:
        raise tools.Failed("no sample of the program")
    return 100 * part / whole


def write_words(path, count):
    """Text that xz needs time for, the same on every machine."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(5000)]
    with open(path, "w", encoding="ascii") as f:
        f.write(" ".join(chance.choices(words, k=count)))


def backends(build):
    """Those that can be used here, and why not the others."""
    out = subprocess.run([os.path.join(build, "retour"), "doctor", "--json"], stdout=subprocess.PIPE, check=False)
    found = {b["name"]: b for b in json.loads(out.stdout)["backends"] if b["name"] in ("bpf", "stack", "native")}
    return ([Backend(build, name) for name in found if found[name]["usable"]],
            {name: b["why"] for name, b in found.items() if not b["usable"]})


def measure_all(build, peers, rounds, work):
    """What is measured on one machine, as data."""
    ours, unusable = backends(build)
    with tempfile.TemporaryDirectory(prefix="retour-bench-") as folder:
        bench = Bench(build, folder, rounds, work)
        return {"kernel": os.uname().release, "unusable": unusable,
                "programs": {program: bench.measure(program, [*ours, *peers]) for program in bench.programs}}


def guest_command(build, quick):
    here = os.path.dirname(os.path.abspath(__file__))
    put = {here: "/bench", shutil.which("xz") or "xz": "/build/bench/xz",
           **{os.path.join(build, "bench", name): f"/build/bench/{name}" for name in ("cost", "deep_frame_pointer")}}
    return [os.path.join(os.path.dirname(here), "tools", "vm", "run"), "--build", build, "--timeout", str(GUEST_LIMIT),
            *(word for source, target in put.items() for word in ("--put", f"{source}={target}")), "--", "sh", "-c",
            NEWEST_PERF, "python3", "/bench/backends.py", "--data", *(["--quick"] if quick else []), "/build"]


def in_guest(build, quick):
    """measure_all() in a virtual machine; tools.Failed says why there is none."""
    for _ in range(GUEST_ATTEMPTS):
        with tempfile.TemporaryFile() as err:
            done = subprocess.run(guest_command(build, quick), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=err, check=False)
            err.seek(0)
            said = err.read().decode(errors="replace").strip()
        if done.returncode == 0:
            return json.loads(done.stdout)
        print(said, file=sys.stderr)
        if done.returncode != GUEST_DIED:
            break
    raise tools.Failed(f"No figures from a virtual machine: {(said.splitlines() or ['it failed'])[0]}")


def quartiles(values):
    found = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return f"{found[0]:.2f} to {found[2]:.2f}"


class Runs:
    """The runs of one recorder, beside those of another one of the same rounds."""

    def __init__(self, measured):
        self.runs = [run for run in measured if "cpu" in run]
        self.chains = [found for run in measured if "cpu" not in run for found in (run["complete"], run["main"])]

    def sum(self, key):
        return sum(run[key] for run in self.runs)

    def per(self, key, whole):
        """None for what is not counted, or not there."""
        if any(run[key] is None for run in self.runs) or not self.sum(whole):
            return None
        return self.sum(key) / self.sum(whole)

    def percent(self, key, whole):
        part = self.per(key, whole)
        return None if part is None else 100 * part

    def median(self, key):
        return statistics.median(run[key] for run in self.runs)

    def times(self, other, key):
        return [mine[key] / theirs[key] for mine, theirs in zip(self.runs, other.runs) if theirs[key] > 0]


def counts(runs):
    return [runs.per("walks", "samples"), runs.sum("samples"), runs.sum("lost")]


def host_table(number, program, results, rounds):
    none = Runs(results["none"])
    table = Table(number, f"{program}, on this kernel",
                  f"Rounds: {rounds}. Without recorder the program takes {none.median('cpu'):.2f} s.",
                  ["recorder", "complete, %", "to main, %", "CPU, + %", "quartiles", "bytes a sample",
                   "recorder meanwhile, % of a core", "before and after, CPU s", "walks a sample", "samples", "lost"])

    def cells(runs):
        more = [100 * (ratio - 1) for ratio in runs.times(none, "cpu")]
        return [*runs.chains, statistics.median(more), quartiles(more), runs.per("bytes", "samples"),
                runs.percent("while", "wall"), runs.median("around"), *counts(runs)]

    fill(table, results, cells)
    return table


def guest_table(number, program, guest, peer, rounds):
    table = Table(number, f"{program}, on {guest['kernel']} in an emulated machine",
                  f"Rounds: {rounds}. The times of an emulated CPU mean nothing by themselves, so the costs are ratios, "
                  "medians over the rounds: \"to none\" is to the run without recorder, \"to perf\" to that with "
                  f"`{peer}`, whose chains the kernel itself defers. The recorder meanwhile is in % of the "
                  "program's CPU.",
                  ["recorder", "complete, %", "to main, %", "CPU, to none", "quartiles", "CPU, to perf", "quartiles",
                   "bytes a sample, to perf", "recorder meanwhile, %", "before and after, to perf",
                   "walks a sample", "samples", "lost"])
    results = guest["programs"][program]
    none, perf = Runs(results["none"]), Runs(results[peer] if isinstance(results[peer], list) else [])

    def to_perf(runs, key):
        ratios = runs.times(perf, key)
        return statistics.median(ratios) if ratios else None

    def cells(runs):
        ratios, beside = runs.times(none, "cpu"), runs.times(perf, "cpu")
        size = perf.per("bytes", "samples")
        return [*runs.chains, statistics.median(ratios), quartiles(ratios), to_perf(runs, "cpu"),
                quartiles(beside) if beside else None, runs.per("bytes", "samples") / size if size else None,
                runs.percent("while", "cpu"), to_perf(runs, "around"), *counts(runs)]

    fill(table, results, cells)
    return table


def fill(table, results, cells):
    width = len(table.columns) - 1
    for name, runs in results.items():
        if name != "none":
            table.row(name, *(cells(Runs(runs)) if isinstance(runs, list) else [runs] + [None] * (width - 1)))


def unusable(data, where):
    return [f"{name} cannot be used {where}: {why}." for name, why in data["unusable"].items()]


def peers_here():
    return [Peer("perf -g", "-g"), Peer("perf dwarf", "--call-graph", "dwarf")]


def peers_in_guest():
    return [Peer("perf fp,defer", "--call-graph", "fp,defer")]


def document(about, tables, notes, quick):
    head = ["# The backends, beside each other and beside perf", ""]
    if quick:
        head += ["A smoke test: these runs are too short for figures that mean anything.", ""]
    return "\n".join([*head, *grid(["", "value"], about.items()), "", HOW, "", *(line for n in notes for line in (n, "")),
                      *(table.markdown() for table in tables)])


def options():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", help="the build directory")
    parser.add_argument("--quick", action="store_true", help="a smoke test: one short round, nothing is kept")
    parser.add_argument("--only", choices=["host", "guest"], help="only one of the machines; nothing is kept")
    parser.add_argument("--data", action="store_true", help="what a virtual machine does: measure, print data")
    parser.add_argument("--results", metavar="DIR", default=os.path.join(here, "results"), help="where to keep the tables")
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    return args


def keep(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    if "SUDO_UID" in os.environ:
        os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))


def compare(args):
    """Both machines' tables, and what there is to say about them."""
    rounds, guest_rounds, work = (1, 1, 0.1) if args.quick else (ROUNDS, GUEST_ROUNDS, HOST_WORK)
    tables, notes = [], []
    if args.only != "guest":
        begin = time.monotonic()
        here = measure_all(args.build, peers_here(), rounds, work)
        notes += unusable(here, "on this kernel")
        tables += [host_table(i, *found, rounds) for i, found in enumerate(here["programs"].items(), 1)]
        print(f"this kernel: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    if args.only != "host":
        begin = time.monotonic()
        try:
            guest = in_guest(args.build, args.quick)
            notes += unusable(guest, "in the virtual machine")
            tables += [guest_table(i, program, guest, peers_in_guest()[0].name, guest_rounds)
                       for i, program in enumerate(guest["programs"], len(tables) + 1)]
        except tools.Failed as e:
            notes.append(str(e))
        print(f"virtual machine: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return tables, notes


def main():
    if os.geteuid() != 0 and shutil.which("sudo"):
        os.execvp("sudo", ["sudo", sys.executable, *sys.argv])
    args = options()
    if args.data:
        rounds, work = (1, GUEST_WORK / 2) if args.quick else (GUEST_ROUNDS, GUEST_WORK)
        json.dump(measure_all(args.build, peers_in_guest(), rounds, work), sys.stdout)
        return
    about = tools.machine(args.build)
    tables, notes = compare(args)
    text = document(about, tables, notes, args.quick)
    print(text)
    if not args.quick and not args.only:
        keep(os.path.join(args.results, "backends.md"), text)


if __name__ == "__main__":
    main()
