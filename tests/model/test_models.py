#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Has spin search the models of the RCU algorithms, all states of each.

A model must have no error; with a barrier taken out, or a step done wrongly, it
must have one.  What cannot have one, because another barrier stands for the
one taken out, is searched as well and said in README.md.
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'system'))
import tap  # noqa: E402  pylint: disable=wrong-import-position

HANDOVER = 'HANDOVER READERS=2 SECTIONS=1 GRACE_PERIODS=1'
HANDLER = 'HANDLER SECTIONS=1 GRACE_PERIODS=1'
TWO_BANKS = 'SECTIONS=1 GRACE_PERIODS=2 MESSAGES=8'
NESTED = 'NESTED SECTIONS=1 GRACE_PERIODS=1 MESSAGES=9'
PUBLISH = 'PUBLISH SECTIONS=1 GRACE_PERIODS=1'

SOUND = [
    ('rcu', ''),
    ('rcu', HANDOVER),
    ('rcu', HANDLER),
    ('rcu', 'DIES'),
    ('rcu', 'FENCES'),
    ('srcu', TWO_BANKS),
    ('srcu', NESTED),
    ('srcu', PUBLISH),
    ('srcu', 'PUBLISH READERS=2 SECTIONS=1 GRACE_PERIODS=0'),
    ('gp', ''),
    ('gp', 'SYNCHRONIZE'),
    ('gp', 'FULL_ORDER'),
    ('callback', ''),
    ('callback', 'READER AWAKE'),
    ('callback', 'BARRIER AWAKE'),
    ('callback', 'BARRIER PRODUCERS=1'),
    ('passing', ''),
    ('passing', 'HANDOVER'),
    ('passing', 'REQUEST'),
    # One of two suffices.
    ('rcu', 'SECTIONS=2 GRACE_PERIODS=1 NO_P'),
    ('gp', 'NO_B'),
]

UNSOUND = [
    *(('rcu', 'SECTIONS=2 GRACE_PERIODS=1 ' + mutant) for mutant in (
        'NO_G', 'NO_H', 'NO_I', 'NO_J', 'NO_K', 'NO_L', 'NO_M', 'NO_N', 'NO_O', 'NO_Q', 'NO_g', 'NO_h',
        'NO_P NO_h', 'NO_WAKE', 'BAD_NO_RESCAN', 'BAD_REPORT_TRUSTED', 'BAD_ARMED_NOT_REMOTE')),
    ('rcu', HANDOVER + ' NO_h'),
    ('rcu', 'FENCES NO_L'),
    *(('srcu', TWO_BANKS + ' ' + mutant) for mutant in (
        'NO_R', 'NO_S', 'NO_T', 'NO_V', 'NO_W', 'NO_X', 'NO_Z', 'NO_a',
        'BAD_SINGLE_PHASE', 'BAD_ONLY_IDLE', 'BAD_NO_WAKE')),
    ('srcu', NESTED + ' BAD_LOCK_FIRST'),
    ('srcu', PUBLISH + ' NO_L'),
    ('srcu', PUBLISH + ' NO_f'),
    ('srcu', 'PUBLISH READERS=2 SECTIONS=1 GRACE_PERIODS=0 NO_Y'),
    *(('gp', mutant) for mutant in (
        'NO_A', 'NO_C', 'NO_L', 'NO_B NO_E', 'BAD_SNAP_EARLY', 'BAD_NO_WAKE', 'BAD_NO_FLAG')),
    *(('gp', 'SYNCHRONIZE ' + mutant) for mutant in ('NO_L', 'BAD_NO_WAKE')),
    ('gp', 'FULL_ORDER NO_E'),
    *(('callback', mutant) for mutant in ('NO_b', 'NO_c', 'NO_d', 'NO_e', 'BAD_SLEEP_BLINDLY')),
    *(('callback', 'READER AWAKE ' + mutant) for mutant in ('BAD_EARLY_CALLBACK', 'BAD_SNAP_BEFORE_TAKE')),
    *(('callback', 'BARRIER AWAKE ' + mutant) for mutant in (
        'NO_A', 'NO_B', 'NO_C', 'NO_L', 'NO_e', 'NO_p', 'BAD_BARRIER_EARLY')),
    *(('callback', 'BARRIER PRODUCERS=1 ' + mutant) for mutant in ('NO_c', 'NO_d', 'BAD_SLEEP_BLINDLY')),
    *(('passing', mutant) for mutant in ('NO_i', 'NO_j', 'HANDOVER NO_k', 'HANDOVER NO_l', 'REQUEST NO_m', 'REQUEST NO_n')),
]

# For what a thread's own handlers see; the models but rcu.pml's HANDLER have none.
WITHOUT_MUTANT = {'o'}


def run(command, **kwargs):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **kwargs)


def search(model, macros, sound):
    """The error that spin found, '' if it saw all states and found none."""
    with tempfile.TemporaryDirectory() as directory:
        flags = [f'-D{macro}' for macro in macros.split()]
        spin = run(['spin', '-a', *flags, os.path.join(HERE, model + '.pml')], cwd=directory)
        assert spin.returncode == 0 and 'Error' not in spin.stdout, spin.stdout
        # Partial order reduction does not know how a handler stops its thread.
        reduction = ['-DNOREDUCE'] if 'HANDLER' in macros else []
        cc = run(['gcc', '-w', '-O1' if sound else '-O0', '-DSAFETY', '-DCOLLAPSE', '-DVECTORSZ=4096', *reduction,
                  '-o', 'pan', 'pan.c'], cwd=directory)
        assert cc.returncode == 0, cc.stdout
        pan = run(['./pan', '-m100000'], cwd=directory)
    assert re.search(r'errors: [01]$', pan.stdout, re.MULTILINE), pan.stdout
    assert 'max search depth too small' not in pan.stdout, pan.stdout
    assert ('Search not completed' in pan.stdout) == ('errors: 1' in pan.stdout), pan.stdout
    found = re.search(r'^pan:\d+: (.*)$', pan.stdout, re.MULTILINE)
    # The bound of the model itself is no error of the algorithm.
    assert not found or 'top[' not in found[1], pan.stdout
    return found[1] if found else ''


def add(pool, model, macros, sound):
    name = f"{'no' if sound else 'an'} error in {model} {macros}".strip()
    if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
        return
    future = pool.submit(search, model, macros, sound)

    @tap.test(name)
    def _():
        error = future.result()
        assert sound == (not error), error or 'spin finds nothing'


def letters():
    """Each barrier of docs/rcu.md is missed in some model, but for those that are said to have no mutant."""
    with open(os.path.join(HERE, '..', '..', 'docs', 'rcu.md'), encoding='utf-8') as f:
        page = set(re.findall(r'^\| (\w) \|', f.read(), re.MULTILINE))
    mutants = {letter: sorted(model for model, macros in UNSOUND if f'NO_{letter}' in macros.split()) for letter in page}
    for letter in sorted(page):
        print(f"# ({letter}) is missed by {' '.join(sorted(set(mutants[letter]))) or 'none'}")
    assert page and {letter for letter in page if not mutants[letter]} == WITHOUT_MUTANT


def main():
    tap.test('every barrier is missed')(letters)
    missing = [tool for tool in ('spin', 'gcc') if not shutil.which(tool)]
    if missing:
        tap.main(f'{missing[0]} is not installed')
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for sound, cases in ((True, SOUND), (False, UNSOUND)):
            for model, macros in cases:
                add(pool, model, macros, sound)
        tap.main()


if __name__ == '__main__':
    main()
