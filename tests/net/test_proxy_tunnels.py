# SPDX-License-Identifier: Apache-2.0
"""ProxyController between a VPN client and udptund: both or neither, and as udptund replied."""

import fcntl
import json
import os
import pwd
import signal
import socket
import struct
import subprocess
import sys
import unittest

import proxy
from harness import BIN, GUARD_S, SERVER, NetTest, need, poll

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


class Tunnels(NetTest):
    @classmethod
    def build(cls):
        cls.daemon = cls.net.daemon("client")
        proxy.need_tun2socks(cls.daemon)

    def setUp(self):
        self.controller = proxy.ProxyController(self.net, self.net.client,
                                                udptund=self.daemon.socket_path)
        self.client = self.controller.client(self)

    def tearDown(self):
        self.assertEqual(self.controller.stop(), 0, self.controller.log())
        self.assertIsNone(self.controller.fault())
        self.net.programs.remove(self.controller)
        if self.daemon.running():
            self.daemon.call("applyConfig", {"config": {"udpTunnels": [], "tun2socks": []},
                                             "prune": True})

    def names(self):
        status = self.daemon.call("getStatus")
        return [one["name"] for one in status["udpTunnels"] + status["tun2socks"]]

    def mtu(self):
        return json.loads(proxy.ip(self.net.client, "-j", "link", "show", "tun0"))[0]["mtu"]

    def configure(self, tun2socks=None, **tunnel):
        parameters = {"name": "away", "role": "local", "server": "127.0.0.1:9", **tunnel}
        if tun2socks is not None:
            parameters["tun2socks"] = {"tcp": "reject", **tun2socks}
        return self.client.request("configureUdpTunnel", **parameters)

    def assert_refused(self, reply, code, field, word):
        self.assertEqual((reply["statusCode"], reply["error"].get("field")), (code, field), reply)
        self.assertIn(word, reply["errorMessage"])

    def test_a_tunnel_alone(self):
        reply = self.configure()
        direct = self.daemon.request("configureUdpTunnel", {"name": "away", "role": "local",
                                                            "server": "127.0.0.1:9"})
        self.assertEqual(reply["returnValue"].keys(), direct["returnValue"].keys())
        self.assertIs(reply["returnValue"]["changed"], True)
        self.assertIs(direct["returnValue"]["changed"], False)
        self.assertIs(self.client.call("removeUdpTunnel", name="away")["returnValue"]["changed"], True)
        self.assertIs(self.client.call("removeUdpTunnel", name="away")["returnValue"]["changed"], False)
        self.assert_refused(self.configure(server="nonsense"), 7, "parameters.server", "server")
        self.assert_refused(self.configure(rol="local"), 7, "parameters.rol", "unknown")
        self.assertEqual(self.names(), [])

    def test_both(self):
        for device in ({}, {"device": "tun0"},
                       {"device": "tun:tun0", "address": "10.0.85.1/24", "name": "away.tun"}):
            reply = self.configure(device, ephemeral=True)
            self.assertEqual(reply["statusCode"], 0, reply)
            self.assertEqual(self.names(), ["away", "away.tun"])
        self.assertIs(reply["returnValue"]["changed"], True)
        status = self.client.call("getStatus", name="away.tun")
        self.assertEqual(status["connectionStatus"], 1)
        instance = status["returnValue"]["tun2socks"][0]
        self.assertEqual((instance["state"], instance["udp"]), ("established", "tunnel:away"))
        self.assertEqual(self.mtu(), instance["mtu"])
        self.assertGreaterEqual(self.mtu(), 9000)
        self.assertEqual(self.configure({"mtu": 1400})["statusCode"], 0)
        self.assertEqual(self.mtu(), 1400)
        self.client.call("removeUdpTunnel", name="away")
        self.assertEqual((self.names(), self.mtu()), ([], 1500))

    def test_neither(self):
        for tun2socks, tunnel, code, field in (
                ({"tcp": "nonsense"}, {}, 7, "parameters.tun2socks.tcp"),
                ({"tpc": "reject"}, {}, 7, "parameters.tun2socks.tpc"),
                ({"udp": "tunnel:none"}, {}, 100, "parameters.tun2socks.udp"),
                ({"name": "away"}, {}, 7, "parameters.tun2socks.name"),
                ({"device": "fd:0"}, {}, 7, "parameters.tun2socks.device"),
                ({"device": 7}, {}, 7, "parameters.tun2socks.device"),
                ({"address": "10.1.1.1/24"}, {}, 7, "parameters.tun2socks.address"),
                ({}, {"server": "nonsense"}, 7, "parameters.server"),
                ({}, {"name": 7}, 7, "parameters.name"),
                # ProxyController is root, and its clients are not.
                ({}, {"mark": 7}, 2, "parameters.mark"),
                ({"device": "unix:/tmp/x"}, {}, 2, "parameters.tun2socks.device")):
            reply = self.configure(tun2socks, **tunnel)
            self.assertEqual((reply["statusCode"], reply["error"].get("field")), (code, field), reply)
            self.assertIn(field.split(".")[-1], reply["errorMessage"])
            self.assertEqual((self.names(), self.mtu()), ([], 1500))
        reply = self.client.request("configureUdpTunnel", name="away", role="local",
                                    server="127.0.0.1:9", tun2socks=[])
        self.assert_refused(reply, 7, "parameters.tun2socks", "must be an object")

    def test_direct_would_lead_back_into_the_device(self):
        for way in "tcp", "udp":
            self.assert_refused(self.configure({way: "direct"}), 7, f"parameters.tun2socks.{way}",
                                "tun0")
        self.assertEqual(self.names(), [])
        self.assertEqual(self.configure({"device": "pipe", "udp": "direct"})["statusCode"], 0)

    def test_what_is_there_stays_when_another_cannot_be_had(self):
        self.configure({"mtu": 1400}, key=KEY, connections=3)
        before = self.daemon.call("exportConfig", {"showSecrets": True})
        reply = self.configure({"tcp": "nonsense", "mtu": 2000}, connections=4)
        self.assertEqual(reply["statusCode"], 7)
        self.assertEqual(self.daemon.call("exportConfig", {"showSecrets": True}), before)
        self.assertEqual(self.mtu(), 1400)
        self.assertEqual(self.client.call("getStatus", name="away.tun")["returnValue"]["tun2socks"][0]
                         ["state"], "established")

    def test_merge(self):
        self.configure({"blockQuic": True, "name": "apps"}, key=KEY, connections=3, ephemeral=True)
        reply = self.client.call("configureUdpTunnel", name="away", merge=True, connections=5,
                                 tun2socks={"name": "apps", "icmpEcho": "drop"})
        self.assertIs(reply["returnValue"]["changed"], True)
        config = self.daemon.call("exportConfig", {"showSecrets": True})
        tunnel, instance = config["udpTunnels"][0], config["tun2socks"][0]
        self.assertEqual((tunnel["key"], tunnel["connections"]), (KEY, 5))
        self.assertEqual((instance["blockQuic"], instance["icmpEcho"], instance["tcp"]),
                         (True, "drop", "reject"))
        # Set up again with the key that only the first of them had.
        self.daemon.kill()
        self.daemon.start()
        poll("both to be back", lambda: self.names() == ["away", "apps"])
        self.assertEqual(self.daemon.call("exportConfig", {"showSecrets": True}), config)

    def test_secrets_that_only_udptund_knows_come_back(self):
        """Another ProxyController made the instance: this one has seen the proxy's password redacted."""
        self.configure({"tcp": "socks5://user:secret@127.0.0.1:1"}, key=KEY)
        self.controller.stop()
        self.controller.start()
        self.client = self.controller.client(self)
        self.client.call("configureUdpTunnel", name="away", merge=True, tun2socks={"mtu": 1400})
        before = self.daemon.call("exportConfig", {"showSecrets": True})
        self.assertEqual(before["tun2socks"][0]["tcp"], "socks5://user:secret@127.0.0.1:1")
        for end in ("kill", "stop"):
            getattr(self.daemon, end)()
            self.daemon.start()
            # It runs before the change is on the disk, and with it in the configuration.
            poll("the instance to be as it was",
                 lambda: self.daemon.call("exportConfig", {"showSecrets": True}) == before)
            status = self.daemon.call("getStatus", {"name": "away.tun"})["tun2socks"][0]
            self.assertEqual((status["state"], self.mtu()), ("established", 1400))

    def instance(self, name):
        config = self.daemon.call("exportConfig")
        return next(one for one in config["tun2socks"] if one["name"] == name)

    def test_a_merge_leaves_what_is_not_given(self):
        self.configure({"device": "pipe", "udp": "reject"})
        self.client.call("configureUdpTunnel", name="away", merge=True,
                         tun2socks={"icmpEcho": "drop"})
        instance = self.instance("away.tun")
        self.assertEqual((instance["device"], instance["udp"], instance["icmpEcho"]),
                         ("pipe", "reject", "drop"))
        self.assertEqual(self.mtu(), 1500)
        reply = self.client.request("configureUdpTunnel", name="away", merge=True,
                                    tun2socks={"device": "fd:0"})
        self.assert_refused(reply, 7, "parameters.tun2socks.device", "descriptor")
        # What is on our device stays there, and is seen to be.
        self.client.call("configureUdpTunnel", name="away", merge=True,
                         tun2socks={"device": "tun0", "udp": "tunnel:away"})
        self.client.call("configureUdpTunnel", name="away", merge=True, tun2socks={"mtu": 1400})
        self.assertEqual((self.mtu(), self.instance("away.tun")["udp"]), (1400, "tunnel:away"))
        self.assert_refused(self.configure({}, name="second"), 102, "parameters.tun2socks.device",
                            "'away.tun'")

    def test_the_device_is_left(self):
        for _ in range(2):
            self.assertEqual(self.configure({})["statusCode"], 0)
            self.assertGreaterEqual(self.mtu(), 9000)
            self.assertEqual(self.configure({"device": "pipe"})["statusCode"], 0)
            self.assertEqual(self.mtu(), 1500)
        self.assertEqual(self.configure({}, name="second")["statusCode"], 0)

    def test_a_device_of_the_daemons_own_needs_an_admin(self):
        """Clients of ProxyController are operators: they have its device, by its descriptor."""
        for device in ("tun:tun7", "unix:/nonexistent"):
            self.assert_refused(self.configure({"device": device}), 2,
                                "parameters.tun2socks.device", "admin")
        self.assertEqual(self.names(), [])

    def ask(self, client, **parameters):
        client.sock.sendall(json.dumps({"action": "configureUdpTunnel", "parameters": {
            "role": "local", "server": "127.0.0.1:9", **parameters}}).encode())

    def test_two_want_the_device_at_once(self):
        for tcp in ("reject", "nonsense"):
            second = self.controller.client(self)
            self.daemon.signal(signal.SIGSTOP)
            self.ask(self.client, name="away", tun2socks={"tcp": "reject"})
            poll("the first to have the device", lambda: self.mtu() >= 9000)
            self.ask(second, name="second", tun2socks={"tcp": tcp})
            # The answer is there before udptund has said a word.
            self.assert_refused(second.reply(), 102, "parameters.tun2socks.device", "configured")
            self.daemon.signal(signal.SIGCONT)
            self.assertEqual(self.client.reply()["statusCode"], 0)
            self.assertEqual(self.names(), ["away", "away.tun"])
            self.assertGreaterEqual(self.mtu(), 9000)
            self.client.call("removeUdpTunnel", name="away")
            self.ask(second, name="second", tun2socks={"tcp": "reject"})
            self.assertEqual(second.reply()["statusCode"], 0)
            second.call("removeUdpTunnel", name="second")
            self.assertEqual((self.names(), self.mtu()), ([], 1500))

    def test_what_was_answered_with_a_timeout_is_not_carried_out_later(self):
        self.assertEqual(self.client.call("getStatus")["statusCode"], 0)  # it is connected
        self.daemon.signal(signal.SIGSTOP)
        try:
            self.ask(self.client, name="late")
            self.assertEqual(self.client.reply()["statusCode"], 106)
        finally:
            self.daemon.signal(signal.SIGCONT)
        self.assertEqual(self.client.call("getStatus")["statusCode"], 0)  # read after what came before
        self.assertEqual(self.names(), [])

    def test_one_that_waits_keeps_the_device_for_nobody_else(self):
        self.ask(self.client, name="away", wait=1, tun2socks={"tcp": "reject"})
        second = self.controller.client(self)
        poll("both to be there", lambda: self.names() == ["away", "away.tun"])
        self.ask(second, name="away", tun2socks={"tcp": "reject", "mtu": 1400})
        self.assertEqual(second.reply()["statusCode"], 0)
        self.assertEqual(self.client.reply()["statusCode"], 106)
        self.assertEqual(self.mtu(), 1400)
        second.call("removeUdpTunnel", name="away")
        self.assertEqual((self.names(), self.mtu()), ([], 1500))

    def test_a_long_wait_holds_nobody_up(self):
        self.ask(self.client, name="slow", wait=3600)
        poll("it to be there", lambda: self.names() == ["slow"])
        other = self.controller.client(self)
        self.assertEqual(other.call("getStatus")["returnValue"]["udpTunnels"][0]["name"], "slow")
        self.ask(other, name="away", tun2socks={"tcp": "reject"})
        self.assertEqual(other.reply()["statusCode"], 0)
        self.assertEqual(sorted(self.names()), ["away", "away.tun", "slow"])
        # Its end ends the wait.
        self.client.close()
        poll("the connection of the wait to end", lambda: self.connections() == 1)
        other.call("removeUdpTunnel", name="slow")

    def connections(self):
        """Those of ProxyController at udptund."""
        with self.net.client.inside():
            listed = subprocess.run(["ss", "-xHp", "state", "connected"], capture_output=True, text=True,
                                    check=True).stdout
        return sum(self.daemon.socket_path in line and f"pid={self.daemon.pid}," in line
                   for line in listed.splitlines())

    def test_the_device_has_one_reader(self):
        self.configure({})
        reply = self.configure({}, name="second")
        self.assert_refused(reply, 102, "parameters.tun2socks.device", "'away.tun'")
        self.assertEqual(self.names(), ["away", "away.tun"])
        self.client.call("removeUdpTunnel", name="away")
        with self.net.client.inside(), open("/dev/net/tun", "r+b", buffering=0) as tun:
            fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
            reply = self.configure({})
            self.assertEqual(reply["statusCode"], 102)
            self.assertIn("another program is attached", reply["errorMessage"])
        self.assertEqual(self.names(), [])
        self.assertEqual(self.configure({})["statusCode"], 0)

    def test_what_others_name_is_not_removed(self):
        self.configure({"mtu": 1400})
        self.daemon.call("configureTun2socks", {"name": "other", "device": "tun:tun7", "tcp": "reject",
                                                "udp": "tunnel:away"})
        before = len(self.daemon.log())
        reply = self.client.request("removeUdpTunnel", name="away")
        self.assert_refused(reply, 102, "parameters.name", "'other'")
        self.assertEqual(sorted(self.names()), ["away", "away.tun", "other"])
        self.assertNotIn("away.tun", self.daemon.log()[before:])
        self.assertEqual(self.mtu(), 1400)
        self.daemon.call("removeTun2socks", {"name": "other"})
        self.client.call("removeUdpTunnel", name="away")
        self.assertEqual(self.names(), [])

    def test_an_instance_elsewhere_goes_with_its_tunnel_after_a_restart(self):
        self.configure({"device": "pipe"})
        self.daemon.call("configureTun2socks", {"name": "other", "device": "tun:tun8", "tcp": "reject",
                                                "udp": "tunnel:away"})
        self.assertEqual(self.controller.stop(), 0)
        self.controller.start()
        self.client = self.controller.client(self)
        reply = self.client.request("removeUdpTunnel", name="away")
        self.assert_refused(reply, 102, "parameters.name", "'other'")
        self.assertEqual(sorted(self.names()), ["away", "away.tun", "other"])
        self.daemon.call("removeTun2socks", {"name": "other"})
        self.client.call("removeUdpTunnel", name="away")
        self.assertEqual(self.names(), [])

    def test_what_cannot_come_back_keeps_no_other_away(self):
        port = 5399
        self.configure(name="port", listen=f"udp://127.0.0.1:{port}", target="192.0.2.1:53",
                       ephemeral=True)
        self.configure(name="before", ephemeral=True)
        self.configure({}, ephemeral=True)
        self.daemon.kill()
        taken = self.net.client.udp("127.0.0.1", port)
        self.addCleanup(taken.close)
        self.daemon.start()
        poll("the others", lambda: sorted(self.names()) == ["away", "away.tun", "before"])
        self.controller.wait_log("tunnel 'port' cannot be set up again")
        age = self.daemon.call("getStatus", {"name": "before"})["udpTunnels"][0]["uptime"]
        taken.close()
        poll("all", lambda: sorted(self.names()) == ["away", "away.tun", "before", "port"])
        self.controller.wait_log("tunnel 'port' is set up again")
        self.assertGreaterEqual(
            self.daemon.call("getStatus", {"name": "before"})["udpTunnels"][0]["uptime"], age)

    def test_one_that_names_another_comes_back(self):
        self.configure(name="carrier", ephemeral=True)
        self.configure({"udp": "tunnel:carrier"}, ephemeral=True)
        self.daemon.kill()
        self.daemon.start()
        poll("all", lambda: sorted(self.names()) == ["away", "away.tun", "carrier"])

    def test_one_that_is_not_established_in_time_is_remembered(self):
        self.assertEqual(self.configure(name="slow", ephemeral=True, wait=0.1)["statusCode"], 106)
        self.daemon.kill()
        self.daemon.start()
        poll("it to be back", lambda: self.names() == ["slow"])

    def test_without_udptund(self):
        self.daemon.stop()
        for tun2socks in (None, {}):
            reply = self.configure(tun2socks)
            self.assertEqual(reply["statusCode"], 5)
            self.assertIn("no daemon answers", reply["errorMessage"])
        self.assertEqual(self.mtu(), 1500)
        for action in ("removeUdpTunnel", "getStatus"):
            self.assertEqual(self.client.request(action, name="away")["statusCode"], 5)
        self.daemon.start()
        self.assertEqual(self.configure({})["statusCode"], 0)

    def test_what_udptund_lost_comes_back_and_nothing_else(self):
        self.configure({}, ephemeral=True, key=KEY, wait=0.1)
        self.configure(name="kept")
        self.configure(name="gone", ephemeral=True)
        self.daemon.kill()
        self.daemon.start()
        poll("what was lost", lambda: sorted(self.names()) == ["away", "away.tun", "gone", "kept"])
        self.assertEqual(self.daemon.call("exportConfig", {"showSecrets": True})["udpTunnels"][0]
                         .get("key"), KEY)
        # What somebody else changed meanwhile is not changed back.
        self.daemon.call("configureUdpTunnel", {"name": "kept", "merge": True, "connections": 2})
        self.client.call("removeUdpTunnel", name="gone")
        self.daemon.stop()
        self.daemon.start()
        poll("what was lost", lambda: sorted(self.names()) == ["away", "away.tun", "kept"])
        kept = next(one for one in self.daemon.call("exportConfig")["udpTunnels"]
                    if one["name"] == "kept")
        self.assertEqual(kept["connections"], 2)


class Socket(NetTest):
    """What existing clients send, and the command line."""

    def start(self, *options, **more):
        self.controller = proxy.ProxyController(self.net, self.net.client, options=options, **more)
        self.addCleanup(self.controller.stop)
        return self.controller.client(self)

    def test_several_objects_in_one_read(self):
        client = self.start()
        client.sock.sendall(b'{"parameters":{},"action":"getDeviceName","id":"a"}'
                            b'{"action":"resetRouting"} {"id":7,"action":"getDeviceName"}')
        self.assertEqual([client.reply() for _ in range(3)], [
            {"statusCode": 0, "action": "getDeviceName", "id": "a", "returnValue": "tun0"},
            {"statusCode": 0, "action": "resetRouting"},
            {"statusCode": 0, "action": "getDeviceName", "id": 7, "returnValue": "tun0"}])

    def test_bad_messages(self):
        client = self.start()
        for text, code, word in (
                ('{"action":"nonsense"}', 107, "'nonsense' is unknown"), ("{}", 107, "is missing"),
                ('{"action":7}', 107, "is missing"), ('{"a":1,"a":2}', 107, "not valid JSON"),
                ('{"action":"resetRouting","parameters":[]}', 7, "must be an object"),
                ('{"action":}', 107, "not valid JSON"), ("{\"\xff\":1}", 0, "")):
            client.sock.sendall(text.encode("latin-1"))
            reply = client.reply()
            if code:
                self.assertEqual(reply["statusCode"], code, reply)
            self.assertNotEqual(reply["statusCode"], 0)
            self.assertIn(word, reply["errorMessage"])
        self.assertEqual(client.call("getDeviceName")["returnValue"], "tun0")
        client.sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual(client.reply()["statusCode"], 107)
        with self.assertRaises(ConnectionError):
            client.reply()

    def test_owner_log_and_background(self):
        log = os.path.join(self.net.folder, "proxy.log")
        path = os.path.join(self.net.folder, "owned.sock")
        user = pwd.getpwnam("nobody")
        for owner in ("nobody", str(user.pw_uid)):
            with self.net.client.inside():
                subprocess.run([os.path.join(BIN, "ProxyController"), "-s", os.path.basename(path), "-u",
                                owner, "-l", os.path.basename(log), "-d", "--tun-name", "vpn7",
                                "--tun-address", "10.7.0.1/16"],
                               cwd=self.net.folder, check=True, timeout=GUARD_S, capture_output=True)
            # When the command returns, it is there.
            client = proxy.Client(path)
            self.addCleanup(client.close)
            who = client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            pid = struct.unpack("3i", who)[0]
            self.addCleanup(lambda pid=pid: os.path.exists(f"/proc/{pid}") and os.kill(pid, 9))
            found = os.stat(path)
            self.assertEqual((found.st_uid, found.st_gid, found.st_mode & 0o777),
                             (user.pw_uid, os.getgid(), 0o660))
            self.assertEqual(client.call("getDeviceName")["returnValue"], "vpn7")
            client.call("configureRouting", proxyIp=SERVER)
            self.assertIn("10.7.0.1/16", proxy.ip(self.net.client, "addr", "show", "vpn7"))
            os.rename(log, log + ".1")
            os.kill(pid, signal.SIGHUP)
            os.kill(pid, signal.SIGTERM)
            poll("the end", lambda pid=pid: not os.path.exists(f"/proc/{pid}"))
            self.assertFalse(os.path.exists(path))
            with open(log, encoding="utf-8") as file:
                self.assertIn("stopping", file.read())

    def test_silent_clients_of_another_user_leave_room_for_root(self):
        os.chmod(self.net.folder, 0o777)
        root = self.start("-u", "nobody")
        root.call("configureRouting", proxyIp=SERVER)
        root.close()
        silent = ("import socket, sys\nall = []\nfor _ in range(64):\n s = socket.socket(socket.AF_UNIX)\n"
                  " s.connect(sys.argv[1])\n all.append(s)\nprint('there', flush=True)\nsys.stdin.read()")
        for _ in range(3):
            crowd = subprocess.Popen([need("setpriv"), "--reuid", "nobody", "--clear-groups", sys.executable,
                                      "-c", silent, self.controller.path], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE)
            self.addCleanup(crowd.communicate)
            self.assertEqual(crowd.stdout.readline(), b"there\n")
        self.assertEqual(self.controller.client(self).call("resetRouting")["statusCode"], 0)

    def test_a_service_manager_is_told(self):
        path = os.path.join(self.net.folder, "notify.sock")
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.settimeout(GUARD_S)
        manager.bind(path)
        client = self.start(under=("env", f"NOTIFY_SOCKET={path}"))
        self.assertTrue(manager.recv(100).startswith(b"READY=1\n"))
        client.call("configureRouting", proxyIp=SERVER)
        self.assertEqual(self.controller.stop(), 0)
        self.assertTrue(manager.recv(100).startswith(b"STOPPING=1\n"))

    def test_wrong_command_lines(self):
        for options, word in ((["--tun-name", "a/b"], "--tun-name"), (["--mark", "x"], "--mark"),
                              (["--tun-address", "fd85::1/64"], "--tun-address"),
                              (["--tun-address6", "10.0.0.1"], "--tun-address6"),
                              (["-u", "no-such-user"], "no-such-user"), (["a", "b"], "unexpected"),
                              (["-s", "a", "b"], "twice"), (["--nonsense"], "nonsense")):
            result = subprocess.run([os.path.join(BIN, "ProxyController"), *options], text=True,
                                    capture_output=True, check=False, timeout=GUARD_S)
            self.assertEqual(result.returncode, 2, result)
            self.assertIn(word, result.stderr)
        for path in ("/nonexistent/folder/sock", "/etc/passwd", self.net.folder):
            with self.net.client.inside():
                result = subprocess.run([os.path.join(BIN, "ProxyController"), path], text=True,
                                        capture_output=True, check=False, timeout=GUARD_S)
            self.assertEqual(result.returncode, 1, result)
            self.assertIn(path, result.stderr)
            self.assertNotIn("tun0", proxy.ip(self.net.client, "link"))

    def test_one_capability_is_enough(self):
        proxy.settle(self.net.client)
        before = proxy.routing(self.net.client)
        os.chmod(self.net.folder, 0o777)
        # With a device node as Debian has it, whatever the one here is like.
        node = "mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec \"$@\""
        client = self.start(under=(
            need("unshare"), "--mount", "sh", "-c", node, "sh", need("setpriv"), "--reuid", "nobody",
            "--regid", "nogroup", "--clear-groups", "--no-new-privs", "--bounding-set=-all,+net_admin",
            "--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin"))
        client.call("configureRouting", proxyIp=SERVER)
        self.assertEqual(proxy.way(self.net.client, "1.1.1.1"), "tun0")
        client.call("resetRouting")
        self.assertEqual(self.controller.stop(), 0)
        self.assertEqual(proxy.routing(self.net.client), before)

    def test_no_operator_is_told(self):
        os.chmod(self.net.folder, 0o777)
        daemon = self.net.daemon("client", name="open", options=("--socket-mode", "0666"))
        os.chmod(daemon.folder, 0o755)
        client = self.start(udptund=daemon.socket_path,
                            under=(need("setpriv"), "--reuid", "nobody", "--regid", "nogroup",
                                   "--clear-groups"))
        reply = client.request("getStatus")
        self.assertEqual(reply["statusCode"], 2)
        self.assertIn("does not take ProxyController for an operator", reply["errorMessage"])

    def test_none_is_told(self):
        os.chmod(self.net.folder, 0o777)
        client = self.start(under=(need("setpriv"), "--reuid", "nobody", "--regid", "nogroup",
                                   "--clear-groups"))
        for action, parameters in (("getDeviceName", {}), ("configureRouting", {"proxyIp": SERVER})):
            reply = client.request(action, **parameters)
            self.assertEqual(reply["statusCode"], 2)
            self.assertIn("TUN device tun0", reply["errorMessage"])


if __name__ == "__main__":
    unittest.main()
