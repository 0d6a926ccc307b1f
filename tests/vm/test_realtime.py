# SPDX-License-Identifier: MIT
"""The bpf backend where interrupts cannot allocate and irq_work is a thread: PREEMPT_RT.
Other kernels pass too; that every sample has a chain or a reason, retour.record() checks."""

import os

import retour
import tap
from upstream import backends, ours, words

KERNEL = os.environ.get('KERNEL')
N = 20      # FAULTS in tests/programs/faults.c
# Samples of a task that come before its first request has returned.
UNPRIMED = 0.05


@tap.test('nearly all samples of interrupts have a chain')
def interrupts():
    recording = retour.record_program('plain', options=['--backend', 'bpf'], frequency=199, seconds=2)
    samples = recording.of('plain')
    failed = sum(s['reason'] == 'schedule-failed' for s in samples)
    chains = sum('main' in [f.get('sym') for f in s['user']] for s in samples)
    assert len(samples) >= 20 and failed <= max(2, UNPRIMED * len(samples)), f'{failed} of {len(samples)}'
    assert chains >= len(samples) / 2, f'{chains} of {len(samples)}'


@tap.test('new threads are primed too')
def threads():
    recording = retour.record_program('threads', options=['--backend', 'bpf'], frequency=199, seconds=2)
    samples = recording.of('threads')
    failed = sum(s['reason'] == 'schedule-failed' for s in samples)
    assert len(samples) >= 20 and failed <= max(5, UNPRIMED * len(samples)), f'{failed} of {len(samples)}'


@tap.test('an entry whose registers changed is told as such, and gets no other entry\'s chain')
def other_registers():
    found = ours('bpf', retour.program('faults'), 's')
    chain = words('signalled', 'sys')
    assert found.reasons['regs-changed'] >= 1, found.reasons
    assert found.chains[chain] + found.reasons['regs-changed'] == 2 * N, f'{dict(found.chains)} {found.reasons}'


tap.main(None if 'bpf' in backends() or KERNEL == 'rt' else 'bpf cannot be used on this kernel')
