# SPDX-License-Identifier: Apache-2.0
"""Our server against the real udp-local."""
import os
import socket
import unittest

import wire
from harness import KEY, Interop, Udp


class Relay(Interop):
    def relayed(self, server, **fields):
        """A real udp-local towards `server`; a program and the target that reach each other."""
        self.target, self.program = Udp(self), Udp(self)
        self.real_local(server, target=self.target.address, **fields)
        self.through(server)

    def through(self, server, payload=b"there"):
        """One datagram there, one back; where the target saw it come from."""
        self.program.send(payload, self.entrance)
        got = server.wait("DATAGRAM", payload=payload)
        self.assertEqual(got["address"], self.target.address)
        there, source = self.target.receive()
        self.target.send(there[::-1], source)
        self.target.socket.setblocking(False)
        server.pump(0.5)
        self.target.socket.setblocking(True)
        self.assertEqual(self.program.receive(), (payload[::-1], self.entrance))
        return source


class Handshake(Relay):
    def test_a_datagram_there_and_back(self):
        for key in (None, KEY):
            with self.subTest(key=key):
                server = self.our_server(key)
                self.relayed(server, key=key)
                self.assertEqual(server.hellos[0]["leg"], 0)
                self.assertEqual(server.handshakes[0], (0, wire.CREATE))

    def test_a_server_of_version_1(self):
        server = self.our_server(KEY)
        server.version = 1
        self.relayed(server, key=KEY)
        self.assertEqual((server.hellos[0]["low"], server.hellos[0]["high"]), (1, 2))
        # It is updated, and knows the session still.
        server.version = 2
        self.configure(role="local", merge=True, connections=3)
        self.through(server, b"goes on")

    def test_a_local_that_wants_version_2(self):
        server = self.our_server(KEY)
        server.version = 1
        self.real_local(server, key=KEY, minVersion=2)
        while "version" not in self.status().get("lastError", ""):
            server.pump(0.1)
        self.assertNotEqual(self.status()["state"], "established")
        server.version = 2
        while self.status()["state"] != "established":
            server.pump(0.1)

    def test_it_says_what_it_is_set_to(self):
        server = self.our_server()
        self.relayed(server, heartbeatInterval=3, deadInterval=9, flowTimeout=50,
                     maxQueueDelayMs=70, redundancy=2, redundancyMaxSize=99)
        self.assertEqual(server.hellos[0]["parameters"],
                         {1: 3000, 2: 9000, 5: 50000, 6: 70, 7: 2, 8: 99})

    def test_the_source_port_is_told_to_a_server_that_asks(self):
        for capabilities in (0, wire.DONT_FRAGMENT, wire.SOURCE_PORT, wire.SOURCE_PORT | 1 << 20):
            with self.subTest(capabilities):
                server = self.our_server()
                server.parameters = {**server.parameters, wire.CAPABILITIES: capabilities}
                program = Udp(self)
                self.real_local(server)
                program.send(b"first", self.entrance)
                first = server.wait("DATAGRAM", payload=b"first")
                asked = capabilities & wire.SOURCE_PORT
                self.assertEqual(first["port"], program.address[1] if asked else None)
                self.assertFalse(first["whole"])

    def test_a_server_says_neither(self):
        """The flags are the client's: an error of the leg, and the session goes on."""
        server = self.our_server()
        self.relayed(server)
        for more in ({"port": 7}, {"whole": True}):
            one = server.only()
            leg = one.a_data_leg()
            generation = one.legs[leg].generation
            one.send(wire.inline(1, self.target.address, b"x", **more), leg)
            server.until(lambda: leg in one.legs and one.legs[leg].generation > generation)
            self.through(server, b"goes on")

    def test_a_server_without_the_key(self):
        """Its WELCOME proves nothing, so nothing is sent to it, and it is tried again."""
        server = self.our_server()
        self.real_local(server, key=KEY)
        while len(server.handshakes) < 3:
            server.pump(0.1)
        self.assertEqual({what for what, _ in server.handshakes}, {"failed"})
        self.assertEqual(server.hellos, [])
        self.assertNotEqual(self.status()["state"], "established")

    def test_refused(self):
        server = self.our_server(KEY)
        for reason in (1, 2, 7, 8, 99):
            server.refusal = (reason, f"because of {reason}")
            if reason == 1:
                self.real_local(server, key=KEY)
            heard = len(server.hellos)
            while len(server.hellos) < heard + 2:
                server.pump(0.1)
            self.assertIn(f"because of {reason}", self.status()["lastError"])
        server.refusal = None
        server.only()

    def test_lost_streams_are_joined_by_the_secret(self):
        server = self.our_server(KEY)
        self.relayed(server, key=KEY)
        source = self.through(server, b"before")
        one = server.only()
        founded = one.legs[0].generation
        one.close_legs()
        server.until(lambda: 0 in one.legs and len(one.legs) > 1)
        self.assertGreater(one.legs[0].generation, founded)
        self.assertNotIn("refused", [what for what, _ in server.handshakes])
        self.assertEqual(self.through(server, b"after"), source)

    def test_a_server_that_lost_the_session(self):
        """Another epoch: founded anew, and the external port is asked for."""
        server = self.our_server(KEY)
        self.relayed(server, key=KEY)
        source = self.through(server, b"before")
        old = server.only()
        server.close()
        again = self.our_server(KEY, port=server.address[1])
        opened = again.wait("OPEN")
        self.assertEqual((opened["port4"], opened["port6"]), (source[1], 0))
        self.assertNotEqual(again.only().secret, old.secret)
        self.assertEqual(self.through(again, b"after"), source)

    def test_a_session_refused_as_unknown_is_founded_anew(self):
        server = self.our_server(KEY)
        self.relayed(server, key=KEY)
        for reason in (4, 6):
            one = server.only()
            server.sessions.clear()
            server.refusal = (reason, "gone")
            one.close()
            heard = len(server.hellos)
            while len(server.hellos) == heard:
                server.pump(0.1)
            server.refusal = None
            server.only()
            self.through(server, b"%d" % reason)


class Flows(Relay):
    def setUp(self):
        self.server = self.our_server(KEY)

    def begin(self, **fields):
        self.relayed(self.server, key=KEY, **fields)
        self.one = self.server.only()
        self.server.until(lambda: len(self.one.legs) > 1)

    def test_payloads_of_any_size(self):
        self.begin()
        for size in (0, 1, 1472, 65507):
            self.through(self.server, os.urandom(size))

    def test_the_label_is_sent_until_opened(self):
        server = self.server
        self.target, self.program = Udp(self), Udp(self)
        self.real_local(server, key=KEY, target=self.target.address)
        one = server.only()
        one.manners.discard("relay")
        for _ in range(2):
            self.program.send(b"labelled", self.entrance)
            self.assertIsNotNone(server.wait("DATAGRAM")["label"])
        one.control("OPENED", binding=1, address=("0.0.0.0", 4000))
        one.control("PING", token=9)
        server.wait("PONG", token=9)
        self.program.send(b"not labelled", self.entrance)
        self.assertIsNone(server.wait("DATAGRAM")["label"])

    def test_announced_ids_both_ways(self):
        self.begin()
        server, one = self.server, self.one
        server.until(lambda: one.heard or self.program.send(b"again", self.entrance))
        [(ident, (binding, address, _))] = one.heard.items()
        self.assertEqual((ident & 1, binding, address), (0, 1, self.target.address))
        server.until(lambda: self.program.send(b"short", self.entrance) or
                     one.take("DATAGRAM", id=ident, payload=b"short"))
        for size in (0, 65507):
            self.program.send(bytes(size), self.entrance)
            self.assertEqual(server.wait("DATAGRAM", payload=bytes(size))["id"], ident)
        ours = one.announce(1, self.target.address)
        server.wait("ANNOUNCED", id=ours)
        for payload in (b"", b"shorter", bytes(65507)):
            one.datagram(1, self.target.address, payload)
            self.assertEqual(self.program.receive(), (payload, self.entrance))
        one.control("RETIRE", id=ours)
        server.wait("RETIRED", id=ours)
        one.send(wire.frame(ours, b"late"), one.a_data_leg())
        server.wait("RETIRED", id=ours)
        one.control("RETIRED", id=ident)  # we do not know it any more: back to inline, labelled
        del one.heard[ident]
        server.until(lambda: self.program.send(b"inline", self.entrance) or
                     one.take("DATAGRAM", id=1, payload=b"inline"))

    def test_copies(self):
        self.begin(redundancy=2, connections=3)
        server, one = self.server, self.one
        server.until(lambda: len(one.legs) >= 3)
        for n in range(50):
            self.program.send(b"%d" % n, self.entrance)
            first = server.wait("DATAGRAM", payload=b"%d" % n)
            copy = server.wait("COPY", payload=b"%d" % n)
            self.assertEqual(first["sequence"], copy["sequence"])
            self.assertNotEqual(first["leg_number"], copy["leg_number"])
        for n in range(1500):  # and ours, delivered once each
            one.datagram(1, self.target.address, b"%d" % n, legs=[1, 2])
            self.assertEqual(self.program.receive(), (b"%d" % n, self.entrance))
            self.server.pump()
        one.control("PING", 1, token=1)
        server.wait("PONG", token=1)
        self.assertTrue(self.program.has_nothing())

    def test_the_server_closes_a_binding(self):
        self.begin()
        self.one.control("CLOSE", binding=1, reason=2)
        self.server.wait("CLOSED", binding=1)
        self.one.forget(1)
        self.one.control("CLOSE", binding=1, reason=2)
        self.server.wait("CLOSED", binding=1)
        self.program.send(b"anew", self.entrance)
        self.assertEqual(self.server.wait("DATAGRAM", payload=b"anew")["binding"], 2)

    def test_an_idle_binding_is_closed(self):
        self.begin(flowTimeout=1)
        self.assertEqual(self.server.wait("CLOSE")["reason"], 1)
        self.server.until(lambda: self.status()["flows"] == 0)
        self.through(self.server, b"anew")

    def test_an_error_is_no_end(self):
        self.begin()
        for code in (1, 2, 3, 4, 5, 99):
            self.one.control("ERROR", binding=1, code=code, value=1400,
                             address=self.target.address)
            self.one.control("ERROR", binding=99, code=code, value=0, address=("::1", 1))
        self.through(self.server, b"after")

    def test_pings_and_acknowledgements(self):
        self.begin()
        for leg in list(self.one.legs):
            self.one.control("PING", leg, token=leg)
            self.assertEqual(self.server.wait("PONG", token=leg)["leg_number"], leg)
        self.server.until(lambda: all(leg.acked == leg.sent for leg in self.one.legs.values()))

    def test_unknown_control_frames(self):
        self.begin()
        one, server = self.one, self.server
        one.send(wire.frame(0, wire.varint(0x33) + bytes(900)), 1)
        one.control("PING", 1, token=1)
        server.wait("PONG", token=1)
        generation = one.legs[1].generation
        one.send(wire.frame(0, wire.varint(0x32)), 1)
        server.until(lambda: 1 in one.legs and one.legs[1].generation > generation)
        self.through(server, b"after")

    def test_longer_varints_and_split_frames(self):
        self.begin()
        n = 0
        for size in (1, 2, 4, 8):
            body = b"\0" + wire.varint(1, size) + wire.address(self.target.address) + b"payload"
            data = wire.frame(1, body, size, size)
            for i in range(1, len(data)):
                self.one.send(data[:i], 1)
                self.one.send(data[i:], 1)
                n += 1
        for _ in range(n):
            self.assertEqual(self.program.receive(), (b"payload", self.entrance))

    def test_goodbye_for_now(self):
        self.begin()
        source = self.through(self.server, b"before")
        self.one.control("GOODBYE", 1, reason=1, text="back soon")
        old = {leg.generation for leg in self.one.legs.values()}
        self.server.until(lambda: len(self.one.legs) > 1 and
                          not old & {leg.generation for leg in self.one.legs.values()})
        self.assertEqual(self.through(self.server, b"after"), source)

    def test_goodbye_for_good(self):
        self.begin()
        old = self.one
        old.control("GOODBYE", reason=0, text="over")
        self.server.wait("END", leg_number=0)
        old.close()
        self.server.sessions.clear()
        self.server.only()
        self.through(self.server, b"anew")

    def test_the_client_says_goodbye(self):
        self.begin()
        self.ok(self.command.call("removeUdpTunnel", {"name": "t"}))
        self.assertEqual(self.server.wait("GOODBYE")["reason"], 0)
        self.server.wait("END")

    def test_a_stopping_daemon_will_be_back(self):
        self.begin()
        source = self.through(self.server, b"before")
        session = self.server.hellos[0]["session"]
        self.command.close()
        self.assertEqual(self.d.stop(), 0)
        self.assertEqual(self.server.wait("GOODBYE")["reason"], 1)
        self.server.until(lambda: not self.one.legs)
        heard = len(self.server.hellos)
        self.d.start()
        self.server.until(lambda: len(self.one.legs) > 1)
        again = self.server.hellos[heard]
        self.assertEqual(again["session"], session)
        self.assertGreater(again["incarnation"], self.server.hellos[0]["incarnation"])
        self.assertIsNotNone(source)


if __name__ == "__main__":
    unittest.main()
