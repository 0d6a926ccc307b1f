#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The programs of examples/ do what they say, and their tracepoints are there for everybody."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

from tap import Skip, main, test

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(os.environ['RETOUR'])), 'examples')
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'examples')
TIMEOUT = 600   # seconds, for what hangs only
MADE_BY_LINES = re.compile(r'/\* (\d) \*/$', re.MULTILINE)


def program(name):
    return os.path.join(EXAMPLES, name)


def output(*command, **more):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, timeout=TIMEOUT, **more).stdout


class Server:
    """The server, on a port of its own choice."""

    def __enter__(self):
        self.process = subprocess.Popen([program('server'), '0'], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        return self

    def get(self, path):
        with urllib.request.urlopen(f'{self.url.rstrip("/")}{path}', timeout=TIMEOUT) as answer:
            return answer.read().decode()

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@test('the server answers, and goes on after requests that are none')
def _():
    with Server() as server:
        assert server.get('/primes/100') == '25\n'
        assert 'Ask' in server.get('/')
        host, port = server.url.split('//')[1].strip('/').split(':')
        for bad in (b'', b'\r\n\r\n', b'GET', b'x' * 5000, b'GET ' + b'/' * 900 + b' HTTP/1.1\r\n\r\n'):
            with socket.create_connection((host, int(port)), timeout=TIMEOUT) as s:
                s.sendall(bad)
        assert server.get('/primes/10') == '4\n'
        assert server.process.poll() is None


@test('five lines make its tracepoints')
def _():
    with open(os.path.join(SOURCES, 'server.c'), encoding='utf-8') as f:
        text = f.read()
    assert MADE_BY_LINES.findall(text) == list('12345')
    # And all that speaks of tracing is in them.
    for line in text.split('*/', 2)[2].splitlines():
        assert not re.search('trace', line, re.IGNORECASE) or MADE_BY_LINES.search(line), line


@test('readelf, gdb and perf find the tracepoints')
def _():
    notes = output('readelf', '-nW', program('server'))
    assert re.search(r'Provider: app\s+Name: accept\s', notes), notes
    assert re.search(r'Provider: app\s+Name: request\s.*\s+Arguments: -4@\S+ 8@\S+', notes), notes
    assert re.search(r'Provider: cache\s+Name: lookup\s', output('readelf', '-nW', program('cache')))
    if shutil.which('gdb'):
        out = output('gdb', '-batch', '-ex', 'info probes stap app', program('server'))
        assert re.search(r'stap\s+app\s+request\s+0x', out), out
    if shutil.which('perf'):
        with tempfile.TemporaryDirectory() as home:
            perf, env = ['perf', '--buildid-dir', home], {**os.environ, 'HOME': home}
            output(*perf, 'buildid-cache', '-a', program('server'), env=env)
            out = output(*perf, 'list', 'sdt', env=env)
            assert 'sdt_app:accept' in out and 'sdt_app:request' in out, out


@test('gdb stops at a request and reads its path')
def _():
    if not shutil.which('gdb'):
        raise Skip('gdb is not installed')
    with Server() as server:
        script = ['break -probe-stap app:request', f'shell curl -s -o /dev/null {server.url}primes/7 &', 'continue',
                  'printf "%d arguments, path %s\\n", $_probe_argc, (char *)$_probe_arg1', 'detach']
        if not shutil.which('curl'):
            raise Skip('curl is not installed')
        out = output('gdb', '-batch', '-p', str(server.process.pid), *(w for line in script for w in ('-ex', line)))
        assert '2 arguments, path /primes/7' in out, out
        assert server.get('/primes/10') == '4\n'


@test('a probe is called while it is registered')
def _():
    assert output(program('probe')) == 'request 2: /on\n'


@test('the README shows what is there')
def _():
    with open(os.path.join(SOURCES, '..', 'README.md'), encoding='utf-8') as f:
        shown = f.read().split('```c\n')[1].split('```')[0]
    with open(os.path.join(SOURCES, 'probe.c'), encoding='utf-8') as f:
        assert f.read().endswith(shown)


def listed_of(server):
    """Its agent is there soon after the program."""
    end = time.monotonic() + TIMEOUT
    while True:
        lines = output(os.environ['RETOUR'], 'list', 'tracepoints', '-p', str(server.process.pid)).splitlines()
        if 'has no agent' not in lines[0] or time.monotonic() > end:
            return lines
        time.sleep(0.1)


@test('its tracepoints are listed while it runs')
def _():
    with Server() as server:
        listed = listed_of(server)
        for line in 'app:accept(int fd)', 'app:request(int fd, const char *path)':
            assert line in listed, listed


@test('its requests are recorded from outside, with the way to them')
def _():
    with Server() as server, tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, 'data')
        listed_of(server)
        recorder = subprocess.Popen([os.environ['RETOUR'], 'record', '-e', 'app:*', '-p', str(server.process.pid), '-o', data],
                                    stderr=subprocess.PIPE, text=True)
        asked = 0
        while recorder.poll() is None and not (os.path.exists(data) and os.path.getsize(data) > 1 << 18):
            server.get(f'/primes/{asked}')
            asked += 1
        recorder.send_signal(signal.SIGINT)
        _, said = recorder.communicate(timeout=TIMEOUT)
        assert recorder.returncode == 0, said
        samples = [json.loads(line) for line in
                   output(os.environ['RETOUR'], 'script', '--json', '-i', data).splitlines()]
        # But of one that had no CPU to go on with at the end.
        ways = [{frame['sym'] for frame in sample['user']} for sample in samples if sample['reason'] != 'not-returned']
        for function in ('answer', 'accept_one'):
            assert any(function in way for way in ways), (said, ways[:4])
        paths = {sample['fields']['path'] for sample in samples if sample['event'] == 'app:request'}
        assert paths and paths <= {f'/primes/{i}' for i in range(asked)}, paths
        # Each leads to the program's beginning, and there are two a request.
        assert all('_start' in way for way in ways), ways[:4]
        assert len(samples) <= 2 * asked, (len(samples), asked)
        assert server.get('/primes/10') == '4\n'


@test('the C++ example finds and misses')
def _():
    for seconds in '0.3', '3', '30':    # a busy machine may not run all its threads in time
        out = output(program('cache'), seconds)
        hits, misses, tables = (int(n) for n in re.fullmatch(r'(\d+) hits, (\d+) misses, (\d+) tables\n', out).groups())
        if hits > 0 and misses > 0 and tables > 1:
            break
    assert hits > 0 and misses > 0 and tables > 1, out


main()
