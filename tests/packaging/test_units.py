# SPDX-License-Identifier: Apache-2.0
"""What systemd makes of the units, of sysusers and of tmpfiles, without running it."""
import glob
import os
import shutil
import subprocess
import tempfile
import unittest

from common import PREFIX, install, read, run
from daemon import TestCase

# Hundredths of what `systemd-analyze security` calls exposure.
MOST_EXPOSED = {"ProxyController.service": 260, "udptund.service": 200}


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd is not installed")
class Units(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.into = tempfile.mkdtemp(prefix="udptun-units-")
        cls.addClassCleanup(shutil.rmtree, cls.into)
        install(cls.into)
        cls.units = f"{cls.into}{PREFIX}/lib/systemd/system"

    def copies(self):
        """The units with their programs and man pages where they have been installed."""
        folder = tempfile.mkdtemp(dir=self.into)
        for path in glob.glob(f"{self.units}/*"):
            with open(os.path.join(folder, os.path.basename(path)), "w") as file:
                file.write(read(path).replace(PREFIX, self.into + PREFIX))
        return sorted(glob.glob(f"{folder}/*"))

    def test_each_has_a_limit(self):
        services = sorted(os.path.basename(p) for p in glob.glob(f"{self.units}/*.service"))
        self.assertEqual(services, sorted(MOST_EXPOSED))

    def test_verify(self):
        """Known directives, programs that are there, man pages that can be shown."""
        done = subprocess.run(["systemd-analyze", "verify", *self.copies()], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(os.environ, MANPATH=f"{self.into}{PREFIX}/share/man"))
        # Of other units, and of a machine without man(1) or systemd's own services, not of ours.
        ours = [line for line in done.stdout.split("\n")
                if any(name in line for name in os.listdir(self.units))
                and "Command 'man " not in line]
        self.assertEqual(ours, [])
        self.assertEqual(done.returncode if ours else 0, 0, done.stdout)

    def test_security(self):
        for name, most in MOST_EXPOSED.items():
            run("systemd-analyze", "security", "--offline=true", "--no-pager",
                f"--threshold={most // 10}", os.path.join(self.units, name))

    def test_users_and_folders(self):
        root = os.path.join(self.into, "machine")
        os.makedirs(os.path.join(root, "etc"))
        run("systemd-sysusers", f"--root={root}", f"{self.into}{PREFIX}/lib/sysusers.d/udptund.conf")
        self.assertRegex(read(root, "etc/passwd"), r"(?m)^udptund:.*:/usr/sbin/nologin$")
        groups = read(root, "etc/group")
        self.assertRegex(groups, r"(?m)^udptun:x:\d+:$")
        self.assertRegex(groups, r"(?m)^udptund:x:\d+:$")
        if os.geteuid() != 0:
            self.skipTest("the folders take root")
        os.makedirs(os.path.join(root, "run"))
        run("systemd-tmpfiles", "--create", f"--root={root}",
            f"{self.into}{PREFIX}/lib/tmpfiles.d/udptund.conf")
        uid = int(next(line.split(":")[2] for line in read(root, "etc/passwd").split("\n")
                       if line.startswith("udptund:")))
        found = os.stat(os.path.join(root, "run/udptund"))
        self.assertEqual((found.st_uid, found.st_mode & 0o777), (uid, 0o755))


if __name__ == "__main__":
    unittest.main()
