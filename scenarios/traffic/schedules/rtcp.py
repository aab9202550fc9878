"""When RTCP reports of a call between two parties are due (RFC 3550, 6.2 and 6.3). Pure."""

from __future__ import annotations

from math import e

import numpy as np

from helsewan.lab.flows._flows import RTCP_BYTES
from helsewan.lab.flows.schedule import Schedule, schedule_of

MEMBERS = 2
RTCP_SHARE = 0.05  # of the session's bandwidth (6.2)
LEAST_S = 5.0  # between two reports of a party; half of it before the first (6.2)
COMPENSATION = e - 3 / 2  # for timer reconsideration (6.3.1)
UDP_IP_BYTES = {4: 28, 6: 48}  # lower-layer headers count (6.3.3)


def report_interval_s(session_bps: float, version: int, *, first: bool = False) -> float:
    """The deterministic interval Td of 6.3.1: both parties send, so that they share the bandwidth for reports.
    ``session_bps``: the session's bandwidth, that of both directions together."""
    least_s = LEAST_S / 2 if first else LEAST_S
    octets_per_s = RTCP_SHARE * session_bps / 8
    return max(least_s, MEMBERS * (RTCP_BYTES + UDP_IP_BYTES[version]) / octets_per_s)


def report_schedule(session_bps: float, version: int, length_us: int, rng: np.random.Generator) -> Schedule:
    """A party's reports during a session of ``length_us``: each interval is Td times a random factor from 0.5 to 1.5,
    divided by e - 3/2 (6.3.1). Nobody joins or leaves, so that timers are never reconsidered."""
    td_s = report_interval_s(session_bps, version)
    most = int(length_us / 1e6 / (td_s * 0.5 / COMPENSATION)) + 2
    intervals_s = np.full(most, td_s)
    intervals_s[0] = report_interval_s(session_bps, version, first=True)
    due_ns = (np.cumsum(intervals_s * rng.uniform(0.5, 1.5, most) / COMPENSATION) * 1e9).astype(np.int64)
    return schedule_of(due_ns[due_ns < length_us * 1000])
