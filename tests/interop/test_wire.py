# SPDX-License-Identifier: Apache-2.0
"""Our bytes are those of the page's vectors, and frames are cut right however they come."""
import os
import re
import unittest

import wire

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "protocol.md")
KEY = bytes(range(0x40, 0x60))


def vectors():
    with open(PAGE) as f:
        blocks = re.findall(r"```vector (\S+)\n(.*?)```", f.read(), re.S)
    return {name: bytes.fromhex(re.sub(r"\s", "", text)) for name, text in blocks}


class Vectors(unittest.TestCase):
    def setUp(self):
        self.page = vectors()

    def test_handshake(self):
        hello = wire.hello(KEY, bytes(range(16)), 2, 3, 0, bytes(range(0x80, 0xa0)),
                           {1: 10000, 2: 30000})
        welcome = wire.welcome(KEY, hello, 0, 0x1122334455667788, 1, bytes(range(0xa0, 0xc0)),
                               {3: 180000, 9: 32})
        secret = wire.secret_of(KEY, hello + welcome)
        ours = {"hello": hello, "welcome": welcome, "secret": secret,
                "confirm-create": wire.confirm(KEY, hello + welcome, wire.CREATE),
                "confirm-join": wire.confirm(KEY, hello + welcome, wire.JOIN, secret),
                "refuse": wire.refuse(KEY, hello, 2,
                                      "the server has as many sessions as it may")}
        for name, data in ours.items():
            with self.subTest(name):
                self.assertEqual(data.hex(), self.page[name].hex())

    def test_handshake_with_shares(self):
        ours, theirs = bytes(range(0x80, 0xa0)), bytes(range(0xa0, 0xc0))
        hello = wire.hello(KEY, bytes(range(16)), 2, 3, 0, wire.share_of(ours),
                           {1: 10000, 2: 30000}, versions=(1, 2))
        welcome = wire.welcome(KEY, hello, 0, 0x1122334455667788, 1, wire.share_of(theirs),
                               {3: 180000, 9: 32}, version=2)
        secret = wire.secret_of(KEY, hello + welcome, ours, wire.share_of(theirs))
        self.assertEqual(secret, wire.secret_of(KEY, hello + welcome, theirs, wire.share_of(ours)))
        made = {"hello-2": hello, "welcome-2": welcome, "secret-2": secret,
                "confirm-create-2": wire.confirm(KEY, hello + welcome, wire.CREATE),
                "confirm-join-2": wire.confirm(KEY, hello + welcome, wire.JOIN, secret)}
        for name, data in made.items():
            with self.subTest(name):
                self.assertEqual(data.hex(), self.page[name].hex())

    def test_x25519(self):
        """RFC 7748, section 5.2."""
        scalar = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
        point = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
        self.assertEqual(wire.x25519(scalar, point).hex(),
                         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")

    def test_frames(self):
        peer = ("192.0.2.1", 53)
        ours = {"inline-ip4": wire.inline(7, peer, b"hello"),
                "inline-ip6-label": wire.inline(7, ("2001:db8::1", 443), b"hello",
                                                label=0x0102030405060708),
                "inline-name-sequence": wire.inline(7, ("example.org", 5000), b"hello",
                                                    sequence=9),
                "inline-port": wire.inline(7, peer, b"hello", label=0x0102030405060708, port=40001),
                "inline-whole": wire.inline(7, peer, b"hello", whole=True),
                "announced": wire.frame(4, b"hello"),
                "announce": wire.control("ANNOUNCE", id=4, binding=7, address=peer, flags=0),
                "ack": wire.control("ACK", entries=[(2, 3, 20000, 1500)]),
                "clock": wire.control("CLOCK", time=123456),
                "close": wire.control("CLOSE", binding=7, reason=1),
                "closed": wire.control("CLOSED", binding=7),
                "goodbye": wire.control("GOODBYE", reason=1, text="the server is stopping")}
        for name, data in ours.items():
            with self.subTest(name):
                [(ident, body, size)] = wire.FrameReader().feed(self.page[name])
                self.assertEqual((data, size), (self.page[name], len(data)))
                if ident == 0:
                    kind, values = wire.read_control(body)
                    self.assertEqual(wire.control(kind, **values), data)
                elif ident == 1:
                    d = wire.read_inline(wire.Reader(body))
                    self.assertEqual(wire.inline(d["binding"], d["address"], d["payload"],
                                                 d["label"], d["sequence"], d["port"],
                                                 d["whole"]), data)

    def test_every_vector_was_looked_at(self):
        self.assertEqual(len(self.page), 23)

    def test_frames_byte_by_byte(self):
        stream = b"".join(self.page[n] for n in ("announce", "inline-ip4", "ack", "announced"))
        whole, split = wire.FrameReader(), wire.FrameReader()
        self.assertEqual([f for i in range(len(stream)) for f in split.feed(stream[i:i + 1])],
                         whole.feed(stream))


if __name__ == "__main__":
    unittest.main()
