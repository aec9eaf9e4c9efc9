# SPDX-License-Identifier: Apache-2.0
"""packaging/wireshark/udpt.lua on captures of a real tunnel, and on made-up ones that have every
frame of docs/protocol.md and such as break its rules.

To capture takes a network namespace of the test's own: it starts itself again in one.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from daemon import DEADLINE_S, TestCase
from wireshark_capture import (DISSECTOR, PORT, ROOT, TO_CLIENT, TO_SERVER, Capture, dissect, summaries,
                               vectors)

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

    def end(self, process, path):
        """All is in the capture: what is in it."""
        self.mark(path, b"the capture ends")
        process.send_signal(signal.SIGINT)
        process.wait(DEADLINE_S)
        found = dissect(path, DEADLINE_S)
        self.assertEqual([key for key in found
                          if key in ("_ws.malformed", "_ws.lua.error", "udpt.broken")], [])
        return found

    def udp_socket(self):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind(("127.0.0.1", 0))
        s.settimeout(DEADLINE_S)
        return s

    def pair(self, c, target, far=None, near=None):
        """Two ends joined, with these fields more; where near takes datagrams."""
        far = self.ok(c.call("configureUdpTunnel", {
            "name": "far", "role": "server", "listen": "127.0.0.1:0", "target": target,
            **(far or {})}))
        near = self.ok(c.call("configureUdpTunnel", {
            "name": "near", "role": "local", "listen": "udp://127.0.0.1:0", "wait": 60,
            "server": far["tunnel"]["listen"], "target": target, **(near or {})}))
        return "127.0.0.1", int(near["tunnel"]["listen"].rpartition(":")[2])

    def talk(self, payloads, **fields):
        """Each payload through a tunnel and back; the id of its session."""
        d = self.daemon()
        echo, app = self.udp_socket(), self.udp_socket()
        with d.client() as c:
            entry = self.pair(c, "127.0.0.1:%d" % echo.getsockname()[1], near=fields)
            for payload in payloads:
                app.sendto(payload, entry)
                data, source = echo.recvfrom(65535)
                echo.sendto(data, source)
                self.assertEqual(app.recv(65535), payload)
            session = self.ok(c.call("listSessions", {"name": "far"}))["sessions"][0]["session"]
            self.ok(c.call("removeUdpTunnel", {"name": "near"}))
        self.assertEqual(d.stop(), 0)
        return session

    def test_a_capture_of_a_tunnel_is_understood_to_the_last_byte(self):
        payloads = [b"hello, wireshark", b"", bytes(range(256)) * 200] + [b"again"] * 20
        process, path = self.capture()
        session = self.talk(payloads)
        found = self.end(process, path)
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
        self.assertLessEqual({0x02, 0x08, 0x0a, 0x12, 0x1a}, kinds)
        self.assertIn("udpt.peer", found)  # a datagram by an id, and what the id stands for

    def test_copies_have_their_sequence_numbers_apart_from_the_payload(self):
        process, path = self.capture()
        self.talk([b"the same twice"] * 30, redundancy=2, connections=3)
        found = self.end(process, path)
        self.assertEqual({bytes.fromhex(value.replace(":", "")) for value in found["udpt.payload"]},
                         {b"the same twice"})
        self.assertGreater(len(set(found["udpt.sequence"])), 20)
        self.assertIn("udpt.peer", found)

    def test_a_life_with_an_error_an_end_and_a_refusal_is_told(self):
        process, path = self.capture()
        d = self.daemon()
        echo, app = self.udp_socket(), self.udp_socket()
        target = "127.0.0.1:%d" % echo.getsockname()[1]
        with d.client() as c:
            entry = self.pair(c, target, far={"maxSessions": 1, "flowTimeout": 1},
                              near={"flowTimeout": 1})
            app.sendto(b"there and back", entry)
            data, source = echo.recvfrom(100)
            echo.sendto(data, source)
            app.recv(100)
            echo.close()
            for _ in range(3):
                app.sendto(b"to nobody", entry)  # the target's port is unreachable now
                self.ok(c.call("pingTunnel", {"name": "near"}))
            self.ok(c.call("configureUdpTunnel", {
                "name": "near", "role": "local", "merge": True, "heartbeatInterval": 5}))
            while self.ok(c.call("listFlows", {"name": "near"}))["flows"]:
                time.sleep(0.05)  # until it was idle for long enough
            self.ok(c.call("pingTunnel", {"name": "near"}))
            far = self.ok(c.call("getStatus", {"name": "far"}))["udpTunnels"][0]
            self.ok(c.call("configureUdpTunnel", {
                "name": "second", "role": "local", "listen": "udp://127.0.0.1:0", "target": target,
                "server": far["listen"]}))
            while not re.search("sessions", self.ok(c.call("getStatus", {"name": "second"}))[
                    "udpTunnels"][0].get("lastError", "")):
                time.sleep(0.05)
        self.assertEqual(d.stop(), 0)
        found = self.end(process, path)
        kinds = {int(value) for value in found["udpt.control"]}
        # PING, PONG, OPENED, CLOSE, CLOSED, ERROR, SETTINGS, GOODBYE
        self.assertLessEqual({0x04, 0x06, 0x12, 0x14, 0x16, 0x17, 0x19, 0x1a}, kinds)
        self.assertIn("1", found["udpt.code"])     # port unreachable
        self.assertIn("4", found["udpt.message"])  # REFUSE: too many sessions
        self.assertIn("2", found["udpt.refusal"])


def control(kind, *fields):
    """A control frame: bytes as they are, numbers as varints."""
    body = b"\0" + b"".join(varint(f) if isinstance(f, int) else f for f in (kind, *fields))
    return varint(len(body)) + body


def varint(value):
    for size, mark in ((1, 0), (2, 1), (4, 2), (8, 3)):
        if value < 1 << 8 * size - 2:
            return (value | mark << 8 * size - 2).to_bytes(size, "big")
    raise ValueError(value)


IP4 = bytes([4, 0, 53, 192, 0, 2, 1])
IP6 = bytes([6, 1, 187]) + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
NAME = bytes([3, 0, 80, 11]) + b"example.org"
LABEL = bytes(range(1, 9))


class MadeUp(TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp(prefix="udptund-test-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.path = os.path.join(folder, "capture")
        self.capture = Capture()
        self.vectors = vectors()

    def stream(self, *server_port):
        """A leg whose handshake is that of the vectors."""
        stream = self.capture.stream(*server_port)
        stream.say(TO_SERVER, self.vectors["hello"])
        stream.say(TO_CLIENT, self.vectors["welcome"])
        stream.say(TO_SERVER, self.vectors["confirm-create"])
        return stream

    def found(self):
        return dissect(self.capture.write(self.path), DEADLINE_S)

    def well(self):
        found = self.found()
        self.assertEqual([key for key in found
                          if key in ("_ws.malformed", "_ws.lua.error", "udpt.broken")], [])
        return found

    def test_the_tables_are_those_of_the_protocol(self):
        with open(DISSECTOR, encoding="utf-8") as file:
            lua = file.read()
        with open(os.path.join(ROOT, "docs", "protocol.md"), encoding="utf-8") as file:
            page = file.read()
        rows = re.findall(r"^\| (0x\w\w) \| (\w+) \|", page, re.M)
        self.assertGreater(len(rows), 15)
        named = dict(re.findall(r"\[(0x\w\w)\] = \"(\w+)\"", lua))
        self.assertEqual(named, dict(rows))
        self.assertEqual(set(re.findall(r"^    \[(0x\w\w)\] = (?!\")", lua, re.M)), set(named))
        parameters = re.findall(r"^\| (\d+) \| (?:HELLO|WELCOME|both|HELLO, SETTINGS) \|", page, re.M)
        table = re.search(r"PARAMETERS = \{(.*?)\n\}", lua, re.S).group(1)
        self.assertEqual(re.findall(r"\[(\d+)\]", table), parameters)

    def test_every_vector_is_understood(self):
        stream = self.stream()
        for name in ("inline-ip4", "inline-ip6-label", "inline-name-sequence", "inline-port",
                     "inline-whole", "announce", "announced", "ack", "clock", "close", "closed",
                     "goodbye"):
            stream.say(TO_SERVER, self.vectors.pop(name))
        refused = self.capture.stream()
        refused.say(TO_SERVER, self.vectors["hello"])
        refused.say(TO_CLIENT, self.vectors["refuse"])
        joined = self.capture.stream()
        joined.say(TO_SERVER, self.vectors["hello"])
        joined.say(TO_CLIENT, self.vectors["welcome"])
        joined.say(TO_SERVER, self.vectors["confirm-join"])
        second = self.capture.stream()
        second.say(TO_SERVER, self.vectors["hello-2"])
        second.say(TO_CLIENT, self.vectors["welcome-2"])
        second.say(TO_SERVER, self.vectors["confirm-create-2"])
        # The secret is never sent; every other vector was said.
        self.assertEqual(set(self.vectors), {
            "hello", "welcome", "secret", "confirm-create", "confirm-join", "refuse",
            "hello-2", "welcome-2", "secret-2", "confirm-create-2", "confirm-join-2"})
        found = self.well()
        self.assertEqual(found["udpt.message"],
                         ["1", "2", "3", "1", "4", "1", "2", "3", "1", "2", "3"])
        self.assertEqual(len(found["udpt.share"]), 2)
        self.assertEqual(found["udpt.intent"], ["0", "1", "0"])
        self.assertEqual(found["udpt.epoch"][0], "0x1122334455667788")
        self.assertEqual(found["udpt.parameter"][:2], ["10000", "30000"])
        self.assertEqual(found["udpt.text"], ["the server has as many sessions as it may",
                                              "the server is stopping"][::-1])
        self.assertEqual({bytes.fromhex(v.replace(":", "")) for v in found["udpt.payload"]},
                         {b"hello"})
        self.assertEqual(len(found["udpt.payload"]), 6)
        self.assertEqual(found["udpt.peer"], ["192.0.2.1:53"])  # of the announced id
        self.assertEqual(found["udpt.peer.ipv6"], ["2001:db8::1"])
        self.assertEqual(found["udpt.peer.name"], ["example.org"])
        self.assertEqual(found["udpt.sequence"], ["9"])
        self.assertEqual(found["udpt.label"], ["0x0102030405060708"] * 2)
        self.assertEqual(found["udpt.source_port"], ["40001"])
        self.assertEqual(len(found["udpt.dont_fragment"]), 1)
        self.assertEqual(found["udpt.ack.received"], ["20000"])
        self.assertEqual(found["udpt.ack.delay_us"], ["1500"])
        self.assertEqual(found["udpt.time"], ["123456"])
        self.assertEqual(found["udpt.reason"], ["1", "1"])

    FRAMES = (
        (0x01, "CLOCK", (bytes([0, 0, 1, 0]),), {"udpt.time": ["256"]}),
        (0x02, "ACK", (2, 0, 1, 70000, 20, 3, 2, 5, 6),
         {"udpt.ack.count": ["2"], "udpt.leg": ["0", "3"], "udpt.ack.received": ["70000", "5"]}),
        (0x04, "PING", (LABEL,), {"udpt.token": ["0x0102030405060708"]}),
        (0x06, "PONG", (LABEL,), {"udpt.token": ["0x0102030405060708"]}),
        (0x08, "ANNOUNCE", (16384, b"\1", 9, IP6),
         {"udpt.announced": ["16384"], "udpt.binding": ["9"], "udpt.peer.port": ["443"]}),
        (0x0a, "ANNOUNCED", (6,), {"udpt.announced": ["6"]}),
        (0x0c, "RETIRE", (6,), {"udpt.announced": ["6"]}),
        (0x0e, "RETIRED", (7,), {"udpt.announced": ["7"]}),
        (0x10, "OPEN", (9, LABEL, bytes([0x30, 0x39, 0, 0])),
         {"udpt.label": ["0x0102030405060708"], "udpt.port4": ["12345"], "udpt.port6": ["0"]}),
        (0x12, "OPENED", (9, IP4), {"udpt.binding": ["9"], "udpt.peer.ipv4": ["192.0.2.1"]}),
        (0x14, "CLOSE", (9, 2), {"udpt.binding": ["9"], "udpt.reason": ["2"]}),
        (0x16, "CLOSED", (9,), {"udpt.binding": ["9"]}),
        (0x17, "ERROR", (9, 3, 1400, IP4), {"udpt.code": ["3"], "udpt.value": ["1400"]}),
        (0x19, "SETTINGS", (1, 2, 5000), {"udpt.parameter": ["5000"]}),
        (0x1a, "GOODBYE", (0, b"for good"), {"udpt.reason": ["0"], "udpt.text": ["for good"]}),
        (0x1c, "REFUSED", (5,), {"udpt.refusal": ["5"]}),
        (0x1e, "LEAVE", (3, 4), {"udpt.leg": ["3"], "udpt.generation": ["4"]}),
    )

    def test_every_control_frame_is_told_with_its_fields(self):
        with open(os.path.join(ROOT, "docs", "protocol.md"), encoding="utf-8") as file:
            listed = re.findall(r"^\| (0x\w\w) \| (\w+) \|", file.read(), re.M)
        self.assertEqual({(f"0x{kind:02x}", name) for kind, name, _, _ in self.FRAMES},
                         set(listed))
        stream = self.stream()
        handshake = self.well()
        for kind, name, fields, expected in self.FRAMES:
            with self.subTest(name):
                self.capture = Capture()
                self.stream().say(TO_SERVER, control(kind, *fields))
                found = self.well()
                self.assertEqual(found["udpt.control"], [str(kind)])
                for field, values in expected.items():
                    self.assertEqual(found[field][len(handshake.get(field, [])):], values, field)
            stream.say(TO_SERVER, control(kind, *fields))
        stream.capture.write(self.path)
        self.assertEqual(summaries(self.path, DEADLINE_S)[3:], [row[1] for row in self.FRAMES])

    def test_frames_are_found_however_the_stream_is_cut(self):
        frames = b"".join(control(kind, *fields) for kind, _, fields, _ in self.FRAMES)
        big = varint(60003) + varint(4) + b"x" * 60000 + b"yy"  # id 4, not announced here
        for segment in (1, 7, 1448):
            self.capture = Capture()
            stream = self.stream()
            stream.say(TO_SERVER, frames + (big if segment > 1 else b"") + frames, segment)
            found = self.well()
            self.assertEqual([int(kind) for kind in found["udpt.control"]],
                             [kind for kind, _, _, _ in self.FRAMES] * 2)

    def test_an_id_means_what_was_announced_last_on_whatever_leg(self):
        leg, other = self.stream(), self.stream()
        datagram = varint(6) + varint(4) + b"hello"
        other.say(TO_SERVER, datagram)  # not announced yet
        leg.say(TO_SERVER, control(0x08, 4, b"\0", 7, IP4))
        other.say(TO_SERVER, datagram)
        leg.say(TO_SERVER, control(0x08, 4, b"\1", 8, NAME))
        other.say(TO_SERVER, varint(10) + varint(4) + bytes([0, 0, 0, 99]) + b"hello")
        for options in ((), ("-2",)):  # in one pass, and in two as Wireshark goes
            found = dissect(self.capture.write(self.path), DEADLINE_S, *options)
            self.assertEqual(found["udpt.peer"], ["192.0.2.1:53", "example.org:80"])
            self.assertEqual(found["udpt.sequence"], ["99"])
            self.assertEqual({bytes.fromhex(v.replace(":", "")) for v in found["udpt.payload"]},
                             {b"hello"})
            said = summaries(self.path, DEADLINE_S, *options)
            self.assertIn("datagram by id 4, 5 bytes", said)
            self.assertEqual(said[-1], "datagram of 8 by id 4, example.org:80, 5 bytes")

    def test_what_breaks_the_rules_is_marked(self):
        for what, frame in (
                ("an unknown frame that may not be ignored", control(0x20, 1)),
                ("a token that ends too early", control(0x04, b"\0\0")),
                ("more entries than there are", control(0x02, 5, 1, 1, 1, 1)),
                ("no kind of address", control(0x12, 9, bytes([5, 0, 53, 1, 2, 3, 4]))),
                ("an address that ends too early", control(0x12, 9, IP6[:9])),
                ("a parameter that ends too late", control(0x19, 1, 9, 1))):
            with self.subTest(what):
                self.capture = Capture()
                stream = self.stream()
                stream.say(TO_SERVER, frame + control(0x04, LABEL))
                found = self.found()
                self.assertIn("udpt.broken", found)
                self.assertEqual(found["udpt.token"][-1], "0x0102030405060708")  # goes on behind
        self.capture = Capture()
        self.stream().say(TO_SERVER, control(0x21, 1, 2, 3))  # may be ignored
        self.well()

    def test_a_port_of_somebody_else_takes_an_option(self):
        self.stream(7000)
        self.assertEqual(self.found(), {})  # Gryphon's
        found = dissect(self.path, DEADLINE_S, "-o", "tcp.try_heuristic_first:TRUE")
        self.assertEqual(found["udpt.message"], ["1", "2", "3"])

    def test_a_capture_that_begins_later_takes_decode_as(self):
        stream = self.capture.stream()
        stream.say(TO_SERVER, self.vectors["inline-ip4"] + control(0x04, LABEL))
        self.assertEqual(self.found(), {})
        found = dissect(self.path, DEADLINE_S, "-d", f"tcp.port=={PORT},udpt")
        self.assertEqual(found["udpt.control"], ["4"])
        self.assertEqual(found["udpt.peer.ipv4"], ["192.0.2.1"])

    def test_other_streams_are_left_alone(self):
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"UDPT is not all that it takes", b"UDPT", b"U"):
            self.capture.stream().say(TO_SERVER, data)
        self.assertEqual(self.found(), {})


if __name__ == "__main__":
    for tool in ("tshark", "dumpcap", "unshare", "ip"):
        if not shutil.which(tool):
            print(f"skipped: {tool} is not installed")
            sys.exit(77)
    if INSIDE not in os.environ:
        if subprocess.run(["unshare", "-rn", "true"], check=False).returncode:
            print("skipped: cannot make a network namespace here")
            sys.exit(77)
        os.execvpe("unshare", ["unshare", "-rn", sys.executable, "-B", *sys.argv],
                   dict(os.environ, **{INSIDE: "1"}))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    unittest.main()
