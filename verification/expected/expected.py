"""The policy's expected disposition of one packet from a site: what answers of rules and of a running network are
compared with.

It is derived from the plan's VPN members, prefixes and contracts, independently of any rule.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from helsewan.controller.openflow.entries import ARP
from helsewan.controller.rules.contracts import TCP_ACK, TCP_RST
from helsewan.controller.rules.ip_version import IP4, IP6, IpVersion
from helsewan.policies.plan import Contract, Plan, Protocol, Service
from helsewan.topology.model import GATEWAY6, Site
from helsewan.verification.concrete.packet import Packet

_SOLICITATION = 135  # ICMPv6 type (RFC 4861, 4.3)
_USUAL_TTL = 64  # what hosts send; no way through a network is longer


class Disposition(Enum):
    """The expected disposition of a packet."""

    ARRIVES = "arrives"  # at the site that has its destination address, and nowhere else
    MAY_ARRIVE = "may arrive"  # there, if its hops suffice
    ANSWERED = "is answered"  # by the network
    DENIED = "reaches nobody"


@dataclass(frozen=True, slots=True)
class Expected:
    """The disposition of a packet, the reason, the place in the policy file (``file:line`` of a contract, or of the
    beginning of the contracts if none allows it), and the site that owns its destination address."""

    verdict: Disposition
    words: str
    source: str = ""
    towards: str | None = None


@dataclass(frozen=True)
class Intent:
    """The expectations of a plan's policy."""

    plan: Plan

    def of(self, site_id: str, packet: Packet) -> Expected:
        """The word on a packet that a site sends as it is: ``packet`` has no tag of its access line's."""
        site, fields = self.plan.network.site[site_id], packet.fields
        if packet.labels:
            return Expected(Disposition.DENIED, "a site sends no labels")
        if "vlan_vid" in fields:
            return Expected(Disposition.DENIED, "a site sends no VLAN tag")
        if fields["eth_type"] == ARP:
            return self._of_arp(site, fields)
        family = {IP4.eth_type: IP4, IP6.eth_type: IP6}.get(fields["eth_type"])
        if family is None or family.destination not in fields:
            return Expected(Disposition.DENIED, "a site sends IP, and ARP for its gateway")
        if fields.get("icmpv6_type") == _SOLICITATION and fields.get("ipv6_nd_target") == int(GATEWAY6):
            if self.plan.answers_neighbours:
                return Expected(Disposition.ANSWERED, "a site may ask for its gateway")
            return Expected(Disposition.DENIED, "sites know their gateway here")
        return self._of_ip(site, packet, family)

    @staticmethod
    def _of_arp(site: Site, fields: object) -> Expected:
        assert isinstance(fields, dict)
        asks = fields.get("arp_op") == 1 and fields["arp_tpa"] == int(site.gateway4)
        if asks and IPv4Address(fields["arp_spa"]) in site.prefix4:
            return Expected(Disposition.ANSWERED, "a site may ask for its gateway")
        return Expected(Disposition.DENIED, "a site asks its gateway alone, as itself")

    def _of_ip(self, site: Site, packet: Packet, family: IpVersion) -> Expected:
        fields = packet.fields
        prefix = site.prefix4 if family is IP4 else site.prefix6
        source, destination = (_address(family, fields[name]) for name in (family.source, family.destination))
        if source not in prefix:
            return Expected(
                Disposition.DENIED, "a site sends from its own addresses alone", towards=self.owner(destination)
            )
        asks = fields.get(family.icmp_type) == family.echo_request and fields.get("ip_proto") == family.icmp
        if destination == prefix[1] and asks:
            return Expected(Disposition.ANSWERED, "a site may ping its gateway")
        owner = self.owner(destination)
        if owner is None:
            return Expected(Disposition.DENIED, "no site has that address", self.plan.contracts_at)
        if fields.get("ip_frag"):
            return Expected(Disposition.DENIED, "fragments are dropped", towards=owner)
        contract = self.contract(site.id, owner, packet, family)
        if contract is None:
            return Expected(Disposition.DENIED, "no contract allows it", self.plan.contracts_at, owner)
        verdict = Disposition.ARRIVES if fields["nw_ttl"] >= _USUAL_TTL else Disposition.MAY_ARRIVE
        return Expected(verdict, f"contract {contract.name} allows {contract.service}", contract.source, owner)

    def contract(self, source: str, destination: str, packet: Packet, family: IpVersion) -> Contract | None:
        """The contract that lets a packet pass from site to site, as an opening or else as a reply."""
        roles = self.plan.role_of_site
        a, b = roles[source].id, roles[destination].id
        openings = (each for each in self._between[a, b] if self._opens(each, packet, family))
        return next(openings, None) or next((c for c in self._between[b, a] if self._replies(c, packet, family)), None)

    def _opens(self, contract: Contract, packet: Packet, family: IpVersion) -> bool:
        service = self.plan.service[contract.service]
        return _is_of(service, packet, "dst", family, family.echo_request)

    def _replies(self, contract: Contract, packet: Packet, family: IpVersion) -> bool:
        service = self.plan.service[contract.service]
        if not _is_of(service, packet, "src", family, family.echo_reply):
            return False
        flags = packet.fields.get("tcp_flags", 0)
        return service.protocol is not Protocol.TCP or bool(flags & (TCP_ACK | TCP_RST))

    def owner(self, address: IPv4Address | IPv6Address) -> str | None:
        """The site that has an address, if any has."""
        for length in self._lengths[address.version]:
            network = IPv4Network if address.version == 4 else IPv6Network
            if found := self._owners.get(network((int(address), length), strict=False)):
                return found
        return None

    @cached_property
    def _between(self) -> defaultdict[tuple[int, int], list[Contract]]:
        found: defaultdict[tuple[int, int], list[Contract]] = defaultdict(list)
        for contract in self.plan.contracts:
            found[contract.client, contract.server].append(contract)
        return found

    @cached_property
    def _owners(self) -> dict[IPv4Network | IPv6Network, str]:
        return {prefix: site.id for site in self.plan.network.sites for prefix in site.prefixes}

    @cached_property
    def _lengths(self) -> dict[int, list[int]]:
        known = {(prefix.version, prefix.prefixlen) for prefix in self._owners}
        return {version: sorted(length for of, length in known if of == version) for version in (4, 6)}


@cache
def port_ranges(service: Service) -> tuple[tuple[int, int], ...]:
    """First and last port of every range of a service, in order, neighbours joined; none for a service without."""
    ranges = sorted((port.value, port.value | ~port.mask & 0xFFFF) for port in service.ports)
    joined: list[tuple[int, int]] = []
    for first, last in ranges:
        if joined and joined[-1][1] + 1 >= first:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return tuple(joined)


def _is_of(service: Service, packet: Packet, side: str, family: IpVersion, icmp_type: int) -> bool:
    """Whether a packet is of a service; ``side`` is where the server's port stands."""
    fields = packet.fields
    if service.protocol is Protocol.ICMP:
        return fields["ip_proto"] == family.icmp and fields.get(family.icmp_type) == icmp_type
    if fields["ip_proto"] != service.protocol:
        return False
    port = fields.get(f"{service.protocol.name.lower()}_{side}", 0)
    return not service.ports or any(port & match.mask == match.value for match in service.ports)


def _address(family: IpVersion, value: int) -> IPv4Address | IPv6Address:
    return IPv4Address(value) if family is IP4 else IPv6Address(value)
