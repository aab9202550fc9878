"""Finds a table's entry for a packet: tuple space search (Srinivasan, Suri and Varghese, SIGCOMM 1999).

Entries that match the same fields under the same masks share a hash table, so a look-up costs one probe per
combination of fields and masks, not one per entry. Open vSwitch's classifier does the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from helsewan.controller.openflow.entries import FlowRule, Match
from helsewan.verification.concrete.packet import number, plain

FieldMask = tuple[tuple[str, "int | None"], ...]  # fields and their masks (None: exact match), by name


class AmbiguousMatchError(Exception):
    """Two entries of equal priority with different instructions match one packet: a switch may take either."""


@dataclass(slots=True)
class _Subtable:
    """The entries with the same fields and masks, by the values they match; of two with equal values, the one of higher
    priority."""

    rules: dict[tuple[int, ...], FlowRule] = field(default_factory=dict)
    highest: int = -1

    def add(self, values: tuple[int, ...], rule: FlowRule) -> None:
        known = self.rules.get(values)
        if known is None or known.priority <= rule.priority:
            self.rules[values] = rule
            self.highest = max(self.highest, rule.priority)


class Classifier:
    """One table's entries, indexed when the first packet reaches the table."""

    def __init__(self, rules: Iterable[FlowRule]) -> None:
        self.rules = tuple(rules)

    @cached_property
    def _subtables(self) -> list[tuple[FieldMask, _Subtable]]:
        by_mask: dict[FieldMask, _Subtable] = {}
        for rule in self.rules:
            field_mask, values = _mask_and_values(rule.match)
            by_mask.setdefault(field_mask, _Subtable()).add(values, rule)
        return sorted(by_mask.items(), key=lambda item: -item[1].highest)

    def lookup(self, fields: Mapping[str, int]) -> FlowRule | None:
        """The entry of highest priority that matches these fields, if any. Missing registers are zero.

        Raises AmbiguousMatchError where OpenFlow does not define which entry it is."""
        best: FlowRule | None = None
        for field_mask, subtable in self._subtables:
            if best is not None and subtable.highest < best.priority:
                break
            found = subtable.rules.get(_values(field_mask, fields))
            if found is None or (best is not None and found.priority < best.priority):
                continue
            if best is not None and found.priority == best.priority and _instructions(found) != _instructions(best):
                raise AmbiguousMatchError(f"either of: {best} -- {found}")
            best = found
        return best


def _values(field_mask: FieldMask, fields: Mapping[str, int]) -> tuple[int, ...]:
    """The packet's masked values; with a missing field, a value that no entry has."""
    values = []
    for name, mask in field_mask:
        value = fields.get(name, 0 if "reg" in name else None)
        if value is None:
            return (-1,)
        values.append(value if mask is None else value & mask)
    return tuple(values)


def _mask_and_values(match: Match) -> tuple[FieldMask, tuple[int, ...]]:
    wanted: list[tuple[str, int | None, int]] = []
    for name, value in sorted(match):
        if isinstance(value, tuple):
            mask = number(value[1])
            wanted.append((plain(name), mask, number(value[0]) & mask))
        else:
            wanted.append((plain(name), None, number(value)))
    return tuple((name, mask) for name, mask, _ in wanted), tuple(value for _, _, value in wanted)


def _instructions(rule: FlowRule) -> tuple[object, ...]:
    return rule.actions, rule.goto, rule.metadata, rule.meter
