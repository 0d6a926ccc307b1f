# SPDX-License-Identifier: MIT
"""A running program with tracepoints."""

import json
import signal
import time

import retour


class Traced(retour.Running):
    """tests/programs/traced: it tells whether they are on when it is asked and at its end, there also how often it served."""

    def __init__(self, mode=None, seconds=600, **options):
        super().__init__('traced', *([mode] if mode else []), '--seconds', seconds, **options)
        json.loads(self.process.stdout.readline())

    def last_words(self):
        """What it says at its end."""
        return json.loads(self.process.communicate(timeout=retour.TIMEOUT)[0])

    def stays_on(self):
        """Whether they are on for longer than it takes to switch them off."""
        end = time.monotonic() + retour.TIMEOUT
        while time.monotonic() < end:
            self.process.send_signal(signal.SIGUSR1)
            if not json.loads(self.process.stdout.readline())['enabled']:
                return False
            time.sleep(0.05)
        return True

    def ends_well(self):
        """Whether it comes to its end by itself."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=retour.TIMEOUT) == 0
