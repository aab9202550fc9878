"""Consistency of the entries of one switch in a dump: what no switch holds is refused before it is proved."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from helsewan.common.document import dotted
from helsewan.common.errors import Problem
from helsewan.controller.openflow.entries import Action, Entry, FlowRule, Group, GroupRule, Port
from helsewan.controller.openflow.prerequisites import unmet
from helsewan.verification.dump.entry_json import Path


def inconsistencies(router: str, entries: list[tuple[int, Entry | Port]], name: str) -> Iterator[Problem]:
    """Entries of one switch that match a field without its prerequisite, duplicate another, refer to a group or meter
    that is missing, or form a loop of groups."""
    first: dict[object, int] = {}
    for number, entry in entries:
        key = _identity(entry)
        if (before := first.setdefault(key, number)) != number:
            yield Problem(
                f"{name}:{number}", None, f"is the same entry to a switch as line {before}", "remove one of them"
            )
    for number, entry in entries:
        match = entry.match if isinstance(entry, FlowRule) else ()
        for field, _ in match:
            if missing := unmet(field, match):
                where = f"{name}:{number}: {dotted(('flow', 'match', field))}"
                yield Problem(where, None, f"is matched without {missing}", "match that too; no switch accepts this")
    for number, entry in entries:
        for path, what, referred in _references(entry):
            if (what, referred) not in first:
                hint = f"add the {what}, or name another one of {router}'s"
                yield Problem(f"{name}:{number}: {dotted(path)}", referred, f"is no {what} of {router}", hint)
    groups = {entry.id: entry for _, entry in entries if isinstance(entry, GroupRule)}
    successors = {each.id: [group for _, _, group in _references(each)] for each in groups.values()}
    try:
        TopologicalSorter(successors).prepare()
    except CycleError as error:
        (start, *_) = cycle = error.args[1]
        loop = " to ".join(map(str, reversed(cycle)))
        line = first["group", start]
        yield Problem(f"{name}:{line}", None, f"groups form a loop: {loop}", "no switch accepts that")


def _identity(entry: Entry | Port) -> object:
    """The key by which a switch identifies an entry or a port."""
    if isinstance(entry, Port):
        return "port", entry.number
    if isinstance(entry, FlowRule):
        return entry.table, entry.priority, frozenset(entry.match)
    return "group" if isinstance(entry, GroupRule) else "meter", entry.id


def _references(entry: Entry | Port) -> Iterator[tuple[Path, str, int]]:
    """The groups and the meter that an entry refers to, with the path of each reference."""
    if isinstance(entry, FlowRule):
        yield from _groups(entry.actions, ("flow", "actions"))
        if entry.meter is not None:
            yield ("flow", "meter"), "meter", entry.meter
    elif isinstance(entry, GroupRule):
        for number, bucket in enumerate(entry.buckets):
            yield from _groups(bucket.actions, ("group", "buckets", number, "actions"))


def _groups(actions: tuple[Action, ...], path: Path) -> Iterator[tuple[Path, str, int]]:
    for number, action in enumerate(actions):
        if isinstance(action, Group):
            yield (*path, number, "group"), "group", action.id
