# SPDX-License-Identifier: Apache-2.0
"""Peers that are wrong, broken, slow or too many: refused and logged, others undisturbed.

    good app ─▶ udp-local "good" ══ key ══▶ udp-server "far" ─▶ third
    wrong key, no key, garbage, silence ──▶

Every test ends with a datagram each way through the tunnel that was good all along, on the
mapping that it had before: it has not even been resumed.
"""

import base64
import os
import re
import resource
import signal
import socket
import time
import unittest

import chain
import traffic
from harness import CLIENT, GUARD_S, SERVER, SERVER6, THIRD, NetTest, poll, sanitized

PORT = chain.UDP_SERVER_PORT
KEY = base64.b64encode(bytes(range(32))).decode()
WRONG_KEY = base64.b64encode(bytes(32)).decode()


class BadPeers(NetTest):
    @classmethod
    def build(cls):
        cls.server = cls.net.daemon("server")
        cls.client = cls.net.daemon("client")
        cls.server.configure(name="far", role="server", listen=f"{SERVER}:{PORT}", key=KEY)
        status = cls.client.configure(
            name="good", role="local", listen="udp://127.0.0.1:0", target=f"{THIRD}:9000",
            server=f"{SERVER}:{PORT}", key=KEY, wait=GUARD_S)
        cls.entry = ("127.0.0.1", int(status["listen"].rsplit(":", 1)[1]))
        cls.target = cls.net.third.udp(THIRD, 9000)
        cls.app = cls.net.client.udp("127.0.0.1")

    @classmethod
    def tearDownClass(cls):
        cls.target.close()
        cls.app.close()
        super().tearDownClass()

    def setUp(self):
        self.mapped = self.exchange()
        self.said = len(self.server.log())
        self.reconnects = self.client.status("good")["reconnects"]

    def tearDown(self):
        self.assertEqual(self.exchange(), self.mapped)
        self.assertEqual(self.client.status("good")["reconnects"], self.reconnects)

    def exchange(self):
        return traffic.exchange(self, self.app, self.entry, self.target)

    def try_tunnel(self, **fields):
        """A udp-local that must not come up; what the server has said about it."""
        tunnel = {"name": "bad", "role": "local", "server": f"{SERVER}:{PORT}", "wait": 2, **fields}
        reply = self.client.request("configureUdpTunnel", tunnel)
        self.assertEqual(reply["error"]["code"], "TIMEOUT", reply)
        status = self.client.status("bad")
        self.assertEqual(status["state"], "connecting")
        self.assertTrue(status["lastError"], status)
        self.client.call("removeUdpTunnel", {"name": "bad"})
        return self.server.log()[self.said:]

    def keyed_server(self):
        """A server of the test's own: lines of one kind are rationed, for each tunnel."""
        self.server.configure(name="keyed", role="server", listen=f"{SERVER}:3458", key=KEY)
        self.addCleanup(self.server.call, "removeUdpTunnel", {"name": "keyed"})
        return {"server": f"{SERVER}:3458"}

    def test_wrong_key(self):
        said = self.try_tunnel(key=WRONG_KEY, **self.keyed_server())
        self.assertRegex(said, rf"(?i){CLIENT}.*key")
        self.assertNotIn(WRONG_KEY[:20], said + self.client.log())

    def test_no_key(self):
        self.assertRegex(self.try_tunnel(**self.keyed_server()), rf"(?i){CLIENT}.*key")

    def connect(self):
        sock = self.net.client.tcp(SERVER, PORT)
        self.addCleanup(sock.close)
        return sock

    def assert_closed(self, sock, seconds=GUARD_S):
        """The peer closes, having said nothing that is of use to a stranger."""
        sock.settimeout(seconds)
        try:
            self.assertLess(len(sock.recv(65536)), 1024)
            while sock.recv(65536):
                pass
        except ConnectionResetError:
            pass

    def test_garbage(self):
        for data in (b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", os.urandom(4096),
                     b"\x00" * 4096, b"\xff" * 4096, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03"):
            with self.subTest(data=data[:16]):
                said = len(self.server.log())
                sock = self.connect()
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                self.assert_closed(sock)
                self.server.wait_log(CLIENT, after=said)

    def hello(self):
        """The first bytes that a udp-local with the right key says."""
        catcher = self.net.client.listener("127.0.0.1")
        self.addCleanup(catcher.close)
        self.client.configure(name="catch", role="local", key=KEY,
                              server=f"127.0.0.1:{catcher.getsockname()[1]}")
        peer, _ = catcher.accept()
        peer.settimeout(GUARD_S)
        data = peer.recv(4096)
        self.client.call("removeUdpTunnel", {"name": "catch"})
        peer.close()
        self.assertGreater(len(data), 16)
        return data

    def test_half_a_hello_and_slow_peers(self):
        """Silence, half a HELLO, a byte a second, a HELLO replayed without a CONFIRM: all closed
        when the time for a handshake is over, whatever keeps coming."""
        hello = self.hello()
        silent, half, whole, dripping = (self.connect() for _ in range(4))
        half.sendall(hello[:len(hello) // 2])
        whole.sendall(hello)
        start = time.monotonic()
        with self.assertRaises(OSError):
            for byte in hello[:-1] * 10:
                dripping.sendall(bytes([byte]))
                if time.monotonic() - start > 2 * GUARD_S:
                    break
                time.sleep(0.5)
        for sock in (silent, half, whole):
            self.assert_closed(sock)
        self.server.wait_log(rf"(?i){CLIENT}.*(time|handshake|HELLO)", after=self.said)

    def test_too_many_connections(self):
        """Far more half-open handshakes than the server keeps: bounded, and over when they go."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
        socks = [self.connect() for _ in range(1500)]
        self.server.wait_log("(?i)too many|limit", after=self.said)
        self.assertLess(len(os.listdir(f"/proc/{self.server.pid}/fd")), 1300)
        self.assertEqual(self.exchange(), self.mapped)
        for sock in socks:
            sock.close()

        def new_tunnel():
            self.client.configure(name="later", role="local", server=f"{SERVER}:{PORT}", key=KEY)
            return self.client.status("later")["state"] == "established"
        poll("a new tunnel to come up", new_tunnel)
        self.client.call("removeUdpTunnel", {"name": "later"})

    def test_too_many_sessions(self):
        self.server.configure(name="small", role="server", listen=f"{SERVER}:3457", key=KEY,
                              maxSessions=1)
        one = {"role": "local", "server": f"{SERVER}:3457", "key": KEY}
        self.client.configure(name="first", wait=GUARD_S, **one)
        self.try_tunnel(server=f"{SERVER}:3457", key=KEY)
        self.server.wait_log("(?i)session", after=self.said)
        self.assertEqual(self.client.status("first")["state"], "established")
        self.client.call("removeUdpTunnel", {"name": "first"})
        self.client.configure(name="second", wait=GUARD_S, **one)  # its place is free again
        self.client.call("removeUdpTunnel", {"name": "second"})
        self.server.call("removeUdpTunnel", {"name": "small"})

    def test_peer_that_stops_reading(self):
        """A udp-local that stands still while its flow's target floods: the server neither grows
        nor stops, and the flow goes on when the peer does."""
        sleeper = self.net.daemon("client", name="sleeper")
        self.addCleanup(sleeper.stop)
        status = sleeper.configure(
            name="sleepy", role="local", listen="udp://127.0.0.1:0", target=f"{THIRD}:9001",
            server=f"{SERVER}:{PORT}", key=KEY, wait=GUARD_S)
        entry = ("127.0.0.1", int(status["listen"].rsplit(":", 1)[1]))
        app, target = self.net.client.udp("127.0.0.1"), self.net.third.udp(THIRD, 9001)
        self.addCleanup(app.close)
        self.addCleanup(target.close)
        mapped = traffic.exchange(self, app, entry, target)
        before = self.resident_bytes()
        sleeper.signal(signal.SIGSTOP)
        self.addCleanup(sleeper.signal, signal.SIGCONT)
        for _ in range(20):
            for _ in range(2000):
                target.sendto(bytes(1200), mapped)
            self.assertEqual(self.exchange(), self.mapped)
        if not sanitized():  # they keep what was freed
            self.assertLess(self.resident_bytes() - before, 32 << 20)
        self.assertGreater(sum(self.server.status("far")["dropped"].values()), 0)
        sleeper.signal(signal.SIGCONT)
        self.drain(app)
        traffic.wait_for_flow(app, entry, target)

    def drain(self, app):
        app.settimeout(0.3)
        try:
            while True:
                app.recv(2000)
        except TimeoutError:
            app.settimeout(GUARD_S)

    def resident_bytes(self):
        with open(f"/proc/{self.server.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096


class Policy(NetTest):
    """Targets that the server does not allow: nothing leaves, it is logged, counted and told."""

    @classmethod
    def build(cls):
        cls.server = cls.net.daemon("server")
        cls.client = cls.net.daemon("client")
        cls.client.configure(name="near", role="local", server=f"{SERVER}:{PORT}",
                             listen="udp://127.0.0.1:0", target=f"{THIRD}:9000")
        cls.app = cls.net.client.udp("127.0.0.1")
        cls.target = cls.net.third.udp(THIRD, 9000)

    @classmethod
    def tearDownClass(cls):
        cls.app.close()
        cls.target.close()
        super().tearDownClass()

    def setUp(self):
        self.server.call("removeUdpTunnel", {"name": "far"})
        self.said, self.first_denied = len(self.server.log()), None

    def server_with(self, **fields):
        self.server.configure(name="far", role="server", listen=f"{SERVER}:{PORT}", insecure=True,
                              **fields)

    def entry_for(self, target):
        status = self.client.configure(
            name="near", role="local", server=f"{SERVER}:{PORT}", listen="udp://127.0.0.1:0",
            target=target, wait=GUARD_S)
        return "127.0.0.1", int(status["listen"].rsplit(":", 1)[1])

    def assert_passes(self, target, sock):
        traffic.exchange(self, self.app, self.entry_for(target), sock)

    def assert_denied(self, target, sock=None, address=None):
        entry = self.entry_for(target)
        before = self.server.status("far")["dropped"]["policy"]
        for _ in range(5):
            self.app.sendto(b"must not arrive", entry)
        poll(f"{target} to be denied",
             lambda: self.server.status("far")["dropped"]["policy"] > before)
        self.first_denied = self.first_denied or address or target
        # Lines of one kind are rationed: the first target denied in a test is named for sure.
        self.server.wait_log(rf"(?i)polic.*{re.escape(self.first_denied)}", self.said)
        if sock:
            sock.setblocking(False)
            with self.assertRaises(BlockingIOError):
                sock.recv(100)
            sock.settimeout(GUARD_S)

    def bound(self, namespace, host, port):
        sock = getattr(self.net, namespace).udp(host, port)
        self.addCleanup(sock.close)
        return sock

    def test_default(self):
        self.server_with()
        self.assert_passes(f"{THIRD}:9000", self.target)
        self.assert_denied("127.0.0.1:9000", self.bound("server", "127.0.0.1", 9000))
        self.assert_denied(f"{SERVER}:9000", self.bound("server", SERVER, 9000))
        self.assert_denied("[::1]:9000", self.bound("server", "::1", 9000))
        self.assert_denied(f"[{SERVER6}]:9000", self.bound("server", SERVER6, 9000))
        self.assert_denied("[::ffff:127.0.0.1]:9000")
        self.assert_denied("224.0.0.1:9000")
        self.assert_denied("255.255.255.255:9000")
        self.assert_denied("0.0.0.0:9000")
        self.assert_denied("169.254.1.1:9000")
        self.assert_denied("[fe80::1]:9000")

    def test_allow_names_all_that_is_allowed(self):
        self.server_with(allowTargets=["127.0.0.1/32:9000-9001"])
        loopback = self.bound("server", "127.0.0.1", 9001)
        self.assert_passes("127.0.0.1:9001", loopback)
        self.assert_denied("127.0.0.1:9002")
        self.assert_denied(f"{THIRD}:9000", self.target)

    def test_deny_wins(self):
        self.server_with(allowTargets=["192.0.2.0/24"], denyTargets=[f"{THIRD}/32:9001"])
        self.assert_passes(f"{THIRD}:9000", self.target)
        self.assert_denied(f"{THIRD}:9001", self.bound("third", THIRD, 9001))

    def test_server_resolves_the_targets_name(self):
        """The policy is asked about the address that a name leads to."""
        self.server_with(allowTargets=["127.0.0.1/32:9004"])
        self.assert_passes("localhost:9004", self.bound("server", "127.0.0.1", 9004))
        self.assert_denied("localhost:9005", self.bound("server", "127.0.0.1", 9005),
                           address="127.0.0.1:9005")

    def test_own_target_is_exempt(self):
        loopback = self.bound("server", "127.0.0.1", 9003)
        self.server_with(target="127.0.0.1:9003")
        self.assert_passes(f"{THIRD}:9000", loopback)  # whatever the client asked


if __name__ == "__main__":
    unittest.main()
