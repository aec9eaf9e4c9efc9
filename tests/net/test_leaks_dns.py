# SPDX-License-Identifier: Apache-2.0
"""configureRouting's `dns`: port 53 of the whole machine goes through the tunnel to one server.

    dig ─▶ 127.0.0.53 (dnsmasq) ─▶ 203.0.113.1, the LAN's server ┐
    apps, also bound to eth0's index ─▶ the LAN's server          ├▶ tun0 ─▶ tun2socks ─▶ … ─▶ third's dnsmasq
    a container ─▶ 192.0.2.200                                    ┘

Nothing answers at the LAN's server. The router counts what comes from the client and is not for the proxy.
"""

import os
import socket
import struct
import subprocess
import unittest

import chain
import proxy
from harness import GUARD_S, ROUTER, SERVER, SERVER6, THIRD, Namespace, NetTest, need, poll
from test_leaks import COUNTERS, IP_UNICAST_IF, Leaks
from test_proxy_client import PORT, TUN2SOCKS, TUNNEL
from test_tun2socks_bad_proxies import PROXY_PORT, Proxy

LOCAL = "127.0.0.53"
NOBODY = "192.0.2.200"


def dnsmasq(net, namespace, address, *options):
    return net.start(namespace, need("dnsmasq"), "--keep-in-foreground", "--no-resolv", "--no-hosts", "--port=53",
                     "--bind-interfaces", f"--listen-address={address}", "--user=root", "--conf-file=/dev/null",
                     "--pid-file", "--cache-size=0", *options).wait_listening(53)


def question(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 4711, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)


class Dns(NetTest):
    @classmethod
    def build(cls):
        net = cls.net
        with net.router.inside():
            subprocess.run([need("nft"), "-f", "-"], input=COUNTERS, text=True, check=True)
        chain.start_shadowsocks(net)
        cls.server = net.daemon("server")
        cls.server.configure(name="far", role="server", listen=f"127.0.0.1:{PORT}")
        cls.daemon = net.daemon("client")
        proxy.need_tun2socks(cls.daemon)
        cls.controller = proxy.ProxyController(net, net.client, udptund=cls.daemon.socket_path)
        dnsmasq(net, "third", THIRD, "--address=/test/192.0.2.77")
        dnsmasq(net, "client", LOCAL, f"--server={ROUTER['client']}")
        cls.box = net.namespaces["box"] = Namespace(f"udptun-{os.getpid()}-box")
        # pylint: disable=protected-access
        net._ip(net.client, "link add box type veth peer name eth0 netns " + cls.box.name,
                "addr add 172.30.0.1/24 dev box", "link set box up")
        net._ip(cls.box, "link set lo up", "addr add 172.30.0.2/24 dev eth0", "link set eth0 up",
                "route add default via 172.30.0.1")
        net.client.write_sysctl("ipv4/ip_forward", "1")
        proxy.settle(net.client)
        cls.client = proxy.Client(cls.controller.path)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        super().tearDownClass()

    count = Leaks.count
    send = Leaks.send
    beside = Leaks.beside

    def configure_tunnel(self, **more):
        return self.client.call("configureUdpTunnel", **TUNNEL, tun2socks={**TUN2SOCKS, **more}, wait=GUARD_S)

    def tearDown(self):
        self.client.call("resetRouting")
        self.client.call("removeUdpTunnel", name="away")

    def dig(self, server, name, *options, namespace=None):
        with (namespace or self.net.client).inside():
            result = subprocess.run([need("dig"), f"@{server}", "+short", "+tries=2", "+time=10", *options, name],
                                    capture_output=True, text=True, check=False, timeout=GUARD_S * 3)
        return result.stdout.strip()

    def ask_by_interface(self, name):
        """As systemd's resolver asks the servers of a link."""
        with self.net.client.inside():
            number = socket.if_nametoindex("eth0")
        with self.net.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, IP_UNICAST_IF, struct.pack("!I", number))
            sock.connect((ROUTER["client"], 53))
            sock.send(question(name))
            return ".".join(str(byte) for byte in sock.recv(512)[-4:])

    def instance_dns(self):
        return self.daemon.call("exportConfig")["tun2socks"][0].get("dns")

    def everybody_asks(self):
        self.assertEqual(self.dig(ROUTER["client"], "lan.test"), "192.0.2.77")
        self.assertEqual(self.dig(ROUTER["client"], "tcp.test", "+tcp"), "192.0.2.77")
        self.assertEqual(self.dig(LOCAL, "local.test"), "192.0.2.77")
        self.assertEqual(self.dig(NOBODY, "box.test", namespace=self.box), "192.0.2.77")
        self.assertEqual(self.ask_by_interface("interface.test"), "192.0.2.77")

    def test_every_question_goes_to_the_server_and_none_beside(self):
        self.configure_tunnel()
        for strict in (False, True):
            reply = self.client.call("configureRouting", proxyIps=[SERVER, SERVER6], dns=THIRD, strict=strict,
                                     allowLan=not strict)
            self.assertEqual(reply["connectionStatus"], 0)
            self.assertEqual(self.beside(self.everybody_asks), 0)
            self.assertEqual(self.beside(self.bound), 0)
            self.assertEqual(self.instance_dns(), f"{THIRD}:53")
        # The rest of the LAN is as it was.
        self.client.call("configureRouting", proxyIp=SERVER, dns=f"{THIRD}:53")
        self.assertEqual(proxy.way(self.net.client, ROUTER["client"]), "eth0")
        self.client.call("resetRouting")
        poll("the server to be forgotten", lambda: self.instance_dns() is None)

    def bound(self):
        """One that insists on another device fails, rather than to leave by it."""
        options = [(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")]
        self.send(ROUTER["client"], 53, options=options)
        self.send(ROUTER["client"], 53, options=options, kind=socket.SOCK_STREAM)

    def test_the_instances_own_server_comes_back(self):
        self.configure_tunnel(dns="192.0.2.9:53")
        self.client.call("configureRouting", proxyIp=SERVER, dns=f"{THIRD}:53")
        self.assertEqual(self.instance_dns(), f"{THIRD}:53")
        self.client.call("configureUdpTunnel", name="away", merge=True, tun2socks={"name": "apps", "icmpEcho": "drop"})
        self.assertEqual(self.instance_dns(), f"{THIRD}:53")
        self.client.call("configureRouting", proxyIp=SERVER)
        poll("its own server", lambda: self.instance_dns() == "192.0.2.9:53")

    def test_it_comes_back_with_udptund(self):
        self.configure_tunnel()
        self.client.call("configureRouting", proxyIp=SERVER, dns=THIRD)
        self.daemon.kill()
        self.client.wait_news(2)
        self.daemon.start()
        self.client.wait_news(0)
        self.assertEqual(self.instance_dns(), f"{THIRD}:53")
        self.everybody_asks()

    def test_without_an_instance_or_with_a_wrong_server_nothing_changes(self):
        before = proxy.routing(self.net.client)
        reply = self.client.request("configureRouting", proxyIp=SERVER, dns=THIRD)
        self.assertEqual((reply["statusCode"], reply["error"]["field"]), (7, "parameters.dns"), reply)
        self.assertIn("tun0", reply["errorMessage"])
        self.configure_tunnel()
        for dns in ("192.0.2.1:0", "192.0.2.1:99999", "a b", "0.0.0.0", "[::1"):
            reply = self.client.request("configureRouting", proxyIp=SERVER, dns=dns)
            self.assertEqual((reply["statusCode"], reply["error"]["field"]), (7, "parameters.dns"), reply)
            self.assertNotIn("config.", reply["errorMessage"])
            self.assertEqual(proxy.routing(self.net.client), before)
            self.assertIsNone(self.instance_dns())


class Status(NetTest):
    """connectionStatus, with a tunnel on the device; and proxies that lead into it."""

    @classmethod
    def build(cls):
        cls.daemon = cls.net.daemon("client")
        proxy.need_tun2socks(cls.daemon)
        cls.server = cls.net.daemon("server")
        cls.controller = proxy.ProxyController(cls.net, cls.net.client, udptund=cls.daemon.socket_path)
        proxy.settle(cls.net.client)

    def test_connected_needs_the_tunnel_established(self):
        client = self.controller.client(self)
        client.call("configureUdpTunnel", name="away", role="local", server=f"{SERVER}:7000",
                    tun2socks={"name": "apps", "tcp": "reject"})
        reply = client.call("configureRouting", proxyIp=SERVER)
        self.assertEqual(reply["connectionStatus"], 2)
        self.assertNotIn("warnings", reply)
        self.server.configure(name="far", role="server", listen=f"{SERVER}:7000", insecure=True)
        client.wait_news(0)
        self.assertEqual(client.call("getStatus")["connectionStatus"], 0)
        self.server.call("removeUdpTunnel", {"name": "far"})
        client.wait_news(2)
        self.controller.wait_log("'away' is ")
        # Without one on the device it means what it did.
        client.call("removeUdpTunnel", name="away")
        client.wait_news(0)
        reply = client.call("configureRouting", proxyIp=SERVER)
        self.assertEqual(reply["connectionStatus"], 0)
        self.assertIn("no program reads tun0", reply["warnings"][0])
        client.call("resetRouting")

    def test_a_proxy_that_leads_into_the_device_is_refused(self):
        client = self.controller.client(self)
        before = proxy.routing(self.net.client)
        for way in ("tcp", "udp"):
            ways = {"tcp": "reject", "udp": "reject", way: f"socks5://user:secret@{THIRD}:1080"}
            client.call("configureUdpTunnel", name="away", role="local", server=f"{SERVER}:7000",
                        tun2socks={"name": "apps", **ways})
            reply = client.request("configureRouting", proxyIp=SERVER)
            self.assertEqual((reply["statusCode"], reply["error"]["field"]), (7, "parameters.proxyIp"), reply)
            self.assertIn(f"{THIRD}:1080", reply["errorMessage"])
            self.assertNotIn("secret", reply["errorMessage"])
            self.assertEqual(proxy.routing(self.net.client), before)
            client.call("configureRouting", proxyIps=[SERVER, THIRD])
            client.call("removeUdpTunnel", name="away")
            client.call("configureRouting", proxyIp=SERVER)
            reply = client.request("configureUdpTunnel", name="away", role="local", server=f"{SERVER}:7000",
                                   tun2socks={"name": "apps", **ways})
            self.assertEqual((reply["statusCode"], reply["error"]["field"]), (7, f"parameters.tun2socks.{way}"), reply)
            client.call("resetRouting")


class Relay(NetTest):
    """A proxy that names another address for datagrams (test_tun2socks_bad_proxies.Proxy)."""

    RELAY = "198.51.100.77"

    @classmethod
    def build(cls):
        cls.daemon = cls.net.daemon("client")
        proxy.need_tun2socks(cls.daemon)
        cls.net._ip(cls.net.server, f"addr add {cls.RELAY}/24 dev eth0")
        cls.controller = proxy.ProxyController(cls.net, cls.net.client, udptund=cls.daemon.socket_path)
        cls.proxy = Proxy(cls.net)

    @classmethod
    def tearDownClass(cls):
        cls.proxy.stop()
        super().tearDownClass()

    def test_a_relay_named_by_the_proxy_stays_outside_as_the_proxy_does(self):
        relay = self.net.server.udp(self.RELAY, 0)
        self.addCleanup(relay.close)
        relay.settimeout(0.1)
        self.proxy.bound = b"\1" + socket.inet_aton(self.RELAY) + struct.pack("!H", relay.getsockname()[1])
        client = self.controller.client(self)
        url = f"socks5://{SERVER}:{PROXY_PORT}"
        client.call("configureUdpTunnel", name="away", role="local", server=f"{SERVER}:7000",
                    tun2socks={"name": "apps", "tcp": url, "udp": url})
        client.call("configureRouting", proxyIp=SERVER)
        self.assertEqual(proxy.way(self.net.client, self.RELAY), "tun0")
        app = self.net.client.udp()
        self.addCleanup(app.close)

        def arrives():
            app.sendto(b"through the relay", (THIRD, 9000))
            try:
                return b"through the relay" in relay.recv(2000)
            except TimeoutError:
                return False
        poll("a datagram at the relay", arrives)
        self.assertEqual(proxy.way(self.net.client, self.RELAY), "eth0")
        self.assertEqual(self.daemon.call("getStatus", {"name": "apps"})["tun2socks"][0]["relays"],
                         [f"{self.RELAY}:{relay.getsockname()[1]}"])
        client.call("resetRouting")


if __name__ == "__main__":
    unittest.main()
