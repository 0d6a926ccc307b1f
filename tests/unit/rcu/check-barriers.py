#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every barrier has a letter and names its partner: check-barriers.py SOURCE_ROOT

In the code a barrier is written "(A) pairs with (B), (C): what it orders".  The
page docs/rcu.md has one row for each letter, with the same partners.
"""
import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools"))
from tap import Tap

IN_CODE = re.compile(r"\((\w)\) pairs with ((?:\(\w\)(?:, )?)+)")
ROW = re.compile(r"^\| (\w) \| [^|]+ \| [^|]+ \| ([\w, ]+) \|", re.MULTILINE)
FENCE = re.compile(r"full_fence\(\);|membarrier_all\(\);|__ATOMIC_(?:ACQUIRE|RELEASE|ACQ_REL)")


def letters(text):
    return set(re.findall(r"\w", text))


def main():
    root, tap = sys.argv[1], Tap()
    paths = sorted(glob.glob(os.path.join(glob.escape(root), "src/rcu/*.[ch]")) +
                   glob.glob(os.path.join(glob.escape(root), "include/retour/*rcu*.h")))
    with open(os.path.join(root, "docs", "rcu.md"), encoding="utf-8") as f:
        page = {letter: letters(partners) for letter, partners in ROW.findall(f.read())}
    code, fences = {}, []
    for path in paths:
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for letter, partners in IN_CODE.findall(text):
            code.setdefault(letter, set()).update(letters(partners))
        lines = text.split("\n")
        for i, line in enumerate(lines):
            if re.search(r"\b(?:full_fence|membarrier_all)\(\);", line) and "void" not in line and \
                    not re.search(r"\(\w\)", " ".join(lines[max(0, i - 3):i])):
                fences.append(f"{os.path.relpath(path, root)}:{i + 1}: {line.strip()}")
    tap.check("a letter stands for one row of the page", (l for l in code if l not in page))
    tap.check("a row of the page stands for a barrier of the code", (l for l in page if l not in code))
    tap.check("code and page name the same partners",
              (f"({l}): code {sorted(code[l])}, page {sorted(page[l])}" for l in sorted(code.keys() & page.keys())
               if not code[l] <= page[l]))
    tap.check("partners name each other", (f"({a}) names ({b})" for a in sorted(page) for b in sorted(page[a])
                                           if a not in page.get(b, ())))
    tap.check("no fence without a letter", (f for f in fences if not f.startswith("src/rcu/membarrier.c")))
    tap.finish()


if __name__ == "__main__":
    main()
