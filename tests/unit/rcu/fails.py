#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that a test program can fail: fails.py MUTANT PROGRAM ARGUMENTS..., which was built with that deliberate bug."""
import re
import subprocess
import sys

mutant, *command = sys.argv[1:]
output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                        text=True, errors="replace").stdout
failed = re.findall(r"^not ok \d+ -? ?(\S+)", output, re.MULTILINE)
print("1..1")
for name in failed:
    print(f"# found by {name}")
if not failed:
    print("".join(f"# {line}\n" for line in output.splitlines()), end="")
print(f"{'ok' if failed else 'not ok'} 1 - {mutant} is found")
sys.exit(not failed)
