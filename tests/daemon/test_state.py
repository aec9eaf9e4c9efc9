# SPDX-License-Identifier: Apache-2.0
"""What is back after a restart, and what is not."""
import json
import os
import signal
import stat
import subprocess
import threading
import time
import unittest

from daemon import DEADLINE_S, Daemon, TestCase, free_port, sanitized

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

    def kept(self, d, folder=None):
        with open(os.path.join(folder or d.state, "state.json")) as f:
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
        os.mkdir(d.state + "/state.json.new")  # no file can be made of that name
        for reply in (self.configure(d, LOCAL), self.configure(d, SERVER, listen="127.0.0.2:0")):
            self.fails(reply, 12, "SYSTEM_MISCONFIGURED")
        with d.client() as c:
            status = self.ok(c.call("getStatus"))
        self.assertEqual([(t["name"], t["listen"]) for t in status["udpTunnels"]],
                         [("s", before)])
        self.assertEqual(status["health"], "ok")
        os.rmdir(d.state + "/state.json.new")
        self.ok(self.configure(d, LOCAL))
        self.assertEqual(self.names(d), ["s", "t"])

    def wait_until_written(self, d):
        """Until the daemon says that nothing is missing on the disk."""
        end = time.monotonic() + DEADLINE_S
        with d.client() as c:
            while "lastError" in self.ok(c.call("getStatus")):
                self.assertLess(time.monotonic(), end, d.log_text())
                time.sleep(0.05)
            self.assertEqual(self.ok(c.call("getStatus"))["health"], "ok")

    def stop_both_unwritten(self, d, reason):
        """With two servers, s and s2, on a disk that takes nothing: end one, disable the other."""
        with d.client() as c:
            removed = self.ok(c.call("removeUdpTunnel", {"name": "s"}))
            disabled = self.ok(c.call("configureUdpTunnel", {"name": "s2", "merge": True,
                                                             "enabled": False}))
            status = self.ok(c.call("getStatus"))
            self.fails(c.call("configureUdpTunnel", LOCAL), 12, "SYSTEM_MISCONFIGURED")
        self.assertTrue(removed["changed"] and disabled["changed"])
        self.assertFalse(disabled["persistent"])
        for reply in (removed, disabled):
            self.assertIn(reason, reply["unwritten"])
        self.assertEqual([(t["name"], t["state"]) for t in status["udpTunnels"]],
                         [("s2", "disabled")])
        self.assertEqual(status["health"], "degraded")
        self.assertIn(reason, status["lastError"])
        self.assertIn(reason, status["udpTunnels"][0]["lastError"])
        for name in ("s", "s2"):
            self.assertRegex(d.log_text(), "error control: %s: done, but not written.*%s"
                             % (name, reason))

    def on_small_disk(self, options="size=32k"):
        """A daemon whose state is on a disk of its own, and that folder as seen from here."""
        d = Daemon(self)
        os.mkdir(d.state)
        plain = d.command()
        d.command = lambda: ["unshare", "--mount", "sh", "-c",
                             'mount -t tmpfs -o %s none "$0" && exec "$@"' % options, d.state,
                             *plain]
        d.start()
        self.ok(self.configure(d, SERVER))
        self.ok(self.configure(d, SERVER, name="s2"))
        return d, "/proc/%d/root%s/" % (d.process.pid, d.state)

    def fill(self, disk):
        with self.assertRaises(OSError), open(disk + "filler", "wb", buffering=0) as f:
            while True:
                f.write(b"x" * 4096)

    def remount(self, d, options):
        subprocess.run(["nsenter", "-t", str(d.process.pid), "-m", "mount", "-o",
                        "remount," + options, d.state], check=True)

    @unittest.skipUnless(os.geteuid() == 0, "needs root to mount a small disk")
    def test_on_a_full_disk_objects_can_be_stopped_and_are_written_later(self):
        d, disk = self.on_small_disk()
        before = self.kept(d, disk)
        self.fill(disk)
        self.stop_both_unwritten(d, "no space left")
        self.assertEqual(self.kept(d, disk), before)
        os.unlink(disk + "filler")
        self.wait_until_written(d)
        self.assertIn("the state is written again", d.log_text())
        self.assertEqual(self.kept(d, disk)["udpTunnels"],
                         [dict(SERVER, name="s2", enabled=False)])
        self.ok(self.configure(d, LOCAL))
        self.assertEqual(self.names(d), ["s2", "t"])
        self.fill(disk)
        with d.client() as c:
            self.ok(c.call("removeUdpTunnel", {"name": "t"}))
            self.ok(c.call("shutdown"))
        self.assertEqual(d.process.wait(DEADLINE_S), 0)

    @unittest.skipUnless(os.geteuid() == 0, "needs root to mount a small disk")
    def test_on_a_read_only_disk_objects_can_be_stopped_and_the_daemon_shut_down(self):
        d, disk = self.on_small_disk("size=1m")
        before = self.kept(d, disk)
        self.remount(d, "ro")
        self.stop_both_unwritten(d, "read-only")
        self.assertEqual(self.kept(d, disk), before)
        self.remount(d, "rw")
        self.wait_until_written(d)
        self.remount(d, "ro")
        with d.client() as c:
            self.ok(c.call("removeUdpTunnel", {"name": "s2"}))
            self.ok(c.call("shutdown"))
        self.assertEqual(d.process.wait(DEADLINE_S), 0)

    @unittest.skipUnless(os.geteuid() == 0, "needs root to mount a small disk")
    def test_a_session_that_cannot_be_written_is_told_and_written_later(self):
        d, disk = self.on_small_disk("size=1m")
        with d.client() as c:
            listen = self.ok(c.call("getStatus", {"name": "s"}))["udpTunnels"][0]["listen"]
        port = free_port()
        self.ok(self.configure(d, LOCAL, server="127.0.0.1:%d" % port))
        self.remount(d, "ro")
        with d.client() as c:
            self.ok(c.call("removeUdpTunnel", {"name": "s"}))
        # The server appears, as another daemon's; the local has a session then.
        other = self.daemon(state=False)
        self.ok(self.configure(other, SERVER, listen="127.0.0.1:%d" % port))
        self.assertNotEqual(listen, port)
        end = time.monotonic() + DEADLINE_S
        while "t: session not written: read-only" not in d.log_text():
            self.assertLess(time.monotonic(), end, d.log_text())
            time.sleep(0.05)
        with d.client() as c:
            status = self.ok(c.call("getStatus", {"name": "t"}))
        self.assertEqual(status["health"], "degraded")
        self.assertIn("session not written", status["udpTunnels"][0]["lastError"])
        self.assertFalse(os.path.exists(disk + "t.session"))
        self.remount(d, "rw")
        self.wait_until_written(d)
        self.assertTrue(os.path.exists(disk + "t.session"))

    def test_without_a_descriptor_objects_are_stopped_and_it_is_written(self):
        """Writing has a descriptor of its own; the key file of what is disabled is not read."""
        d = Daemon(self)
        plain = d.command()
        d.command = lambda: ["sh", "-c", 'ulimit -n 32 && exec "$@"', "sh", *plain]
        key = d.folder + "/key"
        with open(key, "w") as f:
            f.write("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
        os.chmod(key, 0o600)
        d.start()
        with d.client() as c:
            self.ok(c.call("configureUdpTunnel", dict(SERVER, keyFile=key)))
            self.ok(c.call("configureUdpTunnel", dict(SERVER, name="s2")))
            taken = []
            while len(taken) < 40:  # tunnels take descriptors until there are none
                reply = c.call("configureUdpTunnel", dict(SERVER, name="x%d" % len(taken)))
                if reply["statusCode"]:
                    break
                taken.append(reply)
            self.assertLess(len(taken), 40)
            self.assertEqual(self.ok(c.call("configureUdpTunnel", {
                "name": "s", "merge": True, "enabled": False}))["persistent"], True)
            self.assertEqual(self.ok(c.call("removeUdpTunnel", {"name": "s2"})),
                             {"changed": True})
            names = [t["name"] for t in self.ok(c.call("getStatus"))["udpTunnels"]]
            self.assertEqual([t["name"] for t in self.kept(d)["udpTunnels"]], names)
            self.ok(c.call("shutdown"))
        self.assertEqual(d.process.wait(DEADLINE_S), 0)

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
