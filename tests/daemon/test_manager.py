# SPDX-License-Identifier: Apache-2.0
"""What a service manager is told, and the socket that it may hand over."""
import json
import os
import re
import signal
import socket
import subprocess
import unittest

from daemon import DEADLINE_S, Daemon, TestCase


class Manager(TestCase):
    def setUp(self):
        self.d = Daemon(self)
        self.notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notifications.close)
        self.notifications.settimeout(DEADLINE_S)

    def bind(self, address):
        self.notifications.bind(address)
        return address.replace("\0", "@")

    def start(self, environment, arguments=(), **options):
        log = open(self.d.log, "ab")
        self.addCleanup(log.close)
        self.d.process = subprocess.Popen(self.d.command() + list(arguments), stderr=log,
                                          env=dict(os.environ, **environment), **options)

    def told(self):
        return self.notifications.recv(4096).decode().split("\n")

    def test_ready_reload_and_stop(self):
        config = os.path.join(self.d.folder, "config.json")
        with open(config, "w") as f:
            json.dump({}, f)
        path = self.bind(os.path.join(self.d.folder, "notify"))
        self.start({"NOTIFY_SOCKET": path}, ["--config", config])
        ready = self.told()
        self.assertIn("READY=1", ready)
        self.assertTrue(any(line.startswith("STATUS=") for line in ready))
        with self.d.client() as c:  # ready means that it answers
            self.ok(c.call("hello"))
        self.d.process.send_signal(signal.SIGHUP)
        reloading = self.told()
        self.assertEqual(reloading[0], "RELOADING=1")
        self.assertTrue(re.fullmatch(r"MONOTONIC_USEC=\d+", reloading[1]))
        self.assertEqual(self.told(), ["READY=1"])
        self.assertEqual(self.d.stop(), 0)
        self.assertIn("STOPPING=1", self.told())

    def test_watchdog_in_the_abstract_namespace(self):
        path = self.bind("\0udptund-test-%d" % os.getpid())
        self.start({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "100000"})
        self.assertIn("READY=1", self.told())
        self.assertEqual(self.told(), ["WATCHDOG=1"])
        self.assertEqual(self.told(), ["WATCHDOG=1"])

    def hand_over(self, listener):
        """Start it with `listener` as descriptor 3, as a manager does."""
        log = open(self.d.log, "ab")
        self.addCleanup(log.close)
        # The shell tells its own process id, which the exec keeps.
        self.d.process = subprocess.Popen(
            ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh", *self.d.command()],
            stderr=log, preexec_fn=lambda: os.dup2(listener.fileno(), 3), pass_fds=(3,))

    def test_a_socket_that_was_handed_over(self):
        path = os.path.join(self.d.folder, "handed.sock")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            self.hand_over(listener)
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(DEADLINE_S)
                s.connect(path)
                s.sendall(b'{"action":"hello"}')
                self.assertIn(b'"role":"admin"', s.recv(65536))
            self.assertFalse(os.path.exists(self.d.socket))
            self.assertEqual(self.d.stop(), 0)
            self.assertTrue(os.path.exists(path))

    def test_something_else_that_was_handed_over(self):
        with socket.socket(socket.AF_INET) as other:
            self.hand_over(other)
            self.assertEqual(self.d.process.wait(DEADLINE_S), 1)
        self.assertIn("handed over", self.d.log_text())


if __name__ == "__main__":
    unittest.main()
