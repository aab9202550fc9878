"""Recovers the transport labels in use from switches' tables, so that a restarted controller continues with them.

What a label stands for is written nowhere in a switch. But a group's id says what it is for, and its buckets show
which labels it gives: where the rules of a fresh computation have one label, the switch has the one in use.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from helsewan.controller.openflow.entries import Group, GroupRule, Output, RuleSet, SetField, Table
from helsewan.controller.rules.label_rules import Labels
from helsewan.topology.model import Network

_Votes = dict[int, Counter[int]]


def labels_held(network: Network, fresh: Labels, rules: Mapping[str, RuleSet], held: Mapping[str, RuleSet]) -> Labels:
    """The labels in ``held`` (by router) for the meanings of ``fresh``, whose rules are ``rules``: one that leads as
    wanted, if there is one. Good as ``known`` of `assign_labels`."""
    hops = _hops(network, held)
    votes: _Votes = defaultdict(Counter)
    numbers = set(fresh.by_tree.values())
    for router, each in held.items():
        by_id = {group.id: group for group in each.groups}
        for group in rules[router].groups:
            if group.id not in numbers:  # of those that carry a label on, the id is the label
                _compare(group, by_id.get(group.id), votes)
    chosen = _chosen(fresh, hops, votes)
    for router, each in held.items():
        by_id = {group.id: group for group in each.groups}
        for group in rules[router].groups:
            if group.id in chosen:
                _compare(group, by_id.get(chosen[group.id]), votes)
    chosen = _chosen(fresh, hops, votes)
    of = {meaning: chosen[label] for meaning, label in fresh.by_tree.items() if label in chosen}
    return Labels({}, (), of, {**{label: {} for label in of.values()}, **hops})


def labels_not_held(labels: Labels, held: Labels) -> Labels:
    """Of ``labels`` those that are not ``held`` for something else. Good as ``known`` of `assign_labels`."""
    meaning = {label: meaning for meaning, label in held.by_tree.items()}
    of = {each: label for each, label in labels.by_tree.items() if meaning.get(label, each) == each}
    return Labels({}, (), of, {label: labels.hops[label] for label in of.values()})


def _hops(network: Network, held: Mapping[str, RuleSet]) -> dict[int, dict[str, str]]:
    """Where each label leads: router to link."""
    hops: dict[int, dict[str, str]] = defaultdict(dict)
    for router, each in held.items():
        link_at = {port: link for link, port in network.ports[router].items()}
        first_port = {group.id: group.buckets[0].watch_port for group in each.groups if group.buckets}
        for flow in each.flows:
            label = dict(flow.match).get("mpls_label") if flow.table is Table.CORE else None
            if not isinstance(label, int):
                continue
            way = hops[label]
            for action in flow.actions:
                if isinstance(action, Output | Group):
                    port = action.port if isinstance(action, Output) else first_port.get(action.id)
                    way[router] = link_at.get(port or 0, "")
    return dict(hops)


def _compare(ours: GroupRule, theirs: GroupRule | None, votes: _Votes) -> None:
    """Where one group gives one label and the other another, those are the same."""
    for mine, other in zip(_given(ours), _given(theirs) if theirs is not None else (), strict=False):
        if mine[0] == other[0]:
            votes[mine[1]][other[1]] += 1


def _given(group: GroupRule) -> Iterator[tuple[int, int]]:
    """(port, label) of each bucket that gives a label."""
    for bucket in group.buckets:
        for action in bucket.actions:
            if isinstance(action, SetField) and action.field == "mpls_label" and isinstance(action.value, int):
                yield bucket.watch_port, action.value


def _chosen(fresh: Labels, hops: Mapping[int, Mapping[str, str]], votes: _Votes) -> dict[int, int]:
    """For each fresh label the one in use: each at most once, and rather one that leads as wanted."""
    chosen: dict[int, int] = {}
    for label, wanted in fresh.hops.items():
        candidates = [other for other, _ in votes[label].most_common() if other not in chosen.values()]
        agreeing = [
            other
            for other in candidates
            if all(wanted.get(router, link) == link for router, link in hops.get(other, {}).items())
        ]
        if candidates:
            chosen[label] = (agreeing or candidates)[0]
    return chosen
