"""The effect of a fault on one packet: its path under the correct rules beside its path under the faulty ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from helsewan.controller.openflow.entries import AnyMeter, MeterRule, RuleSet
from helsewan.controller.rules.paths import Failures
from helsewan.verification.concrete.fabric import End, Fabric, Trace
from helsewan.verification.concrete.lookup import ChanceError
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.concrete.switch import NotModelledError

Meters = Mapping[tuple[str, int], AnyMeter]


class Effect(str, Enum):
    """Kinds of differences, the most severe first. All but those of `HARMLESS` concern what passes between sites."""

    REACHES = "delivered or not, or to another"
    CHANCE = "entries of one priority dispute it, or one does what nobody models"
    MARK = "another DSCP or MPLS traffic class"
    POLICED = "held to another rate, or to none, or sharing a meter"
    ASTRAY = "lost or going round instead of dropped"
    ADDRESSED = "delivered with another MAC address"
    METER = "another meter of the same rate, which nobody else uses"
    PATH = "another path only"
    ANSWERS = "only what comes back to the line it was sent on, such as the gateway's answers"
    TOLD = "what its sender is told of a packet that is dropped anyway"
    TTL = "its TTL only"
    NONE = "nothing"


HARMLESS = frozenset({Effect.METER, Effect.PATH, Effect.ANSWERS, Effect.TOLD, Effect.TTL, Effect.NONE})


@dataclass(frozen=True, slots=True)
class Probe:
    """A packet that a site sends on one of its access lines."""

    site: str
    line: int
    packet: Packet


@dataclass(frozen=True, slots=True)
class Seen:
    """The relevant part of a packet's path. ``chance``: a switch would have to choose among entries, or uses something
    that the interpreter does not implement."""

    end: End | None
    site: str | None = None
    marks: tuple[int, ...] = ()
    meters: tuple[AnyMeter, ...] = ()
    mac: int | None = None
    path: tuple[str, ...] = ()
    ttl: int | None = None
    told: tuple[object, ...] = ()
    is_back: bool = False
    chance: bool = False


def meters_of(rules: Mapping[str, RuleSet]) -> dict[tuple[str, int], AnyMeter]:
    """Meters by router and id."""
    return {(router, meter.id): meter for router, each in rules.items() for meter in each.meters}


def seen(fabric: Fabric, meters: Meters, probe: Probe) -> tuple[Seen, Trace | None]:
    """What becomes of a probe."""
    try:
        walk = fabric.trace_from(probe.site, probe.packet, probe.line)
    except (ChanceError, NotModelledError):
        return Seen(None, chance=True), None
    passed = (meters.get((hop.came.router, rule.meter)) for hop in walk.hops
              for rule in hop.visit.rules if rule.meter is not None)  # fmt: skip
    held = tuple(meter for meter in passed if isinstance(meter, MeterRule))
    traffic_classes = tuple(label.tc for hop in walk.hops[1:] for label in hop.came.packet.labels[:1])
    if walk.end is not End.DELIVERED or walk.packet is None:
        told = walk.hops[-1].visit.handed_up
        return Seen(walk.end, told=(walk.reason, told and (told.expired, told.packet))), walk
    fields = walk.packet.fields
    return Seen(
        walk.end,
        walk.site,
        (fields.get("ip_dscp", 0), *traffic_classes),
        held,
        fields.get("eth_dst"),
        walk.routers,
        fields.get("nw_ttl"),
        is_back=walk.site == probe.site,
    ), walk


def difference(right: Seen, faulty: Seen) -> Effect:
    """What a fault does, of two ways of one packet."""
    if right == faulty:
        return Effect.NONE
    if faulty.chance:
        return Effect.CHANCE
    ends = [None if each.end is not End.DELIVERED or each.is_back else each.site for each in (right, faulty)]
    if ends[0] != ends[1]:
        return Effect.REACHES
    if right.is_back or faulty.is_back:
        return Effect.ANSWERS
    if ends[0] is None:
        return Effect.TOLD if faulty.end is End.DROPPED or faulty.end is right.end else Effect.ASTRAY
    if right.marks[0] != faulty.marks[0] or set(right.marks[1:]) != set(faulty.marks[1:]):
        return Effect.MARK
    if [_rate(each) for each in right.meters] != [_rate(each) for each in faulty.meters]:
        return Effect.POLICED
    if right.mac != faulty.mac:
        return Effect.ADDRESSED
    if right.meters != faulty.meters:
        return Effect.METER
    if right.path != faulty.path:
        return Effect.PATH
    return Effect.TTL if right.ttl != faulty.ttl else Effect.NONE


def _rate(meter: AnyMeter) -> tuple[int, int] | None:
    return (meter.rate_kbps, meter.burst_kbit) if isinstance(meter, MeterRule) else None


def named(failures: Failures) -> str:
    """A state of the network in a few words."""
    failed = [
        *sorted(failures.links),
        *sorted(failures.routers),
        *(f"{s} line {n}" for s, n in sorted(failures.access_links)),
    ]
    return f"without {', '.join(failed)}" if failed else "intact"
