# SPDX-License-Identifier: Apache-2.0
"""The files of the state: damaged, newer, older, large, and with kill -9 between any two calls to
the kernel that change them."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

from daemon import DEADLINE_S, UDPTUND, Daemon, TestCase

SERVER = {"name": "s", "role": "server", "listen": "127.0.0.1:0"}
LARGE = dict(SERVER, name="large", allowTargets=["10.%d.%d.0/24" % (i >> 8, i & 255)
                                                 for i in range(6000)])
# An older udptund, of format 1, for going back and forth; without it, its file is written here.
OLD_UDPTUND = os.environ.get("OLD_UDPTUND")


class Files(TestCase):
    def path(self, d, name="state.json"):
        return os.path.join(d.state, name)

    def read(self, d, name="state.json"):
        with open(self.path(d, name), "rb") as f:
            return f.read()

    def write(self, d, data, name="state.json"):
        with open(self.path(d, name), "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())

    def configure(self, d, *objects):
        with d.client() as c:
            for one in objects:
                self.ok(c.call("configureUdpTunnel", one))

    def remove(self, d, *names):
        with d.client() as c:
            for name in names:
                self.assertTrue(self.ok(c.call("removeUdpTunnel", {"name": name}))["changed"])

    def names(self, d):
        with d.client() as c:
            return [t["name"] for t in self.ok(c.call("getStatus"))["udpTunnels"]]

    def with_two_states(self, *more):
        """A daemon that was stopped, with s, t and u; the copy of before has s and t alone."""
        d = self.daemon()
        self.configure(d, SERVER, dict(SERVER, name="t"), *more, dict(SERVER, name="u"))
        d.stop()
        return d

    def restart_with(self, d, data):
        self.write(d, data)
        d.start()
        return self.names(d)

    def test_a_damaged_state_is_set_aside_and_the_last_good_copy_used(self):
        good = json.dumps({"format": 2, "generation": 5, "udpTunnels": [SERVER]})
        for damage in (b"", b"{", b"\0" * 4096, good[:-9].encode(), b"[]", b'{"udpTunnels":5}',
                       b'{"udpTunnels":[{"role":"server"}]}', b'{"format":-1}',
                       b'{"udpTunnels":[],"udpTunnels":[]}'):
            d = self.with_two_states()
            self.assertEqual(self.restart_with(d, damage), ["s", "t"], damage)
            log = d.log_text()
            self.assertRegex(log, r"error control: \S*/state.json: .*; state.json.old is used")
            self.assertIn("state.json was set aside as state.json.damaged", log)
            self.assertEqual(self.read(d, "state.json.damaged"), damage)
            self.configure(d, dict(SERVER, name="v"))
            d.stop()
            d.start()
            self.assertEqual(self.names(d), ["s", "t", "v"])
            d.stop()
            # Another one does not overwrite the first.
            self.restart_with(d, b"again")
            self.assertEqual(self.read(d, "state.json.damaged"), damage)
            self.assertEqual(self.read(d, "state.json.damaged.2"), b"again")

    def test_a_damaged_state_without_a_copy_is_set_aside(self):
        d = self.daemon()
        d.stop()
        self.assertEqual(self.restart_with(d, b"{"), [])
        self.assertIn("an empty state is used", d.log_text())
        self.assertEqual(self.read(d, "state.json.damaged"), b"{")

    def test_a_state_of_a_newer_format_is_set_aside(self):
        d = self.with_two_states()
        newer = json.dumps({"format": 3, "udpTunnels": {"s": SERVER}}).encode()
        # What a newer version keeps of ours is the best that there is.
        self.write(d, json.dumps({"format": 2, "generation": 1, "udpTunnels": [SERVER]}),
                   "state.json.v2")
        self.assertEqual(self.restart_with(d, newer), ["s"])
        self.assertIn("is of format 3, newer than 2; state.json.v2 is used", d.log_text())
        self.assertEqual(self.read(d, "state.json.v3"), newer)

    def test_while_it_cannot_be_set_aside_the_damaged_file_stays(self):
        d = self.with_two_states()
        os.mkdir(self.path(d, "state.json.new"))  # no file can be made of that name
        self.assertEqual(self.restart_with(d, b"{"), ["s", "t"])
        self.assertIn("state.json stays where it is until the state can be written", d.log_text())
        self.assertEqual(self.read(d), b"{")
        os.rmdir(self.path(d, "state.json.new"))
        self.configure(d, dict(SERVER, name="v"))
        self.assertEqual(self.read(d, "state.json.damaged"), b"{")
        d.stop()
        d.start()
        self.assertEqual(self.names(d), ["s", "t", "v"])

    def test_what_is_unknown_is_kept_and_told(self):
        d = self.daemon()
        d.stop()
        state = {"format": 2, "generation": 9, "later": {"x": [1]}, "udpTunnels": [
            dict(SERVER, later=5), dict(SERVER, name="bad", maxFlows="many"),
            dict(SERVER, name="t", other=None)]}
        self.assertEqual(self.restart_with(d, json.dumps(state)), ["s", "t"])
        self.assertIn("tunnel 's': 'later' is unknown to this version; it is kept", d.log_text())
        self.assertIn("tunnel 'bad' cannot be used and stays in the file: maxFlows", d.log_text())
        self.configure(d, dict(SERVER, maxFlows=7))
        self.remove(d, "t")
        kept = json.loads(self.read(d))
        self.assertEqual(kept["later"], {"x": [1]})
        self.assertEqual(kept["udpTunnels"], [dict(SERVER, name="bad", maxFlows="many"),
                                              dict(SERVER, maxFlows=7, later=5)])

    def test_another_program_that_changes_the_file_loses_nothing_of_ours(self):
        for large in ((), (LARGE,)):
            for change in (lambda d: os.unlink(self.path(d)), lambda d: self.write(d, b"{"),
                           lambda d: self.write(d, b'{"format":2,"generation":1}')):
                d = self.daemon()
                self.configure(d, SERVER, *large)
                change(d)
                # A large state goes on in its journal; a small one is written again as a whole.
                self.configure(d, dict(SERVER, name="t"))
                if not large:
                    self.assertIn("another program has changed state.json", d.log_text())
                    d.stop()
                    d.start()
                    self.assertEqual(self.names(d), ["s", "t"])

    # ---- formats

    def test_the_first_write_keeps_a_state_of_format_1(self):
        d = self.daemon()
        d.stop()
        old = json.dumps({"udpTunnels": [SERVER], "tun2socks": []}, indent=2).encode()
        self.assertEqual(self.restart_with(d, old), ["s"])
        self.assertEqual(self.read(d), old)  # nothing was to be written
        self.configure(d, dict(SERVER, name="t"))
        self.assertEqual(self.read(d, "state.json.v1"), old)
        self.assertEqual(json.loads(self.read(d))["format"], 2)
        self.configure(d, dict(SERVER, name="u"))
        self.assertEqual(self.read(d, "state.json.v1"), old)

    def test_upgrade_rollback_and_upgrade(self):
        """With journals, which must not be taken for those of a state of before."""
        d = self.daemon()
        d.stop()
        first = json.dumps({"udpTunnels": [SERVER, LARGE], "tun2socks": []}).encode()
        self.assertEqual(self.restart_with(d, first), ["large", "s"])
        self.configure(d, dict(SERVER, name="t"), dict(SERVER, name="u"))
        self.assertTrue(os.path.exists(self.path(d, "state.journal.0")) or
                        os.path.exists(self.path(d, "state.journal.1")))
        d.stop()
        # Back: what the older version wrote takes the place again, and it goes on from there.
        os.rename(self.path(d, "state.json.v1"), self.path(d))
        if OLD_UDPTUND:
            new, d.command = d.command, lambda: [OLD_UDPTUND, *new()[1:]]
            d.start()
            self.remove(d, "s")
            self.configure(d, dict(SERVER, name="old"))
            d.stop()
            d.command = new
        else:
            self.write(d, json.dumps({"udpTunnels": [dict(SERVER, name="old"), LARGE],
                                      "tun2socks": []}))
        second = self.read(d)
        d.start()
        self.assertEqual(self.names(d), ["large", "old"])
        self.configure(d, dict(SERVER, name="v"))
        self.assertEqual(self.read(d, "state.json.v1"), second)
        d.stop(signal.SIGKILL)
        d.start()
        self.assertEqual(self.names(d), ["large", "old", "v"])

    # ---- a large state

    def written(self, d):
        """Bytes that the process has given to write calls so far."""
        with open("/proc/%d/io" % d.process.pid) as f:
            return int(re.search(r"wchar: (\d+)", f.read())[1])

    def test_a_change_of_a_large_state_writes_the_change(self):
        d = self.daemon()
        self.configure(d, LARGE)
        size = os.path.getsize(self.path(d))
        self.assertGreater(size, 100000)
        before = self.written(d)
        for i in range(5):
            self.configure(d, dict(SERVER, name="a%d" % i))
            self.remove(d, "a%d" % i)
        self.assertLess(self.written(d) - before, size // 4)
        # In the long run as well: the whole is written when as much has been written of changes.
        before, generation = self.written(d), json.loads(self.read(d))["generation"]
        with d.client() as c:
            for i in range(2000):
                self.ok(c.call("configureUdpTunnel", dict(SERVER, name="b", maxFlows=i + 1)))
        self.assertGreater(json.loads(self.read(d))["generation"], generation)
        self.assertLess(self.written(d) - before, 2000 * 2000)
        d.stop(signal.SIGKILL)
        d.start()
        with d.client() as c:
            config = self.ok(c.call("exportConfig"))
        self.assertEqual(config["udpTunnels"], [dict(SERVER, name="b", maxFlows=2000), LARGE])

    def journal(self, d):
        return max((name for name in os.listdir(d.state) if name.startswith("state.journal")),
                   key=lambda name: os.path.getmtime(self.path(d, name)))

    def test_a_damaged_journal_is_used_as_far_as_it_is_good(self):
        d = self.daemon()
        self.configure(d, LARGE, *[dict(SERVER, name=name) for name in "abc"])
        d.stop(signal.SIGKILL)
        name = self.journal(d)
        lines = self.read(d, name).splitlines(keepends=True)
        self.assertEqual(len(lines), 4)
        for damaged, names in ((b"".join(lines)[:-3], ["a", "b", "large"]),  # the valid last line
                               (b"".join(lines).replace(b'"b"', b'"x"'), ["a", "large"])):
            again = Daemon(self)
            again.state = d.state + names[-2]
            again.arguments = ["--state-dir", again.state]
            shutil.copytree(d.state, again.state)
            self.write(again, damaged, name)
            again.start()
            self.assertEqual(self.names(again), names)
            self.assertEqual(self.read(again, name + ".damaged"), damaged)
            self.assertIn(name + " was set aside as " + name + ".damaged", again.log_text())
            again.stop(signal.SIGKILL)
            again.start()
            self.assertEqual(self.names(again), names)

    def test_the_rest_of_a_line_that_was_not_finished_means_nothing(self):
        d = self.daemon()
        self.configure(d, LARGE, *[dict(SERVER, name=name) for name in "abc"])
        d.stop(signal.SIGKILL)
        name = self.journal(d)
        text = self.read(d, name)
        last = text.splitlines(keepends=True)[-1]
        for rest in (b"-", last[:20].replace(b"+", b"-"), last.replace(b"+", b"-"),
                     last.replace(b"+", b"-")[:-1]):
            self.write(d, text[:-len(last)] + rest, name)
            d.start()
            self.assertEqual(self.names(d), ["a", "b", "large"])
            self.assertNotIn("damaged", d.log_text())
            self.configure(d, dict(SERVER, name="c"))
            d.stop(signal.SIGKILL)
            d.start()
            self.assertEqual(self.names(d), ["a", "b", "c", "large"])
            d.stop(signal.SIGKILL)
            text = self.read(d, name)
            last = text.splitlines(keepends=True)[-1]

    def test_the_copy_of_a_large_state_goes_on_with_both_journals(self):
        d = self.daemon()
        self.configure(d, LARGE, dict(SERVER, name="a"))
        generation = json.loads(self.read(d))["generation"]
        with d.client() as c:
            count = 0
            while json.loads(self.read(d))["generation"] == generation:
                count += 1
                self.ok(c.call("configureUdpTunnel", dict(SERVER, name="b", maxFlows=count,
                                                          allowTargets=LARGE["allowTargets"][:999])))
        self.configure(d, dict(SERVER, name="c"))
        d.stop(signal.SIGKILL)
        names = self.restart_with(d, b"{")
        self.assertEqual(names[0], "a")
        self.assertEqual(names[-2:], ["c", "large"])
        self.assertIn("b", names)

    # ---- killed

    CALLS = ("openat", "write", "pwrite64", "fsync", "renameat", "linkat", "unlinkat",
             "ftruncate")

    def killed_at(self, before, change, call, count):
        """Is it killed at that call, and is the state then the old one or the new one?"""
        d = self.daemon()
        self.configure(d, *before)
        old = self.names(d)
        new = sorted({*old} ^ {change[1]["name"]})
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-p", str(d.process.pid), "-e", "trace=" + call, "-e",
             "inject=%s:signal=SIGKILL:when=%d" % (call, count)], stderr=subprocess.DEVNULL)
        self.wait_traced(d)
        answered = False
        with contextlib.suppress(OSError, TypeError), d.client() as c:
            answered = self.ok(c.call(*change))["changed"]
        if answered:
            d.stop(signal.SIGKILL)
        else:
            d.process.wait(DEADLINE_S)
        tracer.wait(DEADLINE_S)
        d.start()
        self.assertNotIn("damaged", d.log_text())
        names = self.names(d)
        self.assertIn(names, [new] if answered else [old, new], (call, count))
        d.kill()
        self.outcomes.add(names == new)
        return not answered

    @unittest.skipUnless(shutil.which("strace"), "needs strace")
    def killed_at_every_call(self, before, change):
        """`change` from a state that has `before`, killed at the first, second, ... of each call
        to the kernel that could change a file."""
        self.outcomes, killed = set(), 0
        for call in self.CALLS:
            count = 1
            while self.killed_at(before, change, call, count):
                count += 1
            killed += count - 1
        self.assertGreater(killed, 6)
        self.assertEqual(self.outcomes, {True, False})

    def wait_traced(self, d):
        """Until every thread of it is under strace; they may die of that already."""
        end = time.monotonic() + DEADLINE_S
        while d.process.poll() is None:
            self.assertLess(time.monotonic(), end)
            traced = []
            for thread in os.listdir("/proc/%d/task" % d.process.pid):
                with contextlib.suppress(OSError), \
                        open("/proc/%d/task/%s/status" % (d.process.pid, thread)) as f:
                    traced.append(not re.search(r"TracerPid:\s+0\n", f.read()))
            if all(traced):
                break
            time.sleep(0.01)

    def test_killed_at_every_call_of_a_small_change(self):
        self.killed_at_every_call([SERVER], ("configureUdpTunnel", dict(SERVER, name="t")))
        self.killed_at_every_call([SERVER, dict(SERVER, name="t")],
                                  ("removeUdpTunnel", {"name": "t"}))

    def test_killed_at_every_call_of_a_change_of_a_large_state(self):
        self.killed_at_every_call([LARGE], ("configureUdpTunnel", dict(SERVER, name="t")))
        self.killed_at_every_call([LARGE, SERVER, dict(SERVER, name="t")],
                                  ("removeUdpTunnel", {"name": "t"}))


if __name__ == "__main__":
    unittest.main()
