# SPDX-License-Identifier: MIT
"""What report and script show is what was recorded."""

import collections
import json
import os
import re

import retour
import tap


def folded(recording, *options):
    """{stack: count} of report --format folded, without inlined functions as in recording.samples."""
    text = retour.succeed('report', '-i', recording.path, '--format', 'folded', '--no-inline', *options).stdout
    lines = (line.rpartition(' ') for line in text.splitlines())
    return {stack: int(count) for stack, _, count in lines}


def stack_of(sample):
    """The folded stack of a complete sample."""
    user = [f['sym'] for f in reversed(sample['user'])]
    kernel = [f['sym'] + '_[k]' for f in reversed(sample['kernel'])]
    return ';'.join([sample['comm'], *user, *kernel])


@tap.test('folded stacks are the samples')
def folded_stacks():
    recording = retour.record_program('processes', 'vfork', options=['-a'], frequency=999)
    expected = collections.Counter(stack_of(s) for s in recording.samples if s['complete'])
    found = folded(recording)
    assert sum(found.values()) == len(recording.samples), f'{sum(found.values())} of {len(recording.samples)}'
    # BPF programs, those of other sessions too, have names as long as they are loaded only: they may have gone meanwhile.
    passing = re.compile(r';bpf_(?:prog_[0-9a-f]{16}|trampoline_\d+)')
    lasting = {stack: n for stack, n in expected.items() if not passing.search(stack)}
    wrong = [(stack, n, found.get(stack)) for stack, n in lasting.items() if found.get(stack) != n]
    assert not wrong, f'{len(wrong)} of {len(lasting)} stacks differ, e.g. {wrong[0]}'
    assert len(lasting) > len(expected) / 2, f'{len(lasting)} of {len(expected)} stacks are without BPF programs'


@tap.test('a truncated chain has its reason as the outermost frame')
def folded_reason():
    recording = retour.record_program('lies', 'without_cfi', frequency=999)
    found = folded(recording)
    assert recording.stats['truncated_by'], recording.stats
    assert found.get('lies;[no unwind info: lies];without_cfi;below;burn', 0) > 50, found


@tap.test('filters')
def filters():
    with retour.Running('recursion', '--count', 3, '--seconds', 600) as running:
        recording = retour.record_program('waits', 'faults', options=['-a'], frequency=999)
    samples = recording.samples
    middle = sorted(s['time'] for s in samples)[len(samples) // 2]
    for options, wanted in (
            (['--comm', 'recursion'], lambda s: s['comm'] == 'recursion'),
            (['--pid', running.pid], lambda s: s['pid'] == running.pid),
            (['--tid', running.pid], lambda s: s['tid'] == running.pid),
            *([(['--cpu', 0], lambda s: s['cpu'] == 0)] if os.cpu_count() > 1 else []),
            (['--time', f'{middle:.9f},'], lambda s: s['time'] >= middle)):
        lines = retour.succeed('script', '-i', recording.path, '--json', *options).stdout.splitlines()
        expected = sum(map(wanted, samples))
        assert 0 < expected < len(samples), f'{options} do not tell samples apart'
        assert abs(len(lines) - expected) <= 1, f'{options}: {len(lines)} samples, not {expected}'
        assert all(wanted(json.loads(line)) for line in lines[1:]), f'{options}: others than wanted'
    assert not any('_[k]' in stack for stack in folded(recording, '--no-kernel'))
    assert not any('touches' in stack for stack in folded(recording, '--no-user'))


@tap.test('the format follows the name of the output')
def formats():
    recording = retour.record_program('plain', frequency=999)
    written = os.path.join(retour.workspace, 'plain.folded')
    retour.succeed('report', '-i', recording.path, '-o', written)
    with open(written, encoding='utf-8') as file:
        assert sum(int(line.rpartition(' ')[2]) for line in file) == len(recording.samples)
    table = retour.succeed('report', '-i', recording.path).stdout
    assert 'burn' in table and '\033' not in table, table


@tap.test('script for people shows the same frames')
def script_text():
    recording = retour.record_program('plain', frequency=499)
    text = retour.succeed('script', '-i', recording.path).stdout
    assert text.count(' cpu-clock') == len(recording.samples)
    burning = sum('burn' in [f['sym'] for f in s['user']] for s in recording.samples)
    assert text.count(' burn+') == burning


tap.main(retour.unusable())
