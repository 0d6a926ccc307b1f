# SPDX-License-Identifier: MIT
"""Runs the command and loads what it recorded.

Every Recording is held against the sums of `stats --json` and against its own
samples when it is loaded, so no test can make a recording that is not checked.
"""

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

import tap

RETOUR = os.environ['RETOUR']
PROGRAMS = os.environ['PROGRAMS']
os.environ['LC_ALL'] = 'C.UTF-8'      # what other programs say is read
FREQUENCY = 4999
# Seconds, for what hangs only: a machine may be busy, or an emulated one on such a machine.
TIMEOUT = 900

workspace = tempfile.mkdtemp(prefix='retour-test-')
os.chmod(workspace, 0o755)
atexit.register(shutil.rmtree, workspace, ignore_errors=True)
_count = 0


def unusable():
    """Why nothing can be recorded here, or None."""
    if os.geteuid() != 0:
        return 'recording needs root'
    try:
        backends = json.loads(run('doctor', '--json').stdout)['backends']
        bpf = next(b for b in backends if b['name'] == 'bpf')
    except (ValueError, KeyError, StopIteration):
        return None     # then the tests themselves show what is wrong
    return None if bpf['usable'] else f'{bpf["why"]}: {bpf["remedy"]}'


@functools.cache
def _doctor():
    """What doctor says of each backend, by name."""
    return {b['name']: b for b in json.loads(run('doctor', '--json').stdout)['backends']}


def backends():
    """What can be used here, by name."""
    return {name: b for name, b in _doctor().items() if b['usable']}


def need(*names):
    """Skips the test where a backend of these cannot be used."""
    for name in names:
        if not _doctor()[name]['usable']:
            raise tap.Skip(f'backend {name}: {_doctor()[name]["why"]}')


@contextlib.contextmanager
def memory_cgroup(limit):
    """The command line that leads into a cgroup that may use so many bytes."""
    for hierarchy, file in ('/sys/fs/cgroup/memory', 'memory.limit_in_bytes'), ('/sys/fs/cgroup', 'memory.max'):
        group = os.path.join(hierarchy, f'retour-test-{os.getpid()}')
        with contextlib.suppress(OSError), open(os.path.join(hierarchy, 'cgroup.procs'), encoding='ascii'):
            os.mkdir(group)
            if os.path.exists(os.path.join(group, file)):
                break
            os.rmdir(group)
    else:
        raise tap.Skip('there are no cgroups with limits on memory here')
    try:
        with open(os.path.join(group, file), 'w', encoding='ascii') as out:
            out.write(str(limit))
        yield 'sh', '-c', f'echo $$ >{group}/cgroup.procs && exec "$@"', 'sh'
    finally:
        for _ in range(100):    # who has ended may be in it for a moment yet
            with contextlib.suppress(OSError):
                os.rmdir(group)
                break
            time.sleep(0.1)


def program(name):
    """The path of a program of tests/programs; skips the test if it was not built."""
    path = os.path.join(PROGRAMS, name)
    if not os.path.exists(path):
        raise tap.Skip(f'{name} was not built: its compiler is not installed')
    return path


def fresh_path(suffix='.data'):
    """A path in the workspace that nobody has used."""
    global _count   # pylint: disable=global-statement
    _count += 1
    return os.path.join(workspace, f'{_count}{suffix}')


def run(*args, timeout=TIMEOUT, **options):
    """Runs `retour ARGS` to its end."""
    options = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE,
               'text': True, 'check': False, **options}
    return subprocess.run([RETOUR, *map(str, args)], timeout=timeout, **options)


def run_other(*command, **options):
    """Runs another program to its end."""
    options = {'timeout': TIMEOUT, **options}
    return subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, **options)


def start(*args, **options):
    """Starts `retour ARGS`."""
    options = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE,
               'text': True, **options}
    return subprocess.Popen([RETOUR, *map(str, args)], **options)


def succeed(*args, **options):
    """Runs `retour ARGS`, which must succeed."""
    done = run(*args, **options)
    assert done.returncode == 0, f'retour {args} exited {done.returncode}: {done.stderr}'
    return done


def wait_for_samples(process, path, size=4096):
    """Waits until a recorder that was started has written so many bytes to path."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f'the recorder ended early: {process.communicate()[1]}')
        if os.path.exists(path) and os.path.getsize(path) > size:
            return
        time.sleep(0.05)
    raise AssertionError(f'the recorder has not written {size} bytes')


class Running:
    """A program of tests/programs that runs while the with block does."""

    def __init__(self, name, *args, **options):
        self.process = subprocess.Popen([program(name), *map(str, args)], stdout=subprocess.PIPE,
                                        text=True, **options)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


def wait_until(condition):
    """However long that takes on a busy machine."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, 'it has not come to that'
        time.sleep(0.01)


def run_time(pid):
    """Seconds that a process of one thread has had a CPU."""
    with open(f'/proc/{pid}/schedstat', encoding='ascii') as file:
        return int(file.read().split()[0]) / 1e9


def wait_for_work(*pids, seconds=0.3):
    """Until each of them has had a CPU for so long, which takes its time on a busy machine."""
    ends = {pid: run_time(pid) + seconds for pid in pids}
    wait_until(lambda: all(run_time(pid) >= last for pid, last in ends.items()))


class Sysctl:
    """Another value of a setting of the kernel, for a while."""

    def __init__(self, name, value):
        self.path = '/proc/sys/' + name.replace('.', '/')
        self.value = value
        with open(self.path, encoding='ascii') as file:
            self.before = file.read()

    def write(self, value):
        with open(self.path, 'w', encoding='ascii') as file:
            file.write(value)

    def __enter__(self):
        self.write(str(self.value))

    def __exit__(self, *_):
        self.write(self.before)


class Recorder:
    """A recorder of what runs already, started and under way."""

    def __init__(self, *options, frequency=FREQUENCY):
        self.path = fresh_path()
        self.process = start('record', '-F', frequency, '-o', self.path, *options)
        wait_for_samples(self.process, self.path)

    def end(self):
        """What it has recorded."""
        self.process.send_signal(signal.SIGINT)
        output, errors = self.process.communicate(timeout=TIMEOUT)
        assert self.process.returncode == 0, f'exited {self.process.returncode}: {errors}'
        return Recording(self.path, output, errors)


def record_work(*options, pids, frequency=FREQUENCY):
    """Records while each of these works for a while."""
    recorder = Recorder(*options, frequency=frequency)
    wait_for_work(*pids)
    return recorder.end()


class Recording:
    """The samples and figures of a file, checked against each other; frames are those of the stack."""

    def __init__(self, path, output='', errors=''):
        self.path = path
        self.output = output
        self.errors = errors
        self.stats = json.loads(succeed('stats', '-i', path, '--json').stdout)
        script = succeed('script', '-i', path, '--json', '--no-inline', timeout=4 * TIMEOUT)
        self.warnings = script.stderr
        self.samples = [json.loads(line) for line in script.stdout.splitlines()]
        check_sums(self.stats)
        check_samples(self.stats, self.samples)

    def truths(self):
        """The JSON objects on standard output, of the recorded program or with --json our own."""
        found, at = [], self.output.find('{')
        while at >= 0:
            value, end = json.JSONDecoder().raw_decode(self.output, at)
            found.append(value)
            at = self.output.find('{', end)
        return found

    def of(self, comm):
        """The samples of one command."""
        return [s for s in self.samples if s['comm'] == comm[:15]]


def check_sums(stats):
    """Nothing is lost silently: every sample is in exactly one sum."""
    s = stats
    def equal(left, right, what):
        assert left == right, f'{what}: {left} != {right} in {json.dumps(s)}'
    equal(s['samples'], s['no_user'] + s['with_user_context'], 'samples = no_user + with_user_context')
    equal(s['with_user_context'], s['stitched'] + sum(s['missing'].values()),
          'with_user_context = stitched + missing')
    equal(s['stitched'], s['complete'] + s['truncated'], 'stitched = complete + truncated')
    equal(s['truncated'], sum(s['truncated_by'].values()), 'truncated = sum of truncated_by')
    equal(s['samples'], sum(e['samples'] for e in s['events']), 'samples = sum over events')
    equal(s['samples'], sum(c['samples'] for c in s['by_comm']), 'samples = sum over comms')
    equal(s['complete'], sum(c['complete'] for c in s['by_comm']), 'complete = sum over comms')
    assert s['shared'] <= s['stitched'], f'more shared than stitched: {json.dumps(s)}'


def check_samples(stats, samples):
    """The figures are those of the samples."""
    reasons = {}
    for sample in samples:
        assert sample['complete'] == (sample['reason'] is None), f'complete with a reason: {sample}'
        assert sample['user'] or not sample['complete'], f'complete without a frame: {sample}'
        if sample['reason'] is not None:
            reasons[sample['reason']] = reasons.get(sample['reason'], 0) + 1
    assert len(samples) == stats['samples'], f'{len(samples)} samples, stats say {stats["samples"]}'
    complete = sum(s['complete'] for s in samples)
    assert complete == stats['complete'], f'{complete} complete, stats say {stats["complete"]}'
    for reason, count in {**stats['missing'], **stats['truncated_by']}.items():
        assert reasons.pop(reason, 0) == count, f'{reason}: samples and stats differ'
    no_user = sum(reasons.values())
    assert no_user == stats['no_user'], f'{reasons} have no user part, stats say {stats["no_user"]}'


def record(*options, command=(), frequency=FREQUENCY, timeout=TIMEOUT, **popen):
    """Records to the end and loads the file."""
    path = fresh_path()
    command = ('--', *command) if command else ()
    done = succeed('record', '-F', frequency, '-o', path, *options, *command, timeout=timeout, **popen)
    return Recording(path, done.stdout, done.stderr)


def record_program(name, *args, options=(), seconds=1, **record_options):
    """Records one program of tests/programs from exec to exit."""
    return record(*options, command=(program(name), *args, '--seconds', seconds), **record_options)
