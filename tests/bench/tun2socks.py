#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of tun2socks.

    tests/bench/tun2socks.py [--bin FOLDER] [--rounds N] [--seconds S] [--write FILE]

TCP through a TUN device to a SOCKS5 sink, against the same sink without the device; idle flows:
their memory, and a bulk flow beside them. UDP through a TUN device and a tunnel, against the plain
relay (run.py) that has no device; idle bindings likewise. Subjects take turns within one run.

Root is needed. Everything is in a network namespace of its own, on one machine. BADVPN=PATH of a
badvpn-tun2socks lets it take part in TCP.
"""
import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import plots
import run
from tun2socks_subjects import BADVPN_TARGET, PROXY, PROXY_PORT, TARGET, TcpSide, TunAndTunnel

TCP_CASES = [(direction, flows) for flows in (1, 4) for direction in ("up", "down")]
UDP_CASES = [(run.ONE_WAY, 1200, 1), (run.ONE_WAY, 1200, 64), (run.ECHO, 1200, 1)]


class Report:
    def __init__(self):
        self.lines, self.goals = [], []
        self.data = {"tcp": [], "udp": []}  # of the plots

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line + "\n")

    def table(self, *heads):
        self.say("| " + " | ".join(heads) + " |")
        self.say("| --- " * len(heads) + "|")

    def row(self, *cells):
        self.say("| " + " | ".join(cells) + " |")

    def goal(self, what, value, is_reached):
        self.goals.append((what, value, "reached" if is_reached else "missed"))


def spread(values, digits=0):
    return (f"{statistics.median(values):.{digits}f} "
            f"({min(values):.{digits}f} to {max(values):.{digits}f})")


# ---- TCP ----------------------------------------------------------------------------------------

def tcp_subjects():
    yield "sink alone", (PROXY, PROXY_PORT, "socks")
    yield "tun2socks", (TARGET, 80)
    if os.environ.get("BADVPN"):
        yield "badvpn", (BADVPN_TARGET, 80)


def tcp_idle(report, side, options):
    """First of all: the daemon's heap has nothing of bulk flows that idle ones could reuse."""
    count, memory, ratios, beside, alone = options.idle, None, [], [], []
    before = side.resident_bytes()
    for _ in range(options.rounds):
        holder = side.hold_open((TARGET, 80), count)
        memory = memory or (side.resident_bytes() - before) / count / 1024
        beside.append(side.measure((TARGET, 80), "down", 1, options.seconds))
        holder.stdin.close()
        holder.wait()
        side.wait(lambda: not side.status()["tcpFlows"])
        alone.append(side.measure((TARGET, 80), "down", 1, options.seconds))
        ratios.append(beside[-1] / alone[-1])
    ratio = statistics.median(ratios)
    report.say("## Idle TCP flows\n")
    report.table("idle flows", "the daemon's memory, each", "a bulk flow beside them, Mbit/s",
                 "alone, Mbit/s", "beside / alone")
    report.row(str(count), f"{memory:.2f} KiB", spread(beside), spread(alone), spread(ratios, 2))
    report.say()
    report.goal("memory of an idle TCP flow: under 12 KiB", f"{memory:.2f} KiB", memory < 12)
    report.goal(f"a bulk flow beside {count} idle ones: above 0.9 × of what it is alone",
                f"{ratio:.2f} ×", ratio > 0.9)


def tcp_throughput(report, side, options):
    subjects = list(tcp_subjects())
    names = [name for name, _ in subjects]
    report.say("## TCP\n")
    report.say(plots.figure("tun2socks-tcp", "TCP through a TUN device and tun2socks") + "\n")
    report.table("", *(f"{name}, Mbit/s" for name in names), "tun2socks / alone")
    got = {case: {name: [] for name in names} for case in TCP_CASES}
    for i in range(options.rounds):
        turn = i % len(subjects)
        for direction, flows in TCP_CASES:
            for name, where in subjects[turn:] + subjects[:turn]:
                got[direction, flows][name].append(
                    side.measure(where, direction, flows, options.seconds))
    for (direction, flows), of in got.items():
        ratios = [a / b for a, b in zip(of["tun2socks"], of["sink alone"])]
        report.row(f"{direction}, {flows} flow{'s' * (flows > 1)}",
                   *(spread(of[name]) for name in names), spread(ratios, 2))
        report.data["tcp"].append({
            "case": f"{direction}, {flows} flow{'s' * (flows > 1)}",
            "mbit": {name: round(statistics.median(of[name])) for name in names}})
        if flows == 1:
            ratio = statistics.median(ratios)
            report.goal(f"TCP {direction}, 1 flow: at least 0.35 × the sink alone",
                        f"{ratio:.2f} ×", ratio >= 0.35)
    report.say()


# ---- UDP ----------------------------------------------------------------------------------------

def udp_throughput(report, relay, tunnel, subject, options):
    subjects = [relay, tunnel, subject]
    report.say("## UDP\n")
    report.say(plots.figure("tun2socks-udp", "CPU for a datagram against the plain relay") + "\n")
    report.table("", "way", "packets/s", "lost", "CPU µs/packet, both ends", "near + far",
                 "CPU / plain relay")
    results = {case: {s.name: [] for s in subjects} for case in UDP_CASES}
    for i in range(options.rounds):
        turn = i % len(subjects)
        for case in UDP_CASES:
            for s in subjects[turn:] + subjects[:turn]:
                results[case][s.name].append(run.measure(s, case, options.seconds))
    for (direction, size, flows), of in results.items():
        report.data["udp"].append({
            "case": f"{direction}, {size} bytes, {flows} flow{'s' * (flows > 1)}",
            "cpuVsRelay": {s.name: round(run.median_ratio(of[s.name], of[relay.name], "cpu"), 3)
                           for s in (tunnel, subject)}})
        for name, m in of.items():
            ratios = [a["cpu"] / b["cpu"] for a, b in zip(m, of[relay.name])]
            ends = [statistics.median(x["ends"][k] for x in m) for k in range(2)]
            report.row(f"{direction}, {size} bytes, {flows} flow{'s' * (flows > 1)}", name,
                       spread(run.column(m, "pps")),
                       f"{100 * statistics.median(run.column(m, 'loss')):.2f} %",
                       spread(run.column(m, "cpu"), 2), " + ".join(f"{e:.2f}" for e in ends),
                       spread(ratios, 2))
            if name == subject.name and (direction, flows) == (run.ONE_WAY, 1):
                ratio = statistics.median(ratios)
                report.goal("UDP, 1200 bytes one way, through TUN and tunnel: CPU at most 0.75 × "
                            "the plain relay's", f"{ratio:.2f} ×", ratio <= 0.75)
    report.say()


def udp_bindings(report, subject, options):
    """A fresh pair of daemons. That of the near end holds the binding and the tunnel's own flow."""
    count = options.bindings
    case = UDP_CASES[0]
    alone = [run.measure(subject, case, options.seconds)["cpu"] for _ in range(options.rounds)]
    rest = run.resident_kib(subject.processes[0].pid)
    opened = subject.load(size=64, flows=count, each=2, echo=True)
    full = run.resident_kib(subject.processes[0].pid)
    beside = [run.measure(subject, case, options.seconds)["cpu"] for _ in range(options.rounds)]
    bindings = subject.status()["udpFlows"]
    each = (full - rest) / count
    report.say("## Idle UDP bindings\n")
    report.table("bindings", "lost on the way", "the daemon's memory, each (with the tunnel's flow)",
                 "a bulk flow beside them, CPU µs/packet", "alone, CPU µs/packet")
    report.row(str(bindings), str(opened["lost"]), f"{each:.2f} KiB", spread(beside, 2),
               spread(alone, 2))
    report.say()
    report.goal("memory of a UDP binding: under 1 KiB", f"{each:.2f} KiB", each < 1)


# ---- all of it ----------------------------------------------------------------------------------

def measure_tcp(report, options, work):
    side = TcpSide(options.bin, work, options.idle)
    try:
        side.start(os.environ.get("BADVPN"))
        tcp_idle(report, side, options)
        tcp_throughput(report, side, options)
    finally:
        side.stop()


def measure_udp(report, options, work):
    sink = run.udp_port()
    relay, tunnel = (kind(name, options.bin, work, sink) for kind, name in (
        (run.Relay, "plain relay"), (run.Udptund, "udptund without TUN")))
    subject = TunAndTunnel("TUN and tunnel", options.bin, work, sink)
    try:
        for s in (relay, tunnel, subject):
            s.start()
            s.wait_until_through()
        udp_throughput(report, relay, tunnel, subject, options)
        subject.stop()
        subject.start()
        subject.wait_until_through()
        udp_bindings(report, subject, options)
    finally:
        for s in (relay, tunnel, subject):
            s.stop()


def enter_namespace():
    """This script once more, in a network namespace that ends with it."""
    if os.environ.get("UDPTUN_BENCH_NAMESPACE") != "1":
        os.environ["UDPTUN_BENCH_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # The idle flows of each round keep their ports for a minute after they have ended.
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as f:
        f.write("1024 65535")


def main():
    parser = argparse.ArgumentParser(description="The benchmark of tun2socks.")
    parser.add_argument("--bin", default="build/bin")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--idle", type=int, default=5000, help="TCP flows")
    parser.add_argument("--bindings", type=int, default=10000)
    parser.add_argument("--only", choices=("tcp", "udp"))
    parser.add_argument("--write", metavar="FILE", help="write the page there as well")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("needs root (a network namespace and a TUN device)")
    enter_namespace()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    report = Report()
    began, load = time.monotonic(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="udptun-bench-") as work:
        if options.only != "udp":
            measure_tcp(report, options, work)
        if options.only != "tcp":
            measure_udp(report, options, work)
    facts = [line + "\n" for line in run.machine_facts()]
    page = ["# Benchmark of tun2socks\n", "\n",
            "Written by `cmake --build build --target bench_tun2socks` (tests/bench/tun2socks.py), as "
            "root: medians, and least to\nmost, of "
            f"{options.rounds} rounds of {options.seconds:g} s, subjects in turns; ratios are those "
            "of rounds. "
            f"{os.cpu_count()} processors for app,\ndaemon and sink together; load {load:.1f} at the "
            f"start; {time.monotonic() - began:.0f} s in all.\n", "\n", *facts, "\n",
            "| goal | measured | |\n", "| --- | --- | --- |\n",
            *(f"| {what} | {value} | {word} |\n" for what, value, word in report.goals), "\n",
            *report.lines]
    print("".join(f"{what}: {value}, {word}\n" for what, value, word in report.goals))
    if options.write:
        with open(options.write, "w", encoding="utf-8") as file:
            file.write("".join(page).rstrip() + "\n")
        plots.publish(options.write, "tun2socks", report.data)


if __name__ == "__main__":
    main()
