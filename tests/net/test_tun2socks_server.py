# SPDX-License-Identifier: Apache-2.0
"""tun2socks at the server, and a tunnel whose own connections go into a TUN device.

    app ─▶ udp-local ─▶ ss-tunnel ─▶ obfs-local ┄┄▶ obfs-server ─▶ ss-server ─▶ udp-server
                                                                       ▲           │ IP packets
                                                 third ◀───────────────┤           ▼
                                                                   ss-local -U ◀─ tun2socks

One ss-server serves both hops: TCP from the client's ss-tunnel through the obfuscation, UDP from the
server's ss-local.
"""

import os
import unittest

import chain
import traffic
from harness import GUARD_S, ROUTER, SERVER, THIRD, THIRD6, NetTest, need, poll
from test_tun2socks import configure

PORT = chain.UDP_SERVER_PORT
RELAY = 1082 # ss-local -U
SIZES = (0, 1, 512, 1300) # ss-local's own limit is far below the largest datagram


class Tun2socksServer(NetTest):
    @classmethod
    def build(cls):
        net = cls.net
        key = ["-k", chain.PASSWORD, "-m", chain.METHOD, "--no-delay"]
        net.start("server", need("ss-server"), "-s", "0.0.0.0", "-p", "8388", "-u",
                  *key).wait_listening(8388)
        net.start("server", need("ss-local"), "-s", "127.0.0.1", "-p", "8388", "-b", "127.0.0.1",
                  "-l", str(RELAY), "-U", *key).wait_listening(RELAY, "udp")
        net.start("server", need("obfs-server"), "-s", SERVER, "-p", "8443", "--obfs", "tls",
                  "-r", "127.0.0.1:8388").wait_listening(8443)
        net.start("client", need("obfs-local"), "-s", SERVER, "-p", "8443", "-l", "1984",
                  "--obfs", "tls", "--obfs-host", "www.example.com").wait_listening(1984)
        cls.client = net.daemon("client")
        cls.server = net.daemon("server")
        cls.peer = net.daemon("server", name="peer")
        cls.targets = [net.third.udp(THIRD, 9000), net.third.udp(THIRD6, 9000)]
        path = os.path.join(net.folder, "packets")
        relay = f"socks5://127.0.0.1:{RELAY}"
        configure(cls.server, name="out", device="pipe", udp=relay)
        configure(cls.peer, name="out", device=f"unix:{path}", udp=relay)
        cls.entries = {}
        for i, egress in enumerate(("tun2socks:out", f"unix:{path}")):
            name = egress.partition(":")[0]
            cls.server.configure(name=name, role="server", listen=f"127.0.0.1:{PORT + i}",
                                 egress=egress)
            net.start("client", need("ss-tunnel"), "-s", "127.0.0.1", "-p", "1984", "-b", "127.0.0.1",
                      "-l", str(chain.TUNNEL_PORT + i), "-L", f"127.0.0.1:{PORT + i}",
                      *key).wait_listening(chain.TUNNEL_PORT + i)
            status = cls.client.configure(
                name=name, role="local", server=f"127.0.0.1:{chain.TUNNEL_PORT + i}",
                listen="udp://127.0.0.1:0", target=f"{THIRD}:9000", wait=GUARD_S)
            cls.entries[name] = ("127.0.0.1", int(status["listen"].rsplit(":", 1)[1]))

    @classmethod
    def tearDownClass(cls):
        for sock in cls.targets:
            sock.close()
        super().tearDownClass()

    def passes(self, name, daemon):
        apps = [self.net.client.udp() for _ in range(3)]
        stranger = self.net.third.udp(THIRD, 9001)
        for sock in (*apps, stranger):
            self.addCleanup(sock.close)
        mappings = set()
        for app in apps:
            for size in SIZES:
                seen = traffic.exchange(self, app, self.entries[name], self.targets[0],
                                        traffic.pattern(size, "to"), traffic.pattern(size, "from"))
            mappings.add(seen)
            self.assertEqual(seen[0], "198.51.100.2")
            stranger.sendto(b"unasked", seen)
            self.assertEqual(app.recvfrom(100)[0], b"unasked")
        self.assertEqual(len(mappings), 3, "each flow has a mapping of its own")
        status = daemon.call("getStatus", {"name": "out"})["tun2socks"][0]
        self.assertEqual((status["state"], status["associated"]), ("established", False))
        self.assertEqual(sum(status["dropped"].values()), 0, status)

    def test_by_a_pipe_in_one_process(self):
        self.passes("tun2socks", self.server)

    def test_by_a_socket_between_two_processes(self):
        self.passes("unix", self.peer)

    def test_the_other_process_comes_back(self):
        self.peer.kill()
        self.peer.start()
        poll("the instance", lambda: self.peer.call("getStatus", {"name": "out"})["tun2socks"])
        app = self.net.client.udp()
        self.addCleanup(app.close)
        traffic.wait_for_flow(app, self.entries["unix"], self.targets[0])


class TunnelIntoTun(NetTest):
    """udp-local's own connections go into the device: udp-local ─▶ tun2socks ─▶ SOCKS5."""

    def test_the_other_order(self):
        net = self.net
        net.start("router", need("microsocks"), "-i", ROUTER["client"], "-p",
                  "1081").wait_listening(1081)
        server, client = net.daemon("server"), net.daemon("client")
        server.configure(name="far", role="server", listen=f"{SERVER}:{PORT}", insecure=True)
        configure(client, name="apps", device="tun:tun0", address="10.85.0.1/24",
                  tcp=f"socks5://{ROUTER['client']}:1081")
        net._ip(net.client, f"route add {SERVER}/32 dev tun0") # pylint: disable=protected-access
        status = client.configure(name="near", role="local", server=f"{SERVER}:{PORT}",
                                  listen="udp://127.0.0.1:0", target=f"{THIRD}:9000", wait=GUARD_S)
        entry = ("127.0.0.1", int(status["listen"].rsplit(":", 1)[1]))
        app, target = net.client.udp(), net.third.udp(THIRD, 9000)
        for sock in (app, target):
            self.addCleanup(sock.close)
        traffic.every_size(self, app, entry, target)
        flows = client.call("getStatus", {"name": "apps"})["tun2socks"][0]["tcpFlows"]
        self.assertGreaterEqual(flows, 2, "control and data connections")


if __name__ == "__main__":
    unittest.main()
