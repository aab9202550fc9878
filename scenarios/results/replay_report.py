"""What ``result.json`` says of replays, and whether the machine kept up with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any

from helsewan.lab.health.validity import FULL_SOCKETS, NOT_SENT, SEND_MAX, SENDS_P99, ValidityFinding
from helsewan.scenarios.results.measure import Window
from helsewan.scenarios.results.replay_figures import ReplayFigures, ReplayMeasurement

if TYPE_CHECKING:
    from helsewan.lab.replay.replay_counts import Outcome
    from helsewan.lab.replay.replay_engine import Replayed

MOST_FLOWS = 20  # in the file, those with most packets: it is to stay small; all are in the records
_DIGITS = 4


def of_replay(entry: str, outcome: Outcome) -> Iterator[ValidityFinding]:
    """Findings from how well a replay kept its schedule."""
    yield ValidityFinding(SENDS_P99, outcome.late_p99_us / 1000, entry)
    yield ValidityFinding(SEND_MAX, outcome.worst_late_us / 1000, entry)
    yield ValidityFinding(FULL_SOCKETS, outcome.dropped, entry)
    yield ValidityFinding(NOT_SENT, outcome.not_sent, entry)


def replay_row(replayed: Replayed, measured: ReplayMeasurement, phases: Sequence[Window]) -> Mapping[str, Any]:
    """A replay: what was told of its capture before, how it went, its figures together and by flow, each by phase."""
    plan, names = replayed.plan, [window.name for window in phases]
    most = sorted(plan.flows, key=lambda flow: (-flow.packets, flow.id))[:MOST_FLOWS]
    together = {name: _plain(measured.pool(((flow.entry, flow.id) for flow in plan.flows), name)) for name in names}
    return {
        "name": plan.entry,
        "mode": plan.mode.value,
        "files": [str(file) for file in plan.files],
        "told": {**asdict(plan.told), "denied_flows": list(plan.told.denied_flows[:MOST_FLOWS])},
        "hosts": len(plan.hosts),
        "outcome": asdict(replayed.outcome),
        "phases": together,
        "flows_in_all": len(plan.flows),
        "flows": [
            {
                "name": flow.name,
                "class": flow.class_name,
                "service": flow.service,
                "client": flow.client,
                "server": flow.server,
                "expect": "denied" if flow.is_denied else "delivered",
                "packets": flow.packets,
                "phases": {name: _plain(measured.figures[(flow.entry, flow.id), name]) for name in names},
            }
            for flow in most
        ],
    }


def _plain(figures: ReplayFigures) -> dict[str, float | None]:
    """Figures as JSON has them: NaN is null."""
    numbers: dict[str, float] = asdict(figures)
    return {name: round(value, _DIGITS) if isfinite(value) else None for name, value in numbers.items()}
