#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Processor time a datagram of two builds of udptund, in interleaved pairs.

Each pair measures both builds right after one another, in an order that alternates. Printed is the
median of the pairs' ratios (new to old) with its 95 % interval, by order statistics, and what that
says of the limit: the interval below it is "kept", above it "LOST", and anything else
"inconclusive". Status 0, 1, 3.
"""
import argparse
import math
import os
import statistics
import sys
import tempfile

import run

KEPT, LOST, INCONCLUSIVE = ("kept", 0), ("LOST", 1), ("inconclusive", 3)
LEAST_PAIRS = 15


class Build(run.Udptund):
    """The daemons of one build, under the load of another folder."""

    def __init__(self, name, bin_dir, tools, work_dir):
        folder = os.path.join(work_dir, name)
        os.mkdir(folder)
        super().__init__(name, bin_dir, folder, run.udp_port())
        self.tools = tools

    def load(self, **options):
        own, self.bin = self.bin, self.tools
        try:
            return super().load(**options)
        finally:
            self.bin = own

    def cpu_us(self, options):
        r = self.load(**options)
        if r["received"] == 0:
            raise RuntimeError(f"{self.name}: nothing arrived")
        return sum(r["cpuNs"]) / 1000 / r["received"]


def interval(values, confidence=0.95):
    """Of the median, without an assumption on the distribution: the k-th lowest and k-th highest
    value, with the largest k for which the binomial tails are small enough."""
    values = sorted(values)
    n = len(values)
    tail, k = 0.0, 0
    while k < n // 2:
        tail += math.comb(n, k) / 2 ** n
        if 2 * tail > 1 - confidence:
            break
        k += 1
    return (values[k - 1], values[n - k]) if k > 0 else (-math.inf, math.inf)


def verdict(low, high, limit):
    if high <= limit:
        return KEPT
    return LOST if low > limit else INCONCLUSIVE


def measure(builds, pairs, options):
    """New to old, of each pair."""
    ratios = []
    for i in range(pairs):
        order = builds if i % 2 == 0 else builds[::-1]
        cpu = {b.name: b.cpu_us(options) for b in order}
        ratios.append(cpu["new"] / cpu["old"])
        print(f"pair {i + 1}: {cpu['old']:.3f} {cpu['new']:.3f} us", file=sys.stderr, flush=True)
    return ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old", help="folder with the one udptund")
    parser.add_argument("new", help="folder with the other, and with bench_load")
    parser.add_argument("--pairs", type=int, default=21)
    parser.add_argument("--seconds", type=float, default=1, help="for each figure")
    parser.add_argument("--flows", type=int, default=1)
    parser.add_argument("--size", type=int, default=1200)
    parser.add_argument("--echo", action="store_true")
    parser.add_argument("--limit", type=float, default=5, metavar="PERCENT", help="of loss")
    arguments = parser.parse_args()
    if arguments.pairs < LEAST_PAIRS:
        parser.error(f"at least {LEAST_PAIRS} pairs")
    options = {"size": arguments.size, "flows": arguments.flows, "echo": arguments.echo,
               "seconds": arguments.seconds, "warmup": 0.2}
    with tempfile.TemporaryDirectory(prefix="udptun-bench-") as work_dir:
        builds = [Build("old", arguments.old, arguments.new, work_dir),
                  Build("new", arguments.new, arguments.new, work_dir)]
        try:
            for b in builds:
                b.start()
                b.wait_until_through()
            ratios = measure(builds, arguments.pairs, options)
        finally:
            for b in builds:
                b.stop()
    low, high = interval(ratios)
    word, status = verdict(low, high, 1 + arguments.limit / 100)
    print(f"CPU a datagram, new to old: median {statistics.median(ratios):.3f}, 95 % interval "
          f"{low:.3f} to {high:.3f}, of {len(ratios)} pairs; a limit of {arguments.limit:g} % more "
          f"is {word}")
    return status


if __name__ == "__main__":
    sys.exit(main())
