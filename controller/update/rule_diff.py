"""The difference between two sets of rules of a switch, entry by entry, and the order in which to apply it.

A packet meets the tables of the edge at one switch and at one moment: they change in one step there. What it meets
later it finds by a number that it was given there (a label, a VPN, a group, a meter): such entries are installed
before any packet carries the number, and taken away when none does any more (Reitblatt et al., Abstractions for
Network Update, SIGCOMM 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from helsewan.controller.openflow.entries import Action, AnyMeter, FlowRule, Foreign, MeterRule, RuleSet, Table

_Entry = TypeVar("_Entry", bound=Hashable)

_NOTHING = RuleSet()
# Tables that are looked up by a number given before.
STAMPED = frozenset({Table.CORE, Table.VPN, Table.DELIVER, Table.FIT, Table.OTHER_LINE})


@dataclass(frozen=True, slots=True)
class Difference:
    """Entries to ``add``, to ``change`` and to ``remove``; ``was`` are the changed ones as they were."""

    add: RuleSet = _NOTHING
    change: RuleSet = _NOTHING
    remove: RuleSet = _NOTHING
    was: RuleSet = _NOTHING

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def parts(self) -> tuple[RuleSet, RuleSet, RuleSet]:
        """What is added, changed and removed."""
        return self.add, self.change, self.remove

    def inverse(self) -> Difference:
        """What leads back; entries in words that are not ours cannot be put back."""
        return Difference(_sayable(self.remove), _sayable(self.was), self.add, self.change)

    def meters(self) -> Difference:
        """The part of it that is about meters."""
        return Difference(*(RuleSet(meters=part.meters) for part in (self.add, self.change, self.remove, self.was)))


_NO_DIFFERENCE = Difference()


@dataclass(frozen=True, slots=True)
class Step:
    """A difference in the order in which no packet meets a mixture: ``add`` what nobody needs yet, ``turn`` to it
    in one step, and ``remove``, after the last packet that was stamped before, what nobody needs any more."""

    add: Difference = _NO_DIFFERENCE
    turn: Difference = _NO_DIFFERENCE
    remove: Difference = _NO_DIFFERENCE


def difference(old: RuleSet, new: RuleSet) -> Difference:
    """What leads from ``old`` to ``new``. The order of a match's fields makes no difference."""
    meters = _compared(old.meters, new.meters, lambda meter: meter.id)
    groups = _compared(old.groups, new.groups, lambda group: group.id)
    flows = _compared(old.flows, new.flows, _flow_key, _content)
    return Difference(*(RuleSet(*parts) for parts in zip(meters, groups, flows, strict=True)))


def step(old: RuleSet, new: RuleSet) -> Step:
    """The difference from ``old`` to ``new`` in its three parts."""
    whole = difference(old, new)
    added, removed = whole.add, whole.remove
    stamped, unstamped = _split(added.flows)
    old_stamped, old_unstamped = _split(removed.flows)
    return Step(
        add=Difference(add=RuleSet(added.meters, added.groups, stamped)),
        turn=Difference(RuleSet(flows=unstamped), whole.change, RuleSet(flows=old_unstamped), whole.was),
        remove=Difference(remove=RuleSet(removed.meters, removed.groups, old_stamped)),
    )


def both(decisive: RuleSet, other: RuleSet) -> RuleSet:
    """``decisive`` with what ``other`` has for packets that were stamped for it."""
    meters = {meter.id: meter for meter in (*other.meters, *decisive.meters)}
    groups = {group.id: group for group in (*other.groups, *decisive.groups)}
    flows = {_flow_key(flow): flow for flow in (*_split(other.flows)[0], *decisive.flows)}
    return RuleSet(tuple(meters.values()), tuple(groups.values()), tuple(flows.values()))


def _compared(
    old: Iterable[_Entry],
    new: Iterable[_Entry],
    key: Callable[[_Entry], Hashable],
    content: Callable[[_Entry], object] = lambda entry: entry,
) -> tuple[tuple[_Entry, ...], tuple[_Entry, ...], tuple[_Entry, ...], tuple[_Entry, ...]]:
    """Added, changed (as they are to be), removed, changed (as they were)."""
    old, new = tuple(old), tuple(new)
    same = {id(entry) for entry in old} & {id(entry) for entry in new}  # most; what is the same object needs no looking
    before = {key(entry): entry for entry in old if id(entry) not in same}
    after = {key(entry): entry for entry in new if id(entry) not in same}
    changed = [name for name, entry in after.items() if name in before and content(before[name]) != content(entry)]
    return (
        tuple(entry for name, entry in after.items() if name not in before),
        tuple(after[name] for name in changed),
        tuple(entry for name, entry in before.items() if name not in after),
        tuple(before[name] for name in changed),
    )


def _sayable(rules: RuleSet) -> RuleSet:
    """The entries that can be sent."""

    def foreign(actions: tuple[Action, ...]) -> bool:
        return any(isinstance(action, Foreign) for action in actions)

    return RuleSet(
        tuple(meter for meter in rules.meters if _limited(meter)),
        tuple(group for group in rules.groups if not any(foreign(bucket.actions) for bucket in group.buckets)),
        tuple(flow for flow in rules.flows if not foreign(flow.actions)),
    )


def _limited(meter: AnyMeter) -> bool:
    """Whether it is a meter as ours are."""
    return bool(meter.rate_kbps if isinstance(meter, MeterRule) else meter.rate_pps)


def _flow_key(flow: FlowRule) -> Hashable:
    return flow.table, flow.priority, frozenset(flow.match)


def _content(flow: FlowRule) -> object:
    return flow.actions, flow.goto, flow.metadata, flow.meter, flow.cookie


def _split(flows: Iterable[FlowRule]) -> tuple[tuple[FlowRule, ...], tuple[FlowRule, ...]]:
    """Those met by packets that carry a number, and the others."""
    stamped: list[FlowRule] = []
    others: list[FlowRule] = []
    for flow in flows:
        (stamped if flow.table in STAMPED else others).append(flow)
    return tuple(stamped), tuple(others)
