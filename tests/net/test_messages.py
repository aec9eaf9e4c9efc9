# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the host is said as such, with what helps."""

import resource
import unittest

import proxy
from harness import CLIENT, GUARD_S, SERVER, NetTest, need, poll

PORT = 7500


class Messages(NetTest):
    @classmethod
    def build(cls):
        cls.daemon = cls.net.daemon("client")
        cls.daemon.configure(name="far", role="server", listen=f"{CLIENT}:{PORT}", insecure=True,
                             allowTargets=["127.0.0.0/8"], portRange="50000-50001")

    def refused(self, action, **parameters):
        reply = self.daemon.request(action, parameters)
        self.assertNotEqual(reply["statusCode"], 0)
        return reply["errorMessage"]

    def test_an_address_that_the_host_does_not_have(self):
        self.assertEqual(self.refused("configureUdpTunnel", name="x", role="server",
                                      listen="192.0.2.99:1", insecure=True),
                         "listen: 192.0.2.99:1: this host does not have the address")

    def test_ipv6_that_is_switched_off(self):
        path = "ipv6/conf/all/disable_ipv6"
        self.net.client.write_sysctl(path, "1")
        try:
            self.assertIn("IPv6 is switched off", self.refused(
                "configureUdpTunnel", name="x", role="server", listen="[::1]:0"))
        finally:
            self.net.client.write_sysctl(path, "0")

    def test_a_port_range_that_is_used_up(self):
        self.daemon.configure(name="near", role="local", listen=f"udp://{CLIENT}:{PORT + 1}",
                              server=f"{CLIENT}:{PORT}", target="127.0.0.1:9", wait=GUARD_S)
        socks = [self.net.client.udp() for _ in range(3)]
        for sock in socks:
            self.addCleanup(sock.close)
            sock.sendto(b"x", (CLIENT, PORT + 1))
        poll("the error", lambda: "no free port in portRange 50000-50001" in
             self.daemon.status("far").get("lastError", ""))
        self.daemon.call("removeUdpTunnel", {"name": "near"})

    def test_descriptors_that_are_ours(self):
        """Not the server's, which is what the error stands beside."""
        _, hard = resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE)
        self.daemon.configure(name="near", role="local", listen=f"udp://{CLIENT}:{PORT + 1}",
                              server=f"{SERVER}:9", target="127.0.0.1:9")
        resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, (10, hard))
        try:
            poll("the error", lambda: "this process has too many open files" in
                 self.daemon.status("near").get("lastError", ""))
        finally:
            resource.prlimit(self.daemon.pid, resource.RLIMIT_NOFILE, (hard, hard))
            self.daemon.call("removeUdpTunnel", {"name": "near"})


class WithoutCapabilities(NetTest):
    @classmethod
    def build(cls):
        cls.daemon = cls.net.daemon("client")
        cls.plain = cls.net.start(
            "client", need("setpriv"), "--bounding-set", "-net_admin,-net_raw", cls.daemon.command[0],
            "--no-state", "--socket", cls.net.folder + "/plain.sock", name="plain")
        cls.plain.wait_log("listens on")

    def test_a_device_and_a_mark(self):
        self.daemon.socket_path, saved = self.net.folder + "/plain.sock", self.daemon.socket_path
        try:
            device = self.daemon.request("configureTun2socks", {"name": "t", "device": "tun:tun9"})
            if device["statusCode"] == 105:
                self.skipTest(device["errorMessage"])
            mark = self.daemon.request("configureUdpTunnel", {
                "name": "m", "role": "local", "listen": "udp://127.0.0.1:0", "mark": 7,
                "server": "127.0.0.1:1", "target": "127.0.0.1:1"})
        finally:
            self.daemon.socket_path = saved
        for reply in (device, mark):
            self.assertEqual(reply["statusCode"], 2, reply)
            self.assertIn("CAP_NET_ADMIN", reply["errorMessage"])


class BroadcastProxy(NetTest):
    @classmethod
    def build(cls):
        cls.daemon = cls.net.daemon("client")
        cls.controller = proxy.ProxyController(cls.net, cls.net.client,
                                               udptund=cls.daemon.socket_path)

    def test_a_proxy_at_a_broadcast_address(self):
        broadcast = CLIENT.rsplit(".", 1)[0] + ".255"
        reply = self.controller.client(self).request("configureRouting", proxyIp=broadcast)
        self.assertEqual(reply["statusCode"], 7, reply)
        self.assertIn("broadcast", reply["errorMessage"])


if __name__ == "__main__":
    unittest.main()
