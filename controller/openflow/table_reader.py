"""Reads a switch's entries in slices.

A switch answers in the thread in which it forwards, some 2.5 us a flow, and all that time packets wait. So its flows
are asked for in slices of a fraction of a millisecond each, told apart by their cookies, and the next when one has
come.

Pure: bytes in and out, no socket.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from typing import Any

from helsewan.controller.framework import ofproto_v1_3
from helsewan.controller.openflow.decoder import Decoder
from helsewan.controller.openflow.entries import RuleSet

_of: Any = ofproto_v1_3

_SLICES = 16  # by the low bits of the cookie, which number the entries of a kind
_HEADER, _MULTIPART = struct.Struct("!BBHI"), struct.Struct("!HH4x")
# table, out port, out group, cookie and its mask, then a match of everything (OpenFlow 1.3.5, 7.3.5.2)
_FLOWS = struct.Struct("!B3xII4xQQHH4x")
_ALL_METERS = struct.pack("!I4x", _of.OFPM_ALL)


def count_request(xid: int) -> bytes:
    """A message that asks how many flows a switch holds, which costs it a tenth of telling them."""
    return _request(xid, _of.OFPMP_AGGREGATE, _flows(0, 0))


def flows_request(xid: int, cookie: int, mask: int) -> bytes:
    """A message that asks for the flows whose cookies are ``cookie`` under ``mask``, with their counters."""
    return _request(xid, _of.OFPMP_FLOW, _flows(cookie, mask))


def ports_request(xid: int) -> bytes:
    """A message that asks for a switch's ports and their state."""
    return _request(xid, _of.OFPMP_PORT_DESC, b"")


class TableReader:
    """One reading of a switch: groups and meters, then flows; all flows at once where there are no groups, for then
    it is new and its flows are few."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._waiting = deque([(_of.OFPMP_GROUP_DESC, b""), (_of.OFPMP_METER_CONFIG, _ALL_METERS)])
        self._bodies = {kind: bytearray() for kind in (_of.OFPMP_GROUP_DESC, _of.OFPMP_METER_CONFIG, _of.OFPMP_FLOW)}
        self._under_way, self._knows_groups = 0, False

    def next_request(self, xid: int) -> bytes | None:
        """The next message for the switch; None when it has told all."""
        if not self._knows_groups and not self._waiting:
            self._knows_groups = True
            slices = _SLICES if self._bodies[_of.OFPMP_GROUP_DESC] else 1
            self._waiting.extend((_of.OFPMP_FLOW, each) for each in _sliced(slices))
        if not self._waiting:
            return None
        self._under_way, body = self._waiting.popleft()
        return _request(xid, self._under_way, body)

    def take(self, body: bytes) -> None:
        """A part of the answer to the last request."""
        self._bodies[self._under_way].extend(body)

    def rule_set(self) -> RuleSet:
        """What the switch holds. Raises ValueError, IndexError or struct.error if that cannot be read."""
        kinds = (_of.OFPMP_METER_CONFIG, _of.OFPMP_GROUP_DESC, _of.OFPMP_FLOW)
        meters, groups, flows = (bytes(self._bodies[kind]) for kind in kinds)
        decoder = self._decoder
        return RuleSet(tuple(decoder.meters(meters)), tuple(decoder.groups(groups)), tuple(decoder.flows(flows)))


def _sliced(slices: int) -> Iterator[bytes]:
    return (_flows(number, slices - 1) for number in range(slices))


def _flows(cookie: int, mask: int) -> bytes:
    return _FLOWS.pack(_of.OFPTT_ALL, _of.OFPP_ANY, _of.OFPG_ANY, cookie, mask, _of.OFPMT_OXM, 4)


def _request(xid: int, kind: int, body: bytes) -> bytes:
    size = _HEADER.size + _MULTIPART.size + len(body)
    return _HEADER.pack(_of.OFP_VERSION, _of.OFPT_MULTIPART_REQUEST, size, xid) + _MULTIPART.pack(kind, 0) + body
