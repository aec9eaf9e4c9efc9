# SPDX-License-Identifier: Apache-2.0
"""The Python package against the real udptund."""
import os
import subprocess
import sys
import unittest

import daemon
from daemon import TestCase

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIB = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(daemon.UDPTUND))), "lib")
os.environ.setdefault("UDPTUN_LIB", LIB)
sys.path.insert(0, os.path.join(ROOT, "libclient", "python"))
if not daemon.sanitized():
    import udptun  # noqa: E402  pylint: disable=import-error,wrong-import-position

SERVER = {"name": "far", "role": "server", "listen": "127.0.0.1:0", "allowTargets": ["127.0.0.0/8"]}

EXAMPLE = '''
import sys, udptun
with udptun.Client(sys.argv[1]) as client:
    client.subscribe("state")
    client.configure_tunnel({"name": "near", "role": "local", "listen": "udp://127.0.0.1:0",
                             "server": sys.argv[2], "target": "127.0.0.1:7"}, wait_s=30)
    print(client.status("near")["udpTunnels"][0]["state"])
    print(next(client.events(30))["data"]["name"])
    client.remove_tunnel("near")
'''


@unittest.skipIf(daemon.sanitized(), "a sanitized library cannot be loaded into a plain interpreter")
class Python(TestCase):
    def setUp(self):
        self.d = self.daemon()
        self.client = udptun.Client(self.d.socket)
        self.addCleanup(self.client.close)

    def test_events_a_tunnel_and_its_status_in_ten_lines(self):
        self.client.configure_tunnel(SERVER)
        listen = self.client.status("far")["udpTunnels"][0]["listen"]
        self.assertLessEqual(len(EXAMPLE.strip().splitlines()), 10)
        run = subprocess.run([sys.executable, "-c", EXAMPLE, self.d.socket, listen], text=True,
                             capture_output=True, timeout=daemon.DEADLINE_S, check=False,
                             env=dict(os.environ, PYTHONPATH=sys.path[0]))
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertEqual(run.stdout, "established\nnear\n")

    def test_every_method(self):
        c = self.client
        self.assertEqual(c.hello()["server"], "udptund")
        self.assertTrue(c.configure_tunnel(SERVER, wait_s=10))
        self.assertFalse(c.configure_tunnel({"name": "far"}, merge=True))
        self.assertEqual((c.sessions("far"), list(c.flows("far"))), ([], []))
        config = c.export_config()
        self.assertTrue(c.remove_tunnel("far"))
        self.assertFalse(c.remove_tunnel("far"))
        self.assertFalse(c.remove_tun2socks("far"))
        self.assertEqual(c.apply_config(config, prune=True, dry_run=True)["created"], ["far"])
        self.assertEqual(c.apply_config(config)["created"], ["far"])
        c.set_log_level("debug", "control")
        c.reload_config()
        self.assertIn("# EOF", c.metrics())
        self.assertRegex(udptun.version(), r"^\d+\.\d+\.\d+$")
        c.shutdown()
        self.assertEqual(self.d.process.wait(daemon.DEADLINE_S), 0)

    def test_errors_have_code_field_and_message(self):
        for call, name, field in (
                (lambda: self.client.configure_tunnel(dict(SERVER, listen="nowhere")),
                 "INVALID_PARAM", "parameters.listen"),
                (lambda: self.client.status("none"), "NOT_FOUND", "parameters.name"),
                (lambda: self.client.ping("none"), "NOT_FOUND", "parameters.name"),
                (lambda: self.client.call("nope"), "BAD_REQUEST", "action"),
                (lambda: self.client.close_session("none", "x"), "NOT_FOUND",
                 "parameters.name")):
            with self.assertRaises(udptun.Error) as raised:
                call()
            self.assertEqual((raised.exception.name, raised.exception.field), (name, field))
            self.assertTrue(str(raised.exception))
        with udptun.Client(self.d.socket + ".none") as nobody:
            with self.assertRaises(udptun.Error) as raised:
                nobody.status()
            self.assertEqual(raised.exception.name, "UNREACHABLE")
        with self.assertRaises(udptun.Error):
            udptun.Client("x" * 300)

    def test_a_closed_client_raises(self):
        self.client.close()
        self.client.close()
        for call in (self.client.status, lambda: self.client.subscribe("state"),
                     lambda: next(self.client.events(0))):
            with self.assertRaises(ValueError):
                call()

    def test_events_end_with_the_connection_or_the_time(self):
        self.client.subscribe("state")
        self.client.hello()
        self.assertEqual(list(self.client.events(0.05)), [])
        self.d.stop()
        self.assertEqual(list(self.client.events()), [])


if __name__ == "__main__":
    unittest.main()
