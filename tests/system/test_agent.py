# SPDX-License-Identifier: MIT
"""Backend agent: from inside the programs, without a privilege; clocks, tracepoints, and what cannot be recorded."""

import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import retour
import tap
from chains import MAIN, WORK, Truth
from tracing import Traced

NOBODY = 65534
AS_NOBODY = ['setpriv', '--reuid', NOBODY, '--regid', NOBODY, '--clear-groups', '--inh-caps=-all']
FREQUENCY = 999
BUSY = 'import time, sys\nend = time.thread_time() + {}\nwhile time.thread_time() < end: sum(range(1000))\n'


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise tap.Skip(f'{program} is not installed')


def record(*command, options=(), **record_options):
    """Records a command; nothing may be lost."""
    recording = retour.record('--backend', 'agent', *options, command=command, frequency=FREQUENCY, **record_options)
    check(recording)
    return recording


def check(recording):
    stats = recording.stats
    assert stats['backend'] == 'agent', stats['backend']
    assert stats['no_user'] == 0 and stats['lost_samples'] == 0 and stats['lost_records'] == 0, stats
    assert stats['requests'] == stats['samples'], stats
    assert stats['walks'] >= stats['stitched'] - stats['shared'], stats
    assert not any(s['kernel'] for s in recording.samples), 'kernel frames without the kernel'


def nearly_all_complete(recording, comm, least):
    """99 % of the samples of a command, of which there are some.  On a busy machine there are few, and objects begin
    and end by code of the compiler's without tables: one sample may be of it."""
    samples = recording.of(comm)
    complete = sum(s['complete'] for s in samples)
    assert len(samples) >= least, f'{len(samples)} samples of {comm}: {recording.stats}'
    assert complete >= min(0.99 * len(samples), len(samples) - 1), f'{complete} of {len(samples)}: {recording.stats}'


# ---- chains ----------------------------------------------------------------------------

def truth(name):
    program = retour.program(name)
    recording = record(program, '--seconds', 1)
    nearly_all_complete(recording, name, 20)
    # Between the agent's beginning and main there is the library's own work.
    Truth(program, f'{WORK}plain_inner plain_middle plain_outer {MAIN}',
          edges=rf'(?:plain_\w+ )*{MAIN}|.*_start |.*ld ', least=20).check(recording)


tap.test('the chains are those of the program')(lambda: truth('plain'))
tap.test('those of one with holes between its segments, too')(lambda: truth('plain_holes'))


@tap.test('sqlite3, unharmed')
def sqlite():
    need('sqlite3')
    query = ['sqlite3', ':memory:', 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 400000) '
                                    'SELECT count(DISTINCT hex(i * 7919 % 100003)) FROM n']
    recording = record(*query)
    assert recording.output == retour.run_other(*query).stdout, recording.output
    nearly_all_complete(recording, 'sqlite3', 10)


@tap.test('python3, with threads that come and go')
def python():
    script = ('import threading, time\n'
              'def work():\n'
              '    end = time.thread_time() + 0.04\n'
              '    while time.thread_time() < end: sum(range(1000))\n'
              'for _ in range(10):\n'
              '    ts = [threading.Thread(target=work) for _ in range(4)]\n'
              '    [t.start() for t in ts]\n'
              '    [t.join() for t in ts]\n'
              'print("done")\n')
    recording = record('/usr/bin/python3', '-c', script)
    assert recording.output == 'done\n', recording.output
    nearly_all_complete(recording, 'python3', 40)
    assert len({s['tid'] for s in recording.of('python3')}) > 20, 'threads are missing'


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_for_port(port, process):
    def listens():
        assert process.poll() is None, process.communicate()
        with socket.socket() as s:
            return s.connect_ex(('127.0.0.1', port)) == 0

    retour.wait_until(listens)


def record_server(comm, port, command, load):
    """Records a server while it has something to do."""
    path = retour.fresh_path()
    recorder = retour.start('record', '--backend', 'agent', '-F', FREQUENCY, '-o', path, '--', *map(str, command))
    try:
        wait_for_port(port, recorder)
        load()
    finally:
        recorder.send_signal(signal.SIGINT)
        _, errors = recorder.communicate(timeout=retour.TIMEOUT)
    assert recorder.returncode == 0, errors
    recording = retour.Recording(path, '', errors)
    check(recording)
    nearly_all_complete(recording, comm, 20)


@tap.test('redis-server under load')
def redis():
    need('redis-server', 'redis-benchmark')
    port = free_port()

    def load():
        done = retour.run_other('redis-benchmark', '-p', port, '-n', 40000, '-q', '-t', 'set,get,lrange_100')
        assert done.returncode == 0 and 'SET' in done.stdout, done

    record_server('redis-server', port, ['redis-server', '--port', port, '--save', '', '--dir', retour.workspace], load)


@tap.test('nginx and its workers under load')
def nginx():
    need('nginx')
    port, folder = free_port(), retour.workspace
    page = os.urandom(40000).hex()
    with open(os.path.join(folder, 'page.html'), 'w', encoding='ascii') as out:
        out.write(page)
    conf = os.path.join(folder, 'nginx.conf')
    with open(conf, 'w', encoding='ascii') as out:
        out.write(f'daemon off; user root; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log;\n'
                  'events {}\n'
                  f'http {{ access_log off; gzip on; gzip_http_version 1.0; gzip_comp_level 9; gzip_types text/html; server {{ '
                  f'listen 127.0.0.1:{port}; root {folder}; }} }}\n')

    def load():
        for _ in range(120):
            with socket.create_connection(('127.0.0.1', port)) as s:
                s.sendall(b'GET /page.html HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n')
                answer = b''.join(iter(lambda s=s: s.recv(65536), b''))
            assert answer.startswith(b'HTTP/1.1 200'), answer[:100]

    record_server('nginx', port, ['nginx', '-c', conf], load)


# ---- processes ---------------------------------------------------------------------------

@tap.test('forked and executed processes are seen, with their names')
def processes():
    script = ('import os, sys\n' + BUSY.format(0.1) +
              'for _ in range(3):\n'
              '    if os.fork() == 0:\n'
              '        ' + BUSY.format(0.15).replace('\n', '\n        ') + '\n'
              '        os._exit(0)\n'
              '    os.wait()\n'
              'os.execv("/usr/bin/perl", ["perl", "-e", "my $n = 0; for (1..6000000) { $n += $_ } print $n"])\n')
    need('perl')
    recording = record('/usr/bin/python3', '-c', script)
    assert recording.output == '18000003000000', recording.output
    by_pid = {}
    for sample in recording.samples:
        by_pid.setdefault(sample['pid'], set()).add(sample['comm'])
    assert sorted(map(sorted, by_pid.values()), key=len)[-1] == ['perl', 'python3'], by_pid
    assert len(by_pid) == 4, by_pid
    nearly_all_complete(recording, 'python3', 20)
    nearly_all_complete(recording, 'perl', 5)


@tap.test('a program in a PID namespace of its own, with the /proc of another')
def other_proc():
    need('unshare')
    command = ['unshare', '--pid', '--fork', '/usr/bin/python3', '-c', BUSY.format(0.3) + 'import os; print(os.getpid())']
    if retour.run_other(*command).returncode:
        raise tap.Skip('unshare is refused here')
    # What unshare's child does before it is another program is lost, and counted.
    recording = retour.record('--backend', 'agent', command=command, frequency=FREQUENCY)
    assert recording.output == '1\n', recording.output
    nearly_all_complete(recording, 'python3', 10)


@tap.test('a daemon that closes all descriptors')
def daemon():
    done = retour.fresh_path('.done')
    script = ('import os, sys, time\n'
              'if os.fork(): os._exit(0)\n'
              'os.setsid()\n'
              'os.closerange(0, 1000)\n' + BUSY.format(0.4) +
              f'open({done!r}, "w").write("done")\n')
    recording = record('sh', '-c', '/usr/bin/python3 -c "$1"; while ! [ -s "$2" ]; do sleep 0.05; done', 'sh', script, done)
    nearly_all_complete(recording, 'python3', 20)


@tap.test('a program that uses SIGPROF gets its own signals only')
def sigprof():
    script = ('import signal, time\n'
              'n = [0]\n'
              'def handler(*_): n[0] += 1\n'
              'signal.signal(signal.SIGPROF, handler)\n'
              'signal.setitimer(signal.ITIMER_PROF, 0.1, 0.1)\n' + BUSY.format(0.55) +
              'print(n[0])\n')
    recording = record('/usr/bin/python3', '-c', script)
    assert 3 <= int(recording.output) <= 6, recording.output
    nearly_all_complete(recording, 'python3', 20)


@tap.test('threads without samples are counted, with the reason')
def refused_timers():
    script = ('import resource, threading\n'
              'limits = resource.getrlimit(resource.RLIMIT_SIGPENDING)\n'
              'resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, limits[1]))\n'
              'def work(): sum(range(100000))\n'
              'for _ in range(5):\n'
              '    t = threading.Thread(target=work)\n'
              '    t.start()\n'
              '    t.join()\n' + BUSY.format(0.1))
    recording = record('/usr/bin/python3', '-c', script)
    assert recording.stats['unsampled_threads'] == {'no-timers': 5}, recording.stats
    assert '5 threads without samples: ' in recording.errors, recording.errors
    text = retour.succeed('stats', '-i', recording.path).stdout
    assert re.search(r'threads without samples +5 +no-timers: ', text), text


@tap.test('threads that the agent does not see begin are counted')
def unseen_threads():
    # The C library's own thread behind timers with SIGEV_THREAD.
    script = ('import ctypes, time\n'
              'event, timer = (ctypes.c_int * 16)(), ctypes.c_void_p()\n'
              'event[3] = 2\n'
              'assert ctypes.CDLL(None).timer_create(1, event, ctypes.byref(timer)) == 0\n'
              'time.sleep(3)\n' + BUSY.format(0.1))
    recording = record('/usr/bin/python3', '-c', script)
    assert recording.stats['unsampled_threads'] == {'unseen': 1}, recording.stats


@tap.test('wall-clock samples threads that sleep')
def wall_clock():
    recording = record('sleep', '0.6', options=['-e', 'wall-clock'])
    samples = recording.of('sleep')
    assert {s['event'] for s in samples} == {'wall-clock'}, recording.stats
    # However many there are: a sample stands for all periods since the one before.
    assert sum(s['period'] for s in samples) > 0.5e9, recording.stats
    nearly_all_complete(recording, 'sleep', 2)


# ---- what cannot be recorded ---------------------------------------------------------------

def refused(*args):
    path = retour.fresh_path()
    done = retour.run('record', '-o', path, *args)
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert not os.path.exists(path), 'a file was left behind'
    return done.stderr


@tap.test('programs that cannot be given an agent are refused before they start')
def static():
    witness = retour.fresh_path('.ran')
    said = refused('--backend', 'agent', '--', retour.program('plain_static'), '--seconds', '0.1')
    assert 'plain_static' in said and 'statically' in said and 'remedy' in said, said
    script = retour.fresh_path('.sh')
    with open(script, 'w', encoding='ascii') as out:
        out.write(f'#!{retour.program("plain_static")}\ntouch {witness}\n')
    os.chmod(script, 0o755)
    said = refused('--backend', 'agent', '--', script)
    assert 'plain_static' in said and not os.path.exists(witness), said
    said = refused('--backend', 'agent', '-a')
    assert 'agent' in said and 'remedy' in said, said
    said = refused('--backend', 'agent', '-e', 'page-faults', '--', 'true')
    assert 'page-faults' in said, said


@tap.test('descendants that cannot be given an agent run unharmed')
def unharmed():
    for name in ('plain_musl', 'plain_static', 'plain_32'):
        if not os.path.exists(os.path.join(retour.PROGRAMS, name)):
            continue
        recording = record('sh', '-c', '"$1" --seconds 0.05; echo "status $?"', 'sh', retour.program(name))
        assert recording.output.endswith('status 0\n') and not recording.of(name), (name, recording.output, recording.errors)
        assert 'relocating' not in recording.errors, recording.errors


@tap.test('they are counted')
def without_agent():
    for how in ('"$@"; :', 'exec "$@"'):
        recording = record('sh', '-c', how, 'sh', retour.program('plain_static'), '--seconds', '3')
        assert recording.stats['unsampled_threads'] == {'no-agent': 1}, (how, recording.stats)
        assert '1 threads without samples: their processes have no agent' in recording.errors, recording.errors
    recording = record('env', '-i', '/usr/bin/python3', '-c', BUSY.format(3))
    assert recording.stats['unsampled_threads'] == {'no-agent': 1}, recording.stats


@tap.test('one that lets nobody look at its memory is not, as it has one')
def closed():
    if os.geteuid():
        raise tap.Skip('needs root')
    os.chmod(retour.workspace, 0o777)
    if retour.run_other(*AS_NOBODY, 'test', '-x', retour.RETOUR).returncode:
        raise tap.Skip('the build directory is closed to other users')
    path = retour.fresh_path()
    script = 'import ctypes\nassert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0\n' + BUSY.format(2)
    done = retour.run_other(*AS_NOBODY, retour.RETOUR, 'record', '--backend', 'agent', '-o', path, '--', '/usr/bin/python3', '-c', script)
    assert done.returncode == 0, done.stderr
    recording = retour.Recording(path)
    assert recording.of('python3') and recording.stats['unsampled_threads'] == {}, recording.stats


@tap.test('a process without an agent is not attached to')
def no_agent():
    with subprocess.Popen(['sleep', '20']) as sleeper:
        try:
            said = refused('-e', 'app:*', '-p', sleeper.pid)
            assert 'libretour' in said and str(sleeper.pid) in said, said
            # However many places are looked at, none stays open.
            need('prlimit')
            few = retour.run_other('prlimit', '--nofile=12:12', retour.RETOUR, 'list', 'tracepoints', '-p', sleeper.pid)
            assert few.returncode == 1 and 'libretour' in few.stderr, few
        finally:
            sleeper.kill()


def cannot_answer(pid, *expected):
    """Recording and listing its tracepoints."""
    listed = retour.run('list', 'tracepoints', '-p', pid)
    assert listed.returncode == 1 and not listed.stdout, listed
    for said in (refused('-e', 'app:*', '-p', pid), listed.stderr):
        assert all(text in said for text in (str(pid), *expected)) and len(said.splitlines()) == 1, said


def is_kernel_thread(pid):
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as stat:
            return int(stat.read().rpartition(')')[2].split()[6]) & 0x200000
    except OSError:
        return False


@tap.test('what a process is is said where it cannot have an agent that answers')
def no_answer():
    with subprocess.Popen(['true']) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        cannot_answer(ended.pid, 'zombie')
        said = refused('-p', ended.pid)
        assert str(ended.pid) in said and 'zombie' in said, said
    if is_kernel_thread(2):     # none is seen in a container
        cannot_answer(2, 'kernel thread', 'remedy')
    with subprocess.Popen([retour.program('traced'), '--seconds', '100'], stdout=subprocess.DEVNULL) as process:
        try:
            os.kill(process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            cannot_answer(process.pid, f'kill -CONT {process.pid}')
            done = retour.run('record', '--duration', '0.1', '-o', retour.fresh_path(), '-p', process.pid)
            assert f'kill -CONT {process.pid}' in done.stderr, done
            os.kill(process.pid, signal.SIGCONT)
            retour.wait_until(lambda: 'app:request' in retour.run('list', 'tracepoints', '-p', process.pid).stdout)
        finally:
            process.kill()


# ---- tracepoints -----------------------------------------------------------------------------

def expected_fields(sample):
    n = abs(sample['fields']['id'])
    if sample['event'] == 'app:request':
        path = ['/index.html', '/a path with "quotes" and 100%', ''][n % 3]
        return {'id': n, 'path': path, 'size': n << 32, 'ratio': n / 2}
    return {'id': -n, 'code': -1 if n % 2 else 1}


def check_tracepoints(recording, events):
    counts = {e['name']: e['samples'] for e in recording.stats['events'] if ':' in e['name']}
    assert set(counts) == set(events) and min(counts.values()) > 0, counts
    assert max(counts.values()) - min(counts.values()) <= 1, counts
    ids = []
    for sample in recording.samples:
        if sample['event'] not in ('app:request', 'app:reply'):
            continue
        assert sample['fields'] == expected_fields(sample), sample['fields']
        chain = [f['sym'] for f in sample['user'][:2]]
        # A task may have had no CPU to go on with at the end.
        assert chain in (['serve', 'main'], ['serve.cold', 'main']) or sample['reason'] == 'not-returned', sample
        if sample['event'] == 'app:request':
            ids.append(sample['fields']['id'])
    assert ids == list(range(ids[0], ids[0] + len(ids))), 'hits are missing or in disorder'
    nearly_all_complete(recording, 'traced', 1)


@tap.test('tracepoints of a command, every hit in order, with fields')
def traced_command():
    recording = record(retour.program('traced'), '--seconds', '0.7', options=['-e', 'app:*', '-e', 'cpu-clock'])
    check_tracepoints(recording, ['app:request', 'app:reply', 'app:tick'])


@tap.test('attached to a running program; its tracepoints are off afterwards')
def attached():
    with Traced() as program:
        recording = retour.record('-e', 'app:re*', '-p', program.pid, '--duration', 1)
        check(recording)
        check_tracepoints(recording, ['app:request', 'app:reply'])
        again = retour.record('-e', 'app:request', '-e', 'cpu-clock', '-p', program.pid, '--duration', 0.5)
        check_tracepoints(again, ['app:request'])
        assert not program.stays_on(), 'the tracepoint stays on'


@tap.test('a pattern that matches nothing is told')
def unmatched():
    with Traced() as program:
        recording = retour.record('-e', 'nix:*', '-e', 'app:reply', '-p', program.pid, '--duration', 0.3)
        assert 'no tracepoint matched nix:*' in recording.errors, recording.errors
        assert 'matched app:reply' not in recording.errors, recording.errors
        done = retour.succeed('record', '-e', 'nix:*', '-p', program.pid, '--duration', 0.2, '-o', retour.fresh_path())
        assert 'no samples, ' in done.stderr and '% complete' not in done.stderr, done.stderr


@tap.test('the tracepoints of a process are listed')
def listed():
    with Traced() as program:
        text = retour.succeed('list', 'tracepoints', '-p', program.pid).stdout
        assert 'app:request(int id, const char *path, unsigned long size, double ratio)\n' in text, text
        found = json.loads(retour.succeed('list', 'tracepoints', '--json', '-p', program.pid).stdout)['tracepoints']
        reply = next(t for t in found if (t['provider'], t['name']) == ('app', 'reply'))
        assert reply['fields'] == [{'name': 'id', 'type': 'int'}, {'name': 'code', 'type': 'signed char'}], reply
        assert ('app', 'tick') in {(t['provider'], t['name']) for t in found}, found


@tap.test('perf script prints the fields')
def perf_script():
    need('perf')
    recording = record(retour.program('traced'), '--seconds', '0.4', options=['-e', 'app:re*'])
    done = retour.run_other('perf', 'script', '-F', 'comm,tid,event,trace', '-i', recording.path)
    lines = [line for line in done.stdout.splitlines() if 'app:' in line]
    assert done.returncode == 0 and len(lines) == recording.stats['samples'], (len(lines), done.stderr)
    requests = [line for line in lines if 'app:request:' in line]
    for n, line in enumerate(requests):
        path = ['/index.html', '/a path with "quotes" and 100%', ''][n % 3]
        assert re.search(rf'app:request: id={n} path={re.escape(path)} size={n << 32} ratio=0x', line), line


@tap.test('a recorder that is killed leaves the program running, and its tracepoints go off')
def killed():
    with Traced() as program:
        path = retour.fresh_path()
        recorder = retour.start('record', '-e', 'app:*', '-p', program.pid, '-o', path)
        retour.wait_for_samples(recorder, path)
        recorder.kill()
        recorder.communicate()
        assert not program.stays_on(), 'the tracepoint stays on'
        assert program.ends_well(), program.process.returncode


def open_to_all(path):
    """May every user come to a file?"""
    while path != '/':
        if not os.stat(path).st_mode & 1:
            return False
        path = os.path.dirname(path)
    return True


@tap.test("another user's process is not attached to, and nobody else's socket is taken for its own")
def others():
    if os.geteuid():
        raise tap.Skip('needs root')
    # One whose folder no other program shares.
    user = 54320
    if not open_to_all(retour.program('traced')):
        raise tap.Skip('the programs can only be run as this user')
    with Traced(user=user, group=user, extra_groups=[]) as program:
        retour.succeed('list', 'tracepoints', '-p', program.pid)
        os.chmod(retour.workspace, 0o777)
        done = retour.run_other(*AS_NOBODY, retour.RETOUR, 'list', 'tracepoints', '-p', program.pid)
        assert done.returncode == 1 and 'remedy' in done.stderr, done
        # A folder that somebody else has put there.
        folder = f'/tmp/retour-{user}'
        os.chmod(folder, 0o755)
        try:
            done = retour.run('list', 'tracepoints', '-p', program.pid)
            assert done.returncode == 1 and 'remedy' in done.stderr, done
        finally:
            os.chmod(folder, 0o700)
    shutil.rmtree(folder)


def listed_by(*prefix, pid):
    done = retour.run_other(*prefix, retour.RETOUR, 'list', 'tracepoints', '-p', pid)
    assert done.returncode == 0 and 'app:reply' in done.stdout, done


@tap.test('daemons that have changed their user, root directory, or both since they started')
def daemons():
    if os.geteuid():
        raise tap.Skip('needs root')
    os.chmod(retour.workspace, 0o755)
    with_tmp = os.path.join(retour.workspace, 'with_tmp')
    os.makedirs(os.path.join(with_tmp, 'tmp'), exist_ok=True)
    os.chmod(os.path.join(with_tmp, 'tmp'), 0o1777)
    empty = os.path.join(retour.workspace, 'empty')
    os.makedirs(empty, exist_ok=True)
    for user in (0, NOBODY):
        for root in ('', with_tmp, empty):
            with Traced(mode=f'as={user}:{root}') as program:
                listed_by(pid=program.pid)
                recording = retour.record('-e', 'app:reply', '-e', 'wall-clock', '-p', program.pid, '--duration', 1,
                                          frequency=FREQUENCY)
                counts = {e['name']: e['samples'] for e in recording.stats['events']}
                assert counts.get('app:reply') and counts.get('wall-clock'), (user, root, counts)


@tap.test('a command of root that becomes another user, and then another program')
def other_user():
    if os.geteuid():
        raise tap.Skip('needs root')
    recording = record(*AS_NOBODY, retour.program('plain'), '--seconds', 0.5)
    nearly_all_complete(recording, 'plain', 1)


@tap.test('root attaches to a program in namespaces of its own, of another user')
def namespaces():
    if os.geteuid():
        raise tap.Skip('needs root')
    need('unshare')
    for how in (['-U'], ['-Ur'], ['-Urmpf', '--mount-proc', '--kill-child']):
        command = [*AS_NOBODY, 'unshare', *how, retour.program('traced'), '--seconds', 600]
        if subprocess.run(list(map(str, [*AS_NOBODY, 'unshare', *how, 'true'])), capture_output=True, check=False).returncode:
            raise tap.Skip(f'unshare {how} is refused here')
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as process:
            try:
                process.stdout.readline()
                pid = process.pid
                if '-Urmpf' in how:
                    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as children:
                        pid = int(children.read().split()[0])
                retour.wait_until(lambda pid=pid: not retour.run('list', 'tracepoints', '-p', pid).returncode)
                listed_by(pid=pid)
                namespace = os.stat(f'/proc/{pid}/ns/user').st_ino
                recording = retour.record('-e', 'app:reply', '-p', pid, '--duration', 1)
                assert recording.stats['samples'] > 0, recording.stats
            finally:
                process.kill()
        for folder in glob.glob(f'/tmp/retour-*.{namespace}'):
            shutil.rmtree(folder)


@tap.test('no copy of the program\'s descriptors is made to be closed afterwards')
def no_copy():
    # Meanwhile pipes would not end, and files that were written could not be executed.
    command = [retour.program('refuse'), 'unshare', '1', retour.program('traced'), '--seconds', '600']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            process.stdout.readline()
            retour.wait_until(lambda: not retour.run('list', 'tracepoints', '-p', process.pid).returncode)
            listed_by(pid=process.pid)
        finally:
            process.kill()


# Allows all; nobody can know that.
FILTERED = """import ctypes, os, sys
class Program(ctypes.Structure):
    _fields_ = [('n', ctypes.c_ushort), ('code', ctypes.POINTER(ctypes.c_uint64))]
allow = Program(1, (ctypes.c_uint64 * 1)(6 | 0x7fff0000 << 32))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(allow), 0, 0):
    sys.exit('no filter')
os.system(f'exec sleep {sys.argv[1]}')
"""


@tap.test('programs that a thread under a filter executes are counted')
def silenced():
    for seconds in 1, 5, 20:        # a busy machine may not look in time
        stats = retour.record('--backend', 'agent', command=[sys.executable, '-c', FILTERED, seconds]).stats
        if len(stats['unsampled_threads']) > 1:
            break
    assert stats['unsampled_threads'] == {'seccomp': 1, 'no-agent': 1}, stats


@tap.test('somebody else has taken the name of the directory: the message says who')
def squatted():
    user, directory = 54321, '/tmp/retour-54321'
    program = retour.program('traced')
    if os.geteuid() or not open_to_all(program):
        raise tap.Skip('the programs can only be run as this user')
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory, 0o755)
    try:
        with Traced(user=user, group=user, extra_groups=[]) as traced:
            done = retour.run('list', 'tracepoints', '-p', traced.pid)
            assert done.returncode == 1 and f'{directory} is of user 0, mode 755' in done.stderr, done.stderr
            assert f'remedy: sudo rm -r {directory}' in done.stderr, done.stderr
    finally:
        os.rmdir(directory)
    with Traced(user=user, group=user, extra_groups=[]) as traced:
        retour.succeed('list', 'tracepoints', '-p', traced.pid)
    shutil.rmtree(directory)


def left_behind(directory, listens):
    """A socket as of a process that has ended; who is to be believed dead does not listen either."""
    with subprocess.Popen(['true']) as ended:
        ended.wait()
    path = os.path.join(directory, f'{ended.pid}.0.agent')
    agent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    agent.bind(path)
    if listens:
        agent.listen()
        return path, agent
    agent.close()
    return path, None


@tap.test('sockets of programs that were killed are removed by those that come')
def swept():
    directory = f'/tmp/retour-{os.geteuid()}'
    with Traced():
        living, agent = left_behind(directory, True)
        dead, _ = left_behind(directory, False)
        with Traced() as program:
            retour.succeed('list', 'tracepoints', '-p', program.pid)
            retour.wait_until(lambda: not os.path.exists(dead))
            assert os.path.exists(living), living
        agent.close()
        os.unlink(living)


# ---- where nothing else works ---------------------------------------------------------------

def in_container(*prefix):
    """perf and BPF are refused: auto takes the agent, and says so."""
    refuse = retour.program('refuse')
    path = retour.fresh_path()
    done = retour.run_other(*prefix, refuse, 'perf_event_open', 1, refuse, 'bpf', 1, retour.RETOUR, 'record', '-F', 999, '-o',
                            path, '--', retour.program('plain'), '--seconds', 1)
    assert done.returncode == 0, done
    notes = [line for line in done.stderr.splitlines() if line.startswith('note: this is backend')]
    assert len(notes) == 1 and 'backend agent' in notes[0] and 'remedy' in notes[0], done.stderr
    recording = retour.Recording(path)
    check(recording)
    nearly_all_complete(recording, 'plain', 20)


@tap.test('where perf and BPF are refused auto takes it')
def container():
    in_container()


@tap.test('so it does where nothing can be written in /tmp')
def read_only():
    if os.geteuid():
        raise tap.Skip('needs root')
    read_only_tmp = 'mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp'
    if not os.path.isdir('/dev/shm') or retour.run_other('unshare', '-m', 'sh', '-c', read_only_tmp).returncode:
        raise tap.Skip('no mounts, or no /dev/shm here')
    path = retour.fresh_path()
    with open(path, 'wb') as out:
        done = subprocess.run(['unshare', '-m', 'sh', '-c', f'{read_only_tmp} && exec "$@"', 'sh', retour.RETOUR, 'record',
                               '--backend', 'agent', '-o', '-', '--', retour.program('plain'), '--seconds', '0.5'],
                              stdout=out, stderr=subprocess.PIPE, text=True, check=False, timeout=retour.TIMEOUT)
    assert done.returncode == 0, done.stderr
    nearly_all_complete(retour.Recording(path), 'plain', 10)


@tap.test('so it does for a plain user')
def plain_user():
    if os.geteuid():
        raise tap.Skip('needs root')
    os.chmod(retour.workspace, 0o777)
    if retour.run_other(*AS_NOBODY, 'test', '-x', retour.program('refuse')).returncode:
        raise tap.Skip('the build directory is closed to other users')
    in_container(*AS_NOBODY)


tap.main()
