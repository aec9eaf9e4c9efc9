# SPDX-License-Identifier: Apache-2.0
"""The README's way from nothing to `nc -u` through a real Shadowsocks, as it is written there.

The fenced blocks that are marked "sh server" and "sh client" are typed into a shell on that machine,
"terminal" ones into a terminal of their own. Each shell sees empty /run and /var/lib, as on a
fresh machine, so that the default socket and state folder can be used.
"""

import os
import re
import socket
import subprocess
import unittest

import traffic
from harness import BIN, GUARD_S, ROOT, SERVER, THIRD, NetTest, Program, need, poll

try:
    import socks
except ImportError:
    socks = None


def blocks():
    """(machine, in a terminal of its own, commands) of each marked block, in order."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        text = file.read()
    found = re.findall(r"^```sh (server|client)( terminal)?\n(.*?)^```$", text, re.M | re.S)
    return [(machine, bool(terminal), commands) for machine, terminal, commands in found]


def built():
    """The programs that the README's `packaging/quickstart` builds: a fresh clone has no others."""
    with open(os.path.join(ROOT, "packaging", "quickstart"), encoding="utf-8") as file:
        return re.search(r"cmake --build .* --target (.+)", file.read()).group(1).split()


class Shell(Program):
    """A shell on a machine, with everything that it starts: all of it ends with the shell."""

    FRESH = ("unset UDPTUND_SOCKET && mount -t tmpfs none /run && mount -t tmpfs none /var/lib"
             " && exec bash -e")

    def __init__(self, network, machine):
        # The README is followed in a clone; here its programs are those under test.
        clone = os.path.join(network.folder, f"clone-{machine}")
        os.makedirs(os.path.join(clone, "build", "bin"))
        for program in built():
            os.symlink(os.path.join(BIN, program), os.path.join(clone, "build", "bin", program))
        self.lines = 0
        super().__init__(network, getattr(network, machine),
                         ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                          "sh", "-c", f"cd {clone} && {self.FRESH}"], f"shell-{machine}",
                         stdin=subprocess.PIPE)

    def do(self, commands):
        """Type the commands and wait until all are done; what they said. The shell ends at the
        first that fails."""
        said = len(self.log())
        self.lines += 1
        mark = f"--done-{self.lines}--"
        self.type(f"{commands}\necho {mark}\n")

        def done():
            if not self.running():
                raise AssertionError(f"{self.name}: {commands}\nsaid: {self.log()[said:]}")
            return f"\n{mark}\n" in "\n" + self.log()[said:]
        poll(f"{self.name} to do: {commands}", done)
        return self.log()[said:]


class Readme(NetTest):
    @classmethod
    def build(cls):
        for program in ("ss-server", "ss-tunnel", "ss-local", "obfs-server", "obfs-local", "nc"):
            need(program)

    def test_commands_as_written(self):
        shells = {machine: Shell(self.net, machine) for machine in ("server", "client")}
        terminals, said = {}, {"server": "", "client": ""}
        for machine, terminal, commands in blocks():
            if terminal:
                terminals[machine] = self.net.start(machine, "bash", "-c", commands,
                                                    name=f"terminal-{machine}",
                                                    stdin=subprocess.PIPE)
                if machine == "server":
                    terminals[machine].wait_listening(9999, "udp")
            else:
                said[machine] += shells[machine].do(commands)
            if "configureRouting" in commands:
                if '"statusCode":105' in said[machine]:
                    self.skipTest("udptund was built without tun2socks")
                self.whole_machine(shells["client"])
            if len(terminals) == 2 and not said["client"].count("hello"):
                terminals["client"].type("hello from the client\n")
                terminals["server"].wait_log("^hello from the client$")
                terminals["server"].type("hello from the server\n")
                terminals["client"].wait_log("^hello from the server$")
                said["client"] += "hello"
        self.assertEqual(len(terminals), 2)
        self.assertRegex(said["client"], r"away.*established")
        self.assertEqual(said["client"].count('"statusCode":0'), 3)
        self.assertRegex(said["client"], rf"(?m)^{THIRD} dev tun0 ")
        self.assertRegex(said["client"], rf"(?m)^{SERVER} via .* dev eth0 ")
        self.assertNotIn("8502", shells["client"].do("ip rule"))
        self.assertRegex(said["server"], r"(?m)established")
        self.associate()
        for shell in shells.values():
            shell.do("udptunctl shutdown")

    def whole_machine(self, shell):
        """TCP and UDP of the client, which know of nothing, arrive from the server."""
        listener = self.net.third.listener(THIRD, 8000)
        target = self.net.third.udp(THIRD, 9001)
        app = self.net.client.tcp(THIRD, 8000)
        datagrams = self.net.client.udp()
        for sock in (listener, target, app, datagrams):
            self.addCleanup(sock.close)
        far, (source, _) = listener.accept()
        self.addCleanup(far.close)
        self.assertEqual(source, SERVER)
        seen = traffic.exchange(self, datagrams, (THIRD, 9001), target)
        self.assertEqual(seen[0], SERVER)
        self.assertIn("all.tun", shell.do("udptunctl status"))

    def associate(self):
        """The SOCKS5 server of the README's last part works."""
        if not socks:
            return
        target = self.net.third.udp(THIRD, 9000)
        self.addCleanup(target.close)
        with self.net.client.inside():
            app = socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(app.close)
            app.settimeout(GUARD_S)
            app.set_proxy(socks.SOCKS5, "127.0.0.1", 1085)
            app.bind(("0.0.0.0", 0))
        traffic.exchange(self, app, (THIRD, 9000), target)


if __name__ == "__main__":
    unittest.main()
