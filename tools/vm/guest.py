# SPDX-License-Identifier: MIT
"""A virtual machine: boots a kernel on an image, runs commands in it, brings files back.

Software emulation only, so that it runs where virtual machines cannot be
nested; one thread for both processors, because with two QEMU 7.2 may run an
instruction that the kernel has just patched as it was before.  A guest that
panics, hangs or takes too long is killed, and the last lines of its console say
why.
"""

import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time

import image
import packages

BOOT = 600      # seconds: a bound for what hangs, on a machine that has other things to do
MEMORY = '2G'
# Whether interrupts of the timer come the kernel asks while it counts its own cycles: of a CPU that is not
# there all the time it believes that they do not, and panics.
COMMAND_LINE = ('console=ttyS0 loglevel=5 panic=-1 oops=panic tsc=reliable clocksource=tsc no_timer_check '
                'rcupdate.rcu_cpu_stall_timeout=60')
CHANNEL = 'retour'
# An emulated CPU is slow: sampling would be throttled at any rate worth testing.
INIT = f'''#!/bin/busybox sh
export PATH=/usr/bin:/usr/sbin:/build
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
busybox mkdir -p /dev/pts /dev/shm
busybox mount -t devpts devpts /dev/pts
busybox mount -t tmpfs tmpfs /dev/shm
busybox mount -t tracefs tracefs /sys/kernel/tracing
busybox mount -t debugfs debugfs /sys/kernel/debug
busybox mount -t bpf bpf /sys/fs/bpf
busybox mount -t cgroup2 cgroup2 /sys/fs/cgroup
busybox ip link set lo up
busybox hostname guest
for module in /modules/*.ko; do [ -e "$module" ] && busybox insmod "$module"; done
echo 0 > /proc/sys/kernel/perf_cpu_time_max_percent
for port in /sys/class/virtio-ports/*; do
	[ "$(busybox cat "$port/name")" = {CHANNEL} ] && channel=/dev/${{port##*/}}
done
export HOME=/root TERM=dumb LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 RETOUR=/build/retour
export PROGRAMS=/build/tests/programs PYTHONPATH=/tests/system:/tests/vm KERNEL={{kernel}}
python3 -S /agent.py "$channel"
busybox poweroff -f
'''


def processor(release):
    """The processor for a kernel.

    QEMU 7.2 leaves garbage in the flags after cmpxchg16b, so that kernels crash at random whose
    allocator uses it all the time.  Since 6.18 it hardly does, but allocates in interrupts only with it.
    """
    version = [int(part) for part in release.split('.')[:2] if part.isdigit()]
    return 'max,-cx16' if version and version < [6, 18] else 'max'


class Failed(Exception):
    """The guest did not do what it has to; the text ends with the last lines of the console."""


def missing():
    """What this machine lacks to run a guest, or None."""
    for tool in ('qemu-system-x86_64', '/bin/busybox', '/usr/bin/python3', 'setpriv'):
        if not shutil.which(tool):
            return f'{tool} is not installed'
    return None


class Guest:
    """A running guest; use it in a with statement."""

    def __init__(self, kernel, build, extra=()):
        self.kernel = packages.kernel(kernel)
        self.folder = tempfile.mkdtemp(prefix='retour-vm-')
        self.console = os.path.join(self.folder, 'console')
        self.buffer = b''
        self.failed = False     # once it was silent or gone, nothing that it says can be believed
        try:
            self._make_image(build, extra)
            self._start()
            self.boot_seconds = self._boot()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _make_image(self, build, extra):
        here = os.path.dirname(os.path.abspath(__file__))
        root = image.Image()
        image.add_system(root)
        image.add_build(root, os.path.abspath(build), os.path.dirname(os.path.dirname(here)))
        for host, path in extra:
            (root.tree if os.path.isdir(host) else root.file)(os.path.abspath(host), path.lstrip('/'))
        try:
            image.add_perf(root, packages.perf()[1])
        except packages.Unavailable as reason:
            root.text('usr/bin/perf7', f'#!/bin/sh\necho "perf7: {reason}" >&2\nexit 127\n', 0o755)
        root.libraries()
        for number, module in enumerate(self.kernel.modules):
            root.file(module, f'modules/{number}-{os.path.basename(module)}')
        root.file(os.path.join(here, 'agent.py'), 'agent.py')
        root.text('init', INIT.replace('{kernel}', self.kernel.name), 0o755)
        with open(os.path.join(self.folder, 'root.cpio'), 'wb') as f:
            root.write(f)

    def _start(self):
        ours, theirs = socket.socketpair()
        self.channel = ours
        command = ['setpriv', '--pdeathsig', 'KILL', 'qemu-system-x86_64', '-nodefaults', '-no-user-config',
                   '-display', 'none', '-no-reboot', '-accel', 'tcg,thread=single',
                   '-cpu', processor(self.kernel.release), '-smp', '2', '-m', MEMORY,
                   '-kernel', self.kernel.image, '-initrd', os.path.join(self.folder, 'root.cpio'),
                   '-append', COMMAND_LINE, '-serial', f'file:{self.console}', '-device', 'virtio-serial-pci',
                   '-chardev', f'socket,id=channel,fd={theirs.fileno()}',
                   '-device', f'virtserialport,chardev=channel,name={CHANNEL}']
        with open(os.path.join(self.folder, 'qemu'), 'wb') as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            pass_fds=[theirs.fileno()])
        theirs.close()

    def _boot(self):
        start = time.monotonic()
        status = self._answer(BOOT, lambda kind, data: None)
        if status != 'ready':
            raise Failed(f'the agent said {status!r}')
        return time.monotonic() - start

    def _receive(self, size, deadline):
        while len(self.buffer) < size:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failed(f'the guest is silent: time limit reached{self._last_words()}')
            self.channel.settimeout(left)
            try:
                data = self.channel.recv(1 << 20)
            except (socket.timeout, ConnectionError):
                data = None if time.monotonic() >= deadline else b''
            if data == b'':
                raise Failed(f'the guest died{self._last_words()}')
            self.buffer += data or b''
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def _answer(self, timeout, receive):
        deadline = time.monotonic() + timeout
        while True:
            kind, length = struct.unpack('<cI', self._receive(5, deadline))
            data = self._receive(length, deadline)
            if kind == b'x':
                return json.loads(data)
            receive(kind, data)

    def _request(self, request, timeout, receive):
        self.channel.settimeout(timeout)
        try:
            self.channel.sendall(json.dumps(request).encode() + b'\n')
            return self._answer(timeout, receive)
        except OSError as error:
            self.failed = True
            raise Failed(f'the guest does not listen: {error}{self._last_words()}') from error
        except Failed:
            self.failed = True
            raise

    def run(self, argv, receive, timeout=60, env=None, cwd='/tests'):
        """Runs a command; receive(b'o' or b'e', data) gets its output; returns its status."""
        request = {'argv': argv, 'env': env or {}, 'cwd': cwd, 'timeout': timeout}
        return self._request(request, timeout + 20, receive)

    def get(self, path, out, timeout=60):
        """Copies a file of the guest to a file object."""
        status = self._request({'get': path}, timeout, lambda kind, data: out.write(data))
        if status != 0:
            raise OSError(status)

    def alive(self):
        """Whether it can run another command."""
        return not self.failed and self.process.poll() is None

    def log(self):
        """What the kernel has said."""
        with open(self.console, encoding='utf-8', errors='replace') as f:
            return f.read()

    def _last_words(self):
        lines = []
        for name in (self.console, os.path.join(self.folder, 'qemu')):
            if os.path.exists(name):
                with open(name, encoding='utf-8', errors='replace') as f:
                    lines += f.read().splitlines()[-25:]
        return '; its last words:\n' + '\n'.join(f'    {line}' for line in lines)

    def close(self):
        """Ends the guest and removes its files."""
        if hasattr(self, 'process'):
            self.process.kill()
            self.process.wait()
            self.channel.close()
        shutil.rmtree(self.folder, ignore_errors=True)
