# SPDX-License-Identifier: MIT
"""Tracepoints in recordings: the fields are those of the program, in files, streams and what was cut, here and in perf."""

import json
import re
import shutil
import struct
import subprocess
import time

import retour
import tap
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


def check_cut(path):
    """All there is is read, by perf too; gives the numbers of the requests."""
    done = retour.succeed('script', '-i', path, '--json')
    samples = [json.loads(line) for line in done.stdout.splitlines()]
    assert 'not finished' in done.stderr, done.stderr
    assert {s['event'] for s in samples} == {'app:request', 'app:reply', 'app:tick'}, samples[:3]
    ids = [s['fields']['id'] for s in samples if s['event'] == 'app:request']
    assert len(ids) > 100 and ids == list(range(ids[0], ids[0] + len(ids))), ids
    if shutil.which('perf'):
        assert len(perf_script(path, '-F', 'comm,tid').split(b'traced ')) - 1 == len(samples)


@tap.test('a recorder of a running process is killed: the recording is read, the process is attached to again')
def killed_attached():
    with Traced(seconds=20) as program:
        path = retour.fresh_path()
        recorder = retour.start('record', '-e', 'app:*', '-p', program.pid, '-o', path)
        wait_for_hits(recorder, path)
        recorder.kill()
        recorder.communicate()
        check_cut(path)
        again = retour.record('-e', 'app:request', '-p', program.pid, '--duration', 1)
        assert {s['event'] for s in again.samples} == {'app:request'}, again.stats
        assert program.process.poll() is None


@tap.test('a recorder is killed: its command runs to the end')
def killed_command():
    path, witness = retour.fresh_path(), retour.fresh_path('.status')
    script = f'{retour.program("traced")} --seconds 6 >/dev/null; echo $? >{witness}.new; mv {witness}.new {witness}'
    recorder = retour.start('record', *AGENT, '-e', 'app:*', '-o', path, '--', 'sh', '-c', script)
    wait_for_hits(recorder, path)
    recorder.kill()
    recorder.communicate()
    check_cut(path)
    end = time.monotonic() + retour.TIMEOUT
    status = ''
    while not status and time.monotonic() < end:
        time.sleep(0.1)
        status = retour.run_other('cat', witness).stdout
    assert status == '0\n', status


tap.main()
