# SPDX-License-Identifier: MIT
"""What programs print that measure implementations side by side, round by round."""
import os
import statistics
import subprocess
import sys
import time

import tools

LIMIT = 30
P50, P99 = 0, 1


class Figures:
    """Each implementation is the program whose path is prefix + name; ratios are to base where nothing else is said.
    Some implementations are the program of another one in another environment: {name: (program, variables)}."""

    def __init__(self, prefix, base, variants):
        self.prefix, self.base, self.variants = prefix, base, variants
        self.found, self.why = {}, {}

    def run(self, case, impl, args):
        """Once; a program that has failed is not asked again."""
        program, env = self.variants.get(impl, (impl, {}))
        if (case, impl) in self.why:
            return
        try:
            done = subprocess.run([self.prefix + program, *args], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, env={**os.environ, **env}, timeout=LIMIT, check=True)
            self.found.setdefault((case, impl), []).append([float(word) for word in done.stdout.split()])
        except FileNotFoundError:
            self.why[case, impl] = tools.NotInstalled("not installed")
        except subprocess.TimeoutExpired:
            self.why[case, impl] = tools.Failed(f"not over in {LIMIT} s")
        except subprocess.CalledProcessError as e:
            self.why[case, impl] = tools.Failed(f"failed: {e.stderr.strip() or e.returncode}")

    def measure(self, cases, rounds):
        """{case: (arguments, implementations)}, each once in a round, in an order that turns round by round."""
        for turn in range(rounds):
            begin = time.monotonic()
            for case, (args, impls) in cases.items():
                first = turn % len(impls)
                for impl in (impls * 2)[first:first + len(impls)]:
                    self.run(case, impl, args)
            print(f"round {turn + 1} of {rounds}: {time.monotonic() - begin:.0f} s", file=sys.stderr)

    def rounds(self, case, impl):
        if (case, impl) in self.why:
            raise self.why[case, impl]
        return self.found[case, impl]

    def median(self, case, impl, which=P50):
        return statistics.median(figures[which] for figures in self.rounds(case, impl))

    def ratio(self, case, impl, which=P50, base=None):
        """To another case or implementation of the same round."""
        pairs = zip(self.rounds(case, impl), self.rounds(*(base or (case, self.base))))
        ratios = [mine[which] / other[which] for mine, other in pairs if other[which] > 0]
        if not ratios:
            raise tools.Failed("nothing happened")
        return statistics.median(ratios)
