# SPDX-License-Identifier: MIT
"""Sessions of all backends, and of perf, at once: a task that owes its chain to all of them pays
each once, also when one ends, or is killed, before the task goes back to user space; and nothing
of a session outlives it."""

import collections
import json
import os
import signal
import subprocess
import time

import retour
import tap
from upstream import OURS, PERF, Ours, Upstream, each, lacks, of_work, same, trace, words

N = 20      # FAULTS in tests/programs/faults.c
WORK = collections.Counter({words('inner', 'touch'): N, words('in_kernel', 'sys'): N})
# The kernel reads what to wait for, and when it returns writes what came: to a page of its own then.
BEFORE, AFTER = collections.Counter({words('block', 'sys'): 1}), WORK + collections.Counter({words('block', 'sys'): 1})
RUN = WORK + collections.Counter({words('outer', 'middle', 'inner', 'touch'): N})      # of `faults c`
# What a busy machine may take from them; it is said.
LOSSES = ('record-lost', 'regs-changed', 'schedule-failed', 'not-returned', 'discarded', 'bpf-busy')


class Debtor:
    """`faults w`, beside a program whose faults show that a recorder has begun."""

    def __enter__(self):
        self.program = subprocess.Popen([retour.program('faults'), 'w'], stdin=subprocess.PIPE)
        self.ticking = subprocess.Popen(['sh', '-c', 'while :; do /bin/true; sleep 0.2; done'])
        self.target = ('-p', f'{self.program.pid},{self.ticking.pid}')
        return self

    def __exit__(self, *_):
        for process in (self.program, self.ticking):
            process.kill()
            process.wait()
        if self.program.stdin:
            self.program.stdin.close()

    def be_quiet(self):
        """Recorders that begin need the faults beside; to others they are what a slow one loses records by."""
        self.ticking.send_signal(signal.SIGSTOP)
        time.sleep(0.5)     # for what there is to be read

    def owe(self):
        """From here on the task is in the kernel, and owes a chain to who records it."""
        self.be_quiet()
        self.program.stdin.write(b'x')
        self.program.stdin.flush()
        end = time.monotonic() + retour.TIMEOUT
        while time.monotonic() < end:
            with open(f'/proc/{self.program.pid}/syscall', encoding='ascii') as f:
                if f.read().split()[0] == '7':      # poll
                    time.sleep(0.2)     # for irq_work and task work to be where they belong
                    return
            time.sleep(0.05)
        raise AssertionError('the program does not block')

    def pay(self):
        """Lets it go back to user space, work, and end."""
        self.be_quiet()
        self.program.stdin.close()
        assert self.program.wait(retour.TIMEOUT) == 0


class Recorder:
    """A recorder of each page fault by perf or by one of our backends, that has begun."""

    def __init__(self, who, *target, size=4096):
        self.who, self.path = who, retour.fresh_path()
        if who == 'perf':
            # It writes what is there already before it begins, and then half of its rings at a time.
            command, size = [PERF, 'record', '-m', '16', '--call-graph', 'fp,defer'], 32 << 10
        else:
            command = [retour.RETOUR, 'record', '--backend', who]
        self.process = subprocess.Popen([*command, '-e', 'page-faults', '-c', '1', '-o', self.path, *map(str, target)],
                                        text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        retour.wait_for_samples(self.process, self.path, size=size)

    def finish(self):
        """What it has, when it is told to end."""
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=retour.TIMEOUT)
        assert 'Captured' in errors if self.who == 'perf' else self.process.returncode == 0, errors
        return Upstream(self.path) if self.who == 'perf' else Ours(retour.Recording(self.path))

    def kill(self):
        """Ends it in the middle of what it does."""
        self.process.kill()
        self.process.communicate()


class Kernel:
    """What sessions have in the kernel: BPF objects by their numbers, perf events by counting."""
    PROBES = {'made': 'perf_event_alloc', 'freed': '_free_event'}

    def __init__(self):
        for name, function in self.PROBES.items():
            trace('kprobe_events', f'p:tests/{name} {function}')
            trace(f'events/tests/{name}/enable', 1)
        self.before = self._bpf()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in self.PROBES:
            trace(f'events/tests/{name}/enable', 0)
            trace('kprobe_events', f'-:tests/{name}')

    @staticmethod
    def _bpf():
        found = set()
        for kind in ('prog', 'map', 'link'):
            listed = retour.run_other('bpftool', '-j', kind, 'list')
            assert listed.returncode == 0, listed.stderr
            found |= {(kind, o['id']) for o in json.loads(listed.stdout)}
        return found

    def _events(self):
        with open('/sys/kernel/tracing/kprobe_profile', encoding='ascii') as f:
            return {name: int(hits) for name, hits, _ in map(str.split, f)}

    def nothing_left(self):
        """Waits until the kernel, which frees late, has freed all that came since."""
        end = time.monotonic() + retour.TIMEOUT
        while time.monotonic() < end:
            left, events = self._bpf() - self.before, self._events()
            if not left and events['made'] == events['freed']:
                assert events['made'], 'no event was counted'
                return
            time.sleep(0.1)
        raise AssertionError(f'left in the kernel: {left}, perf events: {events}')


def usable(*left_out):
    """
    Who can be used here.  The kernel fills in a sample of a fault once for all sessions: whoever of them began
    last says what is in it, and native needs what stack does not ask for.
    """
    return [who for who in ('stack', 'bpf', 'native', 'perf') if who not in left_out and not lacks(who)]


def beside(who):
    """Sessions that begin before one of this kind, and are to be none the worse for it."""
    return usable('perf', 'native' if who == 'stack' else None)


@tap.test('one task owes one chain to two sessions of perf, and to two of each backend: all get it')
def all_get_it():
    with Debtor() as debtor:
        recorders = [Recorder(who, *debtor.target) for who in usable() for _ in range(2)]
        debtor.owe()
        debtor.pay()
        for recorder in recorders:
            same(recorder.finish(), BEFORE + AFTER, recorder.who)


@each('one task owes to a session of each backend, and to one that ends before')
def one_ends(who):
    with Debtor() as debtor:
        lasting = [Recorder(other, *debtor.target) for other in beside(who)]
        ending = Recorder(who, *debtor.target)
        debtor.owe()
        found = ending.finish()
        # What it is owed then the kernel does not tell; bpf walks the task from outside, and stack has no debtors.
        same(found, BEFORE if who in ('bpf', 'stack') else collections.Counter(), who)
        assert who != 'native' or found.reasons['not-returned'] == 1, found.reasons
        assert who != 'perf' or found.unmerged, dict(found.chains)
        debtor.pay()
        for recorder in lasting:
            same(recorder.finish(), BEFORE + AFTER, recorder.who)


@each('one task owes to a session of each backend, and to one that is killed before')
def one_is_killed(who):
    with Kernel() as kernel, Debtor() as debtor:
        lasting = [Recorder(other, *debtor.target) for other in beside(who)]
        victim = Recorder(who, *debtor.target)
        debtor.owe()
        victim.kill()
        debtor.pay()
        for recorder in lasting:
            same(recorder.finish(), BEFORE + AFTER, recorder.who)
        kernel.nothing_left()


@each('a session begins when a task owes to one that was killed: what was owed to that is not its own')
def one_comes_after(who):
    with Kernel() as kernel, Debtor() as debtor:
        victim = Recorder(who, *debtor.target)
        debtor.owe()
        victim.kill()
        kernel.nothing_left()
        debtor.ticking.send_signal(signal.SIGCONT)
        heir = Recorder(who, *debtor.target)
        debtor.pay()
        same(heir.finish(), AFTER, who)
        kernel.nothing_left()


def check_runs(found, runs, least):
    """No run of the program has a chain twice, and those of `least` runs have all that is not said to be lost."""
    by_run = collections.defaultdict(collections.Counter)
    for sample in found.samples:
        by_run[sample['pid']][' '.join(f['sym'] or '?' for f in reversed(sample['user']))] += 1
    chains = [of_work(run) for run in by_run.values()]
    assert least <= len(chains) <= runs, f'{len(chains)} runs'
    assert all(run <= RUN for run in chains), chains
    stats = found.recording.stats
    lost = sum(found.reasons[reason] for reason in LOSSES) + stats['lost_samples'] + stats['lost_records']
    assert sum(run.total() for run in chains) + lost >= least * RUN.total(), f'{chains} {found.reasons} {stats}'


@each('one session ends, and one is killed, while tasks pay them and another one', OURS)
def one_ends_amid(who):
    go, stop = retour.fresh_path('.go'), retour.fresh_path('.stop')
    script = f"""while [ ! -e {go} ]; do sleep 0.05; done
                 while [ ! -e {stop} ]; do {retour.program('faults')} c; echo; done"""
    with subprocess.Popen(['sh', '-c', script], stdout=subprocess.PIPE) as program:
        # After so much stack has found the size of its copies: events are off for a moment when that changes.
        lasting, victim, ending = (Recorder(who, '-p', program.pid, size=64 << 10) for _ in range(3))
        open(go, 'wb').close()
        before = program.stdout.readline()
        victim.kill()
        before += program.stdout.readline()
        ended = ending.finish()
        after = program.stdout.readline()
        open(stop, 'wb').close()
        runs = len(before + after + program.stdout.read())
        assert program.wait(retour.TIMEOUT) == 0
        check_runs(lasting.finish(), runs, least=runs)
        check_runs(ended, runs - 1, least=2)


if __name__ == '__main__':
    tap.main(None if os.geteuid() == 0 else 'recording needs root')
