#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Gates on the text of every source file: check-sources.py SOURCE_ROOT"""
import os
import re
import sys

from tap import Tap

MAX_FILE_LINES, MAX_FUNCTION_LINES = 800, 100
C_LIKE = (".c", ".h", ".def", ".cpp", ".S")
SOURCES = C_LIKE + (".py", ".sh", ".js", ".css", ".html", ".go", ".rs", ".scd", "meson.build", "Makefile")
SKIPPED_FOLDERS = {".git", "build", "__pycache__", "results"}
# Written so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}/])/(work|root|home/\w+)/")


def files(root):
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [s for s in subfolders if s not in SKIPPED_FOLDERS]
        for name in sorted(names):
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                start = f.read(2)
            if name.endswith(SOURCES) or start == b"#!":
                with open(path, encoding="utf-8") as f:
                    yield os.path.relpath(path, root), f.read().split("\n")


def functions(lines):
    """(first line number, length) of what stands between a lone { and a lone } at column 0."""
    start = None
    for i, line in enumerate(lines, 1):
        if line == "{":
            start = i
        elif line.startswith("}") and start:
            yield start, i - start + 1
            start = None


def head(lines):
    """The lines after what a format wants first: interpreter, doctype, title of a man page."""
    if re.fullmatch(r"[a-z-]+\(\d\)", lines[0]):
        return lines[2:]
    return lines[1:] if lines[0].startswith(("#!", "<!")) else lines


def main():
    tap = Tap()
    sources = list(files(sys.argv[1]))
    c_sources = [(p, l) for p, l in sources if p.endswith(C_LIKE)]
    tap.check("SPDX licence line comes first",
              (p for p, l in sources if "SPDX-License-Identifier: " not in head(l)[0]))
    tap.check("a comment after it says the idea of the file",
              (p for p, l in c_sources if len(l) < 2 or not re.match(r"\s*(/\*|//|#)", l[1])))
    tap.check(f"files have at most {MAX_FILE_LINES} lines",
              (f"{p}: {len(l)}" for p, l in sources if len(l) > MAX_FILE_LINES + 1))
    tap.check(f"functions have at most {MAX_FUNCTION_LINES} lines",
              (f"{p}:{at}: {n}" for p, l in c_sources for at, n in functions(l) if n > MAX_FUNCTION_LINES))
    tap.check("nothing is marked unfinished",
              (f"{p}:{i}: {s.strip()}" for p, l in sources for i, s in enumerate(l, 1) if UNFINISHED.search(s)))
    tap.check("no path of a developer's machine",
              (f"{p}:{i}: {s.strip()}" for p, l in sources for i, s in enumerate(l, 1) if MACHINE_PATH.search(s)))
    tap.finish()


if __name__ == "__main__":
    main()
