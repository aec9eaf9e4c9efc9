# SPDX-License-Identifier: Apache-2.0
"""One tunnel over every kind of carrier, with datagrams of every size, IPv4 and IPv6.

    app ─UDP─▶ udp-local ═══ carrier ═══▶ udp-server ─UDP─▶ third
"""

import os
import subprocess
import unittest

import chain
import traffic
from harness import GUARD_S, ROUTER, SERVER, SERVER6, THIRD, THIRD6, NetTest, need, poll

PORT = chain.UDP_SERVER_PORT
SOURCES = 2000
NUMBERED = 20000


class Carrier(NetTest):
    """What holds over every carrier. A subclass says how udp-local reaches udp-server."""

    listen = f"127.0.0.1:{PORT}"
    server_extra = {}

    @classmethod
    def carrier(cls):
        """Start what is in between; the fields that the udp-local needs for it."""
        raise NotImplementedError

    @classmethod
    def build(cls):
        fields = cls.carrier()
        cls.server = cls.net.daemon("server")
        cls.client = cls.net.daemon("client")
        cls.server.configure(name="far", role="server", listen=cls.listen, **cls.server_extra)
        cls.targets = [cls.net.third.udp(THIRD, 9000), cls.net.third.udp(THIRD6, 9000)]
        cls.entries = [cls.entry("v4", "127.0.0.1", f"{THIRD}:9000", fields),
                       cls.entry("v6", "[::1]", f"[{THIRD6}]:9000", fields)]

    @classmethod
    def entry(cls, name, host, target, fields):
        """A udp-local for `target`; the address that it listens on."""
        status = cls.client.configure(name=name, role="local", listen=f"udp://{host}:0",
                                      target=target, wait=GUARD_S, **fields)
        return host.strip("[]"), int(status["listen"].rsplit(":", 1)[1])

    @classmethod
    def tearDownClass(cls):
        for target in cls.targets:
            target.close()
        super().tearDownClass()

    def app(self, entry):
        sock = self.net.client.udp(entry[0])
        self.addCleanup(sock.close)
        return sock

    def test_every_size_ipv4(self):
        traffic.every_size(self, self.app(self.entries[0]), self.entries[0], self.targets[0])

    def test_every_size_ipv6(self):
        traffic.every_size(self, self.app(self.entries[1]), self.entries[1], self.targets[1])

    def test_third_party_is_heard(self):
        app = self.app(self.entries[0])
        seen = traffic.exchange(self, app, self.entries[0], self.targets[0])
        stranger = self.net.router.udp(ROUTER["third"])
        self.addCleanup(stranger.close)
        stranger.sendto(b"from a stranger", seen)
        self.assertEqual(app.recvfrom(100), (b"from a stranger", self.entries[0]))

    def test_ping_and_status(self):
        self.assertEqual(len(self.client.call("pingTunnel", {"name": "v4", "count": 3})["rttMs"]),
                         3)
        # Two first connections may race; the one that is overtaken is dialled again.
        self.client.wait_state("v4", "established")
        status = self.client.status("v4")
        self.assertGreaterEqual(len(status["connections"]), 2)
        self.assertEqual(len(self.server.call("listSessions", {"name": "far"})["sessions"]), 2)


class ManyDatagrams:
    """The long runs, for the carriers where they tell something new."""

    def test_numbered_both_ways(self):
        entry, target = self.entries[0], self.targets[0]
        app = self.app(entry)
        seen = traffic.numbered(self, NUMBERED, lambda data: app.sendto(data, entry), target)
        traffic.numbered(self, NUMBERED, lambda data: target.sendto(data, seen), app)

    def test_sources_at_once(self):
        entry = self.entries[0]
        traffic.many_sources(self, lambda: self.net.client.udp(entry[0]), SOURCES, entry,
                             self.targets[0])


class Direct(ManyDatagrams, Carrier):
    listen = f"{SERVER}:{PORT}"
    server_extra = {"insecure": True}

    @classmethod
    def carrier(cls):
        return {"server": f"{SERVER}:{PORT}"}


class DirectIpv6(Carrier):
    listen = f"[{SERVER6}]:{PORT}"
    server_extra = {"insecure": True}

    @classmethod
    def carrier(cls):
        return {"server": f"[{SERVER6}]:{PORT}"}


class SsTunnel(ManyDatagrams, Carrier):
    """The chain that the project is there for."""

    @classmethod
    def carrier(cls):
        chain.start_shadowsocks(cls.net)
        return {"server": f"127.0.0.1:{chain.TUNNEL_PORT}"}

    def test_netcat_both_ways(self):
        """The seed: nc -u at one end, nc -u -l at the other, a line each way."""
        netcat = need("nc")
        self.server.configure(name="far", role="server", listen=self.listen, merge=True,
                              target="127.0.0.1:9999")
        self.addCleanup(self.server.configure, name="far", role="server", listen=self.listen)
        far = self.net.start("server", netcat, "-u", "-l", "127.0.0.1", "9999", name="nc-far",
                             stdin=subprocess.PIPE).wait_listening(9999, "udp")
        self.client.configure(name="seed", role="local", listen="udp://127.0.0.1:5353",
                              server=f"127.0.0.1:{chain.TUNNEL_PORT}", target="127.0.0.1:9999",
                              wait=GUARD_S)
        near = self.net.start("client", netcat, "-u", "127.0.0.1", "5353", name="nc-near",
                              stdin=subprocess.PIPE)
        near.type("hello through Shadowsocks\n")
        far.wait_log("^hello through Shadowsocks$")
        far.type("hello back\n")
        near.wait_log("^hello back$")
        self.client.call("removeUdpTunnel", {"name": "seed"})


class SsLocal(Carrier):
    @classmethod
    def carrier(cls):
        chain.start_shadowsocks(cls.net)
        return {"server": f"127.0.0.1:{PORT}", "via": f"socks5://127.0.0.1:{chain.SOCKS_PORT}"}

    def test_proxy_resolves_the_servers_name(self):
        """Only where ss-server is does "localhost" lead to the udp-server."""
        self.client.configure(name="by-name", role="local", server=f"localhost:{PORT}",
                              via=f"socks5://127.0.0.1:{chain.SOCKS_PORT}", wait=GUARD_S)
        self.client.call("removeUdpTunnel", {"name": "by-name"})


class SocksWithPassword(Carrier):
    listen = f"{SERVER}:{PORT}"
    server_extra = {"insecure": True}

    @classmethod
    def carrier(cls):
        cls.proxy = chain.start_socks_proxy(cls.net, "someone:not-a-secret")
        return {"server": f"{SERVER}:{PORT}", "via": f"socks5://someone:not-a-secret@{cls.proxy}"}

    def test_user_and_password_are_never_shown(self):
        shown = self.client.log() + self.client.ctl("--json", "status") + self.client.ctl("status")
        self.assertIn("v4", shown)
        self.assertNotIn("not-a-secret", shown)
        self.assertNotIn("someone", shown)

    def test_wrong_password(self):
        reply = self.client.request("configureUdpTunnel", {
            "name": "wrong", "role": "local", "server": f"{SERVER}:{PORT}", "wait": 2,
            "via": f"socks5://someone:nobody@{self.proxy}"})
        self.assertEqual(reply["error"]["code"], "TIMEOUT")
        error = poll("lastError", lambda: self.client.status("wrong").get("lastError"))
        self.assertRegex(error, "(?i)user|passw|auth|refus")
        self.assertNotIn("nobody", error)
        self.client.call("removeUdpTunnel", {"name": "wrong"})


class HttpConnect(Carrier):
    listen = f"{SERVER}:{PORT}"
    server_extra = {"insecure": True}

    @classmethod
    def carrier(cls):
        proxy = chain.start_http_proxy(cls.net, "someone:not-a-secret")
        return {"server": f"{SERVER}:{PORT}", "via": f"http://someone:not-a-secret@{proxy}"}


class UnixSocket(Carrier):
    @classmethod
    def carrier(cls):
        # A path is not of any network namespace: the two ends meet in the file system.
        cls.listen = "unix:" + os.path.join(cls.net.folder, "far.sock")
        return {"server": cls.listen}


del Carrier  # not a test of its own

if __name__ == "__main__":
    unittest.main()
