"""The kind of packets that a packet of a capture belongs to."""

from __future__ import annotations

from helsewan.lab.captures.ip_packet import TCP, TCP_ACK, TCP_RST, IpPacket
from helsewan.lab.flows.replay_plan import FlowKey, ServicePorts


def flow_key(packet: IpPacket, ports: ServicePorts) -> FlowKey:
    """The key of a packet's flow."""
    protocol = packet.protocol
    known = ports.get(protocol, frozenset())
    return (
        packet.source,
        packet.destination,
        protocol,
        packet.source_port if packet.source_port in known else 0,
        packet.destination_port if packet.destination_port in known else 0,
        protocol == TCP and not packet.flags & (TCP_ACK | TCP_RST),
        packet.icmp_type,
        packet.is_fragment,
    )
