# SPDX-License-Identifier: MIT
"""TAP for the checks of this folder: each check() is one test."""
import sys


class Tap:
    def __init__(self):
        self.results = []

    def check(self, name, problems):
        """Passes if there is no problem; prints each one otherwise."""
        problems = list(problems)
        self.results.append(not problems)
        for problem in problems:
            print(f"# {problem}")
        print(f"{'not ok' if problems else 'ok'} {len(self.results)} {name}")

    def finish(self):
        print(f"1..{len(self.results)}")
        sys.exit(0 if self.results and all(self.results) else 1)
