"""One connection of one switch: which orders it has not confirmed yet, and what became of them.

Pure: bytes in and out, no socket.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from helsewan.controller.openflow.decoder import Decoder
from helsewan.controller.openflow.encoder import EncodedCommand, Encoder
from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.openflow.table_reader import TableReader, count_request, flows_request
from helsewan.controller.update.commands import Commit, Count, Discard, Prepare, Read, Refusal, SwitchCommand


@dataclass
class _Sent:
    """An order under way, and its first refusal."""

    order: SwitchCommand
    frame: EncodedCommand
    refusal: Refusal | None = None


@dataclass
class Session:
    """The orders of a connection, by the number of the message that will confirm them."""

    router: str
    encoder: Encoder
    decoder: Decoder
    next_xid: int = 1
    sent: dict[int, _Sent] = field(default_factory=dict)
    prepared: dict[int, EncodedCommand] = field(
        default_factory=dict
    )  # by bundle number: a commit's errors are about these
    reading: dict[int, tuple[Read, TableReader]] = field(default_factory=dict)  # by the request under way
    counting: dict[int, Count] = field(default_factory=dict)
    polls: dict[int, tuple[bytearray, Callable[[bytes], None]]] = field(default_factory=dict)
    strays: int = 0  # refusals that no order is about

    def data(self, order: SwitchCommand) -> bytes:
        """The order as bytes, noted as sent."""
        if isinstance(order, Read):
            return self._ask(order, TableReader(self.decoder)) or b""
        if isinstance(order, Count):
            self.counting[self.next_xid] = order
            self.next_xid += 1
            return count_request(self.next_xid - 1)
        frame = self.encoder.encode(order, self.next_xid)
        self.next_xid = frame.barrier + 1
        self.sent[frame.barrier] = _Sent(order, frame)
        if isinstance(order, Prepare):
            self.prepared[order.number] = frame
        return frame.data

    def poll(self, cookie: int, mask: int, answer: Callable[[bytes], None]) -> bytes:
        """The request for the flows whose cookies are ``cookie`` under ``mask``, with their counters; ``answer`` gets
        the body of the reply."""
        self.polls[self.next_xid] = bytearray(), answer
        self.next_xid += 1
        return flows_request(self.next_xid - 1, cookie, mask)

    def confirmed(self, xid: int) -> tuple[SwitchCommand, Refusal | None] | None:
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

    def told(self, xid: int, body: bytes, more: bool) -> bytes | tuple[Read, RuleSet] | None:
        """A part of what a switch holds has come: the next request, or, when that was the last, the whole.

        Raises ValueError, IndexError or struct.error if it cannot be read."""
        if xid in self.polls:
            self._polled(xid, body, more)
            return None
        order, reading = self.reading.get(xid, (None, None))
        if order is None or reading is None:
            return None
        reading.take(body)
        if more:
            return None
        del self.reading[xid]
        return self._ask(order, reading) or (order, reading.rule_set())

    def _polled(self, xid: int, body: bytes, more: bool) -> None:
        bodies, answer = self.polls[xid]
        bodies.extend(body)
        if not more:
            del self.polls[xid]
            answer(bytes(bodies))

    def _ask(self, order: Read, reading: TableReader) -> bytes | None:
        request = reading.next_request(self.next_xid)
        if request is not None:
            self.reading[self.next_xid] = order, reading
            self.next_xid += 1
        return request
