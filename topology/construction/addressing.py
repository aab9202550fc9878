"""Hierarchical address plan: a prefix for each site, a block for each homing in a zone, a prefix for each zone.

Block sizes are powers of two. Blocks are laid out largest first, so each starts on a multiple of its own size without
a gap before it. Unused addresses are only at the end of a block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from typing import TypeVar

from helsewan.common.errors import InputError, Problem
from helsewan.topology.construction.backbone import Backbone
from helsewan.topology.model import Kind, Network, Site

SUPERNET4 = IPv4Network("10.0.0.0/8")
SUPERNET6 = IPv6Network("fd68:776e::/32")  # unique local (RFC 4193); "68 77 6e" spells hwn
UNASSIGNED4 = IPv4Network("0.0.0.0/32")
UNASSIGNED6 = IPv6Network("::/128")

# IPv4 prefix length of a site by kind; all sites of a zone are of one kind.
SITE_PREFIX4 = {
    Kind.HOSPITAL: 24,
    Kind.DATACENTRE: 24,
    Kind.SERVICE: 24,
    Kind.MUNICIPALITY: 28,
    Kind.GP: 28,
    Kind.PHARMACY: 28,
}
SITE_PREFIX6 = 64

Homing = tuple[str, ...]
Key = TypeVar("Key", str, Homing)


@dataclass(frozen=True)
class Addressed:
    """Sites with their prefixes, and the aggregates that contain them (see ``model.Network``)."""

    sites: tuple[Site, ...]
    zones4: dict[str, IPv4Network]
    zones6: dict[str, IPv6Network]
    blocks4: dict[tuple[str, Homing], IPv4Network]
    blocks6: dict[tuple[str, Homing], IPv6Network]


@dataclass(frozen=True)
class _Block:
    """An aligned range: ``2**bits`` units from ``start``."""

    start: int
    bits: int


def assign(sites: Sequence[Site]) -> Addressed:
    """Assign every site its IPv4 and IPv6 prefix, replacing those it has.

    Raises ``InputError`` when they do not fit into ``SUPERNET4``.
    """
    zones: dict[str, dict[Homing, list[Site]]] = {}
    for site in sites:
        zones.setdefault(site.zone, {}).setdefault(site.homing, []).append(site)
    # Units: one IPv4 address, one IPv6 /64.
    zone4, block4 = _layout(zones, {kind: 32 - prefix for kind, prefix in SITE_PREFIX4.items()})
    zone6, block6 = _layout(zones, dict.fromkeys(Kind, 0))
    if any(block.start >> (32 - SUPERNET4.prefixlen) for block in zone4.values()):
        raise InputError(Problem("sites", len(sites), f"do not fit into {SUPERNET4}", "use fewer sites"))
    prefixes: dict[str, tuple[IPv4Network, IPv6Network]] = {}
    for zone, homings in zones.items():
        for homing, members in homings.items():
            start4, start6 = block4[zone, homing].start, block6[zone, homing].start
            for number, site in enumerate(members):
                bits = 32 - SITE_PREFIX4[site.kind]
                prefixes[site.id] = (_net4(_Block(start4 + (number << bits), bits)), _net6(_Block(start6 + number, 0)))
    return Addressed(
        tuple(replace(site, prefix4=prefixes[site.id][0], prefix6=prefixes[site.id][1]) for site in sites),
        {zone: _net4(block) for zone, block in sorted(zone4.items())},
        {zone: _net6(block) for zone, block in sorted(zone6.items())},
        {key: _net4(block) for key, block in sorted(block4.items())},
        {key: _net6(block) for key, block in sorted(block6.items())},
    )


def assemble(name: str, seed: int, core: Backbone, sites: Sequence[Site]) -> Network:
    """The network of a backbone and its attached sites, whose addresses are assigned here.

    Raises ``InputError`` as ``assign`` does."""
    addressed = assign(sites)
    return Network(
        name=name,
        seed=seed,
        pops=core.pops,
        routers=core.routers,
        links=core.links,
        sites=addressed.sites,
        zones4=addressed.zones4,
        zones6=addressed.zones6,
        blocks4=addressed.blocks4,
        blocks6=addressed.blocks6,
        operations=core.operations,
    )


def _layout(
    zones: Mapping[str, Mapping[Homing, Sequence[Site]]], site_bits: Mapping[Kind, int]
) -> tuple[dict[str, _Block], dict[tuple[str, Homing], _Block]]:
    """Zone blocks, and the (zone, homing) blocks inside them, as offsets in units from the supernet's start."""
    inner: dict[str, dict[Homing, _Block]] = {}
    for zone, homings in zones.items():
        sizes = {homing: _bits(len(members)) + site_bits[members[0].kind] for homing, members in homings.items()}
        inner[zone] = _pack(sizes)
    zone_blocks = _pack({zone: _bits(_end(blocks)) for zone, blocks in inner.items()})
    blocks = {
        (zone, homing): _Block(zone_blocks[zone].start + block.start, block.bits)
        for zone, homings in inner.items()
        for homing, block in homings.items()
    }
    return zone_blocks, blocks


def _pack(sizes: Mapping[Key, int]) -> dict[Key, _Block]:
    """Lay out blocks of ``2**bits`` units contiguously, largest first, equal sizes in key order."""
    packed: dict[Key, _Block] = {}
    start = 0
    for key, bits in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        packed[key] = _Block(start, bits)
        start += 1 << bits
    return packed


def _end(blocks: Mapping[Homing, _Block]) -> int:
    return max(block.start + (1 << block.bits) for block in blocks.values())


def _bits(count: int) -> int:
    """The smallest ``bits`` with ``2**bits >= count``."""
    return (count - 1).bit_length()


def _net4(block: _Block) -> IPv4Network:
    return IPv4Network((int(SUPERNET4.network_address) + block.start, 32 - block.bits))


def _net6(block: _Block) -> IPv6Network:
    start = int(SUPERNET6.network_address) + (block.start << 128 - SITE_PREFIX6)
    return IPv6Network((start, SITE_PREFIX6 - block.bits))
