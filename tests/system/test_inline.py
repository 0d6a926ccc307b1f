# SPDX-License-Identifier: MIT
"""Functions that were inlined are frames where there is debug information."""

import json
import os

import retour
import tap

CHAIN = ['innermost', 'third', 'second', 'first']     # inlined into burns, innermost first


def line_of(text):
    """The line of the program's source that begins with text."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'programs', 'inlined.c')
    with open(source, encoding='utf-8') as file:
        return next(n for n, line in enumerate(file, 1) if line.strip().startswith(text))


def folded(recording, *options):
    """{stack: count} of report --format folded."""
    text = retour.succeed('report', '-i', recording.path, '--format', 'folded', *options).stdout
    lines = (line.rpartition(' ') for line in text.splitlines())
    return {stack: int(count) for stack, _, count in lines}


def samples_of(recording):
    """The samples of the recording with the frames of inlined functions."""
    lines = retour.succeed('script', '-i', recording.path, '--json').stdout.splitlines()
    return [json.loads(line) for line in lines]


@tap.test('the inlined functions are frames of their own')
def frames():
    recording = retour.record_program('inlined')
    full = 0
    for sample in samples_of(recording):
        assert all(f['sym'] not in CHAIN for f in sample['user'] if not f['inline']), sample
        names = [f['sym'] for f in sample['user']]
        if not sample['complete'] or names[:5] != CHAIN + ['burns']:
            continue
        full += 1
        inner = sample['user'][:5]
        assert [f['inline'] for f in inner] == [True] * 4 + [False], inner
        assert len({f['ip'] for f in inner}) == 1, inner
        assert {os.path.basename(f['file']) for f in inner} == {'inlined.c'}, inner
        assert [f['line'] for f in inner[1:]] == [line_of(f'return {name}(')
                                                  for name in CHAIN[:3]] + [line_of('sink = first(')], inner
    assert full > 0.8 * len(recording.samples), f'{full} of {len(recording.samples)}'
    stacks = folded(recording)
    wanted = ';burns;' + ';'.join(f'{name}_[i]' for name in reversed(CHAIN))
    assert sum(n for stack, n in stacks.items() if wanted in stack) >= full, stacks
    text = retour.succeed('script', '-i', recording.path).stdout
    assert text.count(' innermost (inlined)\n') >= full, text[:2000]


@tap.test('--no-inline shows the stack alone')
def no_inline():
    recording = retour.record_program('inlined', frequency=999)
    stacks = folded(recording, '--no-inline')
    assert sum(stacks.values()) == len(recording.samples), stacks
    assert not any('_[i]' in stack for stack in stacks), stacks
    assert sum(n for stack, n in stacks.items() if stack.endswith(';burns')) > 0.8 * len(recording.samples), stacks
    text = retour.succeed('script', '-i', recording.path, '--no-inline').stdout
    assert '(inlined)' not in text and ' burns+' in text, text[:2000]


@tap.test('the figures count the stack alone')
def figures():
    recording = retour.record_program('inlined', frequency=999)
    depth = max(len(s['user']) for s in recording.samples)
    assert recording.stats['max_depth'] == depth, (recording.stats, depth)
    assert any(f['inline'] for s in samples_of(recording) for f in s['user'])


tap.main(retour.unusable())
