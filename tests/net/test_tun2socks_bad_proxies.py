# SPDX-License-Identifier: Apache-2.0
"""Proxies that accept and say nothing, talk nonsense or break off, behind a TUN device.

    app ─▶ tun0 ─▶ tun2socks ─▶ a SOCKS5 server of this test, which does as it is told

Whatever they do: the app is told in the end, no flow is left, the status says what is wrong, and
all is well again when the proxy is.
"""

import contextlib
import errno
import select
import socket
import struct
import threading
import time
import unittest

import traffic
from harness import GUARD_S, ROUTER, SERVER, THIRD, NetTest, poll
from test_tun2socks import configure, route_into, status_of

PROXY_PORT = 1081
PATIENCE_S = GUARD_S * 2 # a proxy is waited for 30 s
ANSWER = b"\5\0\0\1\0\0\0\0\0\0"


class Proxy:
    """Grants whatever it is asked for and echoes; or, as `mode` says, does not."""

    def __init__(self, net):
        self.mode = "good"
        self.bound = None  # the address in the answer to UDP ASSOCIATE, from ATYP on; None: the true one
        self.source = None  # that in the frames of replies; None: as in the request
        self.answers = False  # replies are DNS answers
        self.delay = 0  # seconds that an answer to UDP ASSOCIATE takes
        self.relayed = []  # when each datagram came, and what it was
        self.listener = net.server.listener(SERVER, PROXY_PORT)
        self.relay = net.server.udp(SERVER, 0)
        self.open, self.is_over = [], False
        self.threads = [threading.Thread(target=run) for run in (self.accept, self.relay_on)]
        for thread in self.threads:
            thread.start()

    def accept(self):
        while not self.is_over:
            if not select.select([self.listener], [], [], 0.1)[0]:
                continue
            sock, _ = self.listener.accept()
            sock.settimeout(PATIENCE_S)
            self.open.append(sock)
            thread = threading.Thread(target=self.serve, args=(sock, self.mode))
            self.threads.append(thread)
            thread.start()

    def serve(self, sock, mode):
        with contextlib.suppress(OSError):
            sock.recv(3)
            if mode == "silent":
                while sock.recv(100):
                    pass
            elif mode == "garbage":
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            elif mode == "silent later":
                sock.sendall(b"\5\0")
                while sock.recv(100):
                    pass
            elif mode == "garbage later":
                sock.sendall(b"\5\0\5\0\0\x7fnonsense")
            else:
                sock.sendall(b"\5\0")
                request = sock.recv(100)
                if request[1] == 3:
                    time.sleep(self.delay)
                    sock.sendall(ANSWER[:3] + (self.bound or b"\1" + socket.inet_aton(SERVER)) +
                                 struct.pack("!H", self.relay.getsockname()[1]))
                else:
                    sock.sendall(ANSWER)
                while data := sock.recv(100000):
                    sock.sendall(data)
        sock.close()

    def relay_on(self):
        """Datagrams come back as they are; in between there is nonsense."""
        while not self.is_over:
            if not select.select([self.relay], [], [], 0.1)[0]:
                continue
            data, peer = self.relay.recvfrom(70000)
            self.relayed.append((time.monotonic(), data[10:]))
            if self.source:
                size = 7 + data[4] if data[3] == 3 else 10
                port, payload = data[size - 2:size], data[size:]
                if self.answers:
                    payload = payload[:2] + bytes([payload[2] | 0x80]) + payload[3:]
                self.relay.sendto(data[:3] + self.source + port + payload, peer)
                continue
            for nonsense in (b"", b"\0", data[:5], b"\0\0\1" + data[3:], b"\0\0\0\x09" + data[4:],
                             b"\0\0\0\3\x05a.b.c" + data[10:]):
                self.relay.sendto(nonsense, peer)
            self.relay.sendto(data, peer)

    def stop(self):
        self.is_over = True
        for sock in self.open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.listener.close()
        self.relay.close()


class BadProxies(NetTest):
    @classmethod
    def build(cls):
        cls.proxy = Proxy(cls.net)
        cls.addClassCleanup(cls.proxy.stop)
        cls.client = cls.net.daemon("client")
        cls.configure()
        route_into(cls.net)

    @classmethod
    def configure(cls):
        configure(cls.client, name="apps", device="tun:tun0", address="10.85.0.1/24",
                  tcp=f"socks5://{SERVER}:{PROXY_PORT}", udp=f"socks5://{SERVER}:{PROXY_PORT}")

    def tearDown(self):
        self.proxy.mode, self.proxy.delay = "good", 0
        self.proxy.bound = self.proxy.source = None
        self.proxy.answers = False

    def works(self):
        app = self.net.client.tcp(THIRD, 80)
        app.sendall(b"hello")
        self.assertEqual(app.recv(100), b"hello")
        app.close()
        poll("no flow to be left", lambda: status_of(self.client)["tcpFlows"] == 0)

    def is_told(self, mode, errors, said):
        self.proxy.mode = mode
        app = self.net.client.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(app.close)
        app.settimeout(PATIENCE_S)
        with self.assertRaises(OSError) as caught:
            app.connect((THIRD, 80))
        self.assertIn(caught.exception.errno, errors)
        status = status_of(self.client)
        self.assertEqual((status["state"], status["tcpFlows"]), ("degraded", 0))
        self.assertRegex(status["lastError"], rf"^tcp: proxy {SERVER}:{PROXY_PORT}: {said}")
        shown = self.client.ctl("status")
        self.assertIn("degraded", shown)
        self.assertIn(f"proxy {SERVER}:{PROXY_PORT}", shown)
        self.proxy.mode = "good"
        self.works()
        status = status_of(self.client)
        self.assertEqual((status["state"], status.get("lastError")), ("established", None))

    def test_it_says_nothing(self):
        self.is_told("silent", (errno.EHOSTUNREACH, errno.ETIMEDOUT), "no answer in time")

    def test_it_says_nothing_more(self):
        self.is_told("silent later", (errno.EHOSTUNREACH, errno.ETIMEDOUT), "no answer in time")

    def test_it_talks_nonsense(self):
        self.is_told("garbage", (errno.ECONNREFUSED,), ".*SOCKS")

    def test_it_talks_nonsense_later(self):
        self.is_told("garbage later", (errno.ECONNREFUSED,), "")

    def test_it_breaks_off_in_the_middle(self):
        app = self.net.client.tcp(THIRD, 80)
        self.addCleanup(app.close)
        app.sendall(bytes(1000))
        app.recv(1)
        linger = struct.pack("ii", 1, 0)
        self.proxy.open[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.proxy.open[-1].shutdown(socket.SHUT_RDWR)
        with self.assertRaises((ConnectionResetError, BrokenPipeError)):
            while app.recv(10000) or app.send(b"x"):
                pass
        self.works()

    def test_nonsense_among_the_datagrams(self):
        app = self.net.client.udp()
        self.addCleanup(app.close)
        for size in (0, 1, 1000):
            data = traffic.pattern(size, "datagram")
            app.sendto(data, (THIRD, 9000))
            self.assertEqual(app.recvfrom(70000), (data, (THIRD, 9000)))
        app.setblocking(False)
        with self.assertRaises(BlockingIOError):
            app.recvfrom(100)
        self.assertIs(status_of(self.client)["associated"], True)

    def lost(self):
        """Datagrams that were dropped with their association, or before it ended."""
        dropped = status_of(self.client)["dropped"]
        return dropped["farEnd"] + dropped["stale"]

    def test_an_association_that_is_not_granted(self):
        for mode, said in (("garbage", ".*SOCKS"), ("silent", "no answer in time")):
            self.proxy.mode = mode
            lost = self.lost()
            app = self.net.client.udp()
            self.addCleanup(app.close)
            app.sendto(b"lost", (THIRD, 9000))
            poll("the state", lambda: status_of(self.client)["state"] == "degraded", PATIENCE_S)
            status = status_of(self.client)
            self.assertRegex(status["lastError"], rf"^udp: proxy {SERVER}:{PROXY_PORT}: {said}")
            self.assertGreater(self.lost(), lost)
            self.proxy.mode = "good"

            def passes(app=app):
                app.sendto(b"again", (THIRD, 9000))
                return select.select([app], [], [], 0.1)[0]
            poll("datagrams to pass", passes)
            self.assertEqual(status_of(self.client)["state"], "established")

    def exchange(self):
        """A datagram of a new app there and back; one that waits too long for its association is
        lost."""
        app = self.net.client.udp()
        self.addCleanup(app.close)

        def passes():
            app.sendto(b"hello", (THIRD, 9000))
            return select.select([app], [], [], 0.2)[0]
        poll("an answer", passes)
        self.assertEqual(app.recvfrom(100), (b"hello", (THIRD, 9000)))

    def test_every_way_to_name_the_relay(self):
        for bound in (b"\1" + bytes(4), b"\4" + bytes(16), b"\3\0", b"\3\x09localhost",
                      b"\1\x7f\0\0\1", b"\3\x07unknown", b"\3" + bytes([len(SERVER)]) + SERVER.encode(),
                      b"\4" + bytes(10) + b"\xff\xff" + socket.inet_aton(SERVER),
                      b"\4" + bytes(10) + b"\xff\xff" + bytes(4)):
            with self.subTest(bound=bound):
                self.proxy.bound = bound
                self.exchange()

    def test_every_way_to_name_the_source(self):
        for source in (b"\3" + bytes([len(THIRD)]) + THIRD.encode(),
                       b"\4" + bytes(10) + b"\xff\xff" + socket.inet_aton(THIRD)):
            with self.subTest(source=source):
                self.proxy.source = source
                self.exchange()

    def refused(self):
        """Datagrams of the relay whose source says nothing; an empty name is no header at all."""
        dropped = status_of(self.client)["dropped"]
        return dropped["address"] + dropped["malformed"]

    def test_a_source_that_is_no_address_is_counted(self):
        """The app asked an address: nobody can say which one a host name stands for."""
        for source in (b"\3\x08some.one", b"\1" + bytes(4), b"\3\0"):
            with self.subTest(source=source):
                self.proxy.source = source
                before = self.refused()
                app = self.net.client.udp()
                self.addCleanup(app.close)
                app.sendto(b"hello", (THIRD, 9000))
                poll("it to be counted",
                     lambda before=before: self.refused() > before)

    def test_a_name_that_was_asked_is_a_source(self):
        """The apps' questions go to a name server that only the proxy can look up."""
        configure(self.client, name="apps", merge=True, dns="names.test:53", dnsCache=0)
        self.addCleanup(self.configure)
        self.proxy.answers = True
        question = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\4host\4test\0\0\1\0\1"
        for name, answered in ((b"\3\x0anames.test", True), (b"\3\x0aNAMES.test", True),
                               (b"\3\x0aother.test", False)):
            with self.subTest(name=name):
                self.proxy.source = name
                before = self.refused()
                app = self.net.client.udp()
                self.addCleanup(app.close)
                app.sendto(question, (THIRD, 53))
                if answered:
                    data, source = app.recvfrom(500)
                    self.assertEqual((data[:2], data[2] & 0x80, source),
                                     (question[:2], 0x80, (THIRD, 53)))
                else:
                    poll("it to be counted",
                         lambda before=before: self.refused() > before)

    def test_nonsense_is_counted(self):
        before = status_of(self.client)["dropped"]
        self.exchange()
        dropped = status_of(self.client)["dropped"]
        for cause in ("malformed", "fragment"):
            self.assertGreater(dropped[cause], before[cause], cause)

    def test_an_error_of_the_relay_names_the_proxy(self):
        self.proxy.bound = b"\1" + socket.inet_aton(ROUTER["server"])  # nobody listens there
        app = self.net.client.udp()
        self.addCleanup(app.close)

        def told():
            app.sendto(b"lost", (THIRD, 9000))
            return status_of(self.client).get("lastError")
        self.assertRegex(poll("the error", told),
                         rf"^udp: proxy {SERVER}:{PROXY_PORT}: its UDP relay "
                         rf"{ROUTER['server']}:\d+: connection refused$")
        self.proxy.bound = None
        self.exchange()

    def test_nothing_old_leaves_when_an_association_takes_long(self):
        self.proxy.delay = 2
        self.proxy.relayed.clear()
        stale = status_of(self.client)["dropped"]["stale"]
        app = self.net.client.udp()
        self.addCleanup(app.close)

        def arrived():
            app.sendto(b"%f" % time.monotonic(), (THIRD, 9000))
            time.sleep(0.1)
            return self.proxy.relayed
        poll("the first to arrive", arrived)
        self.assertLess(max(at - float(sent) for at, sent in self.proxy.relayed), 1.0)
        self.assertGreater(status_of(self.client)["dropped"]["stale"], stale)

    def test_a_flood_leaves_flows_alone(self):
        """What waits for a proxy that says nothing holds every place; those that have one go on."""
        app = self.net.client.tcp(THIRD, 80)
        self.addCleanup(app.close)
        configure(self.client, name="apps", merge=True, maxTcpFlows=16)
        self.addCleanup(configure, self.client, name="apps", merge=True, maxTcpFlows=4096)
        self.proxy.mode = "silent"
        flood = [self.net.client.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(200)]
        for i, sock in enumerate(flood):
            self.addCleanup(sock.close)
            sock.setblocking(False)
            sock.connect_ex((THIRD, 1000 + i))
        poll("the cap", lambda: status_of(self.client)["dropped"]["tcpLimit"] >= 180)
        self.assertEqual(status_of(self.client)["tcpFlows"], 16)
        data = traffic.pattern(1_000_000, "beside a flood")
        sender = threading.Thread(target=app.sendall, args=(data,))
        sender.start()
        got = b""
        while len(got) < len(data):
            got += app.recv(1 << 20)
        sender.join()
        self.assertEqual(got, data)
        self.proxy.mode = "good"
        for sock in flood:
            sock.close()
        app.close()
        poll("no flow to be left", lambda: status_of(self.client)["tcpFlows"] == 0,
             seconds=GUARD_S * 2)
        self.works()


if __name__ == "__main__":
    unittest.main()
