# SPDX-License-Identifier: Apache-2.0
"""A running flow at 50 ms outlives what can happen to the chain under it.

Whatever it was: the same flow carries again, with the same external port at the third party;
nothing is delivered twice, and nothing that is older than maxQueueDelayMs and the way. How long
it took is printed, not judged: the guard is only against hanging.
"""

import signal
import sys
import time

import flow
from harness import THIRD, NetTest, poll

AGAIN_GUARD_S = 60
DELAY_MS = 25  # one way
OLDEST_S = flow.MAX_QUEUE_DELAY_S + DELAY_MS / 1000 + flow.SLACK_S
PORTS = {"ss-server": 8388, "obfs-server": 8443, "obfs-local": 1984, "ss-tunnel": 13456}


class Recovery(NetTest):
    """The chain, and a flow that runs before the fault and goes on after it."""

    tunnel = {}

    @classmethod
    def build(cls):
        cls.target = cls.net.third.udp(THIRD, 9000)
        cls.line, cls.local, cls.server = flow.start_chain(cls.net, DELAY_MS, **cls.tunnel)

    @classmethod
    def tearDownClass(cls):
        cls.target.close()
        super().tearDownClass()

    def setUp(self):
        self.flow = flow.Flow(self.net, self.target).start()
        self.addCleanup(self.flow.stop)
        self.flow.again_after(time.time(), AGAIN_GUARD_S)
        time.sleep(2)  # of calm, as a call in progress has had

    def assert_carries(self, what, since_s):
        """The flow has survived a fault that was over at `since_s`."""
        took_s = self.flow.again_after(since_s, AGAIN_GUARD_S)
        time.sleep(2)  # what was held up on the way comes now
        oldest_s = self.flow.oldest_s()
        print(f"    {what}: again after {took_s * 1000:.0f} ms, oldest {oldest_s * 1000:.0f} ms",
              file=sys.stderr)
        self.assertEqual(len(self.flow.ports()), 1, f"{what}: the external port has changed")
        self.assertEqual(self.flow.twice(), [], f"{what}: delivered twice")
        self.assertLess(oldest_s, OLDEST_S, f"{what}: an old datagram was delivered")

    def restart(self, name):
        """kill -9 and start; when it was reachable again."""
        program = flow.program(self.net, name)
        program.kill()
        time.sleep(0.5)
        program.start()
        if name in PORTS:
            program.wait_listening(PORTS[name])
        return time.time()


class Cut(Recovery):
    def test_cut_of_30_s(self):
        flow.tell_line(self.line, "cut 30")
        healed_s = time.time() + 30
        poll("the flow to stop", lambda: time.time() - self.flow.back[-1].at_s > 2)
        time.sleep(max(0, healed_s - time.time()))
        self.assert_carries("cut of 30 s", healed_s)


class HalfOpen(Recovery):
    """obfs-server dies and is back, and no word of it reaches the client."""

    dead_s = 6
    tunnel = {"heartbeatInterval": 2, "deadInterval": dead_s}

    def setUp(self):
        super().setUp()
        self.tell_no_ends("on")
        self.addCleanup(self.tell_no_ends, "off")

    def tell_no_ends(self, switch):
        for flag in ("fin", "rst"):
            flow.tell_line(self.line, f"drop {flag} {switch}")

    def test_with_traffic(self):
        self.assert_carries("half-open, with traffic", self.restart("obfs-server"))

    def test_without_traffic(self):
        self.flow.talking = False
        time.sleep(1)
        before = self.local.status("near")["reconnects"]
        since_s = time.time()
        self.restart("obfs-server")
        poll("udp-local to reconnect", lambda: self.local.status("near")["reconnects"] > before
             and self.local.status("near")["state"] == "established", AGAIN_GUARD_S)
        print(f"    half-open, idle, deadInterval {self.dead_s} s: established after "
              f"{time.time() - since_s:.1f} s", file=sys.stderr)
        self.flow.talking = True
        self.assert_carries("half-open, idle, the flow", time.time())


class Stopped(Recovery):
    """A program that stands still for a while and then goes on with all that it has missed."""

    def stop_and_continue(self, name):
        program = flow.program(self.net, name)
        program.signal(signal.SIGSTOP)
        self.addCleanup(program.signal, signal.SIGCONT)
        time.sleep(4)
        program.signal(signal.SIGCONT)
        self.assert_carries(f"{name} stood still for 4 s", time.time())

    def test_ss_server(self):
        self.stop_and_continue("ss-server")

    def test_obfs_local(self):
        self.stop_and_continue("obfs-local")

    def test_udp_server(self):
        self.stop_and_continue("udp-server")


class Restarts(Recovery):
    def test_each_of_the_chain(self):
        for name in PORTS:
            self.assert_carries(f"{name} restarted", self.restart(name))

    def test_udp_server(self):
        for _ in range(2):
            self.assert_carries("udp-server restarted", self.restart("udp-server"))
