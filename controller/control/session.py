"""One connection of one switch: matches its replies and errors to the commands that were sent.

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
    """A pending command, and its first refusal."""

    command: SwitchCommand
    frame: EncodedCommand
    refusal: Refusal | None = None


@dataclass
class Session:
    """The pending commands and requests of a connection, by the transaction id (xid) that their reply will have."""

    router: str
    encoder: Encoder
    decoder: Decoder
    next_xid: int = 1
    sent: dict[int, _Sent] = field(default_factory=dict)
    prepared: dict[int, EncodedCommand] = field(
        default_factory=dict
    )  # by bundle number: errors of a commit name their xids
    reading: dict[int, tuple[Read, TableReader]] = field(default_factory=dict)
    counting: dict[int, Count] = field(default_factory=dict)
    polls: dict[int, tuple[bytearray, Callable[[bytes], None]]] = field(default_factory=dict)
    unmatched_errors: int = 0  # errors that match no command

    def encode(self, command: SwitchCommand) -> bytes:
        """The messages of a command; it is pending from now on."""
        if isinstance(command, Read):
            return self._next_request(command, TableReader(self.decoder)) or b""
        if isinstance(command, Count):
            self.counting[self.next_xid] = command
            self.next_xid += 1
            return count_request(self.next_xid - 1)
        frame = self.encoder.encode(command, self.next_xid)
        self.next_xid = frame.barrier + 1
        self.sent[frame.barrier] = _Sent(command, frame)
        if isinstance(command, Prepare):
            self.prepared[command.number] = frame
        return frame.data

    def poll(self, cookie: int, mask: int, answer: Callable[[bytes], None]) -> bytes:
        """The request for the flows whose cookies are ``cookie`` under ``mask``, with their counters; ``answer`` is
        called with the body of the reply."""
        self.polls[self.next_xid] = bytearray(), answer
        self.next_xid += 1
        return flows_request(self.next_xid - 1, cookie, mask)

    def confirmed(self, xid: int) -> tuple[SwitchCommand, Refusal | None] | None:
        """The command that a barrier reply completes, with its refusal, if any; None for an unknown xid."""
        done = self.sent.pop(xid, None)
        if done is None:
            return None
        if isinstance(done.command, Commit | Discard):
            self.prepared.pop(done.command.number, None)
        return done.command, done.refusal

    def refused(self, xid: int, reason: str) -> bool:
        """Records a switch's error, with its reason as text, as the refusal of the command that it is about; returns
        whether there is one. Of several errors the first is kept: later ones may be its consequences."""
        for sent in self.sent.values():
            frames = [sent.frame]
            if isinstance(sent.command, Commit) and sent.command.number in self.prepared:
                frames.append(self.prepared[sent.command.number])
            for frame in frames:
                if frame.first <= xid < frame.barrier:
                    sent.refusal = sent.refusal or Refusal(str(frame.subjects[xid - frame.first]), reason)
                    return True
        return False

    def entries_reported(self, xid: int, body: bytes, more: bool) -> bytes | tuple[Read, RuleSet] | None:
        """Takes one part of a statistics reply; ``more`` parts follow. Returns the next request, or after the last
        reply the command and all entries; None where there is nothing to do yet.

        Raises ValueError, IndexError or struct.error where it cannot be decoded."""
        if xid in self.polls:
            self._polled(xid, body, more)
            return None
        command, reader = self.reading.get(xid, (None, None))
        if command is None or reader is None:
            return None
        reader.take(body)
        if more:
            return None
        del self.reading[xid]
        return self._next_request(command, reader) or (command, reader.rule_set())

    def _polled(self, xid: int, body: bytes, more: bool) -> None:
        bodies, answer = self.polls[xid]
        bodies.extend(body)
        if not more:
            del self.polls[xid]
            answer(bytes(bodies))

    def _next_request(self, command: Read, reader: TableReader) -> bytes | None:
        request = reader.next_request(self.next_xid)
        if request is not None:
            self.reading[self.next_xid] = command, reader
            self.next_xid += 1
        return request
