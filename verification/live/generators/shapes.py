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
from helsewan.verification.live.generators.draft import (
    VERSIONS,
    Draft,
    DraftContext,
    Endpoints,
    ProbeKind,
    UpperLayer,
    framed,
    stacked,
)

_TCP_HEADER_BYTES, _PIECE_BYTES = 20, 8  # the latter is the unit of fragment offsets
_NO_MARK = bytes(16)


def _speaking(context: DraftContext) -> Iterator[tuple[Site, Site, UpperLayer, str]]:
    """For each role that may open a service over TCP, or else UDP: a site, a server, the layers above IP, and the
    service."""
    for role in context.plan.roles:
        if (site := context.site(role)) and (
            allowed := context.allowed(site, Protocol.TCP) or context.allowed(site, Protocol.UDP)
        ):
            yield site, *allowed


def fragments(context: DraftContext) -> Iterator[Draft]:
    """Fragments of allowed packets. The mark is a trailer, since a fragment may have no room for it."""
    for site, receiver, upper, service in _speaking(context):
        for version in VERSIONS:
            endpoints = context.endpoints(site, receiver, version)
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
                yield Draft(ProbeKind.FRAGMENTS, name, site.id, 0, _piece(endpoints, upper, offset, more, body))


def _piece(endpoints: Endpoints, upper: UpperLayer, offset: int, more: bool, body: bytes) -> Callable[[bytes], bytes]:
    """A function that makes a fragment, or a whole packet, with the mark in the frame's padding."""
    protocol = {"TCP": 6, "UDP": 17}[type(upper(b"")).__name__]
    head: Layer
    if endpoints.version == 4:
        head = endpoints.ip(flags="MF" if more else 0, frag=offset, proto=protocol)
    elif offset or more:
        head = stacked(endpoints.ip(), IPv6ExtHdrFragment(offset=offset, m=int(more), nh=protocol, id=7))
    else:
        head = endpoints.ip(nh=protocol)
    return lambda mark: framed(endpoints.ether(), head.copy(), Raw(body)) + mark


def hops(context: DraftContext) -> Iterator[Draft]:
    """Allowed packets whose TTL expires at each router of the path, and with one that is just sufficient."""
    for site, receiver, upper, service in _speaking(context):
        for version in VERSIONS:
            endpoints = context.endpoints(site, receiver, version)
            routers = _routers_on(context, endpoints, upper)
            needed = routers + 1  # the last router decrements the TTL too, and must not see it expire
            for ttl in sorted({0, 1, 2, needed - 1, needed, needed + 1, 255} - {-1}):
                name = f"{site.id} > {receiver.id} {service}: TTL {ttl} for {routers} routers IPv{version}"
                yield Draft(ProbeKind.TTL, name, site.id, 0, endpoints.frame(upper, ttl))


def _routers_on(context: DraftContext, endpoints: Endpoints, upper: UpperLayer) -> int:
    """The number of routers on the path of an ordinary packet; 1 if it is not delivered."""
    trace = context.fabric.trace_from(endpoints.site.id, read(endpoints.frame(upper)(_NO_MARK)), endpoints.line)
    return len(trace.hops) if trace.end is End.DELIVERED else 1


def extensions(context: DraftContext) -> Iterator[Draft]:
    """Allowed and denied packets with IPv6 extension headers, and allowed ones with IPv4 options."""
    for site, receiver, upper, service in _speaking(context):
        denied = context.allowed(receiver, Protocol.TCP)
        endpoints = context.endpoints(site, receiver, 6)
        for what, headers in _chains(context, site).items():
            name = f"{site.id} > {receiver.id} {service}: {what}"
            yield Draft(ProbeKind.EXTENSIONS, name, site.id, 0, _chained(endpoints, headers, upper))
        if denied:
            strange = context.endpoints(receiver, site, 6)
            name = f"{receiver.id} > {site.id} {denied[2]}: destination options"
            chain = _chained(strange, [IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)])], denied[1])
            yield Draft(ProbeKind.EXTENSIONS, name, receiver.id, 0, chain)
        asked: dict[str, list[Any]] = {"no operation": [IPOption_NOP()] * 4, "record route": [IPOption_RR()]}
        for what, options in asked.items():
            name = f"{site.id} > {receiver.id} {service}: IPv4 option {what}"
            optioned = context.endpoints(site, receiver, 4)
            yield Draft(ProbeKind.EXTENSIONS, name, site.id, 0, _with_options(optioned, options, upper))


def _chains(context: DraftContext, site: Site) -> dict[str, list[Layer]]:
    """Chains of extension headers by description."""
    pad = [PadN(optdata=b"\0" * 4)]
    elsewhere = str(context.rng.choice([other for other in context.plan.network.sites if other is not site]).address6)
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


def _chained(endpoints: Endpoints, headers: list[Layer], upper: UpperLayer) -> Callable[[bytes], bytes]:
    return lambda mark: framed(endpoints.ether(), endpoints.ip(), *(header.copy() for header in headers), upper(mark))


def _with_options(endpoints: Endpoints, options: list[Any], upper: UpperLayer) -> Callable[[bytes], bytes]:
    return lambda mark: framed(endpoints.ether(), endpoints.ip(options=options), upper(mark))
