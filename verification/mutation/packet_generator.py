"""Packets generated for an entry: at and next to the boundaries of its match, from sites whose packets can reach it."""

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
from helsewan.verification.mutation.fields import MaskedValue, masked_match
from helsewan.verification.mutation.headers import (
    Headers,
    address,
    addresses,
    fragment,
    gateway_requests,
    packet,
    sample,
)

_SOURCES, _TARGETS, _BOUNDARIES, _ALLOWED, _OTHERS = 6, 8, 24, 10, 6  # sample sizes; all combinations are generated
_INGRESS_TABLES = frozenset({Table.ADMIT, Table.VRF, Table.CONTRACT, Table.POLICE, Table.ROUTE})
_ANYTHING = MaskedValue(0, 0)


@dataclass(frozen=True)
class PacketGenerator:
    """Generates packets of a plan for one entry at a time."""

    plan: Plan

    def for_entry(self, router: str, entry: FlowRule, rng: Random) -> Iterator[Probe]:
        """Packets that an entry of a router may match, and some that just fail to."""
        matched = masked_match(entry.match)
        lines = sample(rng, self._sources(router, entry, matched), _SOURCES)
        if entry.table in (Table.ADMIT, Table.NEIGHBOUR):
            for site, number in lines:
                yield from gateway_requests(self.plan.network.site[site], number)
        for line, family in product(lines, FAMILIES):
            kind = matched.get("eth_type", _ANYTHING)
            if kind.contains(family.eth_type) or entry.table in (Table.CORE, Table.VPN):
                yield from self._from_line(line, family, matched, rng)

    def _from_line(
        self, line: AccessLinkId, family: IpVersion, matched: dict[str, MaskedValue], rng: Random
    ) -> Iterator[Probe]:
        home = self.plan.network.site[line[0]]
        sources = [address(home, family)]
        if family.source in matched:
            sources += addresses(matched[family.source], family)
        targets = sample(rng, self._targets(matched, family), _TARGETS)
        for source, (target, there) in product(dict.fromkeys(sources), targets):
            edges = self._headers.at_boundaries(matched, family) if _names_header(matched) else ()
            headers = sample(rng, edges, _BOUNDARIES) + sample(rng, self._headers.all_services(family), _OTHERS)
            headers += sample(rng, self._headers.allowed(home.id, there, family) if there else (), _ALLOWED)
            probes = [Probe(*line, packet(family, source, target, header)) for header in headers]
            yield from probes
            yield from map(fragment, probes[-1:])

    def _sources(self, router: str, entry: FlowRule, matched: dict[str, MaskedValue]) -> list[AccessLinkId]:
        """Access links whose packets can reach an entry, and two others of its router."""
        if entry.table not in _INGRESS_TABLES:
            return [line.number for line in self.plan.attachments]
        here = [line for line in self.plan.attachments if line.router == router]
        fitting = [line.number for line in here if self._fits(line, matched)]
        return fitting + [line.number for line in here if line.number not in fitting][:2]

    def _fits(self, line: Attachment, matched: dict[str, MaskedValue]) -> bool:
        """Whether an entry may match packets of an access link, judged by port, VLAN, VPN and role."""
        data, vpn = matched.get("metadata", _ANYTHING), self.plan.vpn[line.vpn].id
        own = self.plan.network.access_link_ports[line.router].get(line.number)
        return (
            _part(data, VRF).contains(vpn << VRF.shift)
            and _part(data, SOURCE_ROLE).contains(line.role << SOURCE_ROLE.shift)
            and matched.get("in_port", _ANYTHING).contains(own or TRUNK_PORT)
            and (own is not None or matched.get("vlan_vid", _ANYTHING).contains(line.vlan | VLAN_PRESENT))
        )

    def _targets(self, matched: dict[str, MaskedValue], family: IpVersion) -> list[tuple[int, str | None]]:
        """Destination addresses, each with the site that has it."""
        known = self._site_at[family.eth_type]
        if family.destination in matched:
            prefix = matched[family.destination]
            inside = [(at, site) for at, site in known.items() if prefix.contains(at)]
            return [*inside, *((at, known.get(at)) for at in addresses(prefix, family))]
        data, role_of = matched.get("metadata", _ANYTHING), self.plan.role_of_site
        sites = [
            site
            for site in self.plan.network.sites
            if _part(data, DESTINATION_ROLE).contains(role_of[site.id].id << DESTINATION_ROLE.shift)
            and _part(data, DESTINATION_VPN).contains(self.plan.vpn[role_of[site.id].vpn].id << DESTINATION_VPN.shift)
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


def _part(data: MaskedValue, part: FieldPart) -> MaskedValue:
    return MaskedValue(data.value & part.mask, data.mask & part.mask)


def _names_header(matched: dict[str, MaskedValue]) -> bool:
    return any(name.startswith(("ip_proto", "ip_dscp", "tcp", "udp", "sctp", "icmp")) for name in matched)
