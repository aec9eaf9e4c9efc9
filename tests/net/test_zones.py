# SPDX-License-Identifier: Apache-2.0
"""Link-local addresses, whose zone is an interface: by its name and by its number.

    app ─ fe80::a%… ─ client: udp-local ─ fe80::b%client ─ router: udp-server ─ fe80::d%third ─ third
"""

import socket
import struct
import unittest

from harness import GUARD_S, NetTest, poll

SERVER_PORT, SOCKS, UDP, OWN, ECHO = 3456, 1090, 1091, 3457, 9000
APP, SERVER, TARGET = "fe80::a", "fe80::b", "fe80::d"


class Zones(NetTest):
    @classmethod
    def build(cls):
        net = cls.net
        # pylint: disable=protected-access
        net._ip(net.client, f"addr add {APP}/64 dev eth0 nodad")
        net._ip(net.router, f"addr add {SERVER}/64 dev client nodad")
        net._ip(net.third, f"addr add {TARGET}/64 dev eth0 nodad")
        cls.index = {name: cls.index_of(getattr(net, name), link) for name, link in
                     (("client", "eth0"), ("third", "eth0"))}
        cls.index["to client"] = cls.index_of(net.router, "client")
        cls.index["to third"] = cls.index_of(net.router, "third")
        cls.far, cls.near = net.daemon("router"), net.daemon("client")
        cls.echo = cls.bound(net.third, TARGET, ECHO, cls.index["third"])

    @staticmethod
    def index_of(namespace, link):
        with namespace.inside():
            return socket.if_nametoindex(link)

    @staticmethod
    def bound(namespace, host, port, index):
        sock = namespace.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.bind((host, port, 0, index))
        return sock

    @classmethod
    def tearDownClass(cls):
        cls.echo.close()
        super().tearDownClass()

    def setUp(self):
        self.app = self.bound(self.net.client, APP, 0, self.index["client"])
        self.addCleanup(self.app.close)

    def answer(self):
        """Third receives what an app sent, and answers."""
        data, source = self.echo.recvfrom(2000)
        self.echo.sendto(data[::-1], source)
        return data

    def assert_passes(self, frame, to, skip=0):
        self.app.sendto(frame + b"ping", to)
        self.assertEqual(self.answer(), b"ping")
        self.assertEqual(self.app.recvfrom(2000)[0][skip:], b"gnip")

    def run_with(self, to_client, to_third, own):
        """All three places with zones: as listeners, as server, as targets."""
        self.far.configure(name="far", role="server", listen=f"[{SERVER}%{to_client}]:{SERVER_PORT}",
                           insecure=True, allowTargets=["fe80::/10"])
        self.far.configure(name="one", role="server", listen=f"[{SERVER}%{to_client}]:{OWN}",
                           insecure=True, target=f"[{TARGET}%{to_third}]:{ECHO}")
        server = f"[{SERVER}%{own}]"
        self.near.configure(name="udp", role="local", listen=f"udp://[{APP}%{own}]:{UDP}", wait=GUARD_S,
                            server=f"{server}:{SERVER_PORT}", target=f"[{TARGET}%{to_third}]:{ECHO}")
        self.assert_passes(b"", (APP, UDP, 0, self.index["client"]))
        self.near.configure(name="udp", role="local", listen=f"udp://[{APP}%{own}]:{UDP}", wait=GUARD_S,
                            server=f"{server}:{OWN}", target=f"[{TARGET}%{to_third}]:{ECHO}")
        self.assert_passes(b"", (APP, UDP, 0, self.index["client"]))
        self.near.configure(name="socks", role="local", listen=f"socks5://[{APP}%{own}]:{SOCKS}",
                            server=f"{server}:{SERVER_PORT}", wait=GUARD_S)
        control = self.net.client.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.addCleanup(control.close)
        control.connect((APP, SOCKS, 0, self.index["client"]))
        control.sendall(b"\5\1\0\5\3\0\4" + bytes(18))
        reply = b""
        while len(reply) < 24:
            reply += control.recv(24 - len(reply))
        port = struct.unpack(">H", reply[22:])[0]
        name = f"{TARGET}%{to_third}".encode()
        self.assert_passes(b"\0\0\0\3" + bytes([len(name)]) + name + struct.pack(">H", ECHO),
                           (APP, port, 0, self.index["client"]), skip=22)

    def test_by_name(self):
        self.run_with("client", "third", "eth0")

    def test_by_number(self):
        self.run_with(self.index["to client"], self.index["to third"], self.index["client"])

    def test_command_that_needs_another_interface_is_refused(self):
        place = f"[{SERVER}%nowhere]:{SERVER_PORT}"
        reply = self.far.request("configureUdpTunnel", {
            "name": "none", "role": "server", "insecure": True, "listen": place})
        self.assertEqual(reply["error"]["field"], "parameters.listen", reply)
        self.assertIn(f"{place}: no such device", reply["errorMessage"].lower())
        self.assertNotIn("none", [t["name"] for t in self.far.call("getStatus")["udpTunnels"]])
        for wrong in (f"[{SERVER}%]:1", f"[{SERVER}%a b]:1", f"[{SERVER}%much-too-long-name]:1",
                      f"{SERVER}%eth0:1", "[127.0.0.1%lo]:1", "[%lo]:1"):
            reply = self.far.request("configureUdpTunnel", {
                "name": "none", "role": "server", "insecure": True, "listen": wrong})
            self.assertEqual(reply["statusCode"], 7, reply)

    def test_dial_waits_for_its_interface(self):
        self.far.configure(name="late", role="server", listen=f"[::]:{OWN + 1}", insecure=True)
        self.near.configure(name="late", role="local", server=f"[{SERVER}%late0]:{OWN + 1}")
        poll("the cause", lambda: "late0" in self.near.status("late").get("lastError", ""))
        # pylint: disable=protected-access
        self.net._ip(self.net.client, "link add late0 type veth peer name late1",
                     "link set late0 up", "link set late1 up")
        self.net._ip(self.net.client, "link set late1 netns " + self.net.router.name)
        self.net._ip(self.net.router, "link set late1 up", f"addr add {SERVER}/64 dev late1 nodad")
        self.near.wait_state("late", "established")

    def test_object_of_the_config_file_comes_with_its_interface(self):
        config = {"udpTunnels": [{"name": "soon", "role": "server", "insecure": True,
                                  "listen": f"[fe80::e%soon0]:{SERVER_PORT}"}]}
        daemon = self.net.daemon("third", config, name="udptund-soon")
        self.assertEqual(daemon.status("soon")["state"], "failed")
        # pylint: disable=protected-access
        self.net._ip(self.net.third, "link add soon0 type veth peer name soon1", "link set soon0 up",
                     "addr add fe80::e/64 dev soon0 nodad")
        daemon.wait_state("soon", "listening")
        self.net._ip(self.net.third, "link del soon0")
        daemon.wait_state("soon", "failed")
        self.net._ip(self.net.third, "link add soon0 type veth peer name soon1", "link set soon0 up",
                     "addr add fe80::e/64 dev soon0 nodad")
        daemon.wait_state("soon", "listening")
        sock = self.net.third.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.addCleanup(sock.close)
        sock.connect(("fe80::e", SERVER_PORT, 0, self.index_of(self.net.third, "soon0")))


if __name__ == "__main__":
    unittest.main()
