# SPDX-License-Identifier: Apache-2.0
"""More programs behind a TUN device, and the other ways that TCP and UDP part behind it.

    Programs:  iperf3, tftp and ping over the client's whole chain (test_tun2socks.py has its drawing)
    Split:     TCP ─▶ ss-local, UDP ─▶ another ss-local -U, on ports of their own
    Danted:    both by a proxy that grants UDP ASSOCIATE
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import chain
import traffic
from harness import GUARD_S, SERVER, THIRD, THIRD6, NetTest, need
from test_tun2socks import CLOSED, WEB, configure, curl, route_into, start_web, status_of

PORT = chain.UDP_SERVER_PORT
IPERF = 5201


def run(namespace, *command, status=0, **options):
    """A program in a namespace, to its end; its output."""
    with namespace.inside():
        result = subprocess.run(command, capture_output=True, text=True, check=False,
                                timeout=GUARD_S * 3, **options)
    if result.returncode != status:
        raise AssertionError(f"{command}: {result}")
    return result.stdout


class Tun2socksPrograms(NetTest):
    @classmethod
    def build(cls):
        net = cls.net
        chain.start_shadowsocks(net)
        cls.server, cls.client = net.daemon("server"), net.daemon("client")
        cls.server.configure(name="far", role="server", listen=f"127.0.0.1:{PORT}")
        cls.client.configure(name="near", role="local", wait=GUARD_S,
                             server=f"127.0.0.1:{chain.TUNNEL_PORT}")
        configure(cls.client, name="apps", device="tun:tun0", address="10.85.0.1/24",
                  address6="fd85::1/64", tcp=f"socks5://127.0.0.1:{chain.SOCKS_PORT}",
                  udp="tunnel:near")
        route_into(net)

    def iperf3(self, host, *options):
        """One run, with a server of its own: one that goes on learns of the last one's end only when
        the proxies between have passed it on. What it reports."""
        server = self.net.start("third", need("iperf3"), "-s", "-1", "-p", str(IPERF))
        server.wait_listening(IPERF)
        report = json.loads(run(self.net.client, need("iperf3"), "-J", "-c", host, "-p", str(IPERF),
                                *options))
        server.stop()
        self.assertNotIn("error", report)
        return report["end"]

    def test_iperf3(self):
        size = 20_000_000
        for host in (THIRD, THIRD6):
            for direction in ((), ("-R",)):
                end = self.iperf3(host, "-n", str(size), *direction)
                self.assertGreaterEqual(end["sum_sent"]["bytes"], size)
                # It ends when all is sent: what then is in the proxies' buffers is not counted.
                self.assertGreaterEqual(end["sum_received"]["bytes"], size // 4)
                end = self.iperf3(host, "-u", "-l", "1200", "-b", "4M", "-n", "1M", *direction)
                self.assertGreaterEqual(end["sum"]["packets"], 800)
                self.assertLess(end["sum"]["lost_percent"], 5, end["sum"])

    def test_tftp(self):
        """Its server answers from a port that nobody has asked."""
        folder = tempfile.mkdtemp(dir="/tmp") # the server is chrooted there, as nobody
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        data = traffic.pattern(300_000, "tftp")
        with open(os.path.join(folder, "file"), "wb") as file:
            file.write(data)
        server = shutil.which("in.tftpd", path="/usr/sbin:/sbin") or need("in.tftpd")
        self.net.start("third", server, "-L", "-s", "-a", "[::]:69", folder).wait_listening(69, "udp")
        for host, version in ((THIRD, "-4"), (THIRD6, "-6")):
            got = os.path.join(self.net.folder, "got" + version)
            run(self.net.client, need("tftp"), version, "-m", "binary", host, "-c", "get", "file", got)
            with open(got, "rb") as file:
                self.assertEqual(hashlib.sha256(file.read()).digest(), hashlib.sha256(data).digest())

    def test_ping(self):
        for host in (THIRD, THIRD6):
            run(self.net.client, need("ping"), "-c", "2", "-W", str(GUARD_S), "-s", "1000", host)
        configure(self.client, name="apps", merge=True, icmpEcho="drop")
        run(self.net.client, need("ping"), "-c", "1", "-W", "1", THIRD, status=1)
        configure(self.client, name="apps", merge=True, icmpEcho="reply")


class Tun2socksSplit(NetTest):
    """Two ss-locals: each path dies, and comes back, without the other."""

    @classmethod
    def build(cls):
        net = cls.net
        key = ["-k", chain.PASSWORD, "-m", chain.METHOD, "--no-delay"]
        cls.digest = start_web(net)
        net.start("server", need("ss-server"), "-s", SERVER, "-p", "8388", "-u",
                  *key).wait_listening(8388)
        through = ["-s", SERVER, "-p", "8388", "-b", "127.0.0.1", *key]
        cls.tcp = net.start("client", need("ss-local"), *through, "-l", "1080", name="ss-local-tcp")
        cls.udp = net.start("client", need("ss-local"), *through, "-l", "1082", "-U",
                            name="ss-local-udp")
        cls.wait_up(cls.tcp, cls.udp)
        cls.client = net.daemon("client")
        configure(cls.client, name="apps", device="tun:tun0", address="10.85.0.1/24",
                  address6="fd85::1/64", tcp="socks5://127.0.0.1:1080",
                  udp="socks5://127.0.0.1:1082")
        route_into(net)
        cls.target = net.third.udp(THIRD, 9000)
        cls.app = net.client.udp()

    @classmethod
    def wait_up(cls, *programs):
        for program in programs:
            if program is cls.tcp:
                program.wait_listening(1080)
            else:
                program.wait_listening(1082, "udp")

    @classmethod
    def tearDownClass(cls):
        cls.target.close()
        cls.app.close()
        super().tearDownClass()

    def tcp_passes(self):
        for host in (THIRD, f"[{THIRD6}]"):
            status, body = curl(self.net, f"http://{host}:{WEB}/file")
            self.assertEqual((status, hashlib.sha256(body).hexdigest()), (0, self.digest))

    def udp_passes(self):
        traffic.exchange(self, self.app, (THIRD, 9000), self.target)

    def test_both(self):
        self.tcp_passes()
        self.udp_passes()
        status = status_of(self.client)
        self.assertEqual((status["state"], status["associated"]), ("established", False))

    def test_udp_lives_without_tcp(self):
        self.tcp.kill()
        try:
            self.assertNotEqual(curl(self.net, f"http://{THIRD}:{WEB}/")[0], 0)
            self.udp_passes()
            status = status_of(self.client)
            self.assertEqual(status["state"], "degraded", "though UDP passes")
            self.assertRegex(status["lastError"], r"^tcp: proxy 127\.0\.0\.1:1080: .*refused")
        finally:
            self.tcp.start()
            self.wait_up(self.tcp)
        self.tcp_passes()
        self.assertEqual(status_of(self.client)["state"], "established")

    def test_tcp_lives_without_udp(self):
        self.udp_passes()
        self.udp.kill()
        try:
            self.app.sendto(b"lost", (THIRD, 9000))
            self.app.sendto(b"lost too", (THIRD, 9000))
            self.tcp_passes()
            status = status_of(self.client)
            self.assertEqual(status["state"], "degraded", "though TCP passes")
            self.assertRegex(status["lastError"], r"^udp: proxy 127\.0\.0\.1:1082: .*refused")
        finally:
            self.udp.start()
            self.wait_up(self.udp)
        traffic.wait_for_flow(self.app, (THIRD, 9000), self.target)
        self.assertEqual(status_of(self.client)["state"], "established")


DANTED = """
logoutput: stderr
internal: {server} port = 1081
external: eth0
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 command: connect udpassociate }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 command: bindreply udpreply }}
"""


class Tun2socksDanted(NetTest):
    @classmethod
    def build(cls):
        net = cls.net
        path = os.path.join(net.folder, "danted.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(DANTED.format(server=SERVER))
        net.start("server", need("danted"), "-f", path).wait_listening(1081)
        cls.digest = start_web(net)
        cls.client = net.daemon("client")
        configure(cls.client, name="apps", device="tun:tun0", address="10.85.0.1/24",
                  tcp=f"socks5://{SERVER}:1081", udp=f"socks5://{SERVER}:1081")
        route_into(net)

    def test_tcp_and_refusals(self):
        status, body = curl(self.net, f"http://{THIRD}:{WEB}/file")
        self.assertEqual((status, hashlib.sha256(body).hexdigest()), (0, self.digest))
        with self.assertRaises(ConnectionRefusedError):
            self.net.client.tcp(THIRD, CLOSED)
        self.assertEqual(status_of(self.client)["state"], "established", "the proxy works")

    def test_udp_by_an_association(self):
        target, app = self.net.third.udp(THIRD, 9000), self.net.client.udp()
        for sock in (target, app):
            self.addCleanup(sock.close)
        seen = {traffic.exchange(self, app, (THIRD, 9000), target, traffic.pattern(size, "to"),
                                 traffic.pattern(size, "from")) for size in (1, 512, 1400)}
        self.assertEqual(len(seen), 1, "one association, one mapping")
        self.assertEqual(seen.pop()[0], SERVER)
        status = status_of(self.client)
        self.assertEqual((status["state"], status["associated"]), ("established", True))


if __name__ == "__main__":
    unittest.main()
