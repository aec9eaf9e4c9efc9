# SPDX-License-Identifier: Apache-2.0
"""A udp-local as SOCKS5 server: UDP ASSOCIATE by PySocks, CONNECT by curl, full cone, manners.

    PySocks ─UDP ASSOCIATE─▶ udp-local ═══▶ udp-server ─UDP─▶ third, router
    curl ──────CONNECT─────▶ udp-local ───▶ ss-local ─▶ … ss-server ─TCP─▶ third
"""

import os
import socket
import struct
import subprocess
import unittest

import chain
import traffic
from harness import GUARD_S, ROUTER, ROUTER6, SERVER, THIRD, THIRD6, NetTest, need

try:
    import socks
except ImportError:
    socks = None

PORT = chain.UDP_SERVER_PORT


class Socks5(NetTest):
    @classmethod
    def build(cls):
        chain.start_shadowsocks(cls.net)
        cls.server = cls.net.daemon("server")
        cls.client = cls.net.daemon("client")
        cls.server.configure(name="far", role="server", listen=f"127.0.0.1:{PORT}")
        cls.port = cls.local("socks", "socks5://127.0.0.1:0",
                             tcpProxy=f"socks5://127.0.0.1:{chain.SOCKS_PORT}")
        cls.target = cls.net.third.udp(THIRD, 9000)

    @classmethod
    def local(cls, name, listen, **more):
        """A udp-local with SOCKS5; its port."""
        status = cls.client.configure(name=name, role="local", listen=listen, wait=GUARD_S,
                                      server=f"127.0.0.1:{chain.TUNNEL_PORT}", **more)
        return int(status["listen"].rsplit(":", 1)[1])

    @classmethod
    def tearDownClass(cls):
        cls.target.close()
        super().tearDownClass()

    def associate(self, port=None, user=None, password=None):
        """A PySocks socket that has its association."""
        if not socks:
            self.skipTest("needs PySocks (package python3-socks)")
        with self.net.client.inside():
            app = socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(app.close)
            app.settimeout(GUARD_S)
            app.set_proxy(socks.SOCKS5, "127.0.0.1", port or self.port, username=user,
                          password=password)
            app.bind(("0.0.0.0", 0))
        return app

    def test_associate_every_size(self):
        app = self.associate()
        for size in traffic.SIZES:
            if size + 10 > 65507:
                continue  # the SOCKS5 header takes its part of a UDP datagram
            traffic.exchange(self, app, (THIRD, 9000), self.target, traffic.pattern(size, "to"),
                             traffic.pattern(size, "from"))
        largest = traffic.pattern(65507 - 10, "largest")
        traffic.exchange(self, app, (THIRD, 9000), self.target, largest, largest)

    def test_associate_ipv6_target(self):
        target = self.net.third.udp(THIRD6, 9006)
        self.addCleanup(target.close)
        traffic.exchange(self, self.associate(), (THIRD6, 9006), target)

    def test_full_cone(self):
        """One mapping for all targets, and whoever answers it is heard under its own name."""
        app = self.associate()
        mapped = traffic.exchange(self, app, (THIRD, 9000), self.target)
        other = self.net.third.udp(THIRD, 9001)
        self.addCleanup(other.close)
        self.assertEqual(traffic.exchange(self, app, (THIRD, 9001), other), mapped)
        self.assertEqual(mapped[0], SERVER)
        strangers = [self.net.router.udp(ROUTER["third"], 7777),
                     self.net.third.udp(THIRD, 9002),
                     self.net.router.udp(ROUTER["server"], 0)]
        for stranger in strangers * 3:  # more than once: from announced addresses, too
            self.addCleanup(stranger.close)
            stranger.sendto(b"from a stranger", mapped)
            data, source = app.recvfrom(1000)
            self.assertEqual((data, source), (b"from a stranger", stranger.getsockname()))
            app.sendto(b"to a stranger", source)
            self.assertEqual(stranger.recvfrom(1000), (b"to a stranger", mapped))

    def test_full_cone_ipv6(self):
        app = self.associate()
        target = self.net.third.udp(THIRD6, 9006)
        stranger = self.net.router.udp(ROUTER6["third"], 7778)
        self.addCleanup(target.close)
        self.addCleanup(stranger.close)
        mapped = traffic.exchange(self, app, (THIRD6, 9006), target)
        stranger.sendto(b"from a stranger", mapped[:2])
        data, source = app.recvfrom(1000)
        self.assertEqual((data, source), (b"from a stranger", (ROUTER6["third"], 7778)))

    def test_two_apps_have_two_mappings(self):
        first = traffic.exchange(self, self.associate(), (THIRD, 9000), self.target)
        second = traffic.exchange(self, self.associate(), (THIRD, 9000), self.target)
        self.assertNotEqual(first, second)

    def test_password(self):
        port = self.local("secured", "socks5://someone:not-a-secret@127.0.0.1:0")
        app = self.associate(port, "someone", "not-a-secret")
        traffic.exchange(self, app, (THIRD, 9000), self.target)
        if socks:
            with self.assertRaises(socks.ProxyError):
                self.associate(port, "someone", "wrong")
            with self.assertRaises(socks.ProxyError):
                self.associate(port)
        self.client.call("removeUdpTunnel", {"name": "secured"})

    def raw_association(self):
        """The same by hand: (control connection, UDP socket on 127.0.0.1, the relay's address)."""
        control = self.net.client.tcp("127.0.0.1", self.port)
        self.addCleanup(control.close)
        control.sendall(b"\x05\x01\x00")
        self.assertEqual(control.recv(2), b"\x05\x00")
        control.sendall(b"\x05\x03\x00\x01" + bytes(6))
        reply = control.recv(10)
        self.assertEqual(reply[:4], b"\x05\x00\x00\x01")
        app = self.net.client.udp("127.0.0.1")
        self.addCleanup(app.close)
        return control, app, (socket.inet_ntoa(reply[4:8]), struct.unpack(">H", reply[8:])[0])

    def header(self, fragment=0):
        return struct.pack(">HBB4sH", 0, fragment, 1, socket.inet_aton(THIRD), 9000)

    def test_fragments_and_strangers_are_refused(self):
        """None of what is wrong comes out; what is right and was sent after it does."""
        _, app, relay = self.raw_association()
        stranger = self.net.client.udp("127.0.0.2")
        self.addCleanup(stranger.close)
        app.sendto(self.header() + b"first", relay)
        self.assertEqual(self.target.recvfrom(100)[0], b"first")
        stranger.sendto(self.header() + b"not from the client", relay)
        app.sendto(self.header(fragment=1) + b"a fragment", relay)
        app.sendto(self.header()[:7], relay)
        app.sendto(b"", relay)
        app.sendto(self.header() + b"last", relay)
        self.assertEqual(self.target.recvfrom(100)[0], b"last")

    def test_association_ends_with_its_connection(self):
        control, app, relay = self.raw_association()
        app.sendto(self.header() + b"open", relay)
        self.assertEqual(self.target.recvfrom(100)[0], b"open")
        control.close()
        other = self.raw_association()
        other[1].sendto(self.header() + b"other", other[2])  # by now the close has been seen
        self.assertEqual(self.target.recvfrom(100)[0], b"other")
        app.sendto(self.header() + b"too late", relay)
        other[1].sendto(self.header() + b"again", other[2])
        self.assertEqual(self.target.recvfrom(100)[0], b"again")

    def curl(self, port, url):
        with self.net.client.inside():
            return subprocess.run([need("curl"), "--silent", "--show-error", "--max-time", "20",
                                   "--noproxy", "", "--socks5", f"127.0.0.1:{port}", url],
                                  capture_output=True, check=False)

    def test_connect_is_relayed_to_the_tcp_proxy(self):
        body = os.urandom(3000000)
        with open(os.path.join(self.net.folder, "page"), "wb") as file:
            file.write(body)
        self.net.start("third", "/usr/bin/python3", "-m", "http.server", "8000", "--bind", THIRD,
                       "--directory", self.net.folder).wait_listening(8000)
        result = self.curl(self.port, f"http://{THIRD}:8000/page")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertEqual(result.stdout, body)

    def test_connect_without_a_tcp_proxy_is_refused(self):
        port = self.local("udp-only", "socks5://127.0.0.1:0")
        result = self.curl(port, f"http://{THIRD}:8000/page")
        self.assertEqual(result.returncode, 97, result)  # curl: the proxy's handshake failed
        self.client.call("removeUdpTunnel", {"name": "udp-only"})


if __name__ == "__main__":
    unittest.main()
