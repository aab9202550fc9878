"""Events that contradict each other on one target, as far as their times are known beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from helsewan.common.document import Document
from helsewan.common.errors import Problem
from helsewan.common.units import format_duration
from helsewan.lab.testbed.failure_state import Target
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.plan import Step, TimelinePlan, known_steps
from helsewan.scenarios.spec.timeline.schema import EventSpec
from helsewan.scenarios.spec.timeline.targets import link_names
from helsewan.topology.model import Network, access_link_name

_STATES = {  # what a target is while an action lasts
    "fail": "failed",
    "cut": "cut",
    "blackhole": "a black hole",
    "flap": "flapping",
    "pause": "paused",
    "partition": "cut off from the management network",
    "withdraw": "out of service",
    "quarantine": "in quarantine",
    "capture": "being captured",
}
_ON_LINKS = frozenset({"fail", "restore", "cut", "blackhole", "flap", "pause"})  # not two of them at one time
_NEEDS_POWER = frozenset({"cut", "blackhole", "flap", "pause", "partition"})  # mean nothing for what has failed

_FAIL_FIRST = "let it fail first, or leave this event out"
_ALONE = frozenset({"flap", "capture"})  # not two on one link, even if only some of theirs are the same

Clash = tuple[str, str, str, str]  # the entry, the target, the reason, a hint
Part = tuple[str, str]  # what kind of part, with the direction of a link; its name


@dataclass
class _Held:
    """What an event does, for as long as it lasts, to which parts."""

    name: str
    action: str
    parts: frozenset[Part]


def contradictions(
    spec: ScenarioSpec, plan: TimelinePlan, targets: Mapping[str, Target], network: Network, document: Document
) -> Iterator[Problem]:
    """Restorations of what has not failed, failures of what has, and two actions on one target at one time: the first
    problem of each entry."""
    parts = {entry: _parts(spec.timeline[entry], target, network) for entry, target in targets.items()}
    told = set()
    for entry, name, reason, hint in (
        *_vain_restorations(spec, parts, targets),
        *_clashes(spec, plan, parts, targets, network),
    ):
        if entry not in told:
            told.add(entry)
            yield Problem(document.where(("timeline", entry)), name, reason, hint)


def _clashes(
    spec: ScenarioSpec,
    plan: TimelinePlan,
    parts: Mapping[str, frozenset[Part]],
    targets: Mapping[str, Target],
    network: Network,
) -> Iterator[Clash]:
    """Events that are known to contradict what was done before."""
    held: dict[str, _Held] = {}
    at_once: list[Step] = []  # that began at the time of the latest one
    for step in known_steps(spec, plan):
        event = spec.timeline[step.entry]
        mine = parts.get(step.entry)
        if mine is None or not step.begins:
            held.pop(step.name, None)
            continue
        at, name = format_duration(step.at_us), targets[step.entry].name
        at_once = [each for each in at_once if each.at_us == step.at_us]
        if other := _same_target(step, at_once, spec, parts):
            yield step.entry, name, f"is told two things at {at}, here and by {other}", "give one another time"
        elif event.action == "restore":
            failed = [each for each in held.values() if each.action == "fail" and each.parts & mine]
            if not failed and _fails_in_time(spec, plan, parts, mine):
                yield step.entry, name, f"has not failed at {at}", _FAIL_FIRST
            for each in failed:
                each.parts -= mine
        else:
            if conflict := _conflict(event.action, mine, held.values(), network):
                reason = f"is {_STATES[conflict.action]} already at {at}, by {conflict.name}"
                yield step.entry, name, reason, f"end that before, for example with for: at {conflict.name}"
            held[step.name] = _Held(step.name, event.action, mine)
        at_once.append(step)


def _vain_restorations(
    spec: ScenarioSpec,
    parts: Mapping[str, frozenset[Part]],
    targets: Mapping[str, Target],
) -> Iterator[Clash]:
    """Restorations of what no event fails."""
    for entry, event in spec.timeline.items():
        if event.action == "restore" and entry in parts and not _failing(spec, parts, parts[entry]):
            yield entry, targets[entry].name, "never fails", _FAIL_FIRST


def _failing(spec: ScenarioSpec, parts: Mapping[str, frozenset[Part]], mine: frozenset[Part]) -> list[str]:
    """The entries that fail some of these parts, at whatever time."""
    return [entry for entry in parts if spec.timeline[entry].action == "fail" and parts[entry] & mine]


def _fails_in_time(
    spec: ScenarioSpec, plan: TimelinePlan, parts: Mapping[str, frozenset[Part]], mine: frozenset[Part]
) -> bool:
    """Whether these parts fail at times that are all known beforehand."""
    failing = _failing(spec, parts, mine)
    return bool(failing) and all(plan.named[entry].at_us is not None for entry in failing)


def _same_target(
    step: Step, others: Iterable[Step], spec: ScenarioSpec, parts: Mapping[str, frozenset[Part]]
) -> str | None:
    """An event among ``others`` that does something to the same links, routers or controller."""
    if spec.timeline[step.entry].action not in _ON_LINKS:
        return None
    names = {name for _, name in parts[step.entry]}
    acting = (each for each in others if spec.timeline[each.entry].action in _ON_LINKS)
    return next((each.name for each in acting if names & {name for _, name in parts[each.entry]}), None)


def _conflict(action: str, mine: frozenset[Part], held: Iterable[_Held], network: Network) -> _Held | None:
    """What makes an action on these parts meaningless."""
    failed: frozenset[Part] = frozenset()
    for each in held:
        if action == "fail" and each.action == "fail":
            failed |= each.parts
            if mine <= failed:
                return each
        elif each.action == "fail" and action in _NEEDS_POWER:
            if {name for _, name in mine} <= _down(each.parts, network):
                return each
        elif each.action == action in _STATES and (mine <= each.parts or (action in _ALONE and mine & each.parts)):
            return each
    return None


def _down(failed: frozenset[Part], network: Network) -> set[str]:
    """Names of the parts that are down when these have failed."""
    names = {name for _, name in failed}
    names |= {link.id for link in network.links if {link.a, link.b} & names}
    return names | {
        access_link_name(site.id, number)
        for site in network.sites
        for number, access in enumerate(site.accesses)
        if access.router in names
    }


def _parts(event: EventSpec, target: Target, network: Network) -> frozenset[Part]:
    """The parts of the network that an event does something to."""
    action = getattr(event, event.action)
    if event.action in ("cut", "blackhole", "capture"):
        ways = ("forward", "back") if action.direction == "both" else (action.direction,)
        return frozenset((way, name) for way in ways for name in link_names(target, network))
    if event.action == "withdraw":
        return frozenset({("service", target.name)})
    if event.action == "flap":
        return frozenset(("link", name) for name in link_names(target, network))
    links = (*target.links, *(access_link_name(*access) for access in target.accesses))
    return frozenset(
        [
            *(("link", name) for name in links),
            *(("router", name) for name in target.routers),
            *(("site", name) for name in target.sites),
            *([("controller", "the leading controller")] if target.controller else []),
        ]
    )
