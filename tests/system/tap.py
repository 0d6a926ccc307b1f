# SPDX-License-Identifier: MIT
"""Tests as functions, results as TAP.

They look at a live machine, where a sample or a process may come in a window of some instructions that a test did not
think of.  So where RETOUR_TEST_AGAIN is a number, a test that fails is run so many times more; if it passes each of
them it is not failed but UNSTEADY, which is shown with what it said: there is something to understand.
"""

import os
import sys
import traceback

_tests = []


class Skip(Exception):
    """The test cannot run here; says why."""


def test(name):
    """Registers the function as the test called name."""
    def register(function):
        _tests.append((name, function))
        return function
    return register


def _run(function):
    """What follows 'ok' or 'not ok', and the lines that explain a failure."""
    try:
        function()
        return True, '', ''
    except Skip as skip:
        return True, f' # SKIP {skip}', ''
    except AssertionError as error:
        return False, '', str(error) or traceback.format_exc()
    except Exception:  # pylint: disable=broad-except
        return False, '', traceback.format_exc()


def _run_again(function, times):
    """The same of a test that may be unsteady."""
    passed, note, why = _run(function)
    if not passed and times and all(_run(function)[:2] == (True, '') for _ in range(times)):
        return True, f' # UNSTEADY failed, then passed {times} times', why
    return passed, note, why


def main(unusable=None):
    """Runs all tests; every one is skipped if unusable is a reason."""
    only = sys.argv[1:]
    tests = [(n, f) for n, f in _tests if not only or any(o in n for o in only)]
    print(f'1..{len(tests)}', flush=True)
    failed, times = 0, int(os.environ.get('RETOUR_TEST_AGAIN', '0'))
    for number, (name, function) in enumerate(tests, 1):
        if unusable:
            print(f'ok {number} - {name} # SKIP {unusable}', flush=True)
            continue
        passed, note, why = _run_again(function, times)
        failed += not passed
        print(f'{"ok" if passed else "not ok"} {number} - {name}{note}', flush=True)
        for line in why.splitlines():
            print(f'# {line}', flush=True)
    sys.exit(1 if failed else 0)
