"""What became of a replay besides its records."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from helsewan.lab.flows.records import Array

LATENESS_STEP_NS, LATENESS_BUCKETS = 20_000, 5_000  # up to 100 ms, as of flows


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a replay went. ``stray`` packets came from one of its hosts to another and were not sent by it;
    ``misdelivered`` came out at another site than their destination's; ``unreachable`` were not sent because every line
    of the site was down, ``not_sent`` because a queue of the machine was full, and ``dropped`` where a socket's was.
    ``wrong``: how often other bytes were heard than were said. ``ended``: whether the last packet was sent."""

    sent: int
    not_sent: int
    unreachable: int
    misdelivered: int
    stray: int
    wrong: int
    dropped: int
    ended: bool
    late_p50_us: float
    late_p99_us: float
    worst_late_us: float


@dataclass
class ReplayCounts:
    """The counts of `Outcome`, while the replay goes on."""

    not_sent: int = 0
    unreachable: int = 0
    misdelivered: int = 0
    stray: int = 0
    wrong: int = 0
    dropped: int = 0
    ended: bool = False
    worst_late_ns: int = 0
    lateness: Array = field(default_factory=lambda: np.zeros(LATENESS_BUCKETS, np.uint64))

    def count_late(self, late_ns: int) -> None:
        """Count a packet that was sent ``late_ns`` after it was due."""
        late_ns = max(late_ns, 0)
        self.lateness[min(late_ns // LATENESS_STEP_NS, LATENESS_BUCKETS - 1)] += 1
        self.worst_late_ns = max(self.worst_late_ns, late_ns)

    def count_wrong(self) -> None:
        """Count bytes that were not what was said."""
        self.wrong += 1

    def outcome(self, sent: int) -> Outcome:
        """The outcome of a replay of ``sent`` records."""
        return Outcome(
            sent=sent,
            not_sent=self.not_sent,
            unreachable=self.unreachable,
            misdelivered=self.misdelivered,
            stray=self.stray,
            wrong=self.wrong,
            dropped=self.dropped,
            ended=self.ended,
            late_p50_us=self._late_us(50),
            late_p99_us=self._late_us(99),
            worst_late_us=self.worst_late_ns / 1000,
        )

    def _late_us(self, percent: float) -> float:
        """Upper limit (us) of the bin that contains a percentile; 0 without packets."""
        total = np.cumsum(self.lateness)
        if not total[-1]:
            return 0.0
        return float((np.searchsorted(total, total[-1] * percent / 100) + 1) * LATENESS_STEP_NS / 1000)
