"""What the controller asks of one switch at a time, and how one state of a switch leads to the next.

Every order ends with the switch's word that it is done.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.rules import FlowRule, GroupRule, Match, RuleSet, Table


@dataclass(frozen=True, slots=True)
class Program:
    """Replace all that the switch holds by this, in one step."""

    rules: RuleSet


@dataclass(frozen=True, slots=True)
class Add:
    """Install these beside what is there; no packet needs them yet."""

    rules: RuleSet


@dataclass(frozen=True, slots=True)
class Change:
    """Give groups and flows that are there new actions, all in one step."""

    rules: RuleSet


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete these; no packet needs them any more."""

    rules: RuleSet


Order = Program | Add | Change | Remove
Step = tuple[Add, Change, Remove]


def step(old: RuleSet, new: RuleSet) -> Step:
    """From old to new rules: what to install first, then to change, and to delete in the end. Meters stay."""
    old_groups, new_groups = _groups(old), _groups(new)
    old_flows, new_flows = _flows(old), _flows(new)
    return (
        Add(
            RuleSet(
                groups=tuple(group for id_, group in new_groups.items() if id_ not in old_groups),
                flows=tuple(flow for key, flow in new_flows.items() if key not in old_flows),
            )
        ),
        Change(
            RuleSet(
                groups=tuple(group for id_, group in new_groups.items() if old_groups.get(id_, group) != group),
                flows=tuple(flow for key, flow in new_flows.items() if old_flows.get(key, flow) != flow),
            )
        ),
        Remove(
            RuleSet(
                groups=tuple(group for id_, group in old_groups.items() if id_ not in new_groups),
                flows=tuple(flow for key, flow in old_flows.items() if key not in new_flows),
            )
        ),
    )


def both(decisive: RuleSet, other: RuleSet) -> RuleSet:
    """All rules of two sets; where a switch can hold only one of two, the decisive set's."""
    groups, flows = _groups(other) | _groups(decisive), _flows(other) | _flows(decisive)
    return RuleSet(decisive.meters, tuple(groups.values()), tuple(flows.values()))


def _groups(rules: RuleSet) -> dict[int, GroupRule]:
    return {group.id: group for group in rules.groups}


def _flows(rules: RuleSet) -> dict[tuple[Table, int, Match], FlowRule]:
    return {(flow.table, flow.priority, flow.match): flow for flow in rules.flows}
