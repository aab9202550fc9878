"""Schedules: when each datagram of a flow is due and how large it is, as a table that flows can share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from helsewan.lab.flows.records import Array

ENTRY = np.dtype(  # mirrors struct fe_entry of lab/flows/flowengine/flowengine.h
    [
        ("due_ns", "i8"),  # from the schedule's begin, ascending
        ("age_ns", "u4"),  # of what the datagram carries when it is due: its RTP time stamp is that much older
        ("bytes", "u2"),  # UDP payload; 0: the flow's payload_bytes
        ("marker", "u1"),  # RTP marker bit
        ("unused", "u1"),
    ]
)


@dataclass(frozen=True, eq=False)
class Schedule:
    """``table`` (``ENTRY``), followed once, or again and again when ``period_ns`` is above 0: entry i is due at
    ``table[i].due_ns``, then one period later, and so on. A flow may begin anywhere in it, so that flows can share it.

    Raises ValueError for a table that is not in order, begins before 0 or does not end within its period."""

    table: Array
    period_ns: int = 0

    def __post_init__(self) -> None:
        due = self.table["due_ns"]
        if len(due) and (due[0] < 0 or (np.diff(due) < 0).any()):
            raise ValueError("a schedule needs entries in order of their due times, from 0 on")
        if self.period_ns < 0 or (self.period_ns and len(due) and due[-1] >= self.period_ns):
            raise ValueError(f"a schedule that ends at {due[-1]} ns does not fit its period, {self.period_ns} ns")
        self.table.setflags(write=False)

    def __eq__(self, other: object) -> bool:
        """Whether the tables and periods are the same."""
        if not isinstance(other, Schedule):
            return NotImplemented
        same = self is other or bool(np.array_equal(self.table, other.table))
        return same and self.period_ns == other.period_ns

    def __hash__(self) -> int:
        return hash((len(self.table), self.period_ns))

    def due_before(self, time_ns: ArrayLike) -> Array:
        """Number of entries due before each time from the schedule's begin, repetitions included."""
        times = np.asarray(time_ns, np.int64)
        if not self.period_ns:
            return np.searchsorted(self.table["due_ns"], times)
        rounds, rest = np.divmod(np.maximum(times, 0), self.period_ns)
        return rounds * len(self.table) + np.searchsorted(self.table["due_ns"], rest)

    def due_ns(self, number: ArrayLike) -> Array:
        """When the entries numbered from 0 on are due, repetitions included; the last entry's time for what is never
        due, as any number may stand in a datagram that arrives."""
        numbers = np.asarray(number, np.int64)
        if not len(self.table):
            return np.zeros(numbers.shape, np.int64)
        if not self.period_ns:
            return np.asarray(self.table["due_ns"][np.minimum(numbers, len(self.table) - 1)])
        rounds, place = np.divmod(numbers, len(self.table))
        return np.asarray(self.table["due_ns"][place] + rounds * self.period_ns)


def schedule_of(
    due_ns: ArrayLike,
    *,
    bytes_: ArrayLike = 0,
    marker: ArrayLike = 0,
    age_ns: ArrayLike = 0,
    period_ns: int = 0,
) -> Schedule:
    """A schedule from columns, each an array or one value for all entries."""
    due = np.asarray(due_ns)
    table = np.zeros(len(due), ENTRY)
    for name, column in (("due_ns", due), ("bytes", bytes_), ("marker", marker), ("age_ns", age_ns)):
        table[name] = column
    return Schedule(table, period_ns)


def joined(schedules: Sequence[Schedule]) -> tuple[Array, dict[int, int]]:
    """One table of all ``schedules``, shared ones once, and by the id() of each where its entries begin in that."""
    first: dict[int, int] = {}
    tables: list[Array] = []
    length = 0
    for schedule in schedules:
        if id(schedule) not in first:
            first[id(schedule)] = length
            tables.append(schedule.table)
            length += len(schedule.table)
    return (np.concatenate(tables) if tables else np.zeros(0, ENTRY)), first
