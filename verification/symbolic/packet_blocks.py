"""A set of packets in explicit form: blocks of headers, each a value under a mask, whose union is exactly the set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from itertools import islice

from helsewan.controller.openflow.entries import IPV4, IPV6
from helsewan.verification.symbolic.header_space import ANY_FRAGMENT, ICMP4, ICMP6, SCTP, TCP, UDP, Bits, Set, Space

_PROTOCOLS = {ICMP4: "icmp", TCP: "tcp", UDP: "udp", SCTP: "sctp", ICMP6: "icmpv6"}
_NAMES = {"tp_src": "source port", "tp_dst": "port", "mark": "delivered with DSCP", "ip_dscp": "sent with DSCP"}
_FORMATTED_SEPARATELY = ("eth_type", "source", "destination", "ip_proto", "ip_frag", "out")


@dataclass(frozen=True, slots=True)
class Block:
    """Packets by their headers: a number, a range, a prefix, or ``value/mask``. Headers not named may have any
    value."""

    headers: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.headers)


def blocks(space: Space, subset: Set, most: int) -> tuple[tuple[Block, ...], bool]:
    """The set as blocks, at most ``most``, and whether these are all."""
    found = list(islice(_unique_blocks(space, subset), most + 1))
    return tuple(found[:most]), len(found) <= most


def _unique_blocks(space: Space, subset: Set) -> Iterator[Block]:
    """All blocks, without duplicates."""
    seen: set[Block] = set()
    for bits in space.blocks(subset):
        block = Block(tuple(_headers(bits)))
        if block not in seen:
            seen.add(block)
            yield block


def _headers(bits: Mapping[str, Bits]) -> Iterator[tuple[str, str]]:
    """The headers of one block as names and values."""
    eth_type = bits["eth_type"].value if "eth_type" in bits else None
    yield "packets", {IPV4: "IPv4", IPV6: "IPv6", None: "any"}.get(eth_type, f"{eth_type or 0:#06x}")
    for part, name in (("source", "from"), ("destination", "to")):
        if part in bits:
            yield name, _prefix(bits[part], eth_type)
    if "ip_proto" in bits:
        yield "protocol", _PROTOCOLS.get(bits["ip_proto"].value, str(bits["ip_proto"]))
    if (fragment := bits.get("ip_frag")) and fragment.mask & ANY_FRAGMENT:
        yield "fragments", "only" if fragment.value & ANY_FRAGMENT else "none"
    for part, each in bits.items():
        if part not in _FORMATTED_SEPARATELY:
            yield _NAMES.get(part, part), _range(each)


def _range(bits: Bits) -> str:
    """Bits as a range where they are one, otherwise as ``value/mask``."""
    free = (1 << bits.width) - 1 & ~bits.mask
    if not free or free & free + 1:
        return str(bits)
    return f"{bits.value}-{bits.value | free}"


def _prefix(address: Bits, eth_type: int | None) -> str:
    """Bits of an address as a prefix where they are one, otherwise as ``value/mask``."""
    width = 32 if eth_type == IPV4 else 128
    value, mask = (number >> address.width - width for number in (address.value, address.mask))
    length = mask.bit_count()
    if eth_type not in (IPV4, IPV6) or mask != (1 << width) - (1 << width - length):
        return str(address)
    return str((IPv4Network if width == 32 else IPv6Network)((value, length)))
