# SPDX-License-Identifier: MIT
"""A running program with tracepoints."""

import json
import os
import time

import retour


class Traced(retour.Running):
    """tests/programs/traced; its last word is whether they are on."""

    def __init__(self, seconds=30, mode=None, **options):
        super().__init__('traced', '--seconds', seconds, *([mode] if mode else []), **options)
        json.loads(self.process.stdout.readline())
        if not mode:
            self.wait_until_it_listens()

    def wait_until_it_listens(self):
        path = f'/tmp/retour-{os.geteuid()}/{self.pid}.agent'
        deadline = time.monotonic() + retour.TIMEOUT
        while not os.path.exists(path):
            assert time.monotonic() < deadline, f'{path} does not come'
            time.sleep(0.01)

    def is_on(self):
        """At the program's end."""
        return bool(json.loads(self.process.communicate(timeout=retour.TIMEOUT)[0])['enabled'])
