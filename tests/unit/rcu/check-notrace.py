#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The _notrace readers contain no instrumentation, proved on object code: check-notrace.py LIBRETOUR INCLUDE_FOLDER

What a compiler is told to instrument leaves no call in an inlined reader but
the declared slow paths, and from those nothing is reached that a tool hooks:
no hook point, no call of another library but the listed ones.
"""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools"))
from tap import Tap

READERS = r"""
#include <retour/rcu.h>
#include <retour/srcu.h>
extern struct retour_srcu_struct domain;
#define READER(name) __attribute__((no_instrument_function, noinline)) void name(void); void name(void)
READER(rcu) { retour_rcu_read_lock_notrace(); retour_rcu_read_unlock_notrace(); }
READER(srcu) { retour_srcu_read_unlock_fast_notrace(&domain, retour_srcu_read_lock_fast_notrace(&domain)); }
READER(tasks_trace) { retour_rcu_read_unlock_tasks_trace_notrace(retour_rcu_read_lock_tasks_trace_notrace()); }
"""
SLOW_PATHS = {"retour_rcu_read_lock_slow_notrace", "retour_rcu_read_unlock_slow_notrace", "retour_srcu_read_lock_slow",
              "retour_srcu_read_unlock_atomic", "retour_srcu_read_unlock_slow_notrace"}
# Stores two words for one of a process's first keys, and is used for no others.
ALLOWED_EXTERNAL = {"pthread_setspecific"}
INSTRUMENTATION = ["-O2", "-O2 -fPIC", "-O0", "-O2 -pg", "-O2 -pg -mfentry", "-O2 -finstrument-functions"]
CALL = re.compile(r"\s(?:call|jmp|bnd jmp|j[a-z]+|b|bl|b\.\w+)q?\s+(?:[0-9a-f]+ )?<([^>+]+)(\+0x[0-9a-f]+)?>")
RELOCATION = re.compile(r"R_X86_64_(?:PLT32|PC32|GOTPCRELX?|REX_GOTPCRELX)\s+(\w+)")
FUNCTION = re.compile(r"^[0-9a-f]+ <([^>]+)>:$")


def functions(disassembly):
    """name -> lines"""
    result, lines = {}, []
    for line in disassembly.split("\n"):
        match = FUNCTION.match(line)
        if match:
            lines = result.setdefault(match[1], [])
        else:
            lines.append(line)
    return result


def objdump(path, *options):
    return subprocess.run(["objdump", "-d", "--no-show-raw-insn", *options, path], stdout=subprocess.PIPE, check=True,
                          text=True).stdout


def reader_problems(flags, include, folder):
    source, obj = os.path.join(folder, "readers.c"), os.path.join(folder, "readers.o")
    with open(source, "w", encoding="utf-8") as f:
        f.write(READERS)
    subprocess.run(["gcc", *flags.split(), "-I", include, "-c", source, "-o", obj], check=True)
    code = functions(objdump(obj, "-r"))
    for name in ("rcu", "srcu", "tasks_trace"):
        # What is compiled for these functions themselves is not the readers'.
        for line in code[name]:
            match = RELOCATION.search(line)
            if match and match[1] not in SLOW_PATHS and not match[1].startswith(("retour_rcu_reader", "retour_rseq",
                                                                                 "retour_rcu_tasks_trace", "__rseq_cs", "domain")):
                yield f"{flags}: {name} refers to {match[1]}"
    if "-O0" not in flags and not any(s in "\n".join(code["rcu"]) for s in SLOW_PATHS):
        yield f"{flags}: the readers were not found"


def reachable(code, roots):
    """name -> callers' chain"""
    found, todo = {}, [(root, [root]) for root in roots]
    while todo:
        name, chain = todo.pop()
        if name in found:
            continue
        found[name] = chain
        for line in code.get(name, ()):
            match = CALL.search(line)
            if match and match[1] != name:
                todo.append((match[1], chain + [match[1]]))
            elif re.search(r"\scall\s+\*", line):
                todo.append(("an indirect call", chain + ["an indirect call"]))
    return found


def slow_path_problems(library):
    code = functions(objdump(library))
    exact = {re.sub(r"@.*", "", name): lines for name, lines in code.items()}
    for root in SLOW_PATHS - set(exact):
        yield f"{root} is not in the library"
    for name, chain in reachable(exact, SLOW_PATHS).items():
        external = name.endswith("@plt") or name not in exact
        plain = name.removesuffix("@plt").split("@")[0]
        if name in ("hook", "report") or name == "an indirect call" or (external and plain not in ALLOWED_EXTERNAL):
            yield " -> ".join(chain)


def main():
    library, include = sys.argv[1:]
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        tap.check("inlined readers call their slow paths and nothing else",
                  (problem for flags in INSTRUMENTATION for problem in reader_problems(flags, include, folder)))
    tap.check("slow paths reach no hook point and no foreign code", slow_path_problems(library))
    tap.finish()


if __name__ == "__main__":
    main()
