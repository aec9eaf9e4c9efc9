# SPDX-License-Identifier: Apache-2.0
"""client.py - the client's role of UDPT/1: it opens legs, founds a session or joins its own again."""
import os
import socket
import time

import wire
from session import DEADLINE_S, Leg, Session


class Refused(Exception):
    """The server answered HELLO with REFUSE: (reason, text)."""


class Closed(Exception):
    """The server closed the stream in the middle of the handshake."""


def read_message(stream):
    """The bytes of one message of a handshake, whole."""
    head = read_exactly(stream, 6)
    size = int.from_bytes(head[4:], "big")
    if head[:4] != wire.MAGIC or not 33 <= size <= wire.MESSAGE_MAX - 6:
        raise wire.Malformed(f"no message: {head}")
    return head + read_exactly(stream, size)


def read_exactly(stream, size):
    data = b""
    while len(data) < size:
        try:
            more = stream.recv(size - len(data))
        except ConnectionError:
            more = b""
        if not more:
            raise Closed()
        data += more
    return data


class Client(Session):
    FIRST_ID = 2

    def __init__(self, server, key=None, session=None, incarnation=0, versions=(1, 2)):
        super().__init__()
        self.server, self.key = server, key or wire.NO_KEY
        self.session = session or os.urandom(16)
        self.incarnation, self.versions = incarnation, versions
        self.scalar = os.urandom(32)
        self.generations = {}
        self.secret = None
        self.welcome = None  # what the session was founded with
        self.parameters = {1: 10000, 2: 30000}

    def hello(self, leg, generation, **options):
        return wire.hello(self.key, self.session, leg, generation, self.incarnation,
                          self.nonce(), {**self.parameters, **options.pop("parameters", {})},
                          **{"versions": self.versions, **options})

    def nonce(self):
        """A new share, whose scalar is kept until the next."""
        self.scalar = os.urandom(32)
        return wire.share_of(self.scalar) if self.versions[1] > 1 else os.urandom(32)

    def secret_of(self, welcome, transcript):
        if welcome["version"] == 1:
            return wire.secret_of(self.key, transcript)
        return wire.secret_of(self.key, transcript, self.scalar, welcome["nonce"])

    def dial(self):
        stream = socket.create_connection(self.server, DEADLINE_S)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream

    def greet(self, stream, hello):
        """Send HELLO; (what WELCOME says, the transcript)."""
        stream.sendall(hello)
        answer = read_message(stream)
        label = b"UDPT/1 refuse" if answer[6] == wire.REFUSE else b"UDPT/1 welcome"
        kind, r = wire.read_message(self.key, label, hello, answer)
        if kind == wire.REFUSE:
            raise Refused(r.varint(), r.rest().decode("ascii"))
        return wire.read_welcome(r), hello + answer

    def open(self, leg=0, intent=None, secret=None, generation=None, **options):
        """Open a leg and return what WELCOME said. Without `intent` it founds or joins as the page says."""
        generation = generation or self.generations.get(leg, 0) + 1
        stream = self.dial()
        try:
            welcome, transcript = self.greet(stream, self.hello(leg, generation, **options))
        except Exception:
            stream.close()
            raise
        same = self.welcome and welcome["known"] and all(
            welcome[f] == self.welcome[f] for f in ("epoch", "incarnation"))
        if intent is None:
            intent = wire.JOIN if same else wire.CREATE
        if intent == wire.CREATE:
            secret = secret or self.secret_of(welcome, transcript)
        stream.sendall(wire.confirm(self.key, transcript, intent, secret or self.secret))
        if intent == wire.CREATE:
            self.secret, self.welcome = secret, welcome
            self.announced.clear()
            self.heard.clear()
        self.generations[leg] = max(generation, self.generations.get(leg, 0))
        if leg in self.legs:
            self.legs.pop(leg).socket.close()
        self.legs[leg] = Leg(stream, leg, generation)
        return welcome

    def established(self, data_legs=1):
        """Found the session, hear from the server (which need not speak first), open the other legs."""
        self.open(0)
        self.control("PING", token=0)
        self.wait("PONG", token=0)
        for leg in range(1, data_legs + 1):
            self.open(leg)
            self.is_up(leg)
        return self

    def is_up(self, leg):
        """The server has the leg: frames on others do not come before its CONFIRM any more."""
        self.control("PING", leg, token=leg)
        self.wait("PONG", token=leg)

    def pump(self, seconds=0.0):
        super().pump(seconds)
        for leg in self.legs.values():
            quiet = time.monotonic() - min(leg.sent_at, leg.heard_at)
            if quiet > self.parameters[1] / 1000:
                self.control("PING", leg.number, token=int(time.monotonic() * 1000))
                leg.heard_at = leg.sent_at  # once an interval
