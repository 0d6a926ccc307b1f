#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The notes of tracepoints are found and used by other tools: check-notes.py ON_COMMAND

ON_COMMAND is on_command.c.  Arguments are where the tools can look, whatever the compiler.  readelf, gdb and perf list its tracepoint; gdb stops
at it; the kernel's uprobes count it whether the program's own probe is on or
off, and neither loses anything by the other's coming and going.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools"))
from tap import Tap

TRACEFS = "/sys/kernel/tracing"
EVENT = f"retour_test_{os.getpid()}"


def output(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more).stdout


def listed(program):
    notes = output("readelf", "-nW", program)
    if not re.search(r"Provider: app\s+Name: request\s+Location: 0x\w+, .*Semaphore: 0x0+\s+Arguments: -4@\S+ 8@\S+", notes):
        yield f"readelf: {notes}"
    if shutil.which("gdb") and not re.search(r"stap\s+app\s+request\s+0x", out := output("gdb", "-batch", "-ex", "info probes stap app", program)):
        yield f"gdb: {out}"
    if shutil.which("perf"):
        with tempfile.TemporaryDirectory() as home:
            env = {**os.environ, "HOME": home}
            output("perf", "--buildid-dir", home, "buildid-cache", "-a", program, env=env)
            if "sdt_app:request" not in (out := output("perf", "--buildid-dir", home, "list", "sdt", env=env)):
                yield f"perf: {out}"


# Everything that compilers would rather leave where it is, which may have no other name than a label.
ARGUMENTS = r'''
#include <retour/tracepoint.h>
RETOUR_TRACEPOINT(app, arguments, (float, f), (double, d), (long double, ld), (int, global), (const char *, text), (long, element));
extern int global;
extern double elements[];
void fire(long i);
void fire(long i)
{
	trace_app_arguments(-0.5f, 2.5, 1e300L, global, "text", (long)elements[i]);
	trace_app_arguments(0.1f, elements[i], 0.0L, (int)i, 0, global);
}
'''
PLACE = r"-?\d@(\$-?\d+|%\w+|-?\d*\(%\w+(,%\w+,\d)?\))"


def noted(compiler, *options):
    include = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "include")
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "arguments.o")
        language = "c++" if compiler.endswith("++") else "c"
        said = output(compiler, *options, "-Wall", "-Wextra", "-pedantic", "-I", include, "-x", language, "-c", "-o", made, "-",
                      input=ARGUMENTS)
        notes = [line.split() for line in re.findall(r"Arguments: (.*)", output("readelf", "-nW", made))]
    if said or len(notes) != 2 or any(len(n) != 6 or not all(re.fullmatch(PLACE, a) for a in n) for n in notes):
        yield f"{compiler} {options}: {said}{notes}"


def noted_by_all():
    for compiler, standard in ("gcc", "-std=c99"), ("clang", "-std=c99"), ("g++", "-std=c++11"), ("clang++", "-std=c++11"):
        if shutil.which(compiler):
            for level in "-O0", "-O2":
                yield from noted(compiler, standard, level)


def stopped(program):
    if not shutil.which("gdb"):
        return
    out = output("gdb", "-batch", "-ex", "set breakpoint pending on", "-ex", "break -probe-stap app:request", "-ex", "run",
                 "-ex", "print $_probe_argc", "-ex", "print $_probe_arg0", "-ex", "x/s $_probe_arg1", "-ex", "continue 99",
                 "-ex", "continue", program, input="f\nr\nf\n")
    if not re.search(r"\$1 = 2\s+\$2 = 0\s+0x\w+.*\"on command\"", out):
        yield f"gdb: {out}"


class Program:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline() or -1)

    def end(self):
        self.process.stdin.close()
        return self.process.wait()


def file_offset(program):
    location = int(re.search(r"Name: request\s+Location: (0x\w+)", output("readelf", "-nW", program))[1], 16)
    for line in re.findall(r"LOAD\s+(0x\w+) (0x\w+) 0x\w+ (0x\w+)", output("readelf", "-lW", program)):
        offset, address, size = (int(x, 16) for x in line)
        if address <= location < address + size:
            return location - address + offset
    return None


def write(path, text):
    fd = os.open(os.path.join(TRACEFS, path), os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def attach(program):
    write("uprobe_events", f"p:{EVENT}/{EVENT} {program}:{file_offset(program):#x}\n")
    write(f"events/{EVENT}/enable", "1")


def detach():
    write(f"events/{EVENT}/enable", "0")
    write("uprobe_events", f"-:{EVENT}/{EVENT}\n")


def kernel_hits():
    with open(os.path.join(TRACEFS, "uprobe_profile"), encoding="utf-8") as f:
        return next(int(line.split()[2]) for line in f if line.split()[1] == EVENT)


def shared(path):
    """A uprobe and the program's own probe at one site, in every order."""
    program = Program(path)
    seen = [program.do("f"), program.do("r"), program.do("f")]
    attach(path)
    try:
        seen += [program.do("f"), kernel_hits(), program.do("u"), program.do("f"), kernel_hits(), program.do("r"),
                 program.do("f"), kernel_hits()]
    finally:
        detach()
    seen += [program.do("f"), program.do("u"), program.do("f"), program.do("r"), program.do("f"), program.end()]
    want = [0, 0, 100, 100, 100, 0, 0, 200, 0, 100, 300, 100, 0, 0, 0, 100, 0]
    if seen != want:
        yield f"{seen}, want {want}"


def main():
    program, tap = os.path.abspath(sys.argv[1]), Tap()
    tap.check("readelf, gdb and perf list the tracepoint", listed(program))
    tap.check("arguments are where tools can look", noted_by_all())
    tap.check("gdb stops at it and finds the arguments", stopped(program))
    if os.access(os.path.join(TRACEFS, "uprobe_events"), os.W_OK):
        tap.check("a uprobe and the program's probe share a site", shared(program))
    else:
        print("# uprobes are left out: tracefs is not writable here")
    tap.finish()


if __name__ == "__main__":
    main()
