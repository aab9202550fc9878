"""Entries of a switch are read in slices: every flow once, one request at a time."""

from __future__ import annotations

import struct
from random import Random

import pytest

from helsewan.controller.openflow.decoder import Decoder
from helsewan.controller.openflow.entries import GroupRule
from helsewan.controller.openflow.table_reader import TableReader

FLOW, METERS, GROUPS = 1, 10, 7
EMPTY_GROUP = struct.pack("!HBxI", 8, 3, 1)  # fast failover, no bucket


def requested(reading: TableReader, groups: bytes) -> list[tuple[int, int]]:
    """(cookie, mask) of each request for flows, for a switch with these groups and no flows."""
    slices = []
    while (request := reading.next_request(5)) is not None:
        _, _, length, xid, kind = struct.unpack_from("!BBHIH", request)
        assert (length, xid) == (len(request), 5) and kind in (FLOW, METERS, GROUPS)
        if kind == FLOW:
            slices.append(struct.unpack_from("!QQ", request, 16 + 16))
        reading.take(groups if kind == GROUPS else b"")
    return slices


def test_slices_hold_every_flow_once() -> None:
    reading, chance = TableReader(Decoder()), Random(1)
    slices = requested(reading, EMPTY_GROUP)
    assert len(slices) > 1
    for cookie in (0, 1, 2**64 - 1, *(chance.randrange(2**64) for _ in range(1000))):
        assert sum(cookie & mask == value for value, mask in slices) == 1
    assert reading.rule_set().groups == (GroupRule(1, ()),)


def test_flows_of_a_switch_without_groups_are_requested_once() -> None:
    reading = TableReader(Decoder())
    assert requested(reading, b"") == [(0, 0)]
    assert not len(reading.rule_set())


def test_garbled_groups_are_an_error() -> None:
    reading = TableReader(Decoder())
    reading.next_request(1)
    reading.take(b"\x00\x01")
    while reading.next_request(2):
        pass
    with pytest.raises((ValueError, IndexError, struct.error)):
        reading.rule_set()
