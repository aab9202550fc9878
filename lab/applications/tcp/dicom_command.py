"""DIMSE commands (DICOM PS3.7, 6.3 and 9.3.1) and data sets, in implicit VR little endian."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from helsewan.lab.applications.tcp.end import ProtocolError, filling

C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
C_ECHO_RQ, C_ECHO_RSP = 0x0030, 0x8030
NO_DATA_SET = 0x0101
SUCCESS = 0
_ELEMENT = struct.Struct("<HHI")
_US = struct.Struct("<H")

# SOP class (PS3.4, B.5) and bits of a pixel by modality (PS3.3, C.7.3.1.1.1)
SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "MG": "1.2.840.10008.5.1.4.1.1.1.2",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
}
VERIFICATION = "1.2.840.10008.1.1"

AFFECTED_CLASS, FIELD, MESSAGE_ID, ANSWERED_ID = (0, 2), (0, 0x100), (0, 0x110), (0, 0x120)
PRIORITY, DATA_SET_TYPE, STATUS, AFFECTED_INSTANCE = (0, 0x700), (0, 0x800), (0, 0x900), (0, 0x1000)

Command = dict[tuple[int, int], int | str]


def element(tag: tuple[int, int], value: bytes) -> bytes:
    """An element of a data set; ``value`` of odd length gets a zero byte, as UIDs do."""
    value += b"\0" * (len(value) % 2)
    return _ELEMENT.pack(*tag, len(value)) + value


def command(fields: Command) -> bytes:
    """A command set with its group length: numbers are US, strings are UIDs."""
    body = b"".join(
        element(tag, _US.pack(value) if isinstance(value, int) else value.encode("latin-1"))
        for tag, value in sorted(fields.items())
    )
    return element((0, 0), struct.pack("<I", len(body))) + body


def read_command(data: bytes) -> Command:
    """The fields of a command set: two-byte values as numbers, all others as strings. Raises ProtocolError."""
    fields: Command = {}
    at = 0
    while at < len(data):
        if len(data) - at < _ELEMENT.size:
            raise ProtocolError("a DICOM command cut short")
        group, number, length = _ELEMENT.unpack_from(data, at)
        at += _ELEMENT.size
        if group != 0 or at + length > len(data):
            raise ProtocolError("no DICOM command")
        value = data[at : at + length]
        fields[group, number] = _US.unpack(value)[0] if length == 2 else value.decode("latin-1").rstrip("\0 ")
        at += length
    return fields


def number(fields: Command, tag: tuple[int, int]) -> int:
    """A number of a command. Raises ProtocolError where it is not there."""
    value = fields.get(tag)
    if not isinstance(value, int):
        raise ProtocolError("a DICOM command without what it needs")
    return value


def image(modality: str, study: str, instance: str, pixel_bytes: int) -> Iterator[bytes]:
    """The data set of an image, in chunks: what identifies it, and square 16-bit pixels of about ``pixel_bytes``."""
    side = max(int((pixel_bytes / 2) ** 0.5), 1)
    size = side * side * 2
    texts = {
        (0x0008, 0x0016): SOP_CLASSES[modality],
        (0x0008, 0x0018): instance,
        (0x0008, 0x0060): modality,
        (0x0010, 0x0010): "NORDMANN^KARI ",
        (0x0010, 0x0020): "1 ",
        (0x0020, 0x000D): study,
        (0x0020, 0x000E): study + ".1",
        (0x0028, 0x0004): "MONOCHROME2 ",
    }
    numbers = {
        (0x0028, 0x0002): 1,  # samples a pixel
        (0x0028, 0x0010): side,  # rows
        (0x0028, 0x0011): side,  # columns
        (0x0028, 0x0100): 16,  # bits allocated
        (0x0028, 0x0101): 12,  # bits stored
        (0x0028, 0x0102): 11,  # high bit
        (0x0028, 0x0103): 0,  # unsigned
    }
    values = {tag: text.encode("ascii") for tag, text in texts.items()} | {
        tag: _US.pack(value) for tag, value in numbers.items()
    }
    head = b"".join(element(tag, value) for tag, value in sorted(values.items()))
    yield head + _ELEMENT.pack(0x7FE0, 0x0010, size)
    yield from filling(size)
