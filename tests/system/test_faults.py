# SPDX-License-Identifier: MIT
"""An event per page fault gives the same chains every time: programs whose every chain is known, and
recorders that are killed while tasks owe them one."""

import collections
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import retour
import tap

N = 20      # FAULTS in tests/programs/faults.c


def backends():
    """Those that walk every program, as far as they can be used."""
    return [name for name in ('bpf', 'stack') if name in retour.backends()]


def chain(*frames):
    """A chain as a line, outermost first."""
    return ' '.join(('_start start main_', *frames))


CHAINS = {chain('inner', 'touch'): N, chain('outer', 'middle', 'inner', 'touch'): N, chain('in_kernel', 'sys'): N}


def faults(backend, mode, program='faults', event='page-faults'):
    """The samples of the program, and how often each chain of its work was there."""
    recording = retour.record('--backend', backend, '-e', event, '-c', 1,
                              command=(retour.program(program), mode))
    samples = recording.of(program)
    chains = collections.Counter(' '.join(f['sym'] or '?' for f in reversed(s['user'])) for s in samples)
    return samples, {c: n for c, n in chains.items() if ' main_ ' in c}


@tap.test('every page fault is a sample with -c 1, with and without frame pointers')
def every_fault():
    for backend in backends():
        for program in ('faults', 'faults_without'):
            _, chains = faults(backend, 'c', program)
            assert chains == CHAINS, f'{backend} {program}: {chains}'


FAULTER = """
import mmap, time
end, least = time.monotonic() + 3, 8
while least or time.monotonic() < end:
    least = max(least - 1, 0)
    memory = mmap.mmap(-1, 4096 * 2000)
    for i in range(0, len(memory), 4096):
        memory[i] = 1
    memory.close()
"""


@tap.test('rings that fill as fast as they are emptied do not fill the memory')
def flood():
    # What the recorder used is its own, not that of a large process which started it.
    mine = bytearray(b'x' * (500 << 20))
    for backend in backends():
        stats = retour.record('--backend', backend, '-a', '-e', 'page-faults', '-c', 1,
                              command=(sys.executable, '-c', FAULTER)).stats
        assert stats['samples'] + stats['lost_samples'] > 10000, json.dumps(stats)
        assert 0 < stats['recorder_rss_bytes'] < 400 << 20, json.dumps(stats)
    del mine


@tap.test('a request on one CPU, the return on another')
def migrates():
    if os.cpu_count() < 2:
        raise tap.Skip('there is one CPU')
    retour.need('bpf')
    samples, chains = faults('bpf', 'm')
    assert chains == {chain('migrate', 'sys'): N}, chains
    moved = [s for s in samples if len(s['user']) == 5]
    assert all(s['cpu'] == 0 and s['return_cpu'] == 1 for s in moved), moved[:2]


@tap.test('an exec between request and return')
def exec_in_between():
    for backend in backends():
        _, chains = faults(backend, 'e9')
        assert chains == {chain('replace', 'sys'): 9}, f'{backend}: {chains}'


@tap.test('an exec from a stack that ends at the beginning of a page')
def exec_at_edge():
    retour.need('bpf')
    for place in range(1, 10):      # a stack is copied once: then the rules are there
        _, chains = faults('bpf', f'h{place}')
        assert chains.get(chain('at_edge', 'replace', 'sys')) == place, f'{place}: {chains}'


@tap.test('a walk faults in no page that the program has not touched')
def own_faults():
    retour.need('bpf')
    # The stack of a program of which no rule is known is copied.  Where it lies, and with what gaps, is random.
    copies = [shutil.copy(retour.program('faults'), retour.fresh_path('.program')) for _ in range(16)]
    recording = retour.record('--backend', 'bpf', '-e', 'page-faults', '-c', 1,
                              command=('sh', '-c', '\n'.join(f'{program} c' for program in copies)))
    samples = [s for s in recording.samples if s['comm'].endswith('.program')]
    own = [s for s in samples if 'bpf_task_work_callback' in [f['sym'] for f in s['kernel']]]
    assert len(samples) >= len(copies) * 3 * N and not own, f'{len(own)} of {len(samples)}: {own[:1]}'


@tap.test('a task that is stopped on its way out')
def stopped_in_exit():
    for backend in backends():
        _, chains = faults(backend, 'x', event='context-switches')
        assert chains[chain('stop_in_exit', 'leave', 'sys')] >= N, f'{backend}: {chains}'


@tap.test('a signal is delivered on the way back')
def signalled():
    for backend in backends():
        samples, chains = faults(backend, 's')
        changed = sum(s['reason'] == 'regs-changed' for s in samples)
        assert chains[chain('signalled', 'sys')] + changed == 2 * N, f'{backend}: {chains}'


def objects_of(pid):
    """Kinds and numbers of the BPF objects that a process has open."""
    found = set()
    for file in os.scandir(f'/proc/{pid}/fdinfo'):
        with contextlib.suppress(OSError), open(file.path, encoding='ascii') as info:
            found |= {(kind, int(number)) for kind, number in re.findall(r'^(prog|map|link)_id:\s*(\d+)', info.read(), re.MULTILINE)}
    return found


def polls(pid):
    """Number 7 is poll on x86-64."""
    with open(f'/proc/{pid}/syscall', encoding='ascii') as file:
        return file.read().startswith('7 ')


def objects():
    """The same of all that are in the kernel."""
    found = set()
    for kind in ('prog', 'map', 'link'):
        listed = subprocess.run(['bpftool', '-j', kind, 'list'], stdout=subprocess.PIPE, check=True).stdout
        found |= {(kind, o['id']) for o in json.loads(listed)}
    return found


@tap.test('a recorder killed while a task owes it a chain leaves nothing in the kernel')
def killed():
    retour.need('bpf')
    try:
        subprocess.run(['bpftool', 'version'], stdout=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise tap.Skip('bpftool is not installed') from error
    path = retour.fresh_path()
    recorder = retour.start('record', '--backend', 'bpf', '-a', '-e', 'page-faults', '-c', 1, '-o', path)
    retour.wait_for_samples(recorder, path)
    with retour.Running('faults', 'b', stdin=subprocess.DEVNULL) as running:
        retour.wait_until(lambda: polls(running.pid))
        ours = objects_of(recorder.pid)
        assert {kind for kind, _ in ours} == {'prog', 'map', 'link'}, f'the BPF objects of the recorder: {ours}'
        recorder.send_signal(signal.SIGKILL)
        recorder.communicate()
        _, chains = faults('bpf', 'c')      # another session is none the worse
        assert chains == CHAINS, chains
    retour.wait_until(lambda: not ours & objects())     # the kernel frees late


if __name__ == '__main__':
    tap.main('recording needs root' if os.geteuid() else None if backends() else 'no backend can be used here')
