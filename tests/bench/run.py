#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The benchmark: udptund against a plain relay, v2ray and no tunnel at all, interleaved in one run.

Every case (direction, size, flows) is measured for every subject right after one another, in an
order that turns from round to round, so that a machine that slows down slows all of them. What
is printed and written are medians over the rounds with their ranges.
"""
import argparse
import json
import os
import platform
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import page
import plots

ONE_WAY, ECHO, PING = "one way", "echo", "ping"
ONE_WAY_GRO = "one way to a target with UDP_GRO"


def free_port(kind):
    """A port that is free now; others on this machine seldom take it before we do."""
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def udp_port():
    return free_port(socket.SOCK_DGRAM)


def tcp_port():
    return free_port(socket.SOCK_STREAM)


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


class Subject:
    """A way from `entrance` to the sink; two processes but for the direct one."""

    host = "127.0.0.1"    # of the entrance
    source = "127.1.0.1"  # of the first flow
    sink_host = "127.0.0.1"

    def __init__(self, name, bin_dir, work_dir, sink):
        self.name, self.bin, self.work, self.sink = name, bin_dir, work_dir, sink
        self.entrance = sink
        self.processes = []

    def start(self):
        pass

    def spawn(self, *command, env=None):
        log = open(os.path.join(self.work, f"{self.name}-{len(self.processes)}.log"), "ab")
        p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                             env={**os.environ, **(env or {})})
        log.close()
        self.processes.append(p)
        return p

    def wait_until_through(self, seconds=20):
        """Send probes until one arrives at the sink."""
        deadline = time.monotonic() + seconds
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            sink.bind((self.sink_host, self.sink))
            sink.settimeout(0.1)
            while time.monotonic() < deadline:
                for p in self.processes:
                    if p.poll() is not None:
                        raise RuntimeError(f"{self.name}: {p.args[0]} ended with {p.returncode}:\n"
                                           + self.last_words())
                probe.sendto(b"probe", (self.host, self.entrance))
                try:
                    sink.recv(100)
                    return
                except TimeoutError:
                    continue
        raise RuntimeError(f"{self.name}: no datagram came through in {seconds} s\n"
                           + self.last_words())

    def last_words(self):
        words = ""
        for i in range(len(self.processes)):
            with open(os.path.join(self.work, f"{self.name}-{i}.log"), errors="replace") as f:
                words += f.read()[-1000:]
        return words

    def stop(self):
        for p in self.processes:
            p.send_signal(signal.SIGTERM)
        for p in self.processes:
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.processes = []

    def load(self, **options):
        command = [os.path.join(self.bin, "bench_load"), "--to", f"{self.host}:{self.entrance}",
                   "--from", self.source,
                   "--sink", f"{self.sink_host}:{self.sink}"]
        for p in self.processes:
            command += ["--pid", str(p.pid)]
        for key, value in options.items():
            if value is True:
                command.append(f"--{key}")
            elif value is not False:
                command += [f"--{key}", str(value)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}: {done.stderr}")
        return json.loads(done.stdout)


class Direct(Subject):
    """Loopback UDP without a tunnel."""


class Relay(Subject):
    def start(self):
        self.entrance, stream = udp_port(), tcp_port()
        relay = os.path.join(self.bin, "bench_relay")
        self.spawn(relay, "server", f"127.0.0.1:{stream}", f"127.0.0.1:{self.sink}")
        time.sleep(0.2)  # its local end connects at the first datagram and does not try twice
        self.spawn(relay, "local", f"127.0.0.1:{self.entrance}", f"127.0.0.1:{stream}")
        time.sleep(0.1)


class Udptund(Subject):
    def daemon(self, end, tunnel):
        config = os.path.join(self.work, f"{end}.json")
        with open(config, "w") as f:
            json.dump({"udpTunnels": [tunnel]}, f)
        self.spawn(os.path.join(self.bin, "udptund"), "--config", config, "--no-state",
                   "--socket", os.path.join(self.work, f"{end}.sock"), "--log-level", "warn")

    def start(self):
        self.entrance, stream = udp_port(), tcp_port()
        self.daemon("server", {"name": "bench", "role": "server", "listen": f"127.0.0.1:{stream}",
                               "allowTargets": ["127.0.0.0/8"]})
        self.daemon("local", {"name": "bench", "role": "local",
                              "listen": f"udp://127.0.0.1:{self.entrance}",
                              "target": f"127.0.0.1:{self.sink}",
                              "server": f"127.0.0.1:{stream}"})


class V2ray(Subject):
    USER = "6f1c1f3e-4f8e-4c1c-9d5e-0d4c6f0b7a11"

    def instance(self, end, inbound, outbound):
        config = os.path.join(self.work, f"v2ray-{end}.json")
        with open(config, "w") as f:
            json.dump({"log": {"loglevel": "warning"}, "inbounds": [inbound],
                       "outbounds": [outbound]}, f)
        self.spawn("v2ray", "-config", config)

    def start(self):
        self.entrance, stream = udp_port(), tcp_port()
        self.instance("server",
                      {"listen": "127.0.0.1", "port": stream, "protocol": "vmess",
                       "settings": {"clients": [{"id": self.USER, "alterId": 0}]}},
                      {"protocol": "freedom", "settings": {}})
        self.instance("local",
                      {"listen": "127.0.0.1", "port": self.entrance, "protocol": "dokodemo-door",
                       "settings": {"address": "127.0.0.1", "port": self.sink, "network": "udp"}},
                      {"protocol": "vmess",
                       "settings": {"vnext": [{"address": "127.0.0.1", "port": stream,
                                               "users": [{"id": self.USER, "alterId": 0,
                                                          "security": "none"}]}]}})


def subjects_here(arguments, work_dir):
    sink = udp_port()
    kinds = [("direct", Direct), ("plain relay", Relay)]
    if os.path.exists(os.path.join(arguments.bin, "udptund")):
        kinds.append(("udptund", Udptund))
    if shutil.which("v2ray") and not arguments.no_v2ray:
        kinds.append(("v2ray", V2ray))
    wanted = arguments.only.split(",") if arguments.only else [name for name, _ in kinds]
    return [kind(name, arguments.bin, work_dir, sink) for name, kind in kinds if name in wanted]


CASES = ([(ONE_WAY, size, flows) for flows in (1, 64) for size in (1200, 64)] +
         [(ECHO, size, flows) for flows in (1, 64) for size in (1200, 64)] +
         [(ONE_WAY_GRO, 1200, 1), (PING, 64, 1)])


def measure(subject, case, seconds):
    direction, size, flows = case
    r = subject.load(size=size, flows=flows, seconds=seconds, warmup=min(0.1, seconds / 4),
                     window=1 if direction == PING else 80, echo=direction in (ECHO, PING),
                     gro=direction == ONE_WAY_GRO)
    received = max(r["received"], 1)
    return {"pps": r["received"] / r["seconds"],
            "loss": r["lost"] / max(r["sent"], 1),
            "cpu": sum(r["cpuNs"]) / 1000 / received,
            "ends": [ns / 1000 / received for ns in r["cpuNs"]],
            "p50": r["rttP50Us"], "p99": r["rttP99Us"]}


def run_rounds(subjects, rounds, seconds):
    """{case: {subject name: [measurement of each round]}}"""
    results = {case: {s.name: [] for s in subjects} for case in CASES}
    for i in range(rounds):
        for case in CASES:
            turn = i % len(subjects)
            for s in subjects[turn:] + subjects[:turn]:
                results[case][s.name].append(measure(s, case, seconds))
        print(f"round {i + 1} of {rounds}", file=sys.stderr, flush=True)
    return results


def measure_memory(subjects, flows_most):
    """Fresh processes: resident size after the first datagram, then with many flows open."""
    rows = []
    for s in subjects:
        if isinstance(s, Direct):
            continue
        flows = flows_most if isinstance(s, Udptund) else min(flows_most, 2000)
        s.stop()
        s.start()
        s.wait_until_through()
        time.sleep(0.5)
        rest = [resident_kib(p.pid) for p in s.processes]
        r = s.load(size=64, flows=flows, each=2, echo=True)
        full = [resident_kib(p.pid) for p in s.processes]
        rows.append({"name": s.name, "flows": flows, "lost": r["lost"], "rest": rest,
                     "full": full})
        s.stop()
    return rows


# ---- the report ---------------------------------------------------------------------------------

def spread(values, digits=0):
    """"median (lowest–highest)" """
    def text(v):
        return f"{v:,.{digits}f}"
    return f"{text(statistics.median(values))} ({text(min(values))}–{text(max(values))})"


def column(measurements, key):
    return [m[key] for m in measurements]


def median_ratio(ours, theirs, key):
    """Median of the ratios of rounds, for rounds are what is comparable."""
    return statistics.median(a[key] / b[key] if b[key] else float("nan")
                             for a, b in zip(ours, theirs))


def case_name(case):
    direction, size, flows = case
    return f"{direction}, {size} bytes, {flows} flow{'s' * (flows > 1)}"


def data_of(results, memory):
    """What the plots need: medians, and medians of each round's ratio to the plain relay."""
    cases = []
    for case, by_subject in results.items():
        base, subjects = by_subject.get("plain relay"), {}
        for name, m in by_subject.items():
            row = {key: round(statistics.median(column(m, key)), 3) for key in ("pps", "cpu")}
            if case[0] in (ECHO, PING):
                row.update(p50Us=statistics.median(column(m, "p50")),
                           p99Us=statistics.median(column(m, "p99")))
            if base:
                row["ppsVsRelay"] = round(median_ratio(m, base, "pps"), 3)
            if base and m[0]["ends"]:
                row["cpuVsRelay"] = round(median_ratio(m, base, "cpu"), 3)
            subjects[name] = row
        cases.append({"name": case_name(case), "subjects": subjects})
    return {"cases": cases, "memory": [
        {"name": r["name"], "flows": r["flows"],
         "perFlowKib": [round((b - a) / r["flows"], 3) for a, b in zip(r["rest"], r["full"])]}
        for r in memory]}


def case_table(results, direction):
    lines = []
    for case, by_subject in results.items():
        if case[0] != direction:
            continue
        name = case_name(case)
        lines += [f"### {name[0].upper()}{name[1:]}", ""]
        lines.append("| | packets/s | lost | CPU µs/packet, both ends | local + server | "
                     "RTT p50 µs | RTT p99 µs | packets/s vs relay | CPU vs relay |")
        lines.append("| --- " * 9 + "|")
        base = by_subject.get("plain relay")
        for name, m in by_subject.items():
            ends = [statistics.median(x["ends"][i] for x in m) for i in range(len(m[0]["ends"]))]
            rtt = direction in (ECHO, PING)
            lines.append("| " + " | ".join([
                name, spread(column(m, "pps")),
                f"{100 * statistics.median(column(m, 'loss')):.2f} %",
                spread(column(m, "cpu"), 2) if ends else "–",
                " + ".join(f"{e:.2f}" for e in ends) or "–",
                spread(column(m, "p50")) if rtt else "–",
                spread(column(m, "p99")) if rtt else "–",
                f"{median_ratio(m, base, 'pps'):.2f}" if base else "–",
                f"{median_ratio(m, base, 'cpu'):.2f}" if base and ends else "–"]) + " |")
        lines.append("")
    return lines


def memory_table(rows):
    lines = ["| | at rest, local + server | flows open | with them | per flow |",
             "| --- | --- | --- | --- | --- |"]
    for r in rows:
        def mib(pair):
            return " + ".join(f"{kib / 1024:.1f}" for kib in pair) + " MiB"
        each = " + ".join(f"{(b - a) / r['flows']:.2f}" for a, b in zip(r["rest"], r["full"]))
        lines.append(f"| {r['name']} | {mib(r['rest'])} | {r['flows']:,} | {mib(r['full'])} | "
                     f"{each} KiB |")
    return lines + [""]


def goals(results, memory):
    """The figures that the project set itself, and what came out."""
    rows = []

    def goal(text, value, reached):
        rows.append(f"| {text} | {value} | {'reached' if reached else 'missed'} |")

    one, many = results[(ONE_WAY, 1200, 1)], results[(ONE_WAY, 1200, 64)]
    if "udptund" not in one or "plain relay" not in one:
        return []
    pps = median_ratio(one["udptund"], one["plain relay"], "pps")
    cpu = median_ratio(one["udptund"], one["plain relay"], "cpu")
    flows = median_ratio(many["udptund"], one["udptund"], "pps")
    goal("lossless packets/s, 1200 bytes, 1 flow: at least 1.25 × the plain relay",
         f"{pps:.2f} ×", pps >= 1.25)
    goal("CPU per packet, both ends, same case: at most 0.5 × the plain relay",
         f"{cpu:.2f} ×", cpu <= 0.5)
    goal("64 flows: at least 0.8 × one flow", f"{flows:.2f} ×", flows >= 0.8)
    for m in memory:
        if m["name"] == "udptund":
            rest, full = max(m["rest"]) / 1024, max(m["full"]) / 1024
            goal("resident at rest: under 8 MiB", f"{rest:.1f} MiB", rest < 8)
            if m["flows"] >= 10000:
                goal("resident with 10,000 flows: under 40 MiB at each end", f"{full:.1f} MiB",
                     full < 40)
    return ["| goal | measured | |", "| --- | --- | --- |"] + rows + [""]


def machine_facts():
    def first(path, start):
        try:
            with open(path) as f:
                for line in f:
                    if line.startswith(start):
                        return line.split("=" if "=" in line else ":", 1)[1].strip().strip('"')
        except OSError:
            pass
        return "unknown"
    memory = int(first("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    return [f"- {time.strftime('%Y-%m-%d', time.gmtime())}",
            f"- {first('/etc/os-release', 'PRETTY_NAME')}, Linux "
            f"{'.'.join(platform.release().split('.')[:2])}, {platform.machine()}",
            f"- {os.cpu_count()} cores ({first('/proc/cpuinfo', 'model name')}), {memory:.0f} GiB; "
            "generator, sink and both ends of the tunnel share them"]


PREAMBLE = """# Benchmarks

Written by `cmake --build build --target bench` (tests/bench/run.py); do not edit by hand.
`bench_all` is the target of every benchmark and page (as root, about 25 minutes, on a machine that does
nothing else meanwhile); `bench_plots` draws the plots again from plots/*.json.

Lossless capacity: 80 datagrams are in flight between the generator and its sink, which are one
process, so what has arrived is known without an acknowledgement through the tunnel. A datagram
counts as lost when nothing arrived for 100 ms. *Echo* is the same with the sink answering, and
its round trip times are those under full load; *ping* has one datagram in flight. The sink is a
plain program, for which the kernel takes runs of datagrams apart at the sender's cost; in the case
*target with UDP_GRO* it takes them whole, as a network card with segmentation offload would. CPU is that of
the tunnel's two processes from the scheduler's accounts, by datagram received, and includes what
the kernel does in their name. All subjects run interleaved in one run; figures are medians over
the rounds with the lowest and highest in brackets, ratios are medians of each round's ratio.

- **direct**: loopback UDP without a tunnel, what the generator itself can do.
- **plain relay**: tests/bench/relay.c, UDP over TCP with one recv and one send for each datagram,
  a two-byte length and one connection for each source: the level of the simple tools.
- **udptund**: two daemons, udp-local and udp-server, joined by TCP over loopback, no key.
- **v2ray**: Debian's v2ray, dokodemo-door to vmess (`security` none) to freedom.
"""


def write_report(path, results, memory, rounds, seconds):
    lines = [PREAMBLE, "## Machine", ""] + machine_facts()
    lines += [f"- {rounds} rounds of {seconds:g} s for each figure", ""]
    reached = goals(results, memory)
    if reached:
        lines += ["## Goals", ""] + reached
    lines += ["## Throughput and round trips", "",
              plots.figure("throughput", "Packets a second against the plain relay"), "",
              plots.figure("cpu", "CPU for a packet against the plain relay"), ""]
    for direction in (ONE_WAY, ONE_WAY_GRO, ECHO, PING):
        lines += case_table(results, direction)
    lines += ["## Memory", "", "Resident size of each end; a flow is one source address, two "
              "datagrams out and two back.", "",
              plots.figure("memory", "Resident memory for a flow"), ""] + memory_table(memory)
    text = "\n".join(lines).rstrip() + "\n"
    if path:
        page.write_rest(path, text)
        plots.publish(path, "bench", data_of(results, memory))
    print(text)


def self_test(subjects):
    """The relay and the generator do what the comparison takes for granted."""
    for s in subjects:
        if not isinstance(s, (Direct, Relay)):
            continue
        try:
            s.start()
            s.wait_until_through()
            for echo in (False, True):
                r = s.load(size=1200, flows=64, each=20, echo=echo)
                if r["received"] + r["lost"] != r["sent"] or r["received"] < r["sent"] / 2:
                    raise RuntimeError(f"{s.name}: {r}")
        finally:
            s.stop()
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", required=True, help="folder of udptund, bench_load, bench_relay")
    parser.add_argument("--write", metavar="FILE", help="write the report there as well")
    parser.add_argument("--quick", action="store_true", help="under a minute, for a first look")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="for each figure")
    parser.add_argument("--no-v2ray", action="store_true")
    parser.add_argument("--only", metavar="NAMES", help="subjects, comma-separated")
    parser.add_argument("--self-test", action="store_true", help="check the tools and stop")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (2 if arguments.quick else 5)
    seconds = arguments.seconds or (0.3 if arguments.quick else 0.8)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    with tempfile.TemporaryDirectory(prefix="udptun-bench-") as work_dir:
        subjects = subjects_here(arguments, work_dir)
        if arguments.self_test:
            return self_test(subjects)
        try:
            for s in subjects:
                s.start()
                s.wait_until_through()
            results = run_rounds(subjects, rounds, seconds)
            memory = measure_memory(subjects, 10000)
        finally:
            for s in subjects:
                s.stop()
    write_report(arguments.write, results, memory, rounds, seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
