# SPDX-License-Identifier: MIT
"""Events that fire while BPF maps are changed by system calls: the kernel does not run the events' programs
then, and says nothing; their samples are taken all the same."""

import json
import os

import retour
import tap

FAULTS = 3000


def names(frames):
    """The functions of a chain."""
    return [frame['sym'] or '?' for frame in frames]


@tap.test('the clock ticks inside of a map, too')
def clock():
    recording = retour.record_program('bpf_maps', 'updates', options=['--backend', 'bpf', '-e', 'cpu-clock'])
    inside = [s for s in recording.of('bpf_maps') if 'htab_map_update_elem' in names(s['kernel'])]
    assert inside, f'none of {len(recording.samples)} samples: {json.dumps(recording.stats)}'
    assert all('sys_bpf' in ' '.join(names(s['kernel'])) for s in inside), inside[:1]
    # The interrupt's own way to the program is left out.
    assert not any('hrtimer' in name for s in inside for name in names(s['kernel'])), inside[:1]
    assert any('mode_updates' in names(s['user']) for s in inside), f'no chain: {inside[:3]}'


@tap.test('no page fault is left out on a CPU on which a task changes a map')
def page_faults():
    recording = retour.record('--backend', 'bpf', '-e', 'page-faults', '-c', 1,
                              command=(retour.program('bpf_maps'), 'faults', '--count', FAULTS))
    samples = recording.of('bpf_maps')
    touched = sum('touch' in names(s['user']) for s in samples)
    missing = sum(not s['user'] for s in samples) + recording.stats['lost_samples']
    assert FAULTS <= touched + missing, f'{touched} and {missing}: {json.dumps(recording.stats)}'
    # Nor is one there twice; but the kernel may let a task fault again.
    assert touched < 1.1 * FAULTS, f'{touched}: {json.dumps(recording.stats)}'


if __name__ == '__main__':
    tap.main('recording needs root' if os.geteuid() else
             None if 'bpf' in retour.backends() else 'bpf cannot be used here')
