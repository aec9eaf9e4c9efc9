#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of tun2socks: TCP through a TUN device to a SOCKS5 sink, against the same sink
without the device, in turns; idle flows: their memory, and a bulk flow beside them.

    tests/bench/tun2socks.py --bin FOLDER [--rounds N] [--seconds S] [--idle N]

Root is needed. Everything is in a network namespace of its own, on one machine. BADVPN=PATH of a
badvpn-tun2socks lets it take part.
"""
import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PROXY, TARGET, BADVPN_TARGET = "10.200.0.1", "198.51.100.9", "198.51.100.130"
PORT = 1080


class Bench:
    def __init__(self, options):
        self.options = options
        self.name = f"udptun-bench-{os.getpid()}"
        self.folder = tempfile.mkdtemp(prefix="udptun-bench-")
        self.programs = []
        self.report = []
        resource.setrlimit(resource.RLIMIT_NOFILE,
                           (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

    def say(self, line=""):
        print(line, flush=True)
        self.report.append(line + "\n")

    def ip(self, *words):
        subprocess.run(["ip", *words], check=True)

    def run(self, *command, **more):
        """Start a program in the namespace."""
        program = subprocess.Popen(["ip", "netns", "exec", self.name, *command], **more)
        self.programs.append(program)
        return program

    def stream(self, *words):
        return [os.path.join(self.options.bin, "bench_stream"), *map(str, words)]

    def start(self):
        self.ip("netns", "add", self.name)
        self.ip("-n", self.name, "link", "set", "lo", "up")
        self.ip("-n", self.name, "addr", "add", f"{PROXY}/32", "dev", "lo")
        self.run(*self.stream("sink", PROXY, PORT))
        self.socket = os.path.join(self.folder, "control.sock")
        self.daemon = self.run(os.path.join(self.options.bin, "udptund"), "--no-state", "--socket",
                               self.socket, stderr=subprocess.DEVNULL)
        self.wait(lambda: os.path.exists(self.socket))
        self.call("configureTun2socks", {
            "name": "bench", "device": "tun:tun0", "address": "10.85.0.1/24",
            "tcp": f"socks5://{PROXY}:{PORT}", "udp": "reject",
            "maxTcpFlows": self.options.idle + 100})
        self.ip("-n", self.name, "route", "add", "198.51.100.0/25", "dev", "tun0")
        badvpn = os.environ.get("BADVPN")
        if badvpn:
            self.ip("-n", self.name, "tuntap", "add", "dev", "tun1", "mode", "tun")
            self.ip("-n", self.name, "addr", "add", "10.86.0.1/24", "dev", "tun1")
            self.ip("-n", self.name, "link", "set", "tun1", "up")
            self.ip("-n", self.name, "route", "add", "198.51.100.128/25", "dev", "tun1")
            self.run(badvpn, "--tundev", "tun1", "--netif-ipaddr", "10.86.0.2", "--netif-netmask",
                     "255.255.255.0", "--socks-server-addr", f"{PROXY}:{PORT}", "--loglevel",
                     "error")
            time.sleep(1)

    def wait(self, condition):
        end = time.monotonic() + 20
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("waited 20 s")
            time.sleep(0.05)

    def call(self, action, parameters):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.socket)
            s.sendall(json.dumps({"action": action, "parameters": parameters}).encode())
            reply = json.loads(s.makefile().readline())
        if reply["statusCode"]:
            raise RuntimeError(reply)
        return reply.get("returnValue")

    def subjects(self):
        yield "sink alone", (PROXY, "socks")
        yield "tun2socks", (TARGET,)
        if os.environ.get("BADVPN"):
            yield "badvpn", (BADVPN_TARGET,)

    def measure(self, where, direction, flows):
        """Mbit/s."""
        address, *socks = where
        port = PORT if socks else 80
        done = subprocess.run(
            ["ip", "netns", "exec", self.name,
             *self.stream("load", address, port, direction, flows, self.options.seconds, *socks)],
            capture_output=True, text=True, check=True, timeout=60)
        return float(done.stdout)

    def resident_bytes(self):
        with open(f"/proc/{self.daemon.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def throughput(self):
        names = [name for name, _ in self.subjects()]
        self.say("| TCP | " + " | ".join(f"{name}, Mbit/s" for name in names) + " | tun2socks / alone |")
        self.say("| --- |" + " --- |" * (len(names) + 1))
        for flows in (1, 4):
            for direction in ("up", "down"):
                got = {name: [] for name in names}
                for _ in range(self.options.rounds):
                    for name, where in self.subjects():
                        got[name].append(self.measure(where, direction, flows))
                middle = {name: statistics.median(values) for name, values in got.items()}
                cells = [f"{middle[name]:.0f} ({min(got[name]):.0f} to {max(got[name]):.0f})"
                         for name in names]
                self.say(f"| {direction}, {flows} flow{'s' * (flows > 1)} | {' | '.join(cells)} | "
                         f"{middle['tun2socks'] / middle['sink alone']:.2f} |")

    def idle(self):
        """First of all: the daemon's heap has nothing of bulk flows that idle ones could reuse."""
        count = self.options.idle
        before, memory, beside, alone = self.resident_bytes(), None, [], []
        for _ in range(self.options.rounds):
            holder = self.run(*self.stream("idle", TARGET, 80, count), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
            holder.stdout.readline()
            memory = memory or (self.resident_bytes() - before) / count
            beside += [self.measure((TARGET,), "down", 1) for _ in range(2)]
            holder.stdin.close()
            holder.wait()
            self.wait(lambda: not self.call("getStatus", {})["tun2socks"][0]["tcpFlows"])
            alone += [self.measure((TARGET,), "down", 1) for _ in range(2)]
        beside, alone = statistics.median(beside), statistics.median(alone)
        self.say(f"{count} idle flows: {memory / 1024:.2f} KiB of the daemon's memory each; a bulk "
                 f"flow down beside them {beside:.0f} Mbit/s, alone {alone:.0f}: "
                 f"{beside / alone:.2f}.\n")

    def close(self):
        for program in self.programs:
            if program.poll() is None:
                program.terminate()
        for program in self.programs:
            program.wait()
        subprocess.run(["ip", "netns", "del", self.name], check=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default="build/bin")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--idle", type=int, default=5000)
    parser.add_argument("--write", metavar="FILE", help="write the report there as well")
    options = parser.parse_args()
    bench = Bench(options)
    bench.say("# Benchmark of tun2socks\n\nWritten by tests/bench/tun2socks.py: TCP through a TUN "
              "device and tun2socks to a SOCKS5\nsink, against the same sink without the device, in "
              f"turns. {options.rounds} rounds of {options.seconds:g} s; medians, and\n"
              f"least to most. {os.cpu_count()} processors for app, daemon and sink together; "
              f"load {os.getloadavg()[0]:.1f} at the start.\n")
    try:
        bench.start()
        bench.idle()
        bench.throughput()
    finally:
        bench.close()
    if options.write:
        with open(options.write, "w", encoding="utf-8") as file:
            file.writelines(bench.report)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("needs root (a network namespace and a TUN device)")
    main()
