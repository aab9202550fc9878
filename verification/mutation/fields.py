"""Matches as masked values by field, and whether two of them overlap or one covers the other."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from helsewan.controller.openflow.entries import Match, Value
from helsewan.verification.concrete.packet import number, plain
from helsewan.verification.dump.fields import bits

_MASKABLE = frozenset(
    {"metadata", "vlan_vid", "ipv4_src", "ipv4_dst", "ipv6_src", "ipv6_dst", "ipv6_nd_target", "arp_spa", "arp_tpa"}
    | {"tcp_src", "tcp_dst", "udp_src", "udp_dst", "sctp_src", "sctp_dst", "tcp_flags"}
)


class MaskedValue(NamedTuple):
    """The numbers that equal ``value`` in the bits of ``mask``."""

    value: int
    mask: int

    def contains(self, value: int) -> bool:
        """Whether a number is in the set."""
        return value & self.mask == self.value

    def overlaps(self, other: MaskedValue) -> bool:
        """Whether some number is in both sets."""
        return (self.value ^ other.value) & self.mask & other.mask == 0

    def covers(self, other: MaskedValue) -> bool:
        """Whether every number of the other set is in this one."""
        return self.mask & ~other.mask == 0 and self.contains(other.value)


def is_maskable(name: str) -> bool:
    """Whether a switch accepts a mask for a field."""
    return plain(name) in _MASKABLE or "reg" in name


@lru_cache(maxsize=1 << 17)
def masked_match(match: Match) -> dict[str, MaskedValue]:
    """The masked values of a match by canonical field name."""
    return {plain(name): _masked_value(name, value) for name, value in match}


def _masked_value(name: str, value: Value | tuple[Value, Value]) -> MaskedValue:
    if isinstance(value, tuple):
        mask = number(value[1])
        return MaskedValue(number(value[0]) & mask, mask)
    return MaskedValue(number(value), (1 << bits(name)) - 1)


def overlap(one: Match, other: Match) -> bool:
    """Whether a packet can match both."""
    a, b = masked_match(one), masked_match(other)
    return all(a[name].overlaps(b[name]) for name in a.keys() & b.keys())


def covers(one: Match, other: Match) -> bool:
    """Whether every packet that matches the other matches this one."""
    b = masked_match(other)
    return all(name in b and each.covers(b[name]) for name, each in masked_match(one).items())


def match_value(name: str, each: MaskedValue) -> Value | tuple[Value, Value]:
    """A masked value in the notation of matches: addresses as text, and no mask where all bits are set."""
    value, mask = (_text(name, part) for part in each)
    return value if each.mask == (1 << bits(name)) - 1 else (value, mask)


def _text(name: str, value: int) -> Value:
    if bits(name) == 128:
        return str(IPv6Address(value))
    return str(IPv4Address(value)) if plain(name).startswith(("ipv4", "arp_spa", "arp_tpa")) else value
