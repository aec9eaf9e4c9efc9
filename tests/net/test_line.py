# SPDX-License-Identifier: Apache-2.0
"""test_line.py - the delay, loss and rate line itself, for measurements rest on it."""

import os
import select
import socket
import subprocess
import time
import unittest

import harness
from harness import CLIENT, SERVER, NetTest

PORT = 7000


class Line(NetTest):
    @classmethod
    def build(cls):
        cls.line = cls.net.start("router", os.path.join(harness.BIN, "line"), "--a",
                                 cls.net.client.name, "--b", cls.net.server.name, "--seed", "7",
                                 stdin=subprocess.PIPE)
        cls.line.wait_log("ready")
        for name, own, far in (("client", CLIENT, SERVER), ("server", SERVER, CLIENT)):
            cls.net._ip(cls.net.namespaces[name], f"route add {far}/32 dev line0 src {own}")
        cls.near, cls.far = cls.net.client.udp(CLIENT, PORT), cls.net.server.udp(SERVER, PORT)

    def setUp(self):
        for text in ("delay 0", "jitter 0", "loss 0", "rate 0", "queue 1000ms", "cut 0",
                     "drop fin off", "drop rst off", "resume"):
            self.command(text)

    def command(self, text, answer="ok"):
        said = len(self.line.log())
        self.line.type(text + "\n")
        self.line.wait_log(f"^{answer}$", after=said)
        return self.line.log()[said:]

    def send(self, count=1, size=100, back=False):
        source, to = (self.far, CLIENT) if back else (self.near, SERVER)
        for number in range(count):
            source.sendto(number.to_bytes(4, "big") + bytes(size - 4), (to, PORT))

    def receive(self, back=False, seconds=0.5):
        """The numbers of what comes until nothing does for a while."""
        sink, numbers = (self.near if back else self.far), []
        while select.select([sink], [], [], seconds)[0]:
            numbers.append(int.from_bytes(sink.recv(2000)[:4], "big"))
        return numbers

    def test_nothing_comes_before_its_delay(self):
        self.command("delay 60/140")
        for back, delay_s in ((False, 0.06), (True, 0.14)):
            start = time.monotonic()
            self.send(back=back)
            (self.near if back else self.far).recv(2000)
            self.assertGreaterEqual(time.monotonic() - start, delay_s)

    def test_order_is_kept_under_jitter_and_changes(self):
        self.command("jitter 50")
        self.send(100)
        self.command("delay 100")
        self.send(100)
        self.command("delay 0")
        self.send(100)
        self.assertEqual(self.receive(), list(range(100)) * 3)

    def test_loss_is_of_its_direction_and_about_its_share(self):
        self.command("loss 20/0")
        self.send(200)
        self.send(200, back=True)
        self.assertTrue(100 < len(self.receive()) < 195)
        self.assertEqual(self.receive(back=True), list(range(200)))

    def test_rate_takes_its_time_and_its_queue_is_bounded(self):
        self.command("rate 1")
        self.command("queue 16KiB")
        start = time.monotonic()
        self.send(100, size=972)  # 1000 bytes with their headers: 8 ms each
        came = self.receive()
        self.assertGreaterEqual(time.monotonic() - start, 0.008 * len(came))
        self.assertEqual(came[:17], list(range(17)))  # a full queue and the one being sent
        self.assertLess(len(came), 100)

    def test_cut_drops_what_is_under_way_too(self):
        self.command("delay 100")
        self.send(10)
        self.command("cut 60")
        self.send(10)
        self.assertEqual(self.receive(), [])
        self.command("cut 0")
        self.send()
        self.assertEqual(self.receive(), [0])

    def test_pause_holds_back_and_loses_nothing(self):
        self.command("pause")
        self.send(100)
        self.assertEqual(self.receive(), [])
        self.command("resume")
        self.assertEqual(self.receive(), list(range(100)))

    def test_fin_and_rst_are_dropped_and_the_rest_is_not(self):
        listener = self.net.server.listener(SERVER, PORT)
        for flag in ("fin", "rst"):
            with self.subTest(flag):
                client = self.net.client.tcp(SERVER, PORT)
                server = listener.accept()[0]
                self.command(f"drop {flag} on")
                client.send(b"x")
                self.assertEqual(server.recv(10), b"x")
                if flag == "rst":  # no time to linger: closed by RST
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
                self.assertFalse(select.select([server], [], [], 0.3)[0], "the end came through")
                self.assertGreater(self.filtered(), 0)
                server.close()
        listener.close()

    def filtered(self):
        said = len(self.line.log())
        self.line.type("stats\n")
        return int(self.line.wait_log(r"^a-to-b .*filtered=(\d+)", after=said).group(1))

    def test_a_bad_command_changes_nothing_and_names_the_thing(self):
        self.assertIn("cut: '60/x'", self.command("cut 60/x", "error"))
        self.assertIn("such command", self.command("dely 1", "error"))
        self.send(20)
        self.assertEqual(self.receive(), list(range(20)))

    def test_what_cannot_be_had_is_named(self):
        tool = os.path.join(harness.BIN, "line")
        for arguments, text in ((["--a", "nowhere", "--b", "x"], "nowhere"),
                                (["--a", "x"], "--a and --b"),
                                (["--a", "x", "--b", "y", "--rate", "fast"], "rate: 'fast'")):
            done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(text, done.stderr)


if __name__ == "__main__":
    unittest.main()
