"""The flows of a replay, and what the policy expects of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import ip_address

from helsewan.controller.openflow.entries import IPV4, IPV6
from helsewan.controller.rules.ip_version import IP4, IP6
from helsewan.lab.captures.ip_packet import TCP, TCP_ACK, TCP_SYN
from helsewan.lab.captures.survey import Sighting
from helsewan.lab.flows.replay_plan import FlowKey, Host, ReplayFlow, ServicePorts
from helsewan.policies.plan import Plan, Protocol
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.expected.expected import Disposition, Intent

_ALL_PORTS = 0xFFFF  # a service of so many ports does not tell ports apart
_TTL = 64
_NAMES = {6: "tcp", 17: "udp", 132: "sctp", 1: "icmp", 58: "icmpv6"}


@dataclass(frozen=True)
class FlowMaker:
    """Makes the flows of entry ``entry`` under ``plan``'s policy."""

    plan: Plan
    entry: str

    @cached_property
    def service_ports(self) -> ServicePorts:
        """The ports by which the policy's services are told apart, by protocol."""
        found: dict[int, set[int]] = {}
        for service in self.plan.services:
            numbers = service.port_numbers if service.protocol.has_ports else []
            if len(numbers) < _ALL_PORTS:
                found.setdefault(int(service.protocol), set()).update(numbers)
        return {protocol: frozenset(ports) for protocol, ports in found.items()}

    def flows(
        self, kinds: Mapping[FlowKey, Sighting], hosts: Mapping[bytes, Host]
    ) -> tuple[tuple[ReplayFlow, ...], dict[FlowKey, int]]:
        """The flows of ``kinds`` whose ends are both in ``hosts``, at two sites; and the flow of each kind."""
        flows: list[ReplayFlow] = []
        flow_of: dict[FlowKey, int] = {}
        known: dict[tuple[bytes, bytes, int, int, int, bool], int] = {}
        for key, sighting in kinds.items():
            source, destination = hosts.get(key[0]), hosts.get(key[1])
            if source is None or destination is None or source.site == destination.site:
                continue
            made = self._flow(key, source, destination, len(flows), sighting.packets)
            id_ = known.setdefault((*key[:5], made.is_denied), made.id)
            if id_ == made.id:
                flows.append(made)
            else:
                flows[id_] = replace(flows[id_], packets=flows[id_].packets + sighting.packets)
            flow_of[key] = id_
        return tuple(flows), flow_of

    def _flow(self, key: FlowKey, source: Host, destination: Host, id_: int, packets: int) -> ReplayFlow:
        packet, version = self._packet(key, source, destination), IP4 if len(key[0]) == 4 else IP6
        is_denied = self._intent.of(source.site, packet).disposition is Disposition.DENIED
        contract = None if is_denied else self._intent.contract(source.site, destination.site, packet, version)
        service = self.plan.service[contract.service] if contract else None
        opened = contract.client == self.plan.role_of_site[source.site].id if contract else not key[3] or bool(key[4])
        client, server = (source, destination) if opened else (destination, source)
        name = (
            f"{self.entry}/{id_ + 1:03d} {source.site} {ip_address(key[0])} > {destination.site} {ip_address(key[1])}"
        )
        return ReplayFlow(
            id=id_,
            name=f"{name} {_NAMES.get(key[2], key[2])}{f'/{key[4] or key[3]}' if key[4] or key[3] else ''}",
            class_name=service.class_name if service else "",
            service=service.name if service else "",
            client=client.site,
            server=server.site,
            source=source,
            destination=destination,
            packets=packets,
            is_denied=is_denied,
            groups=(self.entry,),
        )

    def _packet(self, key: FlowKey, source: Host, destination: Host) -> Packet:
        """A packet of a kind, as the policy sees it."""
        _, _, protocol, source_port, destination_port, opens, icmp_type, is_fragment = key
        version, eth_type = (IP4, IPV4) if source.address.version == 4 else (IP6, IPV6)
        fields: dict[str, int | str] = {
            "eth_type": eth_type,
            version.source: str(source.address),
            version.destination: str(destination.address),
            "ip_proto": protocol,
            "nw_ttl": _TTL,
            version.icmp_type: icmp_type,
            "ip_frag": int(is_fragment),
        }
        if protocol in (Protocol.TCP, Protocol.UDP, Protocol.SCTP):
            name, other = Protocol(protocol).name.lower(), self._other_port(protocol)
            fields[f"{name}_src"], fields[f"{name}_dst"] = source_port or other, destination_port or other
        if protocol == TCP:
            fields["tcp_flags"] = TCP_SYN if opens else TCP_ACK
        return Packet.of(**fields)

    def _other_port(self, protocol: int) -> int:
        """A port that tells no service."""
        known = self.service_ports.get(protocol, frozenset())
        return next(port for port in range(_ALL_PORTS, 0, -1) if port not in known)

    @cached_property
    def _intent(self) -> Intent:
        return Intent(self.plan)
