#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures retour beside Debian's perf, in one run, and keeps the tables."""
import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time

import measurements
import tools
import workloads
from table import grid

QUICK = 1 / 50


class Bench:
    """What the measurements share."""

    def __init__(self, build, folder, quick):
        self.quick, self.folder = quick, folder
        self.tools = self.retour, self.fp, self.dwarf = tools.recorders(build)
        self.deep = os.path.join(build, "bench", "deep")
        self.settle = 0.2 if quick else 1.5
        self.inputs = os.path.join(folder, "inputs")
        os.mkdir(self.inputs)
        workloads.prepare(self.inputs)

    @contextlib.contextmanager
    def scratch(self):
        """A folder for recordings, which are too big to keep all."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            yield folder

    def length(self, seconds):
        return max(0.1, seconds * QUICK) if self.quick else seconds

    def sleep(self, seconds):
        time.sleep(self.length(seconds))


def targets(tables):
    def verdict(t):
        return {None: "no figure", True: "met", False: "missed"}[t["met"]]
    rows = [(t["wanted"], t["measured"], t["limit"], verdict(t)) for table in tables for t in table.targets]
    return ["## Targets", "", *grid(["target", "measured", "limit", ""], rows), ""]


def document(about, tables, quick):
    head = ["# Recording, beside perf", ""]
    if quick:
        head += ["A smoke test: these runs are too short for figures that mean anything.", ""]
    return "\n".join([*head, *grid(["", "value"], about.items()), "", *targets(tables),
                      *(t.markdown() for t in tables)])


def keep(folder, text, about, tables):
    os.makedirs(folder, exist_ok=True)
    data = {"machine": about, "tables": [vars(t) for t in tables]}
    paths = [os.path.join(folder, name) for name in ("record.md", "record.json")]
    for path, content in zip(paths, (text, json.dumps(data, indent=1) + "\n")):
        with open(path, "w", encoding="utf-8") as f:
            f.write(content)
        if "SUDO_UID" in os.environ:
            os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))


def options():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", help="the build directory")
    parser.add_argument("--quick", action="store_true", help="a smoke test: every table, short runs")
    parser.add_argument("--only", metavar="N[,N]", help="only these tables")
    parser.add_argument("--results", metavar="DIR", help="where to keep the tables (default bench/results, with "
                        "--quick or --only bench/ of the build directory)")
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    partly = args.quick or args.only
    args.results = args.results or (os.path.join(args.build, "bench") if partly else os.path.join(here, "results"))
    try:
        every = range(1, len(measurements.ALL) + 1)
        args.only = [every[int(n) - 1] for n in args.only.split(",") if int(n) > 0] if args.only else list(every)
    except (ValueError, IndexError):
        parser.error(f"--only takes numbers from 1 to {len(measurements.ALL)}")
    return args


def main():
    if os.geteuid() != 0 and shutil.which("sudo"):
        os.execvp("sudo", ["sudo", sys.executable, *sys.argv])
    args = options()
    about = tools.machine(args.build)
    tables = []
    with tempfile.TemporaryDirectory(prefix="retour-bench-") as folder:
        bench = Bench(args.build, folder, args.quick)
        for number in args.only:
            begin = time.monotonic()
            tables.append(measurements.ALL[number - 1](bench))
            print(f"{number} of {len(measurements.ALL)}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    text = document(about, tables, args.quick)
    print(text)
    keep(args.results, text, about, tables)


if __name__ == "__main__":
    main()
