#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""abi.py - sizes of the public structs and values of the public enumerators, against tests/house/abi.txt.

    abi.py CC SOURCE [--write]

A program that was compiled with older headers runs with a newer library only while these stay: a struct that begins
with its size may grow, all else may not change. The lists of symbols are beside the libraries (*.symbols). --write
writes the list, for a change that is meant. The sizes are those of 64-bit systems; elsewhere it is skipped.
"""
import os
import re
import subprocess
import sys
import tempfile

HEADERS = ("client", "client_value", "endpoint", "engine", "error", "loop", "machine", "status", "tun2socks", "types")
FOLDERS = ("daemon/engine/include", "daemon/platform/include", "libclient/include", "proto/include")
SKIPPED = 77


def preprocessed(compiler, includes, program):
    run = subprocess.run([*compiler, *includes, "-E", "-"], input=program, capture_output=True, text=True, check=True)
    ours, text = False, []
    for line in run.stdout.split("\n"):
        mark = re.match(r'# \d+ "([^"]+)"', line)
        if mark:
            ours = "/udptun/" in mark[1]
        elif ours:
            text.append(line)
    return "\n".join(text)


def names_of(text):
    structs = sorted(set(re.findall(r"\bstruct\s+(\w+)\s*\{", text)))
    values = set()
    for body in re.findall(r"\benum\s*\w*\s*\{(.*?)\}", text, re.S):
        values.update(re.findall(r"(?:^|,)\s*([A-Za-z_]\w*)", body))
    return structs, sorted(values)


def listing(compiler, source):
    includes = [f"-I{os.path.join(source, folder)}" for folder in FOLDERS]
    program = "#include <stdio.h>\n" + "".join(f"#include <udptun/{header}.h>\n" for header in HEADERS)
    structs, values = names_of(preprocessed(compiler, includes, program))
    if len(structs) < 20 or len(values) < 50:
        sys.exit(f"only {len(structs)} structs and {len(values)} values found")
    program += 'int main(void)\n{\n    if (sizeof(void *) != 8)\n        return 77;\n'
    program += "".join(f'    printf("struct {s} %zu\\n", sizeof(struct {s}));\n' for s in structs)
    program += "".join(f'    printf("{v} %lld\\n", (long long){v});\n' for v in values)
    program += "    return 0;\n}\n"
    with tempfile.TemporaryDirectory() as folder:
        binary = os.path.join(folder, "abi")
        subprocess.run([*compiler, "-x", "c", *includes, "-o", binary, "-"], input=program, text=True, check=True)
        run = subprocess.run([binary], capture_output=True, text=True, check=False)
    if run.returncode == SKIPPED:
        print("skipped: not a 64-bit system")
        sys.exit(SKIPPED)
    return run.stdout


def main():
    compiler, source = sys.argv[1].split(), sys.argv[2]
    path = os.path.join(source, "tests/house/abi.txt")
    now = listing(compiler, source)
    if "--write" in sys.argv[3:]:
        with open(path, "w", encoding="ascii") as file:
            file.write(now)
        return 0
    with open(path, encoding="ascii") as file:
        then = file.read()
    old, new = (dict(line.rsplit(" ", 1) for line in text.splitlines()) for text in (then, now))
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            print(f"{name}: {old.get(name, 'absent')} in tests/house/abi.txt, {new.get(name, 'absent')} now")
    return 0 if old == new else 1


if __name__ == "__main__":
    sys.exit(main())
