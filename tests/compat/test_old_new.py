# SPDX-License-Identifier: Apache-2.0
"""An older udptund and this one at the two ends of a tunnel, both ways round."""
import base64
import json
import os
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "daemon"))
# pylint: disable=wrong-import-position
from daemon import UDPTUND, Daemon, free_port  # noqa: E402

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


class OldNew:
    """The tests; `near` and `far` are the programs."""

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

    def test_many_flows_of_all_sizes(self):
        self.configure()
        ports = set()
        for i in range(20):
            source = self.udp_socket()
            for size in (1, 1200, 40000):
                ports.add((i, self.there_and_back(source, bytes([i + 1]) * size)))
        self.assertEqual(len(ports), 20)
        self.assertEqual(len({port for _, port in ports}), 20)

    def test_the_external_port_stays_when_the_local_is_killed(self):
        self.configure()
        before = self.there_and_back(self.source, b"before")
        kept = os.path.join(self.ends["near"].state, "near.session")
        until = time.monotonic() + PATIENCE_S
        while not os.path.exists(kept) and time.monotonic() < until:
            time.sleep(0.02)
        self.ends["near"].stop(signal.SIGKILL)
        self.drain()
        self.ends["near"].start()
        self.assertEqual(self.there_and_back(self.source, b"after"), before)

    def test_it_goes_on_when_the_server_is_killed(self):
        self.configure()
        self.there_and_back(self.source, b"before")
        self.ends["far"].stop(signal.SIGKILL)
        self.drain()
        self.ends["far"].start()
        self.there_and_back(self.source, b"after")

    def test_copies_arrive_once(self):
        self.configure(redundancy=2)
        self.there_and_back(self.source, b"first")
        self.drain()
        for i in range(100):
            self.source.sendto(b"%d" % i, self.entrance)
            time.sleep(0.002)
        seen = []
        until = time.monotonic() + PATIENCE_S
        while len(set(seen)) < 100 and time.monotonic() < until:
            try:
                seen.append(self.target.recv(100))
            except TimeoutError:
                pass
        try:
            seen.append(self.target.recv(100))
        except TimeoutError:
            pass
        self.assertEqual(sorted(seen), sorted(b"%d" % i for i in range(100)))


class OldLocal(OldNew, unittest.TestCase):
    near, far = OLD, UDPTUND


class OldServer(OldNew, unittest.TestCase):
    near, far = UDPTUND, OLD


if __name__ == "__main__":
    if not os.path.exists(OLD):
        print(f"no older build at {OLD}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
