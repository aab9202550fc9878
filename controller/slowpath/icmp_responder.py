"""A router's ICMP answer to the sender of a packet that it punted, and how the answer is routed.

An answer goes the way of any packet of that VPN: it leaves its router under the labels that lead to the sender, so it
takes as long as the lines take. It is the network's own signalling, and marked so (RFC 1812, 4.3.2.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from helsewan.controller.openflow.entries import IPV4, IPV6, Action, Load, Resubmit, Table
from helsewan.controller.openflow.pipeline import DESTINATION_VPN, VRF, FieldPart
from helsewan.controller.rules.access_rules import onto_labels
from helsewan.controller.rules.punt import Contents, Punt, read_frame
from helsewan.controller.slowpath.icmp import IcmpError, Ipv4Packet, error
from helsewan.controller.slowpath.icmp6 import error6
from helsewan.policies.plan import Plan, Route, Vpn
from helsewan.topology.model import Prefix, router_address4, router_address6, router_mac

CONTROL_DSCP = 48  # CS6: network control (RFC 4594, 3.1)
_LABEL_SHIFT = 12  # a label above TC, bottom of stack and TTL (RFC 3032, 2.1)


@dataclass(frozen=True, slots=True)
class Answer:
    """A frame for ``router`` to send, and what it is to do with it."""

    router: str
    frame: bytes
    actions: tuple[Action, ...]


@dataclass(frozen=True)
class IcmpResponder:
    """The ICMP answers of a plan's routers."""

    plan: Plan

    def to(self, punt: Punt) -> Answer | None:
        """The answer to a packet that was handed up; None where none may be given, or nobody is known to give it to."""
        contents, trouble = read_frame(punt.frame), punt.trouble
        if contents is None or trouble is None or not contents.packet.deserves_answer:
            return None
        route = self._way_back(punt, contents)
        if route is None or (trouble is IcmpError.TOO_LONG and contents.packet.may_be_split):
            return None
        return self._answer(punt, trouble, contents, route)

    def _answer(self, punt: Punt, trouble: IcmpError, contents: Contents, route: Route) -> Answer:
        router, about = self.plan.network.router[punt.router], contents.packet
        vpn = self.plan.vpn[route.vpn]
        came_with = () if self._vpn_in(punt.metadata, VRF) else contents.labels  # from a site: they are our own
        told = CONTROL_DSCP, came_with, punt.mtu_bytes
        if isinstance(about, Ipv4Packet):
            kind, label, message = IPV4, vpn.label, error(trouble, about, router_address4(router), *told)
        else:
            kind, label, message = IPV6, vpn.label6, error6(trouble, about, router_address6(router), *told)
        mac = bytes.fromhex(router_mac(router).replace(":", ""))
        frame = mac + mac + kind.to_bytes(2, "big") + message
        if self.plan.egresses[route.egress].routers[0] == punt.router:
            number, _ = DESTINATION_VPN.of(vpn.id)
            return Answer(punt.router, frame, (Load("metadata", number, 64), Resubmit(Table.DELIVER)))
        return Answer(punt.router, frame, onto_labels(label, route.egress))

    def _way_back(self, punt: Punt, contents: Contents) -> Route | None:
        """The route to the sender: in its own VPN where it just came from a site, else as its destination's VPN sees
        it, as for a reply."""
        source = contents.packet.source
        if home := self._vpn_in(punt.metadata, VRF):
            return self._routes[home.name].to(source)
        there = self._vpn_in(punt.metadata, DESTINATION_VPN)
        if there is None and contents.labels:
            there = self._vpn_by_label.get(contents.labels[-1] >> _LABEL_SHIFT)
        if there is None:
            return None
        seen = (self._routes[vpn.name].to(source) for vpn in self.plan.imports_from(there))
        return next((route for route in seen if route), None)

    def _vpn_in(self, metadata: int, part: FieldPart) -> Vpn | None:
        return self._vpn_by_id.get((metadata & part.mask) >> part.shift)

    @cached_property
    def _vpn_by_id(self) -> dict[int, Vpn]:
        return {vpn.id: vpn for vpn in self.plan.vpns}

    @cached_property
    def _vpn_by_label(self) -> dict[int, Vpn]:
        return {label: vpn for vpn in self.plan.vpns for label in (vpn.label, vpn.label6)}

    @cached_property
    def _routes(self) -> dict[str, _Routes]:
        return {vpn.name: _Routes.of(r for r in self.plan.routes if r.vpn == vpn.name) for vpn in self.plan.vpns}


@dataclass(frozen=True, slots=True)
class _Routes:
    """One VPN's own routes, by prefix; ``lengths`` are the prefix lengths there are in each version, longest first."""

    by_prefix: dict[Prefix, Route]
    lengths: dict[int, list[int]]

    @classmethod
    def of(cls, routes: Iterable[Route]) -> _Routes:
        by_prefix = {route.prefix: route for route in routes}
        known = sorted({(prefix.version, prefix.prefixlen) for prefix in by_prefix}, reverse=True)
        return cls(by_prefix, {version: [length for of, length in known if of == version] for version in (4, 6)})

    def to(self, address: IPv4Address | IPv6Address) -> Route | None:
        """The most specific route to an address."""
        network = IPv4Network if address.version == 4 else IPv6Network
        candidates = (network((int(address), length), strict=False) for length in self.lengths[address.version])
        return next((self.by_prefix[prefix] for prefix in candidates if prefix in self.by_prefix), None)
