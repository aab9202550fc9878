"""Passes over the network-independent sections of a policy: classes of service and the service catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations, pairwise

from helsewan.common.schema_errors import nearest
from helsewan.common.units import format_rate
from helsewan.policies.language.dscp import dscp_name
from helsewan.policies.language.policy_report import Path, PolicyReport
from helsewan.policies.language.ports import ANY, PortRange, match_all, parse_ports
from helsewan.policies.language.protocols import protocol_name
from helsewan.policies.language.schema import QUEUES, ClassSpec, PoliceStep, PolicySpec, ServiceSpec
from helsewan.policies.plan import PathAlgorithm, PathChoice, Protocol, Scheduling, Service, TrafficClass

_WHOLE = 1 + 1e-9  # the full rate of an access link, with tolerance: shares are decimal percentages stored as floats


def compile_classes(spec: PolicySpec, report: PolicyReport) -> tuple[TrafficClass, ...]:
    """The classes in order of their queues.

    Reports queue numbers, code points and MPLS traffic classes that are not unique to a class, and policed shares that
    sum to more than the rate of an access link.
    """
    for name, cls in spec.classes.items():
        _check_scheduling(name, cls, report)
        if cls.path is not PathChoice.LEAST_DELAY and spec.paths is None and not report.lacks("paths"):
            reason = "cannot be chosen without knowing the demand"
            hint = "add paths: {busy: 10 %}"
            report.add(("classes", name, "path"), cls.path.value, reason, hint, [("paths",)])
        _check_steps(name, cls.police, report)
        _check_weights(name, cls, report)
    _check_distinct(spec, report)
    _check_shares(spec, report)
    classes = (_traffic_class(name, cls) for name, cls in spec.classes.items())
    return tuple(sorted(classes, key=lambda cls: cls.queue))


def _traffic_class(name: str, cls: ClassSpec) -> TrafficClass:
    return TrafficClass(
        name=name,
        queue=cls.queue,
        dscps=cls.dscps,
        scheduling=cls.scheduling,
        weight=cls.weight or 0,
        slow_weights=tuple((step.up_to, step.weight) for step in cls.weights),
        police_share=cls.police[-1].share if cls.police else 0.0,
        buffer_us=cls.buffer,
        delay_target_us=cls.targets.delay,
        jitter_target_us=cls.targets.jitter,
        loss_target=cls.targets.loss,
        path=PathAlgorithm(cls.path),
    )


def _check_scheduling(name: str, cls: ClassSpec, report: PolicyReport) -> None:
    at = ("classes", name)
    if not 0 <= cls.queue < QUEUES:
        report.add((*at, "queue"), cls.queue, "is no queue of a link", f"queues are 0..{QUEUES - 1}")
    if cls.scheduling is Scheduling.WEIGHTED and cls.weight is None:
        report.add(at, None, "a weighted class needs a weight", "add weight: its share among the weighted classes")
    if cls.scheduling is Scheduling.STRICT and cls.weight is not None:
        report.add((*at, "weight"), cls.weight, "a strict class has no weight", "strict queues go in order of number")
    if cls.buffer == 0:
        report.add((*at, "buffer"), None, "a queue of length 0 drops every packet that waits", "write 20 ms or more")


def _check_steps(name: str, steps: tuple[PoliceStep, ...], report: PolicyReport) -> None:
    at = ("classes", name, "police")
    for i, (step, following) in enumerate(pairwise(steps)):
        if step.up_to is None:
            report.add((*at, i), None, "takes all speeds, so no later step is used", "only the last step has no up_to")
        elif following.up_to is not None and following.up_to <= step.up_to:
            shown = format_rate(following.up_to)
            report.add((*at, i + 1, "up_to"), shown, "is not above the step before it", "write steps in rising order")
    if steps and steps[-1].up_to is not None:
        reason = "leaves faster access links without a policer"
        report.add((*at, len(steps) - 1), None, reason, "the last step has no up_to")


def _check_weights(name: str, cls: ClassSpec, report: PolicyReport) -> None:
    """Check that the class is weighted and that its steps are in rising order."""
    at = ("classes", name, "weights")
    if cls.weights and cls.scheduling is Scheduling.STRICT:
        report.add(at, None, "a strict class has no weights", "strict queues go in order of number")
    for i, (step, following) in enumerate(pairwise(cls.weights)):
        if following.up_to <= step.up_to:
            shown = format_rate(following.up_to)
            report.add((*at, i + 1, "up_to"), shown, "is not above the step before it", "write steps in rising order")


def _check_distinct(spec: PolicySpec, report: PolicyReport) -> None:
    """Check that each queue, code point and marked MPLS traffic class has one class, and that DSCP 0 has a class."""
    queues: dict[int, str] = {}
    dscps: dict[int, str] = {}
    markings: dict[int, str] = {}
    for name, cls in spec.classes.items():
        at = ("classes", name)
        if (owner := queues.setdefault(cls.queue, name)) != name:
            other = [("classes", owner, "queue")]
            report.add((*at, "queue"), cls.queue, f"is the queue of class {owner} already", "one queue a class", other)
        for i, dscp in enumerate(cls.dscps):
            if (owner := dscps.setdefault(dscp, name)) != name or dscp in cls.dscps[:i]:
                reason = f"belongs to class {owner} already"
                other = [("classes", owner, "dscps")]
                report.add((*at, "dscps", i), dscp_name(dscp), reason, "one class a code point", other)
        marking = cls.dscps[0] >> 3
        if (owner := markings.setdefault(marking, name)) != name and dscps[cls.dscps[0]] == name:
            reason = f"has MPLS traffic class {marking}, as class {owner}: the core could not distinguish them"
            report.add(
                (*at, "dscps", 0), dscp_name(cls.dscps[0]), reason, "mark with another class selector (RFC 5462)"
            )
    if 0 not in dscps and not report.lacks("classes"):
        report.add(
            ("classes",), None, "no class has DSCP 0: unmarked packets would have no queue", "give BE to the last class"
        )
    _check_strict_first(spec, report)


def _check_strict_first(spec: PolicySpec, report: PolicyReport) -> None:
    """Check that strict queues have lower numbers than weighted ones, as they are served first."""
    weighted = [cls.queue for cls in spec.classes.values() if cls.scheduling is Scheduling.WEIGHTED]
    for name, cls in spec.classes.items():
        if cls.scheduling is Scheduling.STRICT and cls.queue > min(weighted, default=QUEUES):
            reason = "is strict and comes after a weighted queue"
            report.add(("classes", name, "queue"), cls.queue, reason, "number the strict queues first")


def _check_shares(spec: PolicySpec, report: PolicyReport) -> None:
    """Check that policed shares sum to at most the rate of an access link, at every access speed; the class that first
    exceeds it is reported."""
    steps = {step.up_to for cls in spec.classes.values() for step in cls.police if step.up_to is not None}
    reported = set[tuple[str, int]]()
    for rate in (*sorted(steps), max(steps, default=0) + 1):
        total = 0.0
        for name, cls in spec.classes.items():
            place = next((place for place, step in enumerate(cls.police) if step.covers(rate)), None)
            if place is None:
                continue
            share, before = cls.police[place].share, total
            total += share
            if before <= _WHOLE < total and (name, place) not in reported:
                reported.add((name, place))
                links = f"access links up to {format_rate(rate)}" if rate in steps else "the fastest access links"
                reason = f"brings the policed shares of {links} to {total:.0%}, more than their rate"
                at = ("classes", name, "police", place, "share")
                report.add(at, f"{share:.0%}", reason, f"{max(0.0, 1 - before):.0%} is left by the classes before it")


def compile_services(spec: PolicySpec, report: PolicyReport) -> tuple[Service, ...]:
    """The catalogue, with ports as value/mask. Services that overlap are reported: a packet belongs to one service."""
    for name, service in spec.services.items():
        at = ("services", name)
        named: list[tuple[Path, str]] = [(("class",), service.cls)]
        named += [(("keep", i), kept) for i, kept in enumerate(service.keep)]
        for where, entered in named:
            if report.lacks("classes", entered):
                continue
            if (cls := spec.classes.get(entered)) is None:
                hint = nearest(entered, spec.classes)
                report.add((*at, *where), entered, "is no class of this policy", hint, [("classes", entered)])
            elif cls.scheduling is Scheduling.STRICT and not cls.police:
                reason = "is strict and has no policer: one site's packets could starve all others"
                hint = f"add police: to class {entered}, or name another"
                report.add((*at, *where), entered, reason, hint, [("classes", entered)])
        protocol = protocol_name(service.protocol)
        if service.ports and not service.protocol.has_ports:
            known = "has no ports" if service.protocol is Protocol.ICMP else "is matched without ports"
            report.add((*at, "ports"), None, f"{protocol} {known}", "remove ports")
        if service.protocol.has_ports and not _ranges(service):
            report.add(at, None, f"{protocol} needs the server's ports", "add ports: [8443]")
    for name, other, shared in _overlaps(spec.services.items()):
        hint = "a packet belongs to one service"
        report.add(("services", name), shared, f"is in service {other} already", hint, [("services", other)])
    return tuple(
        Service(name, service.protocol, match_all(_ranges(service)), service.cls, service.keep)
        for name, service in spec.services.items()
    )


def _ranges(service: ServiceSpec) -> tuple[PortRange, ...]:
    """The service's ports; all those of SCTP where it names none, since its packets were once matched without ports."""
    return service.ports or ((parse_ports(ANY),) if service.protocol is Protocol.SCTP else ())


def _overlaps(services: Iterable[tuple[str, ServiceSpec]]) -> Iterator[tuple[str, str, str]]:
    """(service, earlier service, shared protocol and ports) for every overlap, including within one service."""
    entries = [(name, service.protocol, ports) for name, service in services for ports in _ranges(service) or (None,)]
    for (other, protocol, theirs), (name, same, ours) in combinations(entries, 2):
        if protocol is not same:
            continue
        if ours is None and theirs is None and not protocol.has_ports:
            yield name, other, protocol_name(protocol)
        elif ours is not None and theirs is not None and ours.overlaps(theirs):
            yield name, other, f"{protocol_name(protocol)} {ours}"
