# SPDX-License-Identifier: Apache-2.0
"""harness.py - a small internet of network namespaces, and real programs running in it.

                    203.0.113.0/24                  198.51.100.0/24
     +--------+     2001:db8:1::/64  +--------+     2001:db8:2::/64  +--------+
     | client |.2------------------.1| router |.1------------------.2| server |
     +--------+ eth0                 +--------+                 eth0 +--------+
                                       .1|  192.0.2.0/24
                                         |  2001:db8:3::/64
                                       .2|
                                     +-------+
                                     | third |      where the targets live
                                     +-------+

A Network is the four namespaces and every program started in them. Each test class has one of
its own, named after the process, so that classes run side by side. Sockets of the test itself
are opened inside any namespace (Namespace.udp and so on): one process can be the app, the target
and a third party at once, without threads.

Everything ends: close() stops programs by their process ids and takes the namespaces away, a
program dies with the process that started it, and what a killed run has left is removed by the
next. Readiness is polled for, never slept for. Waiting has generous limits that only guard
against hanging. What a program says is kept in a log file, and shown when a test fails.
"""

import contextlib
import ctypes
import glob
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

GUARD_S = 20  # the longest that anything is waited for: far beyond what it takes
ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BIN = os.environ.get("UDPTUN_BIN", os.path.join(ROOT, "build", "bin"))

CLIENT, SERVER, THIRD = "203.0.113.2", "198.51.100.2", "192.0.2.2"
ROUTER = {"client": "203.0.113.1", "server": "198.51.100.1", "third": "192.0.2.1"}
CLIENT6, SERVER6, THIRD6 = "2001:db8:1::2", "2001:db8:2::2", "2001:db8:3::2"
ROUTER6 = {"client": "2001:db8:1::1", "server": "2001:db8:2::1", "third": "2001:db8:3::1"}
HOSTS = {"client": (CLIENT, CLIENT6), "server": (SERVER, SERVER6), "third": (THIRD, THIRD6)}

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET, _PR_SET_PDEATHSIG = 0x40000000, 1
_OPEN_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)
SANITIZER = re.compile(r"^.*(AddressSanitizer|LeakSanitizer|runtime error:).*$", re.M)


def unavailable():
    """Why network tests cannot run here, or None."""
    if os.geteuid() != 0:
        return "needs root (network namespaces)"
    if not shutil.which("ip"):
        return "needs the ip command (package iproute2)"
    name = f"udptun-{os.getpid()}-probe"
    probe = subprocess.run(
        f"ip netns add {name} && nsenter --net=/run/netns/{name} sh -c '"
        "echo 1 >/proc/sys/net/ipv4/ip_forward && ip link add name a0 type veth peer name a1'; "
        f"status=$?; ip netns del {name} 2>/dev/null; exit $status",
        shell=True, capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        return "cannot make network namespaces: " + (probe.stderr.strip() or "CAP_NET_ADMIN?")
    for name in ("udptund", "udptunctl"):
        if not os.access(os.path.join(BIN, name), os.X_OK):
            return f"no {name} in {BIN} (build first)"
    return None


def sanitized():
    """Whether the programs are built with the address sanitizer."""
    with open(os.path.join(BIN, "udptund"), "rb") as file:
        return b"__asan_init" in file.read()


def _setns(fd):
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def poll(what, condition, seconds=GUARD_S):
    """Wait until condition() is true and return what it returned."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


class Namespace:
    def __init__(self, name):
        self.name = name
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)

    @contextlib.contextmanager
    def inside(self):
        """What opens a socket in this block opens it in this namespace, and it stays there."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        _setns(self.fd)
        try:
            yield
        finally:
            _setns(home)
            os.close(home)

    def socket(self, family, kind):
        with self.inside():
            sock = socket.socket(family, kind)
        sock.settimeout(GUARD_S)
        return sock

    def udp(self, host="0.0.0.0", port=0):
        """A bound UDP socket."""
        sock = self.socket(_family(host), socket.SOCK_DGRAM)
        sock.bind((host, port))
        return sock

    def tcp(self, host, port):
        """A connected TCP socket."""
        sock = self.socket(_family(host), socket.SOCK_STREAM)
        sock.connect((host, port))
        return sock

    def listener(self, host="0.0.0.0", port=0):
        sock = self.socket(_family(host), socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(64)
        return sock

    def write_sysctl(self, path, value):
        with self.inside(), open(f"/proc/sys/net/{path}", "w", encoding="ascii") as file:
            file.write(value)

    def close(self):
        os.close(self.fd)
        subprocess.run(["ip", "netns", "del", self.name], check=False)


def _family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class Program:
    """A program that runs in a namespace, with a log file of what it says."""

    def __init__(self, network, namespace, command, name=None, env=None, stdin=subprocess.DEVNULL):
        self.name = name or os.path.basename(command[0])
        self.command = command
        self.network, self.namespace, self.env, self.stdin = network, namespace, env, stdin
        self.log_path = os.path.join(network.folder, f"{len(network.programs):02}-{self.name}.log")
        self.process = None
        network.programs.append(self)
        self.start()

    def start(self):
        fd = self.namespace.fd

        def before_exec():
            _setns(fd)
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            resource.setrlimit(resource.RLIMIT_NOFILE, _OPEN_FILES)

        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=self.stdin, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, **(self.env or {})}, preexec_fn=before_exec,
                start_new_session=True)

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_log(self, pattern, after=0, seconds=GUARD_S):
        """Wait for a line that the pattern matches; `after`: a length of log() to start from."""
        return poll(f"{self.name} to say {pattern!r}; it said: {self.log()[after:][-2000:]}",
                    lambda: re.search(pattern, self.log()[after:], re.M), seconds)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait_listening(self, port, kind="tcp"):
        """Wait until `port` is listened on in the program's namespace."""
        def listening():
            if not self.running():
                raise AssertionError(f"{self.name} ended: {self.log()[-2000:]}")
            for version in ("", "6"):
                with open(f"/proc/{self.pid}/net/{kind}{version}", encoding="ascii") as file:
                    for line in file.readlines()[1:]:
                        words = line.split()
                        if words[1].endswith(f":{port:04X}") and words[3] in ("0A", "07"):
                            return True
            return False
        poll(f"{self.name} to listen on {kind} port {port}", listening)
        return self

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        """As by `kill -9`."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """As by `kill`; returns its exit status."""
        if self.running():
            self.process.terminate()
            try:
                self.process.wait(GUARD_S)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def type(self, text):
        """Text into its standard input, for a program started with stdin=PIPE."""
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def fault(self):
        """What a sanitizer found in it, or None."""
        found = SANITIZER.search(self.log())
        return f"{self.name}: {self.log()[found.start():][:4000]}" if found else None


class Daemon(Program):
    """udptund, with a command socket and a state folder of its own."""

    def __init__(self, network, namespace, name, config=None, options=(), name_server=None):
        self.folder = os.path.join(network.folder, name)
        os.makedirs(self.folder, exist_ok=True)
        self.socket_path = os.path.join(self.folder, "control.sock")
        command = [os.path.join(BIN, "udptund"), "--socket", self.socket_path,
                   "--state-dir", os.path.join(self.folder, "state"), *options]
        if config is not None:
            self.config_path = os.path.join(self.folder, "config.json")
            self.write_config(config)
            command += ["--config", self.config_path]
        if name_server:
            settings = os.path.join(self.folder, "resolv.conf")
            with open(settings, "w", encoding="ascii") as file:
                file.write(f"nameserver {name_server}\n")
            command = ["unshare", "--mount", "sh", "-c",
                       'mount --bind "$0" /etc/resolv.conf && exec "$@"', settings, *command]
        super().__init__(network, namespace, command, name)

    def write_config(self, config):
        with open(self.config_path, "w", encoding="utf-8") as file:
            json.dump(config, file)

    def start(self):
        super().start()
        poll(f"{self.name} to answer", self._answers)

    def _answers(self):
        if not self.running():
            raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.log()}")
        try:
            return self.call("hello")
        except OSError:
            return None

    def request(self, action, parameters=None):
        """One command on a connection of its own; the whole reply."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(GUARD_S * 2)
            sock.connect(self.socket_path)
            sock.sendall(json.dumps({"action": action, "parameters": parameters or {}}).encode())
            with sock.makefile(encoding="utf-8") as lines:
                line = lines.readline()
        if not line:
            raise ConnectionError(f"{self.name} closed the command connection")
        return json.loads(line)

    def call(self, action, parameters=None):
        """As request(), but the returnValue, and an error is a failure."""
        reply = self.request(action, parameters)
        if reply["statusCode"] != 0:
            raise AssertionError(f"{action} {parameters}: {reply}")
        return reply.get("returnValue", {})

    def configure(self, **tunnel):
        """Configure a tunnel (a Python name for a field that is a keyword: none); its status."""
        return self.call("configureUdpTunnel", tunnel)["tunnel"]

    def status(self, name):
        return self.call("getStatus", {"name": name})["udpTunnels"][0]

    def wait_state(self, name, *states, seconds=GUARD_S):
        return poll(f"{name} to be {' or '.join(states)}; it is {self.status(name)}",
                    lambda: self.status(name)["state"] in states, seconds)

    def ctl(self, *arguments, status=0):
        """udptunctl against this daemon; its standard output. `status` None: any."""
        result = subprocess.run([os.path.join(BIN, "udptunctl"), "--socket", self.socket_path,
                                 *arguments], capture_output=True, text=True, check=False,
                                timeout=GUARD_S * 2)
        if status is not None and result.returncode != status:
            raise AssertionError(f"udptunctl {arguments}: {result}")
        return result.stdout


class Network:
    """The namespaces of the drawing above, up and routed, and everything started in them."""

    def __init__(self):
        remove_leftovers()
        # Thousands of sockets are opened here; the programs get the limit that they would have.
        resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES[1], _OPEN_FILES[1]))
        self.folder = tempfile.mkdtemp(prefix=f"udptun-net-{os.getpid()}-")
        self.programs, self.namespaces = [], {}
        try:
            for name in ("router", "client", "server", "third"):
                self.namespaces[name] = Namespace(f"udptun-{os.getpid()}-{name}")
            self._connect()
        except BaseException:
            self.close()
            raise

    def __getattr__(self, name):
        try:
            return self.__dict__["namespaces"][name]
        except KeyError:
            raise AttributeError(name) from None

    def _ip(self, namespace, *lines):
        subprocess.run(["ip", "-n", namespace.name, "-batch", "-"], check=True, text=True,
                       input="\n".join(lines))

    def _connect(self):
        for name, (host, host6) in HOSTS.items():
            far = self.namespaces[name]
            self._ip(self.router, f"link add {name} type veth peer name eth0 netns {far.name}",
                     f"addr add {ROUTER[name]}/24 dev {name}",
                     f"addr add {ROUTER6[name]}/64 dev {name} nodad", f"link set {name} up")
            self._ip(far, "link set lo up", f"addr add {host}/24 dev eth0",
                     f"addr add {host6}/64 dev eth0 nodad", "link set eth0 up",
                     f"route add default via {ROUTER[name]}",
                     f"route add default via {ROUTER6[name]}")
        self._ip(self.router, "link set lo up")
        self.router.write_sysctl("ipv4/ip_forward", "1")
        self.router.write_sysctl("ipv6/conf/all/forwarding", "1")

    def set_link(self, name, state):
        """Cut ("down") or mend ("up") the way of a machine to the router."""
        self._ip(self.router, f"link set {name} {state}")

    def start(self, namespace, *command, **options):
        return Program(self, self.namespaces[namespace], list(command), **options)

    def daemon(self, namespace, config=None, name=None, options=(), name_server=None):
        """`name_server`: the only one of its resolv.conf."""
        return Daemon(self, self.namespaces[namespace], name or f"udptund-{namespace}", config,
                      options, name_server)

    def logs(self):
        """The end of what every program has said, for the report of a failure."""
        text = ""
        for program in self.programs:
            said = program.log()[-3000:]
            text += f"--- {program.name}: {' '.join(program.command)}\n{said}\n"
        return text

    def close(self):
        """Take everything down. Fails when one of our programs did not end well."""
        faults = []
        for program in reversed(self.programs):
            was_running = program.running()
            status = program.stop()
            if program.process.stdin:
                program.process.stdin.close()
            if program.fault():
                faults.append(program.fault())
            elif isinstance(program, Daemon) and was_running and status != 0:
                faults.append(f"{program.name} ended with {status}: {program.log()[-3000:]}")
        self.programs.clear()
        for namespace in self.namespaces.values():
            namespace.close()
        self.namespaces.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
        if faults:
            raise AssertionError("\n".join(faults))


def remove_leftovers():
    """Namespaces and folders of runs that were killed."""
    for path in glob.glob(os.path.join(tempfile.gettempdir(), "udptun-net-[0-9]*-*")):
        if not os.path.exists(f"/proc/{os.path.basename(path).split('-')[2]}"):
            shutil.rmtree(path, ignore_errors=True)
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    for name in re.findall(r"^udptun-(?:\d+)-\w+", listed.stdout, re.M):
        if not os.path.exists(f"/proc/{name.split('-')[1]}"):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


class NetTest(unittest.TestCase):
    """A test class with a network of its own, made once: `cls.net`. Subclasses add programs in
    build(), which runs once, too."""

    net = None

    @classmethod
    def setUpClass(cls):
        reason = unavailable()
        if reason:
            raise unittest.SkipTest(reason)
        cls.net = Network()
        try:
            cls.build()
        except BaseException:
            sys.stderr.write(cls.net.logs())
            with contextlib.suppress(AssertionError):
                cls.net.close()
            raise

    @classmethod
    def build(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        cls.net.close()

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            sys.stderr.write(f"--- logs for {self.id()}\n{self.net.logs()}")


def need(program):
    """The path of a program of Debian's, or the test is skipped with the reason."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise unittest.SkipTest(f"needs {program}")
    return path
