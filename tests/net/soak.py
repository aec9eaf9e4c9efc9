#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""soak.py - the whole chain for ten minutes with one fault after the other, and nothing grows.

    tests/net/soak.py [--bin FOLDER] [--minutes N] [--seed N]

Flows run all the time, short-lived sources come and go, and every few seconds something goes wrong
with the line or with a program of the chain (ours go on: it is their memory that is looked at).
After each fault the flows must carry again. A round is a number of faults and then calm, until
the short-lived sources are forgotten; memory and descriptors of the two ends after the first round
are compared with those after the last. `cmake --build build --target soak` runs it; needs root.
"""

import argparse
import os
import random
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import flow
import harness
from harness import THIRD, poll

FAULTS_IN_ROUND = 4
FLOWS = 4
FLOW_TIMEOUT_S = 15  # longer than any fault, or a flow would get another port
AGAIN_GUARD_S = 60
GROWTH_KIB = 2048  # of an allocator that has not seen its worst in the first round
GROWTH_DESCRIPTORS = 2
PORTS = {"ss-server": 8388, "obfs-server": 8443, "obfs-local": 1984, "ss-tunnel": 13456}


class Soak:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.net = harness.Network()
        self.targets, self.flows = [], []
        self.line, self.local, self.server = flow.start_chain(
            self.net, far={"flowTimeout": FLOW_TIMEOUT_S}, flowTimeout=FLOW_TIMEOUT_S,
            heartbeatInterval=2, deadInterval=6)

    def close(self):
        for one in self.flows:
            one.stop()
        for target in self.targets:
            target.close()
        self.net.close()

    def start_flows(self):
        """Each with a listener of its own at udp-local, as its target is another one."""
        for number in range(FLOWS):
            port = 9000 + number
            self.targets.append(self.net.third.udp(THIRD, port))
            entry = flow.ENTRY
            if number > 0:
                entry = ("127.0.0.1", flow.ENTRY[1] + number)
                self.local.configure(name=f"near{number}", role="local",
                                     listen="udp://%s:%d" % entry, target=f"{THIRD}:{port}",
                                     server=f"127.0.0.1:{flow.chain.TUNNEL_PORT}", wait=20,
                                     heartbeatInterval=2, deadInterval=6)
            self.flows.append(flow.Flow(self.net, self.targets[-1], entry).start())

    # ---- what goes wrong ----

    def cut(self):
        seconds = self.rng.uniform(0.2, 6)
        flow.tell_line(self.line, f"cut {seconds:.2f}")
        time.sleep(seconds)
        return f"cut of {seconds:.1f} s"

    def lose(self):
        flow.tell_line(self.line, "loss 2")
        time.sleep(3)
        flow.tell_line(self.line, "loss 0")
        return "2 % lost for 3 s"

    def stop_a_program(self):
        name = self.rng.choice([*PORTS, "udp-server", "udp-local"])
        program = flow.program(self.net, name)
        program.signal(signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.2, 3))
        program.signal(signal.SIGCONT)
        return f"{name} stood still"

    def restart_a_program(self):
        name = self.rng.choice([*PORTS])
        program = flow.program(self.net, name)
        program.kill()
        program.start()
        program.wait_listening(PORTS[name])
        return f"{name} restarted"

    def half_open(self):
        for flag in ("fin", "rst"):
            flow.tell_line(self.line, f"drop {flag} on")
        what = self.restart_a_program()
        time.sleep(1)
        for flag in ("fin", "rst"):
            flow.tell_line(self.line, f"drop {flag} off")
        return f"half-open: {what}"

    def short_lived(self):
        """Sources that ask once each and are gone."""
        for _ in range(50):
            with self.net.client.udp("127.0.0.1") as app:
                app.sendto(bytes(100), flow.ENTRY)

    def one_fault(self):
        what = self.rng.choice([self.cut, self.lose, self.stop_a_program, self.restart_a_program,
                                self.half_open])()
        since_s = time.time()
        took_s = max(one.again_after(since_s, AGAIN_GUARD_S) for one in self.flows)
        self.short_lived()
        print(f"{what}: again after {took_s * 1000:.0f} ms", flush=True)

    # ---- what must not grow ----

    def measure(self):
        """{program: (KiB of memory, descriptors)}, when the short-lived flows are forgotten."""
        poll("the flows of a round to end",
             lambda: self.server.status("far")["flows"] <= FLOWS, 2 * FLOW_TIMEOUT_S + 60)
        poll("all to be established", lambda: all(
            tunnel["state"] == "established"
            for tunnel in self.local.call("getStatus")["udpTunnels"]), AGAIN_GUARD_S)
        time.sleep(6)  # connections that faults have doubled are gone by now
        found = {}
        for daemon in (self.local, self.server):
            with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
                rss = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
            found[daemon.name] = (rss, len(os.listdir(f"/proc/{daemon.pid}/fd")))
        return found

    def run(self, minutes):
        self.start_flows()
        until = time.monotonic() + minutes * 60
        first = last = None
        while first is None or first is last or time.monotonic() < until:
            for _ in range(FAULTS_IN_ROUND):
                self.one_fault()
            last = self.measure()
            first = first or last
            print(f"{last}, sent {sum(one.sent for one in self.flows)}, came back "
                  f"{sum(len(one.back) for one in self.flows)}", flush=True)
        return self.judge(first, last)

    def judge(self, first, last):
        faults = [f"{name} has grown from {first[name]} to {last[name]} (KiB, descriptors)"
                  for name in first if last[name][0] > first[name][0] + GROWTH_KIB
                  or last[name][1] > first[name][1] + GROWTH_DESCRIPTORS]
        for number, one in enumerate(self.flows):
            if len(one.ports()) != 1:
                faults.append(f"flow {number}: external ports {one.ports()}")
            if one.twice():
                faults.append(f"flow {number}: {len(one.twice())} datagrams came twice")
        return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--bin", help="where the programs are (build/bin)")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    if options.bin:
        harness.BIN = flow.BIN = os.path.abspath(options.bin)
    reason = harness.unavailable()
    if reason:
        sys.exit(f"soak: {reason}")
    print(f"seed {options.seed}", flush=True)
    soak = Soak(options.seed)
    try:
        faults = soak.run(options.minutes)
    except BaseException:
        sys.stderr.write(soak.net.logs())
        raise
    finally:
        soak.close()
    print("\n".join(faults) or "soak: all flat", flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
