# SPDX-License-Identifier: Apache-2.0
"""Ends that are killed, come back, or were never there: traffic flows again by itself.

    app ─UDP─▶ udp-local ═ ss-tunnel … ss-server ═▶ udp-server ─UDP─▶ third

Each end is killed with -9 and started again without touching the other. What the time to the
first answer was is printed; the goal is five seconds.
"""

import sys
import unittest

import chain
import traffic
from harness import GUARD_S, THIRD, NetTest, poll

GOAL_S = 5
SERVER_CONFIG = {"udpTunnels": [
    {"name": "far", "role": "server", "listen": f"127.0.0.1:{chain.UDP_SERVER_PORT}"}]}
CLIENT_CONFIG = {"udpTunnels": [
    {"name": "near", "role": "local", "listen": "udp://127.0.0.1:5353",
     "target": f"{THIRD}:9000", "server": f"127.0.0.1:{chain.TUNNEL_PORT}"}]}
ENTRY = ("127.0.0.1", 5353)


class Restart(NetTest):
    @classmethod
    def build(cls):
        chain.start_shadowsocks(cls.net)
        cls.target = cls.net.third.udp(THIRD, 9000)

    @classmethod
    def tearDownClass(cls):
        cls.target.close()
        super().tearDownClass()

    def setUp(self):
        self.app = self.net.client.udp("127.0.0.1")
        self.addCleanup(self.app.close)

    def daemon(self, namespace, config, options=()):
        """One that ends with the test, so that each test has both ends to itself."""
        daemon = self.net.daemon(namespace, config, f"{namespace}-{self._testMethodName}", options)
        self.addCleanup(self.stop, daemon)
        return daemon

    def stop(self, daemon):
        self.assertEqual(daemon.stop(), 0, daemon.log()[-2000:])

    def assert_flows(self, what, came=None):
        seconds = traffic.wait_for_flow(self.app, ENTRY, self.target, came=came)
        print(f"    {what}: traffic after {seconds:.2f} s", file=sys.stderr)
        if seconds > GOAL_S:
            print(f"    {what}: SLOWER than the goal of {GOAL_S} s", file=sys.stderr)

    def test_local_killed_and_started_again(self):
        self.daemon("server", SERVER_CONFIG)
        client = self.daemon("client", CLIENT_CONFIG)
        self.assert_flows("first start")
        for _ in range(2):
            client.kill()
            client.start()
            self.assert_flows("udp-local killed with -9")

    def test_server_killed_and_started_again(self):
        server = self.daemon("server", SERVER_CONFIG)
        client = self.daemon("client", CLIENT_CONFIG)
        self.assert_flows("first start")
        for _ in range(2):
            server.kill()
            server.start()
            self.assert_flows("udp-server killed with -9")
        self.assertGreaterEqual(client.status("near")["reconnects"], 1)

    def test_server_away_for_a_while(self):
        server = self.daemon("server", SERVER_CONFIG)
        client = self.daemon("client", CLIENT_CONFIG)
        self.assert_flows("first start")
        server.kill()
        poll("udp-local to notice",
             lambda: client.status("near")["state"] in ("reconnecting", "connecting"))
        server.start()
        self.assert_flows("udp-server back after its loss was noticed")

    def test_both_killed(self):
        server = self.daemon("server", SERVER_CONFIG)
        client = self.daemon("client", CLIENT_CONFIG)
        self.assert_flows("first start")
        server.kill()
        client.kill()
        client.start()
        server.start()
        self.assert_flows("both killed with -9")

    def test_local_started_first(self):
        client = self.daemon("client", CLIENT_CONFIG)
        client.wait_state("near", "connecting")
        self.app.sendto(b"nobody is there yet", ENTRY)
        self.daemon("server", SERVER_CONFIG)
        self.assert_flows("udp-local started first")

    def test_shadowsocks_killed_and_started_again(self):
        self.daemon("server", SERVER_CONFIG)
        self.daemon("client", CLIENT_CONFIG)
        self.assert_flows("first start")
        for name in ("ss-server", "ss-tunnel", "obfs-local"):
            program = next(p for p in self.net.programs if p.name == name)
            program.kill()
            program.start()
            self.assert_flows(f"{name} killed with -9")

    def test_link_cut(self):
        """A path that is dead without saying so is noticed; once mended, what is new flows and
        what has become old in the meantime does not come out."""
        self.daemon("server", SERVER_CONFIG)
        tunnel = {**CLIENT_CONFIG["udpTunnels"][0], "heartbeatInterval": 1, "deadInterval": 3}
        client = self.daemon("client", {"udpTunnels": [tunnel]})
        self.assert_flows("first start")
        self.net.set_link("client", "down")
        self.addCleanup(self.net.set_link, "client", "up")
        for number in range(20):
            self.app.sendto(b"old %d" % number, ENTRY)
        client.wait_state("near", "reconnecting")
        self.net.set_link("client", "up")
        came = []
        self.assert_flows("the link was cut", came)
        self.target.settimeout(1)
        with self.assertRaises(TimeoutError):
            while True:
                came.append(self.target.recv(100))
        self.target.settimeout(GUARD_S)
        self.assertEqual([data for data in came if data.startswith(b"old")], [])

    def test_tunnels_made_at_run_time_are_back(self):
        """What was configured on the command socket outlives a kill -9 of the daemon."""
        server = self.daemon("server", None)
        client = self.daemon("client", None)
        server.configure(**SERVER_CONFIG["udpTunnels"][0])
        made = client.configure(**CLIENT_CONFIG["udpTunnels"][0], wait=GUARD_S)
        client.configure(**{**CLIENT_CONFIG["udpTunnels"][0], "name": "passing",
                            "listen": "udp://127.0.0.1:0", "ephemeral": True})
        self.assert_flows("first start")
        for daemon in (client, server):
            daemon.kill()
            daemon.start()
        self.assert_flows("both killed with -9, from their state")
        self.assertEqual(client.status("near")["listen"], made["listen"])
        names = [tunnel["name"] for tunnel in client.call("getStatus")["udpTunnels"]]
        self.assertEqual(names, ["near"])

    def sessions(self, server):
        return server.call("listSessions", {"name": "far"})["sessions"]

    def external_port(self):
        """From which port the target hears the app."""
        traffic.wait_for_flow(self.app, ENTRY, self.target)
        self.app.sendto(b"which port", ENTRY)
        while True:
            data, source = self.target.recvfrom(100)
            if data == b"which port":
                return source[1]

    def test_orderly_stop_and_start_keep_session_and_port(self):
        """What `systemctl restart` does at either end."""
        server = self.daemon("server", SERVER_CONFIG)
        client = self.daemon("client", CLIENT_CONFIG)
        self.assert_flows("first start")
        port, session = self.external_port(), self.sessions(server)[0]["session"]
        self.assertEqual(client.stop(), 0)
        poll("the server to hear of it",
             lambda: [s["state"] for s in self.sessions(server)] == ["detached"])
        client.start()
        self.assert_flows("udp-local stopped")
        self.assertEqual(self.external_port(), port)
        self.assertEqual(server.stop(), 0)
        server.start()
        self.assert_flows("udp-server stopped")
        self.assertEqual(self.external_port(), port)
        self.assertEqual([s["session"] for s in self.sessions(server)], [session])

    def test_a_tunnel_that_is_removed_ends_its_session(self):
        server = self.daemon("server", SERVER_CONFIG)
        client = self.daemon("client", CLIENT_CONFIG)
        self.assert_flows("first start")
        client.call("removeUdpTunnel", {"name": "near"})
        poll("the session to end", lambda: not self.sessions(server))

    def test_second_start_on_a_live_socket_fails(self):
        server = self.daemon("server", SERVER_CONFIG)
        again = self.net.start("server", *server.command, name="second")
        self.assertEqual(again.process.wait(GUARD_S), 1)
        self.assertIn("control.sock", again.log())
        self.assertEqual(server.status("far")["state"], "listening")


if __name__ == "__main__":
    unittest.main()
