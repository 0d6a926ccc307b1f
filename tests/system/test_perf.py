# SPDX-License-Identifier: MIT
"""perf reads the recordings: without a warning, and with the chains that we show."""

import re
import shutil

import retour
import tap

# What a recorder lost that did not get a CPU for long.
LOST = re.compile(r'\s*(?:Warning:\s*)?Processed \d+ (?:events|samples) and lost [\d.]+(?:%| chunks)!\s*(?:Check IO/CPU overload!\s*)?')
SAMPLE = re.compile(r'\s*(.*?)\s+(-?\d+)/(-?\d+)\s+\[(\d+)\]\s+([\d.]+):\s+(\S+?):')


def perf(*args):
    """The output of perf, which must not complain."""
    if not shutil.which('perf'):
        raise tap.Skip('perf is not installed')
    done = retour.run_other('perf', *args)
    assert done.returncode == 0, f'perf {args} exited {done.returncode}: {done.stderr}'
    assert not LOST.sub('', done.stderr).strip(), f'perf {args}: {done.stderr}'
    return done.stdout


def chains_of_perf(path):
    """(tid, cpu, event) and the addresses of each sample."""
    samples = []
    text = perf('script', '-i', path, '--ns', '--no-inline', '--max-stack', '4096',
                '-F', 'comm,pid,tid,cpu,time,event,ip')
    for line in text.splitlines():
        if match := SAMPLE.match(line):
            samples.append(((int(match[3]), int(match[4]), match[6]), []))
        elif line.strip():
            samples[-1][1].append(int(line.strip(), 16))
    return samples


def by_task(samples):
    """The chains of each (tid, cpu, event) in order."""
    found = {}
    for key, chain in samples:
        found.setdefault(key, []).append(chain)
    return found


def page_offset(address):
    """perf prints user addresses relative to the file: only the place in the page stays."""
    return address & 0xfff


def check_same_chains(recording):
    ours = by_task(((s['tid'], s['cpu'], s['event']),
                    [page_offset(int(f['ip'], 16)) for f in s['kernel'] + s['user'] if not f.get('inline')])
                   for s in recording.samples)
    theirs = by_task((key, [page_offset(a) for a in chain]) for key, chain in chains_of_perf(recording.path))
    assert set(ours) == set(theirs), f'{set(ours) ^ set(theirs)} are in one of both only'
    for key, chains in ours.items():
        assert len(chains) == len(theirs[key]), f'{key}: {len(chains)} samples, perf has {len(theirs[key])}'
        wrong = [(a, b) for a, b in zip(chains, theirs[key]) if a != b]
        assert not wrong, f'{key}: {len(wrong)} of {len(chains)} differ, e.g. {wrong[0]}'


@tap.test('perf script: no warning, same samples and chains')
def perf_script():
    recording = retour.record_program('recursion', '--count', 20, options=['-a'])
    assert len(recording.samples) > 500
    check_same_chains(recording)


@tap.test('perf script: chains of 1,000 frames, threads and processes')
def perf_script_many():
    check_same_chains(retour.record_program('recursion', frequency=499))
    check_same_chains(retour.record_program('threads', frequency=999))
    check_same_chains(retour.record_program('processes', 'vfork', frequency=999))


@tap.test('perf report: no warning, the same functions')
def perf_report():
    recording = retour.record_program('plain')
    table = perf('report', '--stdio', '--no-children', '-i', recording.path)
    for function in ('burn', 'plain_inner', 'plain_middle', 'plain_outer', 'main'):
        assert function in table, table[:2000]


@tap.test('perf finds the build IDs in the recording')
def build_ids():
    recording = retour.record_program('plain')
    notes = retour.run_other('readelf', '-n', retour.program('plain')).stdout
    expected = re.search(r'Build ID: (\w+)', notes)
    if not expected:
        raise tap.Skip('the linker makes no build IDs')
    mappings = perf('script', '--show-mmap-events', '-i', recording.path)
    assert expected[1] in mappings, mappings[:2000]


@tap.test('perf report of a recording with two events')
def two_events():
    recording = retour.record_program('plain', options=['-e', 'cpu-clock', '-e', 'page-faults'])
    table = perf('report', '--stdio', '--no-children', '-i', recording.path)
    assert "'cpu-clock'" in table and "'page-faults'" in table, table[:2000]


tap.main(retour.unusable())
