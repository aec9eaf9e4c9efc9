# SPDX-License-Identifier: Apache-2.0
"""`cmake --install` into an empty folder, and programs built against what is there by pkg-config
or CMake alone, shared and static."""
import glob
import os
import shutil
import subprocess
import tempfile
import unittest

from common import BUILD, PREFIX, install, read, run, source
from daemon import DEADLINE_S, TestCase

CC = os.environ.get("CC", "cc")
CMAKE_PROJECT = """cmake_minimum_required(VERSION 3.25)
project(app C)
find_package(udptun 0.1 REQUIRED)
find_package(udptun-client 0.1 REQUIRED)
add_executable(udp-local {examples}/udp-local.c)
target_link_libraries(udp-local PRIVATE udptun::udptun)
add_executable(client-status {examples}/client-status.c)
target_link_libraries(client-status PRIVATE udptun::udptun-client)
"""


class Prefix(TestCase):
    """`cmake --install --prefix`, to another place than the one configured."""

    def test_all_goes_there_and_names_it(self):
        prefix = tempfile.mkdtemp(prefix="udptun-prefix-")
        self.addCleanup(shutil.rmtree, prefix)
        said = run(os.environ.get("CMAKE", "cmake"), "--install", BUILD, "--prefix", prefix)
        for line in said.split("\n"):
            if line.startswith("-- Installing: "):
                self.assertIn(f": {prefix}/", line)
        self.assertTrue(os.path.exists(f"{prefix}/etc/udptund/udptund.json"))
        service, = glob.glob(f"{prefix}/**/udptund.service", recursive=True)
        self.assertIn(f"ExecStart={prefix}/sbin/udptund --config {prefix}/etc/udptund/", read(service))
        for package in ("udptun", "udptun-client"):
            found, = glob.glob(f"{prefix}/**/pkgconfig/{package}.pc", recursive=True)
            flags = run("pkg-config", "--cflags", "--libs", package,
                        env={"PKG_CONFIG_PATH": os.path.dirname(found)})
            program = os.path.join(prefix, package)
            example = {"udptun": "udp-local", "udptun-client": "client-status"}[package]
            run(CC, source("docs/examples", example + ".c"), *flags.split(), "-o", program)


class Install(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="udptun-install-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.into = os.path.join(cls.folder, "root")
        install(cls.into)
        cls.tree = cls.into + PREFIX
        cls.lib = os.path.dirname(glob.glob(f"{cls.tree}/lib*/**/libudptun.so", recursive=True)[0])

    def pkg_config(self, *arguments):
        # The tree stands below `into` only; what others installed stays where it is.
        where = os.path.join(self.lib, "pkgconfig")
        words = run("pkg-config", *arguments, env={"PKG_CONFIG_PATH": where}).split()
        return [word.replace(PREFIX, self.tree) if PREFIX in word else word for word in words]

    def cc(self, name, *flags, extra=()):
        program = os.path.join(self.folder, name)
        run(CC, "-Wall", "-Wextra", "-Werror", source("docs/examples", name + ".c"), *flags,
            "-o", program, *extra)
        return program

    def needed(self, program):
        lines = run("objdump", "-p", program).split("\n")
        return [line.split()[1] for line in lines if line.strip().startswith("NEEDED")]

    def run_udp_local(self, program, env=None):
        done = subprocess.run([program, "127.0.0.1:1", "192.0.2.1:53"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, timeout=DEADLINE_S, text=True,
                              env=dict(os.environ, **(env or {})))
        self.assertEqual(done.returncode, 0)
        self.assertGreater(int(done.stdout), 0)

    def run_client_status(self, program, env=None):
        d = self.daemon()
        self.assertIn('"health":"ok"', run(program, d.socket, env=env).replace(" ", ""))

    def test_all_is_there(self):
        files = {os.path.relpath(path, self.tree)
                 for path in glob.glob(f"{self.tree}/**", recursive=True) if os.path.isfile(path)}
        lib = os.path.relpath(self.lib, self.tree)
        wanted = {"bin/udptunctl", "sbin/udptund", "include/udptun/engine.h",
                  "include/udptun/client.h", "include/udptun/client_ev.h",
                  "include/udptun/client_uv.h", "include/udptun/client_value.h",
                  "include/udptun/error.h",
                  "include/udptun/loop.h", "include/udptun/status.h",
                  "include/udptun/tun2socks.h", "include/udptun/types.h",
                  f"{lib}/libudptun.a", f"{lib}/libudptun.so.0", f"{lib}/libudptun-client.a",
                  f"{lib}/libudptun-client.so.0", f"{lib}/pkgconfig/udptun.pc",
                  f"{lib}/pkgconfig/udptun-client.pc",
                  f"{lib}/cmake/udptun/udptun-config.cmake",
                  f"{lib}/cmake/udptun-client/udptun-client-config.cmake",
                  "lib/python3/dist-packages/udptun/__init__.py",
                  "share/bash-completion/completions/udptunctl",
                  "share/zsh/site-functions/_udptunctl",
                  "share/fish/vendor_completions.d/udptunctl.fish",
                  "share/udptun/udpt.lua", "share/udptun/schema/reply.json",
                  "share/doc/udptund/examples/server.json",
                  "lib/systemd/system/udptund.service", "lib/systemd/system/udptund.socket",
                  "lib/sysusers.d/udptund.conf", "lib/tmpfiles.d/udptund.conf"}
        for page in glob.glob(source("docs/man/*.[0-9]")):
            wanted.add(f"share/man/man{page[-1]}/{os.path.basename(page)}")
        self.assertEqual(sorted(wanted - files), [])
        config = glob.glob(f"{self.into}/**/etc/udptund/udptund.json", recursive=True)
        self.assertEqual(len(config), 1)

    def test_a_configuration_that_is_there_stays(self):
        config = glob.glob(f"{self.into}/**/etc/udptund/udptund.json", recursive=True)[0]
        with open(config, "w") as file:
            file.write("mine")
        install(self.into)
        self.assertEqual(read(config), "mine")

    def test_the_programs_run_from_there(self):
        run(f"{self.tree}/sbin/udptund", "--version")
        run(f"{self.tree}/bin/udptunctl", "--help")

    def test_shared(self):
        env = {"LD_LIBRARY_PATH": self.lib}
        program = self.cc("udp-local", *self.pkg_config("--cflags", "--libs", "udptun"))
        self.assertIn("libudptun.so.0", self.needed(program))
        self.run_udp_local(program, env)
        program = self.cc("client-status", *self.pkg_config("--cflags", "--libs", "udptun-client"))
        self.assertIn("libudptun-client.so.0", self.needed(program))
        self.run_client_status(program, env)

    def test_static(self):
        """Nothing but the C library is needed at run time."""
        for name, package, check in (("udp-local", "udptun", self.run_udp_local),
                                     ("client-status", "udptun-client", self.run_client_status)):
            flags = self.pkg_config("--static", "--cflags", "--libs", package)
            program = self.cc(name, "-Wl,-Bstatic", *flags, extra=["-Wl,-Bdynamic"])
            for library in self.needed(program):
                self.assertRegex(library, r"^(libc|libm|libpthread|ld-linux.*)\.so")
            check(program)

    def test_the_static_libraries_show_what_the_shared_ones_do(self):
        for name, folder in (("udptun", "daemon/engine"), ("udptun-client", "libclient")):
            listing = run("nm", "--defined-only", "--extern-only", "--format=posix",
                          os.path.join(self.lib, f"lib{name}.a"))
            shown = [line.split()[0] for line in listing.split("\n") if " " in line]
            self.assertEqual(sorted(shown),
                             sorted(read(source(folder, f"lib{name}.symbols")).split()))

    def test_every_example_compiles(self):
        for path in sorted(glob.glob(source("docs/examples/*.c"))):
            name = os.path.basename(path)[:-2]
            package = ["udptun-client"] if name.startswith("client") else ["udptun"]
            if name in ("client-uv", "loop-uv"):
                package.append("libuv")
            extra = ["-lev"] if name == "own-stream" else []
            self.cc(name, *self.pkg_config("--cflags", "--libs", *package), extra=extra)

    def test_cmake(self):
        app = os.path.join(self.folder, "app")
        os.makedirs(app)
        with open(os.path.join(app, "CMakeLists.txt"), "w") as file:
            file.write(CMAKE_PROJECT.format(examples=source("docs/examples")))
        cmake = os.environ.get("CMAKE", "cmake")
        run(cmake, "-S", app, "-B", f"{app}/build", f"-DCMAKE_PREFIX_PATH={self.tree}",
            f"-DCMAKE_C_COMPILER={CC}")
        run(cmake, "--build", f"{app}/build")
        self.run_udp_local(f"{app}/build/udp-local")
        self.run_client_status(f"{app}/build/client-status")


if __name__ == "__main__":
    unittest.main()
