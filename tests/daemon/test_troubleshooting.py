# SPDX-License-Identifier: Apache-2.0
"""What docs/troubleshooting.md tells to type is typed, and the options that it names are there.

Its command of tshark is that of test_wireshark.py.
"""
import os
import re
import select
import signal
import subprocess
import time
import unittest

from daemon import TestCase

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.dirname(os.environ["UDPTUND"])
OF_OTHERS = {"--acl", "--no-delay"}  # Shadowsocks has them
GUARD_S = 60

with open(os.path.join(ROOT, "docs", "troubleshooting.md"), encoding="utf-8") as page:
    PAGE = page.read()


def commands():
    """In blocks, where the words behind three blanks say what it is for, and in the text."""
    for block, text in re.findall(r"^    udptunctl (.*)$|`udptunctl ([^`\n]*)`", PAGE, re.M):
        yield re.split(r"   +", block or text)[0].split()


class Page(TestCase):
    def setUp(self):
        self.d = self.daemon()
        self.command = self.d.client()
        self.addCleanup(self.command.close)
        server = self.configure(name="far", role="server", listen="127.0.0.1:0")
        self.server = server["tunnel"]["listen"]
        self.configure(name="NAME", role="local", listen="udp://127.0.0.1:0",
                       target="127.0.0.1:9", server=self.server, wait=GUARD_S)

    def configure(self, **tunnel):
        return self.ok(self.command.call("configureUdpTunnel", tunnel))

    def words(self, command):
        there = {"…": f"--server {self.server}", "udp://127.0.0.1:5353": "udp://127.0.0.1:0"}
        words = " ".join(there.get(word, word) for word in command).split()
        return [os.path.join(BIN, "udptunctl"), "-s", self.d.socket, *words]

    def run_to_end(self, command):
        done = subprocess.run(self.words(command), capture_output=True, text=True, timeout=GUARD_S)
        self.assertEqual(done.returncode, 0, (command, done.stderr))

    def watch(self, command):
        """It goes on until it is told to stop; a line comes when something happens."""
        end = time.monotonic() + GUARD_S
        with subprocess.Popen(self.words(command), stdout=subprocess.PIPE, text=True) as watcher:
            try:
                while not select.select([watcher.stdout], [], [], 0.1)[0]:
                    self.assertLess(time.monotonic(), end, command)
                    self.ok(self.command.call("reloadConfig"))
                self.assertTrue(watcher.stdout.readline(), command)
            finally:
                watcher.send_signal(signal.SIGINT)

    def test_commands(self):
        typed = list(commands())
        self.assertGreater(len(typed), 8)
        for command in typed:
            with self.subTest(command=command):
                if command[0] == "events":
                    self.watch(command)
                else:
                    self.run_to_end(command)

    def test_options(self):
        said = ""
        for command in (["udptunctl", "help", "local"], ["udptunctl", "help", "server"],
                        ["udptunctl", "help", "tun2socks"], ["udptund", "--help"],
                        ["ProxyController", "--help"]):
            said += subprocess.run([os.path.join(BIN, command[0]), *command[1:]], check=True,
                                   capture_output=True, text=True).stdout
        named = set(re.findall(r"`(--[a-z0-9-]+)", PAGE))
        self.assertGreater(len(named), 8)
        for option in named - OF_OTHERS:
            self.assertRegex(said, rf"{option}\b")


if __name__ == "__main__":
    unittest.main()
