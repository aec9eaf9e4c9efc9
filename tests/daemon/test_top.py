#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""udptunctl top on a real terminal (tmux) against the real udptund: what a person sees, whatever
the window, the daemon and the keyboard do, and that the terminal is given back.

The programs are taken from the folder that UDPTUN_BIN names (build/bin).
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from test_cli import (CTL, HANG_S, LIB, OK, PERMISSION, USAGE, Echo, clean_environment, ctl,
                      on_terminal, start_daemon, stop_daemon)

SANITIZED = bool(os.environ.get("UDPTUN_SANITIZE"))


class Terminal:
    """A window of tmux with a shell that runs udptunctl top and then says how it ended."""

    count = 0

    def __init__(self, folder, command, columns=80, rows=24, locale="C.UTF-8", **env):
        Terminal.count += 1  # of a server that ends its socket is a while in the way
        self.path = os.path.join(folder, f"tmux{Terminal.count}.sock")
        self.folder = folder
        script = os.path.join(folder, "script")
        with open(script, "w", encoding="utf-8") as file:
            file.write("set -m; ulimit -c 0; stty -g >before\n"
                       + "".join(f"export {name}='{value}'\n" for name, value in env.items())
                       + f"{command}\n"
                       'echo "ended $?"; stty -g >after; exec cat\n')
        # tmux is not what is tested: its own locale has to be one with UTF-8.
        self.tmux("-f", "/dev/null", "-u", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                  f"cd {folder}; LC_ALL={locale} exec bash {script}",
                  env=clean_environment(LC_ALL="C.UTF-8", SHELL="/bin/sh"))

    def tmux(self, *args, env=None):
        return subprocess.run(["tmux", "-S", self.path, *args], capture_output=True, text=True,
                              timeout=HANG_S, check=True, env=env).stdout

    def close(self):
        subprocess.run(["tmux", "-S", self.path, "kill-server"], check=False,
                       stderr=subprocess.DEVNULL)
        for name in ("before", "after"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.folder, name))

    def screen(self, *options):
        return self.tmux("capture-pane", "-p", *options)

    def asks(self, what):
        return self.tmux("display-message", "-p", "#{%s}" % what).strip()

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def wait(self, pattern, but_not=None):
        """The screen, once `pattern` is on it (and `but_not` is not)."""
        end = time.monotonic() + HANG_S
        while True:
            screen = self.screen()
            if re.search(pattern, screen, re.M) and not (
                    but_not and re.search(but_not, screen, re.M)):
                return screen
            if time.monotonic() > end:
                raise AssertionError(f"no {pattern} in {HANG_S} s on\n{screen}")
            time.sleep(0.02)

    def pid(self):
        """Of udptunctl: the child of the window's shell."""
        with open(f"/proc/{self.asks('pane_pid')}/task/{self.asks('pane_pid')}/children",
                  encoding="ascii") as file:
            return int(file.read().split()[0])

    def restored(self, test):
        test.assertEqual(self.asks("alternate_on"), "0")
        test.assertEqual(self.asks("cursor_flag"), "1")
        settings = []
        for name in ("before", "after"):
            path = os.path.join(self.folder, name)
            end = time.monotonic() + HANG_S
            while not os.path.exists(path) or os.path.getsize(path) == 0:
                test.assertLess(time.monotonic(), end)
                time.sleep(0.02)
            with open(path, encoding="ascii") as file:
                settings.append(file.read())
        test.assertEqual(*settings)


class Top(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.echo = Echo()

    @classmethod
    def tearDownClass(cls):
        cls.echo.stop()

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="udptun-top-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.daemon, self.socket = start_daemon(self.folder)
        self.addCleanup(lambda: stop_daemon(self.daemon))

    def ctl(self, *args):
        run = ctl("-s", self.socket, *args)
        self.assertEqual(run.returncode, OK, run.stderr)
        return run.stdout

    def make_pair(self):
        """Two ends joined, and a socket of an app whose datagrams come back."""
        self.ctl("server", "far", "--listen", "127.0.0.1:0", "--target", self.echo.address)
        listen = re.search(r'"listen":"([^"]*)', self.ctl("-j", "status", "far")).group(1)
        self.ctl("local", "near", "--listen", "udp://127.0.0.1:0", "--server", listen, "--target",
                 self.echo.address, "--wait", "30")
        entry = re.search(r"udp://127\.0\.0\.1:(\d+)", self.ctl("-j", "status", "near")).group(1)
        app = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(app.close)
        app.connect(("127.0.0.1", int(entry)))
        app.settimeout(HANG_S)
        app.send(b"x" * 1000)
        app.recv(2000)
        return app

    def top(self, *args, more="", **options):
        terminal = Terminal(self.folder, f"{CTL} -s {self.socket} top {' '.join(args)} {more}",
                            **options)
        self.addCleanup(terminal.close)
        return terminal

    def test_tunnels_are_shown_with_what_they_move(self):
        app = self.make_pair()
        terminal = self.top()
        screen = terminal.wait(r"^near +local +established +1 ")
        self.assertRegex(screen, r"^udptund \d.*health ok; 2 objects, TX ")
        self.assertRegex(screen, r"(?m)^NAME▲ .* TX +RX ")
        self.assertRegex(screen, r"(?m)^far +server +listening +1 ")
        self.assertIn("q quit", screen.rstrip().splitlines()[-1])
        end = time.monotonic() + HANG_S
        while not re.search(r"^near .* \d.* kB/s +\d.* kB/s ", terminal.screen(), re.M):
            self.assertLess(time.monotonic(), end, terminal.screen())
            app.send(b"x" * 1000)
            app.recv(2000)

    def test_a_new_tunnel_and_why_it_is_not_well_are_seen(self):
        terminal = self.top()
        terminal.wait("No tunnels yet")
        self.ctl("local", "lame", "--listen", "udp://127.0.0.1:0", "--server", "127.0.0.1:1",
                 "--target", "127.0.0.1:1")
        terminal.wait("^lame: server 127.0.0.1:1: connection refused$")

    def test_a_tunnel_is_looked_into(self):
        app = self.make_pair()
        terminal = self.top()
        terminal.wait("^near ")
        terminal.press("Down")
        terminal.press("Enter")
        source = "127.0.0.1:%d" % app.getsockname()[1]
        screen = terminal.wait(f"^{source} ")
        self.assertRegex(screen, r"(?m)^near: local, established, at udp://")
        self.assertRegex(screen, r"(?m)^dropped 0; \d connections, \d up, queue at most ")
        self.assertRegex(screen, r"(?m)^SOURCE +EXTERNAL .* TX▼ ")
        terminal.press("Tab")
        session = re.search(r'"session":"(\w+)', self.ctl("-j", "sessions", "near")).group(1)
        terminal.wait(f"^{session[:12]} .* established ")
        terminal.press("f")
        terminal.wait("^SOURCE ")
        terminal.press("Escape")
        terminal.wait("^NAME")
        terminal.press("g")
        terminal.press("s")
        terminal.wait(f"^{session[:12]} ")
        self.ctl("remove", "far")
        terminal.wait("^far was removed")
        self.assertIn("NAME", terminal.screen())

    def test_a_name_goes_straight_to_its_flows(self):
        self.make_pair()
        self.top("near").wait("^SOURCE ")

    def test_keys_sort_turn_pause_and_help(self):
        self.make_pair()
        terminal = self.top()
        terminal.wait("^NAME▲(.|\n)*^far (.|\n)*^near ")
        terminal.press("r")
        terminal.wait("^NAME▼(.|\n)*^near (.|\n)*^far ")
        terminal.press("<")
        terminal.wait("DROP/S▼$", but_not="NAME▼")
        terminal.press(">")
        terminal.press(">")
        terminal.wait("ROLE▲")
        terminal.press("p")
        terminal.wait("^PAUSED")
        self.ctl("remove", "near")
        terminal.press("?")
        terminal.wait("any other key goes back")
        terminal.press("x")
        terminal.wait("^PAUSED(.|\n)*^near ")
        terminal.press("p")
        terminal.wait("^NAME", but_not="^near|PAUSED")

    def test_rows_are_filtered_and_the_help_scrolls(self):
        self.make_pair()
        terminal = self.top(rows=10)
        terminal.wait("^near ")
        terminal.press("/", "n", "e", "a")
        terminal.wait("^/nea_", but_not="^far ")
        terminal.press("Enter")
        terminal.wait("^/nea  1 of 2", but_not="^far ")
        terminal.press("Escape")
        terminal.wait("^far ")
        terminal.press("?")
        terminal.wait("^udptunctl top", but_not="any other key goes back")
        terminal.press("NPage", "NPage", "NPage")
        terminal.wait("any other key goes back", but_not="^udptunctl top")
        terminal.press("z")
        terminal.wait("^near ")

    def test_a_session_is_closed_and_a_tunnel_is_disabled_after_a_question(self):
        self.make_pair()
        terminal = self.top("far")
        terminal.press("s")
        session = re.search(r'"session":"(\w+)', self.ctl("-j", "sessions", "far")).group(1)
        terminal.wait(f"^{session[:12]} ")
        terminal.press("x")
        terminal.wait(f"^Close session {session} of far")
        terminal.press("n")
        terminal.wait("q quit")
        self.assertIn(session, self.ctl("-j", "sessions", "far"))
        terminal.press("x")
        terminal.wait(f"^Close session {session} of far")
        terminal.press("y")
        terminal.wait("is closed$")
        self.assertNotIn(session, self.ctl("-j", "sessions", "far"))
        terminal.press("d")
        terminal.wait("^Disable far")
        terminal.press("y")
        terminal.wait("^far: server, disabled")
        terminal.press("d")
        terminal.wait("^Enable far")
        terminal.press("y")
        terminal.wait("^far: server, listening")

    def test_every_window_size_will_do(self):
        self.make_pair()
        terminal = self.top()
        terminal.wait("^near ")
        for view in ("", "Enter"):
            if view:
                terminal.press(view)
                terminal.wait("^SOURCE")
            for columns, rows in ((140, 40), (80, 24), (60, 12), (40, 10), (30, 5), (20, 3), (10, 2),
                                  (2, 1), (1, 1), (81, 25)):
                terminal.resize(columns, rows)
                if rows > 2 and columns >= 20:
                    screen = terminal.wait("^[0-9a-f]{6}" if view else "^far|^near")
                    self.assertEqual(len(screen.splitlines()), rows)
                    self.assertLessEqual(max(map(len, screen.splitlines())), columns)
                else:
                    time.sleep(0.1)
            terminal.wait("q quit")
        terminal.press("q")
        terminal.wait("^ended 0")

    def test_a_daemon_that_goes_is_said_and_waited_for(self):
        self.make_pair()
        terminal = self.top()
        terminal.wait("^near ")
        self.daemon.kill()
        self.daemon.wait(HANG_S)
        screen = terminal.wait(f"^no daemon at {self.socket}; trying again$")
        self.assertRegex(screen, "(?m)^near ")
        terminal.press("Enter")
        terminal.wait("^far: server")
        self.daemon, _ = start_daemon(self.folder)
        terminal.wait("^udptund .* health", but_not="no daemon")
        terminal.wait("^dropped 0")

    def test_a_daemon_may_come_later(self):
        stop_daemon(self.daemon)
        terminal = self.top()
        terminal.wait(f"^no daemon at {self.socket}; trying again$")
        self.daemon, _ = start_daemon(self.folder)
        terminal.wait("No tunnels yet")

    def test_the_terminal_is_given_back(self):
        for number, status in ((None, 0), (signal.SIGINT, 0), (signal.SIGTERM, 143),
                               (signal.SIGHUP, 129), (signal.SIGQUIT, 131), (signal.SIGSEGV, 139)):
            if SANITIZED and number == signal.SIGSEGV:
                continue  # the sanitizer's
            with self.subTest(signal=number):
                terminal = self.top()
                terminal.wait("q quit")
                self.assertEqual(terminal.asks("alternate_on"), "1")
                self.assertEqual(terminal.asks("cursor_flag"), "0")
                if number is None:
                    terminal.press("q")
                elif number == signal.SIGINT:
                    terminal.press("C-c")
                else:
                    os.kill(terminal.pid(), number)
                screen = terminal.wait("^ended ")
                self.assertIn(f"ended {status}\n", screen)
                terminal.restored(self)
                terminal.close()

    def test_it_can_be_stopped_and_continued(self):
        terminal = self.top(more="; fg")
        terminal.wait("q quit")
        terminal.press("C-z")  # and "fg" follows
        terminal.wait("Stopped|q quit")
        terminal.resize(60, 20)
        screen = terminal.wait("q quit")
        self.assertEqual(len(screen.splitlines()), 20)
        terminal.press("q")
        terminal.wait("^ended 0")
        terminal.restored(self)

    def test_colours_only_where_they_are_wanted(self):
        self.make_pair()
        for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
            terminal = self.top(**env)
            terminal.wait("^near +local +established ")
            self.assertEqual("\033[32m" in terminal.screen("-e"), coloured)
            terminal.close()

    def test_without_utf8_it_is_ascii(self):
        self.make_pair()
        terminal = self.top(columns=40, locale="C")
        screen = terminal.wait(r"^NAME\^ ")
        self.assertTrue(screen.isascii(), screen)
        self.assertIn("~", screen)

    def test_text_of_others_is_cut_where_it_must_be_and_harmless(self):
        said = "日本語で何かが壊れた\x1b[2J\x07 and more that does not fit"
        status = {"version": "1", "uptime": 1, "health": "ok", "tun2socks": [], "udpTunnels": [
            {"name": "a", "role": "local", "state": "failed", "lastError": said}]}
        path = os.path.join(self.folder, "fake.sock")
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(path)
        server.listen(2)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection):
            with connection, connection.makefile("r") as lines:
                for line in lines:
                    reply = {"id": json.loads(line)["id"], "statusCode": 0, "returnValue": status}
                    connection.sendall(json.dumps(reply).encode() + b"\n")
        threading.Thread(target=serve, daemon=True).start()
        terminal = Terminal(self.folder, f"{CTL} -s {path} top")
        self.addCleanup(terminal.close)
        self.assertIn("a: 日本語で何かが壊れた?[2J? and more that does not fit",
                      terminal.wait("^a: "))
        for columns in (40, 21, 20, 19, 18):
            terminal.resize(columns, 12)
            screen = terminal.wait("^a: 日.*…$")
            line = re.search("^a: .*$", screen, re.M).group(0)
            width = sum(2 if ord(char) > 0x2fff else 1 for char in line)
            self.assertIn(width, (columns - 1, columns))

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"),
                         "only root can be somebody else")
    def test_who_may_not_is_told_so(self):
        os.chmod(self.folder, 0o755)
        shutil.copy(CTL, self.folder)
        shutil.copy(os.path.join(LIB, "libudptun-client.so.0"), self.folder)
        self.ctl("server", "far", "--listen", "127.0.0.1:0")
        command = (f"setpriv --reuid 65534 --regid 65534 --clear-groups {self.folder}/udptunctl "
                   f"-s {self.socket} top far")
        os.chmod(self.socket, 0o600)
        terminal = Terminal(self.folder, command, LD_LIBRARY_PATH=self.folder)
        self.addCleanup(terminal.close)
        terminal.wait(f"^ended {PERMISSION}$")
        self.assertIn("permission denied", terminal.screen())
        terminal.close()
        os.chmod(self.socket, 0o666)
        terminal = Terminal(self.folder, command, LD_LIBRARY_PATH=self.folder)
        self.addCleanup(terminal.close)
        terminal.wait("^listFlows: needs the role operator")
        self.assertIn("far: server, listening", terminal.screen())

    def test_what_is_no_terminal_is_told(self):
        self.assertIn("wants a terminal", self.refused("top"))
        self.assertIn("As JSON", self.refused("-j", "top"))
        for name, part in (("dumb", "'dumb' ($TERM) cannot be drawn on"),
                           ("no-such", "'no-such' ($TERM) is not known"),
                           ("", "$TERM does not say")):
            text = on_terminal(80, "-s", self.socket, "top",
                               env=dict(clean_environment(), TERM=name))
            self.assertIn(part, text)
            self.assertNotIn("\033", text)

    def refused(self, *args):
        run = ctl("-s", self.socket, *args)
        self.assertEqual((run.returncode, run.stdout), (USAGE, ""))
        return run.stderr


if __name__ == "__main__":
    if subprocess.run([CTL, "top"], capture_output=True, text=True, check=False,
                      stdin=subprocess.DEVNULL).stderr.find("without ncurses") >= 0:
        print("skipped: udptunctl was built without ncurses")
        sys.exit(77)
    if not shutil.which("tmux"):
        print("skipped: tmux is not installed")
        sys.exit(77)
    unittest.main()
