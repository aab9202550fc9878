"""One connection of one switch: which orders it has not confirmed yet, and what became of them.

Pure: bytes in and out, no socket.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from controller.framework import ofproto_v1_3
from controller.orders import Commit, Count, Discard, Order, Prepare, Read, Refusal
from controller.readback import Decoder
from controller.rules import RuleSet
from controller.wire import Encoder, Frame

_of: Any = ofproto_v1_3

_HEADER = struct.Struct("!BBHI")
_MULTIPART = struct.Struct("!HH4x")
# table, out port, out group, cookie and its mask, then a match of everything (OpenFlow 1.3.5, 7.3.5.2)
_ALL_FLOWS = struct.pack("!B3xII4xQQHH4x", _of.OFPTT_ALL, _of.OFPP_ANY, _of.OFPG_ANY, 0, 0, _of.OFPMT_OXM, 4)
_ALL_METERS = struct.pack("!I4x", _of.OFPM_ALL)
_PARTS = ((_of.OFPMP_FLOW, _ALL_FLOWS), (_of.OFPMP_GROUP_DESC, b""), (_of.OFPMP_METER_CONFIG, _ALL_METERS))


@dataclass
class _Reading:
    """A switch's answer as far as it has come: bodies by the request's place."""

    order: Read
    bodies: tuple[bytearray, ...] = field(default_factory=lambda: tuple(bytearray() for _ in _PARTS))
    missing: int = len(_PARTS)


@dataclass
class _Sent:
    """An order under way, and its first refusal."""

    order: Order
    frame: Frame
    refusal: Refusal | None = None


@dataclass
class Session:
    """The orders of a connection, by the number of the message that will confirm them."""

    router: str
    encoder: Encoder
    decoder: Decoder
    next_xid: int = 1
    sent: dict[int, _Sent] = field(default_factory=dict)
    prepared: dict[int, Frame] = field(default_factory=dict)  # by bundle number: a commit's errors are about these
    reading: dict[int, tuple[_Reading, int]] = field(default_factory=dict)  # and the request's place
    counting: dict[int, Count] = field(default_factory=dict)
    strays: int = 0  # refusals that no order is about

    def data(self, order: Order) -> bytes:
        """The order as bytes, noted as sent."""
        if isinstance(order, Read):
            reading = _Reading(order)
            return b"".join(self._request(kind, body, reading, i) for i, (kind, body) in enumerate(_PARTS))
        if isinstance(order, Count):
            self.counting[self.next_xid] = order
            return self._multipart(_of.OFPMP_AGGREGATE, _ALL_FLOWS)
        frame = self.encoder.frame(order, self.next_xid)
        self.next_xid = frame.barrier + 1
        self.sent[frame.barrier] = _Sent(order, frame)
        if isinstance(order, Prepare):
            self.prepared[order.number] = frame
        return frame.data

    def confirmed(self, xid: int) -> tuple[Order, Refusal | None] | None:
        """The order that a barrier reply ends, with what was refused of it; None for a barrier of nobody's."""
        done = self.sent.pop(xid, None)
        if done is None:
            return None
        if isinstance(done.order, Commit | Discard):
            self.prepared.pop(done.order.number, None)
        return done.order, done.refusal

    def refused(self, xid: int, reason: str) -> bool:
        """A switch's error, in words; it is held against its order, if it is about one. Of several the first counts:
        it is the one to blame."""
        for sent in self.sent.values():
            frames = [sent.frame]
            if isinstance(sent.order, Commit) and sent.order.number in self.prepared:
                frames.append(self.prepared[sent.order.number])
            for frame in frames:
                if frame.first <= xid < frame.barrier:
                    sent.refusal = sent.refusal or Refusal(str(frame.subjects[xid - frame.first]), reason)
                    return True
        return False

    def told(self, xid: int, body: bytes, more: bool) -> tuple[Read, RuleSet] | None:
        """A part of what a switch holds has come: the whole, once that is complete.

        Raises ValueError if it cannot be read."""
        reading, place = self.reading.get(xid, (None, 0))
        if reading is None:
            return None
        reading.bodies[place].extend(body)
        if more:
            return None
        del self.reading[xid]
        reading.missing -= 1
        if reading.missing:
            return None
        flows, groups, meters = map(bytes, reading.bodies)
        decoder = self.decoder
        held = RuleSet(tuple(decoder.meters(meters)), tuple(decoder.groups(groups)), tuple(decoder.flows(flows)))
        return reading.order, held

    def _request(self, kind: int, body: bytes, reading: _Reading, place: int) -> bytes:
        self.reading[self.next_xid] = reading, place
        return self._multipart(kind, body)

    def _multipart(self, kind: int, body: bytes) -> bytes:
        rest = _MULTIPART.pack(kind, 0) + body
        header = _HEADER.pack(_of.OFP_VERSION, _of.OFPT_MULTIPART_REQUEST, _HEADER.size + len(rest), self.next_xid)
        self.next_xid += 1
        return header + rest
