# SPDX-License-Identifier: Apache-2.0
"""Addresses that are not like others: loopback beside bindDevice and mark, broadcast and multicast at
a wildcard listener, and targets that a firewall or the system refuses.

    app ─▶ udp-local ═══(microsocks on 127.0.0.1)═══▶ udp-server ─▶ third, or 127.0.0.1
"""

import socket
import struct
import subprocess
import unittest

import traffic
from harness import CLIENT, CLIENT6, GUARD_S, SERVER, THIRD, NetTest, need, poll
from proxy import ip, settle

PORT, PROXY_PORT = 7000, 1080
ALL = ["0.0.0.0/0", "::/0"]


class Addresses(NetTest):
    @classmethod
    def build(cls):
        cls.server, cls.client = cls.net.daemon("server"), cls.net.daemon("client")
        cls.server.configure(name="far", role="server", listen=f"{SERVER}:{PORT}", insecure=True,
                             allowTargets=ALL)
        cls.target = cls.net.third.udp(THIRD, 9000)
        settle(cls.net.client)  # or its own multicast does not come back to it yet

    @classmethod
    def tearDownClass(cls):
        cls.target.close()
        super().tearDownClass()

    def local(self, **more):
        """A udp-local to the udp-server; the port it listens on."""
        fields = {"name": "near", "role": "local", "server": f"{SERVER}:{PORT}", "wait": GUARD_S,
                  "listen": "udp://127.0.0.1:0", "target": f"{THIRD}:9000", **more}
        status = self.client.configure(**{k: v for k, v in fields.items() if v is not None})
        self.addCleanup(self.client.call, "removeUdpTunnel", {"name": fields["name"]})
        return int(status["listen"].rsplit(":", 1)[1])

    def passes(self, port, target=None):
        app = self.net.client.udp("127.0.0.1")
        self.addCleanup(app.close)
        traffic.exchange(self, app, ("127.0.0.1", port), target or self.target)

    # ---- loopback, with bindDevice and mark

    def test_a_proxy_on_loopback(self):
        """A packet filter would see the mark, and the device leads past loopback."""
        self.net.start("client", need("microsocks"), "-i", "127.0.0.1", "-p",
                       str(PROXY_PORT)).wait_listening(PROXY_PORT)
        self.passes(self.local(via=f"socks5://127.0.0.1:{PROXY_PORT}", bindDevice="eth0", mark=7))
        port = self.local(name="socks", listen="socks5://127.0.0.1:0", target=None, bindDevice="eth0",
                          mark=7, tcpProxy=f"socks5://127.0.0.1:{PROXY_PORT}")
        web = self.net.third.listener(THIRD, 8000)
        self.addCleanup(web.close)
        app = self.net.client.tcp("127.0.0.1", port)
        self.addCleanup(app.close)
        app.sendall(b"\5\1\0")
        self.assertEqual(app.recv(2), b"\5\0")
        app.sendall(b"\5\1\0\1" + socket.inet_aton(THIRD) + struct.pack("!H", 8000))
        self.assertEqual(app.recv(2), b"\5\0")

    def test_targets_on_loopback(self):
        """The udp-server's own target is on its host; the same flow goes into the network as well."""
        for more in ({"bindDevice": "eth0"}, {"mark": 7}):
            self.server.configure(name="bound", role="server", listen=f"{SERVER}:{PORT + 1}",
                                  insecure=True, allowTargets=["127.0.0.0/8", "0.0.0.0/0"], **more)
            self.addCleanup(self.server.call, "removeUdpTunnel", {"name": "bound"})
            port = self.local(listen="socks5://127.0.0.1:0", target=None,
                              server=f"{SERVER}:{PORT + 1}")
            here = self.net.server.udp("127.0.0.1", 9001)
            self.addCleanup(here.close)
            control, app, relay = self.associate(port)
            for target in (here, self.target, here):
                host, number = target.getsockname()
                header = b"\0\0\0\1" + socket.inet_aton(host) + struct.pack("!H", number)
                app.sendto(header + b"question", relay)
                data, source = target.recvfrom(100)
                self.assertEqual(data, b"question")
                target.sendto(b"answer", source)
                self.assertEqual(app.recvfrom(100)[0], header + b"answer")
            control.close()
            here.close()
            self.client.call("removeUdpTunnel", {"name": "near"})

    def associate(self, port):
        control = self.net.client.tcp("127.0.0.1", port)
        self.addCleanup(control.close)
        control.sendall(b"\5\1\0")
        self.assertEqual(control.recv(2), b"\5\0")
        control.sendall(b"\5\3\0\1" + bytes(6))
        reply = control.recv(10)
        app = self.net.client.udp("127.0.0.1")
        self.addCleanup(app.close)
        return control, app, (socket.inet_ntoa(reply[4:8]), struct.unpack("!H", reply[8:])[0])

    # ---- listeners

    def answered(self, app, to, source):
        """A datagram to `to` is answered, from `source`."""
        app.sendto(b"question", to)
        data, peer = self.target.recvfrom(100)
        self.assertEqual(data, b"question")
        self.target.sendto(b"answer", peer)
        data, answered_by = app.recvfrom(100)
        self.assertEqual((data, answered_by[0]), (b"answer", source))

    def test_broadcast_and_multicast_to_a_wildcard_listener(self):
        port = self.local(listen="udp://0.0.0.0:0")
        app = self.net.client.udp(CLIENT)
        self.addCleanup(app.close)
        app.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        network = CLIENT.rsplit(".", 1)[0]
        self.answered(app, (f"{network}.255", port), CLIENT)
        self.answered(app, ("224.0.0.1", port), CLIENT)
        self.answered(app, (CLIENT, port), CLIENT)
        self.assertEqual(self.client.status("near")["dropped"]["error"], 0)

    def test_multicast_to_an_ipv6_wildcard_listener(self):
        port = self.local(listen="udp://[::]:0")
        app = self.net.client.udp(CLIENT6)
        self.addCleanup(app.close)
        with self.net.client.inside():
            index = socket.if_nametoindex("eth0")
        self.answered(app, (CLIENT6, port, 0, 0), CLIENT6)
        self.answered(app, ("ff02::1", port, 0, index), CLIENT6)

    # ---- what the system refuses

    def test_send_errors_are_counted_by_cause_and_told(self):
        nft = need("nft")
        with self.net.server.inside():
            subprocess.run([nft, "-f", "-"], check=True, text=True, input="""
                table ip refuse { chain out { type filter hook output priority 0;
                                              udp dport 9009 drop; }; }""")
            self.addCleanup(self.drop_table, nft)
        ip(self.net.server, "route", "add", "unreachable", "2001:db8:ffff::/48")
        self.addCleanup(ip, self.net.server, "route", "del", "unreachable", "2001:db8:ffff::/48")
        port = self.local(listen="socks5://127.0.0.1:0", target=None)
        _, app, relay = self.associate(port)
        for host, number, cause in ((THIRD, 9009, "permission denied"),
                                    ("255.255.255.255", 9, "permission denied"),
                                    ("2001:db8:ffff::1", 9, "no route"),
                                    (THIRD, 0, "invalid argument")):
            with self.subTest(host=host, port=number):
                before = [d.status(n)["dropped"]["error"]
                          for d, n in ((self.server, "far"), (self.client, "near"))]
                said = len(self.server.log())
                is_ip6 = ":" in host
                family = socket.AF_INET6 if is_ip6 else socket.AF_INET
                header = b"\0\0\0" + (b"\4" if is_ip6 else b"\1")
                header += socket.inet_pton(family, host) + struct.pack("!H", number)
                for _ in range(3):
                    app.sendto(header + b"lost", relay)

                def counted(before=before):
                    return (self.server.status("far")["dropped"]["error"] == before[0] + 3 and
                            self.client.status("near")["dropped"]["error"] > before[1])
                poll("the loss to be counted at both ends", counted)
                self.server.wait_log(rf"cannot send to \[?{host}\]?:{number}: .*{cause}", after=said)
        self.assertNotIn("dropped     none", self.client.ctl("show", "near"))

    def drop_table(self, nft):
        with self.net.server.inside():
            subprocess.run([nft, "delete", "table", "ip", "refuse"], check=True)


if __name__ == "__main__":
    unittest.main()
