"""Packets generated for an entry: at and beside the edges of its match, from where they can reach it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from random import Random

from helsewan.controller.openflow.entries import FlowRule, Table
from helsewan.controller.openflow.pipeline import (
    DESTINATION_ROLE,
    DESTINATION_VPN,
    SOURCE_ROLE,
    VLAN_PRESENT,
    VRF,
    FieldPart,
)
from helsewan.controller.rules.ip_version import FAMILIES, IpVersion
from helsewan.policies.plan import Attachment, Plan
from helsewan.topology.model import TRUNK_PORT, AccessLinkId
from helsewan.verification.mutation.effect import Probe
from helsewan.verification.mutation.fields import Wanted, wanted
from helsewan.verification.mutation.headers import Headers, address, addresses, fragment, packet, questions, sampled

_LINES, _TARGETS, _EDGES, _ALLOWED, _OTHERS = 6, 8, 24, 10, 6  # of each so many are tried, in every combination
_AT_THE_EDGE = frozenset({Table.ADMIT, Table.VRF, Table.CONTRACT, Table.POLICE, Table.ROUTE})
_ANYTHING = Wanted(0, 0)


@dataclass(frozen=True)
class PacketGenerator:
    """A plan's packets, entry by entry."""

    plan: Plan

    def for_entry(self, router: str, entry: FlowRule, rng: Random) -> Iterator[Probe]:
        """Packets that an entry of a router may take, and some that it only just does not."""
        takes = wanted(entry.match)
        lines = sampled(rng, self._sources(router, entry, takes), _LINES)
        if entry.table in (Table.ADMIT, Table.NEIGHBOUR):
            for site, number in lines:
                yield from questions(self.plan.network.site[site], number)
        for line, family in product(lines, FAMILIES):
            kind = takes.get("eth_type", _ANYTHING)
            if kind.takes(family.eth_type) or entry.table in (Table.CORE, Table.VPN):
                yield from self._from_line(line, family, takes, rng)

    def _from_line(
        self, line: AccessLinkId, family: IpVersion, takes: dict[str, Wanted], rng: Random
    ) -> Iterator[Probe]:
        home = self.plan.network.site[line[0]]
        sources = [address(home, family)]
        if family.source in takes:
            sources += addresses(takes[family.source], family)
        targets = sampled(rng, self._targets(takes, family), _TARGETS)
        for source, (target, there) in product(dict.fromkeys(sources), targets):
            edges = self._headers.at_edges(takes, family) if _names_header(takes) else ()
            headers = sampled(rng, edges, _EDGES) + sampled(rng, self._headers.every(family), _OTHERS)
            headers += sampled(rng, self._headers.allowed(home.id, there, family) if there else (), _ALLOWED)
            probes = [Probe(*line, packet(family, source, target, header)) for header in headers]
            yield from probes
            yield from map(fragment, probes[-1:])

    def _sources(self, router: str, entry: FlowRule, takes: dict[str, Wanted]) -> list[AccessLinkId]:
        """Lines whose packets can meet an entry, and two others of its router."""
        if entry.table not in _AT_THE_EDGE:
            return [line.number for line in self.plan.attachments]
        here = [line for line in self.plan.attachments if line.router == router]
        fitting = [line.number for line in here if self._fits(line, takes)]
        return fitting + [line.number for line in here if line.number not in fitting][:2]

    def _fits(self, line: Attachment, takes: dict[str, Wanted]) -> bool:
        """Whether an entry may take what comes in on a line, as far as line, VPN and role say."""
        data, vpn = takes.get("metadata", _ANYTHING), self.plan.vpn[line.vpn].id
        own = self.plan.network.access_link_ports[line.router].get(line.number)
        return (
            _part(data, VRF).takes(vpn << VRF.shift)
            and _part(data, SOURCE_ROLE).takes(line.role << SOURCE_ROLE.shift)
            and takes.get("in_port", _ANYTHING).takes(own or TRUNK_PORT)
            and (own is not None or takes.get("vlan_vid", _ANYTHING).takes(line.vlan | VLAN_PRESENT))
        )

    def _targets(self, takes: dict[str, Wanted], family: IpVersion) -> list[tuple[int, str | None]]:
        """Addresses to send to, each with the site that has it."""
        known = self._site_at[family.eth_type]
        if family.destination in takes:
            prefix = takes[family.destination]
            inside = [(at, site) for at, site in known.items() if prefix.takes(at)]
            return [*inside, *((at, known.get(at)) for at in addresses(prefix, family))]
        data, role_of = takes.get("metadata", _ANYTHING), self.plan.role_of_site
        sites = [
            site
            for site in self.plan.network.sites
            if _part(data, DESTINATION_ROLE).takes(role_of[site.id].id << DESTINATION_ROLE.shift)
            and _part(data, DESTINATION_VPN).takes(self.plan.vpn[role_of[site.id].vpn].id << DESTINATION_VPN.shift)
        ]
        return [(address(site, family), site.id) for site in sites or self.plan.network.sites]

    @cached_property
    def _headers(self) -> Headers:
        return Headers(self.plan)

    @cached_property
    def _site_at(self) -> dict[int, dict[int, str]]:
        """Sites by EtherType and address."""
        sites = self.plan.network.sites
        return {family.eth_type: {address(site, family): site.id for site in sites} for family in FAMILIES}


def _part(data: Wanted, part: FieldPart) -> Wanted:
    return Wanted(data.value & part.mask, data.mask & part.mask)


def _names_header(takes: dict[str, Wanted]) -> bool:
    return any(name.startswith(("ip_proto", "ip_dscp", "tcp", "udp", "icmp")) for name in takes)
