"""Finding a table's entry for a packet: tuple space search (Srinivasan, Suri and Varghese, SIGCOMM 1999).

Entries that match the same fields under the same masks share a hash table, so a look-up costs one probe per
combination of fields and masks, not one per entry. Open vSwitch's classifier does the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from helsewan.controller.openflow.entries import FlowRule, Match
from helsewan.verification.concrete.packet import number, plain

Shape = tuple[tuple[str, "int | None"], ...]  # field and mask (None: all of it), by name


class ChanceError(Exception):
    """Two entries of equal priority match one packet and differ in their actions: a switch may take either."""


@dataclass(slots=True)
class _Alike:
    """The entries of one shape, by the values they match; of two with equal values, the one of higher priority."""

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
    def _by_rank(self) -> list[tuple[Shape, _Alike]]:
        by_shape: dict[Shape, _Alike] = {}
        for rule in self.rules:
            shape, values = _shape_and_values(rule.match)
            by_shape.setdefault(shape, _Alike()).add(values, rule)
        return sorted(by_shape.items(), key=lambda item: -item[1].highest)

    def lookup(self, seen: Mapping[str, int]) -> FlowRule | None:
        """The entry of highest priority that matches these fields, if any. Registers not there count as zero.

        Raises ChanceError where OpenFlow leaves open which it is."""
        best: FlowRule | None = None
        for shape, alike in self._by_rank:
            if best is not None and alike.highest < best.priority:
                break
            found = alike.rules.get(_values(shape, seen))
            if found is None or (best is not None and found.priority < best.priority):
                continue
            if best is not None and found.priority == best.priority and _effect(found) != _effect(best):
                raise ChanceError(f"either of: {best} -- {found}")
            best = found
        return best


def _values(shape: Shape, seen: Mapping[str, int]) -> tuple[int, ...]:
    """The packet's values for a shape; a field it has not makes the result one that no entry has."""
    values = []
    for name, mask in shape:
        value = seen.get(name, 0 if "reg" in name else None)
        if value is None:
            return (-1,)
        values.append(value if mask is None else value & mask)
    return tuple(values)


def _shape_and_values(match: Match) -> tuple[Shape, tuple[int, ...]]:
    wanted: list[tuple[str, int | None, int]] = []
    for name, value in sorted(match):
        if isinstance(value, tuple):
            mask = number(value[1])
            wanted.append((plain(name), mask, number(value[0]) & mask))
        else:
            wanted.append((plain(name), None, number(value)))
    return tuple((name, mask) for name, mask, _ in wanted), tuple(value for _, _, value in wanted)


def _effect(rule: FlowRule) -> tuple[object, ...]:
    return rule.actions, rule.goto, rule.metadata, rule.meter
