# SPDX-License-Identifier: MIT
"""Tasks by every road: fork, vfork, exec, threads, blocked, moved, and those without a user part."""

import os
import signal

import retour
import tap
from chains import CALL, COROUTINE_END, MAIN, THREAD, WORK, Truth, line_of, recursion


def process_truth(chain, **options):
    return Truth(retour.program('processes'), chain, **options)


@tap.test('fork without exec, on a stack that fork does not map')
def fork():
    recording = retour.record_program('processes', 'fork')
    truth = process_truth(WORK + 'child_side leaves_stack (?:deeper ){16}coroutine libc ',
                          reasons=[None, 'no unwind info'], clones=True,
                          edges=f'{CALL}(?:leaves_stack )?(?:deeper ){{0,16}}(?:coroutine )?{COROUTINE_END}|'
                                f'{CALL}(?:map_stack )?mode_fork {MAIN}')
    truth.check(recording)
    children = {s['pid'] for s in recording.of('processes') if 'child_side ' in line_of(s, truth.own)}
    parents = {s['pid'] for s in recording.of('processes') if 'child_side ' not in line_of(s, truth.own)}
    assert len(children) == 1 and children != parents, f'children {children}, parents {parents}'


@tap.test('vfork')
def vfork():
    recording = retour.record_program('processes', 'vfork')
    process_truth('(?:(?:burn )?in_vfork_child )vfork_here ' + MAIN,
                  edges=f'{CALL}(?:vfork_here )?{WORK}{MAIN}').check(recording)
    assert len({s['pid'] for s in recording.of('processes')}) > 2


@tap.test('exec while sampled')
def execs():
    recording = retour.record_program('processes', 'exec', '--count', 200)
    process_truth('(?:burn )?before_exec mode_exec ' + MAIN, least=100,
                  edges=f'{CALL}(?:program_count )?mode_exec {MAIN}').check(recording)


@tap.test('10,000 short-lived processes')
def storm():
    recording = retour.record_program('processes', 'storm', '--count', 10000, frequency=1999)
    samples = recording.of('processes')
    process_truth('(?:(?:burn )?before_exec )?(?:mode_storm )?' + MAIN, least=1000,
                  edges=f'{CALL}(?:program_count )?mode_storm {MAIN}|(?:libc )+', clones=True).check(recording, samples)
    assert len({s['pid'] for s in samples}) > 1000


@tap.test('80 threads, each at its own depth')
def threads():
    recording = retour.record_program('threads')
    depth = {t['tid']: t['depth'] for t in recording.truths()}
    assert len(depth) == 80, depth
    Truth(retour.program('threads'), WORK + f'thread_bottom (?:nest )+thread_main {THREAD}',
          edges=rf'(?:{CALL}|(?:nest )*){CALL}(?:thread_main )?{THREAD}|{CALL}{MAIN}|libc ', clones=True).check(recording)
    for sample in recording.of('threads'):
        frames = [f['sym'] for f in sample['user']]
        if 'thread_bottom' in frames:
            assert frames.count('nest') == depth[sample['tid']], f'depth of {sample["tid"]}'


@tap.test('threads made and joined one after the other')
def churn():
    recording = retour.record_program('threads', 'churn')
    Truth(retour.program('threads'), f'burn brief_thread {THREAD}',
          edges=rf'{CALL}(?:brief_thread )?{THREAD}|{CALL}{WORK}{MAIN}|libc ', clones=True).check(recording)


@tap.test('a task that asks on one CPU and returns on another')
def migrates():
    if os.cpu_count() < 2:
        raise tap.Skip('there is one CPU')
    recording = retour.record_program('waits', 'migrates')
    Truth(retour.program('waits'), '(?:libc )+reads_zeros mode_migrates ' + MAIN,
          edges=rf'{CALL}(?:pin )?mover {THREAD}|libc |'
                rf'(?:{WORK}|{CALL})(?:reads_zeros )?(?:mode_migrates )?{MAIN}|'
                rf'{CALL}(?:pin )?(?:mode_migrates )?{MAIN}', clones=True).check(recording)
    moved = [s for s in recording.of('waits') if s['user'] and s['return_cpu'] not in (None, s['cpu'])]
    assert len(moved) > 5, f'{len(moved)} of {len(recording.of("waits"))} returned on another CPU'
    assert {s['cpu'] for s in moved} == {0, 1}
    assert any('reads_zeros' in line_of(s, {'waits'}) and s['kernel'] for s in moved)


def reads(pid, tid):
    """Number 0 is read on x86-64."""
    with open(f'/proc/{pid}/task/{tid}/syscall', encoding='ascii') as file:
        return file.read().startswith('0 ')


@tap.test('tasks blocked in read until after the end')
def blocked():
    with retour.Running('waits', 'blocked') as running:
        recorder = retour.Recorder('-e', 'context-switches', '-c', 1, '-p', running.pid)
        running.process.send_signal(signal.SIGUSR1)
        retour.wait_until(lambda: all(reads(running.pid, tid) for tid in os.listdir(f'/proc/{running.pid}/task')))
        recording = recorder.end()
    ends = rf'naps_and_blocks (?:mode_blocked {MAIN}|{THREAD})'
    Truth(retour.program('waits'), f'(?:libc )+reads_for_ever {ends}', least=5, clones=True,
          edges=rf'(?:on_signal )?(?:{CALL}naps |{WORK}|{CALL}){ends}|{CALL}(?:{THREAD}|mode_blocked {MAIN})').check(recording)
    # Within a system call a task may be switched more than once.
    entries = {(s['tid'], s['cookie']) for s in recording.of('waits') if 'reads_for_ever' in [f['sym'] for f in s['user']]}
    in_read = {tid for tid, _ in entries}
    assert len(in_read) == len(entries), 'a task that never returned was in read twice'
    assert all(s['return_cpu'] is not None for s in recording.of('waits') if s['tid'] not in in_read)


@tap.test('a task that sleeps: context-switches')
def naps():
    recording = retour.record_program('waits', 'naps', options=['-e', 'context-switches', '-c', 1])
    Truth(retour.program('waits'), f'(?:libc )+naps mode_naps {MAIN}',
          edges=f'{WORK}mode_naps {MAIN}').check(recording)
    assert {s['event'] for s in recording.samples} == {'context-switches'}


@tap.test('page-faults')
def faults():
    recording = retour.record_program('waits', 'faults', options=['-e', 'page-faults'])
    Truth(retour.program('waits'), f'touches mode_faults {MAIN}',
          edges=f'(?:{CALL}(?:map_stack )?|{WORK})(?:mode_faults )?{MAIN}').check(recording)


@tap.test('task-clock')
def task_clock():
    recording = retour.record_program('recursion', '--count', 10, options=['-e', 'task-clock'])
    Truth(retour.program('recursion'), recursion(10)).check(recording)


@tap.test('io_uring workers have no user part')
def io_worker():
    recording = retour.record_program('io_worker')
    reasons = {s['reason'] for s in recording.samples if s['comm'].startswith('iou-wrk')}
    assert reasons == {'io-worker'}, reasons
    Truth(retour.program('io_worker'), f'(?:(?:libc |plt )*(?:must )?reads_by_worker ){MAIN}', least=5,
          edges=WORK + MAIN).check(recording)


@tap.test('kernel threads and the idle task have no user part')
def without_user():
    recording = retour.record('-a', '--duration', 1)
    for sample in recording.samples:
        idle = sample['pid'] == 0
        assert (sample['reason'] == 'idle') == idle, f'{sample["comm"]}: {sample["reason"]}'
        if idle or sample['comm'].startswith(('kworker/', 'ksoftirqd/', 'migration/', 'rcu_')):
            assert not sample['user'] and sample['reason'] in ('idle', 'kernel-thread'), sample
    assert recording.stats['no_user'] > 0


tap.main(retour.unusable())
