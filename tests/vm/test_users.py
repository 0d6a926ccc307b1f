# SPDX-License-Identifier: MIT
"""What every user can do, everywhere: tests/system/test_users.py on the newest kernel."""

import os
import runpy

SYSTEM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'system')

if os.environ.get('KERNEL') == 'newest':
    runpy.run_path(os.path.join(SYSTEM, 'test_users.py'), run_name='__main__')
else:
    print('1..0 # SKIP the newest kernel shows it')
