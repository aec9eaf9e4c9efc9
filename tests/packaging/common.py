# SPDX-License-Identifier: Apache-2.0
"""common.py - the build under test, a place to install it into, and the harness of tests/daemon."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "daemon"))

BUILD = os.environ.get("UDPTUN_BUILD", os.path.join(ROOT, "build"))
os.environ.setdefault("UDPTUND", os.path.join(BUILD, "bin", "udptund"))
PREFIX = os.environ.get("UDPTUN_PREFIX", "/usr/local")
DEADLINE_S = 120


def source(*path):
    return os.path.join(ROOT, *path)


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def run(*command, env=None, **options):
    """What it printed; an error with all that it said if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=DEADLINE_S, env=dict(os.environ, **(env or {})), **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


def install(into):
    """`cmake --install` below `into`."""
    run(os.environ.get("CMAKE", "cmake"), "--install", BUILD, env={"DESTDIR": into})
