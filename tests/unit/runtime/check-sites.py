#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a tracepoint is in optimised code: check-sites.py BARE_SITES, the program of bare_sites.c"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools"))
from tap import Tap

INSTRUCTION = re.compile(r"^\s+[0-9a-f]+:\t((?:[0-9a-f]{2} )+)\s*\t(\S.*)$")


def way(program, function):
    """The instructions of the function in the order in which they are executed while the site is a nop."""
    text = subprocess.run(["objdump", "-d", "--insn-width=16", f"--disassemble={function}", program],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in text.splitlines():
        if m := INSTRUCTION.match(line):
            code = bytes.fromhex(m[1].replace(" ", ""))
            # A jump with the prefix is the site: it is a nop, and the way goes on behind it.
            name = "site" if re.fullmatch(rb"\x67{1,2}\xe9.{4}", code, re.DOTALL) else m[2].split()[0]
            yield name
            if name == "ret":
                return


def differs(program, function, wanted):
    found = list(way(program, function))
    if not wanted(found):
        yield f"{function}: {found}"


def main():
    program, tap = sys.argv[1], Tap()
    tap.check("a site whose arguments are at hand is one instruction",
              differs(program, "site_with_arguments", lambda found: found == ["site", "ret"]))
    tap.check("a function's computed argument is computed before the site",
              differs(program, "site_with_computed_argument", lambda found: "imul" in found[:found.index("site")]))
    tap.check("a lazy site computes nothing and calls nothing",
              differs(program, "lazy_site", lambda found: found == ["site", "ret"]))
    tap.finish()


if __name__ == "__main__":
    main()
