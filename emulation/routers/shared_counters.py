"""What the shared Open vSwitch counts, from the text of its commands. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PORT = re.compile(r"  port \d+: (\S+)")
_DROPPED = re.compile(r"^ *(RX|TX) packets:\d+ errors:[\d?]+ dropped:(\d+)")
_CYCLES = re.compile(r"^ *(idle|processing) cycles: (\d+)", re.MULTILINE)
# Coverage counters of frames that found no flow, and were dropped while one was sought: all others have reached a port
# or were to be dropped. (``lost`` of dpctl/show counts those that passed but could not be cached, too.)
MISSES = ("datapath_drop_upcall_error", "datapath_drop_lock_error")


@dataclass(frozen=True, slots=True)
class Cycles:
    """Time-stamp counter cycles of the polling threads while awake: finding nothing, and processing frames."""

    idle: int
    processing: int

    @property
    def busy(self) -> float:
        """The share of the time awake that was spent processing, 0 to 1."""
        return self.processing / max(1, self.idle + self.processing)


@dataclass(frozen=True, slots=True)
class Counted:
    """Frames that Open vSwitch did not pass on. ``drops``: of its ports, by interface; most found a ring full.
    ``missed``: without a flow, dropped while one was sought, since the network was programmed."""

    drops: Mapping[str, int]
    missed: int


def drops(dpctl_show: str) -> dict[str, int]:
    """Frames that ports dropped in either direction, by interface, from ``dpctl/show -s``. Ports without drops are
    left out."""
    found: dict[str, int] = {}
    port = ""
    for line in dpctl_show.splitlines():
        if ports := _PORT.findall(line):  # one that is not connected has no counters, nor an end of line
            port = ports[-1]
        elif (match := _DROPPED.match(line)) and port and int(match[2]):
            found[port] = found.get(port, 0) + int(match[2])
    return found


def cycles(pmd_stats_show: str) -> Cycles:
    """The cycles of all polling threads, from ``dpif-netdev/pmd-stats-show``; the main thread, which has none of idle
    ones, is left out."""
    polling = pmd_stats_show.partition("main thread")[0]
    sums = {"idle": 0, "processing": 0}
    for name, value in _CYCLES.findall(polling):
        sums[name] += int(value)
    return Cycles(sums["idle"], sums["processing"])
