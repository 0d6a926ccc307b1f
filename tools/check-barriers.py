#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every barrier has a letter and names its partner: check-barriers.py SOURCE_ROOT PAGE FILES...

PAGE and FILES (patterns) are below SOURCE_ROOT.  Whatever orders more than a
relaxed access does, inline assembly too, stands behind a comment with its
letter, on its statement or directly before it.  At one place at least the comment reads "(A) pairs with
(B), (C): what it orders"; PAGE has one row for each letter, with the same partners.
"""
import glob
import os
import re
import sys

from tap import Tap

LETTER = re.compile(r"(?<!\w)\((\w)\)")
IN_CODE = re.compile(r"\((\w)\) pairs with ((?:\(\w\)(?:, )?)+)")
ROW = re.compile(r"^\| (\w) \| [^|]+ \| [^|]+ \| ([\w, ]+) \|", re.MULTILINE)
ORDERS = re.compile(r"\b(?:__ATOMIC_|memory_order_)(?:CONSUME|ACQUIRE|RELEASE|ACQ_REL|SEQ_CST|consume|acquire|release|"
                    r"acq_rel|seq_cst)\b|\b__sync_\w+|\b(?:full_fence|fence_after_atomic|membarrier_all|retour_barrier)\(\)")
# Inline assembly orders if the compiler may keep nothing in registers over it, or by one of these instructions,
# which may also be the argument of a macro that is inline assembly.
ASM = re.compile(r"\b(?:__asm__|__asm|asm)\b")
INSTRUCTION = (r"(?:[lms]fence|lock|xchg\w*|dmb|dsb|isb|stlx?r\w*|lda[px]?r\w*|"
               r"(?:cas|swp|ld(?:add|clr|eor|set)|st(?:add|clr|eor|set))(?:a|l|al)[bh]?)")
ASM_ORDERS = re.compile(rf'"memory"|"(?:[^"\n]*(?:\\[nt]|[; ]))?{INSTRUCTION}(?:[ ;"]|\\)')
ARGUMENT_ORDERS = re.compile(rf'\(\s*"{INSTRUCTION}"')
# What defines or wraps an ordering has none of its own: who calls it has.  So with system calls, and with pauses.
WRAPPER = re.compile(r"#define retour_barrier\(\)|\b(?:full_fence|fence_after_atomic|membarrier_all|cpu_relax)\(void\)|"
                     r"\bsys_call\(long nr,")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
# Ends a statement or begins a block; a line of a macro goes on.
ENDS = re.compile(r"(?:[;{}:]|^)\s*$")


def blank(text):
    """The same number of lines without comments."""
    return COMMENT.sub(lambda c: "\n" * c[0].count("\n"), text)


def wrapper_lines(code):
    """The numbers of the lines of the functions and macros that are orderings themselves."""
    inside, lines = False, set()
    for i, line in enumerate(code):
        if WRAPPER.search(line) and not line.endswith(";"):
            inside = "#define" not in line
            lines.add(i)
        elif inside:
            lines.add(i)
            inside = line != "}"
    return lines


def comment_above(lines, i):
    """The comment that ends on the line before line i, with the lines it begins on."""
    text = ""
    if i > 0 and lines[i - 1].rstrip().endswith("*/"):
        while i > 0:
            i -= 1
            text = lines[i] + text
            if "/*" in lines[i]:
                break
    return text


def statement_start(code, i):
    while i > 0 and not ENDS.search(code[i - 1]) and not code[i].startswith("#"):
        i -= 1
    return i


def asm_end(code, i):
    """The line on which the inline assembly that begins on line i ends."""
    depth = 0
    for end in range(i, len(code)):
        text = re.sub(r'"(?:\\.|[^"\\])*"', "", code[end])
        depth += text.count("(") - text.count(")")
        if depth <= 0 and (end > i or "(" in text):
            return end
    return len(code) - 1


def orderings(code):
    """First and last lines of what orders."""
    for i, line in enumerate(code):
        if ORDERS.search(line) or ARGUMENT_ORDERS.search(line):
            yield i, i
        elif ASM.search(line) and ASM_ORDERS.search("\n".join(code[i:asm_end(code, i) + 1])):
            yield i, asm_end(code, i)


def unlettered(text):
    """Numbers and text of lines that order without a letter."""
    lines, code = text.split("\n"), blank(text).split("\n")
    wrappers = wrapper_lines(code)
    for i, end in orderings(code):
        if i in wrappers:
            continue
        start = statement_start(code, i)
        if not LETTER.search(comment_above(lines, start)) and \
                not any(LETTER.search(c) for c in COMMENT.findall("\n".join(lines[start:end + 1]))):
            yield i + 1, code[i].strip()


def problems(page, files):
    """What the check finds: name of the test -> problems.  files: path -> text."""
    page = {letter: set(re.findall(r"\w", partners)) for letter, partners in ROW.findall(page)}
    code, used = {}, {}
    for path, text in files.items():
        for letter, partners in IN_CODE.findall(text):
            code.setdefault(letter, set()).update(LETTER.findall(partners))
        for comment in COMMENT.findall(text):
            for letter in LETTER.findall(comment):
                used.setdefault(letter, path)
    return {
        "a letter stands for one row of the page":
            [f"({l}) of {used[l]}" for l in sorted(used) if l not in page],
        "a row of the page stands for a barrier of the code":
            [f"({l})" for l in sorted(page) if l not in code],
        "code and page name the same partners":
            [f"({l}): code {sorted(code[l])}, page {sorted(page[l])}" for l in sorted(code.keys() & page.keys())
             if code[l] != page[l]],
        "partners name each other":
            [f"({a}) names ({b})" for a in sorted(page) for b in sorted(page[a]) if a not in page.get(b, ())],
        "what orders has a letter":
            [f"{path}:{at}: {line}" for path, text in files.items() for at, line in unlettered(text)],
    }


# Each is found by the test of that name and by no other.
SOUND_PAGE = "| A | here | fence | B | a |\n| B | there | acquire | A | b |\n"
SOUND = "/* (A) pairs with (B): a. */\nfull_fence();\n/* (B) pairs with (A): b. */\nx = load(p,\n\t__ATOMIC_ACQUIRE);\n"
SOUND_STATEMENTS = ["", '__asm__("addq %1, %0" : "+r"(x) : "r"(y) : "cc");\n', 'report("unlock without lock");\n',
                    '__asm__("" ::: "memory");\t/* (A) */\n', '/* (B) */\nINCREMENT("ldar")\n']
BROKEN = [
    ("a letter stands for one row of the page", SOUND_PAGE, SOUND + "y = 1;\t/* (Z) */\n"),
    ("a row of the page stands for a barrier of the code", SOUND_PAGE + "| C | nowhere | fence | C | c |\n", SOUND),
    ("code and page name the same partners", SOUND_PAGE, SOUND.replace("with (B)", "with (A), (B)")),
    ("partners name each other", SOUND_PAGE.replace("| A | b", "| B | b"), SOUND.replace("with (A)", "with (B)")),
    *(("what orders has a letter", SOUND_PAGE, SOUND + statement) for statement in (
        "full_fence();\n", "retour_barrier();\n", "\tmembarrier_all();\n", "__sync_synchronize();\n",
        "/* (A) */\n\nfull_fence();\n", "/* A comment. */\nstore(p, __ATOMIC_RELEASE);\n",
        "while (swap(p,\n\t     __ATOMIC_SEQ_CST))\n\t;\n", "atomic_thread_fence(memory_order_acq_rel);\n",
        "#define get(p) __atomic_load_n(p, __ATOMIC_CONSUME)\n", "#define set(p) \\\n\tstore(p, __ATOMIC_RELEASE)\n",
        "static inline void fence(void)\n{\n\t__atomic_thread_fence(__ATOMIC_SEQ_CST);\n}\n",
        '__asm__ volatile("" ::: "memory");\n', '__asm__ volatile("addq $1, %0"\n\t: "+m"(x)\n\t:\n\t: "memory");\n',
        'asm("mfence");\n', 'asm volatile("nop\\n\\tlock; incl %0" : "+m"(x));\n', '__asm__("ldr x1, [x0]\\n\\tdmb ish");\n',
        '__asm__ goto("1: ldaxr x1, [x0]" :::: out);\n', "INCREMENT(\"stlr\")\n",
        '#define INCREMENT(store) \\\n\t__asm__(store " x1, [x0]" \\\n\t\t::: "memory");\n')),
]


def check_itself():
    """Broken samples that are not found, or not as what they are."""
    for statement in SOUND_STATEMENTS:
        if any(problems(SOUND_PAGE, {"a.c": SOUND + statement}).values()):
            yield f"{statement!r} has problems"
    for name, page, code in BROKEN:
        found = [test for test, p in problems(page, {"a.c": code}).items() if p]
        if found != [name]:
            yield f"{code[len(SOUND):]!r} breaks {found}, not {name!r}"


def main():
    root, page, patterns, tap = sys.argv[1], sys.argv[2], sys.argv[3:], Tap()
    paths = sorted(p for pattern in patterns for p in glob.glob(os.path.join(glob.escape(root), pattern)))
    files = {}
    for path in paths:
        with open(path, encoding="utf-8") as f:
            files[os.path.relpath(path, root)] = f.read()
    with open(os.path.join(root, page), encoding="utf-8") as f:
        found = problems(f.read(), files)
    tap.check("broken samples are found", check_itself())
    tap.check("there are files to check", [] if files else [" ".join(patterns)])
    for name, what in found.items():
        tap.check(name, what)
    tap.finish()


if __name__ == "__main__":
    main()
