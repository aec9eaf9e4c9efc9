#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""udptunctl against the real udptund: what is printed, and the exit status of every outcome.

The programs are taken from the folder that UDPTUN_BIN names (build/bin).
"""

import base64
import fcntl
import glob
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("UDPTUN_BIN", os.path.join(ROOT, "build", "bin"))
LIB = os.environ.get("UDPTUN_LIB", os.path.join(os.path.dirname(BIN), "lib"))
CTL = os.path.join(BIN, "udptunctl")
DAEMON = os.path.join(BIN, "udptund")

OK, OTHER, USAGE, TIMEOUT, FAILED, NOT_FOUND, CONFLICT, PERMISSION, NO_DAEMON = range(9)
HANG_S = 60  # only guards against waiting for ever
END_OF_OUTPUT = b"\0end of the output\0"


def clean_environment(**more):
    env = {k: v for k, v in os.environ.items()
           if k not in ("UDPTUND_SOCKET", "NO_COLOR", "COLUMNS")}
    env.update(TERM="xterm", **more)
    return env


def ctl(*args, stdin="", env=None):
    return subprocess.run([CTL, *args], input=stdin, text=True, capture_output=True,
                          timeout=HANG_S, env=env or clean_environment())


def on_terminal(columns, *args, env=None):
    """What udptunctl prints on a terminal of so many columns."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen([CTL, *args], stdin=other, stdout=other, stderr=other,
                               env=env or clean_environment())
    reaper = threading.Thread(target=write_when_ended, args=(process, other))
    reaper.start()
    output = b""
    while END_OF_OUTPUT not in output:
        output += os.read(main, 65536)
    reaper.join()
    os.close(other)
    os.close(main)
    return output.partition(END_OF_OUTPUT)[0].decode()


def write_when_ended(process, terminal):
    """Mark the end of the output. A terminal whose last writer is gone may lose what nobody has read yet."""
    try:
        process.wait(HANG_S)
    finally:
        process.kill()
        os.write(terminal, END_OF_OUTPUT)


class WithoutDaemon(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.socket = os.path.join(self.folder, "none.sock")

    def tearDown(self):
        shutil.rmtree(self.folder)

    def test_genkey_prints_32_random_bytes_in_base64(self):
        keys = {ctl("genkey").stdout.strip() for _ in range(3)}
        self.assertEqual(len(keys), 3)
        for key in keys:
            self.assertEqual(len(base64.b64decode(key, validate=True)), 32)

    def test_no_daemon_is_said_with_socket_cause_and_advice(self):
        run = ctl("-s", self.socket)
        self.assertEqual(run.returncode, NO_DAEMON)
        self.assertEqual(run.stdout, "")
        for part in (self.socket, "no such file", "udptund running?", "systemctl status udptund"):
            self.assertIn(part, run.stderr)

    def test_a_socket_that_nobody_serves_is_refused(self):
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(self.socket)
        run = ctl("status", env=clean_environment(UDPTUND_SOCKET=self.socket))
        self.assertEqual(run.returncode, NO_DAEMON)
        self.assertIn("connection refused", run.stderr)

    def test_a_daemon_that_does_not_answer_is_a_timeout(self):
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(self.socket)
            silent.listen(1)
            run = ctl("-s", self.socket, "--timeout", "0.05", "status")
        self.assertEqual(run.returncode, TIMEOUT)
        self.assertIn("--timeout", run.stderr)

    def test_version_needs_no_daemon(self):
        run = ctl("-s", self.socket, "version")
        self.assertEqual(run.returncode, OK)
        self.assertRegex(run.stdout, r"udptunctl \d+\.\d+\.\d+")

    def test_wrong_usage_is_told_with_what_is_wrong(self):
        for args, part in (
                (["bogus"], "bogus"),
                (["local"], "NAME"),
                (["local", "a", "b"], "b"),
                (["local", "a", "--lisen", "x"], "--lisen"),
                (["local", "a", "--listen"], "--listen"),
                (["local", "a", "--insecure"], "--insecure"),
                (["local", "a", "--no-listen"], "--no-listen"),
                (["local", "a", "--connections", "many"], "many"),
                (["local", "a", "--ephemeral=yes"], "--ephemeral=yes"),
                (["ping", "a", "-c", "0"], "--count"),
                (["flows", "a", "--limit", "0"], "--limit"),
                (["--timeout", "0", "status"], "--timeout"),
                (["local", "a", "--key-file", "-"], "key"),
                (["call"], "ACTION"),
                (["call", "getStatus", "{"], "JSON"),
                (["call", "getStatus", "[1]"], "object"),
                (["apply"], "-f"),
                (["completion", "csh"], "csh"),
                (["help", "bogus"], "bogus")):
            with self.subTest(args=args):
                run = ctl("-s", self.socket, *args)
                self.assertEqual(run.returncode, USAGE, run.stderr)
                self.assertIn(part, run.stderr)
                self.assertEqual(run.stdout, "")

    def test_a_mistyped_word_gets_a_suggestion(self):
        for args, suggestion in (
                (["statsu"], "Did you mean status?"),
                (["stat"], "Did you mean status?"),
                (["tun2sock", "t"], "Did you mean tun2socks?"),
                (["local", "a", "--lisen", "x"], "Did you mean --listen?"),
                (["local", "a", "--max-que-bytes=9"], "Did you mean --max-queue-bytes?")):
            with self.subTest(args=args):
                self.assertIn(suggestion, ctl("-s", self.socket, *args).stderr)
        for args in (["bogus"], ["local", "a", "--zzzzzz"], ["local", "a", "-Z"]):
            with self.subTest(args=args):
                run = ctl("-s", self.socket, *args)
                self.assertEqual(run.returncode, USAGE)
                self.assertNotIn("Did you mean", run.stderr)

    def test_a_flag_of_another_command_is_said_to_be_one(self):
        run = ctl("-s", self.socket, "server", "far", "--redundancy", "2")
        self.assertEqual(run.returncode, USAGE)
        self.assertIn("--redundancy is a flag of: local.", run.stderr)
        run = ctl("-s", self.socket, "local", "near", "--resume-timeout", "2")
        self.assertIn("--resume-timeout is a flag of: server.", run.stderr)

    def test_with_j_a_failure_without_a_reply_is_an_object(self):
        run = ctl("-j", "-s", self.socket, "status")
        failure = json.loads(run.stdout)
        self.assertEqual((run.returncode, failure["statusCode"]), (NO_DAEMON, 5))
        self.assertEqual(failure["error"]["code"], "UNREACHABLE")
        self.assertIn(self.socket, failure["errorMessage"])

    def test_a_file_that_a_url_cannot_be_read_from_is_named(self):
        empty = os.path.join(self.folder, "empty")
        with open(empty, "w", encoding="utf-8") as file:
            file.write("\nsocks5://127.0.0.1:1\n")
        for path, part in ((self.folder + "/none", "no such file"), (self.folder, "directory"),
                           (empty, "is empty")):
            with self.subTest(path=path):
                run = ctl("-s", self.socket, "local", "a", "--via", "@" + path)
                self.assertEqual(run.returncode, USAGE)
                self.assertIn("--via: ", run.stderr)
                self.assertIn(path, run.stderr)
                self.assertIn(part, run.stderr.lower())

    def test_help_names_every_command_and_every_command_has_help(self):
        overview = ctl("help").stdout
        self.assertEqual(overview, ctl("--help").stdout)
        for command in ("status show local server tun2socks remove sessions flows ping apply "
                        "export events top metrics log-level reload shutdown genkey version call "
                        "completion help").split():
            self.assertRegex(overview, rf"(?m)^  {command} ")
            own = ctl("help", command)
            self.assertEqual(own.returncode, OK)
            self.assertEqual(own.stdout, ctl(command, "--help").stdout)
            self.assertTrue(own.stdout.startswith(f"udptunctl {command}"))
        for line in overview.splitlines():
            self.assertLessEqual(len(line), 80)

    def test_every_field_of_the_contract_has_its_flag(self):
        fields = {
            "local": "listen target server via tcpProxy connections keyFile heartbeatInterval "
                     "deadInterval flowTimeout maxSessions maxFlows maxFlowsPerSession "
                     "maxQueueDelayMs maxQueueBytes redundancy redundancyMaxSize minVersion mark bindDevice "
                     "ephemeral enabled",
            "server": "listen target keyFile insecure egress allowTargets denyTargets filtering "
                      "portRange portPreservation resumeTimeout flowTimeout maxSessions maxFlows "
                      "maxFlowsPerSession maxQueueDelayMs maxQueueBytes minVersion mark bindDevice "
                      "ephemeral enabled",
            "tun2socks": "device address address6 mtu tcp udp icmpEcho blockQuic maxTcpFlows "
                         "maxUdpFlows udpFlowTimeout mark bindDevice",
        }
        for command, names in fields.items():
            text = ctl("help", command).stdout
            for field in names.split():
                flag = "--" + re.sub(r"[A-Z]", lambda m: "-" + m.group().lower(), field)
                self.assertRegex(text, rf"(?m)^ +{flag}( |$)", command)
            self.assertNotRegex(text, r"(?m)^ +--key( |$)")

    def test_every_field_that_the_daemon_takes_has_its_flag(self):
        with open(os.path.join(ROOT, "docs/schema/objects.json"), encoding="utf-8") as file:
            schema = json.load(file)["$defs"]
        for kind, commands in (("tunnelConfig", ("local", "server")),
                               ("tun2socksConfig", ("tun2socks",))):
            text = "".join(ctl("help", command).stdout for command in commands)
            for field in set(schema[kind]["properties"]) - {"name", "role", "key"}:
                flag = "--" + re.sub(r"[A-Z]", lambda m: "-" + m.group().lower(), field)
                self.assertRegex(text, rf"(?m)^ +{flag}( |$)", kind)

    def test_completion_scripts_are_valid_and_complete(self):
        script = ctl("completion", "bash").stdout
        path = os.path.join(self.folder, "completion")
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        probe = (f". {path}; COMP_WORDS=(udptunctl server far --egr); COMP_CWORD=3; _udptunctl_words; "
                 'echo "${COMPREPLY[@]}"; COMP_WORDS=(udptunctl log-level ""); COMP_CWORD=2; '
                 '_udptunctl_words; echo "${COMPREPLY[@]}"')
        run = subprocess.run(["bash", "-c", probe], capture_output=True, text=True,
                             timeout=HANG_S, check=True, env=clean_environment())
        flags, words = run.stdout.splitlines()
        self.assertEqual(flags, "--egress")
        self.assertLessEqual({"error", "warn", "info", "debug"}, set(words.split()))
        self.assertIn("#compdef udptunctl", ctl("completion", "zsh").stdout)
        self.assertIn("-a genkey", ctl("completion", "fish").stdout)
        self.assertIn("-l no-ephemeral", ctl("completion", "fish").stdout)
        for shell in ("zsh", "fish"):
            if shutil.which(shell):
                parsed = subprocess.run([shell, "-n", "/dev/stdin"], text=True, timeout=HANG_S,
                                        input=ctl("completion", shell).stdout, check=False,
                                        capture_output=True)
                self.assertEqual((parsed.returncode, parsed.stderr), (0, ""))

    def test_completion_offers_names_first_and_the_values_that_follow_flags(self):
        bin_folder = os.path.join(self.folder, "bin")
        os.mkdir(bin_folder)
        stand_in = os.path.join(bin_folder, "udptunctl")
        with open(stand_in, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\ncase $* in\n"
                       "*'names tunnel:') echo tunnel:near;;\n"
                       "*'names tun2socks:') echo tun2socks:device;;\n"
                       "*names) printf 'near\\nfar\\ndevice\\n';;\nesac\n")
        os.chmod(stand_in, 0o755)
        path = os.path.join(self.folder, "completion")
        with open(path, "w", encoding="utf-8") as file:
            file.write(ctl("completion", "bash").stdout)

        def offered(*words):
            quoted = " ".join("'%s'" % word for word in words)
            run = subprocess.run(
                ["bash", "-c", f". {path}; COMP_WORDS=(udptunctl {quoted}); COMP_CWORD={len(words)}; "
                               '_udptunctl_words; printf "%s\n" "${COMPREPLY[@]}"'],
                capture_output=True, text=True, timeout=HANG_S, check=True,
                env=clean_environment(PATH=bin_folder + ":/usr/bin:/bin"))
            return run.stdout.split()
        self.assertEqual(offered("show", ""), ["near", "far", "device"])
        self.assertEqual(offered("local", "n"), ["near"])
        self.assertIn("--listen", offered("local", "near", ""))
        self.assertIn("--listen", offered("local", "--l"))
        self.assertEqual(offered("remove", "near", "f"), ["far"])
        self.assertEqual(offered("tun2socks", "device", "--udp", "tunnel", ":", "n"), ["near"])
        self.assertIn("tunnel:near", offered("tun2socks", "device", "--udp", ""))
        self.assertEqual(offered("server", "far", "--egress", "tun2socks", ":"), ["device"])
        self.assertEqual(offered("local", "--listen", "udp", ":", "//x", "n"), ["near"])
        self.assertEqual(offered("local", "near", "--via", "s"), ["socks5://"])
        self.assertEqual(offered("stat"), ["status"])

    def test_the_man_page_has_the_synopsis_of_the_table(self):
        with open(os.path.join(ROOT, "docs", "man", "udptunctl.1"), encoding="utf-8") as file:
            page = file.read()
        self.assertIn('compares them.\n' + ctl("help", "--man-synopsis").stdout + '.\\" End', page)

    def test_the_man_pages_of_the_libraries_name_each_function(self):
        for page, symbols, headers in (
                ("libudptun-client.3", "libclient/libudptun-client.symbols",
                 "libclient/include/udptun"),
                ("libudptun.3", "daemon/engine/libudptun.symbols",
                 "daemon/engine/include/udptun")):
            with open(os.path.join(ROOT, "docs/man", page), encoding="utf-8") as f:
                named = set(re.findall(r"\b(udptun_\w+)(?= ?\(| \(\))", f.read()))
            with open(os.path.join(ROOT, symbols), encoding="utf-8") as f:
                exported = set(re.findall(r"udptun_\w+", f.read()))
            inline = set()
            for header in glob.glob(os.path.join(ROOT, headers, "*.h")):
                with open(header, encoding="utf-8") as f:
                    inline.update(re.findall(r"static inline void (udptun_\w+)", f.read()))
            self.assertGreater(len(named), 10)
            self.assertEqual(named - exported - inline, set())
            self.assertEqual({name for name in exported if not name.endswith("_sized")} - named,
                             set(), page)

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            run = subprocess.run([CTL, "help"], stdout=full, stderr=subprocess.PIPE, text=True,
                                 timeout=HANG_S, check=False)
        self.assertEqual(run.returncode, OTHER)
        self.assertIn("standard output", run.stderr)


class Echo:
    """A UDP target that sends everything back."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            data, source = self.socket.recvfrom(65536)
            if data == b"stop":
                return
            self.socket.sendto(data, source)

    def stop(self):
        host, port = self.address.split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ender:
            ender.sendto(b"stop", (host, int(port)))
        self.thread.join(HANG_S)
        self.socket.close()


def start_daemon(folder, *args):
    """A udptund that answers on control.sock in `folder`: its process and the socket."""
    path = os.path.join(folder, "control.sock")
    with open(os.path.join(folder, "log"), "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [DAEMON, "-s", path, "--state-dir", os.path.join(folder, "state"), *args], stderr=log)
    deadline = time.monotonic() + HANG_S
    while ctl("-s", path, "call", "hello").returncode != OK:
        if process.poll() is not None or time.monotonic() > deadline:
            with open(os.path.join(folder, "log"), encoding="utf-8") as log:
                raise AssertionError("udptund did not start:\n" + log.read())
        time.sleep(0.01)
    return process, path


def stop_daemon(process):
    process.send_signal(signal.SIGTERM)
    process.wait(HANG_S)


@unittest.skipUnless(os.geteuid() == 0, "only root can be somebody else")
class AsSomebodyElse(unittest.TestCase):
    NOBODY = 65534

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        os.chmod(self.folder, 0o755)
        shutil.copy(CTL, self.folder)
        shutil.copy(os.path.join(LIB, "libudptun-client.so.0"), self.folder)

    def tearDown(self):
        shutil.rmtree(self.folder)

    def ctl(self, *args, **more):
        return subprocess.run([os.path.join(self.folder, "udptunctl"), *args], text=True,
                              capture_output=True, timeout=HANG_S, user=self.NOBODY,
                              group=self.NOBODY, extra_groups=[], check=False,
                              env=clean_environment(LD_LIBRARY_PATH=self.folder, **more))

    def test_what_is_not_allowed_is_told_from_what_is_not_there(self):
        daemon, path = start_daemon(self.folder)
        try:
            run = self.ctl("-s", path)
            self.assertEqual(run.returncode, PERMISSION)
            self.assertIn("group udptun", run.stderr)
            os.chmod(path, 0o666)
            run = self.ctl("-s", path)
            self.assertEqual(run.returncode, OK, run.stderr)
            run = self.ctl("-s", path, "remove", "x")
            self.assertEqual(run.returncode, PERMISSION)
            self.assertIn("operator", run.stderr)
        finally:
            stop_daemon(daemon)

    def test_without_a_daemon_of_its_own_the_system_one_is_tried(self):
        run = self.ctl("status", XDG_RUNTIME_DIR=self.folder)
        if run.returncode == NO_DAEMON:
            self.assertIn(self.folder + "/udptund/control.sock or /run/udptund/control.sock",
                          run.stderr)


class Scripted:
    """Stands in for the actions that udptund does not have yet: answers each message with the
    next of `replies`, then says `events` and hangs up."""

    def __init__(self, folder, *replies, events=()):
        self.path = os.path.join(folder, "scripted.sock")
        self.heard = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(1)
        self.thread = threading.Thread(target=self.serve, args=(replies, events))
        self.thread.start()

    def serve(self, replies, events):
        connection, _ = self.listener.accept()
        with connection, connection.makefile("r") as lines:
            for reply in replies:
                message = json.loads(lines.readline())
                if message["id"] == 0:  # libclient asks what the daemon can do: nothing more
                    connection.sendall(b'{"action":"hello","id":0,"statusCode":0}')
                    message = json.loads(lines.readline())
                self.heard.append((message["action"], message.get("parameters")))
                reply = dict(reply, id=message["id"], statusCode=reply.get("statusCode", 0))
                connection.sendall(json.dumps(reply).encode())
            for event in events:
                connection.sendall(json.dumps(event).encode())

    def close(self):
        self.thread.join(HANG_S)
        self.listener.close()
        os.unlink(self.path)


class AgainstAScript(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()

    def tearDown(self):
        shutil.rmtree(self.folder)

    def play(self, args, value=None, **more):
        script = Scripted(self.folder, {} if value is None else {"returnValue": value}, **more)
        run = ctl("-s", script.path, *args)
        script.close()
        return run, script.heard[0]

    def test_events_are_printed_a_line_each_after_the_snapshot(self):
        run, heard = self.play(["events", "--topics", "state,log"], {"udpTunnels": []},
                               events=[{"event": "tunnel.state", "seq": n} for n in (1, 2)])
        self.assertEqual(heard, ("subscribe", {"topics": ["state", "log"], "snapshot": True}))
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        self.assertEqual(lines[0]["returnValue"], {"udpTunnels": []})
        self.assertEqual([line["seq"] for line in lines[1:]], [1, 2])
        self.assertEqual(run.returncode, NO_DAEMON)

    def test_apply_sends_the_file_and_tells_what_changed(self):
        config = os.path.join(self.folder, "config")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"udpTunnels": []}, file)
        run, heard = self.play(["apply", "-f", config, "--prune", "--dry-run"],
                               {"created": ["a", "b"], "changed": [], "removed": ["c"]})
        self.assertEqual(heard, ("applyConfig", {"config": {"udpTunnels": []}, "prune": True,
                                                 "dryRun": True}))
        self.assertEqual(run.stdout, "created: a, b\nremoved: c\n(not done: --dry-run)\n")

    def test_export_prints_a_config_file(self):
        config = {"udpTunnels": [{"name": "a", "key": {"redacted": True}}], "tun2socks": []}
        run, heard = self.play(["export", "--show-secrets"], config)
        self.assertEqual(heard, ("exportConfig", {"showSecrets": True}))
        self.assertEqual(json.loads(run.stdout), config)

    def test_metrics_are_printed_as_they_are(self):
        run, heard = self.play(["metrics"], "a_total 1\n# EOF\n")
        self.assertEqual((run.stdout, heard[0]), ("a_total 1\n# EOF\n", "getMetrics"))

    def test_the_small_commands_send_their_action(self):
        for args, expected in (
                (["log-level", "debug", "--module", "local"],
                 ("setLogLevel", {"level": "debug", "module": "local"})),
                (["reload"], ("reloadConfig", None)),
                (["shutdown"], ("shutdown", None))):
            run, heard = self.play(args)
            self.assertEqual((run.returncode, run.stdout, heard), (OK, "", expected))

    def test_every_flag_becomes_its_field(self):
        run, heard = self.play(
            ["tun2socks", "t", "--device", "pipe", "--tcp", "direct", "--udp", "tunnel:a",
             "--address", "10.0.0.1/24", "--mtu=1500", "--block-quic", "--mark", "0x10"],
            {"changed": True, "persistent": True})
        self.assertEqual(run.returncode, OK, run.stderr)
        self.assertEqual(heard, ("configureTun2socks", {
            "device": "pipe", "tcp": "direct", "udp": "tunnel:a", "address": "10.0.0.1/24",
            "mtu": 1500, "blockQuic": True, "mark": 16, "name": "t", "merge": True}))
        run, heard = self.play(
            ["server", "--allow-targets", "10.0.0.0/8,[fd00::/8]:53", "s", "--no-insecure",
             "--allow-targets", "192.0.2.1/32:1-9", "--deny-targets", "", "--wait", "3"],
            {"changed": True, "persistent": True})
        self.assertEqual(heard, ("configureUdpTunnel", {
            "allowTargets": ["10.0.0.0/8", "[fd00::/8]:53", "192.0.2.1/32:1-9"],
            "denyTargets": [], "insecure": False, "wait": 3, "name": "s", "role": "server",
            "merge": True}))

    def test_a_url_is_read_from_a_file_or_standard_input(self):
        path = os.path.join(self.folder, "via")
        with open(path, "w", encoding="utf-8") as file:
            file.write("  socks5://user:secret@127.0.0.1:1080 \nanother line\n")
        script = Scripted(self.folder, {"returnValue": {"changed": True, "persistent": True}})
        run = ctl("-s", script.path, "local", "a", "--via", "@" + path, "--listen", "@-",
                  stdin="socks5://u:p@127.0.0.1:0\n")
        script.close()
        self.assertEqual(run.returncode, OK, run.stderr)
        sent = script.heard[0][1]
        self.assertEqual(sent["via"], "socks5://user:secret@127.0.0.1:1080")
        self.assertEqual(sent["listen"], "socks5://u:p@127.0.0.1:0")
        self.assertNotIn("secret", run.stdout + run.stderr)

    def test_an_error_is_told_in_the_words_of_the_command_line(self):
        def message_of(args, message, field=""):
            script = Scripted(self.folder, {"statusCode": 7, "errorMessage": message, "error":
                                            {"code": "INVALID_PARAM", "field": field}})
            run = ctl("-s", script.path, *args, stdin='{"udpTunnels":[{"name":"a"},{"name":"b"}]}')
            script.close()
            return run.stderr
        self.assertEqual(message_of(["local", "x"], "keyFile: cannot open '/k'"),
                         "udptunctl: --key-file: cannot open '/k'\n")
        self.assertEqual(message_of(["server", "x"], 'key: needs one, unless "insecure" or "x"'),
                         'udptunctl: --key-file: needs one, unless --insecure or "x"\n')
        self.assertEqual(message_of(["tun2socks", "x"], "keyFile: no flag of this command"),
                         "udptunctl: keyFile: no flag of this command\n")
        self.assertEqual(message_of(["apply", "-f", "-"], "server: is missing",
                                    "parameters.config.udpTunnels[1].server"),
                         "udptunctl: b: server: is missing\n")

    def test_control_characters_of_others_do_not_reach_the_terminal(self):
        status = {"version": "1", "uptime": 1, "health": "ok", "udpTunnels": [
            {"name": "a", "role": "local", "state": "failed", "lastError": "\u001b[2J\u0007"}]}
        for command in ("status", "show"):
            run, _ = self.play([command, "a"], status)
            self.assertEqual(run.returncode, OK)
            self.assertIn("?[2J?", run.stdout)
            self.assertNotIn("\033", run.stdout)


def complete_in_bash(line, env):
    """What the last word of `line` becomes."""
    script = (". <(udptunctl completion bash); COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]}-1));"
              '_udptunctl_words; echo "${COMPREPLY[*]}"')
    return subprocess.run(["bash", "-c", script, "-", line], capture_output=True, text=True,
                          timeout=HANG_S, check=True, env=env).stdout.strip()


def complete_in_fish(line, env):
    script = "udptunctl completion fish | source; complete -C $argv[1]"
    out = subprocess.run(["fish", "-c", script, line], capture_output=True, text=True,
                         timeout=HANG_S, check=True, env=env).stdout
    return " ".join(row.split("\t")[0] for row in out.splitlines())


def complete_in_zsh(line, env):
    """By its line editor, on a terminal: the script as it is installed, found by compinit."""
    folder = tempfile.mkdtemp()
    main, other = pty.openpty()
    try:
        with open(os.path.join(folder, "_udptunctl"), "w", encoding="utf-8") as file:
            file.write(ctl("completion", "zsh").stdout)
        setup = (f"fpath=({folder} $fpath); autoload -U compinit; compinit -u -D; "
                 "finish() { print -rn -- \"<$BUFFER>\"; exit }; zle -N finish; "
                 "bindkey '^I' complete-word; bindkey '^F' finish; print ready''now")
        process = subprocess.Popen(["zsh", "-f", "-i"], stdin=other, stdout=other, stderr=other,
                                   env=env, start_new_session=True)
        read_until(main, r"[#%>] ")
        os.write(main, (setup + "\n").encode())
        read_until(main, r"readynow")
        os.write(main, (line + "\t\x06").encode())
        found = read_until(main, r"<(udptunctl [^>]*)>").group(1)
        process.wait(HANG_S)
        return found.split()[-1]
    finally:
        os.close(main)
        os.close(other)
        shutil.rmtree(folder)


def read_until(terminal, pattern):
    output, end = "", time.monotonic() + HANG_S
    while not re.search(pattern, output):
        if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            raise AssertionError(f"no {pattern} in {output!r}")
        output += os.read(terminal, 65536).decode(errors="replace")
    return re.search(pattern, output)


class WithDaemon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.daemon, cls.socket = start_daemon(cls.folder)
        cls.echo = Echo()

    @classmethod
    def tearDownClass(cls):
        stop_daemon(cls.daemon)
        cls.echo.stop()
        shutil.rmtree(cls.folder)

    def tearDown(self):
        for tunnel in self.json("status")["udpTunnels"]:
            self.ctl("remove", tunnel["name"])

    def ctl(self, *args, stdin=""):
        return ctl("-s", self.socket, *args, stdin=stdin)

    def good(self, *args, stdin=""):
        run = self.ctl(*args, stdin=stdin)
        self.assertEqual((run.returncode, run.stderr), (OK, ""), args)
        return run.stdout

    def json(self, *args, stdin=""):
        return json.loads(self.good("-j", *args, stdin=stdin))

    def refused(self, status, *args, stdin=""):
        run = self.ctl(*args, stdin=stdin)
        self.assertEqual(run.returncode, status, run.stderr)
        self.assertTrue(run.stderr.startswith("udptunctl: "))
        return run

    def tunnel(self, name):
        return self.json("status", name)["udpTunnels"][0]

    def make_pair(self):
        self.good("server", "far", "--listen", "127.0.0.1:0", "--target", self.echo.address)
        self.good("local", "near", "--listen", "udp://127.0.0.1:0", "--server",
                  self.tunnel("far")["listen"], "--target", self.echo.address, "--wait", "30")
        host, port = self.tunnel("near")["listen"].replace("udp://", "").split(":")
        return host, int(port)

    def send(self, to, flows=1):
        """One datagram there and back from so many sources."""
        for _ in range(flows):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as app:
                app.settimeout(HANG_S)
                app.sendto(b"hello", to)
                self.assertEqual(app.recv(100), b"hello")

    def test_without_tunnels_status_says_what_to_do_next(self):
        text = self.good()
        self.assertIn("udptund", text)
        self.assertIn("udptunctl server", text)
        for line in text.splitlines():
            self.assertLessEqual(len(line), 80)

    def test_a_tunnel_from_making_to_removing(self):
        to = self.make_pair()
        self.send(to, 3)
        table = self.good("status")
        self.assertRegex(table, r"(?m)^NAME +ROLE +STATE +LISTEN ")
        self.assertRegex(table, r"(?m)^near +local +established +udp://127\.0\.0\.1:\d+ ")
        self.assertRegex(table, r"(?m)^far +server +listening +127\.0\.0\.1:\d+ +1 session ")
        self.assertEqual(self.tunnel("near")["flows"], 3)

        shown = self.good("show", "near")
        for part in ("near", "established", "CONNECTION", "control", "datagrams"):
            self.assertIn(part, shown)
        self.assertEqual(len(self.json("flows", "near")["flows"]), 3)
        self.assertEqual(len(self.json("flows", "near", "--limit", "2")["flows"]), 2)
        self.assertEqual(len(self.good("flows", "near").splitlines()), 4)
        self.assertRegex(self.good("sessions", "far"), r"(?m)^[0-9a-f]{32} ")
        self.assertEqual(len(self.json("sessions", "far")["sessions"]), 1)

        self.assertIn("2 of 2 answered", self.good("ping", "near", "-c", "2"))
        self.assertEqual(len(self.json("ping", "near", "-c", "3")["rttMs"]), 3)

        self.assertIn("removed", self.good("remove", "near"))
        self.assertIn("does not exist", self.good("remove", "near"))
        self.assertEqual(self.json("remove", "near"), {"changed": False})

    def test_show_says_how_an_object_is_configured(self):
        self.good("local", "near", "--listen", "udp://127.0.0.1:0", "--server", "127.0.0.1:9",
                  "--target", "127.0.0.1:9", "--via", "socks5://user:secret@127.0.0.1:9",
                  "--max-flows-per-session", "7")
        shown = self.good("show", "near")
        for line in ("  key         none", "  via                   socks5://127.0.0.1:9",
                     "  target                127.0.0.1:9", "  max-flows-per-session 7"):
            self.assertIn(line + "\n", shown)
        self.assertNotIn("secret", shown)
        key = self.good("genkey")
        run = ctl("-s", self.socket, "server", "far", "--listen", "127.0.0.1:0", "--key-file", "-",
                  "--allow-targets", "10.0.0.0/8,192.0.2.1/32:53", "--deny-targets", "", stdin=key)
        self.assertEqual(run.returncode, OK, run.stderr)
        shown = self.good("show", "far")
        for line in ("  key                   set", "  deny-targets          none",
                     "  allow-targets         10.0.0.0/8, 192.0.2.1/32:53"):
            self.assertIn(line + "\n", shown)
        self.assertNotIn(key.strip(), shown)

    def test_show_says_who_configured_an_object_and_whether_it_is_kept(self):
        server = ("server", "far", "--listen", "127.0.0.1:0")
        self.good(*server)
        self.assertIn("  configured  at run time, kept over a restart\n", self.good("show", "far"))
        self.good(*server, "--ephemeral")
        self.assertIn("  configured  at run time, not kept over a restart (--ephemeral)\n",
                      self.good("show", "far"))
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "config.json")
            with open(file, "w", encoding="utf-8") as config:
                json.dump({"udpTunnels": [{"name": "of-file", "role": "server",
                                           "listen": "127.0.0.1:0"}]}, config)
            process, path = start_daemon(folder, "--config", file)
            try:
                shown = ctl("-s", path, "show", "of-file").stdout
                self.assertIn("  configured  by the config file\n", shown)
            finally:
                stop_daemon(process)

    def test_several_names_are_removed_in_their_order(self):
        self.make_pair()
        self.good("tun2socks", "device", "--device", "unix:" + self.folder + "/device",
                  "--udp", "tunnel:near", "--tcp", "reject")
        run = self.refused(CONFLICT, "remove", "near", "far")
        self.assertIn("near", run.stderr)
        self.assertEqual(run.stdout, "far: removed\n")
        self.assertEqual(self.good("remove", "device", "nobody", "near"),
                         "device: removed\nnobody: does not exist\nnear: removed\n")

    def test_a_name_that_resembles_another_is_suggested(self):
        self.make_pair()
        self.assertIn("Did you mean near?", self.refused(NOT_FOUND, "show", "naer").stderr)
        self.assertIn("Did you mean far?", self.refused(NOT_FOUND, "flows", "fra").stderr)
        self.assertNotIn("Did you mean", self.refused(NOT_FOUND, "show", "nowhere").stderr)

    def test_an_existing_tunnel_is_merged(self):
        self.good("local", "near", "--listen", "udp://127.0.0.1:0", "--server", "127.0.0.1:9",
                  "--target", "127.0.0.1:9")
        before = self.tunnel("near")
        self.assertTrue(self.json("local", "near", "--connections", "2")["changed"])
        self.assertFalse(self.json("local", "near", "--connections", "2")["changed"])
        self.assertEqual(self.tunnel("near")["listen"], before["listen"])
        self.assertEqual(self.tunnel("near")["server"], before["server"])
        self.assertEqual(self.json("local", "near", "--no-enabled")["tunnel"]["state"], "disabled")

    def test_names_that_are_not_there_are_not_found(self):
        for command in ("status", "show", "sessions", "flows", "ping"):
            run = self.refused(NOT_FOUND, command, "nowhere")
            self.assertIn("nowhere", run.stderr)

    def test_with_j_a_failure_prints_the_whole_reply(self):
        run = self.refused(NOT_FOUND, "-j", "status", "nowhere")
        reply = json.loads(run.stdout)
        self.assertEqual(reply["statusCode"], 100)
        self.assertEqual(reply["error"]["code"], "NOT_FOUND")

    def test_what_the_daemon_refuses_is_a_failed_operation(self):
        run = self.refused(FAILED, "local", "near", "--server", "127.0.0.1:9", "--connections",
                           "99")
        self.assertIn("connections", run.stderr)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen(1)
            self.refused(FAILED, "server", "far", "--listen",
                         "127.0.0.1:%d" % taken.getsockname()[1])
        self.refused(FAILED, "call", "noSuchAction")
        self.assertEqual(self.json("status")["udpTunnels"], [])

    def test_waiting_in_vain_is_a_timeout(self):
        run = self.refused(TIMEOUT, "local", "near", "--listen", "udp://127.0.0.1:0", "--server",
                           "127.0.0.1:9", "--target", "127.0.0.1:9", "--wait", "1")
        self.assertIn("near", run.stderr)

    def test_a_key_file_is_absolute_and_a_dash_reads_the_key_here(self):
        key = self.good("genkey").strip()
        self.good("server", "far", "--listen", "127.0.0.1:0", "--key-file", "-", stdin=key + "\n")
        self.refused(FAILED, "server", "far", "--key-file", "-", stdin="too short\n")
        path = os.path.join(self.folder, "key")
        with open(path, "w", encoding="utf-8") as file:
            file.write(key + "\n")
        run = subprocess.run([CTL, "-s", self.socket, "server", "other", "--listen",
                              "127.0.0.1:0", "--key-file", "key"], cwd=self.folder,
                             capture_output=True, text=True, timeout=HANG_S, check=False)
        self.assertEqual(run.returncode, OK, run.stderr)
        self.assertNotIn(key, self.good("-j", "status") + self.good("show", "far"))

    def test_call_sends_any_action(self):
        self.assertEqual(self.json("call", "hello")["server"], "udptund")
        self.assertEqual(self.json("call", "removeUdpTunnel", '{"name":"x"}'), {"changed": False})
        self.assertEqual(self.json("call", "removeUdpTunnel", "-", stdin='{"name":"x"}'),
                         {"changed": False})
        self.assertEqual(self.good("call", "setLogLevel", '{"level":"info"}'), "")
        self.assertEqual(self.good("-j", "call", "setLogLevel", '{"level":"info"}'), "null\n")

    def test_as_json_pings_of_several_calls_are_one_value(self):
        self.make_pair()
        self.assertEqual(len(self.json("ping", "near", "-c", "250")["rttMs"]), 250)

    def test_a_plan_with_prune_changes_nothing(self):
        self.good("server", "far", "--listen", "127.0.0.1:0")
        before = self.good("export")
        plan = self.good("apply", "-f", "-", "--prune", "--dry-run", stdin=json.dumps(
            {"udpTunnels": [{"name": "new", "role": "server", "listen": "127.0.0.1:0"}]}))
        self.assertEqual(plan, "created: new\nremoved: far\n(not done: --dry-run)\n")
        self.assertEqual(self.good("export"), before)

    def test_a_name_of_another_kind_is_a_conflict(self):
        self.good("server", "far", "--listen", "127.0.0.1:0")
        self.assertIn("far", self.refused(CONFLICT, "tun2socks", "far", "--device", "pipe").stderr)
        self.assertEqual(self.tunnel("far")["role"], "server")

    def test_who_watches_is_told_that_the_daemon_is_gone(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        daemon, sock = start_daemon(folder)
        watchers = [subprocess.Popen([CTL, "-s", sock, *args], stdout=subprocess.PIPE, text=True,
                                     stderr=subprocess.PIPE, env=clean_environment())
                    for args in (["-j", "status", "-w"], ["events"])]
        for watcher in watchers:
            self.assertTrue(watcher.stdout.readline())
        stop_daemon(daemon)
        for watcher in watchers:
            _, said = watcher.communicate(timeout=HANG_S)
            self.assertEqual(watcher.returncode, NO_DAEMON, said)
            self.assertIn("daemon", said)

    def test_the_shells_complete_commands_flags_words_and_names(self):
        self.good("server", "far-end", "--listen", "127.0.0.1:0")
        lines = {"comp": "completion", "server x --egr": "--egress", "log-level deb": "debug",
                 f"-s {self.socket} show far": "far-end", "server x --no-ins": "--no-insecure"}
        path = clean_environment(PATH=BIN + ":" + os.environ["PATH"], HOME=self.folder)
        for shell, complete in (("bash", complete_in_bash), ("zsh", complete_in_zsh),
                                ("fish", complete_in_fish)):
            if not shutil.which(shell):
                continue
            for line, expected in lines.items():
                with self.subTest(shell=shell, line=line):
                    self.assertEqual(complete("udptunctl " + line, path), expected)

    def test_a_table_fits_the_terminal_and_honours_no_color(self):
        self.good("local", "a-tunnel-with-a-long-name", "--listen", "socks5://127.0.0.1:0",
                  "--server", "a-server-with-a-long-name.example.org:12345", "--no-enabled")
        for columns in (60, 80, 120):
            for args in (["status"], ["show", "a-tunnel-with-a-long-name"]):
                text = on_terminal(columns, "-s", self.socket, *args)
                self.assertIn("\033[", text)
                plain = re.sub(r"\033\[[0-9;]*m", "", text)
                table = [line for line in plain.splitlines() if ": " not in line]
                for line in table if args == ["status"] else []:
                    self.assertLessEqual(len(line), columns, line)
        self.good("server", "n" * 64, "--listen",
                  "unix:" + os.path.join(self.folder, "s" * (100 - len(self.folder))))
        for line in on_terminal(80, "-s", self.socket, "status").splitlines():
            self.assertLessEqual(len(re.sub(r"\x1b\[\d*m", "", line)), 80, line)
        bare = on_terminal(80, "-s", self.socket, "status", env=clean_environment(NO_COLOR="1"))
        self.assertNotIn("\033", bare)
        self.assertNotIn("\033", self.good("status"))

    def test_the_examples_tell_the_status(self):
        self.good("server", "far", "--listen", "127.0.0.1:0")
        for example in ("client-status", "client-uv"):
            program = os.path.join(BIN, example)
            if example == "client-uv" and not os.path.exists(program):
                continue  # built where libuv is
            run = subprocess.run([program, self.socket], text=True, capture_output=True,
                                 timeout=HANG_S, check=False)
            self.assertEqual(run.returncode, OK, run.stderr)
            self.assertEqual(json.loads(run.stdout)["udpTunnels"][0]["name"], "far")
            gone = subprocess.run([program, self.socket + ".none"], text=True,
                                  capture_output=True, timeout=HANG_S, check=False)
            self.assertEqual(gone.returncode, 1)
            self.assertIn("UNREACHABLE", gone.stderr)
        if os.environ.get("UDPTUN_SANITIZE"):
            return  # a sanitized library cannot be loaded into a plain interpreter
        run = subprocess.run([sys.executable, os.path.join(ROOT, "docs/examples/status.py"),
                              self.socket], text=True, capture_output=True, timeout=HANG_S,
                             check=False, env=clean_environment(UDPTUN_LIB=LIB))
        self.assertEqual(run.returncode, OK, run.stderr)
        self.assertIn("far: listening", run.stdout)

    def test_an_example_runs_a_tunnel_without_a_json_library(self):
        run = subprocess.run([os.path.join(BIN, "client-tunnel"), self.socket], text=True,
                             capture_output=True, timeout=HANG_S, check=False)
        self.assertEqual((run.returncode, run.stderr), (OK, ""))
        self.assertRegex(run.stdout, r"^example is listening\nit listens on 127\.0\.0\.1:\d+ and "
                                     r"has 0 sessions\nexample is disabled\n$")

    def test_each_action_has_a_function_of_the_library(self):
        with tempfile.TemporaryDirectory() as folder:
            process, path = start_daemon(folder)
            run = subprocess.run([os.path.join(BIN, "client_actions"), path], text=True,
                                 capture_output=True, timeout=HANG_S, check=False)
            stop_daemon(process)  # it has, if all went well
            self.assertEqual((run.returncode, run.stderr), (OK, ""))
        with open(os.path.join(ROOT, "libclient/libudptun-client.symbols"), encoding="utf-8") as f:
            exported = f.read().split()
        with open(os.path.join(ROOT, "daemon/control/actions/actions.c"), encoding="utf-8") as f:
            actions = re.findall(r'^    \{"(\w+)", ROLE_', f.read(), re.M)
        self.assertGreater(len(actions), 15)
        for action in actions:
            words = re.sub(r"([A-Z])", lambda m: "_" + m[1].lower(), action)
            words = {"ping_tunnel": "ping"}.get(words, words.replace("_udp_tunnel", "_tunnel"))
            self.assertIn("udptun_client_" + words, exported)

    def test_what_is_exported_can_be_applied(self):
        key = ctl("genkey").stdout.strip()
        self.good("server", "keyed", "--listen", "127.0.0.1:0", "--key-file", "-", stdin=key)
        self.good("server", "plain", "--listen", "127.0.0.1:0")
        exported = self.good("export")
        self.assertNotIn(key, exported)
        in_full = self.good("export", "--show-secrets")
        self.assertIn(key, in_full)
        self.assertEqual(self.good("apply", "-f", "-", stdin=exported), "nothing to change\n")
        self.good("remove", "plain")
        planned = self.good("apply", "-f", "-", "--dry-run", stdin=exported)
        self.assertEqual(planned, "created: plain\n(not done: --dry-run)\n")
        self.assertEqual(self.good("apply", "-f", "-", stdin=exported), "created: plain\n")
        self.good("remove", "keyed")
        missing = self.refused(FAILED, "apply", "-f", "-", stdin=exported)
        self.assertIn("redacted, and there is none", missing.stderr)
        self.assertEqual(self.good("apply", "-f", "-", stdin=in_full), "created: keyed\n")
        self.assertEqual(json.loads(self.good("export", "--show-secrets")), json.loads(in_full))
        only = json.dumps({"udpTunnels": [
            {"name": "plain", "role": "server", "listen": "127.0.0.1:0", "maxFlows": 7}]})
        done = self.json("apply", "-f", "-", "--prune", stdin=only)
        self.assertEqual(done, {"created": [], "changed": ["plain"], "removed": ["keyed"]})

    def test_a_file_that_is_not_a_configuration_is_told_with_its_place(self):
        self.assertIn("line 2", self.refused(USAGE, "apply", "-f", "-", stdin="{\n]").stderr)
        wrong = self.refused(FAILED, "apply", "-f", "-", stdin=json.dumps({"udpTunnels": [
            {"name": "x", "role": "server", "listen": "nonsense"}]}))
        self.assertIn("nonsense", wrong.stderr)
        self.assertEqual(self.json("status")["udpTunnels"], [])

    def test_log_levels_are_set_as_a_whole_and_by_module(self):
        self.assertEqual(self.good("log-level", "warn"), "")
        self.assertEqual(self.good("log-level", "debug", "--module", "policy"), "")
        self.assertEqual(self.good("log-level", "info"), "")
        self.assertIn("error, warn, info, debug", self.refused(FAILED, "log-level", "loud").stderr)
        self.assertIn("policy", self.refused(FAILED, "log-level", "info", "--module", "x").stderr)

    def test_metrics_of_the_daemon_end_as_openmetrics_does(self):
        self.good("server", "far", "--listen", "127.0.0.1:0")
        text = self.good("metrics")
        self.assertTrue(text.endswith("# EOF\n"))
        self.assertRegex(text, r'(?m)^udptun_\w+\{.*"far".*\} ')

    def test_reload_reads_the_config_file_again(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "config.json")

        def write(text):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        tunnel = {"name": "filed", "role": "server", "listen": "127.0.0.1:0"}
        write(json.dumps({"udpTunnels": [tunnel]}))
        daemon, sock = start_daemon(folder, "-c", path)
        self.addCleanup(stop_daemon, daemon)
        write(json.dumps({"udpTunnels": [tunnel, dict(tunnel, name="more")]}))
        self.assertEqual(ctl("-s", sock, "reload").returncode, OK)
        names = [t["name"] for t in json.loads(ctl("-s", sock, "-j").stdout)["udpTunnels"]]
        self.assertEqual(names, ["filed", "more"])
        write("{\n]")
        broken = ctl("-s", sock, "reload")
        self.assertEqual(broken.returncode, FAILED)
        self.assertIn(path + ": line 2", broken.stderr)
        self.assertEqual(len(json.loads(ctl("-s", sock, "-j").stdout)["udpTunnels"]), 2)

    def test_events_are_text_on_a_terminal_and_json_elsewhere(self):
        main, other = pty.openpty()
        self.addCleanup(os.close, main)
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        self.good("server", "early", "--listen", "127.0.0.1:0")
        for output in (other, subprocess.PIPE):
            watcher = subprocess.Popen([CTL, "-s", self.socket, "events", "--topics",
                                        "state,config"], stdout=output,
                                       env=clean_environment(NO_COLOR="1"))
            lines = watcher.stdout or os.fdopen(os.dup(main), "rb", buffering=0)
            self.addCleanup(lines.close)
            self.addCleanup(watcher.wait, HANG_S)
            self.addCleanup(watcher.kill)
            first = lines.readline().decode()
            self.good("server", "late", "--listen", "127.0.0.1:0")
            seen = [lines.readline().decode() for _ in range(2)]
            if output == other:
                when = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d "
                self.assertRegex(first, when + r"early listening\s*$")
                self.assertRegex(seen[0], when + r"late listening\s*$")
                self.assertRegex(seen[1], when + r"late created\s*$")
            else:
                self.assertEqual(json.loads(first)["action"], "subscribe")
                self.assertEqual([json.loads(line)["event"] for line in seen],
                                 ["tunnel.state", "config.changed"])
            self.good("remove", "late")
        os.close(other)

    def test_completion_knows_the_names(self):
        self.good("server", "far", "--listen", "127.0.0.1:0")
        self.assertEqual(self.good("completion", "names"), "far\n")

    def watch(self, *args):
        """A running `status --watch` that is ended with the test."""
        process = subprocess.Popen([CTL, "-s", self.socket, *args, "status", "-w"], text=True,
                                   stdout=subprocess.PIPE, env=clean_environment())

        def end():
            process.kill()
            process.wait(HANG_S)
            process.stdout.close()
        self.addCleanup(end)
        return process

    def test_watch_with_j_prints_one_json_object_a_line_when_something_changed(self):
        watch = self.watch("-j")
        self.assertEqual(json.loads(watch.stdout.readline())["udpTunnels"], [])
        self.good("server", "far", "--listen", "127.0.0.1:0")
        while True:  # until the tunnel is seen
            tunnels = json.loads(watch.stdout.readline())["udpTunnels"]
            if tunnels and tunnels[0]["state"] == "listening":
                break

    def test_watch_on_a_pipe_prints_a_line_for_each_change(self):
        self.good("server", "far", "--listen", "127.0.0.1:0")
        watch = self.watch()
        when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
        self.assertRegex(watch.stdout.readline(), f"^{when} far listening$")
        self.good("server", "far", "--no-enabled")
        self.assertRegex(watch.stdout.readline(), f"^{when} far disabled$")
        self.good("remove", "far")
        self.assertRegex(watch.stdout.readline(), f"^{when} far removed$")


if __name__ == "__main__":
    unittest.main()
