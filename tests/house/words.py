#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""words.py - every message that a person can see keeps to the rules for plain words.

    words.py SOURCE [--list]

Reads the texts of the C files that go to logs, errors, the command line and the status, and fails on
patterns that readers stumbled over, and on sentences of more than 25 words. --list prints the texts.
"""
import os
import re
import subprocess
import sys

FOLDERS = ("controller", "daemon", "libclient", "proto", "tun2socks")
WORDS_MAX = 25
# What is forbidden, and what to write.
PATTERNS = (
    (re.compile(r"(?<!there )\bis no (?!longer|more\b)"), "'is not a ...', 'there is no ...'"),
    (re.compile(r"\b(be|was|were) had\b"), "'created', 'opened', 'allocated', 'available'"),
    (re.compile(r"\banew\b"), "'again'"),
    (re.compile(r"\bnot let in\b|\bgone on with\b|\bis so\b"), "the plain verb"),
    (re.compile(r"\bto who\b|\bof who\b|\bothers than\b"), "'a client that', 'anyone else'"),
    (re.compile(r"\bnone of it\b|\bnothing was heard\b"), "the noun"),
)
COMMENT = re.compile(r"/\*.*?\*/", re.S)
INCLUDE = re.compile(r"^\s*#\s*include.*$", re.M)
# Literals that follow each other are one text; a macro of a format's width is a part of it.
LITERAL = re.compile(r'"(?:\\.|[^"\\\n])*"(?:\s*(?:PRI\w+|JSON_INTEGER_FORMAT)?\s*"(?:\\.|[^"\\\n])*")*')


def texts_of(path):
    """(line, text) of each literal of two words and more."""
    with open(path, encoding="utf-8") as file:
        code = file.read()
    blank = lambda match: re.sub(r"[^\n]", " ", match.group())
    code = INCLUDE.sub(blank, COMMENT.sub(blank, code))
    for match in LITERAL.finditer(code):
        parts = re.findall(r'"((?:\\.|[^"\\\n])*)"', match.group())
        text = "".join(parts)
        if " " in text.strip() and re.search(r"[a-z]{2}", text):
            yield code.count("\n", 0, match.start()) + 1, text


def sentences_of(text):
    text = re.sub(r"\\[nt]", "\n", text)
    for line in text.split("\n"):
        yield from re.split(r"(?<=[.?!])\s+|;\s+|\s{2,}", line)


def faults_of(text):
    for pattern, instead in PATTERNS:
        found = pattern.search(text)
        if found:
            yield f"'{found.group().strip()}': write {instead}"
    for sentence in sentences_of(text):
        words = len(re.findall(r"[A-Za-z][\w'-]*", sentence))
        if words > WORDS_MAX:
            yield f"{words} words, at most {WORDS_MAX}: {sentence[:60]}..."


def main():
    source = sys.argv[1]
    listing = subprocess.run(["git", "-C", source, "ls-files", *FOLDERS], capture_output=True,
                             text=True, check=False).stdout.split()
    paths = [path for path in listing if path.endswith((".c", ".h"))]
    if not paths:
        print("skipped: not a clone of the repository")
        return 77
    count, failed = 0, 0
    for path in paths:
        for line, text in texts_of(os.path.join(source, path)):
            count += 1
            if "--list" in sys.argv[2:]:
                print(f"{path}:{line}: {text}")
            for fault in faults_of(text):
                print(f"{path}:{line}: {fault}")
                failed += 1
    if count < 500:
        print(f"only {count} texts found")
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
