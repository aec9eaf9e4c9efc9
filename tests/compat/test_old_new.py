# SPDX-License-Identifier: Apache-2.0
"""An older udptund and this one at the two ends of a tunnel, both ways round."""
import os
import signal
import sys
import time
import unittest

# pylint: disable=wrong-import-position
from ends import OLD, PATIENCE_S, SKIPPED, Ends  # noqa: E402
from daemon import UDPTUND  # noqa: E402


class OldNew(Ends):
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
