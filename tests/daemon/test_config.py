# SPDX-License-Identifier: Apache-2.0
"""Every object at once: export, apply, the config file read again; log levels; closeSession."""
import base64
import json
import os
import signal
import socket
import time
import unittest

from daemon import DEADLINE_S, Daemon, TestCase, free_port

LOCAL = {"name": "t", "role": "local", "listen": "udp://127.0.0.1:0", "target": "127.0.0.1:7",
         "server": "127.0.0.1:9"}
SERVER = {"name": "s", "role": "server", "listen": "127.0.0.1:0"}
KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(range(1, 33))).decode()


class Whole(TestCase):
    def setUp(self):
        self.d = self.daemon()
        self.c = self.d.client()
        self.addCleanup(self.c.close)

    def configure(self, *objects, **fields):
        parameters = {}
        for part in objects + (fields,):
            parameters.update(part)
        return self.ok(self.c.call("configureUdpTunnel", parameters))

    def apply(self, *tunnels, **options):
        return self.c.call("applyConfig", dict({"config": {"udpTunnels": list(tunnels)}},
                                               **options))

    def export(self, **options):
        return self.ok(self.c.call("exportConfig", options))

    def names(self):
        return [t["name"] for t in self.ok(self.c.call("getStatus"))["udpTunnels"]]

    def test_export_hides_secrets_and_shows_them_when_asked(self):
        self.configure(SERVER, key=KEY)
        self.configure(LOCAL, via="socks5://user:pass@127.0.0.1:1", key=KEY)
        hidden = self.export()
        self.assertEqual(hidden["udpTunnels"][0], dict(SERVER, key={"redacted": True}))
        self.assertEqual(hidden["udpTunnels"][1],
                         dict(LOCAL, key={"redacted": True},
                              via={"redacted": True, "url": "socks5://127.0.0.1:1"}))
        shown = self.export(showSecrets=True)
        self.assertEqual(shown["udpTunnels"][0], dict(SERVER, key=KEY))
        self.assertEqual(shown["udpTunnels"][1]["via"], "socks5://user:pass@127.0.0.1:1")
        self.ok(self.c.call("hello", {"role": "operator"}))
        self.fails(self.c.call("exportConfig", {"showSecrets": True}), 2, "PERMISSION_DENIED",
                   "parameters.showSecrets")

    def test_export_and_apply_round_trip(self):
        self.configure(SERVER, key=KEY)
        self.configure(LOCAL, via="socks5://user:pass@127.0.0.1:1", ephemeral=True)
        before = self.export(showSecrets=True)
        for config in (self.export(), before):
            for options in ({}, {"dryRun": True}, {"prune": True}):
                reply = self.c.call("applyConfig", dict(options, config=config))
                self.assertEqual(self.ok(reply), {"created": [], "changed": [], "removed": []})
        self.assertEqual(self.export(showSecrets=True), before)

    def test_apply_tells_what_it_did_and_a_dry_run_what_it_would(self):
        self.configure(SERVER)
        self.configure(LOCAL)
        new = dict(SERVER, name="new")
        changed = dict(LOCAL, maxFlows=9)
        expected = {"created": ["new"], "changed": ["t"], "removed": ["s"]}
        before = self.export()
        self.assertEqual(self.ok(self.apply(new, changed, prune=True, dryRun=True)), expected)
        self.assertEqual(self.export(), before)
        self.assertEqual(self.ok(self.apply(new, changed, prune=True)), expected)
        self.assertEqual(self.names(), ["new", "t"])
        self.d.stop(signal.SIGKILL)
        self.d.start()
        self.c = self.d.client()
        self.assertEqual(self.names(), ["new", "t"])
        self.assertEqual(self.export()["udpTunnels"][1], changed)

    def test_apply_without_prune_leaves_others(self):
        self.configure(SERVER)
        self.assertEqual(self.ok(self.apply(LOCAL)),
                         {"created": ["t"], "changed": [], "removed": []})
        self.assertEqual(self.names(), ["s", "t"])

    def test_apply_that_fails_leaves_everything(self):
        self.configure(SERVER)
        self.configure(LOCAL)
        before = self.export()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            blocked = dict(SERVER, name="z", listen="127.0.0.1:%d" % taken.getsockname()[1])
            reply = self.apply(dict(LOCAL, maxFlows=3), dict(SERVER, name="a"), blocked,
                               prune=True)
            self.fails(reply, 104, "PORT_IN_USE", "parameters.config.udpTunnels[2].listen")
        self.assertEqual(self.export(), before)
        self.assertEqual(self.names(), ["s", "t"])
        self.assertFalse(self.configure(LOCAL)["changed"])
        self.assertFalse(self.configure(SERVER)["changed"])

    def test_a_port_passes_from_one_object_to_another(self):
        port = free_port()
        held = dict(SERVER, name="z", listen="127.0.0.1:%d" % port)
        self.configure(held)
        done = self.ok(self.apply(dict(held, name="a"), dict(held, listen="127.0.0.1:0")))
        self.assertEqual(done, {"created": ["a"], "changed": ["z"], "removed": []})

    def listening(self):
        return {t["name"]: t["listen"] for t in self.ok(self.c.call("getStatus"))["udpTunnels"]}

    def test_ports_are_exchanged_and_go_round(self):
        places = ["127.0.0.1:%d" % free_port() for _ in range(3)]
        for turn in ([0, 1, 2], [1, 0, 2], [2, 1, 0], [0, 2, 1], [1, 2, 0]):
            wanted = {name: places[i] for name, i in zip("abc", turn)}
            self.ok(self.apply(*(dict(SERVER, name=n, listen=p) for n, p in wanted.items())))
            self.assertEqual(self.listening(), wanted)

    def test_an_exchange_that_fails_leaves_everything(self):
        a, b = ("127.0.0.1:%d" % free_port() for _ in range(2))
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            busy = "127.0.0.1:%d" % other.getsockname()[1]
            self.ok(self.apply(dict(SERVER, name="a", listen=a), dict(SERVER, name="b", listen=b)))
            reply = self.apply(dict(SERVER, name="a", listen=b), dict(SERVER, name="b", listen=a),
                               dict(SERVER, name="z", listen=busy))
            self.fails(reply, 104, "PORT_IN_USE", "parameters.config.udpTunnels[2].listen")
        self.assertEqual(self.listening(), {"a": a, "b": b})
        for place in (a, b):
            socket.create_connection(tuple(place.split(":"))).close()

    def test_ports_of_kept_objects_are_exchanged_by_a_restart_too(self):
        a, b = ("127.0.0.1:%d" % free_port() for _ in range(2))
        self.ok(self.apply(dict(SERVER, name="a", listen=a), dict(SERVER, name="b", listen=b)))
        self.ok(self.apply(dict(SERVER, name="a", listen=b), dict(SERVER, name="b", listen=a)))
        self.d.stop(signal.SIGKILL)
        self.d.start()
        self.c = self.d.client()
        self.assertEqual(self.listening(), {"a": b, "b": a})

    def test_a_default_that_is_said_is_a_change_of_the_object(self):
        self.configure(SERVER)
        said = dict(SERVER, maxFlows=16384)
        for dry in (True, False):
            self.assertEqual(self.ok(self.apply(said, dryRun=dry))["changed"], ["s"])
        self.assertEqual(self.export()["udpTunnels"], [said])
        self.assertFalse(self.configure(said)["changed"])

    def test_bad_configs_name_their_field(self):
        path = "parameters.config.udpTunnels[%d]"
        for tunnels, field in (
                ([LOCAL, dict(SERVER, key={"redacted": True})], path % 1 + ".key"),
                ([dict(LOCAL, connections=99)], path % 0 + ".connections"),
                ([LOCAL, LOCAL], path % 1 + ".name"),
                ([{"role": "local"}], path % 0 + ".name"),
                ([dict(LOCAL, wait=1)], path % 0 + ".wait"),
                ([dict(LOCAL, keyFile="/nonexistent")], path % 0 + ".keyFile")):
            for dry in (False, True):
                self.fails(self.apply(*tunnels, dryRun=dry), 7, "INVALID_PARAM", field)
        self.assertEqual(self.names(), [])

    def test_an_operator_may_leave_what_an_admin_set_but_not_set_it(self):
        self.configure(SERVER, mark=0)
        config = self.export()
        self.ok(self.c.call("hello", {"role": "operator"}))
        self.ok(self.c.call("applyConfig", {"config": config}))
        self.fails(self.apply(dict(SERVER, mark=0, maxFlows=5)), 2, "PERMISSION_DENIED",
                   "parameters.config.udpTunnels[0].mark")

    def test_log_level_of_everything_and_of_a_module(self):
        def noise():
            self.fails(self.c.call("closeSession", {"name": "none", "session": "0"}), 100,
                       "NOT_FOUND", "parameters.name")
            return self.d.log_text().count(" debug control: closeSession")
        self.assertEqual(noise(), 0)
        self.ok(self.c.call("setLogLevel", {"level": "debug", "module": "dialer"}))
        self.assertEqual(noise(), 0)
        self.ok(self.c.call("setLogLevel", {"level": "debug", "module": "control"}))
        self.assertEqual(noise(), 1)
        self.ok(self.c.call("setLogLevel", {"level": "warn"}))
        self.assertEqual(noise(), 1)
        self.ok(self.c.call("setLogLevel", {"level": "debug"}))
        self.assertEqual(noise(), 2)
        self.fails(self.c.call("setLogLevel", {"level": "loud"}), 7, "INVALID_PARAM",
                   "parameters.level")
        reply = self.fails(self.c.call("setLogLevel", {"level": "info", "module": "x"}), 7,
                           "INVALID_PARAM", "parameters.module")
        self.assertIn("dialer", reply["errorMessage"])


class Reload(TestCase):
    def setUp(self):
        self.d = Daemon(self)
        self.path = os.path.join(self.d.folder, "config.json")
        self.d.arguments += ["--config", self.path]

    def write(self, *tunnels):
        with open(self.path + ".new", "w") as f:
            json.dump({"udpTunnels": list(tunnels)}, f)
        os.rename(self.path + ".new", self.path)

    def start(self, *tunnels):
        self.write(*tunnels)
        self.d.start()
        self.c = self.d.client()
        self.addCleanup(self.c.close)

    def status(self):
        return {t["name"]: t for t in self.ok(self.c.call("getStatus"))["udpTunnels"]}

    def configured(self):
        return {t["name"]: t for t in
                self.ok(self.c.call("exportConfig", {"showSecrets": True}))["udpTunnels"]}

    def test_only_what_changed_is_touched(self):
        self.start(SERVER, LOCAL, dict(SERVER, name="gone"))
        self.ok(self.c.call("configureUdpTunnel", dict(SERVER, name="run")))
        before = self.status()
        self.write(SERVER, dict(LOCAL, maxFlows=7), dict(SERVER, name="new"))
        self.ok(self.c.call("reloadConfig"))
        after = self.status()
        self.assertEqual(sorted(after), ["new", "run", "s", "t"])
        for name in ("run", "s", "t"):
            self.assertEqual(after[name]["listen"], before[name]["listen"])
        self.assertEqual(self.configured()["t"]["maxFlows"], 7)
        log = self.d.log_text()
        self.assertIn("gone removed", log)
        self.assertNotIn("s configured", log.split("new configured")[0])

    def test_the_file_has_its_names_back(self):
        self.start(SERVER, LOCAL)
        reply = self.ok(self.c.call("configureUdpTunnel", dict(SERVER, maxFlows=5)))
        self.assertFalse(reply["persistent"])
        self.ok(self.c.call("removeUdpTunnel", {"name": "t"}))
        self.ok(self.c.call("configureUdpTunnel", dict(SERVER, name="x", maxFlows=5)))
        self.write(SERVER, LOCAL, dict(SERVER, name="x"))
        self.ok(self.c.call("reloadConfig"))
        self.assertEqual(self.configured(), {"s": SERVER, "t": LOCAL,
                                             "x": dict(SERVER, name="x")})
        with open(os.path.join(self.d.state, "state.json")) as f:
            self.assertEqual(json.load(f)["udpTunnels"], [])
        self.write()
        self.ok(self.c.call("reloadConfig"))
        self.assertEqual(self.configured(), {})

    def test_a_file_that_cannot_be_had_is_told_with_its_place(self):
        self.start(SERVER)
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            self.write(SERVER, dict(SERVER, name="x",
                                    listen="127.0.0.1:%d" % other.getsockname()[1]))
            reply = self.fails(self.c.call("reloadConfig"), 104, "PORT_IN_USE",
                               "udpTunnels[1].listen")
        place = self.path + ": udpTunnels[1].listen: 127.0.0.1:"
        self.assertIn(place, reply["errorMessage"])
        self.assertIn(place, self.d.log_text())
        self.assertEqual(list(self.status()), ["s"])

    def test_a_bad_file_changes_nothing(self):
        self.start(SERVER)
        before = self.configured()
        self.write(dict(SERVER, maxFlows=3), dict(LOCAL, connections=99))
        reply = self.fails(self.c.call("reloadConfig"), 7, "INVALID_PARAM",
                           "udpTunnels[1].connections")
        self.assertIn(self.path, reply["errorMessage"])
        with open(self.path, "w") as f:
            f.write('{"udpTunnels":[')
        self.fails(self.c.call("reloadConfig"), 107, "BAD_REQUEST")
        os.unlink(self.path)
        self.fails(self.c.call("reloadConfig"), 100, "NOT_FOUND")
        self.assertEqual(self.configured(), before)

    def test_hangup_reloads(self):
        self.start(SERVER)
        self.write(SERVER, LOCAL)
        self.d.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + DEADLINE_S
        while "t" not in self.status():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        self.assertEqual(self.status()["s"]["state"], "listening")

    def test_a_key_file_that_changed_is_taken(self):
        key_file = os.path.join(self.d.folder, "key")
        with open(key_file, "w") as f:
            f.write(KEY)
        os.chmod(key_file, 0o600)
        self.start(dict(SERVER, keyFile=key_file))
        again = self.c.call("configureUdpTunnel", dict(SERVER, keyFile=key_file))
        self.assertFalse(self.ok(again)["changed"])
        with open(key_file, "w") as f:
            f.write(OTHER_KEY)
        self.ok(self.c.call("reloadConfig"))
        self.assertIn("s configured", self.d.log_text())
        os.chmod(key_file, 0o644)
        self.ok(self.c.call("reloadConfig"))
        self.assertIn("is readable by users other than its owner", self.d.log_text())
        self.assertNotIn(KEY, self.d.log_text())

    def test_without_a_config_file_there_is_nothing_to_do(self):
        d = self.daemon()
        with d.client() as c:
            self.ok(c.call("reloadConfig"))


class Session(TestCase):
    def test_a_closed_session_goes_and_its_client_comes_back(self):
        d = self.daemon()
        c = d.client()
        self.addCleanup(c.close)
        server = self.ok(c.call("configureUdpTunnel", SERVER))["tunnel"]["listen"]
        self.ok(c.call("configureUdpTunnel", dict(LOCAL, server=server, wait=DEADLINE_S)))
        first = self.ok(c.call("listSessions", {"name": "s"}))["sessions"][0]["session"]
        close = {"name": "s", "session": first}
        self.assertTrue(self.ok(c.call("closeSession", close))["changed"])
        end = time.monotonic() + DEADLINE_S
        while all(s["session"] == first
                  for s in self.ok(c.call("listSessions", {"name": "s"}))["sessions"]):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        none = {"name": "s", "session": "0" * 32}
        self.assertFalse(self.ok(c.call("closeSession", none))["changed"])
        self.fails(c.call("closeSession", dict(none, session="00")), 7, "INVALID_PARAM",
                   "parameters.session")
        self.fails(c.call("closeSession", dict(none, name="t")), 7, "INVALID_PARAM",
                   "parameters.name")


if __name__ == "__main__":
    unittest.main()
