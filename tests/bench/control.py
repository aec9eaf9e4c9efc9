#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""control.py - what the command socket costs: a status request under load, and watchers.

    bench_latency near ─UDP─▶ udptund with 100 tunnels ═TCP═▶ udptund ─UDP─▶ bench_latency far
                                   ▲ getStatus, one after the other

First 10,000 datagrams a second pass while status requests are timed. Then lossless packets/s are
measured with no watcher and with ten that subscribe to everything, in turn.
"""
import argparse
import json
import os
import select
import socket
import statistics
import subprocess
import tempfile
import threading
import time

import page
from run import tcp_port, udp_port

TUNNELS, RATE, SIZE, WATCHERS = 100, 10_000, 100, 10


INTRODUCTION = """## The command socket beside the data path

Written by `cmake --build build --target bench_control` (tests/bench/control.py); do not edit by
hand. {date}, {cores} cores for everything together.

A udptund with {tunnels} tunnels, one of which carries datagrams of {size} bytes: how long a
`getStatus` takes meanwhile, asked for one after the other; and what lossless packets/s are left
when {watchers} connections have subscribed to everything and read it, against none, in turn.
"""


class Client:
    """One connection of the command socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def call(self, action, **parameters):
        self.socket.sendall(json.dumps({"action": action, "parameters": parameters}).encode())
        reply = json.loads(self.file.readline())
        if reply["statusCode"] != 0:
            raise RuntimeError(f"{action}: {reply}")
        return reply.get("returnValue")


class Watcher:
    """Subscribes to everything and reads it, as a program that shows it would."""

    def __init__(self, path):
        self.client = Client(path)
        self.client.call("subscribe", topics=["state", "config", "stats", "log"])
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        while not self.ended.is_set():
            if select.select([self.client.socket], [], [], 0.1)[0]:
                self.client.socket.recv(65536)

    def close(self):
        self.ended.set()
        self.thread.join()
        self.client.socket.close()


class Bench:
    def __init__(self, options):
        self.bin = os.path.realpath(options.bin)
        self.options = options
        self.folder = tempfile.TemporaryDirectory(prefix="udptun-bench-")
        self.processes = []
        self.entry, self.target, self.between = udp_port(), udp_port(), tcp_port()

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait()
        self.folder.cleanup()

    def start(self, *command, **options):
        process = subprocess.Popen([os.path.join(self.bin, command[0]), *command[1:]], **options)
        self.processes.append(process)
        return process

    def daemon(self, name):
        path = os.path.join(self.folder.name, name + ".sock")
        self.start("udptund", "--socket", path, "--no-state", stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                return path, Client(path)
            except OSError:
                time.sleep(0.01)
        raise RuntimeError("udptund does not answer")

    def set_up(self):
        _, far = self.daemon("far")
        far.call("configureUdpTunnel", name="far", role="server",
                 listen=f"127.0.0.1:{self.between}", allowTargets=["127.0.0.0/8"])
        self.path, near = self.daemon("near")
        for i in range(TUNNELS - 1):
            near.call("configureUdpTunnel", name=f"idle{i}", role="local",
                      server=f"127.0.0.1:{self.between}", listen="udp://127.0.0.1:0",
                      target="127.0.0.1:9")
        near.call("configureUdpTunnel", name="near", role="local", wait=20,
                  server=f"127.0.0.1:{self.between}", listen=f"udp://127.0.0.1:{self.entry}",
                  target=f"127.0.0.1:{self.target}")

    def status_under_load(self):
        far = self.start("bench_latency", "far", f"127.0.0.1:{self.target}",
                         stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        seconds = self.options.seconds
        near = self.start("bench_latency", "near", "--to", f"127.0.0.1:{self.entry}", "--bulk",
                          str(RATE * SIZE * 8 / 1e6), "--bulk-size", str(SIZE), "--seconds",
                          str(seconds + 2), "--warmup", "0", stdout=subprocess.DEVNULL)
        time.sleep(1)
        client, took_ms = Client(self.path), []
        before = self.passed(client)
        until = time.monotonic() + seconds
        begun = time.monotonic()
        while time.monotonic() < until:
            start = time.perf_counter()
            client.socket.sendall(b'{"action":"getStatus"}')
            client.file.readline()
            took_ms.append((time.perf_counter() - start) * 1000)
            time.sleep(0.01)
        rate = (self.passed(client) - before) / (time.monotonic() - begun)
        near.wait()
        far.terminate()
        far.wait()
        took_ms.sort()
        return [f"`getStatus` while {rate:,.0f} datagrams/s pass", f"{len(took_ms)} requests",
                f"{statistics.median(took_ms):.2f} ms",
                f"{took_ms[len(took_ms) * 99 // 100]:.2f} ms (p99)"]

    @staticmethod
    def passed(client):
        return client.call("getStatus", name="near")["udpTunnels"][0]["txPackets"]

    def packets(self):
        done = subprocess.run(
            [os.path.join(self.bin, "bench_load"), "--to", f"127.0.0.1:{self.entry}", "--sink",
             f"127.0.0.1:{self.target}", "--flows", "1", "--size", "1200", "--seconds", "1"],
            capture_output=True, text=True, timeout=60, check=True)
        result = json.loads(done.stdout)
        return result["received"] / result["seconds"]

    def watchers(self):
        ratios = []
        for _ in range(self.options.rounds):
            alone = self.packets()
            watchers = [Watcher(self.path) for _ in range(WATCHERS)]
            watched = self.packets()
            for watcher in watchers:
                watcher.close()
            ratios.append(watched / alone)
        return [f"packets/s with {WATCHERS} watchers against none", f"{len(ratios)} rounds",
                f"{statistics.median(ratios):.3f} ×", f"{min(ratios):.3f} to {max(ratios):.3f} ×"]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/bin", help="where the programs are (build/bin)")
    parser.add_argument("--seconds", type=int, default=10, help="of status requests (10)")
    parser.add_argument("--rounds", type=int, default=9, help="with and without watchers (9)")
    parser.add_argument("--write", metavar="FILE", help="put the table into this page's section")
    options = parser.parse_args()
    bench = Bench(options)
    try:
        bench.set_up()
        rows = [["", "of", "median", "spread"], ["---"] * 4, bench.status_under_load(),
                bench.watchers()]
    finally:
        bench.close()
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    print(table)
    if options.write:
        page.write_section(options.write, "control", INTRODUCTION.format(
            date=time.strftime("%Y-%m-%d", time.gmtime()), cores=os.cpu_count(), tunnels=TUNNELS,
            size=SIZE, watchers=WATCHERS) + "\n" + table)


if __name__ == "__main__":
    main()
