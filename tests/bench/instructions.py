#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Instructions a datagram of six fixed workloads, counted by callgrind.

bench_instructions runs each workload with two counts of datagrams; the difference is free of
start-up. With --check the figures are compared with those of instructions.json, which is of one
commit, compiler and set of libraries: where those differ the check is skipped (status 77).
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

WORKLOADS = ("one-way-1", "one-way-64", "echo-1", "echo-64", "tun-udp", "tun-tcp")
FEW, MANY = 800, 3200
TOLERANCE_PERCENT = 2
LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.json")
SKIPPED = 77
LIBRARIES = ("libc6", "libev4", "libsodium23")


def environment():
    """What else the figures depend on: compiler and libraries. valgrind shows programs a processor
    of its own, so that the host's plays no part beyond having AVX2."""
    compiler = subprocess.run([os.environ.get("CC", "cc"), "--version"], capture_output=True,
                              text=True).stdout.splitlines()
    found = {"compiler": compiler[0] if compiler else "none", "machine": os.uname().machine}
    for name in LIBRARIES:
        done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name],
                              capture_output=True, text=True)
        found[name] = done.stdout or "none"
    with open("/proc/cpuinfo") as f:
        found["AVX2"] = " avx2 " in f.read()
    return found


def count(program, libraries, workload, datagrams):
    """Instructions inside ev_run() of one run."""
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=ev_run",
               "--callgrind-out-file=/dev/null", program, workload, str(datagrams)]
    path = {"LD_LIBRARY_PATH": libraries} if libraries else {}
    with tempfile.TemporaryDirectory() as folder:  # for valgrind's own files
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder,
                              env={**os.environ, **path, "LC_ALL": "C"})
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        sys.exit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return int(found[1])


def per_datagram(program, libraries, workload):
    few, many = (count(program, libraries, workload, n) for n in (FEW, MANY))
    return (many - few) / (MANY - FEW)


def measure(program, libraries, wanted):
    return {name: per_datagram(program, libraries, name) for name in wanted}


def compare(base, found, tolerance_percent):
    """Print both; the names of those above the tolerance."""
    worse = []
    for name, value in found.items():
        change = (value / base[name] - 1) * 100
        bad = change > tolerance_percent
        worse += [name] if bad else []
        print(f"{name:12} {base[name]:8.0f} {value:8.0f} {change:+6.2f} %{' WORSE' if bad else ''}")
    return worse


def check(found_here, found, tolerance_percent):
    with open(LIST) as f:
        listed = json.load(f)
    other = [f"{key}: {found_here.get(key)}, not {value}"
             for key, value in listed["environment"].items() if found_here.get(key) != value]
    if other:
        print("the list was made elsewhere (" + "; ".join(other) + ")")
        return SKIPPED
    print(f"instructions a datagram: {listed['commit']}, here, change")
    worse = compare(listed["perDatagram"], found(), tolerance_percent)
    if worse:
        print(f"more than {tolerance_percent} % above {LIST}: {', '.join(worse)}")
    return 1 if worse else 0


def write(commit, values):
    with open(LIST, "w") as f:
        json.dump({"commit": commit, "environment": environment(),
                   "perDatagram": {name: round(value, 1) for name, value in values.items()}},
                  f, indent=2)
        f.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", required=True, help="folder of bench_instructions")
    parser.add_argument("--lib", help="folder of the libudptun to count, in place of the build's")
    parser.add_argument("--against", metavar="LIB", help="compare with this other libudptun")
    parser.add_argument("--only", metavar="NAMES", help="workloads, comma-separated")
    parser.add_argument("--check", action="store_true", help="compare with instructions.json")
    parser.add_argument("--write", metavar="COMMIT", help="make that file, of this commit's build")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE_PERCENT, metavar="PERCENT")
    arguments = parser.parse_args()
    program = os.path.abspath(os.path.join(arguments.bin, "bench_instructions"))
    wanted = arguments.only.split(",") if arguments.only else WORKLOADS

    def found():
        return measure(program, arguments.lib, wanted)

    if arguments.check:
        return check(environment(), found, arguments.tolerance)
    if arguments.against:
        print("instructions a datagram: the other, this one, change")
        base = measure(program, arguments.against, wanted)
        return 1 if compare(base, found(), arguments.tolerance) else 0
    values = found()
    for name, value in values.items():
        print(f"{name:12} {value:8.1f}")
    if arguments.write:
        write(arguments.write, values)
    return 0


if __name__ == "__main__":
    sys.exit(main())
