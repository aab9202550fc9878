"""Ingress filtering (BCP 38): from an access link only the site's own source addresses, from a link only labels.

A gateway answers ARP, neighbour solicitations and pings in the switch itself. Sites find it by ARP at the first address
of their prefix, and for IPv6 at one link-local address that is the same on all lines, so that one rule answers for all.
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
_ROUTER_SOLICITED_OVERRIDE = 0xE000_0000  # the advertisement's flags, at the head of its reserved bits
_TARGET_LINK_ADDRESS = 2  # the option that a solicitation's source address becomes
_ON_LINE = IPv6Network("fe80::/10"), IPv6Network("::/128")  # sources that mean something on one line only
_VLAN_BITS = 12
KNOWN_LINES = 1 << 15  # whose rules are remembered: under another policy most are the same

_FIRST, _TOP, _HIGH, _MIDDLE, _LOW, _LAST = 500, 400, 300, 200, 150, 100


@dataclass(frozen=True)
class IngressFilter:
    """One router's entries of the admit table and of the neighbour table."""

    plan: Plan
    router: str
    lines: tuple[tuple[int, Attachment], ...]  # with their index in the plan

    @cached_property
    def mac(self) -> str:
        """The router's own MAC address."""
        return router_mac(self.plan.network.router[self.router])

    def rules(self) -> Iterator[FlowRule]:
        """All entries."""
        own_ports = self.plan.network.access_link_ports[self.router]
        on_trunk: set[int] = set()
        for index, line in self.lines:
            port, tag = own_ports.get(line.number), line.vlan | VLAN_PRESENT
            where: Match = (("in_port", port or TRUNK_PORT), ("vlan_vid", 0 if port else tag))
            # All tables know lines by their tag, so packets from a port of its own get the one they would have.
            tagged = (PushVlan(), SetField("vlan_vid", tag)) if port else ()
            site, vpn = self.plan.network.site[line.site], self.plan.vpn[line.vpn].id
            yield from _admitted(self.mac, where, tagged, site, vpn, line.role, cookie(Purpose.LINE, index))
            on_trunk |= set() if port else {line.vlan}
        for port in (TRUNK_PORT, *own_ports.values()):
            entered: Match = (("in_port", port),)
            tags = _vlans_without(on_trunk) if port == TRUNK_PORT else ((VLAN_PRESENT, VLAN_PRESENT),)
            for vlans in tags:
                yield drop_rule(Table.ADMIT, _FIRST, (*entered, ("vlan_vid", vlans)), Drop.UNKNOWN_LINE)
            yield from self._else(entered)
        if self.plan.answers_neighbours:
            yield self._advertise()
        for port in sorted(self.plan.network.ports[self.router].values()):
            labelled: Match = (("in_port", port), ("eth_type", MPLS))
            yield FlowRule(Table.ADMIT, _HIGH, labelled, goto=Table.CORE, cookie=cookie(Purpose.PASS))

    def _else(self, entered: Match) -> Iterator[FlowRule]:
        """What else comes in on a port for sites: questions of any, and what none may send."""
        if self.plan.answers_neighbours:
            yield self._solicited(entered)
        for source in _ON_LINE:
            yield drop_rule(Table.ADMIT, _MIDDLE, (*entered, *IP6.is_from(source)), Drop.LINK_LOCAL)
        for family in FAMILIES:
            yield drop_rule(Table.ADMIT, _LOW, (*entered, ("eth_type", family.eth_type)), Drop.SPOOFED)
        yield drop_rule(Table.ADMIT, _LAST, entered, Drop.NOT_IP)

    def _solicited(self, entered: Match) -> FlowRule:
        """Turns a solicitation for the gateway into the answer (RFC 4861, 7.2.4), but for its link-layer address.
        Who asks does not matter: the answer goes back on the same line."""
        about = ("eth_type", IP6.eth_type), ("ip_proto", IP6.icmp), (IP6.icmp_type, _SOLICITATION)
        answer = (
            *_returned(self.mac, IP6, str(GATEWAY6)),
            SetField("icmpv6_type", _ADVERTISEMENT),
            SetField("nd_reserved", _ROUTER_SOLICITED_OVERRIDE),
            SetField("nd_options_type", _TARGET_LINK_ADDRESS),
        )
        match = (*entered, *about, ("ipv6_nd_target", str(GATEWAY6)))
        return FlowRule(Table.ADMIT, _TOP, match, answer, Table.NEIGHBOUR, cookie=cookie(Purpose.PASS))

    def _advertise(self) -> FlowRule:
        """Puts this router's MAC address into the answer: a switch sets it only in what it matched as one."""
        about = ("eth_type", IP6.eth_type), ("ip_proto", IP6.icmp), (IP6.icmp_type, _ADVERTISEMENT)
        send = SetField("ipv6_nd_tll", self.mac), Output(IN_PORT)
        return FlowRule(Table.NEIGHBOUR, _LOW, about, send, cookie=cookie(Purpose.PASS))


@lru_cache(maxsize=KNOWN_LINES)
def _admitted(
    mac: str, where: Match, tagged: tuple[Action, ...], site: Site, vpn: int, role: int, own: int
) -> tuple[FlowRule, ...]:
    """A site's packets on one of its lines, in VRF and role; ARP requests and pings for its gateway, ``mac``."""
    asks, gateway = ("arp_spa", masked(site.prefix4)), str(site.gateway4)
    arp: Match = (("eth_type", ARP), ("arp_op", 1), asks, ("arp_tpa", gateway))
    rules = [FlowRule(Table.ADMIT, _TOP, (*where, *arp), _arp_reply(mac, gateway), cookie=own)]
    identity = joined(VRF.of(vpn), SOURCE_ROLE.of(role))
    for family, prefix in zip(FAMILIES, site.prefixes, strict=True):
        known, gateway = (*where, *family.is_from(prefix)), str(prefix[1])
        echo = ("ip_proto", family.icmp), (family.icmp_type, family.echo_request)
        ping: Match = (*known, (family.destination, gateway), *echo)
        rules.append(FlowRule(Table.ADMIT, _TOP, ping, _ping_reply(mac, family, gateway), cookie=own))
        rules.append(FlowRule(Table.ADMIT, _HIGH, known, tagged, Table.VRF, identity, cookie=own))
    return tuple(rules)


def _arp_reply(mac: str, gateway: str) -> tuple[Action, ...]:
    """Turns a request for the gateway into the answer (RFC 826)."""
    return (
        *_turned_round(mac),
        SetField("arp_op", 2),
        Move("arp_sha", "arp_tha", 48),
        SetField("arp_sha", mac),
        Move("arp_spa", "arp_tpa", 32),
        SetField("arp_spa", gateway),
        Output(IN_PORT),
    )


def _ping_reply(mac: str, family: IpVersion, gateway: str) -> tuple[Action, ...]:
    """Turns an echo request to the gateway into the answer (RFC 792, RFC 4443)."""
    return (*_returned(mac, family, gateway), SetField(family.icmp_type, family.echo_reply), Output(IN_PORT))


def _returned(mac: str, family: IpVersion, gateway: str) -> tuple[Action, ...]:
    """An IP packet back to the sender, from the gateway."""
    back = Move(family.source, family.destination, family.address_bits)
    return (*_turned_round(mac), back, SetField(family.source, gateway))


def _turned_round(mac: str) -> tuple[Action, ...]:
    """Back to the sender, from this router."""
    return Move("eth_src", "eth_dst", 48), SetField("eth_src", mac)


def _vlans_without(used: set[int], first: int = 0, bits: int = _VLAN_BITS) -> Iterator[int | tuple[Value, Value]]:
    """Match values of all tags but ``used``, and of no tag: blocks of ``2**bits`` VLANs from ``first`` on, halved
    until they hold none that is used."""
    if bits == _VLAN_BITS:
        yield 0
    if not any(first <= vlan < first + (1 << bits) for vlan in used):
        tag = first | VLAN_PRESENT
        yield (tag, VLAN_PRESENT | (1 << _VLAN_BITS) - (1 << bits)) if bits else tag
    elif bits:
        yield from _vlans_without(used, first, bits - 1)
        yield from _vlans_without(used, first + (1 << bits - 1), bits - 1)
