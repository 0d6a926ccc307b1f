# SPDX-License-Identifier: MIT
"""A running program with tracepoints."""

import json

import retour


class Traced(retour.Running):
    """tests/programs/traced; its last word is whether they are on."""

    def __init__(self, seconds=30, **options):
        super().__init__('traced', '--seconds', seconds, **options)
        json.loads(self.process.stdout.readline())

    def is_on(self):
        """At the program's end."""
        return bool(json.loads(self.process.communicate(timeout=retour.TIMEOUT)[0])['enabled'])
