"""Forged probe packets: other source addresses, other access links, labels of a router, or a neighbour's gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from scapy.contrib.mpls import MPLS
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_Redirect, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet as Layer

from helsewan.controller.openflow.entries import Table
from helsewan.controller.rules.access_rules import diverted_label
from helsewan.policies.plan import Role
from helsewan.topology.model import GATEWAY6, Site, router_address4, router_address6
from helsewan.verification.concrete.frames import MPLS_MULTICAST
from helsewan.verification.live.generators.draft import (
    BROADCAST,
    VERSIONS,
    Draft,
    DraftContext,
    Endpoints,
    ProbeKind,
    UpperLayer,
    framed,
    stacked,
)

_OUTSIDE = {4: ("198.51.100.7", "8.8.8.8"), 6: ("2001:db8::7", "2001:4860::8")}  # RFC 5737, RFC 3849; and the Internet
_NOBODY = {4: ("0.0.0.0", "127.0.0.1", "169.254.1.1", "255.255.255.255"), 6: ("::", "::1", "fe80::2", "ff02::1")}
_ALL_NODES = "ff02::1"
_LEAST_LABELS = 3


def sources(context: DraftContext) -> Iterator[Draft]:
    """Allowed packets with a source address that is not the site's own, from each access link of a site of each
    role."""
    for role, site, receiver, upper in _senders(context):
        for line in range(len(site.accesses)):
            for version in VERSIONS:
                there = str(receiver.address4 if version == 4 else receiver.address6)
                for whose, source in _foreign(context, role, site, version):
                    endpoints = context.between(site, source, there, line)
                    name = f"{site.id}/wan{line} as {source} ({whose}) > {receiver.id}"
                    yield Draft(ProbeKind.SOURCES, name, site.id, line, endpoints.frame(upper))


def _senders(context: DraftContext) -> Iterator[tuple[Role, Site, Site, UpperLayer]]:
    """For each role that may open a service: a site, if possible dual-homed, a server, and the layers above IP."""
    for role in context.plan.roles:
        sites = [context.plan.network.site[name] for name in role.sites]
        site = context.rng.choice([site for site in sites if len(site.accesses) > 1] or sites)
        if allowed := context.allowed(site):
            yield role, site, allowed[0], allowed[1]


def _foreign(context: DraftContext, role: Role, site: Site, version: int) -> Iterator[tuple[str, str]]:
    """Source addresses that are not the site's own, each with a description of whose they are."""
    network = context.plan.network
    same_vpn = [other for other in context.plan.vpn[role.vpn].sites if other != site.id]
    others = [other.id for other in network.sites if context.plan.role_of_site[other.id].vpn != role.vpn]
    for whose, names in (("a site of its VPN", same_vpn), ("a site of another VPN", others)):
        if names:
            other = network.site[context.rng.choice(names)]
            yield whose, str(other.address4 if version == 4 else other.address6)
    router = network.router[site.accesses[0].router]
    yield "its router", str(router_address4(router) if version == 4 else router_address6(router))
    yield from (("an outsider", address) for address in _OUTSIDE[version])
    yield from (("no host", address) for address in _NOBODY[version])


def labels(context: DraftContext) -> Iterator[Draft]:
    """Labelled packets into every VPN, from a site of each role."""
    for _, site, *_ in _senders(context):
        for vpn in context.plan.vpns:
            victims = [name for name in vpn.sites if name != site.id]
            if not victims:
                continue
            victim = context.plan.network.site[context.rng.choice(victims)]
            for version, label in zip(VERSIONS, (vpn.label, vpn.label6), strict=True):
                transport = context.rng.choice(_transport_labels(context, site) or [_LEAST_LABELS])
                for what, stack in _stacks(label, transport).items():
                    endpoints = context.endpoints(site, victim, version, context.rng.randrange(len(site.accesses)))
                    name = f"{site.id}/wan{endpoints.line} > {victim.id} under {what} of {vpn.name} IPv{version}"
                    yield Draft(
                        ProbeKind.LABELS, name, site.id, endpoints.line, _labelled(context, endpoints, stack, what)
                    )


def _stacks(label: int, transport: int) -> dict[str, tuple[int, ...]]:
    """Label stacks, top first, by description."""
    return {
        "the VPN's label": (label,),
        "a transport label and the VPN's": (transport, label),
        "the label of packets diverted to another line": (transport, diverted_label(label)),
        "four labels": (transport, transport, transport, label),
        "multicast labels": (transport, label),
    }


def _transport_labels(context: DraftContext, site: Site) -> list[int]:
    """The transport labels that the site's router matches."""
    core = context.fabric.switches[site.accesses[0].router].tables.get(Table.CORE)
    known = (dict(rule.match).get("mpls_label") for rule in core.rules) if core else ()
    return sorted(label for label in known if isinstance(label, int))


def _labelled(
    context: DraftContext, endpoints: Endpoints, stack: tuple[int, ...], what: str
) -> Callable[[bytes], bytes]:
    allowed = context.allowed(endpoints.site)
    assert allowed
    kind = {"type": MPLS_MULTICAST} if what.startswith("multicast") else {}

    def frame(mark: bytes) -> bytes:
        tops = (MPLS(label=label, s=int(place == len(stack)), ttl=64) for place, label in enumerate(stack, start=1))
        return framed(endpoints.ether(**kind), *tops, endpoints.ip(), allowed[1](mark))

    return frame


def vlans(context: DraftContext) -> Iterator[Draft]:
    """Allowed packets with VLAN tags, from a site of each role: its own access link's tag, another's, or two tags."""
    for _, site, receiver, upper in _senders(context):
        for line, access in enumerate(site.accesses):
            lines = [each.vlan for each in context.plan.attachments if each.router == access.router]
            other = context.rng.choice([vlan for vlan in lines if vlan != access.vlan] or [access.vlan + 1])
            tags: dict[str, Layer] = {
                "its own tag": Dot1Q(vlan=access.vlan),
                "another line's tag": Dot1Q(vlan=other),
                "a tag of no line": Dot1Q(vlan=4094),
                "a priority tag": Dot1Q(vlan=0, prio=5),
                "its own tag and another line's": Dot1Q(vlan=access.vlan) / Dot1Q(vlan=other),
                "another line's tag twice": Dot1Q(vlan=other) / Dot1Q(vlan=other),
                "a provider's tag": Dot1AD(vlan=other),
                "a provider's tag and another line's": Dot1AD(vlan=access.vlan) / Dot1Q(vlan=other),
            }
            endpoints = context.endpoints(site, receiver, 4, line)
            for what, tag in tags.items():
                name = f"{site.id}/wan{line} > {receiver.id} with {what}"
                yield Draft(ProbeKind.VLANS, name, site.id, line, _tagged(endpoints, tag, upper))


def _tagged(endpoints: Endpoints, tag: Layer, upper: UpperLayer) -> Callable[[bytes], bytes]:
    return lambda mark: framed(endpoints.ether(), tag.copy(), endpoints.ip(), upper(mark))


def neighbours(context: DraftContext) -> Iterator[Draft]:
    """ARP and ND messages from a site of each role, legitimate and forged."""
    for _, site, receiver, _ in _senders(context):
        for line in range(len(site.accesses)):
            for what, layer in {**_arp(context, site, receiver), **_nd(context, site, receiver, line)}.items():
                name = f"{site.id}/wan{line} {what}"
                yield Draft(ProbeKind.NEIGHBOURS, name, site.id, line, _trailing(layer))


def _arp(context: DraftContext, site: Site, other: Site) -> dict[str, Layer]:
    own, gateway, theirs = str(site.address4), str(site.gateway4), str(other.address4)

    def arp(operation: int, sender: str, target: str) -> Layer:
        return stacked(Ether(src=site.mac, dst=BROADCAST), ARP(op=operation, hwsrc=site.mac, psrc=sender, pdst=target))

    return {
        "asks for its gateway": arp(1, own, gateway),
        "asks for its gateway as another site": arp(1, theirs, gateway),
        "asks for another site": arp(1, own, theirs),
        "asks for another site's gateway": arp(1, own, str(other.gateway4)),
        "announces itself": arp(1, own, own),
        "announces itself as the gateway": arp(1, gateway, gateway),
        "answers for the gateway": arp(2, gateway, own),
        "answers for another site": arp(2, theirs, gateway),
        "announces another site": arp(2, theirs, theirs),
    }


def _nd(context: DraftContext, site: Site, other: Site, line: int) -> dict[str, Layer]:
    gateway = context.endpoints(site, other, 6, line).gateway

    def nd(source: object, target: object, *message: Layer) -> Layer:
        return stacked(Ether(src=site.mac, dst=gateway), IPv6(src=str(source), dst=str(target), hlim=255), *message)

    mine, theirs = site.address6, other.address6
    link = ICMPv6NDOptDstLLAddr(lladdr=site.mac)
    return {
        "solicits its gateway": nd(
            "fe80::2", GATEWAY6, ICMPv6ND_NS(tgt=str(GATEWAY6)), ICMPv6NDOptDstLLAddr(type=1, lladdr=site.mac)
        ),
        "solicits another site": nd("fe80::2", "ff02::1:ff00:2", ICMPv6ND_NS(tgt=str(theirs))),
        "advertises itself as the gateway": nd(GATEWAY6, _ALL_NODES, ICMPv6ND_NA(tgt=str(GATEWAY6), R=1, O=1), link),
        "advertises another site": nd(mine, _ALL_NODES, ICMPv6ND_NA(tgt=str(theirs), O=1), link),
        "advertises another site to it": nd(mine, theirs, ICMPv6ND_NA(tgt=str(mine), O=1), link),
        "advertises a router": nd(GATEWAY6, _ALL_NODES, ICMPv6ND_RA()),
        "advertises a router to another site": nd(mine, theirs, ICMPv6ND_RA()),
        "redirects another site": nd(mine, theirs, ICMPv6ND_Redirect(tgt=str(mine), dst=str(other.prefix6[1]))),
    }


def _trailing(layer: Layer) -> Callable[[bytes], bytes]:
    """A function that appends the mark as a trailer: these messages have no payload for it."""
    return lambda mark: bytes(layer) + mark
