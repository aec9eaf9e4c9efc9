# SPDX-License-Identifier: Apache-2.0
"""ProxyController's routing: what goes where, and that it is as before afterwards, whatever happens.
"""

import contextlib
import os
import re
import signal
import subprocess
import unittest

import proxy
from harness import CLIENT, GUARD_S, ROUTER, ROUTER6, SERVER, SERVER6, THIRD, THIRD6, NetTest, need, poll

STRANGER = "203.0.113.77"  # on the client's own network


class Routing(NetTest):
    """One ProxyController after another, on a client with routes of several kinds."""

    @classmethod
    def build(cls):
        client = cls.net.client
        # pylint: disable=protected-access
        cls.net._ip(client, "route del default", f"route add default via {ROUTER['client']} dev eth0 proto dhcp metric 100",
                    f"route add default via {ROUTER['client']} metric 600",
                    f"route add 192.0.2.128/25 via {ROUTER['client']} metric 7",
                    "rule add from 10.9.9.9 lookup 77 priority 20000",
                    f"route add default via {ROUTER['client']} table 77",
                    f"route replace default via {ROUTER6['client']} metric 1024 expires 1800")
        proxy.settle(client)
        cls.before = proxy.routing(client)

    def setUp(self):
        self.controller = None

    def tearDown(self):
        if self.controller:
            self.assertEqual(self.controller.stop(), 0, self.controller.log())
            self.assertIsNone(self.controller.fault())
            self.net.programs.remove(self.controller)
        self.assertEqual(proxy.routing(self.net.client), self.before)
        self.assertNotIn("tun0", proxy.ip(self.net.client, "link"))

    def start(self, **options):
        self.controller = proxy.ProxyController(self.net, self.net.client, **options)
        return self.controller.client(self)

    def assert_as_before(self):
        self.assertEqual(proxy.routing(self.net.client), self.before)

    def test_all_but_the_proxy_and_local_networks(self):
        client = self.start()
        self.assert_as_before()
        self.assertEqual(client.call("getDeviceName")["returnValue"], "tun0")
        reply = client.call("configureRouting", routerIp="10.0.85.1", proxyIp=SERVER,
                            isAutoConnect=False)
        self.assertEqual(reply["connectionStatus"], 0)
        ways = {address: proxy.way(self.net.client, address)
                for address in (SERVER, STRANGER, ROUTER6["client"], THIRD, "1.1.1.1", THIRD6, SERVER6)}
        self.assertEqual(ways, {SERVER: "eth0", STRANGER: "eth0", ROUTER6["client"]: "eth0",
                                THIRD: "tun0", "1.1.1.1": "tun0", THIRD6: "tun0", SERVER6: "tun0"})
        self.assertEqual(proxy.way(self.net.client, "192.0.2.200"), "eth0")  # a route of the user's own
        for address in (THIRD, THIRD6):
            self.assertEqual(proxy.way(self.net.client, address, "mark", "8500"), "eth0")
        self.assertEqual(proxy.way(self.net.client, "224.0.0.251"), "eth0")
        client.call("resetRouting")
        self.assert_as_before()
        self.assertIn("tun0", proxy.ip(self.net.client, "link"))
        self.assertEqual(client.call("resetRouting")["statusCode"], 0)

    def test_a_proxy_with_an_ipv6_address(self):
        client = self.start()
        client.call("configureRouting", proxyIp=SERVER6)
        self.assertEqual(proxy.way(self.net.client, SERVER6), "eth0")
        self.assertEqual([proxy.way(self.net.client, address) for address in (SERVER, THIRD6)],
                         ["tun0", "tun0"])
        client.call("configureRouting", proxyIp=SERVER)  # another one instead
        self.assertEqual([proxy.way(self.net.client, address) for address in (SERVER, SERVER6)],
                         ["eth0", "tun0"])
        self.assertNotIn(SERVER6, proxy.ip(self.net.client, "-6", "rule"))

    def test_the_routing_stays_when_its_client_goes(self):
        client = self.start()
        client.call("configureRouting", proxyIp=SERVER)
        client.close()
        other = self.controller.client(self)
        self.assertEqual(other.request("getStatus").get("statusCode"), 5)
        self.assertEqual(proxy.way(self.net.client, THIRD), "tun0")
        # Nobody holds it now: another one may change it, and take it back.
        other.call("configureRouting", proxyIp=SERVER6)
        other.call("resetRouting")
        self.assert_as_before()

    def test_a_second_client_is_told_who_holds_it(self):
        first = self.start()
        second = self.controller.client(self)
        first.call("configureRouting", proxyIp=SERVER)
        for action, parameters in (("configureRouting", {"proxyIp": SERVER6}), ("resetRouting", {})):
            reply = second.request(action, **parameters)
            self.assertEqual(reply["statusCode"], 102)
            self.assertIn(f"process {os.getpid()} of user {os.getuid()}", reply["errorMessage"])
            self.assertEqual((reply["error"]["pid"], reply["error"]["uid"]),
                             (os.getpid(), os.getuid()))
        self.assertEqual(proxy.way(self.net.client, SERVER), "eth0")
        self.assertEqual(proxy.way(self.net.client, SERVER6), "tun0")
        first.call("resetRouting")
        second.call("configureRouting", proxyIp=SERVER)

    def test_bad_input_changes_nothing(self):
        client = self.start()
        for parameters, code, word in (
                ({}, 7, "proxyIp: is missing"), ({"proxyIp": 7}, 7, "must be a string"),
                ({"proxyIp": "198.51.100"}, 7, "'198.51.100' is not an IP address"),
                ({"proxyIp": "proxy.example"}, 7, "not an IP address"),
                ({"proxyIp": "127.0.0.1"}, 7, "not the address of a proxy"),
                ({"proxyIp": "::"}, 7, "not the address of a proxy"),
                ({"proxyIp": "224.0.0.1"}, 7, "not the address of a proxy"),
                ({"proxyIp": CLIENT}, 7, "this machine"),
                ({"proxyIp": "10.0.85.2"}, 7, "TUN device's own network"),
                ({"proxyIp": "fd85::7"}, 7, "TUN device's own network"),
                ({"proxyIp": SERVER, "routerIp": "10.0.85"}, 7, "routerIp: '10.0.85' is not an IP")):
            reply = client.request("configureRouting", **parameters)
            self.assertEqual(reply["statusCode"], code, reply)
            self.assertIn(word, reply["errorMessage"])
            self.assert_as_before()

    def test_no_default_route(self):
        client = self.start()
        # pylint: disable=protected-access
        self.net._ip(self.net.client, "route del default metric 100", "route del default metric 600")
        try:
            reply = client.request("configureRouting", proxyIp=SERVER)
            self.assertEqual(reply["statusCode"], 9)
            self.assertIn("no default route", reply["errorMessage"])
            self.assertEqual(proxy.way(self.net.client, THIRD), None)
            # A proxy on the local network needs none.
            client.call("configureRouting", proxyIp=STRANGER)
            client.call("resetRouting")
        finally:
            self.net._ip(self.net.client,
                         f"route add default via {ROUTER['client']} dev eth0 proto dhcp metric 100",
                         f"route add default via {ROUTER['client']} metric 600")

    def test_the_name_of_the_device_is_taken(self):
        # pylint: disable=protected-access
        self.net._ip(self.net.client, "tuntap add dev tun0 mode tun")
        with_it = proxy.routing(self.net.client)
        try:
            client = self.start()
            for action, parameters in (("getDeviceName", {}), ("configureRouting", {"proxyIp": SERVER})):
                reply = client.request(action, **parameters)
                self.assertEqual(reply["statusCode"], 102, reply)
                self.assertIn("tun0: there is a device of this name", reply["errorMessage"])
            self.assertEqual(proxy.routing(self.net.client), with_it)
            self.controller.stop()
            self.assertIn("tun0", proxy.ip(self.net.client, "link"))
        finally:
            self.net._ip(self.net.client, "link del tun0")

    def test_it_follows_the_default_route(self):
        client = self.start()
        client.call("configureRouting", proxyIp=SERVER)
        # pylint: disable=protected-access
        self.net._ip(self.net.client, "route del default metric 100", "route del default metric 600")
        try:
            self.assertEqual(client.wait_news(2), [])
            self.assertIsNone(proxy.way(self.net.client, SERVER))
            self.assertEqual(proxy.way(self.net.client, THIRD), "tun0")
        finally:
            self.net._ip(self.net.client, f"addr add {ROUTER['client'][:-1]}9/24 dev eth0")
            self.net._ip(self.net.client,
                         f"route add default via {ROUTER['client']} dev eth0 proto dhcp metric 100",
                         f"route add default via {ROUTER['client']} metric 600",
                         f"addr del {ROUTER['client'][:-1]}9/24 dev eth0")
        self.assertEqual(client.wait_news(0), [])
        self.assertEqual(proxy.way(self.net.client, SERVER), "eth0")

    def test_what_others_take_away_comes_back(self):
        client = self.start()
        client.call("configureRouting", proxyIp=SERVER)
        routed = proxy.routing(self.net.client)
        # pylint: disable=protected-access
        self.net._ip(self.net.client, "rule del priority 8502", "route flush table 8500")
        proxy.ip(self.net.client, "-6", "rule", "del", "priority", "8501")
        poll("the routing to be back", lambda: proxy.routing(self.net.client) == routed)
        self.net._ip(self.net.client, "link del tun0")
        poll("the device and its routes to be back", lambda: proxy.way(self.net.client, THIRD) == "tun0" and
             proxy.way(self.net.client, THIRD6) == "tun0")
        self.assertEqual(client.call("getDeviceName")["returnValue"], "tun0")

    def test_nothing_passes_while_the_device_is_down(self):
        client = self.start()
        client.call("configureRouting", proxyIp=SERVER)
        os.kill(self.controller.pid, signal.SIGSTOP)  # it would be up again at once
        # pylint: disable=protected-access
        self.net._ip(self.net.client, "link set tun0 down")
        self.assertEqual([proxy.way(self.net.client, address) for address in (THIRD, THIRD6, SERVER)],
                         [None, None, "eth0"])
        os.kill(self.controller.pid, signal.SIGCONT)
        poll("the device to be up", lambda: proxy.way(self.net.client, THIRD) == "tun0")

    def test_where_new_devices_have_no_ipv6_it_does_not_leak(self):
        self.net.client.write_sysctl("ipv6/conf/default/disable_ipv6", "1")
        try:
            client = self.start()
            client.call("configureRouting", proxyIp=SERVER)
        finally:
            self.net.client.write_sysctl("ipv6/conf/default/disable_ipv6", "0")
        self.assertEqual([proxy.way(self.net.client, address) for address in (THIRD, THIRD6, ROUTER6["client"])],
                         ["tun0", None, "eth0"])

    def test_a_second_process_is_refused(self):
        client = self.start()
        client.call("configureRouting", proxyIp=SERVER)
        routed = proxy.routing(self.net.client)
        second = self.net.start("client", self.controller.command[0],
                                os.path.join(self.net.folder, "second.sock"))
        second.process.wait(GUARD_S)
        self.assertEqual(second.process.returncode, 1)
        self.assertIn("another ProxyController has the routing", second.log())
        self.assertEqual(proxy.routing(self.net.client), routed)


class KilledAnywhere(NetTest):
    """kill -9 before each call to the kernel that could change something, at every step of starting,
    configuring, configuring otherwise, resetting and stopping: after a new start all is as it was."""

    def steps(self, controller):
        """The whole of it, until it dies."""
        controller.wait_answering()
        client = controller.client(self)
        client.call("configureRouting", proxyIp=SERVER)
        client.call("configureRouting", proxyIp=SERVER6)
        client.call("resetRouting")

    def test_killed_at_every_step(self):
        strace = need("strace")
        proxy.settle(self.net.client)
        before = proxy.routing(self.net.client)
        killed, kinds = 0, set()
        for count in range(1, 400):
            trace = os.path.join(self.net.folder, "trace")
            controller = proxy.ProxyController(
                self.net, self.net.client, wait=False,
                under=(strace, "-f", "-qq", "-o", trace, "-e", "trace=sendto,ioctl", "-e",
                       f"inject=sendto,ioctl:signal=SIGKILL:when={count}"))
            try:
                self.steps(controller)
            except (OSError, AssertionError):
                pass
            # The last steps are those of the end.
            with contextlib.suppress(OSError):
                for child in proxy.children(controller.pid):
                    os.kill(child, signal.SIGTERM)
            controller.process.wait(GUARD_S)
            self.net.programs.remove(controller)
            with open(trace, encoding="utf-8", errors="replace") as file:
                told = file.read()
            was_killed = "killed by SIGKILL" in told
            kinds.add(proxy.routing(self.net.client) == before)
            again = proxy.ProxyController(self.net, self.net.client)
            self.assertEqual(proxy.routing(self.net.client), before, f"killed at call {count}")
            again.stop()
            self.net.programs.remove(again)
            self.assertEqual(proxy.routing(self.net.client), before)
            self.assertNotIn("tun0", proxy.ip(self.net.client, "link"))
            if not was_killed:
                break
            killed += 1
        self.assertGreater(killed, 60)
        self.assertEqual(kinds, {True, False})  # some of them did leave something


if __name__ == "__main__":
    unittest.main()
