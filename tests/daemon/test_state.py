# SPDX-License-Identifier: Apache-2.0
"""What is back after a restart, and what is not."""
import json
import os
import signal
import stat
import subprocess
import threading
import unittest

from daemon import Daemon, TestCase, free_port, sanitized

LOCAL = {"name": "t", "role": "local", "server": "127.0.0.1:9", "listen": "udp://127.0.0.1:0",
         "target": "127.0.0.1:7"}
SERVER = {"name": "s", "role": "server", "listen": "127.0.0.1:0"}


class State(TestCase):
    def configure(self, d, *objects, **fields):
        parameters = {}
        for part in objects + (fields,):
            parameters.update(part)
        with d.client() as c:
            return c.call("configureUdpTunnel", parameters)

    def names(self, d):
        with d.client() as c:
            return [t["name"] for t in self.ok(c.call("getStatus"))["udpTunnels"]]

    def kept(self, d):
        with open(os.path.join(d.state, "state.json")) as f:
            return json.load(f)

    def test_back_after_kill_and_after_an_orderly_stop(self):
        d = self.daemon()
        self.ok(self.configure(d, LOCAL, maxFlows=77))
        self.ok(self.configure(d, SERVER))
        with d.client() as c:
            self.ok(c.call("removeUdpTunnel", {"name": "s"}))
        self.assertEqual(d.stop(signal.SIGKILL), -signal.SIGKILL)
        d.start()
        self.assertEqual(self.names(d), ["t"])
        self.assertFalse(self.ok(self.configure(d, LOCAL, maxFlows=77))["changed"])
        self.assertEqual(d.stop(), 0)
        d.start()
        self.assertEqual(self.names(d), ["t"])

    def test_state_is_private_and_has_the_objects_as_given(self):
        d = self.daemon()
        key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
        self.ok(self.configure(d, SERVER, key=key, wait=5))
        path = os.path.join(d.state, "state.json")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(d.state).st_mode), 0o700)
        self.assertEqual(self.kept(d)["udpTunnels"], [dict(SERVER, key=key)])
        self.assertEqual(os.listdir(d.state), ["state.json"])
        self.assertNotIn(key, d.log_text())

    def test_a_redacted_key_keeps_the_present_one(self):
        d = self.daemon()
        key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
        self.fails(self.configure(d, SERVER, key={"redacted": True}), 7, "INVALID_PARAM",
                   "parameters.key")
        self.ok(self.configure(d, SERVER, key=key))
        self.assertFalse(self.ok(self.configure(d, SERVER, key={"redacted": True}))["changed"])
        self.assertEqual(self.kept(d)["udpTunnels"], [dict(SERVER, key=key)])

    def test_ephemeral_is_not_kept(self):
        d = self.daemon()
        self.assertFalse(self.ok(self.configure(d, LOCAL, ephemeral=True))["persistent"])
        self.ok(self.configure(d, SERVER))
        d.stop(signal.SIGKILL)
        d.start()
        self.assertEqual(self.names(d), ["s"])
        self.assertTrue(self.ok(self.configure(d, SERVER, ephemeral=True))["changed"])
        d.stop(signal.SIGKILL)
        d.start()
        self.assertEqual(self.names(d), [])

    def test_no_state_keeps_nothing(self):
        d = self.daemon(state=False)
        self.assertFalse(self.ok(self.configure(d, LOCAL))["persistent"])
        d.stop()
        d.start()
        self.assertEqual(self.names(d), [])

    def test_names_of_the_config_file_belong_to_it(self):
        d = self.daemon()
        self.ok(self.configure(d, LOCAL, name="both"))
        d.stop()
        config = os.path.join(d.folder, "config.json")
        with open(config, "w") as f:
            json.dump({"udpTunnels": [dict(SERVER, name="both"), SERVER]}, f)
        d.arguments += ["--config", config]
        d.start()
        with d.client() as c:
            status = self.ok(c.call("getStatus"))["udpTunnels"]
            self.assertEqual([(t["name"], t["role"]) for t in status],
                             [("both", "server"), ("s", "server")])
            self.assertEqual(self.ok(c.call("removeUdpTunnel", {"name": "both"})),
                             {"changed": True})
            self.assertFalse(self.ok(c.call("configureUdpTunnel", dict(LOCAL, name="both")))
                             ["persistent"])
            self.ok(c.call("configureUdpTunnel", LOCAL))
        self.assertEqual([t["name"] for t in self.kept(d)["udpTunnels"]], ["t"])
        d.stop(signal.SIGKILL)
        d.start()
        with d.client() as c:
            status = self.ok(c.call("getStatus"))["udpTunnels"]
        self.assertEqual([(t["name"], t["role"]) for t in status],
                         [("both", "server"), ("s", "server"), ("t", "local")])

    def test_state_that_cannot_be_written_fails_the_command_and_what_ran_runs_on(self):
        d = self.daemon()
        self.ok(self.configure(d, SERVER))
        with d.client() as c:
            before = self.ok(c.call("getStatus"))["udpTunnels"][0]["listen"]
        os.rename(d.state, d.state + ".away")
        os.mkdir(d.state + ".away/state.json.new")  # no file can be made of that name
        for reply in (self.configure(d, LOCAL), self.configure(d, SERVER, listen="127.0.0.2:0")):
            self.fails(reply, 12, "SYSTEM_MISCONFIGURED")
        with d.client() as c:
            self.fails(c.call("removeUdpTunnel", {"name": "s"}), 12, "SYSTEM_MISCONFIGURED")
            after = self.ok(c.call("getStatus"))["udpTunnels"]
        self.assertEqual([(t["name"], t["listen"]) for t in after], [("s", before)])
        os.rmdir(d.state + ".away/state.json.new")
        self.ok(self.configure(d, LOCAL))
        self.assertEqual(self.names(d), ["s", "t"])

    @unittest.skipUnless(os.geteuid() == 0, "needs root to mount a small disk")
    def test_a_full_disk_fails_the_command_and_what_ran_runs_on(self):
        d = Daemon(self)
        os.mkdir(d.state)
        plain = d.command()
        d.command = lambda: ["unshare", "--mount", "sh", "-c",
                             'mount -t tmpfs -o size=32k none "$0" && exec "$@"', d.state, *plain]
        d.start()
        self.ok(self.configure(d, SERVER))
        disk = "/proc/%d/root%s/" % (d.process.pid, d.state)
        with self.assertRaises(OSError), open(disk + "filler", "wb", buffering=0) as f:
            while True:
                f.write(b"x" * 4096)
        self.fails(self.configure(d, LOCAL), 12, "SYSTEM_MISCONFIGURED")
        with d.client() as c:
            reply = c.call("removeUdpTunnel", {"name": "s"})
            self.fails(reply, 12, "SYSTEM_MISCONFIGURED")
            self.assertEqual(reply["error"]["errno"], "ENOSPC")
        self.assertEqual(self.names(d), ["s"])
        with open(disk + "state.json") as f:
            self.assertEqual(json.load(f)["udpTunnels"], [SERVER])
        os.unlink(disk + "filler")
        self.ok(self.configure(d, LOCAL))
        self.assertEqual(self.names(d), ["s", "t"])

    def test_a_tunnel_that_cannot_be_had_leaves_the_state_as_it_was(self):
        d = self.daemon()
        listen = self.ok(self.configure(d, SERVER))["tunnel"]["listen"]
        before = self.kept(d)
        self.fails(self.configure(d, SERVER, name="s2", listen=listen), 104, "PORT_IN_USE",
                   "parameters.listen")
        self.assertEqual(self.kept(d), before)
        self.assertEqual(os.listdir(d.state), ["state.json"])

    def test_one_that_cannot_start_again_is_shown_as_failed_and_not_lost(self):
        d = self.daemon()
        listen = "127.0.0.1:%d" % free_port()
        self.ok(self.configure(d, SERVER, listen=listen))
        d.stop()
        other = self.daemon(state=False)
        self.ok(self.configure(other, SERVER, listen=listen))
        d.start()
        with d.client() as c:
            status = self.ok(c.call("getStatus"))
        self.assertEqual(status["health"], "degraded")
        self.assertEqual(status["udpTunnels"][0]["state"], "failed")
        self.assertIn("in use", status["udpTunnels"][0]["lastError"])
        other.stop()
        self.assertTrue(self.ok(self.configure(d, SERVER, listen=listen))["changed"])
        with d.client() as c:
            self.assertEqual(self.ok(c.call("getStatus"))["udpTunnels"][0]["state"], "listening")

    def test_killed_while_it_writes_it_has_the_old_state_or_the_new_one(self):
        d = self.daemon()
        for round_ in range(10):
            acknowledged = []

            def configure_until_it_dies():
                try:
                    with d.client() as c:
                        for i in range(1000):
                            name = "r%d.%d" % (round_, i)
                            self.ok(c.call("configureUdpTunnel", dict(SERVER, name=name)))
                            acknowledged.append(name)
                            self.ok(c.call("removeUdpTunnel", {"name": name}))
                            acknowledged.pop()
                except (OSError, TypeError):
                    pass

            thread = threading.Thread(target=configure_until_it_dies)
            thread.start()
            while not acknowledged and thread.is_alive():
                pass
            d.stop(signal.SIGKILL)
            thread.join()
            d.start()
            names = self.names(d)
            self.assertLessEqual(len(names), 1)
            for name in names:
                with d.client() as c:
                    self.ok(c.call("removeUdpTunnel", {"name": name}))

    def test_state_that_is_no_state_is_not_overwritten(self):
        for text in ("{", '{"udpTunnels":[{"name":5}]}', '{"udpTunnels":[{"role":"server"}]}'):
            d = self.daemon()
            d.stop()
            path = os.path.join(d.state, "state.json")
            with open(path, "w") as f:
                f.write(text)
            status, message = d.run_to_end()
            self.assertEqual(status, 3, message)
            self.assertIn("state", message)
            with open(path) as f:
                self.assertEqual(f.read(), text)

    def test_a_state_directory_has_one_daemon(self):
        d = self.daemon()
        done = subprocess.run([d.command()[0], "-s", d.socket + "2", "--state-dir", d.state],
                              stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"another udptund", done.stderr)

    def test_thousand_rounds_leave_memory_and_descriptors_flat(self):
        d = self.daemon(state=False)
        proc = "/proc/%d/" % d.process.pid

        def resident_kib():
            with open(proc + "status") as f:
                return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

        with d.client() as c:
            for i in range(1100):
                self.ok(c.call("configureUdpTunnel", SERVER))
                self.ok(c.call("removeUdpTunnel", {"name": "s"}))
                if i == 100:
                    before = resident_kib(), len(os.listdir(proc + "fd"))
        if not sanitized():
            self.assertLess(resident_kib(), before[0] + 1024)
        self.assertLessEqual(len(os.listdir(proc + "fd")), before[1])


if __name__ == "__main__":
    unittest.main()
