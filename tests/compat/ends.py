# SPDX-License-Identifier: Apache-2.0
"""ends.py - a udp-local and a udp-server, each of a build of its own, and an app and a target."""
import base64
import json
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "daemon"))
# pylint: disable=wrong-import-position
from daemon import Daemon, free_port  # noqa: E402

OLD = os.environ.get("UDPTUND_OLD", "build/compat/udptund")
PATIENCE_S = 60  # against hanging only
SKIPPED = 77


class Build(Daemon):
    """A daemon of that build. What it says is not held against this tree's schemas."""

    def __init__(self, test, program):
        self.program = program
        super().__init__(test)

    def command(self):
        return [self.program, *super().command()[1:]]

    def configure(self, tunnel):
        with self.client() as c:
            c.send(json.dumps({"action": "configureUdpTunnel", "parameters": tunnel}))
            reply = c.line()
        self.test.assertEqual(reply["statusCode"], 0, reply)


class Ends:
    """`near` and `far` are the programs."""

    def setUp(self):
        self.target, self.source = self.udp_socket(), self.udp_socket()
        self.ends = {"near": Build(self, self.near).start(), "far": Build(self, self.far).start()}
        key = os.path.join(self.ends["near"].folder, "key")
        with open(key, "wb") as f:
            f.write(base64.b64encode(bytes(range(32))))
        os.chmod(key, 0o600)
        listen = free_port(socket.SOCK_DGRAM)
        self.entrance = ("127.0.0.1", listen)
        self.server = {"name": "far", "role": "server", "listen": f"127.0.0.1:{free_port()}",
                       "allowTargets": ["127.0.0.0/8"], "keyFile": key}
        self.local = {"name": "near", "role": "local", "server": self.server["listen"],
                      "listen": f"udp://127.0.0.1:{listen}", "keyFile": key, "wait": 20,
                      "maxQueueDelayMs": 60000,
                      "target": "127.0.0.1:%d" % self.target.getsockname()[1]}

    def udp_socket(self):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind(("127.0.0.1", 0))
        s.settimeout(0.2)
        return s

    def configure(self, **fields):
        self.ends["far"].configure(self.server)
        self.ends["near"].configure(dict(self.local, **fields))

    def there_and_back(self, source, payload):
        """Until it went through and was answered; the external port."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            source.sendto(payload, self.entrance)
            try:
                data, external = self.target.recvfrom(65536)
                self.target.sendto(data[::-1], external)
                if data == payload and source.recv(65536) == payload[::-1]:
                    return external[1]
            except TimeoutError:
                pass
        self.fail("nothing comes through")

    def drain(self):
        for s in (self.target, self.source):
            try:
                while True:
                    s.recv(65536)
            except TimeoutError:
                pass
