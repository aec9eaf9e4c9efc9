# SPDX-License-Identifier: Apache-2.0
"""The version: project() in CMakeLists.txt says it, everything else agrees."""
import ctypes
import glob
import os
import re
import shutil
import tempfile
import unittest

from common import BUILD, install, read, run, source
from daemon import TestCase

VERSION = re.search(r"^project\(udptun VERSION ([0-9.]+)", read(source("CMakeLists.txt")),
                    re.M).group(1)


class Version(TestCase):
    def test_programs(self):
        self.assertEqual(run(os.environ["UDPTUND"], "--version"), f"udptund {VERSION}\n")
        d = self.daemon()
        said = run(os.path.join(BUILD, "bin", "udptunctl"), "-s", d.socket, "version")
        self.assertEqual(said, f"udptunctl {VERSION}\nudptund {VERSION}\n")
        with d.client() as c:
            self.assertEqual(self.ok(c.call("hello"))["version"], VERSION)
            self.assertEqual(self.ok(c.call("getStatus"))["version"], VERSION)

    def test_libraries(self):
        for name, function in (("udptun", "udptun_version"),
                               ("udptun-client", "udptun_client_version")):
            path = os.path.join(BUILD, "lib", f"lib{name}.so.{VERSION}")
            self.assertTrue(os.path.exists(path), path)
            with open(path, "rb") as f:
                if b"__asan_init" in f.read():
                    continue  # such a library cannot be loaded into this process
            call = getattr(ctypes.CDLL(path), function)
            call.restype = ctypes.c_char_p
            self.assertEqual(call().decode(), VERSION)

    def test_what_finds_the_libraries(self):
        folder = tempfile.mkdtemp(prefix="udptun-version-")
        self.addCleanup(shutil.rmtree, folder)
        install(folder)
        found = glob.glob(os.path.join(folder, "**", "udptun*.pc"), recursive=True)
        self.assertEqual(len(found), 2, found)
        for path in found:
            self.assertIn(f"\nVersion: {VERSION}\n", read(path))
        found = glob.glob(os.path.join(folder, "**", "udptun*-config-version.cmake"), recursive=True)
        self.assertEqual(len(found), 2, found)
        for path in found:
            self.assertIn(f'set(PACKAGE_VERSION "{VERSION}")', read(path))

    def test_papers(self):
        first = read(source("packaging/debian/changelog")).split("\n")[0]
        self.assertRegex(first, rf"^udptun \({re.escape(VERSION)}\) ")
        heading = re.search(r"^## .*$", read(source("CHANGELOG.md")), re.M).group()
        self.assertIn(VERSION, heading)
        for path in glob.glob(source("docs/man/*.[0-9]")):
            title = re.search(r"^\.TH .*$", read(path), re.M).group()
            self.assertIn(re.findall(r"\d+\.\d+\.\d+", title), ([], [VERSION]), path)

    def test_the_python_package(self):
        self.assertIn(f'version = "{VERSION}"\n', read(source("libclient/python/pyproject.toml")))


class Symbols(TestCase):
    """Debian's symbols files list what the libraries export."""

    def check(self, library, folder):
        exported = read(source(folder, f"lib{library}.symbols")).split()
        lines = read(source("packaging/debian", f"lib{library}0.symbols")).split("\n")
        self.assertEqual(lines[0], f"lib{library}.so.0 lib{library}0 #MINVER#")
        listed = dict(re.fullmatch(r" (\w+)@UDPTUN\w* ([0-9.]+)", line).groups()
                      for line in lines if line.startswith(" "))
        self.assertEqual(sorted(listed), sorted(exported), f"packaging/debian/lib{library}0.symbols")
        for name, since in listed.items():
            self.assertLessEqual([int(n) for n in since.split(".")],
                                 [int(n) for n in VERSION.split(".")], name)

    def test_engine(self):
        self.check("udptun", "daemon/engine")

    def test_client(self):
        self.check("udptun-client", "libclient")


if __name__ == "__main__":
    unittest.main()
