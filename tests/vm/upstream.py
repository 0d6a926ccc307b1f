# SPDX-License-Identifier: MIT
"""Chains of tests/programs/faults.c as the kernel's own tool records them, and as we do."""

import collections
import os
import subprocess

import retour
import tap

PERF = 'perf7'
OURS = ('bpf', 'native', 'stack')
WHO = ('perf', *OURS)
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
                                  errors='replace')
        assert script.returncode == 0, script.stderr
        self.errors = script.stderr
        for block in script.stdout.split('\n\n'):
            lines = block.strip('\n').splitlines()
            if lines and lines[0].split()[0] == comm:
                self._add([line.split() for line in lines[1:]])

    @property
    def unmerged(self):
        """How many samples it has no record for: it shows the cookie, sometimes as an address."""
        return self.chains[UNMERGED] + self.chains['[unknown]']

    def _add(self, frames):
        user = [f for f in frames if len(f) > 1 and int(f[0], 16) < KERNEL_HALF]
        self.walks[' '.join(f[1].split('+')[0] for f in reversed(user)),
                   tuple(int(f[0], 16) for f in user if f[1] != UNMERGED)] += 1


def upstream(*command, options=(), event='page-faults', comm='faults'):
    """The command recorded with deferred chains by perf."""
    path = retour.fresh_path('.perf')
    done = retour.run_other(PERF, 'record', '-e', event, '-c', '1', '--call-graph', 'fp,defer', '-o', path,
                            *options, '--', *command)
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
    return Ours(retour.record('--backend', backend, '-e', event, '-c', 1, *options, command=command), comm)


def need(*who):
    """Skips the test where one of these, our backends or perf, cannot defer chains."""
    if 'perf' in who:
        if retour.run_other(PERF, 'version').returncode:
            raise tap.Skip('there is no perf that defers chains')
        retour.need('native')
    retour.need(*(name for name in who if name != 'perf'))


def lacks(*who):
    """Why need() would skip, or None."""
    try:
        need(*who)
    except tap.Skip as reason:
        return str(reason)
    return None


def chains_of(who, *command, **options):
    """The command recorded by perf or by a backend."""
    return upstream(*command, **options) if who == 'perf' else ours(who, *command, **options)


def each(name, whose=WHO):
    """Registers function(who) as a test of perf, and one of each backend."""
    def register(function):
        def run(who):
            need(who)
            function(who)
        for who in whose:
            tap.test(f'{name}: {who}')(lambda w=who: run(w))
        return function
    return register


def is_work(chain):
    """Whether it passed main_, and not just for a system call of main_ itself."""
    return ' main_ ' in chain and not chain.endswith(' main_ sys')


def of_work(counter):
    """Those of the chains."""
    return collections.Counter({chain: n for chain, n in counter.items() if is_work(chain)})


def trace(name, text):
    """Writes to a file of the kernel's tracing, which takes no more than one line at a time."""
    fd = os.open(f'/sys/kernel/tracing/{name}', os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, f'{text}\n'.encode('ascii'))
    finally:
        os.close(fd)


def said_late(who, found):
    """How many chains bpf says to have missed where its requests are left to a thread, which may have to wait."""
    late = who == 'bpf' and os.environ.get('KERNEL') == 'rt'
    return found.reasons['regs-changed'] + found.reasons['schedule-failed'] if late else 0


def same(found, truth, who='native'):
    """The same chains of work, each as often."""
    chains, truth = of_work(found.chains), collections.Counter(truth)
    short, more = truth - chains, chains - truth
    assert short.total() <= said_late(who, found) and not more, \
        f'{who}: {dict(found.chains)}, expected {dict(truth)} {getattr(found, "reasons", "")}'


def of_blocked(who):
    """Recorded: a command that starts a program that blocks for ever, and ends before it does."""
    pids = retour.fresh_path('.pid')
    # The shell looks by itself: each program it starts for that would fault as often as a slow recorder can take.
    command = f"""{retour.program("faults")} b < /dev/null > /dev/null 2>&1 &
        echo $! > {pids}
        until read -r _ comm state _ < /proc/$!/stat; [ "$comm $state" = "(faults) S" ]; do sleep 0.5; done"""
    try:
        return chains_of(who, 'sh', '-c', command)
    finally:
        with open(pids, encoding='ascii') as f:
            subprocess.run(['kill', '-9', f.read().strip()], check=False)
