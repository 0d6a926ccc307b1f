#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The page on liburcu names every call of it, and the header has what the page maps: check-urcu.py SOURCE_ROOT

The names are taken from what Debian installs: symbols of the libraries, macros
and inline functions of the headers.
"""
import fnmatch
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools"))
from tap import Tap

FLAVOURS = ("memb", "mb", "bp", "qsbr", "signal")
LIBRARIES = (*FLAVOURS, "common", "cds")
CONTAINERS = ("cds.h", "ref.h", "uatomic.h", "arch.h", "compiler.h", "system.h")
INSIDE = re.compile(r"__|_(?!urcu_|rcu_|cds_lfht_new)|.*_H$")
ALIAS = re.compile(r"^#define\s+(\w+)\s+\\?\s*(\w+)$", re.MULTILINE)
# The first column of a table row.
ROW = re.compile(r"^\|([^|]*`[^|]*)\|([^|]*)\|", re.MULTILINE)


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def headers():
    """The folder of liburcu's headers, '' if there is none."""
    multiarch = output("gcc", "-print-multiarch").strip()
    folders = [f for f in (f"/usr/include/{multiarch}/urcu", "/usr/include/urcu") if os.path.isdir(f)]
    return folders[0] if folders else ""


def symbols():
    """Of all libraries."""
    for library in LIBRARIES:
        path = output("gcc", f"-print-file-name=liburcu-{library}.so").strip()
        for line in output("nm", "-D", "--defined-only", path).splitlines():
            yield line.split()[-1].partition("@")[0]


def macros_of_containers(folder):
    """Macros that its headers define for programs, which no library has a symbol for."""
    text = "".join(f"#include <urcu/{name}>\n" for name in CONTAINERS)
    command = ["gcc", "-E", "-dD", "-include", "urcu.h", "-x", "c", "-"]
    text = subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True, text=True).stdout
    inside = False
    for line in text.splitlines():
        if match := re.match(r'# \d+ "([^"]*)"', line):
            inside = match[1].startswith(folder)
        elif inside and (match := re.match(r"#define (\w+)", line)):
            yield match[1]


def aliases(folder):
    """name -> the name it stands for, of the flavours' maps."""
    result = {}
    for flavour in FLAVOURS:
        with open(os.path.join(folder, "map", f"urcu-{flavour}.h"), encoding="utf-8") as f:
            for name, target in ALIAS.findall(f.read().replace("\t\\\n", " \\\n").replace("\\\n", "")):
                result.setdefault(name, set()).add(target)
    return result


def same_calls(name, alias):
    """The names by which the page may name a call: without underscore before, flavour in front or behind, prefix."""
    names = {name, name.lstrip("_"), re.sub(r"_(?:memb|mb|bp|qsbr|sig)$", "", name.lstrip("_"))}
    names |= {target.lstrip("_") for n in list(names) for target in alias.get(n, ())}
    names |= {re.sub(r"^urcu_(?:mb|bp|qsbr|signal)_", "urcu_memb_", n) for n in names}
    names |= {n for n, targets in alias.items() if targets & names}
    return names


def unmapped(names, page, alias):
    """Names of which the page has nothing; it may name many by a pattern."""
    exact = {p for p in page if "*" not in p}
    patterns = [p for p in page if "*" in p]
    for name in sorted(names):
        if not same_calls(name, alias) & exact and not any(fnmatch.fnmatchcase(name, p) for p in patterns):
            yield name


def missing_from_header(names, include):
    """Names that a program with the header cannot refer to."""
    for name in names:
        program = f"#include <retour/urcu-memb.h>\nconst void *p(void);\nconst void *p(void) {{ return (const void *)&{name}; }}\n"
        result = subprocess.run(["gcc", "-fsyntax-only", "-I", include, "-x", "c", "-"], input=program, text=True,
                                stderr=subprocess.DEVNULL, check=False)
        if result.returncode:
            yield name


def main():
    root, tap, folder = sys.argv[1], Tap(), headers()
    if not folder:
        print("1..0 # SKIP liburcu-dev is not installed")
        return
    with open(os.path.join(root, "docs", "rcu-from-liburcu.md"), encoding="utf-8") as f:
        rows = [(set(re.findall(r"`([\w*]+)`", first)), second.strip()) for first, second in ROW.findall(f.read())]
    page = set().union(*(names for names, _ in rows))
    nowhere = set().union(*(names for names, second in rows if second == "none"))
    alias = aliases(folder)
    exported = {name for name in symbols() if not INSIDE.match(name)}
    calls = {name for name in {*exported, *alias} if not INSIDE.match(name)}
    macros = {name for name in macros_of_containers(folder) if re.match(r"(?:cds|caa|cmm|CMM|uatomic|urcu_ref|rcu)_", name)}
    tap.check("liburcu was read", [] if len(calls) > 200 and len(macros) > 40 else [f"{len(calls)} calls, {len(macros)} macros"])
    tap.check("the page names every call", unmapped(calls | macros, page, alias))
    tap.check("a name that is left out is missed", [] if list(unmapped(calls, page - {"defer_rcu"}, alias)) else ["defer_rcu"])
    flavour = {name for name in exported if name.startswith("urcu_memb_")} | \
        {name for name, targets in alias.items() if any(t.startswith("urcu_memb_") for t in targets)}
    mapped = [name for name in sorted(flavour) if not same_calls(name, alias) & nowhere and not name.endswith("_memb")
              and not name.startswith("rcu_memb_")]
    tap.check("the header has what the page maps", missing_from_header(mapped, os.path.join(root, "include")))
    tap.finish()


if __name__ == "__main__":
    main()
