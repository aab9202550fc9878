"""How well the flow engine kept its schedule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeepingUp:
    """Whether the engine sent what was planned on time."""

    lateness_p50_us: float  # of sends after their due time
    lateness_p99_us: float
    worst_late_us: float
    unrecorded: int  # datagrams that found no room in the records
    dropped: int  # datagrams the kernel dropped because a socket's buffer was full
    not_sent: int  # datagrams the kernel would not take for lack of room
    untimed: int  # records without a kernel timestamp
    clock_step_us: float  # how far the wall clock was set during the run
    unfinished: int  # datagrams that never came due, because the engine was stopped early
    mute: int  # flows of which the kernel took no datagram at all
