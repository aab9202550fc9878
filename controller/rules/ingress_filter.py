"""Ingress filter (BCP 38): an access link may send only from its site's prefixes, a link only labelled packets.

The switch itself answers ARP requests, neighbour solicitations and echo requests to the gateway. Its IPv4 address is
the first one of the site's prefix, its IPv6 address one link-local address on all access links, so that one rule
suffices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import IPv6Network

from helsewan.controller.openflow.entries import (
    ARP,
    IN_PORT,
    MPLS,
    Action,
    FlowRule,
    Match,
    Move,
    Output,
    PushVlan,
    SetField,
    Table,
    Value,
)
from helsewan.controller.openflow.pipeline import (
    SOURCE_ROLE,
    VLAN_PRESENT,
    VRF,
    Drop,
    Purpose,
    cookie,
    drop_rule,
    joined,
)
from helsewan.controller.rules.ip_version import FAMILIES, IP6, IpVersion, masked
from helsewan.policies.plan import Attachment, Plan
from helsewan.topology.model import GATEWAY6, TRUNK_PORT, Site, router_mac

_SOLICITATION, _ADVERTISEMENT = 135, 136  # ICMPv6 types (RFC 4861, 4.3 and 4.4)
_ROUTER_SOLICITED_OVERRIDE = 0xE000_0000  # flags of the advertisement, the top bits of its reserved field
_TARGET_LINK_ADDRESS = 2  # type of the option that replaces the solicitation's source link-layer address
_LINK_LOCAL = IPv6Network("fe80::/10"), IPv6Network("::/128")  # source addresses valid on one link only
_VLAN_BITS = 12
CACHED_ACCESS_LINKS = 1 << 15  # size of the cache: another policy leaves most rules the same

_FIRST, _TOP, _HIGH, _MIDDLE, _LOW, _LAST = 500, 400, 300, 200, 150, 100


@dataclass(frozen=True)
class IngressFilter:
    """One router's entries of the admit table and of the neighbour table."""

    plan: Plan
    router: str
    access_links: tuple[tuple[int, Attachment], ...]  # each with its index in the plan

    @cached_property
    def mac(self) -> str:
        """MAC address of the router."""
        return router_mac(self.plan.network.router[self.router])

    def rules(self) -> Iterator[FlowRule]:
        """All entries."""
        own_ports = self.plan.network.access_link_ports[self.router]
        on_trunk: set[int] = set()
        for index, link in self.access_links:
            port, tag = own_ports.get(link.number), link.vlan | VLAN_PRESENT
            ingress: Match = (("in_port", port or TRUNK_PORT), ("vlan_vid", 0 if port else tag))
            # All tables identify access links by VLAN, so packets from a port of their own are tagged with theirs.
            push_tag = (PushVlan(), SetField("vlan_vid", tag)) if port else ()
            site, vpn = self.plan.network.site[link.site], self.plan.vpn[link.vpn].id
            yield from _admit(self.mac, ingress, push_tag, site, vpn, link.role, cookie(Purpose.ACCESS_LINK, index))
            on_trunk |= set() if port else {link.vlan}
        for port in (TRUNK_PORT, *own_ports.values()):
            from_port: Match = (("in_port", port),)
            tags = _vlans_without(on_trunk) if port == TRUNK_PORT else ((VLAN_PRESENT, VLAN_PRESENT),)
            for vlans in tags:
                yield drop_rule(Table.ADMIT, _FIRST, (*from_port, ("vlan_vid", vlans)), Drop.UNKNOWN_LINE)
            yield from self._other_packets(from_port)
        if self.plan.answers_neighbours:
            yield self._advertise()
        for port in sorted(self.plan.network.ports[self.router].values()):
            labelled: Match = (("in_port", port), ("eth_type", MPLS))
            yield FlowRule(Table.ADMIT, _HIGH, labelled, goto=Table.CORE, cookie=cookie(Purpose.PASS))

    def _other_packets(self, from_port: Match) -> Iterator[FlowRule]:
        """Rules for packets on a site-facing port that match no site: neighbour solicitations, and what is dropped."""
        if self.plan.answers_neighbours:
            yield self._answer_solicitation(from_port)
        for source in _LINK_LOCAL:
            yield drop_rule(Table.ADMIT, _MIDDLE, (*from_port, *IP6.is_from(source)), Drop.LINK_LOCAL)
        for family in FAMILIES:
            yield drop_rule(Table.ADMIT, _LOW, (*from_port, ("eth_type", family.eth_type)), Drop.SPOOFED)
        yield drop_rule(Table.ADMIT, _LAST, from_port, Drop.NOT_IP)

    def _answer_solicitation(self, from_port: Match) -> FlowRule:
        """Rewrites a solicitation for the gateway into the advertisement (RFC 4861, 7.2.4), except for its link-layer
        address, from whatever address it comes: the advertisement leaves on the same access link."""
        solicitation = ("eth_type", IP6.eth_type), ("ip_proto", IP6.icmp), (IP6.icmp_type, _SOLICITATION)
        answer = (
            *_return_to_sender(self.mac, IP6, str(GATEWAY6)),
            SetField("icmpv6_type", _ADVERTISEMENT),
            SetField("nd_reserved", _ROUTER_SOLICITED_OVERRIDE),
            SetField("nd_options_type", _TARGET_LINK_ADDRESS),
        )
        match = (*from_port, *solicitation, ("ipv6_nd_target", str(GATEWAY6)))
        return FlowRule(Table.ADMIT, _TOP, match, answer, Table.NEIGHBOUR, cookie=cookie(Purpose.PASS))

    def _advertise(self) -> FlowRule:
        """Sets the link-layer address of the advertisement, in a table of its own: a switch can set this field only in
        packets that matched as advertisements."""
        advertisement = ("eth_type", IP6.eth_type), ("ip_proto", IP6.icmp), (IP6.icmp_type, _ADVERTISEMENT)
        send = SetField("ipv6_nd_tll", self.mac), Output(IN_PORT)
        return FlowRule(Table.NEIGHBOUR, _LOW, advertisement, send, cookie=cookie(Purpose.PASS))


@lru_cache(maxsize=CACHED_ACCESS_LINKS)
def _admit(
    mac: str, ingress: Match, push_tag: tuple[Action, ...], site: Site, vpn: int, role: int, own_cookie: int
) -> tuple[FlowRule, ...]:
    """Rules of one access link: admit packets from the site's prefixes with VRF and role in the metadata, and answer
    ARP and echo requests for the gateway, whose MAC address is ``mac``."""
    requester, gateway = ("arp_spa", masked(site.prefix4)), str(site.gateway4)
    arp: Match = (("eth_type", ARP), ("arp_op", 1), requester, ("arp_tpa", gateway))
    rules = [FlowRule(Table.ADMIT, _TOP, (*ingress, *arp), _arp_reply(mac, gateway), cookie=own_cookie)]
    identity = joined(VRF.of(vpn), SOURCE_ROLE.of(role))
    for family, prefix in zip(FAMILIES, site.prefixes, strict=True):
        from_site, gateway = (*ingress, *family.is_from(prefix)), str(prefix[1])
        echo = ("ip_proto", family.icmp), (family.icmp_type, family.echo_request)
        ping: Match = (*from_site, (family.destination, gateway), *echo)
        rules.append(FlowRule(Table.ADMIT, _TOP, ping, _ping_reply(mac, family, gateway), cookie=own_cookie))
        rules.append(FlowRule(Table.ADMIT, _HIGH, from_site, push_tag, Table.VRF, identity, cookie=own_cookie))
    return tuple(rules)


def _arp_reply(mac: str, gateway: str) -> tuple[Action, ...]:
    """Rewrites a request for the gateway's address into the reply (RFC 826)."""
    return (
        *_swap_macs(mac),
        SetField("arp_op", 2),
        Move("arp_sha", "arp_tha", 48),
        SetField("arp_sha", mac),
        Move("arp_spa", "arp_tpa", 32),
        SetField("arp_spa", gateway),
        Output(IN_PORT),
    )


def _ping_reply(mac: str, family: IpVersion, gateway: str) -> tuple[Action, ...]:
    """Rewrites an echo request to the gateway into the reply (RFC 792, RFC 4443)."""
    return (*_return_to_sender(mac, family, gateway), SetField(family.icmp_type, family.echo_reply), Output(IN_PORT))


def _return_to_sender(mac: str, family: IpVersion, gateway: str) -> tuple[Action, ...]:
    """Addresses an IP packet to its sender, from the gateway."""
    back = Move(family.source, family.destination, family.address_bits)
    return (*_swap_macs(mac), back, SetField(family.source, gateway))


def _swap_macs(mac: str) -> tuple[Action, ...]:
    """Addresses a frame to its sender, from this router (``mac``)."""
    return Move("eth_src", "eth_dst", 48), SetField("eth_src", mac)


def _vlans_without(used: set[int], first: int = 0, bits: int = _VLAN_BITS) -> Iterator[int | tuple[Value, Value]]:
    """Values of vlan_vid that match untagged frames and every VLAN not in ``used``: blocks of ``2**bits`` VLANs from
    ``first`` on, halved until they contain no VLAN in use."""
    if bits == _VLAN_BITS:
        yield 0
    if not any(first <= vlan < first + (1 << bits) for vlan in used):
        tag = first | VLAN_PRESENT
        yield (tag, VLAN_PRESENT | (1 << _VLAN_BITS) - (1 << bits)) if bits else tag
    elif bits:
        yield from _vlans_without(used, first, bits - 1)
        yield from _vlans_without(used, first + (1 << bits - 1), bits - 1)
