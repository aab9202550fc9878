"""Recovers the transport labels in use from switches' tables, so that a restarted controller continues with them.

A switch does not store the meaning of a label. But a group's id encodes the group's purpose, and its buckets show the
labels that it pushes: where the freshly computed group has one label, the switch's group has the one in use.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from helsewan.controller.openflow.entries import Group, GroupRule, Output, RuleSet, SetField, Table
from helsewan.controller.rules.label_rules import Labels
from helsewan.topology.model import Network

_Votes = dict[int, Counter[int]]  # fresh label -> how often each label in use was found in its place


def labels_held(network: Network, fresh: Labels, rules: Mapping[str, RuleSet], held: Mapping[str, RuleSet]) -> Labels:
    """The labels in ``held`` (by router) for the meanings of ``fresh``, whose rules are ``rules``; preferably those
    that are forwarded along the same path. Can be passed as ``known`` to `assign_labels`."""
    hops = _hops(network, held)
    votes: _Votes = defaultdict(Counter)
    numbers = set(fresh.by_tree.values())
    for router, each in held.items():
        by_id = {group.id: group for group in each.groups}
        for group in rules[router].groups:
            if group.id not in numbers:  # the id of a group that forwards a label is the label itself
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
    """Those of ``labels`` that are not ``held`` with another meaning. Can be passed as ``known`` to `assign_labels`."""
    meaning = {label: meaning for meaning, label in held.by_tree.items()}
    of = {each: label for each, label in labels.by_tree.items() if meaning.get(label, each) == each}
    return Labels({}, (), of, {label: labels.hops[label] for label in of.values()})


def _hops(network: Network, held: Mapping[str, RuleSet]) -> dict[int, dict[str, str]]:
    """The forwarding of each label: router -> outgoing link."""
    hops: dict[int, dict[str, str]] = defaultdict(dict)
    for router, each in held.items():
        link_at = {port: link for link, port in network.ports[router].items()}
        first_port = {group.id: group.buckets[0].watch_port for group in each.groups if group.buckets}
        for flow in each.flows:
            label = dict(flow.match).get("mpls_label") if flow.table is Table.CORE else None
            if not isinstance(label, int):
                continue
            hop = hops[label]  # a label in use has an entry even where it is only popped
            for action in flow.actions:
                if isinstance(action, Output | Group):
                    port = action.port if isinstance(action, Output) else first_port.get(action.id)
                    hop[router] = link_at.get(port or 0, "")
    return dict(hops)


def _compare(fresh: GroupRule, held: GroupRule | None, votes: _Votes) -> None:
    """Counts a vote for each pair of labels that the two groups set for the same port."""
    for (port, label), (held_port, held_label) in zip(
        _labels_set(fresh), _labels_set(held) if held is not None else (), strict=False
    ):
        if port == held_port:
            votes[label][held_label] += 1


def _labels_set(group: GroupRule) -> Iterator[tuple[int, int]]:
    """(port, label) of each bucket that sets a label."""
    for bucket in group.buckets:
        for action in bucket.actions:
            if isinstance(action, SetField) and action.field == "mpls_label" and isinstance(action.value, int):
                yield bucket.watch_port, action.value


def _chosen(fresh: Labels, hops: Mapping[int, Mapping[str, str]], votes: _Votes) -> dict[int, int]:
    """Fresh label -> label in use: the candidate with the most votes whose forwarding agrees, else with the most votes.
    No label in use is chosen twice."""
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
