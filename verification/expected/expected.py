"""The policy's expected disposition of one packet from a site, with which the answers of the rules and of a running
network are compared.

It is derived from the plan's VPN members, prefixes and contracts, independently of any rule.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from ipaddress import IPv4Address, IPv6Address

from helsewan.controller.openflow.entries import ARP
from helsewan.controller.rules.contracts import TCP_ACK, TCP_RST
from helsewan.controller.rules.ip_version import IP4, IP6, IpVersion
from helsewan.policies.plan import Contract, Plan, Protocol, Service
from helsewan.topology.model import GATEWAY6, Site
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.expected.owners import PrefixOwners

_SOLICITATION = 135  # ICMPv6 type (RFC 4861, 4.3)
_USUAL_TTL = 64  # the default of hosts; no path is longer


class Disposition(Enum):
    """The expected disposition of a packet."""

    ARRIVES = "arrives"  # at the site that has its destination address, and nowhere else
    MAY_ARRIVE = "may arrive"  # at that site, if its TTL suffices
    ANSWERED = "is answered"  # by the network itself
    DENIED = "reaches nobody"


@dataclass(frozen=True, slots=True)
class Expected:
    """The disposition of a packet, the reason, the location in the policy file (``file:line`` of a contract, or of the
    beginning of the contracts if none allows it), and the site that owns its destination address."""

    disposition: Disposition
    reason: str
    source: str = ""
    towards: str | None = None


@dataclass(frozen=True)
class Intent:
    """The expectations of a plan's policy."""

    plan: Plan

    def of(self, site_id: str, packet: Packet) -> Expected:
        """What is expected of a packet from a site. ``packet`` is without the VLAN tag of the access link."""
        site, fields = self.plan.network.site[site_id], packet.fields
        if packet.labels:
            return Expected(Disposition.DENIED, "a site sends no labels")
        if "vlan_vid" in fields:
            return Expected(Disposition.DENIED, "a site sends no VLAN tag")
        if fields["eth_type"] == ARP:
            return self._of_arp(site, fields)
        ip_version = {IP4.eth_type: IP4, IP6.eth_type: IP6}.get(fields["eth_type"])
        if ip_version is None or ip_version.destination not in fields:
            return Expected(Disposition.DENIED, "a site sends IP, and ARP for its gateway")
        solicited = fields.get("icmpv6_type") == _SOLICITATION and fields.get("ipv6_nd_target") == int(GATEWAY6)
        if solicited and self.plan.answers_neighbours:
            return Expected(Disposition.ANSWERED, "a site may ask for its gateway")
        return self._of_ip(site, packet, ip_version)

    @staticmethod
    def _of_arp(site: Site, fields: object) -> Expected:
        assert isinstance(fields, dict)
        is_request = fields.get("arp_op") == 1 and fields["arp_tpa"] == int(site.gateway4)
        if is_request and IPv4Address(fields["arp_spa"]) in site.prefix4:
            return Expected(Disposition.ANSWERED, "a site may ask for its gateway")
        return Expected(Disposition.DENIED, "a site may ask for its gateway only, from its own address")

    def _of_ip(self, site: Site, packet: Packet, ip_version: IpVersion) -> Expected:
        fields = packet.fields
        prefix = site.prefix4 if ip_version is IP4 else site.prefix6
        source, destination = (
            _address(ip_version, fields[name]) for name in (ip_version.source, ip_version.destination)
        )
        if source not in prefix:
            return Expected(
                Disposition.DENIED, "a site sends from its own addresses only", towards=self.owner(destination)
            )
        is_request = (
            fields.get(ip_version.icmp_type) == ip_version.echo_request and fields.get("ip_proto") == ip_version.icmp
        )
        if destination == prefix[1] and is_request:
            return Expected(Disposition.ANSWERED, "a site may ping its gateway")
        owner = self.owner(destination)
        if owner is None:
            return Expected(Disposition.DENIED, "no site has that address", self.plan.contracts_at)
        if fields.get("ip_frag"):
            return Expected(Disposition.DENIED, "fragments are dropped", towards=owner)
        contract = self.contract(site.id, owner, packet, ip_version)
        if contract is None:
            return Expected(Disposition.DENIED, "no contract allows it", self.plan.contracts_at, owner)
        disposition = Disposition.ARRIVES if fields["nw_ttl"] >= _USUAL_TTL else Disposition.MAY_ARRIVE
        return Expected(disposition, f"contract {contract.name} allows {contract.service}", contract.source, owner)

    def contract(self, source: str, destination: str, packet: Packet, ip_version: IpVersion) -> Contract | None:
        """The contract that allows a packet from site to site: one that it opens, or else one that it replies to."""
        roles = self.plan.role_of_site
        a, b = roles[source].id, roles[destination].id
        openings = (each for each in self._between[a, b] if self._is_opening(each, packet, ip_version))
        return next(openings, None) or next(
            (c for c in self._between[b, a] if self._is_reply(c, packet, ip_version)), None
        )

    def _is_opening(self, contract: Contract, packet: Packet, ip_version: IpVersion) -> bool:
        service = self.plan.service[contract.service]
        return _matches_service(service, packet, "dst", ip_version, ip_version.echo_request)

    def _is_reply(self, contract: Contract, packet: Packet, ip_version: IpVersion) -> bool:
        service = self.plan.service[contract.service]
        if not _matches_service(service, packet, "src", ip_version, ip_version.echo_reply):
            return False
        flags = packet.fields.get("tcp_flags", 0)
        return service.protocol is not Protocol.TCP or bool(flags & (TCP_ACK | TCP_RST))

    def owner(self, address: IPv4Address | IPv6Address) -> str | None:
        """The site that owns an address, if any does."""
        found = self._owners.of(address.version, int(address))
        return found.id if found else None

    @cached_property
    def _between(self) -> defaultdict[tuple[int, int], list[Contract]]:
        found: defaultdict[tuple[int, int], list[Contract]] = defaultdict(list)
        for contract in self.plan.contracts:
            found[contract.client, contract.server].append(contract)
        return found

    @cached_property
    def _owners(self) -> PrefixOwners:
        return PrefixOwners(self.plan.network.sites)


@cache
def port_ranges(service: Service) -> tuple[tuple[int, int], ...]:
    """First and last port of each port range of a service, ascending, adjacent ranges joined; empty without ports."""
    ranges = sorted((port.value, port.value | ~port.mask & 0xFFFF) for port in service.ports)
    joined: list[tuple[int, int]] = []
    for first, last in ranges:
        if joined and joined[-1][1] + 1 >= first:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return tuple(joined)


def _matches_service(service: Service, packet: Packet, side: str, ip_version: IpVersion, icmp_type: int) -> bool:
    """Whether a packet belongs to a service; ``side``, src or dst, is the server's port field."""
    fields = packet.fields
    if service.protocol is Protocol.ICMP:
        return fields["ip_proto"] == ip_version.icmp and fields.get(ip_version.icmp_type) == icmp_type
    if service.protocol is Protocol.ANY:
        return True
    if fields["ip_proto"] != service.protocol:
        return False
    port = fields.get(f"{service.protocol.name.lower()}_{side}", 0)
    return not service.ports or any(port & match.mask == match.value for match in service.ports)


def _address(ip_version: IpVersion, value: int) -> IPv4Address | IPv6Address:
    return IPv4Address(value) if ip_version is IP4 else IPv6Address(value)
