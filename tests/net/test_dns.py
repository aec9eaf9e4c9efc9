# SPDX-License-Identifier: Apache-2.0
"""tun2socks with `dns`: whatever server apps ask, third's answers, through a tunnel or a proxy.

The apps ask 192.0.2.200, which nobody has: without `dns` nothing would answer.
"""

import subprocess
import unittest

import chain
from harness import GUARD_S, THIRD, NetTest, need
from test_tun2socks import configure, route_into, status_of

PORT = chain.UDP_SERVER_PORT
PROXY = 1085 # a udp-local is a SOCKS5 proxy too
NOBODY = "192.0.2.200"


class Dns(NetTest):
    @classmethod
    def build(cls):
        net = cls.net
        chain.start_shadowsocks(net)
        cls.server = net.daemon("server")
        cls.client = net.daemon("client")
        cls.server.configure(name="far", role="server", listen=f"127.0.0.1:{PORT}")
        cls.client.configure(name="near", role="local", wait=GUARD_S,
                             server=f"127.0.0.1:{chain.TUNNEL_PORT}")
        cls.client.configure(name="proxy", role="local", listen=f"socks5://127.0.0.1:{PROXY}",
                             server=f"127.0.0.1:{chain.TUNNEL_PORT}", wait=GUARD_S)
        cls.configure(udp="tunnel:near")
        route_into(net)
        net.start("third", need("dnsmasq"), "--keep-in-foreground", "--no-resolv", "--no-hosts",
                  "--port=53", "--bind-interfaces", f"--listen-address={THIRD}", "--user=root",
                  "--conf-file=/dev/null", "--pid-file", "--address=/test/192.0.2.77",
                  "--local-ttl=60", "--cache-size=0").wait_listening(53)

    @classmethod
    def configure(cls, **more):
        configure(cls.client, **{"name": "apps", "device": "tun:tun0", "address": "10.85.0.1/24",
                                 "tcp": f"socks5://127.0.0.1:{chain.SOCKS_PORT}",
                                 "dns": f"{THIRD}:53", "dnsCache": 100, **more})

    def dig(self, name, *options):
        with self.net.client.inside():
            result = subprocess.run(
                [need("dig"), f"@{NOBODY}", "+short", "+tries=1", f"+time={GUARD_S}", *options, name],
                capture_output=True, text=True, check=False, timeout=GUARD_S * 3)
        return result.stdout.strip()

    def counted(self):
        status = status_of(self.client)
        return {key: status[key] for key in ("dnsQuestions", "dnsCached", "dnsUnanswered")}

    def test_udp_through_a_tunnel(self):
        self.configure(udp="tunnel:near", dnsCache=101)
        self.assertEqual(self.dig("www.test"), "192.0.2.77")
        self.assertEqual(self.dig("WWW.test"), "192.0.2.77")
        self.assertEqual(self.dig("www.test", "+cdflag"), "192.0.2.77") # another question
        self.assertEqual(self.counted(), {"dnsQuestions": 3, "dnsCached": 1, "dnsUnanswered": 0})

    def test_udp_through_a_proxy(self):
        self.configure(udp=f"socks5://127.0.0.1:{PROXY}")
        try:
            self.assertEqual([self.dig(f"name{i}.test") for i in range(5)], ["192.0.2.77"] * 5)
        finally:
            self.configure(udp="tunnel:near")

    def test_tcp_and_what_becomes_of_udp_without_a_path(self):
        self.assertEqual(self.dig("tcp.test", "+tcp"), "192.0.2.77")
        self.configure(udp="reject")
        try:
            self.assertEqual(self.dig("truncated.test"), "192.0.2.77") # over TCP in the end
        finally:
            self.configure(udp="tunnel:near")

    def test_many_apps_with_one_question(self):
        self.configure(udp="tunnel:near", dnsCache=0)
        with self.net.client.inside():
            asking = [subprocess.Popen([need("dig"), f"@{NOBODY}", "+short", "many.test"],
                                       stdout=subprocess.PIPE, text=True) for _ in range(20)]
        for dig in asking:
            self.assertEqual(dig.communicate(timeout=GUARD_S * 3)[0].strip(), "192.0.2.77")
        self.configure(udp="tunnel:near")


if __name__ == "__main__":
    unittest.main()
