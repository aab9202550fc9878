"""Bidirectional forwarding detection (RFC 5880, RFC 5881) on router links: timers for a detection time, and their cost.

Open vSwitch runs the sessions. Loss of carrier is detected without them; they detect links that keep carrier but lose
all frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from helsewan.common.errors import InputError, Problem

# With two, the end that receives nothing detects the failure after two intervals, and the other end, which learns it
# from the next packet, after three. A single lost packet, or a switch stalled for one interval, causes no false alarm.
MULTIPLIER = 2
SENT_EARLY = 0.125  # of the interval on average: each packet goes out up to a quarter early (RFC 5880, 6.8.7)
PACKET_US = 250  # processor time from end to end: sender, link, receiver (docs/benchmarks.md, repair)
MOST_SHARE = 0.2  # of all cores; beyond this, the sessions' own load would delay their packets


@dataclass(frozen=True, slots=True)
class Timers:
    """A packet each way every ``interval_ms``; a session fails after ``multiplier`` intervals without a packet."""

    interval_ms: int
    multiplier: int = MULTIPLIER

    def cores(self, links: int) -> float:
        """Processor time of the sessions of ``links`` links, in cores."""
        packets_per_s = 2 * links * 1000 / (self.interval_ms * (1 - SENT_EARLY))
        return packets_per_s * PACKET_US / 1e6

    def settings(self) -> Iterator[str]:
        """The columns of an Open vSwitch interface (ovs-vswitchd.conf.db(5), BFD)."""
        yield "bfd:enable=true"
        yield f"bfd:min_tx={self.interval_ms}"
        yield f"bfd:min_rx={self.interval_ms}"  # its own default is a second
        yield f"bfd:mult={self.multiplier}"


def timers(detect_within_ms: int, links: int, cores: int) -> Timers:
    """The timers with which both ends of each of ``links`` links detect a failure within ``detect_within_ms``, even of
    one direction only: the end that receives nothing after MULTIPLIER intervals, the other end one interval later.

    Raises InputError where that takes more than ``MOST_SHARE`` of ``cores``."""
    chosen = Timers(detect_within_ms // (MULTIPLIER + 1))
    affordable = MOST_SHARE * cores
    if chosen.cores(links) > affordable:
        least_ms = int(detect_within_ms * chosen.cores(links) / affordable) + MULTIPLIER + 1
        reason = f"takes {chosen.cores(links):.2f} of {cores} cores for {links} links; {affordable:.2g} are allowed"
        raise InputError(Problem("repair.detect_within", f"{detect_within_ms} ms", reason, f"at least {least_ms} ms"))
    return chosen
