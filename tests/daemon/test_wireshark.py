# SPDX-License-Identifier: Apache-2.0
"""packaging/wireshark/udpt.lua on a capture of a real tunnel.

To capture takes a network namespace of the test's own: it starts itself again in one.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from daemon import DEADLINE_S, TestCase

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DISSECTOR = os.path.join(ROOT, "packaging", "wireshark", "udpt.lua")
INSIDE = "UDPTUN_TEST_NAMESPACE"


class Wireshark(TestCase):
    def capture(self):
        """A running dumpcap on loopback, and its file."""
        folder = tempfile.mkdtemp(prefix="udptund-test-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "capture")
        process = subprocess.Popen(["dumpcap", "-q", "-i", "lo", "-f", "tcp", "-w", path],
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.mark(path, b"the capture begins")
        return process, path

    def mark(self, path, text):
        """Send `text` over TCP until it is in the capture, and so all that went before it."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            with socket.create_server(("127.0.0.1", 0)) as listener, \
                    socket.create_connection(listener.getsockname()) as sender:
                sender.sendall(text)
                time.sleep(0.1)
            if os.path.exists(path):
                with open(path, "rb") as f:
                    if text in f.read():
                        return
        self.fail("dumpcap does not capture")

    def talk(self, payloads):
        """Each payload through a tunnel and back; the id of its session."""
        d = self.daemon()
        with d.client() as c, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as app:
            for s in (echo, app):
                s.bind(("127.0.0.1", 0))
                s.settimeout(DEADLINE_S)
            target = "127.0.0.1:%d" % echo.getsockname()[1]
            far = self.ok(c.call("configureUdpTunnel", {
                "name": "far", "role": "server", "listen": "127.0.0.1:0", "target": target}))
            near = self.ok(c.call("configureUdpTunnel", {
                "name": "near", "role": "local", "listen": "udp://127.0.0.1:0", "wait": 60,
                "server": far["tunnel"]["listen"], "target": target}))
            entry = ("127.0.0.1", int(near["tunnel"]["listen"].rpartition(":")[2]))
            for payload in payloads:
                app.sendto(payload, entry)
                data, source = echo.recvfrom(65535)
                echo.sendto(data, source)
                self.assertEqual(app.recv(65535), payload)
            session = self.ok(c.call("listSessions", {"name": "far"}))["sessions"][0]["session"]
            self.ok(c.call("removeUdpTunnel", {"name": "near"}))
        self.assertEqual(d.stop(), 0)
        return session

    def dissect(self, path):
        """{field: [every value in the capture]} of the fields of UDPT, and what went wrong."""
        run = subprocess.run(["tshark", "-n", "-r", path, "-X", "lua_script:" + DISSECTOR,
                              "-T", "json", "--no-duplicate-keys", "-Y",
                              "udpt || _ws.malformed || _ws.lua.error"],
                             capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertNotIn("Lua", run.stderr)
        found = {}

        def walk(part, key):
            if isinstance(part, dict):
                for name, below in part.items():
                    walk(below, name)
            elif isinstance(part, list):
                for below in part:
                    walk(below, key)
            else:
                found.setdefault(key, []).append(part)
        walk([packet["_source"]["layers"] for packet in json.loads(run.stdout)], "")
        return found

    def test_a_capture_of_a_tunnel_is_understood_to_the_last_byte(self):
        payloads = [b"hello, wireshark", b"", bytes(range(256)) * 200] + [b"again"] * 20
        process, path = self.capture()
        session = self.talk(payloads)
        self.mark(path, b"the capture ends")
        process.send_signal(signal.SIGINT)
        process.wait(DEADLINE_S)
        found = self.dissect(path)
        self.assertEqual([key for key in found
                          if key in ("_ws.malformed", "_ws.lua.error", "udpt.broken")], [])
        self.assertEqual({value.replace(":", "") for value in found["udpt.session"]}, {session})
        messages = found["udpt.message"]
        self.assertGreaterEqual(messages.count("1"), 2)  # the control leg, a data leg
        for kind in ("2", "3"):
            self.assertEqual(messages.count(kind), messages.count("1"))
        self.assertLessEqual({"0", "1"}, set(found["udpt.intent"]))
        seen = [bytes.fromhex(value.replace(":", "")) for value in found["udpt.payload"]]
        for payload in set(payloads) - {b""}:
            self.assertGreaterEqual(seen.count(payload), 2 * payloads.count(payload))
        kinds = {int(value) for value in found["udpt.control"]}
        self.assertLessEqual({0x02, 0x08, 0x0a, 0x12}, kinds)


if __name__ == "__main__":
    for tool in ("tshark", "dumpcap", "unshare", "ip"):
        if not shutil.which(tool):
            print(f"skipped: {tool} is not installed")
            sys.exit(77)
    if INSIDE not in os.environ:
        if subprocess.run(["unshare", "-rn", "true"], check=False).returncode:
            print("skipped: a network namespace cannot be had here")
            sys.exit(77)
        os.execvpe("unshare", ["unshare", "-rn", sys.executable, "-B", *sys.argv],
                   dict(os.environ, **{INSIDE: "1"}))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    unittest.main()
