"""Packets that a switch punts to the slow path because it cannot forward them, and the limit on their rate.

A switch says why by OpenFlow's reason or by the cookie of the rule; which VPN the packet belongs to, by the metadata,
or by the labels that it still carries.
"""

from __future__ import annotations

from dataclasses import dataclass

from helsewan.controller.openflow.entries import CONTROLLER_METER, IPV4, IPV6, MPLS, VLAN, PacketMeterRule
from helsewan.controller.openflow.pipeline import Drop, Purpose, purpose_of
from helsewan.controller.slowpath.icmp import IcmpError, Ipv4Packet, read_ipv4
from helsewan.controller.slowpath.icmp6 import Ipv6Packet, read_ipv6

# A flood that no router answers in full does no harm; a few traceroutes at once get all their answers.
PUNT_METER = PacketMeterRule(CONTROLLER_METER, rate_pps=50, burst_packets=50)

_ETHERNET_BYTES, _TAG_BYTES, _LABEL_BYTES = 14, 4, 4
_BOTTOM_OF_STACK = 0x100

_TROUBLE_OF = {
    Drop.NO_ROUTE: IcmpError.NO_ROUTE,
    Drop.NO_PATH: IcmpError.NO_PATH,
    Drop.NO_LINE: IcmpError.NO_PATH,
    Drop.TOO_LONG: IcmpError.TOO_LONG,
}


@dataclass(frozen=True, slots=True)
class Punt:
    """A packet as ``router`` handed it up: ``expired`` says that its TTL ran out, ``cookie`` and ``metadata`` are those
    of the rule it met last, ``mtu_bytes`` is the next line's where it is too long for that."""

    router: str
    expired: bool
    cookie: int
    metadata: int
    frame: bytes
    mtu_bytes: int = 0

    @property
    def trouble(self) -> IcmpError | None:
        """What kept the router from passing it on; None where that is not for its sender to know."""
        if self.expired:
            return IcmpError.EXPIRED
        try:
            purpose, number = purpose_of(self.cookie)
        except ValueError:
            return None
        if purpose is Purpose.DROP:
            return next((trouble for drop, trouble in _TROUBLE_OF.items() if drop == number), None)
        return IcmpError.NO_PATH if purpose is Purpose.ROUTE else None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a frame holds: label stack entries, top first, and the packet beneath."""

    labels: tuple[int, ...]
    packet: Ipv4Packet | Ipv6Packet


def read_frame(frame: bytes) -> Contents | None:
    """The labels and the IP packet in an Ethernet frame; None where it holds no whole one. What is beneath labels
    says itself which version it is."""
    kind, place = _ether_type(frame, _ETHERNET_BYTES), _ETHERNET_BYTES
    if kind == VLAN:
        place += _TAG_BYTES
        kind = _ether_type(frame, place)
    labels: list[int] = []
    while kind == MPLS:
        entry = frame[place : place + _LABEL_BYTES]
        if len(entry) < _LABEL_BYTES:
            return None
        labels.append(int.from_bytes(entry, "big"))
        place += _LABEL_BYTES
        if labels[-1] & _BOTTOM_OF_STACK:
            kind = IPV6 if frame[place : place + 1] >= b"\x60" else IPV4
    read = {IPV4: read_ipv4, IPV6: read_ipv6}.get(kind)
    packet = read(frame[place:]) if read else None
    return None if packet is None else Contents(tuple(labels), packet)


def _ether_type(frame: bytes, end: int) -> int:
    """The type that stands before ``end``."""
    return int.from_bytes(frame[end - 2 : end], "big")
