# SPDX-License-Identifier: Apache-2.0
"""session.py - what both ends of a UDPT/1 session do with frames. client.py and server.py are the roles.

All runs in the caller's thread: wait() reads what comes until the event that is asked for is there.
Every frame becomes an event (leg number, name, fields), also those that are answered by themselves;
`manners` says which are, so that a test can take one away and be a bad peer.
"""
import select
import time

from wire import (Malformed, Reader, FrameReader, SEQUENCE, control, frame, inline, read_control,
                  read_inline, uint)

DEADLINE_S = 60
WINDOW = 1024
MANNERS = {"ack", "pong", "announced", "retired", "closed"}


class Leg:
    """One stream of a session, after its handshake."""

    def __init__(self, socket, number, generation):
        self.socket, self.number, self.generation = socket, number, generation
        self.reader = FrameReader()
        self.sent = self.received = self.acked = 0  # bytes of frames, ACK frames left out
        self.reported = 0  # of `received`
        self.left = False  # LEAVE: no datagrams any more
        self.sent_at = self.heard_at = time.monotonic()


class Session:
    FIRST_ID = 0  # 2 for a client, 3 for a server

    def __init__(self):
        self.legs = {}
        self.events = []
        self.manners = set(MANNERS)
        self.announced = {}  # by us: id -> [binding, address, flags, is it acknowledged]
        self.heard = {}  # announced to us: id -> (binding, address, flags)
        self.next_id = self.FIRST_ID
        self.seen = {}  # binding -> sequence numbers that came lately
        self.next_sequence = {}

    # Sending

    def send(self, data, leg=0, is_ack=False):
        stream = self.legs[leg]
        stream.sent += 0 if is_ack else len(data)
        stream.sent_at = time.monotonic()
        stream.socket.sendall(data)

    def control(self, name, leg=0, **fields):
        self.send(control(name, **fields), leg, name == "ACK")

    def a_data_leg(self):
        """Datagrams go on any data leg, on the control leg while there is no other."""
        return max((n for n, leg in self.legs.items() if not leg.left), default=0)

    def datagram(self, binding, address, payload, legs=None, label=None, sequence=None, **more):
        """Send one by the shortest form there is; on several `legs` as copies. `more` is inline's."""
        legs = legs or [self.a_data_leg()]
        if sequence is None and len(legs) > 1:
            sequence = self.next_sequence.get(binding, 0)
            self.next_sequence[binding] = sequence + 1
        data = inline(binding, address, payload, label, sequence, **more)
        for ident, (*meaning, flags, acknowledged) in self.announced.items():
            if acknowledged and meaning == [binding, address] and label is None \
                    and (flags == SEQUENCE) == (sequence is not None):
                data = frame(ident, (uint(sequence, 4) if flags else b"") + payload)
        for leg in legs:
            self.send(data, leg)

    def announce(self, binding, address, flags=0):
        ident, self.next_id = self.next_id, self.next_id + 2
        self.announced[ident] = [binding, address, flags, False]
        self.control("ANNOUNCE", id=ident, binding=binding, address=address, flags=flags)
        return ident

    # Receiving

    def sockets(self):
        return [leg.socket for leg in self.legs.values()]

    def pump(self, seconds=0.0):
        """Handle what has come, waiting for it at most so long."""
        ready = select.select(self.sockets(), [], [], seconds)[0]
        for socket in ready:
            self.ready(socket)
        self.report()

    def ready(self, socket):
        leg = next((leg for leg in self.legs.values() if leg.socket is socket), None)
        if leg is None:
            return
        try:
            data = socket.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self.end(leg, "END")
            return
        leg.heard_at = time.monotonic()
        try:
            for ident, body, size in leg.reader.feed(data):
                self.frame(leg, ident, body, size)
        except Malformed as why:
            self.end(leg, "MALFORMED", why=str(why))

    def end(self, leg, name, **fields):
        leg.socket.close()
        self.legs.pop(leg.number, None)
        self.event(leg, name, **fields)

    def event(self, leg, name, **fields):
        self.events.append((leg.number, name, fields))

    def frame(self, leg, ident, body, size):
        if ident == 0:
            name, values = read_control(body)
            leg.received += 0 if name == "ACK" else size
            if name:
                self.event(leg, name, **values)
                handler = getattr(self, "on_" + name.lower(), None)
                if handler:
                    handler(leg, **values)
            return
        leg.received += size
        if ident == 1:
            self.on_datagram(leg, ident, read_inline(Reader(body)))
        elif ident in self.heard:
            binding, address, flags = self.heard[ident]
            r = Reader(body)
            sequence = r.uint(4) if flags & SEQUENCE else None
            self.on_datagram(leg, ident, {"binding": binding, "address": address, "label": None,
                                          "port": None, "whole": False, "sequence": sequence, "payload": r.rest()})
        # an id that is not known: dropped

    def on_datagram(self, leg, ident, fields):
        sequence = fields["sequence"]
        if sequence is not None:
            seen = self.seen.setdefault(fields["binding"], [])
            if sequence in seen:
                self.event(leg, "COPY", id=ident, **fields)
                return
            seen.append(sequence)
            del seen[:-WINDOW]
        self.event(leg, "DATAGRAM", id=ident, **fields)

    def report(self):
        """Acknowledge what has come on every leg."""
        entries = [(leg.number, leg.generation, leg.received, 0) for leg in self.legs.values()
                   if leg.received != leg.reported]
        if "ack" not in self.manners or not entries:
            return
        for leg in self.legs.values():
            leg.reported = leg.received
        try:
            self.control("ACK", entries[0][0], entries=entries)
        except OSError:
            pass  # the stream broke; reading it will tell

    # What the frames of both roles ask for

    def answer(self, manner, name, leg=0, **fields):
        if manner in self.manners and leg in self.legs:
            self.control(name, leg, **fields)

    def on_ack(self, leg, entries):
        for number, generation, received, _ in entries:
            named = self.legs.get(number)
            if named and named.generation == generation:
                if received > named.sent:
                    self.end(named, "MALFORMED", why=f"{received} of {named.sent} acknowledged")
                named.acked = max(named.acked, received)  # ACKs may overtake each other

    def on_ping(self, leg, token):
        self.answer("pong", "PONG", leg.number, token=token)

    def on_announce(self, leg, id, flags, binding, address):
        if "announced" in self.manners:
            self.heard[id] = (binding, address, flags)
            self.control("ANNOUNCED", id=id)

    def on_announced(self, leg, id):
        if id in self.announced:
            self.announced[id][3] = True

    def on_retire(self, leg, id):
        self.heard.pop(id, None)
        self.answer("retired", "RETIRED", id=id)

    def on_retired(self, leg, id):
        self.announced.pop(id, None)

    def on_close(self, leg, binding, reason):
        self.forget(binding)
        self.answer("closed", "CLOSED", binding=binding)

    def forget(self, binding):
        for ident in [i for i, meaning in self.announced.items() if meaning[0] == binding]:
            del self.announced[ident]
            self.control("RETIRE", id=ident)

    # Waiting

    def take(self, name, **match):
        """The first event of that name and with those fields, or None."""
        for at, (leg, its_name, fields) in enumerate(self.events):
            there = {**fields, "leg_number": leg}
            if its_name == name and all(there.get(k) == v for k, v in match.items()):
                del self.events[at]
                return there
        return None

    def wait(self, name, pump=None, **match):
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            event = self.take(name, **match)
            if event:
                return event
            (pump or self.pump)(0.05)
        raise AssertionError(f"no {name} {match} came, but {self.events[-20:]}")

    def until(self, condition, pump=None):
        end = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain; {self.events[-20:]}")
            (pump or self.pump)(0.05)

    def close_legs(self):
        for leg in list(self.legs.values()):
            leg.socket.close()
        self.legs.clear()

    def close(self):
        self.close_legs()
