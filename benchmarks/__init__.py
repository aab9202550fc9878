"""Benchmarks: each ``bench_*.py`` has ``run()``, which measures and returns figures with their targets.

Entry point: ``python -m benchmarks``. Nothing else imports this folder, except its tests.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured value. ``target`` is a comparison such as ``< 90`` or ``>= 400``; empty: no target. ``private``: the
    same with private routers, where ``value`` is with shared ones; None if the kind does not matter or there is
    none."""

    name: str
    value: float
    unit: str
    target: str = ""
    private: float | None = None


def beside(shared: Iterable[Figure], private: Iterable[Figure]) -> list[Figure]:
    """The figures with shared routers, each with that of private ones at its place beside it."""
    return [one._replace(private=other.value) for one, other in zip(shared, private, strict=True)]
