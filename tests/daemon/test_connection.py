# SPDX-License-Identifier: Apache-2.0
"""The command socket as such: framing, limits, order, both encodings."""
import json
import os
import resource
import select
import socket
import struct
import time
import unittest

from daemon import DEADLINE_S, TestCase

TUNNEL = {"name": "t", "role": "local", "server": "127.0.0.1:9", "listen": "udp://127.0.0.1:0",
          "target": "127.0.0.1:7"}


class Connection(TestCase):
    def setUp(self):
        self.d = self.daemon(state=False)
        self.c = self.d.client()
        self.addCleanup(self.c.close)

    def assert_nothing_configured(self):
        with self.d.client() as other:
            self.assertEqual(self.ok(other.call("getStatus"))["udpTunnels"], [])

    def assert_usable(self):
        self.assertEqual(self.ok(self.c.call("hello"))["server"], "udptund")
        self.assert_nothing_configured()

    def test_hello(self):
        reply = self.c.call("hello", id=7)
        self.assertEqual((reply["action"], reply["id"]), ("hello", 7))
        hello = self.ok(reply)
        self.assertEqual((hello["server"], hello["api"]), ("udptund", 1))
        self.assertEqual(hello["limits"]["messageSize"], 1 << 20)
        self.assertEqual(hello["role"], "admin")
        self.assertTrue(hello["version"] and hello["features"])

    def test_it_answers_when_tunnels_took_all_descriptors(self):
        hard = resource.prlimit(self.d.process.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(self.d.process.pid, resource.RLIMIT_NOFILE, (48, hard))
        server = {"role": "server", "listen": "127.0.0.1:0"}
        reply, count = {"statusCode": 0}, 0
        while reply["statusCode"] == 0:
            count += 1
            reply = self.c.call("configureUdpTunnel", dict(server, name=f"t{count}"))
        self.assertIn("too many open files", reply["errorMessage"])
        for _ in range(8):
            with self.d.client() as first, self.d.client() as second:
                self.assertEqual(self.ok(first.call("hello"))["server"], "udptund")
                tunnels = self.ok(second.call("getStatus"))["udpTunnels"]
                self.assertEqual(len(tunnels), count - 1)
        with self.d.client() as other:
            self.ok(other.call("removeUdpTunnel", {"name": "t1"}))
        self.ok(self.c.call("configureUdpTunnel", dict(server, name="again")))

    def test_id_is_echoed_as_it_came(self):
        for value in (0, -1, 2**63 - 1, "x", "", "y" * 64, "\u20ac"):
            self.assertEqual(self.c.call("hello", id=value)["id"], value)

    def test_bad_ids(self):
        for value in ("y" * 65, 1.5, [1], {}, True):
            reply = self.c.call("hello", id=value)
            self.fails(reply, 7, "INVALID_PARAM", "id")
            self.assertNotIn("id", reply)
        self.assert_usable()

    def test_two_objects_in_one_write(self):
        self.c.send('{"action":"hello","id":1}{"action":"hello","id":2}')
        self.assertEqual([self.c.line()["id"], self.c.line()["id"]], [1, 2])

    def test_newline_between_objects_is_optional(self):
        self.c.send(' \r\n{"action":"hello","id":1}\n\n\t{"action":"hello","id":2}\n')
        self.assertEqual([self.c.line()["id"], self.c.line()["id"]], [1, 2])

    def test_object_in_single_bytes(self):
        for byte in b'{"action":"hello","id":"one by one"}':
            self.c.send(bytes([byte]))
        self.assertEqual(self.c.line()["id"], "one by one")

    def test_one_reply_is_one_line(self):
        self.c.send('{"action":"getStatus"}')
        data = b""
        while not data.endswith(b"\n"):
            data += self.c.socket.recv(4096)
        self.assertEqual(data.count(b"\n"), 1)

    def test_thousand_requests_come_back_in_order(self):
        self.c.send("".join(json.dumps({"action": "hello", "id": i}) for i in range(1000)))
        self.assertEqual([self.c.line()["id"] for _ in range(1000)], list(range(1000)))

    def test_more_replies_than_fit_are_all_sent(self):
        """Reading stops while replies wait, and goes on when the client takes them."""
        count = 40000
        with self.d.client() as slow:
            slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.socket.setblocking(False)
            data = b"".join(b'{"action":"hello","id":%d}' % i for i in range(count))
            sent = 0
            try:
                while sent < len(data):
                    sent += slow.socket.send(data[sent:])
            except BlockingIOError:
                pass
            self.assertLess(sent, len(data), "the daemon reads on whatever waits")
            self.assert_usable()
            slow.socket.settimeout(60)
            seen = 0
            while seen < count:
                slow.socket.setblocking(False)
                try:
                    sent += slow.socket.send(data[sent:]) if sent < len(data) else 0
                except BlockingIOError:
                    pass
                slow.socket.settimeout(60)
                self.assertEqual(slow.line()["id"], seen)
                seen += 1

    def test_a_message_that_ends_in_the_middle(self):
        for part in ('{"action":"hello"', '{"action":"hel', '{'):
            with self.d.client() as c:
                c.send('{"action":"hello","id":1}' + part)
                c.socket.shutdown(socket.SHUT_WR)
                self.assertEqual(c.line()["id"], 1)
                self.fails(c.line(), 107, "BAD_REQUEST")
                self.assertIsNone(c.line())
        with self.d.client() as c:
            c.send(" \n")
            c.socket.shutdown(socket.SHUT_WR)
            self.assertIsNone(c.line())

    def test_half_close_still_gets_the_answers(self):
        self.c.send('{"action":"hello","id":1}{"action":"getStatus","id":2}')
        self.c.socket.shutdown(socket.SHUT_WR)
        self.assertEqual([self.c.line()["id"], self.c.line()["id"]], [1, 2])
        self.assertIsNone(self.c.line())

    def test_unknown_action(self):
        reply = self.fails(self.c.call("nope", id=3), 107, "BAD_REQUEST", "action")
        self.assertEqual((reply["action"], reply["id"]), ("nope", 3))
        self.assert_usable()

    def test_no_action(self):
        for text in ('{}', '{"id":1}', '{"action":5}', '{"action":null}'):
            self.c.send(text)
            self.fails(self.c.line(), 107, "BAD_REQUEST", "action")
        self.assert_usable()

    def test_unknown_member_of_the_request(self):
        self.c.send('{"action":"hello","parameter":{}}')
        self.fails(self.c.line(), 7, "INVALID_PARAM", "parameter")
        self.c.send('{"action":"hello","statusCode":0}')
        self.fails(self.c.line(), 7, "INVALID_PARAM", "statusCode")
        self.assert_usable()

    def test_parameters_of_a_wrong_type(self):
        for value in ("5", '"x"', "[]", "null", "true"):
            self.c.send('{"action":"hello","parameters":%s}' % value)
            self.fails(self.c.line(), 7, "INVALID_PARAM", "parameters")
        self.assert_usable()

    def test_duplicate_key(self):
        self.c.send('{"action":"configureUdpTunnel","parameters":{"name":"t","name":"t",'
                    '"role":"local","server":"127.0.0.1:9"}}')
        self.fails(self.c.line(), 107, "BAD_REQUEST")
        self.assert_usable()

    def test_not_json(self):
        for text in ('{"action" "hello"}', "{]", "{'action':'hello'}", '{"action":"hello",}'):
            self.c.send(text)
            self.fails(self.c.line(), 107, "BAD_REQUEST")
        self.assert_usable()

    def test_invalid_utf8(self):
        for name in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80"):
            self.c.send(b'{"action":"removeUdpTunnel","parameters":{"name":"' + name + b'"}}')
            self.fails(self.c.line(), 107, "BAD_REQUEST")
        self.assert_usable()

    def test_depth_16_is_read_and_17_is_refused(self):
        for depth, code, name, field in ((16, 7, "INVALID_PARAM", "parameters.role"),
                                         (17, 107, "BAD_REQUEST", None)):
            arrays = depth - 2
            self.c.send('{"action":"hello","parameters":{"role":' + "[" * arrays + "]" * arrays
                        + "}}")
            self.fails(self.c.line(), code, name, field)
        self.assert_usable()

    def test_message_over_the_cap_gets_its_error_before_the_close(self):
        text = json.dumps({"action": "removeUdpTunnel", "parameters": {"name": "x" * (1 << 20)}})
        self.c.send(text)
        self.fails(self.c.line(), 107, "BAD_REQUEST")
        self.assertIsNone(self.c.line())
        self.assert_nothing_configured()

    def test_message_of_the_cap_is_read(self):
        head = '{"action":"hello","id":1'
        self.c.send(head + " " * ((1 << 20) - len(head) - 1) + "}")
        self.assertEqual(self.c.line()["id"], 1)
        self.assert_usable()

    def test_the_role_is_checked_before_the_parameters(self):
        """Whatever they are, and at whatever size: what is not allowed is not decoded."""
        self.c.call("hello", {"role": "observer"})
        for parameters in ("5", '{"x":1}', '{"name":"a","name":"a"}', "[" + "{}," * 330000 + "{}]",
                           '"' + "x" * 1000000 + '"'):
            for action in ("applyConfig", "removeUdpTunnel", "shutdown"):
                self.c.send('{"action":"%s","id":7,"parameters":%s}' % (action, parameters))
                reply = self.fails(self.c.line(), 2, "PERMISSION_DENIED")
                self.assertEqual((reply["action"], reply["id"]), (action, 7))
        self.assert_usable()

    def test_more_than_an_action_can_use_is_refused(self):
        objects = "[" + ",".join(["{}"] * 9000) + "]"
        for action, parameters, what in (
                ("getStatus", '{"name":[%s]}' % ",".join("0" * 300), "256 values"),
                ("getStatus", '{"name":"%s"}' % ("x" * 20000), "16384 bytes of text"),
                ("subscribe", '{"topics":[%s]}' % ",".join(['"log"'] * 300), "256 values"),
                ("applyConfig", '{"config":{"udpTunnels":%s}}' % objects,
                 "8192 objects and lists"),
                ("configureUdpTunnel", '{"name":"x","allowTargets":%s}' % objects,
                 "64 objects and lists"),
                ("configureUdpTunnel", '{"name":"x","allowTargets":[%s]}' % ",".join("0" * 70000),
                 "65792 values")):
            self.c.send('{"action":"%s","parameters":%s}' % (action, parameters))
            reply = self.fails(self.c.line(), 7, "INVALID_PARAM", "parameters")
            self.assertEqual(reply["errorMessage"], "parameters: more than " + what)
        limits = self.ok(self.c.call("hello"))["limits"]
        self.assertEqual((limits["values"], limits["containers"]), (65792, 8192))
        self.assert_usable()

    def test_refused_messages_sent_ahead_let_others_have_their_turn(self):
        """And are all answered in the end, in order."""
        with self.d.client() as other:
            self.ok(other.call("hello"))
            self.c.call("hello", {"role": "observer"})
            for message in ('{"action":"shutdown","id":%d}', '{"action":"nope","id":%d}'):
                # This process may be held up after the other's answer. Where the other has no turn, every
                # message is answered by then, at each try.
                tries = (self.answered_before(other, message, 200) for _ in range(50))
                self.assertTrue(any(answered < 100 for answered in tries))

    def answered_before(self, other, message, count):
        """Of so many messages sent ahead, those that are answered when the other connection has its answer."""
        self.c.send("".join(message % i for i in range(count)))
        self.assertEqual(self.c.line()["id"], 0)
        self.ok(other.call("hello"))
        answered = 1 + self.c.received.count(b"\n")
        self.c.socket.setblocking(False)
        try:
            answered += self.c.socket.recv(1 << 20, socket.MSG_PEEK).count(b"\n")
        except BlockingIOError:
            pass
        self.c.socket.settimeout(DEADLINE_S)
        self.assertEqual([self.c.line()["id"] for _ in range(count - 1)], list(range(1, count)))
        return answered

    def test_garbage_gets_an_error_and_the_close(self):
        for text in (b"GET / HTTP/1.1\r\n\r\n", b"[]", b'"x"', b"\xff\xfe", b"{} x"):
            with self.d.client() as c:
                c.send(text)
                reply = c.line()
                if text.startswith(b"{}"):
                    reply = c.line()
                self.fails(reply, 107, "BAD_REQUEST")
                self.assertIsNone(c.line())
        self.assert_usable()

    def test_who_connects_again_after_garbage_waits_while_others_go_on(self):
        """And is answered."""
        def answers_of_others_meanwhile():
            with self.d.client() as c:
                c.send(b"garbage")
                self.fails(c.line(), 107, "BAD_REQUEST")
            with self.d.client() as again:
                again.send('{"action":"hello"}')
                count = 0
                while not select.select([again.socket], [], [], 0)[0]:
                    self.ok(self.c.call("hello"))
                    count += 1
                self.ok(again.line())
            return count

        # This process may be held up, and see the answer late.
        self.assertTrue(any(answers_of_others_meanwhile() > 5 for _ in range(50)))

    def test_message_that_does_not_end_is_cut_off(self):
        self.c.send('{"action":')
        self.fails(self.c.line(), 106, "TIMEOUT")
        self.assertIsNone(self.c.line())

    def test_idle_connection_stays(self):
        with self.d.client() as c:
            self.test_message_that_does_not_end_is_cut_off()  # takes longer than that timeout
            self.ok(c.call("hello"))

    def test_connection_that_goes_in_the_middle_of_a_message(self):
        for _ in range(100):
            with self.d.client() as c:
                c.send('{"action":"configureUdpTunnel","parameters":{"name":"t"')
        self.assert_usable()

    def test_client_that_goes_before_its_answer_holds_no_place(self):
        for i in range(300):
            with self.d.client() as c:
                c.send(json.dumps({"action": "configureUdpTunnel",
                                   "parameters": dict(TUNNEL, name="t%d" % (i % 3), wait=3600)}))
                if i % 2:  # read ahead of the answer, then gone
                    c.send('{"action":"hello"}')
        with self.d.client() as c:
            # what the last ones sent may be read after they went
            while tunnels := self.ok(c.call("getStatus"))["udpTunnels"]:
                self.ok(c.call("removeUdpTunnel", {"name": tunnels[0]["name"]}))
        with self.d.client() as c:
            self.ok(c.call("hello"))

    def test_a_wait_of_an_hour_changes_nobodys_answers(self):
        """Neither those of other connections nor those of its own."""
        self.c.send(json.dumps({"action": "configureUdpTunnel", "id": "w",
                                "parameters": dict(TUNNEL, wait=3600)}))
        for i in range(50):
            reply = self.c.call("getStatus", {"name": "t"}, id=i)
            self.assertEqual((reply["id"], reply["statusCode"]), (i, 0))
            with self.d.client() as other:
                self.ok(other.call("getStatus", {"name": "t"}))
        self.assertEqual(self.c.call("configureUdpTunnel", dict(TUNNEL, enabled=False),
                                     id="d")["statusCode"], 0)
        reply = self.c.line()  # disabled is not waited for
        self.assertEqual((reply["id"], reply["statusCode"]), ("w", 0))
        self.assertEqual(self.c.call("hello", id=1)["id"], 1)

    def test_a_wait_without_an_id_keeps_its_place(self):
        self.c.send(json.dumps({"action": "configureUdpTunnel",
                                "parameters": dict(TUNNEL, wait=0.2)}))
        self.c.send('{"action":"hello"}')
        self.assertEqual([self.c.line()["action"] for _ in range(2)],
                         ["configureUdpTunnel", "hello"])

    def test_waits_are_capped_and_go_with_their_connection(self):
        def fill(c):
            """How many waits of an hour it may have, and the refusal after them."""
            for i in range(300):
                c.send(json.dumps({"action": "configureUdpTunnel", "id": i,
                                   "parameters": dict(TUNNEL, wait=3600)}))
                c.send(json.dumps({"action": "hello", "id": "h"}))
                reply = c.line()
                if reply["id"] != "h":
                    self.assertEqual(c.line()["id"], "h")
                    return i, reply
            raise AssertionError("no cap")

        of_connection, refusal = fill(self.c)
        self.assertGreater(of_connection, 1)
        self.fails(refusal, 103, "LIMIT", "parameters.wait")
        others, count = [self.c], of_connection
        while count % of_connection == 0:
            self.assertLess(len(others), 50)
            others.append(self.d.client())
            more, refusal = fill(others[-1])
            if more == 0:
                break
            count += more
        self.assertIn("user", refusal["errorMessage"])
        # One goes: its places are free as soon as the daemon has noticed.
        others.pop(1).close()
        deadline = time.monotonic() + DEADLINE_S
        while not self.waits_again(others[-1]):
            self.assertLess(time.monotonic(), deadline, "the places of a lost client stay taken")
        for c in others[1:]:
            c.close()

    def waits_again(self, c):
        c.send(json.dumps({"action": "configureUdpTunnel", "id": "again",
                           "parameters": dict(TUNNEL, wait=3600)}))
        c.send(json.dumps({"action": "hello", "id": "h"}))
        if c.line()["id"] == "h":
            return True
        c.line()
        return False

    def test_descriptors_sent_along_are_not_kept(self):
        self.ok(self.c.call("hello"))
        before = len(os.listdir("/proc/%d/fd" % self.d.process.pid))
        with open("/dev/null") as null:
            for i in range(20):
                socket.send_fds(self.c.socket, [b'{"action":"hello"}'], [null.fileno()])
                self.ok(self.c.line())
        # setUp's probe may still have been there at first
        self.assertLessEqual(len(os.listdir("/proc/%d/fd" % self.d.process.pid)), before)

    def test_two_hundred_clients_at_once(self):
        clients = [self.d.client() for _ in range(200)]
        for i, c in enumerate(clients):
            c.send(json.dumps({"action": "getStatus", "id": i}))
        for i, c in enumerate(clients):
            self.assertEqual(c.line()["id"], i)
            c.close()
        self.assert_usable()

    def test_one_connection_too_many_is_told_so(self):
        clients = [self.d.client() for _ in range(255)]  # setUp has one
        with self.d.client() as c:
            self.fails(c.line(), 103, "LIMIT")
            self.assertIsNone(c.line())
            c.send('{"action":"hello"}')  # no broken pipe for who writes before reading
        clients.pop().close()
        for c in clients:
            c.close()
        self.assert_usable()


class Protobuf(TestCase):
    """The same actions in the other encoding, written by hand: tag, type, value."""

    @staticmethod
    def field(number, value):
        if isinstance(value, int):
            assert 0 <= value < 128
            return bytes([number << 3, value])
        value = value.encode() if isinstance(value, str) else value
        assert len(value) < 128 and number < 16
        return bytes([number << 3 | 2, len(value)]) + value

    def call(self, c, body):
        c.send(struct.pack(">I", len(body)) + body)
        data = b""
        while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
            more = c.socket.recv(65536)
            self.assertTrue(more, "closed")
            data += more
        return data[4:]

    def test_a_deadline_that_is_over_and_cancel(self):
        d = self.daemon(state=False)
        f = self.field
        with d.client() as c:
            # deadline is member 11; removeUdpTunnel is member 3 of parameters, and hello has none
            reply = self.call(c, f(1, "hello") + f(11, 1))
            self.assertIn(f(4, 106), reply)
            self.assertIn(b"deadline", reply)
            late = bytes([11 << 3]) + b"\xff" * 8 + b"\x7f"  # a varint of 63 bits
            self.assertIn(b"udptund", self.call(c, f(1, "hello") + late))
            # cancel is member 19: of two bytes as a tag, 19 << 3 | 2
            cancel = b"\x9a\x01" + bytes([4]) + f(1, f(1, 7))
            reply = self.call(c, f(1, "cancel") + f(3, cancel))
            self.assertIn(f(4, 0), reply)

    def test_hello_and_errors(self):
        d = self.daemon(state=False)
        f = self.field
        with d.client() as c:
            reply = self.call(c, f(1, "hello") + f(2, f(1, 7)))
            self.assertTrue(reply.startswith(f(1, "hello") + f(2, f(1, 7)) + f(4, 0)))
            self.assertIn(b"udptund", reply)
            # removeUdpTunnel is member 3 of parameters
            reply = self.call(c, f(1, "removeUdpTunnel") + f(3, f(3, f(1, "none"))))
            self.assertIn(f(4, 0), reply)
            reply = self.call(c, f(1, "removeUdpTunnel") + f(3, f(3, b"")))
            self.assertIn(f(4, 7), reply)
            self.assertIn(b"parameters.name", reply)
            # the parameters of another action
            reply = self.call(c, f(1, "removeUdpTunnel") + f(3, f(6, b"")))
            self.assertIn(f(4, 7), reply)
            # no Envelope at all, and the connection goes on
            self.assertIn(f(4, 107), self.call(c, b"\xff\xff"))
            self.assertIn(b"udptund", self.call(c, f(1, "hello")))

    def test_the_role_is_checked_before_the_parameters(self):
        d = self.daemon(state=False)
        f = self.field
        with d.client() as c:
            self.assertIn(f(4, 0), self.call(c, f(1, "hello") + f(3, f(1, f(1, 1)))))  # observer
            for wrong in (f(15, 1), f(3, f(3, f(15, 1))), f(3, f(3, f(1, b"\xff"))),
                          f(3, f(14, b"")) * 1000, b"\xff\xff"):
                reply = self.call(c, f(1, "removeUdpTunnel") + f(2, f(1, 7)) + wrong)
                self.assertTrue(reply.startswith(f(1, "removeUdpTunnel") + f(2, f(1, 7)) +
                                                 f(4, 2)), reply)

    def test_more_than_an_action_can_use_is_refused(self):
        d = self.daemon(state=False)
        f = self.field
        with d.client() as c:
            for body in (f(1, "subscribe") + f(3, f(11, f(1, 1))) * 300,
                         f(1, "subscribe") + f(3, f(11, f(1, b"\1" * 100))) * 3,  # packed
                         f(1, "hello") + b"\x78\1" * 300, f(1, "nope") + b"\x78\1" * 300):
                reply = self.call(c, body)
                self.assertTrue(f(4, 7) in reply or f(4, 107) in reply, reply)
                self.assertTrue(b"more than 256 values" in reply or b"unknown" in reply, reply)
            self.assertIn(b"udptund", self.call(c, f(1, "hello")))

    def test_what_protobuf_would_take_in_silence(self):
        d = self.daemon(state=False)
        f = self.field
        role = f(2, 2)
        with d.client() as c:
            for body in (f(1, "hel\0lo"), f(1, "hello") + f(2, f(2, "a\0b")), f(1, b"h\xffi"),
                         f(1, "hello") + f(2, f(2, b"\xff")),
                         f(1, "configureUdpTunnel") + f(3, f(2, f(1, b"a\0b") + role))):
                reply = self.call(c, body)
                self.assertTrue(reply.startswith(f(4, 107)), reply)  # nothing is echoed
                reply.decode("utf-8")
            # maxFlows 2^32 + 9, enabled 2, role 2^32 + 2
            for wrong in (b"\xb0\x01\x89\x80\x80\x80\x10", b"\xf8\x01\x02",
                          b"\x10\x82\x80\x80\x80\x10"):
                body = f(1, "configureUdpTunnel") + f(3, f(2, f(1, "a") + role + wrong))
                reply = self.call(c, body)
                self.assertIn(f(4, 7), reply)
                self.assertIn(b"out of range", reply)
            reply = self.call(c, f(1, "getStatus"))
            self.assertNotIn(b"listening", reply)

    def test_length_over_the_cap(self):
        d = self.daemon(state=False)
        with d.client() as c:
            c.send(struct.pack(">I", (1 << 20) + 1))
            self.assertIn(self.field(4, 107), c.socket.recv(4096))
            self.assertEqual(c.socket.recv(4096), b"")


if __name__ == "__main__":
    unittest.main()
