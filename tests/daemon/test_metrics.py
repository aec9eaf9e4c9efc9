# SPDX-License-Identifier: Apache-2.0
"""The metrics on the command socket, and by HTTP where that was asked for."""
import http.client
import os
import re
import resource
import socket
import time
import unittest

from daemon import DEADLINE_S, UDPTUND, Daemon, TestCase, free_port

SERVER = {"name": "s", "role": "server", "listen": "127.0.0.1:0"}


def has_http():
    with open(UDPTUND, "rb") as f:
        return b"built without libhttp-parser" not in f.read()


class Socket(TestCase):
    def test_text_is_openmetrics(self):
        d = self.daemon()
        with d.client() as c:
            self.ok(c.call("configureUdpTunnel", SERVER))
            self.ok(c.call("configureUdpTunnel", dict(SERVER, name="z")))
            self.ok(c.call("hello", {"role": "observer"}))
            text = self.ok(c.call("getMetrics"))
        lines = text.split("\n")
        self.assertEqual(lines[-2:], ["# EOF", ""])
        family, seen = None, set()
        for line in lines[:-2]:
            head = re.fullmatch(r"# (TYPE|UNIT|HELP) (\w+) .+", line)
            if head and head.group(1) == "TYPE":
                family = head.group(2)
                self.assertNotIn(family, seen)
                seen.add(family)
            elif head:
                self.assertEqual(head.group(2), family)
            else:
                sample = re.fullmatch(r'(\w+?)(_total|_info)?(\{(\w+="[^"]*",?)+\})? [0-9.e+-]+',
                                      line)
                self.assertTrue(sample, line)
                self.assertEqual(sample.group(1), family)
        self.assertIn('udptun_tunnel_tx_packets_total{tunnel="z",role="server"} 0', lines)
        self.assertIn('udptun_tunnel_state{tunnel="s",role="server",'
                      'udptun_tunnel_state="listening"} 1', lines)


@unittest.skipUnless(has_http(), "built without libhttp-parser")
class Http(TestCase):
    def start(self):
        self.port = free_port()
        self.ready(self.daemon("--metrics", "127.0.0.1:%d" % self.port))

    def ready(self, d):
        """An answer comes when everything is up."""
        with d.client() as c:
            self.ok(c.call("hello"))

    def get(self, method="GET", target="/metrics", headers={}):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        self.addCleanup(c.close)
        c.request(method, target, headers=headers)
        reply = c.getresponse()
        return reply, reply.read()

    def talk(self, data):
        """The whole answer to raw bytes."""
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE_S) as s:
            s.sendall(data)
            answer = b""
            while True:
                part = s.recv(65536)
                if not part:
                    return answer
                answer += part

    def test_get_and_head(self):
        self.start()
        reply, body = self.get()
        self.assertEqual(reply.status, 200)
        self.assertIn("application/openmetrics-text", reply.getheader("Content-Type"))
        self.assertTrue(body.endswith(b"# EOF\n"))
        head, nothing = self.get("HEAD")
        self.assertEqual((head.status, nothing), (200, b""))
        self.assertGreater(int(head.getheader("Content-Length")), 100)
        self.assertEqual(self.get(target="/metrics?collect[]=x&" + "y" * 500)[0].status, 200)

    def test_everything_else_is_refused(self):
        self.start()
        self.assertEqual(self.get(target="/")[0].status, 404)
        self.assertEqual(self.get(target="/metricsx")[0].status, 404)
        self.assertEqual(self.get(target="/metrics" + "x" * 500)[0].status, 404)
        self.assertEqual(self.get("POST")[0].status, 405)
        self.assertTrue(self.talk(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400"))
        large = b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 9000
        self.assertTrue(self.talk(large).startswith(b"HTTP/1.1 431"))
        self.assertEqual(self.get()[0].status, 200)

    def test_a_request_in_pieces(self):
        self.start()
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE_S) as s:
            for byte in b"GET /metrics HTTP/1.0\r\n\r\n":
                s.sendall(bytes([byte]))
            self.assertTrue(s.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n"))

    def test_idle_connections_end_and_are_few(self):
        self.start()
        idle = [socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)
                for _ in range(20)]
        for s in idle:
            s.settimeout(DEADLINE_S)
            self.assertEqual(s.recv(1), b"")
            s.close()
        self.assertEqual(self.get()[0].status, 200)

    def test_unix_socket(self):
        d = Daemon(self)
        path = os.path.join(d.folder, "metrics.sock")
        d.arguments += ["--metrics", "unix:" + path]
        self.ready(d.start())
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(DEADLINE_S)
            s.connect(path)
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"200 OK", s.recv(65536))
        d.stop()
        self.assertFalse(os.path.exists(path))

    def test_beyond_loopback_they_are_served_with_a_warning(self):
        self.port = free_port()
        d = self.daemon("--metrics", "0.0.0.0:%d" % self.port)
        self.ready(d)
        self.assertEqual(self.get()[0].status, 200)
        self.assertIn("whoever can reach 0.0.0.0", d.log_text())

    def test_without_descriptors_it_rests_and_goes_on(self):
        self.port = free_port()
        d = self.daemon("--metrics", "127.0.0.1:%d" % self.port)
        self.ready(d)
        pid = d.process.pid

        def processor_s():
            with open("/proc/%d/stat" % pid, encoding="ascii") as f:
                fields = f.read().rpartition(")")[2].split()
            return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

        limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, limit[1]))
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE_S) as s:
            s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            before = processor_s()
            time.sleep(1)  # in which a loop that turns for nothing takes all it gets
            self.assertLess(processor_s() - before, 0.1)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
            s.settimeout(DEADLINE_S)
            self.assertIn(b"200 OK", s.recv(65536))

    def test_places_that_are_none(self):
        for place in ("nonsense", "127.0.0.1:99999", "127.0.0.1", "unix:"):
            status, err = Daemon(self, "--metrics", place).run_to_end()
            self.assertEqual(status, 2, err)
            self.assertIn("HOST:PORT", err)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            place = "127.0.0.1:%d" % taken.getsockname()[1]
            status, err = Daemon(self, "--metrics", place).run_to_end()
            self.assertEqual(status, 1)
            self.assertIn(place, err)


if __name__ == "__main__":
    unittest.main()
