# SPDX-License-Identifier: Apache-2.0
"""Who may do what. An object that uses the daemon's own rights (a key file, a Unix socket, a mark,
a TUN device) belongs to an admin, as it is and as it would be after a merge or an apply."""
import unittest

from daemon import TestCase

OPEN = {"name": "open", "role": "local", "listen": "udp://127.0.0.1:0", "server": "127.0.0.1:1",
        "target": "127.0.0.1:9"}
ADMINS = dict(OPEN, name="adm", server="unix:/nonexistent")
SERVER = {"name": "srv", "role": "server", "listen": "unix:%s/srv", "insecure": True}
INSTANCE = {"name": "grab", "device": "unix:%s/dev", "tcp": "reject", "udp": "reject"}


class Authority(TestCase):
    def setUp(self):
        self.d = self.daemon()
        self.admin = self.d.client()
        self.addCleanup(self.admin.close)
        self.c = self.d.client()
        self.addCleanup(self.c.close)
        self.ok(self.admin.call("configureUdpTunnel", OPEN))
        self.ok(self.admin.call("configureUdpTunnel", ADMINS))
        server = dict(SERVER, listen=SERVER["listen"] % self.d.folder)
        self.ok(self.admin.call("configureUdpTunnel", server))
        self.before = self.config()
        self.ok(self.c.call("hello", {"role": "operator"}))

    def config(self):
        return self.ok(self.admin.call("exportConfig", {"showSecrets": True}))

    def denied(self, reply, field):
        self.fails(reply, 2, "PERMISSION_DENIED", field)
        self.assertEqual(self.config(), self.before)

    def test_a_merge_is_judged_by_the_whole_object(self):
        self.denied(self.c.call("configureUdpTunnel", {"name": "adm", "merge": True,
                                                       "target": "127.0.0.1:10"}),
                    "parameters.server")

    def test_an_admins_object_is_not_replaced_by_one_that_an_operator_could_make(self):
        self.denied(self.c.call("configureUdpTunnel", dict(OPEN, name="adm")), "parameters.name")

    def test_nor_by_a_merge_that_takes_the_admins_field_away(self):
        self.denied(self.c.call("configureUdpTunnel", {"name": "adm", "merge": True,
                                                       "server": "127.0.0.1:2"}),
                    "parameters.name")

    def test_nor_made_again(self):
        """It would read the key file again, or open the device."""
        self.denied(self.c.call("configureUdpTunnel", ADMINS), "parameters.server")

    def test_nor_removed(self):
        self.denied(self.c.call("removeUdpTunnel", {"name": "adm"}), "parameters.name")

    def test_nor_pruned(self):
        for dry in (False, True):
            self.denied(self.c.call("applyConfig", {"config": {"udpTunnels": [OPEN]},
                                                    "prune": True, "dryRun": dry}),
                        "parameters.prune")

    def test_nor_replaced_by_an_apply(self):
        path = "parameters.config.udpTunnels[1].%s"
        for object, field in ((dict(ADMINS, maxFlows=5), "server"),
                              (dict(OPEN, name="adm"), "name"), (dict(OPEN, mark=0), "mark")):
            other = dict(OPEN, name="x")
            self.denied(self.c.call("applyConfig", {"config": {"udpTunnels": [other, object]}}),
                        path % field)
        self.denied(self.c.call("applyConfig", {"config": {"tun2socks": [
            dict(INSTANCE, name="adm", device="pipe")]}}), "parameters.config.tun2socks[0].name")

    def test_an_apply_may_leave_it(self):
        """And change others beside it, pruned ones included."""
        config = self.ok(self.c.call("exportConfig"))
        kept = [t for t in config["udpTunnels"] if t["name"] != "open"]
        answer = self.ok(self.c.call("applyConfig", {
            "config": {"udpTunnels": kept + [dict(OPEN, name="new")]}, "prune": True}))
        self.assertEqual((answer["created"], answer["changed"], answer["removed"]),
                         (["new"], [], ["open"]))

    def test_an_operator_reads_pings_and_closes_sessions_of_it(self):
        status = self.ok(self.c.call("getStatus", {"name": "adm"}))
        self.assertEqual([t["name"] for t in status["udpTunnels"]], ["adm"])
        self.assertEqual(self.ok(self.c.call("listSessions", {"name": "srv"}))["sessions"], [])
        self.ok(self.c.call("listFlows", {"name": "srv"}))
        self.assertEqual(self.ok(self.c.call("closeSession", {"name": "srv", "session": "0" * 32})),
                         {"changed": False})
        self.assertNotEqual(self.c.call("pingTunnel", {"name": "adm"})["statusCode"], 2)

    def test_a_scheme_in_capitals_is_the_same_scheme(self):
        path = self.d.folder + "/x"
        for scheme in ("UNIX:", "Unix:"):
            self.denied(self.c.call("configureUdpTunnel", {
                "name": "new", "role": "server", "listen": scheme + path, "insecure": True}),
                        "parameters.listen")
            self.denied(self.c.call("configureUdpTunnel", dict(OPEN, name="new",
                                                               server=scheme + path)),
                        "parameters.server")

    def test_devices(self):
        for device in ("tun:grab0", "unix:%s/x" % self.d.folder, "tun:", "grab0"):
            self.denied(self.c.call("configureTun2socks", dict(
                INSTANCE, device=device, address="10.85.7.1/24")), "parameters.device")
        self.fails(self.c.call("configureTun2socks", dict(INSTANCE, device="fd:0")), 7,
                   "INVALID_PARAM", "parameters.device")
        self.ok(self.c.call("configureTun2socks", dict(INSTANCE, device="pipe")))
        self.ok(self.c.call("removeTun2socks", {"name": "grab"}))


if __name__ == "__main__":
    unittest.main()
