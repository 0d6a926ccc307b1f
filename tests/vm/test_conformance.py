# SPDX-License-Identifier: MIT
"""Our chains beside those of the kernel's own deferral and perf: where these are
right ours are the same, and where they are not the tests show both.  Each case is
a test of perf and one of each backend."""

import collections
import json
import os

import retour
import tap
from upstream import (OURS, Upstream, chains_of, each, need, of_blocked, of_work, said_late, same,
                      trace, words)

N = 20      # FAULTS in tests/programs/faults.c, SWITCHES in switches.c
CHAINS = collections.Counter({
    words('inner', 'touch'): N,
    words('outer', 'middle', 'inner', 'touch'): N,
    words('in_kernel', 'sys'): N,
})
# Hardly anybody takes the CPU from a program that is started so: of a guest that has to wait for its own the kernel
# may find that others have waited too long.
UNDISTURBED = ('taskset', '-c', '0', 'chrt', '-f', '60')
TRIES = 5
# Programs that do the same every time: what is asked of the kernel, who does what, and all its chains.
PROGRAMS = {
    'faults of user space and of the kernel': ('page-faults', ('faults', 'c'), CHAINS),
    'faults before sleep': ('page-faults', ('faults', 'l'), {words('late', 'asks', 'sys'): N}),
    'switches between two tasks': ('context-switches', ('switches',), {
        words('parent', 'takes', 'sys'): N,
        words('child', 'gives', 'sys'): N,
    }),
}
first_work = {}     # of the first who recorded a program, with its addresses


def check_same(who, event, program, chains):
    """The same multiset of chains, down to the addresses, from all that walk."""
    name, *args = program
    command = (*(UNDISTURBED if event == 'context-switches' else ()), retour.program(name), *args)
    for _ in range(TRIES):
        found = chains_of(who, *command, event=event, comm=name)
        if event != 'context-switches' or not disturbed(found, chains):
            break
    same(found, chains, who)
    late = said_late(who, found)
    first = found.work if late else first_work.setdefault(program, found.work)
    assert found.work == first, f'{who}: {dict(found.work)}, the first: {dict(first)}'
    # Only what is sampled amid execve has none.
    assert who == 'perf' or late or not set(found.reasons) - {None, 'not-started', 'exec'}, found.reasons
    return found


def disturbed(found, chains):
    """Whether there are all switches of the program's own doing, and others."""
    work, own = of_work(found.chains), collections.Counter(chains)
    return work > own


for each_program, what in PROGRAMS.items():
    each(f'the same multiset of chains from all: {each_program}')(lambda who, w=what: check_same(who, *w))


@each('the same multiset of chains from all: faults that are asked for on one CPU, back on another')
def migrates(who):
    if os.cpu_count() < 2:
        raise tap.Skip('there is one CPU')
    chain = words('migrate', 'sys')
    found = check_same(who, 'page-faults', ('faults', 'm'), {chain: N})
    if who == 'perf':
        return      # its files do not tell where a chain came from
    samples = [s for s in found.samples if is_of(s, chain)]
    # A copy of the stack is taken at the event.
    back = 0 if who == 'stack' else 1
    assert all((s['cpu'], s['return_cpu']) == (0, back) for s in samples), samples[:2]


def is_of(sample, chain):
    """Whether the sample has this chain."""
    return [f['sym'] for f in reversed(sample['user'])] == chain.split()


@each('perf reads and merges our deferred records', OURS)
def deferred_records(who):
    recording = retour.record('--backend', who, '-e', 'page-faults', '-c', 1, '--deferred-records',
                              command=(retour.program('faults'), 'c'))
    read = Upstream(recording.path)
    assert 'unknown' not in read.errors and 'process' not in read.errors, read.errors
    same(read, CHAINS, f'perf on a file of {who}')
    report = retour.run_other('perf7', 'report', '-i', recording.path, '--stdio', '--children', '--no-inline',
                              errors='replace')
    assert report.returncode == 0 and 'in_kernel' in report.stdout, report.stderr


@tap.test('we read and merge the deferred records of perf, also those that come before their samples')
def reads_perf():
    need('perf')
    path = retour.fresh_path('.perf')
    done = retour.run_other('perf7', 'record', '-e', 'page-faults', '-c', '1', '--call-graph', 'fp,defer', '-o', path,
                            retour.program('faults'), 's')
    assert done.returncode == 0, done.stderr
    chain = words('signalled', 'sys')
    samples = map(json.loads, retour.succeed('script', '-i', path, '--json', '--no-inline').stdout.splitlines())
    assert sum(is_of(s, chain) for s in samples) == 2 * N
    assert Upstream(path).chains[chain] == N


@each('without frame pointers perf is wrong; native says how far it is right; the others are right')
def without_frame_pointers(who):
    found = chains_of(who, retour.program('faults_without'), 'c', comm='faults_without')
    if who == 'perf':
        wrong = of_work(found.chains)
        assert found.chains.total() >= 3 * N and not set(wrong) & set(CHAINS), f'perf knows the callers: {dict(wrong)}'
    elif who == 'native':
        assert set(found.chains) <= {'touch', 'sys', '_start', '', 'start', 'main_'}, dict(found.chains)
        assert found.chains['touch'] == 2 * N and found.reasons['no frame pointer'] >= 3 * N, found.reasons
    else:
        same(found, CHAINS, who)


@each('exec between request and return: perf has the new program, we do not')
def exec_in_between(who):
    asked = words('replace', 'sys')
    found = chains_of(who, retour.program('faults'), 'e9')
    if who == 'perf':
        assert asked not in found.chains and found.chains['_start'] >= 9, dict(found.chains)
    elif who == 'native':
        assert asked not in found.chains and found.reasons['exec'] >= 9, found.reasons
    else:
        assert found.chains[asked] == 9, f'{dict(found.chains)} {found.reasons}'


@each('a sample after the record of its own kernel entry: perf has no chain for it')
def sample_after_record(who):
    chain = words('signalled', 'sys')
    found = chains_of(who, retour.program('faults'), 's')
    if who == 'perf':
        assert found.chains[chain] == N and found.unmerged >= N - 1, dict(found.chains)      # the last is not shown
    elif who == 'native':
        assert found.chains[chain] == 2 * N and found.recording.stats['shared'] >= N, dict(found.chains)
    elif who == 'bpf':      # what asks first has its chain; it walks once more, when the registers are the handler's
        assert found.chains[chain] + found.reasons['regs-changed'] == 2 * N, f'{dict(found.chains)} {found.reasons}'
        assert N - found.chains[chain] <= said_late(who, found), f'{dict(found.chains)} {found.reasons}'
    else:
        same(found, collections.Counter({chain: 2 * N}), who)


@each('a task that is blocked until the end')
def blocked(who):
    found = of_blocked(who)
    chains = found.chains[words('block', 'sys')]
    if who == 'perf':
        assert not chains and found.unmerged >= 1, dict(found.chains)
    elif who == 'native':
        assert not chains and found.reasons['not-returned'] == 1, found.reasons
    else:
        assert chains == 1, f'{dict(found.chains)} {found.reasons} {found.recording.stats}'


@each('a task that is stopped on its way out: perf loses the chains of per-task events')
def stopped_in_exit(who):
    found = chains_of(who, retour.program('faults'), 'x', event='context-switches')
    chains = found.chains[words('stop_in_exit', 'leave', 'sys')]
    if who == 'perf':
        # Those that lose the CPU later, when they are exiting already, are walked at once.
        assert chains < N // 2 and found.chains.total() >= N, dict(found.chains)
    else:
        assert chains >= N, f'{dict(found.chains)} {found.reasons}'


@each('more than 510 frames: perf cuts silently, native says so, the others go on')
def deep(who):
    found = chains_of(who, retour.program('faults'), 'd')
    if who == 'perf':
        assert found.lengths[510] >= N and not any(n > 510 for n in found.lengths), found.lengths
    elif who == 'native':
        assert found.lengths[510] >= N and found.reasons['max depth'] >= N, found.reasons
    else:
        assert found.lengths[601 + 5] == N and not found.reasons['max depth'], found.lengths


class Uretprobe:
    """A probe on the return of a function while the with block runs."""

    def __init__(self, program, function):
        symbols = retour.run_other('readelf', '-sW', program).stdout.split('\n')
        address = next(int(s.split()[1], 16) for s in symbols if s.endswith(' ' + function))
        segments = retour.run_other('readelf', '-lW', program).stdout.split('\n')
        _, offset, start, *_ = next(s.split() for s in segments if ' LOAD ' in s and ' E ' in s)
        self.line = f'r:tests/ret {program}:{address - int(start, 16) + int(offset, 16):#x}'

    def __enter__(self):
        trace('uprobe_events', self.line)
        trace('events/tests/ret/enable', 1)

    def __exit__(self, *_):
        trace('events/tests/ret/enable', 0)
        trace('uprobe_events', '-:tests/ret')


@each('uretprobes: perf shows the trampoline as a caller')
def uretprobes(who):
    program = retour.program('faults')
    chain, rest = words('outer', 'middle', 'inner', 'touch'), words('inner', 'touch')
    with Uretprobe(program, 'middle'):
        found = chains_of(who, program, 'c')
    assert found.chains[rest] == N, dict(found.chains)
    if who == 'perf':
        assert not found.chains[chain] and found.chains.total() >= 3 * N, dict(found.chains)
        return
    # The true caller is known to the kernel alone; without it, the reason that it is not there.
    whole, cut = (N, 0) if who == 'bpf' else (0, N)
    assert (found.chains[chain], found.chains['middle inner touch']) == (whole, cut) and \
        found.reasons['uretprobe'] >= cut, f'{dict(found.chains)} {found.reasons}'


tap.main(None if os.geteuid() == 0 else 'recording needs root')
