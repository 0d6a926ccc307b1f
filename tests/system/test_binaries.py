# SPDX-License-Identifier: MIT
"""Binaries of every kind and from every place."""

import json
import os
import shutil
import subprocess

import retour
import tap
from chains import CALL, MAIN, PLAIN, STATIC_EDGES, STATIC_MAIN, WORK, Truth
from elf import Elf


def plain_truth(path, chain=PLAIN + MAIN, **options):
    return Truth(path, chain, **options)


def record_plain(name, **options):
    recording = retour.record_program(name)
    return plain_truth(retour.program(name), **options).check(recording)


def by_twin(truth, name):
    """Names for a binary without symbols, from the twin that has them."""
    twin = Elf(retour.program(name))
    bias = int(truth['main'], 16) - twin.by_name['main']
    return lambda address: twin.symbol(address - bias)


for variant in ('plain', 'plain_nopie', 'plain_no_header', 'plain_one_segment', 'plain_holes',
                'plain_frame_pointer', 'plain_other_layout'):
    tap.test(variant)(lambda variant=variant: record_plain(variant))
for variant in ('plain_static', 'plain_static_pie'):
    tap.test(variant)(lambda variant=variant: record_plain(
        variant, chain=PLAIN + STATIC_MAIN, around=STATIC_EDGES))


@tap.test('stripped')
def stripped():
    recording = retour.record_program('plain_stripped')
    plain_truth(retour.program('plain_stripped'), resolve=by_twin(recording.truths()[0], 'plain'),
                callers=False).check(recording)


@tap.test('static and stripped')
def static_stripped():
    recording = retour.record_program('plain_static_stripped')
    plain_truth(retour.program('plain_static_stripped'), PLAIN + STATIC_MAIN, around=STATIC_EDGES,
                resolve=by_twin(recording.truths()[0], 'plain_static'), callers=False).check(recording)


@tap.test('32-bit')
def compat():
    recording = retour.record_program('plain_32')
    passing = ('exec', 'not-started', 'regs-changed', 'no-mm', 'exiting')
    samples = [s for s in recording.of('plain_32') if s['reason'] not in passing]
    assert len(samples) > 50, f'{len(samples)} samples'
    assert {s['reason'] for s in samples} == {'compat-task'}, {s['reason'] for s in samples}


@tap.test('Rust')
def rust():
    recording = retour.record_program('rusty')
    samples = [s for s in recording.of('rusty') if any('rust_outer' in (f['sym'] or '') for f in s['user'])]
    assert len(samples) > 50, f'{len(samples)} samples'
    wrong = [s for s in samples if not s['complete'] or not _rust_chain(s)]
    assert not wrong, f'{len(wrong)} of {len(samples)} wrong: {[f["sym"] for f in wrong[0]["user"]]}'
    rest = [s for s in recording.of('rusty') if s['user'] and not s['complete']]
    assert len(rest) <= len(samples) / 200, \
        f'{len(rest)} not complete: {rest[0]["reason"]} {[f["sym"] for f in rest[0]["user"]]}'


def _rust_chain(sample):
    """The functions of rusty.rs are all there, once each or five deep, and in order."""
    names = [f['sym'] or '' for f in sample['user']]
    own = [n.split('::')[-1] for n in names if n.startswith('rusty::')]
    own = [n for n in own if not n.startswith('h') or len(n) != 17]     # the hash of legacy mangling
    outer = own.count('rust_outer')
    shape = [n for n in own if n != 'rust_outer']
    shapes = (['burn', 'rust_inner', 'main'], ['rust_inner', 'main'], ['main'])
    return (1 <= outer <= 5 and shape in shapes and (outer == 5 or 'rust_inner' not in shape)
            and names[-1] == '_start')


@tap.test('Go')
def go():
    recording = retour.record_program('gopher')
    samples = [s for s in recording.of('gopher')
               if any((f['sym'] or '') == 'main.goInner' for f in s['user'])]
    assert len(samples) > 50, f'{len(samples)} samples'
    started = ['main.goroutine', 'main.main.func1', 'runtime.goexit']
    allowed = (['main.goInner'] + ['main.goOuter'] * 40 + started,
               ['main.goInner'] + ['main.goOuter'] * 5 + ['main.main', 'runtime.main', 'runtime.goexit'])
    for sample in samples:
        names = [f['sym'].removesuffix('.abi0') for f in sample['user']]
        names = names[names.index('main.goInner'):]
        if sample['complete']:
            assert names in allowed, f'{names}'
        else:
            assert sample['reason'] in ('no unwind info', 'bad frame pointer'), sample['reason']
            assert any(a[:len(names)] == names for a in allowed), f'{names}'
    complete = sum(s['complete'] for s in samples)
    assert complete >= 0.99 * len(samples), f'only {complete} of {len(samples)} complete'


def check_running(path, name='plain', own=(), before=None, command=(), **popen):
    """Starts path, a copy of the program name, does something to the file, and records it by pid.

    Symbols may be gone with the file, but none may come from another one.
    """
    command = [*(command or [path]), '--seconds', '600']
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **popen)
    try:
        truth = json.loads(process.stdout.readline())
        if before:
            before()
        recording = retour.record_work('-p', process.pid, pids=[process.pid])
    finally:
        process.kill()
        process.communicate()
    samples = [s for s in recording.samples if s['pid'] == process.pid]
    plain_truth(retour.program(name), own=['plain', *own],
                resolve=by_twin(truth, name)).check(recording, samples)


def copy_of(name, folder=None):
    folder = folder or retour.fresh_path('.dir')
    os.makedirs(folder, exist_ok=True)
    return shutil.copy(retour.program(name), os.path.join(folder, 'plain'))


@tap.test('deleted while it runs')
def deleted():
    path = copy_of('plain')
    check_running(path, before=lambda: os.unlink(path))


@tap.test('replaced on disk while it runs')
def replaced():
    path = copy_of('plain')

    def replace():
        other = copy_of('plain_other_layout')
        os.rename(other, path)
    check_running(path, before=replace)


@tap.test('deleted and made anew in place of another, between two recordings')
def same_path_again():
    path = copy_of('plain')
    check_running(path)
    os.unlink(path)
    shutil.copy(retour.program('plain_other_layout'), path)
    check_running(path, 'plain_other_layout')


@tap.test('run from a memory file')
def memory_file():
    descriptor = os.memfd_create('plain', 0)
    with open(retour.program('plain'), 'rb') as file:
        os.write(descriptor, file.read())
    check_running(f'/proc/self/fd/{descriptor}', own=['memfd:plain'], pass_fds=[descriptor])
    os.close(descriptor)


def libraries(path):
    """The loader and libraries of a dynamic program."""
    words = retour.run_other('ldd', path).stdout.split()
    return sorted({word for word in words if word.startswith('/')})


@tap.test('chroot, with another file under the same path outside')
def chroot():
    root = retour.fresh_path('.root')
    for library in libraries(retour.program('plain')):
        os.makedirs(root + os.path.dirname(library), exist_ok=True)
        shutil.copy(library, root + library)
    inside = copy_of('plain', root + '/bin')
    assert os.path.exists('/bin')
    outside = copy_of('plain_other_layout', os.path.join(retour.workspace, 'app'))
    os.makedirs(root + os.path.dirname(outside))
    os.rename(inside, root + outside)
    check_running(outside, preexec_fn=lambda: os.chroot(root))


@tap.test('mount namespace, with another file under the same path outside')
def mount_namespace():
    path = copy_of('plain_other_layout')
    bind_and_run = copy_of('plain') + '.sh'
    with open(bind_and_run, 'w', encoding='ascii') as script:
        script.write(f'#!/bin/sh\nmount --bind {bind_and_run[:-3]} {path} && exec {path} "$@"\n')
    os.chmod(bind_and_run, 0o755)
    check_running('/usr/bin/unshare', command=['unshare', '-m', bind_and_run])


@tap.test('dlopen and dlclose in a loop')
def loader():
    recording = retour.record_program('loader')
    library = r'(?:(?:libc|ld|plt|_init|_fini|frame_dummy|(?:de)?register_tm_clones|__do_global_dtors_aux) )*'
    Truth(retour.program('loader'),
          f'(?:burn )?called_back (?:small_frame|large_frame) through load_and_call {MAIN}',
          own=['libsmall_frame.so', 'liblarge_frame.so'], callers=False,
          edges=f'(?:{library}|{CALL})(?:(?:small_frame |large_frame )?through )?load_and_call {MAIN}|'
                f'{WORK}{MAIN}').check(recording)
    seen = {os.path.basename(f['dso'] or '') for s in recording.samples for f in s['user']}
    assert {'libsmall_frame.so', 'liblarge_frame.so'} <= seen, seen


tap.main(retour.unusable())
