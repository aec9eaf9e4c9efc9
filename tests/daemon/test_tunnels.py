# SPDX-License-Identifier: Apache-2.0
"""The actions on tunnels: what they answer, and what a wrong parameter leaves as it was."""
import socket
import time
import unittest

from daemon import DEADLINE_S, TestCase, free_port

LOCAL = {"name": "t", "role": "local", "server": "127.0.0.1:9", "listen": "udp://127.0.0.1:0",
         "target": "127.0.0.1:7"}
SERVER = {"name": "s", "role": "server", "listen": "127.0.0.1:0"}

STATUS_FIELDS = {"name", "role", "state", "listen", "sessions", "flows", "connections",
                 "txPackets", "rxPackets", "txBytes", "rxBytes", "dropped", "reconnects",
                 "resumed", "rttMs", "uptime"}


class Tunnels(TestCase):
    def setUp(self):
        self.d = self.daemon()
        self.c = self.d.client()
        self.addCleanup(self.c.close)

    def configure(self, *objects, **fields):
        parameters = {}
        for part in objects + (fields,):
            parameters.update(part)
        return self.c.call("configureUdpTunnel", parameters)

    def status(self):
        return self.ok(self.c.call("getStatus"))

    def test_configure_status_remove(self):
        value = self.ok(self.configure(LOCAL))
        self.assertEqual((value["changed"], value["persistent"]), (True, True))
        tunnel = value["tunnel"]
        self.assertLessEqual(STATUS_FIELDS, set(tunnel))
        self.assertEqual((tunnel["name"], tunnel["role"]), ("t", "local"))
        self.assertRegex(tunnel["listen"], r"^udp://127\.0\.0\.1:[1-9]\d*$")
        self.assertEqual(set(tunnel["dropped"]),
                         {"stale", "queue", "oversize", "policy", "noFlow", "error"})
        status = self.status()
        self.assertEqual([t["name"] for t in status["udpTunnels"]], ["t"])
        self.assertEqual(status["tun2socks"], [])
        self.assertEqual(self.ok(self.c.call("removeUdpTunnel", {"name": "t"})), {"changed": True})
        self.assertEqual(self.status()["udpTunnels"], [])

    def test_removing_what_is_absent_is_no_error(self):
        self.assertEqual(self.ok(self.c.call("removeUdpTunnel", {"name": "t"})),
                         {"changed": False})

    def test_the_same_again_changes_nothing(self):
        self.ok(self.configure(SERVER))
        value = self.ok(self.configure(SERVER))
        self.assertFalse(value["changed"])

    def test_configure_replaces_and_merge_merges(self):
        self.ok(self.configure(LOCAL, connections=3, maxFlows=5))
        self.assertTrue(self.ok(self.configure({"name": "t", "merge": True, "maxFlows": 6}))
                        ["changed"])
        self.assertFalse(self.ok(self.configure(LOCAL, connections=3, maxFlows=6))["changed"])
        self.assertTrue(self.ok(self.configure(LOCAL))["changed"])

    def test_merge_without_anything_there_is_the_object(self):
        self.fails(self.configure({"name": "t", "merge": True, "maxFlows": 6}), 7,
                   "INVALID_PARAM", "parameters.role")
        self.assertTrue(self.ok(self.configure(LOCAL, merge=True))["changed"])

    def test_status_of_one(self):
        self.ok(self.configure(LOCAL))
        self.ok(self.configure(SERVER))
        value = self.ok(self.c.call("getStatus", {"name": "s"}))
        self.assertEqual([t["name"] for t in value["udpTunnels"]], ["s"])
        self.assertEqual(value["udpTunnels"][0]["state"], "listening")
        self.fails(self.c.call("getStatus", {"name": "x"}), 100, "NOT_FOUND", "parameters.name")

    def test_names_come_in_order(self):
        for name in ("m", "z", "a", "b.1", "B"):
            self.ok(self.configure(SERVER, name=name))
        names = [t["name"] for t in self.status()["udpTunnels"]]
        self.assertEqual(names, sorted(["m", "z", "a", "b.1", "B"]))

    def test_bad_parameters_name_their_field_and_change_nothing(self):
        self.ok(self.configure(LOCAL))
        before = self.status()["udpTunnels"][0]
        bad = [
            ("name", 5), ("name", None), ("name", ""), ("name", "a b"), ("name", "x" * 65),
            ("role", "client"), ("role", 1),
            ("listen", 1), ("listen", "tcp://127.0.0.1:1"), ("listen", "udp://127.0.0.1:65536"),
            ("target", "nowhere"), ("target", []), ("server", "x"), ("server", 1),
            ("via", "ftp://127.0.0.1:1"),
            ("connections", 0), ("connections", 33), ("connections", -1), ("connections", "8"),
            ("connections", 1.5), ("connections", 2**32), ("connections", 2**70),
            ("key", "short"), ("key", 1), ("key", "!" * 44), ("key", {"redacted": True}),
            ("keyFile", 1), ("insecure", "yes"),
            ("allowTargets", "10.0.0.0/8"), ("denyTargets", 1), ("denyTargets", ["10.0.0.0/8", 1]),
            ("filtering", "none"), ("portRange", 1),
            ("heartbeatInterval", 0), ("heartbeatInterval", 1.5), ("deadInterval", 0),
            ("deadInterval", 86401), ("resumeTimeout", -1),
            ("flowTimeout", 0), ("maxSessions", 0), ("maxFlows", -5), ("maxFlows", 2**33),
            ("maxFlowsPerSession", 0), ("maxQueueDelayMs", 0), ("maxQueueBytes", 1),
            ("maxQueueBytes", 2**62), ("redundancy", 0), ("redundancy", 4),
            ("redundancyMaxSize", 0), ("mark", -1), ("mark", 2**32), ("bindDevice", 1),
            ("ephemeral", 1), ("enabled", "true"), ("merge", 1), ("wait", "x"), ("wait", -1),
            ("wait", 1e9), ("unheardOf", 1),
        ]
        for field, value in bad:
            with self.subTest(field=field, value=value):
                reply = self.configure(LOCAL, {field: value})
                self.assertEqual(reply["statusCode"], 7, reply)
                self.assertEqual(reply["error"]["code"], "INVALID_PARAM")
                expected = "parameters." + field
                if field == "denyTargets" and value == ["10.0.0.0/8", 1]:
                    expected += "[1]"
                self.assertEqual(reply["error"]["field"], expected, reply)
        after = self.status()["udpTunnels"]
        self.assertEqual(len(after), 1)
        self.assertEqual(after[0]["listen"], before["listen"])

    def test_no_password_is_told_even_where_the_rest_is_wrong(self):
        for field, value in (("via", "socks5://me:Secret"), ("via", "me:Secret"),
                             ("via", "http://me:Secret@"), ("via", "ftp://me:Secret@h:1"),
                             ("tcpProxy", "me:Secret"), ("listen", "socks5://me:Secret"),
                             ("listen", "http://me:Secret@127.0.0.1:1"),
                             ("target", "me:Secret@127.0.0.1:1"),
                             ("server", "me:Secret@127.0.0.1:1")):
            reply = self.configure(LOCAL, {field: value})
            self.fails(reply, 7, "INVALID_PARAM", "parameters." + field)
            self.assertNotIn("Secret", str(reply))

    def test_a_field_of_the_other_role_is_wrong_whatever_it_says(self):
        for field, value in (("insecure", False), ("denyTargets", []), ("allowTargets", []),
                             ("filtering", "address"), ("portRange", "2000-3000"),
                             ("resumeTimeout", 180), ("egress", "direct")):
            self.fails(self.configure(LOCAL, {field: value}), 7, "INVALID_PARAM",
                       "parameters." + field)

    def test_health(self):
        self.ok(self.configure(SERVER))
        self.assertEqual(self.status()["health"], "ok")
        self.ok(self.configure(LOCAL, listen="udp://127.0.0.1:0"))  # nobody is at its server
        end = time.monotonic() + DEADLINE_S
        while self.status()["health"] == "ok":
            self.assertLess(time.monotonic(), end)
        self.assertEqual(self.ok(self.c.call("getStatus", {"name": "s"}))["health"], "ok")
        self.ok(self.configure(LOCAL, enabled=False))
        self.assertEqual(self.status()["health"], "ok")

    def test_missing_parameters(self):
        for missing in ("name", "role", "server"):
            parameters = {k: v for k, v in LOCAL.items() if k != missing}
            self.fails(self.c.call("configureUdpTunnel", parameters), 7, "INVALID_PARAM",
                       "parameters." + missing)
        for action in ("configureUdpTunnel", "removeUdpTunnel", "listSessions", "listFlows",
                       "pingTunnel"):
            for parameters in (None, {}):
                self.fails(self.c.call(action, parameters), 7, "INVALID_PARAM", "parameters.name")
            self.fails(self.c.call(action, {"name": "t", "x": 1}), 7, "INVALID_PARAM",
                       "parameters.x")
        self.assertEqual(self.status()["udpTunnels"], [])

    def test_port_in_use(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            reply = self.configure(LOCAL, listen="udp://127.0.0.1:%d" % s.getsockname()[1])
        self.fails(reply, 104, "PORT_IN_USE", "parameters.listen")
        self.assertEqual(reply["error"]["errno"], "EADDRINUSE")
        self.assertEqual(self.status()["udpTunnels"], [])

    def test_wait_ends_with_a_timeout_that_leaves_the_tunnel(self):
        reply = self.configure(LOCAL, server="127.0.0.1:%d" % free_port(), wait=0.3)
        self.fails(reply, 106, "TIMEOUT", "parameters.wait")
        self.assertEqual(len(self.status()["udpTunnels"]), 1)

    def test_wait_is_over_when_a_server_listens(self):
        value = self.ok(self.configure(SERVER, wait=60))
        self.assertEqual(value["tunnel"]["state"], "listening")

    def test_disabled_is_not_waited_for(self):
        value = self.ok(self.configure(LOCAL, enabled=False, wait=60))
        self.assertEqual(value["tunnel"]["state"], "disabled")


class Pair(TestCase):
    """A udp-local and a udp-server of one daemon, joined on loopback."""

    def setUp(self):
        self.d = self.daemon()
        self.c = self.d.client()
        self.addCleanup(self.c.close)
        self.echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.echo.bind(("127.0.0.1", 0))
        self.echo.settimeout(60)
        self.addCleanup(self.echo.close)
        target = "127.0.0.1:%d" % self.echo.getsockname()[1]
        server = self.ok(self.c.call("configureUdpTunnel", {
            "name": "server", "role": "server", "listen": "127.0.0.1:0", "target": target}))
        local = self.ok(self.c.call("configureUdpTunnel", {
            "name": "local", "role": "local", "listen": "udp://127.0.0.1:0", "target": target,
            "server": server["tunnel"]["listen"], "wait": 60}))
        self.assertIn(local["tunnel"]["state"], ("established", "degraded"))
        host, _, port = local["tunnel"]["listen"].removeprefix("udp://").rpartition(":")
        self.entry = (host, int(port))

    def exchange(self, s, data):
        s.settimeout(60)
        s.sendto(data, self.entry)
        got, source = self.echo.recvfrom(65535)
        self.assertEqual(got, data)
        self.echo.sendto(got, source)
        self.assertEqual(s.recv(65535), data)

    def test_datagrams_sessions_flows_ping(self):
        sources = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(5)]
        for i, s in enumerate(sources):
            self.exchange(s, b"datagram %d" % i)
        status = self.ok(self.c.call("getStatus", {"name": "local"}))["udpTunnels"][0]
        self.assertEqual((status["txPackets"], status["rxPackets"], status["flows"]), (5, 5, 5))
        self.assertEqual(status["txBytes"], 5 * len(b"datagram 0"))
        self.assertTrue(status["connections"])
        for name in ("local", "server"):
            sessions = self.ok(self.c.call("listSessions", {"name": name}))["sessions"]
            self.assertEqual(len(sessions), 1)
            self.assertLessEqual({"session", "peer", "state", "flows", "connections", "txBytes",
                                  "rxBytes", "age"}, set(sessions[0]))
            seen, after = [], None
            while True:
                parameters = {"name": name, "limit": 2}
                if after is not None:
                    parameters["after"] = after
                page = self.ok(self.c.call("listFlows", parameters))
                self.assertLessEqual(len(page["flows"]), 2)
                seen += page["flows"]
                after = page.get("next")
                if after is None:
                    break
            self.assertEqual(len(seen), 5, seen)
            self.assertEqual(len({f["source"] for f in seen}), 5)
            self.assertLessEqual({"source", "external", "peers", "txPackets", "rxPackets",
                                  "txBytes", "rxBytes", "dropped", "idle", "age"}, set(seen[0]))
        ping = self.ok(self.c.call("pingTunnel", {"name": "local", "count": 5}))
        self.assertEqual(len(ping["rttMs"]), 5)
        self.assertTrue(all(0 < ms < 60000 for ms in ping["rttMs"]))
        for s in sources:
            s.close()

    def test_changes_while_running_drop_and_double_nothing(self):
        changes = [
            ("local", {"connections": 2}), ("local", {"redundancy": 3, "redundancyMaxSize": 1200}),
            ("server", {"filtering": "address"}), ("local", {"connections": 8}),
            ("server", {"maxFlows": 100, "maxSessions": 5}), ("local", {"redundancy": 2}),
            ("local", {"heartbeatInterval": 2, "deadInterval": 7}), ("local", {"redundancy": 1}),
            ("server", {"resumeTimeout": 60, "flowTimeout": 100}), ("local", {"connections": 1}),
            ("server", {"denyTargets": ["192.0.2.0/24"]}), ("local", {"maxQueueBytes": 200000}),
        ]
        self.ok(self.c.call("configureUdpTunnel",
                            {"name": "local", "merge": True, "maxQueueDelayMs": 60000}))
        self.ok(self.c.call("configureUdpTunnel",
                            {"name": "server", "merge": True, "maxQueueDelayMs": 60000}))
        sources = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
        sent, number, ports = set(), 0, set()
        for name, fields in changes * 3:
            for _ in range(10):
                for s in sources:
                    data = b"%d" % number
                    s.sendto(data.ljust(100 + number % 7 * 200), self.entry)
                    sent.add(data)
                    number += 1
            value = self.ok(self.c.call("configureUdpTunnel",
                                        {"name": name, "merge": True, **fields}))
            self.assertNotIn(value["tunnel"]["state"], ("failed", "starting"))
            for _ in range(10 * len(sources)):
                data, port = self.echo.recvfrom(65535)
                sent.remove(data.strip())  # once, and no other
                ports.add(port)
        self.assertEqual(sent, set())
        self.assertEqual(len(ports), len(sources))
        status = self.ok(self.c.call("getStatus"))["udpTunnels"]
        for tunnel in status:
            self.assertEqual(set(tunnel["dropped"].values()), {0}, tunnel)
        for s in sources:
            s.close()

    def test_answers_stay_in_order_behind_a_ping(self):
        self.c.send('{"action":"pingTunnel","id":1,"parameters":{"name":"local","count":3}}'
                    '{"action":"hello","id":2}')
        self.assertEqual([self.c.line()["id"], self.c.line()["id"]], [1, 2])

    def test_bad_requests_about_a_running_tunnel(self):
        self.fails(self.c.call("pingTunnel", {"name": "server"}), 7, "INVALID_PARAM",
                   "parameters.name")
        self.fails(self.c.call("pingTunnel", {"name": "x"}), 100, "NOT_FOUND", "parameters.name")
        for count in (0, 101):
            self.fails(self.c.call("pingTunnel", {"name": "local", "count": count}), 7,
                       "INVALID_PARAM", "parameters.count")
        self.fails(self.c.call("listFlows", {"name": "local", "limit": 0}), 7, "INVALID_PARAM",
                   "parameters.limit")
        self.fails(self.c.call("listFlows", {"name": "local", "after": "nonsense"}), 7,
                   "INVALID_PARAM", "parameters.after")
        self.fails(self.c.call("listFlows", {"name": "x"}), 100, "NOT_FOUND", "parameters.name")
        self.fails(self.c.call("listSessions", {"name": "x"}), 100, "NOT_FOUND",
                   "parameters.name")


if __name__ == "__main__":
    unittest.main()
