# SPDX-License-Identifier: MIT
"""What every user can do, everywhere: tests/system/test_users.py on the kernel of this guest."""

import os
import runpy

SYSTEM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'system')

if os.environ.get('KERNEL'):
    runpy.run_path(os.path.join(SYSTEM, 'test_users.py'), run_name='__main__')
else:
    print('1..0 # SKIP runs in a guest only')
