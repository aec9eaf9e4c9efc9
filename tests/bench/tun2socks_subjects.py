# SPDX-License-Identifier: Apache-2.0
"""tun2socks_subjects.py - what tun2socks.py measures: daemons with a TUN device in this namespace."""
import json
import os
import resource
import socket
import subprocess
import time

import run

PROXY, PROXY_PORT = "10.200.0.1", 1080
TARGET, BADVPN_TARGET, UDP_TARGET = "198.51.100.9", "198.51.100.130", "203.0.113.9"


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def wait(condition):
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited 20 s")
        time.sleep(0.05)


def call(path, action, parameters):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(json.dumps({"action": action, "parameters": parameters}).encode())
        reply = json.loads(s.makefile().readline())
    if reply["statusCode"]:
        raise RuntimeError(reply)
    return reply.get("returnValue")


class TcpSide:
    """A SOCKS5 sink, the daemon with a device before it, and badvpn-tun2socks where there is one."""

    wait = staticmethod(wait)

    def __init__(self, bin_dir, work, idle):
        self.bin, self.work, self.idle, self.programs = bin_dir, work, idle, []

    def spawn(self, *command, **more):
        program = subprocess.Popen(command, **more)
        self.programs.append(program)
        return program

    def stream(self, *words):
        return [os.path.join(self.bin, "bench_stream"), *map(str, words)]

    def start(self, badvpn):
        ip("addr", "add", f"{PROXY}/32", "dev", "lo")
        self.spawn(*self.stream("sink", PROXY, PROXY_PORT))
        self.socket = os.path.join(self.work, "tcp.sock")
        self.daemon = self.spawn(os.path.join(self.bin, "udptund"), "--no-state", "--socket",
                                 self.socket, stderr=subprocess.DEVNULL)
        wait(lambda: os.path.exists(self.socket))
        call(self.socket, "configureTun2socks", {
            "name": "bench", "device": "tun:tun0", "address": "10.85.0.1/24",
            "tcp": f"socks5://{PROXY}:{PROXY_PORT}", "udp": "reject",
            "maxTcpFlows": self.idle + 100})
        ip("route", "add", "198.51.100.0/25", "dev", "tun0")
        if badvpn:
            ip("tuntap", "add", "dev", "tun1", "mode", "tun")
            ip("addr", "add", "10.86.0.1/24", "dev", "tun1")
            ip("link", "set", "tun1", "up")
            ip("route", "add", "198.51.100.128/25", "dev", "tun1")
            self.spawn(badvpn, "--tundev", "tun1", "--netif-ipaddr", "10.86.0.2",
                       "--netif-netmask", "255.255.255.0", "--socks-server-addr",
                       f"{PROXY}:{PROXY_PORT}", "--loglevel", "error")
            time.sleep(1)

    def status(self):
        return call(self.socket, "getStatus", {})["tun2socks"][0]

    def measure(self, where, direction, flows, seconds):
        """Mbit/s."""
        address, port, *socks = where
        done = subprocess.run(self.stream("load", address, port, direction, flows, seconds, *socks),
                              capture_output=True, text=True, check=True, timeout=60)
        return float(done.stdout)

    def hold_open(self, where, count):
        """A program that has opened `count` flows and holds them until its input ends."""
        holder = self.spawn(*self.stream("idle", *where, count), stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)
        holder.stdout.readline()
        return holder

    def resident_bytes(self):
        with open(f"/proc/{self.daemon.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def stop(self):
        for program in self.programs:
            if program.poll() is None:
                program.terminate()
        for program in self.programs:
            program.wait()


class TunAndTunnel(run.Udptund):
    """UDP into a TUN device, from there in memory into a udp-local, and out at a udp-server."""

    host, source, sink_host = UDP_TARGET, "10.88.0.1", "10.89.0.1"

    def start(self):
        self.entrance, stream = 9, run.tcp_port()
        self.daemon("tun-far", {"name": "bench", "role": "server", "listen": f"127.0.0.1:{stream}",
                                "target": f"{self.sink_host}:{self.sink}"})
        path = os.path.join(self.work, "tun-near.sock")
        self.spawn(os.path.join(self.bin, "udptund"), "--no-state", "--socket", path,
                   "--log-level", "warn")
        self.processes.reverse()  # the near end first, as everywhere
        wait(lambda: os.path.exists(path))
        call(path, "configureUdpTunnel", {"name": "near", "role": "local", "wait": 10,
                                          "server": f"127.0.0.1:{stream}"})
        call(path, "configureTun2socks", {"name": "bench", "device": "tun:tun2",
                                          "address": "10.87.0.1/24", "udp": "tunnel:near"})
        ip("route", "replace", f"{UDP_TARGET}/32", "dev", "tun2")
        for local in ("10.88.0.0/16", "10.89.0.0/16"):  # the apps' addresses, and the sink's
            ip("route", "replace", "local", local, "dev", "lo")
        # What comes back is from an address of this machine, for the sink is on it.
        with open("/proc/sys/net/ipv4/conf/tun2/accept_local", "w", encoding="ascii") as file:
            file.write("1")
        self.path = path

    def status(self):
        return call(self.path, "getStatus", {})["tun2socks"][0]
