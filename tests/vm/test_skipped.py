# SPDX-License-Identifier: MIT
"""tests/system/test_skipped.py on kernels that trace functions, and where system calls are preempted."""

import os
import runpy

runpy.run_path(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'system', 'test_skipped.py'),
               run_name='__main__')
