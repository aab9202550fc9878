"""Packet sockets in a site's namespace: they put packets on its access links, and take those that arrive there from
under its kernel, which has no part in them."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.lab.replay.socket_buffers import enlarge_buffer
from helsewan.topology.model import Network, Site, access_interface, router_mac

_ETH_P_IP, _ETH_P_IPV6 = 0x0800, 0x86DD
_ALL_PROTOCOLS = socket.htons(3)  # ETH_P_ALL
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_IGNORE_OUTGOING = 263, 6, 23
_SO_ATTACH_FILTER, _SO_TIMESTAMPNS = 26, 35
_SIOCGIFFLAGS, _IFF_RUNNING = 0x8913, 0x40
_IFREQ = struct.Struct("16sH14x")
_INSTRUCTION = struct.Struct("=HBBI")  # operation, jumps if true and if false, operand
_TIMESPEC = struct.Struct("=qq")
_SNAP_BYTES = 80  # of an IP packet: all that tells which it is
_ANCILLARY_BYTES = 64
_AT_ONCE = 64  # packets read before others get their turn


@dataclass(frozen=True, slots=True)
class SiteSockets:
    """The descriptors of a site's packet sockets, and what its frames begin with, by access link."""

    site: str
    receiving: int
    sending: tuple[int, ...]
    heads: tuple[bytes, ...]


class NotSent(Exception):
    """A packet was not sent; ``full``: because a queue of the machine was full, else because every line is down."""

    def __init__(self, full: bool) -> None:
        self.full = full
        super().__init__("a queue was full" if full else "no line is up")


def open_sockets(site: Site, network: Network, namespace: Namespace) -> tuple[SiteSockets, list[socket.socket]]:
    """The packet sockets of a site, to be closed by the caller, who may hand their descriptors to another process.
    Raises OSError."""
    opened: list[socket.socket] = []
    try:
        receiving = namespace.socket(socket.AF_PACKET, socket.SOCK_DGRAM, _ALL_PROTOCOLS)
        opened.append(receiving)
        enlarge_buffer(receiving)
        receiving.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        receiving.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        _attach(receiving, _not_to(site.address4.packed, site.address6.packed))
        for number in range(len(site.accesses)):
            sending = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            opened.append(sending)
            sending.bind((access_interface(number), 0))
    except BaseException:
        for each in opened:
            each.close()
        raise
    macs = (router_mac(network.router[access.router]) for access in site.accesses)
    heads = tuple(_octets(mac) + _octets(site.mac) for mac in macs)
    descriptors = [each.fileno() for each in opened]
    return SiteSockets(site.id, descriptors[0], tuple(descriptors[1:]), heads), opened


class WireSite:
    """The sockets of a site in the process that sends and follows."""

    def __init__(self, sockets: SiteSockets) -> None:
        self.name = sockets.site
        self._receiving = _adopted(sockets.receiving)
        self._sending = [_adopted(descriptor) for descriptor in sockets.sending]
        self._links = [
            (sending, head + struct.pack("!H", _ETH_P_IP), head + struct.pack("!H", _ETH_P_IPV6))
            for sending, head in zip(self._sending, sockets.heads, strict=True)
        ]

    def fileno(self) -> int:
        """The descriptor that can be read when packets have arrived."""
        return self._receiving.fileno()

    def send(self, packet: bytes) -> None:
        """Send an IP packet on the first access link that is up. Raises NotSent."""
        full = False
        is_ipv6 = packet[0] >> 4 == 6
        for number, (sending, head4, head6) in enumerate(self._links):
            try:
                sending.send((head6 if is_ipv6 else head4) + packet)
                return
            except BlockingIOError:
                full = True
            except OSError as error:
                if error.errno not in (errno.ENOBUFS, errno.ENETDOWN):
                    raise
                full = full or (error.errno == errno.ENOBUFS and _has_carrier(sending, number))
            if full:
                break
        raise NotSent(full)

    def received(self) -> Iterator[tuple[int, bytes]]:
        """The packets that have arrived, some at once: when (CLOCK_REALTIME, ns), and the packet's beginning."""
        with suppress(BlockingIOError):
            for _ in range(_AT_ONCE):
                data, ancillary, _, address = self._receiving.recvmsg(_SNAP_BYTES, _ANCILLARY_BYTES)
                if address[0].startswith("wan") and ancillary:
                    seconds, nanoseconds = _TIMESPEC.unpack_from(ancillary[0][2])
                    yield seconds * 10**9 + nanoseconds, data

    def dropped(self) -> int:
        """Packets dropped since the last call because the receiving socket was full."""
        counts = self._receiving.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        return int(struct.unpack("=II", counts)[1])


def _adopted(descriptor: int) -> socket.socket:
    adopted = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0, fileno=descriptor)
    adopted.setblocking(False)
    return adopted


def _has_carrier(sending: socket.socket, number: int) -> bool:
    request = _IFREQ.pack(access_interface(number).encode(), 0)
    try:
        answer = fcntl.ioctl(sending.fileno(), _SIOCGIFFLAGS, request)
    except OSError:
        return False
    return bool(_IFREQ.unpack(answer)[1] & _IFF_RUNNING)


def _octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _not_to(own4: bytes, own6: bytes) -> bytes:
    """A filter (classic BPF) that passes the beginning of IP packets but those to the site's own addresses."""
    load_byte, load_word, mask, if_equal, end = 0x30, 0x20, 0x54, 0x15, 0x06
    words = struct.unpack("!4I", own6)
    program = [
        (load_byte, 0, 0, 0),
        (mask, 0, 0, 0xF0),
        (if_equal, 0, 2, 0x40),
        (load_word, 0, 0, 16),
        (if_equal, 9, 10, int.from_bytes(own4, "big")),
        (if_equal, 0, 8, 0x60),
        (load_word, 0, 0, 24),
        (if_equal, 0, 7, words[0]),
        (load_word, 0, 0, 28),
        (if_equal, 0, 5, words[1]),
        (load_word, 0, 0, 32),
        (if_equal, 0, 3, words[2]),
        (load_word, 0, 0, 36),
        (if_equal, 0, 1, words[3]),
        (end, 0, 0, 0),
        (end, 0, 0, _SNAP_BYTES),
    ]
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)


def _attach(receiving: socket.socket, program: bytes) -> None:
    """Attach a filter: a struct sock_fprog with its number of instructions and where they are."""
    code = ctypes.create_string_buffer(program)
    head = struct.pack("HL", len(program) // _INSTRUCTION.size, ctypes.addressof(code))
    receiving.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)
