# SPDX-License-Identifier: Apache-2.0
"""traffic.py - datagrams through a tunnel, and what has to be true of them.

`app` is a socket of an app in the client's namespace, `entry` the address that udp-local listens
on, `target` a socket where the datagrams come out. All of one process: what is received can be
compared with what was sent, and how much is under way is known without a clock.
"""

import collections
import hashlib
import select
import struct
import time

from harness import GUARD_S

SIZES = (0, 1, 1472, 1473, 9000, 65507)
WINDOW = 64  # datagrams under way: what any socket buffer on the way holds


def pattern(size, label):
    """`size` bytes that no other label has (from four bytes up)."""
    block = hashlib.sha256(label.encode()).digest()
    return (block * (size // len(block) + 1))[:size]


def exchange(test, app, entry, target, data=b"question", answer=b"answer"):
    """One datagram each way; returns the address that the target saw."""
    app.sendto(data, entry)
    got, seen = target.recvfrom(70000)
    test.assertEqual(got, data)
    target.sendto(answer, seen)
    got, _ = app.recvfrom(70000)
    test.assertEqual(got, answer)
    return seen


def every_size(test, app, entry, target):
    """Payloads of every size, unchanged, both ways, all by one mapping."""
    seen = {exchange(test, app, entry, target, pattern(size, f"to {size}"),
                     pattern(size, f"from {size}")) for size in SIZES}
    test.assertEqual(len(seen), 1, "the mapping changed")


def wait_for_flow(app, entry, target, seconds=GUARD_S, came=None):
    """Send until a datagram comes out and its answer comes back; how long that took in seconds.
    Answers and datagrams of earlier attempts are passed over; the list `came` takes what came out."""
    start = time.monotonic()
    number = 0
    while time.monotonic() - start < seconds:
        number += 1
        data = b"attempt %d %f" % (number, start)
        app.sendto(data, entry)
        until = time.monotonic() + 0.1
        while True:
            ready, _, _ = select.select([app, target], [], [], max(0, until - time.monotonic()))
            if not ready:
                break
            if target in ready:
                got, seen = target.recvfrom(70000)
                target.sendto(got, seen)
                if came is not None:
                    came.append(got)
            if app in ready and app.recvfrom(70000)[0].endswith(b"%f" % start):
                return time.monotonic() - start
    raise AssertionError(f"no traffic within {seconds} s")


def numbered(test, count, send, receiver, size=200):
    """`count` numbered datagrams by send(data), at the rate at which `receiver` gets them: none
    lost, none twice, all in order. Returns the address that the last came from."""
    filler = pattern(size - 4, "numbered")
    sent, seen = 0, None
    for received in range(count):
        while sent < count and sent - received < WINDOW:
            send(struct.pack(">I", sent) + filler)
            sent += 1
        got, seen = receiver.recvfrom(70000)
        test.assertEqual(struct.unpack(">I", got[:4])[0], received)
        test.assertEqual(got[4:], filler)
    receiver.setblocking(False)
    with test.assertRaises(BlockingIOError, msg="more came than was sent"):
        receiver.recvfrom(70000)
    receiver.settimeout(GUARD_S)
    return seen


def many_sources(test, open_app, count, entry, target):
    """`count` apps at once; each gets the answer to its own datagram, and none else's."""
    apps = [open_app() for _ in range(count)]
    try:
        seen = {}
        asked = 0
        while len(seen) < count:
            while asked < count and asked - len(seen) < WINDOW:
                apps[asked].sendto(b"source %d" % asked, entry)
                asked += 1
            got, address = target.recvfrom(100)
            test.assertNotIn(address, seen, "two sources have one mapping")
            seen[address] = got
        test.assertEqual(sorted(seen.values()), sorted(b"source %d" % i for i in range(count)))
        # All are open now. The answers go out in an order of their own.
        waiting = collections.deque()
        for address, got in sorted(seen.items()):
            target.sendto(b"answer to " + got, address)
            waiting.append(int(got.split()[1]))
            if len(waiting) >= WINDOW:
                expect_answer(test, apps, waiting.popleft())
        while waiting:
            expect_answer(test, apps, waiting.popleft())
        for app in apps:
            app.setblocking(False)
            with test.assertRaises(BlockingIOError, msg="an answer meant for another"):
                app.recvfrom(100)
    finally:
        for app in apps:
            app.close()


def expect_answer(test, apps, number):
    got, _ = apps[number].recvfrom(100)
    test.assertEqual(got, b"answer to source %d" % number)
