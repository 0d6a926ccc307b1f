# SPDX-License-Identifier: MIT
"""Which cache lines two threads that record both write: by looking at the memory of their process."""
import os
import subprocess

import tools

LINE = 64
WARM_UP = 3


def writable(pid):
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as f:
        for line in f:
            addresses, permissions = line.split()[:2]
            if permissions.startswith("rw"):
                yield [int(a, 16) for a in addresses.split("-")]


def memory(pid):
    found = {}
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as f:
        for start, end in writable(pid):
            try:
                f.seek(start)
                found[start] = f.read(end - start)
            except OSError:     # no memory behind it
                pass
    return found


def changed(before, after):
    lines = set()
    for start, new in after.items():
        old = before.get(start, b"")
        if old == new:
            continue
        lines.update(start + i for i in range(0, len(new), LINE) if old[i:i + LINE] != new[i:i + LINE])
    return lines


class Followers:
    """A program with two threads, each on a CPU of its own, that record when they are told to."""

    def __init__(self, program, how):
        self.commands, self.answers = ([os.pipe() for _ in range(2)] for _ in range(2))
        fds = [self.commands[0][0], self.commands[1][0], self.answers[0][1], self.answers[1][1]]
        self.process = subprocess.Popen([program, "lines", how, *map(str, fds)], pass_fds=fds)
        for fd in fds:
            os.close(fd)

    def record(self, cpu):
        os.write(self.commands[cpu][1], b"r")
        if not os.read(self.answers[cpu][0], 1):
            raise tools.Failed("the program has ended")

    def written_by(self, cpu):
        before = memory(self.process.pid)
        self.record(cpu)
        return changed(before, memory(self.process.pid))

    def end(self):
        for fd in (self.commands[0][1], self.commands[1][1], self.answers[0][0], self.answers[1][0]):
            os.close(fd)
        self.process.wait()


def written(program, how):
    """How many lines a thread writes while it records, and how many of them the other one writes, too."""
    if not os.path.exists(program):
        raise tools.NotInstalled("not installed")
    followers = Followers(program, how)
    try:
        for _ in range(WARM_UP):
            followers.record(0)
            followers.record(1)
        mine, others = followers.written_by(0), followers.written_by(1)
        return len(mine), len(mine & others)
    finally:
        followers.end()
