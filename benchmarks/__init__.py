"""Benchmarks: each ``bench_*.py`` has ``run()``, which measures and returns figures with their targets.

Entry point: ``python -m benchmarks``. Nothing else imports this folder, except its tests.
"""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """One measured value. ``target`` is a comparison such as ``< 90`` or ``>= 400``; empty: no target."""

    name: str
    value: float
    unit: str
    target: str = ""
