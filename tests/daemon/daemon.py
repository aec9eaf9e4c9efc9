# SPDX-License-Identifier: Apache-2.0
"""daemon.py - udptund under test, and a client of its command socket in plain Python.

Waiting always has an end (DEADLINE_S), which guards against hanging and judges nothing.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import schema

UDPTUND = os.environ.get("UDPTUND", "build/bin/udptund")
DEADLINE_S = 60


def sanitized():
    """Is it a sanitizer's build? Those have memory of their own."""
    with open(UDPTUND, "rb") as f:
        return b"__asan_init" in f.read()


def free_port(kind=socket.SOCK_STREAM):
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Client:
    """One connection. Replies are lines."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(DEADLINE_S)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.received = b""

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        """The next reply, or None at the end of the connection."""
        while b"\n" not in self.received:
            data = self.socket.recv(65536)
            if not data:
                return None
            self.received += data
        line, _, self.received = self.received.partition(b"\n")
        return json.loads(line)

    def call(self, action, parameters=None, id=None):
        request = {"action": action}
        if parameters is not None:
            request["parameters"] = parameters
        if id is not None:
            request["id"] = id
        self.send(json.dumps(request))
        reply = self.line()
        wrong = schema.check_reply(reply) if reply else []
        if wrong:
            raise AssertionError("not as docs/schema says: " + "; ".join(wrong))
        return reply

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Daemon:
    """A udptund with a folder of its own; it is killed at the end if it still runs."""

    def __init__(self, test, *arguments, state=True, descriptors=None):
        self.folder = tempfile.mkdtemp(prefix="udptund-test-")
        test.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.test = test
        test.addCleanup(self.no_sanitizer_spoke)
        test.addCleanup(self.kill)
        self.socket = os.path.join(self.folder, "run", "control.sock")
        self.state = os.path.join(self.folder, "state")
        self.log = os.path.join(self.folder, "log")
        self.arguments = list(arguments)
        self.arguments += ["--state-dir", self.state] if state else ["--no-state"]
        self.limit = [f"--nofile={descriptors}:{descriptors}"] if descriptors else []
        self.process = None

    def command(self):
        prefix = ["prlimit", *self.limit] if self.limit else []
        return [*prefix, UDPTUND, "--socket", self.socket, *self.arguments]

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stderr=log)
        self.wait_until_it_answers()
        return self

    def wait_until_it_answers(self):
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            try:
                Client(self.socket).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    raise AssertionError("udptund ended: " + self.log_text())
                time.sleep(0.01)
        raise AssertionError("udptund does not answer: " + self.log_text())

    def run_to_end(self):
        """Start what is expected to end by itself: (exit status, standard error)."""
        done = subprocess.run(self.command(), stderr=subprocess.PIPE, timeout=DEADLINE_S)
        return done.returncode, done.stderr.decode()

    def client(self):
        return Client(self.socket)

    def stop(self, number=signal.SIGTERM):
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def no_sanitizer_spoke(self):
        self.test.assertNotIn("Sanitizer", self.log_text())
        self.test.assertNotIn("runtime error", self.log_text())

    def log_text(self):
        if not os.path.exists(self.log):
            return ""
        with open(self.log, errors="replace") as log:
            return log.read()


class TestCase(unittest.TestCase):
    maxDiff = None

    def daemon(self, *arguments, **options):
        return Daemon(self, *arguments, **options).start()

    def ok(self, reply):
        self.assertEqual(reply["statusCode"], 0, reply)
        return reply.get("returnValue")

    def fails(self, reply, code, name, field=None):
        """`reply` is that error, about that field."""
        self.assertEqual(reply["statusCode"], code, reply)
        self.assertEqual(reply["error"]["code"], name, reply)
        self.assertEqual(reply["error"].get("field"), field, reply)
        self.assertTrue(reply["errorMessage"])
        return reply
