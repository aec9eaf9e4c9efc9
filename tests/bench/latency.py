#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""latency.py - how late datagrams are through the real chain, and how soon it carries again.

    client namespace                              server namespace
    bench_latency near                            bench_latency far
      ▼                                             ▲
    udp-local ▶ ss-tunnel ▶ obfs-local              obfs-server ▶ ss-server ▶ udp-server
                                  ▼ line0 ┄┄┄┄┄┄┄┄ line0 ▲

`line` (tests/net/line.c) is the path, with delay, loss and rate. Every scenario builds the whole
again, so that no TCP connection knows anything from the one before. With `--peer plain` the plain
relay of the benchmark stands where udp-local and udp-server stand, all else the same. Needs root.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "net"))
import harness
import page
import plots
from chain import TUNNEL_PORT, UDP_SERVER_PORT, start_shadowsocks
from harness import CLIENT, SERVER, Network, poll
from latency_report import as_markdown, as_text, data_of

ENTRY, TARGET = "127.0.0.1:5000", "127.0.0.1:9000"


class Skipped(Exception):
    """A scenario that the present state cannot run, with the reason."""


def lines_of(path):
    """Rows of numbers of a log of bench_latency, the class of each first."""
    rows = []
    with open(path, encoding="ascii") as file:
        for line in file:
            words = line.split()
            if len(words) == 6:
                rows.append([words[0], *map(int, words[1:])])
    return rows


class Rig:
    """The topology above with one scenario's line and one subject, everything running."""

    def __init__(self, options, scenario):
        self.options, self.scenario = options, scenario
        self.net = Network()
        try:
            self.start_line(scenario)
            start_shadowsocks(self.net)
            if options.peer == "plain":
                self.start_plain()
            else:
                self.start_udptund(scenario)
            self.far_log = os.path.join(self.net.folder, "far.arrivals")
            self.far = self.net.start("server", self.tool("bench_latency"), "far", TARGET, "--log",
                                      self.far_log, name="far", stdin=subprocess.PIPE)
            self.far.wait_log("ready")
            self.wait_until_through()
        except BaseException:
            sys.stderr.write(self.net.logs() if options.verbose else "")
            self.close()
            raise

    def close(self):
        with contextlib.suppress(AssertionError):
            self.net.close()

    def tool(self, name):
        return os.path.join(self.options.bin, name)

    def program(self, name):
        return next(p for p in self.net.programs if p.name == name)

    # ---- what is started ----

    def start_line(self, scenario):
        names = [self.net.client.name, self.net.server.name]
        self.line = self.net.start(
            "router", self.tool("line"), "--a", names[0], "--b", names[1],
            "--delay", str(scenario["rtt"] / 2), "--loss", str(scenario.get("loss", 0)),
            "--rate", str(scenario.get("rate", 0)), "--queue", self.options.queue,
            "--seed", str(self.options.seed), stdin=subprocess.PIPE)
        self.line.wait_log("ready")
        for name, own, far in ((names[0], CLIENT, SERVER), (names[1], SERVER, CLIENT)):
            subprocess.run(["ip", "-n", name, "route", "add", f"{far}/32", "dev", "line0", "src",
                            own], check=True)

    def command(self, text):
        """A command to the line."""
        said = len(self.line.log())
        self.line.type(text + "\n")
        answer = self.line.wait_log("^(ok|error)$", after=said)
        if answer.group(1) != "ok":
            raise AssertionError(self.line.log()[said:])

    def start_plain(self):
        relay = self.tool("bench_relay")
        self.server = self.net.start("server", relay, "server", f"127.0.0.1:{UDP_SERVER_PORT}",
                                     TARGET, name="server")
        self.server.wait_listening(UDP_SERVER_PORT)
        self.local = self.net.start("client", relay, "local", ENTRY, f"127.0.0.1:{TUNNEL_PORT}",
                                    name="local")
        self.local.wait_listening(int(ENTRY.split(":")[1]), "udp")

    def start_udptund(self, scenario):
        fields = {**scenario.get("tunnel", {}), **self.options.set}
        if self.options.connections:
            fields["connections"] = self.options.connections
        self.server = self.net.daemon("server", name="server",
                                      options=["--log-level", self.options.log_level])
        self.local = self.net.daemon("client", name="local",
                                     options=["--log-level", self.options.log_level])
        self.configure(self.server, name="far", role="server", allowTargets=[TARGET],
                       listen=f"127.0.0.1:{UDP_SERVER_PORT}", **self.options.set_server)
        self.configure(self.local, name="near", role="local", listen=f"udp://{ENTRY}",
                       target=TARGET, server=f"127.0.0.1:{TUNNEL_PORT}", wait=20, **fields)

    @staticmethod
    def configure(daemon, **tunnel):
        reply = daemon.request("configureUdpTunnel", tunnel)
        if reply["statusCode"] == 105:
            raise Skipped(f"udptund: {reply.get('errorMessage')}")
        if reply["statusCode"] != 0:
            raise AssertionError(f"{tunnel}: {reply}")

    # ---- what is measured ----

    def start_near(self, load, seconds, warmup=3, log=None, drain=None):
        command = [self.tool("bench_latency"), "near", "--to", ENTRY, "--json", "--path",
                   str(self.scenario["rtt"]), "--seconds", str(seconds), "--warmup", str(warmup),
                   "--drain", str(drain or self.options.drain)]
        for key, value in load.items():
            command += [f"--{key}", str(value)]
        if log:
            command += ["--log", log]
        return self.net.start("client", *command, name="load")

    def finish_near(self, near, seconds):
        near.process.wait(seconds + 60)
        found = re.search(r"^\{.*\}$", near.log(), re.M)
        if near.process.returncode != 0 or not found:
            raise AssertionError(f"load: {near.log()}")
        return json.loads(found.group(0))

    def far_report(self):
        """What the far end has counted since the last report."""
        said = len(self.far.log())
        self.far.type("report\n")
        return json.loads(self.far.wait_log(r"^\{.*\}$", after=said).group(0))

    def load(self, load, seconds, warmup=3):
        """One load from start to end: {class: figures of both ends}."""
        self.far_report()
        result = self.finish_near(self.start_near(load, seconds, warmup), seconds + warmup)
        far = self.far_report()
        for name, figures in result.items():
            figures["oldestForthMs"] = far[name]["oldestMs"]
            if name == "bulk":
                figures["received"] = far[name]["received"]
                figures["mbit"] = far[name]["mbit"]
        return result

    def wait_until_through(self):
        for _ in range(20):
            near = self.start_near({"voice": 1}, 0.5, 0, drain=1)
            if self.finish_near(near, 2)["voice"]["p50Ms"] > 0:
                return
        raise AssertionError(f"nothing comes through in 20 s\n{self.net.logs()}")

    def ends(self):
        """What the two ends say of themselves, for whoever looks for a cause."""
        if self.options.peer == "plain":
            return {}
        local, server = self.local.status("near"), self.server.status("far")
        return {"legs": len(local["connections"]), "reconnects": local["reconnects"],
                "resumed": local["resumed"], "dropped": local["dropped"],
                "serverDropped": server["dropped"]}


# ---- scenarios ----------------------------------------------------------------------------------

def steady(rig, scenario):
    return {"loads": {"": rig.load(scenario["load"], rig.options.seconds)}}


def bulk_beside(rig, scenario):
    idle = rig.load(scenario["load"], rig.options.seconds / 2)
    loaded = rig.load({**scenario["load"], "bulk": 10}, rig.options.seconds)
    return {"loads": {"idle": idle, "with bulk": loaded}}


def cut(rig):
    rig.command(f"cut {rig.options.cut}")
    healed_ns = time.monotonic_ns() + int(rig.options.cut * 1e9)
    time.sleep(rig.options.cut)
    return healed_ns


def restart(which):
    def act(rig):
        program = getattr(rig, which, None) or rig.program(which)
        program.kill()
        time.sleep(1)
        healed_ns = time.monotonic_ns()
        program.start()
        return healed_ns
    return act


def half_open(rig):
    rig.command("drop fin on")
    rig.command("drop rst on")
    server = rig.program("obfs-server")
    server.kill()
    time.sleep(0.5)
    server.start()
    server.wait_listening(8443)
    return time.monotonic_ns()


def fault(act):
    """One voice flow, a fault in the middle: when it carries again, and how old that is."""
    def run(rig, scenario):
        before_s, after_s = 4, rig.options.after
        down_s = rig.options.cut if act is cut else 1
        log = os.path.join(rig.net.folder, "near.arrivals")
        rig.far_report()
        near = rig.start_near(scenario["load"], before_s + down_s + after_s, warmup=2, log=log)
        time.sleep(2 + before_s)
        fault_ns = time.monotonic_ns()
        healed_ns = act(rig)
        figures = rig.finish_near(near, down_s + after_s)["voice"]
        far = rig.far_report()["voice"]
        forth = [r for r in lines_of(rig.far_log) if r[4] >= healed_ns and r[3] >= fault_ns - 2e9]
        back = [r for r in lines_of(log) if r[5] >= healed_ns]
        before = {r[5] for r in lines_of(rig.far_log) if fault_ns - 2e9 < r[4] < fault_ns}
        after = {r[5] for r in forth}
        return {"fault": {
            "forthMs": (forth[0][4] - healed_ns) / 1e6 if forth else None,
            "againMs": (back[0][5] - healed_ns) / 1e6 if back else None,
            "oldestForthMs": far["oldestMs"], "oldestBackMs": figures["oldestBackMs"],
            "lost": figures["lost"], "sent": figures["sent"],
            "portKept": before == after if after else None}}
    return run


def half_open_idle(rig, _):
    """Nothing is sent while the connections are half open: when does udp-local find out?"""
    if rig.options.peer == "plain":
        raise Skipped("the plain relay never finds out")
    before = rig.local.status("near")["reconnects"]
    healed_ns = half_open(rig)
    poll("udp-local to reconnect", lambda: rig.local.status("near")["reconnects"] > before and
         rig.local.status("near")["state"] == "established", 90)
    return {"fault": {"reconnectedMs": (time.monotonic_ns() - healed_ns) / 1e6}}


SCENARIOS = {
    "voice1-50": {"run": steady, "rtt": 50, "load": {"voice": 1}},
    "voice10-50": {"run": steady, "rtt": 50, "load": {"voice": 10}},
    "dns-50": {"run": steady, "rtt": 50, "load": {"dns": 10}},
    "dns-fixed-50": {"run": steady, "rtt": 50, "load": {"fixed": 10}},
    "voice1-150-loss": {"run": steady, "rtt": 150, "loss": 1, "load": {"voice": 1},
                        "tunnel": {"redundancy": 2, "connections": 32}},
    "voice10-150-loss": {"run": steady, "rtt": 150, "loss": 1, "load": {"voice": 10},
                         "tunnel": {"redundancy": 3, "connections": 32}},
    "bulk-5mbit": {"run": bulk_beside, "rtt": 50, "rate": 5, "load": {"voice": 1, "dns": 5}},
    # A short narrow path; bulk beside ten calls; a resolver's load.
    "near-5mbit": {"run": bulk_beside, "rtt": 0.8, "rate": 5, "load": {"voice": 1}},
    "voice10-bulk-50": {"run": bulk_beside, "rtt": 50, "load": {"voice": 10}},
    "dns200-50": {"run": steady, "rtt": 50, "load": {"dns": 200}},
    "cut30": {"run": fault(cut), "rtt": 50, "load": {"voice": 1}},
    "restart-local": {"run": fault(restart("local")), "rtt": 50, "load": {"voice": 1}},
    "restart-server": {"run": fault(restart("server")), "rtt": 50, "load": {"voice": 1}},
    "half-open": {"run": fault(half_open), "rtt": 50, "load": {"voice": 1}},
    "half-open-idle": {"run": half_open_idle, "rtt": 50},
}


def run_scenario(name, options):
    scenario = SCENARIOS[name]
    result = {"scenario": name, "subject": options.peer}
    try:
        rig = Rig(options, scenario)
        try:
            result.update(scenario["run"](rig, scenario))
            result["ends"] = rig.ends()
        finally:
            if options.verbose:
                sys.stderr.write(rig.net.logs())
            rig.close()
    except Skipped as reason:
        result["skipped"] = str(reason)
    except (AssertionError, TimeoutError, OSError) as error:
        result["failed"] = str(error)[-2000:]
    return result


# ---- options ------------------------------------------------------------------------------------

def field(text):
    """key=value, the value as JSON where it is JSON."""
    key, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE")
    with contextlib.suppress(ValueError):
        value = json.loads(value)
    return key, value


def parse_options():
    parser = argparse.ArgumentParser(
        description="Measure latency through the real Shadowsocks chain; needs root.",
        epilog="scenarios: " + " ".join(SCENARIOS))
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="(all)")
    parser.add_argument("--bin", default=os.path.join(HERE, "..", "..", "build", "bin"),
                        help="where the programs are (build/bin)")
    parser.add_argument("--peer", choices=["udptund", "plain", "all"], default="udptund")
    parser.add_argument("--seconds", type=float, default=20, help="of a load (20)")
    parser.add_argument("--after", type=float, default=30,
                        help="seconds watched after a fault (30)")
    parser.add_argument("--drain", type=float, default=3, help="wait for the last answers (3)")
    parser.add_argument("--cut", type=float, default=30, help="seconds of the cut (30)")
    parser.add_argument("--queue", default="250ms", help="of the narrow line (250ms)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--connections", type=int, help="of udp-local, in every scenario")
    parser.add_argument("--set", type=field, action="append", default=[], metavar="KEY=VALUE",
                        help="a field of udp-local")
    parser.add_argument("--set-server", type=field, action="append", default=[],
                        metavar="KEY=VALUE", help="a field of udp-server")
    parser.add_argument("--log-level", default="warn")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each scenario")
    parser.add_argument("--verbose", action="store_true", help="show what the programs said")
    parser.add_argument("--write", metavar="FILE", help="put the tables into this file's section")
    options = parser.parse_args()
    for name in options.scenarios:
        if name not in SCENARIOS:
            parser.error(f"no scenario '{name}' (there are: {' '.join(SCENARIOS)})")
    options.set, options.set_server = dict(options.set), dict(options.set_server)
    options.bin = os.path.realpath(options.bin)
    return options


def main():
    options = parse_options()
    if os.geteuid() != 0:
        sys.exit("latency.py: needs root, for network namespaces")
    harness.BIN = options.bin
    # Whatever else this machine does should not show in the figures; children inherit it.
    os.nice(-10)
    subjects = ["udptund", "plain"] if options.peer == "all" else [options.peer]
    results = []
    for name in options.scenarios or SCENARIOS:
        for options.peer in subjects:
            results.append(run_scenario(name, options))
            if options.json:
                print(json.dumps(results[-1]), flush=True)
            else:
                print(as_text(results[-1:]), flush=True)
    if options.write:
        page.write_section(options.write, "latency", as_markdown(results, options))
        plots.publish(options.write, "latency",
                      data_of(results, {name: s["rtt"] for name, s in SCENARIOS.items()}))
    return 1 if any("failed" in r for r in results) else 0


if __name__ == "__main__":
    sys.exit(main())
