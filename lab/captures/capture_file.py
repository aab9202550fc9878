"""Reads pcap and pcapng files packet by packet, in memory that does not depend on the file's size.

Scapy's raw readers decode the records. They end without a word where a file is cut, cut packets that are too long, and
ignore what a packet's own lengths contradict; this module finds out and refuses such files by packet number.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader, RawPcapReader

from helsewan.common.errors import InputError, Problem

MOST_PACKET_BYTES = 262_144  # tcpdump's default snapshot length; no link layer here has longer packets
_MOST_BLOCK_BYTES = 16 << 20  # of one read; libpcap refuses longer blocks
_PCAP_MAGICS = {bytes.fromhex(magic) for magic in ("a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1")}
_PCAPNG_MAGIC = bytes.fromhex("0a0d0d0a")
_LINK_TYPE_MASK = 0x03FFFFFF  # the bits above tell the length of frame check sequences (draft-ietf-opsawg-pcap)
_IF_TSOFFSET = 14
_IDB, _PB, _SPB, _EPB = 1, 2, 3, 6  # block types
_EPB_HEAD_BYTES, _CAPTURED_AT = 20, 12  # the same in both blocks with a head
DAMAGED = "the file is damaged from here on"
_BUFFER_BYTES = 1 << 20

logging.getLogger("scapy.runtime").setLevel(logging.CRITICAL)  # what it warns of is refused here, in one line


class CapturedPacket(NamedTuple):
    """A packet of a capture: its number in the file (from 1), its time (ns since 1970), the link type of its interface
    (a LINKTYPE_ number), its captured bytes, and its length on the wire (bytes)."""

    number: int
    time_ns: int
    link_type: int
    data: bytes
    wire_bytes: int


class CaptureRefused(InputError):
    """A capture that cannot be replayed: ``place``, its file and the packet's number, the reason, and a hint."""

    def __init__(self, place: str, reason: str, hint: str = "") -> None:
        self.place, self.reason, self.hint = place, reason, hint
        super().__init__(Problem(place, None, reason, hint))


def refusal(file: Path, number: int, reason: str, hint: str = "") -> CaptureRefused:
    """The error for packet ``number`` of ``file``."""
    return CaptureRefused(f"{file}: packet {number:,}", reason, hint)


def read_capture(path: Path) -> Iterator[CapturedPacket]:
    """The packets of a pcap or pcapng file, one at a time. Raises CaptureRefused for a file that cannot be read, is
    empty, of another format or without packets and, with the packet's number, for one that is cut or contradicts
    itself."""
    try:
        with path.open("rb", buffering=_BUFFER_BYTES) as file:
            number = 0
            for packet in _packets(path, file):
                number = packet.number
                yield packet
    except OSError as error:
        raise CaptureRefused(str(path), f"cannot be read: {error.strerror}") from error
    if not number:
        raise CaptureRefused(str(path), "has no packets", "give a capture that has some")


def _packets(path: Path, file: IO[bytes]) -> Iterator[CapturedPacket]:
    checked = _CheckedFile(path, file)
    magic = checked.read(4)
    if not magic:
        raise CaptureRefused(str(path), "is empty", "give a pcap or pcapng file")
    kind: type[_PcapRecords | _PcapngRecords]
    if magic in _PCAP_MAGICS:
        kind = _PcapRecords
    elif magic == _PCAPNG_MAGIC:
        kind = _PcapngRecords
    else:
        hint = "decompress it first" if magic[:2] == b"\x1f\x8b" else "give a file that tcpdump or Wireshark wrote"
        raise CaptureRefused(str(path), f"begins with {magic.hex()}, as no pcap or pcapng file does", hint)
    reader = _opened(kind, path, checked, magic)
    while (packet := reader.next()) is not None:
        checked.number = packet.number
        _check(path, packet)
        yield packet


def _opened(
    kind: type[_PcapRecords | _PcapngRecords], path: Path, file: _CheckedFile, magic: bytes
) -> _PcapRecords | _PcapngRecords:
    """A reader of ``file``: Scapy's classes, when called, would open the file themselves."""
    reader = object.__new__(kind)
    reader.path, reader.checked = path, file
    begin: Any = kind.__init__
    try:
        begin(reader, str(path), file, magic)
    except Scapy_Exception as error:
        raise CaptureRefused(str(path), f"has a malformed header: {error}") from None
    return reader


def _check(path: Path, packet: CapturedPacket) -> None:
    captured = len(packet.data)
    if captured > packet.wire_bytes:
        reason = f"has {captured:,} captured bytes of {packet.wire_bytes:,} on the wire"
        raise refusal(path, packet.number, reason, "one of its two lengths is wrong: write the capture again")
    if packet.wire_bytes > MOST_PACKET_BYTES:
        reason = f"is said to be {packet.wire_bytes:,} bytes long; at most {MOST_PACKET_BYTES:,} can be"
        raise refusal(path, packet.number, reason, DAMAGED)


class _CheckedFile:
    """A file that a reader reads in pieces. A piece that ends early is an error, except at the end of a record."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.number = 0  # of the last whole packet
        self.between = True  # whether the next read begins a record
        self.ended = False
        self._path, self._file = path, file

    def read(self, size: int) -> bytes:
        """Read ``size`` bytes; none at the end of the file between records. Raises CaptureRefused where fewer are
        left."""
        if size > _MOST_BLOCK_BYTES:
            reason = f"begins a record of {size:,} bytes; at most {_MOST_BLOCK_BYTES:,} can be"
            raise refusal(self._path, self.number + 1, reason, DAMAGED)
        data = self._file.read(size)
        if not data and size and self.between:
            self.ended = True
        elif len(data) < size:
            hint = "capture again, or cut the file after the last whole packet"
            raise refusal(self._path, self.number + 1, "is cut: the file ends within it", hint)
        self.between = False
        return data


class _PcapRecords(RawPcapReader):
    """The records of a pcap file."""

    path: Path
    checked: _CheckedFile

    def next(self) -> CapturedPacket | None:
        """The next packet; None at the end."""
        file = self.checked
        file.between = True
        number = file.number + 1
        try:
            data, about = self._read_packet(MOST_PACKET_BYTES)
        except EOFError:
            return None
        if about.caplen > MOST_PACKET_BYTES:
            reason = f"is said to have {about.caplen:,} captured bytes; at most {MOST_PACKET_BYTES:,} can be"
            raise refusal(self.path, number, reason, DAMAGED)
        time_ns = about.sec * 10**9 + about.usec * (1 if self.nano else 1000)
        return CapturedPacket(number, time_ns, self.linktype & _LINK_TYPE_MASK, data, about.wirelen)


class _PcapngRecords(RawPcapNgReader):
    """The packets of a pcapng file. A section's interfaces are its own, times have their interface's resolution and
    offset, and a packet without a time has that of the packet before it."""

    path: Path
    checked: _CheckedFile
    offsets_ns: list[int]  # of the section's interfaces
    interface = 0  # of the present packet
    time_ns = 0  # of the last packet

    def next(self) -> CapturedPacket | None:
        """The next packet; None at the end."""
        file = self.checked
        try:
            data, about = self._read_packet(MOST_PACKET_BYTES)
        except EOFError:
            if file.ended:
                return None
            raise refusal(self.path, file.number + 1, "is in a malformed block", DAMAGED) from None
        if about.tshigh is not None:
            units = about.tshigh << 32 | about.tslow
            self.time_ns = units * 10**9 // about.tsresol + self.offsets_ns[self.interface]
        return CapturedPacket(file.number + 1, self.time_ns, about.linktype, data, about.wirelen)

    def _read_block(self, size: int = MOST_PACKET_BYTES) -> Any:
        self.checked.between = True
        return super()._read_block(size)

    def _read_block_shb(self) -> None:
        self.interfaces.clear()
        self.offsets_ns = []
        kept = _IDB, _PB, _SPB, _EPB  # nothing else tells of packets, and some would grow
        self.blocktypes = {kind: self.blocktypes[kind] for kind in kept}
        super()._read_block_shb()

    def _read_block_idb(self, block: bytes, size: int) -> None:
        super()._read_block_idb(block, size)
        link_type, snap_bytes, options = self.interfaces[-1]
        self.interfaces[-1] = link_type, snap_bytes or MOST_PACKET_BYTES, options  # 0: not limited
        offset = self._read_options(block[8:]).get(_IF_TSOFFSET)
        seconds = 0
        if isinstance(offset, bytes) and len(offset) == struct.calcsize("q"):
            (seconds,) = struct.unpack(self.endian + "q", offset)
        self.offsets_ns.append(seconds * 10**9)

    def _read_block_epb(self, block: bytes, size: int) -> Any:
        self._check_captured(block)
        return super()._read_block_epb(block, size)

    def _read_block_pkt(self, block: bytes, size: int) -> Any:
        self._check_captured(block)
        return super()._read_block_pkt(block, size)

    def _check_captured(self, block: bytes) -> None:
        """Refuse a packet with more captured bytes than its block has."""
        if len(block) >= _EPB_HEAD_BYTES:
            (captured,) = struct.unpack_from(self.endian + "I", block, _CAPTURED_AT)
            if captured > len(block) - _EPB_HEAD_BYTES:
                reason = f"is said to have {captured:,} captured bytes; its block has fewer"
                raise refusal(self.path, self.checked.number + 1, reason, DAMAGED)

    def _check_interface_id(self, intid: int) -> bool:
        if intid >= len(self.interfaces):
            reason = f"is of interface {intid}; the file describes {len(self.interfaces)} before it"
            hint = "write the capture again with its interfaces"
            raise refusal(self.path, self.checked.number + 1, reason, hint)
        self.interface = intid
        return True
