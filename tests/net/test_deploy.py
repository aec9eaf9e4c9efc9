# SPDX-License-Identifier: Apache-2.0
"""docs/deploy.md as it is written there: its marked blocks are typed into a root shell on that machine."""

import os
import re
import socket
import unittest

import traffic
from harness import GUARD_S, ROOT, THIRD, NetTest, need
from test_readme import Shell

try:
    import socks
except ImportError:
    socks = None


def blocks():
    with open(os.path.join(ROOT, "docs", "deploy.md"), encoding="utf-8") as file:
        return re.findall(r"^```sh (server|client)\n(.*?)^```$", file.read(), re.M | re.S)


class RootShell(Shell):
    """Its /etc is a copy."""
    FRESH = "cp -a /etc own-etc && mount --bind own-etc /etc && " + Shell.FRESH


class Deploy(NetTest):
    @classmethod
    def build(cls):
        for program in ("ss-server", "ss-local", "ss-manager", "obfs-server", "obfs-local", "nc",
                        "ss"):
            need(program)

    def test_commands_as_written(self):
        shells = {machine: RootShell(self.net, machine) for machine in ("server", "client")}
        said = {"server": "", "client": ""}
        key = None
        for machine, commands in blocks():
            if commands.rstrip().endswith("cat > /etc/udptund/key"):
                # The way that one trusts.
                key = shells["server"].do("cat /etc/udptund/key").strip().splitlines()[0]
                commands = commands.rstrip() + f" <<'END'\n{key}\nEND\n"
            said[machine] += shells[machine].do(commands)
        self.assertIsNotNone(key)
        self.assertRegex(said["client"], r"dns +local +established")
        self.assertNotIn(key, said["client"] + said["server"])
        self.associate()
        self.dns()
        self.assertRegex(shells["client"].do("udptunctl status"), r"apps +local +established")
        for shell in shells.values():
            shell.do("udptunctl shutdown")

    def dns(self):
        """The udp:// listener of the page leads to its target."""
        target = self.net.third.udp(THIRD, 53)
        self.addCleanup(target.close)
        with self.net.client.inside():
            app = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(app.close)
            app.settimeout(GUARD_S)
        traffic.exchange(self, app, ("127.0.0.1", 5353), target)

    def associate(self):
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
