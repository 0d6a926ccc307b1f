# SPDX-License-Identifier: MIT
"""A recording session of LTTng for the tracepoint of bench/runtime."""
import os
import subprocess
import tempfile
import time

import tools

SESSION = f"retour-bench-{os.getpid()}"
START_S = 10


class Session:
    """On while it is entered: a snapshot session, whose per-user buffers are overwritten and read by nobody.
    Uses the session daemon that runs, or one of its own."""

    def __init__(self):
        self.daemon, self.home, self.why = None, None, None

    def lttng(self, *args):
        done = subprocess.run(["lttng", "--no-sessiond", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise tools.Failed(f"lttng {args[0]}: {done.stdout.strip().splitlines()[-1:]}")

    def answers(self):
        try:
            self.lttng("list")
            return True
        except tools.Failed:
            return False

    def start_daemon(self):
        self.daemon = subprocess.Popen(["lttng-sessiond", "--no-kernel"], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + START_S
        while not self.answers():
            if time.monotonic() > end or self.daemon.poll() is not None:
                raise tools.Failed("lttng-sessiond does not answer")
            time.sleep(0.1)

    def start(self):
        tools.require("lttng", "lttng-sessiond")
        if not self.answers():
            self.start_daemon()
        self.lttng("create", SESSION, "--snapshot", "--output", self.home.name)
        self.lttng("enable-channel", "--userspace", "--session", SESSION, "bench")
        self.lttng("enable-event", "--userspace", "--session", SESSION, "--channel", "bench", "bench:event")
        self.lttng("start", SESSION)

    def __enter__(self):
        """`why` says why it is not on."""
        self.home = tempfile.TemporaryDirectory()
        try:
            self.start()
        except (tools.NotInstalled, tools.Failed) as e:
            self.why = e
        return self

    def __exit__(self, *_):
        if not self.why:
            self.lttng("destroy", SESSION)
        if self.daemon:
            self.daemon.terminate()
            self.daemon.wait()
        self.home.cleanup()
