# SPDX-License-Identifier: Apache-2.0
"""What a hostile end may try, with our implementation as the tool: the real ends stay up and bounded.

Each test ends with an honest client or server that is served by the same daemon.
"""
import os
import re
import select
import socket
import unittest

import wire
from client import Closed, read_message
from harness import EVERYWHERE, KEY, Interop, Udp
from daemon import sanitized


class AgainstServer(Interop):
    def setUp(self):
        self.real_server(KEY, allowTargets=EVERYWHERE, maxFlowsPerSession=50)
        self.addCleanup(lambda: self.assertIsNone(self.d.process.poll(), self.d.log_text()))

    def honest(self):
        """Somebody else is served as ever."""
        client = self.our_client(KEY).established()
        peer, source = self.opened(client)
        peer.send(b"back", source)
        self.assertEqual(client.wait("DATAGRAM")["payload"], b"back")
        client.control("GOODBYE", reason=0, text="")
        client.wait("END", leg_number=0)

    def resident_kib(self):
        with open(f"/proc/{self.d.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    def attacker(self, data_legs=1):
        return self.our_client(KEY).established(data_legs)

    def still_there(self, client, leg=0):
        client.control("PING", leg, token=42)
        client.wait("PONG", token=42)

    def ended(self, client, leg, data):
        """That is an error of the leg, and of that leg alone."""
        client.send(data, leg)
        client.wait("END", leg_number=leg)
        self.still_there(client)
        client.open(leg)

    def test_half_done_handshakes(self):
        client = self.our_client(KEY)
        hello = client.hello(0, 1)
        for sent in (b"", hello[:50], hello):
            for _ in range(300):
                stream = client.dial()
                self.addCleanup(stream.close)
                stream.sendall(sent)
            self.honest()

    def test_frames_of_wrong_lengths(self):
        client = self.attacker(2)
        for wrong in (b"\0",  # of length 0
                      wire.varint(65828) + b"x",
                      wire.varint((1 << 62) - 1),
                      b"\x01\x40",  # an id of which half is there
                      wire.frame(1 << 30, b""), wire.frame((1 << 62) - 1, b""),
                      wire.frame(0, b""), wire.frame(0, wire.varint(0x21) + bytes(1024)),
                      wire.frame(1, b""), wire.frame(1, b"\x04" + bytes(20)),
                      wire.frame(1, b"\0\1" + b"\5" + bytes(20)),  # address of kind 5
                      wire.frame(1, b"\0\1" + b"\3\0\1\0"),  # no name
                      wire.frame(1, b"\0\1" + b"\3\0\1\2a b"),  # cut short, and a blank
                      wire.inline(0, ("127.0.0.1", 9), b"binding 0")):
            with self.subTest(wrong=wrong[:16]):
                self.ended(client, 1, wrong)
        self.honest()

    def test_control_frames_cut_short_or_too_long(self):
        client = self.attacker(2)
        some = {"time": 1, "entries": [(1, 1, 0, 0)], "token": 1, "id": 2, "flags": 0,
                "binding": 1, "address": ("127.0.0.1", 1), "label": 1, "port4": 0, "port6": 0,
                "reason": 1, "parameters": {1: 10000}, "number": 2, "generation": 99}
        for name, (_, fields) in wire.CONTROL.items():
            if name in ("OPENED", "ERROR", "REFUSED", "GOODBYE"):
                continue  # not a client's; GOODBYE ends with text
            names = [f.split(":")[0] for f in fields.split()]
            whole = wire.control(name, **{f: some[f] for f in names})[2:]
            for body in (whole[:-1], whole + b"\0"):
                with self.subTest(name=name, body=body):
                    self.ended(client, 1, wire.frame(0, body))
        self.honest()

    def test_what_is_not_the_clients_to_say(self):
        client = self.attacker(2)
        peer = ("127.0.0.1", 9)
        for wrong in (wire.control("OPENED", binding=1, address=peer),
                      wire.control("ERROR", binding=1, code=1, value=0, address=peer),
                      wire.control("REFUSED", reason=4),
                      wire.control("ANNOUNCE", id=3, flags=0, binding=1, address=peer),
                      wire.control("ANNOUNCE", id=0, flags=0, binding=1, address=peer),
                      wire.control("ANNOUNCE", id=1 << 30, flags=0, binding=1, address=peer),
                      wire.control("ANNOUNCE", id=2, flags=2, binding=1, address=peer),
                      wire.control("ANNOUNCE", id=2, flags=0, binding=0, address=peer),
                      wire.control("LEAVE", number=0, generation=1),
                      wire.control("LEAVE", number=33, generation=1),
                      wire.control("ACK", entries=[(33, 1, 0, 0)]),
                      wire.control("ACK", entries=[(1, 1, 0, 0)] * 34)):
            with self.subTest(wrong=wrong):
                self.ended(client, 1, wrong)
        self.honest()

    def test_acknowledging_more_than_was_sent(self):
        client = self.attacker(2)
        for received in (1 << 20, (1 << 62) - 1):
            generation = client.generations[2]
            client.control("ACK", 1, entries=[(2, generation, received, 0)])
            client.wait("END", leg_number=2)
            self.still_there(client, 1)
            client.open(2)
            client.is_up(2)
        client.control("ACK", 1, entries=[(2, 9999, 1 << 40, 0), (2, 1 << 40, 1, 1 << 60)])
        client.control("ACK", 1, entries=[(0, 1, client.legs[0].received, (1 << 62) - 1)])
        self.still_there(client, 2)
        self.honest()

    def test_ids_beyond_the_cap(self):
        client = self.attacker()
        self.opened(client)
        for n in range(1000):
            client.control("ANNOUNCE", id=2 + 2 * n, flags=0, binding=1,
                           address=("127.0.0.1", 1 + n))
        self.still_there(client)
        taken = sum(name == "ANNOUNCED" for _, name, _ in client.events)
        self.assertEqual(taken, 200)  # four for each flow that it may have
        self.honest()

    def test_flows_beyond_the_cap(self):
        client = self.attacker()
        peer = Udp(self)
        for binding in range(1, 301):
            client.datagram(binding, peer.address, b"x", label=binding)
        client.until(lambda: sum(name == "CLOSE" for _, name, _ in client.events) == 250)
        self.assertEqual(self.status()["flows"], 50)
        for binding in range(1001, 1301):
            client.control("OPEN", binding=binding, label=binding, port4=0, port6=0)
        self.still_there(client)
        self.assertLessEqual(self.status()["flows"], 50)
        self.honest()

    def test_bindings_by_far_apart_numbers(self):
        """Which have ended has to be remembered; of any number it is bounded."""
        client = self.attacker()
        before = self.resident_kib()
        for n in range(100000):
            client.control("CLOSE", binding=(n * 0x9e3779b97f4a7c15) % (1 << 62) | 1, reason=1)
            if n % 1000 == 0:
                client.pump()
                client.events.clear()
        if not sanitized():
            self.assertLess(self.resident_kib() - before, 16 * 1024)
        self.honest()

    def test_never_reading(self):
        """What is for somebody who does not read is bounded, and is nobody else's trouble."""
        client = self.attacker(4)
        peer, source = self.opened(client)
        before = self.resident_kib()
        for n in range(4000):
            peer.send(bytes(60000), source)
            if n % 1000 == 999:
                self.honest()
        if not sanitized():
            self.assertLess(self.resident_kib() - before, 32 * 1024)

    def test_never_reading_answers(self):
        """Every PING is worth a PONG, every RETIRE a RETIRED."""
        client = self.attacker()
        before = self.resident_kib()
        ping = wire.control("PING", token=1) + wire.control("RETIRE", id=2)
        stream = client.legs[1].socket
        stream.setblocking(False)
        sent = 0
        while sent < 64 << 20:
            if not select.select([], [stream], [], 1)[1]:
                break  # it is not read any more either
            try:
                sent += stream.send(ping * 1000)
            except ConnectionError:
                break  # or was given up
            except BlockingIOError:
                pass
        if not sanitized():
            self.assertLess(self.resident_kib() - before, 32 * 1024)
        self.honest()

    def test_a_captured_handshake_again(self):
        client = self.our_client(KEY)
        hello = client.hello(0, 1)
        stream = client.dial()
        welcome, transcript = client.greet(stream, hello)
        confirm = wire.confirm(KEY, transcript, wire.CREATE)
        stream.sendall(confirm + wire.control("PING", token=1))
        self.addCleanup(stream.close)
        self.assertTrue(stream.recv(100))
        secret = client.secret_of(welcome, transcript)
        join = None
        for intent in (wire.CREATE, wire.JOIN):
            with self.subTest(intent=intent):
                if intent == wire.JOIN:
                    hello = client.hello(1, 1)
                    second = client.dial()
                    self.addCleanup(second.close)
                    _, transcript = client.greet(second, hello)
                    confirm = join = wire.confirm(KEY, transcript, wire.JOIN, secret)
                    second.sendall(confirm + wire.control("PING", token=1))
                    self.assertTrue(second.recv(100))
                again = client.dial()
                self.addCleanup(again.close)
                client.greet(again, hello)  # HELLO is what it was; the server's nonce is not
                again.sendall(confirm + wire.control("GOODBYE", reason=0, text=""))
                left = b"".join(iter(lambda: self.received(again), b""))
                self.assertIn(left, (b"", wire.control("REFUSED", reason=6)))
        self.assertIsNotNone(join)
        self.assertEqual(self.status()["sessions"], 1)
        stream.sendall(wire.control("PING", token=2))
        self.assertTrue(stream.recv(100))
        self.honest()

    def received(self, stream):
        try:
            return stream.recv(1000)
        except ConnectionError:
            return b""

    def test_frames_before_confirm(self):
        client = self.our_client(KEY)
        stream = client.dial()
        self.addCleanup(stream.close)
        _, transcript = client.greet(stream, client.hello(0, 1))
        stream.sendall(wire.inline(1, ("127.0.0.1", 9), b"too early")
                       + wire.confirm(KEY, transcript, wire.CREATE))
        with self.assertRaises(Closed):
            read_message(stream)
        self.assertEqual(self.status()["sessions"], 0)

    def test_an_incarnation_that_has_gone(self):
        """A later start of the client takes over; the one before may not come back."""
        client = self.our_client(KEY, incarnation=5).established()
        client.incarnation = 4
        client.open(1)
        self.assertEqual(client.wait("REFUSED")["reason"], 5)
        client.wait("END", leg_number=1)
        self.still_there(client)

    def test_close_storms(self):
        client = self.attacker()
        peer = Udp(self)
        for binding in range(1, 2001):
            client.datagram(binding, peer.address, b"x", label=binding, legs=[0])
            for _ in range(3):
                client.control("CLOSE", binding=binding, reason=binding)
            client.control("CLOSED", binding=binding + 1)
            client.pump()
        self.still_there(client)
        self.assertEqual(self.status()["flows"], 0)
        self.honest()

    def test_settings_beyond_reason(self):
        client = self.attacker()
        most = (1 << 62) - 1
        for values in ({1: most, 2: most}, {1: 0, 2: 0}, {1: 1, 2: 1}, {7: most, 8: most},
                       {5: most, 6: most}):
            client.control("SETTINGS", parameters=values)
            self.still_there(client)
            self.opened(client, 1 + len(client.events), label=5)
        self.honest()

    def test_label_of_another(self):
        """A label in two bindings at once is the second's trouble, and of no other session."""
        first, second = self.attacker(), self.attacker()
        peer, source = self.opened(first, label=9)
        _, other = self.opened(second, label=9)
        self.assertNotEqual(source, other)
        self.opened(first, binding=2, label=9)
        first.datagram(1, peer.address, b"mine")
        self.assertEqual(peer.receive(), (b"mine", source))


class AgainstLocal(Interop):
    def setUp(self):
        self.server = self.our_server(KEY)
        self.target, self.program = Udp(self), Udp(self)
        self.real_local(self.server, key=KEY, target=self.target.address)
        self.one = self.server.only()
        self.server.until(lambda: len(self.one.legs) > 1)

    def works(self):
        """The tunnel does, when what was wrong is over."""
        name = os.urandom(8)
        self.server.until(lambda: self.program.send(name, self.entrance) or
                          self.server.only().take("DATAGRAM", payload=name))
        self.assertIsNone(self.d.process.poll())

    def test_frames_of_wrong_lengths(self):
        peer = self.target.address
        for wrong in (b"\0", wire.varint(65828) + b"x", wire.frame(1 << 30, b""),
                      wire.frame(0, b""), wire.frame(1, b"\x04" + bytes(20)),
                      wire.inline(0, peer, b"binding 0"),
                      wire.inline(1, ("a.name", 9), b"names are the client's"),
                      wire.control("OPEN", binding=1, label=1, port4=0, port6=0),
                      wire.control("OPENED", binding=1, address=("a.name", 9)),
                      wire.control("ANNOUNCE", id=2, flags=0, binding=1, address=peer),
                      wire.control("ANNOUNCE", id=3, flags=0, binding=1, address=("a.name", 9)),
                      wire.control("LEAVE", number=2, generation=1),
                      wire.control("ACK", entries=[(33, 1, 0, 0)])):
            with self.subTest(wrong=wrong[:16]):
                generation = self.one.legs[1].generation
                self.one.send(wrong, 1)
                self.server.until(lambda g=generation: 1 in self.one.legs
                                  and self.one.legs[1].generation > g)
        self.works()

    def test_acknowledging_more_than_was_sent(self):
        generation = self.one.legs[1].generation
        self.one.control("ACK", entries=[(1, generation, 1 << 40, 0)])
        self.server.until(lambda: 1 in self.one.legs and self.one.legs[1].generation > generation)
        self.works()

    def test_bindings_that_it_never_opened(self):
        for binding in (2, 99, (1 << 62) - 1):
            self.one.datagram(binding, self.target.address, b"for nobody")
            self.one.control("OPENED", binding=binding, address=("127.0.0.1", 5))
            self.one.control("CLOSE", binding=binding, reason=3)
            self.server.wait("CLOSED", binding=binding)
        self.works()
        self.assertTrue(self.program.has_nothing())

    def test_ids_beyond_the_cap(self):
        self.configure(role="local", merge=True, maxFlowsPerSession=10)
        self.works()
        binding = self.one.events[-1][2].get("binding", 1)
        for n in range(1000):
            self.one.control("ANNOUNCE", id=3 + 2 * n, flags=0, binding=binding,
                             address=("127.0.0.1", 1 + n))
        self.one.control("PING", token=7)
        self.server.wait("PONG", token=7)
        self.works()

    def test_never_answering_a_close(self):
        self.one.manners -= {"closed", "retired", "announced", "ack", "pong"}
        self.configure(role="local", merge=True, flowTimeout=1)
        self.works()
        self.server.wait("CLOSE")
        self.one.manners |= {"closed", "retired", "announced", "ack", "pong"}
        self.works()


if __name__ == "__main__":
    unittest.main()
