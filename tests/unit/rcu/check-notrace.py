#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The _notrace readers contain no instrumentation, proved on object code: check-notrace.py LIBRETOUR INCLUDE_FOLDER

In a function that is itself left out of what a compiler is told to instrument,
inlined readers refer to the declared slow paths and to data of theirs, and to
nothing else: by no call, no jump, no address.  From the slow paths, which are
the library's entry points for them, nothing is reached that a tool hooks: no
hook point, no call through a pointer, no foreign function but the listed ones.
"""
import glob
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools"))
from tap import Tap

CALLERS = r"""
#include <retour/rcu.h>
#include <retour/srcu.h>
#ifdef __cplusplus
extern "C" {
#endif
#ifdef UNMARKED	/* deliberately wrong */
#define MARKED __attribute__((noinline))
#elif defined(__clang__)
#define MARKED __attribute__((noinline, no_instrument_function, no_sanitize("coverage", "thread")))
#else
#define MARKED __attribute__((noinline, no_instrument_function, no_sanitize_coverage, no_sanitize_thread))
#endif
#define READER(name) MARKED void name(void); void name(void)
extern struct retour_srcu_struct domain;
void foreign(void);
extern void (*pointer)(void);
"""
READERS = CALLERS + r"""
READER(rcu) { retour_rcu_read_lock_notrace(); retour_rcu_read_unlock_notrace(); }
READER(srcu) { retour_srcu_read_unlock_fast_notrace(&domain, retour_srcu_read_lock_fast_notrace(&domain)); }
READER(updown) {
	retour_srcu_read_unlock_fast_updown_notrace(&domain, retour_srcu_read_lock_fast_updown_notrace(&domain));
	retour_srcu_up_read_fast_notrace(&domain, retour_srcu_down_read_fast_notrace(&domain));
}
READER(tasks_trace) { retour_rcu_read_unlock_tasks_trace_notrace(retour_rcu_read_lock_tasks_trace_notrace()); }
#ifdef __cplusplus
}
#endif
"""
# Readers that do what is not allowed, and with which flags that is to be seen.
BROKEN_READERS = [
    ("READER(rcu) { retour_rcu_read_lock_notrace(); foreign(); retour_rcu_read_unlock_notrace(); }", ["-O2", "-O0"]),
    ("READER(rcu) { retour_rcu_read_lock_notrace(); foreign(); }", ["-O2", "-Os", "-O2 -fPIC -fno-plt"]),
    ("READER(rcu) { retour_rcu_read_lock_notrace(); pointer(); }", ["-O2", "-O0"]),
    ("READER(rcu) { retour_rcu_read_lock_notrace(); if (retour_unlikely(!pointer)) foreign(); }", ["-O2"]),
    ("READER(rcu) { retour_rcu_read_lock(); retour_rcu_read_unlock(); }", ["-O2"]),
    ("#define UNMARKED\n" + READERS, ["-O2 -pg", "-O2 -pg -mfentry", "-O2 -finstrument-functions",
                                      "-O2 -fsanitize-coverage=trace-pc", "-O0 -fsanitize-coverage=trace-pc",
                                      "-O2 -fsanitize=thread"]),
]
COMPILERS = {"gcc": "c", "g++": "c++", "clang": "c", "clang++": "c++"}
PLAIN = ["-O0", "-O2", "-Os", "-O2 -fPIC", "-O2 -fPIC -fno-plt"]
INSTRUMENTED = [" ".join(pair) for pair in itertools.product(
    ("-O0", "-O2"), ("-pg", "-pg -mfentry", "-finstrument-functions", "-fsanitize-coverage=trace-pc"))]
# The sanitizer of threads is told by annotations; clang's, besides, of atomics in any function.
ANNOTATED = {"gcc": ["-O2 -fsanitize=thread"], "g++": ["-O2 -fsanitize=thread"]}
ANNOTATIONS = {"__tsan_acquire", "__tsan_release"}
DATA = {"retour_rcu_reader", "retour_rcu_domain", "retour_rseq_offset", "retour_rcu_tasks_trace_srcu_struct", "domain",
        "__rseq_cs", "_GLOBAL_OFFSET_TABLE_"}

# Stores two words for one of a process's first keys, and is used for no others.
ALLOWED_EXTERNAL = {"pthread_setspecific"}
# A library whose entry points do what is not allowed; what each is found by.
BROKEN_LIBRARY = r"""
void foreign(void); extern void (*pointer)(void); extern int x;
void hook(void) { x++; }
#define SLOW(name) __attribute__((noinline)) void name(void)
static __attribute__((noinline)) void helper(void) { x++; hook(); x++; }
static __attribute__((noinline, cold)) void seldom(void) { x++; foreign(); x++; }
SLOW(sound) { x++; }
SLOW(calls_foreign) { foreign(); x++; }
SLOW(jumps_to_foreign) { x++; foreign(); }
SLOW(calls_pointer) { pointer(); x++; }
SLOW(jumps_to_pointer) { x++; pointer(); }
SLOW(calls_hook) { helper(); x++; }
SLOW(jumps_to_hook) { x++; hook(); }
SLOW(goes_out_of_line) { if (__builtin_expect(x == 5, 0)) seldom(); }
"""
INSTRUMENTATION = ["-pg", "-pg -mfentry", "-finstrument-functions", "-fsanitize-coverage=trace-pc", "-fsanitize=thread"]

# A call or jump, with its target's name, or through a register or memory.
BRANCH = re.compile(r"\s(?:(?:bnd|notrack|data16|rex\.W)\s+)*(?:call|j[a-z]+)q?\s+"
                    r"(?:(?P<indirect>\*)|[0-9a-f]+ <(?P<name>[^>+]+)(?:\+0x[0-9a-f]+)?>)")
RELOCATION = re.compile(r"\sR_X86_64_\w+\s+([\w.@]+?)(?:[-+]0x[0-9a-f]+)?$")
FUNCTION = re.compile(r"^[0-9a-f]+ <([^>]+)>:$")
DECLARED = re.compile(r"/\* The declared slow paths of readers; .*?\n\n", re.DOTALL)


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


def compiled(compiler, flags, text, path):
    source = path + ".source"
    with open(source, "w", encoding="utf-8") as f:
        f.write(text)
    subprocess.run([compiler, *flags.split(), "-x", COMPILERS[compiler], source, "-o", path], check=True,
                   stderr=subprocess.DEVNULL)
    return path


def declared_slow_paths(include):
    """As the headers say."""
    text = ""
    for path in glob.glob(os.path.join(glob.escape(include), "retour", "*.h")):
        with open(path, encoding="utf-8") as f:
            text += "".join(DECLARED.findall(f.read()))
    return set(re.findall(r"(\w+)\(", text))


def reader_problems(code, allowed, unoptimized):
    """What readers refer to and may not."""
    for name in ("rcu", "srcu", "tasks_trace"):
        for part in [p for p in code if p == name or p.startswith((name + ".cold", name + ".part"))]:
            for line in code[part]:
                match = RELOCATION.search(line)
                if match and match[1] not in allowed | DATA and not match[1].startswith("."):
                    yield f"{name} refers to {match[1]}"
                branch = BRANCH.search(line)
                # Without optimization an inlined function calls its argument, which is one of the names above.
                if branch and branch["indirect"] and not unoptimized and "(%rip)" not in line:
                    yield f"{name} calls through a pointer"


def referred(code):
    """All that the readers refer to."""
    return {match[1] for line in itertools.chain(*code.values()) if (match := RELOCATION.search(line))}


def inlined(compiler, flags, text, include, folder):
    """The code of a text with readers."""
    path = compiled(compiler, f"{flags} -I {include} -c", text, os.path.join(folder, "readers.o"))
    return functions(objdump(path, "-r"))


def all_reader_problems(declared, include, folder):
    for compiler in filter(shutil.which, COMPILERS):
        for flags in PLAIN + INSTRUMENTED + ANNOTATED.get(compiler, []):
            allowed = declared | (ANNOTATIONS if "thread" in flags else set())
            code = inlined(compiler, flags, READERS, include, folder)
            for problem in reader_problems(code, allowed, "-O0" in flags):
                yield f"{compiler} {flags}: {problem}"
            if not {"rcu", "srcu", "tasks_trace"} <= set(code) or len(referred(code) & declared) < 4:
                yield f"{compiler} {flags}: the readers were not found"


def undetected_readers(allowed, include, folder):
    for body, variants in BROKEN_READERS:
        for flags in variants:
            text = body if "#include" in body else CALLERS + body
            code = inlined("gcc", flags, text, include, folder)
            if not list(reader_problems(code, allowed, "-O0" in flags)):
                yield f"{flags}: {body.splitlines()[0]}"


def reachable(code, roots):
    """name -> callers' chain"""
    found, todo = {}, [(root, [root]) for root in roots]
    while todo:
        name, chain = todo.pop()
        if name in found:
            continue
        found[name] = chain
        for line in code.get(name, ()):
            match = BRANCH.search(line)
            target = match and (match["name"] or "a call through a pointer")
            if target and target != name:
                todo.append((target, chain + [target]))
    return found


def slow_path_problems(library, roots):
    code = {re.sub(r"@.*", "", name): lines for name, lines in functions(objdump(library)).items() if "@plt" not in name}
    for root in roots - set(code):
        yield f"{root} is not in the library"
    for name, chain in reachable(code, roots & set(code)).items():
        if name in ("hook", "report") or (name not in code and name.partition("@")[0] not in ALLOWED_EXTERNAL):
            yield " -> ".join(chain)


def undetected_libraries(folder):
    """Entry points of the broken library, and instrumentation of it, that are not found."""
    path = os.path.join(folder, "broken.so")
    build = "-O2 -fPIC -shared -fno-inline -fno-ipa-ra -fvisibility=default"
    compiled("gcc", build, BROKEN_LIBRARY, path)
    for name in re.findall(r"^SLOW\((\w+)\)", BROKEN_LIBRARY, re.MULTILINE):
        if bool(list(slow_path_problems(path, {name}))) != (name != "sound"):
            yield name
    for flags in INSTRUMENTATION:
        compiled("gcc", f"{build} {flags}", BROKEN_LIBRARY, path)
        if not list(slow_path_problems(path, {"sound"})):
            yield flags


def main():
    library, include = sys.argv[1:]
    tap = Tap()
    declared = declared_slow_paths(include)
    notrace = {name for name in declared if name.endswith(("_notrace", "_atomic")) or name + "_notrace" not in declared}
    with tempfile.TemporaryDirectory() as folder:
        roots = referred(inlined("gcc", "-O2", READERS, include, folder)) & declared
        tap.check("readers that call something else are found", undetected_readers(roots, include, folder))
        tap.check("slow paths that call something else are found", undetected_libraries(folder))
        tap.check("inlined readers refer to their slow paths and to nothing else",
                  all_reader_problems(roots, include, folder))
        tap.check("the slow paths they refer to are those without hooks", roots - notrace)
    tap.check("slow paths reach no hook point and no foreign code", slow_path_problems(library, roots))
    tap.finish()


if __name__ == "__main__":
    main()
