# SPDX-License-Identifier: MIT
"""Recordings that are cut or altered: an error or a warning with the file's name, no crash, no hang."""

import os
import random

import retour
import tap

VERBS = (['stats', '--json'], ['script', '--json'], ['report', '--format', 'folded'])


def small_recording():
    path = retour.fresh_path()
    retour.succeed('record', '-F', 999, '-o', path, '--',
                   retour.program('recursion'), '--count', 20, '--seconds', 0.1)
    with open(path, 'rb') as file:
        return file.read()


def read_damaged(data, what):
    """Every verb must survive the file; the exit codes."""
    path = retour.fresh_path('.damaged')
    with open(path, 'wb') as file:
        file.write(data)
    codes = []
    for verb in VERBS:
        done = retour.run(verb[0], '-i', path, *verb[1:], errors='surrogateescape')
        case = f'{verb[0]} of a file {what} exited {done.returncode}: {done.stderr[:500]!r}'
        assert done.returncode in (0, 1), case
        assert done.returncode == 0 or path in done.stderr, case
        if '--json' in verb:
            done.stdout.encode('utf-8')     # fails for bytes that are no text
        codes.append((done.returncode, done.stderr))
    os.unlink(path)
    return codes


@tap.test('cut at any byte')
def cut():
    data = small_recording()
    noise = random.Random(1)
    for length in [0, 1, 8, 103, 104, len(data) - 1, *sorted(noise.randrange(len(data)) for _ in range(30))]:
        for code, errors in read_damaged(data[:length], f'cut at {length}'):
            assert code == 1 or errors, f'cut at {length} of {len(data)}: no word about it'


@tap.test('with altered bytes')
def altered():
    data = small_recording()
    noise = random.Random(2)
    for number in range(30):
        changed = bytearray(data)
        for _ in range(noise.choice((1, 10, 100))):
            limit = len(changed) if number % 2 else min(len(changed), 1024)
            changed[noise.randrange(limit)] = noise.choice((0, 255, noise.randrange(256)))
        read_damaged(bytes(changed), f'altered by seed 2, number {number}')


tap.main(retour.unusable())
