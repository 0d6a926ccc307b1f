# SPDX-License-Identifier: MIT
"""What retour can do on the kernel of this guest, and that it does it.

Tests in this folder run inside a guest (tools/vm/run), as root, with the modules
of tests/system beside them; $KERNEL is the kernel's name in tools/vm/packages.py.
They ask what the kernel can do and skip aloud what it cannot.  An emulated CPU is
some twenty times slower than a real one: frequencies are low and programs small.
"""

import functools
import json
import os
import signal

import retour
import tap
from chains import MAIN, WORK, Truth, recursion

FREQUENCY = 499
BTF = '/sys/kernel/btf/vmlinux'
KFUNC = 'bpf_task_work_schedule_resume'
PLAIN = WORK + '(?:(?:plain_inner )?plain_middle )?plain_outer ' + MAIN
# An exec takes long here, and a program's share of the processor may be small.
SLOW = {'missing': {'exec': 0.5, 'not-started': 0.5, 'exiting': 0.1, 'regs-changed': 0.05,
                    'schedule-failed': 0.05}, 'least': 20,
        # Of the stack of a program that begins a copy in an interrupt misses the page that it grows into.
        'edge_reasons': ['page not readable']}


@functools.cache
def backends():
    """What doctor says of each backend."""
    return {b['name']: b for b in json.loads(retour.succeed('doctor', '--json').stdout)['backends']}


def usable(backend):
    """Skips the test if the backend is not usable, and makes sure that there is a reason."""
    found = backends()[backend]
    if not found['usable']:
        assert found['why'] and found['remedy'], found
        raise tap.Skip(f'backend {backend}: {found["why"]}')


@functools.cache
def kernel_functions():
    """The names in the kernel's type information."""
    with open(BTF, 'rb') as f:
        return set(f.read().split(b'\0'))


@tap.test('doctor says of bpf what the type information of the kernel says')
def doctor_bpf():
    there = bool(kernel_functions() & {KFUNC.encode(), KFUNC.encode() + b'_impl'})
    assert backends()['bpf']['usable'] == there, f'{backends()["bpf"]}, the function is there: {there}'


@tap.test('doctor says of native what perf says')
def doctor_native():
    if retour.run_other('perf7', 'version').returncode:
        raise tap.Skip('there is no perf that defers chains')
    path = retour.fresh_path('.perf')
    done = retour.run_other('perf7', 'record', '-e', 'cpu-clock', '--call-graph', 'fp,defer', '-o', path,
                            '--', 'true')
    assert done.returncode == 0, done.stderr
    # perf leaves the bit out where the kernel refuses it.
    there = 'defer_callchain: 1' in retour.run_other('perf7', 'evlist', '-v', '-i', path).stdout
    assert backends()['native']['usable'] == there, f'{backends()["native"]}, perf: {there}'


@tap.test('a backend that cannot be used is refused with its reason and remedy')
def refused():
    for name, backend in backends().items():
        if not backend['usable']:
            done = retour.run('record', '--backend', name, '-o', retour.fresh_path(), '--', 'true')
            assert done.returncode == 1, f'{name}: exit status {done.returncode}'
            assert name in done.stderr and backend['remedy'] in done.stderr, f'{name}: {done.stderr}'


@tap.test('without --backend it records with the best one, and says so if that is not bpf')
def chosen():
    recording = retour.record_program('plain', frequency=FREQUENCY, seconds=2)
    best = next(name for name in ('bpf', 'stack') if backends()[name]['usable'])
    assert recording.stats['backend'] == best, recording.stats['backend']
    assert best == 'bpf' or f'backend {best}' in recording.errors, recording.errors
    Truth(retour.program('plain'), PLAIN, **SLOW).check(recording)


@tap.test('the task-work function without a trailing argument is called where the kernel has it')
def implicit_argument():
    usable('bpf')
    expected = KFUNC if KFUNC.encode() in kernel_functions() else f'{KFUNC}_impl'
    path = retour.fresh_path()
    process = retour.start('record', '--backend', 'bpf', '-o', path, '--', retour.program('plain'), '--seconds', '60')
    try:
        retour.wait_for_samples(process, path)
        program = retour.run_other('bpftool', 'prog', 'dump', 'xlated', 'name', 'on_event_0')
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=retour.TIMEOUT)
    assert f'call {expected}#' in program.stdout, f'no call of {expected}: {program.stderr}'


PROGRAMS = {
    'plain': ((), PLAIN),
    'recursion': (('--count', 100), recursion(100)),
    'leaf': ((), '(?:(?:(?:(?:leaf )?saves_all )?saves_some )?calls |' + WORK + ')' + MAIN),
}


def check_chains(backend, name):
    """Every chain is complete and right."""
    usable(backend)
    args, chain = PROGRAMS[name]
    recording = retour.record_program(name, *args, options=['--backend', backend], frequency=FREQUENCY, seconds=2)
    assert recording.stats['backend'] == backend, recording.stats['backend']
    Truth(retour.program(name), chain, **SLOW).check(recording)


for each in ('bpf', 'stack'):
    for shape in PROGRAMS:
        tap.test(f'{each}: chains of {shape}')(lambda backend=each, name=shape: check_chains(backend, name))

tap.main(None if os.environ.get('KERNEL') else 'runs in a guest only')
