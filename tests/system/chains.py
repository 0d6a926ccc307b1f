# SPDX-License-Identifier: MIT
"""Compares recorded call chains with the truth.

A user chain becomes a line of words, innermost first, each followed by a space:
the symbol for frames of the program itself and of its test libraries, a short
name for the rest (libc, ld, vdso, anon, …), because a stripped C library has no
names for its inner functions.  The truth is a regular expression over that line.
"""

import collections
import os
import re

from elf import Elf

SHORT = {'ld-linux-x86-64': 'ld', '[vdso]': 'vdso', 'libgcc_s': 'libgcc', '//anon': 'anon', '[anon]': 'anon'}

# Work at the innermost end: burn() itself, or a look at the clock.
WORK = r'(?:burn |(?:(?:vdso|libc|ld|plt|\w*clock_gettime|\w*getrusage) )*(?:now |cpu_of )?(?:time_left )?(?:running )?)'
# How a dynamic and a static program come to main, and how glibc starts a thread.
MAIN = r'main libc libc _start '
STATIC_MAIN = r'main __libc_start_call_main __libc_start_main\S* _start '
THREAD = r'libc libc '
# How glibc ends a coroutine: __start_context, which may be on its way to the next context.
COROUTINE_END = r'(?:libc )?libc '
# The functions of plain.c, also on the way to its work and back.
PLAIN = f'(?:(?:{WORK}plain_inner )?plain_middle )?plain_outer '
# A call into the C library, perhaps through the PLT and the dynamic loader, or the check of its result.
CALL = r'(?:(?:libc|ld|plt|vdso|must) )*'

# A dynamic program before and after its work: loader, libraries, set-up.
_AROUND = (r'(?:(?:ld|lib\S+|vdso|plt|now|must|handle|generate|program_\w+|map_\w+|ring_open|'
           r'_init|_fini|frame_dummy|(?:de)?register_tm_clones|__do_global_dtors_aux) )*')
EDGES = rf'{_AROUND}(?:(?:main )?libc libc )?_start |{_AROUND}ld '
STATIC_EDGES = r'(?:(?!burn|plain_)\S+ )*_start '

# The child of the recorder, at its exec: an interrupt amid an update of the kernel's clock may see a little too late a time.
_RECORDER = re.compile(r'(?:libc )+(?:retour )+(?:libc )*retour ')

# Start-up code of gcc and crti.o that carries no unwind information.
_NO_CFI = re.compile(r'(?:\S+ )*(?:_init|_fini|frame_dummy|(?:de)?register_tm_clones|'
                     r'__do_global_dtors_aux) .*|(?:lib\S+ |ld )*lib(?!c )\S+ ')
_NO_CFI_REASONS = ('no unwind info', 'bad frame pointer')
# glibc ends the unwind information of clone before its system call; a child has no caller there.
_CLONE = 'libc '
_CLONE_REASONS = (None, 'no unwind info', 'zero return address', 'not executable')

# Amid exec and exit a task has no user part.  How many samples that hits is up to the machine's speed; where it hits
# is not.
_PASSING = ('exec', 'not-started', 'regs-changed', 'exiting', 'not-returned')
_IN_PASSING = re.compile('execve|exit_to_user_mode|do_exit')
_KERNEL_ENTRY = re.compile('entry_|asm_|ret_from_fork')
# A rule that is not loaded yet, or a lock that is held, may cut a chain short; what there is must be right.
_CUT = ('stack copy too short', 'stack copy lost')
# Where the recorder does not get a CPU, rings are full: how often is not up to it.
_LOST = ('stack copy lost', 'record-lost')


def no_user(sample):
    """Whether the task never has a user part."""
    return sample['reason'] in ('no-mm', 'kernel-thread', 'idle', 'io-worker')


def passing(samples):
    """The ids of the samples amid exec and exit: all that a task shows between two chains is in the kernel, and there."""
    seen = any(sample['kernel'] for sample in samples)
    gaps, gap_of, ran = [], {}, set()
    for sample in sorted(samples, key=lambda s: s['time']):
        task = sample['tid'], sample['comm']
        if sample['user']:
            gap_of.pop(task, None)
            ran.add(task)
        elif sample['reason'] in _PASSING:
            if task not in gap_of:
                # Where the kernel is not to be seen, the one exec that has to be is the first.
                gap_of[task] = ([], not seen and task not in ran)
                gaps.append(gap_of[task])
            gap_of[task][0].append(sample)
    return {id(sample) for gap, first in gaps if first or _is_passing(gap) for sample in gap}


def _is_passing(gap):
    chains = [[frame['sym'] or '' for frame in sample['kernel']] for sample in gap]
    # The kernel cannot follow its own calls from everywhere, sometimes not even to where an interrupt hit.
    return all(chains) and any(_IN_PASSING.search(' '.join(chain)) or len(chain) == 1 or
                               not _KERNEL_ENTRY.match(chain[-1]) for chain in chains)


def recursion(depth):
    """The chain of `recursion --count DEPTH`: at its bottom, or on the way there."""
    return f'(?:{WORK}bottom (?:down ){{{depth}}}|(?:down )+){MAIN}'


def known_symbol(frame):
    """The symbol of a frame, None where there is only [dso+0xoffset]."""
    symbol = frame.get('sym')
    return None if not symbol or symbol.startswith('[') else symbol


def line_of(sample, own, resolve=None):
    """The user chain as words; own are the file names whose symbols count."""
    words = []
    for frame in sample['user']:
        if frame.get('inline'):
            continue
        name = os.path.basename(frame['dso'] or '').removesuffix(' (deleted)')
        symbol = known_symbol(frame)
        if name not in own:
            stem = name.split('.so')[0]
            words.append(SHORT.get(stem, stem or 'nowhere'))
            continue
        if resolve and not symbol:
            symbol = resolve(int(frame['ip'], 16))
        if not symbol or '@plt' in symbol:
            symbol = 'plt' if symbol or frame is sample['user'][0] else '?'
        words.append(symbol.split('(')[0].replace(' ', ''))
    return ''.join(word + ' ' for word in words)


class Truth:
    """What the chains of one program may look like.

    chain     regular expression of a chain of its work
    edges     of a chain before or after the work, beside the usual ones
    own       file names whose symbols count, the program's own included
    reasons   truncation reasons that a chain of the work has to have; empty: it is complete
    around    the usual edges, if the program is not a dynamic one
    edge_reasons  the same for edges, if it differs
    missing   how many samples may have no chain, by reason: a number, or a share if it is a float;
              those amid exec and exit are not counted
    callers   whether return addresses are checked against the machine code (True)
    least     how many samples have to hit the work (50)
    cut       reasons beside the usual ones for which a few chains may end early ()
    clones    whether samples in the system call of clone are expected (False)
    imprecise regular expression of chains that no unwind table describes; 0.5 % of the samples at most
    """

    def __init__(self, program, chain, **options):
        self.program = program
        self.chain = re.compile(chain)
        self.edges = re.compile(rf'{options.get("around", EDGES)}|{options.get("edges", "(?!)")}')
        self.own = {os.path.basename(program), *options.get('own', ())}
        self.reasons = set(options.get('reasons', ()))
        self.edge_reasons = {None, *options.get('edge_reasons', self.reasons)}
        self.missing = options.get('missing', {})
        self.resolve = options.get('resolve')
        self.elf = Elf(program) if options.get('callers', True) else None
        self.least = options.get('least', 50)
        self.cut = {*_CUT, *options.get('cut', ())}
        self.clones = options.get('clones', False)
        self.imprecise = re.compile(options.get('imprecise', '(?!)'))

    def check(self, recording, samples=None):
        """Every sample of the program is right, and there are enough of them."""
        if samples is None:
            samples = recording.of(os.path.basename(self.program))
        lines = [(sample, line_of(sample, self.own, self.resolve)) for sample in samples]
        self._check_missing(samples, passing(recording.samples))
        right = {line for _, line in lines if self.chain.fullmatch(line) or self.edges.fullmatch(line)}
        hits, cut, imprecise, before, wrong = 0, 0, 0, 0, {}
        for sample, line in lines:
            if not sample['user']:
                continue
            error, hit = self._judge(sample, line)
            hits += hit
            begun = len(sample['user']) == 1 or any(' ' + line in ' ' + r for r in right)
            if error and sample['reason'] in self.cut and begun:
                cut += sample['reason'] not in _LOST
            elif error and self.imprecise.fullmatch(line):
                imprecise += 1
            elif error and _RECORDER.fullmatch(line):
                before += 1
            elif error:
                wrong.setdefault((error, sample['reason'], squeeze(line)), []).append(sample)
        assert not wrong, self._explain(wrong, len(samples))
        assert before <= 1, f'{before} chains of the recorder'
        assert cut <= max(3, len(samples) / 10), f'{cut} of {len(samples)} chains cut short'
        assert imprecise <= len(samples) / 200, f'{imprecise} of {len(samples)} chains imprecise'
        assert hits >= self.least, f'only {hits} of {len(samples)} samples hit the work'
        return hits

    def _check_missing(self, samples, passed):
        missing = collections.defaultdict(list)
        for sample in samples:
            expected = no_user(sample) or sample['reason'] in _LOST or id(sample) in passed
            if not sample['user'] and not expected:
                missing[sample['reason']].append(sample)
        for reason, found in missing.items():
            allowed = self.missing.get(reason, 0)
            allowed = allowed * len(samples) if isinstance(allowed, float) else allowed
            assert len(found) <= allowed, (f'{len(found)} of {len(samples)} chains missing: {reason}, e.g. at '
                                           f'{found[0]["time"]} in {[f["sym"] for f in found[0]["kernel"]]}')

    def _judge(self, sample, line):
        """(what is wrong or None, whether the work was hit)."""
        if self.chain.fullmatch(line):
            if self.reasons:
                return (None if sample['reason'] in self.reasons else 'another reason was expected'), True
            if not sample['complete']:
                return 'not complete', True
            return (self.elf.wrong_call(sample, self.own) if self.elf else None), True
        if self._ends_without_rule(sample['reason'], line):
            return None, False
        if self.edges.fullmatch(line):
            return (None if sample['reason'] in self.edge_reasons else 'not complete outside the work'), False
        return 'wrong chain', False

    def _ends_without_rule(self, reason, line):
        if self.clones and line == _CLONE:
            return reason in _CLONE_REASONS
        return reason in _NO_CFI_REASONS and _NO_CFI.fullmatch(line)

    def _explain(self, wrong, total):
        count = sum(map(len, wrong.values()))
        text = [f'{count} of {total} samples are wrong; expected {self.chain.pattern}']
        for (error, reason, line), samples in sorted(wrong.items(), key=lambda w: -len(w[1]))[:6]:
            text.append(f'  {len(samples)} x {error} (reason {reason}): {line}')
            text.append(f'      e.g. at {samples[0]["time"]}: {[f["ip"] for f in samples[0]["user"][:6]]}')
        return '\n'.join(text)


def squeeze(line):
    """The line with repeated words counted."""
    return re.sub(r'(?<!\S)(\S+ )\1+', lambda m: f'{m[1][:-1]}*{len(m[0]) // len(m[1])} ', line)
