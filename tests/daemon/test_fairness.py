# SPDX-License-Identifier: Apache-2.0
"""One client of a server cannot keep another from its flows, its sessions or its answers."""
import socket
import threading
import unittest

from daemon import DEADLINE_S, TestCase

MAX_FLOWS = 40
MEEK_FLOWS = 5


def udp_socket():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    s.settimeout(DEADLINE_S)
    return s


class Fairness(TestCase):
    def setUp(self):
        self.d = self.daemon()
        self.c = self.d.client()
        self.addCleanup(self.c.close)
        self.targets = {name: self.socket() for name in ("meek", "greedy")}
        self.far = self.configure(name="far", role="server", listen="127.0.0.1:0",
                                  allowTargets=["127.0.0.0/8"], maxFlows=MAX_FLOWS,
                                  maxSessions=2)["listen"]
        self.entries = {name: self.local(name) for name in self.targets}

    def socket(self):
        s = udp_socket()
        self.addCleanup(s.close)
        return s

    def configure(self, **tunnel):
        return self.ok(self.c.call("configureUdpTunnel", tunnel))["tunnel"]

    def local(self, name, **fields):
        """Its listener. Nothing is dropped for its age: this is about being served at all."""
        port = self.targets[name].getsockname()[1]
        listen = self.configure(name=name, role="local", listen="udp://127.0.0.1:0",
                                server=self.far, target="127.0.0.1:%d" % port,
                                maxQueueDelayMs=60000, wait=DEADLINE_S, **fields)["listen"]
        return "127.0.0.1", int(listen.rpartition(":")[2])

    def external(self, source):
        """The port from which the meek one's target hears `source`, and answers it."""
        source.sendto(b"meek", self.entries["meek"])
        data, address = self.targets["meek"].recvfrom(100)
        self.assertEqual(data, b"meek")
        self.targets["meek"].sendto(b"answer", address)
        self.assertEqual(source.recv(100), b"answer")
        return address[1]

    def flows(self, name):
        status = self.ok(self.c.call("getStatus", {"name": name}))
        return status["udpTunnels"][0]["flows"]

    def test_many_flows_of_one_cost_the_other_none_of_its_few(self):
        meek = [self.socket() for _ in range(MEEK_FLOWS)]
        before = [self.external(source) for source in meek]
        for _ in range(5 * MAX_FLOWS):
            self.socket().sendto(b"greedy", self.entries["greedy"])
            self.targets["greedy"].recv(100)  # its flow was opened
        self.assertEqual(self.flows("far"), MAX_FLOWS)
        self.assertEqual([self.external(source) for source in meek], before)
        fresh = self.socket()
        self.assertNotIn(self.external(fresh), before)
        self.assertEqual(self.external(fresh), self.external(fresh))

    def test_a_flood_of_one_leaves_the_other_its_answers(self):
        over = threading.Event()

        def flood():
            with udp_socket() as s:
                while not over.is_set():
                    s.sendto(b"x" * 1400, self.entries["greedy"])

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            self.targets["greedy"].recv(2000)
            source = self.socket()
            ports = {self.external(source) for _ in range(200)}
        finally:
            over.set()
            thread.join()
        self.assertEqual(len(ports), 1)


if __name__ == "__main__":
    unittest.main()
