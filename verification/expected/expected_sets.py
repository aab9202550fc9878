"""The outcomes that a policy expects for all packets, as a relation like those of
`helsewan.verification.symbolic.symbolic_executor`.

It is derived from contracts, services and classes only, independently of rules, tables and labels. A contract opens a
service's ports to a role; replies are recognised by their source port, and TCP replies have ACK or RST set
(docs/decisions/0008). If two contracts allow a packet, its class is that of the contract it opens, then that of the
contract with the narrower protocol or ports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from helsewan.controller.openflow.entries import IPV4, IPV6
from helsewan.policies.plan import Contract, Plan, PortMatch, Protocol
from helsewan.topology.model import GATEWAY6, SITE_MTU, Site
from helsewan.verification.symbolic.header_space import ANY_FRAGMENT, ICMP4, ICMP6, Set, Space

_ACK, _RST = 0x10, 0x04
_ETHERNET_BYTES = 14
_SOLICITATION = 135  # ICMPv6 type (RFC 4861, 4.3)
_FAMILIES = ((IPV4, ICMP4, 8, 0), (IPV6, ICMP6, 128, 129))  # EtherType, ICMP, echo request, echo reply


@dataclass(frozen=True, slots=True)
class Allowed:
    """Packets from one role to another that a contract allows, marked with their class's DSCP."""

    contract: Contract
    packets: Set
    opens: bool


@dataclass(frozen=True)
class Expectation:
    """The expectations of ``plan``, as sets of ``space``."""

    plan: Plan
    space: Space
    _by_access_link: dict[tuple[str, bool], Set] = field(default_factory=dict, init=False)

    @cached_property
    def allowed(self) -> Mapping[tuple[int, int], tuple[Allowed, ...]]:
        """What contracts allow, by sending and receiving role; the sets of each pair are disjoint."""
        candidates: dict[tuple[int, int], list[tuple[tuple[int, int], Contract, Set]]] = {}
        for contract in self.plan.contracts:
            service = self.plan.service[contract.service]
            for port in service.ports or (PortMatch(0, 0),):
                prefix_bits = -1 if service.protocol is Protocol.ANY else port.mask.bit_count()
                forward, reverse = (contract.client, contract.server), (contract.server, contract.client)
                candidates.setdefault(forward, []).append(((1, prefix_bits), contract, self._opening(contract, port)))
                candidates.setdefault(reverse, []).append(((0, prefix_bits), contract, self._reply(contract, port)))
        return {pair: tuple(self._disjoint(each)) for pair, each in candidates.items()}

    def _disjoint(self, candidates: list[tuple[tuple[int, int], Contract, Set]]) -> Iterable[Allowed]:
        left = self.space.equal("ip_frag", 0, ANY_FRAGMENT)
        for rank, contract, packets in sorted(candidates, key=lambda each: each[0], reverse=True):
            yield Allowed(contract, self._marked(contract, packets & left), rank[0] == 1)
            left &= ~packets

    def _marked(self, contract: Contract, packets: Set) -> Set:
        """The packets with the DSCP of their class: the one they were sent with, where the service keeps its class."""
        service, marks, left = self.plan.service[contract.service], self.space.none, packets
        for name in service.kept:
            cls = self.plan.traffic_class[name]
            for dscp in cls.dscps:
                kept = left & self.space.equal("ip_dscp", dscp)
                marks |= kept & self.space.marked(cls.dscp)
                left &= ~kept
        return marks | left & self.space.marked(self.plan.traffic_class[service.class_name].dscp)

    def _opening(self, contract: Contract, port: PortMatch) -> Set:
        """The packets that a client sends."""
        protocol, found = self.plan.service[contract.service].protocol, self.space.none
        for eth_type, icmp, request, _ in _FAMILIES:
            if protocol is Protocol.ICMP:
                found |= self._icmp(eth_type, icmp, request)
            elif protocol is Protocol.ANY:
                found |= self.space.equal("eth_type", eth_type)
            else:
                found |= self._ip(eth_type, int(protocol)) & self.space.equal(
                    "tp_dst", port.value & port.mask, port.mask
                )
        return found

    def _reply(self, contract: Contract, port: PortMatch) -> Set:
        """The packets that a server answers with."""
        protocol, found = self.plan.service[contract.service].protocol, self.space.none
        for eth_type, icmp, _, reply in _FAMILIES:
            if protocol is Protocol.ICMP:
                found |= self._icmp(eth_type, icmp, reply)
                continue
            if protocol is Protocol.ANY:
                found |= self.space.equal("eth_type", eth_type)
                continue
            packets = self._ip(eth_type, int(protocol)) & self.space.equal("tp_src", port.value & port.mask, port.mask)
            if protocol is Protocol.TCP:
                packets &= self.space.equal("tcp_flags", _ACK, _ACK) | self.space.equal("tcp_flags", _RST, _RST)
            found |= packets
        return found

    def _ip(self, eth_type: int, protocol: int) -> Set:
        return self.space.equal("eth_type", eth_type) & self.space.equal("ip_proto", protocol)

    def _icmp(self, eth_type: int, protocol: int, icmp_type: int) -> Set:
        return self._ip(eth_type, protocol) & self.space.equal("icmp_type", icmp_type)

    @cached_property
    def at_sites(self) -> Mapping[int, Set]:
        """By role, the packets to its sites that end at the site that owns their destination address."""
        return {
            role.id: self.space.any_of(self.at_site(self.plan.network.site[site]) for site in role.sites)
            for role in self.plan.roles
        }

    def at_site(self, site: Site) -> Set:
        """The packets to a site that end there."""
        to = self.space.any_of(self.space.to(prefix) for prefix in site.prefixes)
        return to & self.space.out(self._number[site.id])

    @cached_property
    def _number(self) -> dict[str, int]:
        return {site.id: index for index, site in enumerate(self.plan.network.sites)}

    @cached_property
    def from_role(self) -> Mapping[int, Set]:
        """By role, the outcomes of packets that its sites send from their own addresses."""
        found = {role.id: self.space.none for role in self.plan.roles}
        for (sender, receiver), each in self.allowed.items():
            packets = self.space.any_of(allowed.packets for allowed in each)
            found[sender] |= packets & self.at_sites[receiver]
        return found

    def of_access_link(self, site: Site, own_port: bool) -> Set:
        """The outcomes of all packets from an access link of a site: those from the site's own addresses that are
        allowed. On an access link with a port of its own, they must be untagged."""
        if (site.id, own_port) not in self._by_access_link:
            role, own = self.plan.role_of_site[site.id].id, self.space.none
            for prefix in site.prefixes:
                own |= self.space.source_in(prefix)
            untagged = self.space.equal("vlan_vid", 0) if own_port else self.space.all
            outcomes = untagged & (
                own & ~self._gateway_pings(site) & ~self._gateway_solicitations & self.from_role[role]
            )
            self._by_access_link[site.id, own_port] = outcomes
        return self._by_access_link[site.id, own_port]

    @cached_property
    def _gateway_solicitations(self) -> Set:
        """Neighbour solicitations for the gateway, which a router answers whatever their destination."""
        if not self.plan.answers_neighbours:
            return self.space.none
        solicitation = self._icmp(IPV6, ICMP6, _SOLICITATION)
        return solicitation & self.space.match("ipv6_nd_target", int(GATEWAY6))

    def _gateway_pings(self, site: Site) -> Set:
        """Echo requests to the site's gateway, which its router answers itself."""
        found = self.space.none
        for prefix, (eth_type, icmp, request, _) in zip(site.prefixes, _FAMILIES, strict=True):
            name = "ipv4_dst" if prefix.version == 4 else "ipv6_dst"
            found |= self.space.match(name, int(prefix[1])) & self._icmp(eth_type, icmp, request)
        return found

    @cached_property
    def in_scope(self) -> Set:
        """All packets but those that exceed the MTU of an access link of their destination: what a router does with
        these depends on the access link, and no contract defines it."""
        found = self.space.all
        for site in self.plan.network.sites:
            shortest = min(access.mtu_bytes for access in site.accesses)
            if shortest < SITE_MTU:
                to = self.space.any_of(self.space.to(prefix) for prefix in site.prefixes)
                found &= ~(to & self.space.above("frame_bytes", _ETHERNET_BYTES + shortest))
        return found

    def not_ending_at(self, sites: Iterable[str]) -> Set:
        """All outcomes that end at none of these sites."""
        return ~self.space.any_of(self.space.out(self._number[site]) for site in sites)
