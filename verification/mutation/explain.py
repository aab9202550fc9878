"""Why an undetected fault is harmless. Every reason is derived, from the rules or from traced packets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from helsewan.controller.openflow.entries import (
    FlowRule,
    Group,
    GroupRule,
    MeterRule,
    Port,
    Resubmit,
    RuleSet,
    SetField,
    Table,
)
from helsewan.controller.openflow.pipeline import CLASS, DESTINATION_ROLE, DESTINATION_VPN, DIVERTED, SOURCE_ROLE, VRF
from helsewan.topology.model import Network
from helsewan.verification.mutation.corpus import INTACT, Corpus
from helsewan.verification.mutation.effect import Effect, state_name
from helsewan.verification.mutation.fields import MaskedValue, covers, masked_match, overlap
from helsewan.verification.mutation.mutant import Held, Mutant
from helsewan.verification.mutation.witness import Witness

_METADATA_PARTS = {
    "VRF": VRF, "class": CLASS, "source role": SOURCE_ROLE, "destination role": DESTINATION_ROLE,
    "destination VPN": DESTINATION_VPN, "diversion": DIVERTED,
}  # fmt: skip


@dataclass(frozen=True)
class SurvivorAnalysis:
    """Explains faults in the rules of one network."""

    corpus: Corpus

    def why(self, mutant: Mutant, witness: Witness) -> str:
        """The reason why a fault has no effect or a harmless one."""
        if witness.effect is not Effect.NONE:
            return f"changes {witness.effect.value}"
        rules, faulty = self.corpus.rules[mutant.router], mutant.apply(self.corpus.rules[mutant.router])
        old = [_Router(self, mutant.router, rules).unused_reason(entry) for entry in mutant.before]
        new = [_Router(self, mutant.router, faulty).unused_reason(entry) for entry in mutant.after]
        if all(old) and all(new):
            return "; ".join(dict.fromkeys(filter(None, old + new)))
        if same := _equivalent(mutant, rules, faulty):
            return same
        return self._from_traces(mutant, witness)

    def _from_traces(self, mutant: Mutant, witness: Witness) -> str:
        """The reason by the packets that were traced."""
        entries_met = [(mutant.router, entry.id if isinstance(entry, GroupRule) else entry) for entry in mutant.before
                 if isinstance(entry, FlowRule | GroupRule)]  # fmt: skip
        met = {failures for entry_ref in entries_met for failures in self.corpus.hits.get(entry_ref, {})}
        followed = (
            f"{len(self.corpus.probes)} allowed packets, intact and after {len(self.corpus.cases)} single failures"
        )
        if not met and mutant.before:
            return f"no packet that a contract allows meets it (of {followed}; {witness.tried} more generated for it)"
        where = "intact" if INTACT in met else state_name(next(iter(met))) if met else "nowhere"
        return f"to the same effect for {witness.tried} packets that meet it or were generated for it (met {where})"

    @cached_property
    def pushed(self) -> frozenset[int]:
        """All labels that any router pushes."""
        return frozenset(_pushed(self.corpus.rules))

    @property
    def network(self) -> Network:
        """The network."""
        return self.corpus.plan.network


@dataclass(frozen=True)
class _Router:
    """One router's rules, correct or faulty."""

    analysis: SurvivorAnalysis
    router: str
    rules: RuleSet

    def unused_reason(self, entry: Held) -> str | None:
        """Why no packet between sites can meet an entry; None where no reason is found."""
        if isinstance(entry, Port):
            return None
        if isinstance(entry, GroupRule):
            used = any(Group(entry.id) in rule.actions for rule in self.rules.flows)
            return None if used else f"no entry leads to group {entry.id}"
        if not isinstance(entry, FlowRule):
            if isinstance(entry, MeterRule):
                used = any(rule.meter == entry.id for rule in self.rules.flows)
                return None if used else f"no entry uses meter {entry.id}"
            return "limits packets sent to the controller, not traffic between sites"
        if entry.table not in self.reached:
            return f"no entry leads to table {entry.table.name.lower()}"
        takes = masked_match(entry.match)
        label = takes.get("mpls_label")
        if label is not None and label.value not in self.analysis.pushed:
            return f"no router pushes label {label.value}"
        for rule in self.rules.flows:
            if rule.table is entry.table and rule.priority > entry.priority and covers(rule.match, entry.match):
                return f"shadowed by {rule}"
        return self._never_written(entry.table, takes.get("metadata"))

    def _never_written(self, table: Table, data: MaskedValue | None) -> str | None:
        """A metadata value that the entry matches and no earlier table writes; None if there is none."""
        for name, part in _METADATA_PARTS.items() if data is not None else ():
            matched = MaskedValue(data.value & part.mask, data.mask & part.mask) if data else MaskedValue(0, 0)
            if matched.mask and not any(map(matched.contains, self._written(table, part.mask))):
                return f"no entry before it writes {name} {matched.value >> part.shift}"
        return None

    def _written(self, table: Table, mask: int) -> Iterator[int]:
        """Values that a part of the metadata may have in a table: those written before, and zero if none is written or
        a packet may skip the tables that write it."""
        writing = False
        for rule in self.rules.flows:
            if rule.table < table and rule.metadata is not None and rule.metadata[1] & mask:
                writing = True
                yield rule.metadata[0] & mask
        if not writing or table >= Table.CORE:
            yield 0

    @cached_property
    def reached(self) -> frozenset[Table]:
        """The tables that a goto or a resubmit leads to."""
        gotos = {rule.goto for rule in self.rules.flows if rule.goto is not None}
        again = {
            action.table
            for group in self.rules.groups
            for bucket in group.buckets
            for action in bucket.actions
            if isinstance(action, Resubmit)
        }
        return frozenset({Table.ADMIT, *gotos, *again})


def _equivalent(mutant: Mutant, rules: RuleSet, faulty: RuleSet) -> str | None:
    """An entry that treats the packets of the changed entries alike; None where none is found for each of them."""
    for entry, table in [*((each, faulty) for each in mutant.before), *((each, rules) for each in mutant.after)]:
        if not isinstance(entry, FlowRule):
            return None
        if not (other := _equivalent_entry(entry, table)):
            return None
    return f"the same is done by {other}" if mutant.before or mutant.after else None


def _equivalent_entry(entry: FlowRule, rules: RuleSet) -> FlowRule | None:
    """An entry of ``rules`` with the same instructions as ``entry`` that matches all of its packets."""
    overlapping = [rule for rule in rules.flows if rule.table is entry.table and overlap(rule.match, entry.match)]
    for rule in sorted(overlapping, key=lambda rule: -rule.priority):
        if (rule.actions, rule.goto, rule.metadata, rule.meter) != (
            entry.actions, entry.goto, entry.metadata, entry.meter,
        ):  # fmt: skip
            return None
        if covers(rule.match, entry.match):
            return rule
    return None


def _pushed(rules: Mapping[str, RuleSet]) -> Iterator[int]:
    for each in rules.values():
        actions = [action for rule in each.flows for action in rule.actions]
        actions += [action for group in each.groups for bucket in group.buckets for action in bucket.actions]
        for action in actions:
            if isinstance(action, SetField) and action.field == "mpls_label" and isinstance(action.value, int):
                yield action.value
