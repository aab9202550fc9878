"""Packets that a switch punts to the slow path because it cannot forward them, and the limit on their rate.

The reason is OpenFlow's packet-in reason or follows from the cookie of the rule; the VPN of the packet follows from the
metadata, or from the labels that it still carries.
"""

from __future__ import annotations

from dataclasses import dataclass

from helsewan.controller.openflow.entries import CONTROLLER_METER, IPV4, IPV6, MPLS, VLAN, PacketMeterRule
from helsewan.controller.openflow.pipeline import Drop, Purpose, purpose_of
from helsewan.controller.slowpath.icmp import IcmpError, Ipv4Packet, read_ipv4
from helsewan.controller.slowpath.icmp6 import Ipv6Packet, read_ipv6

# Enough for a few simultaneous traceroutes; a flood of packets is answered only in part and does no harm.
PUNT_METER = PacketMeterRule(CONTROLLER_METER, rate_pps=50, burst_packets=50)

_ETHERNET_BYTES, _TAG_BYTES, _LABEL_BYTES = 14, 4, 4
_BOTTOM_OF_STACK = 0x100

_ERROR_OF_DROP = {
    Drop.NO_ROUTE: IcmpError.NO_ROUTE,
    Drop.NO_PATH: IcmpError.NO_PATH,
    Drop.NO_LINE: IcmpError.NO_PATH,
    Drop.TOO_LONG: IcmpError.TOO_LONG,
}


@dataclass(frozen=True, slots=True)
class Punt:
    """A packet that ``router`` punted. ``expired``: its TTL reached zero; ``cookie`` is that of the last rule that it
    matched, ``metadata`` its metadata there; ``mtu_bytes`` is the MTU of the access link if the packet exceeds it."""

    router: str
    expired: bool
    cookie: int
    metadata: int
    frame: bytes
    mtu_bytes: int = 0

    @property
    def error(self) -> IcmpError | None:
        """The ICMP error to send; None if the reason is not reported to the sender."""
        if self.expired:
            return IcmpError.EXPIRED
        try:
            purpose, number = purpose_of(self.cookie)
        except ValueError:
            return None
        if purpose is Purpose.DROP:
            return next((error for drop, error in _ERROR_OF_DROP.items() if drop == number), None)
        return IcmpError.NO_PATH if purpose is Purpose.ROUTE else None


@dataclass(frozen=True, slots=True)
class FrameContents:
    """Label stack entries (32 bits each, top first) and IP packet of a frame."""

    labels: tuple[int, ...]
    packet: Ipv4Packet | Ipv6Packet


def read_frame(frame: bytes) -> FrameContents | None:
    """The labels and the IP packet of an Ethernet frame; None if it contains no complete IP header. Below labels, the
    IP version is read from the packet itself."""
    kind, offset = _ether_type(frame, _ETHERNET_BYTES), _ETHERNET_BYTES
    if kind == VLAN:
        offset += _TAG_BYTES
        kind = _ether_type(frame, offset)
    labels: list[int] = []
    while kind == MPLS:
        entry = frame[offset : offset + _LABEL_BYTES]
        if len(entry) < _LABEL_BYTES:
            return None
        labels.append(int.from_bytes(entry, "big"))
        offset += _LABEL_BYTES
        if labels[-1] & _BOTTOM_OF_STACK:
            kind = IPV6 if frame[offset : offset + 1] >= b"\x60" else IPV4
    read = {IPV4: read_ipv4, IPV6: read_ipv6}.get(kind)
    packet = read(frame[offset:]) if read else None
    return None if packet is None else FrameContents(tuple(labels), packet)


def _ether_type(frame: bytes, end: int) -> int:
    """The EtherType in the two bytes before offset ``end``."""
    return int.from_bytes(frame[end - 2 : end], "big")
