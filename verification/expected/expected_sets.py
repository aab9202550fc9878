"""What a policy says becomes of every packet, as a relation like those of
`helsewan.verification.symbolic.symbolic_executor`.

It is written from contracts, services and classes alone: no rule, table or label is looked at. A contract opens a
service's ports to a role; replies are known by their source port, and TCP replies acknowledge or reset (docs/decisions/
0008). Of two contracts that both allow a packet, the one that it opens says its class, then the one of the narrower
ports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from helsewan.controller.openflow.entries import IPV4, IPV6
from helsewan.policies.plan import Contract, Plan, PortMatch, Protocol
from helsewan.topology.model import SITE_MTU, Site
from helsewan.verification.symbolic.header_space import ANY_FRAGMENT, ICMP4, ICMP6, Set, Space

_ACK, _RST = 0x10, 0x04
_ETHERNET_BYTES = 14
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
    _of_lines: dict[tuple[str, bool], Set] = field(default_factory=dict, init=False)

    @cached_property
    def allowed(self) -> Mapping[tuple[int, int], tuple[Allowed, ...]]:
        """By sending and receiving role, what contracts allow; no packet is in two of them."""
        wanted: dict[tuple[int, int], list[tuple[tuple[int, int], Contract, Set]]] = {}
        for contract in self.plan.contracts:
            service = self.plan.service[contract.service]
            for port in service.ports or (PortMatch(0, 0),):
                narrow = port.mask.bit_count()
                there, back = (contract.client, contract.server), (contract.server, contract.client)
                wanted.setdefault(there, []).append(((1, narrow), contract, self._opening(contract, port)))
                wanted.setdefault(back, []).append(((0, narrow), contract, self._reply(contract, port)))
        return {pair: tuple(self._apart(each)) for pair, each in wanted.items()}

    def _apart(self, wanted: list[tuple[tuple[int, int], Contract, Set]]) -> Iterable[Allowed]:
        left = self.space.equal("ip_frag", 0, ANY_FRAGMENT)
        for rank, contract, packets in sorted(wanted, key=lambda each: each[0], reverse=True):
            yield Allowed(contract, self._marked(contract, packets & left), rank[0] == 1)
            left &= ~packets

    def _marked(self, contract: Contract, packets: Set) -> Set:
        """The packets with the marks of their class: their own where the service keeps it."""
        service, marks, left = self.plan.service[contract.service], self.space.none, packets
        for name in service.kept:
            cls = self.plan.traffic_class[name]
            for dscp in cls.dscps:
                kept = left & self.space.equal("ip_dscp", dscp)
                marks |= kept & self.space.marked(cls.dscp)
                left &= ~kept
        return marks | left & self.space.marked(self.plan.traffic_class[service.class_name].dscp)

    def _opening(self, contract: Contract, port: PortMatch) -> Set:
        """What the client sends."""
        protocol, found = self.plan.service[contract.service].protocol, self.space.none
        for kind, icmp, request, _ in _FAMILIES:
            if protocol is Protocol.ICMP:
                found |= self._icmp(kind, icmp, request)
            else:
                found |= self._ip(kind, int(protocol)) & self.space.equal("tp_dst", port.value & port.mask, port.mask)
        return found

    def _reply(self, contract: Contract, port: PortMatch) -> Set:
        """What the server answers."""
        protocol, found = self.plan.service[contract.service].protocol, self.space.none
        for kind, icmp, _, reply in _FAMILIES:
            if protocol is Protocol.ICMP:
                found |= self._icmp(kind, icmp, reply)
                continue
            sent = self._ip(kind, int(protocol)) & self.space.equal("tp_src", port.value & port.mask, port.mask)
            if protocol is Protocol.TCP:
                sent &= self.space.equal("tcp_flags", _ACK, _ACK) | self.space.equal("tcp_flags", _RST, _RST)
            found |= sent
        return found

    def _ip(self, kind: int, protocol: int) -> Set:
        return self.space.equal("eth_type", kind) & self.space.equal("ip_proto", protocol)

    def _icmp(self, kind: int, protocol: int, of: int) -> Set:
        return self._ip(kind, protocol) & self.space.equal("icmp_type", of)

    @cached_property
    def at_sites(self) -> Mapping[int, Set]:
        """By role, packets to its sites that end at the site whose address they have."""
        return {
            role.id: self.space.any_of(self.at_site(self.plan.network.site[site]) for site in role.sites)
            for role in self.plan.roles
        }

    def at_site(self, site: Site) -> Set:
        """Packets to a site that end there."""
        to = self.space.any_of(self.space.to(prefix) for prefix in site.prefixes)
        return to & self.space.out(self._number[site.id])

    @cached_property
    def _number(self) -> dict[str, int]:
        return {site.id: place for place, site in enumerate(self.plan.network.sites)}

    @cached_property
    def from_role(self) -> Mapping[int, Set]:
        """By role, what becomes of what its sites send from their own addresses."""
        found = {role.id: self.space.none for role in self.plan.roles}
        for (sender, receiver), each in self.allowed.items():
            packets = self.space.any_of(allowed.packets for allowed in each)
            found[sender] |= packets & self.at_sites[receiver]
        return found

    def of_line(self, site: Site, own_port: bool) -> Set:
        """What becomes of all that a site sends: its own addresses only, untagged where a tag could be seen."""
        if (site.id, own_port) not in self._of_lines:
            role, own = self.plan.role_of_site[site.id].id, self.space.none
            for prefix in site.prefixes:
                own |= self.space.source_in(prefix)
            untagged = self.space.equal("vlan_vid", 0) if own_port else self.space.all
            becomes = untagged & (own & ~self._gateway(site) & self.from_role[role])
            self._of_lines[site.id, own_port] = becomes
        return self._of_lines[site.id, own_port]

    def _gateway(self, site: Site) -> Set:
        """Pings of the site's own gateway, which its router answers itself."""
        found = self.space.none
        for prefix, (kind, icmp, request, _) in zip(site.prefixes, _FAMILIES, strict=True):
            name = "ipv4_dst" if prefix.version == 4 else "ipv6_dst"
            found |= self.space.match(name, int(prefix[1])) & self._icmp(kind, icmp, request)
        return found

    @cached_property
    def judged(self) -> Set:
        """All packets but those too long for a line of the site they are for: what a router does with these hangs on
        the line, and no contract says it."""
        found = self.space.all
        for site in self.plan.network.sites:
            shortest = min(access.mtu_bytes for access in site.accesses)
            if shortest < SITE_MTU:
                to = self.space.any_of(self.space.to(prefix) for prefix in site.prefixes)
                found &= ~(to & self.space.above("frame_bytes", _ETHERNET_BYTES + shortest))
        return found

    def elsewhere(self, sites: Iterable[str]) -> Set:
        """All that ends at none of these sites."""
        return ~self.space.any_of(self.space.out(self._number[site]) for site in sites)
