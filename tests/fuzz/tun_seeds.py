#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tun_seeds.py FOLDER - seeds of fuzz_tun: kinds of packets that people have reported trouble with.

A seed is a list of fuzz_tun.c's records: what to do, two bytes of size, the bytes.
"""
import os
import socket
import struct
import sys

AS_IS, ANSWER, CONNECTED, FAR, ENDED, FAILED, TIME, REPLY, UNREACHABLE, BATCH = (
    0, 2, 3, 5, 6, 7, 10, 11, 12, 13)
APP4, FAR4, APP6, FAR6 = "10.0.85.1", "192.0.2.1", "fd00::2", "2001:db8::1"
HOP_BY_HOP, TCP, UDP, ROUTING, FRAGMENT, ICMP6, DESTINATION = 0, 6, 17, 43, 44, 58, 60
SYN, RST, PSH, ACK = 2, 4, 8, 16


def record(what, data=b""):
    return bytes([what]) + struct.pack(">H", len(data)) + data


def checksum(data):
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return struct.pack(">H", total ^ 0xffff)


def pack(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def summed(protocol, source, to, data, at):
    """A transport header and its data, with the checksum, which is zero at `at`."""
    pseudo = b"" if protocol == 1 else (
        pack(source) + pack(to) + struct.pack(">IHBB", len(data), 0, 0, protocol))
    return data[:at] + checksum(pseudo + data) + data[at + 2:]


def ip(source, to, protocol, data, more=b"", flags=0):
    """`more`: IPv6 extension headers, of which the first is of kind `protocol`."""
    if ":" in source:
        head = struct.pack(">IHBB", 6 << 28, len(more) + len(data), protocol, 64)
        return head + pack(source) + pack(to) + more + data
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(data), 7, flags, 64, protocol, 0)
    head += pack(source) + pack(to)
    return head[:10] + checksum(head) + head[12:] + data


def udp(source, to, data, ports=(4000, 53), **more):
    datagram = struct.pack(">HHHH", *ports, 8 + len(data), 0) + data
    return ip(source, to, UDP, summed(UDP, source, to, datagram, 6), **more)


def tcp(source, to, flags, sequence, data=b"", options=b"", port=40000):
    head = struct.pack(">HHIIBBHHH", port, 80, sequence, 0, (20 + len(options)) << 2, flags, 64000, 0, 0)
    return ip(source, to, TCP, summed(TCP, source, to, head + options + data, 16))


def option(kind, following):
    """Hop-by-hop or destination options: nothing but padding."""
    return kind, bytes([following, 0, 1, 4, 0, 0, 0, 0])


def extended(headers, following, data):
    """An IPv6 packet: [(kind, bytes whose first byte is to be the next kind)]."""
    kinds = [kind for kind, _ in headers] + [following]
    chain = b"".join(bytes([kinds[i + 1]]) + text[1:] for i, (_, text) in enumerate(headers))
    return ip(APP6, FAR6, kinds[0], data, more=chain)


def datagram6(size):
    return summed(UDP, APP6, FAR6, struct.pack(">HHHH", 4000, 53, 8 + size, 0) + bytes(size), 6)


def fragments6(before, following, data, size, number):
    """`before`: headers in front of the fragment header."""
    for at in range(0, len(data), size):
        more = at + size < len(data)
        head = struct.pack(">BBHI", following, 0, at | more, number)
        yield record(AS_IS, extended([*before, (FRAGMENT, head)], following, data[at:at + size]))


def fragments4(protocol, data, size):
    for at in range(0, len(data), size):
        more = 0x2000 if at + size < len(data) else 0
        yield record(AS_IS, ip(APP4, FAR4, protocol, data[at:at + size], flags=more | at // 8))


def flow(source, to, options, *rest):
    yield record(AS_IS, tcp(source, to, SYN, 1000, options=options))
    yield record(CONNECTED)
    yield record(BATCH)
    yield record(ANSWER, tcp(source, to, ACK, 1001))
    yield from rest


def seeds():
    mss, scale = b"\2\4\x05\xb4", b"\1\3\3\7"
    hop, destination = option(HOP_BY_HOP, 0), option(DESTINATION, 0)
    routing = ROUTING, bytes([0, 2, 0, 1, 0, 0, 0, 0]) + pack("2001:db8::9")
    hello = datagram6(5)
    echo4 = summed(1, APP4, FAR4, b"\x08\0\0\0\0\3\0\1" + bytes(2000), 2)
    echo6 = summed(ICMP6, APP6, FAR6, b"\x80\0\0\0\0\3\0\1" + bytes(2000), 2)
    yield "no_window_scale", flow(
        APP4, FAR4, mss, record(FAR, bytes(4000)), record(BATCH),
        record(ANSWER, tcp(APP4, FAR4, PSH | ACK, 1001, bytes(1400))), record(TIME, bytes(2)),
        record(ENDED), record(ANSWER, tcp(APP4, FAR4, ACK, 2401)))
    yield "one_byte_gaps", flow(
        APP4, FAR4, mss + scale,
        *[record(ANSWER, tcp(APP4, FAR4, PSH | ACK, 1003 + 2 * n, b"x")) for n in range(60)],
        record(TIME, bytes(3)), record(ANSWER, tcp(APP4, FAR4, PSH | ACK, 1001, b"yy")))
    yield "reset_after_data", flow(
        APP6, FAR6, mss, record(FAR, b"half"), record(BATCH), record(FAILED), record(BATCH),
        record(AS_IS, tcp(APP6, FAR6, RST, 1001)), record(TIME, bytes(1)))
    yield "extension_kinds", [
        *[record(AS_IS, extended(headers, UDP, hello)) for headers in
          ([hop], [destination], [hop, destination], [routing], [hop, routing, destination])],
        record(AS_IS, extended([hop], TCP, summed(TCP, APP6, FAR6, struct.pack(
            ">HHIIBBHHH", 41000, 80, 5, 0, 0x50, SYN, 64000, 0, 0), 16))),
        record(AS_IS, extended([destination], ICMP6, summed(ICMP6, APP6, FAR6, bytes([128]) + bytes(11), 2)))]
    yield "extension_fragments", [
        *fragments6([hop], UDP, datagram6(3000), 1200, 7),
        *fragments6([], DESTINATION, bytes([UDP]) + destination[1][1:] + datagram6(900), 400, 8)]
    yield "echo_fragments", [*fragments4(1, echo4, 1400), *fragments6([], ICMP6, echo6, 1200, 9)]
    yield "reply_too_large", [
        record(AS_IS, udp(APP4, FAR4, b"q")), record(REPLY, bytes(3000)),
        record(AS_IS, udp(APP6, FAR6, b"q")), record(REPLY, bytes(3000)), record(BATCH)]
    yield "dont_fragment", [
        *[record(AS_IS, udp(APP4, FAR4, bytes(size), flags=flags))
          for size in (1200, 1300) for flags in (0, 0x4000)], record(UNREACHABLE, bytes(3))]
    yield "many_receivers", [
        *[record(AS_IS, udp(APP4, to, b"any?", (4000, 1900))) for to in
          ("255.255.255.255", "10.0.85.255", "224.0.0.251", "239.255.255.250")],
        *[record(AS_IS, udp(APP6, to, b"any?", (4000, 5353))) for to in ("ff02::fb", "ff05::c")]]
    yield "link_local", [
        record(AS_IS, udp("fe80::1", "fe80::2", b"x")),
        record(AS_IS, udp("169.254.1.1", "169.254.1.2", b"x")),
        record(AS_IS, tcp("fe80::1", "fe80::2", SYN, 1))]
    yield "same_again_from_many_ports", [
        record(AS_IS, udp(APP4, FAR4, b"a", (4000, 9000))), record(AS_IS, udp(FAR4, APP4, b"a", (9000, 4000))),
        *[record(AS_IS, udp(APP4, FAR4, b"a", (port, 9000))) for port in range(4001, 4008)],
        *[record(AS_IS, tcp(APP4, FAR4, SYN, 1, port=port)) for port in range(4001, 4010)]]


def main():
    for name, records in seeds():
        with open(os.path.join(sys.argv[1], name), "wb") as file:
            file.write(b"".join(records) + record(BATCH))


if __name__ == "__main__":
    main()
