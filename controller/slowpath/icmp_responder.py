"""A router's ICMP error to the sender of a packet that it punted, and its route.

The error is forwarded like any packet of that VPN: it leaves the router with the labels of the route to the sender, so
that it has the delay of the links. It is marked as network control (RFC 1812, 4.3.2.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from helsewan.controller.openflow.entries import IPV4, IPV6, Action, DecTtl, Load, Resubmit, SetField, Table
from helsewan.controller.openflow.pipeline import DESTINATION_VPN, VRF, FieldPart
from helsewan.controller.rules.access_rules import diverted_label, push_labels
from helsewan.controller.rules.punt import FrameContents, Punt, read_frame
from helsewan.controller.slowpath.icmp import IcmpError, Ipv4Packet, icmp_error
from helsewan.controller.slowpath.icmp6 import icmp6_error
from helsewan.controller.slowpath.related import is_site_error, related_contract
from helsewan.policies.plan import Plan, Route, Vpn
from helsewan.topology.model import Prefix, Router, router_address4, router_address6, router_mac

CONTROL_DSCP = 48  # CS6: network control (RFC 4594, 3.1)
_LABEL_SHIFT = 12  # position of the label in a stack entry, above TC, bottom of stack and TTL (RFC 3032, 2.1)


@dataclass(frozen=True, slots=True)
class PacketOut:
    """A frame for the switch of ``router`` to send, and the actions to apply to it."""

    router: str
    frame: bytes
    actions: tuple[Action, ...]


@dataclass(frozen=True)
class IcmpResponder:
    """Generates the ICMP errors of a plan's routers, and passes on those of sites."""

    plan: Plan

    def respond(self, punt: Punt) -> PacketOut | None:
        """The ICMP error about a punted packet; None if none may be sent or there is no route to the sender."""
        contents, reason = read_frame(punt.frame), punt.error
        if contents is not None and is_site_error(punt):
            return self._pass_on(punt, contents)
        if contents is None or reason is None or not contents.packet.may_get_error:
            return None
        route = self._route_to_sender(punt, contents)
        if route is None or (reason is IcmpError.TOO_LONG and contents.packet.may_be_fragmented):
            return None
        return self._packet_out(punt, reason, contents, route)

    def _packet_out(self, punt: Punt, reason: IcmpError, contents: FrameContents, route: Route) -> PacketOut:
        router, packet = self.plan.network.router[punt.router], contents.packet
        vpn = self.plan.vpn[route.vpn]
        # A packet from a site arrived without labels: those that it has were pushed by this router.
        labels = () if self._vpn_in(punt.metadata, VRF) else contents.labels
        options = CONTROL_DSCP, labels, punt.mtu_bytes
        if isinstance(packet, Ipv4Packet):
            kind, label, message = IPV4, vpn.label, icmp_error(reason, packet, router_address4(router), *options)
        else:
            kind, label, message = IPV6, vpn.label6, icmp6_error(reason, packet, router_address6(router), *options)
        frame = self._frame(router, kind, message)
        return PacketOut(punt.router, frame, self._onward(punt.router, vpn, label, route))

    def _pass_on(self, punt: Punt, contents: FrameContents) -> PacketOut | None:
        """An ICMP error of a site, forwarded in the class of the traffic that it is about; None if it is about none
        that a contract allows."""
        packet, vpn = contents.packet, self._vpn_in(punt.metadata, DESTINATION_VPN)
        contract = related_contract(self.plan, punt, packet)
        route = self._routes[vpn.name].to(packet.destination) if vpn else None
        if contract is None or vpn is None or route is None:
            return None
        kind, label = (IPV4, vpn.label) if isinstance(packet, Ipv4Packet) else (IPV6, vpn.label6)
        frame = self._frame(self.plan.network.router[punt.router], kind, packet.data)
        service_class = self.plan.traffic_class[self.plan.service[contract.service].class_name]
        mark = SetField("ip_dscp", service_class.dscp)
        onward = self._onward(punt.router, vpn, label, route)
        decrement = () if isinstance(onward[-1], Resubmit) else (DecTtl(),)  # delivery decrements it
        return PacketOut(punt.router, frame, (mark, *decrement, *onward))

    @staticmethod
    def _frame(router: Router, kind: int, packet: bytes) -> bytes:
        """A frame of EtherType ``kind`` from a router to itself."""
        mac = bytes.fromhex(router_mac(router).replace(":", ""))
        return mac + mac + kind.to_bytes(2, "big") + packet

    def _onward(self, router: str, vpn: Vpn, label: int, route: Route) -> tuple[Action, ...]:
        """The actions by which ``router`` sends a packet along a route of a VPN, with its label."""
        if self.plan.egresses[route.egress].routers[0] == router:
            number, _ = DESTINATION_VPN.of(vpn.id)
            return Load("metadata", number, 64), Resubmit(Table.DELIVER)
        return push_labels(label, route.egress)

    def _route_to_sender(self, punt: Punt, contents: FrameContents) -> Route | None:
        """The route to the sender: in its own VPN if the packet came from a site of this router, else in the VPNs that
        the destination's VPN imports, as for a reply."""
        sender = contents.packet.source
        if source_vpn := self._vpn_in(punt.metadata, VRF):
            return self._routes[source_vpn.name].to(sender)
        destination_vpn = self._vpn_in(punt.metadata, DESTINATION_VPN)
        if destination_vpn is None and contents.labels:
            destination_vpn = self._vpn_by_label.get(contents.labels[-1] >> _LABEL_SHIFT)
        if destination_vpn is None:
            return None
        imported = (self._routes[vpn.name].to(sender) for vpn in self.plan.imports_from(destination_vpn))
        return next((route for route in imported if route), None)

    def _vpn_in(self, metadata: int, part: FieldPart) -> Vpn | None:
        return self._vpn_by_id.get((metadata & part.mask) >> part.shift)

    @cached_property
    def _vpn_by_id(self) -> dict[int, Vpn]:
        return {vpn.id: vpn for vpn in self.plan.vpns}

    @cached_property
    def _vpn_by_label(self) -> dict[int, Vpn]:
        labels = ((vpn, label) for vpn in self.plan.vpns for label in (vpn.label, vpn.label6))
        return {either: vpn for vpn, label in labels for either in (label, diverted_label(label))}

    @cached_property
    def _routes(self) -> dict[str, _Routes]:
        return {vpn.name: _Routes.of(r for r in self.plan.routes if r.vpn == vpn.name) for vpn in self.plan.vpns}


@dataclass(frozen=True, slots=True)
class _Routes:
    """The routes to sites of one VPN, by prefix; ``lengths`` has the prefix lengths in use by IP version, longest
    first."""

    by_prefix: dict[Prefix, Route]
    lengths: dict[int, list[int]]

    @classmethod
    def of(cls, routes: Iterable[Route]) -> _Routes:
        by_prefix = {route.prefix: route for route in routes}
        used = sorted({(prefix.version, prefix.prefixlen) for prefix in by_prefix}, reverse=True)
        return cls(by_prefix, {version: [length for of, length in used if of == version] for version in (4, 6)})

    def to(self, address: IPv4Address | IPv6Address) -> Route | None:
        """The route to an address by longest prefix match."""
        network = IPv4Network if address.version == 4 else IPv6Network
        candidates = (network((int(address), length), strict=False) for length in self.lengths[address.version])
        return next((self.by_prefix[prefix] for prefix in candidates if prefix in self.by_prefix), None)
