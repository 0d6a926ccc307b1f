# SPDX-License-Identifier: MIT
"""Tracepoints in recordings: the fields are those of the program, in files, streams and what was cut, here and in perf."""

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import time

import retour
import tap
from chains import known_symbol
from tracing import Traced

AGENT = ['--backend', 'agent']


def perf_script(path, *options):
    """What perf prints, as bytes."""
    if not shutil.which('perf'):
        raise tap.Skip('perf is not installed')
    done = subprocess.run(['perf', 'script', *options, '-i', path], stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          timeout=retour.TIMEOUT)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- fields ------------------------------------------------------------------------------------

STRINGS = {'first', 'second', 'third', 'b', 'j'}
REALS = {'single': 'f', 'real': 'd', 'wide': 'd'}
MAX_STRING = 4095


def said_by(output):
    """What the program says that it has fired; strings as bytes."""
    said = [json.loads(line, parse_int=lambda n: -0.0 if n == '-0' else int(n)) for line in output.splitlines()]
    for values in said:
        for name in STRINGS & set(values):
            values[name] = bytes.fromhex(values[name])[:MAX_STRING]
    return said


def in_json(value):
    return value.decode('utf-8', 'replace') if isinstance(value, bytes) else value


def in_perf(name, value):
    """perf has no floating point numbers, only their bits."""
    if isinstance(value, bytes):
        return value
    if name in REALS:
        return hex(int.from_bytes(struct.pack('<' + REALS[name], value), 'little')).encode()
    return str(value).encode()


def fields_recording():
    recording = retour.record(*AGENT, '-e', 'app:*', command=[retour.program('fields')])
    return recording, said_by(recording.output)


@tap.test('fields of every kind are what the program said')
def fields():
    recording, said = fields_recording()
    assert len(said) > 80 and len(said) == len(recording.samples), (len(said), recording.stats)
    for sample, truth in zip(recording.samples, said):
        truth = {name: in_json(value) for name, value in truth.items()}
        assert {'event': sample['event'], **sample['fields']} == truth, (sample, truth)
    text = retour.succeed('script', '-i', recording.path).stdout
    assert 'app:others: yes=1 c=127 colour=200 typedefed=-127 qualified=-127 pointer=0xfedcba9876543210' in text, text[:2000]
    assert 'app:reals: single=-0.10000000149011612 real=-0.10000000000000001 wide=-0.10000000000000001' in text, text[:2000]


@tap.test('perf script prints the same')
def fields_in_perf():
    recording, said = fields_recording()
    text = perf_script(recording.path, '-F', 'event,trace')
    at = 0
    for truth in said:
        event = truth.pop('event').encode() + b': '
        at = text.find(event, at)
        assert at >= 0, (event, truth)
        at += len(event)
        order = [f.split(b'=')[0].decode() for f in re.findall(rb'\w+=', text[at:at + 6000])]
        names = sorted(truth, key=order.index)
        wanted = b' '.join(name.encode() + b'=' + in_perf(name, truth[name]) for name in names)
        assert text[at:at + len(wanted)] == wanted, (text[at:at + len(wanted)], wanted)


# ---- streams -----------------------------------------------------------------------------------

@tap.test('a stream has all fields, and nothing of what the command prints')
def stream():
    path = retour.fresh_path()
    with open(path, 'wb') as out:
        done = retour.run('record', *AGENT, '-e', 'app:*', '-o', '-', '--', retour.program('fields'), stdout=out)
    assert done.returncode == 0, done.stderr
    said = said_by(''.join(line + '\n' for line in done.stderr.splitlines() if line.startswith('{')))
    recording = retour.Recording(path)
    assert not recording.warnings and len(said) > 80, recording.warnings
    assert [s['event'] for s in recording.samples] == [s['event'] for s in said]
    from_file, _ = fields_recording()
    assert [s['fields'] for s in recording.samples] == [s['fields'] for s in from_file.samples]
    with open(path, 'rb') as piped:
        if shutil.which('perf'):
            done = subprocess.run('cat | perf script -i -', shell=True, stdin=piped, capture_output=True, check=False,
                                  timeout=retour.TIMEOUT)
            assert not done.returncode and not done.stderr, done.stderr
            assert len(re.findall(rb' app:(?:integers|others|reals|strings|twelve|none): ', done.stdout)) == len(said)


# ---- recorders that are killed -------------------------------------------------------------------

def wait_for_hits(recorder, path):
    retour.wait_for_samples(recorder, path, size=1 << 18)


def kill(recorder, path):
    """When some of what it has written can be read: a file is read to the last flush, and the first one may be a long one."""
    wait_for_hits(recorder, path)
    retour.wait_until(lambda: retour.run('script', '-i', path, '--json').stdout.count('\n') > 200)
    recorder.kill()


def check_cut(path):
    """All there is is read, by perf too; gives the numbers of the requests."""
    done = retour.succeed('script', '-i', path, '--json')
    samples = [json.loads(line) for line in done.stdout.splitlines()]
    assert 'not finished' in done.stderr, done.stderr
    assert {s['event'] for s in samples} == {'app:request', 'app:reply', 'app:tick'}, samples[:3]
    ids = [s['fields']['id'] for s in samples if s['event'] == 'app:request']
    assert len(ids) > 20 and ids == list(range(ids[0], ids[0] + len(ids))), ids
    if shutil.which('perf'):
        assert len(perf_script(path, '-F', 'comm,tid').split(b'traced ')) - 1 == len(samples)


@tap.test('a recorder of a running process is killed: the recording is read, the process is attached to again')
def killed_attached():
    with Traced() as program:
        path = retour.fresh_path()
        recorder = retour.start('record', '-e', 'app:*', '-p', program.pid, '-o', path)
        kill(recorder, path)
        recorder.communicate()
        check_cut(path)
        again = Attached(program.pid, 'app:request').stop()
        assert {s['event'] for s in again.samples} == {'app:request'}, again.stats
        assert program.process.poll() is None


@tap.test('a recorder is killed: its command runs to the end')
def killed_command():
    path, said, witness = retour.fresh_path(), retour.fresh_path('.json'), retour.fresh_path('.status')
    script = f'{retour.program("traced")} --seconds 600 >{said}; echo $? >{witness}.new; mv {witness}.new {witness}'
    recorder = retour.start('record', *AGENT, '-e', 'app:*', '-o', path, '--', 'sh', '-c', script)
    kill(recorder, path)
    recorder.wait()
    check_cut(path)
    with open(said, encoding='ascii') as f:
        pid = json.loads(f.readline())['pid']
    retour.wait_for_work(pid, seconds=0.02)
    os.kill(pid, signal.SIGTERM)
    retour.wait_until(lambda: os.path.exists(witness))
    with open(witness, encoding='ascii') as f:
        assert f.read() == '0\n'
    recorder.communicate()


# ---- processes that are attached to ------------------------------------------------------------

class Attached:
    """A recorder of a running process, until it has written some samples, or until it ends by itself."""

    def __init__(self, pid, *events):
        self.path = retour.fresh_path()
        options = [o for event in events for o in ('-e', event)]
        self.recorder = retour.start('record', *options, '-p', pid, '-o', self.path)

    def stop(self):
        wait_for_hits(self.recorder, self.path)
        self.recorder.send_signal(signal.SIGINT)
        return self.result()

    def result(self):
        _, errors = self.recorder.communicate(timeout=retour.TIMEOUT)
        assert self.recorder.returncode == 0, errors
        recording = retour.Recording(self.path, '', errors)
        assert recording.stats['lost_samples'] == 0 and recording.stats['lost_records'] == 0, recording.stats
        return recording


def requests(recording, pid=None):
    """The numbers of the requests of a process, which must be all of them."""
    ids = [s['fields']['id'] for s in recording.samples if s['event'] == 'app:request' and pid in (None, s['pid'])]
    assert ids and ids == list(range(ids[0], ids[0] + len(ids))), ids
    return ids


@tap.test('the end of the process ends the recording, which has all to the last hit')
def attached_exit():
    with Traced() as program:
        attached = Attached(program.pid, 'app:*')
        wait_for_hits(attached.recorder, attached.path)
        program.process.terminate()
        recording = attached.result()
        assert requests(recording)[-1] == program.last_words()['served'] - 1


@tap.test('forked children of the process are recorded, too')
def attached_forks():
    with Traced('forks') as program:
        recording = Attached(program.pid, 'app:*').stop()
        requests(recording, program.pid)
        children = {s['pid'] for s in recording.samples} - {program.pid}
        assert len(children) > 2, recording.stats
        children = sorted(children, key=lambda c: min(s['time'] for s in recording.samples if s['pid'] == c))
        # The first may have begun before the recording, and the last goes on after it.
        for child in children[1:-1]:
            ids = requests(recording, child)
            assert ids[0] % 1000000 == 0 and len(ids) == 20, ids


@tap.test('a process that becomes another program is recorded up to there')
def attached_executes():
    with Traced('executes') as program:
        recording = Attached(program.pid, 'app:*').result()
        assert requests(recording)[-1] == json.loads(program.process.stdout.readline())['served'] - 1
        assert not program.process.communicate(timeout=retour.TIMEOUT)[1] and program.process.returncode == 0


@tap.test('two recorders of one process at once')
def two_recorders():
    with Traced() as program:
        first, second = Attached(program.pid, 'app:*'), Attached(program.pid, 'app:request')
        wait_for_hits(first.recorder, first.path)
        one, other = second.stop(), first.stop()
        assert {s['event'] for s in one.samples} == {'app:request'}, one.stats
        assert {s['event'] for s in other.samples} == {'app:request', 'app:reply', 'app:tick'}, other.stats
        assert set(requests(one)) & set(requests(other)), 'they were not recorded at once'


def copy_into(root, path):
    """A program or library at the same place under another root."""
    os.makedirs(root + os.path.dirname(path), exist_ok=True)
    shutil.copy(path, root + path)


def child_of(pid):
    for _ in range(retour.TIMEOUT * 10):
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as children:
            if found := children.read().split():
                return int(found[0])
        time.sleep(0.1)
    raise AssertionError('it has no child')


@tap.test('a process in a container, with its own root, users, processes and mounts')
def container():
    root, traced = retour.fresh_path('.root'), retour.program('traced')
    libraries = re.findall(r'(/\S+) \(', retour.run_other('ldd', traced).stdout)
    for path in [traced, *libraries]:
        copy_into(root, path)
    os.makedirs(root + '/tmp', exist_ok=True)
    namespaces = ['unshare', '--map-root-user', '--pid', '--mount', '--fork', '--kill-child']
    if (done := retour.run_other(*namespaces, 'true')).returncode:
        raise tap.Skip(f'no namespaces here: {done.stderr.strip()}')
    # Where /proc is missing, libraries are not found by the place of the program.
    with subprocess.Popen([*namespaces, '--root', root, traced, '--seconds', '600'], stdout=subprocess.PIPE, text=True,
                          env={'LD_LIBRARY_PATH': ':'.join(map(os.path.dirname, libraries))}) as unshare:
        try:
            assert json.loads(unshare.stdout.readline()) == {'pid': 1}
            pid = child_of(unshare.pid)
            assert 'app:request(' in retour.succeed('list', 'tracepoints', '-p', pid).stdout
            recording = Attached(pid, 'app:*').stop()
            requests(recording, pid)
            assert {s['pid'] for s in recording.samples} == {pid}, recording.stats
            assert all(s['user'][0]['dso'].endswith(traced) and known_symbol(s['user'][0]) for s in recording.samples
                       if s['reason'] != 'not-returned'), recording.samples[0]
        finally:
            unshare.kill()


@tap.test('tracepoints of a process that has just begun are listed')
def just_begun():
    for _ in range(5):
        with subprocess.Popen([retour.program('traced'), '--seconds', '60'], stdout=subprocess.DEVNULL) as program:
            try:
                assert 'app:request(' in retour.succeed('list', 'tracepoints', '-p', program.pid).stdout
            finally:
                program.kill()


@tap.test('an agent that does not listen is told from none')
def does_not_listen():
    with Traced(env={**os.environ, 'RETOUR_AGENT': 'off'}) as program:
        for args in (['list', 'tracepoints'], ['record', '-e', 'app:*', '-o', retour.fresh_path()]):
            done = retour.run(*args, '-p', program.pid)
            assert done.returncode == 1 and 'does not listen' in done.stderr and 'RETOUR_AGENT' in done.stderr, done.stderr


# ---- completion ------------------------------------------------------------------------------------

def completed(*words):
    """What bash offers for the last word, given them as it cuts them."""
    script = '. "$0"; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _retour; printf "%s\\n" "${COMPREPLY[@]}"'
    completions = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../completions/retour')
    done = retour.run_other('bash', '-c', script, completions, retour.RETOUR, *words)
    assert not done.stderr, done.stderr
    return done.stdout.split()


@tap.test('tracepoints are completed')
def completion():
    with Traced() as program:
        assert completed('list', 't') == ['tracepoints']
        assert str(program.pid) in completed('list', 'tracepoints', '-p', str(program.pid)[:2])
        assert completed('record', '-p', program.pid, '-e', 'ap') == ['app:reply', 'app:request', 'app:tick']
        assert completed('record', '--pid', program.pid, '-F', 99, '-e', 'app', ':', 're') == ['reply', 'request']
        assert completed('record', '-e', 'cpu') == ['cpu-clock']
        assert completed('record', '-e', 'cpu-clock,ta') == ['cpu-clock,task-clock']
        assert f'1,{program.pid}' in completed('record', '-p', f'1,{program.pid}')
        assert str(program.pid) in completed('record', '-t', program.pid)


tap.main()
