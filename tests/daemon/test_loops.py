# SPDX-License-Identifier: Apache-2.0
"""The examples that embed the engine on a loop of their own: datagrams go through, and go on."""
import os
import socket
import subprocess
import unittest

import daemon
from daemon import TestCase, free_port

EXAMPLES = os.environ.get("UDPTUN_EXAMPLES", os.path.dirname(daemon.UDPTUND))
SERVER = {"name": "far", "role": "server", "listen": "127.0.0.1:0", "allowTargets": ["127.0.0.0/8"]}


def udp_socket():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    s.settimeout(0.5)
    return s


class Loops(TestCase):
    def check(self, name):
        program = os.path.join(EXAMPLES, "example-loop-" + name)
        if not os.path.exists(program):
            self.skipTest(f"{name} is not built here")
        target, app, idle = (udp_socket() for _ in range(3))
        for s in (target, app, idle):
            self.addCleanup(s.close)
        d = self.daemon(state=False)
        server = dict(SERVER, listen="127.0.0.1:%d" % free_port())
        with d.client() as c:
            self.ok(c.call("configureUdpTunnel", server))
        process = subprocess.Popen([program, server["listen"],
                                    "127.0.0.1:%d" % target.getsockname()[1]],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, daemon.DEADLINE_S)
        self.addCleanup(process.kill)
        entrance = ("127.0.0.1", int(process.stdout.readline()))
        for size in (1, 1200, 9000):
            self.there_and_back(app, target, entrance, os.urandom(size))
        # The connections are lost and dialled again: descriptors come again with other watches.
        with d.client() as c:
            self.ok(c.call("removeUdpTunnel", {"name": "far"}))
            self.ok(c.call("configureUdpTunnel", server))
        self.there_and_back(app, target, entrance, b"again")
        self.assertIsNone(process.poll())
        return process.pid

    def there_and_back(self, app, target, entrance, payload):
        for _ in range(int(daemon.DEADLINE_S / 0.5)):
            app.sendto(payload, entrance)
            try:
                data, source = target.recvfrom(65536)
                target.sendto(data[::-1], source)
                if data == payload and app.recv(65536) == payload[::-1]:
                    return
            except TimeoutError:
                pass
        self.fail("nothing comes through")

    @unittest.skipUnless(os.path.exists("/proc/self/task"), "there is no /proc here")
    def test_epoll_without_a_thread_of_the_library(self):
        pid = self.check("epoll")
        names = []
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/comm", encoding="ascii") as f:
                names.append(f.read().strip())
        self.assertEqual(len(names), 1, names)

    def test_poll(self):
        self.check("poll")

    def test_libuv(self):
        self.check("uv")


if __name__ == "__main__":
    unittest.main()
