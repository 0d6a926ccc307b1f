# SPDX-License-Identifier: MIT
"""The recorders under comparison, and how a process and what it costs are measured."""
import json
import os
import re
import select
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

# Debian's interpreter, not one that comes before it in PATH.
PYTHON = "/usr/bin/python3"
LOST = re.compile(r"PERF_RECORD_LOST(?:_SAMPLES)?\s+lost (\d+)", re.IGNORECASE)


class NotInstalled(Exception):
    pass


class Failed(Exception):
    pass


def require(*programs):
    for program in programs:
        if not shutil.which(program):
            raise NotInstalled(f"{os.path.basename(program)} is not installed")


@dataclass
class Usage:
    """Seconds, CPU seconds of the process and of its children that have ended, the largest RSS of them (or
    of this program, if that is larger: the kernel carries it over an exec)."""
    wall: float
    cpu: float
    rss: int
    status: int


def wait(child, begin):
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return Usage(time.monotonic() - begin, used.ru_utime + used.ru_stime,
                 used.ru_maxrss * 1024, child.returncode)


def has_ended(child):
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def peak_rss(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        return next((int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:")), 0)


def run(argv, limit=None, **options):
    """Runs a program to its end, or kills it after limit seconds."""
    begin = time.monotonic()
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
    killer = threading.Timer(limit, child.kill) if limit else None
    try:
        if killer:
            killer.start()
        return wait(child, begin)
    finally:
        if killer:
            killer.cancel()


class Gate:
    """A command that says when it has been started and ends when it is told to.  A recorder that is given it
    records what happens meanwhile, and what happens is not among the recorder's own children."""

    def __init__(self, folder):
        self.ready, self.go = (os.path.join(folder, name) for name in ("ready", "go"))
        for path in (self.ready, self.go):
            os.mkfifo(path)
        self.fds = [os.open(path, os.O_RDWR) for path in (self.ready, self.go)]
        self.command = ["sh", "-c", f"echo >{self.ready}; read line <{self.go}"]

    def wait_until_open(self, child):
        while not select.select(self.fds[:1], [], [], 0.1)[0]:
            if has_ended(child):
                return

    def release(self):
        os.write(self.fds[1], b"\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for fd in self.fds:
            os.close(fd)


@dataclass
class Recording:
    """A file, and what its recorder used."""
    path: str
    ready: float = 0
    rss: int = 0
    usage: Usage = None

    @property
    def bytes(self):
        return os.stat(self.path).st_size


class Recorder:
    """A way to record.  All sample on the same event; perf does not read the build IDs of all files at its
    end, which would only add to its cost."""

    def __init__(self, name, program, options):
        self.name, self.program, self.options = name, program, options

    def argv(self, hz, path, scope, command):
        return [self.program, "record", "-q", "-e", "cpu-clock", "-F", str(hz), *self.options, *scope,
                "-o", path, "--", *command]

    def check(self, usage, err):
        if usage.status != 0:
            err.seek(0)
            said = err.read().decode(errors="replace").strip().splitlines()
            raise Failed(f"{self.name} failed: {said[-1] if said else f'status {usage.status}'}")

    def record(self, folder, hz, body):
        """Records the whole machine while body() runs, into a file in folder."""
        require(self.program)
        place = tempfile.mkdtemp(dir=folder)
        made = Recording(os.path.join(place, "data"))
        with Gate(place) as gate, tempfile.TemporaryFile() as err:
            begin = time.monotonic()
            child = subprocess.Popen(self.argv(hz, made.path, ["-a"], gate.command), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=err)
            try:
                gate.wait_until_open(child)
                made.ready = time.monotonic() - begin
                if not has_ended(child):
                    body()
                    made.rss = peak_rss(child.pid)
            finally:
                gate.release()
                made.usage = wait(child, begin)
            self.check(made.usage, err)
        return made

    def record_command(self, folder, hz, command):
        """Records only a command and its descendants."""
        require(self.program)
        made = Recording(os.path.join(tempfile.mkdtemp(dir=folder), "data"))
        with tempfile.TemporaryFile() as err:
            made.usage = run(self.argv(hz, made.path, [], command), stderr=err)
            self.check(made.usage, err)
        return made


class Retour(Recorder):
    def __init__(self, program):
        super().__init__("retour", program, [])

    def stats(self, path):
        out = subprocess.run([self.program, "stats", "-i", path, "--json"], stdout=subprocess.PIPE, check=True)
        return json.loads(out.stdout)

    def samples(self, path):
        return self.stats(path)["samples"]

    def lost(self, path):
        return self.stats(path)["lost_samples"]


class Perf(Recorder):
    def __init__(self, name, *options):
        super().__init__(name, "perf", ["--no-buildid", *options])

    def samples(self, path):
        out = subprocess.run(["perf", "report", "-i", path, "--stats"], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, check=True).stdout
        found = re.search(r"SAMPLE events:\s+(\d+)", out)
        return int(found[1]) if found else 0

    def lost(self, path):
        out = subprocess.run(["perf", "script", "-i", path, "--show-lost-events", "-F", "comm"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace")
        return sum(int(n) for n in LOST.findall(out.stdout))


def recorders(build):
    return [Retour(os.path.join(build, "retour")), Perf("perf -g (fp)", "-g"),
            Perf("perf dwarf", "--call-graph", "dwarf")]


def machine(build):
    """What the figures depend on."""
    def first_line(argv):
        try:
            return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]
        except (OSError, subprocess.CalledProcessError, IndexError):
            return "not installed"

    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "unknown")
    return {"date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "kernel": os.uname().release, "cpu": model, "cpus": os.cpu_count(),
            "load before": round(os.getloadavg()[0], 2),
            "retour": first_line([os.path.join(build, "retour"), "--version"]),
            "perf": first_line(["perf", "--version"]), "python3": first_line([PYTHON, "--version"]),
            "gcc": first_line(["gcc", "--version"]), "xz": first_line(["xz", "--version"])}
