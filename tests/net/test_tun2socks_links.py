# SPDX-License-Identifier: Apache-2.0
"""Apps behind this host, descriptors of every kind, and links that come and go.

    third ── router ── client (tun0 ─▶ tun2socks ─▶ direct or a proxy) ── router ── server

The client is a gateway here: third's packets to the server's network enter the client's device.
"""

import errno
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
import unittest

import traffic
from harness import (CLIENT, CLIENT6, GUARD_S, ROUTER, SERVER, SERVER6, THIRD, THIRD6,
                     NetTest, need)

WEB = 8000
SIZE = 2_000_000

# A file of SIZE bytes for whoever asks for it; others get a byte now and then, without an end.
SERVE = """
import socket, sys, threading, time
sys.path.insert(0, sys.argv[1])
import traffic
listener = socket.create_server(("::", int(sys.argv[2])), family=socket.AF_INET6,
                                dualstack_ipv6=True)
def serve(conn):
    if conn.recv(4) == b"file":
        conn.sendall(traffic.pattern(int(sys.argv[3]), "links"))
        conn.close()
    else:
        while True:
            conn.sendall(b"x")
            time.sleep(0.2)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


def configure(daemon, **instance):
    """Configure an instance; where udptund was built without tun2socks the test is skipped."""
    reply = daemon.request("configureTun2socks", instance)
    if reply["statusCode"] == 105:
        raise unittest.SkipTest(reply["errorMessage"])
    if reply["statusCode"] != 0:
        raise AssertionError(f"{instance}: {reply}")


def start_server(net):
    """The file's bytes; the server serves them."""
    net.start("server", sys.executable, "-c", SERVE, os.path.dirname(traffic.__file__), str(WEB),
              str(SIZE), name="web").wait_listening(WEB)
    return traffic.pattern(SIZE, "links")


def fragments(namespace):
    """How many fragments of IPv4 a namespace's kernel has made."""
    with namespace.inside(), open("/proc/net/snmp", encoding="ascii") as file:
        names, values = [line.split() for line in file if line.startswith("Ip:")]
    return int(values[names.index("FragCreates")])


class Forwarded(NetTest):
    """An app on another machine, whose links carry 1,500 bytes, behind a device of 65,535."""

    @classmethod
    def build(cls):
        net = cls.net
        cls.data = start_server(net)
        cls.client = net.daemon("client")
        configure(cls.client, name="gateway", device="tun:tun0", address="10.9.0.1/24",
                  address6="fd09::1/64", tcp="direct", udp="direct", bindDevice="eth0")
        # pylint: disable=protected-access
        net.client.write_sysctl("ipv4/ip_forward", "1")
        net.client.write_sysctl("ipv6/conf/all/forwarding", "1")
        for name in ("all", "eth0", "tun0"):
            net.client.write_sysctl(f"ipv4/conf/{name}/rp_filter", "0")
        # third's way to the server leads over the client
        for family, third, client, server in (("-4", THIRD, CLIENT, SERVER),
                                              ("-6", THIRD6, CLIENT6, SERVER6)):
            for namespace, way in ((net.router, ["via", client]), (net.client, ["dev", "tun0"])):
                ip = ["ip", "-n", namespace.name, family]
                subprocess.run([*ip, "rule", "add", "from", third, "to", server, "table", "77"],
                               check=True)
                subprocess.run([*ip, "route", "add", "default", *way, "table", "77"], check=True)

    def to_apps(self):
        return self.client.call("getStatus", {"name": "gateway"})["tun2socks"][0]["rxBytes"]

    def fetch(self, host):
        made, before = fragments(self.net.client), self.to_apps()
        with self.net.third.tcp(host, WEB) as app:
            app.sendall(b"file")
            got = b""
            while piece := app.recv(65536):
                got += piece
        self.assertEqual(got, self.data)
        self.assertEqual(fragments(self.net.client), made)
        self.assertGreater(self.to_apps(), before + SIZE) # it came by way of the device

    def test_two_megabytes_by_ipv4(self):
        self.fetch(SERVER)

    def test_two_megabytes_by_ipv6(self):
        self.fetch(SERVER6)


class Descriptors(NetTest):
    """fd:N with every kind of interface: served, or refused with a reason."""

    KINDS = {"plain": 0x1001, "information": 0x0001, "virtio": 0x5001, "both": 0x4001,
             "tap": 0x1002}

    @classmethod
    def build(cls):
        cls.client = cls.net.daemon("client")

    def configure(self, fd):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(GUARD_S)
            sock.connect(self.client.socket_path)
            message = {"action": "configureTun2socks",
                       "parameters": {"name": "fd", "device": "fd:0", "tcp": "reject",
                                      "udp": "reject"}}
            socket.send_fds(sock, [json.dumps(message).encode()], [fd])
            with sock.makefile(encoding="utf-8") as lines:
                return json.loads(lines.readline())

    def interface(self, flags):
        with self.net.client.inside():
            fd = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", b"tun9", flags))
        return fd

    def test_devices_are_served(self):
        for kind in ("plain", "information", "virtio", "both"):
            with self.subTest(kind):
                fd = self.interface(self.KINDS[kind])
                try:
                    self.net._ip(self.net.client, # pylint: disable=protected-access
                                 "addr add 10.8.0.1/24 dev tun9", "link set tun9 up")
                    reply = self.configure(fd)
                    self.assertEqual(reply["statusCode"], 0, reply)
                    with self.net.client.inside():
                        subprocess.run([need("ping"), "-c", "2", "-i", "0.2", "-W", "3",
                                        "10.8.0.77"], check=True, capture_output=True)
                finally:
                    self.client.call("removeTun2socks", {"name": "fd"})
                    os.close(fd)

    def test_what_cannot_serve_is_refused(self):
        pipe, stream = os.pipe(), socket.socketpair()
        listener = socket.create_server(("127.0.0.1", 0))
        tap = self.interface(self.KINDS["tap"])
        with open(__file__, "rb") as file:
            for fd in (tap, pipe[0], stream[0].fileno(), listener.fileno(), file.fileno()):
                reply = self.configure(fd)
                self.assertEqual(reply["error"]["code"], "INVALID_PARAM", reply)
                self.assertEqual(reply["error"]["field"], "parameters.device")
        for fd in (*pipe, tap):
            os.close(fd)
        for sock in (*stream, listener):
            sock.close()


class DeadPaths(NetTest):
    """The host's address goes away, or only its network."""

    @classmethod
    def build(cls):
        net = cls.net
        start_server(net)
        cls.client = net.daemon("client")
        configure(cls.client, name="apps", device="tun:tun0", address="10.9.0.1/24", tcp="direct",
                  udp="reject", bindDevice="eth0")
        net._ip(net.client, # pylint: disable=protected-access
                f"route add {SERVER}/32 dev tun0")

    def flow(self):
        app = self.net.client.tcp(SERVER, WEB)
        app.sendall(b"slow")
        self.assertEqual(app.recv(1), b"x")
        return app

    def move(self, old, new):
        # pylint: disable=protected-access
        self.net._ip(self.net.client, f"addr del {old}/24 dev eth0", f"addr add {new}/24 dev eth0",
                     f"route replace default via {ROUTER['client']}")

    def ends(self, app, seconds):
        """Whether the app is told within that time that its flow is over."""
        end = time.monotonic() + seconds
        app.settimeout(1)
        while time.monotonic() < end:
            try:
                app.sendall(b"data under way")
                if not app.recv(4096):
                    return True
            except TimeoutError:
                pass
            except OSError as error:
                return error.errno in (errno.ECONNRESET, errno.EPIPE)
        return False

    def test_an_address_that_goes_away_ends_its_flows(self):
        elsewhere = CLIENT.rsplit(".", 1)[0] + ".77"
        with self.flow() as app:
            self.move(CLIENT, elsewhere)
            try:
                self.assertTrue(self.ends(app, 30))
                with self.flow():
                    pass
            finally:
                self.move(elsewhere, CLIENT)

    def test_an_address_that_comes_back_keeps_them(self):
        elsewhere = CLIENT.rsplit(".", 1)[0] + ".77"
        with self.flow() as app:
            self.move(CLIENT, elsewhere)
            time.sleep(3)
            self.move(elsewhere, CLIENT)
            self.assertFalse(self.ends(app, 20))

    def test_an_outage_ends_nothing(self):
        with self.flow() as app:
            self.net.set_link("client", "down")
            try:
                self.assertFalse(self.ends(app, 35))
            finally:
                self.net.set_link("client", "up")
            app.settimeout(GUARD_S * 3)
            self.assertTrue(app.recv(1))


if __name__ == "__main__":
    unittest.main()
