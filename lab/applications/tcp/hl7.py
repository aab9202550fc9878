"""HL7 v2 messages over MLLP and their acknowledgements.

MLLP: HL7 "Transport Specification: MLLP, Release 1": a block is 0x0B, the message, 0x1C 0x0D. Messages and the
original-mode acknowledgement with its MSA segment: HL7 v2.5, chapter 2.
"""

from __future__ import annotations

from dataclasses import dataclass

from helsewan.lab.applications.tcp.end import ClientEnd, End, ProtocolError

START, END = b"\x0b", b"\x1c\x0d"
MAX_MESSAGE_BYTES = 16_000_000
_LINE_BYTES = 200


class MllpReader:
    """Cuts a stream of bytes into messages."""

    def __init__(self, most_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._most_bytes = most_bytes
        self._buffer = bytearray()
        self._searched = 0  # how far the end was looked for

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete with ``data``. Raises ProtocolError for anything between blocks, and for a
        message that is too long."""
        self._buffer += data
        found = []
        while self._buffer:
            if self._buffer[:1] != START:
                raise ProtocolError("no MLLP block")
            end = self._buffer.find(END, max(self._searched - 1, 1))
            if max(end, 0) > self._most_bytes or (end < 0 and len(self._buffer) > self._most_bytes + len(END)):
                raise ProtocolError(f"an HL7 message of more than {self._most_bytes} bytes")
            if end < 0:
                self._searched = len(self._buffer)
                break
            found.append(bytes(self._buffer[1:end]))
            del self._buffer[: end + len(END)]
            self._searched = 0
        return found


def block(message: bytes) -> bytes:
    """A message as MLLP sends it. Raises ValueError if it contains the end of a block."""
    if END in message:
        raise ValueError("the message contains the end of an MLLP block")
    return START + message + END


@dataclass(frozen=True, slots=True)
class Header:
    """What an answer needs of a message: fields of its MSH segment."""

    separator: bytes
    encoding: bytes
    application: bytes
    facility: bytes
    receiving_application: bytes
    receiving_facility: bytes
    control_id: bytes
    processing: bytes
    version: bytes

    @classmethod
    def of(cls, message: bytes) -> Header:
        """The header of a message. Raises ProtocolError where it has no whole MSH segment."""
        segment = message.split(b"\r", 1)[0]
        if len(segment) < 8 or segment[:3] != b"MSH":
            raise ProtocolError("an HL7 message without MSH")
        separator = segment[3:4]
        fields = segment.split(separator)
        if len(fields) < 12 or not fields[9]:
            raise ProtocolError("an HL7 message without a control id")
        return cls(separator, fields[1], *fields[2:6], *fields[9:12])


def result_message(control_id: str, size: int) -> bytes:
    """An ORU^R01 of ``size`` bytes, or its least size if that is more: results of a laboratory, as lines of text."""
    head = (
        f"MSH|^~\\&|LAB|SENDER|EPJ|RECEIVER|20060701120000||ORU^R01|{control_id}|P|2.5\r"
        "PID|1||13116900216^^^NO-FNR||NORDMANN^KARI\r"
        f"OBR|1|{control_id}||NPU|||20060701113000\r"
    ).encode("ascii")
    lines, left, number = [head], size - len(head), 0
    while left > 0:
        number += 1
        line = b"OBX|%d|TX|NPU^%d||" % (number, number)
        text = min(_LINE_BYTES, left) - len(line) - 1
        if text < 1:  # the last few bytes go into the line before
            lines[-1] = lines[-1][:-1] + b"x" * left + b"\r"
            break
        lines.append(line + b"x" * text + b"\r")
        left -= len(lines[-1])
    return b"".join(lines)


def acknowledgement(message: bytes, own_id: str) -> bytes:
    """The positive acknowledgement (AA) of ``message``. Raises ProtocolError where that has no header."""
    header = Header.of(message)
    fields = [
        b"MSH", header.encoding, header.receiving_application, header.receiving_facility, header.application,
        header.facility, b"", b"", b"ACK", own_id.encode("ascii"), header.processing, header.version,
    ]  # fmt: skip
    answer = header.separator.join(fields) + b"\r"
    return answer + header.separator.join((b"MSA", b"AA", header.control_id)) + b"\r"


class Hl7Client(ClientEnd):
    """Sends messages one at a time; each is finished with its positive acknowledgement."""

    def __init__(self) -> None:
        super().__init__()
        self._reader = MllpReader()
        self._control_id = b""

    def ask(self, control_id: str, size: int) -> None:
        """Send a message of ``size`` bytes."""
        self._begin()
        self._control_id = control_id.encode("ascii")
        self._send(block(result_message(control_id, size)))

    def receive(self, data: bytes) -> None:
        """See ``End``."""
        self.received_bytes += len(data)
        for message in self._reader.feed(data):
            Header.of(message)
            segments = (segment.split(message[3:4]) for segment in message.split(b"\r"))
            answers = [each for each in segments if each[0] == b"MSA" and len(each) > 2]
            _, code, control_id = answers[0][:3] if answers else (b"", b"", b"")
            if self.finished or control_id != self._control_id:
                raise ProtocolError("an HL7 acknowledgement of no message of ours")
            if code not in (b"AA", b"CA"):
                raise ProtocolError("an HL7 message was refused")
            self.finished = True


class Hl7Server(End):
    """Acknowledges every message."""

    def __init__(self) -> None:
        super().__init__()
        self._reader = MllpReader()
        self._answers = 0

    def receive(self, data: bytes) -> None:
        """See ``End``."""
        for message in self._reader.feed(data):
            self._answers += 1
            self._send(block(acknowledgement(message, f"A{self._answers}")))
