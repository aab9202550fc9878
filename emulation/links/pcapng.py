"""The blocks of a pcapng file (draft-ietf-opsawg-pcapng) other than packet blocks, in native byte order.

The blocks with packets are written by the link engine (``linkengine/capture.c``).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

_SECTION_HEADER, _INTERFACE_DESCRIPTION, _INTERFACE_STATISTICS = 0x0A0D0D0A, 1, 5
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_LINKTYPE_ETHERNET = 1
_UNKNOWN_LENGTH = -1
_OPT_END, _SHB_USERAPPL = 0, 4
_IF_NAME, _IF_TSRESOL, _NANOSECONDS = 2, 9, b"\x09"
_ISB_STARTTIME, _ISB_ENDTIME, _ISB_IFRECV, _ISB_IFDROP = 2, 3, 4, 5


def section_header(application: str) -> bytes:
    """The Section Header Block, first in the file."""
    fixed = struct.pack("=IHHq", _BYTE_ORDER_MAGIC, 1, 0, _UNKNOWN_LENGTH)
    return _block(_SECTION_HEADER, fixed, [(_SHB_USERAPPL, application.encode())])


def interface(name: str, snap_bytes: int) -> bytes:
    """The Interface Description Block of an Ethernet interface with nanosecond timestamps, numbered from 0."""
    fixed = struct.pack("=HHI", _LINKTYPE_ETHERNET, 0, snap_bytes)
    return _block(_INTERFACE_DESCRIPTION, fixed, [(_IF_NAME, name.encode()), (_IF_TSRESOL, _NANOSECONDS)])


def statistics(number: int, began_ns: int, ended_ns: int, frames: int, missed: int) -> bytes:
    """The Interface Statistics Block of interface ``number``: ``frames`` in the file, and ``missed`` frames."""
    options = [
        (_ISB_STARTTIME, _time(began_ns)),
        (_ISB_ENDTIME, _time(ended_ns)),
        (_ISB_IFRECV, struct.pack("=Q", frames + missed)),
        (_ISB_IFDROP, struct.pack("=Q", missed)),
    ]
    return _block(_INTERFACE_STATISTICS, struct.pack("=I", number) + _time(ended_ns), options)


def _time(time_ns: int) -> bytes:
    return struct.pack("=II", time_ns >> 32, time_ns & 0xFFFFFFFF)


def _block(kind: int, fixed: bytes, options: Iterable[tuple[int, bytes]]) -> bytes:
    body = fixed
    for code, value in [*options, (_OPT_END, b"")]:
        body += struct.pack("=HH", code, len(value)) + value + bytes(-len(value) % 4)
    length = struct.pack("=I", len(body) + 12)
    return struct.pack("=I", kind) + length + body + length
