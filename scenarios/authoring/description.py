"""A scenario in plain words: its network, what happens when, its traffic with its rates, its checks, its needs."""

from __future__ import annotations

import shlex
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from helsewan.common.counts import counted
from helsewan.common.units import format_duration, format_rate
from helsewan.lab.programs.records import SiteProgram
from helsewan.scenarios.run.preparation import Prepared
from helsewan.scenarios.spec.checks.assertions import AssertSpec
from helsewan.scenarios.spec.checks.schema import CheckSpec, Over, Scope, Severity
from helsewan.scenarios.spec.timeline.actions import TargetSpec
from helsewan.scenarios.spec.timeline.conditions import EventCondition, MetricCondition
from helsewan.scenarios.spec.timeline.plan import PlannedEvent, TimelinePlan
from helsewan.scenarios.spec.timeline.schema import EventSpec
from helsewan.scenarios.spec.timeline.timepoints import RUN, TimePoint
from helsewan.scenarios.spec.traffic.programs import ProgramSpec
from helsewan.scenarios.spec.traffic.schema import Traffic
from helsewan.scenarios.traffic.offered_load import offered_load

_SCOPES = {
    Scope.ALL: "",
    Scope.SURVIVING: "flows that keep their path",
    Scope.ACCESS_HIT: "flows that lose the first of their access links or routers",
    Scope.CUT: "flows that no path is left for",
}


_TARGETS = frozenset({*TargetSpec.CHOICES, "everywhere", "sites", "site"})


class Section(NamedTuple):
    """A heading, and the lines below it: a word or a time, and what there is to say of it."""

    heading: str
    lines: tuple[tuple[str, str], ...]


def describe(prepared: Prepared) -> tuple[Section, ...]:
    """What ``prepared`` will do, in the order of its file."""
    spec = prepared.scenario.spec
    phases = ((name, f"{phase.begin} to {phase.end}") for name, phase in spec.phases.items())
    sections = (
        Section("network", tuple(_network(prepared))),
        Section("parameters", tuple(_parameters(prepared))),
        Section("timeline", tuple(_timeline(prepared))),
        Section("phases", tuple(phases)),
        Section("traffic", tuple(_traffic(prepared))),
        Section("checks", tuple(_checks(prepared))),
        Section("needs", tuple(_needs(prepared))),
    )
    return tuple(section for section in sections if section.lines)


def _network(prepared: Prepared) -> Iterator[tuple[str, str]]:
    scenario, network = prepared.scenario, prepared.plan.network
    source = f"of {scenario.source}" if scenario.source else "the national network"
    pops, routers, links = (
        counted(len(network.pops), "PoP"),
        counted(len(network.routers), "router"),
        counted(len(network.links), "link"),
    )
    yield source, f"{counted(len(network.sites), 'site')}, {pops}, {routers}, {links}; seed {scenario.network.seed}"
    yield "policy", scenario.policy


def _parameters(prepared: Prepared) -> Iterator[tuple[str, str]]:
    for name, parameter in prepared.scenario.spec.parameters.items():
        yield name, f"{prepared.scenario.parameters[name]}: {parameter.help}"


def _timeline(prepared: Prepared) -> Iterator[tuple[str, str]]:
    spec = prepared.scenario.spec
    plan = prepared.timeline.plan
    steps = [
        (event.at_us, _when(event, spec.timeline[event.entry]), f"{event.name}: {_what(prepared, event.entry)}")
        for event in plan.events
        if event.at_us is not None
    ]
    steps += [
        (us, str(point), f"the rules of all routers are read, to be proved: {name}")
        for name, point in (spec.verify.rules if spec.verify else {}).items()
        if (us := _time_us(point, plan, spec.duration)) is not None
    ]
    yield "0 s", "traffic begins"
    yield from ((when, what) for _, when, what in sorted(steps, key=lambda step: step[0]))
    yield format_duration(spec.duration), "traffic ends"
    for event in plan.events:
        if event.at_us is None:
            yield _condition(spec.timeline[event.entry]), f"{event.name}: {_what(prepared, event.entry)}"


def _time_us(point: TimePoint, plan: TimelinePlan, end_us: int) -> int | None:
    known = point.event is None or point.event in plan.known_times
    return point.resolve(plan.known_times, end_us) if known else None


def _when(event: PlannedEvent, entry: EventSpec) -> str:
    at = format_duration(event.at_us or 0)
    return f"{at}, drawn" if entry.between is not None else at


def _condition(entry: EventSpec) -> str:
    """When an event takes place whose time the run decides."""
    if entry.at is not None:
        return str(entry.at)
    if isinstance(entry.when, MetricCondition):
        what = entry.when.traffic or entry.when.cls or "all traffic"
        condition = f"{entry.when.metric} of {what} {entry.when.limit}"
    elif isinstance(entry.when, EventCondition):
        condition = f"after {entry.when.event}"
    else:
        condition = str(entry.when)
    return f"once {condition}, by {entry.deadline}"


def _what(prepared: Prepared, name: str) -> str:
    """An event's action and what it is done to, and how long it lasts."""
    event = prepared.scenario.spec.timeline[name]
    data = prepared.scenario.document.data["timeline"][name][event.action]
    target = prepared.timeline.targets.get(name)
    words = [event.action.replace("_", " "), target.name if target else _plain(data)]
    if target and isinstance(data, dict):
        settings = {key: value for key, value in data.items() if key not in _TARGETS}
        words += [f"({_given(settings)})"] if settings else []
    words += [f"for {format_duration(event.lasts)}"] if event.lasts else []
    return " ".join(words)


def _traffic(prepared: Prepared) -> Iterator[tuple[str, str]]:
    flows: Counter[str] = Counter()
    datagrams, bits = defaultdict[str, float](float), defaultdict[str, float](float)
    exchanges, spec = defaultdict[str, float](float), prepared.scenario.spec
    for flow in prepared.traffic.flows:
        rate = flow.burst * 1e9 / flow.interval_ns
        flows[flow.entry] += 1
        datagrams[flow.entry] += rate
        bits[flow.entry] += rate * flow.payload_bytes * 8
    for exchange in prepared.traffic.exchanges:
        rate = len(exchange.begins_us) * 1e6 / spec.duration
        exchanges[exchange.entry] += rate
        bits[exchange.entry] += rate * exchange.application.load.bytes * 8
    data: Mapping[str, Any] = prepared.scenario.document.data["traffic"]
    programs = {each.name: _program(each, spec.traffic[each.name]) for each in prepared.traffic.programs}
    for name, entry in prepared.scenario.spec.traffic.items():
        said = [entry.kind, programs.get(name) or _given(data[name])]
        if flows[name]:
            said.append(f"{counted(flows[name], 'flow')}, {_about(datagrams[name])} datagrams/s")
        if name in exchanges:
            said.append(f"{_about(exchanges[name])} exchanges/s")
        if bits[name]:
            said.append(f"{format_rate(_thousands(bits[name]))} of payload")
        yield name, ", ".join(part for part in said if part)
    if flows.total():
        total = f"{counted(flows.total(), 'flow')}, {_about(sum(datagrams.values()))} datagrams/s"
        yield "all flows", f"{total}, {format_rate(_thousands(sum(bits.values())))} of payload in both directions"


def _program(program: SiteProgram, entry: Traffic) -> str:
    """What is run at which site, when, and what is expected of it."""
    command = " ".join(shlex.quote(word.partition("\n")[0]) for word in program.argv)
    timeout = f", {format_duration(program.timeout_us)} at most" if program.timeout_us else ""
    expect = f", expecting {entry.expect}" if isinstance(entry, ProgramSpec) and entry.expect else ""
    return f"{command} at {program.site}, from {format_duration(program.at_us)} on{timeout}{expect}"


def _given(entry: Mapping[str, Any]) -> str:
    """An entry of the traffic as its file has it, without its kind."""
    return ", ".join(f"{key} {_plain(value)}" for key, value in entry.items() if key != "kind")


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {_plain(each)}" for key, each in value.items()) + ")"
    return " or ".join(map(_plain, value)) if isinstance(value, list) else str(value)


def _checks(prepared: Prepared) -> Iterator[tuple[str, str]]:
    spec = prepared.scenario.spec
    for name, check in spec.checks.items():
        than = f" of that in {check.than}" if check.than else ""
        since = f" since {check.event}" if check.event else ""
        when = "in the whole run" if check.phase in (None, RUN) else f"in phase {check.phase}"
        where_any = ", where there are any" if check.optional else ""
        yield name, f"{check.metric} {check.limit}{than}{since} of {_selected(check)}, {when}{where_any}{_soft(check)}"
    for name, claim in spec.assertions.items():
        yield name, f"{claim.metric} {claim} of {_selected(claim)}{_soft(claim)}, then {claim.on_fail.value}"


def _selected(check: CheckSpec | AssertSpec) -> str:
    """The flows that a check or an assertion is about."""
    keys = {
        "traffic": check.traffic,
        "class": check.cls,
        "service": check.service,
        "region": check.region and check.region.value,
        "site": check.site,
        "flow": check.flow,
    }
    flows = [*(f"{key} {value}" for key, value in keys.items() if value), _SCOPES[check.scope]]
    how = "taken together" if check.over is Over.TOGETHER else "each"
    return f"{', '.join(each for each in flows if each) or 'all traffic'}, {how}"


def _soft(check: CheckSpec | AssertSpec) -> str:
    return ", or a warning" if check.severity is Severity.SHOULD else ""


def _needs(prepared: Prepared) -> Iterator[tuple[str, str]]:
    spec, load = prepared.scenario.spec, offered_load(prepared.traffic, prepared.plan)
    yield "time", f"{format_duration(spec.duration)} of traffic, and the time to bring the network up"
    frames = f"{_about(load.crossings_per_s)} frames/s over links and {_about(load.visits_per_s)} through routers"
    yield "load", f"{frames} in the busiest second; a run is void where it measures that this machine carries less"
    for name in dict.fromkeys(program.argv[0] for program in prepared.traffic.programs):
        yield "program", name if shutil.which(name) else f"{name}, which is not installed on this machine"
    if spec.verify is not None:
        yield "proofs", "dd with CUDD, which `helsewan doctor` looks for"


def _about(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _thousands(number: float) -> int:
    return round(number / 1000) * 1000
