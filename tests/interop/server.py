# SPDX-License-Identifier: Apache-2.0
"""server.py - the server's role of UDPT/1: it takes legs, keeps sessions, and has UDP sockets for them."""
import os
import select
import socket

import wire
from client import Closed, read_message
from session import DEADLINE_S, Leg, Session

NO_VERSION, UNKNOWN, SUPERSEDED, NOT_PROVED = 1, 4, 5, 6  # reasons of REFUSE and REFUSED


class ServerSession(Session):
    """One client's bindings. A binding's socket is opened by its first datagram, or by OPEN."""
    FIRST_ID = 3

    def __init__(self, secret, incarnation):
        super().__init__()
        self.manners.add("relay")
        self.secret, self.incarnation = secret, incarnation
        self.bindings = {}  # binding -> its UDP socket (IPv4 is enough here)
        self.ended = set()

    def sockets(self):
        return super().sockets() + list(self.bindings.values())

    def open_binding(self, binding, port=0):
        udp = self.bindings[binding] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(("127.0.0.1", port))
        except OSError:
            udp.bind(("127.0.0.1", 0))
        self.control("OPENED", binding=binding, address=udp.getsockname())

    def on_open(self, leg, binding, label, port4, port6):
        if binding not in self.bindings:
            self.open_binding(binding, port4)

    def on_datagram(self, leg, ident, fields):
        binding = fields["binding"]
        if binding in self.ended:
            self.control("CLOSE", binding=binding, reason=1)
            return
        super().on_datagram(leg, ident, fields)
        if "relay" in self.manners and self.events[-1][1] == "DATAGRAM":
            if binding not in self.bindings:
                self.open_binding(binding)
            try:
                self.bindings[binding].sendto(fields["payload"], fields["address"])
            except OSError:
                self.control("ERROR", binding=binding, code=2, value=0, address=fields["address"])

    def ready(self, sock):
        binding = next((b for b, udp in self.bindings.items() if udp is sock), None)
        if binding is None:
            super().ready(sock)
            return
        try:
            payload, source = sock.recvfrom(65536)
        except OSError:
            return  # an ICMP error; it does not say about whom
        self.datagram(binding, source, payload)

    def forget(self, binding):
        self.ended.add(binding)
        if binding in self.bindings:
            self.bindings.pop(binding).close()
        super().forget(binding)

    def on_leave(self, leg, number, generation):
        stream = self.legs.get(number)
        if stream and stream.generation == generation:
            stream.left = True
            self.end(stream, "LEFT")

    def close(self):
        super().close()
        for udp in self.bindings.values():
            udp.close()


class Server:
    def __init__(self, key=None, port=0):
        self.key, self.sessions = key or wire.NO_KEY, {}
        self.epoch = int.from_bytes(os.urandom(8), "big")
        self.incarnations = 0
        self.refusal = None  # what to answer HELLO with: (reason, text)
        self.parameters = {3: 180000, 4: 100, 9: 4}
        self.version = 2  # the highest that it speaks
        self.hellos, self.handshakes = [], []  # what was heard
        self.listener = socket.create_server(("127.0.0.1", port))
        self.address = self.listener.getsockname()

    def pump(self, seconds=0.0):
        sockets = [self.listener] + [s for one in self.sessions.values() for s in one.sockets()]
        for sock in select.select(sockets, [], [], seconds)[0]:
            if sock is self.listener:
                stream, _ = sock.accept()
                stream.settimeout(DEADLINE_S)
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    self.take(stream)
                except (Closed, wire.Malformed) as why:
                    self.handshakes.append(("failed", repr(why)))
                    stream.close()
            for one in list(self.sessions.values()):
                if sock in one.sockets():
                    one.ready(sock)
        for one in self.sessions.values():
            one.report()

    def take(self, stream):
        """The handshake of one leg, up to its place in a session."""
        first = read_message(stream)
        kind, r = wire.read_message(self.key, b"UDPT/1 hello", b"", first)
        if kind != wire.HELLO:
            raise wire.Malformed("no HELLO")
        hello = wire.read_hello(r)
        self.hellos.append(hello)
        if self.refusal:
            stream.sendall(wire.refuse(self.key, first, *self.refusal))
            stream.close()
            return
        one = self.sessions.get(hello["session"])
        incarnation = one.incarnation if one else self.incarnations + 1
        version = min(hello["high"], self.version)
        if version < hello["low"]:
            stream.sendall(wire.refuse(self.key, first, NO_VERSION, "no version in common"))
            stream.close()
            return
        scalar = os.urandom(32)
        nonce = wire.share_of(scalar) if version > 1 else os.urandom(32)
        second = wire.welcome(self.key, first, int(one is not None), self.epoch, incarnation,
                              nonce, self.parameters, version)
        stream.sendall(second)
        third = read_message(stream)
        intent = third[7]
        one = self.sessions.get(hello["session"])  # it may have changed while the client thought
        if intent == wire.JOIN and one:
            key = wire.mac(self.key, b"UDPT/1 join", one.secret)
        else:
            key = self.key
        if intent == wire.JOIN and not one:
            self.refused(stream, UNKNOWN)
            return
        try:
            wire.read_message(key, b"UDPT/1 confirm", first + second, third)
        except wire.Malformed:
            self.refused(stream, NOT_PROVED)
            return
        founded = wire.secret_of(self.key, first + second) if version == 1 else \
            wire.secret_of(self.key, first + second, scalar, hello["nonce"])
        if intent == wire.CREATE and not one:
            self.incarnations = incarnation
            secret = founded
            one = self.sessions[hello["session"]] = ServerSession(secret, incarnation)
        old = one.legs.get(hello["leg"])
        if intent == wire.CREATE and one.secret != founded \
                or old and old.generation >= hello["generation"]:
            self.refused(stream, SUPERSEDED)
            return
        if old:
            one.end(old, "REPLACED")
        one.legs[hello["leg"]] = Leg(stream, hello["leg"], hello["generation"])
        self.handshakes.append((hello["leg"], intent))

    def refused(self, stream, reason):
        self.handshakes.append(("refused", reason))
        stream.sendall(wire.control("REFUSED", reason=reason))
        stream.close()

    def only(self):
        """The session of the one client there is, waited for."""
        for _ in range(DEADLINE_S * 20):
            if self.sessions:
                return next(iter(self.sessions.values()))
            self.pump(0.05)
        raise AssertionError(f"no session came: {self.handshakes}")

    def wait(self, name, **match):
        return self.only().wait(name, self.pump, **match)

    def until(self, condition):
        self.only().until(condition, self.pump)

    def close(self):
        self.listener.close()
        for one in self.sessions.values():
            one.close()
