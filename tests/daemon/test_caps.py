# SPDX-License-Identifier: Apache-2.0
"""A cap that is reached is said, and what has reached it leaves the rest alone."""
import socket
import struct
import time
import unittest

from daemon import DEADLINE_S, TestCase, free_port

SERVER = {"name": "s", "role": "server", "listen": "127.0.0.1:0",
          "allowTargets": ["127.0.0.0/8"]}


def udp_packet(port):
    """An IPv4 packet with a UDP datagram from a port of 10.9.0.2; without a UDP checksum."""
    payload = struct.pack("!HHHH", port, 9, 8 + 1, 0) + b"x"
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, 17, 0,
                         bytes((10, 9, 0, 2)), bytes((127, 0, 0, 1)))
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xffff) + (total >> 16)
    check = ~((total & 0xffff) + (total >> 16)) & 0xffff
    return header[:10] + struct.pack("!H", check) + header[12:] + payload


class Caps(TestCase):
    def begin(self, server=None, local=None, **options):
        """A server, an echo behind it and a local in front of it, in one daemon."""
        self.d = self.daemon(**options)
        self.c = self.d.client()
        self.addCleanup(self.c.close)
        self.echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.echo.close)
        self.echo.bind(("127.0.0.1", 0))
        self.echo.settimeout(DEADLINE_S)
        value = self.ok(self.c.call("configureUdpTunnel", {**SERVER, **(server or {})}))
        self.server = value["tunnel"]["listen"]
        self.near = self.local("near", **(local or {}))

    def local(self, name, **fields):
        value = self.ok(self.c.call("configureUdpTunnel", {
            "name": name, "role": "local", "listen": "udp://127.0.0.1:0", "server": self.server,
            "target": "127.0.0.1:%d" % self.echo.getsockname()[1], "wait": DEADLINE_S, **fields}))
        self.assertEqual(value["tunnel"]["state"], "established", value)
        return int(value["tunnel"]["listen"].rsplit(":", 1)[1])

    def send(self, count, to, arrive=True):
        """One datagram each from so many ports."""
        for i in range(count):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.sendto(b"x", ("127.0.0.1", to))
            if arrive:
                self.echo.recv(16)

    def status(self, name):
        whole = self.ok(self.c.call("getStatus"))
        for object in whole["udpTunnels"] + whole["tun2socks"]:
            if object["name"] == name:
                return whole["health"], object.get("lastError", ""), object
        raise AssertionError(name)

    def wait_for_error(self, name, text):
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            health, error, object = self.status(name)
            if text in error:
                self.assertEqual(health, "degraded")
                return object
            time.sleep(0.05)
        raise AssertionError((text, self.status(name)))

    def test_the_flows_of_a_server(self):
        self.begin(server={"maxFlows": 3})
        self.send(3, self.near)
        self.assertEqual(self.status("s")[:2], ("ok", ""))
        self.send(2, self.near)
        self.assertEqual(self.wait_for_error("s", "maxFlows (3)")["state"], "listening")
        self.assertEqual(self.status("near")[1], "")
        self.assertEqual(self.d.log_text().count("maxFlows (3)"), 1)

    def test_the_flows_of_a_local(self):
        self.begin(local={"maxFlows": 2})
        self.send(4, self.near)
        self.assertEqual(self.wait_for_error("near", "maxFlows (2)")["state"], "established")

    def test_the_flows_of_one_client(self):
        self.begin(server={"maxFlowsPerSession": 2})
        self.send(4, self.near)
        self.wait_for_error("s", "maxFlowsPerSession (2)")

    def test_the_sessions_of_a_server(self):
        self.begin(server={"maxSessions": 1})
        self.ok(self.c.call("configureUdpTunnel", {
            "name": "far", "role": "local", "listen": "udp://127.0.0.1:0", "server": self.server,
            "target": "127.0.0.1:9"}))
        self.wait_for_error("s", "maxSessions (1)")

    def test_the_external_ports_of_a_server(self):
        port = free_port(socket.SOCK_DGRAM)
        self.begin(server={"portRange": "%d-%d" % (port, port)})
        self.send(1, self.near)
        self.send(1, self.near, arrive=False)
        self.wait_for_error("s", "no free port in portRange %d-%d" % (port, port))

    def test_the_udp_flows_of_tun2socks(self):
        self.begin()
        path = self.d.folder + "/packets"
        self.ok(self.c.call("configureTun2socks", {
            "name": "g", "device": "unix:" + path, "udp": "direct", "tcp": "reject",
            "maxUdpFlows": 2}))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as device:
            device.connect(path)
            for port in range(1000, 1002):
                device.send(udp_packet(port))
            self.assertEqual(self.status("g")[:2], ("ok", ""))
            device.send(udp_packet(1002))
            self.assertEqual(self.wait_for_error("g", "maxUdpFlows (2)")["udpFlows"], 2)

    def test_flows_leave_descriptors_to_streams_and_commands(self):
        self.begin(descriptors=64)
        self.send(100, self.near, arrive=False)
        self.wait_for_error("s", "a new flow: this process has too many open files (64)")
        self.local("later", connections=2) # its streams, at both of their ends
        with self.d.client() as another:
            self.ok(another.call("getStatus"))
            self.ok(another.call("configureUdpTunnel", {**SERVER, "name": "more"}))


    def test_the_idlest_flow_makes_room_where_descriptors_or_ports_ran_out(self):
        port = free_port(socket.SOCK_DGRAM)
        for server, options in (({}, {"descriptors": 64}),
                                ({"portRange": "%d-%d" % (port, port)}, {})):
            with self.subTest(server):
                self.begin(server=server, **options)
                self.send(60, self.near, arrive=False)
                self.wait_for_error("s", "this process has too many" if options else "portRange")
                self.echo.settimeout(0.3)
                for _ in range(5):
                    self.get_through(self.near)

    def get_through(self, to):
        """A new flow, whose app sends again while there is no answer."""
        end = time.monotonic() + DEADLINE_S
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            while time.monotonic() < end:
                s.sendto(b"new", ("127.0.0.1", to))
                try:
                    if self.echo.recv(16) == b"new":
                        return
                except socket.timeout:
                    pass
        raise AssertionError(self.status("s"))


if __name__ == "__main__":
    unittest.main()
