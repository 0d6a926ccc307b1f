# SPDX-License-Identifier: MIT
"""Stacks and unwind tables that cannot be trusted: right frames up to the lie, then its reason."""

import os
import random
import re

import retour
import tap
from chains import CALL, COROUTINE_END, MAIN, WORK, Truth, line_of
from elf import Elf

LIES = {
    'lie_backwards': ['stack goes backwards'],
    'lie_still': ['stack goes backwards'],
    'lie_far': ['page not readable', 'stack copy too short'],
    'lie_zero': ['zero return address'],
    'lie_loop': ['bad unwind info', 'no unwind info'],
    'lie_underflow': ['bad unwind info', 'no unwind info'],
    'lie_lost': ['lost register'],
    'without_cfi': ['no unwind info', 'bad frame pointer'],
}


def check_lie(name, reasons):
    recording = retour.record_program('lies', name)
    # A lost register is noticed one frame later, by the caller who needs it.
    last = 'above ' if name == 'lie_lost' else ''
    truth = Truth(retour.program('lies'), f'{WORK}below {name} {last}', reasons=reasons, callers=False)
    truth.check(recording)


for lie, why in LIES.items():
    tap.test(f'unwind information: {lie}')(lambda lie=lie, why=why: check_lie(lie, why))


@tap.test('unmapped stack pages')
def holes():
    recording = retour.record_program('stacks', 'holes')
    # munmap itself may be on its way back.
    Truth(retour.program('stacks'), f'(?:{WORK}bottom (?:intact ){{5}}|(?:intact ){{1,5}}|must |libc )?unmaps (?:doomed ){{1,4}}',
          reasons=['page not readable', 'stack copy too short'], edge_reasons=['no unwind info'],
          edges=rf'{CALL}(?:unmaps )?(?:doomed )*coroutine libc ',
          callers=False).check(recording)


@tap.test('a stack that another thread overwrites')
def scribbled():
    recording = retour.record_program('stacks', 'scribbled')
    start = re.compile(WORK + '(?:bottom )?(?:intact ){1,5}scribbled (?:doomed )*')
    hits = 0
    for sample in recording.of('stacks'):
        line = line_of(sample, {'stacks'})
        if 'bottom ' not in line:
            continue
        hits += 1
        assert start.match(line), line
        # What follows the frames that stayed whole is nothing but a reason.
        rest = line[start.match(line).end():]
        assert rest in ('', 'coroutine libc '), f'{line} {sample["reason"]}'
    assert hits > 50, f'{hits} samples hit the work'


def section(path, name):
    """(offset, size) of a section in the file."""
    text = retour.run_other('readelf', '-SW', path).stdout
    match = re.search(rf' {re.escape(name)}\s+\S+\s+\S+\s+(\S+)\s+(\S+)', text)
    return int(match[1], 16), int(match[2], 16)


def check_corrupt(library):
    recording = retour.record_program('corrupt', library)
    samples = recording.of('corrupt')
    for sample in samples:
        line = line_of(sample, {'corrupt', os.path.basename(library)})
        if 'below ' not in line:
            continue
        match = re.match(WORK + r'below (?:(?:small_frame|\?) )?(?:(?:through|\?) )?', line)
        assert match, line
        if sample['complete']:
            assert line[match.end():] == 'above ' + MAIN, f'complete but wrong: {line}'
    assert len(samples) > 50, f'{len(samples)} samples'
    return {s['reason'] for s in samples if s['user'] and not s['complete']}


@tap.test('corrupt .eh_frame and .eh_frame_hdr of a library')
def corrupt():
    with open(retour.program('libsmall_frame.so'), 'rb') as file:
        whole = file.read()
    noise = random.Random(2026)
    reasons = set()
    for number, name in enumerate(['.eh_frame', '.eh_frame', '.eh_frame_hdr', '.eh_frame_hdr']):
        offset, size = section(retour.program('libsmall_frame.so'), name)
        data = bytearray(whole)
        if number % 2:
            data[offset:offset + size] = b'\xff' * size
        else:
            for i in range(0, size):
                data[offset + i] = noise.randrange(256)
        path = os.path.join(retour.workspace, f'libcorrupt{number}.so')
        with open(path, 'wb') as file:
            file.write(data)
        reasons |= check_corrupt(path)
    assert reasons & {'bad unwind info', 'no unwind info'}, reasons


@tap.test('section headers that lie about .eh_frame')
def corrupt_headers():
    library = retour.program('libsmall_frame.so')
    with open(library, 'rb') as file:
        data = bytearray(file.read())
    header = int.from_bytes(data[40:48], 'little')
    for entry in range(header, len(data) - 63, 64):
        data[entry + 24:entry + 40] = b'\xff' * 16     # sh_offset and sh_size
    path = os.path.join(retour.workspace, 'libheaders.so')
    with open(path, 'wb') as file:
        file.write(data)
    assert Elf(library).by_name['through']
    check_corrupt(path)


def check_paged_out(mode):
    recording = retour.record_program('paged_out', mode)
    truth = recording.truths()[-1]
    # The kernel leaves those in that it has in hand, on a busy machine more than half.
    assert truth['out'] >= 100, f'only {truth["out"]} of {truth["pages"]} pages were out'
    outs = CALL + '(?:must )?(?:count_present )?(?:page_out )?'
    Truth(retour.program('paged_out'), f'(?:{WORK}|{outs})works (?:deeper ){{16}}coroutine libc ',
          reasons=[None, 'no unwind info'],
          edges=rf'(?:{CALL}(?:deeper ){{0,16}}coroutine )?{COROUTINE_END}|{CALL}(?:stack_file |map_stack )?{MAIN}',
          callers=False).check(recording)


@tap.test('stack pages written back to a file and dropped')
def paged_out_to_file():
    if retour.run_other('stat', '-f', '-c', '%T', '/var/tmp').stdout.strip() in ('tmpfs', 'ramfs'):
        raise tap.Skip('/var/tmp is no file system on a disk')
    check_paged_out('file')


@tap.test('stack pages in swap')
def paged_out_to_swap():
    path = os.path.join('/var/tmp', f'retour-swap-{os.getpid()}')
    try:
        with open(path, 'wb') as file:
            os.fchmod(file.fileno(), 0o600)
            os.posix_fallocate(file.fileno(), 0, 32 << 20)
        for command in (['mkswap', path], ['swapon', path]):
            done = retour.run_other(*command)
            if done.returncode:
                raise tap.Skip(f'{command[0]}: {done.stderr.strip()}')
        try:
            check_paged_out('swap')
        finally:
            retour.run_other('swapoff', path)
    finally:
        os.unlink(path)


tap.main(retour.unusable())
