# SPDX-License-Identifier: Apache-2.0
"""docs/licences.md names every library that is linked, and into what."""
import glob
import os
import re
import unittest

from common import BUILD, read, run, source

# The name of a library as the dynamic linker knows it -> as docs/licences.md does.
CALLED = {"libev": "libev", "libcares": "c-ares", "libsodium": "libsodium", "libjansson": "jansson",
          "libprotobuf-c": "protobuf-c", "libhttp_parser": "http-parser", "libncursesw": "ncurses",
          "libtinfo": "ncurses", "libc": "glibc", "libm": "glibc", "ld-linux-x86-64": "glibc"}
OURS = ("libudptun", "libudptun-client")


class Licences(unittest.TestCase):
    def setUp(self):
        self.rows = {}
        table = read(source("docs/licences.md")).split("## What is not linked")[0]
        for line in table.split("\n"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if line.startswith("| ") and len(cells) == 5 and cells[0] != "library":
                self.rows[cells[0]] = cells[3]

    def needed(self, path):
        names = re.findall(r"NEEDED +(\S+?)\.so", run("objdump", "-p", path))
        self.assertTrue(names, path)
        return [name for name in names if name not in OURS]

    def test_what_is_linked(self):
        linked = {}
        for path in ([os.path.join(BUILD, "bin", name)
                      for name in ("udptund", "udptunctl", "ProxyController")]
                     + [os.path.realpath(p) for p in glob.glob(f"{BUILD}/lib/libudptun*.so")]):
            program = os.path.basename(path).split(".so")[0]
            for name in self.needed(path):
                self.assertIn(name, CALLED, f"{program} needs it: add it to docs/licences.md")
                linked.setdefault(CALLED[name], set()).add(program)
        for library, programs in linked.items():
            said = self.rows[library]
            if said != "everything":
                self.assertEqual(sorted(re.findall(r"udptund|udptunctl|ProxyController"
                                                   r"|libudptun-client|libudptun", said)),
                                 sorted(programs), library)


if __name__ == "__main__":
    unittest.main()
