#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Joins the page's parts and writes them as C: what stands before the data, and after.

usage: embed.py PAGE.html STYLE.css SCRIPT.js OUTPUT.c
"""
import sys


def c_bytes(name, text):
    data = text.encode()
    lines = (data[i:i + 24] for i in range(0, len(data), 24))
    body = "".join("\t" + ",".join(str(b) for b in line) + ",\n" for line in lines)
    return f"const unsigned char {name}[] = {{\n{body}}};\nconst size_t {name}_size = sizeof({name});\n"


def main(page, style, script, output):
    html, css, js = (open(path, encoding="utf-8").read() for path in (page, style, script))
    html = html.replace("@CSS@", css.strip()).replace("@JS@", js.strip())
    before, after = html.split("@DATA@")
    with open(output, "w", encoding="utf-8") as out:
        out.write('#include "export/page.h"\n\n')
        out.write(c_bytes("page_before_data", before))
        out.write(c_bytes("page_after_data", after))


main(*sys.argv[1:])
