# SPDX-License-Identifier: MIT
"""Backend stack: the same chains from copies of the stack, of whatever runs, with and without rights."""

import contextlib
import json
import os
import shutil
import subprocess
import time

import retour
import tap
from chains import CALL, EDGES, MAIN, THREAD, WORK, Truth, line_of, recursion

NOBODY = 65534
AS_NOBODY = ['setpriv', '--reuid', NOBODY, '--regid', NOBODY, '--clear-groups', '--inh-caps=-all']
SHORT = 'stack copy too short'
DURATIONS = (1, 8, 60)      # seconds: until a busy machine has run what is recorded
# Copies are taken in interrupts, where nothing is paged in: a stack that grows into a new page begins with it.
GROWING = [None, 'page not readable']


def record(*options, **record_options):
    recording = retour.record('--backend', 'stack', *options, **record_options)
    check_figures(recording.stats)
    return recording


def record_program(name, *args, seconds=1, options=(), **record_options):
    return record(*options, command=(retour.program(name), *args, '--seconds', seconds), **record_options)


def check_figures(stats):
    """Every sample has a walk of its own."""
    assert stats['backend'] == 'stack', stats['backend']
    assert stats['shared'] == 0, stats['shared']
    assert stats['requests'] == stats['with_user_context'], stats
    assert stats['walks'] == stats['stack_copies'] and stats['walks'] <= stats['samples'], stats
    assert not stats['stitched'] or stats['frames'] >= stats['stitched'], stats


def truth(name, chain, **options):
    return Truth(retour.program(name), chain, **{'edge_reasons': GROWING, 'cut': GROWING[1:], **options})


def check(name, chain, frequency=retour.FREQUENCY, **options):
    recording = record_program(name, frequency=frequency)
    truth(name, chain, **options).check(recording)
    return recording


# ---- frames ----------------------------------------------------------------------

@tap.test('recursion 1,000 deep')
def deep():
    recording = check('recursion', recursion(1000), frequency=999)
    assert recording.stats['max_depth'] >= 1000, recording.stats['max_depth']


@tap.test('a stack beyond the largest copy is truncated, and says so')
def too_deep():
    # A call of a shell function takes kilobytes of the stack.
    script = 'f() { if [ $1 -gt 0 ]; then f $(($1 - 1)); else for ((i = 0; i < 400000; i++)); do :; done; fi; }; f 150'
    recording = record(command=['bash', '-c', script], frequency=499)
    samples = recording.of('bash')
    cut = [s for s in samples if s['reason'] == SHORT]
    assert len(cut) > 50 and len(cut) > len(samples) * 0.8, f'{len(cut)} of {len(samples)}: {recording.stats}'
    for sample in cut:
        assert len(sample['user']) > 20, f'only {len(sample["user"])} frames of 64 KB'


@tap.test('twenty frames on 10 KB; a frame of 80 KB cannot be seen over')
def large_frames():
    recording = record_program('frames')
    seen = {SHORT: 0, None: 0}
    for sample in recording.of('frames'):
        line = line_of(sample, {'frames'})
        if 'large_frame ' in line and sample['reason'] == SHORT:
            seen[SHORT] += 1
            assert line.endswith('large_frame '), line
    chain = WORK + '(?:small_frame ){1,20}' + MAIN
    others = [s for s in recording.of('frames') if 'large_frame ' not in line_of(s, {'frames'})]
    truth('frames', chain, edges=WORK + MAIN).check(recording, others)
    assert seen[SHORT] > 50, seen


@tap.test('leaf functions, prologues and epilogues')
def leaf():
    check('leaf', '(?:(?:(?:(?:leaf )?saves_all )?saves_some )?calls |' + WORK + ')' + MAIN)


@tap.test('calls through the PLT')
def plt():
    in_library = 'library_leaf |(?:callback )?library_calls_back |plt |_init |(?:ld )+'
    check('plt', f'(?:(?:{in_library})?call_library |{WORK}){MAIN}', own=['libplt_library.so'])


@tap.test('signal handlers; one on another stack hides the interrupted one')
def signals():
    recording = record_program('signals')
    plain = (r'(?:burn )?on_signal (?:libc )+raises ' + MAIN + '|' + WORK
             + '(?:(?:libc |plt |ld )*raises |interrupted )?' + MAIN)
    inner = r'(?:burn )?(?:on_alarm )?libc '
    handled = r'(?:burn )?on_signal (?:libc )+raises ' + '|' + WORK + '(?:(?:libc |plt |ld )*raises |interrupted )?'
    lines = [(s, line_of(s, {'signals'})) for s in recording.of('signals')]
    elsewhere = [(s, line) for s, line in lines if 'on_alternate ' in line]
    truth('signals', f'{plain}|{inner}(?:{handled}){MAIN}|{inner}(?:ld |libc )*{MAIN}', edges=f'{inner}(?:{EDGES})', callers=False).check(
        recording, [s for s, line in lines if 'on_alternate ' not in line])
    assert len(elsewhere) > 20, len(elsewhere)
    assert {s['reason'] for s, _ in elsewhere} <= {SHORT, 'page not readable'}, {s['reason'] for s, _ in elsewhere}


@tap.test('generated code with frame pointers')
def jit():
    # At the ends of generated code rbp is the caller's.
    check('jit', WORK + 'called_by_jit anon calls_jit ' + MAIN, edges=f'calls_jit {MAIN}', imprecise='anon .*')


@tap.test('--max-depth')
def max_depth():
    recording = record_program('recursion', options=['--max-depth', 100], frequency=499)
    assert {len(s['user']) for s in recording.samples if s['reason'] == 'max depth'} == {100}
    assert recording.stats['truncated_by'].get('max depth', 0) > 20, recording.stats


@tap.test('a stack that grows after it was shallow for long')
def grows():
    path = retour.program('recursion')
    recording = record('--max-depth', 4096, frequency=1999, command=[
        'sh', '-c', f'{path} --count 3 --seconds 2; {path} --count 3000 --seconds 2'])
    samples = [s for s in recording.of('recursion') if 'bottom' in [f['sym'] for f in s['user']]]
    deep_ones = [s for s in samples if len(s['user']) > 100]
    assert all(s['complete'] for s in samples if len(s['user']) < 100)
    assert len(deep_ones) > 50, f'{len(deep_ones)} of {len(samples)}'
    assert any(s['reason'] == SHORT for s in deep_ones), 'copies were not made smaller while stacks were shallow'
    late = deep_ones[len(deep_ones) // 2:]
    assert all(s['complete'] for s in late), f'{sum(not s["complete"] for s in late)} of {len(late)} cut'


def both_sizes(of_machine):
    """One process is deep from the beginning, another becomes so: a cut copy of the second shows the small size,
    whole ones of the first, at the same time, the large one.  False: there was no such time."""
    path, frequency = retour.program('recursion'), 997 if of_machine else 1999
    # What a process has started before is not recorded with it.
    grows = ['sh', '-c', f'read go; for i in 1 2 3 4; do {path} --count 3 --seconds 0.3; done; '
             f'exec {path} --count 1500 --seconds 20']
    with retour.Running('recursion', '--count', 1500, '--seconds', 600) as deep_one, contextlib.ExitStack() as others, \
            subprocess.Popen(grows, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as grower:
        for _ in range(6 if of_machine else 0):     # most of the machine is to be shallow
            others.enter_context(retour.Running('recursion', '--count', 3, '--seconds', 600))
        before = retour.run_time(deep_one.pid)
        target = ['-a'] if of_machine else ['-p', f'{deep_one.pid},{grower.pid}']
        recorder = retour.Recorder('--backend', 'stack', *target, '--max-depth', 4096, frequency=frequency)
        grower.stdin.close()
        retour.wait_for_work(grower.pid, seconds=0.8)
        recording = recorder.end()
        most = (retour.run_time(deep_one.pid) - before) * frequency
        grower.kill()
    check_figures(recording.stats)
    samples = [s for s in recording.samples if s['pid'] == deep_one.pid]
    grown = [s for s in recording.samples if s['pid'] == grower.pid and len(s['user']) > 100]
    cut = [s for s in grown if s['reason'] == SHORT]
    for deep_ones in samples, grown:
        late = deep_ones[len(deep_ones) // 2:]
        assert all(s['complete'] for s in late), f'{sum(not s["complete"] for s in late)} of {len(late)} cut'
    # Where two events take samples of it, one counts.
    assert len(samples) < 1.5 * most, f'{len(samples)} in the time for {most}'
    return cut and sum(s['complete'] and s['time'] > cut[0]['time'] for s in samples) > 5


def check_both_sizes(of_machine):
    """What else the machine does may be deep as well."""
    assert any(both_sizes(of_machine) for _ in range(3)), 'not both sizes of copies were in use'


@tap.test('-a: deep stacks are copied whole, those of the others in short')
def sizes_of_the_machine():
    check_both_sizes(True)


@tap.test('-p with two processes: each has its size of copies, and so has what they start')
def sizes_of_processes():
    check_both_sizes(False)


@tap.test('32-bit programs are not walked')
def compat():
    recording = record_program('plain_32')
    samples = [s for s in recording.of('plain_32') if s['reason'] not in ('exec', 'not-started', 'regs-changed', 'no-mm', 'exiting')]
    assert len(samples) > 50, f'{len(samples)} samples'
    assert {s['reason'] for s in samples} == {'compat-task'}, {s['reason'] for s in samples}


# ---- tasks -----------------------------------------------------------------------

@tap.test('80 threads, each at its own depth')
def threads():
    recording = record_program('threads')
    depth = {t['tid']: t['depth'] for t in recording.truths()}
    assert len(depth) == 80, depth
    truth('threads', WORK + f'thread_bottom (?:nest )+thread_main {THREAD}', clones=True,
          edges=rf'(?:{CALL}|(?:nest )*){CALL}(?:thread_main )?{THREAD}|{CALL}{MAIN}|libc ').check(recording)
    for sample in recording.of('threads'):
        frames = [f['sym'] for f in sample['user']]
        if 'thread_bottom' in frames:
            assert frames.count('nest') == depth[sample['tid']], f'depth of {sample["tid"]}'


@tap.test('2,000 short-lived processes that fork and exec')
def storm():
    recording = record_program('processes', 'storm', '--count', 2000)
    samples = recording.of('processes')
    truth('processes', '(?:(?:burn )?before_exec )?(?:mode_storm )?' + MAIN, least=200, clones=True,
          edges=f'{CALL}(?:program_count )?mode_storm {MAIN}|(?:libc )+').check(recording, samples)
    assert len({s['pid'] for s in samples}) > 200


@tap.test('exec while sampled')
def execs():
    recording = record_program('processes', 'exec', '--count', 200)
    truth('processes', '(?:burn )?before_exec mode_exec ' + MAIN, least=100,
          edges=f'{CALL}(?:program_count )?mode_exec {MAIN}').check(recording)
    reasons = {s['reason'] for s in recording.of('processes')}
    assert {'exec', 'not-started'} & reasons, reasons


@tap.test('the kernel ends the events of a program that runs with other rights: that is said')
def other_rights():
    path = shutil.copy(retour.program('plain'), retour.fresh_path(''))
    if os.statvfs(path).f_flag & os.ST_NOSUID:
        raise tap.Skip('the file system gives nobody other rights')
    for mode, said in (0o755, False), (0o4755, True):
        os.chown(path, NOBODY, NOBODY)
        os.chmod(path, mode)
        recording = record(command=(path, '--seconds', 0.5))
        assert ('runs with other rights' in recording.errors) == said, recording.errors
        assert bool(recording.of(os.path.basename(path))) != said, recording.stats


@tap.test('samples in kernel mode have both parts: context-switches, page-faults')
def kernel_mode():
    recording = record_program('waits', 'naps', options=['-e', 'context-switches', '-c', 1])
    truth('waits', f'(?:libc )+naps mode_naps {MAIN}', edges=f'{WORK}mode_naps {MAIN}').check(recording)
    napping = [s for s in recording.of('waits') if 'naps' in [f['sym'] for f in s['user']]]
    assert all(s['kernel'] for s in napping), 'no kernel frames at a context switch'
    recording = record_program('waits', 'faults', options=['-e', 'page-faults'])
    truth('waits', f'touches mode_faults {MAIN}',
          edges=f'(?:{CALL}(?:map_stack )?|{WORK})(?:mode_faults )?{MAIN}').check(recording)


@tap.test('a fault of the first instruction of a function that was called through rcx is no system call')
def entered():
    recording = record_program('entered')
    truth('entered', f'entered enters {MAIN}', edges=f'(?:enters |{WORK}|{CALL}){MAIN}').check(recording)
    faults = [s for s in recording.of('entered') if s['kernel'] and s['user'] and s['user'][0]['sym'] == 'entered']
    assert faults, 'no sample in a fault'


@tap.test('two events at once')
def two_events():
    recording = record_program('recursion', '--count', 10, options=['-e', 'cpu-clock,page-faults'])
    events = {e['name']: e['samples'] for e in recording.stats['events']}
    assert events['cpu-clock'] > 100 and events['page-faults'] > 0, events
    truth('recursion', recursion(10)).check(recording, [s for s in recording.samples if s['event'] == 'cpu-clock'])


@tap.test('io_uring workers have no user part')
def io_worker():
    recording = record_program('io_worker')
    assert {s['reason'] for s in recording.samples if s['comm'].startswith('iou-wrk')} <= {'io-worker'}
    truth('io_worker', f'(?:(?:libc |plt )*(?:must )?reads_by_worker ){MAIN}', least=5, edges=WORK + MAIN).check(recording)


@tap.test('-a: kernel threads and the idle task have no user part')
def machine():
    with retour.Running('recursion', '--count', 10, '--seconds', 600) as running:
        recording = retour.record_work('--backend', 'stack', '-a', pids=[running.pid])
    for sample in recording.samples:
        assert (sample['reason'] == 'idle') == (sample['pid'] == 0), f'{sample["comm"]}: {sample["reason"]}'
        if sample['comm'].startswith(('kworker/', 'ksoftirqd/', 'migration/', 'rcu_')):
            assert sample['reason'] == 'kernel-thread', sample
    truth('recursion', recursion(10)).check(recording, [s for s in recording.samples if s['pid'] == running.pid])
    assert len({s['cpu'] for s in recording.samples}) == os.cpu_count()


@tap.test('-a in a PID namespace: the tasks outside are not taken for the idle task')
def namespace():
    path = retour.fresh_path()
    with retour.Running('recursion', '--count', 10, '--seconds', 600):
        done = retour.run_other('unshare', '--pid', '--fork', '--mount-proc', retour.RETOUR, 'record', '--backend', 'stack',
                                '-F', 999, '-o', path, '-a', '--', retour.program('recursion'), '--count', 10, '--seconds', 1)
    assert done.returncode == 0, done.stderr
    recording = retour.Recording(path)
    check_figures(recording.stats)
    truth('recursion', recursion(10)).check(recording, recording.of('recursion'))
    outside = [s for s in recording.samples if not s['pid']]
    assert recording.stats['missing']['other-namespace'] > 100, recording.stats
    assert {s['reason'] for s in outside} <= {'other-namespace', 'idle'}, {s['reason'] for s in outside}


@tap.test('-p with several processes, and -t with one thread')
def targets():
    with retour.Running('recursion', '--count', 10, '--seconds', 600) as one, \
            retour.Running('recursion', '--count', 10, '--seconds', 600) as two, \
            retour.Running('recursion', '--count', 10, '--seconds', 600):
        recording = retour.record_work('--backend', 'stack', '-p', f'{one.pid},{two.pid}', pids=[one.pid, two.pid])
        assert {s['pid'] for s in recording.samples} == {one.pid, two.pid}
    truth('recursion', recursion(10)).check(recording)
    with retour.Running('threads', '--count', 4, '--seconds', 600) as running:
        tid = json.loads(running.process.stdout.readline())['tid']
        recording = retour.record_work('--backend', 'stack', '-t', tid, pids=[tid])
    assert {s['tid'] for s in recording.samples} == {tid}
    assert len(recording.samples) > 50 and recording.stats['complete'] == len(recording.samples), recording.stats


@tap.test('a process that ends leaves the recorder asleep, and the others recorded')
def ends_early():
    with retour.Running('recursion', '--count', 10, '--seconds', 600) as one, \
            retour.Running('recursion', '--count', 10, '--seconds', 600) as two:
        recorder = retour.Recorder('--backend', 'stack', '-p', f'{one.pid},{two.pid}', frequency=499)
        retour.wait_for_work(one.pid)
        one.process.kill()
        one.process.wait()
        ended = time.clock_gettime(time.CLOCK_MONOTONIC)
        before = [retour.run_time(pid) for pid in (recorder.process.pid, two.pid)]
        retour.wait_for_work(two.pid)
        taken, worked = (retour.run_time(pid) - b for pid, b in zip((recorder.process.pid, two.pid), before))
        recording = recorder.end()
    check_figures(recording.stats)
    last = {pid: max(s['time'] for s in recording.samples if s['pid'] == pid) for pid in (one.pid, two.pid)}
    assert last[one.pid] < ended < last[two.pid], (last, ended)
    assert taken < worked / 2, f'the recorder took {taken} s, the other process {worked} s'
    truth('recursion', recursion(10)).check(recording)


@tap.test('--deferred-records')
def deferred_records():
    recording = record_program('recursion', '--count', 20, options=['--deferred-records'])
    truth('recursion', recursion(20)).check(recording)
    cookies = [s['cookie'] for s in recording.samples if s['user']]
    assert len(set(cookies)) == len(cookies), 'a cookie was used twice'


# ---- real programs -----------------------------------------------------------------

def check_real(*command, **options):
    if not shutil.which(command[0]):
        raise tap.Skip(f'{command[0]} is not installed')
    recording = record(command=command, **options)
    stats = recording.stats
    assert stats['samples'] > 100, stats['samples']
    assert stats['complete'] >= stats['with_user_context'] * 0.99, json.dumps(stats)
    return recording


@tap.test('xz is complete to 99 %')
def xz():
    check_real('sh', '-c', f'xz -9 -T2 -c {retour.RETOUR} > /dev/null', frequency=1999)


@tap.test('python3 is complete to 99 %')
def python():
    check_real('python3', '-S', '-c', 'import re, json\nfor i in range(40): '
               're.findall(r"(a|b)*c", json.dumps(["abc" * 50] * 200))', frequency=1999)


@tap.test('sqlite3 is complete to 99 %')
def sqlite():
    check_real('sqlite3', ':memory:', 'with recursive n(i) as (select 1 union all select i + 1 from n where '
               'i < 1500000) select sum(i * i % 7), count(distinct i % 1000) from n', frequency=1999)


# ---- without rights ----------------------------------------------------------------

def for_nobody(path):
    """A copy that everybody can run."""
    copy = os.path.join(retour.workspace, os.path.basename(path))
    shutil.copy(path, copy)
    os.chmod(copy, 0o755)
    return copy


def record_as_nobody(*args, prefix=()):
    if not shutil.which('setpriv'):
        raise tap.Skip('setpriv is not installed')
    folder = retour.fresh_path('.folder')
    os.mkdir(folder)
    os.chown(folder, NOBODY, NOBODY)
    path = os.path.join(folder, 'user.data')
    with retour.Sysctl('kernel.perf_event_paranoid', 2):
        done = retour.run_other(*prefix, *AS_NOBODY, for_nobody(retour.RETOUR), 'record', '--backend', 'stack',
                                '-F', 1999, '-o', path, *args)
    assert done.returncode == 0, f'exited {done.returncode}: {done.stderr}'
    recording = retour.Recording(path, done.stdout, done.stderr)
    check_figures(recording.stats)
    assert all(not s['kernel'] for s in recording.samples), 'kernel frames without the right to see them'
    assert 'perf_event_paranoid' in done.stderr, f'nothing was said of the kernel: {done.stderr}'
    return recording


@tap.test('a user without rights records a command')
def user_command():
    path = for_nobody(retour.program('recursion'))
    recording = record_as_nobody('--', path, '--count', 20, '--seconds', 1)
    truth('recursion', recursion(20)).check(recording)


@tap.test('a user without rights records his processes')
def user_processes():
    path = for_nobody(retour.program('threads'))
    with subprocess.Popen([*map(str, AS_NOBODY), path, '--count', '4', '--seconds', '600'],
                          stdout=subprocess.PIPE, text=True) as process:
        for _ in range(4):
            process.stdout.readline()
        for duration in DURATIONS:
            recording = record_as_nobody('-p', process.pid, '--duration', duration)
            if len(recording.samples) > 200 and len({s['tid'] for s in recording.samples}) == 4:
                break
        process.kill()
    truth('threads', WORK + f'thread_bottom (?:nest )+thread_main {THREAD}').check(recording)
    assert len({s['tid'] for s in recording.samples}) == 4


@tap.test('rings shrink to the memory that a user may lock')
def small_rings():
    if not shutil.which('prlimit'):
        raise tap.Skip('prlimit is not installed')
    path = for_nobody(retour.program('recursion'))
    recording = record_as_nobody('--', path, '--count', 20, '--seconds', 1, prefix=('prlimit', '--memlock=0:0'))
    truth('recursion', recursion(20)).check(recording)


@tap.test('with few open files there is one size of copies; with too few it is said what to do')
def few_files():
    if not shutil.which('prlimit'):
        raise tap.Skip('prlimit is not installed')
    with retour.Running('threads', '--count', 20, '--seconds', 600) as running:
        for _ in range(20):
            running.process.stdout.readline()
        n_cpus, n_threads = os.cpu_count(), len(os.listdir(f'/proc/{running.pid}/task'))
        others = 40
        # Side-band and one size of copies fit; a second size does not.
        enough = others + n_cpus * n_threads * 2
        path = retour.fresh_path()
        command = [retour.RETOUR, 'record', '--backend', 'stack', '-F', 499, '-o', path, '-p', running.pid]
        for duration in DURATIONS:
            done = retour.run_other('prlimit', f'--nofile={enough}:{enough}', *command, '--duration', duration)
            assert done.returncode == 0, done.stderr
            recording = retour.Recording(path)
            if len(recording.samples) > 100 and len({s['tid'] for s in recording.samples}) == n_threads - 1:
                break
        truth('threads', WORK + f'thread_bottom (?:nest )+thread_main {THREAD}').check(recording)
        assert len({s['tid'] for s in recording.samples}) == n_threads - 1
        done = retour.run_other('prlimit', f'--nofile={others}:{others}', *command, '--duration', 1)
        assert done.returncode == 1 and 'remedy: sudo prlimit --pid $$ --nofile=' in done.stderr, done.stderr


def unusable():
    """Why nothing can be recorded here, or None."""
    if os.geteuid() != 0:
        return 'the tests change users and settings: they need root'
    backends = json.loads(retour.run('doctor', '--json').stdout)['backends']
    stack = next(b for b in backends if b['name'] == 'stack')
    return None if stack['usable'] else f'{stack["why"]}: {stack["remedy"]}'


tap.main(unusable())
