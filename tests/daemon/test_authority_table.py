# SPDX-License-Identifier: Apache-2.0
"""Roles x actions x fields, in both encodings, generated from the tables themselves: the schema
(control.proto), the action table (actions.c) and the field tables (object_fields.c).

Every action gets nothing, a field too many, every field of a wrong type and at and beyond the bounds
of its type, and all of it from every role. Every field of an object is set by an operator alone, in
an apply, and by a merge into an object of an admin."""
import itertools
import json
import os
import re
import struct
import unittest

from daemon import TestCase

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
ROLES = ("OBSERVER", "OPERATOR", "ADMIN")
SCALARS = ("bool", "uint32", "uint64", "int64", "double", "string")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return re.sub(r"//.*", "", f.read())


def camel(name):
    return re.sub(r"_(.)", lambda m: m[1].upper(), name)


def parse_schema():
    """{message: {field: (number, repeated, type)}} and {enum: {word: number}}."""
    messages, enums, stack = {}, {}, []
    for line in read("proto/control/control.proto").splitlines():
        if opened := re.match(r"\s*(message|enum|oneof) (\w+) {(})?", line):
            if opened[1] == "message":
                messages[opened[2]] = {}
            if opened[1] == "enum":
                enums[opened[2]] = {}
            if not opened[3]:
                stack.append((opened[1], opened[2]))
        elif re.match(r"\s*}", line):
            stack.pop()
        elif value := re.match(r"\s*(\w+) = (\d+);", line):
            enums[stack[-1][1]][value[1].lower().replace("_", "-")] = int(value[2])
        elif field := re.match(r"\s*(?:(optional|repeated) )?(\w+) (\w+) = (\d+);", line):
            kind = next(name for what, name in reversed(stack) if what == "message")
            messages[kind][camel(field[3])] = (int(field[4]), field[1] == "repeated", field[2])
    return messages, enums


MESSAGES, ENUMS = parse_schema()
ACTIONS = {m[1]: (ROLES.index(m[2]), m[3].split('", "') if m[3] else []) for m in re.finditer(
    r'\{"(\w+)", ROLE_(\w+), \w+,\s*KIND\(\w+\), \{(?:NULL|"([^}]*)")\}',
    read("daemon/control/actions/actions.c"))}


def field_rows():
    """{message: {field: authority}}."""
    text = read("daemon/control/store/object_fields.c")
    rows = {}
    for message, table in (("Tunnel", "tunnel_fields"), ("Tun2socks", "tun2socks_fields")):
        part = text.partition(table + "[] = {")[2].partition("};")[0]
        rows[message] = {camel(m[1]): m[2] for m in re.finditer(
            r'\{"(\w+)", FIELD_\w+,\s*[^,]+,\s*AUTHORITY_(\w+)\}', part)}
    return rows


ROWS = field_rows()


# ---- protobuf, by the schema

def varint(number):
    number &= (1 << 64) - 1
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def chunk(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def is_union(kind):
    return kind in ("Id", "Secret")


def encode_field(number, kind, value):
    if kind in MESSAGES:
        return chunk(number, encode(kind, value))
    if kind == "string":
        return chunk(number, value.encode())
    if kind == "double":
        return varint(number << 3 | 1) + struct.pack("<d", value)
    return varint(number << 3) + varint(ENUMS[kind][value] if kind in ENUMS else int(value))


def encode(kind, value):
    """A value as JSON has it, as a message of that kind."""
    if kind == "StringList":
        return b"".join(encode_field(1, "string", item) for item in value)
    if is_union(kind):
        number, _, member = MESSAGES[kind]["text"]
        return encode_field(number, member, value)
    out = b""
    for name, one in value.items():
        number, repeated, member = MESSAGES[kind][name]
        for item in one if repeated else [one]:
            out += encode_field(number, member, item)
    return out


class Caller:
    """A connection in one encoding, in one role."""

    def __init__(self, daemon, role, protobuf):
        self.connection, self.protobuf = daemon.client(), protobuf
        if role != "ADMIN":
            self.code("hello", {"role": role.lower()})

    def message(self, action, parameters=None, extra=b""):
        """`extra`: more bytes of the parameters, in protobuf."""
        if not self.protobuf:
            return json.dumps({"action": action} if parameters is None else
                              {"action": action, "parameters": parameters}).encode()
        body = chunk(1, action.encode())
        if parameters is not None:
            number, _, kind = MESSAGES["Parameters"][action]
            body += chunk(3, chunk(number, encode(kind, parameters) + extra))
        return struct.pack(">I", len(body)) + body

    def receive(self):
        if not self.protobuf:
            reply = self.connection.line()
            return reply["statusCode"], reply.get("error", {}).get("field")
        data = self.connection.received
        while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
            data += self.connection.socket.recv(65536)
        size = 4 + struct.unpack(">I", data[:4])[0]
        self.connection.received = data[size:]
        return self.decode(data[4:size])

    def decode(self, data):
        """(status_code, error.field), the fields 4 and 6 of an Envelope."""
        fields = dict(self.fields(data))
        error = dict(self.fields(fields.get(6, b"")))
        return fields[4], error[2].decode() if 2 in error else None

    @staticmethod
    def fields(data):
        def number():
            nonlocal data
            value, shift = 0, 0
            while True:
                byte, data = data[0], data[1:]
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    return value
        while data:
            tag = number()
            value = number()
            if tag & 7 == 2:
                value, data = data[:value], data[value:]
            yield tag >> 3, value

    def code(self, action, parameters=None, extra=b""):
        self.connection.send(self.message(action, parameters, extra))
        return self.receive()

    def close(self):
        self.connection.close()


class Table(TestCase):
    def setUp(self):
        self.d = self.daemon("--log-level", "error", state=False)
        self.admin = Caller(self.d, "ADMIN", False)
        self.addCleanup(self.admin.close)
        self.callers = {}
        for role, protobuf in itertools.product(ROLES, (False, True)):
            caller = self.callers[role, protobuf] = Caller(self.d, role, protobuf)
            self.addCleanup(caller.close)

    def everybody(self):
        return [(ROLES.index(role), caller) for (role, _), caller in self.callers.items()]

    def objects(self):
        self.admin.connection.send(json.dumps({"action": "exportConfig",
                                               "parameters": {"showSecrets": True}}))
        return self.admin.connection.line()["returnValue"]

    def remove_all(self):
        self.assertEqual(self.admin.code("applyConfig", {"config": {}, "prune": True}), (0, None))

    def base(self, kind, name="x"):
        """An object that an operator may have, and that does nothing."""
        if kind == "Tunnel":
            return {"name": name, "role": "local", "server": "127.0.0.1:1",
                    "listen": "udp://127.0.0.1:0", "target": "127.0.0.1:9", "enabled": False}
        return {"name": name, "device": "pipe", "tcp": "reject", "udp": "reject", "enabled": False}

    def valid(self, action):
        kind = MESSAGES["Parameters"][action][2]
        if kind in ROWS:
            return self.base(kind)
        return {name: {} if name == "config" else "error" if name == "level" else "x"
                for name in ACTIONS[action][1]}

    def test_the_tables_were_read(self):
        self.assertEqual(set(ACTIONS), set(MESSAGES["Parameters"]))
        for kind, rows in ROWS.items():
            self.assertEqual(set(rows), set(MESSAGES[kind]), kind)
            self.assertIn("ADMIN", rows.values())

    # ---- actions

    def test_every_action_from_every_role(self):
        for action, (needs, _) in ACTIONS.items():
            for role, caller in self.everybody():
                if action == "shutdown" and role >= needs:
                    continue
                code, _ = caller.code(action, self.valid(action))
                self.assertEqual(code == 2, role < needs, (action, ROLES[role], code))
            self.remove_all()
            for (role, protobuf), caller in list(self.callers.items()):
                if action in ("subscribe", "hello"):  # events would come between, roles are lost
                    caller.close()
                    self.callers[role, protobuf] = Caller(self.d, role, protobuf)
                    self.addCleanup(self.callers[role, protobuf].close)

    def refused(self, reply, role, needs, what, field):
        """Not allowed, or else wrong at that field (an iterable: one of them)."""
        if role < needs:
            self.assertEqual(reply[0], 2, what)
        else:
            self.assertEqual(reply[0], 7, (what, reply))
            self.assertIn(reply[1], field, what)

    def test_a_field_too_many(self):
        for action, (needs, _) in ACTIONS.items():
            for role, caller in self.everybody():
                if caller.protobuf:
                    reply = caller.code(action, self.valid(action), varint(999 << 3) + b"\1")
                else:
                    reply = caller.code(action, dict(self.valid(action), fieldTooMany=1))
                self.refused(reply, role, needs, action, ("parameters", "parameters.fieldTooMany"))
        self.assertEqual(self.objects(), {"udpTunnels": [], "tun2socks": []})

    @staticmethod
    def wrong_json(repeated, kind):
        """Values that no field of that type takes."""
        wrong = {"string": [5, True, [], {}, None], "bool": [0, "true", [], None],
                 "double": ["1", [], {}, True]}
        if repeated:
            return [{}, 5, "x"]
        if kind in ENUMS:
            return ["no-such-word", 1, True, None, []]
        if kind in ("Secret",):
            return [5, True, [], None]
        if kind == "Id":
            return [1.5, True, [], {}, None]
        if kind in MESSAGES:
            return [5, "x", True, None]
        return wrong.get(kind, ["1", 1.5, True, None, [], {}])

    @staticmethod
    def wrong_protobuf(number, kind):
        """The field on the wire as another type: it is unknown then, or malformed."""
        if kind == "string" or kind in MESSAGES:
            return [varint(number << 3) + b"\1", varint(number << 3 | 5) + b"\0\0\0\0"]
        return [varint(number << 3 | 5) + b"\0\0\0\0"]

    def test_every_field_of_a_wrong_type(self):
        for action, (needs, _) in ACTIONS.items():
            kind = MESSAGES["Parameters"][action][2]
            for name, (number, repeated, member) in MESSAGES[kind].items():
                for role, caller in self.everybody():
                    what = (action, name, ROLES[role], caller.protobuf)
                    if not caller.protobuf:
                        for value in self.wrong_json(repeated, member):
                            reply = caller.code(action, dict(self.valid(action), **{name: value}))
                            self.refused(reply, role, needs, what + (value,), (
                                "parameters." + name,))
                        continue
                    for extra in self.wrong_protobuf(number, member):
                        reply = caller.code(action, self.valid(action), extra)
                        self.assertIn(reply[0], (2,) if role < needs else (7, 107), what)
        self.assertEqual(self.objects(), {"udpTunnels": [], "tun2socks": []})

    def test_every_number_at_and_beyond_the_bounds_of_its_type(self):
        bounds = {"uint32": 1 << 32, "uint64": 1 << 63}
        for action, (needs, _) in ACTIONS.items():
            kind = MESSAGES["Parameters"][action][2]
            for name, (number, _, member) in MESSAGES[kind].items():
                if member not in bounds:
                    continue
                for role, caller in self.everybody():
                    what = (action, name, ROLES[role], caller.protobuf)
                    for value in (0, 1, bounds[member] - 1):
                        code, _ = caller.code(action, dict(self.valid(action), **{name: value}))
                        self.assertNotIn(code, (1, 107), what)
                        if role < needs:
                            self.assertEqual(code, 2, what)
                    self.remove_all()
                    if not caller.protobuf:
                        for value in (-1, bounds[member], 1 << 64, 1e30, -1e30):
                            reply = caller.code(action, dict(self.valid(action), **{name: value}))
                            self.refused(reply, role, needs, what + (value,), (
                                "parameters." + name,))
                    elif member == "uint32":
                        for value in (1 << 32, (1 << 64) - 1):
                            reply = caller.code(action, self.valid(action),
                                                varint(number << 3) + varint(value))
                            self.refused(reply, role, needs, what, ("parameters." + name,))
        self.assertEqual(self.objects(), {"udpTunnels": [], "tun2socks": []})

    def test_a_connection_that_closes_at_once(self):
        for action, protobuf, whole in itertools.product(ACTIONS, (False, True), (True, False)):
            caller = Caller(self.d, "OPERATOR" if action in ("shutdown",) else "ADMIN", protobuf)
            message = caller.message(action, self.valid(action))
            caller.connection.send(message if whole else message[:-1])
            caller.close()
        self.assertEqual(self.admin.code("hello")[0], 0)
        self.remove_all()

    # ---- fields

    def samples(self, kind, name, authority):
        """(value, does it take an admin?) of a field."""
        _, _, member = MESSAGES[kind][name]
        if name in ("name", "role", "merge", "wait"):
            return []
        if authority == "DEVICE":
            return [("pipe", False), ("fd:0", False), ("tun:udptuntest", True),
                    ("unix:%s/x" % self.d.folder, True), ("nonsense", True)]
        if member in ENUMS:
            values = list(ENUMS[member])
        elif member == "bool":
            values = [True, False]
        elif member in ("uint32", "uint64"):
            values = [0, 5]
        elif member == "StringList":
            values = [[], ["192.0.2.0/24"]]
        elif name == "key":
            values = ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]
        else:
            values = ["127.0.0.1:7", "x"]
        sampled = [(value, authority == "ADMIN") for value in values]
        if authority == "PATH":
            sampled += [(scheme + self.d.folder + "/x", True) for scheme in ("unix:", "UNIX:")]
        return sampled

    CONFIGURE = {"Tunnel": "configureUdpTunnel", "Tun2socks": "configureTun2socks"}
    REMOVE = {"Tunnel": "removeUdpTunnel", "Tun2socks": "removeTun2socks"}
    LIST = {"Tunnel": "udpTunnels", "Tun2socks": "tun2socks"}

    def each_field(self):
        for kind, rows in ROWS.items():
            for name, authority in rows.items():
                for value, admins in self.samples(kind, name, authority):
                    for protobuf in (False, True):
                        yield kind, name, value, admins, self.callers["OPERATOR", protobuf]

    def test_every_field_of_an_object_set_by_an_operator(self):
        seen = set()
        for kind, name, value, admins, caller in self.each_field():
            given = dict(self.base(kind), **{name: value})
            what = (kind, name, value, caller.protobuf)
            for action, parameters, path in (
                    (self.CONFIGURE[kind], given, "parameters."),
                    (self.CONFIGURE[kind], dict(given, merge=True), "parameters."),
                    ("applyConfig", {"config": {self.LIST[kind]: [given]}},
                     "parameters.config.%s[0]." % self.LIST[kind]),
                    ("applyConfig", {"config": {self.LIST[kind]: [given]}, "dryRun": True},
                     "parameters.config.%s[0]." % self.LIST[kind])):
                code, field = caller.code(action, parameters)
                self.assertEqual(code == 2, admins, (what, action, code, field))
                if admins:
                    self.assertEqual(field, path + name, what)
                    self.assertEqual(self.objects(), {"udpTunnels": [], "tun2socks": []})
                self.assertNotIn(code, (1, 107), what)
                seen.add(admins)
                if code == 0:
                    self.remove_all()
        self.assertEqual(seen, {True, False})

    def test_every_field_that_makes_an_object_an_admins(self):
        """Whatever an operator does to it then, it stays as it is."""
        count = 0
        for kind, name, value, admins, caller in self.each_field():
            if not admins:
                continue
            given = dict(self.base(kind), **{name: value})
            if self.admin.code(self.CONFIGURE[kind], given)[0] != 0:
                continue  # no value for an object of this kind at all
            count += 1
            before, what = self.objects(), (kind, name, value, caller.protobuf)
            plain = {n: v for n, v in self.base(kind).items() if n not in (name, "enabled")}
            other = "Tun2socks" if kind == "Tunnel" else "Tunnel"
            for action, parameters in (
                    (self.CONFIGURE[kind], given),
                    (self.CONFIGURE[kind], {"name": "x", "merge": True}),
                    (self.CONFIGURE[kind], dict(plain, merge=True)),
                    (self.CONFIGURE[kind], dict(plain, enabled=True, name="x")),
                    (self.CONFIGURE[other], self.base(other)),
                    (self.REMOVE[kind], {"name": "x"}),
                    ("applyConfig", {"config": {}, "prune": True}),
                    ("applyConfig", {"config": {self.LIST[kind]: [self.base(kind, "y")]},
                                     "prune": True}),
                    ("applyConfig", {"config": {self.LIST[kind]: [dict(given, enabled=True)]}}),
                    ("applyConfig", {"config": {self.LIST[other]: [self.base(other)]}})):
                code, field = caller.code(action, parameters)
                self.assertEqual(code, 2, (what, action, parameters, field))
                self.assertTrue(field and field.startswith("parameters."), what)
                self.assertEqual(self.objects(), before, what)
            for action, parameters in (("getStatus", {"name": "x"}), ("exportConfig", {}),
                                       ("applyConfig", {"config": {self.LIST[kind]: [given]}})):
                self.assertEqual(caller.code(action, parameters)[0], 0, (what, action))
            self.assertEqual(self.objects(), before, what)
            self.remove_all()
        self.assertGreater(count, 10)


if __name__ == "__main__":
    unittest.main()
