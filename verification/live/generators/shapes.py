"""Probe packets of unusual shape between sites that may communicate: fragments, expiring TTLs, extension headers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from scapy.layers.inet import IPOption_NOP, IPOption_RR
from scapy.layers.inet6 import (
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.ipsec import AH
from scapy.packet import Packet as Layer
from scapy.packet import Raw

from helsewan.policies.plan import Protocol
from helsewan.topology.model import Site
from helsewan.verification.concrete.fabric import End
from helsewan.verification.concrete.frames import read
from helsewan.verification.live.generators.draft import VERSIONS, Draft, Group, Scene, Upper, Way, framed, stacked

_TCP_HEADER_BYTES, _PIECE_BYTES = 20, 8  # a fragment's offset counts in the latter
_NO_MARK = bytes(16)


def _speaking(scene: Scene) -> Iterator[tuple[Site, Site, Upper, str]]:
    """A site of each role that may open something over TCP, or else UDP, to another, and it."""
    for role in scene.plan.roles:
        if (site := scene.site(role)) and (
            allowed := scene.allowed(site, Protocol.TCP) or scene.allowed(site, Protocol.UDP)
        ):
            yield site, *allowed


def fragments(scene: Scene) -> Iterator[Draft]:
    """What may be sent whole, in pieces: a mark behind the piece tells it also where there is no room for one."""
    for site, receiver, upper, service in _speaking(scene):
        for version in VERSIONS:
            way = scene.way(site, receiver, version)
            whole = bytes(upper(_NO_MARK))
            pieces = {
                "whole, with its mark behind it": (0, False, whole),
                "the first fragment": (0, True, whole[: len(whole) // _PIECE_BYTES * _PIECE_BYTES]),
                "a later fragment": (_TCP_HEADER_BYTES // _PIECE_BYTES + 1, True, _NO_MARK),
                "the last fragment": (_TCP_HEADER_BYTES // _PIECE_BYTES + 1, False, _NO_MARK),
                "a first fragment that ends before the flags": (0, True, whole[:_PIECE_BYTES]),
                "a fragment that lies over the header": (1, False, whole[_PIECE_BYTES:]),
                "a fragment that would overflow": (0x1FFF, False, _NO_MARK),
            }
            for what, (offset, more, body) in pieces.items():
                name = f"{site.id} > {receiver.id} {service}: {what} IPv{version}"
                yield Draft(Group.FRAGMENTS, name, site.id, 0, _piece(way, upper, offset, more, body))


def _piece(way: Way, upper: Upper, offset: int, more: bool, body: bytes) -> Callable[[bytes], bytes]:
    """A fragment, or a whole packet, with its mark in the frame's padding."""
    protocol = {"TCP": 6, "UDP": 17}[type(upper(b"")).__name__]
    head: Layer
    if way.version == 4:
        head = way.ip(flags="MF" if more else 0, frag=offset, proto=protocol)
    elif offset or more:
        head = stacked(way.ip(), IPv6ExtHdrFragment(offset=offset, m=int(more), nh=protocol, id=7))
    else:
        head = way.ip(nh=protocol)
    return lambda mark: framed(way.ether(), head.copy(), Raw(body)) + mark


def hops(scene: Scene) -> Iterator[Draft]:
    """What may be sent, with hops that end at each router of its way, and with just enough."""
    for site, receiver, upper, service in _speaking(scene):
        for version in VERSIONS:
            way = scene.way(site, receiver, version)
            routers = _routers_on(scene, way, upper)
            needed = routers + 1  # the last one counts down, too, and sends on what is left alive
            for ttl in sorted({0, 1, 2, needed - 1, needed, needed + 1, 255} - {-1}):
                name = f"{site.id} > {receiver.id} {service}: TTL {ttl} for {routers} routers IPv{version}"
                yield Draft(Group.TTL, name, site.id, 0, way.frame(upper, ttl))


def _routers_on(scene: Scene, way: Way, upper: Upper) -> int:
    """How many routers an ordinary packet meets."""
    walk = scene.fabric.trace_from(way.site.id, read(way.frame(upper)(_NO_MARK)), way.line)
    return len(walk.hops) if walk.end is End.DELIVERED else 1


def extensions(scene: Scene) -> Iterator[Draft]:
    """What may be sent, and what may not, behind IPv6's extension headers and IPv4's options."""
    for site, receiver, upper, service in _speaking(scene):
        denied = scene.allowed(receiver, Protocol.TCP)
        way = scene.way(site, receiver, 6)
        for what, headers in _chains(scene, site).items():
            name = f"{site.id} > {receiver.id} {service}: {what}"
            yield Draft(Group.EXTENSIONS, name, site.id, 0, _chained(way, headers, upper))
        if denied:
            strange = scene.way(receiver, site, 6)
            name = f"{receiver.id} > {site.id} {denied[2]}: destination options"
            chain = _chained(strange, [IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])], denied[1])
            yield Draft(Group.EXTENSIONS, name, receiver.id, 0, chain)
        asked: dict[str, list[Any]] = {"no operation": [IPOption_NOP()] * 4, "record route": [IPOption_RR()]}
        for what, options in asked.items():
            name = f"{site.id} > {receiver.id} {service}: IPv4 option {what}"
            optioned = scene.way(site, receiver, 4)
            yield Draft(Group.EXTENSIONS, name, site.id, 0, _with_options(optioned, options, upper))


def _chains(scene: Scene, site: Site) -> dict[str, list[Layer]]:
    """Extension headers by what they are."""
    pad = [PadN(optdata=b"\0" * 4)]
    elsewhere = str(scene.chance.choice([other for other in scene.plan.network.sites if other is not site]).address6)
    return {
        "hop-by-hop options": [IPv6ExtHdrHopByHop(options=pad)],
        "destination options": [IPv6ExtHdrDestOpt(options=pad)],
        f"routing header by {elsewhere}": [IPv6ExtHdrRouting(addresses=[elsewhere])],
        "a fragment header on a whole packet": [IPv6ExtHdrFragment(id=7)],
        "four headers": [
            IPv6ExtHdrHopByHop(options=pad),
            IPv6ExtHdrRouting(addresses=[elsewhere]),
            IPv6ExtHdrFragment(id=7),
            IPv6ExtHdrDestOpt(options=pad),
        ],
        "a fragment behind options": [IPv6ExtHdrDestOpt(options=pad), IPv6ExtHdrFragment(id=7, m=1)],
        "eight headers": [IPv6ExtHdrDestOpt(options=pad)] * 8,
        "an authentication header": [AH(spi=1, seq=1, icv=b"\0" * 12)],
    }


def _chained(way: Way, headers: list[Layer], upper: Upper) -> Callable[[bytes], bytes]:
    return lambda mark: framed(way.ether(), way.ip(), *(header.copy() for header in headers), upper(mark))


def _with_options(way: Way, options: list[Any], upper: Upper) -> Callable[[bytes], bytes]:
    return lambda mark: framed(way.ether(), way.ip(options=options), upper(mark))
