# SPDX-License-Identifier: Apache-2.0
"""harness.py - a real udptund with one tunnel, and ours at the other end of it."""
import base64
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "daemon"))
# pylint: disable=wrong-import-position
from daemon import DEADLINE_S, TestCase  # noqa: E402

from client import Client  # noqa: E402
from server import Server  # noqa: E402

KEY = bytes(range(0x40, 0x60))
EVERYWHERE = ["127.0.0.0/8", "::1/128"]


class Udp:
    """A UDP socket that stands for a peer, or for a program."""

    def __init__(self, test, family=socket.AF_INET):
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        test.addCleanup(self.socket.close)
        self.socket.settimeout(DEADLINE_S)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        self.address = self.socket.getsockname()[:2]

    def send(self, payload, where):
        self.socket.sendto(payload, where)

    def receive(self):
        """(payload, source) of the next datagram."""
        payload, source = self.socket.recvfrom(65536)
        return payload, source[:2]

    def has_nothing(self):
        self.socket.setblocking(False)
        try:
            return self.socket.recvfrom(65536) is None
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(DEADLINE_S)


def at_loopback(external):
    """Where a binding is reached: OPENED leaves the address open where its socket is on any."""
    return ("::1" if ":" in external[0] else "127.0.0.1"), external[1]


class Interop(TestCase):
    def start(self, *arguments, **fields):
        """A udptund with the tunnel "t"; where it listens."""
        self.d = self.daemon(*arguments)
        self.command = self.d.client()
        self.addCleanup(self.command.close)
        return self.configure(**fields)

    def configure(self, **fields):
        value = self.ok(self.command.call("configureUdpTunnel", {"name": "t", **fields}))
        host, port = value["tunnel"]["listen"].removeprefix("udp://").rsplit(":", 1)
        return host, int(port)

    def status(self):
        return self.ok(self.command.call("getStatus", {"name": "t"}))["udpTunnels"][0]

    # Our client

    def real_server(self, key=None, **fields):
        more = {"key": base64.b64encode(key).decode()} if key else {}
        self.address = self.start(role="server", listen="127.0.0.1:0",
                                  **{"allowTargets": EVERYWHERE, **more, **fields})

    def our_client(self, key=None, **options):
        client = Client(self.address, key, **options)
        self.addCleanup(client.close)
        return client

    def opened(self, client, binding=1, label=77, **options):
        """Have the binding opened: (a peer that it has sent to, where the peer reaches it)."""
        peer = Udp(self)
        client.datagram(binding, peer.address, b"first", label=label, **options)
        client.wait("OPENED", binding=binding)
        payload, source = peer.receive()
        self.assertEqual(payload, b"first")
        return peer, source

    # Our server

    def our_server(self, key=None, **options):
        server = Server(key, **options)
        self.addCleanup(server.close)
        return server

    def real_local(self, server, key=None, target=("127.0.0.1", 9), **fields):
        more = {"key": base64.b64encode(key).decode()} if key else {}
        self.entrance = self.start(role="local", listen="udp://127.0.0.1:0",
                                   target="%s:%d" % target, server="%s:%d" % server.address,
                                   **{**more, **fields})
