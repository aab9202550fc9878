"""The effect of a fault on one packet: its path under the correct rules beside its path under the faulty ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from helsewan.controller.openflow.entries import CONTROLLER, AnyMeter, MeterRule, RuleSet
from helsewan.controller.rules.paths import Failures
from helsewan.verification.concrete.fabric import End, Fabric, Trace
from helsewan.verification.concrete.lookup import AmbiguousMatchError
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.concrete.switch import NotModelledError

Meters = Mapping[tuple[str, int], AnyMeter]


class Effect(str, Enum):
    """Kinds of differences between two traces of one packet, the most severe first. All but those in `HARMLESS` affect
    traffic between sites."""

    REACHES = "delivered or not, or to another site"
    UNDEFINED = "entries of equal priority conflict, or one uses an action that is not modelled"
    MARK = "another DSCP or MPLS traffic class"
    POLICED = "policed to another rate, or not policed, or sharing a meter"
    LOST_OR_LOOPED = "lost or looping instead of dropped"
    PORT = "a port that does not pass every packet"
    TTL = "a TTL that does not count the routers of its path"
    COPIED = "copies to the controller"
    ANSWERS = "only packets that return to the sending access link, such as the gateway's replies"
    EXPIRES = "nothing until a timeout"
    MAC_ADDRESS = "delivered with another MAC address"
    METER = "another meter of the same rate, which no other access link uses"
    PATH = "another path only"
    DROP_REASON = "only the drop reason or the ICMP error of a packet that is dropped anyway"
    NONE = "nothing"


HARMLESS = frozenset({Effect.METER, Effect.PATH, Effect.DROP_REASON, Effect.NONE})


@dataclass(frozen=True, slots=True)
class Probe:
    """A packet that a site sends on its access link number ``line``."""

    site: str
    line: int
    packet: Packet


@dataclass(frozen=True, slots=True)
class ObservedPath:
    """The parts of a packet's path that effects compare. ``marks`` are the DSCP on delivery and the traffic classes of
    the labels; ``uncounted`` is by how much the TTL fell by more than the number of routers; ``answer`` are the fields
    of a packet that returns; ``copies`` counts those to the controller; ``drop_detail`` is the drop reason and the
    packet-in; ``is_returned``: delivered to the sending site; ``undefined``: conflicting entries of equal priority, or
    an action that the interpreter does not implement."""

    end: End | None
    site: str | None = None
    marks: tuple[int, ...] = ()
    meters: tuple[AnyMeter, ...] = ()
    mac: int | None = None
    path: tuple[str, ...] = ()
    uncounted: int | None = None
    answer: tuple[tuple[str, int], ...] = ()
    copies: int = 0
    drop_detail: tuple[object, ...] = ()
    is_returned: bool = False
    undefined: bool = False


def meters_of(rules: Mapping[str, RuleSet]) -> dict[tuple[str, int], AnyMeter]:
    """Meters by router and id."""
    return {(router, meter.id): meter for router, each in rules.items() for meter in each.meters}


def observe(fabric: Fabric, meters: Meters, probe: Probe) -> tuple[ObservedPath, Trace | None]:
    """The path of a probe, and its trace; no trace where the result is undefined."""
    try:
        trace = fabric.trace_from(probe.site, probe.packet, probe.line)
    except (AmbiguousMatchError, NotModelledError):
        return ObservedPath(None, undefined=True), None
    passed = (meters.get((hop.ingress.router, rule.meter)) for hop in trace.hops
              for rule in hop.visit.rules if rule.meter is not None)  # fmt: skip
    meters_met = tuple(meter for meter in passed if isinstance(meter, MeterRule))
    traffic_classes = tuple(label.tc for hop in trace.hops[1:] for label in hop.ingress.packet.labels[:1])
    if trace.end is not End.DELIVERED or trace.packet is None:
        packet_in = trace.hops[-1].visit.packet_in
        detail = trace.reason, packet_in and (packet_in.expired, packet_in.packet)
        return ObservedPath(trace.end, drop_detail=detail), trace
    fields = trace.packet.fields
    return ObservedPath(
        trace.end,
        trace.site,
        (fields.get("ip_dscp", 0), *traffic_classes),
        meters_met,
        fields.get("eth_dst"),
        trace.routers,
        _uncounted(probe, trace),
        tuple(sorted(fields.items())) if trace.site == probe.site else (),
        sum(port == CONTROLLER for hop in trace.hops for port, _ in hop.visit.outputs),
        is_returned=trace.site == probe.site,
    ), trace


def _uncounted(probe: Probe, trace: Trace) -> int | None:
    """By how much a delivered packet's TTL fell by more than the number of routers; None where it has none."""
    assert trace.packet is not None
    sent, arrived = probe.packet.fields.get("nw_ttl"), trace.packet.fields.get("nw_ttl")
    return None if sent is None or arrived is None else sent - arrived - len(trace.routers)


def difference(correct: ObservedPath, faulty: ObservedPath) -> Effect:
    """The most severe difference between a packet's path under the correct rules and under the faulty ones."""
    if correct == faulty:
        return Effect.NONE
    if faulty.undefined:
        return Effect.UNDEFINED
    ends = [None if each.end is not End.DELIVERED or each.is_returned else each.site for each in (correct, faulty)]
    if ends[0] != ends[1]:
        return Effect.REACHES
    if correct.is_returned or faulty.is_returned:
        return Effect.ANSWERS
    if ends[0] is None:
        return Effect.DROP_REASON if faulty.end is End.DROPPED or faulty.end is correct.end else Effect.LOST_OR_LOOPED
    if correct.marks[0] != faulty.marks[0] or set(correct.marks[1:]) != set(faulty.marks[1:]):
        return Effect.MARK
    if [_rate(each) for each in correct.meters] != [_rate(each) for each in faulty.meters]:
        return Effect.POLICED
    if correct.uncounted != faulty.uncounted and (correct.path == faulty.path or faulty.uncounted not in (0, 1)):
        return Effect.TTL  # a router that is both ends of a label's path counts twice, on some paths
    if correct.copies != faulty.copies:
        return Effect.COPIED
    if correct.mac != faulty.mac:
        return Effect.MAC_ADDRESS
    if correct.meters != faulty.meters:
        return Effect.METER
    return Effect.PATH if correct.path != faulty.path else Effect.NONE


def _rate(meter: AnyMeter) -> tuple[int, int] | None:
    return (meter.rate_kbps, meter.burst_kbit) if isinstance(meter, MeterRule) else None


def state_name(failures: Failures) -> str:
    """A state of the network in words, for example ``without r1-r2``."""
    failed = [
        *sorted(failures.links),
        *sorted(failures.routers),
        *(f"{s} line {n}" for s, n in sorted(failures.access_links)),
    ]
    return f"without {', '.join(failed)}" if failed else "intact"
