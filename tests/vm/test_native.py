# SPDX-License-Identifier: MIT
"""Backend native: tasks, CPUs, users, and several sessions at once."""

import collections
import os
import signal
import subprocess
import time

import retour
import tap
from chains import Truth
from upstream import Ours, lacks, of_work, ours, same, words

N = 20      # FAULTS in tests/programs/faults.c
CHAINS = collections.Counter({
    words('inner', 'touch'): N,
    words('outer', 'middle', 'inner', 'touch'): N,
    words('in_kernel', 'sys'): N,
})
PER_FAULT = ('--backend', 'native', '-e', 'page-faults', '-c', 1)


@tap.test('a program with a C library: no chain goes beyond code without a frame pointer')
def with_a_library():
    own = retour.program('plain_frame_pointer')
    recording = retour.record_program('plain_frame_pointer', options=('--backend', 'native'), frequency=999)
    # The compiler leaves out the frame of burn, which calls nothing.
    truth = Truth(own, r'burn |plain_inner plain_middle plain_outer main libc ', reasons=('no frame pointer',),
                  edges=r'(?:(?:libc|ld|vdso|plt) )?(?:now |running |must |program_\w+ |plain_\w+ |main )*(?:libc )?'
                        r'|(?:__do_global_dtors_aux |frame_dummy |(?:de)?register_tm_clones )+',
                  edge_reasons=('no frame pointer', None), callers=False, least=20,
                  missing={'exec': 0.5, 'not-started': 0.5})
    truth.check(recording)


@tap.test('processes and threads that run already, and what they fork')
def attached():
    with retour.Running('threads', '--count', 3, '--seconds', 100000) as running:
        while len(os.listdir(f'/proc/{running.pid}/task')) <= 3 and running.process.poll() is None:
            time.sleep(0.1)
        # The first thread waits for the others.
        others = sorted(set(map(int, os.listdir(f'/proc/{running.pid}/task'))) - {running.pid})
        thread = others[-1]
        for option, target in (('-p', running.pid), ('-t', thread)):
            recording = retour.record_work('--backend', 'native', option, target, pids=others, frequency=999)
            tids = {s['tid'] for s in recording.samples}
            assert {s['pid'] for s in recording.samples} == {running.pid}, recording.stats
            assert tids == {thread} if option == '-t' else len(tids) > 1, tids
            stats, lost = recording.stats, recording.stats['missing'].get('record-lost', 0)
            assert stats['stitched'] + lost >= stats['with_user_context'] - 3, stats
    recording = ours('native', 'sh', '-c', f'{retour.program("faults")} c; {retour.program("faults")} c')
    same(recording, collections.Counter({chain: 2 * n for chain, n in CHAINS.items()}))


def paranoid(value):
    """Sets what users may look at; gives what it was."""
    path = '/proc/sys/kernel/perf_event_paranoid'
    with open(path, encoding='ascii') as f:
        before = f.read()
    with open(path, 'w', encoding='ascii') as f:
        f.write(value)
    return before


def as_nobody(value, *command, event='page-faults'):
    """What a user records of his own program."""
    before = paranoid(value)
    path = f'/tmp/retour-user-{os.getpid()}.data'
    try:
        done = retour.run_other('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', retour.RETOUR, 'record',
                                '--backend', 'native', '-e', event, '-c', 1, '-o', path, '--', *command)
        assert done.returncode == 0, done.stderr
        return Ours(retour.Recording(path))
    finally:
        paranoid(before)
        if os.path.exists(path):
            os.unlink(path)


@tap.test('a user records what is his own')
def as_a_user():
    found = of_work(as_nobody('2', retour.program('faults'), 'c').chains)
    # The kernel is not to be looked at, and so neither are faults in it.
    assert found == collections.Counter({c: n for c, n in CHAINS.items() if 'sys' not in c}), dict(found)


@tap.test('tasks of a user that are stopped on their way out')
def as_a_user_in_exit():
    found = as_nobody('1', retour.program('faults'), 'x', event='context-switches')
    # Events of a task end with it: a record that it owes is not written, or it is too late to ask for one.
    walked = found.chains[words('stop_in_exit', 'leave', 'sys')]
    assert walked + found.reasons['exiting'] >= N, f'{dict(found.chains)} {found.reasons}'
    assert not found.reasons['not-returned'], f'{dict(found.chains)} {found.reasons}'


def stats_after_stop(seconds):
    """Of a recorder that is stopped for as long, and for less is left to itself before it ends."""
    path = retour.fresh_path()
    # Rings are as small as those of a user.
    limited = ('setpriv', '--bounding-set', '-ipc_lock', '--inh-caps', '-ipc_lock', 'prlimit', '--memlock=0:0')
    with retour.Running('plain_frame_pointer', '--seconds', 100000) as running:
        recorder = subprocess.Popen([*limited, retour.RETOUR, 'record', '--backend', 'native', '-F', '20000', '-e', 'cpu-clock',
                                     '-p', str(running.pid), '-o', path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        retour.wait_for_samples(recorder, path)
        recorder.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        recorder.send_signal(signal.SIGCONT)
        time.sleep(seconds / 8)
        recorder.send_signal(signal.SIGINT)
        assert recorder.wait(retour.TIMEOUT) == 0, recorder.stderr.read()
    return retour.Recording(path).stats


@tap.test('a recorder that cannot keep up says what it lost')
def stopped_recorder():
    # On a busy machine it takes time to fill a ring, and the kernel tells of losses when there is room again.
    for seconds in 4, 20, 100:
        stats = stats_after_stop(seconds)
        if stats['lost_records']:
            break
    assert stats['lost_records'] > 0, stats
    assert set(stats['missing']) <= {'record-lost', 'not-returned', 'regs-changed'}, stats['missing']


if __name__ == '__main__':
    tap.main('recording needs root' if os.geteuid() else lacks('native'))
