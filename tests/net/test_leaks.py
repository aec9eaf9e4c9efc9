# SPDX-License-Identifier: Apache-2.0
"""docs/leaks.md: each way in which traffic can leave beside the device, with and without `strict`.

    box ─ client ══eth0══ router ─ ...        box: a container of the client's
                            │ counts what comes from the client and is not for the proxy

The router's kernel counts in prerouting, so whatever reaches it is seen, whether it is passed on or
not. Not counted: ARP, and of ICMPv6 neighbour discovery and multicast listeners' reports, without
which no router is reached.
"""

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import unittest

import proxy
from harness import (CLIENT, GUARD_S, ROUTER, ROUTER6, SERVER, SERVER6, THIRD, THIRD6, Namespace,
                     NetTest, need, poll)

COUNTERS = """
table inet watch {
  counter to_proxy {}
  counter beside {}
  chain seen {
    type filter hook prerouting priority -300;
    iifname != "client" accept
    icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 143 } accept
    ip daddr %s counter name to_proxy accept
    ip6 daddr %s counter name to_proxy accept
    counter name beside
  }
}
""" % (SERVER, SERVER6)
IP_UNICAST_IF, IPV6_UNICAST_IF = 50, 76
# With the device, as network managers name it: "via" alone is looked up by the rules in force.
VIA, VIA6 = f"via {ROUTER['client']} dev eth0", f"via {ROUTER6['client']} dev eth0"
PAYLOAD = b"who sees this?"


class Leaks(NetTest):
    """The ways that need no tunnel: the device takes what goes into it, and nobody reads it."""

    @classmethod
    def build(cls):
        net = cls.net
        with net.router.inside():
            subprocess.run([need("nft"), "-f", "-"], input=COUNTERS, text=True, check=True)
        cls.box = net.namespaces["box"] = Namespace(f"udptun-{os.getpid()}-box")
        cls.ip("link add box type veth peer name eth0 netns " + cls.box.name,
               "addr add 172.30.0.1/24 dev box", "addr add fd30::1/64 dev box nodad", "link set box up")
        net._ip(cls.box, "link set lo up", "addr add 172.30.0.2/24 dev eth0",
                "addr add fd30::2/64 dev eth0 nodad", "link set eth0 up",
                "route add default via 172.30.0.1", "route add default via fd30::1")
        net.client.write_sysctl("ipv4/ip_forward", "1")
        net.client.write_sysctl("ipv6/conf/all/forwarding", "1")
        net.router.write_sysctl("ipv4/conf/client/proxy_arp", "1")
        net.router.write_sysctl("ipv4/neigh/client/proxy_delay", "0")
        net._ip(net.router, "addr add 203.0.113.3/24 dev client", "route add 172.30.0.0/24 via " + CLIENT)
        proxy.settle(net.client)
        cls.before = cls.routing()

    @classmethod
    def routing(cls):
        """But for what the kernel adds when link-local addresses are ready."""
        return [line for line in proxy.routing(cls.net.client).splitlines()
                if " table local " not in line and "fe80::" not in line]

    @classmethod
    def ip(cls, *lines):
        cls.net._ip(cls.net.client, *lines)

    def setUp(self):
        self.controller = proxy.ProxyController(self.net, self.net.client)
        self.client = self.controller.client(self)

    def tearDown(self):
        self.assertEqual(self.controller.stop(), 0, self.controller.log())
        self.net.programs.remove(self.controller)
        self.assertEqual(self.routing(), self.before)
        with self.net.client.inside():
            rules = subprocess.run([need("nft"), "list", "ruleset"], capture_output=True, text=True,
                                   check=True).stdout
        self.assertEqual(rules, "")

    # ---- what is counted

    def count(self, name):
        with self.net.router.inside():
            text = subprocess.run([need("nft"), "list", "counter", "inet", "watch", name],
                                  capture_output=True, text=True, check=True).stdout
        return int(re.search(r"packets (\d+)", text).group(1))

    def beside(self, way):
        """How many packets came to the router beside the tunnel while way() was tried."""
        before = self.count("beside")
        way()
        # The link keeps the order: when the router has seen this one, it has seen those before.
        for proxy_address in (SERVER, SERVER6):
            seen = self.count("to_proxy")
            poll("the proxy's packet", lambda a=proxy_address, s=seen: self.send(a, 9) or
                 self.count("to_proxy") > s)
        return self.count("beside") - before

    # ---- ways out

    def send(self, to, port=9999, namespace=None, kind=socket.SOCK_DGRAM, options=(), source=None):
        """What an app does; whether the kernel lets it does not matter."""
        family = socket.AF_INET6 if ":" in to else socket.AF_INET
        sock = (namespace or self.net.client).socket(family, kind)
        with sock, contextlib.suppress(OSError):
            for option in options:
                sock.setsockopt(*option)
            if source:
                sock.bind((source, 0))
            if kind == socket.SOCK_DGRAM:
                sock.sendto(PAYLOAD, (to, port))
            else:
                sock.settimeout(0.05)
                sock.connect((to, port))

    def index(self):
        with self.net.client.inside():
            return socket.if_nametoindex("eth0")

    @contextlib.contextmanager
    def routes(self, *lines):
        self.ip(*(f"route add {line}" for line in lines))
        try:
            yield
        finally:
            self.ip(*(f"route del {line}" for line in lines))

    def plain(self):
        for to in (THIRD, "1.1.1.1", THIRD6):
            self.send(to)
            self.send(to, kind=socket.SOCK_STREAM)

    def halves(self):
        """OpenVPN's routes, or those of a DHCP server that means harm."""
        with self.routes(f"0.0.0.0/1 {VIA}", f"128.0.0.0/1 {VIA}"):
            self.send(THIRD)
            self.send("1.1.1.1")

    def narrow(self):
        with self.routes(f"{THIRD}/32 {VIA}", f"{THIRD6}/128 {VIA6}"):
            self.send(THIRD)
            self.send(THIRD6)

    def halves6(self):
        with self.routes(f"::/1 {VIA6}", f"8000::/1 {VIA6}"):
            self.send(THIRD6)

    def wide_network(self):
        """A DHCP server that says: half of the internet is on this link."""
        self.ip("addr add 192.0.2.99/1 dev eth0")
        try:
            self.send(THIRD)
            self.send("198.51.100.99")
        finally:
            self.ip("addr del 192.0.2.99/1 dev eth0")

    def second_default(self):
        with self.routes("default via 203.0.113.3 dev eth0 metric 1"):
            self.plain()

    def rule_of_others(self):
        self.ip("rule add fwmark 7 lookup 77 priority 100",
                f"route add default {VIA} table 77")
        try:
            self.send(THIRD, options=[(socket.SOL_SOCKET, socket.SO_MARK, 7)])
        finally:
            self.ip("rule del fwmark 7 lookup 77 priority 100", "route flush table 77")

    def bound_to_a_device(self):
        to_eth0 = (socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
        for to in (THIRD, THIRD6):
            self.send(to, options=[to_eth0])
            self.send(to, options=[to_eth0], kind=socket.SOCK_STREAM)

    def unicast_interface(self):
        number = self.index()
        self.send(THIRD, options=[(socket.IPPROTO_IP, IP_UNICAST_IF, struct.pack("!I", number))])
        self.send(THIRD6, options=[(socket.IPPROTO_IPV6, IPV6_UNICAST_IF, struct.pack("!I", number))])

    def local_addresses(self):
        """As WebRTC does: from each address of the machine."""
        self.send(THIRD, 3478, source=CLIENT)
        self.send(THIRD6, 3478, source="2001:db8:1::2")

    def lan(self):
        for port in (53, 9999):
            self.send(ROUTER["client"], port)
            self.send(ROUTER["client"], port, kind=socket.SOCK_STREAM)
            self.send(ROUTER6["client"], port)

    def multicast(self):
        everywhere = (socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        number = self.index()
        for to in ("224.0.0.251", "239.255.255.250"):
            self.send(to, 5353, source=CLIENT)
        self.send("255.255.255.255", 9999, options=[everywhere], source=CLIENT)
        self.send("203.0.113.255", 9999, options=[everywhere])
        for to in ("ff02::fb", "ff05::2"):
            self.send(to, 5353, options=[(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, number)])

    def container(self):
        for to in (THIRD, THIRD6, ROUTER["client"]):
            self.send(to, namespace=self.box)
            self.send(to, namespace=self.box, kind=socket.SOCK_STREAM)

    def other_mark(self):
        self.send(THIRD, options=[(socket.SOL_SOCKET, socket.SO_MARK, 77)])

    def link_goes_and_comes(self):
        """As over a suspend: the link goes, and a network manager sets up addresses and routes."""
        self.ip("link set eth0 down", "link set eth0 up")
        poll("the address", lambda: CLIENT in proxy.ip(self.net.client, "addr"))
        self.ip(f"route replace default {VIA}", "addr replace 2001:db8:1::2/64 dev eth0 nodad",
                f"route replace default {VIA6}")
        self.plain()

    def ping(self):
        with self.net.client.inside():
            pings = [subprocess.Popen([need("ping"), "-c", "1", "-W", "1", *options],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                     for options in ((THIRD,), ("-I", "eth0", THIRD), (THIRD6,), ("-I", "eth0", THIRD6))]
        for one in pings:
            one.wait(GUARD_S)

    # The way, and whether something passes beside the device without `strict`.
    WAYS = (("plain", False), ("halves", True), ("narrow", True), ("halves6", True), ("wide_network", True),
            ("second_default", False), ("rule_of_others", True), ("bound_to_a_device", True),
            ("unicast_interface", True), ("local_addresses", False), ("lan", True), ("multicast", True),
            ("container", True), ("other_mark", False), ("ping", True), ("link_goes_and_comes", False))

    def prime(self):
        """The neighbours are known: nothing is late because of them."""
        with self.net.client.inside():
            for to in (ROUTER["client"], ROUTER6["client"], "203.0.113.3"):
                subprocess.run([need("ping"), "-c", "1", "-W", "5", to], capture_output=True, check=True)

    def try_ways(self, **settings):
        self.prime()
        self.client.call("configureRouting", proxyIps=[SERVER, SERVER6], **settings)
        return {name: self.beside(getattr(self, name)) for name, _ in self.WAYS}

    def test_strict_without_the_lan_lets_not_one_packet_pass(self):
        self.assertEqual(self.try_ways(strict=True, allowLan=False), {name: 0 for name, _ in self.WAYS})

    def test_without_strict_it_passes_as_the_page_says(self):
        passed = self.try_ways()
        self.assertEqual({name: count > 0 for name, count in passed.items()}, dict(self.WAYS))

    def test_strict_with_the_lan(self):
        """The client's own network is a public one: only multicast is left of it. The box's is private."""
        passed = self.try_ways(strict=True)
        self.assertEqual({name for name, count in passed.items() if count}, {"multicast"})
        self.assertEqual(proxy.way(self.net.client, "172.30.0.2"), "box")
        self.assertEqual(proxy.way(self.net.client, "fd30::2"), "box")
        self.assertEqual(proxy.way(self.net.client, ROUTER["client"]), "tun0")
        self.client.call("configureRouting", proxyIp=SERVER, strict=True, allowLan=False)
        self.assertEqual(proxy.way(self.net.client, "172.30.0.2"), "tun0")

    def test_a_wide_private_network_is_no_lan(self):
        self.ip("addr add 10.1.0.1/15 dev eth0", "addr add 10.8.0.1/16 dev eth0", "addr add 100.64.0.1/24 dev eth0")
        try:
            self.client.call("configureRouting", proxyIp=SERVER, strict=True)
            self.assertEqual([proxy.way(self.net.client, to) for to in ("10.0.7.7", "10.8.7.7", "100.64.0.7")],
                             ["tun0", "eth0", "eth0"])
            self.client.call("resetRouting")
        finally:
            self.ip("addr del 10.1.0.1/15 dev eth0", "addr del 10.8.0.1/16 dev eth0",
                    "addr del 100.64.0.1/24 dev eth0")

    def test_a_crash_leaves_it_closed(self):
        self.prime()
        self.client.call("configureRouting", proxyIps=[SERVER, SERVER6], strict=True, allowLan=False)
        self.controller.kill()
        self.assertEqual({name: self.beside(getattr(self, name)) for name, _ in self.WAYS},
                         {name: 0 for name, _ in self.WAYS})
        self.controller.start()
        self.assertEqual(self.routing(), self.before)
        self.client = self.controller.client(self)

    def test_persist_keeps_it_closed_over_the_next_start(self):
        self.prime()
        self.client.call("configureRouting", proxyIps=[SERVER, SERVER6], strict=True, allowLan=False,
                         persist=True)
        routed = self.routing()
        for _ in range(2):
            self.controller.kill()
            self.assertEqual(self.beside(self.plain), 0)
            self.controller.start()
            self.assertEqual(self.routing(), routed)
            self.assertEqual(self.beside(self.halves), 0)
        # What a reset or an orderly end has opened stays open.
        self.client = self.controller.client(self)
        self.client.call("resetRouting")
        self.controller.kill()
        self.controller.start()
        self.assertEqual(self.routing(), self.before)
        self.client = self.controller.client(self)
        self.client.call("configureRouting", proxyIp=SERVER, persist=True)
        self.controller.stop()
        self.assertEqual(self.routing(), self.before)
        self.controller.start()
        self.assertEqual(self.routing(), self.before)
        self.client = self.controller.client(self)

    def test_rules_that_others_flush_come_back(self):
        self.client.call("configureRouting", proxyIps=[SERVER, SERVER6], strict=True, allowLan=False)
        with self.net.client.inside():
            subprocess.run([need("nft"), "flush", "ruleset"], check=True)
        poll("the table to be back", self.has_table)
        self.prime_proxy()
        self.assertEqual(self.beside(self.multicast), 0)

    def prime_proxy(self):
        self.beside(lambda: None)

    def has_table(self):
        with self.net.client.inside():
            return "chain leave" in subprocess.run([need("nft"), "list", "ruleset"], capture_output=True,
                                                   text=True, check=True).stdout

    def test_ways_out_are_warned_of(self):
        reply = self.client.call("configureRouting", proxyIp=SERVER)
        self.assertEqual([line for line in reply["warnings"] if "no program reads" not in line], [])
        with self.routes(f"0.0.0.0/1 {VIA}", f"::/1 {VIA6}"):
            self.controller.wait_log("the route 0.0.0.0/1 by eth0 takes traffic out")
            warnings = self.client.call("configureRouting", proxyIp=SERVER)["warnings"]
            for word in ("0.0.0.0/1 by eth0", "::/1 by eth0", "no program reads tun0"):
                self.assertTrue(any(word in line for line in warnings), (word, warnings))
            warnings = self.client.call("configureRouting", proxyIp=SERVER, strict=True)["warnings"]
            self.assertFalse(any("0.0.0.0/1" in line for line in warnings), warnings)
        self.client.call("configureRouting", proxyIp=SERVER)
        self.ip("rule add fwmark 7 lookup 77 priority 100")
        try:
            warnings = self.client.call("configureRouting", proxyIp=SERVER)["warnings"]
            self.assertTrue(any("priority 100" in line for line in warnings), warnings)
        finally:
            self.ip("rule del fwmark 7 lookup 77 priority 100")

    def test_nobody_on_the_lan_reaches_the_devices_address(self):
        """As wg-quick does: the device's address is for what comes out of it, and for this machine."""
        sock = self.net.client.udp("0.0.0.0", 7777)
        sock6 = self.net.client.udp("::", 7778)
        self.addCleanup(sock.close)
        self.addCleanup(sock6.close)
        self.net._ip(self.net.router, f"route add 10.0.85.1/32 via {CLIENT}", "route add fd85::1/128 via 2001:db8:1::2")
        try:
            self.client.call("configureRouting", proxyIp=SERVER)
            self.send("10.0.85.1", 7777, namespace=self.net.router)
            self.send("fd85::1", 7778, namespace=self.net.router)
            self.send(CLIENT, 7777, namespace=self.net.router)
            self.send("2001:db8:1::2", 7778, namespace=self.net.router)
            for one, source in ((sock, "203.0.113"), (sock6, "2001:db8:1::")):
                self.assertTrue(one.recvfrom(100)[1][0].startswith(source))
                one.settimeout(0.2)
                self.assertRaises(TimeoutError, one.recvfrom, 100)
            self.send("10.0.85.1", 7777)
            sock.settimeout(GUARD_S)
            self.assertEqual(sock.recvfrom(100)[0], PAYLOAD)
        finally:
            self.net._ip(self.net.router, f"route del 10.0.85.1/32 via {CLIENT}",
                         "route del fd85::1/128 via 2001:db8:1::2")

    def test_wrong_parameters_change_nothing(self):
        for parameters, field in (
                ({"strict": "yes"}, "strict"), ({"allowLan": 1}, "allowLan"), ({"persist": []}, "persist"),
                ({"dns": 53}, "dns"), ({"dns": ""}, "dns"), ({"proxyIps": SERVER}, "proxyIps"),
                ({"proxyIps": [SERVER, "nonsense"]}, "proxyIps[1]"),
                ({"proxyIps": [f"198.51.100.{i}" for i in range(20)]}, "proxyIps[16]")):
            reply = self.client.request("configureRouting", **{"proxyIp": SERVER, **parameters})
            self.assertEqual((reply["statusCode"], reply["error"]["field"]), (7, f"parameters.{field}"), reply)
            self.assertEqual(self.routing(), self.before)
        reply = self.client.request("configureRouting", proxyIps=[])
        self.assertEqual(reply["error"]["field"], "parameters.proxyIp")
        self.assertEqual(self.client.call("configureRouting", proxyIps=[SERVER], unknown=[7])["statusCode"], 0)


if __name__ == "__main__":
    unittest.main()
