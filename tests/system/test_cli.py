# SPDX-License-Identifier: MIT
"""What the command says and how it exits when it is used wrongly or may not record."""

import os
import shutil
import subprocess

import retour
import tap

BAD_USAGE = (
    ['nonsense'], ['--nonsense'], ['record', '--nonsense'], ['record', '-F', '0'], ['record', '-F', '20001'],
    ['record', '-F', 'many'], ['record', '-F', '99x'], ['record', '-F'], ['record', '-e', 'nonsense'],
    ['record', '-p', 'abc'], ['record', '-p', ''], ['record', '-p', '1,,2'], ['record', '-t', '-5'],
    ['record', '--duration', 'long'], ['record', '--duration', '-1'], ['record', '--max-depth', '0'],
    ['record', '--max-depth', '99999999999'], ['record', '--backend', 'nonsense'],
    ['record', '-p', '1', '--', 'true'], ['record', '-a', '-p', '1'], ['record', '-p', '1', '-t', '1'],
    ['report', '--nonsense'], ['report', '--format', 'nonsense'], ['script', '--nonsense'],
    ['stats', '--nonsense'], ['stats', 'surplus'], ['report', '--cpu', 'x'], ['report', '--time', 'x'],
)


def fails(status, *args, **options):
    """The standard error of a run that must exit with status, in a line or two."""
    done = retour.run(*args, **options)
    assert done.returncode == status, f'{args} exited {done.returncode}, not {status}: {done.stderr}'
    assert done.stderr.startswith('retour'), f'{args}: {done.stderr!r}'
    assert 1 <= len(done.stderr.splitlines()) <= 2, f'{args}: {done.stderr!r}'
    assert not done.stdout, f'{args} wrote to standard output'
    return done.stderr


@tap.test('bad options exit 2 with a hint of a line')
def bad_options():
    for args in BAD_USAGE:
        message = fails(2, *args, cwd=retour.workspace)
        assert '--help' in message or 'retour ' in message, f'{args}: no hint in {message!r}'
    assert not os.path.exists(os.path.join(retour.workspace, 'retour.data')), 'bad usage left a file'


@tap.test('--help and --version exit 0')
def help_texts():
    for args in (['--help'], ['--version'], ['record', '--help'], ['report', '--help'], ['script', '--help'],
                 ['stats', '--help'], ['doctor', '--help'], ['list', '--help']):
        assert retour.succeed(*args).stdout.strip(), f'{args} printed nothing'


@tap.test('a command that cannot be run is named')
def bad_command():
    for command in ('/does/not/exist', '/etc/passwd', 'no-such-command-anywhere'):
        message = fails(1, 'record', '-o', retour.fresh_path(), '--', command)
        assert command in message, message


@tap.test('a process that does not exist is named')
def no_process():
    gone = subprocess.Popen(['true'])
    gone.wait()
    for option in ('-p', '-t'):
        message = fails(1, 'record', option, gone.pid, '--duration', 1, '-o', retour.fresh_path())
        assert str(gone.pid) in message, message


@tap.test('an output file that cannot be written is named')
def bad_output():
    path = os.path.join(retour.workspace, 'no', 'such', 'folder')
    assert path in fails(1, 'record', '-o', path, '--', 'true')


@tap.test('files that are no recordings are named')
def bad_input():
    empty = retour.fresh_path()
    with open(empty, 'w', encoding='ascii'):
        pass
    for path in ('/does/not/exist', '/etc/passwd', empty, retour.workspace):
        for verb in ('report', 'script', 'stats'):
            message = fails(1, verb, '-i', path)
            assert path in message, message


@tap.test('without permission: what is missing and how to get it')
def no_permission():
    if not shutil.which('setpriv'):
        raise tap.Skip('setpriv is not installed')
    binary = shutil.copy(retour.RETOUR, retour.workspace)
    output = os.path.join('/tmp', f'retour-nobody-{os.getpid()}.data')
    with retour.Sysctl('kernel.perf_event_paranoid', 2):
        done = retour.run_other('setpriv', '--reuid', 65534, '--regid', 65534, '--clear-groups',
                                '--inh-caps=-all', '--bounding-set=-all',
                                binary, 'record', '-a', '--duration', 1, '-o', output)
    left = os.path.exists(output)
    if left:
        os.unlink(output)
    assert done.returncode == 1, f'exited {done.returncode}: {done.stderr}'
    assert 'cap_' in done.stderr.lower(), done.stderr
    assert 'sudo' in done.stderr or 'setcap' in done.stderr, done.stderr
    assert not left, 'a file was left behind'


@tap.test('cycles without a PMU: an error that names cpu-clock')
def no_pmu():
    if os.path.exists('/sys/bus/event_source/devices/cpu'):
        raise tap.Skip('this machine has a PMU')
    assert 'cpu-clock' in fails(1, 'record', '-e', 'cycles', '-o', retour.fresh_path(), '--', 'true')


tap.main()
