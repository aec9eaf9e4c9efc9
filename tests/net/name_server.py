# SPDX-License-Identifier: Apache-2.0
"""A name server that behaves as a test wants it to, and remembers what it was asked."""

import ipaddress
import struct
import threading
import time

A, AAAA = 1, 28
_NAME, _CLASS_IN = b"\xc0\x0c", 1


class NameServer:
    """On port 53 of `host` in a namespace. `addresses`: {name: [address, ...]}."""

    def __init__(self, namespace, host, addresses, ttl_s=60):
        self.addresses, self.ttl_s = addresses, ttl_s
        self.silent = lambda name, kind: False
        self.delay_s = 0
        self.questions, self.answers = [], []  # (when, name, A or AAAA)
        self._socket = namespace.udp(host, 53)
        self._socket.settimeout(None)
        threading.Thread(target=self._run, daemon=True).start()

    def close(self):
        self._socket.close()

    def asked(self, name, kind=None):
        """When `name` was asked for."""
        return [at for at, n, k in self.questions if n == name and kind in (None, k)]

    def answered(self, name, kind=None):
        return [at for at, n, k in self.answers if n == name and kind in (None, k)]

    def _run(self):
        while True:
            try:
                question, source = self._socket.recvfrom(2000)
            except OSError:
                return
            at, labels = 12, []
            while question[at]:
                labels.append(question[at + 1:at + 1 + question[at]].decode())
                at += 1 + question[at]
            kind = struct.unpack(">H", question[at + 1:at + 3])[0]
            name = ".".join(labels).lower()
            self.questions.append((time.monotonic(), name, kind))
            if self.silent(name, kind):
                continue
            reply = self._reply(question, at + 5, name, kind)
            timer = threading.Timer(self.delay_s, self._send, (reply, source, name, kind))
            timer.daemon = True
            timer.start()

    def _send(self, reply, source, name, kind):
        try:
            self.answers.append((time.monotonic(), name, kind))
            self._socket.sendto(reply, source)
        except OSError:
            pass

    def _reply(self, question, end, name, kind):
        known = [ipaddress.ip_address(a) for a in self.addresses.get(name, ())]
        fitting = [a for a in known if (a.version == 4) == (kind == A)]
        code = 0x8180 if known else 0x8183
        head = question[:2] + struct.pack(">HHHHH", code, 1, len(fitting), 0, 0)
        return head + question[12:end] + b"".join(
            _NAME + struct.pack(">HHIH", kind, _CLASS_IN, self.ttl_s, len(a.packed)) + a.packed
            for a in fitting)
