"""Stalls of the machine that stay below every bound, and checks that failed near one. Pure.

A bound says how large a stall may be before the run's figures are doubtful in general. A check that fails by little can
be decided by a smaller one: it is told, with the stall, and the run is suspect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from helsewan.lab.health.validity import (
    LINK_MAX,
    PROCESS_WAIT,
    SECOND_P99,
    SECOND_SENDS,
    SECOND_STEAL,
    STALL,
    THROTTLED,
    UNREAD,
    WAIT,
    Demand,
    Grade,
    Reason,
    Validity,
    ValidityFinding,
)

# Demands that a stop of the machine breaks; a share of a second on a core, for example, is no stop.
STALLS = frozenset({SECOND_P99, LINK_MAX, UNREAD, STALL, WAIT, PROCESS_WAIT, SECOND_STEAL, THROTTLED, SECOND_SENDS})
NEAR = 0.5  # of the bound: what a quiet machine shows is far below half of each
AROUND_S = 1  # seconds before and after: a wait is accounted for in the second in which it ends


def stall_share(finding: ValidityFinding) -> float:
    """How much of its bound a stall is; 0 for what is no stall of a second."""
    bound = _bound(finding.demand)
    return finding.value / bound if finding.demand in STALLS and finding.second is not None and bound else 0.0


def worst_stall(findings: Iterable[ValidityFinding], start_us: int, end_us: int) -> ValidityFinding | None:
    """The largest stall, by its share of its bound, in the seconds of a run from ``start_us`` to ``end_us`` and just
    around; None if none reaches half of its bound."""
    first, last = start_us // 1_000_000 - AROUND_S, max(start_us, end_us - 1) // 1_000_000 + AROUND_S
    near = [finding for finding in findings if finding.second is not None and first <= finding.second <= last]
    worst = max(near, key=stall_share, default=None)
    return worst if worst is not None and stall_share(worst) >= NEAR else None


def told(stall: ValidityFinding) -> str:
    """A stall in words, such as ``bodo: waited for a core ..., 17.4 ms in second 12``."""
    unit = " ms" if stall.demand.unit == "ms" else ""
    where = f"{stall.where}: " if stall.where else ""
    return f"{where}{stall.demand.what} {stall.value:g}{unit} in second {stall.second}, bound {_bound(stall.demand):g}"


def with_failed_checks(validity: Validity, failed: Sequence[tuple[str, ValidityFinding]]) -> Validity:
    """``validity``, suspect at least, with a reason for each check (by name) that failed near a stall."""
    reasons = [
        Reason(
            Grade.SUSPECT,
            f"check {name} failed near a stall: {stall.demand.what}",
            stall.where,
            () if stall.second is None else (stall.second,),
            round(stall.value, 4),
            _bound(stall.demand),
            stall.demand.unit,
        )
        for name, stall in failed
    ]
    if not reasons:
        return validity
    grade = max(validity.grade, Grade.SUSPECT, key=lambda grade: grade.rank)
    ranked = sorted([*validity.reasons, *reasons], key=lambda reason: -reason.grade.rank)
    return replace(validity, grade=grade, reasons=tuple(ranked))


def _bound(demand: Demand) -> float:
    """The first bound that is more than nothing."""
    return demand.suspect or demand.void or 0.0
