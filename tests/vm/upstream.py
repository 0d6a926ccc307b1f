# SPDX-License-Identifier: MIT
"""Chains of tests/programs/faults.c as the kernel's own tool records them, and as we do."""

import collections
import subprocess

import retour
from retour import backends, need  # noqa: F401, for the tests  pylint: disable=unused-import

PERF = 'perf7'
KERNEL_HALF = 1 << 63
UNMERGED = '(cookie)'       # what perf prints for a sample whose deferred record it did not find


def words(*frames, program='_start start main_'):
    """A chain as a line, outermost first."""
    return ' '.join((program, *frames))


class Chains:
    """The user chains of the samples of one program, '' for samples that have none."""

    def __init__(self):
        self.walks = collections.Counter()      # (chain, addresses)

    def _count(self, what):
        counter = collections.Counter()
        for walk, n in self.walks.items():
            counter[what(*walk)] += n
        return counter

    @property
    def chains(self):
        """A line of words each."""
        return self._count(lambda chain, _: chain)

    @property
    def lengths(self):
        """Numbers of frames."""
        return self._count(lambda _, addresses: len(addresses))

    @property
    def work(self):
        """What passed main_, with its addresses; how a program begins and ends is the loader's and the kernel's."""
        return collections.Counter({walk: n for walk, n in self.walks.items() if is_work(walk[0])})


class Upstream(Chains):
    """What perf makes of a recording."""

    def __init__(self, path, comm='faults'):
        super().__init__()
        script = retour.run_other(PERF, 'script', '-i', path, '-F', 'comm,tid,ip,sym', '--max-stack', '1024', '--no-inline',
                                  timeout=120, errors='replace')
        assert script.returncode == 0, script.stderr
        self.errors = script.stderr
        for block in script.stdout.split('\n\n'):
            lines = block.strip('\n').splitlines()
            if lines and lines[0].split()[0] == comm:
                self._add([line.split() for line in lines[1:]])

    def _add(self, frames):
        user = [f for f in frames if len(f) > 1 and int(f[0], 16) < KERNEL_HALF]
        self.walks[' '.join(f[1].split('+')[0] for f in reversed(user)),
                   tuple(int(f[0], 16) for f in user if f[1] != UNMERGED)] += 1


def upstream(*command, options=(), event='page-faults', comm='faults'):
    """The command recorded with deferred chains by perf."""
    path = retour.fresh_path('.perf')
    done = retour.run_other(PERF, 'record', '-e', event, '-c', '1', '--call-graph', 'fp,defer', '-o', path,
                            *options, '--', *command, timeout=120)
    assert done.returncode == 0, done.stderr
    return Upstream(path, comm)


class Ours(Chains):
    """Of a recording of ours; and what is said of the samples without a whole chain."""

    def __init__(self, recording, comm='faults'):
        super().__init__()
        self.recording = recording
        self.reasons = collections.Counter()
        self.samples = recording.of(comm)
        for sample in self.samples:
            self.walks[' '.join(f['sym'] or '?' for f in reversed(sample['user'])),
                       tuple(int(f['ip'], 16) for f in sample['user'])] += 1
            self.reasons[sample['reason']] += 1


def ours(backend, *command, options=(), event='page-faults', comm='faults'):
    """The command recorded by a backend."""
    return Ours(retour.record('--backend', backend, '-e', event, '-c', 1, *options, command=command,
                              timeout=180), comm)


def is_work(chain):
    """Whether it passed main_, and not just for a system call of main_ itself."""
    return ' main_ ' in chain and not chain.endswith(' main_ sys')


def of_work(counter):
    """Those of the chains."""
    return collections.Counter({chain: n for chain, n in counter.items() if is_work(chain)})


def same(found, truth, who='native'):
    """The same chains, each as often."""
    found = of_work(found)
    assert found == truth, f'{who}: {dict(found)}, expected {dict(truth)}'


def run_blocked(record):
    """record(command): the command starts a program that blocks for ever, and ends before it does."""
    pids = retour.fresh_path('.pid')
    try:
        return record('sh', '-c', f'{retour.program("faults")} b < /dev/null > /dev/null 2>&1 &'
                      f'echo $! > {pids}; sleep 1')
    finally:
        with open(pids, encoding='ascii') as f:
            subprocess.run(['kill', '-9', f.read().strip()], check=False)
