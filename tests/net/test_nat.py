# SPDX-License-Identifier: Apache-2.0
"""A udp-server as a NAT: what RFC 4787 requires, by its numbers (docs/nat.md has the table).

    app ─UDP ASSOCIATE─▶ udp-local ═══▶ udp-server ─UDP─▶ third, router, another flow
"""

import unittest

from association import Association
from harness import GUARD_S, ROUTER, ROUTER6, SERVER, SERVER6, THIRD, THIRD6, NetTest, poll
from proxy import ip

PORT = 7000


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
