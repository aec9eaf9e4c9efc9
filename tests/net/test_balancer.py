# SPDX-License-Identifier: Apache-2.0
"""A balancer that deals streams out to two servers, which know nothing of each other.

    four apps ─▶ four udp-locals ══▶ haproxy (roundrobin) ══▶ udp-server "one", "two" ─▶ third

Every other stream of a client reaches the wrong server.
"""

import os
import select
import time

import traffic
from harness import GUARD_S, THIRD, NetTest, need

CLIENTS = 4
SETTLED_S = 10
BALANCER = """\
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen udpt
    bind 127.0.0.1:7000
    balance roundrobin
    server one 127.0.0.1:7001
    server two 127.0.0.1:7002
"""


class Balancer(NetTest):
    @classmethod
    def build(cls):
        cls.server = cls.net.daemon("server")
        for name, port in (("one", 7001), ("two", 7002)):
            cls.server.configure(name=name, role="server", listen=f"127.0.0.1:{port}")
        path = os.path.join(cls.net.folder, "haproxy.cfg")
        with open(path, "w", encoding="utf-8") as file:
            file.write(BALANCER)
        cls.net.start("server", need("haproxy"), "-db", "-f", path).wait_listening(7000)

    def sessions(self):
        return sum(self.server.status(name)["sessions"] for name in ("one", "two"))

    def test_four_clients_over_two_servers(self):
        """At most one session for each client at each server, and their datagrams are carried."""
        client = self.net.daemon("server", name="client")
        target = self.net.third.udp(THIRD, 9000)
        self.addCleanup(target.close)
        entries = []
        for number in range(CLIENTS):
            status = client.configure(name=f"c{number}", role="local", listen="udp://127.0.0.1:0",
                                      target=f"{THIRD}:9000", server="127.0.0.1:7000",
                                      wait=GUARD_S)
            entries.append(("127.0.0.1", int(status["listen"].rsplit(":", 1)[1])))
        apps = [self.net.server.udp("127.0.0.1") for _ in entries]
        for app in apps:
            self.addCleanup(app.close)
        seen = [traffic.exchange(self, *pair, target) for pair in zip(apps, entries)]
        until = time.monotonic() + SETTLED_S
        while time.monotonic() < until:
            for number, (app, entry) in enumerate(zip(apps, entries)):
                # The mapping is the same all the time: the session is.
                self.assertEqual(traffic.exchange(self, app, entry, target), seen[number])
            select.select([], [], [], 0.05)
        self.assertLessEqual(self.sessions(), 2 * CLIENTS)
        for number in range(CLIENTS):
            client.wait_state(f"c{number}", "established")
        self.assertLessEqual(self.sessions(), 2 * CLIENTS)
