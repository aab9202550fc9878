"""How well what sends kept its schedule: the flow engine, and applications."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SenderHealth:
    """Lateness of sends, and counts of datagrams that were not sent or recorded as planned."""

    lateness_p50_us: float  # of sends, relative to their due time
    lateness_p99_us: float
    worst_late_us: float
    unrecorded: int  # datagrams received but not recorded for lack of space
    dropped: int  # datagrams the kernel dropped because a socket's buffer was full
    not_sent: int  # datagrams that the kernel refused because a queue was full
    untimed: int  # records without a kernel timestamp
    clock_step_us: float  # by how much the wall clock was set during the run
    unfinished: int  # datagrams never due, because the engine was stopped early
    mute: int  # flows that sent no datagram at all


@dataclass(frozen=True, slots=True)
class BeginHealth:
    """How late exchanges began: the machine's doing."""

    lateness_p50_us: float = 0.0
    lateness_p99_us: float = 0.0
    worst_late_us: float = 0.0
    unbegun: int = 0  # that came due and were never begun
