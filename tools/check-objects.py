#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Gates on what the linker sees: check-objects.py BUILD_ROOT

Layers use only lower layers, objects form no cycle, library layers neither
print nor exit, and main.o defines nothing but main.
"""
import glob
import os
import subprocess
import sys

import layercheck
from tap import Tap

LAYERS = ["base", "rcu", "elf", "perfdata", "unwind", "runtime", "bpf", "collect", "symbol", "profile", "export", "cli"]
# What only cli/ may do.  fprintf() and putc() to a stream of the caller's are no printing: stdout and stderr are.
FORBIDDEN = {"exit", "_exit", "_Exit", "quick_exit", "abort", "__assert_fail", "printf", "vprintf", "puts",
             "putchar", "perror", "__printf_chk", "__vprintf_chk", "stdout", "stderr", "err", "errx", "warn", "warnx"}


def undefined(obj):
    return {name for name, kind in layercheck.symbols(obj) if kind in layercheck.UNDEFINED}


def main():
    build, tap = sys.argv[1], Tap()
    objects = {layer: sorted(glob.glob(os.path.join(glob.escape(build), "src", layer, "**", "*.c.o"), recursive=True))
               for layer in LAYERS}
    # What is preloaded defines libc's functions anew: those who call them do not use it.
    objects = {layer: [o for o in objs if ".so.p/" not in o] for layer, objs in objects.items()}
    every = [o for objs in objects.values() for o in objs]
    layer_of = {o: layer for layer, objs in objects.items() for o in objs}
    short = lambda o: os.path.relpath(o, build)
    uses = layercheck.edges(every, layer_of.get)
    tap.check("a layer uses only the layers below it",
              (f"{user} uses {used}: {', '.join(sorted(names)[:5])}" for (user, used), names in sorted(uses.items())
               if LAYERS.index(used) > LAYERS.index(user)))
    tap.check("no two objects need each other",
              (" ".join(c) for c in layercheck.cycles(map(short, every), layercheck.edges(every, short))))
    tap.check("library layers never print, exit or abort",
              (f"{short(o)}: {', '.join(sorted(bad))}" for layer in LAYERS[:-1] for o in objects[layer]
               if (bad := undefined(o) & FORBIDDEN)))
    main_object = os.path.join(build, "retour.p", "src_cli_main.c.o")
    tap.check("main defines nothing that others need",
              (name for name, kind in layercheck.symbols(main_object)
               if kind in layercheck.DEFINED and name != "main"))
    tap.finish()


if __name__ == "__main__":
    main()
