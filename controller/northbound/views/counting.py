"""Flow statistics as counters: drops by table and reason, accepted packets by class. Pure.

Only an entry's table, cookie, counters and written metadata are decoded (OpenFlow 1.3.5, 7.3.5.2).
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from helsewan.controller.northbound.views.models import ClassCountOut, DropOut
from helsewan.controller.openflow.entries import Table
from helsewan.controller.openflow.pipeline import CLASS, Drop, purpose_of
from helsewan.policies.plan import Plan

# length, table; cookie, packets, bytes; the match begins at byte 48
_ENTRY = struct.Struct("!HBx4x4x2x2x2x2x4xQQQ")
_MATCH_AT = 48
_TYPED = struct.Struct("!HH")
_WRITE_METADATA, _METADATA = 2, struct.Struct("!4x4xQQ")


@dataclass(frozen=True, slots=True)
class EntryCounters:
    """The counters of an entry; ``metadata`` is the (value, mask) that it writes."""

    table: int
    cookie: int
    packets: int
    bytes: int
    metadata: tuple[int, int]


def drops(data: bytes) -> list[DropOut]:
    """Drops by table and reason. Raises ValueError where ``data`` is no flow statistics."""
    found: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
    for entry in _entries(data):
        reason = purpose_of(entry.cookie)[1]
        if reason in list(Drop):  # a foreign entry may have any cookie
            count = found[entry.table, reason]
            count[0] += entry.packets
            count[1] += entry.bytes
    return [
        DropOut(table=Table(table).name.lower(), reason=reason_name(Drop(reason)), packets=packets, bytes=octets)
        for (table, reason), (packets, octets) in sorted(found.items())
    ]


def classes(data: bytes, plan: Plan) -> list[ClassCountOut]:
    """Accepted packets by the class that contracts' entries mark. Raises ValueError where ``data`` is no flow
    statistics."""
    found = {cls.dscp: [0, 0] for cls in plan.classes}
    for entry in _entries(data):
        value, mask = entry.metadata
        if mask & CLASS.mask == CLASS.mask:
            count = found.setdefault((value & CLASS.mask) >> CLASS.shift, [0, 0])
            count[0] += entry.packets
            count[1] += entry.bytes
    return [ClassCountOut(name=cls.name, packets=found[cls.dscp][0], bytes=found[cls.dscp][1]) for cls in plan.classes]


def reason_name(reason: Drop) -> str:
    """A drop reason as it appears in responses."""
    return reason.name.lower().replace("_", "-")


def _entries(data: bytes) -> Iterator[EntryCounters]:
    start = 0
    try:
        while start < len(data):
            length, table, cookie, packets, octets = _ENTRY.unpack_from(data, start)
            _, match = _TYPED.unpack_from(data, start + _MATCH_AT)
            at, end = start + _MATCH_AT + match + -match % 8, start + length
            metadata = 0, 0
            while at < end:
                kind, size = _TYPED.unpack_from(data, at)
                if kind == _WRITE_METADATA:
                    metadata = _METADATA.unpack_from(data, at)
                at += max(size, _TYPED.size)
            yield EntryCounters(table, cookie, packets, octets, metadata)
            start += max(length, _MATCH_AT)
    except struct.error as error:
        raise ValueError(f"no flow statistics: {error}") from None
