# SPDX-License-Identifier: Apache-2.0
"""wire.py - UDPT/1 as bytes: integers, addresses, handshake messages, frames.

Written from docs/protocol.md alone, which is the point of it: it shares nothing with proto/udpt, and
where the two agree the page is enough. Nothing here does I/O.
"""
import hashlib
import ipaddress

MAGIC = b"UDPT"
HELLO, WELCOME, CONFIRM, REFUSE = 1, 2, 3, 4
CREATE, JOIN = 0, 1
MAC_SIZE = 32
MESSAGE_MAX = 512
NO_KEY = bytes(32)
FRAME_MAX = 65827
CONTROL_MAX = 1024
SEQUENCE, LABEL, PORT, WHOLE = 1, 2, 4, 8  # flags of an inline datagram; SEQUENCE is also that of an announcement
CAPABILITIES = 11  # a parameter of WELCOME: a sum of
SOURCE_PORT, DONT_FRAGMENT = 1, 2


class Malformed(Exception):
    """What came is not UDPT/1: the stream is to be closed."""


class Reader:
    """Takes values off the front of some bytes."""

    def __init__(self, data):
        self.data, self.at = bytes(data), 0

    def left(self):
        return len(self.data) - self.at

    def take(self, size):
        if size > self.left():
            raise Malformed(f"{size} bytes wanted, {self.left()} left")
        self.at += size
        return self.data[self.at - size:self.at]

    def rest(self):
        return self.take(self.left())

    def uint(self, size):
        return int.from_bytes(self.take(size), "big")

    def varint(self):
        first = self.uint(1)
        size = 1 << (first >> 6)
        self.at -= 1
        return self.uint(size) & ((1 << (8 * size - 2)) - 1)


def uint(value, size):
    return value.to_bytes(size, "big")


def varint(value, size=0):
    """QUIC's (RFC 9000, section 16); a `size` of 1, 2, 4 or 8 makes it longer than need be."""
    for code, bits in enumerate((6, 14, 30, 62)):
        if value < 1 << bits and 1 << code >= size:
            return uint(value | code << bits, 1 << code)
    raise ValueError(value)


# Addresses are (host, port); a host that is no IP address is a name.

def address(where):
    host, port = where
    try:
        ip = ipaddress.ip_address(host)
        return uint(ip.version, 1) + uint(port, 2) + ip.packed
    except ValueError:
        name = host.encode("ascii")
        return uint(3, 1) + uint(port, 2) + uint(len(name), 1) + name


def read_address(r):
    kind, port = r.uint(1), r.uint(2)
    if kind in (4, 6):
        return str(ipaddress.ip_address(r.take(4 if kind == 4 else 16))), port
    if kind != 3:
        raise Malformed(f"address of kind {kind}")
    name = r.take(r.uint(1))
    if not name or not all(0x21 <= c <= 0x7e for c in name):
        raise Malformed(f"host name {name}")
    return name.decode(), port


# Parameters: {id: value}

def parameters(values):
    return b"".join(varint(i) + varint(len(varint(v))) + varint(v) for i, v in values.items())


def read_parameters(r):
    values = {}
    while r.left():
        i, value = r.varint(), Reader(r.take(r.varint()))
        if i in values:
            raise Malformed(f"parameter {i} twice")
        values[i] = value.rest() if i > 11 else value.varint()
        if value.left():
            raise Malformed(f"parameter {i} is longer than its value")
    return values


# The handshake

def mac(key, *parts):
    return hashlib.blake2b(b"".join(parts), key=key, digest_size=MAC_SIZE).digest()


def message(key, label, heard, kind, body):
    """A whole message; `heard` is what its MAC covers of those before."""
    text = MAGIC + uint(1 + len(body) + MAC_SIZE, 2) + uint(kind, 1) + body
    return text + mac(key, label, heard, text)


def read_message(key, label, heard, data):
    """(type, a Reader of its fields) of a whole message whose MAC is right."""
    if mac(key, label, heard, data[:-MAC_SIZE]) != data[-MAC_SIZE:]:
        raise Malformed("MAC")
    return data[6], Reader(data[7:-MAC_SIZE])


# X25519 (RFC 7748), for version 2

PRIME = (1 << 255) - 19


def x25519(scalar, point):
    """The product as 32 bytes. For tests: it takes a time that depends on the scalar."""
    k = int.from_bytes(scalar, "little") & ~7 & ((1 << 255) - 1) | 1 << 254
    u = int.from_bytes(point, "little") & ((1 << 255) - 1)
    x1, x2, z2, x3, z3 = u % PRIME, 1, 0, u % PRIME, 1
    for bit in range(254, -1, -1):
        swap = k >> bit & 1
        if swap:
            x2, x3, z2, z3 = x3, x2, z3, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % PRIME, x1 * (da - cb) ** 2 % PRIME
        x2, z2 = aa * bb % PRIME, e * (aa + 121665 * e) % PRIME
        if swap:
            x2, x3, z2, z3 = x3, x2, z3, z2
    return (x2 * pow(z2, PRIME - 2, PRIME) % PRIME).to_bytes(32, "little")


def share_of(scalar):
    return x25519(scalar, bytes([9]) + bytes(31))


def hello(key, session, leg, generation, incarnation, nonce, values, versions=(1, 1)):
    return message(key, b"UDPT/1 hello", b"", HELLO,
                   bytes(versions) + session + uint(leg, 1) + uint(generation, 4)
                   + uint(incarnation, 8) + nonce + parameters(values))


def read_hello(r):
    return {"low": r.uint(1), "high": r.uint(1), "session": r.take(16), "leg": r.uint(1),
            "generation": r.uint(4), "incarnation": r.uint(8), "nonce": r.take(32),
            "parameters": read_parameters(r)}


def welcome(key, heard, known, epoch, incarnation, nonce, values, version=1):
    return message(key, b"UDPT/1 welcome", heard, WELCOME,
                   bytes([version, known]) + uint(epoch, 8) + uint(incarnation, 8) + nonce
                   + parameters(values))


def read_welcome(r):
    return {"version": r.uint(1), "known": r.uint(1), "epoch": r.uint(8),
            "incarnation": r.uint(8), "nonce": r.take(32), "parameters": read_parameters(r)}


def secret_of(key, transcript, scalar=None, share=None):
    """The secret of the session; from version 2 on with our scalar and the other's share."""
    if scalar is None:
        return mac(key, b"UDPT/1 secret", transcript)
    shared = x25519(scalar, share)
    if shared == bytes(32):
        raise Malformed("a share of low order")
    return mac(key, b"UDPT/2 secret", transcript, shared)


def confirm(key, transcript, intent, secret=None):
    if intent == JOIN:
        key = mac(key, b"UDPT/1 join", secret)
    return message(key, b"UDPT/1 confirm", transcript, CONFIRM, bytes([intent]))


def refuse(key, heard, reason, text):
    return message(key, b"UDPT/1 refuse", heard, REFUSE, varint(reason) + text.encode())


# Frames

def frame(ident, body, length_size=0, id_size=0):
    inside = varint(ident, id_size) + body
    return varint(len(inside), length_size) + inside


def inline(binding, where, payload, label=None, sequence=None, port=None, whole=False):
    flags = (SEQUENCE if sequence is not None else 0) | (LABEL if label is not None else 0) \
        | (PORT if port is not None else 0) | (WHOLE if whole else 0)
    return frame(1, uint(flags, 1) + varint(binding)
                 + (uint(label, 8) if label is not None else b"")
                 + (uint(port, 2) if port is not None else b"")
                 + (uint(sequence, 4) if sequence is not None else b"")
                 + address(where) + payload)


def read_inline(r):
    flags = r.uint(1)
    if flags & ~(SEQUENCE | LABEL | PORT | WHOLE):
        raise Malformed(f"flags {flags}")
    d = {"binding": r.varint(),
         "label": r.uint(8) if flags & LABEL else None,
         "port": r.uint(2) if flags & PORT else None,
         "whole": bool(flags & WHOLE),
         "sequence": r.uint(4) if flags & SEQUENCE else None,
         "address": read_address(r)}
    if d["binding"] == 0:
        raise Malformed("binding 0")
    return {**d, "payload": r.rest()}


class FrameReader:
    """Cuts a stream into frames, however it comes."""

    def __init__(self):
        self.data = b""

    def feed(self, data):
        """[(id, body, bytes on the wire)] of the frames that are whole now."""
        self.data += data
        frames, r = [], Reader(self.data)
        done = 0
        while True:
            try:
                length = r.varint()
            except Malformed:
                break  # the length is not whole yet
            if not 1 <= length <= FRAME_MAX:
                raise Malformed(f"a frame of {length} bytes")
            if length > r.left():
                break
            inside = Reader(r.take(length))
            frames.append((inside.varint(), inside.rest(), r.at - done))
            done = r.at
        self.data = self.data[done:]
        return frames


# Control frames: name -> (type, fields). A field's kind: v varint, 1 2 4 8 an integer of so many
# bytes, a address, p parameters, t text to the end, k the entries of an ACK.
CONTROL = {
    "CLOCK": (0x01, "time:4"), "ACK": (0x02, "entries:k"),
    "PING": (0x04, "token:8"), "PONG": (0x06, "token:8"),
    "ANNOUNCE": (0x08, "id:v flags:1 binding:v address:a"), "ANNOUNCED": (0x0a, "id:v"),
    "RETIRE": (0x0c, "id:v"), "RETIRED": (0x0e, "id:v"),
    "OPEN": (0x10, "binding:v label:8 port4:2 port6:2"), "OPENED": (0x12, "binding:v address:a"),
    "CLOSE": (0x14, "binding:v reason:v"), "CLOSED": (0x16, "binding:v"),
    "ERROR": (0x17, "binding:v code:v value:v address:a"), "SETTINGS": (0x19, "parameters:p"),
    "LEAVE": (0x1e, "number:v generation:v"), "GOODBYE": (0x1a, "reason:v text:t"),
    "REFUSED": (0x1c, "reason:v"),
}
BY_TYPE = {number: (name, fields) for name, (number, fields) in CONTROL.items()}


def _write_field(kind, value):
    if kind == "k":
        return varint(len(value)) + b"".join(varint(v) for entry in value for v in entry)
    return {"v": varint, "a": address, "p": parameters, "t": str.encode}[kind](value) \
        if kind in "vapt" else uint(value, int(kind))


def _read_field(kind, r):
    if kind == "k":
        return [tuple(r.varint() for _ in range(4)) for _ in range(r.varint())]
    if kind == "t":
        return r.rest().decode("ascii", "replace")
    return {"v": r.varint, "a": lambda: read_address(r),
            "p": lambda: read_parameters(r)}[kind]() if kind in "vap" else r.uint(int(kind))


def control(name, **values):
    number, fields = CONTROL[name]
    fields = [field.split(":") for field in fields.split()]
    return frame(0, varint(number) + b"".join(_write_field(kind, values[f]) for f, kind in fields))


def read_control(body):
    """(name, {field: value}); (None, type) of one that may be ignored."""
    if len(body) > CONTROL_MAX:
        raise Malformed(f"a control frame of {len(body)} bytes")
    r = Reader(body)
    number = r.varint()
    if number not in BY_TYPE:
        if number & 1:
            return None, number
        raise Malformed(f"unknown control frame {number}")
    name, fields = BY_TYPE[number]
    values = {}
    for field in fields.split():
        field, kind = field.split(":")
        values[field] = _read_field(kind, r)
    if r.left():
        raise Malformed(f"{name} is too long")
    return name, values
