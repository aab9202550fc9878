"""DICOM's upper layer protocol: its PDUs as values, written and read (DICOM PS3.8, 9.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from helsewan.lab.applications.tcp.end import ProtocolError

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
OWN_CLASS_UID = "1.2.826.0.1.3680043.10.1547.1"
OWN_MAX_PDU_BYTES = 65_536
MAX_PDU_BYTES = 1_048_576  # of one that is read
_HEAD = struct.Struct("!BxI")
_ITEM = struct.Struct("!BxH")
_PDV = struct.Struct("!IBB")

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
_CONTEXT_RQ, _CONTEXT_AC = 0x20, 0x21


@dataclass(frozen=True, slots=True)
class Pdu:
    """A PDU: its type, and what follows its six octets of head."""

    type: int
    contents: bytes


@dataclass(frozen=True, slots=True)
class Association:
    """What an A-ASSOCIATE-RQ proposes, or an AC accepts: presentation contexts by id (in a request: abstract syntax and
    transfer syntaxes; in an acceptance: result, "", and the one transfer syntax), and the longest PDU its sender takes
    (0: any)."""

    called: str
    calling: str
    contexts: Mapping[int, tuple[int, str, tuple[str, ...]]]
    max_pdu_bytes: int


@dataclass(frozen=True, slots=True)
class Pdv:
    """A presentation data value: a fragment of a command or of a data set."""

    context: int
    is_command: bool
    is_last: bool
    data: bytes


class PduReader:
    """Cuts a stream of bytes into PDUs."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Pdu]:
        """The PDUs that are complete with ``data``. Raises ProtocolError for an unknown type and for one too long."""
        self._buffer += data
        found, at = [], 0
        while len(self._buffer) - at >= _HEAD.size:
            type_, length = _HEAD.unpack_from(self._buffer, at)
            if not ASSOCIATE_RQ <= type_ <= ABORT or length > MAX_PDU_BYTES:
                raise ProtocolError("no DICOM PDU")
            if len(self._buffer) - at < _HEAD.size + length:
                break
            at += _HEAD.size
            found.append(Pdu(type_, bytes(self._buffer[at : at + length])))
            at += length
        del self._buffer[:at]
        return found


def pdu(type_: int, contents: bytes) -> bytes:
    """A PDU as it is sent."""
    return _HEAD.pack(type_, len(contents)) + contents


RELEASE_REQUEST, RELEASE_REPLY = pdu(RELEASE_RQ, bytes(4)), pdu(RELEASE_RP, bytes(4))
ABORTED = pdu(ABORT, bytes(4))


def associate(association: Association, type_: int) -> bytes:
    """An A-ASSOCIATE-RQ or -AC."""
    contents = struct.pack("!HH16s16s32x", 1, 0, _title(association.called), _title(association.calling))
    contents += _item(0x10, APPLICATION_CONTEXT.encode("ascii"))
    for id_, (result, abstract, transfers) in association.contexts.items():
        parts = b"".join(_item(0x40, each.encode("ascii")) for each in transfers)
        if type_ == ASSOCIATE_RQ:
            parts = _item(0x30, abstract.encode("ascii")) + parts
        contents += _item(_CONTEXT_RQ if type_ == ASSOCIATE_RQ else _CONTEXT_AC, bytes((id_, 0, result, 0)) + parts)
    user = _item(0x51, struct.pack("!I", association.max_pdu_bytes)) + _item(0x52, OWN_CLASS_UID.encode("ascii"))
    return pdu(type_, contents + _item(0x50, user))


def read_association(contents: bytes, type_: int) -> Association:
    """What an A-ASSOCIATE-RQ or -AC says. Raises ProtocolError where it is malformed."""
    if len(contents) < 68:
        raise ProtocolError("a DICOM association of fewer than 68 bytes")
    contexts: dict[int, tuple[int, str, tuple[str, ...]]] = {}
    max_pdu_bytes = 0
    for kind, value in _items(contents[68:]):
        if kind == (_CONTEXT_RQ if type_ == ASSOCIATE_RQ else _CONTEXT_AC):
            if len(value) < 4:
                raise ProtocolError("a DICOM presentation context of fewer than 4 bytes")
            parts = list(_items(value[4:]))
            abstract = next((_uid(part) for kind_, part in parts if kind_ == 0x30), "")
            contexts[value[0]] = value[2], abstract, tuple(_uid(part) for kind_, part in parts if kind_ == 0x40)
        elif kind == 0x50:
            for kind_, part in _items(value):
                if kind_ == 0x51 and len(part) == 4:
                    (max_pdu_bytes,) = struct.unpack("!I", part)
    called, calling = contents[4:20], contents[20:36]
    return Association(_text(called), _text(calling), contexts, max_pdu_bytes)


def data_pdus(context: int, is_command: bool, data: bytes, is_last: bool, max_pdu_bytes: int) -> Iterator[bytes]:
    """P-DATA-TF PDUs, none longer than ``max_pdu_bytes`` (0: 1 MB), with fragments of a command or data set.
    ``is_last``: nothing follows ``data``."""
    room = (min(max_pdu_bytes, MAX_PDU_BYTES) or MAX_PDU_BYTES) - _PDV.size
    for begin in range(0, len(data), room):
        part = data[begin : begin + room]
        flags = is_command | (2 if is_last and begin + room >= len(data) else 0)
        yield pdu(DATA, _PDV.pack(len(part) + 2, context, flags) + part)


def read_data(contents: bytes) -> Iterator[Pdv]:
    """The fragments in a P-DATA-TF. Raises ProtocolError where lengths do not fit."""
    at = 0
    while at < len(contents):
        if len(contents) - at < _PDV.size:
            raise ProtocolError("a DICOM fragment without a head")
        length, context, flags = _PDV.unpack_from(contents, at)
        end = at + 4 + length
        if length < 2 or end > len(contents):
            raise ProtocolError("a DICOM fragment longer than its PDU")
        yield Pdv(context, bool(flags & 1), bool(flags & 2), contents[at + _PDV.size : end])
        at = end


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        if len(data) - at < _ITEM.size:
            raise ProtocolError("a DICOM item without a head")
        kind, length = _ITEM.unpack_from(data, at)
        at += _ITEM.size
        if at + length > len(data):
            raise ProtocolError("a DICOM item longer than what holds it")
        yield kind, data[at : at + length]
        at += length


def _item(kind: int, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def _title(name: str) -> bytes:
    return name.encode("latin-1")[:16].ljust(16)


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip()


def _uid(value: bytes) -> str:
    return value.decode("latin-1").rstrip("\0 ")
