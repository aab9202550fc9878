"""The outcome of a probe packet, in the same form for the prediction and for the running network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address

from helsewan.controller.openflow.entries import ARP, IPV4, IPV6, MPLS
from helsewan.controller.rules.mtu import MTU_REGISTER
from helsewan.controller.rules.punt import Punt
from helsewan.controller.slowpath.icmp_responder import IcmpResponder
from helsewan.policies.plan import Plan
from helsewan.topology.model import GATEWAY6, LOOPBACKS4, LOOPBACKS6, Site
from helsewan.verification.concrete.fabric import End, Fabric, Trace
from helsewan.verification.concrete.frames import read
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.concrete.switch import PacketIn
from helsewan.verification.expected.expected import Disposition, Expected
from helsewan.verification.live.test_packets import ProbePacket

_ETHERNET_BYTES = 14


@dataclass(frozen=True)
class Arrival:
    """A packet as it is received at a site."""

    site: str
    packet: Packet


@dataclass(frozen=True)
class Outcome:
    """Where a packet was delivered, and in what form; and whether a router answered its sender."""

    arrivals: frozenset[Arrival] = frozenset()
    answered: bool = False

    @property
    def sites(self) -> frozenset[str]:
        """The sites it was delivered to."""
        return frozenset(arrival.site for arrival in self.arrivals)

    def lacks(self, other: Outcome) -> bool:
        """Whether the other outcome has an arrival or an answer that this one does not have."""
        return bool(other.arrivals - self.arrivals) or (other.answered and not self.answered)

    def __or__(self, other: Outcome) -> Outcome:
        return Outcome(self.arrivals | other.arrivals, self.answered or other.answered)

    def __str__(self) -> str:
        words = [f"reaches {site}" for site in sorted(self.sites)] + ["answered"] * self.answered
        return ", ".join(words) or "reaches nobody"

    def conforms_to(self, expected: Expected) -> bool:
        """Whether the outcome is what the policy expects."""
        there = frozenset({expected.towards}) if expected.towards else frozenset()
        if expected.disposition is Disposition.ARRIVES:
            return self.sites == there and not self.answered
        if expected.disposition is Disposition.MAY_ARRIVE:
            return self.sites <= there
        return not self.sites and (self.answered or expected.disposition is Disposition.DENIED)


@dataclass(frozen=True)
class Predicted:
    """Predicts outcomes from the rules in ``fabric``, the routers' own replies (ICMP, ARP, ND) included."""

    plan: Plan
    fabric: Fabric

    def trace(self, probe: ProbePacket) -> Trace:
        """The trace of a probe packet."""
        return self.fabric.trace_from(probe.site, probe.packet, probe.line)

    def outcome(self, probe: ProbePacket, trace: Trace) -> Outcome:
        """The outcome of a probe packet with this trace."""
        packet_in = trace.hops[-1].visit.packet_in
        if trace.end is End.DROPPED and packet_in is not None:
            trace = self._trace_of_answer(probe, trace, packet_in) or trace
        if trace.end is not End.DELIVERED:
            return Outcome()
        assert trace.site is not None and trace.packet is not None
        return self.outcome_of_arrival(probe, trace.site, _untagged(trace.packet))

    def _trace_of_answer(self, probe: ProbePacket, trace: Trace, packet_in: PacketIn) -> Trace | None:
        """The trace of the last router's reply; None if it does not reply."""
        hop = trace.hops[-1]
        stack = packet_in.packet.labels
        words = [label.label << 12 | label.tc << 9 | label.ttl for label in stack]
        words[-1:] = [word | 0x100 for word in words[-1:]]
        kind = MPLS if stack else probe.packet.fields["eth_type"]
        head = probe.frame[: _ETHERNET_BYTES - 2] + kind.to_bytes(2, "big")
        frame = head + b"".join(word.to_bytes(4, "big") for word in words) + probe.frame[_ETHERNET_BYTES:]
        metadata, mtu_bytes = (packet_in.registers.get(name, 0) for name in ("metadata", MTU_REGISTER))
        cookie = hop.visit.rules[-1].cookie
        answer = self._answers.respond(Punt(hop.ingress.router, packet_in.expired, cookie, metadata, frame, mtu_bytes))
        if answer is None:
            return None
        return self.fabric.trace_out_of(answer.router, read(answer.frame), answer.actions)

    @cached_property
    def _answers(self) -> IcmpResponder:
        return IcmpResponder(self.plan)

    def outcome_of_arrival(self, probe: ProbePacket, site: str, packet: Packet) -> Outcome:
        """The outcome that the arrival of a marked packet at a site shows. At the sending site it is a router's reply,
        or the packet itself come back. Replies of other sites do not count."""
        network = self.plan.network
        if site == probe.site:
            if _is_networks_own(network.site[site], packet):
                return Outcome(answered=True)
            if _source(packet) != _source(probe.packet):
                return Outcome()
        return Outcome(frozenset({Arrival(site, packet)}))


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """The union of several outcomes of one probe."""
    whole = Outcome()
    for outcome in outcomes:
        whole |= outcome
    return whole


def _source(packet: Packet) -> int | None:
    """The source address of a packet, the sender protocol address of an ARP message; None if it has none."""
    return next((packet.fields[name] for name in ("ipv4_src", "ipv6_src", "arp_spa") if name in packet.fields), None)


def _is_networks_own(site: Site, packet: Packet) -> bool:
    """Whether the source address is a router's: the site's gateway or a loopback address."""
    source = _source(packet)
    kind = packet.fields["eth_type"]
    if source is None or packet.fields["eth_src"] == int(site.mac.replace(":", ""), 16):
        return False
    if kind == ARP:
        return source == int(site.gateway4)
    if kind == IPV4:
        return source == int(site.gateway4) or IPv4Address(source) in LOOPBACKS4
    return kind == IPV6 and (source in (int(GATEWAY6), int(site.prefix6[1])) or IPv6Address(source) in LOOPBACKS6)


def _untagged(packet: Packet) -> Packet:
    """The packet without the trunk's VLAN tag, as the site receives it."""
    return Packet({name: value for name, value in packet.fields.items() if name != "vlan_vid"}, packet.labels)
