#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check link-level layering of a C tree from its object files.

An include graph hides cycles: a .c file may call a function whose header it
got through a third header, and "one big internal.h" hides everything.  This
reads the *symbols* instead, so it sees what the linker sees.

  layercheck.py OBJ...                       report symbol cycles per object
  layercheck.py --layers base:elf:unwind OBJ...
        OBJ paths must contain a directory with the layer's name.  A layer may
        use itself and the layers written to its left; anything else fails.

Exit status: 0 clean, 1 a cycle (or an upward edge), 2 usage.
"""
import argparse, os, subprocess, sys
from collections import defaultdict

DEFINED, UNDEFINED = set("TDBRVWGSC"), set("Uwv")


def symbols(obj):
    out = subprocess.run(["nm", "-P", obj], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        f = line.split()
        if len(f) >= 2:
            yield f[0], f[1]


def edges(objs, name_of):
    defs, need = {}, defaultdict(set)
    for o in objs:
        for sym, kind in symbols(o):
            if kind in DEFINED:
                defs.setdefault(sym, name_of(o))
            elif kind in UNDEFINED:
                need[name_of(o)].add(sym)
    why = defaultdict(set)
    for n, syms in need.items():
        for s in syms:
            if s in defs and defs[s] != n:
                why[n, defs[s]].add(s)
    return why


def cycles(nodes, why):
    """Strongly connected components with more than one node (iterative Tarjan)."""
    graph = defaultdict(set)
    for a, b in why:
        graph[a].add(b)
    index, low, stack, on, out = {}, {}, [], set(), []
    for root in sorted(nodes):
        if root in index:
            continue
        work = [(root, iter(sorted(graph[root])))]
        index[root] = low[root] = len(index); stack.append(root); on.add(root)
        while work:
            v, it = work[-1]
            w = next(it, None)
            if w is not None:
                if w not in index:
                    index[w] = low[w] = len(index); stack.append(w); on.add(w)
                    work.append((w, iter(sorted(graph[w]))))
                elif w in on:
                    low[v] = min(low[v], index[w])
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[v])
            if low[v] == index[v]:
                comp = []
                while True:
                    w = stack.pop(); on.discard(w); comp.append(w)
                    if w == v:
                        break
                if len(comp) > 1:
                    out.append(sorted(comp))
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--layers", help="layers from the bottom up, separated by ':'")
    ap.add_argument("objs", nargs="+")
    a = ap.parse_args()
    if a.layers:
        order = {l: i for i, l in enumerate(a.layers.split(":"))}
        def layer(o):
            for part in reversed(os.path.dirname(o).split(os.sep)):
                if part in order:
                    return part
            sys.exit(f"layercheck: {o} is in no known layer")
        bad = [(x, y, s) for (x, y), s in sorted(edges(a.objs, layer).items()) if order[y] > order[x]]
        for x, y, s in bad:
            print(f"{x} may not use {y}: {', '.join(sorted(s)[:5])}")
        return 1 if bad else 0
    name = lambda o: os.path.relpath(o)
    why = edges(a.objs, name)
    found = cycles({name(o) for o in a.objs}, why)
    for comp in found:
        print("cycle:", " ".join(comp))
        for (x, y), s in sorted(why.items()):
            if x in comp and y in comp:
                print(f"   {x} -> {y}: {', '.join(sorted(s)[:4])}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
