"""The difference between two rule sets of a switch, entry by entry, and the order in which to apply it.

A packet passes the ingress tables at one switch and one time: they change in one step there. Later entries are matched
by a number that the ingress assigned (a label, VPN, group or meter): they are installed before any packet carries the
number and removed when none does any more (Reitblatt et al., Abstractions for Network Update, SIGCOMM 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from helsewan.controller.openflow.entries import Action, AnyMeter, FlowRule, Foreign, MeterRule, RuleSet, Table

_Entry = TypeVar("_Entry", bound=Hashable)

_NOTHING = RuleSet()
# Tables that match on a number which an earlier table or router assigned to the packet.
STAMPED = frozenset({Table.CORE, Table.VPN, Table.DELIVER, Table.FIT, Table.OTHER_LINE})


@dataclass(frozen=True, slots=True)
class Difference:
    """Entries to ``add``, to ``change`` (as they become) and to ``remove``; ``was`` are the changed ones before."""

    add: RuleSet = _NOTHING
    change: RuleSet = _NOTHING
    remove: RuleSet = _NOTHING
    was: RuleSet = _NOTHING

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def parts(self) -> tuple[RuleSet, RuleSet, RuleSet]:
        """The added, changed and removed entries."""
        return self.add, self.change, self.remove

    def inverse(self) -> Difference:
        """The difference that undoes this one, without entries that cannot be encoded (foreign actions)."""
        return Difference(_encodable(self.remove), _encodable(self.was), self.add, self.change)

    def meters(self) -> Difference:
        """The part that concerns meters."""
        return Difference(*(RuleSet(meters=part.meters) for part in (self.add, self.change, self.remove, self.was)))


_NO_DIFFERENCE = Difference()


@dataclass(frozen=True, slots=True)
class Step:
    """A difference in three parts, applied in this order so that no packet meets a mixture: ``add`` entries that no
    packet uses yet, ``turn`` the ingress over to them in one step, and ``remove`` the unused entries once the last
    packet that carries an old number has left."""

    add: Difference = _NO_DIFFERENCE
    turn: Difference = _NO_DIFFERENCE
    remove: Difference = _NO_DIFFERENCE


def difference(old: RuleSet, new: RuleSet) -> Difference:
    """The difference from ``old`` to ``new``. The order of a match's fields is ignored."""
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
    """``decisive`` and the entries of ``other`` that packets with numbers of ``other`` need; where both have an entry
    with the same key, that of ``decisive``."""
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
    """Added, changed (as they become), removed, changed (as they were)."""
    old, new = tuple(old), tuple(new)
    same = {id(entry) for entry in old} & {id(entry) for entry in new}  # most entries; the same object is equal
    before = {key(entry): entry for entry in old if id(entry) not in same}
    after = {key(entry): entry for entry in new if id(entry) not in same}
    changed = [name for name, entry in after.items() if name in before and content(before[name]) != content(entry)]
    return (
        tuple(entry for name, entry in after.items() if name not in before),
        tuple(after[name] for name in changed),
        tuple(entry for name, entry in before.items() if name not in after),
        tuple(before[name] for name in changed),
    )


def _encodable(rules: RuleSet) -> RuleSet:
    """The entries that the encoder can send."""

    def foreign(actions: tuple[Action, ...]) -> bool:
        return any(isinstance(action, Foreign) for action in actions)

    return RuleSet(
        tuple(meter for meter in rules.meters if _has_rate(meter)),
        tuple(group for group in rules.groups if not any(foreign(bucket.actions) for bucket in group.buckets)),
        tuple(flow for flow in rules.flows if not foreign(flow.actions)),
    )


def _has_rate(meter: AnyMeter) -> bool:
    """Whether a meter limits a rate, as all that the encoder can send do."""
    return bool(meter.rate_kbps if isinstance(meter, MeterRule) else meter.rate_pps)


def _flow_key(flow: FlowRule) -> Hashable:
    return flow.table, flow.priority, frozenset(flow.match)


def _content(flow: FlowRule) -> object:
    return flow.actions, flow.goto, flow.metadata, flow.meter, flow.cookie


def _split(flows: Iterable[FlowRule]) -> tuple[tuple[FlowRule, ...], tuple[FlowRule, ...]]:
    """The flows in `STAMPED` tables, and the others."""
    stamped: list[FlowRule] = []
    others: list[FlowRule] = []
    for flow in flows:
        (stamped if flow.table in STAMPED else others).append(flow)
    return tuple(stamped), tuple(others)
