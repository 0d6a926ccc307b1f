# SPDX-License-Identifier: MIT
"""Frames of every shape: deep, large, tiny, dynamic, jumped over, generated."""

import retour
import tap
from chains import CALL, COROUTINE_END, EDGES, MAIN, WORK, Truth, recursion


def check(name, chain, frequency=retour.FREQUENCY, **options):
    """Records the program and compares all its chains."""
    recording = retour.record_program(name, frequency=frequency)
    return Truth(retour.program(name), chain, **options).check(recording), recording


@tap.test('recursion 1,000 deep')
def deep():
    _, recording = check('recursion', recursion(1000), frequency=499)
    assert recording.stats['max_depth'] >= 1000, recording.stats['max_depth']


@tap.test('twenty frames on 10 KB, and one frame of 80 KB')
def large_frames():
    check('frames', WORK + '(?:(?:small_frame ){1,20}|large_frame )?' + MAIN)


@tap.test('leaf functions, prologues and epilogues')
def leaf():
    check('leaf', '(?:(?:(?:(?:leaf )?saves_all )?saves_some )?calls |' + WORK + ')' + MAIN)


def check_plt(name):
    # The first call of each is bound by the loader.
    in_library = 'library_leaf |(?:callback )?library_calls_back |plt |_init |(?:ld )+'
    check(name, f'(?:(?:{in_library})?call_library |{WORK}){MAIN}', own=[f'lib{name}_library.so'])


tap.test('calls through the PLT')(lambda: check_plt('plt'))
tap.test('calls through a PLT with indirect branch tracking')(lambda: check_plt('plt_ibt'))


@tap.test('alloca, variable length arrays and realigned frames (DRAP)')
def dynamic_frames():
    # After its pop of rbp, gcc 12's table of a realigned frame still takes rbp from where rbp points.
    check('dynamic_frames', WORK + '(?:(?:(?:(?:(?:vla_frame )?alloca_frame )?realigned_frame )?'
          'aligned_frame )?drap_frame )?' + MAIN, imprecise='(?:(?:re)?aligned_frame |drap_frame ).*')


@tap.test('setjmp and longjmp')
def jumps():
    check('jumps', '(?:(?:burn |libc |plt |ld )*(?:jumps ){1,10}|(?:burn )?landed |(?:libc |plt |ld )*)?(?:lands )?'
          + WORK + MAIN)


@tap.test('signal handlers, also on the alternate stack, and interrupted anywhere')
def signals():
    plain = (r'(?:burn )?(?:on_signal |on_alternate )(?:libc )+raises ' + MAIN + '|' + WORK
             + '(?:(?:libc |plt |ld )*raises |interrupted )?' + MAIN)
    inner = r'(?:burn )?(?:on_alarm )?libc '
    handled = (r'(?:burn )?(?:on_signal |on_alternate )(?:libc )+raises ' + '|' + WORK
               + '(?:(?:libc |plt |ld )*raises |interrupted )?')
    check('signals', f'{plain}|{inner}(?:{handled}){MAIN}|{inner}(?:ld |libc )*{MAIN}', callers=False,
          edges=f'{inner}(?:{EDGES})', missing={'regs-changed': 0.05})


@tap.test('coroutines on their own stacks (swapcontext)')
def coroutines():
    ends = '|'.join(f'(?:nest ){{{depth}}}coroutine_{i} ' for i, depth in enumerate((1, 5, 20, 100)))
    # glibc's __start_context, the outermost frame, has no rule that says so.
    check('coroutines', f'(?:burn |libc |plt |ld )*(?:yields )?(?:{ends})libc ', reasons=[None, 'no unwind info'],
          edges=f'{CALL}{WORK}{MAIN}|(?:(?:nest )*coroutine_. )?{COROUTINE_END}')


@tap.test('C++ exceptions')
def exceptions():
    raised = r'(?:(?:libgcc|libstdc\+\+|libc|ld|plt) )*'
    # While libgcc installs the context of a handler, its tables do not describe its own frame.
    check('exceptions', '(?:' + WORK + r'|burn Guard::~Guard |(?:Guard::~Guard )|(?:burn )?handled |'
          + raised + r'(?:throws ){0,9})(?:' + raised + r'guarded )?(?:' + raised + 'catches )?' + MAIN,
          callers=False, imprecise=r'(?:libgcc )+.*')


@tap.test('generated code with frame pointers')
def jit():
    # At the ends of generated code rbp is the caller's.
    check('jit', WORK + 'called_by_jit anon calls_jit ' + MAIN, edges=f'calls_jit {MAIN}', imprecise='anon .*')


@tap.test('generated code without frame pointers')
def jit_bare():
    recording = retour.record_program('jit', 'bare')
    Truth(retour.program('jit'), WORK + 'called_by_jit anon ', callers=False, edges=f'anon |calls_jit {MAIN}',
          reasons=['no unwind info', 'bad frame pointer']).check(recording)


@tap.test('--max-depth')
def max_depth():
    recording = retour.record_program('recursion', options=['--max-depth', 100], frequency=499)
    Truth(retour.program('recursion'), '(?:' + WORK + 'bottom )?(?:down )+', reasons=['max depth'],
          edges=f'(?:down ){{1,99}}{MAIN}', callers=False).check(recording)
    depths = {len(s['user']) for s in recording.samples if s['reason'] == 'max depth'}
    assert depths == {100}, f'truncated at {depths}'
    whole = retour.record_program('recursion', options=['--max-depth', 1010], frequency=499)
    Truth(retour.program('recursion'), recursion(1000)).check(whole)


tap.main(retour.unusable())
