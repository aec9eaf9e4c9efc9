# SPDX-License-Identifier: Apache-2.0
"""Upgrade, rollback and upgrade again, as docs/deploy.md says, while a flow goes on."""
import json
import os
import sys
import unittest

# pylint: disable=wrong-import-position
from ends import OLD, SKIPPED, Ends  # noqa: E402
from daemon import UDPTUND  # noqa: E402


class Upgrade(Ends, unittest.TestCase):
    near = far = OLD

    def path(self, end, name="state.json"):
        return os.path.join(self.ends[end].state, name)

    def change_version(self, end, program, rollback=False):
        """The new program on the same state; the flow goes on, by the same external port."""
        self.ends[end].stop()
        if rollback:
            os.replace(self.path(end, "state.json.v1"), self.path(end))
        self.ends[end].program = program
        self.ends[end].start()
        self.assertEqual(self.there_and_back(self.source, os.urandom(12)), self.port)

    def add_tunnel(self, end, name):
        self.ends[end].configure(dict(self.server, name=name, listen="127.0.0.1:0"))

    def names(self, end):
        with self.ends[end].client() as c:
            c.send(json.dumps({"action": "getStatus"}))
            return sorted(t["name"] for t in c.line()["returnValue"]["udpTunnels"])

    def test_a_flow_goes_on_through_all(self):
        self.configure()
        self.port = self.there_and_back(self.source, b"before")
        for end in ("near", "far"):
            with self.subTest(end=end):
                with open(self.path(end), encoding="utf-8") as f:
                    first = f.read()
                self.change_version(end, UDPTUND)
                self.add_tunnel(end, "of-new")
                with open(self.path(end, "state.json.v1"), encoding="utf-8") as f:
                    self.assertEqual(f.read(), first)
                self.assertEqual(self.names(end), sorted([end, "of-new"]))
                self.change_version(end, OLD, rollback=True)
                self.assertEqual(self.names(end), [end])
                self.add_tunnel(end, "of-old")
                self.change_version(end, UDPTUND)
                self.assertEqual(self.names(end), sorted([end, "of-old"]))
        self.assertEqual(self.there_and_back(self.source, b"after"), self.port)


if __name__ == "__main__":
    if not os.path.exists(OLD):
        print(f"no older build at {OLD}")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
