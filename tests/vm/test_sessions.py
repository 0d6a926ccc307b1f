# SPDX-License-Identifier: MIT
"""A task that owes one chain to two sessions, of the same backend or of different ones: each gets
it once, also when the other one ends, or is killed, before the task goes back to user space."""

import collections
import json
import os
import signal
import subprocess
import time

import retour
import tap
from upstream import Ours, need, same, words

N = 20      # FAULTS in tests/programs/faults.c
# The kernel reads what to wait for, and when it returns writes what came: to a page of its own then.
CHAINS = collections.Counter({words('block', 'sys'): 2, words('inner', 'touch'): N, words('in_kernel', 'sys'): N})
PAIRS = [('bpf', 'bpf'), ('bpf', 'native'), ('native', 'bpf'), ('native', 'native'), ('stack', 'native')]


class Debtor:
    """`faults w`, beside a program whose faults show that a recorder has begun."""

    def __enter__(self):
        self.program = subprocess.Popen([retour.program('faults'), 'w'], stdin=subprocess.PIPE)
        self.ticking = subprocess.Popen(['sh', '-c', 'while :; do /bin/true; sleep 0.2; done'])
        return self

    def __exit__(self, *_):
        for process in (self.program, self.ticking):
            process.kill()
            process.wait()
        if self.program.stdin:
            self.program.stdin.close()

    def recorded_by(self, backend):
        """A recorder that has begun, and its file."""
        path = retour.fresh_path()
        recorder = retour.start('record', '--backend', backend, '-e', 'page-faults', '-c', 1, '-o', path,
                                '-p', f'{self.program.pid},{self.ticking.pid}')
        retour.wait_for_samples(recorder, path, timeout=60)
        return recorder, path

    def owe(self):
        """From here on the task is in the kernel, and owes a chain to who records it."""
        self.program.stdin.write(b'x')
        self.program.stdin.flush()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with open(f'/proc/{self.program.pid}/syscall', encoding='ascii') as f:
                if f.read().split()[0] == '7':      # poll
                    time.sleep(0.2)     # for irq_work and task work to be where they belong
                    return
            time.sleep(0.05)
        raise AssertionError('the program does not block')

    def pay(self):
        """Lets it go back to user space, work, and end."""
        self.program.stdin.close()
        assert self.program.wait(60) == 0


def finish(recorder, path):
    """What a recorder has, when it is told to end."""
    recorder.send_signal(signal.SIGINT)
    assert recorder.wait(60) == 0, recorder.stderr.read()
    recorder.communicate()
    return Ours(retour.Recording(path))


def kernel_objects():
    """The kernel's BPF objects."""
    found = set()
    for kind in ('prog', 'map', 'link'):
        listed = retour.run_other('bpftool', '-j', kind, 'list')
        assert listed.returncode == 0, listed.stderr
        found |= {(kind, o['id']) for o in json.loads(listed.stdout)}
    return found


def nothing_left(before):
    """Waits until the kernel, which frees late, has freed all that came since."""
    for _ in range(200):
        left = kernel_objects() - before
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(f'left in the kernel: {left}')


def both_to_the_end(first, second):
    need(first, second)
    with Debtor() as debtor:
        recorders = [debtor.recorded_by(first), debtor.recorded_by(second)]
        debtor.owe()
        debtor.pay()
        for backend, recorder in zip((first, second), recorders):
            same(finish(*recorder).chains, CHAINS, backend)


def one_ends(first, second):
    """What it is owed then, native cannot know; bpf walks the task from outside, and stack has no debtors."""
    need(first, second)
    owed = collections.Counter() if second == 'native' else collections.Counter({words('block', 'sys'): 1})
    with Debtor() as debtor:
        lasting, ending = debtor.recorded_by(first), debtor.recorded_by(second)
        debtor.owe()
        found = finish(*ending)
        chains = found.chains
        chains.pop('', None)
        same(chains, owed, second)
        assert second != 'native' or found.reasons['not-returned'] == 1, found.reasons
        debtor.pay()
        same(finish(*lasting).chains, CHAINS, first)


def one_is_killed(first, second):
    need(first, second)
    before = kernel_objects()
    with Debtor() as debtor:
        lasting, victim = debtor.recorded_by(first), debtor.recorded_by(second)[0]
        debtor.owe()
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        debtor.pay()
        same(finish(*lasting).chains, CHAINS, first)
    nothing_left(before)


for each in PAIRS:
    names = ' and '.join(each)
    for what, function in {'both get it': both_to_the_end, 'the second ends before': one_ends,
                           'the second is killed before': one_is_killed}.items():
        tap.test(f'{names} are owed one chain: {what}')(lambda f=function, p=each: f(*p))

if __name__ == '__main__':
    tap.main(None if os.geteuid() == 0 else 'recording needs root')
