# SPDX-License-Identifier: Apache-2.0
"""docs/schema against the real daemon, and against proto/control/control.proto.

Every other test here checks its replies by the schemas too (Client.call in daemon.py).
"""
import copy
import os
import re
import socket
import unittest

import schema
from daemon import TestCase


def messages():
    """{message: {json name: type}} of control.proto."""
    with open(os.path.join(schema.ROOT, "proto/control/control.proto"), encoding="utf-8") as f:
        text = re.sub(r"//.*", "", f.read())
    found = {}
    for name, body in re.findall(r"^message (\w+) \{(?:\}|(.*?)^\})", text, re.S | re.M):
        fields = re.findall(r"(?:(?:optional|repeated) )?([\w.]+) (\w+) = \d+;", body)
        found[name] = {re.sub(r"_(\w)", lambda m: m[1].upper(), field).rstrip("_"): kind
                       for kind, field in fields if kind not in ("reserved",)}
    return found


class Schemas(TestCase):
    def compare(self, proto, name, part, document, at):
        """Every field of the message `name` is a property of the schema, and so on below."""
        while "$ref" in part:
            part, document = schema.resolve(part["$ref"], document)
        if part.get("type") == "array":
            self.compare(proto, name, part["items"], document, at + "[]")
            return
        if name == "StringList" or "anyOf" in part:
            return  # a list of texts; a secret
        self.assertIn("properties", part, at)
        for field, kind in proto[name].items():
            if field in ("merge", "wait"):
                continue  # of the command, in no answer
            self.assertIn(field, part["properties"], at)
            if kind in proto:
                self.compare(proto, kind, part["properties"][field], document, at + "." + field)

    def test_the_schemas_have_every_field_of_the_protocol(self):
        proto = messages()
        actions = proto["ReturnValue"]
        self.assertGreater(len(actions), 12)
        for action, kind in actions.items():
            document = schema.load(action + ".json")
            if kind in proto:
                self.compare(proto, kind, document, document, action)
        self.assertEqual(set(actions) | {"objects", "reply", "event"},
                         {name.removesuffix(".json") for name in os.listdir(schema.FOLDER)})

    def test_the_page_has_every_action_code_and_field(self):
        def read(path):
            with open(os.path.join(schema.ROOT, path), encoding="utf-8") as f:
                return f.read()
        page = read("docs/command-socket.md")
        proto = messages()
        roles = dict(re.findall(r'\{"(\w+)", ROLE_(\w+),', read("daemon/control/actions/actions.c")))
        rows = dict(re.findall(r"^\| `(\w+)` \| ((?:observer|operator|admin) \|.*)$", page, re.M))
        self.assertEqual(set(rows), set(proto["Parameters"]))
        for action, kind in proto["Parameters"].items():
            self.assertEqual(rows[action].split()[0].upper(), roles[action], action)
            fields = {"merge", "wait"} if "name" in proto[kind] and "merge" in proto[kind] \
                else set(proto[kind])
            for field in fields:
                self.assertIn("`%s`" % field, rows[action], action)
        for kind, title in (("Tunnel", "## Tunnels\n"), ("Tun2socks", "## tun2socks instances\n")):
            part = page.partition(title)[2].partition("\n## ")[0]
            for field in set(proto[kind]) - {"merge", "wait"}:
                self.assertIn("`%s`" % field, part, kind)
        codes = re.findall(r'X\(UDPTUN_\w+, (-?\d+), "(\w+)"', read("proto/include/udptun/error.h"))
        for number, name in codes:
            if int(number) > -200:  # those have no number of their own on the wire
                self.assertIn("| %d | %s |" % (-int(number), name), page)

    def test_the_schema_has_every_event_of_the_protocol(self):
        proto = messages()
        document = schema.load("event.json")
        events = {choice["properties"]["event"]["const"]: choice["properties"]["data"]
                  for choice in document["anyOf"]}
        named = {re.sub(r"([A-Z])", lambda m: "." + m[1].lower(), field): kind
                 for field, kind in proto["EventData"].items()}
        self.assertEqual(set(events), set(named))
        for event, kind in named.items():
            self.compare(proto, kind, events[event], document, event)

    def test_events_as_they_come(self):
        d = self.daemon()
        with d.client() as c, d.client() as other:
            self.ok(c.call("subscribe", {"topics": ["state", "config", "stats", "log"],
                                         "snapshot": True}))
            self.ok(other.call("configureUdpTunnel", {
                "name": "far", "role": "server", "listen": "127.0.0.1:0"}))
            self.ok(other.call("removeUdpTunnel", {"name": "far"}))
            missing = {"tunnel.state", "config.changed", "stats", "log"}
            path = os.path.join(d.folder, "packets")
            if other.call("configureTun2socks",
                          {"name": "apps", "device": "unix:" + path})["statusCode"] == 0:
                missing.add("tun2socks.state")
            while missing:
                event = c.line()
                self.assertEqual(schema.check(event, "event"), [], event)
                missing.discard(event["event"])

    def test_the_validator_finds_what_is_wrong(self):
        d = self.daemon()
        with d.client() as c:
            good = self.ok(c.call("configureUdpTunnel", {
                "name": "far", "role": "server", "listen": "127.0.0.1:0"}))
        self.assertEqual(schema.check(good, "configureUdpTunnel"), [])
        for path, value in ((("changed",), 1), (("tunnel", "state"), "nonsense"),
                            (("tunnel", "name"), "a b"), (("tunnel", "flows"), -1),
                            (("tunnel", "flows"), 1.5), (("tunnel", "dropped"), []),
                            (("tunnel", "dropped", "stale"), None), (("tunnel", "news"), 1),
                            (("tunnel", "connections"), [{}])):
            bad = copy.deepcopy(good)
            place = bad
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value
            self.assertNotEqual(schema.check(bad, "configureUdpTunnel"), [], path)
        del good["tunnel"]["state"]
        self.assertNotEqual(schema.check(good, "configureUdpTunnel"), [])
        more = {"name": "x", "state": "listening", "news": 1}
        self.assertEqual(schema.complaints(more, {"$ref": "objects.json#/$defs/tun2socks"}, {}), [])
        self.assertNotEqual(schema.check({"statusCode": 99}, "reply"), [])

    def test_replies_about_a_tunnel_at_work(self):
        d = self.daemon()
        with d.client() as c, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as app:
            for s in (echo, app):
                s.bind(("127.0.0.1", 0))
                s.settimeout(60)
            target = "127.0.0.1:%d" % echo.getsockname()[1]
            far = self.ok(c.call("configureUdpTunnel", {
                "name": "far", "role": "server", "listen": "127.0.0.1:0", "target": target}))
            near = self.ok(c.call("configureUdpTunnel", {
                "name": "near", "role": "local", "listen": "udp://127.0.0.1:0", "wait": 60,
                "server": far["tunnel"]["listen"], "target": target}))
            port = int(near["tunnel"]["listen"].rpartition(":")[2])
            app.sendto(b"x", ("127.0.0.1", port))
            data, source = echo.recvfrom(10)
            echo.sendto(data, source)
            self.assertEqual(app.recv(10), b"x")
            for action, parameters in (("hello", None), ("getStatus", None),
                                       ("listSessions", {"name": "far"}),
                                       ("listFlows", {"name": "near"}),
                                       ("listFlows", {"name": "far", "limit": 1}),
                                       ("pingTunnel", {"name": "near", "count": 2}),
                                       ("removeUdpTunnel", {"name": "near"}),
                                       ("removeTun2socks", {"name": "nothing"})):
                value = self.ok(c.call(action, parameters))
                self.assertEqual(schema.check(value, action), [])
            for action, parameters in (("nonsense", None), ("getStatus", {"name": "x"}),
                                       ("listFlows", {}), ("hello", {"role": 3})):
                reply = c.call(action, parameters)
                self.assertNotEqual(reply["statusCode"], 0)
                self.assertEqual(schema.check(reply, "reply"), [])


if __name__ == "__main__":
    unittest.main()
