# SPDX-License-Identifier: Apache-2.0
"""proxy.py - ProxyController in a namespace, a client of it, and the routing as text."""

import json
import os
import re
import socket
import subprocess
import unittest

from harness import BIN, GUARD_S, Program, poll


class Client:
    """A VPN client's connection. News (statusChanged) are kept apart from replies."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(GUARD_S)
        self.sock.connect(path)
        self.text, self.news = "", []

    def next(self):
        """The next object that comes."""
        while "\n" not in self.text:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("ProxyController closed the connection")
            self.text += data.decode()
        line, self.text = self.text.split("\n", 1)
        return json.loads(line)

    def reply(self):
        while True:
            message = self.next()
            if message["action"] != "statusChanged":
                return message
            self.news.append(message["connectionStatus"])

    def request(self, action, **parameters):
        self.sock.sendall(json.dumps({"action": action, "parameters": parameters}).encode())
        return self.reply()

    def call(self, action, **parameters):
        """As request(), but an error is a failure."""
        reply = self.request(action, **parameters)
        if reply["statusCode"] != 0:
            raise AssertionError(f"{action} {parameters}: {reply}")
        return reply

    def wait_news(self, status):
        """Wait until the connection's status is said to be that; what was said before it."""
        before = []
        while True:
            news = self.news.pop(0) if self.news else self.next()["connectionStatus"]
            if news == status:
                return before
            before.append(news)

    def close(self):
        self.sock.close()


class ProxyController(Program):
    def __init__(self, network, namespace, udptund=None, options=(), under=(), wait=True):
        self.path = os.path.join(network.folder, "proxy.sock")
        self.ready_when_started = wait
        command = [*under, os.path.join(BIN, "ProxyController"), self.path, *options]
        if udptund:
            command += ["--udptund", udptund]
        super().__init__(network, namespace, command, "ProxyController")

    def start(self):
        super().start()
        if self.ready_when_started:
            self.wait_answering()

    def wait_answering(self):
        poll("ProxyController to answer", self.answers)

    def answers(self):
        if not self.running():
            raise AssertionError(f"ProxyController ended: {self.log()}")
        try:
            client = Client(self.path)
        except OSError:
            return False
        try:
            return bool(client.request("getDeviceName"))
        except OSError:
            return False
        finally:
            client.close()

    def client(self, test):
        client = Client(self.path)
        test.addCleanup(client.close)
        return client


def need_tun2socks(daemon):
    """Where udptund was built without tun2socks the test is skipped."""
    reply = daemon.request("configureTun2socks", {"name": "probe", "device": "tun:probe0",
                                                  "tcp": "reject"})
    if reply["statusCode"] == 105:
        raise unittest.SkipTest(reply["errorMessage"])
    daemon.call("removeTun2socks", {"name": "probe"})


def ip(namespace, *arguments):
    return subprocess.run(["ip", "-n", namespace.name, *arguments], check=True, text=True,
                          capture_output=True).stdout


def settle(namespace):
    """Wait until the addresses that the kernel makes are there, and their routes."""
    poll("addresses to settle", lambda: re.search(r"fe80::\S+ scope link(?! \w*tentative)",
                                                  ip(namespace, "addr")))


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def routing(namespace):
    """Rules and routes of every table, IPv4 and IPv6; lifetimes and what follows a carrier left
    out."""
    text = ""
    for family in ("-4", "-6"):
        text += ip(namespace, family, "rule")
        lines = ip(namespace, family, "-d", "route", "show", "table", "all").splitlines()
        text += "\n".join(sorted(re.sub(r" expires \d+sec| linkdown", "", line) for line in lines)) + "\n"
    return text


def way(namespace, address, *more):
    """The device by which an address is reached, or None."""
    result = subprocess.run(["ip", "-n", namespace.name, "-o", "route", "get", address, *more],
                            capture_output=True, text=True, check=False)
    found = re.search(r" dev (\S+)", result.stdout)
    return found.group(1) if result.returncode == 0 and found else None
