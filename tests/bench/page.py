# SPDX-License-Identifier: Apache-2.0
"""page.py - a page of docs that several benchmarks write: each its section, between two marks.

The rest of the page, if anybody's, belongs to run.py.
"""
import os
import re

SECTIONS = ("control", "latency")  # in this order when they are new


def marked(name, text):
    return f"<!-- {name}: begin -->\n{text.strip()}\n<!-- {name}: end -->\n"


def find(name, text):
    return re.search(f"<!-- {name}: begin -->\n.*?<!-- {name}: end -->\n", text, re.S)


def read(path):
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def write_rest(path, text):
    """All but the sections, which stay."""
    old = read(path)
    kept = [found.group(0) for found in (find(name, old) for name in SECTIONS) if found]
    write(path, "\n".join([text.rstrip() + "\n", *kept]))


def write_section(path, name, text):
    """Replace the section in the page, or add it at its end."""
    old = read(path) or "# Benchmarks\n"
    found = find(name, old)
    write(path, old[:found.start()] + marked(name, text) + old[found.end():] if found else
          old.rstrip() + "\n\n" + marked(name, text))
