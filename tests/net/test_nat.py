# SPDX-License-Identifier: Apache-2.0
"""A udp-server as a NAT: what RFC 4787 requires, by its numbers (docs/nat.md has the table).

    app ─UDP ASSOCIATE─▶ udp-local ═══▶ udp-server ─UDP─▶ third, router, another flow
"""

import errno
import socket
import unittest

from association import Association
from harness import GUARD_S, ROUTER, ROUTER6, SERVER, SERVER6, THIRD, THIRD6, NetTest, poll
from proxy import ip

PORT = 7000
IP_MTU_DISCOVER, IP_MTU = 10, 14  # linux/in.h
IP_PMTUDISC_DONT, IP_PMTUDISC_DO = 0, 2


class NatTest(NetTest):
    @classmethod
    def build(cls):
        cls.server, cls.client = cls.net.daemon("server"), cls.net.daemon("client")
        cls.configure_server()
        status = cls.client.configure(name="near", role="local", listen="socks5://127.0.0.1:0",
                                      server=f"{SERVER}:{PORT}", wait=GUARD_S)
        cls.port = int(status["listen"].rsplit(":", 1)[1])

    @classmethod
    def configure_server(cls, **more):
        cls.server.configure(name="far", role="server", listen=f"{SERVER}:{PORT}", insecure=True,
                             **more)

    def tearDown(self):
        self.configure_server()

    def app(self, **more):
        return Association(self, self.net.client, self.port, **more)

    def bound(self, namespace, host, port=0):
        sock = namespace.udp(host, port)
        self.addCleanup(sock.close)
        return sock

    def mapped(self, app, target):
        """The address that the target sees; and its answer comes back."""
        app.send(b"question", target.getsockname())
        data, source = target.recvfrom(100)
        self.assertEqual(data, b"question")
        target.sendto(b"answer", source)
        data, answered_by = app.receive()
        self.assertEqual((data, answered_by), (b"answer", target.getsockname()[:2]))
        return source[:2]


class Nat(NatTest):
    # ---- REQ-9

    def two_flows(self, target):
        """Two apps and their external addresses."""
        apps = self.app(), self.app()
        return [(app, self.mapped(app, target)) for app in apps]

    def hairpin(self, host, target_space, target_host):
        target = self.bound(target_space, target_host)
        (one, one_mapped), (other, other_mapped) = self.two_flows(target)
        self.assertEqual(one_mapped[0], host)
        before = self.server.status("far")["dropped"]["policy"]
        one.send(b"to the other", other_mapped)
        self.assertEqual(other.receive(), (b"to the other", one_mapped))
        other.send(b"and back", one_mapped)
        self.assertEqual(one.receive(), (b"and back", other_mapped))
        one.send(b"to itself", one_mapped)
        self.assertEqual(one.receive(), (b"to itself", one_mapped))
        self.assertEqual(self.server.status("far")["dropped"]["policy"], before)

    def test_req_9_hairpinning(self):
        self.hairpin(SERVER, self.net.third, THIRD)
        self.hairpin(SERVER6, self.net.third, THIRD6)

    def test_req_9_hairpinning_to_a_flow_that_never_spoke_that_family(self):
        """The sender's own socket is opened for it."""
        target = self.bound(self.net.third, THIRD)
        listener, fresh = self.app(), self.app()
        mapped = self.mapped(listener, target)
        fresh.send(b"first words", mapped)
        data, source = listener.receive()
        self.assertEqual((data, source[0]), (b"first words", SERVER))
        listener.send(b"heard", source)
        self.assertEqual(fresh.receive(), (b"heard", mapped))

    def test_hairpinning_opens_no_other_port_of_the_host(self):
        """By the policy's default nothing on the server's host is a target."""
        service = self.bound(self.net.server, SERVER)
        target = self.bound(self.net.third, THIRD)
        app = self.app()
        self.mapped(app, target)
        before = self.server.status("far")["dropped"]["policy"]
        app.send(b"let me in", service.getsockname())
        poll("it to be refused",
             lambda: self.server.status("far")["dropped"]["policy"] == before + 1)
        service.setblocking(False)
        with self.assertRaises(BlockingIOError):
            service.recv(100)

    def test_hairpinning_goes_through_the_filtering(self):
        self.configure_server(filtering="address-port")
        target = self.bound(self.net.third, THIRD)
        (one, one_mapped), (other, other_mapped) = self.two_flows(target)
        before = self.server.status("far")["dropped"]["policy"]
        one.send(b"a stranger", other_mapped)
        poll("it to be filtered",
             lambda: self.server.status("far")["dropped"]["policy"] == before + 1)
        other.send(b"come in", one_mapped)
        self.assertEqual(one.receive(), (b"come in", other_mapped))
        one.send(b"thank you", other_mapped)
        self.assertEqual(other.receive(), (b"thank you", one_mapped))

    # ---- REQ-11, REQ-12

    def test_req_12_icmp_ends_no_mapping(self):
        target, app = self.bound(self.net.third, THIRD), self.app()
        mapped = self.mapped(app, target)
        for host in (THIRD, "192.0.2.99", "203.0.113.99"):  # no port, no host
            app.send(b"lost", (host, 9))
        poll("an error to be told",
             lambda: self.client.status("near")["dropped"]["error"] > 0)
        self.assertEqual(self.mapped(app, target), mapped)


class NatPorts(NatTest):
    """portPreservation: REQ-4, and never REQ-3's port overloading."""

    @classmethod
    def build(cls):
        cls.server, cls.client = cls.net.daemon("server"), cls.net.daemon("client")
        cls.configure_server()
        cls.target = cls.net.third.udp(THIRD, 9000)
        status = cls.client.configure(name="near", role="local", listen="udp://0.0.0.0:0",
                                      target=f"{THIRD}:9000", server=f"{SERVER}:{PORT}",
                                      wait=GUARD_S)
        cls.port = int(status["listen"].rsplit(":", 1)[1])

    @classmethod
    def tearDownClass(cls):
        cls.target.close()
        super().tearDownClass()

    def external_ports(self, port, count=8):
        """The external ports of apps that all have the same port, on addresses of their own."""
        ports = []
        for i in range(1, count + 1):
            app = self.bound(self.net.client, f"127.0.0.{i}", port)
            app.sendto(b"question", ("127.0.0.1", self.port))
            data, source = self.target.recvfrom(100)
            self.assertEqual(data, b"question")
            self.target.sendto(b"answer %d" % i, source)
            self.assertEqual(app.recv(100), b"answer %d" % i)
            ports.append(source[1])
            app.close()
        return ports

    def test_req_4_the_same_port_else_its_parity(self):
        self.configure_server(portPreservation=True)
        for port in (20002, 20005):
            ports = self.external_ports(port)
            self.assertEqual(ports[0], port)
            self.assertEqual(len(set(ports)), len(ports), "REQ-3: no port has two flows")
            self.assertEqual({p % 2 for p in ports}, {port % 2}, ports)

    def test_req_4_within_a_port_range(self):
        self.configure_server(portPreservation=True, portRange="30001-30040")
        for port in (20012, 30015):
            ports = self.external_ports(port)
            self.assertEqual(ports[0] == port, port > 30000)
            self.assertTrue(all(30001 <= p <= 30040 for p in ports), ports)
            self.assertEqual(len(set(ports)), len(ports))
            self.assertEqual({p % 2 for p in ports}, {port % 2}, ports)

    def test_a_range_without_the_parity_is_used_all_the_same(self):
        self.configure_server(portPreservation=True, portRange="30101-30101")
        self.assertEqual(self.external_ports(20022, count=1), [30101])

    def test_ports_are_not_kept_by_default(self):
        self.assertNotEqual(set(self.external_ports(20032)) & {20032}, {20032})

    def test_privileged_ports_are_not_taken(self):
        """REQ-3a is not met there: a service of the host's own may begin to listen any time."""
        self.configure_server(portPreservation=True)
        self.assertGreaterEqual(min(self.external_ports(700)), 1024)


class NatFragments(NatTest):
    """REQ-13 and REQ-14: apps behind a TUN device, and paths that carry less than they send.

        app ─▶ tun0 ─▶ udp-local ═══▶ udp-server ─(MTU 1400)─▶ router ─▶ third
    """

    @classmethod
    def build(cls):
        super().build()
        cls.client.call("configureTun2socks", {"name": "apps", "device": "tun:tun0", "tcp": "reject",
                                               "address": "10.85.0.1/24", "udp": "tunnel:near"})
        ip(cls.net.client, "route", "add", THIRD, "dev", "tun0")
        ip(cls.net.server, "link", "set", "eth0", "mtu", "1400")
        ip(cls.net.router, "link", "set", "server", "mtu", "1400")

    def app_that(self, discovers):
        """A socket behind the device, connected to the target, and what it can send without
        fragments, as its host thinks."""
        target = self.bound(self.net.third, THIRD)
        app = self.bound(self.net.client, "10.85.0.1")
        app.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, discovers)
        app.connect(target.getsockname())
        return app, target

    def mtu_of(self, app):
        return app.getsockopt(socket.IPPROTO_IP, IP_MTU)

    def arrives(self, app, target, size):
        app.send(bytes(size))
        self.assertEqual(len(target.recv(70000)), size)

    def is_told(self, app, target, size, mtu):
        app.send(bytes(size))
        with self.assertRaises(OSError) as caught:
            app.recv(100)
        self.assertEqual(caught.exception.errno, errno.EMSGSIZE)
        self.assertEqual(self.mtu_of(app), mtu)
        target.setblocking(False)
        with self.assertRaises(BlockingIOError):
            target.recv(70000)
        target.setblocking(True)
        target.settimeout(GUARD_S)

    def test_req_13_too_big_is_told(self):
        app, target = self.app_that(IP_PMTUDISC_DO)
        self.arrives(app, target, 1400 - 28)
        self.is_told(app, target, 1401 - 28, 1400)
        self.arrives(app, target, 1400 - 28)
        self.assertEqual(self.server.status("far")["dropped"]["oversize"], 1)
        ip(self.net.client, "route", "flush", "cache")

    def test_z_req_13_by_a_router_on_the_way(self):
        """The last: what the server has learnt of the path holds for a moment."""
        ip(self.net.router, "link", "set", "third", "mtu", "1350")
        self.addCleanup(ip, self.net.router, "link", "set", "third", "mtu", "1500")
        self.addCleanup(ip, self.net.server, "route", "flush", "cache")
        self.addCleanup(ip, self.net.client, "route", "flush", "cache")
        app, target = self.app_that(IP_PMTUDISC_DO)
        self.arrives(app, target, 1350 - 28)
        self.is_told(app, target, 1390 - 28, 1350)
        self.arrives(app, target, 1350 - 28)

    def test_req_13a_without_df_it_is_fragmented(self):
        app, target = self.app_that(IP_PMTUDISC_DONT)
        for size in (1372, 1373, 1472, 1473, 9000, 60000):
            self.arrives(app, target, size)

    def test_what_linux_marks_by_itself_is_not_lost(self):
        """By default DF is on every datagram, of any size on such a device: the app did not ask."""
        target = self.bound(self.net.third, THIRD)
        app = self.bound(self.net.client, "10.85.0.1")
        for size in (60000, 9000, 1473, 1):
            app.sendto(bytes(size), target.getsockname())
            self.assertEqual(len(target.recv(70000)), size)
        ip(self.net.client, "route", "flush", "cache")

    def test_req_14_fragments_from_outside(self):
        app, target = self.app_that(IP_PMTUDISC_DONT)
        app.send(b"open")
        _, source = target.recvfrom(100)
        target.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
        for size in (1373, 9000, 60000):
            target.sendto(bytes(size), source)
            self.assertEqual(len(app.recv(70000)), size)


class NatAddresses(NatTest):
    """A host with several addresses on its interface, of which routes would choose by the target."""

    SECOND, SECOND6 = "198.51.100.77", "2001:db8:3:9::2"

    @classmethod
    def build(cls):
        ip(cls.net.server, "addr", "add", f"{cls.SECOND}/24", "dev", "eth0")
        ip(cls.net.server, "route", "add", THIRD, "via", ROUTER["server"], "src", cls.SECOND)
        ip(cls.net.server, "addr", "add", f"{cls.SECOND6}/64", "dev", "eth0", "nodad")
        ip(cls.net.router, "-6", "route", "add", "2001:db8:3:9::/64", "via", SERVER6)
        super().build()

    def one_source(self, hosts):
        targets = [self.bound(space, host) for space, host in hosts]
        seen = {self.mapped(app, target)[0]
                for app in (self.app(), self.app()) for target in targets + targets}
        self.assertEqual(len(seen), 1, seen)

    def test_req_2_one_source_address_ipv4(self):
        self.one_source([(self.net.third, THIRD), (self.net.router, ROUTER["server"]),
                         (self.net.router, ROUTER["third"])])

    def test_req_2_one_source_address_ipv6(self):
        """RFC 6724 takes the address that is most like the target's."""
        self.one_source([(self.net.third, THIRD6), (self.net.router, ROUTER6["server"])])

    def test_req_9_hairpinning_to_the_other_address(self):
        """The receiver sees the sender's external address, whichever was sent to."""
        target = self.bound(self.net.third, THIRD)
        one, other = self.app(), self.app()
        one_mapped, other_mapped = self.mapped(one, target), self.mapped(other, target)
        for host in (SERVER, self.SECOND):
            one.send(b"hello", (host, other_mapped[1]))
            self.assertEqual(other.receive(), (b"hello", one_mapped))

    def test_zz_an_address_that_goes_is_replaced(self):
        target, app = self.bound(self.net.third, THIRD), self.app()
        before = self.mapped(app, target)
        remaining = {SERVER, self.SECOND} - {before[0]}
        ip(self.net.server, "addr", "del", f"{before[0]}/24", "dev", "eth0")
        ip(self.net.server, "route", "replace", "default", "via", ROUTER["server"])
        target.settimeout(0.2)

        def passes():
            app.send(b"again", target.getsockname())
            try:
                return target.recvfrom(100)[1]
            except TimeoutError:
                return None
        self.assertEqual(poll("the other address", passes), (remaining.pop(), before[1]))


if __name__ == "__main__":
    unittest.main()
