# SPDX-License-Identifier: MIT
"""Chains of real programs, as Debian builds them, against another unwinder.

Each program sleeps again and again in one place.  eu-stack (libdw) walks it when
it is stopped there, and the recorded chains of that sleep must be the same
addresses.
"""

import os
import re
import shutil
import signal
import subprocess

import retour
import tap

PROGRAMS = {
    'python3': ['python3', '-c',
                'import time\ndef f(n):\n  while n == 0: time.sleep(0.004)\n  f(n - 1)\nf(30)'],
    'perl': ['perl', '-e',
             'sub f { my $n = shift; f($n - 1) if $n; select(undef, undef, undef, 0.004) while 1 } f(30)'],
    'bash': ['bash', '-c', 'exec 9<> <(:); f() { while :; do read -t 0.004 -u 9; done; }; f'],
    'tail': ['tail', '-f', '-s', '0.004', '---disable-inotify', '/etc/passwd'],
    'top': ['top', '-b', '-d', '0.02'],
}


def eu_stack(pid):
    """Addresses of the stopped process, innermost first; None if it was not walked to its end."""
    done = retour.run_other('eu-stack', '-1', '-n', 0, '-p', pid)
    addresses = [int(a, 16) for a in re.findall(r'^#\d+\s+(0x[0-9a-f]+)', done.stdout, re.MULTILINE)]
    return None if done.returncode or not addresses else addresses


def status(pid, key):
    """A line of /proc/PID/status."""
    with open(f'/proc/{pid}/status', encoding='ascii') as file:
        return re.search(rf'^{key}:\s*(.*)', file.read(), re.MULTILINE)[1]


def wait_for_sleeps(pid, count):
    """Until it has slept so often."""
    last = int(status(pid, 'voluntary_ctxt_switches')) + count
    retour.wait_until(lambda: int(status(pid, 'voluntary_ctxt_switches')) >= last)


def stopped_stacks(pid, count):
    """The distinct stacks at which the process was stopped."""
    stacks = set()
    for _ in range(count):
        os.kill(pid, signal.SIGSTOP)
        retour.wait_until(lambda: status(pid, 'State').startswith('T'))
        stack = eu_stack(pid)
        os.kill(pid, signal.SIGCONT)
        if stack:
            stacks.add(tuple(stack))
        wait_for_sleeps(pid, 1)
    return stacks


def check(command):
    if not shutil.which('eu-stack'):
        raise tap.Skip('eu-stack is not installed (package elfutils)')
    packaged = shutil.which(command[0], path='/usr/bin:/bin')
    if not packaged:
        raise tap.Skip(f'{command[0]} is not installed')
    process = subprocess.Popen([packaged, *command[1:]], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_sleeps(process.pid, 50)    # it has begun with what it is to do
        stacks = stopped_stacks(process.pid, 12)
        recorder = retour.Recorder('-e', 'context-switches', '-c', 1, '-p', process.pid)
        wait_for_sleeps(process.pid, 50)
        recording = recorder.end()
    finally:
        process.kill()
        process.wait()
    samples = [s for s in recording.samples if s['pid'] == process.pid]
    assert len(samples) > 5, f'{len(samples)} samples'
    incomplete = [s for s in samples if not s['complete']]
    assert not incomplete, f'{len(incomplete)} of {len(samples)} not complete: {incomplete[0]["reason"]}'
    # A busy machine also switches tasks where they do not sleep.
    asleep = {stack[0] for stack in stacks}
    chains = [chain for s in samples
              if (chain := tuple(int(f['ip'], 16) for f in s['user'] if not f['inline']))[0] in asleep]
    same = sum(chain in stacks for chain in chains)
    assert len(chains) > 5, f'{len(chains)} samples where eu-stack saw it sleep'
    assert same >= len(chains) / 2, \
        (f'{same} of {len(chains)} chains are among {len(stacks)} of eu-stack:\n'
         f'{[hex(a) for a in next(iter(stacks))]}\n{[hex(a) for a in chains[len(chains) // 2]]}')


for name, arguments in PROGRAMS.items():
    tap.test(f'{name} against eu-stack')(lambda arguments=arguments: check(arguments))

tap.main(retour.unusable())
