# SPDX-License-Identifier: Apache-2.0
"""Three udp-servers behind HAProxy, as docs/scale.md sets them up; 50 clients send all the time.

    50 apps ─▶ 50 udp-locals ══▶ haproxy (stick table by session id) ══▶ one, two, three ─▶ third

One server is killed, another one is drained and replaced.
"""

import os
import re
import select
import socket
import threading
import time
import unittest

from harness import GUARD_S, SERVER, THIRD, NetTest, need, poll

CLIENTS = 50
NAMES = ("one", "two", "three")
PAUSE_S = 0.1  # between two datagrams of a client
DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "scale.md")


def page_config(folder):
    """The configuration that the page gives, with this test's places."""
    with open(DOCS, encoding="utf-8") as file:
        config = re.search(r"```haproxy\n(.*?)```", file.read(), re.S).group(1)
    for number, address in enumerate(("192.0.2.11", "192.0.2.12", "192.0.2.13"), 1):
        config = config.replace(f"{address}:7000", f"127.0.0.1:{7000 + number}")
    return config.replace("/run/haproxy/admin.sock", os.path.join(folder, "admin.sock"))


class Traffic:
    """A datagram of each client every PAUSE_S, echoed by the target; who got what, and when."""

    def __init__(self, test, target, apps):
        self.target = target
        self.apps = apps  # (socket, address of its udp-local)
        self.heard = [time.monotonic()] * len(apps)
        self.gaps = [0.0] * len(apps)  # the longest wait for an answer
        self.wrong = []
        self.stopping = False
        self.threads = [threading.Thread(target=run) for run in (self.echo, self.send, self.hear)]
        for thread in self.threads:
            thread.start()
        test.addCleanup(self.stop)

    def echo(self):
        self.target.settimeout(0.2)
        while not self.stopping:
            try:
                data, source = self.target.recvfrom(100)
            except TimeoutError:
                continue
            self.target.sendto(data, source)

    def send(self):
        number = 0
        while not self.stopping:
            number += 1
            for client, (sock, entry) in enumerate(self.apps):
                sock.sendto(b"%d %d" % (client, number), entry)
            time.sleep(PAUSE_S)

    def hear(self):
        numbers = {sock: client for client, (sock, _) in enumerate(self.apps)}
        while not self.stopping:
            for sock in select.select(list(numbers), [], [], 0.2)[0]:
                client, now = numbers[sock], time.monotonic()
                data = sock.recv(100)
                if int(data.split()[0]) != client:
                    self.wrong.append((client, data))
                self.gaps[client] = max(self.gaps[client], now - self.heard[client])
                self.heard[client] = now

    def since(self, when):
        """Clients that had no answer since then."""
        return [client for client, at in enumerate(self.heard) if at < when]

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()


class Scale(NetTest):
    @classmethod
    def build(cls):
        net = cls.net
        cls.servers = {}
        for number, name in enumerate(NAMES, 1):
            server = cls.servers[name] = net.daemon("server", name=name)
            server.configure(name="far", role="server", listen=f"127.0.0.1:{7000 + number}",
                             resumeTimeout=5)
        path = os.path.join(net.folder, "haproxy.cfg")
        with open(path, "w", encoding="utf-8") as file:
            file.write(page_config(net.folder))
        net.start("server", need("haproxy"), "-db", "-f", path).wait_listening(7000)
        cls.client = net.daemon("client")
        cls.entries = []
        for number in range(CLIENTS):
            status = cls.client.configure(name=f"c{number}", role="local",
                                          listen="udp://127.0.0.1:0", target=f"{THIRD}:9000",
                                          server=f"{SERVER}:7000", wait=GUARD_S)
            cls.entries.append(("127.0.0.1", int(status["listen"].rsplit(":", 1)[1])))

    def haproxy(self, command):
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(os.path.join(self.net.folder, "admin.sock"))
            admin.sendall(command.encode() + b"\n")
            admin.settimeout(GUARD_S)
            answer = b""
            while piece := admin.recv(4096):
                answer += piece
        return answer.decode()

    def sessions(self, name):
        """Those of a server that have a connection."""
        server = self.servers[name]
        if not server.running():
            return set()
        listed = server.call("listSessions", {"name": "far"})["sessions"]
        return {s["session"] for s in listed if s["state"] == "established"}

    def settled(self, *names):
        """Each client has one session, at one of the servers."""
        held = [self.sessions(name) for name in names]
        return sum(map(len, held)) == CLIENTS and len(set().union(*held)) == CLIENTS

    def test_a_server_is_killed_and_another_one_drained(self):
        target = self.net.third.udp(THIRD, 9000)
        self.addCleanup(target.close)
        apps = [(self.net.client.udp("127.0.0.1"), entry) for entry in self.entries]
        for sock, _ in apps:
            self.addCleanup(sock.close)
        traffic = Traffic(self, target, apps)
        start = time.monotonic()
        poll("all to be answered", lambda: not traffic.since(start))
        poll("one session for each client", lambda: self.settled(*NAMES))
        for name in NAMES:
            self.assertGreater(len(self.sessions(name)), CLIENTS // 6, "they are spread")

        lost = self.sessions("one")
        log_before = len(self.client.log())
        traffic.gaps = [0.0] * CLIENTS
        self.servers["one"].kill()
        killed = time.monotonic()
        poll("all to be answered again", lambda: not traffic.since(killed + 1))
        poll("one session for each client", lambda: self.settled("two", "three"))
        # A line for each, and for no other. (All servers of this test have one address, where the
        # old external port is free again.)
        log = self.client.log()[log_before:]
        moved = set(re.findall(r"(c\d+): session lost: ", log))
        self.assertEqual(len(moved), len(lost), "only those of the killed server moved")
        print(f"killed: {len(moved)} clients moved, the longest gap of an answer "
              f"{max(traffic.gaps):.2f} s")

        self.servers["one"].start()
        self.servers["one"].configure(name="far", role="server", listen="127.0.0.1:7001",
                                      resumeTimeout=5)
        poll("haproxy to use it", lambda: "UP" in next(
            line for line in self.haproxy("show stat").splitlines()
            if line.startswith("udpt,one,")))
        self.haproxy("set server udpt/two state drain")
        started = time.monotonic()
        stay = self.sessions("two")
        poll("traffic during the drain", lambda: not traffic.since(started + 1))
        self.assertEqual(self.sessions("two"), stay, "sessions stay while it drains")
        traffic.gaps = [0.0] * CLIENTS
        self.haproxy("set server udpt/two state maint")
        self.haproxy("shutdown sessions server udpt/two")
        moved_at = time.monotonic()
        poll("all to be answered again", lambda: not traffic.since(moved_at + 1))
        poll("one session for each client", lambda: self.settled("one", "three"))
        print(f"drained: {len(stay)} clients moved, the longest gap of an answer "
              f"{max(traffic.gaps):.2f} s")
        self.assertEqual(traffic.wrong, [])


if __name__ == "__main__":
    unittest.main()
