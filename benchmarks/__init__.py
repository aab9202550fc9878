"""What is timed: each ``bench_*.py`` has ``run()``, which measures and returns figures beside their targets."""

from __future__ import annotations

from typing import NamedTuple


class Figure(NamedTuple):
    """One measured value. ``target`` is what it must reach, as ``< 90`` or ``>= 400``; empty: none is promised."""

    name: str
    value: float
    unit: str
    target: str = ""
