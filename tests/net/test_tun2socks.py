# SPDX-License-Identifier: Apache-2.0
"""Apps behind a TUN device, with real programs at both ends.

    app ─▶ tun0 ─▶ tun2socks ┬ TCP ─▶ ss-local ──────────┐
                             └ UDP ─▶ udp-local ─▶ ss-tunnel ─▶ obfs-local ┄┄▶ … ─▶ third

All that goes to third's networks goes through the device: its routes are the client's. Proxies and
udp-server are reached on the server's network, which stays on the wire.
"""

import contextlib
import errno
import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
import unittest

import chain
import traffic
from harness import GUARD_S, ROUTER, SERVER, THIRD, THIRD6, NetTest, need, poll

PORT = chain.UDP_SERVER_PORT
WEB, CLOSED = 8000, 8001
SECOND = "192.0.2.3" # third's other address, for natdiscovery
SIZE = 10_000_000


def configure(daemon, **instance):
    """Configure an instance; where udptund was built without tun2socks the test is skipped."""
    reply = daemon.request("configureTun2socks", instance)
    if reply["statusCode"] == 105:
        raise unittest.SkipTest(reply["errorMessage"])
    if reply["statusCode"] != 0:
        raise AssertionError(f"{instance}: {reply}")


def status_of(daemon, name="apps"):
    return daemon.call("getStatus", {"name": name})["tun2socks"][0]


def route_into(net, device="tun0"):
    # pylint: disable=protected-access
    net._ip(net.client, f"route replace 192.0.2.0/24 dev {device}",
            f"route replace 2001:db8:3::/64 dev {device}")


def start_web(net):
    """A file of SIZE bytes on third; its SHA-256."""
    folder = os.path.join(net.folder, "www")
    os.makedirs(folder)
    data = traffic.pattern(SIZE, "web")
    with open(os.path.join(folder, "file"), "wb") as file:
        file.write(data)
    net.start("third", sys.executable, "-m", "http.server", "--bind", "::", "--directory", folder,
              str(WEB)).wait_listening(WEB)
    return hashlib.sha256(data).hexdigest()


def curl(net, url, *options):
    """(exit status, body) of curl in the client's namespace."""
    with net.client.inside():
        result = subprocess.run([need("curl"), "-sS", "-m", str(GUARD_S * 3), "-g", *options, url],
                                capture_output=True, check=False)
    return result.returncode, result.stdout


class Tun2socks(NetTest):
    """The client's chain as a whole."""

    @classmethod
    def build(cls):
        net = cls.net
        net._ip(net.third, f"addr add {SECOND}/24 dev eth0") # pylint: disable=protected-access
        chain.start_shadowsocks(net)
        cls.server = net.daemon("server")
        cls.client = net.daemon("client")
        cls.server.configure(name="far", role="server", listen=f"127.0.0.1:{PORT}")
        cls.client.configure(name="near", role="local", wait=GUARD_S,
                             server=f"127.0.0.1:{chain.TUNNEL_PORT}")
        configure(cls.client,
                  name="apps", device="tun:tun0", address="10.85.0.1/24",
                  address6="fd85::1/64", tcp=f"socks5://127.0.0.1:{chain.SOCKS_PORT}",
                  udp="tunnel:near")
        route_into(net)
        cls.digest = start_web(net)
        cls.target = net.third.udp(THIRD, 9000)
        cls.target6 = net.third.udp(THIRD6, 9000)
        cls.app = net.client.udp()
        cls.app6 = net.client.udp("::")

    @classmethod
    def tearDownClass(cls):
        for sock in (cls.target, cls.target6, cls.app, cls.app6):
            sock.close()
        super().tearDownClass()

    def test_ten_megabytes_by_curl(self):
        for host in (THIRD, f"[{THIRD6}]"):
            status, body = curl(self.net, f"http://{host}:{WEB}/file")
            self.assertEqual(status, 0)
            self.assertEqual(hashlib.sha256(body).hexdigest(), self.digest)

    def test_datagrams_of_every_size(self):
        traffic.every_size(self, self.app, (THIRD, 9000), self.target)
        traffic.every_size(self, self.app6, (THIRD6, 9000), self.target6)

    def test_full_cone_and_true_sources(self):
        app = self.net.client.udp()
        self.addCleanup(app.close)
        seen = traffic.exchange(self, app, (THIRD, 9000), self.target)
        other = self.net.third.udp(SECOND, 9001)
        stranger = self.net.router.udp(ROUTER["third"], 9002)
        for sock in (other, stranger):
            self.addCleanup(sock.close)
        self.assertEqual(traffic.exchange(self, app, (SECOND, 9001), other), seen)
        stranger.sendto(b"unasked", seen)
        self.assertEqual(app.recvfrom(100), (b"unasked", (ROUTER["third"], 9002)))

    def test_a_thousand_names(self):
        self.net.start("third", need("dnsmasq"), "--keep-in-foreground", "--no-resolv", "--no-hosts",
                       "--port=53", "--bind-interfaces", f"--listen-address={THIRD}", "--user=root",
                       "--conf-file=/dev/null", "--pid-file", "--address=/test/192.0.2.77",
                       ).wait_listening(53)
        path = os.path.join(self.net.folder, "names")
        with open(path, "w", encoding="ascii") as file:
            file.writelines(f"name{i}.test\n" for i in range(1000))
        with self.net.client.inside():
            result = subprocess.run([need("dig"), f"@{THIRD}", "+short", "+tries=1",
                                     f"+time={GUARD_S}", "-f", path], capture_output=True,
                                    text=True, check=False, timeout=GUARD_S * 10)
        self.assertEqual(result.stdout.split(), ["192.0.2.77"] * 1000, result.stderr)

    def test_a_closed_port_is_reported(self):
        app = self.net.client.udp()
        self.addCleanup(app.close)
        app.connect((THIRD, CLOSED))
        app.send(b"anybody?")
        with self.assertRaises(ConnectionRefusedError):
            app.recv(100)

    def test_nat_behaviour_by_coturn(self):
        server = self.net.start("third", need("turnserver"), "--stun-only", "-n", "-L", THIRD, "-L", SECOND,
                       "-p", "3478", "--no-tls", "--no-dtls", "--no-cli", "--log-file", "stdout",
                       "--pidfile", os.path.join(self.net.folder, "turn.pid"),
                       )

        def listens():
            with open(f"/proc/{server.pid}/net/udp", encoding="ascii") as file:
                return len({line.split()[1] for line in file if ":0D96 " in line or ":0D97 " in line})
        poll("two ports on two addresses", lambda: listens() == 4)
        with self.net.client.inside():
            result = subprocess.run([need("turnutils_natdiscovery"), "-m", "-f", THIRD],
                                    capture_output=True, text=True, check=False,
                                    timeout=GUARD_S * 3)
        text = result.stdout + result.stderr
        self.assertRegex(text, r"(?i)endpoint.independent mapping")
        self.assertRegex(text, r"(?i)endpoint.independent filtering")

    def test_split_routing(self):
        """Either path dies without the other."""
        ss_local = next(p for p in self.net.programs if p.name == "ss-local")
        ss_local.kill()
        try:
            traffic.exchange(self, self.app, (THIRD, 9000), self.target)
            status, _ = curl(self.net, f"http://{THIRD}:{WEB}/")
            self.assertNotEqual(status, 0)
            state = status_of(self.client)
            self.assertEqual(state["state"], "degraded")
            self.assertIn(f"127.0.0.1:{chain.SOCKS_PORT}", state["lastError"])
        finally:
            ss_local.start()
            ss_local.wait_listening(chain.SOCKS_PORT)
        self.assertEqual(curl(self.net, f"http://{THIRD}:{WEB}/")[0], 0)
        self.assertEqual(status_of(self.client)["state"], "established")
        ss_tunnel = next(p for p in self.net.programs if p.name == "ss-tunnel")
        ss_tunnel.kill()
        try:
            self.assertEqual(curl(self.net, f"http://{THIRD}:{WEB}/")[0], 0)
        finally:
            ss_tunnel.start()
            ss_tunnel.wait_listening(chain.TUNNEL_PORT)
        traffic.wait_for_flow(self.app, (THIRD, 9000), self.target)

    def test_the_device_comes_back(self):
        before = status_of(self.client)["device"]
        # pylint: disable=protected-access
        self.net._ip(self.net.client, "link del tun0")
        poll("the device", lambda: status_of(self.client)["state"] == "established" and
             os.path.basename(before.partition(":")[2]) in self.links())
        route_into(self.net)
        traffic.wait_for_flow(self.app, (THIRD, 9000), self.target)
        self.assertEqual(curl(self.net, f"http://{THIRD}:{WEB}/")[0], 0)
        time.sleep(3)  # as long as the first attempts that a timer would make
        self.assertEqual(status_of(self.client)["state"], "established")

    def links(self):
        with self.net.client.inside():
            return [name for _, name in socket.if_nameindex()]


class Tun2socksProxies(NetTest):
    """TCP by a proxy that tells the truth about refusals; UDP by ss-local -U, which has no TCP."""

    @classmethod
    def build(cls):
        net = cls.net
        key = ["-k", chain.PASSWORD, "-m", chain.METHOD]
        cls.digest = start_web(net)
        net.start("server", need("microsocks"), "-i", SERVER, "-p", "1081").wait_listening(1081)
        net.start("server", need("ss-server"), "-s", SERVER, "-p", "8388", "-u",
                  *key).wait_listening(8388)
        net.start("client", need("ss-local"), "-s", SERVER, "-p", "8388", "-b", "127.0.0.1", "-l",
                  "1082", "-U", *key).wait_listening(1082, "udp")
        cls.client = net.daemon("client")
        configure(cls.client,
                  name="apps", device="tun:tun0", address="10.85.0.1/24",
                  address6="fd85::1/64", tcp=f"socks5://{SERVER}:1081",
                  udp="socks5://127.0.0.1:1082")
        route_into(net)
        # A second instance, for third's other address, that goes by the wire itself: what it sends
        # bears a mark, and has routes of its own.
        # pylint: disable=protected-access
        net._ip(net.third, f"addr add {SECOND}/24 dev eth0")
        configure(cls.client,
                  name="straight", device="tun:tun1", address="10.86.0.1/24", mark=77,
                  tcp="direct", udp="direct")
        net._ip(net.client, f"route add {SECOND}/32 dev tun1", "rule add fwmark 77 lookup 100",
                f"route add default via {ROUTER['client']} table 100")
        cls.target = net.third.udp(THIRD, 9000)
        cls.app = net.client.udp()

    @classmethod
    def tearDownClass(cls):
        cls.target.close()
        cls.app.close()
        super().tearDownClass()

    def test_refused_looks_refused(self):
        for host in (THIRD, THIRD6):
            with self.assertRaises(ConnectionRefusedError):
                self.net.client.tcp(host, CLOSED)

    def test_an_end_of_one_direction_is_no_end(self):
        listener = self.net.third.listener(SECOND, 8002)
        self.addCleanup(listener.close)
        app = self.net.client.tcp(SECOND, 8002)
        self.addCleanup(app.close)
        far, _ = listener.accept()
        self.addCleanup(far.close)
        far.settimeout(GUARD_S)
        app.sendall(b"question")
        app.shutdown(socket.SHUT_WR)
        data = b""
        while piece := far.recv(100):
            data += piece
        self.assertEqual(data, b"question")
        answer = traffic.pattern(3_000_000, "answer")
        sender = threading.Thread(target=lambda: (far.sendall(answer), far.shutdown(socket.SHUT_WR)))
        sender.start()
        got = b""
        while piece := app.recv(1 << 20):
            got += piece
        sender.join()
        self.assertEqual(got, answer)
        poll("no flow to be left", lambda: status_of(self.client, "straight")["tcpFlows"] == 0)

    def test_datagrams_by_sockets(self):
        target = self.net.third.udp(SECOND, 9000)
        stranger = self.net.third.udp(SECOND, 9002)
        for sock in (target, stranger):
            self.addCleanup(sock.close)
        traffic.every_size(self, self.app, (SECOND, 9000), target)
        seen = traffic.exchange(self, self.app, (SECOND, 9000), target)
        stranger.sendto(b"unasked", seen)
        self.assertEqual(self.app.recvfrom(100), (b"unasked", (SECOND, 9002)))
        app = self.net.client.udp()
        self.addCleanup(app.close)
        app.connect((SECOND, CLOSED))
        app.send(b"anybody?")
        with self.assertRaises(ConnectionRefusedError):
            app.recv(100)

    def test_udp_without_an_association(self):
        # ss-local's own limit is far below the largest datagram
        for size in (0, 1, 512, 1300):
            traffic.exchange(self, self.app, (THIRD, 9000), self.target,
                             traffic.pattern(size, "to"), traffic.pattern(size, "from"))
        self.assertIs(status_of(self.client)["associated"], False)

    def test_a_proxy_that_dies_resets_its_flows(self):
        """In the middle of a transfer, in either direction."""
        proxy = next(p for p in self.net.programs if p.name == "microsocks")
        for is_up in (True, False):
            listener = self.net.third.listener(THIRD, 8003)
            app = self.net.client.tcp(THIRD, 8003)
            far, _ = listener.accept()
            far.settimeout(GUARD_S)
            sender, receiver = (app, far) if is_up else (far, app)
            failures = []

            def pour(sock=sender, into=failures):
                try:
                    while True:
                        sock.sendall(bytes(100000))
                except OSError as error:
                    into.append(error.errno)
            pouring = threading.Thread(target=pour)
            pouring.start()
            passed = 0
            while passed < 3_000_000:
                passed += len(receiver.recv(100000))
            proxy.kill()
            try:
                with contextlib.suppress(ConnectionResetError): # an end is as good
                    while receiver.recv(100000):
                        pass
                pouring.join()
                self.assertIn(failures[0], (errno.ECONNRESET, errno.EPIPE))
                for sock in (app, far, listener):
                    sock.close()
                poll("no flow to be left", lambda: status_of(self.client)["tcpFlows"] == 0)
            finally:
                proxy.start()
                proxy.wait_listening(1081)
            self.assertEqual(curl(self.net, f"http://{THIRD}:{WEB}/")[0], 0)


class Tun2socksMtu(NetTest):
    """The kernel cuts what is larger than the MTU, in both directions; whatever that is."""

    @classmethod
    def build(cls):
        cls.digest = start_web(cls.net)
        cls.net.start("server", need("microsocks"), "-i", SERVER, "-p", "1081").wait_listening(1081)
        cls.client = cls.net.daemon("client")

    def passes(self, mtu):
        configure(self.client,
                  name="apps", device="tun:tun0", address="10.85.0.1/24", mtu=mtu,
                  address6="fd85::1/64", tcp=f"socks5://{SERVER}:1081")
        route_into(self.net)
        for host in (THIRD, f"[{THIRD6}]"):
            status, body = curl(self.net, f"http://{host}:{WEB}/file")
            self.assertEqual((status, hashlib.sha256(body).hexdigest()), (0, self.digest))
        listener = self.net.third.listener(THIRD, 8002)
        app = self.net.client.tcp(THIRD, 8002)
        far, _ = listener.accept()
        for sock in (listener, app, far):
            self.addCleanup(sock.close)
        data, got = traffic.pattern(SIZE, "up"), hashlib.sha256()
        sender = threading.Thread(target=lambda: (app.sendall(data), app.shutdown(socket.SHUT_WR)))
        sender.start()
        while piece := far.recv(1 << 20):
            got.update(piece)
        sender.join()
        listener.close()
        self.assertEqual(got.digest(), hashlib.sha256(data).digest())
        status = status_of(self.client)
        self.assertEqual((status["mtu"], status["dropped"]["checksum"]), (mtu, 0))

    def test_1280(self):
        self.passes(1280)

    def test_1500(self):
        self.passes(1500)

    def test_9000(self):
        self.passes(9000)


if __name__ == "__main__":
    unittest.main()
