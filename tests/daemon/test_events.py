# SPDX-License-Identifier: Apache-2.0
"""What watchers are told: snapshot first, in order, nothing lost in silence."""
import json
import socket
import struct
import time
import unittest

from daemon import DEADLINE_S, TestCase, free_port

LOCAL = {"name": "t", "role": "local", "listen": "udp://127.0.0.1:0", "target": "127.0.0.1:7",
         "server": "127.0.0.1:9"}
SERVER = {"name": "s", "role": "server", "listen": "127.0.0.1:0"}


class Events(TestCase):
    def setUp(self):
        self.d = self.daemon()
        self.c = self.client()

    def client(self):
        c = self.d.client()
        self.addCleanup(c.close)
        return c

    def watch(self, *topics, **options):
        """A watcher, and its snapshot."""
        w = self.client()
        return w, self.ok(w.call("subscribe", dict({"topics": list(topics)}, **options)))

    def until(self, w, wanted):
        """Events up to the first that `wanted` accepts, that one included."""
        events = []
        while not events or not wanted(events[-1]):
            events.append(w.line())
            self.assertIn("event", events[-1])
        return events

    def test_snapshot_first_then_states_in_order(self):
        self.ok(self.c.call("configureUdpTunnel", SERVER))
        w, snapshot = self.watch("state", "config")
        self.assertEqual([t["name"] for t in snapshot["udpTunnels"]], ["s"])
        listen = snapshot["udpTunnels"][0]["listen"]
        self.ok(self.c.call("configureUdpTunnel", dict(LOCAL, server=listen, wait=DEADLINE_S)))
        seen = set()  # the state may come before the disk has the object, or after

        def both(event):
            seen.add(event["data"].get("state") or event["data"].get("change"))
            return seen >= {"established", "created"}
        events = self.until(w, both)
        self.assertEqual([e["seq"] for e in events], list(range(1, len(events) + 1)))
        states = [e["data"]["state"] for e in events if e["event"] == "tunnel.state"]
        self.assertEqual(states[0], "connecting")
        changes = [e["data"] for e in events if e["event"] == "config.changed"]
        self.assertEqual(changes, [{"name": "t", "change": "created", "persistent": True}])
        self.ok(self.c.call("configureUdpTunnel", dict(LOCAL, server=listen, maxFlows=5)))
        self.ok(self.c.call("configureUdpTunnel", dict(LOCAL, server=listen, maxFlows=5)))
        self.ok(self.c.call("removeUdpTunnel", {"name": "t"}))
        events = self.until(w, lambda e: e["data"].get("change") == "removed")
        self.assertEqual([e["data"]["change"] for e in events if e["event"] == "config.changed"],
                         ["changed", "removed"])
        self.assertIn("disabled", [e["data"].get("state") for e in events])

    def test_only_the_topics_asked_for(self):
        w, snapshot = self.watch("config", snapshot=False)
        self.assertIsNone(snapshot)
        self.ok(self.c.call("configureUdpTunnel", SERVER))
        self.assertEqual(w.line()["event"], "config.changed")
        self.ok(w.call("subscribe", {"topics": ["state"], "snapshot": False}))
        self.ok(w.call("unsubscribe", {"topics": ["config"]}))
        self.ok(self.c.call("removeUdpTunnel", {"name": "s"}))
        self.assertEqual(w.line()["event"], "tunnel.state")
        self.ok(w.call("unsubscribe"))
        self.ok(self.c.call("configureUdpTunnel", SERVER))
        self.assertEqual(w.call("hello")["action"], "hello")

    def test_replies_and_events_share_a_connection(self):
        self.ok(self.c.call("subscribe", {"topics": ["config"]}))
        self.c.send(json.dumps({"action": "configureUdpTunnel", "id": 5, "parameters": SERVER}))
        lines = [self.c.line(), self.c.line()]
        self.assertEqual(sorted(("event" in line) for line in lines), [False, True])
        reply = next(line for line in lines if "event" not in line)
        self.assertEqual(reply["id"], 5)

    def test_stats_come_by_themselves(self):
        self.ok(self.c.call("configureUdpTunnel", SERVER))
        w, _ = self.watch("stats")
        first, second = w.line(), w.line()
        self.assertEqual(first["event"], "stats")
        self.assertEqual(first["data"]["udpTunnels"][0]["name"], "s")
        self.assertIn("txPackets", first["data"]["udpTunnels"][0])
        self.assertEqual([first["seq"], second["seq"]], [1, 2])

    def test_log_lines(self):
        w, _ = self.watch("log")
        self.ok(self.c.call("configureUdpTunnel", SERVER))
        line = self.until(w, lambda e: e["data"]["message"] == "s configured")[-1]["data"]
        self.assertEqual((line["level"], line["module"]), ("info", "control"))
        self.assertGreater(line["time"], 1e9)

    def test_log_needs_an_operator(self):
        w = self.client()
        self.ok(w.call("subscribe", {"topics": ["log", "config"], "snapshot": False}))
        self.ok(w.call("hello", {"role": "observer"}))
        self.fails(w.call("subscribe", {"topics": ["log"]}), 2, "PERMISSION_DENIED",
                   "parameters.topics")
        self.ok(self.c.call("configureUdpTunnel", SERVER))
        self.assertEqual(w.line()["event"], "config.changed")
        self.ok(w.call("subscribe", {"snapshot": False}))
        self.fails(w.call("subscribe", {"topics": ["weather"]}), 7, "INVALID_PARAM",
                   "parameters.topics[0]")

    def churn(self, rounds):
        """Config events, two a round, over one connection, several rounds at once: a watcher that
        reads nothing meanwhile is cut off after 10 s."""
        c = self.client()
        configure = {"action": "configureUdpTunnel",
                     "parameters": dict(SERVER, enabled=False, ephemeral=True)}
        remove = {"action": "removeUdpTunnel", "parameters": {"name": "s"}}
        both = json.dumps(configure) + json.dumps(remove)
        while rounds > 0:
            ahead = min(rounds, 16)
            c.send(both * ahead)
            for _ in range(2 * ahead):
                self.ok(c.line())
            rounds -= ahead

    def fill(self, w):
        """Churn until the daemon has more for `w` than it keeps."""
        received = w.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.churn((received + (512 << 10)) // 2 // 80)

    def test_what_is_lost_is_told(self):
        w, _ = self.watch("config", "state")
        self.fill(w)
        seq, overflow = 0, None
        while not overflow:
            event = w.line()
            seq += 1
            self.assertEqual(event["seq"], seq)
            if event["event"] == "overflow":
                overflow = event["data"]
        self.assertIn("config", overflow["topics"])
        self.assertGreater(overflow["lost"], 0)
        self.churn(1)
        self.until(w, lambda e: e["data"].get("change") == "removed")

    def test_a_watcher_that_does_not_read_is_cut_off(self):
        w, _ = self.watch("config")
        self.fill(w)
        end = time.monotonic() + DEADLINE_S
        while "does not read and is cut off" not in self.d.log_text():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)
        while w.line() is not None:
            pass
        self.ok(self.c.call("getStatus"))

    def test_a_half_closed_watcher_is_told_on(self):
        w, _ = self.watch("config")
        w.socket.shutdown(socket.SHUT_WR)
        self.ok(self.c.call("configureUdpTunnel", SERVER))
        self.assertEqual(w.line()["event"], "config.changed")

    def test_the_stop_is_told(self):
        self.ok(self.c.call("configureUdpTunnel", SERVER))
        w, _ = self.watch("state")
        self.d.stop()
        self.assertEqual(w.line()["data"]["state"], "disabled")
        self.assertIsNone(w.line())

    def test_events_in_protobuf(self):
        w = self.client()

        def message():
            while len(w.received) < 4 or \
                    len(w.received) < 4 + struct.unpack(">I", w.received[:4])[0]:
                data = w.socket.recv(65536)
                self.assertTrue(data)
                w.received += data
            size = struct.unpack(">I", w.received[:4])[0]
            body, w.received = w.received[4:4 + size], w.received[4 + size:]
            return body
        # {action = "subscribe", parameters {subscribe {topics = CONFIG}}}
        body = b"\x0a\x09subscribe" + b"\x1a\x04" + b"\x5a\x02" + b"\x08\x02"
        w.send(struct.pack(">I", len(body)) + body)
        self.assertIn(b"subscribe", message())
        self.ok(self.c.call("configureUdpTunnel", SERVER))
        # event (8) = "config.changed", seq (9) = 1, data (10)
        self.assertTrue(message().startswith(b"\x42\x0econfig.changed\x48\x01\x52"))


if __name__ == "__main__":
    unittest.main()
