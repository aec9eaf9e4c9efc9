#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No frame costs more than ten times what a datagram costs, in instructions (callgrind).

bench_frame_cost hands a udp-server machine one kind of frame, many times, behind a session with
thousands of flows, announcements and ends and all its legs. A datagram's cost is half of what bench_instructions
counts for one from end to end, system calls left out. Prints a line for each kind and fails if one is
above the limit.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

import instructions

KINDS = ("open-again", "close", "close-unknown", "closed-backwards", "announce", "retire", "ack-33-legs",
         "ping", "settings", "clock")
FRAMES = 1000
MOST_TIMES = 10


def cost(program, kind):
    """Instructions a frame."""
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=measured",
               "--callgrind-out-file=/dev/null", program, kind, str(FRAMES)]
    with tempfile.TemporaryDirectory() as folder:  # for valgrind's own files
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder,
                              env={**os.environ, "LC_ALL": "C"})
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found or int(found[1]) == 0:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr[-2000:]}")
    return int(found[1]) / FRAMES


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", required=True, help="folder of bench_frame_cost")
    folder = os.path.abspath(parser.parse_args().bin)
    program = os.path.join(folder, "bench_frame_cost")
    whole = os.path.join(folder, "bench_instructions")
    datagram = instructions.per_datagram(whole, None, "one-way-1") / 2
    print(f"{'datagram':18} {datagram:8.0f}, of these {cost(program, 'datagram'):.0f} in the machine")
    bad = []
    for kind in KINDS:
        each = cost(program, kind)
        times = each / datagram
        print(f"{kind:18} {each:8.0f} {times:6.1f} times")
        if times > MOST_TIMES:
            bad.append(kind)
    if bad:
        print(f"more than {MOST_TIMES} times a datagram: {', '.join(bad)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
