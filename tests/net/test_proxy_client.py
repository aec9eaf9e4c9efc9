# SPDX-License-Identifier: Apache-2.0
"""The whole client: all TCP and UDP of the machine through real Shadowsocks with obfuscation.

    app ─▶ tun0 ─▶ tun2socks ┬ TCP ─▶ ss-local ──────────┐
      (ProxyController)      └ UDP ─▶ udp-local ─▶ ss-tunnel ─▶ obfs-local ─▶ eth0 ┄▶ router ┄▶ …

The router counts what it forwards for the client. Whatever is not to the proxy would have passed
beside the tunnel.
"""

import hashlib
import re
import signal
import subprocess
import unittest

import chain
import proxy
import traffic
from harness import GUARD_S, SERVER, THIRD, THIRD6, NetTest, need, poll
from test_tun2socks import WEB, curl, start_web

PORT = chain.UDP_SERVER_PORT
TUN2SOCKS = {"name": "apps", "tcp": f"socks5://127.0.0.1:{chain.SOCKS_PORT}", "udp": "tunnel:away"}
TUNNEL = {"name": "away", "role": "local", "server": f"127.0.0.1:{chain.TUNNEL_PORT}"}
COUNTERS = """
table inet watch {
  counter to_proxy {}
  counter beside {}
  chain forward {
    type filter hook forward priority 0;
    iifname "client" ip daddr %s counter name to_proxy accept
    iifname "client" counter name beside
  }
}
""" % SERVER


class Whole(NetTest):
    @classmethod
    def build(cls):
        net = cls.net
        with net.router.inside():
            subprocess.run([need("nft"), "-f", "-"], input=COUNTERS, text=True, check=True)
        proxy.settle(net.client)
        cls.before = proxy.routing(net.client)
        chain.start_shadowsocks(net)
        cls.server = net.daemon("server")
        cls.server.configure(name="far", role="server", listen=f"127.0.0.1:{PORT}")
        cls.daemon = net.daemon("client")
        proxy.need_tun2socks(cls.daemon)
        cls.controller = proxy.ProxyController(net, net.client, udptund=cls.daemon.socket_path)
        cls.digest = start_web(net)
        net.start("third", need("dnsmasq"), "--keep-in-foreground", "--no-resolv", "--no-hosts",
                  "--port=53", "--bind-interfaces", f"--listen-address={THIRD}", "--user=root",
                  "--conf-file=/dev/null", "--pid-file", "--address=/test/192.0.2.77",
                  ).wait_listening(53)
        cls.target = net.third.udp(THIRD, 9000)
        cls.target6 = net.third.udp(THIRD6, 9000)

    @classmethod
    def tearDownClass(cls):
        for sock in (cls.target, cls.target6):
            sock.close()
        super().tearDownClass()

    def setUp(self):
        self.client = self.controller.client(self)
        reply = self.client.call("configureUdpTunnel", **TUNNEL, tun2socks=TUN2SOCKS, wait=GUARD_S)
        self.assertEqual(reply["returnValue"]["tunnel"]["state"], "established")
        self.client.call("configureRouting", proxyIp=SERVER, routerIp="10.0.85.1")
        self.passed = self.count("beside")
        self.app = self.net.client.udp()
        self.addCleanup(self.app.close)

    def tearDown(self):
        self.assertEqual(self.count("beside"), self.passed, "something passed beside the tunnel")
        self.client.call("resetRouting")
        self.client.call("removeUdpTunnel", name="away")
        self.assertEqual(proxy.routing(self.net.client), self.before)
        self.assertEqual(self.daemon.call("getStatus")["tun2socks"], [])

    def instance(self):
        return self.daemon.call("getStatus")["tun2socks"][0]

    def count(self, name):
        with self.net.router.inside():
            text = subprocess.run([need("nft"), "list", "counter", "inet", "watch", name],
                                  capture_output=True, text=True, check=True).stdout
        return int(re.search(r"packets (\d+)", text).group(1))

    def everything_passes(self):
        # Flows of before may be old: what there is of answers to them is passed over.
        traffic.wait_for_flow(self.app, (THIRD, 9000), self.target)
        status, body = curl(self.net, f"http://{THIRD}:{WEB}/file")
        self.assertEqual((status, hashlib.sha256(body).hexdigest()), (0, self.digest))

    def dig(self, name):
        with self.net.client.inside():
            return subprocess.run([need("dig"), f"@{THIRD}", "+short", f"+time={GUARD_S}", name],
                                  capture_output=True, text=True, check=False,
                                  timeout=GUARD_S * 4).stdout.strip()

    def test_tcp_and_udp_of_the_machine(self):
        self.everything_passes()
        for host in (THIRD, f"[{THIRD6}]"):
            status, body = curl(self.net, f"http://{host}:{WEB}/file")
            self.assertEqual((status, hashlib.sha256(body).hexdigest()), (0, self.digest))
        self.assertEqual(self.dig("some.name.test"), "192.0.2.77")
        traffic.every_size(self, self.app, (THIRD, 9000), self.target)
        app6 = self.net.client.udp("::")
        self.addCleanup(app6.close)
        traffic.every_size(self, app6, (THIRD6, 9000), self.target6)
        self.assertGreater(self.count("to_proxy"), 100)
        # The counter counts: a mark stays outside of the device.
        with self.net.client.inside():
            subprocess.run([need("ping"), "-c", "1", "-W", "1", "-m", "8500", THIRD],
                           capture_output=True, check=False)
        self.assertEqual(self.count("beside"), self.passed + 1)
        self.passed += 1

    def test_udptund_starts_anew(self):
        for end in ("stop", "kill"):
            self.everything_passes()
            getattr(self.daemon, end)()
            self.assertEqual(self.client.wait_news(2), [])
            reply = self.client.request("getStatus")
            self.assertEqual(reply["statusCode"], 5)
            self.daemon.start()
            self.assertEqual(self.client.wait_news(0), [])
            self.everything_passes()
        self.assertEqual(self.client.call("getStatus")["connectionStatus"], 0)

    def test_the_device_is_deleted(self):
        self.everything_passes()
        proxy.ip(self.net.client, "link", "del", "tun0")
        poll("the routes to be back", lambda: proxy.way(self.net.client, THIRD) == "tun0" and
             proxy.way(self.net.client, THIRD6) == "tun0")
        self.everything_passes()

    def test_another_default_route(self):
        self.everything_passes()
        # pylint: disable=protected-access
        self.net._ip(self.net.router, "addr add 203.0.113.3/24 dev client")
        self.net._ip(self.net.client, "route replace default via 203.0.113.3")
        try:
            self.everything_passes()
            self.net._ip(self.net.client, "route del default")
            self.client.wait_news(2)
        finally:
            self.net._ip(self.net.client, "route replace default via 203.0.113.1")
        self.client.wait_news(0)
        self.everything_passes()

    def test_the_connection_of_the_client_ends(self):
        self.client.close()
        self.everything_passes()
        self.client = self.controller.client(self)
        self.assertEqual(self.client.call("getStatus")["connectionStatus"], 0)

    def test_routing_comes_and_goes(self):
        """The instance outlives the device's being down, though it has packets for it then."""
        listener = self.net.third.listener(THIRD, 8002)
        self.addCleanup(listener.close)
        for _ in range(3):
            self.everything_passes()
            app = self.net.client.tcp(THIRD, 8002)
            far, _ = listener.accept()
            self.addCleanup(app.close)
            self.addCleanup(far.close)
            self.client.call("resetRouting")
            self.assertEqual(proxy.routing(self.net.client), self.before)
            before = self.instance()["dropped"]["device"]
            far.sendall(b"to whom?")
            poll("a packet for the device",
                 lambda before=before: before < self.instance()["dropped"]["device"])
            self.client.call("configureRouting", proxyIp=SERVER)
        self.everything_passes()
        self.assertEqual(self.instance()["state"], "established")

    def test_killed_and_started_anew(self):
        self.everything_passes()
        self.controller.kill()
        self.everything_passes()  # nobody needs it for what is set up
        self.controller.start()
        self.assertEqual(proxy.routing(self.net.client), self.before)
        self.client = self.controller.client(self)
        reply = self.client.call("configureUdpTunnel", **TUNNEL, tun2socks=TUN2SOCKS, wait=GUARD_S)
        self.client.call("configureRouting", proxyIp=SERVER)
        self.everything_passes()
        self.assertEqual(reply["returnValue"]["tunnel"]["state"], "established")

    def test_stopped_in_order(self):
        self.controller.signal(signal.SIGTERM)
        self.assertEqual(self.client.wait_news(1), [])
        self.assertEqual(self.controller.process.wait(GUARD_S), 0)
        # Though udptund holds a descriptor of it.
        self.assertNotIn("tun0", proxy.ip(self.net.client, "link"))
        self.assertEqual(proxy.routing(self.net.client), self.before)
        self.assertEqual(len(self.daemon.call("getStatus")["tun2socks"]), 1)
        self.controller.start()
        self.client = self.controller.client(self)
        # What came with the tunnel goes with it, also for one that has not seen it come.
        self.assertIs(self.client.call("removeUdpTunnel", name="away")["returnValue"]["changed"], True)
        self.assertEqual(self.daemon.call("getStatus")["tun2socks"], [])


if __name__ == "__main__":
    unittest.main()
