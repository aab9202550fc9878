"""What became of exchanges."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange that has ended; times are from the run's start.

    ``answered_us`` is its milestone: a call's answer, a message's transport receipt, a page's first byte of … ; NaN
    where it has none, or did not come so far."""

    spec_id: int
    begin_us: float
    end_us: float
    ok: bool
    received_bytes: int
    error: str = ""
    answered_us: float = nan
