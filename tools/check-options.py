#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Help, man pages and completion name the same verbs and options:
check-options.py RETOUR SOURCE_ROOT
"""
import os
import re
import subprocess
import sys

from tap import Tap

OPTION = re.compile(r"^ +(?:(-.), )?(--[a-z-]+)(?: (\S+))?(?:  |$)", re.MULTILINE)
# In a man page: *-F*, *--frequency* _HZ_
MAN_OPTION = re.compile(r"^(?:\*(-.)\*, )?\*(--[a-z-]+)\*(?: _(\S+)_)?$", re.MULTILINE)


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout


def options(pattern, text):
    return {tuple(part or "" for part in match) for match in pattern.findall(text)}


def man_page(root, name):
    with open(os.path.join(root, "docs", "man", f"{name}.1.scd"), encoding="utf-8") as f:
        # scdoc wants escapes where the text has none
        return f.read().replace("\\", "")


def complete(retour, root, *words):
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _retour; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    return set(output("bash", "-c", script, "bash", os.path.join(root, "completions", "retour"), retour, *words).split())


def difference(a, name_a, b, name_b):
    for item in sorted(a - b):
        yield f"{item} is in {name_a}, not in {name_b}"
    for item in sorted(b - a):
        yield f"{item} is in {name_b}, not in {name_a}"


def main():
    retour, root = sys.argv[1:]
    tap = Tap()
    top = output(retour, "--help")
    verbs = dict(re.findall(r"^  ([a-z]+) +(.*)$", top, re.MULTILINE))
    overview = man_page(root, "retour")
    tap.check("retour(1) lists the verbs of --help, in the same words",
              difference(set(verbs.items()), "--help", set(re.findall(r"^\*([a-z]+)\*\n\t(.*)\.$", overview, re.MULTILINE)),
                         "the man page"))
    tap.check("completion knows the verbs", difference(complete(retour, root, ""), "completion",
                                                       {*verbs, "--help", "--version"}, "--help"))
    for verb in sorted(set(verbs) - {"help"}):
        text = output(retour, verb, "--help")
        page = man_page(root, f"retour-{verb}")
        known = options(OPTION, text)
        tap.check(f"{verb}: man page and --help have the same options and values",
                  difference(known, "--help", options(MAN_OPTION, page), "the man page"))
        tap.check(f"{verb}: man page and --help have the same summary",
                  [] if f"retour-{verb} - {verbs[verb]}\n" in page else [f"--help says: {verbs[verb]}"])
        usage = text.removeprefix("usage: ").split("\n\n")[0].split()
        synopsis = re.sub(r"[*_]", "", page.split("# SYNOPSIS\n")[1].split("\n# ")[0]).split()
        tap.check(f"{verb}: man page and --help have the same synopsis",
                  [] if synopsis == usage else [f"--help says: {' '.join(usage)}"])
        tap.check(f"{verb}: completion knows the options",
                  difference(complete(retour, root, verb, "-"), "completion",
                             {name for option in known for name in option[:2] if name}, "--help"))
    tap.finish()


if __name__ == "__main__":
    main()
