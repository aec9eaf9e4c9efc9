#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""refused.py - a datagram's round trip while two connections send refused messages for ever.

    here ─UDP─▶ udp-local ═TCP═▶ udp-server ─UDP─▶ echo, all but the echo in one udptund
                                   ▲ ▲ refused messages, each sent when the last was answered

For each kind of message, pairs of measurements, with and without them, in an order that alternates.
Printed are the median of the pairs' ratios and its 95 % interval, of the median round trip and of the
one that a hundredth exceeds, and what that says of the limit: a ratio of 2.
"""
import argparse
import json
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from pairs import LEAST_PAIRS, interval, verdict
from run import tcp_port, udp_port

LIMIT = 2
CLIENTS = 2
TARGETS = ",".join(f'"10.{i >> 8}.{i & 255}.0/24"' for i in range(30000))

# One message, sent again and again; on a new connection where the daemon closes the old one.
KINDS = {
    "no JSON": b"nonsense",
    "an unknown action": b'{"action":"nope"}',
    "an action that the role does not have": b'{"action":"shutdown"}',
    "a field of a wrong type": b'{"action":"getStatus","parameters":{"name":5}}',
    "too many values": ('{"action":"configureUdpTunnel","parameters":{"allowTargets":[%s]}}'
                        % ("1," * 400000 + "1")).encode(),
    "larger than 1 MiB": b'{"action":"' + b"x" * (1 << 20),
    "a large object that is wrong at its end":
        ('{"action":"configureUdpTunnel","parameters":{"name":"x","role":"server",'
         '"allowTargets":[%s],"listen":"nowhere"}}' % TARGETS).encode(),
}


class Refused:
    """A process of its own that sends a message until it is stopped, and counts the refusals."""

    def __init__(self, path, kind, role):
        self.process = subprocess.Popen([sys.executable, __file__, "--client", path, kind, role],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdout.readline()  # it has begun

    def stop(self):
        """How many a second were refused."""
        return float(self.process.communicate(b"", 60)[0])


def connect(path, role):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    lines = s.makefile("rb")
    if role:
        s.sendall(b'{"action":"hello","parameters":{"role":"%s"}}' % role.encode())
        lines.readline()
    return s, lines


def client(path, kind, role):
    """Until standard input ends."""
    message, s, lines, refused = KINDS[kind], None, None, 0
    begun = time.monotonic()
    print("begun", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        if s is None:
            s, lines = connect(path, role)
        try:
            s.sendall(message)
            reply = lines.readline()
        except OSError:
            reply = b""
        if reply and json.loads(reply)["statusCode"] == 0:
            raise RuntimeError(f"not refused: {kind}")
        refused += bool(reply)
        if not reply:  # the daemon has closed: it could not tell where the next message begins
            s.close()
            s = None
    print(refused / (time.monotonic() - begun))
    return 0


def round_trips(entrance, count):
    """Of so many datagrams, one after the other, in microseconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.connect(entrance)
        times = []
        for i in range(count):
            begun = time.perf_counter()
            s.send(b"%d" % i)
            s.recv(100)
            times.append((time.perf_counter() - begun) * 1e6)
        return times


def echo(target):
    while True:
        data, source = target.recvfrom(2000)
        target.sendto(data, source)


def start(program, folder, target):
    """A udptund that is both ends: (process, its socket, the entrance)."""
    path = os.path.join(folder, "control.sock")
    port, entrance = tcp_port(), ("127.0.0.1", udp_port())
    config = {"udpTunnels": [
        {"name": "far", "role": "server", "listen": f"127.0.0.1:{port}",
         "allowTargets": ["127.0.0.0/8"]},
        {"name": "near", "role": "local", "server": f"127.0.0.1:{port}",
         "listen": "udp://127.0.0.1:%d" % entrance[1], "target": "127.0.0.1:%d" % target}]}
    file = os.path.join(folder, "config.json")
    with open(file, "w", encoding="utf-8") as f:
        json.dump(config, f)
    with open(os.path.join(folder, "log"), "wb") as log:
        process = subprocess.Popen([program, "-s", path, "--no-state", "--config", file], stderr=log)
    for _ in range(200):
        try:
            round_trips(entrance, 1)
            return process, path, entrance
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise RuntimeError("nothing comes through")


def measure(path, entrance, kind, pairs, count):
    """The ratios with to without, of the median and of the 99th percentile; and refused a second."""
    halves, tails, rates = [], [], []
    role = "observer" if "role" in kind else ""
    for i in range(pairs):
        found = {}
        for busy in ((True, False) if i % 2 else (False, True)):
            clients = [Refused(path, kind, role) for _ in range(CLIENTS if busy else 0)]
            times = sorted(round_trips(entrance, count))
            found[busy] = statistics.median(times), times[len(times) * 99 // 100]
            if busy:
                rates.append(sum(c.stop() for c in clients))
        halves.append(found[True][0] / found[False][0])
        tails.append(found[True][1] / found[False][1])
    return halves, tails, statistics.median(rates)


def line(name, ratios):
    low, high = interval(ratios)
    return (f"{name} {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f}, "
            f"{verdict(low, high, LIMIT)[0]})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", default="build/bin", help="where udptund is (build/bin)")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--count", type=int, default=2000, help="datagrams of each measurement (2000)")
    parser.add_argument("--client", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        return client(*arguments.client)
    if arguments.pairs < LEAST_PAIRS:
        parser.error(f"at least {LEAST_PAIRS} pairs")
    with tempfile.TemporaryDirectory(prefix="udptun-bench-") as folder, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        threading.Thread(target=echo, args=(target,), daemon=True).start()
        process, path, entrance = start(os.path.join(arguments.bin, "udptund"), folder,
                                        target.getsockname()[1])
        try:
            for kind in KINDS:
                halves, tails, rate = measure(path, entrance, kind, arguments.pairs,
                                              arguments.count)
                print(f"{kind}: {line('median', halves)}, {line('99th percentile', tails)}; "
                      f"{rate:.0f} refused a second", flush=True)
        finally:
            process.terminate()
            process.wait(30)
    return 0


if __name__ == "__main__":
    sys.exit(main())
