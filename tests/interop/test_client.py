# SPDX-License-Identifier: Apache-2.0
"""Our client against the real udp-server."""
import os
import socket
import unittest

import wire
from client import Closed, Refused, read_message
from harness import EVERYWHERE, KEY, Interop, Udp, at_loopback


class Handshake(Interop):
    def test_a_datagram_there_and_back(self):
        for key in (None, KEY):
            with self.subTest(key=key):
                self.real_server(key)
                client = self.our_client(key).established()
                peer, source = self.opened(client)
                peer.send(b"back", source)
                back = client.wait("DATAGRAM")
                self.assertEqual((back["address"], back["payload"], back["binding"]),
                                 (peer.address, b"back", 1))

    def test_a_wrong_key_gets_nothing(self):
        self.real_server(KEY)
        for key in (None, bytes(32), bytes([1] * 32)):
            with self.assertRaises(Closed):
                self.our_client(key).open()

    def test_versions(self):
        self.real_server()
        client = self.our_client()
        self.assertEqual(client.open(1, versions=(0, 9))["version"], 2)
        self.assertEqual(client.open(2, versions=(0, 1))["version"], 1)
        for versions in ((3, 4), (0, 0)):
            with self.assertRaises(Refused) as refused:
                client.open(3, versions=versions)
            self.assertEqual(refused.exception.args[0], 1)

    def test_a_client_of_version_1(self):
        self.real_server(KEY)
        client = self.our_client(KEY, versions=(1, 1)).established()
        self.assertEqual(client.welcome["version"], 1)
        self.opened(client)
        # It is updated: the session goes on.
        client.versions = (1, 2)
        self.assertEqual(client.open(2)["version"], 2)
        client.is_up(2)

    def test_a_server_that_wants_version_2(self):
        self.real_server(KEY, minVersion=2)
        with self.assertRaises(Refused) as refused:
            self.our_client(KEY, versions=(1, 1)).open()
        self.assertEqual(refused.exception.args[0], 1)
        client = self.our_client(KEY).established()
        self.assertEqual(client.welcome["version"], 2)
        self.opened(client)

    def test_a_share_of_low_order(self):
        """The server closes the stream; nothing is founded."""
        self.real_server(KEY)
        client = self.our_client(KEY)
        client.nonce = lambda: bytes(32)
        stream = client.dial()
        self.addCleanup(stream.close)
        _, transcript = client.greet(stream, client.hello(0, 1))
        stream.sendall(wire.confirm(KEY, transcript, wire.CREATE))
        with self.assertRaises(Closed):
            read_message(stream)
        self.assertEqual(self.status()["sessions"], 0)

    def test_capabilities(self):
        """What a client may use, and that it works."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.real_server(portPreservation=True)
        client = self.our_client().established()
        self.assertEqual(client.welcome["parameters"][wire.CAPABILITIES],
                         wire.SOURCE_PORT | wire.DONT_FRAGMENT)
        peer, source = self.opened(client, port=port)
        self.assertEqual(source[1], port)
        client.datagram(1, peer.address, b"whole", whole=True)
        self.assertEqual(peer.receive(), (b"whole", source))

    def test_legs(self):
        self.real_server()
        client = self.our_client().established(data_legs=32)
        self.assertEqual(len(client.legs), 33)
        for leg in (33, 255):
            with self.assertRaises(Refused) as refused:
                client.open(leg)
            self.assertEqual(refused.exception.args[0], 3)

    def test_a_hello_without_parameters(self):
        self.real_server()
        client = self.our_client()
        client.parameters = {}
        client.open()
        client.parameters = {1: 10000, 2: 30000}  # of our own part
        self.opened(client)
        self.assertFalse(any(name == "END" for _, name, _ in client.events))

    def test_too_many_sessions(self):
        self.real_server(maxSessions=1)
        self.our_client().established()
        with self.assertRaises(Refused) as refused:
            self.our_client().open()
        self.assertEqual(refused.exception.args[0], 2)

    def test_parameters(self):
        """Unknown ones are skipped, whatever their size; twice is an error; 512 bytes is all."""
        self.real_server(resumeTimeout=7, maxFlowsPerSession=9)
        told = self.our_client().open(parameters={5: 1000, 99: 7, 1 << 40: 0})["parameters"]
        self.assertEqual((told[3], told[4], told[9]), (7000, 9, 32))
        client = self.our_client()
        short = client.hello(0, 1)
        for size, is_taken in ((512, True), (513, False)):
            filler = size - len(short) - 3
            hello = self.hello_with(client, wire.varint(50) + wire.varint(filler, 2) + bytes(filler))
            self.assertEqual(len(hello), size)
            self.assertEqual(self.is_taken(client, hello), is_taken)
        for wrong in (wire.parameters({5: 5}) + wire.parameters({5: 5}),  # twice
                      b"\x05\x02\x05\x00",  # longer than its varint
                      b"\x05\x05"):  # cut short
            self.assertFalse(self.is_taken(client, self.hello_with(client, wrong)))

    def hello_with(self, client, more):
        """A HELLO with more after its parameters, and a MAC over that."""
        return wire.message(client.key, b"UDPT/1 hello", b"", wire.HELLO,
                            client.hello(0, 1)[7:-32] + more)

    def is_taken(self, client, *pieces):
        """Does the server answer a HELLO that comes in these pieces?"""
        stream = client.dial()
        self.addCleanup(stream.close)
        for piece in pieces[:-1]:
            stream.sendall(piece)
        try:
            stream.sendall(pieces[-1])
            return len(read_message(stream)) > 0
        except (Closed, ConnectionError):
            return False

    def test_a_handshake_byte_by_byte(self):
        self.real_server()
        client = self.our_client()
        hello = client.hello(0, 1)
        self.assertTrue(self.is_taken(client, *(hello[i:i + 1] for i in range(len(hello)))))

    def test_a_session_is_joined_by_its_secret_only(self):
        self.real_server(KEY)
        client = self.our_client(KEY).established()
        peer, source = self.opened(client)
        thief = self.our_client(KEY, session=client.session)
        self.assertEqual(thief.open(0, intent=wire.JOIN, secret=bytes(32), generation=9)["known"], 1)
        self.assertEqual(thief.wait("REFUSED")["reason"], 6)
        thief.wait("END")
        thief.open(0, intent=wire.CREATE, generation=9)
        self.assertEqual(thief.wait("REFUSED")["reason"], 5)
        thief.wait("END")
        client.datagram(1, peer.address, b"still mine")
        self.assertEqual(peer.receive(), (b"still mine", source))

    def test_resumption(self):
        """All legs lost: joined again by the secret, the binding has its socket, epoch and all."""
        self.real_server(KEY)
        client = self.our_client(KEY).established()
        peer, source = self.opened(client)
        client.close()
        self.assertEqual(client.open(1)["known"], 1)
        client.open(0)
        client.datagram(1, peer.address, b"again")
        self.assertEqual(peer.receive(), (b"again", source))
        self.assertEqual(self.status()["resumed"], 1)

    def test_generations(self):
        self.real_server()
        client = self.our_client().established()
        old = client.legs[1].socket
        client.open(1, generation=7)  # takes the place of the first
        client.is_up(1)
        self.assertEqual(old.fileno(), -1)
        for generation in (7, 6):
            other = self.our_client(session=client.session)
            other.secret = client.secret
            other.open(1, intent=wire.JOIN, generation=generation)
            self.assertEqual(other.wait("REFUSED")["reason"], 5)
        peer, _ = self.opened(client)
        self.assertTrue(peer.has_nothing())

    def test_a_session_that_is_not_there(self):
        self.real_server()
        client = self.our_client()
        client.open(0, intent=wire.JOIN, secret=bytes(32))
        self.assertEqual(client.wait("REFUSED")["reason"], 4)

    def test_no_message_gets_no_answer(self):
        self.real_server()
        client = self.our_client()
        hello = client.hello(0, 1)
        for wrong in (b"GET / HTTP/1.1\r\n\r\n", b"UDPT\x00\x20" + bytes(33), b"UDPT\xff\xff" + bytes(600),
                      hello[:6] + b"\x05" + hello[7:], hello[:-1] + bytes([hello[-1] ^ 1])):
            with self.subTest(wrong=wrong):
                self.assertFalse(self.is_taken(client, wrong))


class Flows(Interop):
    def setUp(self):
        self.real_server(KEY, allowTargets=EVERYWHERE + ["192.0.2.1/32"])
        self.client = self.our_client(KEY).established(data_legs=3)

    def test_payloads_of_any_size(self):
        peer, source = self.opened(self.client)
        for size in (0, 1, 1472, 65507):
            payload = os.urandom(size)
            self.client.datagram(1, peer.address, payload)
            self.assertEqual(peer.receive(), (payload, source))
            peer.send(payload, source)
            self.assertEqual(self.client.wait("DATAGRAM")["payload"], payload)

    def test_ip6(self):
        peer = Udp(self, socket.AF_INET6)
        self.client.datagram(1, peer.address, b"six", label=1)
        opened = self.client.wait("OPENED", binding=1)["address"]
        payload, source = peer.receive()
        self.assertEqual((payload, source), (b"six", at_loopback(opened)))
        peer.send(b"back", source)
        self.assertEqual(self.client.wait("DATAGRAM")["address"], peer.address)

    def test_one_binding_has_two_families(self):
        peer4, _ = self.opened(self.client)
        peer6 = Udp(self, socket.AF_INET6)
        self.client.datagram(1, peer6.address, b"six")
        self.client.until(lambda: ":" in (self.client.take("OPENED") or {"address": [""]})["address"][0])
        self.assertEqual(peer6.receive()[0], b"six")
        self.assertTrue(peer4.has_nothing())

    def test_a_name_is_resolved_by_the_server(self):
        peer, source = self.opened(self.client)
        name = ("localhost", peer.address[1])
        self.client.datagram(1, name, b"by name")
        self.assertEqual(peer.receive(), (b"by name", source))
        ident = self.client.announce(1, name)
        self.client.wait("ANNOUNCED", id=ident)
        self.client.datagram(1, name, b"by id")
        self.assertEqual(peer.receive(), (b"by id", source))
        peer.send(b"back", source)
        self.assertEqual(self.client.wait("DATAGRAM")["address"], peer.address)

    def test_without_a_label(self):
        self.opened(self.client, label=None)

    def test_announced_ids_both_ways(self):
        peer, source = self.opened(self.client)
        ident = self.client.announce(1, peer.address)
        self.client.wait("ANNOUNCED", id=ident)
        for payload in (b"short", b"", bytes(65507)):
            self.client.datagram(1, peer.address, payload)
            self.assertEqual(peer.receive(), (payload, source))
        self.client.until(lambda: peer.send(b"x", source) or self.client.take("DATAGRAM") and
                          any(name == "ANNOUNCE" for _, name, _ in self.client.events))
        announced = self.client.wait("ANNOUNCE")
        self.assertEqual((announced["binding"], announced["address"], announced["id"] & 1),
                         (1, peer.address, 1))
        self.client.until(lambda: peer.send(b"y", source) or
                          self.client.take("DATAGRAM", id=announced["id"], payload=b"y"))

    def test_an_announcement_is_absolute(self):
        peer, source = self.opened(self.client)
        other = Udp(self)
        for where in (peer, peer, other):
            self.client.control("ANNOUNCE", id=2, flags=0, binding=1, address=where.address)
            self.client.wait("ANNOUNCED", id=2)
            self.client.send(wire.frame(2, b"hi"), 1)
            self.assertEqual(where.receive(), (b"hi", source))
        self.client.control("RETIRE", id=2)
        self.client.wait("RETIRED", id=2)
        self.client.control("RETIRE", id=200)
        self.client.wait("RETIRED", id=200)
        self.client.send(wire.frame(2, b"late"), 1)  # and RETIRED comes unasked
        self.client.wait("RETIRED", id=2)
        self.client.datagram(1, peer.address, b"inline")
        self.assertEqual(peer.receive(), (b"inline", source))
        self.assertTrue(other.has_nothing())

    def test_an_announcement_for_no_binding_is_not_answered(self):
        peer, _ = self.opened(self.client)
        self.client.announce(99, peer.address)
        known = self.client.announce(1, peer.address)
        self.client.wait("ANNOUNCED", id=known)
        self.assertIsNone(self.client.take("ANNOUNCED"))

    def test_copies(self):
        peer, source = self.opened(self.client)
        first = self.client.announce(1, peer.address, flags=wire.SEQUENCE)
        self.client.wait("ANNOUNCED", id=first)
        for n in range(2000):
            self.client.next_sequence[1] = n
            if n % 2:  # inline, and by the id; numbers are counted for the binding
                self.client.send(wire.inline(1, peer.address, b"%d" % n, sequence=n), 1)
            self.client.datagram(1, peer.address, b"%d" % n, legs=[2, 3])
            self.assertEqual(peer.receive(), (b"%d" % n, source))
        self.client.control("PING", 1, token=3)
        self.client.wait("PONG", token=3)
        self.assertTrue(peer.has_nothing())

    def test_settings_change_what_they_name_alone(self):
        peer, source = self.opened(self.client)
        self.client.control("SETTINGS", parameters={7: 2})  # up to what size stays as it was
        self.client.control("PING", token=4)
        self.client.wait("PONG", token=4)
        peer.send(b"twice", source)
        self.assertEqual(self.client.wait("DATAGRAM")["payload"], b"twice")
        self.client.wait("COPY")

    def test_open_asks_for_the_ports_again(self):
        free = Udp(self)
        port = free.address[1]
        free.socket.close()
        self.client.control("OPEN", binding=5, label=1, port4=port, port6=0)
        self.assertEqual(self.client.wait("OPENED", binding=5)["address"][1], port)
        peer = Udp(self)
        self.client.datagram(5, peer.address, b"hi")
        self.assertEqual(peer.receive(), (b"hi", ("127.0.0.1", port)))

    def test_open_of_a_port_that_is_taken(self):
        taken = Udp(self)
        self.client.control("OPEN", binding=5, label=1, port4=taken.address[1], port6=0)
        opened = self.client.wait("OPENED", binding=5)
        self.assertNotIn(opened["address"][1], (0, taken.address[1]))

    def test_close(self):
        peer, source = self.opened(self.client)
        self.client.control("CLOSE", binding=1, reason=1)
        self.client.wait("CLOSED", binding=1)
        self.client.control("CLOSE", binding=1, reason=1)
        self.client.wait("CLOSED", binding=1)
        self.client.datagram(1, peer.address, b"late", label=77)  # one life
        self.assertEqual(self.client.wait("CLOSE")["binding"], 1)
        self.client.control("CLOSE", binding=2, reason=1)  # before its first datagram
        self.client.wait("CLOSED", binding=2)
        self.client.until(lambda: self.client.take("CLOSE", binding=2) or  # at most one a millisecond
                          self.client.datagram(2, peer.address, b"later", label=78))
        self.assertTrue(peer.has_nothing())
        self.opened(self.client, 3)
        self.assertEqual(self.status()["flows"], 1)

    def test_the_server_closes_at_the_cap(self):
        self.configure(role="server", maxFlowsPerSession=2, merge=True)
        for binding in (1, 2, 3):
            self.opened(self.client, binding, label=binding)
        self.assertEqual(self.client.wait("CLOSE")["reason"], 2)

    def test_errors(self):
        self.opened(self.client)
        nobody = Udp(self)
        nobody.socket.close()
        self.client.datagram(1, nobody.address, b"anyone?")
        error = self.client.wait("ERROR")
        self.assertEqual((error["binding"], error["code"], error["address"]),
                         (1, 1, nobody.address))
        self.client.datagram(1, ("10.1.2.3", 5), b"not allowed")
        error = self.client.wait("ERROR")
        self.assertEqual((error["binding"], error["code"], error["address"]),
                         (1, 4, ("10.1.2.3", 5)))
        self.client.datagram(1, ("::1", nobody.address[1]), bytes(65527))
        self.client.control("PING", 1, token=5)
        self.client.wait("PONG", token=5)

    def test_ping_on_every_leg(self):
        for leg in range(4):
            self.client.control("PING", leg, token=1 << 63 | leg)
            self.assertEqual(self.client.wait("PONG")["leg_number"], leg)

    def test_all_bytes_are_acknowledged(self):
        peer, _ = self.opened(self.client)
        for n in range(30):
            self.client.datagram(1, peer.address, bytes(1000), legs=[n % 4])
        self.client.until(lambda: all(leg.acked == leg.sent for leg in self.client.legs.values()))

    def test_clock(self):
        """It changes nothing but how old what follows is; jumps of it neither."""
        peer, source = self.opened(self.client)
        for now in (0, 5, 0xffffffff, 3, 0x80000000, 0x7fffffff):
            self.client.control("CLOCK", 1, time=now)
            self.client.datagram(1, peer.address, b"%d" % now, legs=[1])
            self.assertEqual(peer.receive(), (b"%d" % now, source))

    def test_unknown_control_frames(self):
        for number in (0x21, 0x1b, 0x3fff, (1 << 62) - 1):  # odd: ignored
            self.client.send(wire.frame(0, wire.varint(number) + b"anything"), 1)
        self.client.control("PING", 1, token=1)
        self.client.wait("PONG", token=1)
        for leg, number in ((1, 0x20), (2, 0), (3, 0x3ffe)):
            self.client.send(wire.frame(0, wire.varint(number)), leg)
            self.client.wait("END", leg_number=leg)
        self.client.open(1)  # the session is as it was
        self.opened(self.client)

    def test_longer_varints_and_split_frames(self):
        peer, source = self.opened(self.client)
        n = 0
        for size in (1, 2, 4, 8):
            body = b"\0" + wire.varint(1, size) + wire.address(peer.address) + b"payload"
            data = wire.frame(1, body, size, size)
            for i in range(1, len(data)):
                self.client.send(data[:i], 1)
                self.client.control("PING", 2, token=n)  # so that it reads them one by one
                self.client.wait("PONG", token=n)
                self.client.send(data[i:], 1)
                n += 1
        for _ in range(n):
            self.assertEqual(peer.receive(), (b"payload", source))

    def test_leave(self):
        self.client.control("LEAVE", number=2, generation=9)  # of no stream that is there
        self.client.control("LEAVE", number=1, generation=1)
        self.client.wait("END", leg_number=1)
        self.client.control("PING", 2, token=1)
        self.client.wait("PONG", token=1)

    def test_goodbye(self):
        self.opened(self.client)
        self.client.control("GOODBYE", 1, reason=1, text="back soon")
        self.client.wait("END", leg_number=0)
        self.client.close()
        self.assertEqual((self.status()["sessions"], self.status()["flows"]), (1, 1))
        self.assertEqual(self.client.open(0)["known"], 1)
        self.client.control("GOODBYE", reason=0, text="for good")
        self.client.wait("END", leg_number=0)
        self.assertEqual(self.status()["sessions"], 0)
        self.assertEqual(self.client.open(0)["known"], 0)

    def test_the_server_says_goodbye(self):
        self.ok(self.command.call("removeUdpTunnel", {"name": "t"}))
        self.assertEqual(self.client.wait("GOODBYE")["reason"], 0)
        self.client.wait("END")

    def test_a_restarted_client_has_its_ports(self):
        """The same session with a higher incarnation: flows are known by label."""
        peer, source = self.opened(self.client, binding=1, label=77)
        again = self.our_client(KEY, session=self.client.session, incarnation=5)
        again.secret, again.welcome = self.client.secret, self.client.welcome
        again.open(0, generation=100)
        again.open(1, generation=100)
        again.datagram(2, peer.address, b"it is me", label=77)
        self.assertEqual(peer.receive(), (b"it is me", source))
        again.wait("OPENED", binding=2)
        peer.send(b"hello again", source)
        self.assertEqual(again.wait("DATAGRAM")["binding"], 2)


if __name__ == "__main__":
    unittest.main()
