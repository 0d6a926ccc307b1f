# SPDX-License-Identifier: MIT
"""The bpf backend where interrupts cannot allocate and irq_work is a thread: PREEMPT_RT.
Other kernels pass too; that every sample has a chain or a reason, retour.record() checks."""

import os

import retour
import tap
from upstream import lacks, of_work, ours, words

KERNEL = os.environ.get('KERNEL')
N = 20      # FAULTS in tests/programs/faults.c
# Samples of a task that come before its first request has returned.
UNPRIMED = 0.05


@tap.test('nearly all samples of interrupts have a chain')
def interrupts():
    recording = retour.record_program('plain', options=['--backend', 'bpf'], frequency=199, seconds=4)
    samples = recording.of('plain')
    failed = sum(s['reason'] == 'schedule-failed' for s in samples)
    chains = sum(bool(s['user']) for s in samples)
    assert len(samples) >= 20 and failed <= max(2, UNPRIMED * len(samples)), f'refused: {failed} of {len(samples)}'
    assert chains >= len(samples) / 2, f'chains: {chains} of {len(samples)}'


@tap.test('new threads are primed too')
def threads():
    recording = retour.record_program('threads', options=['--backend', 'bpf'], frequency=199, seconds=4)
    samples = recording.of('threads')
    failed = sum(s['reason'] == 'schedule-failed' for s in samples)
    assert len(samples) >= 20 and failed <= max(5, UNPRIMED * len(samples)), f'{failed} of {len(samples)}'
    # Some of them hold the lock of the address space while others run.
    busy = sum(s['reason'] == 'mappings busy' for s in samples)
    assert not busy, f'mappings busy: {busy} of {len(samples)}'


@tap.test('an entry that comes late, with the same ip and sp but another caller, is not taken for the one that asked')
def late():
    # The thread that runs irq_work has a real-time priority, but a lower one: it has to wait for the program to sleep.
    found = ours('bpf', 'taskset', '-c', '0', 'chrt', '-f', '50', retour.program('faults'), 'l')
    chains = of_work(found.chains)
    right = chains.pop(words('late', 'asks', 'sys'), 0)
    assert not chains, f'of another entry: {dict(chains)}'
    if KERNEL == 'rt':
        # The program's first faults, before it slept, are not answered either.
        assert not right and found.reasons['regs-changed'] >= N, f'{right} {found.reasons}'
    else:
        assert right == N, f'{right} {found.reasons}'


@tap.test('an entry whose registers changed is told as such, and gets no other entry\'s chain')
def other_registers():
    found = ours('bpf', retour.program('faults'), 's')
    chain = words('signalled', 'sys')
    assert found.reasons['regs-changed'] >= 1, found.reasons
    assert found.chains[chain] + found.reasons['regs-changed'] == 2 * N, f'{dict(found.chains)} {found.reasons}'


tap.main(None if KERNEL == 'rt' else lacks('bpf'))
