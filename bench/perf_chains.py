# SPDX-License-Identifier: MIT
"""How many chains of a `perf record` file reach the outermost frame."""
import re
import struct
import subprocess

from tools import Failed

HOW = ("A chain of perf counts as complete if its outermost user frame lies at the ELF entry point of a program "
       "or of the dynamic loader, or in the function where a thread begins (clone, clone3): nothing calls these. "
       "Wrong or missing frames further in are not held against it. Samples inside do_exit that have no user frames "
       "are left out: the task has no memory any more.")

FRAME = re.compile(r"^\s+([0-9a-f]+) (.*) \((.*)\)$")
THREAD_STARTS = ("clone", "__clone", "__clone3", "clone3", "thread_start", "_start")
ENTRY_SIZE = 64
USER_END = 1 << 47


def entry_points(path, cache={}):
    """The address of the entry point as a virtual address and as a file offset; empty for what is no ELF file."""
    if path not in cache:
        cache[path] = []
        try:
            with open(path, "rb") as f:
                head = f.read(64)
                if head[:5] == b"\x7fELF\x02":
                    entry, table = struct.unpack_from("<QQ", head, 24)
                    size, count = struct.unpack_from("<HH", head, 54)
                    f.seek(table)
                    cache[path].append(entry)
                    for _ in range(count):
                        kind, _, offset, vaddr, _, filesz = struct.unpack_from("<IIQQQQ", f.read(size))
                        if kind == 1 and vaddr <= entry < vaddr + filesz:
                            cache[path].append(entry - vaddr + offset)
        except (OSError, struct.error):
            pass
    return cache[path]


def is_outermost(ip, symbol, dso):
    """perf prints addresses in the file, for a mapped file."""
    return symbol in THREAD_STARTS or any(entry <= ip <= entry + ENTRY_SIZE for entry in entry_points(dso))


class Count:
    """Of the samples seen so far, those with a user context and those whose chain is complete."""

    def __init__(self):
        self.with_user_context = self.complete = 0
        self.start()

    def start(self):
        self.last_user, self.exiting = None, False

    def frame(self, ip, symbol, dso):
        if ip < USER_END and not dso.startswith("[kernel"):
            self.last_user = ip, symbol, dso
        elif symbol == "do_exit":
            self.exiting = True

    def end(self):
        if self.last_user or not self.exiting:
            self.with_user_context += 1
            self.complete += bool(self.last_user) and is_outermost(*self.last_user)
        self.start()


def count(path, comms, seen=None):
    """Counts the samples of the processes of these names, which all have user memory.  Nothing is inlined into the
    outermost frame, and where perf finds no addr2line it dies of looking for the others."""
    script = subprocess.Popen(["perf", "script", "-i", path, "--no-inline", "--comms", ",".join(comms),
                               "-F", "comm,ip,sym,dso"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace")
    seen, inside = seen or Count(), False
    for line in script.stdout:
        if m := FRAME.match(line):
            seen.frame(int(m[1], 16), m[2], m[3])
        elif line.strip():
            if inside:
                seen.end()
            inside = True
    if inside:
        seen.end()
    if script.wait() != 0:
        raise Failed(f"perf script failed ({script.returncode})")
    return seen
