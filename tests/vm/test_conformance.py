# SPDX-License-Identifier: MIT
"""Our chains beside those of the kernel's own deferral and perf: where these are
right ours are the same, and where they are not the tests show both."""

import collections
import os

import retour
import tap
from upstream import Upstream, backends, of_work, ours, run_blocked, same, upstream, words

N = 20      # FAULTS in tests/programs/faults.c, SWITCHES in switches.c
CHAINS = collections.Counter({
    words('inner', 'touch'): N,
    words('outer', 'middle', 'inner', 'touch'): N,
    words('in_kernel', 'sys'): N,
})
# Nobody takes the CPU from a program that is started so.
UNDISTURBED = ('taskset', '-c', '0', 'chrt', '-f', '50')
# Programs that do the same every time: what is asked of the kernel, who does what, and all its chains.
PROGRAMS = {
    'faults of user space and of the kernel': ('page-faults', ('faults', 'c'), CHAINS),
    'faults between two CPUs': ('page-faults', ('faults', 'm'), {words('migrate', 'sys'): N}),
    'faults before sleep': ('page-faults', ('faults', 'l'), {words('late', 'asks', 'sys'): N}),
    'switches between two tasks': ('context-switches', ('switches',), {
        words('parent', 'takes', 'sys'): N,
        words('child', 'gives', 'sys'): N,
    }),
}


def check_same(event, command, chains):
    """The same multiset of chains, down to the addresses, from all that walk."""
    name, *args = command
    command = (*(UNDISTURBED if event == 'context-switches' else ()), retour.program(name), *args)
    reference = upstream(*command, event=event, comm=name)
    same(reference.chains, chains, 'perf')
    for backend in backends():
        found = ours(backend, *command, event=event, comm=name)
        same(found.chains, chains, backend)
        assert found.work == reference.work, f'{backend}: {dict(found.work)}, perf: {dict(reference.work)}'
        # Only what is sampled amid execve has none.
        assert not set(found.reasons) - {None, 'not-started', 'exec'}, f'{backend}: {found.reasons}'


for each, what in PROGRAMS.items():
    tap.test(f'the same multiset of chains from every backend and from perf: {each}')(lambda w=what: check_same(*w))


@tap.test('perf reads and merges our deferred records')
def deferred_records():
    for backend in backends():
        recording = retour.record('--backend', backend, '-e', 'page-faults', '-c', 1, '--deferred-records',
                                  command=(retour.program('faults'), 'c'))
        read = Upstream(recording.path)
        assert 'unknown' not in read.errors and 'process' not in read.errors, f'{backend}: {read.errors}'
        same(read.chains, CHAINS, f'perf on a file of {backend}')
        report = retour.run_other('perf7', 'report', '-i', recording.path, '--stdio', '--children', '--no-inline', errors='replace')
        assert report.returncode == 0 and 'in_kernel' in report.stdout, report.stderr


@tap.test('without frame pointers perf is wrong; native says how far it is right; the others are right')
def without_frame_pointers():
    command = (retour.program('faults_without'), 'c')
    wrong = of_work(upstream(*command, comm='faults_without').chains)
    assert not set(wrong) & set(CHAINS), f'perf knows the callers: {dict(wrong)}'
    for backend in backends():
        found = ours(backend, *command, comm='faults_without')
        if backend != 'native':
            same(found.chains, CHAINS, backend)
            continue
        assert set(found.chains) <= {'touch', 'sys', '_start', '', 'start', 'main_'}, dict(found.chains)
        assert found.chains['touch'] == 2 * N and found.reasons['no frame pointer'] >= 3 * N, found.reasons


@tap.test('exec between request and return: perf has the new program, we do not')
def exec_in_between():
    command = (retour.program('faults'), 'e9')
    asked = words('replace', 'sys')
    reference = upstream(*command)
    assert asked not in reference.chains and reference.chains['_start'] >= 9, dict(reference.chains)
    for backend in backends():
        found = ours(backend, *command)
        if backend == 'native':
            assert asked not in found.chains and found.reasons['exec'] >= 9, found.reasons
        else:
            assert found.chains[asked] == 9, f'{backend}: {dict(found.chains)} {found.reasons}'


@tap.test('a sample after the record of its own kernel entry: perf has no chain for it')
def sample_after_record():
    command = (retour.program('faults'), 's')
    chain = words('signalled', 'sys')
    reference = upstream(*command)
    assert reference.chains[chain] == N, dict(reference.chains)
    found = ours('native', *command)
    assert found.chains[chain] == 2 * N, dict(found.chains)
    assert found.recording.stats['shared'] >= N
    if 'bpf' in backends():
        # It walks once more, when the registers are the handler's.
        found = ours('bpf', *command)
        assert found.chains[chain] + found.reasons['regs-changed'] == 2 * N, found.reasons
    if 'stack' in backends():
        same(ours('stack', *command).chains, collections.Counter({chain: 2 * N}), 'stack')


@tap.test('a task that is blocked until the end')
def blocked():
    chain = words('block', 'sys')
    reference = run_blocked(lambda *command: upstream(*command, options=('-a',)))
    assert not reference.chains[chain], dict(reference.chains)
    for backend in backends():
        found = run_blocked(lambda *command, b=backend: ours(b, *command, options=('-a',)))
        if backend == 'native':
            assert not found.chains[chain] and found.reasons['not-returned'] == 1, found.reasons
        else:
            assert found.chains[chain] == 1, f'{backend}: {dict(found.chains)} {found.reasons}'


@tap.test('a task that is stopped on its way out: perf loses the chains of per-task events')
def stopped_in_exit():
    command = (retour.program('faults'), 'x')
    chain = words('stop_in_exit', 'leave', 'sys')
    reference = upstream(*command, event='context-switches')
    assert not reference.chains[chain], dict(reference.chains)
    for backend in backends():
        found = ours(backend, *command, event='context-switches')
        assert found.chains[chain] >= N, f'{backend}: {dict(found.chains)} {found.reasons}'


@tap.test('more than 510 frames: perf cuts silently, native says so, the others go on')
def deep():
    command = (retour.program('faults'), 'd')
    lengths = upstream(*command).lengths
    assert lengths[510] >= N, lengths
    for backend in backends():
        found = ours(backend, *command)
        lengths = found.lengths
        if backend == 'native':
            assert lengths[510] >= N and found.reasons['max depth'] >= N, found.reasons
        else:
            assert lengths[601 + 5] == N and not found.reasons['max depth'], f'{backend}: {lengths}'


class Uretprobe:
    """A probe on the return of a function while the with block runs."""
    TRACING = '/sys/kernel/tracing'

    def __init__(self, program, function):
        symbols = retour.run_other('readelf', '-sW', program).stdout.split('\n')
        address = next(int(s.split()[1], 16) for s in symbols if s.endswith(' ' + function))
        segments = retour.run_other('readelf', '-lW', program).stdout.split('\n')
        _, offset, start, *_ = next(s.split() for s in segments if ' LOAD ' in s and ' E ' in s)
        self.line = f'r:tests/ret {program}:{address - int(start, 16) + int(offset, 16):#x}'

    def _write(self, name, text):
        fd = os.open(f'{self.TRACING}/{name}', os.O_WRONLY | os.O_APPEND)
        os.write(fd, text.encode('ascii'))
        os.close(fd)

    def __enter__(self):
        self._write('uprobe_events', self.line + '\n')
        self._write('events/tests/ret/enable', '1')

    def __exit__(self, *_):
        self._write('events/tests/ret/enable', '0')
        self._write('uprobe_events', '-:tests/ret\n')


@tap.test('uretprobes: perf shows the trampoline as a caller')
def uretprobes():
    program = retour.program('faults')
    chain, rest = words('outer', 'middle', 'inner', 'touch'), words('inner', 'touch')
    with Uretprobe(program, 'middle'):
        reference = upstream(program, 'c')
        found = {backend: ours(backend, program, 'c') for backend in backends()}
    assert not reference.chains[chain], dict(reference.chains)
    for backend, result in found.items():
        assert result.chains[rest] == N, f'{backend}: {dict(result.chains)}'
        # The true caller is known to the kernel alone; without it, the reason that it is not there.
        whole, cut = (N, 0) if backend == 'bpf' else (0, N)
        assert (result.chains[chain], result.chains['middle inner touch']) == (whole, cut) and \
            result.reasons['uretprobe'] >= cut, f'{backend}: {dict(result.chains)} {result.reasons}'


@tap.test('our reader and perf agree on a recording of perf')
def reads_perf():
    path = retour.fresh_path('.perf')
    done = retour.run_other('perf7', 'record', '-e', 'page-faults', '-c', '1', '--call-graph', 'fp,defer', '-o', path,
                            retour.program('faults'), 's')
    assert done.returncode == 0, done.stderr
    script = retour.succeed('script', '-i', path)
    assert script.stdout.count('signalled') == 2 * N    # perf itself merges half of them


def unusable():
    """Why nothing can be compared here."""
    if os.geteuid() != 0:
        return 'recording needs root'
    if retour.run_other('perf7', 'version').returncode:
        return 'there is no perf that defers chains'
    return None if 'native' in backends() else 'this kernel does not defer chains'


if __name__ == '__main__':
    tap.main(unusable())
