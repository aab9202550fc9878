"""Makes a scenario smaller: leaves out events and traffic with all that depends on them, shortens, sends less. Pure.

Everything works on a scenario's plain data, parameters filled in, and returns new data. What comes out may be no
scenario (a condition on traffic that is gone): who runs it finds out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import networkx as nx

from helsewan.common.units import UnitError, format_duration, parse_duration_us

Data = dict[str, Any]

_TIMES = ("at", "between", "after", "deadline", "when", "end")  # keys of an event that may name others
_WORDS = re.compile(r"[a-z][a-z0-9.-]*")
LEAST_US = 10_000  # of a fault


def event_groups(data: Data) -> list[tuple[str, ...]]:
    """The timeline's entries, in groups that stand or fall together: those that refer to one another, and a
    restoration with the failures of the same target."""
    timeline: Mapping[str, Data] = data.get("timeline") or {}
    graph = nx.Graph()
    graph.add_nodes_from(timeline)
    for name, event in timeline.items():
        graph.add_edges_from((name, other) for other in _named_events(event) if other in timeline)
        if "restore" in event:
            same = (other for other, each in timeline.items() if each.get("fail") == event["restore"])
            graph.add_edges_from((name, other) for other in same)
    order = list(timeline)
    groups = (tuple(sorted(part, key=order.index)) for part in nx.connected_components(graph))
    return sorted(groups, key=lambda group: order.index(group[0]))


def only_events(data: Data, kept: Collection[str]) -> Data:
    """The scenario with these entries of its timeline only, without what is said of the others."""
    timeline = data.get("timeline") or {}
    gone = {name for name in timeline if name not in kept}
    phases = {
        name: phase
        for name, phase in (data.get("phases") or {}).items()
        if not gone & _words(phase["from"], phase["to"])
    }
    lost_phases = set(data.get("phases") or {}) - set(phases)
    fails = any(name in kept and "restore" not in event for name, event in timeline.items())
    smaller = {**data, "timeline": {name: event for name, event in timeline.items() if name in kept}, "phases": phases}
    for section in ("checks", "assert"):
        smaller[section] = {
            name: check
            for name, check in (data.get(section) or {}).items()
            if not lost_phases & {check.get("phase"), check.get("than"), check.get("in")}
            and not gone & ({check.get("event")} | _words(check.get("within")))
            and (fails or check.get("scope", "all") == "all")
        }
    if rules := (data.get("verify") or {}).get("rules"):
        left = {name: point for name, point in rules.items() if not gone & _words(point)}
        smaller["verify"] = {**data["verify"], "rules": left}
    return _without_empty(smaller)


def only_traffic(data: Data, kept: Collection[str]) -> Data:
    """The scenario with these entries of its traffic only, without the checks of the others."""
    gone = {name for name in data["traffic"] if name not in kept}
    smaller = {**data, "traffic": {name: entry for name, entry in data["traffic"].items() if name in kept}}
    for section in ("checks", "assert"):
        smaller[section] = {
            name: check
            for name, check in (data.get(section) or {}).items()
            if str(check.get("traffic")).partition(".")[0] not in gone
        }
    return _without_empty(smaller)


def only_checks(data: Data, kept: Collection[str]) -> Data:
    """The scenario with these checks and assertions only; a scenario has at least one check, so that the first stays
    where none of these is one."""
    checks: Data = data["checks"]
    left = {name: check for name, check in checks.items() if name in kept} or dict(list(checks.items())[:1])
    asserted = {name: each for name, each in (data.get("assert") or {}).items() if name in kept}
    return _without_empty({**data, "checks": left, "assert": asserted})


def durations(data: Data) -> Iterator[tuple[str, int]]:
    """Entries of the timeline that last for a stated time, and that time in microseconds."""
    for name, event in (data.get("timeline") or {}).items():
        if "for" in event and (lasts_us := _duration_us(event["for"])) is not None:
            yield name, lasts_us


def with_duration(data: Data, name: str, lasts_us: int) -> Data:
    """The scenario in which an event lasts for another time."""
    event = {**data["timeline"][name], "for": format_duration(lasts_us)}
    return {**data, "timeline": {**data["timeline"], name: event}}


def counts(data: Data) -> Iterator[tuple[str, int]]:
    """Entries of the traffic with a count, and that."""
    for name, entry in data["traffic"].items():
        if isinstance(entry.get("count"), int):
            yield name, entry["count"]


def with_count(data: Data, name: str, count: int) -> Data:
    """The scenario in which an entry of the traffic has another count."""
    return {**data, "traffic": {**data["traffic"], name: {**data["traffic"][name], "count": count}}}


def _named_events(event: Data) -> set[str]:
    return _words(*(event.get(key) for key in _TIMES))


def _words(*values: Any) -> set[str]:
    """Everything in the values that may be the name of an event."""
    found: set[str] = set()
    for value in values:
        if isinstance(value, str):
            found |= set(_WORDS.findall(value))
        elif isinstance(value, dict):
            found |= _words(*value.values())
        elif isinstance(value, list):
            found |= _words(*value)
    return found


def _duration_us(text: object) -> int | None:
    try:
        return parse_duration_us(text)
    except UnitError:
        return None


def _without_empty(data: Data) -> Data:
    optional = ("timeline", "phases", "assert")
    return {key: value for key, value in data.items() if value or key not in optional}
