# SPDX-License-Identifier: MIT
"""A running program with tracepoints."""

import json

import retour


class Traced(retour.Running):
    """tests/programs/traced; its last word is whether they are on, and how often it served."""

    def __init__(self, mode=None, seconds=30, **options):
        super().__init__('traced', *([mode] if mode else []), '--seconds', seconds, **options)
        json.loads(self.process.stdout.readline())

    def last_words(self):
        """What it says at its end."""
        return json.loads(self.process.communicate(timeout=retour.TIMEOUT)[0])

    def is_on(self):
        """At the program's end."""
        return bool(self.last_words()['enabled'])
