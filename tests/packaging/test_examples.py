# SPDX-License-Identifier: Apache-2.0
"""The configurations of packaging/examples: each is valid, and udptund runs it as it stands."""
import base64
import glob
import json
import os
import shutil
import unittest

from common import read, run, source
from daemon import Daemon, TestCase, free_port

FOLDER = source("packaging/examples")
UDPTUND = os.environ["UDPTUND"]


class Within(Daemon):
    """A udptund started by another command, which becomes it."""

    def __init__(self, test, within):
        super().__init__(test)
        self.within = within

    def command(self):
        return [*self.within, *super().command()]


class Examples(TestCase):
    def prepare(self, name, folder):
        """A copy whose key and listening ports are the test's own. All else stays."""
        key = os.path.join(folder, "key")
        with open(key, "wb") as file:
            file.write(base64.b64encode(bytes(range(32))))
        os.chmod(key, 0o600)
        text = read(FOLDER, name).replace("/etc/udptund/key", key)
        config = json.loads(text)
        for tunnel in config["udpTunnels"]:
            if "listen" in tunnel:
                head, _, _ = tunnel["listen"].rpartition(":")
                tunnel["listen"] = f"{head}:{free_port()}"
        path = os.path.join(folder, "udptund.json")
        with open(path, "w") as file:
            json.dump(config, file)
        return path, config

    def start(self, name, within=()):
        d = Within(self, within)
        path, config = self.prepare(name, d.folder)
        run(UDPTUND, "--config", path, "--check-config")
        d.arguments += ["--config", path]
        d.start()
        with d.client() as c:
            status = self.ok(c.call("getStatus"))
        for kind in ("udpTunnels", "tun2socks"):
            shown = {one["name"]: one["state"] for one in status[kind]}
            self.assertEqual(sorted(shown), sorted(o["name"] for o in config.get(kind, [])))
            self.assertNotIn("failed", shown.values(), status)
        self.assertEqual(d.stop(), 0)

    def needs_tun2socks(self):
        if os.environ.get("UDPTUN_TUN2SOCKS") == "0":
            self.skipTest("udptund was built without tun2socks, or without devices")

    def test_every_file_is_in_the_readme_and_here(self):
        names = sorted(os.path.basename(p) for p in glob.glob(os.path.join(FOLDER, "*.json")))
        readme = read(FOLDER, "README.md")
        for name in names:
            self.assertIn(f"| `{name}` |", readme)
            self.assertTrue(hasattr(self, "test_" + name[:-5].replace("-", "_")), name)

    def test_server(self):
        self.start("server.json")

    def test_server_open(self):
        self.start("server-open.json")

    def test_server_packets(self):
        self.needs_tun2socks()
        self.start("server-packets.json")

    def test_client_dns(self):
        self.start("client-dns.json")

    def test_client_socks5(self):
        self.start("client-socks5.json")

    def test_client_device(self):
        self.needs_tun2socks()
        if os.geteuid() != 0 or not os.path.exists("/dev/net/tun") or not shutil.which("unshare"):
            self.skipTest("needs root, /dev/net/tun and unshare")
        self.start("client-device.json", ["unshare", "-n"])

    def test_the_one_that_is_installed(self):
        run(UDPTUND, "--config", source("packaging/systemd/udptund.json"), "--check-config")


if __name__ == "__main__":
    unittest.main()
