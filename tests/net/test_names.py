# SPDX-License-Identifier: Apache-2.0
"""Host names, with name servers that are slow, silent in part, or behind the tunnel.

    app ─▶ udp-local ──▶ udp-server ─▶ third
                │             └─ asks a name server on the server
                └─ asks a name server on third

How long a name took is printed. What is asserted is order: what had been asked or had arrived when
something else happened.
"""

import contextlib
import socket
import struct
import sys
import time
import unittest

from harness import GUARD_S, SERVER, THIRD, NetTest, poll
from name_server import A, AAAA, NameServer
from test_tun2socks import configure, route_into

PORT, SOCKS, UDP, ECHO = 3456, 1090, 1091, 9000
TRIES = 3  # of a question, if a server never answers it: what the names that wait must not need


def frame(name, port, data):
    """A SOCKS5 datagram to a name."""
    return b"\0\0\0\3" + bytes([len(name)]) + name.encode() + struct.pack(">H", port) + data


def payload(data):
    """Of a SOCKS5 datagram from an IPv4 address."""
    return data[10:]


class Names(NetTest):
    @classmethod
    def build(cls):
        net = cls.net
        cls.of_server = NameServer(net.server, SERVER, {})
        cls.of_client = NameServer(net.third, THIRD, {})
        cls.far = net.daemon("server", name_server=SERVER)
        cls.near = net.daemon("client", name_server=THIRD)
        cls.far.configure(name="far", role="server", listen=f"{SERVER}:{PORT}", insecure=True)
        cls.near.configure(name="socks", role="local", listen=f"socks5://127.0.0.1:{SOCKS}",
                           server=f"{SERVER}:{PORT}", wait=GUARD_S)
        cls.echo = net.third.udp(THIRD, ECHO)

    @classmethod
    def tearDownClass(cls):
        for each in (cls.of_server, cls.of_client, cls.echo):
            each.close()
        super().tearDownClass()

    def setUp(self):
        for server in (self.of_server, self.of_client):
            server.silent, server.delay_s, server.ttl_s = lambda name, kind: False, 0, 60
        self.drain()

    def drain(self):
        self.echo.settimeout(0)
        with contextlib.suppress(OSError):
            while True:
                self.echo.recv(2000)
        self.echo.settimeout(0.02)

    def arrived(self):
        """What third has received by now, as (payload, when)."""
        with contextlib.suppress(OSError):
            data, source = self.echo.recvfrom(2000)
            self.echo.sendto(data, source)
            return [(data, time.monotonic())] + self.arrived()
        return []

    def associate(self):
        """(an app's socket, the address of its association)"""
        control = self.net.client.tcp("127.0.0.1", SOCKS)
        self.addCleanup(control.close)
        control.sendall(b"\5\1\0")
        control.recv(2)
        control.sendall(b"\5\3\0\1" + bytes(6))
        reply = control.recv(10)
        app = self.net.client.udp("127.0.0.1")
        self.addCleanup(app.close)
        return app, ("127.0.0.1", struct.unpack(">H", reply[8:])[0])

    def say(self, what, seconds):
        print(f"    {what}: {seconds * 1000:.0f} ms", file=sys.stderr)

    def test_target_whose_aaaa_is_never_answered(self):
        name = "half.test"
        self.of_server.addresses[name] = [THIRD]
        self.of_server.silent = lambda n, kind: kind == AAAA
        app, relay = self.associate()
        app.sendto(frame(name, ECHO, b"hello"), relay)
        _, at = poll("the datagram", self.arrived)[0]
        self.assertLess(len(self.of_server.asked(name, AAAA)), TRIES)
        self.say("from the answer to the target", at - self.of_server.answered(name, A)[0])

    def test_server_whose_aaaa_is_never_answered(self):
        name = "server.test"
        self.of_client.addresses[name] = [SERVER]
        self.of_client.silent = lambda n, kind: kind == AAAA
        self.near.configure(name="named", role="local", server=f"{name}:{PORT}", wait=GUARD_S)
        at = time.monotonic()
        self.assertEqual(self.near.status("named")["state"], "established")
        self.assertLess(len(self.of_client.asked(name, AAAA)), TRIES)
        self.say("from the answer to established", at - self.of_client.answered(name, A)[0])

    def test_dead_names_do_not_hold_up_others(self):
        dead = [f"dead{i}.test" for i in range(40)]
        good = [f"good{i}.test" for i in range(6)]
        for name in good:
            self.of_server.addresses[name] = [THIRD]
        self.of_server.silent = lambda n, kind: n.startswith("dead")
        app, relay = self.associate()
        served = set()
        for name in dead:
            app.sendto(frame(name, ECHO, name.encode()), relay)
        poll("questions about dead names", lambda: self.of_server.asked(dead[-1]))

        def ask():
            for name in good:
                app.sendto(frame(name, ECHO, name.encode()), relay)
            served.update(data.decode() for data, _ in self.arrived())
            return served == set(good)
        poll("every good name", ask)
        self.assertLess(max(len(self.of_server.asked(name, A)) for name in dead), TRIES)

    def test_nothing_old_leaves_when_a_name_is_known_at_last(self):
        name, delay_s, late_s = "slow.test", 3, 0.5
        self.of_server.addresses[name] = [THIRD]
        self.of_server.delay_s = delay_s
        app, relay = self.associate()
        ages, sent, began = [], 0, time.monotonic()
        while time.monotonic() < began + delay_s + 2:
            app.sendto(frame(name, ECHO, struct.pack(">d", time.monotonic())), relay)
            sent += 1
            ages += [at - struct.unpack(">d", data)[0] for data, at in self.arrived()]
        self.assertGreater(len(ages), 0)
        self.assertLess(max(ages), late_s + 0.5)  # maxQueueDelayMs, and slack
        dropped = self.far.status("far")["dropped"]
        self.assertGreater(dropped["stale"], 0)
        self.say(f"oldest of {len(ages)} that arrived of {sent}", max(ages))

    def test_flow_goes_on_while_its_name_is_asked_again(self):
        name = "stays.test"
        self.of_server.addresses[name] = [THIRD]
        self.of_server.ttl_s = 1
        app, relay = self.associate()
        app.sendto(frame(name, ECHO, b"first"), relay)
        poll("the first datagram", self.arrived)
        self.of_server.silent = lambda n, kind: True
        questions = len(self.of_server.asked(name))
        sent, came = 0, 0

        def flow():
            nonlocal sent, came
            app.sendto(frame(name, ECHO, b"more"), relay)
            sent += 1
            came += len(poll("a datagram to the last address", self.arrived))
            return len(self.of_server.asked(name)) > questions + 2
        poll("the name to be asked again", flow)
        self.assertEqual(came, sent)

    def test_server_returns_whose_name_server_is_behind_the_tunnel(self):
        name = "vpn.test"
        self.of_client.addresses[name] = [SERVER]
        self.of_client.ttl_s = 1
        server = self.net.daemon("server", name="udptund-vpn")
        listener = {"name": "vpn", "role": "server", "listen": f"{SERVER}:{PORT + 1}",
                    "insecure": True}
        server.configure(**listener)
        self.near.configure(name="vpn", role="local", server=f"{name}:{PORT + 1}", wait=GUARD_S)
        configure(self.near, name="apps", device="tun:tun0", address="10.85.0.1/24", tcp="reject",
                  udp="tunnel:vpn")
        route_into(self.net)
        self.addCleanup(self.near.call, "removeTun2socks", {"name": "apps"})
        server.kill()
        poll("the tunnel to be down", lambda: self.near.status("vpn")["state"] != "established")
        time.sleep(6)  # longer than a name is kept without a question
        asked = len(self.of_client.asked(name))
        server.start()
        self.near.wait_state("vpn", "established")
        app = self.net.client.udp()
        self.addCleanup(app.close)
        app.sendto(b"through", (THIRD, ECHO))
        poll("a datagram through the tunnel", self.arrived)
        print(f"    questions in between: {len(self.of_client.asked(name)) - asked}",
              file=sys.stderr)

    def test_network_change_restarts_the_questions_of_tun2socks(self):
        name = "proxy.test"
        self.of_client.addresses[name] = [SERVER]
        self.of_client.silent = lambda n, kind: n == name
        configure(self.near, name="proxied", device="tun:tun1", address="10.86.0.1/24",
                  tcp=f"socks5://{name}:1", udp="reject")
        self.addCleanup(self.near.call, "removeTun2socks", {"name": "proxied"})
        app = self.net.client.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(app.close)
        app.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            app.connect(("10.86.0.2", 80))
        poll("the question", lambda: self.of_client.asked(name, A))

        def quiet(seconds=1.2):
            return time.monotonic() - self.of_client.asked(name, A)[-1] > seconds
        poll("a pause between tries", quiet)
        tries = len(self.of_client.asked(name, A))
        self.net._ip(self.net.client, "addr add 10.99.0.1/32 dev lo")  # pylint: disable=protected-access
        began = time.monotonic()
        poll("the question again", lambda: len(self.of_client.asked(name, A)) > tries)
        # Sooner than the next try, which comes after as long again as all before together.
        self.say("asked again after the change", self.of_client.asked(name, A)[tries] - began)
        poll("its next try, soon as for a new question",
             lambda: len(self.of_client.asked(name, A)) > tries + 1)
        first, second = self.of_client.asked(name, A)[tries:tries + 2]
        self.assertLess(second - first, 1.2)


if __name__ == "__main__":
    unittest.main()
