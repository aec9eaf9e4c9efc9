# SPDX-License-Identifier: Apache-2.0
"""Requests that their clients gave up: not carried out later, and waits that are withdrawn."""
import json
import os
import signal
import subprocess
import time
import unittest

import daemon
from daemon import TestCase

TUNNEL = {"name": "t", "role": "local", "server": "127.0.0.1:9", "listen": "udp://127.0.0.1:0",
          "target": "127.0.0.1:7"}
CTL = os.path.join(os.path.dirname(daemon.UDPTUND), "udptunctl")
LATER_MS = 600 * 1000


def request(action, **members):
    return json.dumps({"action": action, **members})


class Deadline(TestCase):
    def setUp(self):
        self.d = self.daemon(state=False)
        self.c = self.d.client()
        self.addCleanup(self.c.close)

    def clock(self):
        return self.ok(self.c.call("hello"))["clock"]

    def names(self):
        with self.d.client() as c:
            return [tunnel["name"] for tunnel in self.ok(c.call("getStatus"))["udpTunnels"]]

    def stop(self):
        """The daemon stands still until the end of the test, or go_on()."""
        self.d.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.go_on)

    def go_on(self):
        self.d.process.send_signal(signal.SIGCONT)

    def test_hello_tells_the_clock_and_the_features(self):
        hello = self.ok(self.c.call("hello"))
        self.assertLessEqual({"deadline", "cancel"}, set(hello["features"]))
        self.assertLessEqual(hello["clock"], self.clock())

    def test_a_deadline_that_is_over_voids_the_request(self):
        for deadline in (0, self.clock()):
            self.c.send(request("configureUdpTunnel", parameters=TUNNEL, deadline=deadline))
            reply = self.fails(self.c.line(), 106, "TIMEOUT", "deadline")
            self.assertIn("configureUdpTunnel", reply["errorMessage"])
        self.assertEqual(self.names(), [])

    def test_a_deadline_to_come_does_not(self):
        self.c.send(request("configureUdpTunnel", parameters=TUNNEL, deadline=self.clock() + LATER_MS))
        self.ok(self.c.line())
        self.assertEqual(self.names(), ["t"])

    def test_the_deadline_is_a_number(self):
        for deadline in (-1, 1.5, "1", True, [], None, 1 << 63):
            self.c.send(request("configureUdpTunnel", parameters=TUNNEL, deadline=deadline))
            self.fails(self.c.line(), 7, "INVALID_PARAM", "deadline")
        self.assertEqual(self.names(), [])

    def test_what_lay_in_a_daemon_that_stood_still_is_void(self):
        deadline = self.clock() + 50
        self.stop()
        self.c.send(request("configureUdpTunnel", parameters=TUNNEL, deadline=deadline))
        time.sleep(0.2)  # until the deadline is over
        self.go_on()
        self.fails(self.c.line(), 106, "TIMEOUT", "deadline")
        self.assertEqual(self.names(), [])

    def test_a_client_that_goes_voids_what_has_a_deadline(self):
        deadline = self.clock() + LATER_MS
        self.stop()
        for name, more in (("with", {"deadline": deadline}), ("without", {})):
            with self.d.client() as c:
                c.send(request("configureUdpTunnel", parameters=dict(TUNNEL, name=name), **more))
        self.go_on()
        self.until(lambda: "without" in self.names())
        self.assertEqual(self.names(), ["without"])

    def test_what_udptunctl_gave_up_is_not_carried_out(self):
        self.stop()
        run = subprocess.run([CTL, "-s", self.d.socket, "--timeout", "0.3", "local", "t", "--server",
                              "127.0.0.1:9", "--listen", "udp://127.0.0.1:0", "--target",
                              "127.0.0.1:7"], capture_output=True, text=True, check=False,
                             timeout=daemon.DEADLINE_S)
        self.assertIn("in time", run.stderr)
        self.go_on()
        self.clock()  # whatever came before was read
        self.assertEqual(self.names(), [])

    def until(self, condition):
        end = time.monotonic() + daemon.DEADLINE_S
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)


class Cancel(TestCase):
    def setUp(self):
        self.d = self.daemon(state=False)
        self.c = self.d.client()
        self.addCleanup(self.c.close)

    def wait_for_an_hour(self, id):
        self.c.send(request("configureUdpTunnel", id=id, parameters=dict(TUNNEL, wait=3600)))

    def test_a_wait_is_withdrawn_and_its_place_is_free(self):
        count = 0
        while True:  # as many as a connection may have
            self.wait_for_an_hour(count)
            self.c.send(request("hello", id="h"))
            reply = self.c.line()
            if reply["id"] != "h":
                self.fails(reply, 103, "LIMIT", "parameters.wait")
                self.c.line()
                break
            count += 1
        self.assertGreater(count, 1)
        self.c.send(request("cancel", id="c", parameters={"call": 1}))
        replies = {reply["id"]: reply for reply in (self.c.line(), self.c.line())}
        self.fails(replies[1], 106, "TIMEOUT", "parameters.wait")
        self.assertEqual(self.ok(replies["c"]), {"changed": True})
        self.wait_for_an_hour("again")
        self.c.send(request("hello", id="h"))
        self.assertEqual(self.c.line()["id"], "h")  # not refused: it waits
        self.assertEqual(len(self.ok(self.c.call("getStatus", id="s"))["udpTunnels"]), 1)

    def test_only_a_wait_of_the_same_connection_is(self):
        self.wait_for_an_hour("w")
        self.assertEqual(self.ok(self.c.call("cancel", {"call": "x"}, id="c")), {"changed": False})
        with self.d.client() as other:
            self.assertEqual(self.ok(other.call("cancel", {"call": "w"}, id="c")),
                             {"changed": False})
        self.fails(self.c.call("cancel", id="c"), 7, "INVALID_PARAM", "parameters.call")
        self.assertEqual(self.ok(self.c.call("hello", id="h"))["server"], "udptund")


if __name__ == "__main__":
    unittest.main()
