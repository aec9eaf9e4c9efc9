# SPDX-License-Identifier: Apache-2.0
"""association.py - a UDP ASSOCIATE of a SOCKS5 listener on 127.0.0.1, as an app with one socket."""

import socket
import struct


class Association:
    def __init__(self, test, namespace, port, source_port=0):
        self.control = namespace.tcp("127.0.0.1", port)
        test.addCleanup(self.control.close)
        self.control.sendall(b"\5\1\0")
        test.assertEqual(self.control.recv(2), b"\5\0")
        self.control.sendall(b"\5\3\0\1" + bytes(6))
        reply = self.control.recv(10)
        test.assertEqual(reply[:4], b"\5\0\0\1")
        self.relay = (socket.inet_ntoa(reply[4:8]), struct.unpack("!H", reply[8:])[0])
        self.socket = namespace.udp("127.0.0.1", source_port)
        test.addCleanup(self.socket.close)

    def send(self, data, to):
        host, port = to[:2]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        header = b"\0\0\0" + (b"\4" if ":" in host else b"\1") + socket.inet_pton(family, host)
        self.socket.sendto(header + struct.pack("!H", port) + data, self.relay)

    def receive(self):
        """(payload, whom it is from)."""
        frame = self.socket.recv(70000)
        family, size = (socket.AF_INET6, 16) if frame[3] == 4 else (socket.AF_INET, 4)
        host = socket.inet_ntop(family, frame[4:4 + size])
        return frame[6 + size:], (host, struct.unpack("!H", frame[4 + size:6 + size])[0])

    def close(self):
        self.control.close()
        self.socket.close()
