# SPDX-License-Identifier: Apache-2.0
"""flow.py - a running flow through the chain over a line of some delay, and what came of it.

    app ─▶ udp-local ─ ss-tunnel ─ obfs-local ═ line ═ obfs-server ─ ss-server ─ udp-server ─▶ third

A Flow sends a small datagram every 20 ms, the third party answers each at once, and every arrival
at either end is kept with its age. Ages are measured from a timestamp in the payload to the
kernel's at the receiving socket: both are of one clock, and a busy test does not make them older.
"""

import collections
import os
import select
import struct
import subprocess
import threading
import time

import chain
from harness import BIN, CLIENT, SERVER, THIRD, poll

ENTRY = ("127.0.0.1", 5353)
PERIOD_S = 0.02
MAX_QUEUE_DELAY_S = 0.5  # the default of maxQueueDelayMs
SLACK_S = 0.25           # a busy machine may run a program so much later
_SO_TIMESTAMPNS = 35     # not in the socket module
_PAYLOAD = struct.Struct(">IId")  # whose, number, when sent
_FILLER = bytes(144)

Arrival = collections.namedtuple("Arrival", "number at_s age_s port")


def start_line(net, delay_ms):
    """All that client and server say to each other goes through tests/net/line.c."""
    names = [net.client.name, net.server.name]
    line = net.start("router", os.path.join(BIN, "line"), "--a", names[0], "--b", names[1],
                     "--delay", str(delay_ms), stdin=subprocess.PIPE)
    line.wait_log("ready")
    for name, own, far in ((names[0], CLIENT, SERVER), (names[1], SERVER, CLIENT)):
        subprocess.run(["ip", "-n", name, "route", "add", f"{far}/32", "dev", "line0", "src", own],
                       check=True)
    return line


def tell_line(line, text):
    said = len(line.log())
    line.type(text + "\n")
    if line.wait_log("^(ok|error)$", after=said).group(1) != "ok":
        raise AssertionError(line.log()[said:])


def start_chain(net, delay_ms=25, far=None, **tunnel):
    """The whole chain with both ends of ours; (line, udp-local, udp-server). `far`: fields of the
    latter's tunnel."""
    line = start_line(net, delay_ms)
    chain.start_shadowsocks(net)
    server = net.daemon("server", name="udp-server")
    local = net.daemon("client", name="udp-local")
    server.configure(name="far", role="server", listen=f"127.0.0.1:{chain.UDP_SERVER_PORT}",
                     **(far or {}))
    local.configure(name="near", role="local", listen="udp://%s:%d" % ENTRY,
                    target=f"{THIRD}:9000", server=f"127.0.0.1:{chain.TUNNEL_PORT}", wait=20,
                    **tunnel)
    return line, local, server


def program(net, name):
    return next(p for p in net.programs if p.name == name)


def _receive(sock):
    """(payload, when the kernel got it, from where) of one datagram."""
    data, extra, _, address = sock.recvmsg(2048, 128)
    seconds, nanoseconds = struct.unpack("qq", extra[0][2])
    return data, seconds + nanoseconds / 1e9, address


class Flow:
    """One flow of its own thread, from start() to stop(). The lists only grow."""

    def __init__(self, net, target, entry=ENTRY):
        self.app, self.target, self.entry = net.client.udp("127.0.0.1"), target, entry
        for sock in (self.app, self.target):
            sock.setsockopt(1, _SO_TIMESTAMPNS, 1)
        self.own = int.from_bytes(os.urandom(4), "big")
        self.forth, self.back, self.sent = [], [], 0
        self.talking = True
        self._ends = False
        self._thread = threading.Thread(target=self._run)

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self._ends = True
        if self._thread.is_alive():
            self._thread.join()
        self.app.close()

    def _run(self):
        due = time.monotonic()
        while not self._ends:
            now = time.monotonic()
            if now >= due:
                due = max(due + PERIOD_S, now - PERIOD_S)
                if self.talking:
                    self._send(self.app, self.sent, self.entry)
                    self.sent += 1
            ready = select.select([self.app, self.target], [], [], max(0, due - time.monotonic()))
            for sock in ready[0]:
                self._take(sock)

    def _send(self, sock, number, address):
        sock.sendto(_PAYLOAD.pack(self.own, number, time.time()) + _FILLER, address)

    def _take(self, sock):
        data, at_s, address = _receive(sock)
        own, number, sent_s = _PAYLOAD.unpack_from(data)
        if own != self.own:  # of a flow before this one
            return
        arrivals = self.back if sock is self.app else self.forth
        arrivals.append(Arrival(number, at_s, at_s - sent_s, address[1]))
        if sock is self.target:
            self._send(sock, number, address)

    def again_after(self, since_s, seconds):
        """Wait until an answer has come back after `since_s`; how long after that it was."""
        def again():
            return next((a for a in reversed(self.back) if a.at_s > since_s), None)
        poll("the flow to carry again", again, seconds)
        return next(a for a in self.back if a.at_s > since_s).at_s - since_s

    def ports(self):
        """The external ports that the third party has seen."""
        return sorted({a.port for a in self.forth})

    def oldest_s(self):
        return max((a.age_s for a in self.forth + self.back), default=0)

    def twice(self):
        """Numbers of datagrams that came more than once."""
        return [number for arrivals in (self.forth, self.back) for number, count in
                collections.Counter(a.number for a in arrivals).items() if count > 1]
