# SPDX-License-Identifier: Apache-2.0
"""wireshark_capture.py - captures of UDPT/1 that a test makes up, and what tshark says of a capture."""
import json
import os
import re
import struct
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DISSECTOR = os.path.join(ROOT, "packaging", "wireshark", "udpt.lua")
LINKTYPE_RAW = 101  # IP packets as they are
TO_SERVER, TO_CLIENT = True, False
PORT = 45678  # that no other dissector has for its own


class Stream:
    """One TCP connection of the made-up capture."""

    def __init__(self, capture, client_port, server_port):
        self.capture, self.ports = capture, (client_port, server_port)
        self.sequence = {TO_SERVER: 1000, TO_CLIENT: 5000}

    def say(self, direction, data, segment=1 << 16):
        """`data` in segments of at most so many bytes: frames may lie anywhere in them."""
        for at in range(0, len(data), segment):
            piece = data[at:at + segment]
            ports = self.ports if direction == TO_SERVER else self.ports[::-1]
            tcp = struct.pack(">HHIIBBHHH", *ports, self.sequence[direction],
                              self.sequence[not direction], 5 << 4, 0x18, 65535, 0, 0) + piece
            self.sequence[direction] += len(piece)
            self.capture.packet(tcp, direction)


class Capture:
    def __init__(self):
        self.data = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 1 << 18, LINKTYPE_RAW)
        self.count = 0

    def packet(self, tcp, direction):
        client, server = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
        addresses = client + server if direction == TO_SERVER else server + client
        packet = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), self.count, 0, 64, 6, 0)
        packet += addresses + tcp
        self.data += struct.pack("<IIII", self.count, 0, len(packet), len(packet)) + packet
        self.count += 1

    def stream(self, server_port=PORT):
        return Stream(self, PORT + 1 + self.count, server_port)

    def write(self, path):
        with open(path, "wb") as file:
            file.write(self.data)
        return path


def vectors():
    """{name: bytes} of the vectors in docs/protocol.md."""
    with open(os.path.join(ROOT, "docs", "protocol.md"), encoding="utf-8") as file:
        found = re.findall(r"```vector ([\w-]+)\n(.*?)```", file.read(), re.S)
    return {name: bytes.fromhex(text) for name, text in found}


def dissect(path, deadline_s, *options):
    """{field: [every value in the capture]} of the fields of UDPT, and what went wrong."""
    run = subprocess.run(["tshark", "-n", "-r", path, "-X", "lua_script:" + DISSECTOR, *options,
                          "-T", "json", "--no-duplicate-keys", "-Y",
                          "udpt || _ws.malformed || _ws.lua.error"],
                         capture_output=True, text=True, timeout=deadline_s, check=False)
    if run.returncode != 0 or "Lua" in run.stderr:
        raise AssertionError(run.stderr)
    found = {}

    def walk(part, key):
        if isinstance(part, dict):
            for name, below in part.items():
                walk(below, name)
        elif isinstance(part, list):
            for below in part:
                walk(below, key)
        else:
            found.setdefault(key, []).append(part)
    walk([packet["_source"]["layers"] for packet in json.loads(run.stdout)], "")
    return found


def summaries(path, deadline_s, *options):
    """What the Info column says, packet by packet."""
    run = subprocess.run(["tshark", "-n", "-r", path, "-X", "lua_script:" + DISSECTOR, *options,
                          "-T", "fields", "-e", "_ws.col.Info", "-Y", "udpt"],
                         capture_output=True, text=True, timeout=deadline_s, check=True)
    return [line.strip() for line in run.stdout.splitlines()]
