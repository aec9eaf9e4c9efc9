# SPDX-License-Identifier: Apache-2.0
"""tun2socks instances over the command socket: what they answer, what is kept, and datagrams
through the device unix:, which needs no rights: this test is the peer that sends IP packets."""
import json
import os
import socket
import struct
import threading
import time
import unittest

from daemon import DEADLINE_S, TestCase, free_port

STATUS_FIELDS = {"name", "state", "device", "mtu", "tcp", "udp", "tcpFlows", "udpFlows",
                 "tcpRefused", "txPackets", "rxPackets", "txBytes", "rxBytes", "dropped", "uptime"}
APP = ("10.0.0.2", 4000)
LOCAL = {"name": "local", "role": "local", "server": "127.0.0.1:9"}


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def udp_packet(source, destination, payload):
    """An IPv4 packet; its UDP checksum is left out, as RFC 768 allows."""
    udp = struct.pack("!4H", source[1], destination[1], 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0,
                       socket.inet_aton(source[0]), socket.inet_aton(destination[0]))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp


def parse(packet):
    """(protocol, source, destination, what is behind the header) of an IPv4 packet."""
    rest = packet[(packet[0] & 15) * 4:]
    return packet[9], socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20]), rest


class Echo:
    """UDP on 127.0.0.1 that sends back what comes, and a word from another port."""

    def __init__(self, test):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.third = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.third.bind(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self.third_address = self.third.getsockname()
        thread = threading.Thread(target=self.run)
        thread.start()
        test.addCleanup(self.third.close)
        test.addCleanup(self.socket.close)
        test.addCleanup(thread.join)
        test.addCleanup(self.end)

    def run(self):
        while True:
            data, peer = self.socket.recvfrom(65536)
            if data == b"end":
                return
            self.socket.sendto(data, peer)
            self.third.sendto(b"third", peer)

    def end(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"end", self.address)


class Tun2socks(TestCase):
    def setUp(self):
        self.d = self.daemon()
        self.c = self.d.client()
        self.addCleanup(self.c.close)
        self.path = os.path.join(self.d.folder, "packets.sock")
        self.device = "unix:" + self.path

    def configure(self, **fields):
        return self.c.call("configureTun2socks", dict({"name": "n", "device": self.device},
                                                      **fields))

    def instances(self):
        return self.ok(self.c.call("getStatus"))["tun2socks"]

    def peer(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(s.close)
        s.settimeout(DEADLINE_S)
        s.connect(self.path)
        return s

    def test_configure_status_remove(self):
        value = self.ok(self.configure(tcp="socks5://u:secret@127.0.0.1:9", udp="reject"))
        self.assertEqual((value["changed"], value["persistent"]), (True, True))
        status = value["tun2socks"]
        self.assertLessEqual(STATUS_FIELDS, set(status))
        self.assertEqual((status["name"], status["state"], status["device"], status["tcp"]),
                         ("n", "established", self.device, "socks5://127.0.0.1:9"))
        self.assertEqual(status["dropped"]["malformed"], 0)
        self.assertEqual(status["dropped"]["tcpLimit"], 0)
        self.assertNotIn("secret", self.d.log_text())
        self.assertEqual([i["name"] for i in self.instances()], ["n"])
        self.assertFalse(self.ok(self.configure(tcp="socks5://u:secret@127.0.0.1:9",
                                                udp="reject"))["changed"])
        self.assertTrue(self.ok(self.configure(merge=True, maxUdpFlows=5))["changed"])
        self.assertEqual(self.ok(self.c.call("removeTun2socks", {"name": "n"})), {"changed": True})
        self.assertEqual(self.instances(), [])
        self.assertFalse(os.path.exists(self.path))
        self.assertEqual(self.ok(self.c.call("removeTun2socks", {"name": "n"})),
                         {"changed": False})

    def test_states_are_told_and_waited_for(self):
        near = {"name": "near", "role": "local", "server": "127.0.0.1:%d" % free_port()}
        self.ok(self.c.call("configureUdpTunnel", dict(near, enabled=False)))
        with self.d.client() as w, self.d.client() as waiter:
            self.ok(w.call("subscribe", {"topics": ["state"], "snapshot": False}))
            status = self.ok(self.configure(udp="tunnel:near"))["tun2socks"]
            self.assertEqual((status["state"], status["lastError"]),
                             ("degraded", "udp: tunnel near is disabled"))
            self.fails(self.configure(udp="tunnel:near", wait=0.1), 106, "TIMEOUT",
                       "parameters.wait")
            waiter.send(json.dumps({"action": "configureTun2socks", "parameters": {
                "name": "n", "device": self.device, "udp": "tunnel:near", "wait": DEADLINE_S}}))
            self.ok(self.c.call("configureUdpTunnel", near))
            self.assertEqual(self.ok(waiter.line())["tun2socks"]["state"], "established")
            self.ok(self.c.call("removeTun2socks", {"name": "n"}))
            states = []
            while "disabled" not in states:
                event = w.line()
                if event["event"] == "tun2socks.state":
                    self.assertEqual(event["data"]["name"], "n")
                    states.append(event["data"]["state"])
            self.assertEqual(states, ["degraded", "established", "disabled"])

    def test_a_change_that_fails_leaves_what_ran(self):
        self.ok(self.configure(udp="reject"))
        taken = os.path.join(self.d.folder, "taken")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
            other.bind(taken)
            other.listen(1)
            self.fails(self.configure(device="unix:" + taken), 104, "PORT_IN_USE",
                       "parameters.device")
        self.assertEqual(self.instances()[0]["device"], self.device)
        peer = self.peer()
        peer.send(udp_packet(APP, ("192.0.2.1", 9), b"x"))
        self.assertEqual(parse(peer.recv(65536))[0], 1)

    def test_the_same_place_passes_from_one_to_the_next(self):
        folder = os.path.join(self.d.folder, "place")
        os.mkdir(folder)
        self.path = os.path.join(folder, "packets")
        self.device = "unix:" + self.path
        self.ok(self.configure(udp="reject"))
        self.ok(self.configure(udp="reject", mtu=9000))
        os.rename(folder, folder + ".away")
        reply = self.configure(udp="reject", mtu=1500)
        self.assertNotEqual(reply["statusCode"], 0, reply)
        status = self.instances()[0]
        self.assertEqual((status["state"], status["mtu"]), ("failed", 9000))
        self.assertIn(self.path, status["lastError"])
        os.rename(folder + ".away", folder)
        end = time.monotonic() + DEADLINE_S
        while self.instances()[0]["state"] != "established":
            self.assertLess(time.monotonic(), end, self.instances())
            time.sleep(0.05)
        peer = self.peer()
        peer.send(udp_packet(APP, ("192.0.2.1", 9), b"x"))
        self.assertEqual(parse(peer.recv(65536))[0], 1)

    def test_what_is_wrong_is_named_and_changes_nothing(self):
        for field, value, name, code in (
                ("device", "tap:x", "INVALID_PARAM", 7), ("tcp", "http://h:1", "INVALID_PARAM", 7),
                ("udp", "tunnel:", "INVALID_PARAM", 7), ("udp", "tunnel:no", "NOT_FOUND", 100),
                ("mtu", 100, "INVALID_PARAM", 7), ("maxTcpFlows", 0, "INVALID_PARAM", 7),
                ("udpFlowTimeout", 0, "INVALID_PARAM", 7), ("address", "10.0.0.1", "INVALID_PARAM", 7),
                ("address6", "fd00::1/64", "INVALID_PARAM", 7),
                ("device", "fd:0", "INVALID_PARAM", 7), ("device", "tun:a/b", "INVALID_PARAM", 7),
                ("device", "fd:x", "INVALID_PARAM", 7)):
            with self.subTest(field=field, value=value):
                self.fails(self.configure(**{field: value}), code, name, "parameters." + field)
        for field, value in (("address", "10.0.0.1/33"), ("address", "fd00::1/64"),
                             ("address", "10.0.0.1/"), ("address6", "fd00::1/129"),
                             ("address6", "10.0.0.1/24"), ("address6", "fd00::1/+1")):
            with self.subTest(field=field, value=value):
                self.fails(self.configure(device="tun:udptuntest", **{field: value}), 7,
                           "INVALID_PARAM", "parameters." + field)
        self.assertEqual(self.instances(), [])

    def with_fd(self, *sockets, **fields):
        """configureTun2socks with descriptors at its first byte."""
        request = {"action": "configureTun2socks",
                   "parameters": dict({"name": "n", "device": "fd:0", "udp": "reject"}, **fields)}
        socket.send_fds(self.c.socket, [json.dumps(request).encode()],
                        [s.fileno() for s in sockets])
        return self.c.line()

    def pair(self):
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        far.settimeout(DEADLINE_S)
        return near, far

    def assert_alive(self, far):
        """An echo request is answered."""
        echo = struct.pack("!BBHHH", 8, 0, 0, 7, 1) + b"ping"
        echo = echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:]
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(echo), 1, 0, 64, 1, 0,
                           socket.inet_aton("10.0.0.2"), socket.inet_aton("10.0.0.1"))
        far.send(head[:10] + struct.pack("!H", checksum(head)) + head[12:] + echo)
        protocol, source, _, rest = parse(far.recv(65536))
        self.assertEqual((protocol, source, rest[0], rest[8:]), (1, "10.0.0.1", 0, b"ping"))

    def test_the_descriptor_that_came_with_the_message(self):
        first, second = self.pair(), self.pair()
        self.ok(self.with_fd(self.pair()[0]))  # what is made once for all is there then
        self.ok(self.c.call("removeTun2socks", {"name": "n"}))
        before = len(os.listdir("/proc/%d/fd" % self.d.process.pid))
        value = self.ok(self.with_fd(first[0], second[0], device="fd:1"))
        self.assertEqual((value["changed"], value["persistent"]), (True, False))
        self.assert_alive(second[1])
        first[0].close()
        self.assertEqual(first[1].recv(1), b"")  # nobody took it: the daemon closed it
        # It goes on with what it has, and with another when one comes.
        self.ok(self.configure(device="fd:1", udp="reject", maxUdpFlows=5))
        self.assert_alive(second[1])
        third = self.pair()
        self.ok(self.with_fd(third[0]))
        self.assert_alive(third[1])
        second[0].close()
        self.assertEqual(second[1].recv(1), b"")
        self.ok(self.c.call("removeTun2socks", {"name": "n"}))
        third[0].close()
        self.assertEqual(third[1].recv(1), b"")
        self.assertEqual(len(os.listdir("/proc/%d/fd" % self.d.process.pid)), before)

    def test_a_descriptor_is_not_kept_over_a_restart(self):
        self.ok(self.with_fd(self.pair()[0]))
        self.d.stop()
        self.d.start()
        self.c = self.d.client()
        self.addCleanup(self.c.close)
        self.assertEqual(self.instances(), [])

    def test_names_are_one_namespace_and_used_tunnels_stay(self):
        tunnel = {"name": "t", "role": "local", "server": "127.0.0.1:9"}
        self.ok(self.c.call("configureUdpTunnel", tunnel))
        self.fails(self.configure(name="t"), 102, "CONFLICT", "parameters.name")
        self.ok(self.configure(udp="tunnel:t"))
        for action in ("listFlows", "listSessions", "pingTunnel"):
            reply = self.c.call(action, {"name": "n"})
            self.fails(reply, 100, "NOT_FOUND", "parameters.name")
            self.assertIn("is a tun2socks instance", reply["errorMessage"])
        self.fails(self.c.call("configureUdpTunnel", dict(tunnel, name="n")), 102, "CONFLICT",
                   "parameters.name")
        self.fails(self.c.call("removeUdpTunnel", {"name": "t"}), 102, "CONFLICT",
                   "parameters.name")
        self.ok(self.c.call("removeTun2socks", {"name": "n"}))
        self.ok(self.c.call("removeUdpTunnel", {"name": "t"}))

    def test_what_others_name_keeps_what_they_need(self):
        self.ok(self.c.call("configureUdpTunnel", LOCAL))
        self.ok(self.configure(udp="tunnel:local"))
        self.fails(self.c.call("configureUdpTunnel", {"name": "local", "role": "server"}), 102,
                   "CONFLICT", "parameters.role")
        self.ok(self.configure(name="pipe", device="pipe"))
        self.ok(self.c.call("configureUdpTunnel", {"name": "s", "role": "server",
                                                   "egress": "tun2socks:pipe"}))
        self.fails(self.c.call("configureTun2socks",
                               {"name": "pipe", "device": "unix:" + self.path + "2"}), 102,
                   "CONFLICT", "parameters.device")

    def test_one_that_cannot_be_had_otherwise_stays_as_it_was(self):
        self.ok(self.configure())
        before = self.peer()
        for device in ("unix:/nonexistent/x", "unix:" + self.d.log):
            reply = self.c.call("configureTun2socks", {"name": "n", "device": device})
            self.assertNotEqual(reply["statusCode"], 0, reply)
            self.assert_alive(before)
            self.assertEqual(self.instances()[0]["state"], "established")

    def apply(self, tunnels, instances):
        return self.ok(self.c.call("applyConfig", {
            "config": {"udpTunnels": tunnels, "tun2socks": instances}, "prune": True}))

    def test_a_name_may_become_an_object_of_the_other_kind(self):
        server = {"name": "x", "role": "server", "listen": "127.0.0.1:0"}
        self.apply([server], [])
        done = self.apply([], [{"name": "x", "device": "pipe"}])
        self.assertEqual(done, {"created": [], "changed": ["x"], "removed": []})
        self.assertEqual([t["name"] for t in self.instances()], ["x"])
        self.apply([server], [])
        status = self.ok(self.c.call("getStatus"))
        self.assertEqual([t["name"] for t in status["udpTunnels"]], ["x"])
        self.assertEqual(status["tun2socks"], [])

    def test_a_tunnel_that_is_used_is_not_pruned(self):
        instance = {"name": "t", "device": "unix:" + self.path, "udp": "tunnel:local"}
        self.apply([LOCAL], [instance])
        reply = self.c.call("applyConfig", {"config": {"tun2socks": [instance]}, "prune": True})
        self.fails(reply, 102, "CONFLICT")  # nothing in the request names it
        self.assertIn("'local'", reply["errorMessage"])

    def test_an_instance_lets_go_of_a_tunnel_that_goes(self):
        instance = {"name": "t", "device": "unix:" + self.path, "udp": "tunnel:local"}
        self.apply([LOCAL], [instance])
        done = self.apply([dict(LOCAL, name="other")], [dict(instance, udp="tunnel:other")])
        self.assertEqual(done, {"created": ["other"], "changed": ["t"], "removed": ["local"]})

    def test_what_is_removed_lets_go_of_what_it_used(self):
        instance = {"name": "t", "device": "unix:" + self.path, "udp": "tunnel:local"}
        server = {"name": "local", "role": "server", "listen": "127.0.0.1:0"}
        self.apply([LOCAL], [instance])
        self.assertEqual(self.apply([server], []),
                         {"created": [], "changed": ["local"], "removed": ["t"]})
        pipe = {"name": "pipe", "device": "pipe"}
        self.apply([dict(server, egress="tun2socks:pipe")], [pipe])
        done = self.apply([], [dict(pipe, device="unix:" + self.path)])
        self.assertEqual(done, {"created": [], "changed": ["pipe"], "removed": ["local"]})

    def test_the_device_of_one_that_is_removed_passes_on(self):
        instance = {"name": "t", "device": "unix:" + self.path}
        self.apply([], [instance])
        self.assertEqual(self.apply([], [dict(instance, name="heir")]),
                         {"created": ["heir"], "changed": [], "removed": ["t"]})
        self.assertEqual([t["state"] for t in self.instances()], ["established"])

    def test_devices_are_exchanged(self):
        a, b = ("unix:%s%s" % (self.path, n) for n in "ab")
        for first, second in ((a, b), (b, a)):
            self.apply([], [{"name": "t", "device": first}, {"name": "u", "device": second}])
            self.assertEqual([t["device"] for t in self.instances()], [first, second])

    def test_instances_are_back_after_a_restart(self):
        self.ok(self.c.call("configureUdpTunnel",
                            {"name": "z", "role": "local", "server": "127.0.0.1:9"}))
        self.ok(self.configure(udp="tunnel:z", icmpEcho="drop"))
        self.ok(self.configure(name="gone", device=self.device + "2", ephemeral=True))
        self.assertEqual(self.d.stop(), 0)
        self.d.start()
        with self.d.client() as c:
            status = self.ok(c.call("getStatus"))
        self.assertEqual([(i["name"], i["state"], i["udp"]) for i in status["tun2socks"]],
                         [("n", "established", "tunnel:z")])

    def datagrams_pass(self, **fields):
        """A full cone: the answer, and a third party's word, each with its true source."""
        echo = Echo(self)
        self.ok(self.configure(**fields))
        peer = self.peer()
        payload = bytes(range(256)) * 5
        got = {}
        for _ in range(100):
            peer.send(udp_packet(APP, echo.address, payload))
            peer.settimeout(1)
            try:
                while len(got) < 2:
                    protocol, source, destination, udp = parse(peer.recv(65536))
                    self.assertEqual((protocol, source, destination), (17, "127.0.0.1", APP[0]))
                    ports = struct.unpack("!HH", udp[:4])
                    self.assertEqual(ports[1], APP[1])
                    got[ports[0]] = udp[8:]
                break
            except socket.timeout:
                pass # the tunnel was not there yet
        self.assertEqual(got, {echo.address[1]: payload, echo.third_address[1]: b"third"})
        status = self.instances()[0]
        self.assertEqual((status["state"], status["udpFlows"]), ("established", 1))
        return peer

    def test_datagrams_go_straight(self):
        peer = self.datagrams_pass(udp="direct")
        peer.send(udp_packet(APP, ("127.0.0.1", free_port(socket.SOCK_DGRAM)), b"nobody"))
        protocol, _, destination, icmp = parse(peer.recv(65536))
        while protocol == 17: # an answer that was still on its way
            protocol, _, destination, icmp = parse(peer.recv(65536))
        self.assertEqual((protocol, destination, icmp[:2]), (1, APP[0], b"\x03\x03"))

    def test_datagrams_go_through_a_tunnel(self):
        port = free_port()
        self.ok(self.c.call("configureUdpTunnel",
                            {"name": "s", "role": "server", "listen": "127.0.0.1:%d" % port,
                             "allowTargets": ["127.0.0.1/32"]}))
        self.ok(self.c.call("configureUdpTunnel",
                            {"name": "l", "role": "local", "server": "127.0.0.1:%d" % port}))
        peer = self.datagrams_pass(udp="tunnel:l")
        peer.send(udp_packet(APP, ("127.0.0.1", free_port(socket.SOCK_DGRAM)), b"nobody"))
        protocol, _, destination, icmp = parse(peer.recv(65536))
        while protocol == 17:
            protocol, _, destination, icmp = parse(peer.recv(65536))
        self.assertEqual((protocol, destination, icmp[:2]), (1, APP[0], b"\x03\x03"))

    def test_datagrams_go_through_a_proxy_that_is_a_udp_local(self):
        port, proxy = free_port(), free_port()
        self.ok(self.c.call("configureUdpTunnel",
                            {"name": "s", "role": "server", "listen": "127.0.0.1:%d" % port,
                             "allowTargets": ["127.0.0.1/32"]}))
        self.ok(self.c.call("configureUdpTunnel",
                            {"name": "l", "role": "local", "server": "127.0.0.1:%d" % port,
                             "listen": "socks5://127.0.0.1:%d" % proxy}))
        self.datagrams_pass(udp="socks5://127.0.0.1:%d" % proxy)
        self.assertTrue(self.instances()[0]["associated"])

    def leaves_by_packets(self, egress, **instance):
        """udp-local, udp-server whose flows leave as IP packets, tun2socks, sockets."""
        echo = Echo(self)
        port = free_port()
        self.ok(self.c.call("configureUdpTunnel",
                            {"name": "s", "role": "server", "listen": "127.0.0.1:%d" % port,
                             "allowTargets": ["127.0.0.1/32"], "egress": egress}))
        self.ok(self.configure(udp="direct", **instance))
        entry = self.ok(self.c.call("configureUdpTunnel", {
            "name": "l", "role": "local", "server": "127.0.0.1:%d" % port, "wait": DEADLINE_S,
            "target": "127.0.0.1:%d" % echo.address[1], "listen": "udp://127.0.0.1:0"}))
        entry = int(entry["tunnel"]["listen"].rsplit(":", 1)[1])
        apps = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        for app in apps:
            self.addCleanup(app.close)
            app.settimeout(DEADLINE_S)
        for size in (0, 1, 1472, 65507):
            for i, app in enumerate(apps):
                payload = bytes([i]) * size
                app.sendto(payload, ("127.0.0.1", entry))
                self.assertEqual({app.recv(70000), app.recv(70000)}, {payload, b"third"})
        self.assertEqual(self.instances()[0]["udpFlows"], 3)
        return entry

    def test_a_servers_flows_leave_through_a_pipe(self):
        self.leaves_by_packets("tun2socks:n", device="pipe")
        self.fails(self.c.call("removeTun2socks", {"name": "n"}), 102, "CONFLICT",
                   "parameters.name")
        self.ok(self.c.call("removeUdpTunnel", {"name": "s"}))
        self.ok(self.c.call("removeTun2socks", {"name": "n"}))

    def test_a_servers_flows_leave_through_a_socket(self):
        self.leaves_by_packets(self.device)

    def test_a_server_says_that_its_instance_is_absent(self):
        port = free_port()
        self.ok(self.c.call("configureUdpTunnel",
                            {"name": "s", "role": "server", "listen": "127.0.0.1:%d" % port,
                             "egress": "tun2socks:nobody"}))
        entry = self.ok(self.c.call("configureUdpTunnel", {
            "name": "l", "role": "local", "server": "127.0.0.1:%d" % port, "wait": DEADLINE_S,
            "target": "192.0.2.1:9", "listen": "udp://127.0.0.1:0"}))
        entry = int(entry["tunnel"]["listen"].rsplit(":", 1)[1])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as app:
            app.sendto(b"x", ("127.0.0.1", entry))
            end = time.monotonic() + DEADLINE_S
            while time.monotonic() < end:
                status = self.ok(self.c.call("getStatus", {"name": "s"}))["udpTunnels"][0]
                if "tun2socks:nobody" in status.get("lastError", ""):
                    return
                time.sleep(0.02)
        self.fail(status)

    def test_a_peer_that_goes_makes_room_for_the_next(self):
        peer = self.datagrams_pass(udp="direct")
        peer.close()
        self.ok(self.c.call("removeTun2socks", {"name": "n"}))
        self.datagrams_pass(udp="direct")

    def test_nonsense_is_counted(self):
        self.ok(self.configure(udp="reject"))
        peer = self.peer()
        good = udp_packet(APP, ("192.0.2.1", 9), b"x")
        for packet in (b"\x45", good[:-1], b"\x00" * 40):
            peer.send(packet)
        broken = bytearray(good)
        broken[8] ^= 1
        peer.send(broken)
        peer.send(good)
        protocol, _, _, icmp = parse(peer.recv(65536)) # and by then the others were read
        self.assertEqual((protocol, icmp[:2]), (1, b"\x03\x03"))
        dropped = self.instances()[0]["dropped"]
        self.assertEqual((dropped["malformed"], dropped["checksum"], dropped["rejected"]),
                         (3, 1, 1))


if __name__ == "__main__":
    unittest.main()
