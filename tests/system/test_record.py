# SPDX-License-Identifier: MIT
"""What is recorded, for how long, and how a recording ends, in good order or not."""

import json
import os
import pty
import signal
import statistics
import time

import retour
import tap
from chains import MAIN, PLAIN, Truth, recursion


def recursion_truth(**options):
    return Truth(retour.program('recursion'), recursion(10), **options)


@tap.test('-p with several processes')
def several_processes():
    with retour.Running('recursion', '--count', 10, '--seconds', 600) as one, \
            retour.Running('recursion', '--count', 10, '--seconds', 600) as two, \
            retour.Running('recursion', '--count', 10, '--seconds', 600):
        recording = retour.record_work('-p', f'{one.pid},{two.pid}', pids=[one.pid, two.pid])
        assert {s['pid'] for s in recording.samples} == {one.pid, two.pid}
    recursion_truth().check(recording)


@tap.test('-t records one thread only')
def one_thread():
    with retour.Running('threads', '--count', 4, '--seconds', 600) as running:
        tid = json.loads(running.process.stdout.readline())['tid']
        recording = retour.record_work('-t', tid, pids=[tid])
        assert {s['tid'] for s in recording.samples} == {tid}
        assert {s['pid'] for s in recording.samples} == {running.pid}
    assert len(recording.samples) > 50


@tap.test('a command, with its descendants and nothing else')
def command():
    with retour.Running('recursion', '--count', 10, '--seconds', 600) as other:
        path = retour.program('plain')
        recording = retour.record(command=['sh', '-c', f'{path} --seconds 0.5 & {path} --seconds 0.5; wait'])
        assert other.pid not in {s['pid'] for s in recording.samples}
    assert len({s['pid'] for s in recording.of('plain')}) == 2
    Truth(retour.program('plain'), PLAIN + MAIN).check(recording)


@tap.test('-a records everything while a command runs')
def machine_and_command():
    with retour.Running('recursion', '--count', 10, '--seconds', 600) as other:
        started = time.monotonic()
        recording = retour.record_program('plain', options=['-a'])
        assert time.monotonic() - started >= 1
    # Those of others may be about.
    recursion_truth().check(recording, [s for s in recording.of('recursion') if s['pid'] == other.pid])
    Truth(retour.program('plain'), PLAIN + MAIN).check(recording)
    assert len({s['cpu'] for s in recording.samples}) == os.cpu_count()


@tap.test('--duration')
def duration():
    started = time.monotonic()
    recording = retour.record('-a', '--duration', 1.5, frequency=99)
    assert 1.4 <= recording.stats['duration_s'] <= time.monotonic() - started, recording.stats['duration_s']


@tap.test('-F 20000')
def fast():
    # All that there is in so short a time fits the rings, if the recorder does not get a CPU.
    recording = retour.record_program('recursion', '--count', 10, frequency=20000, seconds=0.4)
    recursion_truth().check(recording)
    times = [s['time'] for s in recording.of('recursion')]
    assert statistics.median(b - a for a, b in zip(times, times[1:])) < 1 / 10000, times[:20]
    assert recording.stats['lost_samples'] == 0, recording.stats
    assert recording.stats['lost_records'] == 0, recording.stats


@tap.test('two events at once')
def two_events():
    events = ['-e', 'cpu-clock', '-e', 'context-switches']
    recording = retour.record_program('recursion', '--count', 10, options=events)
    recursion_truth().check(recording)
    assert [e['name'] for e in recording.stats['events']] == ['cpu-clock', 'context-switches']


@tap.test('samples of one kernel entry share its walk')
def shared():
    options = [o for e in ('cpu-clock', 'task-clock') for o in ('-e', e)]
    recording = retour.record_program('recursion', '--count', 10, options=options)
    recursion_truth().check(recording)
    stats = recording.stats
    assert stats['walks'] <= stats['requests'] <= stats['samples'], stats
    cookies = [s['cookie'] for s in recording.samples if s['user']]
    assert len(cookies) - len(set(cookies)) == stats['shared'], f'{len(cookies)} {len(set(cookies))} {stats}'


@tap.test('record --json says what stats --json says')
def json_output():
    recording = retour.record_program('recursion', '--count', 10, options=['--json'])
    said = recording.truths()[-1]
    assert set(said) >= {'samples', 'complete', 'missing', 'truncated_by', 'backend'}, said
    for key in ('samples', 'no_user', 'with_user_context', 'stitched', 'complete', 'truncated'):
        assert said[key] == recording.stats[key], f'{key}: {said[key]} and {recording.stats[key]}'


@tap.test('one quality line, and none with --quiet')
def quality_line():
    recording = retour.record_program('recursion', '--count', 10)
    assert 'bpf' in recording.errors and 'complete' in recording.errors, recording.errors
    assert 1 <= len(recording.errors.splitlines()) <= 4, recording.errors
    assert not retour.record_program('recursion', '--count', 10, options=['--quiet']).errors


@tap.test('a live line on a terminal only')
def live_line():
    ours, theirs = pty.openpty()
    process = retour.start('record', '-a', '-o', retour.fresh_path(), stderr=theirs)
    os.close(theirs)
    shown, told = b'', False
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
            if not told and shown.count(b'complete') >= 3:
                process.send_signal(signal.SIGINT)
                told = True
    except OSError:     # how a terminal says that the other side has gone
        pass
    os.close(ours)
    process.communicate(timeout=retour.TIMEOUT)
    assert shown.count(b'complete') >= 3 and b'\r' in shown and b'lost' in shown, shown
    quiet = retour.record('-a', '--duration', 1.5, frequency=99)
    assert '\r' not in quiet.errors and '\033' not in quiet.errors, quiet.errors


@tap.test('-o - writes the recording to standard output')
def to_standard_output():
    path = retour.fresh_path()
    with open(path, 'wb') as file:
        retour.succeed('record', '-a', '--duration', 1, '-o', '-', stdout=file)
    assert retour.Recording(path).samples


@tap.test('Ctrl-C ends a recording with a full report')
def interrupt():
    path = retour.fresh_path()
    with retour.Running('recursion', '--count', 10, '--seconds', 600) as running:
        process = retour.start('record', '-F', 999, '-p', running.pid, '-o', path)
        retour.wait_for_samples(process, path)
        retour.wait_for_work(running.pid)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=retour.TIMEOUT)
        assert process.returncode == 0, f'exited {process.returncode}: {errors}'
        assert 'complete' in errors, errors
        recursion_truth().check(retour.Recording(path))


@tap.test('a killed recorder leaves a file that opens with a warning')
def killed():
    path = retour.fresh_path()
    with retour.Running('recursion', '--count', 10, '--seconds', 600) as running:
        process = retour.start('record', '-F', 4999, '-p', running.pid, '-o', path)
        retour.wait_for_samples(process, path, size=200_000)
        process.kill()
        process.communicate()
        recording = retour.Recording(path)
        assert path in recording.warnings, f'no warning: {recording.warnings!r}'
        recursion_truth().check(recording)


@tap.test('a full disk: a clear error, and the file opens up to its last whole record')
def full_disk():
    folder = retour.fresh_path('.mount')
    os.mkdir(folder)
    mounted = retour.run_other('mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', folder)
    if mounted.returncode:
        raise tap.Skip(f'no tmpfs: {mounted.stderr.strip()}')
    try:
        path = os.path.join(folder, 'full.data')
        done = retour.run('record', '-F', 4999, '-o', path, '--', retour.program('recursion'), '--seconds', 3)
        assert done.returncode == 1, f'exited {done.returncode}: {done.stderr}'
        assert path in done.stderr and 'No space left' in done.stderr, done.stderr
        recording = retour.Recording(path)
        assert path in recording.warnings, f'no warning: {recording.warnings!r}'
        Truth(retour.program('recursion'), recursion(1000), least=10).check(recording)
    finally:
        retour.run_other('umount', folder)


@tap.test('--deferred-records')
def deferred_records():
    recording = retour.record_program('recursion', '--count', 10, options=['--deferred-records'])
    recursion_truth().check(recording)


def set_online(cpu, online):
    with open(f'/sys/devices/system/cpu/cpu{cpu}/online', 'w', encoding='ascii') as file:
        file.write('01'[online])


@tap.test('a CPU that goes away and comes back')
def hot_plug():
    cpu = os.cpu_count() - 1
    with retour.Running('recursion', '--count', 10, '--seconds', 600) as one, \
            retour.Running('recursion', '--count', 10, '--seconds', 600) as two, \
            retour.Running('recursion', '--count', 10, '--seconds', 600) as three:
        path = retour.fresh_path()
        process = retour.start('record', '-F', 999, '-a', '-o', path)
        retour.wait_for_samples(process, path)
        try:
            set_online(cpu, False)
        except OSError as error:
            process.kill()
            process.communicate()
            raise tap.Skip(f'CPU {cpu} cannot be switched off: {error}') from error
        try:
            time.sleep(0.5)
        finally:
            set_online(cpu, True)
        back = time.clock_gettime(time.CLOCK_MONOTONIC)
        later = ('script', '-i', path, '--json', '--cpu', cpu, '--time', f'{back:.9f},')
        retour.wait_until(lambda: process.poll() is not None or retour.run(*later).stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=retour.TIMEOUT)
        assert process.returncode == 0, f'exited {process.returncode}: {errors}'
    recording = retour.Recording(path)
    ours = {one.pid, two.pid, three.pid}
    recursion_truth().check(recording, [s for s in recording.of('recursion') if s['pid'] in ours])
    last = max(s['time'] for s in recording.samples if s['cpu'] == cpu)
    assert last > back, f'CPU {cpu} was sampled until {last} only, back at {back}'


tap.main(retour.unusable())
