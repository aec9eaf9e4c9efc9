# SPDX-License-Identifier: Apache-2.0
"""Something local is missing at the start, or goes away later: an address, a port, a device.

A command is refused. What is configured is `failed`, says why, and comes by itself when the thing
is there.
"""

import unittest

from harness import CLIENT, NetTest, poll
from test_tun2socks import status_of

LATER = "10.99.0.1"
PORT = 7400


class LocalResources(NetTest):
    @classmethod
    def build(cls):
        cls.daemon = cls.net.daemon("client", config={"udpTunnels": [
            {"name": "file", "role": "server", "listen": f"{LATER}:{PORT}", "insecure": True}]})

    def ip(self, *lines):
        self.net._ip(self.net.client, *lines) # pylint: disable=protected-access

    def tearDown(self):
        for name in ("near", "kept"):
            self.daemon.request("removeUdpTunnel", {"name": name})

    def states(self):
        return {t["name"]: (t["state"], t.get("lastError", ""))
                for t in self.daemon.call("getStatus")["udpTunnels"]}

    def wait_for(self, **states):
        poll(str(states), lambda: {n: self.states()[n][0] for n in states} == states)

    def test_an_address_that_comes_later(self):
        """Of the config file and of the state; over a restart."""
        server = {"name": "kept", "role": "server", "listen": f"{LATER}:{PORT + 1}", "insecure": True}
        refused = self.daemon.request("configureUdpTunnel", server)
        self.assertEqual(refused["statusCode"], 7, refused)
        self.assertIn(LATER, refused["errorMessage"])
        self.assertNotIn("kept", self.states())
        self.assertEqual(self.states()["file"][0], "failed")
        self.assertIn(LATER, self.states()["file"][1])
        self.ip(f"addr add {LATER}/32 dev eth0")
        try:
            self.wait_for(file="listening")
            self.daemon.configure(**server)
            self.daemon.stop()
        finally:
            self.ip(f"addr del {LATER}/32 dev eth0")
        self.daemon.start()
        self.wait_for(file="failed", kept="failed")
        self.assertEqual(self.daemon.call("getStatus")["health"], "degraded")
        self.ip(f"addr add {LATER}/32 dev eth0")
        try:
            self.wait_for(file="listening", kept="listening")
        finally:
            self.ip(f"addr del {LATER}/32 dev eth0")

    def test_an_address_that_goes_away_and_comes_back(self):
        self.ip("addr add 10.99.0.2/32 dev eth0")
        self.daemon.configure(name="kept", role="server", listen=f"{CLIENT}:{PORT}", insecure=True,
                              allowTargets=["127.0.0.0/8"])
        self.daemon.configure(name="near", role="local", listen=f"udp://10.99.0.2:{PORT}",
                              server=f"{CLIENT}:{PORT}", target="127.0.0.1:9", wait=10)
        self.ip("addr del 10.99.0.2/32 dev eth0")
        self.wait_for(near="failed", kept="listening")
        self.assertIn(f"10.99.0.2:{PORT}", self.states()["near"][1])
        self.ip("addr add 10.99.0.2/32 dev eth0")
        self.wait_for(near="established")
        self.assertEqual(self.states()["near"][1], "")
        self.ip("addr del 10.99.0.2/32 dev eth0")

    def test_an_instance_that_waits_for_a_tunnel_that_waits(self):
        self.ip("addr add 10.99.0.3/32 dev eth0")
        self.daemon.configure(name="near", role="local", listen=f"udp://10.99.0.3:{PORT}",
                              server=f"{CLIENT}:{PORT + 5}", target="127.0.0.1:9")
        reply = self.daemon.request("configureTun2socks", {
            "name": "apps", "device": "tun:tun7", "tcp": "reject", "udp": "tunnel:near"})
        if reply["statusCode"] == 105:
            self.skipTest(reply["errorMessage"])
        self.daemon.stop()
        self.ip("addr del 10.99.0.3/32 dev eth0")
        self.daemon.start()
        try:
            self.wait_for(near="failed")
            self.assertEqual(status_of(self.daemon)["state"], "failed")
            self.ip("addr add 10.99.0.3/32 dev eth0")
            poll("both to run", lambda: self.states()["near"][0] != "failed" and
                 status_of(self.daemon)["state"] != "failed")
        finally:
            self.daemon.request("removeTun2socks", {"name": "apps"})


if __name__ == "__main__":
    unittest.main()
