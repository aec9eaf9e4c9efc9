# SPDX-License-Identifier: Apache-2.0
"""Sessions outlive restarts of either end, killed or stopped: the target sees the same external port."""
import contextlib
import json
import os
import signal
import socket
import stat
import time
import unittest

from daemon import Daemon, TestCase, free_port

PATIENCE_S = 30  # against hanging only


def udp_socket():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    s.settimeout(0.2)
    return s


class Sessions(TestCase):
    def setUp(self):
        super().setUp()
        self.target, self.source = udp_socket(), udp_socket()
        self.addCleanup(self.target.close)
        self.addCleanup(self.source.close)
        self.listen = free_port(socket.SOCK_DGRAM)
        self.far, self.near = self.daemon(), self.daemon()
        self.server = {"name": "far", "role": "server", "allowTargets": ["127.0.0.0/8"],
                       "listen": "127.0.0.1:%d" % free_port()}
        with self.far.client() as c:
            self.ok(c.call("configureUdpTunnel", self.server))
        self.local = {"name": "near", "role": "local", "server": self.server["listen"],
                      "listen": f"udp://127.0.0.1:{self.listen}", "wait": 20,
                      "target": "127.0.0.1:%d" % self.target.getsockname()[1]}

    def configure(self, **fields):
        with self.near.client() as c:
            self.ok(c.call("configureUdpTunnel", dict(self.local, **fields)))

    def seen_from(self):
        """The port from which the target hears the source."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            self.source.sendto(b"x", ("127.0.0.1", self.listen))
            try:
                return self.target.recvfrom(16)[1][1]
            except TimeoutError:
                pass
        self.fail("nothing comes through")

    def drained(self):
        """Nothing of before is under way to the target any more."""
        try:
            while True:
                self.target.recvfrom(16)
        except TimeoutError:
            pass

    def kept_file(self):
        return os.path.join(self.near.state, "near.session")

    def wait_for_file(self):
        until = time.monotonic() + PATIENCE_S
        while not os.path.exists(self.kept_file()) and time.monotonic() < until:
            time.sleep(0.02)
        self.assertEqual(stat.S_IMODE(os.stat(self.kept_file()).st_mode), 0o600)

    def restart(self, number=signal.SIGKILL):
        self.assertEqual(self.near.stop(number), 0 if number == signal.SIGTERM else -number)
        self.drained()
        self.near.start()

    def sessions(self):
        with self.far.client() as c:
            return self.ok(c.call("listSessions", {"name": "far"}))["sessions"]

    def wait_until(self, is_so):
        until = time.monotonic() + PATIENCE_S
        while not is_so():
            self.assertLess(time.monotonic(), until, self.sessions())
            time.sleep(0.02)

    def wait_for_sessions(self, expected):
        """Until the states of the server's sessions are `expected`."""
        self.wait_until(lambda: [s["state"] for s in self.sessions()] == expected)

    def test_the_external_port_stays_over_kills(self):
        self.configure()
        before = self.seen_from()
        self.wait_for_file()
        for _ in range(2):
            self.restart()
            self.assertEqual(self.seen_from(), before)
        self.assertEqual(len(self.sessions()), 1)

    def test_the_external_port_stays_when_it_is_enabled_after_the_start(self):
        self.configure()
        before = self.seen_from()
        self.wait_for_file()
        self.assertEqual(self.near.stop(signal.SIGKILL), -signal.SIGKILL)
        self.drained()
        path = os.path.join(self.near.state, "state.json")
        with open(path, encoding="utf-8") as f:
            state = json.load(f)
        state["udpTunnels"][0]["enabled"] = False
        with open(path, "w", encoding="utf-8") as f:
            json.dump(state, f)
        self.near.start()
        self.configure()  # the kept session is read while the daemon runs
        self.assertEqual(self.seen_from(), before)
        self.assertEqual(len(self.sessions()), 1)

    def test_the_external_port_stays_while_listeners_are_exchanged(self):
        self.configure()
        before = self.seen_from()
        other = dict(self.local, name="other", listen="udp://127.0.0.1:%d" %
                     free_port(socket.SOCK_DGRAM))
        self.configure(**other)
        places = [self.local["listen"], other["listen"]]
        for near, far in (places[::-1], places):
            config = {"udpTunnels": [dict(self.local, listen=near), dict(other, listen=far)]}
            for tunnel in config["udpTunnels"]:
                del tunnel["wait"]
            with self.near.client() as c:
                self.ok(c.call("applyConfig", {"config": config}))
            self.drained()
            self.listen = int(near.rpartition(":")[2])
            self.assertEqual(self.seen_from(), before)

    def test_the_external_port_stays_over_an_orderly_restart_of_udp_local(self):
        self.configure()
        before = self.seen_from()
        self.wait_for_file()
        session = self.sessions()[0]["session"]
        self.assertEqual(self.near.stop(), 0)
        self.wait_for_sessions(["detached"])
        for _ in range(2):
            self.near.start()
            self.assertEqual(self.seen_from(), before)
            self.near.stop()
        self.near.start()
        self.wait_for_sessions(["established"])
        self.assertEqual(self.sessions()[0]["session"], session)

    def test_the_external_port_stays_over_an_orderly_restart_of_udp_server(self):
        self.configure()
        before = self.seen_from()
        session = self.sessions()[0]["session"]
        for _ in range(2):
            self.assertEqual(self.far.stop(), 0)
            self.drained()
            self.far.start()
            self.assertEqual(self.seen_from(), before)
        self.assertEqual([s["session"] for s in self.sessions()], [session])

    def test_the_external_port_stays_when_the_tunnel_is_made_anew(self):
        self.configure()
        before = self.seen_from()
        self.wait_for_file()
        self.listen = free_port(socket.SOCK_DGRAM)
        self.configure(listen=f"udp://127.0.0.1:{self.listen}")
        self.assertEqual(self.seen_from(), before)
        self.wait_for_sessions(["established"])

    def test_what_will_not_be_back_says_goodbye(self):
        self.configure()
        self.seen_from()
        with self.near.client() as c:
            self.ok(c.call("removeUdpTunnel", {"name": "near"}))
        self.wait_for_sessions([])
        self.configure()
        self.seen_from()
        self.configure(enabled=False, wait=0)
        self.wait_for_sessions([])
        self.configure(ephemeral=True)
        self.seen_from()
        self.assertEqual(self.near.stop(), 0)
        self.wait_for_sessions([])
        self.near = self.daemon(state=False)
        self.configure()
        self.seen_from()
        self.assertEqual(self.near.stop(), 0)
        self.wait_for_sessions([])

    def flows(self):
        with self.near.client() as c:
            return [f["source"] for f in self.ok(c.call("listFlows", {"name": "near"}))["flows"]]

    def apply(self, *tunnels):
        with self.near.client() as c:
            return c.call("applyConfig", {"config": {"udpTunnels": list(tunnels)}, "prune": True})

    def busy_place(self):
        """HOST:PORT that another process has."""
        other = socket.socket()
        self.addCleanup(other.close)
        other.bind(("127.0.0.1", 0))
        other.listen()
        return "127.0.0.1:%d" % other.getsockname()[1]

    def established(self):
        """Its external port, its session and its flows: what is not to be lost."""
        port = self.seen_from()
        self.wait_for_file()
        return port, self.sessions()[0]["session"], self.flows()

    def still(self, before):
        """Nothing of it was touched, so nothing has to be waited for."""
        sessions = self.sessions()
        self.assertEqual([(s["session"], s["state"]) for s in sessions],
                         [(before[1], "established")])
        self.assertEqual(self.flows(), before[2])
        self.assertTrue(os.path.exists(self.kept_file()))
        self.drained()
        self.assertEqual(self.seen_from(), before[0])

    def test_a_prune_that_fails_ends_no_session(self):
        self.configure()
        before = self.established()
        self.assertEqual(len(before[2]), 1)
        new = {"name": "new", "role": "server", "listen": self.busy_place()}
        self.fails(self.apply(new), 104, "PORT_IN_USE", "parameters.config.udpTunnels[0].listen")
        self.still(before)
        new["listen"] = "127.0.0.1:%d" % free_port()
        self.assertEqual(self.ok(self.apply(new)),
                         {"created": ["new"], "changed": [], "removed": ["near"]})
        self.wait_for_sessions([])  # it said goodbye
        self.ok(self.apply())  # after the file was removed
        self.assertFalse(os.path.exists(self.kept_file()))

    def test_a_prune_that_passes_a_port_on_and_fails_ends_no_session(self):
        self.configure()
        before = self.established()
        heir = dict(self.local, name="heir")
        del heir["wait"]
        new = {"name": "new", "role": "server", "listen": self.busy_place()}
        self.fails(self.apply(heir, new), 104, "PORT_IN_USE",
                   "parameters.config.udpTunnels[1].listen")
        self.wait_for_sessions(["established"])
        self.drained()
        self.assertEqual(self.seen_from(), before[0])
        self.assertEqual([s["session"] for s in self.sessions()], [before[1]])
        self.assertEqual(self.ok(self.apply(heir)),
                         {"created": ["heir"], "changed": [], "removed": ["near"]})
        self.drained()
        self.seen_from()
        # The goodbye of the one removed does not get through where no stream was up again yet.
        self.wait_until(lambda: [s["session"] != before[1] for s in self.sessions()
                                 if s["state"] == "established"] == [True])

    def test_a_prune_of_what_others_use_ends_no_session(self):
        self.configure()
        instance = {"name": "i", "device": "pipe", "udp": "tunnel:used"}
        used = dict(self.local, name="used", listen="udp://127.0.0.1:0")
        del used["wait"]
        with self.near.client() as c:
            self.ok(c.call("configureUdpTunnel", dict(used, enabled=False)))
            if c.call("configureTun2socks", instance)["statusCode"] == 105:
                self.skipTest("no tun2socks in this build")
            before = self.established()
            reply = c.call("applyConfig", {"config": {"tun2socks": [instance]}, "prune": True})
            self.fails(reply, 102, "CONFLICT")
            self.still(before)

    def test_a_reload_that_fails_ends_no_session(self):
        self.near = Daemon(self)
        config = os.path.join(self.near.folder, "config.json")
        self.near.arguments += ["--config", config]
        del self.local["wait"]

        def write(*tunnels):
            with open(config, "w", encoding="utf-8") as f:
                json.dump({"udpTunnels": tunnels}, f)
        write(self.local)
        self.near.start()
        before = self.established()
        write({"name": "new", "role": "server", "listen": self.busy_place()})
        with self.near.client() as c:
            self.fails(c.call("reloadConfig"), 104, "PORT_IN_USE", "udpTunnels[0].listen")
            self.still(before)
            write()
            self.ok(c.call("reloadConfig"))
        self.wait_for_sessions([])

    def state_cannot_be_replaced(self):
        """A directory is in its place; what is prepared can be written all the same."""
        path = os.path.join(self.near.state, "state.json")
        if os.path.exists(path):
            os.unlink(path)
        os.makedirs(path, mode=0o700)  # the daemon may not have made its folder yet
        return path

    def test_a_removal_that_cannot_be_written_is_done_and_told(self):
        self.configure()
        self.established()
        path = self.state_cannot_be_replaced()
        with self.near.client() as c:
            self.assertIn("directory", self.ok(c.call("removeUdpTunnel", {"name": "near"}))[
                "unwritten"])
            self.wait_for_sessions([])
            os.rmdir(path)
            self.assertFalse(self.ok(c.call("removeUdpTunnel", {"name": "near"}))["changed"])

    def configure_while_the_worker_reads(self):
        """The state is committed behind the second reading, when the tunnel may be up by then."""
        request = {"action": "configureUdpTunnel", "parameters": dict(self.local, wait=0)}
        reload = {"action": "reloadConfig"}
        requests = (reload, request, reload, reload, reload)
        with contextlib.ExitStack() as stack:
            look = stack.enter_context(self.near.client())
            clients = [stack.enter_context(self.near.client()) for _ in requests]
            for client in clients:
                self.ok(client.call("getStatus"))
            for client, request in zip(clients, requests):
                client.send(json.dumps(request))
                self.ok(look.call("getStatus"))  # it is taken before the next
            return [client.line() for client in clients][1]

    def test_a_new_tunnel_that_cannot_be_kept_leaves_no_file(self):
        self.near = Daemon(self)
        config = os.path.join(self.near.folder, "config.json")
        self.near.arguments += ["--config", config]
        with open(config, "w", encoding="utf-8") as f:
            f.write("{}")
        self.near.start()
        path = self.state_cannot_be_replaced()
        with open(config, "w", encoding="utf-8") as f:
            f.write(" " * (15 << 20))  # long to read, and nothing in it
        # The tunnel is seldom up in time, least of all under sanitizers: this may take many rounds.
        until = time.monotonic() + 4 * PATIENCE_S
        while "near: connecting -> established" not in self.near.log_text():
            if time.monotonic() > until:
                self.skipTest("the moment did not come: the tunnel was never up in time")
            self.fails(self.configure_while_the_worker_reads(), 12, "SYSTEM_MISCONFIGURED")
        # A goodbye does not get through where no stream was up yet.
        self.wait_until(lambda: all(s["state"] == "detached" for s in self.sessions()))
        os.rmdir(path)
        with self.near.client() as c:  # behind what the worker had to do
            self.ok(c.call("configureUdpTunnel", {"name": "o", "role": "server",
                                                  "listen": "127.0.0.1:0"}))
        self.assertEqual(os.listdir(self.near.state), ["state.json"])

    def test_a_damaged_file_costs_the_session_and_nothing_else(self):
        self.configure()
        self.seen_from()
        self.wait_for_file()
        self.near.stop(signal.SIGKILL)
        with open(self.kept_file(), "r+b") as f:
            f.write(b"garbage")
        self.drained()
        self.near.start()
        self.seen_from()
        self.assertEqual(len(self.sessions()), 2)

    def test_an_ephemeral_tunnel_and_a_removed_one_leave_no_file(self):
        self.configure(ephemeral=True)
        self.seen_from()
        self.configure(ephemeral=False, connections=4)
        with self.near.client() as c:
            self.ok(c.call("removeUdpTunnel", {"name": "near"}))
            self.ok(c.call("configureUdpTunnel", {"name": "o", "role": "server",
                                                  "listen": "127.0.0.1:0"}))  # after the removal
        self.assertFalse(os.path.exists(self.kept_file()))


if __name__ == "__main__":
    unittest.main()
