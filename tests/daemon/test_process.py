# SPDX-License-Identifier: Apache-2.0
"""The process: options, exit status, signals, socket, roles."""
import ctypes
import json
import mmap
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import unittest

from daemon import DEADLINE_S, UDPTUND, Client, Daemon, TestCase, sanitized

SERVER = {"name": "s", "role": "server", "listen": "127.0.0.1:0"}


def run(*arguments, env=None):
    done = subprocess.run([UDPTUND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=DEADLINE_S, env=env)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def may_lock():
    """Whether this process may lock memory beyond its limit."""
    size = 16 << 20
    pages = mmap.mmap(-1, size)
    start = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(pages)))
    limits = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 16, limits[1]))
    try:
        library = ctypes.CDLL(None)
        locked = library.mlock(start, ctypes.c_size_t(size)) == 0
        library.munlock(start, ctypes.c_size_t(size))
        return locked
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, limits)


class Memory(TestCase):
    """What holds keys: no core dump, no reader of the same user, no swap where that is allowed."""

    def start(self, *command):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o777)
        process = subprocess.Popen([*command, UDPTUND, "--no-state", "--socket",
                                    os.path.join(folder, "control.sock")],
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait, DEADLINE_S)
        self.addCleanup(process.terminate)
        for line in process.stderr:
            if "listens on" in line:
                return f"/proc/{process.pid}/"
        return self.fail("it did not start")

    @unittest.skipUnless(os.path.exists("/proc/self/limits"), "there is no /proc here")
    def test_no_core_dump_is_written(self):
        with open(self.start() + "limits", encoding="ascii") as file:
            limits = file.read()
        self.assertRegex(limits, r"Max core file size +0 +0 ")

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_others_of_the_same_user_cannot_read_it(self):
        nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        self.assertEqual(os.stat(self.start(*nobody) + "mem").st_uid, 0)

    @unittest.skipUnless(subprocess.run(["prlimit", "--memlock=unlimited", "true"],
                                        stderr=subprocess.DEVNULL).returncode == 0,
                         "may not lock memory without bound")
    def test_it_is_locked_where_that_has_no_bound(self):
        with open(self.start("prlimit", "--memlock=unlimited") + "status", encoding="ascii") as file:
            status = file.read()
        self.assertGreater(int(re.search(r"VmLck:\s+(\d+)", status).group(1)), 0)


    def locked_kib(self, *command):
        with open(self.start(*command) + "status", encoding="ascii") as file:
            return int(re.search(r"VmLck:\s+(\d+)", file.read()).group(1))

    @unittest.skipIf(sanitized(), "the sanitizer makes mlockall() do nothing")
    @unittest.skipUnless(may_lock(), "has no CAP_IPC_LOCK that counts")
    def test_it_is_locked_where_the_bound_does_not_count(self):
        self.assertGreater(self.locked_kib("prlimit", "--memlock=65536"), 0)

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_it_is_not_locked_where_an_allocation_could_fail_of_it(self):
        for limit in ("0", "65536", "1048576"):
            locked = self.locked_kib("prlimit", f"--memlock={limit}", "setpriv", "--reuid", "65534",
                                     "--regid", "65534", "--clear-groups")
            self.assertEqual(locked, 0)


class Options(TestCase):
    def test_help_and_version(self):
        status, out, err = run("--help")
        self.assertEqual((status, err), (0, ""))
        for option in ("--config", "--socket", "--state-dir", "--log-format", "--check-config"):
            self.assertIn(option, out)
        status, out, err = run("--version")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"^udptund \d+\.\d+\.\d+\n$")

    def test_usage_errors(self):
        for arguments in (["--nonsense"], ["extra"], ["--socket-mode", "999"],
                          ["--log-level", "loud"], ["--log-format", "xml"], ["--config"],
                          ["--check-config"], ["--state-dir", "x", "--no-state"],
                          ["--max-buffer-bytes", "5"], ["--max-buffer-bytes", "9x"],
                          ["--max-buffer-bytes", "9223372036854775807G"],
                          ["--socket", ""], ["--config", ""], ["--metrics="],
                          ["--state-dir="]):
            with self.subTest(arguments=arguments):
                status, out, err = run(*arguments)
                self.assertEqual((status, out), (2, ""))
                self.assertTrue(err)

    def test_nowhere_to_put_the_socket(self):
        if os.geteuid() == 0:
            self.skipTest("root has a place of its own")
        self.assertEqual(run(env={"HOME": "/nonexistent"})[0], 2)


class Config(TestCase):
    def setUp(self):
        self.d = Daemon(self)
        self.path = os.path.join(self.d.folder, "config.json")
        self.d.arguments += ["-c", self.path]

    def check(self, text):
        with open(self.path, "w") as f:
            f.write(text if isinstance(text, str) else json.dumps(text))
        status, _, err = run("--check-config", "-c", self.path)
        return status, err

    def test_good_configs(self):
        for config in ({}, {"udpTunnels": []}, {"udpTunnels": [SERVER], "tun2socks": []}):
            self.assertEqual(self.check(config), (0, ""))

    def test_bad_configs_are_named_by_file_and_line_or_field(self):
        for config, place in (
                ('{\n"udpTunnels": [\n}', "line 3"),
                ('{"udpTunnels":[],"udpTunnels":[]}', "line 1"),
                ("", "line 1"),
                ([], "expected an object"),
                ({"udpTunnel": []}, "udpTunnel"),
                ({"udpTunnels": {}}, "udpTunnels"),
                ({"udpTunnels": [SERVER, {"name": "x"}]}, "udpTunnels[1].role"),
                ({"udpTunnels": [dict(SERVER, listen=1)]}, "udpTunnels[0].listen"),
                ({"udpTunnels": [dict(SERVER, maxFlows=0)]}, "udpTunnels[0].maxFlows"),
                ({"udpTunnels": [dict(SERVER, merge=True)]}, "udpTunnels[0].merge"),
                ({"udpTunnels": [dict(SERVER, wait=1)]}, "udpTunnels[0].wait"),
                ({"udpTunnels": [dict(SERVER, key={"redacted": True})]}, "udpTunnels[0].key"),
                ({"udpTunnels": [SERVER, SERVER]}, "udpTunnels[1].name"),
                ({"tun2socks": [{"name": "x"}]}, "tun2socks[0]"),
                ({"tun2socks": [{"name": "x", "device": "pipe", "udp": "tunnel:none"}]},
                 "tun2socks[0]"),
                ({"udpTunnels": [SERVER],
                  "tun2socks": [{"name": "x", "device": "pipe", "udp": "tunnel:s"}]},
                 "tun2socks[0]"),
                ({"udpTunnels": [dict(SERVER, keyFile="/nonexistent")]},
                 "udpTunnels[0].keyFile")):
            with self.subTest(config=config):
                status, err = self.check(config)
                self.assertEqual(status, 3, err)
                self.assertIn(self.path, err)
                self.assertIn(place, err)
                self.assertNotRegex(err, r"(\w+): \1: ")
                self.assertEqual(err.count("\n"), 1)
                status, err = self.d.run_to_end()
                self.assertEqual(status, 3)
                self.assertIn(place, err)
                self.assertFalse(os.path.exists(self.d.socket))

    def test_config_that_cannot_be_read(self):
        status, _, err = run("--check-config", "-c", self.path)
        self.assertEqual(status, 3)
        self.assertIn(self.path, err)

    def test_config_is_run(self):
        self.assertEqual(self.check({"udpTunnels": [SERVER]})[0], 0)
        self.d.start()
        with self.d.client() as c:
            status = self.ok(c.call("getStatus"))["udpTunnels"]
            self.assertEqual([(t["name"], t["state"]) for t in status], [("s", "listening")])
            listen = status[0]["listen"]
        other = Daemon(self)
        other.arguments += ["-c", self.path]
        self.assertEqual(self.check({"udpTunnels": [dict(SERVER, listen=listen)]})[0], 0)
        # The port may become free: the daemon starts, says what is missing, and tries again.
        other.start()
        with other.client() as c:
            status = self.ok(c.call("getStatus"))
            self.assertEqual(status["health"], "degraded")
            tunnel = status["udpTunnels"][0]
            self.assertEqual((tunnel["state"], tunnel["lastError"]),
                             ("failed", f"listen: {listen} is in use"))
            self.ok(c.call("subscribe", {"topics": ["state"]}))
            self.d.stop()
            event = c.line()
            self.assertEqual((event["event"], event["data"]["name"], event["data"]["state"]),
                             ("tunnel.state", "s", "listening"), event)
            self.assertEqual(self.ok(c.call("getStatus"))["health"], "ok")


class Process(TestCase):
    def test_signals_stop_it_in_order(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            d = self.daemon()
            with d.client() as c:
                self.ok(c.call("configureUdpTunnel", SERVER))
                self.assertEqual(d.stop(number), 0)
                self.assertIsNone(c.line())
            self.assertFalse(os.path.exists(d.socket))
            self.assertIn("stopped", d.log_text())

    def test_shutdown_is_answered_and_ends_it(self):
        d = self.daemon()
        with d.client() as c:
            self.ok(c.call("shutdown"))
            self.assertIsNone(c.line())
        self.assertEqual(d.process.wait(DEADLINE_S), 0)

    def test_calls_that_wait_are_answered_at_the_stop(self):
        d = self.daemon()
        with d.client() as c:
            c.send(json.dumps({"action": "configureUdpTunnel", "parameters": {
                "name": "t", "role": "local", "listen": "udp://127.0.0.1:0",
                "target": "127.0.0.1:7", "server": "127.0.0.1:9", "wait": 3000}}))
            with d.client() as other:
                while not self.ok(other.call("getStatus"))["udpTunnels"]:
                    pass
            self.assertEqual(d.stop(), 0)
            self.assertNotEqual(c.line()["statusCode"], 0)

    def test_second_start_is_refused_and_harms_nothing(self):
        d = self.daemon()
        status, err = d.run_to_end()
        self.assertEqual(status, 1)
        self.assertIn(d.socket, err)
        self.assertIn("running", err)
        with d.client() as c:
            self.ok(c.call("hello"))

    def test_stale_socket_is_replaced_and_a_file_is_not(self):
        d = self.daemon()
        d.stop(signal.SIGKILL)
        self.assertTrue(os.path.exists(d.socket))
        d.start()
        d.stop()
        with open(d.socket, "w") as f:
            f.write("precious")
        self.assertEqual(d.run_to_end()[0], 1)
        with open(d.socket) as f:
            self.assertEqual(f.read(), "precious")

    def test_socket_mode(self):
        d = self.daemon()
        self.assertEqual(stat.S_IMODE(os.stat(d.socket).st_mode), 0o660)
        d = self.daemon("--socket-mode", "0600")
        self.assertEqual(stat.S_IMODE(os.stat(d.socket).st_mode), 0o600)

    def test_unknown_group(self):
        status, err = Daemon(self, "--socket-group", "no-such-group").run_to_end()
        self.assertEqual(status, 1)
        self.assertIn("no-such-group", err)

    def test_socket_path_from_the_environment(self):
        d = Daemon(self)
        process = subprocess.Popen([UDPTUND, "--no-state"], stderr=subprocess.PIPE,
                                   env=dict(os.environ, UDPTUND_SOCKET=d.socket))
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertIn(d.socket.encode(), process.stderr.readline())
        Client(d.socket).close()

    def test_pid_file(self):
        d = Daemon(self)
        path = os.path.join(d.folder, "pid")
        d.arguments += ["--pid-file", path]
        d.start()
        with d.client() as c:
            self.ok(c.call("hello"))
        with open(path) as f:
            self.assertEqual(int(f.read()), d.process.pid)
        d.stop()
        self.assertFalse(os.path.exists(path))

    def test_daemonize_returns_when_it_is_up(self):
        d = Daemon(self)
        path = os.path.join(d.folder, "pid")
        d.arguments += ["--daemonize", "--pid-file", path]
        status, err = d.run_to_end()  # waits until nobody holds standard error either
        self.assertEqual(status, 0, err)
        with open(path) as f:
            pid = int(f.read())
        self.addCleanup(lambda: os.path.exists(path) and os.kill(pid, signal.SIGKILL))
        with d.client() as c:
            self.ok(c.call("shutdown"))
            self.assertIsNone(c.line())

    def test_daemonize_tells_a_failure(self):
        d = self.daemon()
        other = Daemon(self)
        other.socket = d.socket
        other.arguments += ["--daemonize"]
        status, err = other.run_to_end()
        self.assertEqual(status, 1)
        self.assertIn("running", err)

    def test_json_log(self):
        d = self.daemon("--log-format", "json", "--log-level", "debug")
        with d.client() as c:
            c.call("getStatus", {"name": 'x"\n'})
        d.stop()
        lines = [json.loads(line) for line in d.log_text().splitlines()]
        self.assertTrue(lines)
        for line in lines:
            self.assertEqual(set(line), {"time", "level", "module", "message"})

    def test_log_level(self):
        d = self.daemon("--log-level", "error")
        d.stop()
        self.assertEqual(d.log_text(), "")

    def test_one_cause_does_not_fill_the_log(self):
        d = self.daemon()
        with d.client() as c:
            for i in range(150):
                name = {"name": "n%d" % i}
                self.ok(c.call("configureUdpTunnel",
                               dict(name, role="server", enabled=False, ephemeral=True)))
            self.ok(c.call("removeUdpTunnel", {"name": "n0"}))
        log = d.log_text()
        written = len(re.findall(r" n\d+ configured", log))
        self.assertGreaterEqual(written, 50)
        self.assertLess(written, 150)
        self.assertIn("n0 removed", log)

    def test_a_log_that_nobody_reads_stops_nothing(self):
        reader, writer = os.pipe()
        d = Daemon(self, "--log-level", "debug")
        d.process = subprocess.Popen(d.command(), stderr=writer)
        os.close(writer)
        self.addCleanup(os.close, reader)
        d.wait_until_it_answers()
        with d.client() as c:
            for i in range(3000):
                c.call("getStatus", {"name": "x" * 60})
            self.ok(c.call("hello"))

    def test_at_rest_it_is_small(self):
        d = self.daemon()
        if sanitized():
            self.skipTest("sanitizers have memory of their own")
        with d.client() as c:
            self.ok(c.call("configureUdpTunnel", SERVER))
        with open("/proc/%d/status" % d.process.pid) as f:
            resident = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
        self.assertLess(resident, 8 * 1024)

    def test_hangup_does_not_end_it(self):
        d = self.daemon()
        d.process.send_signal(signal.SIGHUP)
        with d.client() as c:
            self.ok(c.call("hello"))


@unittest.skipUnless(os.geteuid() == 0, "needs root to be several users")
class Roles(TestCase):
    """root is admin; the socket's group operates, supplementary membership counts; others see."""

    GROUP = 54321

    def setUp(self):
        self.d = self.daemon("--socket-mode", "0666", "--socket-group", str(self.GROUP))
        os.chmod(self.d.folder, 0o755)

    def as_user(self, gid, groups, *calls):
        """The replies to `calls` made by an unprivileged process."""
        script = ("import os, sys, json; sys.path.insert(0, %r)\n"
                  "from daemon import Client\n"
                  "os.setgroups(%r); os.setgid(%d); os.setuid(54321)\n"
                  "c = Client(%r)\n"
                  "print(json.dumps([c.call(*call) for call in %r]))\n"
                  % (os.path.dirname(os.path.abspath(__file__)), list(groups), gid,
                     self.d.socket, list(calls)))
        done = subprocess.run([sys.executable, "-B", "-c", script], stdout=subprocess.PIPE,
                              check=True, timeout=DEADLINE_S)
        return json.loads(done.stdout)

    def test_observer(self):
        hello, status, configure, flows, shutdown, up = self.as_user(
            54322, [], ("hello",), ("getStatus",), ("configureUdpTunnel", SERVER),
            ("listFlows", {"name": "s"}), ("shutdown",), ("hello", {"role": "operator"}))
        self.assertEqual(self.ok(hello)["role"], "observer")
        self.ok(status)
        self.fails(configure, 2, "PERMISSION_DENIED")
        self.fails(flows, 2, "PERMISSION_DENIED")
        self.fails(shutdown, 2, "PERMISSION_DENIED")
        self.fails(up, 2, "PERMISSION_DENIED", "parameters.role")

    def test_operator_by_either_kind_of_membership(self):
        for gid, groups in ((self.GROUP, []), (54322, [1, self.GROUP])):
            hello, configure, remove, shutdown = self.as_user(
                gid, groups, ("hello",), ("configureUdpTunnel", SERVER),
                ("removeUdpTunnel", {"name": "s"}), ("shutdown",))
            self.assertEqual(self.ok(hello)["role"], "operator")
            self.ok(configure)
            self.ok(remove)
            self.fails(shutdown, 2, "PERMISSION_DENIED")

    def test_many_groups(self):
        hello, = self.as_user(54322, list(range(60000, 60200)) + [self.GROUP], ("hello",))
        self.assertEqual(self.ok(hello)["role"], "operator")

    def test_fields_that_need_admin(self):
        fields = [("keyFile", "/etc/shadow"), ("mark", 0), ("bindDevice", "lo"),
                  ("listen", "unix:/tmp/x")]
        local = {"name": "t", "role": "local", "server": "unix:/tmp/x"}
        replies = self.as_user(
            self.GROUP, [], *[("configureUdpTunnel", dict(SERVER, **{k: v})) for k, v in fields],
            ("configureUdpTunnel", local))
        for (field, _), reply in zip(fields + [("server", None)], replies):
            self.fails(reply, 2, "PERMISSION_DENIED", "parameters." + field)
        with self.d.client() as c:
            self.assertEqual(self.ok(c.call("getStatus"))["udpTunnels"], [])

    def test_stepping_down(self):
        with self.d.client() as c:
            self.assertEqual(self.ok(c.call("hello", {"role": "observer"}))["role"], "observer")
            self.fails(c.call("configureUdpTunnel", SERVER), 2, "PERMISSION_DENIED")
            self.fails(c.call("hello", {"role": "admin"}), 2, "PERMISSION_DENIED",
                       "parameters.role")
            self.ok(c.call("getStatus"))

    def test_a_user_has_64_connections_and_root_more(self):
        script = ("import os, sys; sys.path.insert(0, %r)\n"
                  "from daemon import Client\n"
                  "os.setgroups([]); os.setgid(54322); os.setuid(54321)\n"
                  "cs = [Client(%r) for _ in range(65)]\n"
                  "assert all(c.call('hello')['statusCode'] == 0 for c in cs[:64])\n"
                  "assert cs[64].line()['error']['code'] == 'LIMIT'\n"
                  "assert cs[64].line() is None\n"
                  % (os.path.dirname(os.path.abspath(__file__)), self.d.socket))
        subprocess.run([sys.executable, "-B", "-c", script], check=True, timeout=DEADLINE_S)
        clients = [self.d.client() for _ in range(70)]
        for c in clients:
            self.ok(c.call("hello"))
            c.close()

    def test_a_mark_that_may_not_be_set_is_told_at_once(self):
        d = Daemon(self)
        os.chown(d.folder, 54321, 54321)
        command = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", *d.command()]
        d.command = lambda: command
        d.start()
        with d.client() as c:
            self.ok(c.call("configureUdpTunnel", SERVER))
            self.fails(c.call("configureUdpTunnel", dict(SERVER, mark=5)), 2, "PERMISSION_DENIED",
                       "parameters.mark")
            tunnels = self.ok(c.call("getStatus"))["udpTunnels"]
            self.assertEqual([t["state"] for t in tunnels], ["listening"])

    def test_eight_places_are_kept_for_root(self):
        script = ("import os, sys; sys.path.insert(0, %r)\n"
                  "from daemon import Client\n"
                  "user = int(sys.argv[1])\n"
                  "os.setgroups([]); os.setgid(user); os.setuid(user)\n"
                  "cs = [Client(%r) for _ in range(64)]\n"
                  "print(sum(c.call('hello')['statusCode'] == 0 for c in cs), flush=True)\n"
                  "sys.stdin.read()\n"
                  % (os.path.dirname(os.path.abspath(__file__)), self.d.socket))
        had = []
        for user in range(54321, 54325):
            child = subprocess.Popen([sys.executable, "-B", "-c", script, str(user)], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self.addCleanup(child.wait, DEADLINE_S)
            self.addCleanup(child.stdout.close)
            self.addCleanup(child.stdin.close)
            had.append(int(child.stdout.readline()))
        self.assertEqual(had, [64, 64, 64, 56])
        clients = [self.d.client() for _ in range(9)]
        for c in clients:
            self.addCleanup(c.close)
        for c in clients[:8]:
            self.ok(c.call("hello"))
        self.fails(clients[8].line(), 103, "LIMIT")


if __name__ == "__main__":
    unittest.main()
