"""Packets longer than the MTU of the link that a router sends them on, as the links report them.

A link's MTU may change while the network runs, and the rules of switches know only those that the network's description
gives to access links. The link itself drops what is longer, and reports it to the router that sent it, whose slow path
answers as it does for packets that a switch punts. The rate of answers is limited as that of punted packets is.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from helsewan.controller.openflow.entries import PacketMeterRule
from helsewan.controller.openflow.pipeline import DESTINATION_VPN, Drop, Purpose, cookie
from helsewan.controller.rules.punt import PUNT_METER, Punt, read_frame
from helsewan.policies.plan import Plan

_HEAD = struct.Struct("=II")  # the pipe's number and its MTU, as the link engine sends them; then the frame
_LABEL_BYTES = 4
MAX_REPORT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """One direction of a link: it leads from ``router`` to ``target``, a router or a site."""

    router: str
    target: str


def write_link_ends(file: Path, ends: Mapping[int, tuple[str, str]]) -> None:
    """Write (from, to) of each pipe, by its number in the link engine, for `read_link_ends`."""
    file.write_text(json.dumps({str(pipe): pair for pipe, pair in ends.items()}), encoding="utf-8")


def read_link_ends(file: Path) -> dict[int, LinkEnd]:
    """The pipes' directions, by number. Raises OSError, and ValueError for a file of another kind."""
    return {int(pipe): LinkEnd(*pair) for pipe, pair in json.loads(file.read_text(encoding="utf-8")).items()}


def reported_punt(report: bytes, ends: Mapping[int, LinkEnd], plan: Plan) -> Punt | None:
    """The punt that a report stands for; None where the frame has no IP packet, or a site sent it: a host knows the MTU
    of its own interface."""
    if len(report) < _HEAD.size:
        return None
    pipe, mtu_bytes = _HEAD.unpack_from(report)
    end, frame = ends.get(pipe), report[_HEAD.size :]
    contents = read_frame(frame)
    if end is None or end.router not in plan.network.router or contents is None:
        return None
    metadata = 0
    if (role := plan.role_of_site.get(end.target)) is not None:
        metadata, _ = DESTINATION_VPN.of(plan.vpn[role.vpn].id)
    fits_bytes = max(0, mtu_bytes - _LABEL_BYTES * len(contents.labels))
    return Punt(end.router, False, cookie(Purpose.DROP, Drop.TOO_LONG), metadata, frame, fits_bytes)


class RateLimit:
    """A token bucket, with the rate and burst of a switch's meter."""

    def __init__(self, meter: PacketMeterRule = PUNT_METER) -> None:
        self._meter, self._tokens, self._at_s = meter, float(meter.burst_packets), 0.0

    def permits(self, now_s: float) -> bool:
        """Whether one more may pass at ``now_s`` (monotonic, seconds)."""
        grown = self._tokens + (now_s - self._at_s) * self._meter.rate_pps
        self._tokens, self._at_s = min(grown, float(self._meter.burst_packets)), now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
