"""The outcome of a packet, in one form for rules and for a running network."""

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
from helsewan.verification.concrete.switch import HandedUp
from helsewan.verification.expected.expected import Disposition, Expected
from helsewan.verification.live.test_packets import ProbePacket

_ETHERNET_BYTES = 14


@dataclass(frozen=True)
class Arrival:
    """A packet as it left a site's access link."""

    site: str
    packet: Packet


@dataclass(frozen=True)
class Outcome:
    """Where a packet arrived, and in what form; and whether the network itself answered its sender."""

    arrivals: frozenset[Arrival] = frozenset()
    answered: bool = False

    @property
    def sites(self) -> frozenset[str]:
        """The sites it came to."""
        return frozenset(arrival.site for arrival in self.arrivals)

    def lacks(self, other: Outcome) -> bool:
        """Whether something came of it in the other that did not here."""
        return bool(other.arrivals - self.arrivals) or (other.answered and not self.answered)

    def __or__(self, other: Outcome) -> Outcome:
        return Outcome(self.arrivals | other.arrivals, self.answered or other.answered)

    def __str__(self) -> str:
        said = [f"reaches {site}" for site in sorted(self.sites)] + ["answered"] * self.answered
        return ", ".join(said) or "reaches nobody"

    def keeps(self, says: Expected) -> bool:
        """Whether it is what a policy wants."""
        there = frozenset({says.towards}) if says.towards else frozenset()
        if says.verdict is Disposition.ARRIVES:
            return self.sites == there and not self.answered
        if says.verdict is Disposition.MAY_ARRIVE:
            return self.sites <= there
        return not self.sites and (self.answered or says.verdict is Disposition.DENIED)


@dataclass(frozen=True)
class Predicted:
    """What a plan's network does according to the rules in ``fabric``, its routers' own answers included."""

    plan: Plan
    fabric: Fabric

    def walk(self, question: ProbePacket) -> Trace:
        """The way of a question's packet, hop by hop."""
        return self.fabric.trace_from(question.site, question.packet, question.line)

    def outcome(self, question: ProbePacket, walk: Trace) -> Outcome:
        """What becomes of a question's packet that goes a way."""
        handed_up = walk.hops[-1].visit.handed_up
        if walk.end is End.DROPPED and handed_up is not None:
            walk = self._answered(question, walk, handed_up) or walk
        if walk.end is not End.DELIVERED:
            return Outcome()
        assert walk.site is not None and walk.packet is not None
        return self.heard(question, walk.site, _untagged(walk.packet))

    def _answered(self, question: ProbePacket, walk: Trace, handed_up: HandedUp) -> Trace | None:
        """The way of what the last router answers; None if it answers nothing."""
        hop = walk.hops[-1]
        stack = handed_up.packet.labels
        words = [label.label << 12 | label.tc << 9 | label.ttl for label in stack]
        words[-1:] = [word | 0x100 for word in words[-1:]]
        kind = MPLS if stack else question.packet.fields["eth_type"]
        head = question.frame[: _ETHERNET_BYTES - 2] + kind.to_bytes(2, "big")
        frame = head + b"".join(word.to_bytes(4, "big") for word in words) + question.frame[_ETHERNET_BYTES:]
        metadata, mtu_bytes = (handed_up.notes.get(name, 0) for name in ("metadata", MTU_REGISTER))
        cookie = hop.visit.rules[-1].cookie
        answer = self._answers.respond(Punt(hop.came.router, handed_up.expired, cookie, metadata, frame, mtu_bytes))
        if answer is None:
            return None
        return self.fabric.trace_out_of(answer.router, read(answer.frame), answer.actions)

    @cached_property
    def _answers(self) -> IcmpResponder:
        return IcmpResponder(self.plan)

    def heard(self, question: ProbePacket, site: str, packet: Packet) -> Outcome:
        """What it means that a packet with a question's mark came out of a site's line. At the site that asked it is
        the network's answer, or the packet itself come back; what other sites reply is no part of the question."""
        network = self.plan.network
        if site == question.site:
            if _is_networks_own(network.site[site], packet):
                return Outcome(answered=True)
            if _source(packet) != _source(question.packet):
                return Outcome()
        return Outcome(frozenset({Arrival(site, packet)}))


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """Several outcomes of one question as one."""
    whole = Outcome()
    for outcome in outcomes:
        whole |= outcome
    return whole


def _source(packet: Packet) -> int | None:
    """Who sent a packet, by its own words."""
    return next((packet.fields[name] for name in ("ipv4_src", "ipv6_src", "arp_spa") if name in packet.fields), None)


def _is_networks_own(site: Site, packet: Packet) -> bool:
    """Whether a packet comes from a router, as one site's gateway or as itself."""
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
    """A packet as a site sees it: its line's tag ends at the trunk."""
    return Packet({name: value for name, value in packet.fields.items() if name != "vlan_vid"}, packet.labels)
